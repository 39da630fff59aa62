//! Every table's columns, and how its rows become values of the domain and back: written once, for every engine.

mod answer;
mod campaign;
mod cells;
mod credit;
mod document;
mod interest;
mod investment;
mod investor;
mod journal;
mod lease;
mod ledger_transaction;
mod organisation;
mod product;
mod webhook;

pub(crate) use cells::{Cell, Cells, Decoder, Encoder, Sink, WrongType};
pub(crate) use document::Attached;
pub(crate) use journal::NewEntry;

use crate::error::StoreError;

/// The columns of a table, in the order in which rows are written and read. The key comes first; where rows are guarded
/// by a version, it comes last.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The table.
    pub(crate) table: &'static str,
    /// What never changes once the row is stored.
    pub(crate) fixed: &'static [&'static str],
    /// What an update writes.
    pub(crate) changing: &'static [&'static str],
}

impl Columns {
    /// Every column.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.fixed.iter().chain(self.changing).copied()
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.fixed.len() + self.changing.len()
    }

    /// The column at a place.
    pub(crate) fn name_at(&self, place: usize) -> &'static str {
        self.iter().nth(place).unwrap_or("row")
    }
}

/// A value that is stored as a row of one table.
pub(crate) trait Table {
    /// The table's columns.
    const COLUMNS: &'static Columns;
}

/// A value that can be written as a row.
pub(crate) trait Encode: Table {
    /// Writes the cells in the order of the columns.
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>);

    /// Writes the row into a sink.
    fn write(&self, sink: &mut impl Sink) -> Result<(), StoreError> {
        let mut row = Encoder::new(sink, Self::COLUMNS);
        self.encode(&mut row);
        row.finish()
    }
}

/// A value that can be read from a row.
pub(crate) trait Decode: Table + Sized {
    /// Reads the cells in the order of the columns.
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError>;

    /// Reads the row from its cells.
    fn read(cells: &impl Cells) -> Result<Self, StoreError> {
        Self::decode(&mut Decoder::new(cells, Self::COLUMNS))
    }
}

/// The cells that never change, as bytes: two versions of a row must agree on them.
#[derive(Default)]
pub(crate) struct FixedCells {
    bytes: Vec<u8>,
    cells: usize,
    cells_max: usize,
}

impl FixedCells {
    /// The fixed cells of a row.
    pub(crate) fn of<T: Encode>(row: &T) -> Result<Vec<u8>, StoreError> {
        let mut fixed = Self { bytes: Vec::with_capacity(256), cells: 0, cells_max: T::COLUMNS.fixed.len() };
        row.write(&mut fixed)?;
        Ok(fixed.bytes)
    }

    fn append(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

impl Sink for FixedCells {
    fn put(&mut self, cell: Cell<'_>) -> Result<(), StoreError> {
        self.cells += 1;
        if self.cells > self.cells_max {
            return Ok(());
        }
        match cell {
            Cell::Null => self.append(0, &[]),
            Cell::Number(number) => self.append(1, &number.to_be_bytes()),
            Cell::Flag(flag) => self.append(2, &[u8::from(flag)]),
            Cell::Time(instant) => self.append(3, &instant.micros().to_be_bytes()),
            Cell::Id(id) => self.append(4, id.as_bytes()),
            Cell::Text(text) => self.append(5, text.as_bytes()),
            Cell::Bytes(bytes) => self.append(6, bytes),
        }
        Ok(())
    }
}

macro_rules! table {
    ($row:ty, $table:literal, fixed: [$($fixed:literal),+ $(,)?], changing: [$($changing:literal),* $(,)?]) => {
        impl $crate::rows::Table for $row {
            const COLUMNS: &'static $crate::rows::Columns =
                &$crate::rows::Columns { table: $table, fixed: &[$($fixed),+], changing: &[$($changing),*] };
        }
    };
}

pub(crate) use table;
