//! The embedded engine: one `SQLite` file, one writer at a time, readers beside it.

mod connection;
mod day_tables;
mod failure;
mod lock;
mod migrations;
mod mount;
mod pool;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

pub use connection::{DATABASE_FILE_NAME, Database};
pub use lock::{LOCK_FILE_NAME, ProcessLock};
pub use writer::SqliteWriter;

pub(crate) use pool::{Connections, each_row};

/// Finds damaged pages and rows that their indexes do not know.
pub(crate) const QUICK_CHECK: &str = "PRAGMA quick_check";
/// Finds rows that refer to nothing.
pub(crate) const BROKEN_REFERENCES: &str =
    "SELECT \"table\" || ' row ' || coalesce(rowid, '-') || ' refers to no ' || parent FROM pragma_foreign_key_check";
