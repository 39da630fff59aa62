//! Watching what was sent, and recording the judge's word.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use domain::credit::CreditFailure;
use domain::ids::{InstructionId, ProductId};
use domain::instruction::Instruction;
use domain::ledger_transaction::Purpose;
use futures_util::FutureExt;
use ledger::contract::{self, Checkpoint, Outcome, SkipReason, TrustedRecord, instruction_key, trusted_records};
use ledger::judge::{self, AppliedKey, Evidence, FailReason, Holder, NumberState, Place, Reading, Waiting, judge};
use ledger::{Address, At, B256, BlockRef, TxHash};
use store::Reader;
use store::queries::LiveLedgerTransaction;

use super::credit::failure;
use super::tend::Sight;
use super::{LedgerFault, LedgerWork};
use crate::crash::CrashPoint;
use crate::operations::ledger::{CloseLedgerTransaction, ReleaseInstructions, SettleCredits, Verdict};
use crate::operations::network::NetworkPin;
use crate::planted::Bug;

/// Where a token's records have been read to, and what they said about instructions that are still open.
#[derive(Debug)]
pub(super) struct SeenRecords {
    checkpoint: Checkpoint,
    /// Whether they were read from the token's beginning.
    is_whole: bool,
    applied: BTreeMap<u64, TrustedRecord>,
    skipped: BTreeMap<(TxHash, u64), SkipReason>,
}

impl SeenRecords {
    /// Up to where register and ledger agreed nothing applied is open any more, so reading may begin there.
    const fn since(checkpoint: Checkpoint) -> Self {
        Self::read_from(checkpoint, false)
    }

    /// From the token's beginning.
    const fn whole(next_block: u64) -> Self {
        let checkpoint = Checkpoint { next_block, running_hash: B256::ZERO };
        Self::read_from(checkpoint, true)
    }

    const fn read_from(checkpoint: Checkpoint, is_whole: bool) -> Self {
        Self { checkpoint, is_whole, applied: BTreeMap::new(), skipped: BTreeMap::new() }
    }

