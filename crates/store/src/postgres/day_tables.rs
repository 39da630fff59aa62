//! The tables of a day, on the server. They are made and dropped by whoever holds the journal's head, so that several
//! programs do not meet.

use super::connect::Connection;
use super::failure::of_table;
use crate::day::Kind;
use crate::error::StoreError;

const TABLES: &str = "SELECT relname::text FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND starts_with(relname::text, $1)";

/// Makes the tables of a day where they are missing, and then drops those of days before the previous one.
pub(super) async fn begin_day(connection: &Connection, day: i64) -> Result<(), StoreError> {
    for kind in Kind::ALL {
        let days = days(connection, kind).await?;
        if days.contains(&day) {
            continue;
        }
        let name = kind.name();
        run(connection, kind, &format!("CREATE TABLE {} (LIKE {name} INCLUDING ALL)", kind.table(day))).await?;
        for old in days.into_iter().filter(|old| Kind::is_over(*old, day)) {
            run(connection, kind, &format!("DROP TABLE IF EXISTS {}", kind.table(old))).await?;
        }
    }
    Ok(())
}

/// Whether any day remembers a batch.
pub(super) async fn has_batch(connection: &Connection, id: uuid::Uuid) -> Result<bool, StoreError> {
    for day in days(connection, Kind::Batch).await? {
        let sql = format!("SELECT 1 FROM {} WHERE id = $1", Kind::Batch.table(day));
        let found = connection.query_opt(&sql, &[&id]).await.map_err(|error| of_table("batch", &error))?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The days that have a table of this kind.
pub(super) async fn days(connection: &Connection, kind: Kind) -> Result<Vec<i64>, StoreError> {
    let failed = |error: tokio_postgres::Error| of_table("database", &error);
    let statement = connection.prepare_cached(TABLES).await.map_err(failed)?;
    let rows = connection.query(&statement, &[&kind.prefix()]).await.map_err(failed)?;
    let names = rows.iter().map(|row| row.try_get::<_, String>(0)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(names.iter().filter_map(|name| kind.day_of(name)).collect())
}

async fn run(connection: &Connection, kind: Kind, sql: &str) -> Result<(), StoreError> {
    connection.batch_execute(sql).await.map_err(|error| of_table(kind.name(), &error))
}
