//! Pages of lists that are ordered by creation: found by the key at their edge, never by counting off rows.

use domain::campaign::Campaign;
use domain::credit::Credit;
use domain::document::SignedDocument;
use domain::investment::Investment;
use domain::investor::Investor;
use domain::organisation::Organisation;
use domain::product::{Issuer, Listing, Product};
use domain::wallet::Wallet;

use super::condition::Condition;
use super::snapshot::{Query, Snapshot, Value};
use crate::error::StoreError;
use crate::queries::{From, PAGE_ROWS_MAX, Page, PageRequest, Position};
use crate::rows::{Decode, Table};

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

/// What a list is read by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Index {
    /// What the planner finds.
    Any,
    /// The index of the table's key.
    Key,
    /// An index by its name: the embedded engine's planner knows nothing of the data and is not left the choice.
    Named(&'static str),
}

/// A list: a table, perhaps with the index it is to be read by, and the condition its rows fulfil.
#[derive(Debug)]
pub(super) struct List {
    /// What it is read by.
    pub(super) index: Index,
    /// What its rows fulfil.
    pub(super) condition: Condition,
}

impl List {
    /// A list that the planner finds the index of.
    pub(super) const fn of(condition: Condition) -> Self {
        Self { index: Index::Any, condition }
    }

    /// How many rows it has, by counting them.
    pub(super) fn count<T: Table>(&self, snapshot: &Snapshot<'_>) -> Result<u64, StoreError> {
        let table = T::COLUMNS.table;
        let sql = format!("SELECT count(*) FROM {} WHERE {}", self.source::<T>(snapshot), self.condition.text());
        let count: Option<i64> = snapshot.value(table, &sql, self.condition.parameters())?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// The first row, for an object that is looked up as a list of one.
    pub(super) fn single<T: Decode>(&self, snapshot: &Snapshot<'_>) -> Result<Option<T>, StoreError> {
        let Query { sql, parameters, .. } = self.single_query::<T>(snapshot);
        snapshot.first(&sql, parameters)
    }

    /// The question for the first row.
    pub(super) fn single_query<T: Table>(&self, snapshot: &Snapshot<'_>) -> Query {
        let (columns, source, table) = (T::COLUMNS.list(), self.source::<T>(snapshot), T::COLUMNS.table);
        let sql = format!("SELECT {columns} FROM {source} WHERE {} LIMIT 1", self.condition.text());
        Query { table, sql, parameters: self.condition.parameters() }
    }

    /// The question for the rows of another table that refer to the row of a list of one by a column, in an order.
    pub(super) fn query_below<B: Table, T: Table>(&self, snapshot: &Snapshot<'_>, column: &str, order: &str) -> Query {
        let (columns, table, source) = (B::COLUMNS.list(), B::COLUMNS.table, self.source::<T>(snapshot));
        let found = format!("SELECT id FROM {source} WHERE {}", self.condition.text());
        let sql = format!("SELECT {columns} FROM {table} WHERE {column} = ({found}) ORDER BY {order}");
        Query { table, sql, parameters: self.condition.parameters() }
    }

    /// A page, the rows counted.
    pub(super) fn page<T: Decode + Listed>(&self, snapshot: &Snapshot<'_>, request: PageRequest) -> Result<Page<T>, StoreError> {
        let count = self.count::<T>(snapshot)?;
        self.page_of(snapshot, request, count)
    }

    /// A page of a list whose length is known.
    pub(super) fn page_of<T: Decode + Listed>(
        &self,
        snapshot: &Snapshot<'_>,
        request: PageRequest,
        count: u64,
    ) -> Result<Page<T>, StoreError> {
        if count == 0 {
            return Ok(Page { count, rows: Vec::new(), has_previous: false, has_next: false });
        }
        let limit = usize::try_from(request.limit.clamp(1, PAGE_ROWS_MAX)).unwrap_or(1);
        match request.from {
            From::Start => {
                let mut rows = self.part(snapshot, None, Direction::Forwards, limit, count)?;
                let has_next = cut(&mut rows, limit);
                Ok(Page { count, rows, has_previous: false, has_next })
            }
            From::After(position) => {
                let mut rows: Vec<T> = self.part(snapshot, Some(position), Direction::Forwards, limit, count)?;
                let has_next = cut(&mut rows, limit);
                let has_previous = match rows.first().map(Listed::position) {
                    Some(edge) => self.has_any::<T>(snapshot, edge, Direction::Backwards)?,
                    None => true,
                };
                Ok(Page { count, rows, has_previous, has_next })
            }
            From::Before(position) => {
                let mut rows: Vec<T> = self.part(snapshot, Some(position), Direction::Backwards, limit, count)?;
                let has_previous = cut(&mut rows, limit);
                rows.reverse();
                let has_next = match rows.last().map(Listed::position) {
                    Some(edge) => self.has_any::<T>(snapshot, edge, Direction::Forwards)?,
                    None => true,
                };
                Ok(Page { count, rows, has_previous, has_next })
            }
        }
    }

    /// The rows next to a position, one more than asked for: it tells whether there are more.
    fn part<T: Decode>(
        &self,
        snapshot: &Snapshot<'_>,
        from: Option<Position>,
        direction: Direction,
        limit: usize,
        count: u64,
    ) -> Result<Vec<T>, StoreError> {
        let (sql, mut parameters) = self.walk::<T>(snapshot, &T::COLUMNS.list(), from, direction);
        // No more than there are: a list with few matches is not searched to its end for one more.
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1).min(count);
        parameters.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        snapshot.rows(&sql, parameters)
    }

