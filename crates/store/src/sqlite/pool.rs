//! A pool of connections that cannot write.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params_from_iter};

use super::connection::{WAL_CHECKPOINT_PAGES, wal_bytes};
use super::failure::{failure, of_table};
use crate::counts::{StoreCounts, StoreState};
use crate::error::StoreError;
use crate::reader::{TakeRow, Value};

/// How long a reader waits for a connection when all are in use.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long one reading of the API may last. A reader keeps the write-ahead log from being cut off, so one that hangs would
/// cost the disk; the engine for several servers has the same limit.
pub(super) const READING_MAX: Duration = Duration::from_secs(10);
/// Steps of the virtual machine between two looks at the time: some tenths of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;
/// More than this in the write-ahead log means that a checkpoint is overdue: twice what starts one.
const LOG_BYTES_OVERDUE: u64 = 2 * WAL_CHECKPOINT_PAGES * 4_096;

/// Read-only connections. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
    counts: Arc<StoreCounts>,
    /// How long a reading may last, where that is limited.
    reading_max: Option<Duration>,
}

/// A connection that goes back into the pool, whatever happens to its borrower.
struct Borrowed<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Connections {
    pub(super) fn new(connections: Vec<Connection>, counts: Arc<StoreCounts>, reading_max: Option<Duration>) -> Self {
        Self { pool: Arc::new(Pool { idle: Mutex::new(connections), returned: Condvar::new(), counts, reading_max }) }
    }

    /// What the engine says of itself.
    pub(crate) fn state(&self) -> Result<StoreState, StoreError> {
        let borrowed = self.pool.borrow()?;
        let log = borrowed.connection.as_ref().map(log_state).transpose()?.unwrap_or_default();
        let checkpoint_age = self.pool.counts.checkpoint_age(log.pending_bytes > LOG_BYTES_OVERDUE);
        let counted = self.pool.counts.state();
        Ok(StoreState { wal_bytes: log.bytes, wal_pending_bytes: log.pending_bytes, checkpoint_age, ..counted })
    }

    /// Reads on one connection, in one database transaction. A reading that takes too long is broken off as busy.
    pub(crate) fn run<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut borrowed = self.pool.borrow()?;
        let Some(connection) = borrowed.connection.as_mut() else {
            return Err(StoreError::Busy);
        };
        let reading = Reading::begin(connection, self.pool.reading_max)?;
        read(reading.0)
    }
}

/// A database transaction that reads, perhaps for so long at most. Its two statements are compiled once for each connection,
/// not for each read.
struct Reading<'c>(&'c mut Connection);

impl<'c> Reading<'c> {
    fn begin(connection: &'c mut Connection, reading_max: Option<Duration>) -> Result<Self, StoreError> {
        connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(|error| failure(&error))?;
        let reading = Self(connection);
        if let Some(reading_max) = reading_max {
            let began = Instant::now();
            let is_over = move || began.elapsed() >= reading_max;
            reading.0.progress_handler(STEPS_BETWEEN_LOOKS, Some(is_over)).map_err(|error| failure(&error))?;
        }
        Ok(reading)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // The limit is this reading's: neither its end nor what comes after it may be broken off.
        let unlimited = self.0.progress_handler(0, None::<fn() -> bool>);
        // There is nothing to commit.
        let ended = unlimited.and_then(|()| self.0.prepare_cached("ROLLBACK")?.execute([]));
        if let Err(error) = ended {
            tracing::error!(%error, "a reader's database transaction could not be ended");
        }
    }
}

/// The write-ahead log as a connection finds it.
#[derive(Clone, Copy, Default)]
struct LogState {
    bytes: u64,
    pending_bytes: u64,
}

/// Reads how long the write-ahead log is, and how much of it waits for a checkpoint. Changes nothing.
fn log_state(connection: &Connection) -> Result<LogState, StoreError> {
    let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(|error| failure(&error))?;
    let pages = log_pages(connection)?;
    let bytes = connection.path().map_or(0, |path| wal_bytes(Path::new(path)));
    Ok(LogState { bytes, pending_bytes: pages.written.saturating_sub(pages.copied).saturating_mul(page.into()) })
}

/// Pages of the write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LogPages {
    /// Since the log began anew.
    pub(super) written: u64,
    /// Those of them that were copied into the database.
    pub(super) copied: u64,
}

/// Counts the pages of the log. Changes nothing and reads no page.
pub(super) fn log_pages(connection: &Connection) -> Result<LogPages, StoreError> {
    let mut asked = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)").map_err(|error| failure(&error))?;
    let counted: Result<(i64, i64), _> = asked.query_row([], |row| Ok((row.get(1)?, row.get(2)?)));
    let (written, copied) = counted.map_err(|error| failure(&error))?;
    // Minus one where there is no log yet.
    let [written, copied] = [written, copied].map(|pages| u64::try_from(pages).unwrap_or(0));
    Ok(LogPages { written, copied })
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
        let mut idle = self.lock();
        let mut waited = None;
        if idle.is_empty() {
            let began = Instant::now();
            let returned = self.returned.wait_timeout_while(idle, WAIT_MAX, |idle| idle.is_empty());
            idle = returned.unwrap_or_else(PoisonError::into_inner).0;
            waited = Some(began.elapsed());
        }
        let Some(connection) = idle.pop() else {
            self.counts.reading_refused();
            return Err(StoreError::Busy);
        };
        self.counts.reading_began(waited);
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
