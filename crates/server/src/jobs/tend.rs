//! Getting a signed ledger transaction into a block: the same bytes again, more for its gas at the same nonce, and at the
//! end something harmless at a nonce that nothing else will use.

use std::time::Duration;

use domain::instant::Instant;
use ledger::chain::FeeMarket;
use ledger::contract::Revert;
use ledger::fees::{FeePolicy, Fees, bump};
use ledger::transaction::{Unsigned, decode};
use ledger::{At, BlockRef, CallOutcome, CallRequest, SendOutcome, TxHash};
use store::queries::LiveLedgerTransaction;

use super::{Call, LedgerFault, LedgerWork};
use crate::crash::CrashPoint;
use crate::meters::Wait;
use crate::planted::Bug;

/// What is known of the network in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// The newest finalized block.
    pub finalized: BlockRef,
    /// The registrar's nonces that are used in it.
    pub used: u64,
    /// The first nonce that no block has used.
    pub next_nonce: u64,
}

/// What becomes of an attempt that no block holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NextAttempt {
    /// Its bytes were sent again; that is all.
    Same,
    /// Another attempt at the same nonce offers these fees.
    Raised(Fees),
    /// It should offer more, and may not.
    AtCeiling,
}

/// Decides what follows when the newest attempt was sent again. A transaction is raised for its age only where it is the
/// next to run: those behind it wait for it, not for fees.
fn next_attempt(
    (offered, age): (Fees, Duration),
    answer: SendOutcome,
    is_next: bool,
    bump_after: Option<Duration>,
    (policy, market): (&FeePolicy, FeeMarket),
) -> NextAttempt {
    let is_late = is_next && bump_after.is_some_and(|limit| age >= limit);
    let is_due = match answer {
        SendOutcome::RaiseFees => true,
        SendOutcome::Held | SendOutcome::Unanswered | SendOutcome::Later => is_late,
        // A used nonce, perhaps by these very bytes, can be used no more; and more for gas would not help the others.
        SendOutcome::NonceUsed | SendOutcome::TopUp | SendOutcome::Inspect => false,
    };
    if !is_due {
        return NextAttempt::Same;
    }
    bump(offered, policy, market).map_or(NextAttempt::AtCeiling, NextAttempt::Raised)
}

impl LedgerWork {
    /// Looks at the network.
    pub(super) async fn sight(&self) -> Result<Sight, LedgerFault> {
        let is_early = Bug::JudgedAtInclusion.is_planted();
        let finalized = if is_early { self.chain.head().await? } else { self.chain.finalized().await? };
        let own = self.signer.address();
        let used = self.chain.nonce(own, At::Block(finalized.hash)).await?;
        Ok(Sight { finalized, used, next_nonce: self.chain.nonce(own, At::Head).await?.max(used) })
    }

    /// Goes on with a slot: signs it where a crash came before the bytes were stored; else, where no block holds any of its
    /// attempts, sends the newest again or puts a dearer one in its place. `call` is what the slot says to the chain.
    pub(super) async fn tend(
        &mut self,
        open: &LiveLedgerTransaction,
        sight: &Sight,
        call: impl FnOnce(&Self) -> Result<Call, LedgerFault>,
    ) -> Result<(), LedgerFault> {
        let Some(newest) = open.attempts.last() else {
            let call = call(self)?;
            return self.sign_store_send(&open.ledger_transaction, call).await;
        };
        if Bug::NothingSentAgain.is_planted() || self.is_in_a_block(open).await? {
            return Ok(());
        }
        let answer = self.send(&newest.raw).await;
        let offered = decode(&newest.raw).map_err(|_| LedgerFault::UnreadableAttempt)?.transaction;
        let is_next = open.ledger_transaction.nonce == sight.next_nonce;
        let age = elapsed(newest.created_at, self.clock.now());
        let policy = self.policy.fees;
        let market = self.chain.fee_market(policy.tip_percentile).await?;
        match next_attempt((offered.fees, age), answer, is_next, self.policy.bump_after, (&policy, market)) {
            NextAttempt::Same => Ok(()),
            NextAttempt::AtCeiling => {
                self.meters.waits(Wait::FeeCeiling).increment(1);
                tracing::warn!(network = %self.network, nonce = offered.nonce, "a ledger transaction waits: no more may be paid for its gas");
                Ok(())
            }
            NextAttempt::Raised(fees) => {
                self.meters.bumps.increment(1);
                // The same call, the last second of its validity included.
                self.attempt(open.ledger_transaction.id, Unsigned { fees, ..offered }).await
            }
        }
    }

