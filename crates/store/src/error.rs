//! What can go wrong in an engine, sorted by what the caller should do about it.

use thiserror::Error;

/// An engine's failure.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another writer holds what is needed: try again.
    #[error("the database is busy")]
    Busy,
    /// The engine cannot be reached: try again later.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// There is no room to write: reads go on.
    #[error("the database has no room left")]
    Full,
    /// A write or a sync of the disk failed: what the file holds is not certain, and must not be built upon.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// A row is not as it was loaded, or a unique key is taken: this batch must be decided anew.
    #[error("a row changed meanwhile: {0}")]
    Conflict(&'static str),
    /// A CHECK or foreign key refused what the rules should have refused before.
    #[error("the database refused a row: {0}")]
    Constraint(String),
    /// The commit was sent and not answered.
    #[error("whether the batch was committed is not known")]
    CommitUnknown,
    /// A stored row cannot be read as what it should be.
    #[error("row {row} of {table} holds an impossible {column}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row.
        row: String,
    },
    /// Any other failure of the engine.
    #[error("the database failed: {0}")]
    Engine(String),
}
