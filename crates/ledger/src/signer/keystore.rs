//! Encrypted key files: Web3 secret storage, version 3, as geth, Foundry and most wallets write them.

use super::LocalSigner;
use crate::signer::Signer;
use crate::types::Address;
use alloy::signers::local::PrivateKeySigner;
use serde::Deserialize;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The largest file that is read as a key or a passphrase.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The most memory that deriving a key may take (geth's own parameters take 256 MiB).
const SCRYPT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The most rounds of PBKDF2 that are run.
const PBKDF2_ROUNDS_MAX: u64 = 10_000_000;

/// The secret that opens a key file. It is never an argument of a command, which others on the machine could read.
pub struct Passphrase(String);

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file cannot be read.
    #[error("the passphrase file {} cannot be read: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// Others than the owner may read the file.
    #[error("others may read the passphrase file {} (mode {mode:o}): allow its owner only", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The environment does not hold the variable, or not as text.
    #[error("the environment variable {0} holds no passphrase")]
    Environment(String),
    /// There is nothing in it.
    #[error("the passphrase is empty")]
    Empty,
}

/// Why a key file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file cannot be read.
    #[error("the key file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// It is not a key file of version 3 whose work is within bounds.
    #[error("not a usable key file of version 3: {0}")]
    Format(String),
    /// The passphrase does not open it, or the file is damaged.
    #[error("the passphrase does not open the key file")]
    Passphrase,
    /// It holds another key than the configured one.
    #[error("the key file holds the key of {found}, not of {expected}")]
    OtherKey {
        /// The configured address.
        expected: Address,
        /// The address of the key in the file.
        found: Address,
    },
}

impl Passphrase {
    /// Reads the first line of a file that only its owner may read.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        let failed = |error| PassphraseError::File { path: path.to_owned(), error };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(PassphraseError::Readable { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::of_text(text.lines().next().unwrap_or_default())
    }

    /// Takes the value of an environment variable.
    ///
    /// # Errors
    /// [`PassphraseError::Environment`] and [`PassphraseError::Empty`].
    pub fn from_environment(variable: &str) -> Result<Self, PassphraseError> {
        let text = std::env::var(variable).map_err(|_| PassphraseError::Environment(variable.to_owned()))?;
        Self::of_text(&text)
    }

    fn of_text(text: &str) -> Result<Self, PassphraseError> {
        if text.is_empty() { Err(PassphraseError::Empty) } else { Ok(Self(text.to_owned())) }
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Opens a key file. Deriving the key takes about a second on purpose: do it once, where waiting is allowed.
///
/// # Errors
/// [`KeystoreError`]; [`KeystoreError::OtherKey`] where it does not hold the key of `expected`.
pub fn open_keystore(path: &Path, passphrase: &Passphrase, expected: Option<Address>) -> Result<LocalSigner, KeystoreError> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    let outline: Outline = serde_json::from_str(&text).map_err(|error| KeystoreError::Format(error.to_string()))?;
    outline.check()?;
    let key = PrivateKeySigner::decrypt_keystore(path, passphrase.expose()).map_err(|_| KeystoreError::Passphrase)?;
    let signer = LocalSigner { key };
    match expected {
        Some(expected) if expected != signer.address() => Err(KeystoreError::OtherKey { expected, found: signer.address() }),
        Some(_) | None => Ok(signer),
    }
}

/// What is looked at before any work is done for a file.
#[derive(Deserialize)]
struct Outline {
    version: u64,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParameters,
    ciphertext: String,
    kdf: String,
    kdfparams: Derivation,
}

#[derive(Deserialize)]
struct CipherParameters {
    iv: String,
}

#[derive(Deserialize)]
struct Derivation {
    dklen: u64,
    c: Option<u64>,
    n: Option<u64>,
    r: Option<u64>,
    p: Option<u64>,
}

impl Outline {
    fn check(&self) -> Result<(), KeystoreError> {
        let wrong = |text: &str| Err(KeystoreError::Format(text.to_owned()));
        if self.version != 3 {
            return wrong("the version is not 3");
        }
        if self.crypto.cipher != "aes-128-ctr" || self.crypto.cipherparams.iv.len() != 32 {
            return wrong("the cipher is not aes-128-ctr with 16 bytes of start value");
        }
        if self.crypto.ciphertext.len() != 64 || self.crypto.kdfparams.dklen != 32 {
            return wrong("the key has not 32 bytes");
        }
        match self.crypto.kdf.as_str() {
            "scrypt" if self.crypto.kdfparams.is_bounded_scrypt() => Ok(()),
            "pbkdf2" if self.crypto.kdfparams.c.is_some_and(|rounds| (1..=PBKDF2_ROUNDS_MAX).contains(&rounds)) => Ok(()),
            "scrypt" | "pbkdf2" => wrong("the derivation of the key is out of bounds"),
            _ => wrong("the derivation of the key is neither scrypt nor pbkdf2"),
        }
    }
}

