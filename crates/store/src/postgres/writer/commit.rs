//! Writing what a batch changed: one statement a table, tables in the order in which they refer to each other, all sent
//! at once, the COMMIT with them.

use std::collections::BTreeMap;

use domain::ids::InvestorId;
use domain::investment::Investment;
use domain::investor::Investor;

use super::super::cells::{ColumnCells, Parameter};
use super::super::pipeline::{BoxedParameter, Pipeline};
use super::outbox;
use super::sets::{RowSet, boxed};
use crate::book::{Book, Table, Versioned};
use crate::changes;
use crate::day::Kind;
use crate::error::StoreError;
use crate::reader::Value;
use crate::record::Record;
use crate::rows::{Cell, Encode, NewEntry};

const SET_SETTING: &str = "INSERT INTO setting (name, value) SELECT * FROM UNNEST($1::text[], $2::bytea[])
    ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value";
const REVOKE_TOKEN: &str = "INSERT INTO revoked_token (id, expires_at) SELECT * FROM UNNEST($1::uuid[], $2::timestamptz[])
    ON CONFLICT (id) DO NOTHING";
const INSERT_SUBJECT_KEY: &str = "INSERT INTO subject_key (investor_id, wrapped) SELECT * FROM UNNEST($1::uuid[], $2::bytea[])";
const SET_PERSON: &str = "INSERT INTO investor_person (investor_id, sealed) SELECT * FROM UNNEST($1::uuid[], $2::bytea[])
    ON CONFLICT (investor_id) DO UPDATE SET sealed = EXCLUDED.sealed";
const COUNT_INVESTORS: &str = "INSERT INTO investor_count (platform_id, rows) SELECT * FROM UNNEST($1::uuid[], $2::bigint[])
    ON CONFLICT (platform_id) DO UPDATE SET rows = investor_count.rows + EXCLUDED.rows";
/// Two statements, because a CHECK looks at the row an upsert would insert before it finds the one to change.
const CHANGE_INVESTMENT_COUNT: &str = "UPDATE investment_count AS stored
    SET rows = stored.rows + change.rows, units_delivered = stored.units_delivered + change.units_delivered
    FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[])
        AS change (platform_id, product_id, campaign_id, status, rows, units_delivered)
    WHERE stored.platform_id = change.platform_id AND stored.product_id = change.product_id
        AND stored.campaign_id = change.campaign_id AND stored.status = change.status";
const INSERT_INVESTMENT_COUNT: &str =
    "INSERT INTO investment_count (platform_id, product_id, campaign_id, status, rows, units_delivered)
    SELECT change.* FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[])
        AS change (platform_id, product_id, campaign_id, status, rows, units_delivered)
    WHERE NOT EXISTS (SELECT 1 FROM investment_count AS stored
        WHERE stored.platform_id = change.platform_id AND stored.product_id = change.product_id
            AND stored.campaign_id = change.campaign_id AND stored.status = change.status)";
const MOVE_HEAD: &str = "UPDATE journal_head SET sequence = new.sequence, hash = new.hash
    FROM UNNEST($1::bigint[], $2::bytea[], $3::bigint[]) AS new (sequence, hash, loaded)
    WHERE journal_head.sequence = new.loaded";
const COMMIT: &str = "COMMIT";

/// The statements of one batch.
#[derive(Default)]
struct Writing {
    pipeline: Pipeline,
}

