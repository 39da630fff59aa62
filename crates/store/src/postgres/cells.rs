//! Cells in the server's binary format: parameters, columns of a set, and rows that were read.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use domain::instant::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::error::StoreError;
use crate::reader::Value;
use crate::rows::{Cell, Cells, Columns, Encode, Sink, WrongType};

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
            Value::Address(address) => Cell::Bytes(address.as_bytes()),
            Value::Ids(ids) => return ColumnCells::of_ids(ids.iter().copied())?.to_sql(ty, out),
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

/// A column of keys or values: an array parameter, written as the cells come.
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
        self.has_null |= matches!(cell, Cell::Null);
        append(&cell, &mut self.bytes).map_err(refuse)
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

/// A set of rows as one parameter: an array of the table's own row type. One array of rows costs the server a fraction of
/// what it takes to put the rows together from an array a column.
#[derive(Debug)]
pub(super) struct RowCells {
    columns: &'static Columns,
    /// Every cell in the order of the columns: its length (-1 where it is absent), and its bytes.
    bytes: BytesMut,
    rows: i32,
}

impl RowCells {
    /// No rows yet.
    pub(super) fn of(columns: &'static Columns) -> Self {
        Self { columns, bytes: BytesMut::new(), rows: 0 }
    }

    /// Adds a row.
    pub(super) fn push<V: Encode>(&mut self, row: &V) -> Result<(), StoreError> {
        self.rows = self.rows.checked_add(1).ok_or_else(|| StoreError::Constraint("too many rows".to_owned()))?;
        row.write(&mut RowSink(&mut self.bytes))
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> i64 {
        i64::from(self.rows)
    }

    /// Appends one row as the server's row type has it: how many cells, and each with its type.
    fn write_row<'b>(&'b self, cells: &mut &'b [u8], places: &[(u32, Option<usize>)], out: &mut BytesMut) -> Result<(), Fault> {
        let row: Vec<&[u8]> = (0..self.columns.len()).map(|_| next_cell(cells)).collect::<Result<_, _>>()?;
        out.put_i32(i32::try_from(places.len())?);
        for (oid, place) in places {
            out.put_u32(*oid);
            match place.and_then(|place| row.get(place)) {
                Some(cell) => out.put_slice(cell),
                None => out.put_i32(ABSENT),
            }
        }
        Ok(())
    }
}

/// The length of a cell that is absent.
const ABSENT: i32 = -1;

/// Takes the next cell, its length included.
fn next_cell<'b>(cells: &mut &'b [u8]) -> Result<&'b [u8], Fault> {
    let (length, _) = cells.split_first_chunk().ok_or("a row with too few cells")?;
    let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    let (cell, rest) = cells.split_at_checked(4 + length).ok_or("a row with too few cells")?;
    *cells = rest;
    Ok(cell)
}

impl ToSql for RowCells {
    /// Dimensions, whether NULLs occur, the row type, the number of rows, the first index, and the rows. The columns stand
    /// in the order of the table; one that the program does not know is left absent.
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        let Kind::Array(element) = ty.kind() else {
            return Err(format!("{ty} is no array").into());
        };
        let Kind::Composite(fields) = element.kind() else {
            return Err(format!("{element} is no row").into());
        };
        let place_of = |name: &str| self.columns.iter().position(|column| column == name);
        let places: Vec<_> = fields.iter().map(|field| (field.type_().oid(), place_of(field.name()))).collect();
        out.reserve(self.bytes.len() * 2);
        out.put_i32(i32::from(self.rows > 0));
        out.put_i32(0);
        out.put_u32(element.oid());
        if self.rows > 0 {
            out.put_i32(self.rows);
            out.put_i32(1);
        }
        let mut cells = &self.bytes[..];
        for _ in 0..self.rows {
            with_length(out, |out| self.write_row(&mut cells, &places, out))?;
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Array(_))
    }

    to_sql_checked!();
}

/// Takes the cells of rows.
struct RowSink<'b>(&'b mut BytesMut);

impl Sink for RowSink<'_> {
    fn put(&mut self, cell: Cell<'_>) -> Result<(), StoreError> {
        append(&cell, self.0).map_err(|reason| StoreError::Constraint(reason.to_string()))
    }
}

/// Appends a cell with its length.
fn append(cell: &Cell<'_>, out: &mut BytesMut) -> Result<(), Fault> {
    if matches!(cell, Cell::Null) {
        out.put_i32(ABSENT);
        return Ok(());
    }
    with_length(out, |out| write(cell, out))
}

/// Puts the length of what is written in front of it.
fn with_length(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), Fault>) -> Result<(), Fault> {
    let length_at = out.len();
    out.put_i32(0);
    write(out)?;
    let length = i32::try_from(out.len() - length_at - 4)?;
    if let Some(place) = out.get_mut(length_at..length_at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
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
