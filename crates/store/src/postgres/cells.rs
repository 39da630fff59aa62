//! Cells in the server's binary format: parameters, columns of a set, and rows that were read.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use domain::instant::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::error::StoreError;
use crate::reader::Value;
use crate::rows::{Cell, Cells, Sink, WrongType};

/// Microseconds from 1970-01-01 to 2000-01-01, from which the server counts.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;

type Fault = Box<dyn Error + Sync + Send>;

/// A value as a parameter.
#[derive(Debug)]
pub(crate) struct Parameter(pub(crate) Value);

impl ToSql for Parameter {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        let cell = match &self.0 {
            Value::Number(number) => Cell::Number(*number),
            Value::Time(instant) => Cell::Time(*instant),
            Value::Id(id) | Value::OptionalId(Some(id)) => Cell::Id(*id),
            Value::OptionalId(None) => return Ok(IsNull::Yes),
            Value::Text(text) => Cell::Text(text),
        };
        require(ty, &cell)?;
        write(&cell, out)?;
        Ok(IsNull::No)
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn require(ty: &Type, cell: &Cell<'_>) -> Result<(), Fault> {
    let fits = match cell {
        Cell::Null => true,
        Cell::Number(_) => *ty == Type::INT8,
        Cell::Flag(_) => *ty == Type::BOOL,
        Cell::Time(_) => *ty == Type::TIMESTAMPTZ,
        Cell::Id(_) => *ty == Type::UUID,
        Cell::Text(_) => [Type::TEXT, Type::VARCHAR, Type::NAME].contains(ty),
        Cell::Bytes(_) => *ty == Type::BYTEA,
    };
    if fits { Ok(()) } else { Err(format!("{cell:?} is no {ty}").into()) }
}

fn write(cell: &Cell<'_>, out: &mut BytesMut) -> Result<(), Fault> {
    match cell {
        Cell::Null => {}
        Cell::Number(number) => out.put_i64(*number),
        Cell::Flag(flag) => out.put_u8(u8::from(*flag)),
        Cell::Time(instant) => out.put_i64(instant.micros().checked_sub(EPOCH_MICROS).ok_or("an instant out of range")?),
        Cell::Id(id) => out.put_slice(id.as_bytes()),
        Cell::Text(text) => out.put_slice(text.as_bytes()),
        Cell::Bytes(bytes) => out.put_slice(bytes),
    }
    Ok(())
}

/// One column of a set of rows: an array parameter, written as the rows come.
#[derive(Debug, Default)]
pub(crate) struct ColumnCells {
    bytes: BytesMut,
    cells: i32,
    has_null: bool,
}

impl ColumnCells {
    /// A column of ids.
    pub(super) fn of_ids(ids: impl IntoIterator<Item = Uuid>) -> Result<Self, StoreError> {
        let mut column = Self::default();
        ids.into_iter().try_for_each(|id| column.push(Cell::Id(id)))?;
        Ok(column)
    }

    /// Appends a cell.
    pub(super) fn push(&mut self, cell: Cell<'_>) -> Result<(), StoreError> {
        let refuse = |reason: Fault| StoreError::Constraint(reason.to_string());
        self.cells = self.cells.checked_add(1).ok_or_else(|| refuse("too many rows".into()))?;
        if matches!(cell, Cell::Null) {
            self.has_null = true;
            self.bytes.put_i32(-1);
            return Ok(());
        }
        let length_at = self.bytes.len();
        self.bytes.put_i32(0);
        write(&cell, &mut self.bytes).map_err(refuse)?;
        let length = i32::try_from(self.bytes.len() - length_at - 4).map_err(|error| refuse(error.into()))?;
        if let Some(place) = self.bytes.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

impl ToSql for ColumnCells {
    /// Dimensions, whether NULLs occur, the type of the elements, their number, the first index, and the elements.
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        let Kind::Array(element) = ty.kind() else {
            return Err(format!("{ty} is no array").into());
        };
        out.put_i32(i32::from(self.cells > 0));
        out.put_i32(i32::from(self.has_null));
        out.put_u32(element.oid());
        if self.cells > 0 {
            out.put_i32(self.cells);
            out.put_i32(1);
            out.put_slice(&self.bytes);
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Array(_))
    }

    to_sql_checked!();
}

/// A set of rows, column by column.
#[derive(Debug)]
pub(super) struct Columnar {
    columns: Vec<ColumnCells>,
    next: usize,
}

impl Columnar {
    /// No rows yet, of so many columns.
    pub(super) fn new(columns: usize) -> Self {
        Self { columns: std::iter::repeat_with(ColumnCells::default).take(columns).collect(), next: 0 }
    }

