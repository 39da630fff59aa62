//! `scrip backup` and `scrip restore`.
//!
//! A backup is a folder: `manifest.json`, the rows of every table (in the form of `store::dump`, which either engine takes),
//! the blocks of the embedded ledger, and the documents. It is taken while the program runs. The rows are one state of the
//! database. The blocks are read after them and end before the first nonce that this state has not reserved, so that
//! ledger and register are of one moment: the ledger holds everything that the register calls delivered, and nothing that
//! the register has not ordered. Every part is sealed under a key that comes from the root key, which is not in the folder
//! unless it is asked for: who steals a backup learns sizes and counts.

mod manifest;
mod parts;
mod restore;
mod sealed;
mod take;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::ids::DocumentId;
use ledger::ChainError;
use ledger::transaction::SignerError;
use store::StoreError;
use store::dump::DumpFault;

pub use manifest::FORMAT;
pub use restore::{RESTORED_SETTING, RestoreOrder, restore};
pub use take::{BackupOrder, back_up};

use crate::entropy::NoEntropy;

/// The file with the root key, in a data folder and in a backup that was asked to hold it.
const ROOT_KEY_FILE: &str = "root.key";
/// The part with the embedded ledger's blocks.
const BLOCKS_PART: &str = "blocks";
/// The part with the documents' bytes.
const DOCUMENTS_PART: &str = "documents";
/// What the parts with a table's rows begin with.
const ROWS_PREFIX: &str = "rows-";
/// The table that says which documents there are.
const DOCUMENT_TABLE: &str = "document";

/// What was written or read.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The journal's newest entry in it.
    pub journal_sequence: u64,
    /// Rows.
    pub rows: u64,
    /// Blocks.
    pub blocks: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { journal_sequence, rows, blocks, documents, bytes, took } = self;
        write!(
            f,
            "journal up to entry {journal_sequence}, {rows} rows, {blocks} blocks, {documents} documents, {bytes} bytes in {} ms",
            took.as_millis()
        )
    }
}

/// Why there is no backup, or why it was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupFault {
    /// A file or folder.
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, io::Error),
    /// The rows.
    #[error(transparent)]
    Dump(#[from] DumpFault),
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The ledger.
    #[error("the ledger: {0}")]
    Ledger(#[from] ChainError),
    /// The signing key.
    #[error("the signing key: {0}")]
    Signer(#[from] SignerError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The backup's own folder.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The database has worked with a ledger that is not in the data folder.
    #[error("the ledger is not in {}: run the backup on the data folder of the program that works with it", .0.display())]
    NoLedger(PathBuf),
    /// A document's bytes.
    #[error("document {0}: {1}")]
    Document(DocumentId, String),
    /// No manifest, or not one that can be read.
    #[error("{path} is no backup: {1}", path = .0.display())]
    NoBackup(PathBuf, String),
    /// The form is one of a later program.
    #[error("the backup has format {found}, this program knows formats up to {own}")]
    NewerFormat {
        /// The backup's.
        found: u64,
        /// The program's.
        own: u32,
    },
    /// The key is neither in the backup nor given.
    #[error("the backup holds no root key: name its file with --root-key")]
    NoRootKey,
    /// The manifest does not carry the seal of this key.
    #[error("the backup was made with another root key, or its manifest was changed")]
    OtherKey,
    /// A part is not there.
    #[error("part {0} is missing")]
    MissingPart(String),
    /// A part is not as it was written.
    #[error("part {0} is damaged")]
    DamagedPart(String),
    /// There is something where the data is to be.
    #[error("{path} is not empty: it holds {1}", path = .0.display())]
    NotEmpty(PathBuf, String),
    /// The head that was kept beside the folder knows later entries.
    #[error(
        "{place} says that journal entry {kept} was written, the backup ends at {backup}: move the file away to do without the \
         entries between",
        place = .path.display()
    )]
    LaterHead {
        /// The head.
        path: PathBuf,
        /// Its entry.
        kept: u64,
        /// The backup's.
        backup: u64,
    },
    /// Everything is there, but does not fit together.
    #[error("what was restored does not hold: {0}")]
    DoesNotHold(String),
}

/// Makes a fault of a file's error.
fn at(path: &Path) -> impl Fn(io::Error) -> BackupFault + use<> {
    let path = path.to_owned();
    move |error| BackupFault::Io(path.clone(), error)
}

/// The path with something behind its last name, beside it: for what is not finished.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// The folder that holds a path.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Makes sure that a folder's entries survive a crash of the machine.
fn sync_folder(path: &Path) -> Result<(), BackupFault> {
    std::fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}
