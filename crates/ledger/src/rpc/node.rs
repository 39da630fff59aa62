//! One JSON-RPC node as a [`Chain`].

use super::network::FinalityRule;
use super::transport::{Fault, NodeError, Transport};
use super::wire::{self, Malformed, WireLog};
use crate::chain::{
    Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainError, ChainIdentity, Estimate, FeeMarket, Log, LogFilter,
    Receipt,
};
use crate::fees::{FEE_HISTORY_BLOCKS, median_tip};
use crate::refusal::SendRefusal;
use crate::transaction::tx_hash;
use crate::types::{Address, B256, TxHash};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The code that geth and most others give to a reverted call.
const REVERTED_CODE: i64 = 3;

/// The code of a request that is wrong in itself (JSON-RPC 2.0).
const INVALID_PARAMS_CODE: i64 = -32_602;

/// The code of something that the node does not hold (EIP-1474).
const NOT_FOUND_CODE: i64 = -32_001;

/// The code of a method that the node does not have.
const NO_METHOD_CODE: i64 = -32_601;

/// Texts by which nodes say that a call ended by itself, without a reason.
const FAILED_CALLS: [&str; 8] = [
    "revert",
    "out of gas",
    "outofgas",
    "invalid opcode",
    "invalid jump",
    "stack underflow",
    "vm execution error",
    "bad instruction",
];

/// Texts by which nodes say that they do not hold a block's state.
const STATES_NOT_HELD: [&str; 9] = [
    "missing trie node",
    "header not found",
    "header for hash not found",
    "hash is not currently canonical",
    "block not found",
    "unknown block",
    "blockoutofrange",
    "state is not available",
    "required historical state unavailable",
];

/// One node.
pub(super) struct RpcNode {
    chain_id: u64,
    finality: FinalityRule,
    transport: Transport,
}

