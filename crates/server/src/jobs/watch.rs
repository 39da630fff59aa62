//! Watching what was sent, and recording the judge's word.

use std::collections::{BTreeMap, BTreeSet};

use domain::credit::CreditFailure;
use domain::ids::{InstructionId, ProductId};
use domain::instruction::Instruction;
use domain::ledger_transaction::Purpose;
use ledger::contract::{self, Checkpoint, Outcome, SkipReason, TrustedRecord, instruction_key, trusted_records};
use ledger::judge::{self, AppliedKey, Evidence, FailReason, Holder, NumberState, Place, Reading, judge};
use ledger::{Address, At, B256, BlockRef, TxHash};
use store::Reader;
use store::queries::LiveLedgerTransaction;

use super::credit::failure;
use super::{LedgerFault, LedgerWork};
use crate::meters::LedgerMeters;
use crate::operations::ledger::{CloseLedgerTransaction, SettleCredits, Verdict};
use crate::operations::network::NetworkPin;

/// Where a token's records have been read to, and what they said about instructions that are still open.
#[derive(Debug)]
pub(super) struct SeenRecords {
    checkpoint: Checkpoint,
    applied: BTreeMap<u64, (B256, Place)>,
    skipped: BTreeMap<(TxHash, u64), SkipReason>,
}

impl SeenRecords {
    const fn new(next_block: u64) -> Self {
        let checkpoint = Checkpoint { next_block, running_hash: B256::ZERO };
        Self { checkpoint, applied: BTreeMap::new(), skipped: BTreeMap::new() }
    }

    fn take(&mut self, records: Vec<TrustedRecord>, open: &BTreeSet<u64>) {
        for trusted in records {
            let number = trusted.record.item.number;
            if !open.contains(&number) {
                continue;
            }
            let place = Place { block: trusted.block, tx_hash: trusted.tx_hash };
            match trusted.record.outcome {
                Outcome::Applied => {
                    self.applied.insert(number, (trusted.key, place));
                }
                Outcome::AlreadyApplied => {}
                Outcome::Skipped(reason) => {
                    self.skipped.insert((trusted.tx_hash, number), reason);
                }
            }
        }
    }

    fn forget_all_but(&mut self, open: &BTreeSet<u64>) {
        self.applied.retain(|number, _| open.contains(number));
        self.skipped.retain(|(_, number), _| open.contains(number));
    }
}

impl LedgerWork {
    /// Looks at everything in flight: sends again what no block holds, settles what the judge decides, closes what is
    /// done. Says how many nonces are still in flight.
    pub(super) async fn watch_open(&mut self, pin: &NetworkPin) -> Result<usize, LedgerFault> {
        let mut live = self.read(Reader::live_ledger_transactions).await?;
        let own = self.registrar();
        live.retain(|open| open.ledger_transaction.signer == own);
        let mut open = live.len();
        let mut by_product: BTreeMap<ProductId, Vec<LiveLedgerTransaction>> = BTreeMap::new();
        for transaction in live {
            match transaction.ledger_transaction.purpose {
                Purpose::Execute { product_id, .. } => by_product.entry(product_id).or_default().push(transaction),
                Purpose::DeployFactory | Purpose::DeployToken(_) => {}
            }
        }
        for (product_id, transactions) in by_product {
            let Some(token) = self.token(pin.factory, product_id).await? else { continue };
            for transaction in &transactions {
                self.repeat_where_missing(token, transaction).await?;
            }
            self.settle_decided(pin, token, product_id, &transactions).await?;
            for transaction in &transactions {
                open -= usize::from(self.close_where_done(transaction).await?);
            }
        }
        Ok(open)
    }

    async fn repeat_where_missing(&mut self, token: Address, open: &LiveLedgerTransaction) -> Result<(), LedgerFault> {
        for attempt in &open.attempts {
            if self.chain.receipt(TxHash(attempt.hash)).await?.is_some() {
                return Ok(());
            }
        }
        let Purpose::Execute { valid_until_seconds, .. } = open.ledger_transaction.purpose else { return Ok(()) };
        let call = self.execute_call(token, valid_until_seconds, &open.instructions)?;
        self.repeat(open, call).await
    }