    fn take(&mut self, records: Vec<TrustedRecord>, open: &BTreeSet<u64>) {
        for trusted in records {
            let number = trusted.record.item.number;
            if !open.contains(&number) {
                continue;
            }
            match trusted.record.outcome {
                Outcome::Applied => {
                    self.applied.insert(number, trusted);
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
    /// Looks at everything in flight: settles what the judge decides, sends again what no block holds, closes what is
    /// done. Says how many nonces are still in flight.
    pub(super) async fn watch_open(&mut self, pin: &NetworkPin, sight: &Sight) -> Result<usize, LedgerFault> {
        let mut live = self.read(Reader::live_ledger_transactions).await?;
        let own = self.registrar();
        live.retain(|open| open.ledger_transaction.signer == own);
        let mut open = live.len();
        let mut by_product: BTreeMap<ProductId, Vec<LiveLedgerTransaction>> = BTreeMap::new();
        for transaction in live {
            match transaction.ledger_transaction.purpose {
                Purpose::Execute { product_id, .. } => by_product.entry(product_id).or_default().push(transaction),
                Purpose::FillGap => open -= usize::from(self.close_or_fill(&transaction, sight).await?),
                Purpose::DeployFactory | Purpose::DeployToken(_) => {}
            }
        }
        for (product_id, transactions) in by_product {
            let watched = AssertUnwindSafe(self.watch_product(pin, sight, product_id, &transactions)).catch_unwind().await;
            open -= self.contained(product_id, watched)?.unwrap_or(0);
        }
        Ok(open)
    }

    /// Looks at what is in flight of one product; says how many slots were closed.
    async fn watch_product(
        &mut self,
        pin: &NetworkPin,
        sight: &Sight,
        product_id: ProductId,
        transactions: &[LiveLedgerTransaction],
    ) -> Result<usize, LedgerFault> {
        let Some(token) = self.token(pin.factory, product_id).await? else { return Ok(0) };
        self.settle_decided(pin, token, sight.finalized, product_id, transactions).await?;
        let mut closed = 0;
        for transaction in transactions {
            closed += usize::from(self.go_on_with(token, transaction, sight).await?);
        }
        Ok(closed)
    }

    /// Goes on with a slot; says whether it was closed. It is closed when everything in it is judged and its nonce is used in
    /// a finalized block: until then its bytes are needed, or later nonces would wait for ever.
    async fn go_on_with(&mut self, token: Address, open: &LiveLedgerTransaction, sight: &Sight) -> Result<bool, LedgerFault> {
        let slot = open.ledger_transaction;
        let Purpose::Execute { valid_until_seconds, .. } = slot.purpose else { return Ok(false) };
        let id = slot.id;
        let is_over = sight.finalized.time_seconds > u64::try_from(valid_until_seconds).unwrap_or(0);
        if open.attempts.is_empty() && is_over && !open.instructions.is_empty() {
            // Nothing was signed, and what would be signed now would be refused as too late.
            let instruction_ids = open.instructions.iter().map(|instruction| instruction.id).collect();
            self.lane.record(ReleaseInstructions { ledger_transaction_id: id, instruction_ids }).await?;
            return Ok(false);
        }
        if !self.read(move |archive| archive.is_judged(id)).await? {
            self.tend(open, sight, |work| work.execute_call(token, valid_until_seconds, &open.instructions)).await?;
            return Ok(false);
        }
        self.close_or_fill(open, sight).await
    }

    /// Goes on with a slot in which nothing is left to do; says whether it was closed.
    async fn close_or_fill(&mut self, open: &LiveLedgerTransaction, sight: &Sight) -> Result<bool, LedgerFault> {
        let slot = open.ledger_transaction;
        if sight.used > slot.nonce {
            self.lane.record(CloseLedgerTransaction { ledger_transaction_id: slot.id }).await?;
            return Ok(true);
        }
        if !self.is_in_a_block(open).await? {
            self.fill(open, sight).await?;
        }
        Ok(false)
    }

    async fn settle_decided(
        &mut self,
        pin: &NetworkPin,
        token: Address,
        finalized: BlockRef,
        product_id: ProductId,
        transactions: &[LiveLedgerTransaction],
    ) -> Result<(), LedgerFault> {
        let numbers = transactions.iter().flat_map(|open| &open.instructions).map(|instruction| instruction.number.get());
        let numbers: BTreeSet<u64> = numbers.collect();
        let is_whole = self.see_records(pin, token, finalized, product_id, &numbers).await?;
        let mut judged = self.judge_open(token, finalized, product_id, transactions).await?;
        // Why something failed, or whose order has its number, may stand before where reading began.
        if !is_whole && judged.iter().any(|(_, verdict)| needs_all_records(verdict)) {
            self.seen.insert(product_id, SeenRecords::whole(pin.from_block));
            self.see_records(pin, token, finalized, product_id, &numbers).await?;
            judged = self.judge_open(token, finalized, product_id, transactions).await?;
        }
        let mut verdicts = Vec::new();
        for (instruction, verdict) in judged {
            verdicts.extend(self.word_on(instruction, verdict).await?);
        }
        for chunk in verdicts.chunks(contract::BATCH_ITEMS_MAX) {
            self.settle(chunk).await?;
        }
        if let Some(seen) = self.seen.get_mut(&product_id) {
            seen.forget_all_but(&numbers);
        }
        Ok(())
    }

    async fn judge_open<'a>(
        &self,
        token: Address,
        finalized: BlockRef,
        product_id: ProductId,
        transactions: &'a [LiveLedgerTransaction],
    ) -> Result<Vec<(&'a Instruction, judge::Verdict)>, LedgerFault> {
        let mut judged = Vec::new();
        for open in transactions {
            for instruction in &open.instructions {
                judged.push((instruction, self.judged(token, finalized, product_id, open, instruction).await?));
            }
        }
        Ok(judged)
    }

    /// Reads what is new of a token's records up to a finalized block; says whether they were read from the beginning.
    async fn see_records(
        &mut self,
        pin: &NetworkPin,
        token: Address,
        finalized: BlockRef,
        product_id: ProductId,
        open: &BTreeSet<u64>,
    ) -> Result<bool, LedgerFault> {
        if !self.seen.contains_key(&product_id) {
            let checkpoint =
                self.reconciled(product_id).await?.filter(|known| known.next_block <= finalized.number.saturating_add(1));
            let seen = checkpoint.map_or_else(|| SeenRecords::whole(pin.from_block), SeenRecords::since);
            self.seen.insert(product_id, seen);
        }
        let Some(seen) = self.seen.get_mut(&product_id) else { return Ok(false) };
        let read = trusted_records(self.chain.as_ref(), token, seen.checkpoint, finalized).await?;
        seen.take(read.records, open);
        seen.checkpoint = read.checkpoint;
        Ok(seen.is_whole)
    }

    /// Records verdicts together; where that fails by the fault of one of them, each alone.
    async fn settle(&mut self, verdicts: &[(InstructionId, Verdict)]) -> Result<(), LedgerFault> {
        CrashPoint::Judged.reached();
        match self.lane.record(SettleCredits { verdicts: verdicts.to_vec() }).await {
            Err(fault) if fault.is_contained() => {}
            other => return other,
        }
        for verdict in verdicts {
            match self.lane.record(SettleCredits { verdicts: vec![*verdict] }).await {
                Err(fault) if fault.is_contained() => {
                    self.meters.contained.increment(1);
                    tracing::error!(%fault, instruction_id = %verdict.0, "a verdict cannot be recorded; the others are");
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Asks the judge about one instruction. The records fold to the running hash at the same block, so a number that they
    /// hold as applied is applied there. That a number is not applied the contract says itself, and is asked only before
    /// something fails: whatever it says, nothing else could come of an instruction that may still run.
    async fn judged(
        &self,
        token: Address,
        finalized: BlockRef,
        product_id: ProductId,
        open: &LiveLedgerTransaction,
        instruction: &Instruction,
    ) -> Result<judge::Verdict, LedgerFault> {
        let number = instruction.number.get();
        let seen = self.seen.get(&product_id);
        let own = instruction_key(self.chain.chain_id(), token, instruction.investment_id.bytes());
        let applied = seen.and_then(|seen| seen.applied.get(&number));
        let state = applied.map_or(NumberState::NotApplied, |record| NumberState::Applied(whose(record, own, instruction)));
        let skip = |hash: [u8; 32]| seen.and_then(|seen| seen.skipped.get(&(TxHash(hash), number))).copied();
        let mut evidence = Evidence {
            reading: Reading::Finalized { block: finalized, number: state },
            holders: holder(open, skip).into_iter().collect(),
            preflight_refusal: None,
            quarantine_until_seconds: self.quarantined_until_seconds(),
        };
        let verdict = judge(&evidence);
        match verdict {
            judge::Verdict::Failed(_) => {}
            judge::Verdict::Succeeded(_) | judge::Verdict::Incident { .. } | judge::Verdict::Processing(_) => return Ok(verdict),
        }
        if contract::applied(self.chain.as_ref(), token, number, At::Block(finalized.hash)).await? {
            let number = NumberState::Applied(AppliedKey::Unknown);
            evidence.reading = Reading::Finalized { block: finalized, number };
        }
        Ok(judge(&evidence))
    }
}

/// Whether records from before where reading began may change a verdict.
const fn needs_all_records(verdict: &judge::Verdict) -> bool {
    matches!(verdict, judge::Verdict::Failed(_) | judge::Verdict::Processing(Waiting::Records))
}

/// What a ledger transaction says of an instruction that is bound to it; `None` where nothing was signed.
fn holder(open: &LiveLedgerTransaction, skip: impl Fn([u8; 32]) -> Option<SkipReason>) -> Option<Holder> {
    let Purpose::Execute { valid_until_seconds, .. } = open.ledger_transaction.purpose else { return None };
    if open.attempts.is_empty() {
        return None;
    }
    let valid_until_seconds = if Bug::TimeOutFails.is_planted() { 0 } else { u64::try_from(valid_until_seconds).unwrap_or(0) };
    Some(Holder { valid_until_seconds, finalized_skip: open.attempts.iter().find_map(|attempt| skip(attempt.hash)) })
}

/// Whose order an applied number is. The key names the investment alone: with other units, or for another account, it is
/// somebody else's order all the same.
pub(super) fn whose(applied: &TrustedRecord, own_key: B256, instruction: &Instruction) -> AppliedKey {
    let place = Place { block: applied.block, tx_hash: applied.tx_hash };
    let item = &applied.record.item;
    let is_own = applied.key == own_key
        && item.account.0 == instruction.account.bytes()
        && item.units == u128::from(instruction.units.get());
    if is_own { AppliedKey::Own(place) } else { AppliedKey::Other { key: applied.key, place } }
}

impl LedgerWork {
    /// The verdict to record, where the judge has spoken. A number that somebody else's order has waits until an operator has
    /// acknowledged that order (`scrip ledger release`).
    pub(super) async fn word_on(
        &self,
        instruction: &Instruction,
        verdict: judge::Verdict,
    ) -> Result<Option<(InstructionId, Verdict)>, LedgerFault> {
        let word = match verdict {
            judge::Verdict::Succeeded(place) => {
                self.meters.succeeded.increment(1);
                let (transaction_hash, block_number) = (place.tx_hash.0, place.block.number);
                Verdict::Succeeded { transaction_hash, block_number }
            }
            judge::Verdict::Failed(reason) => {
                self.meters.failed.increment(1);
                match reason {
                    FailReason::Refused(skip) => Verdict::Refused(failure(skip)),
                    FailReason::Skipped(skip) => Verdict::Failed(failure(skip)),
                    FailReason::Expired => Verdict::Failed(CreditFailure::Expired),
                }
            }
            judge::Verdict::Incident { key, place } => {
                self.meters.incidents.increment(1);
                let (instruction_id, block) = (instruction.id, place.block.number);
                tracing::error!(%instruction_id, %key, block, "another order holds this number");
                if !self.is_acknowledged(instruction.product_id, instruction.number.get()).await? {
                    return Ok(None);
                }
                tracing::warn!(%instruction_id, "the order is given anew under a number of its own");
                Verdict::NumberTaken
            }
            judge::Verdict::Processing(_) => return Ok(None),
        };
        Ok(Some((instruction.id, word)))
    }
}
