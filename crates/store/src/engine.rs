//! Either engine, behind one name.

use std::path::PathBuf;

use domain::ids::BatchId;

use crate::book::{Book, Wanted};
use crate::error::StoreError;
use crate::reader::Reader;
use crate::record::Record;
use crate::schema::{SchemaVersion, Upkeep};
use crate::{Writer, postgres, sqlite};

/// Where a database is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a data folder: the embedded engine.
    Folder(PathBuf),
    /// On a `PostgreSQL` server, by its URL (`postgres://…`).
    Server(String),
}

/// A database of either engine that exists, is safe to use, and has the schema of this program.
#[derive(Clone, Debug)]
pub enum Database {
    /// Embedded.
    Sqlite(sqlite::Database),
    /// On a server.
    Postgres(postgres::Database),
}

impl Place {
    /// The settings of the engine there by which an acknowledged commit may be lost; empty where there are none. The
    /// embedded engine has none: it is opened with what it needs.
    ///
    /// # Errors
    /// The engine cannot be reached.
    pub fn unsynced_settings(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Folder(_) => Ok(Vec::new()),
            Self::Server(url) => postgres::Database::unsynced_settings(url),
        }
    }
}

impl Database {
    /// Opens a database; an embedded one is made where it is new. Brings its schema up to date.
    ///
    /// # Errors
    /// As [`sqlite::Database::open`] and [`postgres::Database::open`].
    pub fn open(place: &Place) -> Result<Self, StoreError> {
        Self::open_with(place, Upkeep::Migrate)
    }

    /// The same, with a schema that is brought up to date, refused or left.
    ///
    /// # Errors
    /// As [`sqlite::Database::open_with`] and [`postgres::Database::open_with`].
    pub fn open_with(place: &Place, upkeep: Upkeep) -> Result<Self, StoreError> {
        match place {
            Place::Folder(path) => sqlite::Database::open_with(path, upkeep).map(Self::Sqlite),
            Place::Server(url) => postgres::Database::open_with(url, upkeep).map(Self::Postgres),
        }
    }

    /// The version of its schema.
    ///
    /// # Errors
    /// The engine cannot be reached.
    pub fn schema_version(&self) -> Result<SchemaVersion, StoreError> {
        match self {
            Self::Sqlite(database) => database.schema_version(),
            Self::Postgres(database) => database.schema_version(),
        }
    }

    /// A writer with a connection of its own.
    ///
    /// # Errors
    /// The engine cannot be reached.
    pub fn writer(&self) -> Result<AnyWriter, StoreError> {
        match self {
            Self::Sqlite(database) => database.writer().map(AnyWriter::Sqlite),
            Self::Postgres(database) => database.writer().map(|writer| AnyWriter::Postgres(Box::new(writer))),
        }
    }

    /// A reader with so many connections, at least one.
    ///
    /// # Errors
    /// The engine cannot be reached.
    pub fn reader(&self, connections: usize) -> Result<Reader, StoreError> {
        match self {
            Self::Sqlite(database) => database.reader(connections),
            Self::Postgres(database) => database.reader(connections),
        }
    }
}

/// A writer of either engine.
#[derive(Debug)]
pub enum AnyWriter {
    /// Embedded.
    Sqlite(sqlite::SqliteWriter),
    /// On a server.
    Postgres(Box<postgres::PostgresWriter>),
}

impl Writer for AnyWriter {
    async fn load(&mut self, wanted: &Wanted) -> Result<Book, StoreError> {
        match self {
            Self::Sqlite(writer) => writer.load(wanted).await,
            Self::Postgres(writer) => writer.load(wanted).await,
        }
    }

    async fn commit(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(writer) => writer.commit(book, record).await,
            Self::Postgres(writer) => writer.commit(book, record).await,
        }
    }

    fn loads_ahead(&self) -> bool {
        match self {
            Self::Sqlite(writer) => writer.loads_ahead(),
            Self::Postgres(writer) => writer.loads_ahead(),
        }
    }

    fn announce(&mut self, next: Wanted) {
        match self {
            Self::Sqlite(writer) => writer.announce(next),
            Self::Postgres(writer) => writer.announce(next),
        }
    }

    async fn rollback(&mut self) {
        match self {
            Self::Sqlite(writer) => writer.rollback().await,
            Self::Postgres(writer) => writer.rollback().await,
        }
    }

    async fn has_committed(&mut self, batch_id: BatchId) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(writer) => writer.has_committed(batch_id).await,
            Self::Postgres(writer) => writer.has_committed(batch_id).await,
        }
    }
}
