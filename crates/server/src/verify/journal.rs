//! The journal's chain, its head, and every row against its newest entry.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use domain::ids::InvestorId;
use domain::investment::Investment;
use domain::investor::Investor;
use domain::journal::{Head, Object, SubjectKey, state_mac};
use domain::state::Journaled;
use store::{Reader, StoreError};
use uuid::Uuid;

use super::counters::Counted;
use super::newest::{Collector, Merged, Newest};
use super::payments::Payments;
use super::{CHUNK_ROWS, Difference, Report};
use crate::jobs::head::HeadFault;
use crate::keyring::{self, Keyring};

/// Walks the whole chain. What the newest entry of each object says is kept in `scratch` where memory has no room for it.
///
/// # Errors
/// The first entry that does not follow from the one before, or the folder cannot be written.
pub fn walk(archive: &Reader, scratch: &Path, report: &mut Report) -> Result<Merged, Difference> {
    let at_scratch = |error| Difference::Io(scratch.display().to_string(), error);
    let mut newest = Collector::new(scratch);
    let (mut sequence, mut hash) = (0, [0; 32]);
    loop {
        let entries = archive.journal_after(sequence, CHUNK_ROWS)?;
        if entries.is_empty() {
            report.journal_entries = sequence;
            return newest.merged().map_err(at_scratch);
        }
        for stored in entries {
            let entry = &stored.entry;
            let fault = |what| Difference::Entry { sequence: entry.sequence, what };
            if entry.sequence != sequence + 1 {
                return Err(Difference::Entry { sequence: sequence + 1, what: "is missing" });
            }
            if entry.previous_hash != hash {
                return Err(fault("does not follow from the entry before"));
            }
            if entry.hash() != stored.hash {
                return Err(fault("was changed after it was written"));
            }
            (sequence, hash) = (entry.sequence, stored.hash);
            newest.add(entry).map_err(at_scratch)?;
        }
    }
}

/// Compares the kept head with the journal: a journal that is shorter than its head was cut.
///
/// # Errors
/// The head is missing or forged, or the journal is not the one it was taken of.
pub fn compare_head(archive: &Reader, kept: Result<Head, HeadFault>) -> Result<(), Difference> {
    let journal = archive.journal_head()?;
    let kept = match kept {
        Ok(kept) => kept,
        Err(HeadFault::Missing(_)) if journal.sequence == 0 => return Ok(()),
        Err(fault) => return Err(Difference::Head(fault.to_string())),
    };
    if kept.sequence > journal.sequence {
        let text = format!("it was at entry {}, the journal ends at entry {}", kept.sequence, journal.sequence);
        return Err(Difference::Head(text));
    }
    let at_head = archive.journal_after(kept.sequence.saturating_sub(1), 1)?;
    match at_head.first() {
        Some(stored) if stored.hash == kept.hash => Ok(()),
        Some(_) | None => Err(Difference::Head(format!("entry {} is another one", kept.sequence))),
    }
}

/// Compares every row with its newest entry, every payment with what follows from its terms, and every counter with what it
/// counts. Rows come in the order of `newest`: kind by kind, and by id.
///
/// # Errors
/// The first row that differs.
pub fn compare_rows(archive: &Reader, keyring: &Keyring, newest: Merged, report: &mut Report) -> Result<(), Difference> {
    let mut rows = Rows { archive, keyring, newest, next: None, compared: 0 };
    rows.advance()?;
    let mut counted = Counted::default();
    let mut payments = Payments::new(archive);
    rows.compare(|after, limit| archive.all_organisations(after, limit), |row| row.id, |_| Ok(()))?;
    rows.compare(|after, limit| archive.all_clients(after, limit), |row| row.id, |_| Ok(()))?;
    rows.compare(|after, limit| archive.all_issuers(after, limit), |row| row.id, |_| Ok(()))?;
    rows.compare(|after, limit| archive.all_products(after, limit), |row| row.id, |_| Ok(()))?;
    rows.compare(|after, limit| archive.all_listings(after, limit), |row| row.id, |_| Ok(()))?;
    rows.compare(|after, limit| archive.all_campaigns(after, limit), |row| row.id, |_| Ok(()))?;
    let count = |row: &Investor| {
        counted.investor(row);
        Ok(())
    };
    rows.compare(|after, limit| archive.all_investors(after, limit), |row| row.id, count)?;
    rows.compare_persons()?;
    rows.compare(|after, limit| archive.all_wallets(after, limit), |row| row.id, |_| Ok(()))?;
    rows.compare(|after, limit| archive.all_documents(after, limit), |row| row.id, |_| Ok(()))?;
    let count = |row: &Investment| {
        counted.investment(row);
        payments.compare(row)
    };
    rows.compare(|after, limit| archive.all_investments(after, limit), |row| row.id, count)?;
    rows.compare(|after, limit| archive.all_credits(after, limit), |row| row.id, |_| Ok(()))?;
    rows.compare(|after, limit| archive.all_webhooks(after, limit), |row| row.organisation_id, |_| Ok(()))?;
    report.rows = rows.compared;
    report.payments = payments.recomputed;
    if let Some((object, _)) = rows.next {
        return Err(difference(object, WITHOUT_ROW));
    }
    counted.compare(archive)
}

