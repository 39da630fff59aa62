//! The journal's signed head, kept outside the data folder, so that a journal whose tail was cut off shows.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::journal::Head;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::desk::Desk;
use crate::keyring::{KeyUse, Keyring, keyed_hash};

/// Between two writes: a busy desk commits hundreds of times a second, and replacing a file costs the disk as much as a commit.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a data folder's head is kept: beside the folder, not in it.
#[must_use]
pub fn default_path(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_os_string();
    name.push(".head");
    data.with_file_name(name)
}

/// Writes the head after commits until told to stop, and once more then. It lags behind by the commits of one write and of
/// the pause after it.
pub async fn run(desk: Desk, keyring: Keyring, path: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut head = desk.head();
    drop(desk);
    loop {
        let is_over = tokio::select! {
            changed = head.changed() => changed.is_err(),
            _said = stop.wait_for(|stop| *stop) => true,
        };
        let newest = *head.borrow_and_update();
        if let Some(newest) = newest {
            let (keyring, path) = (keyring.clone(), path.clone());
            let written = tokio::task::spawn_blocking(move || write(&path, &keyring, newest)).await;
            if !matches!(written, Ok(Ok(()))) {
                tracing::error!("the journal's head could not be kept outside the data folder");
            }
        }
        if is_over {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _said = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Writes a signed head, unless a newer one is kept already: a short command may have written beside a running server.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, keyring: &Keyring, head: Head) -> io::Result<()> {
    if read(path, keyring).is_ok_and(|kept| kept.sequence >= head.sequence) {
        return Ok(());
    }
    replace(path, keyring, head)
}

/// Writes a signed head whatever is kept: the history restarted from there.
///
/// # Errors
/// The file cannot be written.
pub fn replace(path: &Path, keyring: &Keyring, head: Head) -> io::Result<()> {
    let text = format!("{} {} {}\n", head.sequence, hex::encode(head.hash), hex::encode(signature(keyring, head)));
    let mut temporary = path.as_os_str().to_os_string();
    temporary.push(".new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&temporary, path)
}

/// Why a kept head cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum HeadFault {
    /// There is none.
    #[error("the journal's head is not there: {0}")]
    Missing(io::Error),
    /// It was not signed by this instance.
    #[error("the journal's head was not signed by this instance")]
    Forged,
}

/// Reads a signed head.
///
/// # Errors
/// It is missing, or not signed by this instance.
pub fn read(path: &Path, keyring: &Keyring) -> Result<Head, HeadFault> {
    let text = std::fs::read_to_string(path).map_err(HeadFault::Missing)?;
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [sequence, hash, stated] = parts.as_slice() else { return Err(HeadFault::Forged) };
    let sequence = sequence.parse().map_err(|_| HeadFault::Forged)?;
    let head = Head { sequence, hash: bytes(hash).ok_or(HeadFault::Forged)? };
    let stated = bytes(stated).ok_or(HeadFault::Forged)?;
    if bool::from(stated.ct_eq(&signature(keyring, head))) { Ok(head) } else { Err(HeadFault::Forged) }
}

fn signature(keyring: &Keyring, head: Head) -> [u8; 32] {
    keyed_hash(&keyring.derive(KeyUse::JournalHead), &[&head.sequence.to_be_bytes(), &head.hash])
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}