impl From<Malformed> for ChainError {
    fn from(error: Malformed) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl RpcNode {
    pub(super) fn new(chain_id: u64, finality: FinalityRule, transport: Transport) -> Self {
        Self { chain_id, finality, transport }
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, ChainError> {
        self.transport.ask(method, params).await.map_err(|fault| unread(fault, None))
    }

    async fn block(&self, id: Value) -> Result<Option<BlockRef>, ChainError> {
        let answer = self.transport.ask("eth_getBlockByNumber", json!([id, false])).await;
        match answer {
            Ok(value) => Ok(wire::block(&value)?),
            // Some nodes answer an error for a block above their head.
            Err(Fault::Answered(error)) if is_one_of(&error, &STATES_NOT_HELD) => Ok(None),
            Err(fault) => Err(unread(fault, None)),
        }
    }

    async fn existing_block(&self, id: Value) -> Result<BlockRef, ChainError> {
        let text = id.to_string();
        self.block(id).await?.ok_or_else(|| ChainError::Unreachable(format!("the node has no block {text}")))
    }

    async fn numbered_block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        let found = self.block(json!(hex_quantity(number))).await?;
        match found {
            Some(block) if block.number != number => Err(Malformed(format!("block {} for {number}", block.number)).into()),
            found => Ok(found),
        }
    }

    async fn newest_final(&self) -> Result<BlockRef, ChainError> {
        let tagged = async || self.existing_block(json!("finalized")).await;
        let deep = async |blocks: u64| {
            let head = self.existing_block(json!("latest")).await?;
            let number = head.number.saturating_sub(blocks);
            self.numbered_block(number).await?.ok_or_else(|| ChainError::Unreachable(format!("the node has no block {number}")))
        };
        match self.finality {
            FinalityRule::Tag => tagged().await,
            FinalityRule::Depth { blocks } => deep(blocks).await,
            FinalityRule::TagAndDepth { blocks } => {
                let (tagged, deep) = (tagged().await?, deep(blocks).await?);
                Ok(if tagged.number < deep.number { tagged } else { deep })
            }
        }
    }

    /// How a place is written: the head by its tag, everything else by the block's hash (EIP-1898), which has to be on the
    /// node's own branch.
    async fn place(&self, at: At) -> Result<(Value, Option<B256>), ChainError> {
        let hash = match at {
            At::Head => return Ok((json!("latest"), None)),
            At::Finalized => self.newest_final().await?.hash,
            At::Block(hash) => hash,
        };
        Ok((json!({"blockHash": hash.to_string(), "requireCanonical": true}), Some(hash)))
    }

    async fn read(&self, method: &str, what: Value, at: At) -> Result<Value, ChainError> {
        let (place, hash) = self.place(at).await?;
        self.transport.ask(method, json!([what, place])).await.map_err(|fault| unread(fault, hash))
    }

    async fn send_raw(&self, raw: &[u8]) -> Result<TxHash, ChainError> {
        let params = json!([hex_bytes(raw)]);
        match self.transport.ask("eth_sendRawTransaction", params).await {
            Ok(answer) if wire::fixed::<TxHash>(&answer, "a hash")? == tx_hash(raw) => Ok(tx_hash(raw)),
            Ok(_) => Err(Malformed("the hash of another transaction".to_owned()).into()),
            Err(Fault::Answered(NodeError { message: text, .. })) => {
                Err(ChainError::Refused { refusal: SendRefusal::classify(&text), text })
            }
            Err(fault) => Err(unread(fault, None)),
        }
    }

    async fn receipt_of(&self, hash: TxHash) -> Result<Option<Receipt>, ChainError> {
        let value = self.ask("eth_getTransactionReceipt", json!([hash.to_string()])).await?;
        if value.is_null() || value["blockHash"].is_null() {
            return Ok(None);
        }
        if wire::fixed::<TxHash>(&value["transactionHash"], "a transaction")? != hash {
            return Err(Malformed("the receipt of another transaction".to_owned()).into());
        }
        let Some(block) = self.block_of_hash(wire::fixed(&value["blockHash"], "a block's hash")?).await? else {
            return Ok(None);
        };
        let created = &value["contractAddress"];
        Ok(Some(Receipt {
            tx_hash: hash,
            block,
            succeeded: match wire::quantity(&value["status"], "a status")? {
                0 => false,
                1 => true,
                other => return Err(Malformed(format!("the status {other}")).into()),
            },
            gas_used: wire::quantity_u64(&value["gasUsed"], "the used gas")?,
            contract_address: if created.is_null() { None } else { Some(wire::fixed(created, "a contract")?) },
        }))
    }

    async fn block_of_hash(&self, hash: B256) -> Result<Option<BlockRef>, ChainError> {
        let value = self.ask("eth_getBlockByHash", json!([hash.to_string(), false])).await?;
        match wire::block(&value)? {
            Some(block) if block.hash != hash => Err(Malformed("another block than the asked one".to_owned()).into()),
            found => Ok(found),
        }
    }

    async fn simulate(&self, request: &CallRequest, at: At) -> Result<CallOutcome, ChainError> {
        let (place, hash) = self.place(at).await?;
        match self.transport.ask("eth_call", json!([call_object(request), place])).await {
            Ok(value) => Ok(CallOutcome::Returned(wire::bytes(&value, "what a call returned")?)),
            Err(Fault::Answered(error)) if is_reverted(&error) => Ok(CallOutcome::Reverted(revert_data(&error))),
            Err(fault) => Err(unread(fault, hash)),
        }
    }

    async fn estimate(&self, request: &CallRequest) -> Result<Estimate, ChainError> {
        match self.transport.ask("eth_estimateGas", json!([call_object(request)])).await {
            Ok(value) => Ok(Estimate::Gas(wire::quantity_u64(&value, "an estimate")?)),
            Err(Fault::Answered(error)) if is_reverted(&error) => Ok(Estimate::Reverted(revert_data(&error))),
            Err(fault) => Err(unread(fault, None)),
        }
    }

    async fn market(&self, tip_percentile: u8) -> Result<FeeMarket, ChainError> {
        let params = json!([hex_quantity(FEE_HISTORY_BLOCKS), "latest", [tip_percentile.min(100)]]);
        let value = self.ask("eth_feeHistory", params).await?;
        let base_fees = value["baseFeePerGas"].as_array().and_then(|fees| fees.last());
        let next = base_fees.ok_or_else(|| Malformed("no base fee".to_owned()))?;
        let rewards = value["reward"].as_array().into_iter().flatten();
        let tips = rewards.map(|tips| wire::quantity(&tips[0], "a tip")).collect::<Result<_, _>>()?;
        Ok(FeeMarket { base_fee_per_gas_wei: wire::quantity(next, "a base fee")?, tip_per_gas_wei: median_tip(tips) })
    }

    /// Logs in ranges of a bounded length; one whose answer is too large, or that the node finds too long, is halved.
    async fn logs_in_ranges(&self, filter: LogFilter) -> Result<Vec<Log>, ChainError> {
        let requests = *self.transport.requests();
        let mut found = Vec::new();
        let mut times = BTreeMap::new();
        let mut from_block = filter.from_block;
        let mut span = requests.logs_blocks_max;
        while from_block <= filter.to_block {
            let to_block = filter.to_block.min(from_block.saturating_add(span - 1));
            let part = LogFilter { from_block, to_block, ..filter };
            match self.transport.ask("eth_getLogs", json!([filter_object(&part)])).await {
                Ok(value) => {
                    let logs = value.as_array().ok_or_else(|| Malformed("logs that are no list".to_owned()))?;
                    if found.len() + logs.len() > requests.logs_max {
                        return Err(ChainError::Unreachable(format!("more than {} logs", requests.logs_max)));
                    }
                    for value in logs {
                        let log = self.checked_log(&part, wire::log(value)?, &mut times).await?;
                        if found.last().is_some_and(|last: &Log| position(last) >= position(&log)) {
                            return Err(Malformed("logs out of order".to_owned()).into());
                        }
                        found.push(log);
                    }
                    let Some(next) = to_block.checked_add(1) else { break };
                    from_block = next;
                }
                Err(Fault::TooLarge | Fault::Answered(_)) if span > 1 => span = (span / 2).max(1),
                Err(fault) => return Err(unread(fault, None)),
            }
        }
        Ok(found)
    }

    async fn checked_log(&self, part: &LogFilter, log: WireLog<'_>, times: &mut BTreeMap<B256, u64>) -> Result<Log, ChainError> {
        let (topics, data) = wire::log_content(log.value)?;
        let is_asked_for = log.address == part.address
            && (part.from_block..=part.to_block).contains(&log.block_number)
            && part.topic0.is_none_or(|topic| topics.first() == Some(&topic));
        if !is_asked_for {
            return Err(Malformed("a log that was not asked for".to_owned()).into());
        }
        let known = log.block_time_seconds.or_else(|| times.get(&log.block_hash).copied());
        let time_seconds = if let Some(time_seconds) = known {
            time_seconds
        } else {
            let block = self.block_of_hash(log.block_hash).await?;
            block.ok_or(ChainError::StateNotHeld(log.block_hash))?.time_seconds
        };
        times.insert(log.block_hash, time_seconds);
        let block = BlockRef { number: log.block_number, hash: log.block_hash, time_seconds };
        Ok(Log { address: log.address, topics, data, block, tx_hash: log.tx_hash, index: log.index })
    }

    async fn own_identity(&self) -> Result<ChainIdentity, ChainError> {
        let chain_id = wire::quantity_u64(&self.ask("eth_chainId", json!([])).await?, "the chain id")?;
        let genesis = self.numbered_block(0).await?;
        let genesis = genesis.ok_or_else(|| ChainError::Unreachable("the node has no block 0".to_owned()))?;
        Ok(ChainIdentity { chain_id, genesis_hash: genesis.hash })
    }
}

fn position(log: &Log) -> (u64, u64) {
    (log.block.number, log.index)
}

fn hex_quantity(number: u64) -> String {
    format!("{number:#x}")
}

fn hex_bytes(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn call_object(request: &CallRequest) -> Value {
    // `data` is the older name of `input`, which every node knows.
    let mut object = json!({"from": request.from.to_string(), "data": hex_bytes(&request.data)});
    if let Some(to) = request.to {
        object["to"] = json!(to.to_string());
    }
    if let Some(gas) = request.gas {
        object["gas"] = json!(hex_quantity(gas));
    }
    object
}

fn filter_object(filter: &LogFilter) -> Value {
    let topics: Vec<String> = filter.topic0.iter().map(ToString::to_string).collect();
    json!({
        "address": filter.address.to_string(),
        "fromBlock": hex_quantity(filter.from_block),
        "toBlock": hex_quantity(filter.to_block),
        "topics": topics,
    })
}

fn is_one_of(error: &NodeError, texts: &[&str]) -> bool {
    let message = error.message.to_ascii_lowercase();
    texts.iter().any(|text| message.contains(text))
}

fn is_reverted(error: &NodeError) -> bool {
    error.code == REVERTED_CODE || is_one_of(error, &FAILED_CALLS)
}

/// The bytes of a revert: as `data`, or in it (Nethermind's and Besu's older forms), or none.
fn revert_data(error: &NodeError) -> Vec<u8> {
    let text = error.data.as_str().or_else(|| error.data["data"].as_str()).unwrap_or_default();
    let text = text.trim_start_matches("Reverted ");
    text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()).unwrap_or_default()
}

/// What a failed read means; `hash` is the block that it was asked at.
fn unread(fault: Fault, hash: Option<B256>) -> ChainError {
    match fault {
        Fault::Unanswered(text) => ChainError::Unreachable(text),
        Fault::TooLarge => ChainError::Unreachable("the answer is too large".to_owned()),
        Fault::Answered(error) => match hash {
            Some(hash) if error.code == NOT_FOUND_CODE || is_one_of(&error, &STATES_NOT_HELD) => ChainError::StateNotHeld(hash),
            _ if matches!(error.code, INVALID_PARAMS_CODE | NO_METHOD_CODE) => ChainError::Invalid(error.message),
            _ => ChainError::Unreachable(format!("the node answered error {}: {}", error.code, error.message)),
        },
    }
}

impl Chain for RpcNode {
    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Answer<'a, TxHash> {
        Box::pin(self.send_raw(raw))
    }