const WITHOUT_ROW: &str = "is in the journal, but has no row";

struct Rows<'a> {
    archive: &'a Reader,
    keyring: &'a Keyring,
    newest: Merged,
    /// The next object that the journal knows.
    next: Option<(Object, Newest)>,
    compared: u64,
}

/// The keys of some subjects; `None` where one was erased.
type Keys = BTreeMap<Uuid, Option<SubjectKey>>;

impl Rows<'_> {
    fn compare<K: Copy, V: Journaled>(
        &mut self,
        chunk: impl Fn(Option<K>, u32) -> Result<Vec<V>, StoreError>,
        id: impl Fn(&V) -> K,
        mut look: impl FnMut(&V) -> Result<(), Difference>,
    ) -> Result<(), Difference> {
        let mut after = None;
        loop {
            let rows = chunk(after, CHUNK_ROWS)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(id(last));
            let keys = self.keys(rows.iter().filter_map(Journaled::subject))?;
            for row in &rows {
                self.compare_row(row, &keys)?;
                look(row)?;
            }
        }
    }

    fn compare_row(&mut self, row: &impl Journaled, keys: &Keys) -> Result<(), Difference> {
        let object = row.object();
        let newest = match self.next {
            Some((known, newest)) if known == object => newest,
            Some((known, _)) if known < object => return Err(difference(known, WITHOUT_ROW)),
            Some(_) | None => return Err(difference(object, "is not in the journal")),
        };
        self.advance()?;
        if newest.subject != row.subject() {
            return Err(difference(object, "belongs to another person than the journal says"));
        }
        self.compared += 1;
        let key = match newest.subject {
            None => Some(self.keyring.journal_key()),
            Some(subject) => keys.get(&subject).copied().flatten(),
        };
        match key {
            // The subject was erased, and the values with it: the chain is all there is to check.
            None => Ok(()),
            Some(key) if state_mac(&key, object, &row.state()) == newest.state_mac => Ok(()),
            Some(_) => Err(difference(object, "is not as the journal says")),
        }
    }

    fn advance(&mut self) -> Result<(), Difference> {
        let unreadable = |error: io::Error| Difference::Io("the sorted journal".to_owned(), error);
        self.next = self.newest.next().map_err(unreadable)?;
        Ok(())
    }

    /// Personal data is in no entry, but nobody can change it without the subject's key.
    fn compare_persons(&self) -> Result<(), Difference> {
        let mut after = None;
        loop {
            let investors = self.archive.all_investors(after, CHUNK_ROWS)?;
            let Some(last) = investors.last() else { return Ok(()) };
            after = Some(last.id);
            let keys = self.keys(investors.iter().map(|investor| investor.id.uuid()))?;
            let ids: Vec<InvestorId> = investors.iter().map(|investor| investor.id).collect();
            let persons = self.archive.persons(&ids)?;
            for investor in &investors {
                let Some(key) = keys.get(&investor.id.uuid()).copied().flatten() else { continue };
                let opened = persons.get(&investor.id).map(|sealed| keyring::open(&key.0, &investor.id.bytes(), sealed));
                let what = match opened {
                    Some(Ok(_)) => continue,
                    Some(Err(_)) => "its personal data cannot be opened",
                    None => "its personal data is missing",
                };
                return Err(difference(investor.object(), what));
            }
        }
    }

    /// The keys of subjects, read together.
    fn keys(&self, subjects: impl Iterator<Item = Uuid>) -> Result<Keys, Difference> {
        let subjects: BTreeSet<InvestorId> = subjects.map(InvestorId::new).collect();
        let subjects: Vec<InvestorId> = subjects.into_iter().collect();
        let wrapped = self.archive.wrapped_keys(&subjects)?;
        let mut keys = Keys::new();
        for subject in subjects {
            let unwrapped = wrapped.get(&subject).map(|wrapped| self.keyring.unwrap_key(subject, wrapped)).transpose();
            let key = unwrapped.map_err(|_| Difference::Row {
                kind: "investor",
                id: subject.uuid(),
                what: "its key cannot be unwrapped".to_owned(),
            })?;
            keys.insert(subject.uuid(), key);
        }
        Ok(keys)
    }
}

fn difference(object: Object, what: &str) -> Difference {
    Difference::Row { kind: object.kind.code(), id: object.id, what: what.to_owned() }
}
