//! The SQL of one table, and how its cells are bound and read.

use std::fmt::Write;
use std::sync::LazyLock;

use domain::campaign::Campaign;
use domain::credit::Credit;
use domain::document::{Document, SignedDocument};
use domain::instant::Instant;
use domain::instruction::Instruction;
use domain::investment::Investment;
use domain::investor::Investor;
use domain::lease::Lease;
use domain::ledger_transaction::{Attempt, LedgerTransaction, Signer};
use domain::organisation::{Client, Organisation};
use domain::product::{Issuer, Listing, Product};
use domain::wallet::Wallet;
use domain::webhook::{Waiting, Webhook};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row, Statement, ToSql};
use uuid::Uuid;

use super::failure::of_table;
use crate::error::StoreError;
use crate::queries::StoredEntry;
use crate::reader::Value;
use crate::rows::{Attached, Cell, Cells, Columns, Decode, NewEntry, Sink, Table, WrongType};

/// The statements of one table.
#[derive(Debug)]
pub(super) struct Statements {
    /// `SELECT … FROM table`.
    pub(super) select: String,
    /// By the first column.
    pub(super) select_by_key: String,
    /// Every column.
    pub(super) insert: String,
    /// The changing columns of the row with this key and version; the version is one parameter after the columns.
    pub(super) update: String,
    /// An insert that changes the changing columns of a row that is there.
    pub(super) upsert: String,
}

impl Statements {
    fn of(columns: &Columns) -> Self {
        let table = columns.table;
        let key = columns.name_at(0);
        let select = columns.select();
        let select_by_key = format!("{select} WHERE {key} = ?1");
        let insert = insert_into(table, columns);
        let first_changing = columns.fixed.len() + 1;
        let mut set = String::new();
        for (place, column) in (first_changing..).zip(columns.changing) {
            let separator = if set.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(set, "{separator}{column} = ?{place}");
        }
        let version = columns.len() + 1;
        let update = format!("UPDATE {table} SET {set} WHERE {key} = ?1 AND version = ?{version}");
        let upsert = format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {set}");
        Self { select, select_by_key, insert, update, upsert }
    }
}

/// An insert of every column into a table of another name than the columns have.
pub(super) fn insert_into(table: &str, columns: &Columns) -> String {
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.list(), places.join(", "))
}

/// A table with statements of its own.
pub(super) trait SqliteTable: Table {
    /// Its statements.
    fn statements() -> &'static Statements;
}

macro_rules! sqlite_tables {
    ($($row:ty),+ $(,)?) => {$(
        impl SqliteTable for $row {
            fn statements() -> &'static Statements {
                static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| Statements::of(<$row as Table>::COLUMNS));
                &STATEMENTS
            }
        }
    )+};
}

sqlite_tables!(
    Organisation,
    Client,
    Issuer,
    Product,
    Listing,
    Campaign,
    Investor,
    Wallet,
    Document,
    Investment,
    SignedDocument,
    Attached<'_>,
    Credit,
    Instruction,
    LedgerTransaction,
    Attempt,
    Signer,
    Lease,
    Webhook,
    Waiting,
    StoredEntry,
    NewEntry<'_>,
);

/// Binds the cells of a row to a statement, from the first parameter on.
pub(super) struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    table: &'static str,
    place: usize,
}

impl<'s, 'c> Binder<'s, 'c> {
    /// Begins with the first parameter.
    pub(super) const fn new(statement: &'s mut Statement<'c>, table: &'static str) -> Self {
        Self { statement, table, place: 0 }
    }
}

