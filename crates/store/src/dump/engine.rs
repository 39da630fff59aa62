//! Dumps of either engine.

use super::{DumpFault, DumpSource, DumpTarget, Dumped, load, take};
use crate::dump::take::{Column, DumpedTable};
use crate::engine::{Database, Place};
use crate::error::StoreError;
use crate::reader::Snapshot;
use crate::schema::SchemaVersion;
use crate::{postgres, sqlite};

use super::Field;

/// What the cells of a row are given to.
pub(crate) type TakeFields<'t> = &'t mut dyn FnMut(&[Field<'_>]) -> Result<(), StoreError>;

impl Database {
    /// Dumps one state of the database: that of the moment when this begins, while others go on writing.
    ///
    /// # Errors
    /// The engine fails, or the target does.
    pub fn dump(&self, target: &mut dyn DumpTarget) -> Result<Dumped, DumpFault> {
        let reader = match self {
            Self::Sqlite(database) => database.patient_reader()?,
            Self::Postgres(database) => database.frozen_reader()?,
        };
        reader.run(|snapshot| Ok(take(snapshot, target)))?
    }
}

/// An empty database that is about to take a dump.
#[derive(Debug)]
pub struct EmptyDatabase {
    target: Target,
}

#[derive(Debug)]
enum Target {
    Sqlite(sqlite::Load),
    Postgres(Box<postgres::Load>),
}

impl EmptyDatabase {
    /// Opens a place that holds no database yet. Nothing is changed on a server before everything was taken in.
    ///
    /// # Errors
    /// [`DumpFault::NotEmpty`]; the engine cannot be reached.
    pub fn open(place: &Place) -> Result<Self, DumpFault> {
        let target = match place {
            Place::Folder(folder) => Target::Sqlite(sqlite::Load::open(folder)?),
            Place::Server(url) => Target::Postgres(Box::new(postgres::Load::open(url)?)),
        };
        Ok(Self { target })
    }

    /// Takes a dump of a schema's version in one database transaction, with a setting that says where it came from. The
    /// schema is that of the dump; opening the database brings it up to date.
    ///
    /// # Errors
    /// The dump is damaged, newer than this program or refused by the engine; nothing was stored then.
    pub fn load(self, schema: i64, source: &mut dyn DumpSource, setting: (&str, &[u8])) -> Result<u64, DumpFault> {
        match self.target {
            Target::Sqlite(target) => load(target, schema, source, setting),
            Target::Postgres(target) => load(*target, schema, source, setting),
        }
    }
}

impl Snapshot<'_> {
    /// The version of the schema.
    pub(super) fn schema_version(&self) -> Result<SchemaVersion, StoreError> {
        match self {
            Self::Sqlite(connection) => sqlite::version_of(connection),
            Self::Postgres(session) => session.schema_version(),
        }
    }

    /// Every table, by name.
    pub(super) fn table_names(&self) -> Result<Vec<String>, StoreError> {
        let sql = match self {
            Self::Sqlite(_) => sqlite::TABLE_NAMES,
            Self::Postgres(_) => postgres::TABLE_NAMES,
        };
        self.column("database", sql, [])
    }

    /// The columns of a table, by name.
    pub(super) fn columns_of(&self, table: &str) -> Result<Vec<Column>, DumpFault> {
        let (sql, kind_of): (_, fn(&str) -> Option<_>) = match self {
            Self::Sqlite(_) => (sqlite::COLUMNS, sqlite::kind_of),
            Self::Postgres(_) => (postgres::COLUMNS, postgres::kind_of),
        };
        let (mut columns, mut strange) = (Vec::new(), None);
        self.each("database", sql, [table.into()], &mut |row| {
            let (Ok(Some(name)), Ok(Some(kind)), Ok(Some(key))) = (row.text(0), row.text(1), row.number(2)) else {
                return Err(StoreError::Inconsistent { table: "database", column: "name", row: row.key() });
            };
            match kind_of(kind) {
                Some(kind) => columns.push(Column { name: name.to_owned(), kind, key: (key >= 0).then_some(key) }),
                None => strange = Some((name.to_owned(), kind.to_owned())),
            }
            Ok(())
        })?;
        match strange {
            Some((column, kind)) => Err(DumpFault::Type { table: table.to_owned(), column, kind }),
            None => Ok(columns),
        }
    }

    /// Gives the cells of every row of a table to `take`, in order of the key.
    pub(super) fn each_field(&self, table: &DumpedTable, take: TakeFields<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => sqlite::each_field(connection, table, take),
            Self::Postgres(session) => session.each_field(table, take),
        }
    }

    /// Reads, and lets go of the tables that were read: while they are held a server cannot drop them.
    pub(super) fn hold_briefly(&self, read: impl FnOnce() -> Result<(), DumpFault>) -> Result<(), DumpFault> {
        match self {
            Self::Sqlite(_) => read(),
            Self::Postgres(session) => {
                session.begin_part()?;
                let done = read();
                session.forget_part()?;
                done
            }
        }
    }
}
