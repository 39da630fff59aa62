//! What of the program cannot work although it runs: told by the background work, shown by readiness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::network::NetworkName;

/// Which networks' ledger work is halted, and why. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    halted: Arc<Mutex<BTreeMap<NetworkName, String>>>,
}

impl Standing {
    /// Says why a network's ledger work is halted until a person looks; `None` where it is not.
    pub fn set_halted(&self, network: &NetworkName, reason: Option<String>) {
        let mut halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => halted.insert(network.clone(), reason),
            None => halted.remove(network),
        };
    }

    /// The first network whose ledger work is halted, with the reason.
    #[must_use]
    pub fn halted(&self) -> Option<(NetworkName, String)> {
        let halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner);
        halted.first_key_value().map(|(network, reason)| (network.clone(), reason.clone()))
    }
}
