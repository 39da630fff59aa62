//! `scrip verify`: the journal, every row, the register and the ledger of a data folder, checked against each other.
//!
//! Everything is read from copies, so that a running program is neither disturbed nor in the way; a `PostgreSQL` database
//! is read in one database transaction, whose state does not change. The database comes first and the ledger second:
//! what the database called delivered must be in the copy of the ledger, and what the ledger holds beyond it must be a
//! credit that the database knew by then.

mod counters;
mod journal;
mod newest;
mod payments;
mod register;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::network::NetworkName;
use ledger::contract::ContractError;
use ledger::signer::Signer;
use ledger::transaction::LocalSigner;
use ledger::{Address, Chain};
use store::{Database, Reader, StoreError, sqlite};

use crate::clock::Clock;
use crate::command::Failure;
use crate::documents::DocumentFolder;
use crate::entropy::Entropy;
use crate::jobs::head;
use crate::keyring::{KeyUse, Keyring};
use crate::networks::ConfiguredNetwork;
use crate::operations::network::NetworkPin;
use crate::program::{Settings, documents_path, open_ledger, open_network, place};

/// Rows read at a time.
const CHUNK_ROWS: u32 = 1_000;

/// What was checked and found to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Journal entries walked.
    pub journal_entries: u64,
    /// Rows compared with their newest entry.
    pub rows: u64,
    /// Payments computed again from terms, rules and value date.
    pub payments: u64,
    /// Documents whose bytes were read.
    pub documents: u64,
    /// Token contracts read.
    pub tokens: u64,
    /// Issues found on the ledger, each of which is a credit here.
    pub issues: u64,
    /// Units outstanding on the ledger.
    pub units: u128,
    /// Tokens on networks that were not given, which were not read.
    pub tokens_elsewhere: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "everything holds: {} journal entries, {} rows, {} payments, {} documents, {} tokens, {} issues, {} units on the ledger",
            self.journal_entries, self.rows, self.payments, self.documents, self.tokens, self.issues, self.units
        )?;
        if self.tokens_elsewhere > 0 {
            write!(f, "; {} tokens on other networks were not read (--networks)", self.tokens_elsewhere)?;
        }
        Ok(())
    }
}

/// The first thing that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// A file cannot be read or copied.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// The database cannot be read.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The database engine finds its own file damaged.
    #[error("the database file: {0}")]
    Damaged(String),
    /// The journal is broken at an entry.
    #[error("journal entry {sequence}: {what}")]
    Entry {
        /// The entry.
        sequence: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The kept head says that entries were cut off, or is no head.
    #[error("the journal's head outside the data folder: {0}")]
    Head(String),
    /// A row is not as the journal says.
    #[error("{kind} {id}: {what}")]
    Row {
        /// The kind of object.
        kind: &'static str,
        /// Its id.
        id: uuid::Uuid,
        /// What is wrong with it.
        what: String,
    },
    /// A counter is not what it counts.
    #[error("a counter is wrong: {0}")]
    Counter(String),
    /// The ledger cannot be read, or its file is damaged.
    #[error("the ledger: {0}")]
    Ledger(#[from] ledger::ChainError),
    /// A token contract does not answer as it must.
    #[error("the token contract: {0}")]
    Contract(#[from] ContractError),
    /// A running program found that a product's ledger and the register differ, and lets its credits rest.
    #[error("product {id}: its credits rest since block {block_number}: {detail}")]
    Frozen {
        /// The product.
        id: uuid::Uuid,
        /// The finalized block at which it was found.
        block_number: u64,
        /// What differs.
        detail: String,
    },
    /// Register and ledger differ.
    #[error("register and ledger differ: {0}")]
    Register(String),
}

/// Checks a data folder, its own documents and its database: the embedded one, or that of a URL.
///
/// # Errors
/// The first difference, named.
pub async fn verify(data: &Path, database: Option<&str>) -> Result<Report, Failure> {
    verify_with(data, database, &documents_path(data, None), &[]).await
}

/// Checks a data folder, the documents of a place, its database (the embedded one, or that of a URL), and the tokens on the
/// embedded ledger and on these networks.
///
/// # Errors
/// The first difference, named.
pub async fn verify_with(
    data: &Path,
    database: Option<&str>,
    documents: &Path,
    networks: &[ConfiguredNetwork],
) -> Result<Report, Failure> {
    check(data, database, documents, networks, Frozen::Named).await
}

/// As [`verify`], for what was restored: products whose credits rested in the backup rest again, and are not compared with
/// their ledger.
///
/// # Errors
/// The first difference, named.
pub async fn verify_restored(data: &Path, database: Option<&str>) -> Result<Report, Failure> {
    check(data, database, &documents_path(data, None), &[], Frozen::PassedOver).await
}

/// What is done about products whose credits rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frozen {
    /// The first is named as what does not hold.
    Named,
    /// They are known.
    PassedOver,
}

async fn check(
    data: &Path,
    database: Option<&str>,
    documents: &Path,
    networks: &[ConfiguredNetwork],
    frozen: Frozen,
) -> Result<Report, Failure> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error| Difference::Io(path, error)
    };
    let key_path = data.join("root.key");
    let mut entropy = Entropy::from_machine()?;
    // Asked first: opening a keyring makes a new one where there is none.
    std::fs::metadata(&key_path).map_err(at(&key_path))?;
    let keyring = Keyring::open(&key_path, &mut entropy).map_err(at(&key_path))?;
    // Read before the database is copied, because a running program goes on meanwhile: the copy is never behind it.
    let kept_head = head::read(&head::default_path(data), &keyring);
    let scratch = Scratch::new(data, &mut entropy).map_err(at(data))?;
    let live = Database::open(&place(data, database))?;
    let archive = still_reader(&live, &scratch.path)?;
    if let Some(damage) = archive.integrity_check()?.into_iter().next() {
        return Err(Difference::Damaged(damage).into());
    }
    if frozen == Frozen::Named
        && let Some(product) = archive.frozen_products()?.into_iter().next()
        && let Some(freeze) = product.freeze
    {
        return Err(Difference::Frozen { id: product.id.uuid(), block_number: freeze.block_number, detail: freeze.detail }.into());
    }
    let mut report = Report::default();
    let newest = journal::walk(&archive, &scratch.path, &mut report)?;
    journal::compare_head(&archive, kept_head)?;
    journal::compare_rows(&archive, &keyring, newest, &mut report)?;
    compare_documents(documents, &archive, &mut report).await?;
    let signer = LocalSigner::new(keyring.derive(KeyUse::EmbeddedLedger))?;
    let later = live.reader(1)?;
    let embedded = Arc::new(open_ledger_copy(data, &scratch.path, &signer)?);
    let pin = register::pin_of(&archive, &NetworkName::embedded(), embedded.as_ref(), signer.address()).await?;
    let mut ledgers = BTreeMap::from([(NetworkName::embedded(), Ledger { chain: embedded, pin })]);
    for network in networks {
        let chain = open_network(&archive, network)?;
        let pin = register::pin_of(&archive, &network.name, chain.as_ref(), Address::ZERO).await?;
        ledgers.insert(network.name.clone(), Ledger { chain, pin });
    }
    register::compare(&archive, &later, &ledgers, &keyring, &mut report).await?;
    Ok(report)
}

