//! The writer: what the desk loads, decides on, and commits.

mod checkpoint;
mod commit;
mod load;
mod outbox;

use std::path::Path;

use domain::ids::BatchId;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use self::checkpoint::Checkpointer;
use super::connection::{WAL_CHECKPOINT_PAGES, wal_bytes};
use super::day_tables;
use super::failure::failure;
use super::pool::{LogPages, log_pages};
use crate::Writer;
use crate::book::{Book, Wanted};
use crate::error::StoreError;
use crate::record::Record;

/// Commits between two looks at what waits in the write-ahead log.
const COMMITS_BETWEEN_LOOKS: u32 = 8;
/// Commits between two looks at the length of its file.
const COMMITS_BETWEEN_MEASURES: u32 = 256;
/// Pages that wait in the log when they are copied into the database: some milliseconds of the other thread's work.
const PAGES_BETWEEN_CHECKPOINTS: u64 = 4_000;
/// Pages before the log is full at which what waits is copied once more, and how many must wait for it: the writer, which
/// copies a full log itself, shall find next to nothing left to copy and to sync.
const PAGES_BEFORE_FULL: u64 = 1_000;
const PAGES_WORTH_COPYING: u64 = 400;
/// A write-ahead log of this length is a reader's fault: while one stays at an old state, nothing can be cut off.
const WAL_BYTES_ALARMING: u64 = 256 * 1024 * 1024;
/// From this length on nothing is written until the log has been copied into the database: a reader that never finishes
/// costs writes and an alarm, not the whole disk.
const WAL_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Copies as much as readers allow, without waiting for them; says whether somebody else copies, how many pages there are, and how many are copied.
const COPY_LOG: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// One connection that writes. Its futures do their work on the spot and never wait for another task, so it belongs on
/// a thread of its own.
#[derive(Debug)]
pub struct SqliteWriter {
    connection: Connection,
    /// The day whose tables are known to exist.
    day_begun: Option<i64>,
    commits: u32,
    checkpointer: Checkpointer,
    /// How long the log may become, and whether it was longer when it was last looked at.
    log_bytes_max: u64,
    is_log_full: bool,
}

impl LogPages {
    const fn is_to_be_copied(self) -> bool {
        let waiting = self.written.saturating_sub(self.copied);
        let is_nearly_full = self.written + PAGES_BEFORE_FULL >= WAL_CHECKPOINT_PAGES;
        waiting >= PAGES_BETWEEN_CHECKPOINTS || (is_nearly_full && waiting >= PAGES_WORTH_COPYING)
    }
}

impl SqliteWriter {
    /// A writer on one connection; the other is for copying the write-ahead log back.
    pub(super) fn new(connection: Connection, beside: Connection) -> Result<Self, StoreError> {
        let checkpointer = Checkpointer::start(beside)?;
        Ok(Self { connection, day_begun: None, commits: 0, checkpointer, log_bytes_max: WAL_BYTES_MAX, is_log_full: false })
    }

    /// Another limit of the log's length, for tests; it is looked at with the next commit.
    #[cfg(test)]
    pub(crate) const fn limit_log(&mut self, bytes_max: u64) {
        self.log_bytes_max = bytes_max;
        self.commits = COMMITS_BETWEEN_MEASURES - 1;
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

    /// Looks whether the readers have let go of a log that had become too long.
    fn shorten_log(&mut self) -> Result<(), StoreError> {
        let copied = self.connection.query_row(COPY_LOG, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let (is_busy, pages, copied): (bool, i64, i64) = copied.map_err(|error| failure(&error))?;
        self.is_log_full = is_busy || copied < pages;
        if self.is_log_full { Err(StoreError::Full) } else { Ok(()) }
    }

    fn load_now(&mut self, wanted: &Wanted) -> Result<Book, StoreError> {
        if !self.connection.is_autocommit() {
            return Err(StoreError::Engine("the database transaction before was not ended".to_owned()));
        }
        if self.is_log_full {
            self.shorten_log()?;
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
        if self.commits.is_multiple_of(COMMITS_BETWEEN_LOOKS) {
            match log_pages(&self.connection) {
                Ok(log) if log.is_to_be_copied() => self.checkpointer.ring(),
                Ok(_) => {}
                // The writer itself copies a log that has grown long.
                Err(error) => tracing::warn!(%error, "how much waits in the write-ahead log cannot be read"),
            }
        }
        if !self.commits.is_multiple_of(COMMITS_BETWEEN_MEASURES) {
            return;
        }
        let bytes = self.connection.path().map_or(0, |path| wal_bytes(Path::new(path)));
        self.is_log_full = bytes >= self.log_bytes_max;
        if self.is_log_full {
            tracing::error!(bytes, "the write-ahead log is too long: nothing is written until a reader finishes");
        } else if bytes >= WAL_BYTES_ALARMING {
            tracing::warn!(bytes, "the write-ahead log grows: a reader does not finish");
        }
    }

    /// After a failed sync only the next opening, which reads the log from the disk, can say what was committed: closing
    /// must not copy the log into the database.
    fn leave_as_it_is(&self) {
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::error!(%error, "closing the database cannot be kept from writing");
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
        match &committed {
            Ok(()) => {}
            Err(StoreError::Disk(_)) => self.leave_as_it_is(),
            Err(_) => self.rollback_now(),
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
