//! The embedded engine: one `SQLite` file, one writer at a time, readers beside it.

mod connection;
mod day_tables;
mod failure;
mod lock;
mod migrations;
mod mount;
mod reader;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

pub use connection::{DATABASE_FILE_NAME, Database};
pub use lock::{LOCK_FILE_NAME, ProcessLock};
pub use reader::Reader;
pub use writer::SqliteWriter;

use writer::journal_head;
