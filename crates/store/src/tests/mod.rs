//! Tests of the embedded engine, on a file of their own each.

mod days;
mod file;
mod guards;
mod market;
mod pages;
mod round_trips;
mod speed;
mod visibility;
mod work;

use domain::ids::BatchId;
use domain::instant::Instant;
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Database, Reader, SqliteWriter};
use crate::error::StoreError;
use crate::{Book, Record, Wanted, Writer};

/// The day on which tests commit unless they say otherwise.
const DAY: i64 = 20_159;

/// A database in a folder that is deleted at the end.
struct Store {
    folder: TempDir,
    database: Database,
    writer: SqliteWriter,
    reader: Reader,
    batches: u64,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let (writer, reader) = (database.writer().unwrap(), database.reader(2).unwrap());
        Self { folder, database, writer, reader, batches: 0 }
    }

    fn load(&mut self, wanted: &Wanted) -> Book {
        wait(self.writer.load(wanted)).unwrap()
    }

    /// Loads, and ends the database transaction.
    fn look(&mut self, wanted: &Wanted) -> Book {
        let book = self.load(wanted);
        wait(self.writer.rollback());
        book
    }

    /// A record of a new batch.
    fn record(&mut self) -> Record {
        self.batches += 1;
        Record::new(id::<BatchId>(1_000_000 + self.batches), DAY)
    }

    /// Loads what is wanted, changes it, and commits.
    fn change(&mut self, wanted: &Wanted, change: impl FnOnce(&mut Book, &mut Record)) -> Result<(), StoreError> {
        let mut book = self.load(wanted);
        let mut record = self.record();
        change(&mut book, &mut record);
        wait(self.writer.commit(&book, &record))
    }

    /// Commits what needs nothing that is there.
    fn put(&mut self, change: impl FnOnce(&mut Book, &mut Record)) -> Result<(), StoreError> {
        self.change(&Wanted::default(), change)
    }

    /// Somebody with the file and a SQL shell.
    fn sql(&self) -> Connection {
        let connection = Connection::open(self.database.file()).unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection
    }
}

/// Runs a future of the writer, which is ready at once.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn id<T: From<Uuid>>(number: u64) -> T {
    T::from(Uuid::from_u64_pair(0x0190_0000_0000_7000, 0x8000_0000_0000_0000 | number))
}

fn at(micros: i64) -> Instant {
    Instant::from_micros(1_741_763_653_000_000 + micros)
}
