//! Yes-or-no questions of the program's own work.

use domain::ids::{DocumentId, LedgerTransactionId};
use rusqlite::Connection;

use super::Reader;
use crate::error::StoreError;
use crate::sqlite::failure::failure;

impl Reader {
    /// Whether a document has a row. Bytes without one were left by an upload that was cut off.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn document_exists(&self, id: DocumentId) -> Result<bool, StoreError> {
        self.run(|connection| exists(connection, "SELECT EXISTS (SELECT 1 FROM document WHERE id = ?1)", &id.bytes()))
    }

    /// Whether the judge has spoken about every instruction that was bound to a ledger transaction.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn is_judged(&self, id: LedgerTransactionId) -> Result<bool, StoreError> {
        let open = "SELECT EXISTS (SELECT 1 FROM instruction WHERE ledger_transaction_id = ?1 AND state = 'bound')";
        Ok(!self.run(|connection| exists(connection, open, &id.bytes()))?)
    }
}

fn exists(connection: &Connection, statement: &str, id: &[u8; 16]) -> Result<bool, StoreError> {
    let mut prepared = connection.prepare_cached(statement).map_err(|error| failure(&error))?;
    prepared.query_row([id], |row| row.get(0)).map_err(|error| failure(&error))
}
