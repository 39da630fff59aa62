//! Yes-or-no questions of the program's own work.

use domain::ids::{DocumentId, LedgerTransactionId};

use super::Reader;
use crate::error::StoreError;

impl Reader {
    /// Whether a document has a row. Bytes without one were left by an upload that was cut off.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn document_exists(&self, id: DocumentId) -> Result<bool, StoreError> {
        self.run_at_once(|snapshot| snapshot.has_any("document", "SELECT 1 FROM document WHERE id = ?", [id.uuid().into()]))
    }

    /// Whether the judge has spoken about every instruction that was bound to a ledger transaction.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn is_judged(&self, id: LedgerTransactionId) -> Result<bool, StoreError> {
        let open = "SELECT 1 FROM instruction WHERE ledger_transaction_id = ? AND state = 'bound' LIMIT 1";
        Ok(!self.run_at_once(|snapshot| snapshot.has_any("instruction", open, [id.uuid().into()]))?)
    }
}
