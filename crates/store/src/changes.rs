//! What a batch changed, as every engine writes it.

use std::collections::BTreeMap;

use domain::ids::OrganisationId;
use domain::investment::{Investment, Status};
use domain::investor::Investor;

use crate::book::{Book, Change, Table};
use crate::error::StoreError;
use crate::queries::InvestmentGroup;
use crate::record::Record;
use crate::rows::{Attached, Encode, FixedCells, NewEntry};

/// Refuses changes of rows that are never changed.
pub(crate) fn require_new<K: Ord + Copy, V: Encode + Clone>(rows: &Table<K, V>) -> Result<(), StoreError> {
    if rows.changes().any(|change| change.before.is_some()) {
        return Err(StoreError::Constraint(format!("a row of {} is never changed", V::COLUMNS.table)));
    }
    Ok(())
}

/// An update writes the changing columns only; a change of another one would be lost in silence.
pub(crate) fn require_same_identity<V: Encode>(change: &Change<'_, V>) -> Result<(), StoreError> {
    match change.before {
        Some(before) if FixedCells::of(before)? != FixedCells::of(change.row)? => {
            Err(StoreError::Constraint(format!("a column of {} changed that never changes", V::COLUMNS.table)))
        }
        Some(_) | None => Ok(()),
    }
}

/// The documents that investments did not have before. They are never replaced or taken away.
pub(crate) fn attached<K: Ord + Copy>(investments: &Table<K, Investment>) -> Result<Vec<Attached<'_>>, StoreError> {
    let mut attached = Vec::new();
    for Change { row, before } in investments.changes() {
        let known = before.map_or(&[][..], |before| &before.signed_documents);
        if !row.signed_documents.starts_with(known) {
            return Err(StoreError::Constraint("a signed document is never replaced or taken away".to_owned()));
        }
        let documents = (0..).zip(&row.signed_documents).skip(known.len());
        attached.extend(documents.map(|(position, document)| Attached { position, document }));
    }
    Ok(attached)
}

/// How many investors each platform has more than before.
pub(crate) fn investors_created<K: Ord + Copy>(investors: &Table<K, Investor>) -> BTreeMap<OrganisationId, i64> {
    let mut created = BTreeMap::new();
    for change in investors.changes().filter(|change| change.row.version == 0) {
        *created.entry(change.row.platform_id).or_default() += 1;
    }
    created
}

/// A change of a number of investments, and of the units that they delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct CountChange {
    pub(crate) rows: i64,
    pub(crate) units_delivered: i64,
}

/// How many investments there are more (or fewer) than before of each platform, product, campaign and status, and how many
/// units of them are delivered.
pub(crate) fn investment_counts<K: Ord + Copy>(investments: &Table<K, Investment>) -> BTreeMap<InvestmentGroup, CountChange> {
    let nothing = CountChange::default();
    let mut changed: BTreeMap<InvestmentGroup, CountChange> = BTreeMap::new();
    for Change { row, before } in investments.changes() {
        let mut count = |of: &Investment, sign: i64| {
            let change = changed.entry((of.platform_id, of.product_id, of.campaign_id, of.status())).or_default();
            change.rows += sign;
            change.units_delivered += sign * units_delivered(of);
        };
        if let Some(before) = before {
            count(before, -1);
        }
        count(row, 1);
    }
    changed.retain(|_, change| *change != nothing);
    changed
}

/// Delivered units are no more than a product may ever have, so that their sum fits; those of ended investments are not.
fn units_delivered(investment: &Investment) -> i64 {
    if investment.status() != Status::Delivered {
        return 0;
    }
    // Units fit one signed word of both engines.
    i64::try_from(investment.units.get()).unwrap_or(i64::MAX)
}

/// The new journal entries with their hashes: each continues the journal from the head that was loaded.
pub(crate) fn chained<'r>(book: &Book, record: &'r Record) -> Result<Vec<NewEntry<'r>>, StoreError> {
    let mut head = book.journal_head;
    let mut entries = Vec::with_capacity(record.journal.len());
    for entry in &record.journal {
        if entry.sequence != head.sequence.saturating_add(1) || entry.previous_hash != head.hash {
            return Err(StoreError::Constraint(format!("journal entry {} does not continue the chain", entry.sequence)));
        }
        (head.sequence, head.hash) = (entry.sequence, entry.hash());
        entries.push(NewEntry { entry, hash: head.hash });
    }
    Ok(entries)
}
