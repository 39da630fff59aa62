//! The judge: the only place that says how an instruction ended.
//!
//! It is a pure function of what was read at one finalized block, and of what was signed. What is no input can prove
//! nothing: time outs, a transaction missing from a pool, "nonce too low", used nonces, receipts, heads that are not
//! final. The reasoning is that of the contract: a number is applied at most once, and after a ledger transaction's
//! `validUntil` no block can apply what it holds.

use crate::chain::BlockRef;
use crate::contract::{Outcome, SkipReason, TrustedRecord};
use crate::types::{B256, TxHash};

/// Everything the judge looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What the ledger says.
    pub reading: Reading,
    /// Every ledger transaction that was ever signed with the instruction in it.
    pub holders: Vec<Holder>,
    /// Why the simulation before signing refused the instruction, where it did.
    pub preflight_refusal: Option<SkipReason>,
    /// After a restore: until when ledger transactions may run that nobody remembers, in seconds since 1970, included.
    pub quarantine_until_seconds: Option<u64>,
}

/// What was read at a finalized block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// No node answered, or those that did disagree.
    Unreadable,
    /// The state at this block, which can no longer be replaced.
    Finalized {
        /// The block.
        block: BlockRef,
        /// What the contract says of the number at this block.
        number: NumberState,
    },
}

/// What the contract and the trusted records say of an instruction's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberState {
    /// Never applied.
    NotApplied,
    /// Applied, with the identity of the order in the record that says so.
    Applied(AppliedKey),
}

/// Whose order was applied under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliedKey {
    /// The instruction's own.
    Own(Place),
    /// Another one, which only a restored database can have given the same number.
    Other {
        /// Identity of the order that was applied.
        key: B256,
        /// Where the ledger holds it.
        place: Place,
    },
    /// No record that folds to the running hash was found.
    Unknown,
}

/// Where the ledger holds a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The block.
    pub block: BlockRef,
    /// The ledger transaction.
    pub tx_hash: TxHash,
}

/// A ledger transaction that holds the instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The last second in which a block can carry it out, in seconds since 1970.
    pub valid_until_seconds: u64,
    /// The skip of this instruction in the transaction's trusted records at the finalized block, where there is one.
    pub finalized_skip: Option<SkipReason>,
}

/// What is to be believed of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect and will stay so.
    Succeeded(Place),
    /// It did not take effect, and nothing that was signed for it can still run.
    Failed(FailReason),
    /// Its number was taken by another order: raise an incident and give the instruction a fresh number.
    Incident {
        /// Identity of the order that holds the number.
        key: B256,
        /// Where the ledger holds it.
        place: Place,
    },
    /// Not decided.
    Processing(Waiting),
}

/// Why an instruction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailReason {
    /// The simulation refused it, and nothing was signed.
    Refused(SkipReason),
    /// The contract skipped it.
    Skipped(SkipReason),
    /// The time passed in which it could run.
    Expired,
}

/// What a decision waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nodes that answer and agree.
    Nodes,
    /// Records that fold to the running hash.
    Records,
    /// A signature: nothing was signed yet.
    Signature,
    /// A finalized block that holds it, or one later than this, in seconds since 1970.
    Finality {
        /// The last second in which anything signed can run.
        until_seconds: u64,
    },
    /// The end of the quarantine after a restore, in seconds since 1970.
    Quarantine {
        /// The last second of the quarantine.
        until_seconds: u64,
    },
}

/// Says how an instruction ended, or what is waited for.
#[must_use]
pub fn judge(evidence: &Evidence) -> Verdict {
    let (now, number) = match evidence.reading {
        Reading::Unreadable => return Verdict::Processing(Waiting::Nodes),
        Reading::Finalized { block, number } => (block.time_seconds, number),
    };
    match number {
        NumberState::Applied(AppliedKey::Own(place)) => Verdict::Succeeded(place),
        NumberState::Applied(AppliedKey::Other { key, place }) => Verdict::Incident { key, place },
        NumberState::Applied(AppliedKey::Unknown) => Verdict::Processing(Waiting::Records),
        NumberState::NotApplied => not_applied(evidence, now),
    }
}

/// Finds an applied number's order among trusted records.
#[must_use]
pub fn applied_key(records: &[TrustedRecord], number: u64, own_key: B256) -> AppliedKey {
    let applied =
        records.iter().find(|trusted| trusted.record.item.number == number && trusted.record.outcome == Outcome::Applied);
    match applied {
        None => AppliedKey::Unknown,
        Some(trusted) => {
            let place = Place { block: trusted.block, tx_hash: trusted.tx_hash };
            if trusted.key == own_key { AppliedKey::Own(place) } else { AppliedKey::Other { key: trusted.key, place } }
        }
    }
}

