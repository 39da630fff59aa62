//! The bytes of a table's dump: its columns' names, then one length-prefixed row after the other. Integers are big-endian.

use std::io::{self, Read};

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BYTES: u8 = 3;

/// No row is longer: the longest hold an answer's body or a ledger transaction.
const ROW_BYTES_MAX: usize = 64 * 1024 * 1024;
const COLUMNS_MAX: usize = 1_000;

/// One cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field<'a> {
    /// Nothing.
    Null,
    /// A whole number; an instant in microseconds since 1970; 0 or 1.
    Integer(i64),
    /// Text.
    Text(&'a str),
    /// Bytes; an id.
    Bytes(&'a [u8]),
}

/// How an engine stores a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ColumnType {
    /// A whole number.
    Integer,
    /// Yes or no.
    Flag,
    /// A point in time.
    Time,
    /// An id.
    Id,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

/// Writes the names of the columns.
pub(super) fn put_columns(columns: &[String], out: &mut Vec<u8>) {
    put_length(columns.len(), out);
    for column in columns {
        put_length(column.len(), out);
        out.extend_from_slice(column.as_bytes());
    }
}

/// Writes a row.
pub(super) fn put_row<'a>(fields: impl IntoIterator<Item = Field<'a>>, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    for field in fields {
        match field {
            Field::Null => out.push(NULL),
            Field::Integer(integer) => {
                out.push(INTEGER);
                out.extend_from_slice(&integer.to_be_bytes());
            }
            Field::Text(text) => put_bytes(TEXT, text.as_bytes(), out),
            Field::Bytes(bytes) => put_bytes(BYTES, bytes, out),
        }
    }
    let length = u32::try_from(out.len() - begin - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(begin..begin + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

fn put_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    // What is longer does not fit a row, and the reader refuses it.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// Reads the dump of a table row by row.
#[derive(Debug)]
pub struct RowReader<R> {
    from: R,
    columns: Vec<String>,
    row: Vec<u8>,
}

/// A row that was read: its cells in the order of the columns.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    bytes: &'r [u8],
    cells: usize,
}

impl<R: Read> RowReader<R> {
    /// Reads the names of the columns.
    ///
    /// # Errors
    /// The bytes end too soon or are no dump.
    pub fn new(mut from: R) -> io::Result<Self> {
        let count = read_length(&mut from, COLUMNS_MAX)?;
        let mut columns = Vec::with_capacity(count);
        for _column in 0..count {
            let mut name = vec![0; read_length(&mut from, ROW_BYTES_MAX)?];
            from.read_exact(&mut name)?;
            columns.push(String::from_utf8(name).map_err(|_| no_dump())?);
        }
        Ok(Self { from, columns, row: Vec::new() })
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Where a column stands in a row.
    ///
    /// # Errors
    /// There is no such column.
    pub fn place_of(&self, column: &str) -> io::Result<usize> {
        self.columns.iter().position(|name| name == column).ok_or_else(no_dump)
    }

    /// Reads the next row; `None` at the end.
    ///
    /// # Errors
    /// The bytes end within a row.
    pub fn next_row(&mut self) -> io::Result<Option<Row<'_>>> {
        let mut length = [0; 4];
        if self.from.read(&mut length[..1])? == 0 {
            return Ok(None);
        }
        self.from.read_exact(&mut length[1..])?;
        let length = checked(u32::from_be_bytes(length), ROW_BYTES_MAX)?;
        self.row.resize(length, 0);
        self.from.read_exact(&mut self.row)?;
        Ok(Some(Row { bytes: &self.row, cells: self.columns.len() }))
    }
}

impl<'r> Row<'r> {
    /// The cells.
    ///
    /// # Errors
    /// They are not as many as the columns, or no cells.
    pub fn fields(self) -> io::Result<Vec<Field<'r>>> {
        let mut fields = Vec::with_capacity(self.cells);
        let mut rest = self.bytes;
        while let Some((tag, behind)) = rest.split_first() {
            let (field, behind) = match *tag {
                NULL => (Field::Null, behind),
                INTEGER => {
                    let (integer, behind) = behind.split_first_chunk().ok_or_else(no_dump)?;
                    (Field::Integer(i64::from_be_bytes(*integer)), behind)
                }
                TEXT => {
                    let (text, behind) = split_bytes(behind)?;
                    (Field::Text(str::from_utf8(text).map_err(|_| no_dump())?), behind)
                }
                BYTES => {
                    let (bytes, behind) = split_bytes(behind)?;
                    (Field::Bytes(bytes), behind)
                }
                _ => return Err(no_dump()),
            };
            fields.push(field);
            rest = behind;
        }
        if fields.len() == self.cells { Ok(fields) } else { Err(no_dump()) }
    }
}

fn split_bytes(bytes: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let (length, behind) = bytes.split_first_chunk().ok_or_else(no_dump)?;
    behind.split_at_checked(checked(u32::from_be_bytes(*length), ROW_BYTES_MAX)?).ok_or_else(no_dump)
}

fn read_length(from: &mut impl Read, length_max: usize) -> io::Result<usize> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    checked(u32::from_be_bytes(length), length_max)
}

fn checked(length: u32, length_max: usize) -> io::Result<usize> {
    usize::try_from(length).ok().filter(|length| *length <= length_max).ok_or_else(no_dump)
}

fn no_dump() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the bytes are no dump of a table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written_and_cut_ones_are_refused() {
        let columns = ["id", "name", "count"].map(str::to_owned);
        let rows = [
            [Field::Bytes(&[7; 16]), Field::Text("Žofie"), Field::Integer(-1)],
            [Field::Bytes(&[]), Field::Null, Field::Integer(i64::MAX)],
        ];
        let mut bytes = Vec::new();
        put_columns(&columns, &mut bytes);
        for row in &rows {
            put_row(row.iter().copied(), &mut bytes);
        }
        let mut reader = RowReader::new(bytes.as_slice()).unwrap();
        assert_eq!(reader.columns(), columns);
        assert_eq!(reader.place_of("name").unwrap(), 1);
        for row in rows {
            assert_eq!(reader.next_row().unwrap().unwrap().fields().unwrap(), row);
        }
        assert!(reader.next_row().unwrap().is_none());
        for cut in 0..bytes.len() {
            let whole = RowReader::new(&bytes[..cut]).and_then(|mut reader| {
                let mut rows = 0;
                while reader.next_row()?.is_some() {
                    rows += 1;
                }
                Ok(rows)
            });
            assert!(whole.is_err() || whole.is_ok_and(|rows| rows < 2), "cut at {cut}");
        }
    }
}
