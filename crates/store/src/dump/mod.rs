//! Dumps: every row of one state of a database, in a form that knows no engine, and back into an empty database of either.
//!
//! What there is to dump is asked of the engine's own catalogue, so that no table or column can be forgotten. A cell is
//! nothing, an integer, text or bytes: instants are microseconds, flags 0 and 1, ids their 16 bytes, as the embedded engine
//! stores them; a server's columns say themselves what to make of them. Tables come by name and rows by primary key, so
//! that the same state gives the same bytes on either engine.

mod engine;
mod load;
mod row;
mod take;

use std::io;

use domain::journal::Head;

pub use engine::EmptyDatabase;
pub use load::DumpSource;
pub use row::{Field, Row, RowReader};
pub use take::DumpTarget;

pub(crate) use engine::TakeFields;
pub(crate) use load::{LoadTarget, load};
pub(crate) use row::ColumnType;
pub(crate) use take::{DumpedTable, field_of, quoted, take};

use crate::error::StoreError;

/// Tables that no dump holds: what migrations make, and what is derived from the other rows.
pub(crate) const NOT_DUMPED: [&str; 4] = ["answer", "batch", "journal_head", "schema_version"];

/// What a dump is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dumped {
    /// The version of the schema.
    pub schema: i64,
    /// The journal's newest entry.
    pub head: Head,
    /// Every signer's address and next nonce.
    pub signers: Vec<([u8; 20], u64)>,
    /// Rows in all tables.
    pub rows: u64,
}

/// Why there is no dump, or why it was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum DumpFault {
    /// The engine.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// Where the dump goes, or comes from.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database holds tables already.
    #[error("the database is not empty: it has a table {0}")]
    NotEmpty(String),
    /// A column holds what dumps cannot carry.
    #[error("column {column} of table {table} is of a type that dumps do not carry: {kind}")]
    Type {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// A table or column is not known in the schema that the dump states.
    #[error("the dump has {0}, which its schema does not have")]
    Unknown(String),
    /// A row does not hold what its columns should.
    #[error("a row of table {0} does not hold what its columns should")]
    Row(String),
    /// The dump's schema is newer than the program.
    #[error("the dump has schema {dump}, made by a newer program; this one has schema {own}")]
    Newer {
        /// Of the dump.
        dump: i64,
        /// Of the program.
        own: i64,
    },
    /// Rows refer to others that the dump does not hold.
    #[error("the dump is not whole: {0}")]
    Reference(String),
}
