//! Opening the database file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::failure::failure;
use super::migrations::{keep_up, version_of};
use super::mount::network_file_system;
use super::pool::{Connections, READING_MAX};
use super::writer::SqliteWriter;
use crate::counts::StoreCounts;
use crate::error::StoreError;
use crate::reader::Reader;
use crate::schema::{MIGRATIONS, Migration, SchemaVersion, Upkeep};

/// The database file in a data folder.
pub const DATABASE_FILE_NAME: &str = "scrip.sqlite";

/// Earlier versions can corrupt a write-ahead log (<https://sqlite.org/wal.html#walresetbug>).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How long a writer waits for another process to finish its commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an opening waits before it tries again. Who finds another program putting a new file into its mode of writing
/// ahead is told at once that it is busy, whatever it was told to wait.
const OPENING_PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200)];
/// Every statement of the writer and of a reader fits in, so that none is compiled twice.
const STATEMENTS_CACHED_MAX: usize = 256;
/// The write-ahead log is cut back to this length when it was longer and has been copied into the database.
const WAL_BYTES_KEPT_MAX: i64 = 64 * 1024 * 1024;
/// Pages in the write-ahead log after which a commit copies them into the database itself. A thread beside the writer has
/// copied nearly all of them by then; what is left lets the log begin anew, which it never could while commits follow each
/// other without a pause.
pub(super) const WAL_CHECKPOINT_PAGES: u64 = 16_000;
/// Pages that a connection keeps in memory, in KiB.
const WRITER_CACHE_KIB: i64 = 32 * 1024;
const READER_CACHE_KIB: i64 = 4 * 1024;

/// A database file that exists, is safe to use, and has the schema of this program.
#[derive(Clone, Debug)]
pub struct Database {
    file: PathBuf,
    counts: Arc<StoreCounts>,
}

impl Database {
    /// Opens the database in a data folder, or the file itself (whose name ends in `.sqlite`); makes either where it is
    /// new, readable by its owner only, and brings its schema up to date.
    ///
    /// # Errors
    /// The `SQLite` library is older than 3.51.3, the file lies on a network file system, its schema is too new for this
    /// program, or it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Upkeep::Migrate)
    }

    /// The same, with a schema that is brought up to date, refused or left. Only what is migrated is made where it is new.
    ///
    /// # Errors
    /// As [`Self::open`]; the schema is older and to be refused, or there is no database.
    pub fn open_with(path: &Path, upkeep: Upkeep) -> Result<Self, StoreError> {
        Self::open_by(path, MIGRATIONS, upkeep)
    }

    /// The same, by these migrations.
    pub(super) fn open_by(path: &Path, migrations: &[Migration], upkeep: Upkeep) -> Result<Self, StoreError> {
        let database = Self::reach(path, upkeep)?;
        let keep_up = || keep_up(&mut database.connect_for_writing()?, migrations, upkeep);
        for pause in OPENING_PAUSES {
            match keep_up() {
                Err(StoreError::Busy) => std::thread::sleep(pause),
                kept => return kept.map(|()| database),
            }
        }
        keep_up().map(|()| database)
    }

    /// A file that is safe to use, whatever its schema is.
    pub(super) fn reach(path: &Path, upkeep: Upkeep) -> Result<Self, StoreError> {
        refuse_old(rusqlite::version_number())?;
        let folder = make_folder_of(path)?;
        if let Some(kind) = network_file_system(&folder) {
            return Err(StoreError::Engine(format!("{} is on a network file system ({kind})", folder.display())));
        }
        let file = if is_database_file(path) { path.to_owned() } else { path.join(DATABASE_FILE_NAME) };
        match upkeep {
            Upkeep::Migrate => make_private(&file),
            Upkeep::Refuse | Upkeep::Leave => std::fs::metadata(&file).map(drop),
        }
        .map_err(|error| unreachable(&file, &error))?;
        Ok(Self { file, counts: Arc::default() })
    }

    /// The version of its schema.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn schema_version(&self) -> Result<SchemaVersion, StoreError> {
        version_of(&self.connect_for_reading()?)
    }

    /// The database file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A writer with a connection of its own.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread beside the writer not started.
    pub fn writer(&self) -> Result<SqliteWriter, StoreError> {
        SqliteWriter::new(self.connect_for_writing()?, self.connect_for_writing()?)
    }

    /// A reader with so many connections, at least one. A reading that takes more than ten seconds is broken off.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn reader(&self, connections: usize) -> Result<Reader, StoreError> {
        self.reader_within(connections, Some(READING_MAX))
    }

    /// A reader that takes its time, for a copy that nobody writes to.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn patient_reader(&self) -> Result<Reader, StoreError> {
        self.reader_within(1, None)
    }

    pub(super) fn reader_within(&self, connections: usize, reading_max: Option<Duration>) -> Result<Reader, StoreError> {
        let connections = (0..connections.max(1)).map(|_| self.connect_for_reading()).collect::<Result<_, _>>()?;
        Ok(Reader::of_sqlite(Connections::new(connections, self.counts.clone(), reading_max)))
    }

    /// Writes a copy of the newest commit to a new file. Other processes may go on writing meanwhile.
    ///
    /// # Errors
    /// The file exists, or cannot be written.
    pub fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let target = file.to_str().ok_or_else(|| StoreError::Unreachable("the path is not UTF-8".into()))?;
        self.connect_for_reading()?.execute("VACUUM INTO ?1", [target]).map_err(|error| failure(&error))?;
        Ok(())
    }

    /// The length of the write-ahead log, in bytes. It grows without end while one reader never finishes.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        wal_bytes(&self.file)
    }

    pub(super) fn connect_for_writing(&self) -> Result<Connection, StoreError> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER_CACHE_KIB)?;
        let set = |name: &str, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value).map_err(|e| failure(&e));
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(|e| failure(&e))?;
        if mode != "wal" {
            return Err(StoreError::Engine(format!("the database has no write-ahead log but {mode}")));
        }
        set("synchronous", &"FULL")?;
        set("foreign_keys", &true)?;
        set("wal_autocheckpoint", &WAL_CHECKPOINT_PAGES.cast_signed())?;
        set("journal_size_limit", &WAL_BYTES_KEPT_MAX)?;
        Ok(connection)
    }

    fn connect_for_reading(&self) -> Result<Connection, StoreError> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY, READER_CACHE_KIB)
    }

    fn connect(&self, access: OpenFlags, cache_kib: i64) -> Result<Connection, StoreError> {
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags).map_err(|e| failure(&e))?;
        self.counts.connection_opened();
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|e| failure(&e))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
        // Negative: KiB instead of pages.
        connection.pragma_update(None, "cache_size", -cache_kib).map_err(|e| failure(&e))?;
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(|e| failure(&e))?;
        Ok(connection)
    }
}

