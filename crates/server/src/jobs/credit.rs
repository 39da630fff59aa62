//! Putting queued instructions into ledger transactions.

use std::panic::AssertUnwindSafe;

use domain::credit::CreditFailure;
use domain::ids::{InstructionId, ProductId};
use domain::instruction::Instruction;
use futures_util::FutureExt;
use ledger::contract::{
    Checkpoint, Item, Kind, Outcome, SkipReason, applied, batch_items_max, execute_calldata, execute_gas_limit, instruction_key,
    preflight, trusted_records,
};
use ledger::judge::{AppliedKey, Evidence, NumberState, Reading, judge};
use ledger::{Address, At, B256};

use super::fault::Reach;
use super::watch::whose;
use super::{BlockTime, Call, LedgerFault, LedgerWork};
use crate::crash::CrashPoint;
use crate::meters::Wait;
use crate::operations::ledger::{BindInstructions, SettleCredits, Verdict};
use crate::operations::network::NetworkPin;
use crate::reconciliation;

/// What a batch came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BatchCame {
    /// It took a nonce.
    Bound,
    /// Some of it left the queue without a nonce, or is left alone for a while.
    Refused,
    /// Nothing can be done now: the token rests, or others are binding all of it.
    Nothing,
}

impl LedgerWork {
    /// Binds what waits, in order of instruction, while nonces are free. `open` are in flight already.
    pub(super) async fn bind_queued(&mut self, pin: &NetworkPin, open: usize) -> Result<(), LedgerFault> {
        let mut free = self.policy.open_max.saturating_sub(open);
        let network = self.network.clone();
        let waiting = self.read(move |archive| archive.products_with_queued_instructions(&network)).await?;
        if free == 0 || waiting.is_empty() {
            return Ok(());
        }
        self.set_aside.let_go(self.clock.monotonic());
        // Asked before a nonce is spent: while gas is too dear the queue waits.
        if let Err(fault) = self.fees().await {
            self.meters.waits(Wait::FeeCeiling).increment(1);
            return Err(fault);
        }
        for product_id in waiting {
            if self.reconciliation.suspects(product_id) {
                continue;
            }
            let bound = AssertUnwindSafe(self.bind_product(pin, product_id, free)).catch_unwind().await;
            free -= self.contained(product_id, bound)?.unwrap_or(0).min(free);
        }
        Ok(())
    }

    /// Binds what waits of one product, with so many nonces at most; says how many were used.
    async fn bind_product(&mut self, pin: &NetworkPin, product_id: ProductId, free: usize) -> Result<usize, LedgerFault> {
        let Some(token) = self.token(pin.factory, product_id).await? else { return Ok(0) };
        let batch_items = batch_items_max(self.policy.transaction_gas_max);
        let mut used = 0;
        while used < free {
            let limit = u32::try_from(batch_items.saturating_add(self.set_aside.len())).unwrap_or(u32::MAX);
            let mut queued = self.read(move |archive| archive.queued_instructions(product_id, limit)).await?;
            queued.retain(|instruction| !self.set_aside.holds(instruction.id));
            queued.truncate(batch_items);
            match self.bind_what_can_be(pin, token, queued).await? {
                BatchCame::Bound => used += 1,
                BatchCame::Refused => {}
                BatchCame::Nothing => break,
            }
        }
        Ok(used)
    }

    /// Binds a batch, or the part of it that does not fail by its own fault: what fails alone is set aside.
    async fn bind_what_can_be(
        &mut self,
        pin: &NetworkPin,
        token: Address,
        mut queued: Vec<Instruction>,
    ) -> Result<BatchCame, LedgerFault> {
        loop {
            let came = AssertUnwindSafe(self.bind_batch(pin, token, &queued)).catch_unwind().await;
            let fault = match (came, queued.as_slice()) {
                (Ok(Ok(came)), _) => return Ok(came),
                (Ok(Err(fault)), _) if fault.reach() != Reach::Instruction => return Err(fault),
                (_, []) => return Ok(BatchCame::Nothing),
                (Ok(Err(fault)), [..]) => fault,
                (Err(_panic), [first, ..]) => LedgerFault::Panicked(first.product_id),
            };
            if let [alone] = queued.as_slice() {
                self.meters.contained.increment(1);
                self.set_aside.put(alone.id, self.clock.monotonic());
                tracing::error!(%fault, instruction_id = %alone.id, network = %self.network, "an instruction is set aside; the others go on");
                return Ok(BatchCame::Refused);
            }
            queued.truncate(queued.len().div_ceil(2));
        }
    }

