//! The fence that ledger work passes once in each run, before it signs anything.
//!
//! A nonce is reserved in the database before it is used. Where the ledger has used nonces that the database has not
//! reserved, the database is older than the ledger: it was restored from an earlier state, and would give nonces and
//! instructions again. Nothing is signed then.

use ledger::At;

use super::{LedgerFault, LedgerWork};

impl LedgerWork {
    /// Compares the registrar's nonces on the ledger and in the database.
    pub(super) async fn pass_fence(&mut self) -> Result<(), LedgerFault> {
        if self.is_past_fence {
            return Ok(());
        }
        let signer = self.registrar();
        // The ledger first: what is reserved meanwhile only makes the database's number greater.
        let used = self.chain.nonce(self.signer.address(), At::Head).await?;
        let reserved = self.read(move |archive| archive.next_nonce(signer)).await?;
        self.is_past_fence = used <= reserved;
        if self.is_past_fence { Ok(()) } else { Err(LedgerFault::DatabaseBehind { used, reserved }) }
    }
}