impl Derivation {
    fn is_bounded_scrypt(&self) -> bool {
        let (Some(n), Some(r), Some(p)) = (self.n, self.r, self.p) else {
            return false;
        };
        // RFC 7914: N is below 2^(128 r / 8).
        let is_of_rfc = r >= 4 || n < 1 << (16 * r);
        let bytes = n.checked_mul(r).and_then(|blocks| blocks.checked_mul(128));
        is_of_rfc
            && n > 1
            && n.is_power_of_two()
            && r > 0
            && (1..=16).contains(&p)
            && bytes.is_some_and(|bytes| bytes <= SCRYPT_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    /// Written by the Python package eth-keyfile; the passphrase is "testpassword".
    const EXAMPLE: &str = r#"{
        "address": "008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b",
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "1df4ca8bf540d7966cf89bc811ef6833" },
            "ciphertext": "0b74aa8bff708e8c702f4aad9e70173e093e8021850d0b15d3b709f6823ec367",
            "kdf": "scrypt",
            "kdfparams": { "dklen": 32, "n": 4096, "r": 8, "p": 1, "salt": "b83e7b5af73eefae9db0b31130508dd2" },
            "mac": "bfed099611f7a4d8d2ee0465a076f1443ad970290411f700cfbaec1d9a66af73"
        },
        "id": "b1d552c9-aaa0-47aa-bca5-5c608a349e77",
        "version": 3
    }"#;
    const PBKDF2_EXAMPLE: &str = r#"{
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "67e1c96611ab10d066e61a0c0f4731f5" },
            "ciphertext": "72b9803c52ed9b98876db6981af0fbf532e07e4d69d3d54c940e7ffcef9c2627",
            "kdf": "pbkdf2",
            "kdfparams": { "c": 1000, "dklen": 32, "prf": "hmac-sha256", "salt": "4bf605bc74806d8de96f25b6f6aace1b" },
            "mac": "1d6d6904a4bb04a9d1354fd482d8e7ba89a001d963f5aa73e97645d18412e31e"
        },
        "id": "c3004c14-e641-46e8-a87a-71a9e6f924d7",
        "version": 3
    }"#;
    const EXAMPLE_SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

    fn file(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    #[test]
    fn a_key_file_opens_with_its_passphrase_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "key.json", EXAMPLE, 0o600);
        let secret = hex::decode(EXAMPLE_SECRET).unwrap().try_into().unwrap();
        let address = LocalSigner::new(secret).unwrap().address();
        let passphrase = Passphrase::from_file(&file(folder.path(), "passphrase", "testpassword\n", 0o600)).unwrap();
        assert_eq!(format!("{passphrase:?}"), "Passphrase(…)");
        let of_pbkdf2 = file(folder.path(), "pbkdf2.json", PBKDF2_EXAMPLE, 0o600);
        for path in [&path, &of_pbkdf2] {
            assert_eq!(open_keystore(path, &passphrase, Some(address)).unwrap().address(), address);
        }
        assert_eq!(address.to_checksum(), "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b");
        let expected = Address([1; 20]);
        let other = open_keystore(&path, &passphrase, Some(expected)).err();
        assert!(matches!(other, Some(KeystoreError::OtherKey { found, .. }) if found == address));
        let wrong = Passphrase::of_text("testpasswore").unwrap();
        assert!(matches!(open_keystore(&path, &wrong, None).err(), Some(KeystoreError::Passphrase)));
    }

    #[test]
    fn files_of_another_form_or_with_boundless_work_are_refused_before_any_work() {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::of_text("testpassword").unwrap();
        let changes = [
            ("\"version\": 3", "\"version\": 1"),
            ("aes-128-ctr", "aes-128-cbc"),
            ("\"dklen\": 32", "\"dklen\": 16"),
            ("\"n\": 4096", "\"n\": 4095"),
            ("\"n\": 4096", "\"n\": 1073741824"),
            ("\"r\": 8", "\"r\": 4294967295"),
            ("\"p\": 1", "\"p\": 4000000000"),
            ("\"n\": 4096, \"r\": 8", "\"n\": 65536, \"r\": 1"),
            ("\"kdf\": \"scrypt\"", "\"kdf\": \"pbkdf2\""),
            ("\"kdf\": \"scrypt\"", "\"kdf\": \"none\""),
            ("0b74aa8bff708e8c", ""),
            ("1df4ca8b", ""),
            ("{", ""),
        ];
        for (index, (from, to)) in changes.into_iter().enumerate() {
            assert!(EXAMPLE.contains(from), "{from}");
            let path = file(folder.path(), &index.to_string(), &EXAMPLE.replacen(from, to, 1), 0o600);
            let refused = open_keystore(&path, &passphrase, None).err();
            assert!(matches!(refused, Some(KeystoreError::Format(_))), "{from} -> {to}: {refused:?}");
        }
        assert!(matches!(open_keystore(&folder.path().join("none"), &passphrase, None).err(), Some(KeystoreError::File(_))));
    }

    #[test]
    fn a_passphrase_that_others_can_read_or_that_is_empty_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = file(folder.path(), "open", "secret", 0o600);
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Passphrase::from_file(&open).err(), Some(PassphraseError::Readable { mode: 0o644, .. })));
        let empty = file(folder.path(), "empty", "\n", 0o600);
        assert!(matches!(Passphrase::from_file(&empty).err(), Some(PassphraseError::Empty)));
        let missing = Passphrase::from_environment("SCRIP_NO_SUCH_PASSPHRASE").err();
        assert!(matches!(missing, Some(PassphraseError::Environment(_))));
    }
}