    /// The columns.
    pub(super) fn into_columns(self) -> Vec<ColumnCells> {
        self.columns
    }
}

impl Sink for Columnar {
    fn put(&mut self, cell: Cell<'_>) -> Result<(), StoreError> {
        let columns = self.columns.len();
        let column = self.columns.get_mut(self.next).ok_or_else(|| StoreError::Engine("a row without columns".to_owned()))?;
        self.next = (self.next + 1) % columns;
        column.push(cell)
    }
}

/// The bytes of a cell, whatever its type.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_ty: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self(raw))
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }
}

/// The bytes of a cell that is of one of these types.
fn raw<'r>(row: &'r Row, place: usize, types: &[Type]) -> Result<Option<&'r [u8]>, WrongType> {
    let column = row.columns().get(place).ok_or(WrongType)?;
    if !types.contains(column.type_()) {
        return Err(WrongType);
    }
    let cell: Option<Raw<'r>> = row.try_get(place).map_err(|_| WrongType)?;
    Ok(cell.map(|cell| cell.0))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], WrongType> {
    bytes.try_into().map_err(|_| WrongType)
}

impl Cells for Row {
    fn number(&self, place: usize) -> Result<Option<i64>, WrongType> {
        let bytes = raw(self, place, &[Type::INT8, Type::INT4])?;
        let number = |bytes: &[u8]| match bytes.len() {
            4 => Ok(i64::from(i32::from_be_bytes(fixed(bytes)?))),
            _ => Ok(i64::from_be_bytes(fixed(bytes)?)),
        };
        bytes.map(number).transpose()
    }

    fn flag(&self, place: usize) -> Result<Option<bool>, WrongType> {
        Ok(raw(self, place, &[Type::BOOL])?.map(|bytes| bytes != [0]))
    }

    fn time(&self, place: usize) -> Result<Option<Instant>, WrongType> {
        let instant = |bytes: &[u8]| {
            let micros = i64::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_MICROS).ok_or(WrongType)?;
            Ok(Instant::from_micros(micros))
        };
        raw(self, place, &[Type::TIMESTAMPTZ])?.map(instant).transpose()
    }

    fn id(&self, place: usize) -> Result<Option<Uuid>, WrongType> {
        let id = |bytes: &[u8]| Ok(Uuid::from_bytes(fixed(bytes)?));
        raw(self, place, &[Type::UUID])?.map(id).transpose()
    }

    fn text(&self, place: usize) -> Result<Option<&str>, WrongType> {
        let bytes = raw(self, place, &[Type::TEXT, Type::VARCHAR, Type::NAME])?;
        bytes.map(str::from_utf8).transpose().map_err(|_| WrongType)
    }

    fn bytes(&self, place: usize) -> Result<Option<&[u8]>, WrongType> {
        raw(self, place, &[Type::BYTEA])
    }

    fn key(&self) -> String {
        if let Ok(Some(id)) = Cells::id(self, 0) {
            return id.to_string();
        }
        if let Ok(Some(number)) = self.number(0) {
            return number.to_string();
        }
        if let Ok(Some(text)) = self.text(0) {
            return text.to_owned();
        }
        let bytes = self.bytes(0).ok().flatten().unwrap_or_default();
        bytes.iter().fold(String::from("0x"), |text, byte| format!("{text}{byte:02x}"))
    }
}
