//! What of the program cannot work although it runs: told by the background work, shown by readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether ledger work is halted. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    is_ledger_halted: Arc<AtomicBool>,
}

impl Standing {
    /// Says whether ledger work is halted until a person looks.
    pub fn set_ledger_halted(&self, is_halted: bool) {
        self.is_ledger_halted.store(is_halted, Ordering::Release);
    }

    /// Whether ledger work is halted until a person looks.
    #[must_use]
    pub fn is_ledger_halted(&self) -> bool {
        self.is_ledger_halted.load(Ordering::Acquire)
    }
}
