//! Changes of the schema. Forwards only, each in one database transaction of its own, so that a killed migration has
//! not happened and the next start goes on where it stood. An advisory lock lets several programs start at once.

use super::connect::Connection;
use super::failure::of_table;
use crate::error::StoreError;

/// Every migration; the schema's version is its place, from 1.
const MIGRATIONS: [&str; 3] = [
    include_str!("0001_primary_market.sql"),
    include_str!("0002_faster_writes.sql"),
    include_str!("0003_leases.sql"),
];

/// Held while one migration is looked at and made. The number is arbitrary and the program's own.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7310579600412)";
const SCHEMA_VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL PRIMARY KEY)";
const SCHEMA_VERSION: &str = "SELECT coalesce(max(version), 0) FROM schema_version";

/// Brings the schema up to date.
///
/// # Errors
/// The schema is newer than this program, or the server failed.
pub(super) async fn migrate(mut connection: Connection) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| of_table("schema_version", &error);
    for (version, migration) in (1_i64..).zip(MIGRATIONS) {
        let step = connection.transaction().await.map_err(failed)?;
        step.batch_execute(LOCK).await.map_err(failed)?;
        step.batch_execute(SCHEMA_VERSION_TABLE).await.map_err(failed)?;
        let stored: i64 = step.query_one(SCHEMA_VERSION, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
        if usize::try_from(stored).map_or(true, |stored| stored > MIGRATIONS.len()) {
            return Err(StoreError::Engine(format!("the database has schema {stored}, made by a newer program")));
        }
        if stored < version {
            step.batch_execute(migration).await.map_err(failed)?;
            step.execute("INSERT INTO schema_version (version) VALUES ($1)", &[&version]).await.map_err(failed)?;
        }
        step.commit().await.map_err(failed)?;
    }
    Ok(())
}
