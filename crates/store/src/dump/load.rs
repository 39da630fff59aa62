//! Taking a dump into an empty database.

use std::io::{self, Read};

use super::{DumpFault, RowReader};
use crate::schema::{MIGRATIONS, Migration, SchemaVersion};

/// Where a dump comes from.
pub trait DumpSource {
    /// The tables that it holds.
    fn tables(&self) -> Vec<String>;

    /// The bytes of a table.
    ///
    /// # Errors
    /// They cannot be read.
    fn open(&mut self, table: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// An empty database that takes a dump, in one database transaction.
pub(crate) trait LoadTarget {
    /// Makes the schema by these migrations.
    fn make_schema(&mut self, migrations: &[Migration]) -> Result<(), DumpFault>;

    /// Takes every row of a table, and says how many there were.
    fn load_table(&mut self, table: &str, rows: &mut RowReader<Box<dyn Read + '_>>) -> Result<u64, DumpFault>;

    /// Stores a setting under its name.
    fn put_setting(&mut self, name: &str, value: &[u8]) -> Result<(), DumpFault>;

    /// Checks what could only be checked with everything there, and commits.
    fn finish(self) -> Result<(), DumpFault>;
}

/// Takes a dump of a schema's version, and a setting that says so.
pub(crate) fn load(
    mut target: impl LoadTarget,
    schema: i64,
    source: &mut dyn DumpSource,
    (name, value): (&str, &[u8]),
) -> Result<u64, DumpFault> {
    let migrations = usize::try_from(schema).ok().and_then(|schema| MIGRATIONS.get(..schema));
    let newer = || DumpFault::Newer { dump: schema, own: SchemaVersion::of_program() };
    target.make_schema(migrations.ok_or_else(newer)?)?;
    let mut rows = 0;
    for table in source.tables() {
        let mut reader = RowReader::new(source.open(&table)?)?;
        rows += target.load_table(&table, &mut reader)?;
    }
    target.put_setting(name, value)?;
    target.finish()?;
    Ok(rows)
}
