//! The instance's keys: one secret from which every other is derived, and the sealing of personal data.

use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::ids::InvestorId;
use domain::journal::SubjectKey;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::entropy::Entropy;

const NONCE_BYTES: usize = 24;

/// The keys of one instance.
#[derive(Clone)]
pub struct Keyring {
    root: [u8; 32],
}

/// What a derived key is for. Keys of different uses never meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyUse {
    /// Signs access tokens.
    Tokens,
    /// Signs list cursors.
    Cursors,
    /// Makes the journal's HMAC for objects that concern no person.
    Journal,
    /// Signs the journal's head.
    JournalHead,
    /// Wraps subject keys.
    SubjectKeys,
    /// Signs ledger transactions of the embedded ledger.
    EmbeddedLedger,
    /// Seals the secrets that a sandbox hands out.
    SandboxSecrets,
    /// Seals the parts of backups.
    Backups,
    /// Signs the manifests of backups.
    BackupManifests,
    /// Signs what operators acknowledged of foreign orders on a ledger.
    Acknowledgements,
    /// Seals the secrets of webhooks.
    Webhooks,
}

/// Something sealed cannot be opened: the key is another, or the bytes were changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("sealed data cannot be opened")]
pub struct Unopenable;

impl KeyUse {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Tokens => b"scrip.key.tokens",
            Self::Cursors => b"scrip.key.cursors",
            Self::Journal => b"scrip.key.journal",
            Self::JournalHead => b"scrip.key.journal-head",
            Self::SubjectKeys => b"scrip.key.subject-keys",
            Self::EmbeddedLedger => b"scrip.key.embedded-ledger",
            Self::SandboxSecrets => b"scrip.key.sandbox-secrets",
            Self::Backups => b"scrip.key.backups",
            Self::BackupManifests => b"scrip.key.backup-manifests",
            Self::Acknowledgements => b"scrip.key.acknowledgements",
            Self::Webhooks => b"scrip.key.webhooks",
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(…)")
    }
}

impl Keyring {
    /// A keyring over a root secret.
    #[must_use]
    pub const fn new(root: [u8; 32]) -> Self {
        Self { root }
    }

    /// Reads the root secret of a data folder, or makes one that only its owner can read.
    ///
    /// # Errors
    /// The file cannot be read or written, or does not hold 32 bytes in hexadecimal.
    pub fn open(path: &Path, entropy: &mut Entropy) -> std::io::Result<Self> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        if !path.exists() {
            let root: [u8; 32] = entropy.bytes();
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(hex::encode(root).as_bytes())?;
            file.sync_all()?;
            return Ok(Self::new(root));
        }
        let text = std::fs::read_to_string(path)?;
        let mut root = [0; 32];
        hex::decode_to_slice(text.trim(), &mut root)
            .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "the root key is not 64 hexadecimal digits"))?;
        Ok(Self::new(root))
    }

    /// The key for one use.
    #[must_use]
    pub fn derive(&self, key_use: KeyUse) -> [u8; 32] {
        keyed_hash(&self.root, &[key_use.label()])
    }

    /// The key that stands in for a subject's where an object concerns no person.
    #[must_use]
    pub fn journal_key(&self) -> SubjectKey {
        SubjectKey(self.derive(KeyUse::Journal))
    }

    /// Wraps a subject's key for storage. It opens only for the same subject.
    #[must_use]
    pub fn wrap(&self, subject: InvestorId, key: &SubjectKey, entropy: &mut Entropy) -> Vec<u8> {
        seal(&self.derive(KeyUse::SubjectKeys), &subject.bytes(), &key.0, entropy)
    }

    /// Unwraps a subject's key.
    ///
    /// # Errors
    /// It was wrapped by another instance or for another subject, or changed.
    pub fn unwrap_key(&self, subject: InvestorId, wrapped: &[u8]) -> Result<SubjectKey, Unopenable> {
        let bytes = open(&self.derive(KeyUse::SubjectKeys), &subject.bytes(), wrapped)?;
        Ok(SubjectKey(bytes.try_into().map_err(|_| Unopenable)?))
    }
}

/// HMAC-SHA-256 over length-prefixed parts.
#[must_use]
pub fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        // HMAC takes keys of every length; thirty-two bytes cannot fail.
        return [0; 32];
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Seals bytes under a key; `bound_to` must be given again to open them.
#[must_use]
pub fn seal(key: &[u8; 32], bound_to: &[u8], plain: &[u8], entropy: &mut Entropy) -> Vec<u8> {
    let nonce: [u8; NONCE_BYTES] = entropy.bytes();
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    let mut sealed = nonce.to_vec();
    // Sealing fails only above 256 GiB.
    sealed.extend(cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: bound_to }).unwrap_or_default());
    sealed
}

/// Opens what [`seal`] sealed.
///
/// # Errors
/// Another key, another binding, or changed bytes.
pub fn open(key: &[u8; 32], bound_to: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unopenable> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Unopenable)?;
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound_to }).map_err(|_| Unopenable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_key_and_binding_unchanged() {
        let mut entropy = Entropy::from_seed([7; 32]);
        let sealed = seal(&[1; 32], b"a", b"secret", &mut entropy);
        assert_eq!(open(&[1; 32], b"a", &sealed).unwrap(), b"secret");
        assert_eq!(open(&[2; 32], b"a", &sealed), Err(Unopenable));
        assert_eq!(open(&[1; 32], b"b", &sealed), Err(Unopenable));
        let mut changed = sealed.clone();
        changed[30] ^= 1;
        assert_eq!(open(&[1; 32], b"a", &changed), Err(Unopenable));
        assert_ne!(seal(&[1; 32], b"a", b"secret", &mut entropy), sealed, "the same plain text never looks the same twice");
    }
}
