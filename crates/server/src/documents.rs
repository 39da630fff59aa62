//! The folder where documents' bytes lie. Several programs may share it, on one machine or over a network.
//!
//! An upload arrives under a temporary name in a folder of its program's own, is synced, gets its final name, and loses
//! the temporary one only when its row is decided. So whatever a crash leaves behind still has its temporary name, and is
//! found without looking through what is stored. A program holds a lock on its own folder for as long as it lives: a
//! folder that can be locked belongs to nobody any more, and a running upload is never touched.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::document::{ContentCheck, Document};
use domain::ids::DocumentId;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use uuid::Uuid;

/// Bytes looked at from either end to say what a document is.
const CHECKED_BYTES: u64 = 1024;
/// Locked while a program makes its folder or looks for those of ended ones, so that none is taken for ended before it
/// is locked.
const DOOR_FILE_NAME: &str = "incoming.lock";
/// What the lock of a program's folder is called behind the folder's name.
const LOCK_EXTENSION: &str = "lock";

/// A folder with one file per document, named by its id alone.
#[derive(Clone, Debug)]
pub struct DocumentFolder {
    stored: PathBuf,
    /// Where this program's uploads arrive.
    incoming: PathBuf,
    /// Held until the program ends, however it ends.
    _lock: Option<Arc<File>>,
}

/// What an ended program left in its folder.
#[derive(Debug)]
pub struct Abandoned {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    uploads: Vec<(DocumentId, PathBuf)>,
}

/// The bytes on disk are not those that were stored.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file is missing or the disk fails.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The digest is another.
    #[error("the bytes have changed")]
    Changed,
}

impl DocumentFolder {
    /// Opens the folder, making it where it is new, for a program that `life` names like no other. Also gives what ended
    /// programs left behind.
    ///
    /// # Errors
    /// The folder cannot be made, read or locked.
    pub fn open(path: &Path, life: Uuid) -> io::Result<(Self, Vec<Abandoned>)> {
        let (stored, all_incoming) = (path.join("stored"), path.join("incoming"));
        std::fs::create_dir_all(&stored)?;
        std::fs::create_dir_all(&all_incoming)?;
        let door = lock_file(&path.join(DOOR_FILE_NAME))?;
        door.lock()?;
        let incoming = all_incoming.join(life.hyphenated().to_string());
        let lock = lock_file(&incoming.with_extension(LOCK_EXTENSION))?;
        lock.lock()?;
        std::fs::create_dir(&incoming)?;
        sync_folder(&all_incoming)?;
        let abandoned = abandoned(&all_incoming)?;
        Ok((Self { stored, incoming, _lock: Some(Arc::new(lock)) }, abandoned))
    }

    /// A folder that other programs may be working on: it is only read.
    #[must_use]
    pub fn beside_running_programs(path: &Path) -> Self {
        Self { stored: path.join("stored"), incoming: PathBuf::new(), _lock: None }
    }

    /// Where this program's uploads arrive.
    #[must_use]
    pub fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Gives a received file its final name, so that it survives a crash. The temporary name stays until the caller takes
    /// it away.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn place(&self, id: DocumentId, received: &Path) -> io::Result<()> {
        // The temporary name is what a crash is cleaned up by: it must not be lost before the final one.
        tokio::fs::File::open(&self.incoming).await?.sync_all().await?;
        tokio::fs::hard_link(received, self.path(id)).await?;
        tokio::fs::File::open(&self.stored).await?.sync_all().await
    }

    /// Removes the bytes of a document whose row was not made.
    pub async fn discard(&self, id: DocumentId) {
        if let Err(error) = tokio::fs::remove_file(self.path(id)).await {
            tracing::warn!(%error, "bytes of a refused document could not be removed");
        }
    }

    /// Removes what an ended program left: temporary names, and the bytes of documents that have no row.
    ///
    /// # Errors
    /// The disk fails.
    pub fn collect(&self, abandoned: &Abandoned, has_row: impl Fn(DocumentId) -> bool) -> io::Result<()> {
        for (id, received) in &abandoned.uploads {
            if !has_row(*id) {
                ignore_missing(std::fs::remove_file(self.path(*id)))?;
            }
            ignore_missing(std::fs::remove_file(received))?;
        }
        ignore_missing(std::fs::remove_dir(&abandoned.folder))?;
        // Another program may have collected the same folder just before it could be locked.
        ignore_missing(std::fs::remove_file(&abandoned.lock_path))
    }

    /// Says what a file is.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn check(&self, path: &Path) -> io::Result<ContentCheck> {
        let mut file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        let mut first = Vec::new();
        (&mut file).take(CHECKED_BYTES).read_to_end(&mut first).await?;
        file.seek(io::SeekFrom::Start(length.saturating_sub(CHECKED_BYTES))).await?;
        let mut last = Vec::new();
        file.take(CHECKED_BYTES).read_to_end(&mut last).await?;
        Ok(ContentCheck::of(&first, &last))
    }

    /// Reads a document's bytes, which are at most 25 MiB, and compares them with what was stored.
    ///
    /// # Errors
    /// The file cannot be read, or has changed.
    pub async fn read(&self, document: &Document) -> Result<Vec<u8>, Unreadable> {
        let bytes = tokio::fs::read(self.path(document.id)).await?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        if digest == document.sha256 { Ok(bytes) } else { Err(Unreadable::Changed) }
    }

    /// Reads a document's bytes and compares them with a digest; blocks.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_checked(&self, id: DocumentId, sha256: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let bytes = std::fs::read(self.path(id))?;
        if Sha256::digest(&bytes).as_slice() == sha256 { Ok(bytes) } else { Err(Unreadable::Changed) }
    }

    fn path(&self, id: DocumentId) -> PathBuf {
        self.stored.join(id.uuid().hyphenated().to_string())
    }
}

