//! Bringing the schema up to date. Two programs that do it at once take turns: each step looks again under its lock.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::failure;
use crate::error::StoreError;
use crate::schema::{Migration, SchemaVersion, Upkeep};

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY, compatible_from INTEGER) STRICT";
const COLUMNS: &str = "SELECT count(*) FROM pragma_table_info('schema_version') WHERE name IN ('version', 'compatible_from')";
/// The first databases have no such column.
const ADD_COLUMN: &str = "ALTER TABLE schema_version ADD COLUMN compatible_from INTEGER";
const FOUND: &str = "SELECT coalesce(max(version), 0), coalesce(max(coalesce(compatible_from, version)), 0) FROM schema_version";
const FOUND_WITHOUT_COLUMN: &str = "SELECT coalesce(max(version), 0), coalesce(max(version), 0) FROM schema_version";
const RECORD: &str = "INSERT INTO schema_version (version, compatible_from) VALUES (?, ?)";

/// Does with the schema what `upkeep` says, by these migrations.
///
/// # Errors
/// The schema is too new, or older and to be refused; another process holds the database; the engine failed.
pub(super) fn keep_up(connection: &mut Connection, migrations: &[Migration], upkeep: Upkeep) -> Result<(), StoreError> {
    keep_up_by(connection, migrations, upkeep, Connection::execute_batch)
}

fn keep_up_by(
    connection: &mut Connection,
    migrations: &[Migration],
    upkeep: Upkeep,
    execute: impl Fn(&Connection, &str) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    loop {
        let found = version_of(connection)?;
        let Some(next) = found.next_step(migrations, upkeep)? else { return Ok(()) };
        let step = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(|e| failure(&e))?;
        if version_of(&step)? == found {
            record_step(&step, found.version, next, &execute)?;
        }
        step.commit().map_err(|e| failure(&e))?;
    }
}

/// Makes a migration and records it, in the database transaction that is open.
pub(super) fn record_step(
    step: &Connection,
    version: i64,
    next: Migration,
    execute: impl Fn(&Connection, &str) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    step.execute_batch(TABLE).map_err(|e| failure(&e))?;
    if columns(step)? == 1 {
        step.execute_batch(ADD_COLUMN).map_err(|e| failure(&e))?;
    }
    execute(step, next.sqlite).map_err(|e| failure(&e))?;
    step.execute(RECORD, [version + 1, next.compatible_from]).map_err(|e| failure(&e))?;
    Ok(())
}

/// The version of the schema.
///
/// # Errors
/// The engine failed.
pub(crate) fn version_of(connection: &Connection) -> Result<SchemaVersion, StoreError> {
    let sql = match columns(connection)? {
        0 => return Ok(SchemaVersion { version: 0, compatible_from: 0 }),
        1 => FOUND_WITHOUT_COLUMN,
        _ => FOUND,
    };
    let found = connection.query_row(sql, [], |row| Ok(SchemaVersion { version: row.get(0)?, compatible_from: row.get(1)? }));
    found.map_err(|e| failure(&e))
}

fn columns(connection: &Connection) -> Result<i64, StoreError> {
    connection.query_row(COLUMNS, [], |row| row.get(0)).map_err(|e| failure(&e))
}

#[cfg(test)]
mod tests;