/// What writes the changed rows and the record in the open database transaction, and commits it.
pub(super) fn statements(book: &Book, record: &Record) -> Result<Pipeline, StoreError> {
    let mut writing = Writing::default();
    writing.insert_rows(&book.organisations)?;
    writing.upsert_rows(&book.clients)?;
    writing.insert_rows(&book.issuers)?;
    writing.write_rows(&book.products)?;
    writing.insert_rows(&book.listings)?;
    writing.write_rows(&book.campaigns)?;
    writing.write_rows(&book.investors)?;
    writing.count_investors(&book.investors)?;
    writing.write_sealed("subject_key", INSERT_SUBJECT_KEY, record.wrapped_keys.iter().map(|(id, sealed)| (id, sealed)))?;
    // The last of several for one investor counts.
    let persons: BTreeMap<InvestorId, &Vec<u8>> = record.persons.iter().map(|(id, sealed)| (*id, sealed)).collect();
    writing.write_sealed("investor_person", SET_PERSON, persons.iter().map(|(id, sealed)| (id, *sealed)))?;
    writing.insert_rows(&book.wallets)?;
    writing.insert_rows(&book.documents)?;
    writing.write_rows(&book.investments)?;
    writing.insert("signed_document", changes::attached(&book.investments)?.iter())?;
    writing.count_investments(&book.investments)?;
    writing.write_rows(&book.credits)?;
    writing.write_rows(&book.signers)?;
    writing.write_rows(&book.leases)?;
    writing.write_rows(&book.ledger_transactions)?;
    writing.write_rows(&book.instructions)?;
    writing.insert("attempt", record.attempts.iter())?;
    writing.append_journal(book, record)?;
    outbox::write(&mut writing.pipeline, record)?;
    let mut answers: Vec<_> = record.answers.iter().collect();
    answers.sort_by(|left, right| left.0.cmp(&right.0));
    writing.insert(&Kind::Answer.table(record.day), answers.into_iter())?;
    writing.set_settings(record)?;
    writing.revoke_tokens(record)?;
    let batch = ColumnCells::of_ids([record.batch_id.uuid()])?;
    let sql = format!("INSERT INTO {} (id) SELECT * FROM UNNEST($1::uuid[])", Kind::Batch.table(record.day));
    writing.pipeline.ask("batch", sql, boxed([batch]));
    writing.pipeline.ask("database", COMMIT, Vec::new());
    Ok(writing.pipeline)
}

impl Writing {
    /// New rows, into their table or one made like it.
    fn insert<'r, V: Encode + 'r>(&mut self, into: &str, rows: impl Iterator<Item = &'r V>) -> Result<(), StoreError> {
        let mut set = RowSet::of::<V>();
        for row in rows {
            set.push(row)?;
        }
        if !set.is_empty() {
            let (sql, parameters) = set.insert(into);
            self.pipeline.ask(V::COLUMNS.table, sql, parameters);
        }
        Ok(())
    }

    /// Rows that are never changed.
    fn insert_rows<K: Ord + Copy, V: Encode + Clone>(&mut self, rows: &Table<K, V>) -> Result<(), StoreError> {
        changes::require_new(rows)?;
        self.insert(V::COLUMNS.table, rows.changes().map(|change| change.row))
    }

    /// Rows without a version that are changed: the last writer wins.
    fn upsert_rows<K: Ord + Copy, V: Encode + Clone>(&mut self, rows: &Table<K, V>) -> Result<(), StoreError> {
        let mut set = RowSet::of::<V>();
        for change in rows.changes() {
            changes::require_same_identity(&change)?;
            set.push(change.row)?;
        }
        if !set.is_empty() {
            let (sql, parameters) = set.upsert();
            self.pipeline.ask(V::COLUMNS.table, sql, parameters);
        }
        Ok(())
    }

    /// Rows that are guarded by a version: new ones are inserted, loaded ones are changed if they still have theirs.
    fn write_rows<K: Ord + Copy, V: Encode + Versioned + Clone>(&mut self, rows: &Table<K, V>) -> Result<(), StoreError> {
        let table = V::COLUMNS.table;
        let mut set = RowSet::of::<V>();
        for change in rows.changes().filter(|change| change.row.version() != 0) {
            changes::require_same_identity(&change)?;
            set.push(change.row)?;
        }
        let changed = set.len();
        if changed > 0 {
            let (sql, parameters) = set.update();
            self.change(table, &sql, parameters, changed);
        }
        // Changes first: a credit that failed makes room for the one that is ordered anew in the same commit.
        self.insert(table, rows.changes().map(|change| change.row).filter(|row| row.version() == 0))
    }

    /// A statement that must find so many rows.
    fn change(&mut self, table: &'static str, sql: &str, mut parameters: Vec<BoxedParameter>, rows: i64) {
        parameters.push(Box::new(Parameter(Value::from(rows))));
        let place = parameters.len();
        let sql = format!("WITH changed_rows AS ({sql} RETURNING 1) SELECT require_rows(count(*), ${place}) FROM changed_rows");
        self.pipeline.ask(table, sql, parameters);
    }

