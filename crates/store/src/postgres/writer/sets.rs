//! Whole sets of rows as one statement: the rows are one array.

use super::super::cells::{ColumnCells, RowCells};
use super::super::pipeline::BoxedParameter;
use crate::error::StoreError;
use crate::rows::{Columns, Encode};

/// Rows of one table.
pub(super) struct RowSet {
    columns: &'static Columns,
    cells: RowCells,
}

impl RowSet {
    pub(super) fn of<V: Encode>() -> Self {
        Self { columns: V::COLUMNS, cells: RowCells::of(V::COLUMNS) }
    }

    /// Adds a row.
    pub(super) fn push<V: Encode>(&mut self, row: &V) -> Result<(), StoreError> {
        self.cells.push(row)
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.len() == 0
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> i64 {
        self.cells.len()
    }

    /// An insert of all rows into a table, and its parameter.
    pub(super) fn insert(self, into: &str) -> (String, Vec<BoxedParameter>) {
        let (columns, table) = (self.columns.list(), self.columns.table);
        let sql = format!("INSERT INTO {into} ({columns}) SELECT {columns} FROM UNNEST($1::{table}[])");
        (sql, vec![Box::new(self.cells)])
    }

    /// An insert of all rows that changes the changing columns of those that are there.
    pub(super) fn upsert(self) -> (String, Vec<BoxedParameter>) {
        let (key, table) = (self.columns.name_at(0), self.columns.table);
        let set: Vec<String> = self.columns.changing.iter().map(|column| format!("{column} = EXCLUDED.{column}")).collect();
        let (insert, parameters) = self.insert(table);
        (format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", ")), parameters)
    }

    /// An update of the changing columns of the rows with these keys, each only where it still has the version before.
    pub(super) fn update(self) -> (String, Vec<BoxedParameter>) {
        let (key, table, changing) = (self.columns.name_at(0), self.columns.table, self.columns.changing);
        let set: Vec<String> = changing.iter().map(|column| format!("{column} = changed.{column}")).collect();
        let sql = format!(
            "UPDATE {table} AS stored SET {} FROM UNNEST($1::{table}[]) AS changed
             WHERE stored.{key} = changed.{key} AND stored.version = changed.version - 1",
            set.join(", ")
        );
        (sql, vec![Box::new(self.cells)])
    }
}

/// Columns as parameters.
pub(super) fn boxed(columns: impl IntoIterator<Item = ColumnCells>) -> Vec<BoxedParameter> {
    columns.into_iter().map(|column| -> BoxedParameter { Box::new(column) }).collect()
}
