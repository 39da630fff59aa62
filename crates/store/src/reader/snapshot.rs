//! One consistent state, read through whichever engine holds it. The SQL is the same for both, with `?` where a
//! parameter stands; what differs is here.

use domain::instant::Instant;
use domain::journal::Head;
use domain::wallet::EvmAddress;
use rusqlite::Connection;
use uuid::Uuid;

use super::page::Index;
use crate::error::StoreError;
use crate::postgres::Session;
use crate::rows::{Cells, Columns, Decode, WrongType};
use crate::{postgres, sqlite};

/// The journal's newest entry, as every engine finds it in the journal itself.
const JOURNAL_HEAD: &str = "SELECT sequence, hash FROM journal ORDER BY sequence DESC LIMIT 1";
/// Ids that [`Snapshot::rows_of`] takes at once.
pub(crate) const IDS_MAX: usize = 200;

/// What a row is given to.
pub(crate) type TakeRow<'t> = &'t mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>;

/// A parameter of a query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// A whole number.
    Number(i64),
    /// A point in time.
    Time(Instant),
    /// An id.
    Id(Uuid),
    /// An id, or nothing: what no row has.
    OptionalId(Option<Uuid>),
    /// Text.
    Text(String),
    /// An address of the ledger.
    Address(EvmAddress),
    /// Ids as one parameter: what only `PostgreSQL` takes.
    Ids(Vec<Uuid>),
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// What it is about.
    pub(crate) table: &'static str,
    /// The SQL, with `?` where a parameter stands.
    pub(crate) sql: String,
    /// The parameters in the order of their places.
    pub(crate) parameters: Vec<Value>,
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(i64::from(number))
    }
}

