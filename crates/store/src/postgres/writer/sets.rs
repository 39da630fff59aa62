//! Whole sets of rows as one statement: every column is one array.

use std::collections::HashMap;

use deadpool_postgres::Object;

use super::super::cells::{ColumnCells, Columnar};
use super::super::failure::of_table;
use super::super::pipeline::BoxedParameter;
use crate::error::StoreError;
use crate::rows::{Columns, Encode};

const COLUMN_TYPES: &str = "
    SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped";

/// The type of every column of every table, as the server says: an array needs to be told its own.
#[derive(Debug)]
pub(super) struct ColumnTypes(HashMap<(String, String), String>);

impl ColumnTypes {
    pub(super) async fn read(connection: &Object) -> Result<Self, StoreError> {
        let failed = |error: tokio_postgres::Error| of_table("database", &error);
        let rows = connection.query(COLUMN_TYPES, &[]).await.map_err(failed)?;
        let mut types = HashMap::with_capacity(rows.len());
        for row in &rows {
            let key = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            types.insert(key, row.try_get(2).map_err(failed)?);
        }
        Ok(Self(types))
    }

    /// `UNNEST($1::…[], $2::…[])` over columns of a table, from the first parameter on.
    pub(super) fn unnest(&self, table: &str, columns: impl IntoIterator<Item = &'static str>) -> Result<String, StoreError> {
        let mut arrays = Vec::new();
        for (place, column) in (1..).zip(columns) {
            let known = self.0.get(&(table.to_owned(), column.to_owned()));
            let ty = known.ok_or_else(|| StoreError::Engine(format!("the database has no column {table}.{column}")))?;
            arrays.push(format!("${place}::{ty}[]"));
        }
        Ok(format!("UNNEST({})", arrays.join(", ")))
    }
}

/// Rows of one table, column by column.
pub(super) struct RowSet {
    columns: &'static Columns,
    cells: Columnar,
    rows: u64,
}

impl RowSet {
    pub(super) fn of<V: Encode>() -> Self {
        Self { columns: V::COLUMNS, cells: Columnar::new(V::COLUMNS.len()), rows: 0 }
    }

    /// Adds a row.
    pub(super) fn push<V: Encode>(&mut self, row: &V) -> Result<(), StoreError> {
        self.rows += 1;
        row.write(&mut self.cells)
    }

    /// How many rows there are.
    pub(super) const fn len(&self) -> u64 {
        self.rows
    }

    /// An insert of all rows into a table, and its parameters.
    pub(super) fn insert(self, types: &ColumnTypes, into: &str) -> Result<(String, Vec<BoxedParameter>), StoreError> {
        let (columns, source) = (self.columns.list(), types.unnest(self.columns.table, self.columns.iter())?);
        let sql = format!("INSERT INTO {into} ({columns}) SELECT * FROM {source}");
        Ok((sql, boxed(self.cells.into_columns())))
    }

    /// An insert of all rows that changes the changing columns of those that are there.
    pub(super) fn upsert(self, types: &ColumnTypes) -> Result<(String, Vec<BoxedParameter>), StoreError> {
        let (key, table) = (self.columns.name_at(0), self.columns.table);
        let set: Vec<String> = self.columns.changing.iter().map(|column| format!("{column} = EXCLUDED.{column}")).collect();
        let (insert, parameters) = self.insert(types, table)?;
        Ok((format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", ")), parameters))
    }

    /// An update of the changing columns of the rows with these keys, each only where it still has the version it was
    /// loaded with.
    pub(super) fn update(self, types: &ColumnTypes, loaded: ColumnCells) -> Result<(String, Vec<BoxedParameter>), StoreError> {
        let (key, table, changing) = (self.columns.name_at(0), self.columns.table, self.columns.changing);
        let set: Vec<String> = changing.iter().map(|column| format!("{column} = changed.{column}")).collect();
        let written = || std::iter::once(key).chain(changing.iter().copied());
        let source = types.unnest(table, written().chain(["version"]))?;
        let names: Vec<&str> = written().chain(["loaded_version"]).collect();
        let sql = format!(
            "UPDATE {table} AS stored SET {} FROM {source} AS changed ({}) WHERE stored.{key} = changed.{key} AND stored.version = loaded_version",
            set.join(", "),
            names.join(", ")
        );
        let fixed = self.columns.fixed.len();
        let columns = self.cells.into_columns().into_iter().enumerate();
        let written = columns.filter(|(place, _)| *place == 0 || *place >= fixed).map(|(_, column)| column);
        Ok((sql, boxed(written.chain([loaded]))))
    }
}

/// Columns as parameters.
pub(super) fn boxed(columns: impl IntoIterator<Item = ColumnCells>) -> Vec<BoxedParameter> {
    columns.into_iter().map(|column| -> BoxedParameter { Box::new(column) }).collect()
}
