//! The embedded chain as Ethereum JSON-RPC, for wallets and explorers.
//!
//! Source: the Ethereum execution API specification and JSON-RPC 2.0. The methods read, simulate, and take signed
//! transactions; there is none that signs or that changes state in another way.

mod fees;
mod params;
mod render;

pub(super) use fees::tips_of_newest_blocks;

use super::block::Block;
use super::genesis::BASE_FEE_PER_GAS_WEI;
use super::{EmbeddedChain, storage};
use crate::chain::{CallOutcome, CallRequest, ChainError, Estimate};
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{self as evm_types, Bytes, U64, U256};
use alloy::rpc::types::{Filter, FilterBlockOption, TransactionRequest};
use params::Params;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most requests of one batch.
const BATCH_REQUESTS_MAX: usize = 100;

/// The most blocks that one request for logs may span.
const LOG_BLOCKS_MAX: u64 = 100_000;

/// The most logs that one answer holds.
const LOGS_MAX: usize = 10_000;

/// The tip that wallets are told to offer. Any is taken; a wallet can outbid its own transaction only above zero.
const SUGGESTED_TIP_WEI: u64 = 1_000_000;

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq)]
struct RpcError {
    code: i32,
    message: String,
    data: Option<Value>,
}

impl RpcError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    fn invalid_request(message: &str) -> Self {
        Self::new(-32_600, message)
    }

    fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32_602, message)
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Refused { text, .. } | ChainError::Invalid(text) => Self::new(-32_000, text),
            ChainError::StateNotHeld(hash) => Self::new(-32_000, format!("the state of block {hash} is not held")),
            ChainError::Unreachable(text)
            | ChainError::Storage(text)
            | ChainError::SyncFailed(text)
            | ChainError::Disagreement(text) => Self::new(-32_603, text),
            fault @ (ChainError::ForeignChain { .. } | ChainError::FinalityBroken { .. }) => {
                Self::new(-32_603, fault.to_string())
            }
        }
    }
}

/// Answers a JSON-RPC 2.0 request, or an array of them.
///
/// `Null` means that there is nothing to answer, because the request is a notification. The caller answers bytes that
/// are no JSON with [`parse_error`]. This reads and simulates at once; call it where a few milliseconds of work are
/// allowed.
#[must_use]
pub fn answer(chain: &EmbeddedChain, request: Value) -> Value {
    match request {
        Value::Array(requests) if requests.is_empty() => failure(&Value::Null, RpcError::invalid_request("an empty batch")),
        Value::Array(requests) if requests.len() > BATCH_REQUESTS_MAX => {
            failure(&Value::Null, RpcError::invalid_request("more than 100 requests in a batch"))
        }
        Value::Array(requests) => {
            let answers: Vec<_> =
                requests.into_iter().map(|request| answer_one(chain, request)).filter(|answer| !answer.is_null()).collect();
            if answers.is_empty() { Value::Null } else { Value::Array(answers) }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => answer_one(chain, request),
    }
}

/// The answer to bytes that are no JSON.
#[must_use]
pub fn parse_error() -> Value {
    failure(&Value::Null, RpcError::new(-32_700, "parse error"))
}

fn answer_one(chain: &EmbeddedChain, request: Value) -> Value {
    let Value::Object(mut request) = request else {
        return failure(&Value::Null, RpcError::invalid_request("not a request object"));
    };
    let id = request.remove("id");
    let shown = id.clone().unwrap_or(Value::Null);
    if !matches!(shown, Value::Null | Value::String(_) | Value::Number(_)) {
        return failure(&Value::Null, RpcError::invalid_request("an id is text or a number"));
    }
    if request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return failure(&shown, RpcError::invalid_request("jsonrpc must be \"2.0\""));
    }
    let Some(Value::String(method)) = request.remove("method") else {
        return failure(&shown, RpcError::invalid_request("a method is missing"));
    };
    let params = match request.remove("params") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(params)) => Ok(params),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            Err(RpcError::invalid_params("params must be an array"))
        }
    };
    let result = params.and_then(|params| dispatch(chain, &method, Params::new(params)));
    if id.is_none() {
        return Value::Null;
    }
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": shown, "result": result}),
        Err(error) => failure(&shown, error),
    }
}

