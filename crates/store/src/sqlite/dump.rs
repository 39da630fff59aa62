//! What dumps need of the embedded engine: its catalogue, and an empty database that takes a dump.

use std::io::Read;
use std::path::Path;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::connection::Database;
use super::day_tables::definition;
use super::failure::failure;
use super::migrations::record_step;
use super::pool::each_row;
use super::{BROKEN_REFERENCES, COLUMNS, TABLE_NAMES};
use crate::day::Kind;
use crate::dump::{ColumnType, DumpFault, DumpedTable, Field, LoadTarget, RowReader, TakeFields, field_of, quoted};
use crate::error::StoreError;
use crate::rows::WrongType;
use crate::schema::{Migration, Upkeep};

const PUT_SETTING: &str =
    "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// How a column of a declared type is stored.
pub(crate) fn kind_of(declared: &str) -> Option<ColumnType> {
    match declared {
        "INTEGER" => Some(ColumnType::Integer),
        "TEXT" => Some(ColumnType::Text),
        "BLOB" => Some(ColumnType::Bytes),
        _ => None,
    }
}

/// Gives the cells of every row of a table to `take`.
pub(crate) fn each_field(connection: &Connection, table: &DumpedTable, take: TakeFields<'_>) -> Result<(), StoreError> {
    each_row(connection, "database", &table.select("COLLATE BINARY"), &[], &mut |row| {
        let fields = table.columns.iter().enumerate().map(|(place, column)| field_of(row, place, column.kind));
        let fields: Result<Vec<_>, WrongType> = fields.collect();
        take(&fields.map_err(|WrongType| StoreError::Engine(format!("{}: a cell of another type", table.name)))?)
    })
}

/// An empty database file that takes a dump.
#[derive(Debug)]
pub(crate) struct Load {
    connection: Connection,
}

impl Load {
    /// Makes the file in a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self, DumpFault> {
        let connection = Database::reach(folder, Upkeep::Migrate)?.connect_for_writing()?;
        let first = connection.query_row(TABLE_NAMES, [], |row| row.get(0)).optional().map_err(fault)?;
        if let Some(table) = first {
            return Err(DumpFault::NotEmpty(table));
        }
        // What refers to what is checked at the end, whatever the order of the tables.
        connection.pragma_update(None, "foreign_keys", false).map_err(fault)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
        Ok(Self { connection })
    }

    fn columns(&self, table: &str) -> Result<Vec<String>, DumpFault> {
        let mut statement = self.connection.prepare(COLUMNS).map_err(fault)?;
        let names = statement.query_map([table], |row| row.get(0)).map_err(fault)?;
        names.collect::<Result<_, _>>().map_err(fault)
    }
}

impl LoadTarget for Load {
    fn make_schema(&mut self, migrations: &[Migration]) -> Result<(), DumpFault> {
        for (version, migration) in (0..).zip(migrations) {
            record_step(&self.connection, version, *migration, Connection::execute_batch)?;
        }
        Ok(())
    }

    fn load_table(&mut self, table: &str, rows: &mut RowReader<Box<dyn Read + '_>>) -> Result<u64, DumpFault> {
        if let Some((kind, day)) = Kind::of_table(table) {
            self.connection.execute_batch(&definition(kind, day)).map_err(fault)?;
        }
        let known = self.columns(table)?;
        if let Some(unknown) = rows.columns().iter().find(|column| !known.contains(column)) {
            return Err(DumpFault::Unknown(format!("a column {unknown} of table {table}")));
        }
        let place = quoted(table);
        // What migrations put there is in the dump too.
        let has_rows = self.connection.prepare(&format!("SELECT 1 FROM {place}")).and_then(|mut any| any.exists([]));
        if has_rows.map_err(fault)? {
            self.connection.execute_batch(&format!("DELETE FROM {place}")).map_err(fault)?;
        }
        let columns: Vec<String> = rows.columns().iter().map(|column| quoted(column)).collect();
        let values = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {place} ({}) VALUES ({values})", columns.join(", "));
        let mut insert = self.connection.prepare(&insert).map_err(fault)?;
        let mut count = 0;
        while let Some(row) = rows.next_row()? {
            insert.execute(params_from_iter(row.fields()?)).map_err(fault)?;
            count += 1;
        }
        Ok(count)
    }

    fn put_setting(&mut self, name: &str, value: &[u8]) -> Result<(), DumpFault> {
        self.connection.execute(PUT_SETTING, (name, value)).map_err(fault)?;
        Ok(())
    }

    fn finish(self) -> Result<(), DumpFault> {
        let mut broken = self.connection.prepare(BROKEN_REFERENCES).map_err(fault)?;
        if let Some(first) = broken.query([]).map_err(fault)?.next().map_err(fault)? {
            return Err(DumpFault::Reference(first.get(0).map_err(fault)?));
        }
        drop(broken);
        self.connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").map_err(fault)
    }
}

impl ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err, which hands errors over by value")]
fn fault(error: rusqlite::Error) -> DumpFault {
    DumpFault::Store(failure(&error))
}
