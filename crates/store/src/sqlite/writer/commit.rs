//! Writing what a batch changed. Tables follow each other as they refer to each other, one pass a table.

use std::collections::BTreeMap;

use domain::ids::{CampaignId, InvestorId, OrganisationId, ProductId};
use domain::investment::{Investment, Status};
use domain::investor::Investor;
use rusqlite::{Connection, Statement};

use super::super::day_tables;
use super::super::failure::of_table;
use super::super::statements::{Binder, SqliteTable, execute};
use crate::book::{Book, Change, Table, Versioned};
use crate::error::StoreError;
use crate::record::Record;
use crate::rows::{Attached, Encode, FixedCells, NewEntry};

const SET_SETTING: &str =
    "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const REVOKE_TOKEN: &str = "INSERT INTO revoked_token (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
const INSERT_SUBJECT_KEY: &str = "INSERT INTO subject_key (investor_id, wrapped) VALUES (?1, ?2)";
const SET_PERSON: &str = "INSERT INTO investor_person (investor_id, sealed) VALUES (?1, ?2)
    ON CONFLICT (investor_id) DO UPDATE SET sealed = excluded.sealed";
const COUNT_INVESTORS: &str = "INSERT INTO investor_count (platform_id, rows) VALUES (?1, ?2)
    ON CONFLICT (platform_id) DO UPDATE SET rows = rows + ?2";
/// Two statements, because a CHECK looks at the row an upsert would insert before it finds the one to change.
const CHANGE_INVESTMENT_COUNT: &str = "UPDATE investment_count SET rows = rows + ?5
    WHERE platform_id = ?1 AND product_id = ?2 AND campaign_id = ?3 AND status = ?4";
const INSERT_INVESTMENT_COUNT: &str =
    "INSERT INTO investment_count (platform_id, product_id, campaign_id, status, rows) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Writes the changed rows and the record into the open database transaction.
pub(super) fn write(connection: &Connection, book: &Book, record: &Record) -> Result<(), StoreError> {
    insert_rows(connection, &book.organisations)?;
    upsert_rows(connection, &book.clients)?;
    insert_rows(connection, &book.issuers)?;
    write_rows(connection, &book.products)?;
    insert_rows(connection, &book.listings)?;
    write_rows(connection, &book.campaigns)?;
    write_rows(connection, &book.investors)?;
    count_investors(connection, &book.investors)?;
    write_sealed(connection, "subject_key", INSERT_SUBJECT_KEY, &record.wrapped_keys)?;
    write_sealed(connection, "investor_person", SET_PERSON, &record.persons)?;
    insert_rows(connection, &book.wallets)?;
    insert_rows(connection, &book.documents)?;
    write_rows(connection, &book.investments)?;
    attach_documents(connection, &book.investments)?;
    count_investments(connection, &book.investments)?;
    write_rows(connection, &book.credits)?;
    write_rows(connection, &book.signers)?;
    write_rows(connection, &book.ledger_transactions)?;
    write_rows(connection, &book.instructions)?;
    insert_all(connection, &record.attempts)?;
    append_journal(connection, book, record)?;
    insert_answers(connection, record)?;
    for setting in &record.settings {
        execute(connection, "setting", SET_SETTING, (setting.name, &setting.value))?;
    }
    for token in &record.revoked_tokens {
        execute(connection, "revoked_token", REVOKE_TOKEN, (token.id.into_bytes(), token.expires_at.micros()))?;
    }
    day_tables::insert_batch(connection, record.day, record.batch_id.bytes())
}

/// Rows that are guarded by a version: a new one is inserted, a loaded one is changed if it still has its version.
fn write_rows<K: Ord + Copy, V: Encode + SqliteTable + Versioned + Clone>(
    connection: &Connection,
    rows: &Table<K, V>,
) -> Result<(), StoreError> {
    for change in rows.changes() {
        match (change.before, change.row.version()) {
            (_, 0) => insert(connection, change.row)?,
            (before, version) => update(connection, before, change.row, version)?,
        }
    }
    Ok(())
}

/// Rows that are never changed.
fn insert_rows<K: Ord + Copy, V: Encode + SqliteTable + Clone>(
    connection: &Connection,
    rows: &Table<K, V>,
) -> Result<(), StoreError> {
    for change in rows.changes() {
        insert_only(connection, &change)?;
    }
    Ok(())
}

fn insert_only<V: Encode + SqliteTable>(connection: &Connection, change: &Change<'_, V>) -> Result<(), StoreError> {
    if change.before.is_some() {
        return Err(StoreError::Constraint(format!("a row of {} is never changed", V::COLUMNS.table)));
    }
    insert(connection, change.row)
}

/// Rows without a version that are changed: the last writer wins.
fn upsert_rows<K: Ord + Copy, V: Encode + SqliteTable + Clone>(
    connection: &Connection,
    rows: &Table<K, V>,
) -> Result<(), StoreError> {
    for change in rows.changes() {
        if let Some(before) = change.before {
            refuse_changed_identity(before, change.row)?;
        }
        write_row(connection, &V::statements().upsert, change.row)?;
    }
    Ok(())
}

fn insert_all<V: Encode + SqliteTable>(connection: &Connection, rows: &[V]) -> Result<(), StoreError> {
    rows.iter().try_for_each(|row| insert(connection, row))
}

fn insert<V: Encode + SqliteTable>(connection: &Connection, row: &V) -> Result<(), StoreError> {
    write_row(connection, &V::statements().insert, row)
}

fn write_row<V: Encode>(connection: &Connection, sql: &str, row: &V) -> Result<(), StoreError> {
    let table = V::COLUMNS.table;
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(table, &error))?;
    run(&mut statement, row).map(drop)
}

