//! Reading: sessions that cannot write, each in one database transaction.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use deadpool_postgres::{Object, Pool};
use tokio_postgres::Row;

use super::cells::Parameter;
use super::connect::connection_of;
use super::failure::of_table;
use super::migrations::version_of;
use super::pipeline::{BoxedParameter, Pipeline};
use super::runtime::EngineRuntime;
use crate::counts::{StoreCounts, StoreState};
use crate::error::StoreError;
use crate::reader::{TakeRow, Value};
use crate::schema::SchemaVersion;

/// Everything that is read after this belongs to the same commit.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// For a reader that stays at one state: it may take its time.
const UNHURRIED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Connections that cannot write. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    source: Source,
    runtime: Arc<EngineRuntime>,
    counts: Arc<StoreCounts>,
}

#[derive(Clone)]
enum Source {
    /// Each reading has a connection and a state of its own.
    Pool(Pool),
    /// Every reading sees the state of this one open database transaction.
    Frozen(Arc<Object>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pool(_) => "Pool",
            Self::Frozen(_) => "Frozen",
        })
    }
}

/// One connection in one database transaction.
pub(crate) struct Session {
    connection: Arc<Object>,
    runtime: Arc<EngineRuntime>,
    has_begun: Cell<bool>,
    is_frozen: bool,
}

impl Sessions {
    pub(super) const fn new(pool: Pool, runtime: Arc<EngineRuntime>, counts: Arc<StoreCounts>) -> Self {
        Self { source: Source::Pool(pool), runtime, counts }
    }

    /// A session whose state is that of now, for ever.
    pub(super) fn frozen(pool: &Pool, runtime: Arc<EngineRuntime>, counts: Arc<StoreCounts>) -> Result<Self, StoreError> {
        let pool = pool.clone();
        let connection = runtime.wait(async move {
            let connection = connection_of(&pool).await?;
            // The state is fixed by the first query, not by BEGIN.
            let begin = format!("{BEGIN}; {UNHURRIED}; SELECT 1");
            connection.batch_execute(&begin).await.map_err(|error| of_table("database", &error))?;
            Ok(connection)
        })?;
        Ok(Self { source: Source::Frozen(Arc::new(connection)), runtime, counts })
    }

    /// What the engine says of itself.
    pub(crate) fn state(&self) -> StoreState {
        self.counts.state()
    }

    /// Reads in one database transaction.
    pub(crate) fn run<T>(&self, read: impl FnOnce(&Session) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (connection, is_frozen) = match &self.source {
            Source::Pool(pool) => {
                let (has_idle, began) = (pool.status().available > 0, Instant::now());
                let pool = pool.clone();
                let found = self.runtime.wait(async move { connection_of(&pool).await });
                let connection = found.inspect_err(|_| self.counts.reading_refused())?;
                self.counts.reading_began((!has_idle).then(|| began.elapsed()));
                (Arc::new(connection), false)
            }
            Source::Frozen(connection) => (connection.clone(), true),
        };
        let session =
            Session { connection: connection.clone(), runtime: self.runtime.clone(), has_begun: Cell::new(is_frozen), is_frozen };
        let answer = read(&session);
        if answer.is_err() && connection.is_closed() {
            self.counts.connection_lost();
        }
        answer
    }
}

impl Session {
    /// Gives every row of a query to `take`.
    pub(crate) fn each_row(
        &self,
        table: &'static str,
        sql: &str,
        parameters: Vec<Value>,
        take: TakeRow<'_>,
    ) -> Result<(), StoreError> {
        let (sql, connection) = (numbered(sql), self.connection.clone());
        let begins = !self.has_begun.replace(true);
        let rows = self.runtime.wait(async move { query(&connection, table, sql, parameters, begins).await })?;
        rows.iter().try_for_each(|row| take(row))
    }

    /// Waits for something on the connection.
    pub(super) fn wait<T: Send + 'static, F: Future<Output = Result<T, StoreError>> + Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<Object>) -> F,
    ) -> Result<T, StoreError> {
        self.runtime.wait(ask(self.connection.clone()))
    }

    /// Executes a statement in the database transaction that is open.
    pub(super) fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.wait(|connection| async move { connection.batch_execute(sql).await.map_err(|error| of_table("database", &error)) })
    }

    /// The version of the schema.
    pub(crate) fn schema_version(&self) -> Result<SchemaVersion, StoreError> {
        self.wait(|connection| async move { version_of(&connection).await })
    }
}

impl Drop for Session {
    /// The connection goes back into its pool once the database transaction has ended.
    fn drop(&mut self) {
        if self.is_frozen || !self.has_begun.get() {
            return;
        }
        let connection = self.connection.clone();
        self.runtime.detach(async move {
            if connection.batch_execute("ROLLBACK").await.is_err() {
                tracing::debug!("a read transaction could not be ended: its connection is lost");
            }
        });
    }
}

async fn query(
    connection: &Object,
    table: &'static str,
    sql: String,
    parameters: Vec<Value>,
    begins: bool,
) -> Result<Vec<Row>, StoreError> {
    let mut pipeline = Pipeline::default();
    if begins {
        pipeline.ask("database", BEGIN, Vec::new());
    }
    let parameters = parameters.into_iter().map(|value| -> BoxedParameter { Box::new(Parameter(value)) });
    pipeline.ask(table, sql, parameters.collect());
    Ok(pipeline.query(connection).await?.into_last())
}

/// The same SQL with `$1`, `$2`, … in place of every `?`.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (place, part) in (1..).zip(parts) {
        numbered.push('$');
        numbered.push_str(&i32::to_string(&place));
        numbered.push_str(part);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn places_are_numbered() {
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
        assert_eq!(numbered("a = ? AND (b, c) > (?, ?) LIMIT ?"), "a = $1 AND (b, c) > ($2, $3) LIMIT $4");
    }
}
