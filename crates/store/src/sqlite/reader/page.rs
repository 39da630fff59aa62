//! Pages of lists that are ordered by creation: found by the key at their edge, never by counting off rows.

use domain::campaign::Campaign;
use domain::credit::Credit;
use domain::document::SignedDocument;
use domain::investment::Investment;
use domain::investor::Investor;
use domain::organisation::Organisation;
use domain::product::{Issuer, Listing, Product};
use domain::wallet::Wallet;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::condition::{Condition, blob};
use crate::error::StoreError;
use crate::queries::{From, PAGE_ROWS_MAX, Page, PageRequest, Position};
use crate::rows::Decode;
use crate::sqlite::statements::{SqliteTable, first, rows, value};

/// A row that has a place in a list.
pub(super) trait Listed {
    /// Its place.
    fn position(&self) -> Position;
}

macro_rules! listed {
    ($($row:ty),+ $(,)?) => {$(
        impl Listed for $row {
            fn position(&self) -> Position {
                Position { created_at: self.created_at, id: self.id.uuid() }
            }
        }
    )+};
}

listed!(Organisation, Issuer, Product, Listing, Campaign, Investor, Wallet, Investment, SignedDocument, Credit);

/// A list: a table, perhaps with the index it is to be read by, and the condition its rows fulfil.
#[derive(Debug)]
pub(super) struct List {
    /// `INDEXED BY …`, where the choice must not be left to the planner, which knows nothing of the data.
    pub(super) index: &'static str,
    /// What its rows fulfil.
    pub(super) condition: Condition,
}

impl List {
    /// A list that the planner finds the index of.
    pub(super) const fn of(condition: Condition) -> Self {
        Self { index: "", condition }
    }

    /// How many rows it has, by counting them.
    pub(super) fn count<T: SqliteTable>(&self, connection: &Connection) -> Result<u64, StoreError> {
        let table = T::COLUMNS.table;
        let sql = format!("SELECT count(*) FROM {table} {} WHERE {}", self.index, self.condition.text());
        let count: Option<i64> = value(connection, table, &sql, params_from_iter(self.condition.parameters()))?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// The first row, for an object that is looked up as a list of one.
    pub(super) fn single<T: Decode + SqliteTable>(&self, connection: &Connection) -> Result<Option<T>, StoreError> {
        let sql = format!("{} {} WHERE {} LIMIT 1", T::statements().select, self.index, self.condition.text());
        first(connection, &sql, params_from_iter(self.condition.parameters()))
    }

    /// A page, the rows counted.
    pub(super) fn page<T: Decode + SqliteTable + Listed>(
        &self,
        connection: &Connection,
        request: PageRequest,
    ) -> Result<Page<T>, StoreError> {
        let count = self.count::<T>(connection)?;
        self.page_of(connection, request, count)
    }

    /// A page of a list whose length is known.
    pub(super) fn page_of<T: Decode + SqliteTable + Listed>(
        &self,
        connection: &Connection,
        request: PageRequest,
        count: u64,
    ) -> Result<Page<T>, StoreError> {
        if count == 0 {
            return Ok(Page { count, rows: Vec::new(), has_previous: false, has_next: false });
        }
        let limit = usize::try_from(request.limit.clamp(1, PAGE_ROWS_MAX)).unwrap_or(1);
        match request.from {
            From::Start => {
                let mut rows = self.part(connection, None, Direction::Forwards, limit, count)?;
                let has_next = cut(&mut rows, limit);
                Ok(Page { count, rows, has_previous: false, has_next })
            }
            From::After(position) => {
                let mut rows: Vec<T> = self.part(connection, Some(position), Direction::Forwards, limit, count)?;
                let has_next = cut(&mut rows, limit);
                let has_previous = match rows.first().map(Listed::position) {
                    Some(edge) => self.has_any::<T>(connection, edge, Direction::Backwards)?,
                    None => true,
                };
                Ok(Page { count, rows, has_previous, has_next })
            }
            From::Before(position) => {
                let mut rows: Vec<T> = self.part(connection, Some(position), Direction::Backwards, limit, count)?;
                let has_previous = cut(&mut rows, limit);
                rows.reverse();
                let has_next = match rows.last().map(Listed::position) {
                    Some(edge) => self.has_any::<T>(connection, edge, Direction::Forwards)?,
                    None => true,
                };
                Ok(Page { count, rows, has_previous, has_next })
            }
        }
    }

    /// The rows next to a position, one more than asked for: it tells whether there are more.
    fn part<T: Decode + SqliteTable>(
        &self,
        connection: &Connection,
        from: Option<Position>,
        direction: Direction,
        limit: usize,
        count: u64,
    ) -> Result<Vec<T>, StoreError> {
        let (sql, mut parameters) = self.walk(&T::statements().select, from, direction);
        // No more than there are: a list with few matches is not searched to its end for one more.
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1).min(count);
        parameters.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        rows(connection, &sql, params_from_iter(parameters))
    }

    fn has_any<T: SqliteTable>(
        &self,
        connection: &Connection,
        position: Position,
        direction: Direction,
    ) -> Result<bool, StoreError> {
        let table = T::COLUMNS.table;
        let (sql, mut parameters) = self.walk(&format!("SELECT 1 FROM {table}"), Some(position), direction);
        parameters.push(Value::Integer(1));
        Ok(value::<i64>(connection, table, &sql, params_from_iter(parameters))?.is_some())
    }

    /// A query along the list, from a position on; its last parameter, the limit, is left to the caller.
    fn walk(&self, select: &str, from: Option<Position>, direction: Direction) -> (String, Vec<Value>) {
        let mut condition = self.condition.clone();
        let (comparison, order) = match direction {
            Direction::Forwards => ("(created_at, id) > (?, ?)", "created_at, id"),
            Direction::Backwards => ("(created_at, id) < (?, ?)", "created_at DESC, id DESC"),
        };
        if let Some(position) = from {
            condition = condition.and(comparison, [Value::Integer(position.created_at.micros()), blob(position.id)]);
        }
        let sql = format!("{select} {} WHERE {} ORDER BY {order} LIMIT ?", self.index, condition.text());
        (sql, condition.parameters().to_vec())
    }

    /// How the engine walks the list, one line a step.
    #[cfg(test)]
    pub(super) fn plan<T: SqliteTable>(&self, connection: &Connection, from: Option<Position>, is_forwards: bool) -> Vec<String> {
        let direction = if is_forwards { Direction::Forwards } else { Direction::Backwards };
        let (sql, mut parameters) = self.walk(&T::statements().select, from, direction);
        parameters.push(Value::Integer(50));
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(parameters), |row| row.get("detail")).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Forwards,
    Backwards,
}

/// Takes away what was read beyond the page, and says whether there was any.
fn cut<T>(rows: &mut Vec<T>, limit: usize) -> bool {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}