fn update<V: Encode + SqliteTable>(connection: &Connection, before: Option<&V>, row: &V, version: u64) -> Result<(), StoreError> {
    if let Some(before) = before {
        refuse_changed_identity(before, row)?;
    }
    let columns = V::COLUMNS;
    let mut statement = connection.prepare_cached(&V::statements().update).map_err(|error| of_table(columns.table, &error))?;
    // A version that does not fit has no row either.
    let version = i64::try_from(version).unwrap_or(-1);
    statement.raw_bind_parameter(columns.len() + 1, version).map_err(|error| of_table(columns.table, &error))?;
    match run(&mut statement, row)? {
        0 => Err(StoreError::Conflict(columns.table)),
        _ => Ok(()),
    }
}

/// An update writes the changing columns only; a change of another one would be lost in silence.
fn refuse_changed_identity<V: Encode>(before: &V, row: &V) -> Result<(), StoreError> {
    if FixedCells::of(before)? == FixedCells::of(row)? {
        Ok(())
    } else {
        Err(StoreError::Constraint(format!("a column of {} changed that never changes", V::COLUMNS.table)))
    }
}

fn run<V: Encode>(statement: &mut Statement<'_>, row: &V) -> Result<usize, StoreError> {
    let table = V::COLUMNS.table;
    row.write(&mut Binder::new(statement, table))?;
    statement.raw_execute().map_err(|error| of_table(table, &error))
}

fn write_sealed(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    rows: &[(InvestorId, Vec<u8>)],
) -> Result<(), StoreError> {
    for (investor, sealed) in rows {
        execute(connection, table, sql, (investor.bytes(), sealed))?;
    }
    Ok(())
}

fn count_investors<K: Ord + Copy>(connection: &Connection, investors: &Table<K, Investor>) -> Result<(), StoreError> {
    let mut created: BTreeMap<OrganisationId, i64> = BTreeMap::new();
    for change in investors.changes().filter(|change| change.row.version == 0) {
        *created.entry(change.row.platform_id).or_default() += 1;
    }
    for (platform, rows) in created {
        execute(connection, "investor_count", COUNT_INVESTORS, (platform.bytes(), rows))?;
    }
    Ok(())
}

/// Attaches the documents that the investment did not have before. They are never replaced or taken away.
fn attach_documents<K: Ord + Copy>(connection: &Connection, investments: &Table<K, Investment>) -> Result<(), StoreError> {
    for Change { row, before } in investments.changes() {
        let attached = before.map_or(&[][..], |before| &before.signed_documents);
        if !row.signed_documents.starts_with(attached) {
            return Err(StoreError::Constraint("a signed document is never replaced or taken away".to_owned()));
        }
        for (position, document) in (0..).zip(&row.signed_documents).skip(attached.len()) {
            insert(connection, &Attached { position, document })?;
        }
    }
    Ok(())
}

fn count_investments<K: Ord + Copy>(connection: &Connection, investments: &Table<K, Investment>) -> Result<(), StoreError> {
    let mut changed: BTreeMap<(OrganisationId, ProductId, CampaignId, Status), i64> = BTreeMap::new();
    for Change { row, before } in investments.changes() {
        let mut count = |of: &Investment, rows: i64| {
            *changed.entry((of.platform_id, of.product_id, of.campaign_id, of.status())).or_default() += rows;
        };
        if let Some(before) = before {
            count(before, -1);
        }
        count(row, 1);
    }
    for ((platform, product, campaign, status), rows) in changed.into_iter().filter(|(_, rows)| *rows != 0) {
        let parameters = (platform.bytes(), product.bytes(), campaign.bytes(), status.code(), rows);
        if execute(connection, "investment_count", CHANGE_INVESTMENT_COUNT, parameters)? == 0 {
            execute(connection, "investment_count", INSERT_INVESTMENT_COUNT, parameters)?;
        }
    }
    Ok(())
}

/// Appends entries that continue the journal from the head that was loaded.
fn append_journal(connection: &Connection, book: &Book, record: &Record) -> Result<(), StoreError> {
    let mut head = book.journal_head;
    for entry in &record.journal {
        if entry.sequence != head.sequence.saturating_add(1) || entry.previous_hash != head.hash {
            return Err(StoreError::Constraint(format!("journal entry {} does not continue the chain", entry.sequence)));
        }
        (head.sequence, head.hash) = (entry.sequence, entry.hash());
        insert(connection, &NewEntry { entry, hash: head.hash })?;
    }
    Ok(())
}

fn insert_answers(connection: &Connection, record: &Record) -> Result<(), StoreError> {
    if record.answers.is_empty() {
        return Ok(());
    }
    let sql = day_tables::insert_answer(record.day);
    // In the order of their key, which is random: neighbours share pages of the index.
    let mut answers: Vec<_> = record.answers.iter().collect();
    answers.sort_by(|left, right| left.0.cmp(&right.0));
    answers.into_iter().try_for_each(|answer| write_row(connection, &sql, answer))
}