impl From<Instant> for Value {
    fn from(instant: Instant) -> Self {
        Self::Time(instant)
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<EvmAddress> for Value {
    fn from(address: EvmAddress) -> Self {
        Self::Address(address)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What a query of one column gives.
pub(crate) trait Scalar: Sized {
    /// The first cell of a row.
    fn of(row: &dyn Cells) -> Result<Option<Self>, WrongType>;
}

impl Scalar for i64 {
    fn of(row: &dyn Cells) -> Result<Option<Self>, WrongType> {
        row.number(0)
    }
}

impl Scalar for Instant {
    fn of(row: &dyn Cells) -> Result<Option<Self>, WrongType> {
        row.time(0)
    }
}

impl Scalar for Uuid {
    fn of(row: &dyn Cells) -> Result<Option<Self>, WrongType> {
        row.id(0)
    }
}

impl Scalar for Vec<u8> {
    fn of(row: &dyn Cells) -> Result<Option<Self>, WrongType> {
        Ok(row.bytes(0)?.map(<[u8]>::to_vec))
    }
}

impl Scalar for String {
    fn of(row: &dyn Cells) -> Result<Option<Self>, WrongType> {
        Ok(row.text(0)?.map(str::to_owned))
    }
}

/// One consistent state of one engine.
pub(crate) enum Snapshot<'c> {
    /// A read transaction of the embedded engine.
    Sqlite(&'c Connection),
    /// A read transaction of a `PostgreSQL` server.
    Postgres(&'c Session<'c>),
}

impl Snapshot<'_> {
    /// Gives every row of a query to `take`.
    pub(crate) fn each(
        &self,
        table: &'static str,
        sql: &str,
        parameters: impl Into<Vec<Value>>,
        take: TakeRow<'_>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => sqlite::each_row(connection, table, sql, &parameters.into(), take),
            Self::Postgres(session) => session.each_row(table, sql, parameters.into(), take),
        }
    }

    /// Asks several questions at once, and gives every row of each to `take` with the place of the question.
    pub(crate) fn each_of(
        &self,
        queries: &[Query],
        take: &mut dyn FnMut(usize, &dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => (0..).zip(queries).try_for_each(|(place, query)| {
                sqlite::each_row(connection, query.table, &query.sql, &query.parameters, &mut |row| take(place, row))
            }),
            Self::Postgres(session) => session.each_row_of(queries, take),
        }
    }

    /// The rows that a query finds.
    pub(crate) fn rows<T: Decode>(&self, sql: &str, parameters: impl Into<Vec<Value>>) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.each(T::COLUMNS.table, sql, parameters, &mut |row| {
            found.push(T::read(&row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The first row that a query finds.
    pub(crate) fn first<T: Decode>(&self, sql: &str, parameters: impl Into<Vec<Value>>) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.each(T::COLUMNS.table, sql, parameters, &mut |row| {
            if found.is_none() {
                found = Some(T::read(&row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The row with an id.
    pub(crate) fn by_id<T: Decode>(&self, id: Uuid) -> Result<Option<T>, StoreError> {
        self.first(&format!("{} WHERE id = ?", T::COLUMNS.select()), [id.into()])
    }

    /// The rows that belong to any of so many ids (at most [`IDS_MAX`]) by one of their columns, in an order.
    pub(crate) fn rows_of<T: Decode>(&self, column: &str, ids: &[Uuid], order: &str) -> Result<Vec<T>, StoreError> {
        if let Self::Postgres(_) = self {
            let sql = format!("{} WHERE {column} = ANY (?) ORDER BY {order}", T::COLUMNS.select());
            return self.rows(&sql, [Value::Ids(ids.to_vec())]);
        }
        let (condition, ids) = one_of(column, ids.iter().copied());
        self.rows(&format!("{} WHERE {condition} ORDER BY {order}", T::COLUMNS.select()), ids)
    }

    /// The first value of a query of one column; `None` where it finds nothing.
    pub(crate) fn value<V: Scalar>(
        &self,
        table: &'static str,
        sql: &str,
        parameters: impl Into<Vec<Value>>,
    ) -> Result<Option<V>, StoreError> {
        Ok(self.column(table, sql, parameters)?.into_iter().next())
    }

    /// The values of a query of one column, without those that are absent.
    pub(crate) fn column<V: Scalar>(
        &self,
        table: &'static str,
        sql: &str,
        parameters: impl Into<Vec<Value>>,
    ) -> Result<Vec<V>, StoreError> {
        let mut found = Vec::new();
        self.each(table, sql, parameters, &mut |row| {
            let value = V::of(row).map_err(|WrongType| StoreError::Engine(format!("{table}: a value of another type")))?;
            found.extend(value);
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether a query finds anything.
    pub(crate) fn has_any(&self, table: &'static str, sql: &str, parameters: impl Into<Vec<Value>>) -> Result<bool, StoreError> {
        Ok(self.value::<i64>(table, sql, parameters)?.is_some())
    }

    /// How this engine is told to read a table by an index: `PostgreSQL` has statistics and is not told.
    pub(super) fn indexed_by(&self, index: Index, table: &str) -> String {
        match (self, index) {
            (Self::Postgres(_), _) | (Self::Sqlite(_), Index::Any) => String::new(),
            (Self::Sqlite(_), Index::Key) => format!("INDEXED BY sqlite_autoindex_{table}_1"),
            (Self::Sqlite(_), Index::Named(name)) => format!("INDEXED BY {name}"),
        }
    }
}

/// That a column is one of at most [`IDS_MAX`] ids, and the parameters of that. A constant number of places makes one
/// statement for every number of ids: a place without a value is NULL, which is in no list.
pub(super) fn one_of(column: &str, ids: impl Iterator<Item = Uuid>) -> (String, Vec<Value>) {
    let places = vec!["?"; IDS_MAX].join(", ");
    let ids = ids.map(Some).chain(std::iter::repeat(None)).take(IDS_MAX);
    (format!("{column} IN ({places})"), ids.map(Value::OptionalId).collect())
}

/// The journal's newest entry.
pub(crate) fn journal_head(snapshot: &Snapshot<'_>) -> Result<Head, StoreError> {
    let mut head = Head::EMPTY;
    snapshot.each("journal", JOURNAL_HEAD, [], &mut |row| {
        head = head_of(row)?;
        Ok(())
    })?;
    Ok(head)
}

/// What the engine finds wrong with what it holds.
pub(super) fn integrity_faults(snapshot: &Snapshot<'_>) -> Result<Vec<String>, StoreError> {
    match snapshot {
        Snapshot::Sqlite(_) => {
            let mut faults: Vec<String> = snapshot.column("database", sqlite::QUICK_CHECK, [])?;
            faults.retain(|fault| fault != "ok");
            faults.extend(snapshot.column::<String>("database", sqlite::BROKEN_REFERENCES, [])?);
            Ok(faults)
        }
        Snapshot::Postgres(_) => {
            let mut faults = Vec::new();
            for check in snapshot.column::<String>("database", postgres::REFERENCE_CHECKS, [])? {
                faults.extend(snapshot.column::<String>("database", &check, [])?);
            }
            Ok(faults)
        }
    }
}

/// A journal head: sequence and hash.
pub(crate) fn head_of(row: &dyn Cells) -> Result<Head, StoreError> {
    let sequence = row.number(0).ok().flatten().and_then(|sequence| u64::try_from(sequence).ok());
    let hash = row.bytes(1).ok().flatten().and_then(|hash| hash.try_into().ok());
    match (sequence, hash) {
        (Some(sequence), Some(hash)) => Ok(Head { sequence, hash }),
        (Some(_) | None, _) => Err(StoreError::Inconsistent { table: "journal", column: "sequence", row: row.key() }),
    }
}

impl Columns {
    /// The columns with commas between them.
    pub(crate) fn list(&self) -> String {
        self.iter().collect::<Vec<_>>().join(", ")
    }

    /// `SELECT … FROM table`.
    pub(crate) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.list(), self.table)
    }
}
