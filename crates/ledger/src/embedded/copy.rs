//! Copying the blocks of a chain that somebody else may be working on.

use std::io::Write;
use std::path::Path;

use alloy::consensus::Transaction as _;
use alloy::primitives as evm_types;

use super::block::Block;
use super::file;
use crate::chain::ChainError;
use crate::types::Address;

/// Copies the file of blocks in a folder: up to, and without, the first block that holds a transaction of `sender` with
/// the nonce `nonce_end` or a later one. Says how many blocks that is.
///
/// Whoever reserves nonces in a database before using them gets, with the next nonce of one state of the database, the
/// chain of that state: it holds everything that the database knows to have happened, and no nonce that it does not know.
///
/// # Errors
/// [`ChainError::Storage`] where the file is missing or damaged, or `to` fails.
pub fn copy_blocks(folder: &Path, sender: Address, nonce_end: u64, to: &mut impl Write) -> Result<u64, ChainError> {
    let sender = evm_types::Address::from(sender.0);
    let is_known = |block: &Block| {
        let mut transactions = block.transactions.iter();
        transactions.all(|transaction| transaction.sender != sender || transaction.envelope.nonce() < nonce_end)
    };
    file::copy(&folder.join("blocks.log"), is_known, to)
}
