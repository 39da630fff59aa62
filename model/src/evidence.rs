//! What the real judge is asked, made from the model's state.

use ledger::contract::{Item, Kind, Outcome, Record, SkipReason, TrustedRecord};
use ledger::judge::{self, AppliedKey, Evidence, FailReason, Holder, NumberState, Reading, Verdict, judge};
use ledger::{Address, B256, BlockRef, TxHash};

use crate::chain::{self, Transaction, View};
use crate::machine::Machine;
use crate::mutant::Mutant;
use crate::state::{State, Word};

/// What the judge says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// The credit has ended.
    Ended(Word),
    /// Another order holds the number.
    Incident,
    /// Nothing yet.
    Nothing,
}

impl Machine {
    /// Asks the judge about an order of a credit. `is_refused` where a simulation refused it.
    pub(crate) fn ask_judge(&self, state: &State, investment: u8, credit: u8, is_refused: bool) -> Said {
        let Some(row) = state.database.investments[usize::from(investment)] else { return Said::Nothing };
        let slot = state.database.slot_of(credit);
        let seen = trusted_records(state, self.view(Mutant::JudgedAtInclusion));
        let is_applied =
            self.rules().knows_numbers && state.chain.is_number_applied(row.number, self.view(Mutant::JudgedAtInclusion));
        let number = if is_applied {
            NumberState::Applied(judge::applied_key(&seen, u64::from(row.number), key(investment)))
        } else {
            NumberState::NotApplied
        };
        let time = state.chain.time(self.view(Mutant::JudgedAtInclusion));
        let skips = trusted_records(state, self.view(Mutant::SkipBelievedEarly));
        let holder = slot.filter(|slot| slot.is_stored).map(|slot| Holder {
            valid_until_seconds: u64::from(slot.transaction.valid_until),
            finalized_skip: judge::finalized_skip(&skips, &[tx_hash(&slot.transaction)], u64::from(row.number), key(investment)),
        });
        let evidence = Evidence {
            reading: Reading::Finalized { block: block(time), number },
            holders: holder.into_iter().collect(),
            preflight_refusal: is_refused.then_some(SkipReason::BlockedAccount),
            quarantine_until_seconds: state.database.quarantine_until.map(u64::from),
        };
        match judge(&evidence) {
            Verdict::Succeeded(_) => Said::Ended(Word::Succeeded),
            Verdict::Failed(FailReason::Refused(_) | FailReason::Skipped(_) | FailReason::Expired) => Said::Ended(Word::Failed),
            Verdict::Incident { .. } => Said::Incident,
            Verdict::Processing(_) => Said::Nothing,
        }
    }

    /// Where a final block is wanted, and this mutant takes the newest.
    fn view(&self, mutant: Mutant) -> View {
        if self.mutant == Some(mutant) { View::Head } else { View::Finalized }
    }

    /// Whether the investment's own order took effect in a final block: what is adopted after a restore.
    pub(crate) fn is_own_applied(&self, state: &State, investment: u8) -> bool {
        let Some(row) = state.database.investments[usize::from(investment)] else { return false };
        let seen = trusted_records(state, View::Finalized);
        self.rules().knows_numbers
            && matches!(judge::applied_key(&seen, u64::from(row.number), key(investment)), AppliedKey::Own(_))
    }
}

fn trusted_records(state: &State, view: View) -> Vec<TrustedRecord> {
    let told = state.chain.records(view);
    told.map(|record| TrustedRecord {
        record: Record {
            item: Item {
                kind: Kind::Issue,
                number: u64::from(record.item.number),
                id: [record.item.investment; 16],
                account: Address::ZERO,
                units: 1,
                counterparty: Address::ZERO,
            },
            outcome: match record.outcome {
                chain::Outcome::Applied => Outcome::Applied,
                chain::Outcome::Skipped => Outcome::Skipped(SkipReason::BlockedAccount),
            },
        },
        key: key(record.item.investment),
        block: block(0),
        tx_hash: tx_hash(&record.transaction),
    })
    .collect()
}

fn block(time: u8) -> BlockRef {
    BlockRef { number: 0, hash: B256::ZERO, time_seconds: u64::from(time) }
}

const fn key(investment: u8) -> B256 {
    B256([investment; 32])
}

/// Distinct for transactions that say different things.
fn tx_hash(transaction: &Transaction) -> TxHash {
    let mut hash = [0xff; 32];
    hash[0] = transaction.nonce;
    hash[1] = transaction.valid_until;
    for (position, item) in transaction.items.iter().enumerate() {
        if let Some(item) = item {
            hash[2 + 3 * position..5 + 3 * position].copy_from_slice(&[item.investment, item.number, item.credit]);
        }
    }
    TxHash(hash)
}
