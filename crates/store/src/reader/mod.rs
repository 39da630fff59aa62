//! Readers: committed state, on connections of their own that cannot write. Every query is written once, for both
//! engines.

mod condition;
mod holders;
mod investments;
mod market;
mod merged;
mod page;
mod presence;
mod snapshot;
mod tenants;
mod verify;
mod webhooks;
mod work;

pub(crate) use snapshot::{Query, Scalar, Snapshot, TakeRow, Value, head_of, journal_head};

use crate::counts::StoreState;
use crate::error::StoreError;
use crate::{postgres, sqlite};

/// Read-only connections to one engine. Every method blocks until it has its answer, and sees one consistent state.
/// Clones share the connections.
#[derive(Clone, Debug)]
pub struct Reader {
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(sqlite::Connections),
    Postgres(postgres::Sessions),
}

impl Reader {
    pub(crate) const fn of_sqlite(connections: sqlite::Connections) -> Self {
        Self { engine: Engine::Sqlite(connections) }
    }

    pub(crate) const fn of_postgres(sessions: postgres::Sessions) -> Self {
        Self { engine: Engine::Postgres(sessions) }
    }

    /// What the engine says of itself.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where every connection stayed in use.
    pub fn state(&self) -> Result<StoreState, StoreError> {
        match &self.engine {
            Engine::Sqlite(connections) => connections.state(),
            Engine::Postgres(sessions) => Ok(sessions.state()),
        }
    }

    /// Reads on one connection, in one database transaction: all that is read belongs to the same commit.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where every connection stayed in use; what the reading says.
    pub(crate) fn run<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &self.engine {
            Engine::Sqlite(connections) => connections.run(|connection| read(&Snapshot::Sqlite(connection))),
            Engine::Postgres(sessions) => sessions.run(|session| read(&Snapshot::Postgres(session))),
        }
    }

    /// Reads what can be asked at once: one query, or several that do not depend on each other's answers. Whoever asks
    /// again is refused.
    ///
    /// # Errors
    /// As [`Reader::run`].
    pub(crate) fn run_at_once<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &self.engine {
            Engine::Sqlite(connections) => connections.run(|connection| read(&Snapshot::Sqlite(connection))),
            Engine::Postgres(sessions) => sessions.run_at_once(|session| read(&Snapshot::Postgres(session))),
        }
    }
}
