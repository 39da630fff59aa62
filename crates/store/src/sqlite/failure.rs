//! What `SQLite` says, sorted by what the caller should do about it.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::error::StoreError;

/// A failure that no single table answers for.
pub(super) fn failure(error: &rusqlite::Error) -> StoreError {
    of_table("database", error)
}

/// A failure while a table was read or written.
pub(super) fn of_table(table: &'static str, error: &rusqlite::Error) -> StoreError {
    let Some(code) = error.sqlite_error() else {
        return StoreError::Engine(error.to_string());
    };
    match (code.code, code.extended_code) {
        // Interrupted: a reading took too long.
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted, _) => StoreError::Busy,
        // A write without room is reported as full; growing the shared memory of the log without room is not.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => StoreError::Full,
        // The kernel may count a page as written after it failed to sync it: a repeat would succeed and prove nothing.
        (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC | ffi::SQLITE_IOERR_WRITE) => {
            StoreError::Disk(format!("{table}: {error}"))
        }
        (ErrorCode::CannotOpen, _) => StoreError::Unreachable(error.to_string()),
        (ErrorCode::ConstraintViolation, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            StoreError::Conflict(table)
        }
        (ErrorCode::ConstraintViolation, _) => StoreError::Constraint(format!("{table}: {error}")),
        (_, _) => StoreError::Engine(format!("{table}: {error}")),
    }
}
