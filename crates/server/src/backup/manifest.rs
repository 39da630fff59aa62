//! What a backup says of itself.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::{BackupFault, at};
use crate::keyring::{KeyUse, Keyring, keyed_hash};

/// The form that this program writes; it reads this one and every earlier one.
pub const FORMAT: u32 = 1;

const MANIFEST_FILE: &str = "manifest.json";

/// What a backup says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of manifest and parts.
    pub format: u32,
    /// The version of the program that made it.
    pub made_by: String,
    /// When it was begun, RFC 3339.
    pub made_at: String,
    /// The version of the database's schema.
    pub schema: i64,
    /// The journal's newest entry.
    pub journal_sequence: u64,
    /// Its hash, hexadecimal.
    pub journal_hash: String,
    /// Rows in all tables.
    pub rows: u64,
    /// Blocks of the embedded ledger.
    pub blocks: u64,
    /// Documents.
    pub documents: u64,
    /// Every part, in order.
    pub parts: Vec<Part>,
}

/// A file of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// The file: the manifest, and its HMAC under a key that comes from the root key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    manifest: Manifest,
    hmac_sha256: String,
}

impl Manifest {
    /// Writes the file, which makes a folder a backup.
    pub fn write(&self, folder: &Path, keyring: &Keyring) -> Result<(), BackupFault> {
        let path = folder.join(MANIFEST_FILE);
        let signed = Signed { manifest: self.clone(), hmac_sha256: hex::encode(self.hmac(keyring)) };
        let text = serde_json::to_string_pretty(&signed).map_err(|error| at(&path)(error.into()))?;
        let write = || {
            let mut file = std::fs::File::create_new(&path)?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(at(&path))
    }

    /// Reads the file; `keyring` is asked for once the form is known.
    pub fn read(folder: &Path, keyring: impl FnOnce() -> Result<Keyring, BackupFault>) -> Result<(Self, Keyring), BackupFault> {
        let no_backup = |reason: String| BackupFault::NoBackup(folder.to_owned(), reason);
        let text = std::fs::read_to_string(folder.join(MANIFEST_FILE))
            .map_err(|error| no_backup(format!("{MANIFEST_FILE}: {error}")))?;
        let unread: Value = serde_json::from_str(&text).map_err(|error| no_backup(error.to_string()))?;
        let format = unread.pointer("/manifest/format").and_then(Value::as_u64);
        let found = format.ok_or_else(|| no_backup("its manifest names no format".to_owned()))?;
        if found > u64::from(FORMAT) {
            return Err(BackupFault::NewerFormat { found, own: FORMAT });
        }
        let signed: Signed = serde_json::from_value(unread).map_err(|error| no_backup(error.to_string()))?;
        let keyring = keyring()?;
        let stated = hex::decode(&signed.hmac_sha256).unwrap_or_default();
        if !bool::from(signed.manifest.hmac(&keyring).as_slice().ct_eq(&stated)) {
            return Err(BackupFault::OtherKey);
        }
        Ok((signed.manifest, keyring))
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Whether there is a part of this name.
    pub fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.name == name)
    }

    fn hmac(&self, keyring: &Keyring) -> [u8; 32] {
        // Numbers and texts always have a form in JSON.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        keyed_hash(&keyring.derive(KeyUse::BackupManifests), &[&bytes])
    }
}