impl Sink for Binder<'_, '_> {
    fn put(&mut self, cell: Cell<'_>) -> Result<(), StoreError> {
        self.place += 1;
        self.statement.raw_bind_parameter(self.place, cell).map_err(|error| of_table(self.table, &error))
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Time(instant) => ValueRef::Integer(instant.micros()),
            Self::Id(id) | Self::OptionalId(Some(id)) => ValueRef::Blob(id.as_bytes()),
            Self::OptionalId(None) => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Address(address) => ValueRef::Blob(address.as_bytes()),
            Self::Ids(_) => return Err(rusqlite::Error::ToSqlConversionFailure("several ids are no parameter".into())),
        }))
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Flag(flag) => ValueRef::Integer(i64::from(*flag)),
            Self::Time(instant) => ValueRef::Integer(instant.micros()),
            Self::Id(id) => ValueRef::Blob(id.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Cells for Row<'_> {
    fn number(&self, place: usize) -> Result<Option<i64>, WrongType> {
        match self.get_ref(place) {
            Ok(ValueRef::Integer(number)) => Ok(Some(number)),
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_)) | Err(_) => Err(WrongType),
        }
    }

    fn flag(&self, place: usize) -> Result<Option<bool>, WrongType> {
        match self.number(place)? {
            Some(0) => Ok(Some(false)),
            Some(1) => Ok(Some(true)),
            Some(_) => Err(WrongType),
            None => Ok(None),
        }
    }

    fn time(&self, place: usize) -> Result<Option<Instant>, WrongType> {
        Ok(self.number(place)?.map(Instant::from_micros))
    }

    fn id(&self, place: usize) -> Result<Option<Uuid>, WrongType> {
        self.bytes(place)?.map(Uuid::from_slice).transpose().map_err(|_| WrongType)
    }

    fn text(&self, place: usize) -> Result<Option<&str>, WrongType> {
        match self.get_ref(place) {
            Ok(ValueRef::Text(text)) => str::from_utf8(text).map(Some).map_err(|_| WrongType),
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Real(_) | ValueRef::Integer(_) | ValueRef::Blob(_)) | Err(_) => Err(WrongType),
        }
    }

    fn bytes(&self, place: usize) -> Result<Option<&[u8]>, WrongType> {
        match self.get_ref(place) {
            Ok(ValueRef::Blob(bytes)) => Ok(Some(bytes)),
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Real(_) | ValueRef::Integer(_) | ValueRef::Text(_)) | Err(_) => Err(WrongType),
        }
    }

    fn key(&self) -> String {
        match self.get_ref(0) {
            Ok(ValueRef::Blob(bytes)) => Uuid::from_slice(bytes).map_or_else(|_| hexadecimal(bytes), |id| id.to_string()),
            Ok(ValueRef::Integer(number)) => number.to_string(),
            Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            Ok(ValueRef::Null | ValueRef::Real(_)) | Err(_) => String::new(),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The rows that a query finds.
pub(super) fn rows<T: Decode>(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<T>, StoreError> {
    let table = T::COLUMNS.table;
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(table, &error))?;
    let mut rows = statement.query(parameters).map_err(|error| of_table(table, &error))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(|error| of_table(table, &error))? {
        found.push(T::read(row)?);
    }
    Ok(found)
}

/// The first row that a query finds.
pub(super) fn first<T: Decode>(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Option<T>, StoreError> {
    let table = T::COLUMNS.table;
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(table, &error))?;
    let mut rows = statement.query(parameters).map_err(|error| of_table(table, &error))?;
    rows.next().map_err(|error| of_table(table, &error))?.map(T::read).transpose()
}

/// The single value of a query that always has one row, or none where it finds nothing.
pub(super) fn value<T: rusqlite::types::FromSql>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    parameters: impl Params,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(table, &error))?;
    let mut rows = statement.query(parameters).map_err(|error| of_table(table, &error))?;
    let row = rows.next().map_err(|error| of_table(table, &error))?;
    row.map(|row| row.get(0)).transpose().map_err(|error| of_table(table, &error))
}

/// The values of a query with one column.
pub(super) fn rows_of_one_column<T: rusqlite::types::FromSql>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(table, &error))?;
    let values = statement.query_map(parameters, |row| row.get(0)).map_err(|error| of_table(table, &error))?;
    values.collect::<Result<_, _>>().map_err(|error| of_table(table, &error))
}

/// Runs a statement and says how many rows it changed.
pub(super) fn execute(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    parameters: impl Params,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(table, &error))?;
    statement.execute(parameters).map_err(|error| of_table(table, &error))
}