    fn write_sealed<'r>(
        &mut self,
        table: &'static str,
        sql: &str,
        rows: impl Iterator<Item = (&'r InvestorId, &'r Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let (mut ids, mut sealed, mut is_empty) = (ColumnCells::default(), ColumnCells::default(), true);
        for (id, bytes) in rows {
            ids.push(Cell::Id(id.uuid()))?;
            sealed.push(Cell::Bytes(bytes))?;
            is_empty = false;
        }
        if !is_empty {
            self.pipeline.ask(table, sql, boxed([ids, sealed]));
        }
        Ok(())
    }

    fn count_investors<K: Ord + Copy>(&mut self, investors: &Table<K, Investor>) -> Result<(), StoreError> {
        let (mut platforms, mut rows) = (ColumnCells::default(), ColumnCells::default());
        let created = changes::investors_created(investors);
        for (platform, created) in &created {
            platforms.push(Cell::Id(platform.uuid()))?;
            rows.push(Cell::Number(*created))?;
        }
        if !created.is_empty() {
            self.pipeline.ask("investor_count", COUNT_INVESTORS, boxed([platforms, rows]));
        }
        Ok(())
    }

    fn count_investments<K: Ord + Copy>(&mut self, investments: &Table<K, Investment>) -> Result<(), StoreError> {
        let counts = changes::investment_counts(investments);
        if counts.is_empty() {
            return Ok(());
        }
        for sql in [CHANGE_INVESTMENT_COUNT, INSERT_INVESTMENT_COUNT] {
            let mut columns: [ColumnCells; 6] = Default::default();
            for ((platform, product, campaign, status), change) in &counts {
                let [platforms, products, campaigns, statuses, rows, units] = &mut columns;
                platforms.push(Cell::Id(platform.uuid()))?;
                products.push(Cell::Id(product.uuid()))?;
                campaigns.push(Cell::Id(campaign.uuid()))?;
                statuses.push(Cell::Text(status.code()))?;
                rows.push(Cell::Number(change.rows))?;
                units.push(Cell::Number(change.units_delivered))?;
            }
            self.pipeline.ask("investment_count", sql, boxed(columns));
        }
        Ok(())
    }

    /// Appends entries that continue the journal from the head that was loaded, and moves the head.
    fn append_journal(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        let entries = changes::chained(book, record)?;
        let Some(NewEntry { entry, hash }) = entries.last() else { return Ok(()) };
        self.insert("journal", entries.iter())?;
        let number = |number: u64| i64::try_from(number).map_err(|error| StoreError::Constraint(error.to_string()));
        let mut columns: [ColumnCells; 3] = Default::default();
        let [sequence, hashes, loaded] = &mut columns;
        sequence.push(Cell::Number(number(entry.sequence)?))?;
        hashes.push(Cell::Bytes(hash))?;
        loaded.push(Cell::Number(number(book.journal_head.sequence)?))?;
        self.change("journal", MOVE_HEAD, boxed(columns), 1);
        Ok(())
    }

    fn set_settings(&mut self, record: &Record) -> Result<(), StoreError> {
        let settings: BTreeMap<&str, &[u8]> =
            record.settings.iter().map(|one| (one.name.as_ref(), one.value.as_slice())).collect();
        let (mut names, mut values) = (ColumnCells::default(), ColumnCells::default());
        for (name, value) in &settings {
            names.push(Cell::Text(name))?;
            values.push(Cell::Bytes(value))?;
        }
        if !settings.is_empty() {
            self.pipeline.ask("setting", SET_SETTING, boxed([names, values]));
        }
        Ok(())
    }

    fn revoke_tokens(&mut self, record: &Record) -> Result<(), StoreError> {
        let (mut ids, mut expiries) = (ColumnCells::default(), ColumnCells::default());
        for token in &record.revoked_tokens {
            ids.push(Cell::Id(token.id))?;
            expiries.push(Cell::Time(token.expires_at))?;
        }
        if !record.revoked_tokens.is_empty() {
            self.pipeline.ask("revoked_token", REVOKE_TOKEN, boxed([ids, expiries]));
        }
        Ok(())
    }
}
