//! Signed EVM transactions and their attempts, as the database remembers them.

use crate::ids::{AttemptId, LedgerTransactionId, ProductId};
use crate::instant::Instant;
use crate::wallet::EvmAddress;

/// What a ledger transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Puts the token factory on the ledger, once per network.
    DeployFactory,
    /// Puts a product's token contract on the ledger.
    DeployToken(ProductId),
    /// Uses up a nonce that nothing else will use, so that later ones do not wait for it.
    FillGap,
    /// Carries instructions to a product's token contract.
    Execute {
        /// The product.
        product_id: ProductId,
        /// After this second of ledger time the contract refuses the whole batch.
        valid_until_seconds: i64,
    },
}

/// Whether a ledger transaction can still change anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LedgerTransactionState {
    /// Signed or about to be signed; watched until a verdict.
    Live,
    /// Every instruction in it is judged, or its deployment is final.
    Closed,
}

/// One slot of the signer's nonce sequence and what it is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerTransaction {
    /// Its id.
    pub id: LedgerTransactionId,
    /// Who signs.
    pub signer: EvmAddress,
    /// The signer's nonce; it serves this ledger transaction and no other.
    pub nonce: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it can still change anything.
    pub state: LedgerTransactionState,
    /// When the nonce was reserved.
    pub created_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}

/// One signed version of a ledger transaction. The bytes are its identity: a signer may sign differently each time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// What it is a version of.
    pub ledger_transaction_id: LedgerTransactionId,
    /// The signed bytes, stored before they are sent.
    pub raw: Vec<u8>,
    /// Keccak-256 of the bytes.
    pub hash: [u8; 32],
    /// When it was signed.
    pub created_at: Instant,
}

/// A signing key's place in its nonce sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signer {
    /// Its address.
    pub address: EvmAddress,
    /// The nonce the next ledger transaction gets.
    pub next_nonce: u64,
    /// Raised by every change of the row.
    pub version: u64,
}