    /// Puts a transfer of nothing at the nonce of a slot in which nothing is left to do, so that later nonces do not wait for
    /// bytes that the contract would refuse, or that were never signed.
    pub(super) async fn fill(&mut self, open: &LiveLedgerTransaction, sight: &Sight) -> Result<(), LedgerFault> {
        let slot = open.ledger_transaction;
        let own = self.signer.address();
        if slot.nonce != sight.next_nonce {
            return Ok(());
        }
        let market_fees = self.fees().await?;
        let Some(newest) = open.attempts.last() else {
            return self.attempt(slot.id, Unsigned::gap_filler(self.chain.chain_id(), slot.nonce, own, market_fees)).await;
        };
        let offered = decode(&newest.raw).map_err(|_| LedgerFault::UnreadableAttempt)?.transaction;
        if offered.to == Some(own) {
            let again = offered.clone();
            return self.tend(open, sight, |_| Ok(Call { to: again.to, data: again.data, gas_limit: again.gas_limit })).await;
        }
        let policy = self.policy.fees;
        let market = self.chain.fee_market(policy.tip_percentile).await?;
        if let Some(fees) = bump(offered.fees, &policy, market) {
            return self.attempt(slot.id, Unsigned::gap_filler(self.chain.chain_id(), slot.nonce, own, fees)).await;
        }
        // What is there fills the nonce as well, dearer.
        self.send(&newest.raw).await;
        Ok(())
    }

    /// Whether a block holds one of a slot's attempts. One that was reverted is explained: the judge waits for its end.
    pub(super) async fn is_in_a_block(&mut self, open: &LiveLedgerTransaction) -> Result<bool, LedgerFault> {
        for attempt in &open.attempts {
            let hash = TxHash(attempt.hash);
            let Some(receipt) = self.chain.receipt(hash).await? else { continue };
            if !receipt.succeeded && self.explained.insert(hash) {
                let reason = self.reason_of_revert(&attempt.raw).await?;
                tracing::warn!(network = %self.network, %hash, block = receipt.block.number, ?reason, "a ledger transaction was reverted");
            }
            CrashPoint::Included.reached();
            return Ok(true);
        }
        Ok(false)
    }

    /// Runs a reverted transaction's call again, to hear why; `None` where it would run now.
    async fn reason_of_revert(&self, raw: &[u8]) -> Result<Option<Revert>, LedgerFault> {
        let call = decode(raw).map_err(|_| LedgerFault::UnreadableAttempt)?.transaction;
        let request = CallRequest { from: self.signer.address(), to: call.to, data: call.data, gas: Some(call.gas_limit) };
        Ok(match self.chain.call(request, At::Head).await? {
            CallOutcome::Reverted(data) => Some(Revert::decode(&data)),
            CallOutcome::Returned(_) => None,
        })
    }
}

fn elapsed(since: Instant, now: Instant) -> Duration {
    Duration::from_micros(now.micros().saturating_sub(since.micros()).max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: FeePolicy = FeePolicy {
        max_fee_per_gas_wei_max: 1_000,
        max_priority_fee_per_gas_wei_max: 100,
        max_priority_fee_per_gas_wei_min: 0,
        tip_percentile: 50,
        base_fee_factor: 2,
    };
    const LATE: Duration = Duration::from_secs(90);

    fn decided(offered: u128, age: Duration, answer: SendOutcome, is_next: bool) -> NextAttempt {
        let fees = Fees { max_fee_per_gas_wei: offered, max_priority_fee_per_gas_wei: 8 };
        let market = FeeMarket { base_fee_per_gas_wei: 10, tip_per_gas_wei: 1 };
        next_attempt((fees, age), answer, is_next, Some(LATE), (&POLICY, market))
    }

    #[test]
    fn l03_more_is_offered_where_the_node_asks_for_it_or_the_next_to_run_waits_too_long() {
        let raised = NextAttempt::Raised(Fees { max_fee_per_gas_wei: 91, max_priority_fee_per_gas_wei: 10 });
        let young = LATE.checked_sub(Duration::from_millis(1)).unwrap();
        for (age, answer, is_next, expected) in [
            (Duration::ZERO, SendOutcome::RaiseFees, false, raised),
            (young, SendOutcome::Held, true, NextAttempt::Same),
            (LATE, SendOutcome::Held, true, raised),
            (LATE, SendOutcome::Held, false, NextAttempt::Same),
            (LATE, SendOutcome::Unanswered, true, raised),
            (LATE, SendOutcome::Later, true, raised),
            (LATE, SendOutcome::NonceUsed, true, NextAttempt::Same),
            (LATE, SendOutcome::TopUp, true, NextAttempt::Same),
            (LATE, SendOutcome::Inspect, true, NextAttempt::Same),
        ] {
            assert_eq!(decided(80, age, answer, is_next), expected, "{answer:?} after {age:?}");
        }
    }

    #[test]
    fn l03_l22_at_the_ceiling_nothing_more_is_offered() {
        assert_eq!(decided(1_000, LATE, SendOutcome::Held, true), NextAttempt::AtCeiling);
        assert_eq!(decided(1_000, Duration::ZERO, SendOutcome::RaiseFees, true), NextAttempt::AtCeiling);
        let fees = Fees { max_fee_per_gas_wei: 80, max_priority_fee_per_gas_wei: 8 };
        let market = FeeMarket { base_fee_per_gas_wei: 10, tip_per_gas_wei: 1 };
        let never = next_attempt((fees, LATE), SendOutcome::Held, true, None, (&POLICY, market));
        assert_eq!(never, NextAttempt::Same, "the embedded ledger makes its blocks itself");
    }
}
