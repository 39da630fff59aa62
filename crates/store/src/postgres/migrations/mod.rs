//! Bringing the schema up to date. An advisory lock lets several programs start at once: each step looks again under it.

use std::time::Duration;

use super::connect::Connection;
use super::failure::of_table;
use crate::error::StoreError;
use crate::schema::{Migration, SchemaVersion, Upkeep};

/// Held while one migration is looked at and made, however long another program takes. The number is arbitrary and the
/// program's own.
pub(super) const LOCK: &str = "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7310579600412)";
/// A migration that waits for a table makes everybody else wait behind it, so it gives up soon and comes again.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
const LOCK_TRIES_MAX: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// The first databases have no column `compatible_from`. Asked for under the lock and only where a step is to be made.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL PRIMARY KEY, compatible_from bigint);
    ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS compatible_from bigint";
const HAS_TABLE: &str = "SELECT to_regclass('schema_version') IS NOT NULL";
/// The row as JSON, so that a column that is not there is absent instead of an error.
const FOUND: &str = "SELECT coalesce(max(version), 0),
        coalesce(max(coalesce((to_jsonb(schema_version) ->> 'compatible_from')::bigint, version)), 0)
    FROM schema_version";
const RECORD: &str = "INSERT INTO schema_version (version, compatible_from) VALUES ($1, $2)";

/// Does with the schema what `upkeep` says, by these migrations.
///
/// # Errors
/// The schema is too new, or older and to be refused; a table stayed locked; the server failed.
pub(super) async fn keep_up(mut connection: Connection, migrations: &[Migration], upkeep: Upkeep) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        let found = version_of(&connection).await?;
        let Some(next) = found.next_step(migrations, upkeep)? else { return Ok(()) };
        match make_step(&mut connection, found, next).await {
            Err(StoreError::Busy) if tries < LOCK_TRIES_MAX => {
                tries += 1;
                tracing::warn!(tries, "a migration waits for a table that is in use, and tries again");
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            made => made?,
        }
    }
}

async fn make_step(connection: &mut Connection, found: SchemaVersion, next: Migration) -> Result<(), StoreError> {
    let step = connection.transaction().await.map_err(|error| failed(&error))?;
    step.batch_execute(LOCK).await.map_err(|error| failed(&error))?;
    if version_of(step.client()).await? == found {
        step.batch_execute(LOCK_TIMEOUT).await.map_err(|error| failed(&error))?;
        record_step(step.client(), found.version, next).await?;
    }
    step.commit().await.map_err(|error| failed(&error))
}

/// Makes a migration and records it, in the database transaction that is open.
pub(super) async fn record_step(client: &tokio_postgres::Client, version: i64, next: Migration) -> Result<(), StoreError> {
    client.batch_execute(TABLE).await.map_err(|error| failed(&error))?;
    client.batch_execute(next.postgres).await.map_err(|error| failed(&error))?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&(version + 1), &next.compatible_from];
    client.execute(RECORD, &parameters).await.map_err(|error| failed(&error))?;
    Ok(())
}

/// The version of the schema.
///
/// # Errors
/// The server failed.
pub(super) async fn version_of(client: &tokio_postgres::Client) -> Result<SchemaVersion, StoreError> {
    let has_table: bool =
        client.query_one(HAS_TABLE, &[]).await.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))?;
    if !has_table {
        return Ok(SchemaVersion { version: 0, compatible_from: 0 });
    }
    let row = client.query_one(FOUND, &[]).await.map_err(|error| failed(&error))?;
    let (version, compatible_from) = (row.try_get(0), row.try_get(1));
    Ok(SchemaVersion {
        version: version.map_err(|error| failed(&error))?,
        compatible_from: compatible_from.map_err(|error| failed(&error))?,
    })
}

fn failed(error: &tokio_postgres::Error) -> StoreError {
    of_table("schema_version", error)
}

#[cfg(test)]
mod tests;
