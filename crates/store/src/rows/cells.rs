//! Cells: what every engine can hold, and how rows are written into and read out of them.

use domain::instant::Instant;
use domain::money::{Currency, Percent};
use domain::text::Name;
use domain::units::Units;
use domain::wallet::EvmAddress;
use uuid::Uuid;

use super::Columns;
use crate::error::StoreError;

/// One value of one column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    /// Absent.
    Null,
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A point in time.
    Time(Instant),
    /// An id.
    Id(Uuid),
    /// Text.
    Text(&'a str),
    /// Bytes: hashes, addresses, sealed data.
    Bytes(&'a [u8]),
}

/// Takes the cells of a row in the order of its columns. Every engine binds them in its own way.
pub(crate) trait Sink {
    /// Takes the next cell.
    fn put(&mut self, cell: Cell<'_>) -> Result<(), StoreError>;
}

/// A cell does not hold what its column should.
#[derive(Debug)]
pub(crate) struct WrongType;

/// The cells of a row that was read, by place. Every engine reads them in its own way.
pub(crate) trait Cells {
    /// A whole number.
    fn number(&self, place: usize) -> Result<Option<i64>, WrongType>;
    /// Yes or no.
    fn flag(&self, place: usize) -> Result<Option<bool>, WrongType>;
    /// A point in time.
    fn time(&self, place: usize) -> Result<Option<Instant>, WrongType>;
    /// An id.
    fn id(&self, place: usize) -> Result<Option<Uuid>, WrongType>;
    /// Text.
    fn text(&self, place: usize) -> Result<Option<&str>, WrongType>;
    /// Bytes.
    fn bytes(&self, place: usize) -> Result<Option<&[u8]>, WrongType>;
    /// The first cell, for people who look for the row.
    fn key(&self) -> String;
}

impl Cells for &dyn Cells {
    fn number(&self, place: usize) -> Result<Option<i64>, WrongType> {
        (**self).number(place)
    }

    fn flag(&self, place: usize) -> Result<Option<bool>, WrongType> {
        (**self).flag(place)
    }

    fn time(&self, place: usize) -> Result<Option<Instant>, WrongType> {
        (**self).time(place)
    }

    fn id(&self, place: usize) -> Result<Option<Uuid>, WrongType> {
        (**self).id(place)
    }

    fn text(&self, place: usize) -> Result<Option<&str>, WrongType> {
        (**self).text(place)
    }

    fn bytes(&self, place: usize) -> Result<Option<&[u8]>, WrongType> {
        (**self).bytes(place)
    }

    fn key(&self) -> String {
        (**self).key()
    }
}

/// Writes a row cell by cell. The first fault is kept and the rest ignored, so that a row reads as one chain of calls.
pub(crate) struct Encoder<'s, S: Sink> {
    sink: &'s mut S,
    columns: &'static Columns,
    place: usize,
    fault: Option<StoreError>,
}

impl<'s, S: Sink> Encoder<'s, S> {
    /// Begins a row.
    pub(crate) fn new(sink: &'s mut S, columns: &'static Columns) -> Self {
        Self { sink, columns, place: 0, fault: None }
    }

    /// Ends the row.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Refuses the row because of its next column.
    pub(crate) fn refuse(&mut self, reason: &str) -> &mut Self {
        let column = self.columns.name_at(self.place);
        self.fault.get_or_insert_with(|| StoreError::Constraint(format!("{}.{column} {reason}", self.columns.table)));
        self
    }

    fn put(&mut self, cell: Cell<'_>) -> &mut Self {
        self.place += 1;
        if self.fault.is_none() {
            self.fault = self.sink.put(cell).err();
        }
        self
    }

    pub(crate) fn id(&mut self, id: Uuid) -> &mut Self {
        self.put(Cell::Id(id))
    }

    pub(crate) fn optional_id(&mut self, id: Option<Uuid>) -> &mut Self {
        self.put(id.map_or(Cell::Null, Cell::Id))
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        match i64::try_from(number) {
            Ok(number) => self.put(Cell::Number(number)),
            Err(_) => self.refuse("is more than 2^63 - 1"),
        }
    }

    pub(crate) fn optional_number(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.put(Cell::Null),
        }
    }

    pub(crate) fn signed(&mut self, number: i64) -> &mut Self {
        self.put(Cell::Number(number))
    }

    pub(crate) fn optional_signed(&mut self, number: Option<i64>) -> &mut Self {
        self.put(number.map_or(Cell::Null, Cell::Number))
    }

    /// The version that the row has after it is written.
    pub(crate) fn next_version(&mut self, loaded: u64) -> &mut Self {
        self.number(loaded.saturating_add(1))
    }

    pub(crate) fn units(&mut self, units: Units) -> &mut Self {
        self.number(units.get())
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.put(Cell::Flag(flag))
    }

    pub(crate) fn optional_flag(&mut self, flag: Option<bool>) -> &mut Self {
        self.put(flag.map_or(Cell::Null, Cell::Flag))
    }

    pub(crate) fn instant(&mut self, instant: Instant) -> &mut Self {
        self.put(Cell::Time(instant))
    }

    pub(crate) fn optional_instant(&mut self, instant: Option<Instant>) -> &mut Self {
        self.put(instant.map_or(Cell::Null, Cell::Time))
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.put(Cell::Text(text))
    }

    pub(crate) fn optional_text(&mut self, text: Option<&str>) -> &mut Self {
        self.put(text.map_or(Cell::Null, Cell::Text))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.put(Cell::Bytes(bytes))
    }

    pub(crate) fn optional_bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        self.put(bytes.map_or(Cell::Null, Cell::Bytes))
    }
}

