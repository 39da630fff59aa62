//! The engine for several servers at once: a `PostgreSQL` database, rows locked in one order, everything set-wise.

mod cells;
mod connect;
mod day_tables;
mod dump;
mod failure;
mod migrations;
mod pipeline;
mod runtime;
mod sessions;
#[cfg(test)]
mod tests;
mod writer;

pub use connect::Database;
pub use writer::PostgresWriter;

pub(crate) use dump::{Load, kind_of};
pub(crate) use sessions::{Session, Sessions};

/// Gives, for each foreign key, a query that finds rows which refer to nothing. `PostgreSQL` itself never looks again.
pub(crate) const REFERENCE_CHECKS: &str = "
    SELECT format(
        'SELECT %1$L || '' row '' || (child.%3$I)::text || '' refers to no '' || %2$L
         FROM %4$s AS child LEFT JOIN %5$s AS parent ON parent.%6$I = child.%3$I
         WHERE child.%3$I IS NOT NULL AND parent.%6$I IS NULL LIMIT 100',
        child.relname, parent.relname, child_column.attname, reference.conrelid::regclass, reference.confrelid::regclass,
        parent_column.attname)
    FROM pg_constraint AS reference
    JOIN pg_class AS child ON child.oid = reference.conrelid
    JOIN pg_class AS parent ON parent.oid = reference.confrelid
    JOIN pg_attribute AS child_column
        ON child_column.attrelid = reference.conrelid AND child_column.attnum = reference.conkey[1]
    JOIN pg_attribute AS parent_column
        ON parent_column.attrelid = reference.confrelid AND parent_column.attnum = reference.confkey[1]
    WHERE reference.contype = 'f' AND reference.connamespace = current_schema()::regnamespace
    ORDER BY child.relname, child_column.attname";

/// Every table, by name.
pub(crate) const TABLE_NAMES: &str = "SELECT relname::text FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = current_schema()::regnamespace ORDER BY relname COLLATE \"C\"";
/// The columns of a table by name: name, type, and place in the primary key, or -1.
pub(crate) const COLUMNS: &str = "
    SELECT attname::text, typname::text, coalesce(array_position(indkey::int2[], attnum), -1)::bigint
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
    WHERE attrelid = quote_ident(?::text)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attname COLLATE \"C\"";
