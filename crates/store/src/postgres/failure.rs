//! What the server says, sorted by what the caller should do about it.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::pipeline::Refusal;
use crate::error::StoreError;

/// The server cannot be reached.
pub(super) fn unreachable(reason: &str) -> StoreError {
    StoreError::Unreachable(reason.to_owned())
}

/// No connection could be made.
pub(super) fn not_connected(error: &Error) -> StoreError {
    StoreError::Unreachable(reason(error))
}

/// A failure while a table was read or written.
pub(super) fn of_table(table: &'static str, error: &Error) -> StoreError {
    let Some(state) = error.code() else {
        return if is_lost(error) { StoreError::Unreachable(reason(error)) } else { StoreError::Engine(reason(error)) };
    };
    let class = state.code().get(..2).unwrap_or_default();
    match class {
        // Serialisation failures and deadlocks.
        "40" => StoreError::Busy,
        "55" if *state == SqlState::LOCK_NOT_AVAILABLE || *state == SqlState::OBJECT_IN_USE => StoreError::Busy,
        "57" if *state == SqlState::QUERY_CANCELED => StoreError::Busy,
        "53" if *state == SqlState::DISK_FULL => StoreError::Full,
        // The server is stopping or starting, refuses connections, or became a standby.
        "57" | "53" | "08" => StoreError::Unreachable(reason(error)),
        "25" if *state == SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::Unreachable(reason(error)),
        "23" if *state == SqlState::UNIQUE_VIOLATION => StoreError::Conflict(table),
        // What `require_rows` raises.
        "SC" => StoreError::Conflict(table),
        // Another process dropped a day's table.
        "42" if *state == SqlState::UNDEFINED_TABLE => StoreError::Conflict(table),
        // Integrity, values out of range, and what the triggers raise.
        "23" | "22" | "P0" => StoreError::Constraint(format!("{table}: {}", reason(error))),
        _ => StoreError::Engine(format!("{table}: {}", reason(error))),
    }
}

/// Why a batch whose statements went out together with its COMMIT, the last of them, was not answered. A statement that the
/// server refused by name keeps the COMMIT from happening. It may have happened where the server was never heard, or where
/// it said of the COMMIT itself that it is stopping.
pub(super) fn of_batch(refusal: &Refusal) -> StoreError {
    let may_have_committed = match refusal.error.code() {
        Some(state) => refusal.is_last && matches!(state.code().get(..2), Some("57" | "08")),
        None => is_lost(&refusal.error),
    };
    if may_have_committed {
        tracing::warn!(error = %refusal.error, "a commit was not answered");
        return StoreError::CommitUnknown;
    }
    of_table(refusal.table, &refusal.error)
}

/// The connection is gone.
pub(super) fn is_lost(error: &Error) -> bool {
    error.is_closed() || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// What the server said, in its words.
fn reason(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(said), _) => format!("{} ({})", said.message(), said.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
