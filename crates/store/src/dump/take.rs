//! Taking a dump.

use std::io;

use super::row::{put_columns, put_row};
use super::{ColumnType, DumpFault, Dumped, Field, NOT_DUMPED};
use crate::day::Kind;
use crate::error::StoreError;
use crate::reader::{Scalar as _, Snapshot, journal_head};
use crate::rows::{Cells, WrongType};

/// Bytes that are given on at a time.
const PIECE_BYTES: usize = 256 * 1024;

const SIGNERS: &str = "SELECT address, next_nonce FROM signer ORDER BY address";

/// Where a dump goes, table by table.
pub trait DumpTarget {
    /// A table begins.
    ///
    /// # Errors
    /// It cannot be written.
    fn begin(&mut self, table: &str) -> io::Result<()>;

    /// The next bytes of the table.
    ///
    /// # Errors
    /// They cannot be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The table had so many rows.
    ///
    /// # Errors
    /// It cannot be written.
    fn end(&mut self, rows: u64) -> io::Result<()>;
}

/// A column as the engine's catalogue has it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
    /// Its place in the primary key, from 0.
    pub(crate) key: Option<i64>,
}

/// A table as the engine's catalogue has it, columns by name.
#[derive(Clone, Debug)]
pub(crate) struct DumpedTable {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
}

impl DumpedTable {
    /// The query for every row, columns by name, rows by key; text is compared byte by byte, as `collation` says.
    pub(crate) fn select(&self, collation: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let mut keys: Vec<&Column> = self.columns.iter().filter(|column| column.key.is_some()).collect();
        keys.sort_by_key(|column| column.key);
        let keys: Vec<String> = keys
            .iter()
            .map(|column| match column.kind {
                ColumnType::Text => format!("{} {collation}", quoted(&column.name)),
                ColumnType::Integer | ColumnType::Flag | ColumnType::Time | ColumnType::Id | ColumnType::Bytes => {
                    quoted(&column.name)
                }
            })
            .collect();
        let order = if keys.is_empty() { String::new() } else { format!(" ORDER BY {}", keys.join(", ")) };
        format!("SELECT {} FROM {}{order}", names.join(", "), quoted(&self.name))
    }
}

/// A name of the catalogue as SQL takes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Gives every table of a state to `target`. Tables of a day come first: a server may want to drop them.
pub(crate) fn take(snapshot: &Snapshot<'_>, target: &mut dyn DumpTarget) -> Result<Dumped, DumpFault> {
    let schema = snapshot.schema_version()?.version;
    let head = journal_head(snapshot)?;
    let signers = signers(snapshot)?;
    let (days, lasting): (Vec<_>, Vec<_>) = snapshot.table_names()?.into_iter().partition(|name| Kind::of_table(name).is_some());
    let mut rows = 0;
    snapshot.hold_briefly(|| {
        days.iter().try_for_each(|table| {
            rows += take_table(snapshot, table, target)?;
            Ok(())
        })
    })?;
    for table in lasting.iter().filter(|table| !NOT_DUMPED.contains(&table.as_str())) {
        rows += take_table(snapshot, table, target)?;
    }
    Ok(Dumped { schema, head, signers, rows })
}

fn take_table(snapshot: &Snapshot<'_>, table: &str, target: &mut dyn DumpTarget) -> Result<u64, DumpFault> {
    let table = DumpedTable { name: table.to_owned(), columns: snapshot.columns_of(table)? };
    let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    let (mut rows, mut fault) = (0, None);
    target.begin(&table.name)?;
    put_columns(&names, &mut piece);
    let taken = snapshot.each_field(&table, &mut |fields| {
        put_row(fields.iter().copied(), &mut piece);
        rows += 1;
        if piece.len() < PIECE_BYTES {
            return Ok(());
        }
        let written = target.write(&piece);
        piece.clear();
        written.map_err(|error| {
            let said = StoreError::Engine(error.to_string());
            fault = Some(error);
            said
        })
    });
    if let Some(error) = fault {
        return Err(error.into());
    }
    taken?;
    target.write(&piece)?;
    target.end(rows)?;
    Ok(rows)
}

/// The cell of a row that is of this type.
pub(crate) fn field_of(cells: &dyn Cells, place: usize, kind: ColumnType) -> Result<Field<'_>, WrongType> {
    let integer = |number: Option<i64>| number.map_or(Field::Null, Field::Integer);
    Ok(match kind {
        ColumnType::Integer => integer(cells.number(place)?),
        ColumnType::Flag => integer(cells.flag(place)?.map(i64::from)),
        ColumnType::Time => integer(cells.time(place)?.map(domain::instant::Instant::micros)),
        ColumnType::Text => cells.text(place)?.map_or(Field::Null, Field::Text),
        ColumnType::Id | ColumnType::Bytes => cells.bytes(place)?.map_or(Field::Null, Field::Bytes),
    })
}

fn signers(snapshot: &Snapshot<'_>) -> Result<Vec<([u8; 20], u64)>, StoreError> {
    let mut signers = Vec::new();
    snapshot.each("signer", SIGNERS, [], &mut |row| {
        let address = Vec::<u8>::of(row).ok().flatten().and_then(|address| address.try_into().ok());
        let nonce = row.number(1).ok().flatten().and_then(|nonce| u64::try_from(nonce).ok());
        let (Some(address), Some(nonce)) = (address, nonce) else {
            return Err(StoreError::Inconsistent { table: "signer", column: "next_nonce", row: row.key() });
        };
        signers.push((address, nonce));
        Ok(())
    })?;
    Ok(signers)
}
