//! One long-running process a data folder.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::connection::make_folder_of;
use crate::error::StoreError;

/// The file that is locked, beside the database.
pub const LOCK_FILE_NAME: &str = "scrip.lock";

/// How often the lock is asked for. A process that is just being started by whoever held it holds it with him until it runs a
/// program of its own.
const TRIES_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Keeps other long-running processes (`demo`, `sandbox`, `serve`, `work`) off a data folder until it is dropped, or the
/// process ends, however it ends. Short commands write without it: the database itself lets one write at a time.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Locks a data folder, given by its path or by that of its database; makes it where it is new.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where another process holds the lock; [`StoreError::Unreachable`] where the file cannot be
    /// made.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let unreachable = |error: std::io::Error| StoreError::Unreachable(error.to_string());
        let lock_path = make_folder_of(path)?.join(LOCK_FILE_NAME);
        let file = File::options().create(true).truncate(false).write(true).open(lock_path).map_err(unreachable)?;
        for _try in 0..TRIES_MAX {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(unreachable(error)),
            }
        }
        Err(StoreError::Busy)
    }
}