/// Finds the skip of an instruction in one ledger transaction's trusted records. A transaction has several hashes
/// where its fees were raised: give the hash of each of its attempts.
#[must_use]
pub fn finalized_skip(records: &[TrustedRecord], attempts: &[TxHash], number: u64, own_key: B256) -> Option<SkipReason> {
    records
        .iter()
        .filter(|trusted| trusted.record.item.number == number && trusted.key == own_key)
        .filter(|trusted| attempts.contains(&trusted.tx_hash))
        .find_map(|trusted| match trusted.record.outcome {
            Outcome::Skipped(reason) => Some(reason),
            Outcome::Applied | Outcome::AlreadyApplied => None,
        })
}

fn not_applied(evidence: &Evidence, finalized_seconds: u64) -> Verdict {
    // A block at the very second may still run it, and its successor may carry the same second.
    let alive = |until_seconds: u64| finalized_seconds <= until_seconds;
    if let Some(until_seconds) = evidence.quarantine_until_seconds.filter(|until| alive(*until)) {
        return Verdict::Processing(Waiting::Quarantine { until_seconds });
    }
    let live_until = evidence
        .holders
        .iter()
        .filter(|holder| holder.finalized_skip.is_none())
        .map(|holder| holder.valid_until_seconds)
        .filter(|until| alive(*until))
        .max();
    if let Some(until_seconds) = live_until {
        return Verdict::Processing(Waiting::Finality { until_seconds });
    }
    if let Some(reason) = evidence.holders.iter().rev().find_map(|holder| holder.finalized_skip) {
        return Verdict::Failed(FailReason::Skipped(reason));
    }
    if !evidence.holders.is_empty() {
        return Verdict::Failed(FailReason::Expired);
    }
    evidence
        .preflight_refusal
        .map_or(Verdict::Processing(Waiting::Signature), |reason| Verdict::Failed(FailReason::Refused(reason)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Item, Kind, Record};
    use crate::types::Address;
    use rstest::rstest;

    const NOW: u64 = 1_000;
    const CAP: SkipReason = SkipReason::CapExceeded;
    const BLOCKED: SkipReason = SkipReason::BlockedAccount;

    fn place(byte: u8) -> Place {
        let hash = B256([byte; 32]);
        let block = BlockRef { number: 7, hash, time_seconds: NOW };
        Place { block, tx_hash: TxHash([byte; 32]) }
    }

    fn finalized(number: NumberState) -> Reading {
        Reading::Finalized { block: place(9).block, number }
    }

    fn own() -> Reading {
        finalized(NumberState::Applied(AppliedKey::Own(place(1))))
    }

    fn other() -> Reading {
        let key = B256([5; 32]);
        finalized(NumberState::Applied(AppliedKey::Other { key, place: place(2) }))
    }

    fn unknown() -> Reading {
        finalized(NumberState::Applied(AppliedKey::Unknown))
    }

    fn none() -> Reading {
        finalized(NumberState::NotApplied)
    }

    fn open(valid_until_seconds: u64) -> Holder {
        Holder { valid_until_seconds, finalized_skip: None }
    }

    fn skipped(valid_until_seconds: u64, reason: SkipReason) -> Holder {
        Holder { valid_until_seconds, finalized_skip: Some(reason) }
    }

    fn waits_until(until_seconds: u64) -> Verdict {
        Verdict::Processing(Waiting::Finality { until_seconds })
    }

    fn in_quarantine(until_seconds: u64) -> Verdict {
        Verdict::Processing(Waiting::Quarantine { until_seconds })
    }

    #[rstest]
    // Applied with the own key: nothing else matters.
    #[case(own(), vec![open(NOW + 1)], None, None, Verdict::Succeeded(place(1)))]
    #[case(own(), vec![open(NOW - 1)], None, Some(NOW + 9), Verdict::Succeeded(place(1)))]
    #[case(own(), vec![], Some(CAP), None, Verdict::Succeeded(place(1)))]
    #[case(own(), vec![skipped(NOW - 1, CAP), open(NOW + 1)], None, None, Verdict::Succeeded(place(1)))]
    // Applied with another key.
    #[case(other(), vec![open(NOW - 1)], None, None, Verdict::Incident { key: B256([5; 32]), place: place(2) })]
    #[case(other(), vec![], None, Some(NOW + 9), Verdict::Incident { key: B256([5; 32]), place: place(2) })]
    // Applied, but the logs do not fold.
    #[case(unknown(), vec![open(NOW - 1)], None, None, Verdict::Processing(Waiting::Records))]
    // A finalized skip in the only live ledger transaction.
    #[case(none(), vec![skipped(NOW + 9, CAP)], None, None, Verdict::Failed(FailReason::Skipped(CAP)))]
    #[case(none(), vec![open(NOW - 1), skipped(NOW + 9, CAP)], None, None, Verdict::Failed(FailReason::Skipped(CAP)))]
    #[case(none(), vec![skipped(NOW + 9, CAP), open(NOW - 1)], None, None, Verdict::Failed(FailReason::Skipped(CAP)))]
    #[case(none(), vec![skipped(NOW, CAP), skipped(NOW, BLOCKED)], None, None, Verdict::Failed(FailReason::Skipped(BLOCKED)))]
    // A skip while another one lives, or in quarantine, ends nothing.
    #[case(none(), vec![skipped(NOW + 9, CAP), open(NOW + 2)], None, None, waits_until(NOW + 2))]
    #[case(none(), vec![skipped(NOW + 9, CAP)], None, Some(NOW + 3), in_quarantine(NOW + 3))]
    // Past every deadline, the last second excluded.
    #[case(none(), vec![open(NOW - 1)], None, None, Verdict::Failed(FailReason::Expired))]
    #[case(none(), vec![open(NOW)], None, None, waits_until(NOW))]
    #[case(none(), vec![open(NOW + 1)], None, None, waits_until(NOW + 1))]
    #[case(none(), vec![open(NOW - 5), open(NOW + 5)], None, None, waits_until(NOW + 5))]
    #[case(none(), vec![open(NOW + 5), open(NOW - 5)], None, None, waits_until(NOW + 5))]
    #[case(none(), vec![open(NOW - 5), open(NOW - 1)], None, None, Verdict::Failed(FailReason::Expired))]
    // Quarantine.
    #[case(none(), vec![open(NOW - 1)], None, Some(NOW), in_quarantine(NOW))]
    #[case(none(), vec![open(NOW - 1)], None, Some(NOW - 1), Verdict::Failed(FailReason::Expired))]
    #[case(none(), vec![], Some(CAP), Some(NOW), in_quarantine(NOW))]
    // Nothing signed.
    #[case(none(), vec![], Some(CAP), None, Verdict::Failed(FailReason::Refused(CAP)))]
    #[case(none(), vec![], None, None, Verdict::Processing(Waiting::Signature))]
    // A refusal of the simulation proves nothing once something was signed.
    #[case(none(), vec![open(NOW + 1)], Some(CAP), None, waits_until(NOW + 1))]
    #[case(none(), vec![open(NOW - 1)], Some(CAP), None, Verdict::Failed(FailReason::Expired))]
    // Unreadable.
    #[case(Reading::Unreadable, vec![open(NOW - 1)], None, None, Verdict::Processing(Waiting::Nodes))]
    #[case(Reading::Unreadable, vec![skipped(0, CAP)], Some(CAP), None, Verdict::Processing(Waiting::Nodes))]
    #[case(Reading::Unreadable, vec![], Some(CAP), None, Verdict::Processing(Waiting::Nodes))]
    fn l07_l10_l12_l24_every_row_of_the_judges_table(
        #[case] reading: Reading,
        #[case] holders: Vec<Holder>,
        #[case] preflight_refusal: Option<SkipReason>,
        #[case] quarantine_until_seconds: Option<u64>,
        #[case] expected: Verdict,
    ) {
        // The evidence is spelled out: time outs, receipts, nonces and heads have no place in it.
        let evidence = Evidence { reading, holders, preflight_refusal, quarantine_until_seconds };
        assert_eq!(judge(&evidence), expected);
    }

    fn trusted(number: u64, key: u8, tx: u8, outcome: Outcome) -> TrustedRecord {
        let item =
            Item { kind: Kind::Issue, number, id: [key; 16], account: Address([1; 20]), units: 1, counterparty: Address::ZERO };
        TrustedRecord {
            record: Record { item, outcome },
            key: B256([key; 32]),
            block: place(tx).block,
            tx_hash: TxHash([tx; 32]),
        }
    }

    #[test]
    fn l19_the_key_of_an_applied_number_is_found_in_its_applied_record() {
        let records = [
            trusted(4, 1, 1, Outcome::Skipped(CAP)),
            trusted(4, 2, 2, Outcome::Applied),
            trusted(4, 1, 3, Outcome::AlreadyApplied),
        ];
        assert_eq!(applied_key(&records, 4, B256([2; 32])), AppliedKey::Own(place(2)));
        let other = AppliedKey::Other { key: B256([2; 32]), place: place(2) };
        assert_eq!(applied_key(&records, 4, B256([1; 32])), other);
        assert_eq!(applied_key(&records, 5, B256([1; 32])), AppliedKey::Unknown);
    }

    #[test]
    fn a_skip_counts_only_in_the_own_ledger_transaction_and_for_the_own_key() {
        let records = [trusted(4, 1, 1, Outcome::Skipped(CAP)), trusted(4, 1, 2, Outcome::AlreadyApplied)];
        let skip = |tx: u8, key: u8| finalized_skip(&records, &[TxHash([tx; 32])], 4, B256([key; 32]));
        assert_eq!(skip(1, 1), Some(CAP));
        assert_eq!(skip(1, 2), None);
        assert_eq!(skip(2, 1), None);
        assert_eq!(finalized_skip(&records, &[], 4, B256([1; 32])), None);
    }
}
