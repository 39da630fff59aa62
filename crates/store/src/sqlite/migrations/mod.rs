//! Changes of the schema. Forwards only, each in one database transaction of its own, so that a killed migration has
//! not happened and the next start goes on where it stood.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::failure;
use crate::error::StoreError;

/// Every migration; the schema's version is its place, from 1.
const MIGRATIONS: [&str; 3] = [
    include_str!("0001_primary_market.sql"),
    include_str!("0002_faster_writes.sql"),
    include_str!("0003_leases.sql"),
];

const SCHEMA_VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY) STRICT";
const SCHEMA_VERSION: &str = "SELECT coalesce(max(version), 0) FROM schema_version";

/// Brings the schema up to date.
///
/// # Errors
/// The schema is newer than this program, another process holds the database, or the engine failed.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    for (version, migration) in (1..).zip(MIGRATIONS) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(|e| failure(&e))?;
        step.execute_batch(SCHEMA_VERSION_TABLE).map_err(|e| failure(&e))?;
        let stored: i64 = step.query_row(SCHEMA_VERSION, [], |row| row.get(0)).map_err(|e| failure(&e))?;
        if usize::try_from(stored).map_or(true, |stored| stored > MIGRATIONS.len()) {
            return Err(StoreError::Engine(format!("the database has schema {stored}, made by a newer program")));
        }
        if stored < version {
            step.execute_batch(migration).map_err(|e| failure(&e))?;
            step.execute("INSERT INTO schema_version (version) VALUES (?)", [version]).map_err(|e| failure(&e))?;
        }
        step.commit().map_err(|e| failure(&e))?;
    }
    Ok(())
}
