//! The parts of a backup as files in its folder.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use store::dump::{DumpSource, DumpTarget};

use super::manifest::{Manifest, Part};
use super::sealed::{SealedReader, SealedWriter};
use super::{BackupFault, ROWS_PREFIX, at};
use crate::entropy::Entropy;

/// Bytes that are read at a time where only their digest is wanted.
const READ_BYTES: usize = 256 * 1024;

/// Writes parts.
pub struct PartsWriter<'p> {
    folder: PathBuf,
    key: [u8; 32],
    entropy: Entropy,
    progress: &'p ProgressBar,
    open: Option<SealedWriter>,
    /// What was written.
    pub parts: Vec<Part>,
}

impl<'p> PartsWriter<'p> {
    /// Writes into a folder.
    pub fn new(folder: &Path, key: [u8; 32], entropy: Entropy, progress: &'p ProgressBar) -> Self {
        Self { folder: folder.to_owned(), key, entropy, progress, open: None, parts: Vec::new() }
    }

    /// Begins a part.
    pub fn open(&mut self, name: &str) -> io::Result<()> {
        self.progress.set_message(name.to_owned());
        let file = File::create_new(self.folder.join(name))?;
        self.open = Some(SealedWriter::new(file, name, self.key, Entropy::from_seed(self.entropy.bytes())));
        Ok(())
    }

    /// Ends the part.
    pub fn close(&mut self) -> io::Result<()> {
        let open = self.open.take().ok_or_else(|| io::Error::other("no part is open"))?;
        self.parts.push(open.finish()?);
        Ok(())
    }
}

impl Write for PartsWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let open = self.open.as_mut().ok_or_else(|| io::Error::other("no part is open"))?;
        let written = open.write(bytes)?;
        self.progress.inc(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DumpTarget for PartsWriter<'_> {
    fn begin(&mut self, table: &str) -> io::Result<()> {
        self.open(&format!("{ROWS_PREFIX}{table}"))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn end(&mut self, _rows: u64) -> io::Result<()> {
        self.close()
    }
}

/// Reads parts.
pub struct PartsReader<'p> {
    folder: PathBuf,
    key: [u8; 32],
    tables: Vec<String>,
    progress: &'p ProgressBar,
}

impl<'p> PartsReader<'p> {
    /// Reads the parts of a manifest.
    pub fn new(folder: &Path, manifest: &Manifest, key: [u8; 32], progress: &'p ProgressBar) -> Self {
        let tables = manifest.parts.iter().filter_map(|part| part.name.strip_prefix(ROWS_PREFIX)).map(str::to_owned).collect();
        Self { folder: folder.to_owned(), key, tables, progress }
    }

    /// Makes sure that every part is there and as it was written.
    pub fn check(&self, manifest: &Manifest) -> Result<(), BackupFault> {
        for part in &manifest.parts {
            let path = self.folder.join(&part.name);
            self.progress.set_message(format!("checking {}", part.name));
            let mut file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BackupFault::MissingPart(part.name.clone())),
                opened => opened.map_err(at(&path))?,
            };
            let (mut digest, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; READ_BYTES]);
            loop {
                let read = file.read(&mut piece).map_err(at(&path))?;
                let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
                digest.update(read);
                bytes += read.len() as u64;
                self.progress.inc(read.len() as u64);
            }
            if bytes != part.bytes || hex::encode(digest.finalize()) != part.sha256 {
                return Err(BackupFault::DamagedPart(part.name.clone()));
            }
        }
        Ok(())
    }

    /// The plain bytes of a part.
    pub fn part(&self, name: &str) -> io::Result<impl Read + use<'p>> {
        self.progress.set_message(name.to_owned());
        let sealed = SealedReader::new(File::open(self.folder.join(name))?, name, self.key);
        Ok(self.progress.wrap_read(sealed))
    }
}

impl DumpSource for PartsReader<'_> {
    fn tables(&self) -> Vec<String> {
        self.tables.clone()
    }

    fn open(&mut self, table: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.part(&format!("{ROWS_PREFIX}{table}"))?))
    }
}
