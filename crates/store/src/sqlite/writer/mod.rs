//! The writer: what the desk loads, decides on, and commits.

mod checkpoint;
mod commit;
mod load;

use std::path::Path;

use domain::ids::BatchId;
use rusqlite::Connection;

use self::checkpoint::Checkpointer;
use super::connection::wal_bytes;
use super::day_tables;
use super::failure::failure;
use crate::Writer;
use crate::book::{Book, Wanted};
use crate::error::StoreError;
use crate::record::Record;

/// Commits between two copies of the write-ahead log into the database: under load some two thousand pages.
const COMMITS_BETWEEN_CHECKPOINTS: u32 = 64;
/// Commits between two looks at the length of the write-ahead log.
const COMMITS_BETWEEN_LOOKS: u32 = 256;
/// A write-ahead log of this length is a reader's fault: while one stays at an old state, nothing can be cut off.
const WAL_BYTES_ALARMING: u64 = 256 * 1024 * 1024;

/// One connection that writes. Its futures do their work on the spot and never wait for another task, so it belongs on
/// a thread of its own.
#[derive(Debug)]
pub struct SqliteWriter {
    connection: Connection,
    /// The day whose tables are known to exist.
    day_begun: Option<i64>,
    commits: u32,
    checkpointer: Checkpointer,
}

impl SqliteWriter {
    /// A writer on one connection; the other is for copying the write-ahead log back.
    pub(super) fn new(connection: Connection, beside: Connection) -> Result<Self, StoreError> {
        Ok(Self { connection, day_begun: None, commits: 0, checkpointer: Checkpointer::start(beside)? })
    }

    /// The connection, for tests that look behind the writer.
    #[cfg(test)]
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| failure(&error))?;
        statement.execute([]).map(drop).map_err(|error| failure(&error))
    }

    fn load_now(&self, wanted: &Wanted) -> Result<Book, StoreError> {
        if !self.connection.is_autocommit() {
            return Err(StoreError::Engine("the database transaction before was not ended".to_owned()));
        }
        self.run("BEGIN IMMEDIATE")?;
        load::load(&self.connection, wanted)
    }

    fn commit_now(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        if self.connection.is_autocommit() {
            return Err(StoreError::Engine("no database transaction is open".to_owned()));
        }
        if self.day_begun != Some(record.day) {
            day_tables::begin_day(&self.connection, record.day)?;
        }
        commit::write(&self.connection, book, record)?;
        self.run("COMMIT")?;
        self.day_begun = Some(record.day);
        self.look_at_log();
        Ok(())
    }

    fn look_at_log(&mut self) {
        self.commits = self.commits.wrapping_add(1);
        if self.commits.is_multiple_of(COMMITS_BETWEEN_CHECKPOINTS) {
            self.checkpointer.ring();
        }
        if !self.commits.is_multiple_of(COMMITS_BETWEEN_LOOKS) {
            return;
        }
        let bytes = self.connection.path().map_or(0, |path| wal_bytes(Path::new(path)));
        if bytes >= WAL_BYTES_ALARMING {
            tracing::warn!(bytes, "the write-ahead log grows: a reader does not finish");
        }
    }

    fn rollback_now(&mut self) {
        // The tables of the day may have been made by what is undone, or dropped by another process.
        self.day_begun = None;
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.run("ROLLBACK") {
            // SQLite ends the transaction whatever it answers; a connection that cannot do so fails at the next load.
            tracing::error!(%error, "a database transaction could not be rolled back");
        }
    }
}

impl Writer for SqliteWriter {
    async fn load(&mut self, wanted: &Wanted) -> Result<Book, StoreError> {
        let loaded = self.load_now(wanted);
        if loaded.is_err() {
            self.rollback_now();
        }
        loaded
    }

    async fn commit(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        let committed = self.commit_now(book, record);
        if committed.is_err() {
            self.rollback_now();
        }
        committed
    }

    async fn rollback(&mut self) {
        self.rollback_now();
    }

    async fn has_committed(&mut self, batch_id: BatchId) -> Result<bool, StoreError> {
        day_tables::has_batch(&self.connection, batch_id.bytes())
    }
}