impl Abandoned {
    /// The documents whose uploads were cut off.
    pub fn ids(&self) -> impl Iterator<Item = DocumentId> {
        self.uploads.iter().map(|(id, _)| *id)
    }
}

/// The folders of programs that have ended, locked.
fn abandoned(all_incoming: &Path) -> io::Result<Vec<Abandoned>> {
    let mut abandoned = Vec::new();
    for entry in std::fs::read_dir(all_incoming)? {
        let lock_path = entry?.path();
        if lock_path.extension().is_none_or(|extension| extension != LOCK_EXTENSION) {
            continue;
        }
        let lock = lock_file(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let folder = lock_path.with_extension("");
        // Locked, but not made before a crash.
        std::fs::create_dir_all(&folder)?;
        let mut uploads = Vec::new();
        for upload in std::fs::read_dir(&folder)? {
            let path = upload?.path();
            let id = temporary_id(&path).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, path.display().to_string()))?;
            uploads.push((id, path));
        }
        abandoned.push(Abandoned { folder, lock_path, _lock: lock, uploads });
    }
    Ok(abandoned)
}

/// The document that a temporary name belongs to.
fn temporary_id(path: &Path) -> Option<DocumentId> {
    let name = path.file_name()?.to_str()?.strip_prefix("upload-")?.strip_suffix(".part")?;
    Uuid::parse_str(name).ok().map(DocumentId::new)
}

fn lock_file(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn id(number: u128) -> DocumentId {
        DocumentId::new(Uuid::from_u128(number))
    }

    /// An upload that has both names.
    async fn place(folder: &DocumentFolder, number: u128) {
        let received = folder.incoming().join(format!("upload-{}.part", Uuid::from_u128(number)));
        std::fs::write(&received, b"bytes").unwrap();
        folder.place(id(number), &received).await.unwrap();
    }

    fn stored(path: &Path) -> usize {
        std::fs::read_dir(path.join("stored")).unwrap().count()
    }

    #[tokio::test]
    async fn what_an_ended_program_left_is_collected_and_a_running_upload_is_not_touched() {
        let place_of_all = tempfile::tempdir().unwrap();
        let path = place_of_all.path();
        let (ended, none) = DocumentFolder::open(path, life(1)).unwrap();
        assert!(none.is_empty());
        place(&ended, 10).await;
        place(&ended, 11).await;
        let (running, none) = DocumentFolder::open(path, life(2)).unwrap();
        assert!(none.is_empty(), "the first still runs");
        place(&running, 20).await;
        drop(ended);
        let (third, mut left) = DocumentFolder::open(path, life(3)).unwrap();
        assert_eq!(left.len(), 1);
        let left = left.remove(0);
        let mut ids: Vec<DocumentId> = left.ids().collect();
        ids.sort_unstable();
        assert_eq!(ids, [id(10), id(11)]);
        third.collect(&left, |document| document == id(11)).unwrap();
        drop(left);
        assert_eq!(stored(path), 2, "one has a row, one is still being uploaded");
        assert!(std::fs::read_dir(running.incoming()).unwrap().count() == 1);
        assert!(DocumentFolder::open(path, life(4)).unwrap().1.is_empty(), "nothing is left to collect");
    }

    #[tokio::test]
    async fn a_program_that_ended_before_it_received_anything_leaves_nothing() {
        let place_of_all = tempfile::tempdir().unwrap();
        let incoming = place_of_all.path().join("incoming");
        drop(DocumentFolder::open(place_of_all.path(), life(1)).unwrap());
        // Ended between the lock and the folder.
        std::fs::write(incoming.join(format!("{}.lock", life(9))), b"").unwrap();
        let (folder, left) = DocumentFolder::open(place_of_all.path(), life(2)).unwrap();
        assert_eq!(left.len(), 2);
        for one in left {
            folder.collect(&one, |_| false).unwrap();
        }
        assert_eq!(std::fs::read_dir(&incoming).unwrap().count(), 2, "the running one's folder and lock");
    }
}
