//! What dumps need of a server: its catalogue, rows by binary COPY, and an empty database that takes a dump.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::CopyInSink;
use tokio_postgres::binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::Type;

use super::cells::{EPOCH_MICROS, Raw};
use super::connect::{Connection, Database};
use super::failure::of_table;
use super::migrations::{LOCK, record_step};
use super::sessions::Session;
use super::{COLUMNS, TABLE_NAMES};
use crate::day::Kind;
use crate::dump::{ColumnType, DumpFault, DumpedTable, Field, LoadTarget, RowReader, TakeFields, quoted};
use crate::error::StoreError;
use crate::schema::Migration;

/// Rows that are fetched at a time.
const ROWS_AT_ONCE: usize = 1_000;
/// Bytes that are sent at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// What every binary copy begins with, without flags and extension, and ends with.
const COPY_BEGIN: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_END: i16 = -1;

/// Foreign keys: how each is dropped, and made again.
const REFERENCES: &str = "
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY conrelid, conname";
/// The head is the newest entry.
const SET_HEAD: &str =
    "UPDATE journal_head SET (sequence, hash) = (SELECT sequence, hash FROM journal ORDER BY sequence DESC LIMIT 1)
    WHERE EXISTS (SELECT 1 FROM journal)";
const PUT_SETTING: &str =
    "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// How a column of a type is stored.
pub(crate) fn kind_of(name: &str) -> Option<ColumnType> {
    match name {
        "int2" | "int4" | "int8" => Some(ColumnType::Integer),
        "bool" => Some(ColumnType::Flag),
        "timestamptz" => Some(ColumnType::Time),
        "uuid" => Some(ColumnType::Id),
        "text" | "varchar" => Some(ColumnType::Text),
        "bytea" => Some(ColumnType::Bytes),
        _ => None,
    }
}

impl Session<'_> {
    /// Gives the cells of every row of a table to `take`.
    pub(crate) fn each_field(&self, table: &DumpedTable, take: TakeFields<'_>) -> Result<(), StoreError> {
        let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", table.select("COLLATE \"C\""));
        let types = vec![Type::BYTEA; table.columns.len()];
        let mut stream = self.wait(async move |connection| {
            let stream = connection.copy_out(&copy).await.map_err(|error| failed(&error))?;
            Ok(Box::pin(BinaryCopyOutStream::new(stream, &types)))
        })?;
        loop {
            let (rest, rows) = self.wait(async move |_connection| next_rows(stream).await)?;
            stream = rest;
            for row in &rows {
                let fields = table.columns.iter().enumerate().map(|(place, column)| field_of(row, place, column.kind));
                let fields: Option<Vec<_>> = fields.collect();
                take(&fields.ok_or_else(|| StoreError::Engine(format!("{}: a cell of another type", table.name)))?)?;
            }
            // What has ended must not be asked again.
            if rows.len() < ROWS_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Begins a part of the reading that lets go of its tables at the end.
    pub(crate) fn begin_part(&self) -> Result<(), StoreError> {
        self.execute("SAVEPOINT part")
    }

    /// Ends the part.
    pub(crate) fn forget_part(&self) -> Result<(), StoreError> {
        self.execute("ROLLBACK TO SAVEPOINT part")
    }
}

type Rows = Pin<Box<BinaryCopyOutStream>>;

async fn next_rows(mut stream: Rows) -> Result<(Rows, Vec<BinaryCopyOutRow>), StoreError> {
    let mut rows = Vec::with_capacity(ROWS_AT_ONCE);
    while rows.len() < ROWS_AT_ONCE {
        match stream.next().await {
            Some(row) => rows.push(row.map_err(|error| failed(&error))?),
            None => break,
        }
    }
    Ok((stream, rows))
}

