//! Putting queued instructions into ledger transactions.

use domain::credit::CreditFailure;
use domain::ids::InstructionId;
use domain::instruction::Instruction;
use ledger::contract::{
    Item, Kind, Outcome, SkipReason, applied, batch_items_max, execute_calldata, execute_gas_limit, preflight,
};
use ledger::judge::{AppliedKey, Evidence, NumberState, Reading, judge};
use ledger::{Address, At};

use super::watch::spoken;
use super::{BlockTime, Call, LedgerFault, LedgerWork};
use crate::operations::ledger::{BindInstructions, SettleCredits, Verdict};

impl LedgerWork {
    /// Binds what waits, in order of instruction, while nonces are free. `open` are in flight already.
    pub(super) async fn bind_queued(&mut self, factory: Address, open: usize) -> Result<(), LedgerFault> {
        let mut free = self.policy.open_max.saturating_sub(open);
        let batch_items = batch_items_max(self.policy.transaction_gas_max);
        let network = self.network.clone();
        let waiting = self.read(move |archive| archive.products_with_queued_instructions(&network)).await?;
        if free == 0 || waiting.is_empty() {
            return Ok(());
        }
        // Asked before a nonce is spent: while gas is too dear the queue waits.
        self.fees().await?;
        for product_id in waiting {
            let Some(token) = self.token(factory, product_id).await? else { continue };
            while free > 0 {
                let limit = u32::try_from(batch_items).unwrap_or(u32::MAX);
                let queued = self.read(move |archive| archive.queued_instructions(product_id, limit)).await?;
                if queued.is_empty() {
                    break;
                }
                if !self.bind_batch(token, &queued).await? {
                    break;
                }
                free -= 1;
            }
        }
        Ok(())
    }

    /// Says whether anything came of it: nothing does where others are binding all of these.
    async fn bind_batch(&mut self, token: Address, queued: &[Instruction]) -> Result<bool, LedgerFault> {
        let valid_until_seconds = self.valid_until_seconds().await?;
        let items: Vec<Item> = queued.iter().map(item).collect();
        let valid_until = u64::try_from(valid_until_seconds).unwrap_or(0);
        let outcomes = preflight(self.chain.as_ref(), token, self.signer.address(), valid_until, &items).await?;
        let mut refused = Vec::new();
        let mut accepted = Vec::new();
        for (instruction, outcome) in queued.iter().zip(outcomes) {
            match outcome {
                // Already applied is no refusal: the judge will find it on the ledger.
                Outcome::Applied | Outcome::AlreadyApplied => accepted.push(*instruction),
                Outcome::Skipped(reason) => refused.extend(self.judge_unsigned(token, instruction, reason).await?),
            }
        }
        let has_refused = !refused.is_empty();
        if has_refused {
            self.lane.record(SettleCredits { verdicts: refused }).await?;
        }
        let Some(first) = accepted.first() else { return Ok(has_refused) };
        let bind = BindInstructions {
            signer: self.registrar(),
            product_id: first.product_id,
            valid_until_seconds,
            instruction_ids: accepted.iter().map(|instruction| instruction.id).collect(),
        };
        let Some(bound) = self.lane.record(bind).await? else { return Ok(has_refused) };
        let call = self.execute_call(token, valid_until_seconds, &bound.instructions)?;
        self.sign_store_send(&bound.ledger_transaction, call).await?;
        Ok(true)
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
            quarantine_until_seconds: None,
        };
        Ok(spoken(instruction.id, judge(&evidence), &self.meters))
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
