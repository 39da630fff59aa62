//! What the engines count of themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What an engine says of itself, for its operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreState {
    /// Readings since the start.
    pub readings: u64,
    /// Readings that had to wait for a connection.
    pub waits: u64,
    /// How long they waited, in sum.
    pub waited: Duration,
    /// Readings that were given up because every connection stayed in use.
    pub refusals: u64,
    /// Connections made to the engine, reconnects included.
    pub connections_opened: u64,
    /// Connections that were found broken.
    pub connections_lost: u64,
    /// Length of the write-ahead log, in bytes; 0 where the engine keeps that to itself.
    pub wal_bytes: u64,
    /// Of it, what a checkpoint has not copied into the database yet, in bytes.
    pub wal_pending_bytes: u64,
    /// How long more has been pending than a checkpoint should leave; zero while it is less.
    pub checkpoint_age: Duration,
}

/// Counters that a writer, the readers and whoever asks share.
#[derive(Debug, Default)]
pub(crate) struct StoreCounts {
    readings: AtomicU64,
    waits: AtomicU64,
    waited_us: AtomicU64,
    refusals: AtomicU64,
    connections_opened: AtomicU64,
    connections_lost: AtomicU64,
    overdue_since: Mutex<Option<Instant>>,
}

impl StoreCounts {
    /// A reading got its connection, at once or after a wait.
    pub(crate) fn reading_began(&self, waited: Option<Duration>) {
        self.readings.fetch_add(1, Ordering::Relaxed);
        if let Some(waited) = waited {
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.waited_us.fetch_add(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// A reading got no connection.
    pub(crate) fn reading_refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was made.
    pub(crate) fn connection_opened(&self) {
        self.connections_opened.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was found broken.
    pub(crate) fn connection_lost(&self) {
        self.connections_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// How long the write-ahead log has been overdue, where it is seen as such.
    pub(crate) fn checkpoint_age(&self, is_overdue: bool) -> Duration {
        let mut since = self.overdue_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if is_overdue { since.or_else(|| Some(Instant::now())) } else { None };
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// What was counted.
    pub(crate) fn state(&self) -> StoreState {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreState {
            readings: read(&self.readings),
            waits: read(&self.waits),
            waited: Duration::from_micros(read(&self.waited_us)),
            refusals: read(&self.refusals),
            connections_opened: read(&self.connections_opened),
            connections_lost: read(&self.connections_lost),
            ..StoreState::default()
        }
    }
}
