//! The embedded engine: one `SQLite` file, one writer at a time, readers beside it.

mod connection;
mod day_tables;
mod dump;
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

pub(crate) use dump::{Load, each_field, kind_of};
pub(crate) use migrations::version_of;
pub(crate) use pool::{Connections, each_row};

/// Finds damaged pages and rows that their indexes do not know.
pub(crate) const QUICK_CHECK: &str = "PRAGMA quick_check";
/// Finds rows that refer to nothing.
pub(crate) const BROKEN_REFERENCES: &str =
    "SELECT \"table\" || ' row ' || coalesce(rowid, '-') || ' refers to no ' || parent FROM pragma_foreign_key_check";

/// Every table, by name.
pub(crate) const TABLE_NAMES: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
/// The columns of a table by name: name, type, and place in the primary key, or -1.
pub(crate) const COLUMNS: &str = "SELECT name, type, pk - 1 FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY name";
