//! Writing what a batch changed. Tables follow each other as they refer to each other, one pass a table.

use domain::ids::InvestorId;
use domain::investment::Investment;
use domain::investor::Investor;
use rusqlite::{Connection, Statement};

use super::super::day_tables;
use super::super::failure::of_table;
use super::super::statements::{Binder, SqliteTable, execute};
use super::outbox;
use crate::book::{Book, Change, Table, Versioned};
use crate::changes;
use crate::error::StoreError;
use crate::record::Record;
use crate::rows::Encode;

const SET_SETTING: &str =
    "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const REVOKE_TOKEN: &str = "INSERT INTO revoked_token (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
const INSERT_SUBJECT_KEY: &str = "INSERT INTO subject_key (investor_id, wrapped) VALUES (?1, ?2)";
const SET_PERSON: &str = "INSERT INTO investor_person (investor_id, sealed) VALUES (?1, ?2)
    ON CONFLICT (investor_id) DO UPDATE SET sealed = excluded.sealed";
const COUNT_INVESTORS: &str = "INSERT INTO investor_count (platform_id, rows) VALUES (?1, ?2)
    ON CONFLICT (platform_id) DO UPDATE SET rows = rows + ?2";
/// Two statements, because a CHECK looks at the row an upsert would insert before it finds the one to change.
const CHANGE_INVESTMENT_COUNT: &str = "UPDATE investment_count SET rows = rows + ?5, units_delivered = units_delivered + ?6
    WHERE platform_id = ?1 AND product_id = ?2 AND campaign_id = ?3 AND status = ?4";
const INSERT_INVESTMENT_COUNT: &str =
    "INSERT INTO investment_count (platform_id, product_id, campaign_id, status, rows, units_delivered)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

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
    insert_new(connection, &book.investments)?;
    insert_all(connection, changes::attached(&book.investments)?.iter())?;
    count_investments(connection, &book.investments)?;
    write_rows(connection, &book.credits)?;
    // An investment refers to its newest credit. Changed before it, every new credit would make SQLite look through all
    // investments for the one that waits for it.
    update_changed(connection, &book.investments)?;
    write_rows(connection, &book.signers)?;
    write_rows(connection, &book.leases)?;
    write_rows(connection, &book.ledger_transactions)?;
    write_rows(connection, &book.instructions)?;
    insert_all(connection, record.attempts.iter())?;
    insert_all(connection, changes::chained(book, record)?.iter())?;
    outbox::write(connection, record)?;
    insert_answers(connection, record)?;
    for setting in &record.settings {
        execute(connection, "setting", SET_SETTING, (setting.name.as_ref(), &setting.value))?;
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
    // Changes first: a credit that failed makes room for the one that is ordered anew in the same commit.
    update_changed(connection, rows)?;
    insert_new(connection, rows)
}

fn insert_new<K: Ord + Copy, V: Encode + SqliteTable + Versioned + Clone>(
    connection: &Connection,
    rows: &Table<K, V>,
) -> Result<(), StoreError> {
    insert_all(connection, rows.changes().map(|change| change.row).filter(|row| row.version() == 0))
}

fn update_changed<K: Ord + Copy, V: Encode + SqliteTable + Versioned + Clone>(
    connection: &Connection,
    rows: &Table<K, V>,
) -> Result<(), StoreError> {
    rows.changes().filter(|change| change.row.version() != 0).try_for_each(|change| update(connection, &change))
}

/// Rows that are never changed.
fn insert_rows<K: Ord + Copy, V: Encode + SqliteTable + Clone>(
    connection: &Connection,
    rows: &Table<K, V>,
) -> Result<(), StoreError> {
    changes::require_new(rows)?;
    insert_all(connection, rows.changes().map(|change| change.row))
}

/// Rows without a version that are changed: the last writer wins.
fn upsert_rows<K: Ord + Copy, V: Encode + SqliteTable + Clone>(
    connection: &Connection,
    rows: &Table<K, V>,
) -> Result<(), StoreError> {
    rows.changes().try_for_each(|change| changes::require_same_identity(&change))?;
    write_all(connection, &V::statements().upsert, rows.changes().map(|change| change.row))
}

fn insert_all<'v, V: Encode + SqliteTable + 'v>(
    connection: &Connection,
    rows: impl Iterator<Item = &'v V>,
) -> Result<(), StoreError> {
    write_all(connection, &V::statements().insert, rows)
}

/// Runs one statement for every row; without rows it is not even looked up.
pub(super) fn write_all<'v, V: Encode + 'v>(
    connection: &Connection,
    sql: &str,
    rows: impl Iterator<Item = &'v V>,
) -> Result<(), StoreError> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(V::COLUMNS.table, &error))?;
    rows.try_for_each(|row| run(&mut statement, row).map(drop))
}

fn update<V: Encode + SqliteTable + Versioned>(connection: &Connection, change: &Change<'_, V>) -> Result<(), StoreError> {
    changes::require_same_identity(change)?;
    let columns = V::COLUMNS;
    let mut statement = connection.prepare_cached(&V::statements().update).map_err(|error| of_table(columns.table, &error))?;
    // A version that does not fit has no row either.
    let version = i64::try_from(change.row.version()).unwrap_or(-1);
    statement.raw_bind_parameter(columns.len() + 1, version).map_err(|error| of_table(columns.table, &error))?;
    match run(&mut statement, change.row)? {
        0 => Err(StoreError::Conflict(columns.table)),
        _ => Ok(()),
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
    for (platform, rows) in changes::investors_created(investors) {
        execute(connection, "investor_count", COUNT_INVESTORS, (platform.bytes(), rows))?;
    }
    Ok(())
}

fn count_investments<K: Ord + Copy>(connection: &Connection, investments: &Table<K, Investment>) -> Result<(), StoreError> {
    for ((platform, product, campaign, status), change) in changes::investment_counts(investments) {
        let parameters =
            (platform.bytes(), product.bytes(), campaign.bytes(), status.code(), change.rows, change.units_delivered);
        if execute(connection, "investment_count", CHANGE_INVESTMENT_COUNT, parameters)? == 0 {
            execute(connection, "investment_count", INSERT_INVESTMENT_COUNT, parameters)?;
        }
    }
    Ok(())
}

fn insert_answers(connection: &Connection, record: &Record) -> Result<(), StoreError> {
    if record.answers.is_empty() {
        return Ok(());
    }
    // In the order of their key, which is random: neighbours share pages of the index.
    let mut answers: Vec<_> = record.answers.iter().collect();
    answers.sort_by(|left, right| left.0.cmp(&right.0));
    write_all(connection, &day_tables::insert_answer(record.day), answers.into_iter())
}