/// Reads a row cell by cell, in the order of its columns.
pub(crate) struct Decoder<'r, C: Cells> {
    cells: &'r C,
    columns: &'static Columns,
    place: usize,
}

impl<'r, C: Cells> Decoder<'r, C> {
    /// Begins a row.
    pub(crate) const fn new(cells: &'r C, columns: &'static Columns) -> Self {
        Self { cells, columns, place: 0 }
    }

    /// What was read last cannot be what it should be.
    pub(crate) fn fault(&self) -> StoreError {
        self.fault_at(self.columns.name_at(self.place.saturating_sub(1)))
    }

    /// A column contradicts others of its row.
    pub(crate) fn fault_at(&self, column: &'static str) -> StoreError {
        StoreError::Inconsistent { table: self.columns.table, column, row: self.cells.key() }
    }

    fn next<T>(&mut self, read: impl FnOnce(&'r C, usize) -> Result<Option<T>, WrongType>) -> Result<Option<T>, StoreError> {
        let place = self.place;
        self.place += 1;
        read(self.cells, place).map_err(|WrongType| self.fault())
    }

    fn required<T>(&mut self, read: impl FnOnce(&'r C, usize) -> Result<Option<T>, WrongType>) -> Result<T, StoreError> {
        self.next(read)?.ok_or_else(|| self.fault())
    }

    pub(crate) fn id<T: From<Uuid>>(&mut self) -> Result<T, StoreError> {
        self.required(C::id).map(T::from)
    }

    pub(crate) fn optional_id<T: From<Uuid>>(&mut self) -> Result<Option<T>, StoreError> {
        Ok(self.next(C::id)?.map(T::from))
    }

    /// A number that fits the type.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let number = self.required(C::number)?;
        T::try_from(number).map_err(|_| self.fault())
    }

    pub(crate) fn optional_number<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, StoreError> {
        let number = self.next(C::number)?;
        number.map(T::try_from).transpose().map_err(|_| self.fault())
    }

    pub(crate) fn units(&mut self) -> Result<Units, StoreError> {
        let number: u64 = self.number()?;
        Units::new(number).ok_or_else(|| self.fault())
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StoreError> {
        self.required(C::flag)
    }

    pub(crate) fn optional_flag(&mut self) -> Result<Option<bool>, StoreError> {
        self.next(C::flag)
    }

    pub(crate) fn instant(&mut self) -> Result<Instant, StoreError> {
        self.required(C::time)
    }

    pub(crate) fn optional_instant(&mut self) -> Result<Option<Instant>, StoreError> {
        self.next(C::time)
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, StoreError> {
        self.required(C::text)
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'r str>, StoreError> {
        self.next(C::text)
    }

    /// A word that stands for one of a few values.
    pub(crate) fn code<T>(&mut self, value_of: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        let code = self.text()?;
        value_of(code).ok_or_else(|| self.fault())
    }

    pub(crate) fn optional_code<T>(&mut self, value_of: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
        match self.optional_text()? {
            Some(code) => value_of(code).map(Some).ok_or_else(|| self.fault()),
            None => Ok(None),
        }
    }

    pub(crate) fn name(&mut self) -> Result<Name, StoreError> {
        self.code(|text| Name::parse(text).ok())
    }

    pub(crate) fn currency(&mut self) -> Result<Currency, StoreError> {
        self.code(|text| Currency::parse(text).ok())
    }

    pub(crate) fn percent(&mut self) -> Result<Percent, StoreError> {
        self.code(|text| Percent::parse(text).ok())
    }

    pub(crate) fn bytes(&mut self) -> Result<&'r [u8], StoreError> {
        self.required(C::bytes)
    }

    /// Bytes of a fixed length.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| self.fault())
    }

    pub(crate) fn optional_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, StoreError> {
        let bytes = self.next(C::bytes)?;
        bytes.map(<[u8; N]>::try_from).transpose().map_err(|_| self.fault())
    }

    pub(crate) fn address(&mut self) -> Result<EvmAddress, StoreError> {
        self.array().map(EvmAddress::new)
    }

    pub(crate) fn optional_address(&mut self) -> Result<Option<EvmAddress>, StoreError> {
        Ok(self.optional_array()?.map(EvmAddress::new))
    }
}
