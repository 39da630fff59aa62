//! The journal's chain, its head, and every row against its newest entry.

use std::collections::BTreeMap;

use domain::ids::InvestorId;
use domain::journal::{Digest32, Entry, Head, Object, SubjectKey, state_mac};
use domain::product::Product;
use domain::state::Journaled;
use domain::units::Units;
use store::{Reader, StoreError};
use uuid::Uuid;

use super::{CHUNK_ROWS, Difference, Report};
use crate::jobs::head::HeadFault;
use crate::keyring::{self, Keyring};

/// What the newest entry of an object says.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    subject: Option<Uuid>,
    state_mac: Digest32,
}

/// Walks the whole chain.
///
/// # Errors
/// The first entry that does not follow from the one before.
pub fn walk(archive: &Reader, report: &mut Report) -> Result<BTreeMap<Object, Newest>, Difference> {
    let mut newest = BTreeMap::new();
    let (mut sequence, mut hash) = (0, [0; 32]);
    loop {
        let entries = archive.journal_after(sequence, CHUNK_ROWS)?;
        if entries.is_empty() {
            report.journal_entries = sequence;
            return Ok(newest);
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
            newest.insert(entry.object, newest_of(entry));
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

/// Compares every row with its newest entry, and every counter with what it counts.
///
/// # Errors
/// The first row that differs.
pub fn compare_rows(
    archive: &Reader,
    keyring: &Keyring,
    newest: BTreeMap<Object, Newest>,
    report: &mut Report,
) -> Result<(), Difference> {
    let mut rows = Rows { archive, keyring, newest, keys: BTreeMap::new(), compared: 0 };
    rows.compare(|after, limit| archive.all_organisations(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_clients(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_issuers(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_products(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_listings(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_campaigns(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_investors(after, limit), |row| row.id)?;
    rows.compare_persons()?;
    rows.compare(|after, limit| archive.all_wallets(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_documents(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_investments(after, limit), |row| row.id)?;
    rows.compare(|after, limit| archive.all_credits(after, limit), |row| row.id)?;
    report.rows = rows.compared;
    if let Some(object) = rows.newest.keys().next() {
        return Err(difference(*object, "is in the journal, but has no row"));
    }
    compare_counters(archive)
}

struct Rows<'a> {
    archive: &'a Reader,
    keyring: &'a Keyring,
    newest: BTreeMap<Object, Newest>,
    keys: BTreeMap<Uuid, Option<SubjectKey>>,
    compared: u64,
}

impl Rows<'_> {
    fn compare<K: Copy, V: Journaled>(
        &mut self,
        chunk: impl Fn(Option<K>, u32) -> Result<Vec<V>, StoreError>,
        id: impl Fn(&V) -> K,
    ) -> Result<(), Difference> {
        let mut after = None;
        loop {
            let rows = chunk(after, CHUNK_ROWS)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(id(last));
            for row in &rows {
                self.compare_row(row)?;
            }
        }
    }

    fn compare_row(&mut self, row: &impl Journaled) -> Result<(), Difference> {
        let object = row.object();
        let newest = self.newest.remove(&object).ok_or_else(|| difference(object, "is not in the journal"))?;
        if newest.subject != row.subject() {
            return Err(difference(object, "belongs to another person than the journal says"));
        }
        self.compared += 1;
        let key = match newest.subject {
            None => Some(self.keyring.journal_key()),
            Some(subject) => self.key_of(subject)?,
        };
        match key {
            // The subject was erased, and the values with it: the chain is all there is to check.
            None => Ok(()),
            Some(key) if state_mac(&key, object, &row.state()) == newest.state_mac => Ok(()),
            Some(_) => Err(difference(object, "is not as the journal says")),
        }
    }

    /// Personal data is in no entry, but nobody can change it without the subject's key.
    fn compare_persons(&mut self) -> Result<(), Difference> {
        let mut after = None;
        loop {
            let investors = self.archive.all_investors(after, CHUNK_ROWS)?;
            let Some(last) = investors.last() else { return Ok(()) };
            after = Some(last.id);
            for investor in &investors {
                let Some(key) = self.key_of(investor.id.uuid())? else { continue };
                let sealed = self.archive.person(investor.id)?;
                let opened = sealed.map(|sealed| keyring::open(&key.0, &investor.id.bytes(), &sealed));
                let what = match opened {
                    Some(Ok(_)) => continue,
                    Some(Err(_)) => "its personal data cannot be opened",
                    None => "its personal data is missing",
                };
                return Err(difference(investor.object(), what));
            }
        }
    }

    fn key_of(&mut self, subject: Uuid) -> Result<Option<SubjectKey>, Difference> {
        if let Some(key) = self.keys.get(&subject) {
            return Ok(*key);
        }
        let id = InvestorId::new(subject);
        let key = match self.archive.wrapped_key(id)? {
            None => None,
            Some(wrapped) => Some(self.keyring.unwrap_key(id, &wrapped).map_err(|_| Difference::Row {
                kind: "investor",
                id: subject,
                what: "its key cannot be unwrapped".to_owned(),
            })?),
        };
        self.keys.insert(subject, key);
        Ok(key)
    }
}

/// Every counter against what it counts.
fn compare_counters(archive: &Reader) -> Result<(), Difference> {
    if let Some(miscounted) = archive.miscounted()?.into_iter().next() {
        return Err(Difference::Counter(miscounted));
    }
    let mut held: BTreeMap<domain::ids::ProductId, u64> = BTreeMap::new();
    let mut after = None;
    loop {
        let campaigns = archive.all_campaigns(after, CHUNK_ROWS)?;
        let Some(last) = campaigns.last() else { break };
        after = Some(last.id);
        for campaign in &campaigns {
            let open = archive.campaign_units_open(campaign.id)?;
            if open != campaign.used {
                let what = format!("has {} units used, its open investments have {open}", campaign.used);
                return Err(Difference::Row { kind: "campaign", id: campaign.id.uuid(), what });
            }
            *held.entry(campaign.product_id).or_default() += campaign.held().get();
        }
    }
    let mut after = None;
    loop {
        let products: Vec<Product> = archive.all_products(after, CHUNK_ROWS)?;
        let Some(last) = products.last() else { return Ok(()) };
        after = Some(last.id);
        for product in &products {
            let sum = held.get(&product.id).copied().unwrap_or(0);
            if Units::new(sum) != Some(product.reserved) {
                let what = format!("has {} units reserved, its campaigns hold {sum}", product.reserved);
                return Err(Difference::Row { kind: "product", id: product.id.uuid(), what });
            }
        }
    }
}

fn newest_of(entry: &Entry) -> Newest {
    Newest { subject: entry.subject, state_mac: entry.state_mac }
}

fn difference(object: Object, what: &str) -> Difference {
    Difference::Row { kind: object.kind.code(), id: object.id, what: what.to_owned() }
}
