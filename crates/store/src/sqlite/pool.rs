//! A pool of connections that cannot write.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params_from_iter};

use super::failure::{failure, of_table};
use crate::error::StoreError;
use crate::reader::{TakeRow, Value};

/// How long a reader waits for a connection when all are in use.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Read-only connections. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// A connection that goes back into the pool, whatever happens to its borrower.
struct Borrowed<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Connections {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self { pool: Arc::new(Pool { idle: Mutex::new(connections), returned: Condvar::new() }) }
    }

    /// Reads on one connection, in one database transaction.
    pub(crate) fn run<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let borrowed = self.pool.borrow()?;
        let Some(connection) = borrowed.connection.as_ref() else {
            return Err(StoreError::Busy);
        };
        let _transaction = Transaction::begin(connection)?;
        read(connection)
    }
}

/// A database transaction that reads. Its two statements are compiled once for each connection, not for each read.
struct Transaction<'c>(&'c Connection);

impl<'c> Transaction<'c> {
    fn begin(connection: &'c Connection) -> Result<Self, StoreError> {
        connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(|error| failure(&error))?;
        Ok(Self(connection))
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // There is nothing to commit.
        let ended = self.0.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
        if let Err(error) = ended {
            tracing::error!(%error, "a reader's database transaction could not be ended");
        }
    }
}

/// Gives every row of a query to `take`.
pub(crate) fn each_row(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    parameters: &[Value],
    take: TakeRow<'_>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(table, &error))?;
    let mut rows = statement.query(params_from_iter(parameters)).map_err(|error| of_table(table, &error))?;
    while let Some(row) = rows.next().map_err(|error| of_table(table, &error))? {
        take(row)?;
    }
    Ok(())
}

impl Pool {
    fn borrow(&self) -> Result<Borrowed<'_>, StoreError> {
        let idle = self.lock();
        let waited = self.returned.wait_timeout_while(idle, WAIT_MAX, |idle| idle.is_empty());
        let (mut idle, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let connection = idle.pop().ok_or(StoreError::Busy)?;
        Ok(Borrowed { pool: self, connection: Some(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.pool.lock().extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}
