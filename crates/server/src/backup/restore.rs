//! Restoring a backup.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use domain::journal::Head;
use indicatif::ProgressBar;
use serde_json::json;
use store::dump::{DumpFault, EmptyDatabase};
use store::{Place, SchemaVersion};

use super::manifest::Manifest;
use super::parts::PartsReader;
use super::{BLOCKS_PART, BackupFault, DOCUMENTS_PART, Outcome, ROOT_KEY_FILE, at, beside, parent, sync_folder};
use crate::entropy::Entropy;
use crate::jobs::head;
use crate::keyring::{KeyUse, Keyring};
use crate::verify;

/// The setting that says which backup a database was restored from.
pub const RESTORED_SETTING: &str = "restored";
/// No document is longer.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What is to be restored, and where to.
#[derive(Clone, Debug)]
pub struct RestoreOrder {
    /// The backup.
    pub from: PathBuf,
    /// The data folder: it is not there, or empty.
    pub data: PathBuf,
    /// The URL of a server's database that has no tables; `None` for the embedded one.
    pub database: Option<String>,
    /// The root key's file, where the backup does not hold it.
    pub root_key: Option<PathBuf>,
}

/// Restores a backup of either engine into an empty place, and verifies it there.
///
/// Everything is checked before anything is written. A data folder appears under its name once everything holds. A server's
/// database takes the rows in one database transaction, before that.
///
/// # Errors
/// Named by [`BackupFault`].
pub async fn restore(order: &RestoreOrder, progress: &ProgressBar) -> Result<Outcome, BackupFault> {
    let begun = Instant::now();
    let (checked, progress_of_blocking) = (order.clone(), progress.clone());
    let prepared = tokio::task::spawn_blocking(move || prepare(&checked, &progress_of_blocking)).await;
    let (manifest, folder) = prepared.map_err(|_| at(&order.data)(io::Error::other("restoring was cut off")))??;
    progress.set_message("verifying");
    let held = verify::verify_restored(&folder, order.database.as_deref()).await;
    held.map_err(|difference| BackupFault::DoesNotHold(difference.to_string()))?;
    put_in_place(&folder, &order.data)?;
    Ok(Outcome {
        journal_sequence: manifest.journal_sequence,
        rows: manifest.rows,
        blocks: manifest.blocks,
        documents: manifest.documents,
        bytes: manifest.bytes(),
        took: begun.elapsed(),
    })
}

/// Checks the backup and the place, and restores everything beside the data folder.
fn prepare(order: &RestoreOrder, progress: &ProgressBar) -> Result<(Manifest, PathBuf), BackupFault> {
    let mut entropy = Entropy::from_machine()?;
    let key_path = key_path(order);
    let (manifest, keyring) = Manifest::read(&order.from, || read_key(key_path.as_deref(), &mut entropy))?;
    if manifest.schema > SchemaVersion::of_program() {
        return Err(DumpFault::Newer { dump: manifest.schema, own: SchemaVersion::of_program() }.into());
    }
    require_empty(order, &manifest, &keyring)?;
    let mut parts = PartsReader::new(&order.from, &manifest, keyring.derive(KeyUse::Backups), progress);
    progress.set_length(2 * manifest.bytes());
    parts.check(&manifest)?;
    let server = order.database.as_ref().map(|url| EmptyDatabase::open(&Place::Server(url.clone()))).transpose()?;
    let folder = beside(&order.data, &format!(".restoring-{}", hex::encode(entropy.bytes::<8>())));
    write_files(&folder, key_path.as_deref(), &manifest, &parts)?;
    let head = Head { sequence: manifest.journal_sequence, hash: hash_of(&manifest)? };
    if head.sequence > 0 {
        head::write(&head::default_path(&folder), &keyring, head).map_err(at(&folder))?;
    }
    let database = match server {
        Some(server) => server,
        None => EmptyDatabase::open(&Place::Folder(folder.clone()))?,
    };
    let note = json!({ "made_at": manifest.made_at, "journal_sequence": manifest.journal_sequence }).to_string();
    database.load(manifest.schema, &mut parts, (RESTORED_SETTING, note.as_bytes()))?;
    Ok((manifest, folder))
}

