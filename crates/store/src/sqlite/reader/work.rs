//! What the background work reads: everything of everybody, in the order in which it is to be done.

use domain::ids::{LedgerTransactionId, ProductId};
use domain::instruction::Instruction;
use domain::ledger_transaction::{Attempt, LedgerTransaction};
use domain::product::Product;
use rusqlite::Connection;
use uuid::Uuid;

use super::Reader;
use crate::error::StoreError;
use crate::queries::LiveLedgerTransaction;
use crate::rows::Table;
use crate::sqlite::statements::{SqliteTable, rows, rows_of_one_column, value};

impl Reader {
    /// The products whose token contract is not on the ledger yet, oldest first.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn deploying_products(&self) -> Result<Vec<Product>, StoreError> {
        let sql = format!("{} WHERE token_address IS NULL ORDER BY created_at, id", Product::statements().select);
        self.run(|connection| rows(connection, &sql, []))
    }

    /// The products that have instructions waiting.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn products_with_queued_instructions(&self) -> Result<Vec<ProductId>, StoreError> {
        let sql = "SELECT id FROM product WHERE EXISTS
            (SELECT 1 FROM instruction WHERE product_id = product.id AND state = 'queued') ORDER BY created_at, id";
        let ids: Vec<[u8; 16]> = self.run(|connection| rows_of_one_column(connection, "product", sql, []))?;
        Ok(ids.into_iter().map(|id| ProductId::new(Uuid::from_bytes(id))).collect())
    }

    /// The first of a product's waiting instructions, in the order in which they were ordered.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn queued_instructions(&self, product_id: ProductId, limit: u32) -> Result<Vec<Instruction>, StoreError> {
        let sql = format!(
            "{} WHERE product_id = ?1 AND state = 'queued' ORDER BY created_at, id LIMIT ?2",
            Instruction::statements().select
        );
        self.run(|connection| rows(connection, &sql, (product_id.bytes(), limit)))
    }

    /// The ledger transactions that can still change something, by signer and nonce, with their attempts (oldest first)
    /// and what is bound to them (in the order in which it was ordered).
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn live_ledger_transactions(&self) -> Result<Vec<LiveLedgerTransaction>, StoreError> {
        self.run(live_ledger_transactions)
    }

    /// Whether a deployment of a product's token contract is on its way.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn has_live_deployment(&self, product_id: ProductId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM ledger_transaction
            WHERE state = 'live' AND purpose = 'deploy_token' AND product_id = ?1 LIMIT 1";
        self.run(
            |connection| Ok(value::<i64>(connection, LedgerTransaction::COLUMNS.table, sql, [product_id.bytes()])?.is_some()),
        )
    }

    /// Whether a deployment of the token factory is on its way.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn has_live_factory_deployment(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM ledger_transaction WHERE state = 'live' AND purpose = 'deploy_factory' LIMIT 1";
        self.run(|connection| Ok(value::<i64>(connection, LedgerTransaction::COLUMNS.table, sql, [])?.is_some()))
    }
}

fn live_ledger_transactions(connection: &Connection) -> Result<Vec<LiveLedgerTransaction>, StoreError> {
    let live = format!("{} WHERE state = 'live' ORDER BY signer, nonce", LedgerTransaction::statements().select);
    let found: Vec<LedgerTransaction> = rows(connection, &live, [])?;
    found
        .into_iter()
        .map(|ledger_transaction| {
            Ok(LiveLedgerTransaction {
                ledger_transaction,
                attempts: attempts_of(connection, ledger_transaction.id)?,
                instructions: instructions_of(connection, ledger_transaction.id)?,
            })
        })
        .collect()
}

fn attempts_of(connection: &Connection, id: LedgerTransactionId) -> Result<Vec<Attempt>, StoreError> {
    let select = &Attempt::statements().select;
    rows(connection, &format!("{select} WHERE ledger_transaction_id = ?1 ORDER BY created_at, id"), [id.bytes()])
}

fn instructions_of(connection: &Connection, id: LedgerTransactionId) -> Result<Vec<Instruction>, StoreError> {
    let select = &Instruction::statements().select;
    rows(connection, &format!("{select} WHERE ledger_transaction_id = ?1 ORDER BY created_at, id"), [id.bytes()])
}
