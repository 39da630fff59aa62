//! The folder where documents' bytes lie.

use std::io;
use std::path::{Path, PathBuf};

use domain::document::{ContentCheck, Document};
use domain::ids::DocumentId;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes looked at from either end to say what a document is.
const CHECKED_BYTES: u64 = 1024;

/// A folder with one file per document, named by its id alone.
#[derive(Clone, Debug)]
pub struct DocumentFolder {
    stored: PathBuf,
    incoming: PathBuf,
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
    /// Opens the folder, making it where it is new.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let folder = Self { stored: path.join("stored"), incoming: path.join("incoming") };
        std::fs::create_dir_all(&folder.stored)?;
        std::fs::create_dir_all(&folder.incoming)?;
        for entry in std::fs::read_dir(&folder.incoming)? {
            // Only one program works on the folder: what lies here was left by an upload that a crash cut off.
            std::fs::remove_file(entry?.path())?;
        }
        Ok(folder)
    }

    /// A folder that another program may be working on: it is only read.
    #[must_use]
    pub fn beside_a_running_program(path: &Path) -> Self {
        Self { stored: path.join("stored"), incoming: path.join("incoming") }
    }

    /// Where uploads arrive.
    #[must_use]
    pub fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Gives a received file its final name, so that it survives a crash.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn place(&self, id: DocumentId, received: &Path) -> io::Result<()> {
        tokio::fs::hard_link(received, self.path(id)).await?;
        tokio::fs::File::open(&self.stored).await?.sync_all().await
    }

    /// Removes the bytes of a document whose row was not made.
    pub async fn discard(&self, id: DocumentId) {
        if let Err(error) = tokio::fs::remove_file(self.path(id)).await {
            tracing::warn!(%error, "bytes of a refused document could not be removed");
        }
    }

    /// Removes the bytes of an upload that a crash cut off, before anything is served.
    ///
    /// # Errors
    /// The disk fails.
    pub fn remove(&self, id: DocumentId) -> io::Result<()> {
        std::fs::remove_file(self.path(id))
    }

    /// Ids of every file in the folder, for the collection of orphans.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn ids(&self) -> io::Result<Vec<DocumentId>> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.stored)? {
            let name = entry?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<uuid::Uuid>().ok()).map(DocumentId::new));
        }
        Ok(ids)
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