fn failure(id: &Value, error: RpcError) -> Value {
    let mut body = json!({"code": error.code, "message": error.message});
    if let (Some(data), Some(fields)) = (error.data, body.as_object_mut()) {
        fields.insert("data".to_owned(), data);
    }
    json!({"jsonrpc": "2.0", "id": id, "error": body})
}

fn dispatch(chain: &EmbeddedChain, method: &str, mut params: Params) -> Result<Value, RpcError> {
    match method {
        "web3_clientVersion" => Ok(json!(concat!("scrip/", env!("CARGO_PKG_VERSION")))),
        "net_version" => Ok(json!(chain.chain_id.to_string())),
        "net_listening" => Ok(json!(true)),
        "eth_syncing" => Ok(json!(false)),
        "eth_accounts" => Ok(json!([])),
        "eth_chainId" => Ok(json!(U64::from(chain.chain_id))),
        "eth_blockNumber" => Ok(json!(U64::from(chain.head_number()?))),
        "eth_gasPrice" => Ok(json!(U64::from(BASE_FEE_PER_GAS_WEI + SUGGESTED_TIP_WEI))),
        "eth_maxPriorityFeePerGas" => Ok(json!(U64::from(SUGGESTED_TIP_WEI))),
        "eth_feeHistory" => fees::history(chain, params),
        "eth_getBalance" => balance(chain, params),
        "eth_getCode" => {
            let address: evm_types::Address = params.required("address")?;
            let number = state_block(chain, params.block()?)?;
            Ok(json!(Bytes::from(chain.code_at(address.into(), number)?)))
        }
        "eth_getStorageAt" => storage_at(chain, params),
        "eth_getTransactionCount" => transaction_count(chain, params),
        "eth_call" => call(chain, params),
        "eth_estimateGas" => estimate(chain, params),
        "eth_getBlockByNumber" | "eth_getBlockByHash" => block(chain, params),
        "eth_getTransactionByHash" => {
            let hash: evm_types::B256 = params.required("transaction hash")?;
            render::transaction(chain, hash)
        }
        "eth_getTransactionReceipt" => {
            let hash: evm_types::B256 = params.required("transaction hash")?;
            render::receipt(chain, hash)
        }
        "eth_getLogs" => logs(chain, params),
        "eth_sendRawTransaction" => {
            let raw: Bytes = params.required("raw transaction")?;
            Ok(json!(evm_types::B256::from(chain.submit(&raw)?)))
        }
        other => Err(RpcError::new(-32_601, format!("the method {other} does not exist"))),
    }
}

/// The number of the block that is asked for, `None` where there is no such block.
fn block_number(chain: &EmbeddedChain, id: BlockId) -> Result<Option<u64>, RpcError> {
    let head = chain.head_number()?;
    Ok(match id {
        BlockId::Hash(hash) => chain.world()?.numbers.get(&hash.block_hash).copied(),
        BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => Some(head),
        BlockId::Number(BlockNumberOrTag::Finalized | BlockNumberOrTag::Safe) => Some(chain.finalized_number()?),
        BlockId::Number(BlockNumberOrTag::Earliest) => Some(0),
        BlockId::Number(BlockNumberOrTag::Number(number)) => Some(number).filter(|number| *number <= head),
    })
}

fn state_block(chain: &EmbeddedChain, id: BlockId) -> Result<u64, RpcError> {
    block_number(chain, id)?.ok_or_else(|| RpcError::new(-32_000, "header not found"))
}

