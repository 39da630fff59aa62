//! The fence against a history that went back: a standby that took over without the newest commits, or an older copy that
//! was put in place of the database.
//!
//! Whoever goes on from there signs again under numbers and nonces that the ledger has seen used. So the newest head of the
//! journal that this program has seen is remembered, and what the database shows later must not lie behind it.

use std::sync::{Arc, Mutex, PoisonError};

use domain::journal::Head;
use store::{Reader, StoreError};

/// The newest head of the journal that was seen. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    newest: Arc<Mutex<Option<Head>>>,
}

/// The journal lies behind what was committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the database's history went back: entry {seen} of its journal was committed, and it ends at {found} or is another one")]
pub struct WentBack {
    /// The sequence of the newest entry that was seen.
    pub seen: u64,
    /// The sequence of the newest entry that is there.
    pub found: u64,
}

impl Fence {
    /// The newest head that was seen. Take it before the database is read: what is read then is not older.
    #[must_use]
    pub fn newest(&self) -> Option<Head> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a head that was read or committed, unless a newer one is known.
    pub fn remember(&self, head: Head) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.is_none_or(|newest| newest.sequence < head.sequence) {
            *newest = Some(head);
        }
    }
}

/// Compares a head that was seen with one that was read after it.
///
/// # Errors
/// The one that was read lies behind, or is another entry of the same number.
pub fn compare(seen: Option<Head>, found: Head) -> Result<(), WentBack> {
    let Some(seen) = seen else { return Ok(()) };
    let is_behind = found.sequence < seen.sequence || (found.sequence == seen.sequence && found.hash != seen.hash);
    if is_behind { Err(WentBack { seen: seen.sequence, found: found.sequence }) } else { Ok(()) }
}

/// Whether the journal still has the entry that a head was kept of outside the database; [`WentBack`] where it has not.
///
/// # Errors
/// The database does not answer.
pub fn holds(archive: &Reader, kept: Head) -> Result<Result<(), WentBack>, StoreError> {
    let found = archive.journal_head()?;
    if kept.sequence == 0 {
        return Ok(Ok(()));
    }
    let at_kept = archive.journal_after(kept.sequence.saturating_sub(1), 1)?;
    let is_there = at_kept.first().is_some_and(|stored| stored.entry.sequence == kept.sequence && stored.hash == kept.hash);
    Ok(if is_there { Ok(()) } else { Err(WentBack { seen: kept.sequence, found: found.sequence }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_or_another_entry_went_back_and_what_is_newer_did_not() {
        let head = |sequence, byte| Head { sequence, hash: [byte; 32] };
        let fence = Fence::default();
        assert_eq!(compare(fence.newest(), head(0, 0)), Ok(()));
        fence.remember(head(7, 1));
        fence.remember(head(5, 2));
        assert_eq!(fence.newest(), Some(head(7, 1)));
        for (found, is_there) in [(head(6, 1), false), (head(7, 1), true), (head(7, 2), false), (head(8, 3), true)] {
            assert_eq!(compare(fence.newest(), found).is_ok(), is_there, "{found:?}");
        }
    }
}