    async fn settle_decided(
        &mut self,
        pin: &NetworkPin,
        token: Address,
        product_id: ProductId,
        transactions: &[LiveLedgerTransaction],
    ) -> Result<(), LedgerFault> {
        let finalized = self.chain.finalized().await?;
        let numbers = transactions.iter().flat_map(|open| &open.instructions).map(|instruction| instruction.number.get());
        let numbers: BTreeSet<u64> = numbers.collect();
        let chain = self.chain.clone();
        let seen = self.seen.entry(product_id).or_insert_with(|| SeenRecords::new(pin.from_block));
        let read = trusted_records(chain.as_ref(), token, seen.checkpoint, finalized).await?;
        seen.take(read.records, &numbers);
        seen.checkpoint = read.checkpoint;
        let mut verdicts = Vec::new();
        for open in transactions {
            for instruction in &open.instructions {
                let evidence = self.evidence(token, finalized, product_id, open, instruction).await?;
                verdicts.extend(spoken(instruction.id, judge(&evidence), &self.meters));
            }
        }
        for chunk in verdicts.chunks(contract::BATCH_ITEMS_MAX) {
            self.lane.record(SettleCredits { verdicts: chunk.to_vec() }).await?;
        }
        if let Some(seen) = self.seen.get_mut(&product_id) {
            seen.forget_all_but(&numbers);
        }
        Ok(())
    }

    async fn evidence(
        &self,
        token: Address,
        finalized: BlockRef,
        product_id: ProductId,
        open: &LiveLedgerTransaction,
        instruction: &Instruction,
    ) -> Result<Evidence, LedgerFault> {
        let number = instruction.number.get();
        let seen = self.seen.get(&product_id);
        let is_applied = contract::applied(self.chain.as_ref(), token, number, At::Block(finalized.hash)).await?;
        let own_key = instruction_key(self.chain.chain_id(), token, instruction.investment_id.bytes());
        let state = match seen.and_then(|seen| seen.applied.get(&number)) {
            _ if !is_applied => NumberState::NotApplied,
            Some((key, place)) if *key == own_key => NumberState::Applied(AppliedKey::Own(*place)),
            Some((key, place)) => NumberState::Applied(AppliedKey::Other { key: *key, place: *place }),
            None => NumberState::Applied(AppliedKey::Unknown),
        };
        let skip = |hash: [u8; 32]| seen.and_then(|seen| seen.skipped.get(&(TxHash(hash), number))).copied();
        let holder = match open.ledger_transaction.purpose {
            Purpose::Execute { valid_until_seconds, .. } if !open.attempts.is_empty() => Some(Holder {
                valid_until_seconds: u64::try_from(valid_until_seconds).unwrap_or(0),
                finalized_skip: open.attempts.iter().find_map(|attempt| skip(attempt.hash)),
            }),
            Purpose::Execute { .. } | Purpose::DeployFactory | Purpose::DeployToken(_) => None,
        };
        Ok(Evidence {
            reading: Reading::Finalized { block: finalized, number: state },
            holders: holder.into_iter().collect(),
            preflight_refusal: None,
            quarantine_until_seconds: None,
        })
    }

    /// A slot is closed when everything in it is judged and its nonce is used in a finalized block: until then its bytes
    /// are needed, or later nonces would wait for ever.
    async fn close_where_done(&mut self, open: &LiveLedgerTransaction) -> Result<bool, LedgerFault> {
        let slot = open.ledger_transaction;
        let used = self.chain.nonce(Address(slot.signer.bytes()), At::Finalized).await? > slot.nonce;
        if !used {
            return Ok(false);
        }
        let id = slot.id;
        let is_judged = self.read(move |archive| archive.is_judged(id)).await?;
        if is_judged {
            self.lane.record(CloseLedgerTransaction { ledger_transaction_id: id }).await?;
        }
        Ok(is_judged)
    }
}

/// The verdict to record, where the judge has spoken.
pub(super) fn spoken(id: InstructionId, verdict: judge::Verdict, meters: &LedgerMeters) -> Option<(InstructionId, Verdict)> {
    match verdict {
        judge::Verdict::Succeeded(place) => {
            meters.succeeded.increment(1);
            let (transaction_hash, block_number) = (place.tx_hash.0, place.block.number);
            Some((id, Verdict::Succeeded { transaction_hash, block_number }))
        }
        judge::Verdict::Failed(reason) => {
            meters.failed.increment(1);
            let why = match reason {
                FailReason::Refused(skip) | FailReason::Skipped(skip) => failure(skip),
                FailReason::Expired => CreditFailure::Expired,
            };
            Some((id, Verdict::Failed(why)))
        }
        judge::Verdict::Incident { key, place } => {
            meters.incidents.increment(1);
            tracing::error!(instruction_id = %id, %key, block = place.block.number, "another order holds this number");
            None
        }
        judge::Verdict::Processing(_) => None,
    }
}