/// The data folder that a path names, itself or by the database in it; made, for its owner only, where it is new.
pub(super) fn make_folder_of(path: &Path) -> Result<PathBuf, StoreError> {
    let folder = folder_of(path);
    let mut options = std::fs::DirBuilder::new();
    options.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.create(&folder).map_err(|error| unreachable(&folder, &error))?;
    Ok(folder)
}

/// The length of a database's write-ahead log, in bytes.
pub(super) fn wal_bytes(file: &Path) -> u64 {
    let mut wal = file.to_owned().into_os_string();
    wal.push("-wal");
    std::fs::metadata(wal).map_or(0, |metadata| metadata.len())
}

fn folder_of(path: &Path) -> PathBuf {
    if !is_database_file(path) {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn is_database_file(path: &Path) -> bool {
    path.is_file() || path.extension().is_some_and(|extension| extension == "sqlite")
}

fn unreachable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unreachable(format!("{}: {error}", path.display()))
}

fn refuse_old(version: i32) -> Result<(), StoreError> {
    if version < SQLITE_VERSION_MIN {
        return Err(StoreError::Engine(format!("SQLite {version} is too old: at least {SQLITE_VERSION_MIN} is needed")));
    }
    Ok(())
}

/// Makes an empty file that only its owner can read; `SQLite` gives its other files the same permissions.
///
/// A file that exists is not touched: closing it would drop every lock that this process holds on it
/// (<https://sqlite.org/howtocorrupt.html>, 2.2).
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_an_old_library_is_refused() {
        assert!(refuse_old(SQLITE_VERSION_MIN).is_ok());
        assert!(matches!(refuse_old(SQLITE_VERSION_MIN - 1), Err(StoreError::Engine(_))));
        assert!(rusqlite::version_number() >= SQLITE_VERSION_MIN);
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("scrip.sqlite")), Path::new("."));
        assert_eq!(folder_of(Path::new("data/scrip.sqlite")), Path::new("data"));
        assert_eq!(folder_of(Path::new("new-data")), Path::new("new-data"));
        assert_eq!(folder_of(Path::new("/")), Path::new("/"));
    }
}