    fn has_any<T: Table>(&self, snapshot: &Snapshot<'_>, position: Position, direction: Direction) -> Result<bool, StoreError> {
        let table = T::COLUMNS.table;
        let (sql, mut parameters) = self.walk::<T>(snapshot, "1", Some(position), direction);
        parameters.push(1_i64.into());
        snapshot.has_any(table, &sql, parameters)
    }

    /// A query along the list, from a position on; its last parameter, the limit, is left to the caller.
    fn walk<T: Table>(
        &self,
        snapshot: &Snapshot<'_>,
        columns: &str,
        from: Option<Position>,
        direction: Direction,
    ) -> (String, Vec<Value>) {
        let mut condition = self.condition.clone();
        let (comparison, order) = direction.along();
        if let Some(position) = from {
            condition = condition.and(comparison, [position.created_at.into(), position.id.into()]);
        }
        let source = self.source::<T>(snapshot);
        let sql = format!("SELECT {columns} FROM {source} WHERE {} ORDER BY {order} LIMIT ?", condition.text());
        (sql, condition.parameters())
    }

    /// The table, and how it is to be read.
    fn source<T: Table>(&self, snapshot: &Snapshot<'_>) -> String {
        let table = T::COLUMNS.table;
        format!("{table} {}", snapshot.indexed_by(self.index, table))
    }

    /// How an engine walks the list, one line a step.
    #[cfg(test)]
    pub(super) fn plan<T: Decode>(&self, snapshot: &Snapshot<'_>, from: Option<Position>, is_forwards: bool) -> Vec<String> {
        let direction = if is_forwards { Direction::Forwards } else { Direction::Backwards };
        let (sql, mut parameters) = self.walk::<T>(snapshot, &T::COLUMNS.list(), from, direction);
        parameters.push(50_i64.into());
        explain(snapshot, &sql, parameters)
    }
}

/// How an engine works a query off, one line a step.
#[cfg(test)]
pub(super) fn explain(snapshot: &Snapshot<'_>, sql: &str, parameters: Vec<Value>) -> Vec<String> {
    let (explain, place) = match snapshot {
        Snapshot::Sqlite(_) => ("EXPLAIN QUERY PLAN", 3),
        Snapshot::Postgres(_) => ("EXPLAIN", 0),
    };
    let mut steps = Vec::new();
    let mut take = |row: &dyn crate::rows::Cells| {
        steps.extend(row.text(place).unwrap().map(str::to_owned));
        Ok(())
    };
    snapshot.each("plan", &format!("{explain} {sql}"), parameters, &mut take).unwrap();
    steps
}

/// Which way a list is walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    /// From the oldest to the newest.
    Forwards,
    /// From the newest to the oldest.
    Backwards,
}

impl Direction {
    /// What lies this way from a position, and in which order it comes.
    pub(super) const fn along(self) -> (&'static str, &'static str) {
        match self {
            Self::Forwards => ("(created_at, id) > (?, ?)", "created_at, id"),
            Self::Backwards => ("(created_at, id) < (?, ?)", "created_at DESC, id DESC"),
        }
    }
}

/// Takes away what was read beyond the page, and says whether there was any.
fn cut<T>(rows: &mut Vec<T>, limit: usize) -> bool {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}
