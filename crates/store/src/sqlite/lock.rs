//! One long-running process a data folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::connection::make_folder_of;
use crate::error::StoreError;

/// The file that is locked, beside the database.
pub const LOCK_FILE_NAME: &str = "scrip.lock";

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
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy),
            Err(TryLockError::Error(error)) => Err(unreachable(error)),
        }
    }
}