/// A ledger that the register is compared with.
struct Ledger {
    chain: Arc<dyn Chain>,
    /// What it is known by; `None` where it has no factory yet.
    pin: Option<NetworkPin>,
}

/// A reader of the newest commit, which stays as it is while the program goes on.
fn still_reader(live: &Database, scratch: &Path) -> Result<Reader, StoreError> {
    match live {
        Database::Sqlite(live) => {
            let copied = scratch.join("copy.sqlite");
            live.copy_to(&copied)?;
            sqlite::Database::open(&copied)?.patient_reader()
        }
        Database::Postgres(live) => live.frozen_reader(),
    }
}

/// The ledger is opened from a copy of its blocks alone, so that every block is run again.
fn open_ledger_copy(data: &Path, scratch: &Path, signer: &LocalSigner) -> Result<ledger::embedded::EmbeddedChain, Difference> {
    let folder = scratch.join("ledger");
    let (from, to) = (data.join("ledger").join("blocks.log"), folder.join("blocks.log"));
    std::fs::create_dir_all(&folder).map_err(|error| Difference::Io(folder.display().to_string(), error))?;
    std::fs::copy(&from, to).map_err(|error| Difference::Io(from.display().to_string(), error))?;
    let settings = Settings { data: scratch.to_owned(), ..Settings::default() };
    Ok(open_ledger(&settings, &Clock::default(), signer)?)
}

async fn compare_documents(place: &Path, archive: &Reader, report: &mut Report) -> Result<(), Difference> {
    let folder = DocumentFolder::beside_running_programs(place);
    let mut after = None;
    loop {
        let documents = archive.all_documents(after, CHUNK_ROWS)?;
        let Some(last) = documents.last() else { return Ok(()) };
        after = Some(last.id);
        for document in &documents {
            folder.read(document).await.map_err(|error| Difference::Row {
                kind: "document",
                id: document.id.uuid(),
                what: error.to_string(),
            })?;
            report.documents += 1;
        }
    }
}

/// A folder for copies, removed at the end.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(data: &Path, entropy: &mut Entropy) -> std::io::Result<Self> {
        let path = data.join(format!("verify-{}", hex::encode(entropy.bytes::<8>())));
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "copies could not be removed");
        }
    }
}