    fn receipt(&self, hash: TxHash) -> Answer<'_, Option<Receipt>> {
        Box::pin(self.receipt_of(hash))
    }

    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome> {
        Box::pin(async move { self.simulate(&request, at).await })
    }

    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>> {
        Box::pin(self.logs_in_ranges(filter))
    }

    fn head(&self) -> Answer<'_, BlockRef> {
        Box::pin(self.existing_block(json!("latest")))
    }

    fn finalized(&self) -> Answer<'_, BlockRef> {
        Box::pin(self.newest_final())
    }

    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64> {
        Box::pin(async move {
            let value = self.read("eth_getTransactionCount", json!(address.to_string()), at).await?;
            Ok(wire::quantity_u64(&value, "a nonce")?)
        })
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            let value = self.read("eth_getCode", json!(address.to_string()), at).await?;
            Ok(wire::bytes(&value, "code")?)
        })
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        Box::pin(async move {
            let value = self.read("eth_getBalance", json!(address.to_string()), at).await?;
            Ok(wire::quantity(&value, "a balance")?)
        })
    }

    fn identity(&self) -> Answer<'_, ChainIdentity> {
        Box::pin(self.own_identity())
    }

    fn block_at(&self, number: u64) -> Answer<'_, Option<BlockRef>> {
        Box::pin(self.numbered_block(number))
    }

    fn pending_nonce(&self, address: Address) -> Answer<'_, u64> {
        Box::pin(async move {
            let value = self.ask("eth_getTransactionCount", json!([address.to_string(), "pending"])).await?;
            Ok(wire::quantity_u64(&value, "a nonce")?)
        })
    }

    fn estimate_gas(&self, request: CallRequest) -> Answer<'_, Estimate> {
        Box::pin(async move { self.estimate(&request).await })
    }

    fn fee_market(&self, tip_percentile: u8) -> Answer<'_, FeeMarket> {
        Box::pin(self.market(tip_percentile))
    }
}
