//! The tables of a day, in the embedded engine.

use rusqlite::{Connection, Statement};

use super::failure::of_table;
use super::statements::{execute, insert_into, rows_of_one_column, value};
use crate::day::Kind;
use crate::error::StoreError;
use crate::record::{Answer, AnswerKey};
use crate::rows::{Decode, Table};

/// WITHOUT ROWID for batches: the id is the whole row. Answers are appended, so that their random keys move only an
/// index about.
pub(super) fn definition(kind: Kind, day: i64) -> String {
    let table = kind.table(day);
    match kind {
        Kind::Answer => format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                organisation_id BLOB NOT NULL CHECK (length(organisation_id) = 16),
                client_id BLOB NOT NULL CHECK (length(client_id) = 16),
                key TEXT NOT NULL,
                fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
                status INTEGER NOT NULL CHECK (status BETWEEN 100 AND 599),
                is_problem INTEGER NOT NULL CHECK (is_problem IN (0, 1)),
                body BLOB NOT NULL,
                subject BLOB CHECK (length(subject) = 16),
                PRIMARY KEY (organisation_id, client_id, key)
            ) STRICT"
        ),
        Kind::Batch => format!(
            "CREATE TABLE IF NOT EXISTS {table} (id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16))
             STRICT, WITHOUT ROWID"
        ),
    }
}

/// Makes the tables of a day where they are missing, and then drops those of days before the previous one.
pub(super) fn begin_day(connection: &Connection, day: i64) -> Result<(), StoreError> {
    for kind in Kind::ALL {
        if exists(connection, &kind.table(day))? {
            continue;
        }
        run(connection, kind, &definition(kind, day))?;
        for old in days(connection, kind)?.into_iter().filter(|old| Kind::is_over(*old, day)) {
            run(connection, kind, &format!("DROP TABLE {}", kind.table(old)))?;
        }
    }
    Ok(())
}

/// The answer remembered under a key, looked up by one of the statements of [`answer_lookups`].
pub(super) fn answer(lookup: &mut Statement<'_>, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
    let parameters = (key.organisation_id.bytes(), key.client_id.bytes(), &key.key);
    let mut rows = lookup.query(parameters).map_err(|error| of_table("answer", &error))?;
    let found = rows.next().map_err(|error| of_table("answer", &error))?.map(<(AnswerKey, Answer)>::read).transpose()?;
    Ok(found.map(|(_, answer)| answer))
}

/// The statements that look an answer up on a day and the day before.
pub(super) fn answer_lookups(connection: &Connection, day: i64) -> Result<Vec<String>, StoreError> {
    let mut lookups = Vec::with_capacity(2);
    for day in [day, day.saturating_sub(1)] {
        let table = Kind::Answer.table(day);
        if exists(connection, &table)? {
            let columns = <(AnswerKey, Answer)>::COLUMNS.list();
            lookups.push(format!("SELECT {columns} FROM {table} WHERE organisation_id = ?1 AND client_id = ?2 AND key = ?3"));
        }
    }
    Ok(lookups)
}

/// An insert into a day's table of answers.
pub(super) fn insert_answer(day: i64) -> String {
    insert_into(&Kind::Answer.table(day), <(AnswerKey, Answer)>::COLUMNS)
}

/// Remembers a batch.
pub(super) fn insert_batch(connection: &Connection, day: i64, id: [u8; 16]) -> Result<(), StoreError> {
    let sql = format!("INSERT INTO {} (id) VALUES (?1)", Kind::Batch.table(day));
    execute(connection, "batch", &sql, [id]).map(drop)
}

/// Whether any day remembers a batch.
pub(super) fn has_batch(connection: &Connection, id: [u8; 16]) -> Result<bool, StoreError> {
    for day in days(connection, Kind::Batch)? {
        let sql = format!("SELECT 1 FROM {} WHERE id = ?1", Kind::Batch.table(day));
        if value::<i64>(connection, "batch", &sql, [id])?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The days that have a table of this kind.
pub(crate) fn days(connection: &Connection, kind: Kind) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?1";
    let names: Vec<String> = rows_of_one_column(connection, "sqlite_schema", sql, [format!("{}*", kind.prefix())])?;
    Ok(names.iter().filter_map(|name| kind.day_of(name)).collect())
}

fn exists(connection: &Connection, table: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(value::<i64>(connection, "sqlite_schema", sql, [table])?.is_some())
}

fn run(connection: &Connection, kind: Kind, sql: &str) -> Result<(), StoreError> {
    connection.execute_batch(sql).map_err(|error| of_table(kind.name(), &error))
}
