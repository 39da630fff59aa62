//! The archive: everything that is stored, and the only crate that speaks SQL.
//!
//! Two interfaces serve every engine. The desk uses a [`Writer`]: it loads a [`Book`] of rows under lock, decides in
//! memory, and commits everything at once. Everybody else reads committed state through a [`Reader`] on connections of
//! their own. [`Database`] opens either engine: the embedded one, or a `PostgreSQL` server.

pub mod book;
mod changes;
mod counts;
mod day;
pub mod dump;
pub mod engine;
pub mod error;
pub mod postgres;
pub mod queries;
pub mod reader;
pub mod record;
mod rows;
mod schema;
pub mod sqlite;
#[cfg(test)]
mod tests;

pub use book::{Book, Table, Versioned, Wanted};
pub use counts::StoreState;
pub use engine::{AnyWriter, Database, Place};
pub use error::StoreError;
pub use reader::Reader;
pub use record::{Answer, AnswerKey, Record, RevokedToken, Setting};
pub use schema::{SchemaVersion, Upkeep};

use domain::ids::BatchId;

/// What the desk needs of any engine. One `load` opens a database transaction; `commit` or `rollback` ends it.
pub trait Writer {
    /// Opens a database transaction, resolves what the wanted rows refer to, locks and loads everything in the fixed
    /// order product, campaign, investor, wallet, investment, credit, signer, lease, journal head, ids ascending.
    ///
    /// # Errors
    /// The engine is unreachable, busy, or failed.
    fn load(&mut self, wanted: &Wanted) -> impl Future<Output = Result<Book, StoreError>>;

    /// Writes every changed row of the book (guarded by the version it was loaded with) and the record, and commits.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a row changed meanwhile; anything the engine says. Nothing is written then, but
    /// for [`StoreError::CommitUnknown`], which [`Writer::has_committed`] settles.
    fn commit(&mut self, book: &Book, record: &Record) -> impl Future<Output = Result<(), StoreError>>;

    /// Whether the load of the next batch can travel with the commit of this one. An engine that is asked without a round
    /// trip gains nothing by it.
    fn loads_ahead(&self) -> bool {
        false
    }

    /// Says what the load after the next commit will want, for an engine that loads ahead. That load may want something
    /// else all the same, or never come.
    fn announce(&mut self, next: Wanted) {
        drop(next);
    }

    /// Ends the open database transaction without effect. Does nothing where none is open.
    fn rollback(&mut self) -> impl Future<Output = ()>;

    /// Whether a batch whose commit was not answered did commit.
    ///
    /// # Errors
    /// The engine is unreachable or failed.
    fn has_committed(&mut self, batch_id: BatchId) -> impl Future<Output = Result<bool, StoreError>>;
}
