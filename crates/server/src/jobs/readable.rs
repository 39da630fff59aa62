//! Telling whether a network can be read, so that a credit whose end nobody can see is not shown as if somebody did.
//!
//! The credit itself stays processing: only the judge ends it. Where no node of a network could be read for longer than the
//! policy says, that is written down once, and once more when one can be read again. Servers show processing credits as
//! `unknown` in between, those that do no ledger work too.

use std::time::Instant;

use ledger::ChainError;
use ledger::contract::ContractError;

use super::{LedgerFault, LedgerWork};
use crate::operations::network::{PutUnreadable, Unreadable};

/// What this run knows of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readability {
    /// Since when every round failed, by a clock that nobody turns.
    failing_since: Option<Instant>,
    /// What is written down; `None` before it was looked at.
    is_told: Option<bool>,
}

/// What the end of a round says about it; `None` where it says nothing.
const fn was_read(looked: &Result<(), LedgerFault>) -> Option<bool> {
    match looked {
        Ok(()) => Some(true),
        Err(LedgerFault::Chain(error) | LedgerFault::Contract(ContractError::Chain(error))) => match error {
            ChainError::Unreachable(_)
            | ChainError::StateNotHeld(_)
            | ChainError::Disagreement(_)
            | ChainError::Storage(_)
            | ChainError::SyncFailed(_) => Some(false),
            ChainError::Refused { .. }
            | ChainError::Invalid(_)
            | ChainError::ForeignChain { .. }
            | ChainError::FinalityBroken { .. } => Some(true),
        },
        Err(_) => None,
    }
}

impl LedgerWork {
    /// Notes what a round says about the network's nodes, and writes down what changed.
    pub(super) async fn note_readability(&mut self, looked: &Result<(), LedgerFault>) {
        let written = match was_read(looked) {
            Some(true) => self.note_readable().await,
            Some(false) => self.note_unreadable().await,
            None => Ok(()),
        };
        if let Err(fault) = written {
            tracing::warn!(%fault, network = %self.network, "whether the network can be read could not be written down");
        }
    }

    async fn note_readable(&mut self) -> Result<(), LedgerFault> {
        self.readability.failing_since = None;
        if self.is_told().await? && self.hold_lane().await? {
            self.put_unreadable(None).await?;
            tracing::warn!(network = %self.network, "the network can be read again");
        }
        Ok(())
    }

    async fn note_unreadable(&mut self) -> Result<(), LedgerFault> {
        let now = self.clock.monotonic();
        let since = *self.readability.failing_since.get_or_insert(now);
        let lasted = now.saturating_duration_since(since);
        if lasted < self.policy.unknown_after || self.is_told().await? || !self.hold_lane().await? {
            return Ok(());
        }
        let lasted_micros = i64::try_from(lasted.as_micros()).unwrap_or(i64::MAX);
        self.put_unreadable(Some(self.clock.now().micros().saturating_sub(lasted_micros))).await?;
        tracing::error!(network = %self.network, lasted_s = lasted.as_secs(), "no node of the network can be read: its credits are shown as unknown");
        Ok(())
    }

    async fn put_unreadable(&mut self, since_micros: Option<i64>) -> Result<(), LedgerFault> {
        self.lane.record(PutUnreadable { network: self.network.clone(), unreadable: Unreadable { since_micros } }).await?;
        self.readability.is_told = Some(since_micros.is_some());
        Ok(())
    }

    async fn is_told(&mut self) -> Result<bool, LedgerFault> {
        if let Some(is_told) = self.readability.is_told {
            return Ok(is_told);
        }
        let name = Unreadable::setting(&self.network);
        let stored = self.read(move |archive| archive.setting(&name)).await?;
        let is_told = Unreadable::of_stored(stored.as_deref()).since_micros.is_some();
        self.readability.is_told = Some(is_told);
        Ok(is_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::B256;

    #[test]
    fn only_what_the_nodes_leave_unsaid_counts_as_unreadable() {
        let no_answer = || ChainError::Unreachable("timed out".into());
        for (looked, expected) in [
            (Ok(()), Some(true)),
            (Err(LedgerFault::Chain(no_answer())), Some(false)),
            (Err(LedgerFault::Contract(ContractError::Chain(no_answer()))), Some(false)),
            (Err(LedgerFault::Chain(ChainError::Disagreement("the head".into()))), Some(false)),
            (Err(LedgerFault::Chain(ChainError::StateNotHeld(B256::ZERO))), Some(false)),
            (Err(LedgerFault::Chain(ChainError::Invalid("a range too wide".into()))), Some(true)),
            (Err(LedgerFault::LaneLost), None),
            (Err(LedgerFault::BatchTooLarge), None),
        ] {
            assert_eq!(was_read(&looked), expected, "{looked:?}");
        }
    }
}
