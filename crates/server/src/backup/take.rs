//! Taking a backup.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use domain::ids::DocumentId;
use indicatif::ProgressBar;
use ledger::embedded::copy_blocks;
use ledger::transaction::{LocalSigner, Signer};
use store::dump::{Dumped, Field, RowReader};
use store::{Database, Upkeep};

use super::manifest::{FORMAT, Manifest};
use super::parts::{PartsReader, PartsWriter};
use super::{
    BLOCKS_PART, BackupFault, DOCUMENT_TABLE, DOCUMENTS_PART, Outcome, ROOT_KEY_FILE, ROWS_PREFIX, at, beside, parent,
    sync_folder,
};
use crate::clock::Clock;
use crate::documents::DocumentFolder;
use crate::entropy::Entropy;
use crate::keyring::{KeyUse, Keyring};
use crate::planted::Bug;
use crate::program::{documents_path, place};

/// What is to be backed up, and where to.
#[derive(Clone, Debug)]
pub struct BackupOrder {
    /// The data folder.
    pub data: PathBuf,
    /// The URL of a server's database; `None` for the embedded one.
    pub database: Option<String>,
    /// Where documents' bytes lie; `None` for a folder in the data folder.
    pub documents: Option<PathBuf>,
    /// The folder that becomes the backup.
    pub to: PathBuf,
    /// Whether the root key goes with it. Whoever has both can read everything.
    pub with_root_key: bool,
}

/// Takes a backup beside a running program. The folder appears under its name once everything in it is synced.
///
/// # Errors
/// Named by [`BackupFault`]; what was begun lies beside the target, with `.partial` in its name, and is no backup.
pub fn back_up(order: &BackupOrder, progress: &ProgressBar) -> Result<Outcome, BackupFault> {
    let begun = Instant::now();
    let mut entropy = Entropy::from_machine()?;
    let key_path = order.data.join(ROOT_KEY_FILE);
    // Asked first: opening a keyring makes a new one where there is none.
    std::fs::metadata(&key_path).map_err(at(&key_path))?;
    let keyring = Keyring::open(&key_path, &mut entropy).map_err(at(&key_path))?;
    if order.to.exists() {
        return Err(BackupFault::Exists(order.to.clone()));
    }
    let partial = beside(&order.to, &format!(".partial-{}", hex::encode(entropy.bytes::<8>())));
    std::fs::DirBuilder::new().mode(0o700).create(&partial).map_err(at(&partial))?;
    let manifest = write_parts(order, &partial, &keyring, entropy, progress)?;
    if order.with_root_key {
        let to = partial.join(ROOT_KEY_FILE);
        std::fs::copy(&key_path, &to).and_then(|_bytes| std::fs::File::open(&to)?.sync_all()).map_err(at(&to))?;
    }
    manifest.write(&partial, &keyring)?;
    sync_folder(&partial)?;
    std::fs::rename(&partial, &order.to).map_err(at(&order.to))?;
    sync_folder(parent(&order.to))?;
    Ok(Outcome {
        journal_sequence: manifest.journal_sequence,
        rows: manifest.rows,
        blocks: manifest.blocks,
        documents: manifest.documents,
        bytes: manifest.bytes(),
        took: begun.elapsed(),
    })
}

/// Writes rows, blocks and documents, in this order.
fn write_parts(
    order: &BackupOrder,
    folder: &Path,
    keyring: &Keyring,
    entropy: Entropy,
    progress: &ProgressBar,
) -> Result<Manifest, BackupFault> {
    let made_at = Clock::default().machine_now().to_string();
    let key = keyring.derive(KeyUse::Backups);
    let mut parts = PartsWriter::new(folder, key, entropy, progress);
    // A backup before an upgrade is of the schema as it is.
    let database = Database::open_with(&place(&order.data, order.database.as_deref()), Upkeep::Leave)?;
    let dumped = database.dump(&mut parts)?;
    let blocks = write_blocks(&order.data, keyring, &dumped, &mut parts)?;
    let mut manifest = Manifest {
        format: FORMAT,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
        schema: dumped.schema,
        journal_sequence: dumped.head.sequence,
        journal_hash: hex::encode(dumped.head.hash),
        rows: dumped.rows,
        blocks,
        documents: 0,
        parts: parts.parts.clone(),
    };
    let rows = PartsReader::new(folder, &manifest, key, progress);
    manifest.documents = write_documents(&documents_path(&order.data, order.documents.as_deref()), &rows, &mut parts)?;
    manifest.parts = parts.parts;
    Ok(manifest)
}

/// The blocks that this state of the database can know of.
fn write_blocks(data: &Path, keyring: &Keyring, dumped: &Dumped, parts: &mut PartsWriter<'_>) -> Result<u64, BackupFault> {
    let folder = data.join("ledger");
    if !folder.join("blocks.log").exists() {
        return if dumped.signers.is_empty() { Ok(0) } else { Err(BackupFault::NoLedger(data.to_owned())) };
    }
    let registrar = LocalSigner::new(keyring.derive(KeyUse::EmbeddedLedger))?.address();
    let reserved = dumped.signers.iter().find(|(address, _)| *address == registrar.0);
    let nonce_end =
        if Bug::BackupOfTwoMoments.is_planted() { u64::MAX } else { reserved.map_or(0, |(_, next_nonce)| *next_nonce) };
    parts.open(BLOCKS_PART).map_err(at(&folder))?;
    let blocks = copy_blocks(&folder, registrar, nonce_end, parts)?;
    parts.close().map_err(at(&folder))?;
    Ok(blocks)
}

/// The bytes of every document that has a row, each behind its id and length, and compared with the row's digest.
fn write_documents(documents: &Path, rows: &PartsReader<'_>, parts: &mut PartsWriter<'_>) -> Result<u64, BackupFault> {
    let folder = DocumentFolder::beside_running_programs(documents);
    let table = format!("{ROWS_PREFIX}{DOCUMENT_TABLE}");
    let io = at(Path::new(&table));
    let mut documents = RowReader::new(rows.part(&table).map_err(&io)?).map_err(&io)?;
    let places = (documents.place_of("id").map_err(&io)?, documents.place_of("sha256").map_err(&io)?);
    let mut count = 0;
    parts.open(DOCUMENTS_PART).map_err(&io)?;
    while let Some(row) = documents.next_row().map_err(&io)? {
        let fields = row.fields().map_err(&io)?;
        let (Some(Field::Bytes(id)), Some(Field::Bytes(sha256))) = (fields.get(places.0), fields.get(places.1)) else {
            return Err(BackupFault::DamagedPart(table.clone()));
        };
        let id = uuid::Uuid::from_slice(id).map_err(|_| BackupFault::DamagedPart(table.clone()))?;
        let id = DocumentId::new(id);
        let bytes = folder.read_checked(id, sha256).map_err(|reason| BackupFault::Document(id, reason.to_string()))?;
        let mut write = || {
            parts.write_all(id.uuid().as_bytes())?;
            parts.write_all(&(bytes.len() as u64).to_be_bytes())?;
            parts.write_all(&bytes)
        };
        write().map_err(&io)?;
        count += 1;
    }
    parts.close().map_err(&io)?;
    Ok(count)
}