fn key_path(order: &RestoreOrder) -> Option<PathBuf> {
    let own = order.from.join(ROOT_KEY_FILE);
    order.root_key.clone().or_else(|| own.exists().then_some(own))
}

fn read_key(path: Option<&Path>, entropy: &mut Entropy) -> Result<Keyring, BackupFault> {
    let path = path.ok_or(BackupFault::NoRootKey)?;
    // Opening a keyring makes a new one where there is none.
    std::fs::metadata(path).map_err(at(path))?;
    Keyring::open(path, entropy).map_err(at(path))
}

/// Nothing may be where the data is to be, and no head may know of more than the backup.
fn require_empty(order: &RestoreOrder, manifest: &Manifest, keyring: &Keyring) -> Result<(), BackupFault> {
    match std::fs::read_dir(&order.data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        entries => {
            if let Some(entry) = entries.map_err(at(&order.data))?.next() {
                let name = entry.map_err(at(&order.data))?.file_name().to_string_lossy().into_owned();
                return Err(BackupFault::NotEmpty(order.data.clone(), name));
            }
        }
    }
    let path = head::default_path(&order.data);
    match head::read(&path, keyring) {
        Ok(kept) if kept.sequence > manifest.journal_sequence => {
            Err(BackupFault::LaterHead { path, kept: kept.sequence, backup: manifest.journal_sequence })
        }
        Ok(_) | Err(head::HeadFault::Missing(_)) => Ok(()),
        Err(head::HeadFault::Forged) => Err(BackupFault::NotEmpty(path, "the head of another instance".to_owned())),
    }
}

fn write_files(folder: &Path, key: Option<&Path>, manifest: &Manifest, parts: &PartsReader<'_>) -> Result<(), BackupFault> {
    let (ledger, documents) = (folder.join("ledger"), folder.join("documents").join("stored"));
    for path in [folder, &ledger, &documents] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))?;
    }
    let to = folder.join(ROOT_KEY_FILE);
    let key = key.ok_or(BackupFault::NoRootKey)?;
    write_file(&to, File::open(key).map_err(at(key))?).map_err(at(&to))?;
    if manifest.has(BLOCKS_PART) {
        let to = ledger.join("blocks.log");
        write_file(&to, parts.part(BLOCKS_PART).map_err(at(&to))?).map_err(at(&to))?;
    }
    write_documents(&documents, &mut parts.part(DOCUMENTS_PART).map_err(at(&documents))?).map_err(at(&documents))?;
    for path in [folder, &ledger, &documents] {
        sync_folder(path)?;
    }
    Ok(())
}

fn write_documents(folder: &Path, from: &mut impl Read) -> io::Result<()> {
    let mut id = [0; 16];
    while from.read(&mut id[..1])? == 1 {
        from.read_exact(&mut id[1..])?;
        let mut length = [0; 8];
        from.read_exact(&mut length)?;
        let length = u64::from_be_bytes(length);
        if length > DOCUMENT_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a document of impossible length"));
        }
        let name = uuid::Uuid::from_bytes(id).hyphenated().to_string();
        let written = write_file(&folder.join(name), from.take(length))?;
        if written != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Writes a file that only its owner can read, and syncs it.
fn write_file(path: &Path, mut from: impl Read) -> io::Result<u64> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = io::copy(&mut from, &mut file)?;
    file.flush()?;
    file.sync_all()?;
    Ok(written)
}

fn hash_of(manifest: &Manifest) -> Result<[u8; 32], BackupFault> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&manifest.journal_hash, &mut hash).map_err(|_| BackupFault::OtherKey)?;
    Ok(hash)
}

/// Gives the head its name, and then the folder: with the folder in its place everything is.
fn put_in_place(folder: &Path, data: &Path) -> Result<(), BackupFault> {
    let (from, to) = (head::default_path(folder), head::default_path(data));
    if from.exists() {
        std::fs::rename(from, &to).map_err(at(&to))?;
    }
    std::fs::rename(folder, data).map_err(at(data))?;
    sync_folder(parent(data))
}
