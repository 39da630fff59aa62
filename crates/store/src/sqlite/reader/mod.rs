//! Readers: committed state, on connections of their own that cannot write.

mod condition;
mod holders;
mod investments;
mod market;
mod page;
mod presence;
mod tenants;
mod verify;
mod work;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::failure::failure;
use crate::error::StoreError;

/// How long a reader waits for a connection when all are in use.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A pool of read-only connections. Every method blocks until it has its answer, and sees one consistent state.
#[derive(Clone, Debug)]
pub struct Reader {
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

impl Reader {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self { pool: Arc::new(Pool { idle: Mutex::new(connections), returned: Condvar::new() }) }
    }

    /// Reads on one connection, in one database transaction: all that is read belongs to the same commit.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where every connection stayed in use; what the reading says.
    pub(super) fn run<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut borrowed = self.pool.borrow()?;
        let Some(connection) = borrowed.connection.as_mut() else {
            return Err(StoreError::Busy);
        };
        // Ended by being dropped: there is nothing to commit.
        let snapshot = connection.transaction().map_err(|error| failure(&error))?;
        read(&snapshot)
    }
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
