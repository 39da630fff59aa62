//! Tests of both engines: the same tests run on either, each on a database of its own.

mod days;
mod dumps;
mod guards;
pub(crate) mod market;
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

use crate::day::Kind;
use crate::error::StoreError;
use crate::{AnyWriter, Book, Reader, Record, Wanted, Writer, postgres, sqlite};

/// The day on which tests commit unless they say otherwise.
pub(crate) const DAY: i64 = 20_159;

/// Chooses the engine: `postgres`, or `sqlite`, which is the default.
const ENGINE_VARIABLE: &str = "SCRIP_TEST_DATABASE";

fn is_postgres_wanted() -> bool {
    match std::env::var(ENGINE_VARIABLE).as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("{ENGINE_VARIABLE} is postgres or sqlite, not {other}"),
    }
}

#[test]
fn the_environment_chooses_the_engine() {
    let wanted = std::env::var(ENGINE_VARIABLE).unwrap_or_else(|_| "sqlite".to_owned());
    assert_eq!(Store::new().either("sqlite", "postgres"), wanted);
    let version = Store::new().shell("SELECT version()");
    assert_eq!(version.is_ok_and(|version| version.starts_with("PostgreSQL")), wanted == "postgres");
}

/// A database of its own for a test, of the engine that the environment names.
pub(crate) struct Store {
    pub(crate) engine: Engine,
    pub(crate) writer: AnyWriter,
    pub(crate) reader: Reader,
    pub(crate) batches: u64,
}

/// Where the database of a test is.
pub(crate) enum Engine {
    /// In a folder that is deleted at the end.
    Sqlite { folder: TempDir, database: sqlite::Database },
    /// In the cluster of this process.
    Postgres { name: String, database: postgres::Database },
}

impl Store {
    pub(crate) fn new() -> Self {
        if is_postgres_wanted() { Self::on_postgres() } else { Self::on_sqlite() }
    }

    /// Where the environment names a server: in another cluster than that of this process.
    pub(crate) fn new_in(cluster: &cluster::Cluster) -> Self {
        if is_postgres_wanted() {
            Self::at("measured".to_owned(), &cluster.create_database("measured", None).unwrap())
        } else {
            Self::on_sqlite()
        }
    }

    /// Of the embedded engine, whatever the environment names.
    pub(crate) fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = sqlite::Database::open(folder.path()).unwrap();
        let (writer, reader) = (AnyWriter::Sqlite(database.writer().unwrap()), database.reader(2).unwrap());
        Self { engine: Engine::Sqlite { folder, database }, writer, reader, batches: 0 }
    }

    /// Of a server, whatever the environment names: a copy of a database that was migrated once.
    pub(crate) fn on_postgres() -> Self {
        let (name, url) = postgres_database();
        Self::at(name, &url)
    }

    fn at(name: String, url: &str) -> Self {
        let database = postgres::Database::open(url).unwrap();
        let (writer, reader) = (AnyWriter::Postgres(Box::new(database.writer().unwrap())), database.reader(2).unwrap());
        Self { engine: Engine::Postgres { name, database }, writer, reader, batches: 0 }
    }

    /// What somebody with a SQL shell is answered: the first cell, or why not.
    pub(crate) fn shell(&self, sql: &str) -> Result<String, String> {
        match &self.engine {
            Engine::Sqlite { .. } => sqlite_shell(&self.sql(), sql),
            Engine::Postgres { name, .. } => {
                let answer = cluster::shared().unwrap().execute(name, sql);
                answer.map(|text| text.trim().to_owned()).map_err(|fault| fault.to_string())
            }
        }
    }

    /// The one of two texts that is meant for this store's engine.
    pub(crate) fn either<'t>(&self, sqlite: &'t str, postgres: &'t str) -> &'t str {
        match self.engine {
            Engine::Sqlite { .. } => sqlite,
            Engine::Postgres { .. } => postgres,
        }
    }

    /// The days that have a table.
    pub(crate) fn days(&self, kind: Kind) -> Vec<i64> {
        let schema = self.either("sqlite_schema", "pg_tables");
        let column = self.either("name", "tablename");
        let sql = format!("SELECT {} FROM {schema}", self.either("group_concat(name)", "string_agg(tablename, ',')"));
        let sql = format!("{sql} WHERE {column} LIKE '{}%'", kind.prefix());
        self.shell(&sql).unwrap().split(',').filter_map(|table| kind.day_of(table)).collect()
    }

    pub(crate) fn load(&mut self, wanted: &Wanted) -> Book {
        wait(self.writer.load(wanted)).unwrap()
    }

    /// Loads, and ends the database transaction.
    pub(crate) fn look(&mut self, wanted: &Wanted) -> Book {
        let book = self.load(wanted);
        wait(self.writer.rollback());
        book
    }

    /// A record of a new batch.
    pub(crate) fn record(&mut self) -> Record {
        self.batches += 1;
        Record::new(id::<BatchId>(1_000_000 + self.batches), DAY)
    }

    /// Loads what is wanted, changes it, and commits.
    pub(crate) fn change(&mut self, wanted: &Wanted, change: impl FnOnce(&mut Book, &mut Record)) -> Result<(), StoreError> {
        let mut book = self.load(wanted);
        let mut record = self.record();
        change(&mut book, &mut record);
        wait(self.writer.commit(&book, &record))
    }

    /// Commits what needs nothing that is there.
    pub(crate) fn put(&mut self, change: impl FnOnce(&mut Book, &mut Record)) -> Result<(), StoreError> {
        self.change(&Wanted::default(), change)
    }

    /// The data folder of an embedded database.
    pub(crate) fn sqlite_folder(&self) -> &std::path::Path {
        let Engine::Sqlite { folder, .. } = &self.engine else { panic!("no folder") };
        folder.path()
    }

    /// Somebody with the file of an embedded database.
    pub(crate) fn sql(&self) -> Connection {
        let Engine::Sqlite { database, .. } = &self.engine else { panic!("no file") };
        let connection = Connection::open(database.file()).unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection
    }
}

/// A new database of the server with the schema in it: its name and URL.
pub(crate) fn postgres_database() -> (String, String) {
    let migrate = |url: &str| postgres::Database::open(url).map(drop).map_err(|error| error.to_string());
    let name = cluster::prepared_database(migrate).unwrap();
    let url = cluster::shared().unwrap().url(&name);
    (name, url)
}

fn sqlite_shell(connection: &Connection, sql: &str) -> Result<String, String> {
    let said = |error: rusqlite::Error| error.to_string();
    if !sql.starts_with("SELECT") {
        return connection.execute_batch(sql).map(|()| String::new()).map_err(said);
    }
    connection
        .query_row(sql, [], |row| {
            Ok(match row.get(0)? {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other @ (rusqlite::types::Value::Null | rusqlite::types::Value::Real(_) | rusqlite::types::Value::Blob(_)) => {
                    format!("{other:?}")
                }
            })
        })
        .map_err(said)
}

/// Runs a future of the writer, which is ready at once.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn id<T: From<Uuid>>(number: u64) -> T {
    T::from(Uuid::from_u64_pair(0x0190_0000_0000_7000, 0x8000_0000_0000_0000 | number))
}

pub(crate) fn at(micros: i64) -> Instant {
    Instant::from_micros(1_741_763_653_000_000 + micros)
}
