//! Records of a token's instructions that can be believed.

use super::bindings::ScripToken;
use super::instruction::{Record, fold_records, instruction_key, unpack_records};
use super::{ContractError, running_hash};
use crate::chain::{At, BlockRef, Chain, Log, LogFilter};
use crate::types::{Address, B256, TxHash};
use alloy::sol_types::SolEvent;

/// Up to where a token's records have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first block whose records have not been read.
    pub next_block: u64,
    /// The running hash before it.
    pub running_hash: B256,
}

/// A record with the place where the ledger holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedRecord {
    /// The instruction and its outcome.
    pub record: Record,
    /// The identity of the order.
    pub key: B256,
    /// The block.
    pub block: BlockRef,
    /// The ledger transaction.
    pub tx_hash: TxHash,
}

/// Records that fold to the contract's running hash at a finalized block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRecords {
    /// In order of the ledger.
    pub records: Vec<TrustedRecord>,
    /// Where to go on.
    pub checkpoint: Checkpoint,
}

/// Reads a token's records from a checkpoint to a finalized block, and believes them only where they fold to the
/// contract's running hash at that block.
///
/// # Errors
/// [`ContractError::LogsDoNotFold`] where they do not; then nothing may be concluded from them.
pub async fn trusted_records(
    chain: &dyn Chain,
    token: Address,
    since: Checkpoint,
    finalized: BlockRef,
) -> Result<TrustedRecords, ContractError> {
    let expected = running_hash(chain, token, At::Block(finalized.hash)).await?;
    let mut logs = Vec::new();
    if since.next_block <= finalized.number {
        let filter = LogFilter {
            address: token,
            from_block: since.next_block,
            to_block: finalized.number,
            topic0: Some(ScripToken::Executed::SIGNATURE_HASH.into()),
        };
        logs = chain.logs(filter).await?;
    }
    let (records, folded) = fold_logs(chain.chain_id(), token, since.running_hash, &logs)?;
    if folded != expected {
        return Err(ContractError::LogsDoNotFold { folded, expected });
    }
    let next_block = since.next_block.max(finalized.number.saturating_add(1));
    Ok(TrustedRecords { records, checkpoint: Checkpoint { next_block, running_hash: folded } })
}

fn fold_logs(chain_id: u64, token: Address, start: B256, logs: &[Log]) -> Result<(Vec<TrustedRecord>, B256), ContractError> {
    let mut hash = start;
    let mut trusted = Vec::new();
    for log in logs {
        let topics = log.topics.iter().map(|topic| alloy::primitives::B256::from(*topic));
        let event = ScripToken::Executed::decode_raw_log_validate(topics, &log.data)
            .map_err(|error| ContractError::Malformed(error.to_string()))?;
        let records = unpack_records(&event.records)?;
        if hash != B256::from(event.before) {
            return Err(ContractError::LogsDoNotFold { folded: hash, expected: event.before.into() });
        }
        hash = fold_records(hash, chain_id, token, &records);
        if hash != B256::from(event.afterHash) {
            let expected = event.afterHash.into();
            return Err(ContractError::LogsDoNotFold { folded: hash, expected });
        }
        trusted.extend(records.into_iter().map(|record| TrustedRecord {
            record,
            key: instruction_key(chain_id, token, record.item.id),
            block: log.block,
            tx_hash: log.tx_hash,
        }));
    }
    Ok((trusted, hash))
}