fn field_of(row: &BinaryCopyOutRow, place: usize, kind: ColumnType) -> Option<Field<'_>> {
    let Some(Raw(bytes)) = row.try_get::<Option<Raw<'_>>>(place).ok()? else { return Some(Field::Null) };
    Some(match kind {
        ColumnType::Integer => Field::Integer(match *bytes {
            [a, b] => i64::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
            _ => i64::from_be_bytes(bytes.try_into().ok()?),
        }),
        ColumnType::Flag => Field::Integer(i64::from(bytes != [0])),
        ColumnType::Time => Field::Integer(i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH_MICROS)?),
        ColumnType::Text => Field::Text(str::from_utf8(bytes).ok()?),
        ColumnType::Id | ColumnType::Bytes => Field::Bytes(bytes),
    })
}

/// A cell as the server takes it for a column of this type; `None` where it does not fit.
fn put_cell(field: Field<'_>, type_name: &str, out: &mut BytesMut) -> Option<()> {
    let length_at = out.len();
    out.put_i32(-1);
    match (field, kind_of(type_name)?) {
        (Field::Null, _) => return Some(()),
        (Field::Integer(integer), ColumnType::Integer) => match type_name {
            "int2" => out.put_i16(i16::try_from(integer).ok()?),
            "int4" => out.put_i32(i32::try_from(integer).ok()?),
            _ => out.put_i64(integer),
        },
        (Field::Integer(flag @ (0 | 1)), ColumnType::Flag) => out.put_u8(u8::try_from(flag).ok()?),
        (Field::Integer(micros), ColumnType::Time) => out.put_i64(micros.checked_sub(EPOCH_MICROS)?),
        (Field::Text(text), ColumnType::Text) => out.put_slice(text.as_bytes()),
        (Field::Bytes(id), ColumnType::Id) if id.len() == 16 => out.put_slice(id),
        (Field::Bytes(bytes), ColumnType::Bytes) => out.put_slice(bytes),
        (Field::Integer(_) | Field::Text(_) | Field::Bytes(_), _) => return None,
    }
    let length = i32::try_from(out.len() - length_at - 4).ok()?;
    out.get_mut(length_at..length_at + 4)?.copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// An empty database of a server that takes a dump.
#[derive(Debug)]
pub(crate) struct Load {
    database: Database,
    connection: Arc<Connection>,
    /// How the foreign keys are made again.
    references: Vec<String>,
}

impl Load {
    /// Connects, and makes sure that there is nothing.
    pub(crate) fn open(url: &str) -> Result<Self, DumpFault> {
        let database = Database::reach(url)?;
        let connection = Arc::new(database.connect_for_migration()?);
        let load = Self { database, connection, references: Vec::new() };
        load.execute(format!("BEGIN; {LOCK}"))?;
        match load.texts(TABLE_NAMES, None)?.into_iter().flatten().next() {
            Some(table) => Err(DumpFault::NotEmpty(table)),
            None => Ok(load),
        }
    }

    fn wait<T: Send + 'static, F: Future<Output = Result<T, StoreError>> + Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<Connection>) -> F,
    ) -> Result<T, StoreError> {
        self.database.runtime().wait(ask(self.connection.clone()))
    }

    fn execute(&self, sql: String) -> Result<(), StoreError> {
        self.wait(|connection| async move { connection.batch_execute(&sql).await.map_err(|error| failed(&error)) })
    }

    /// The texts of every row that a query with at most one parameter finds, without what is no text.
    fn texts(&self, sql: &str, parameter: Option<&str>) -> Result<Vec<Vec<String>>, StoreError> {
        let (sql, parameter) = (sql.replace('?', "$1"), parameter.map(str::to_owned));
        self.wait(|connection| async move {
            let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
                parameter.iter().map(|parameter| parameter as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
            let rows = connection.query(&sql, &parameters).await.map_err(|error| failed(&error))?;
            Ok(rows.iter().map(|row| (0..row.len()).filter_map(|place| row.try_get(place).ok()).collect()).collect())
        })
    }

    /// The type of each column, in the order of the dump.
    fn types(&self, table: &str, columns: &[String]) -> Result<Vec<String>, DumpFault> {
        if !self.texts(TABLE_NAMES, None)?.iter().flatten().any(|name| name == table) {
            return Err(DumpFault::Unknown(format!("a table {table}")));
        }
        let known = self.texts(COLUMNS, Some(table))?;
        let type_of = |column: &String| {
            let mut known = known.iter().filter_map(|row| Some((row.first()?, row.get(1)?)));
            let found = known.find(|(name, _)| *name == column).map(|(_, kind)| kind.clone());
            found.ok_or_else(|| DumpFault::Unknown(format!("a column {column} of table {table}")))
        };
        columns.iter().map(type_of).collect()
    }
}

impl LoadTarget for Load {
    fn make_schema(&mut self, migrations: &[Migration]) -> Result<(), DumpFault> {
        for (version, migration) in (0..).zip(migrations.iter().copied()) {
            self.wait(|connection| async move { record_step(&connection, version, migration).await })?;
        }
        // Checked set-wise at the end, whatever the order of the tables.
        for reference in self.texts(REFERENCES, None)? {
            if let [drop, make] = reference.as_slice() {
                self.execute(drop.clone())?;
                self.references.push(make.clone());
            }
        }
        Ok(())
    }

    fn load_table(&mut self, table: &str, rows: &mut RowReader<Box<dyn Read + '_>>) -> Result<u64, DumpFault> {
        if let Some((kind, _day)) = Kind::of_table(table) {
            self.execute(format!("CREATE TABLE {} (LIKE {} INCLUDING ALL)", quoted(table), kind.name()))?;
        }
        let types = self.types(table, rows.columns())?;
        let place = quoted(table);
        // What migrations put there is in the dump too. The journal refuses even to delete nothing.
        if !self.texts(&format!("SELECT 'a row' FROM {place} LIMIT 1"), None)?.is_empty() {
            self.execute(format!("DELETE FROM {place}"))?;
        }
        let columns: Vec<String> = rows.columns().iter().map(|column| quoted(column)).collect();
        let copy = format!("COPY {place} ({}) FROM STDIN (FORMAT binary)", columns.join(", "));
        let mut sink: Pin<Box<CopyInSink<Bytes>>> = self
            .wait(|connection| async move { Ok(Box::pin(connection.copy_in(&copy).await.map_err(|error| failed(&error))?)) })?;
        let cells = i16::try_from(types.len()).map_err(|_| DumpFault::Row(table.to_owned()))?;
        let mut piece = BytesMut::with_capacity(2 * PIECE_BYTES);
        piece.put_slice(COPY_BEGIN);
        while let Some(row) = rows.next_row()? {
            piece.put_i16(cells);
            for (field, type_name) in row.fields()?.into_iter().zip(&types) {
                put_cell(field, type_name, &mut piece).ok_or_else(|| DumpFault::Row(table.to_owned()))?;
            }
            if piece.len() >= PIECE_BYTES {
                let bytes = piece.split().freeze();
                sink = self.wait(|_connection| async move {
                    sink.send(bytes).await.map_err(|error| failed(&error))?;
                    Ok(sink)
                })?;
            }
        }
        piece.put_i16(COPY_END);
        let bytes = piece.freeze();
        Ok(self.wait(|_connection| async move {
            sink.send(bytes).await.map_err(|error| failed(&error))?;
            sink.as_mut().finish().await.map_err(|error| failed(&error))
        })?)
    }

    fn put_setting(&mut self, name: &str, value: &[u8]) -> Result<(), DumpFault> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.wait(|connection| async move {
            connection.execute(PUT_SETTING, &[&name, &value]).await.map_err(|error| failed(&error))
        })?;
        Ok(())
    }

    fn finish(self) -> Result<(), DumpFault> {
        for reference in &self.references {
            match self.execute(reference.clone()) {
                Err(StoreError::Constraint(what)) => return Err(DumpFault::Reference(what)),
                made => made?,
            }
        }
        self.execute(format!("{SET_HEAD}; COMMIT; ANALYZE"))?;
        Ok(())
    }
}

fn failed(error: &tokio_postgres::Error) -> StoreError {
    of_table("database", error)
}