    /// Binds a batch to the next nonce, but for what the contract would skip.
    async fn bind_batch(&mut self, pin: &NetworkPin, token: Address, queued: &[Instruction]) -> Result<BatchCame, LedgerFault> {
        if queued.is_empty() {
            return Ok(BatchCame::Nothing);
        }
        let valid_until_seconds = self.valid_until_seconds().await?;
        let items: Vec<Item> = queued.iter().map(item).collect();
        let valid_until = u64::try_from(valid_until_seconds).unwrap_or(0);
        let outcomes = preflight(self.chain.as_ref(), token, self.signer.address(), valid_until, &items).await?;
        let (mut refused, mut accepted, mut carried_out) = (Vec::new(), Vec::new(), Vec::new());
        for (instruction, outcome) in queued.iter().zip(outcomes) {
            match outcome {
                Outcome::Applied => accepted.push(*instruction),
                // Nothing is to be carried out. The judge says whose order it was.
                Outcome::AlreadyApplied => carried_out.push(*instruction),
                // The whole token rests, for a time: what waits is not to blame.
                Outcome::Skipped(SkipReason::Paused) => {}
                Outcome::Skipped(reason) => refused.extend(self.judge_unsigned(token, instruction, reason).await?),
            }
        }
        refused.extend(self.judge_taken(pin, token, &carried_out).await?);
        // What the judge leaves open of them holds nobody up.
        for left in carried_out.iter().filter(|left| refused.iter().all(|(id, _)| *id != left.id)) {
            self.set_aside.put(left.id, self.clock.monotonic());
        }
        let idle = if refused.is_empty() && carried_out.is_empty() { BatchCame::Nothing } else { BatchCame::Refused };
        if !refused.is_empty() {
            self.lane.record(SettleCredits { verdicts: refused }).await?;
        }
        let Some(first) = accepted.first() else { return Ok(idle) };
        let bind = BindInstructions {
            signer: self.registrar(),
            product_id: first.product_id,
            valid_until_seconds,
            instruction_ids: accepted.iter().map(|instruction| instruction.id).collect(),
        };
        let Some(bound) = self.lane.record(bind).await? else { return Ok(idle) };
        CrashPoint::NonceReserved.reached();
        let call = self.execute_call(token, valid_until_seconds, &bound.instructions)?;
        self.sign_store_send(&bound.ledger_transaction, call).await?;
        Ok(BatchCame::Bound)
    }

    /// Asks the judge about an instruction that the simulation refused. Nothing was signed for it, so nothing can still run.
    async fn judge_unsigned(
        &self,
        token: Address,
        instruction: &Instruction,
        reason: SkipReason,
    ) -> Result<Option<(InstructionId, Verdict)>, LedgerFault> {
        let block = self.chain.finalized().await?;
        let is_applied = applied(self.chain.as_ref(), token, instruction.number.get(), At::Block(block.hash)).await?;
        let number = if is_applied { NumberState::Applied(AppliedKey::Unknown) } else { NumberState::NotApplied };
        let evidence = Evidence {
            reading: Reading::Finalized { block, number },
            holders: Vec::new(),
            preflight_refusal: Some(reason),
            quarantine_until_seconds: self.quarantined_until_seconds(),
        };
        self.word_on(instruction, judge(&evidence)).await
    }

    /// Asks the judge about instructions whose numbers the ledger has carried out, although nothing was signed for them here:
    /// somebody else used them, or this instance before a restore. All records are read: it is rare. What is not final yet
    /// waits.
    async fn judge_taken(
        &self,
        pin: &NetworkPin,
        token: Address,
        carried_out: &[Instruction],
    ) -> Result<Vec<(InstructionId, Verdict)>, LedgerFault> {
        let mut verdicts = Vec::new();
        if carried_out.is_empty() {
            return Ok(verdicts);
        }
        let block = self.chain.finalized().await?;
        let start = Checkpoint { next_block: pin.from_block, running_hash: B256::ZERO };
        let read = trusted_records(self.chain.as_ref(), token, start, block).await?;
        for instruction in carried_out {
            let own = instruction_key(self.chain.chain_id(), token, instruction.investment_id.bytes());
            let number = instruction.number.get();
            let Some(record) = reconciliation::applied(&read.records).find(|one| one.record.item.number == number) else {
                continue;
            };
            let number = NumberState::Applied(whose(record, own, instruction));
            let evidence = Evidence {
                reading: Reading::Finalized { block, number },
                holders: Vec::new(),
                preflight_refusal: None,
                quarantine_until_seconds: self.quarantined_until_seconds(),
            };
            verdicts.extend(self.word_on(instruction, judge(&evidence)).await?);
        }
        Ok(verdicts)
    }

    /// The call that carries instructions. The same instructions and the same validity give the same bytes.
    pub(super) fn execute_call(
        &self,
        token: Address,
        valid_until_seconds: i64,
        instructions: &[Instruction],
    ) -> Result<Call, LedgerFault> {
        let items: Vec<Item> = instructions.iter().map(item).collect();
        let gas_limit = execute_gas_limit(&items, self.policy.transaction_gas_max).ok_or(LedgerFault::BatchTooLarge)?;
        let data = execute_calldata(u64::try_from(valid_until_seconds).unwrap_or(0), &items)?;
        Ok(Call { to: Some(token), data, gas_limit })
    }

    /// An idle chain's newest block may be old, so the later of its time and now counts.
    async fn valid_until_seconds(&self) -> Result<i64, LedgerFault> {
        let finalized = i64::try_from(self.chain.finalized().await?.time_seconds).unwrap_or(i64::MAX);
        let now = match self.policy.block_time {
            BlockTime::Business => self.clock.now(),
            BlockTime::Machine => self.clock.machine_now(),
        };
        Ok(finalized.max(now.seconds_floor()).saturating_add(self.policy.validity_s))
    }
}

fn item(instruction: &Instruction) -> Item {
    Item {
        kind: Kind::Issue,
        number: instruction.number.get(),
        id: instruction.investment_id.bytes(),
        account: Address(instruction.account.bytes()),
        units: u128::from(instruction.units.get()),
        counterparty: Address::ZERO,
    }
}

/// What a skip means for the credit.
pub(super) const fn failure(reason: SkipReason) -> CreditFailure {
    match reason {
        SkipReason::BlockedAccount => CreditFailure::AccountBlocked,
        SkipReason::ForbiddenAddress => CreditFailure::AddressForbidden,
        SkipReason::CapExceeded => CreditFailure::CapExceeded,
        SkipReason::InsufficientBalance
        | SkipReason::UnknownKind
        | SkipReason::ZeroUnits
        | SkipReason::NotRegistered
        | SkipReason::Paused
        | SkipReason::ReceivingDisabled
        | SkipReason::InvalidArgument
        | SkipReason::Other(_) => CreditFailure::RefusedByContract,
    }
}
