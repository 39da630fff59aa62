//! Blocks, transactions, receipts and logs as JSON.

use super::{RpcError, position, stored_block};
use crate::chain::Log;
use crate::embedded::EmbeddedChain;
use crate::embedded::block::{Block, Transaction, receipt_envelopes};
use crate::embedded::genesis::BASE_FEE_PER_GAS_WEI;
use alloy::consensus::transaction::Recovered;
use alloy::consensus::{Receipt, ReceiptEnvelope, Transaction as _};
use alloy::primitives::{B256, LogData, U256};
use alloy::rpc::types as rpc;
use serde_json::{Value, json};

pub(super) fn block(chain: &EmbeddedChain, number: u64, full: bool) -> Result<Value, RpcError> {
    let block = stored_block(chain, number)?;
    let transactions = if full {
        let transactions =
            block.transactions.iter().zip(0..).map(|(transaction, index)| rendered(transaction, Some((&block, index)))).collect();
        rpc::BlockTransactions::Full(transactions)
    } else {
        let hashes = block.transactions.iter().map(|transaction| transaction.hash);
        rpc::BlockTransactions::Hashes(hashes.collect())
    };
    let size = U256::from(block.to_bytes().len());
    let header =
        rpc::Header { hash: block.hash, inner: block.header.clone(), total_difficulty: Some(U256::ZERO), size: Some(size) };
    let rendered = rpc::Block { header, uncles: Vec::new(), transactions, withdrawals: None };
    Ok(json!(rendered))
}

pub(super) fn transaction(chain: &EmbeddedChain, hash: B256) -> Result<Value, RpcError> {
    let place = chain.world()?.places.get(&hash).copied();
    let Some((number, index)) = place else {
        let waiting = chain.pool().get(hash);
        return Ok(json!(waiting.map(|transaction| rendered(&transaction, None))));
    };
    let block = stored_block(chain, number)?;
    let transaction = block.transactions.get(position(index)?);
    Ok(json!(transaction.map(|found| rendered(found, Some((&block, index.into()))))))
}

pub(super) fn receipt(chain: &EmbeddedChain, hash: B256) -> Result<Value, RpcError> {
    let place = chain.world()?.places.get(&hash).copied();
    let Some((number, index)) = place else {
        return Ok(Value::Null);
    };
    let block = stored_block(chain, number)?;
    let at = position(index)?;
    let envelopes = receipt_envelopes(&block.transactions, &block.outcomes);
    let (Some(transaction), Some(outcome), Some(envelope)) =
        (block.transactions.get(at), block.outcomes.get(at), envelopes.get(at))
    else {
        return Ok(Value::Null);
    };
    let earlier = block.outcomes.iter().take(at).map(|outcome| outcome.logs.len()).sum::<usize>();
    let logs = outcome
        .logs
        .iter()
        .zip(u64::try_from(earlier).unwrap_or(u64::MAX)..)
        .map(|(log, log_index)| rpc::Log {
            inner: log.clone(),
            block_hash: Some(block.hash),
            block_number: Some(number),
            block_timestamp: Some(block.header.timestamp),
            transaction_hash: Some(hash),
            transaction_index: Some(index.into()),
            log_index: Some(log_index),
            removed: false,
        })
        .collect();
    let inner = Receipt { status: outcome.succeeded.into(), cumulative_gas_used: envelope.cumulative_gas_used(), logs };
    let inner: ReceiptEnvelope<rpc::Log> = ReceiptEnvelope::from_typed(transaction.envelope.tx_type(), inner);
    Ok(json!(rpc::TransactionReceipt {
        inner,
        transaction_hash: hash,
        transaction_index: Some(index.into()),
        block_hash: Some(block.hash),
        block_number: Some(number),
        gas_used: outcome.gas_used,
        effective_gas_price: paid_price(transaction),
        blob_gas_used: None,
        blob_gas_price: None,
        from: transaction.sender,
        to: transaction.envelope.to(),
        contract_address: transaction.deploys().filter(|_| outcome.succeeded),
    }))
}

pub(super) fn logs(chain: &EmbeddedChain, found: Vec<Log>) -> Result<Value, RpcError> {
    let world = chain.world()?;
    let rendered: Vec<_> = found
        .into_iter()
        .map(|log| {
            let hash = B256::from(log.tx_hash);
            let topics = log.topics.into_iter().map(B256::from).collect();
            rpc::Log {
                inner: alloy::primitives::Log {
                    address: log.address.into(),
                    data: LogData::new_unchecked(topics, log.data.into()),
                },
                block_hash: Some(log.block.hash.into()),
                block_number: Some(log.block.number),
                block_timestamp: Some(log.block.time_seconds),
                transaction_hash: Some(hash),
                transaction_index: world.places.get(&hash).map(|(_, index)| (*index).into()),
                log_index: Some(log.index),
                removed: false,
            }
        })
        .collect();
    Ok(json!(rendered))
}

fn paid_price(transaction: &Transaction) -> u128 {
    transaction.envelope.effective_gas_price(Some(BASE_FEE_PER_GAS_WEI))
}

fn rendered(transaction: &Transaction, place: Option<(&Block, u64)>) -> rpc::Transaction {
    rpc::Transaction {
        inner: Recovered::new_unchecked(transaction.envelope.clone(), transaction.sender),
        block_hash: place.map(|(block, _)| block.hash),
        block_number: place.map(|(block, _)| block.header.number),
        transaction_index: place.map(|(_, index)| index),
        effective_gas_price: place.map(|_| paid_price(transaction)),
        block_timestamp: place.map(|(block, _)| block.header.timestamp),
    }
}