fn balance(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let address: evm_types::Address = params.required("address")?;
    let number = state_block(chain, params.block()?)?;
    let wei = chain.world()?.with_view(number, |view| view.account(address).unwrap_or_default().balance)?;
    Ok(json!(wei))
}

fn storage_at(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let address: evm_types::Address = params.required("address")?;
    let slot: U256 = params.required("slot")?;
    let number = state_block(chain, params.block()?)?;
    let word = chain.world()?.with_view(number, |view| view.storage(address, slot))?;
    Ok(json!(evm_types::B256::from(word)))
}

fn transaction_count(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let address: evm_types::Address = params.required("address")?;
    let id = params.block()?;
    let nonce = chain.nonce_at(address.into(), state_block(chain, id)?)?;
    let pending = id == BlockId::Number(BlockNumberOrTag::Pending);
    let count = if pending { chain.pool().next_nonce(address, nonce) } else { nonce };
    Ok(json!(U64::from(count)))
}

fn call_request(request: &TransactionRequest) -> (CallRequest, U256) {
    let call = CallRequest {
        from: request.from.unwrap_or_default().into(),
        to: request.to.and_then(|kind| kind.to().copied()).map(Into::into),
        data: request.input.input().map(|input| input.to_vec()).unwrap_or_default(),
        gas: request.gas,
    };
    (call, request.value.unwrap_or_default())
}

fn call(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let request: TransactionRequest = params.required("call")?;
    let number = state_block(chain, params.block()?)?;
    params.refuse_overrides()?;
    let (request, value) = call_request(&request);
    match chain.simulate(&request, value, number)?.outcome {
        CallOutcome::Returned(data) => Ok(json!(Bytes::from(data))),
        CallOutcome::Reverted(data) => Err(reverted(data)),
    }
}

fn reverted(data: Vec<u8>) -> RpcError {
    RpcError { code: 3, message: "execution reverted".to_owned(), data: Some(json!(Bytes::from(data))) }
}

/// Finds a gas limit that is enough, at most a sixty-fourth above the least.
fn estimate(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let request: TransactionRequest = params.required("call")?;
    let number = state_block(chain, params.block()?)?;
    params.refuse_overrides()?;
    let (request, value) = call_request(&request);
    match chain.estimate_at(request, value, number)? {
        Estimate::Gas(gas) => Ok(json!(U64::from(gas))),
        Estimate::Reverted(data) => Err(reverted(data)),
    }
}

fn block(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let id: BlockId = params.required("block")?;
    let full: bool = params.optional("full transactions")?.unwrap_or(false);
    match block_number(chain, id)? {
        Some(number) => render::block(chain, number, full),
        None => Ok(Value::Null),
    }
}

fn logs(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let filter: Filter = params.required("filter")?;
    let number_of = |id: BlockId| state_block(chain, id);
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let number = number_of(hash.into())?;
            (number, number)
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let head = chain.head_number()?;
            // A number past the head is an open end.
            let bound = |tag: Option<BlockNumberOrTag>| {
                let tag = tag.unwrap_or_default();
                tag.as_number().map_or_else(|| number_of(tag.into()), Ok)
            };
            (bound(from_block)?, bound(to_block)?.min(head))
        }
    };
    if to.saturating_sub(from) >= LOG_BLOCKS_MAX {
        return Err(RpcError::new(-32_005, format!("more than {LOG_BLOCKS_MAX} blocks")));
    }
    let found = chain.logs_where(from, to, |log| filter.matches(log))?;
    if found.len() > LOGS_MAX {
        return Err(RpcError::new(-32_005, format!("more than {LOGS_MAX} logs")));
    }
    render::logs(chain, found)
}

/// A block that the index names.
fn stored_block(chain: &EmbeddedChain, number: u64) -> Result<Arc<Block>, RpcError> {
    Ok(chain.world()?.block(&chain.log, number)?)
}

fn position(index: u32) -> Result<usize, RpcError> {
    Ok(usize::try_from(index).map_err(storage)?)
}
