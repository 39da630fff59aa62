//! What the program may ask of any EVM chain.

use crate::refusal::SendRefusal;
use crate::types::{Address, B256, TxHash};
use std::future::Future;
use std::pin::Pin;

/// A boxed future, so that chains can be used as `Arc<dyn Chain>`.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ChainError>> + Send + 'a>>;

/// Names one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockRef {
    /// Height, counted from genesis (0).
    pub number: u64,
    /// Hash of the block's header.
    pub hash: B256,
    /// The block's timestamp in seconds since 1970-01-01T00:00:00Z.
    pub time_seconds: u64,
}

/// Where a state is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// After the newest block.
    Head,
    /// After the newest finalized block.
    Finalized,
    /// After the block with this hash (EIP-1898). Only recent blocks can be asked.
    Block(B256),
}

/// How a ledger transaction ran in the block that holds it. While that block is not finalized, this proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub tx_hash: TxHash,
    /// The block that holds it.
    pub block: BlockRef,
    /// True for status 1; false where the transaction was reverted.
    pub succeeded: bool,
    /// Gas paid for.
    pub gas_used: u64,
    /// The address of the contract that a deployment made.
    pub contract_address: Option<Address>,
}

/// A simulated message call (`eth_call`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRequest {
    /// The caller; the zero address where nobody in particular asks.
    pub from: Address,
    /// The contract; `None` simulates a deployment.
    pub to: Option<Address>,
    /// Call data, or the deployment's initialisation code.
    pub data: Vec<u8>,
    /// Gas limit; `None` lets the chain choose its greatest.
    pub gas: Option<u64>,
}

/// How a simulated call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// It returned these bytes.
    Returned(Vec<u8>),
    /// It was reverted with these bytes. Running out of gas and invalid instructions revert with none.
    Reverted(Vec<u8>),
}

/// Which logs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFilter {
    /// The emitting contract.
    pub address: Address,
    /// First block, included.
    pub from_block: u64,
    /// Last block, included.
    pub to_block: u64,
    /// First topic (the event's signature hash), where only one event is asked for.
    pub topic0: Option<B256>,
}

/// One emitted log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The emitting contract.
    pub address: Address,
    /// Indexed fields, the event's signature hash first.
    pub topics: Vec<B256>,
    /// The other fields, ABI-encoded.
    pub data: Vec<u8>,
    /// The block that holds it.
    pub block: BlockRef,
    /// The transaction that emitted it.
    pub tx_hash: TxHash,
    /// Position among all logs of the block.
    pub index: u64,
}

/// Which chain a node says that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainIdentity {
    /// The chain id (EIP-155).
    pub chain_id: u64,
    /// Hash of block 0.
    pub genesis_hash: B256,
}

/// How an estimate of gas ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Estimate {
    /// This much gas is enough on the newest state.
    Gas(u64),
    /// The call would be reverted with these bytes.
    Reverted(Vec<u8>),
}

/// What gas costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeMarket {
    /// The base fee of the next block, in wei per gas.
    pub base_fee_per_gas_wei: u128,
    /// The tip that was paid at the asked percentile of the newest blocks, their median, in wei per gas.
    pub tip_per_gas_wei: u128,
}

/// Why a chain gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain answered that it does not take a sent transaction. This proves nothing about the transaction's end:
    /// the same bytes may run through another node.
    #[error("the chain refused the transaction: {text}")]
    Refused {
        /// What the text means.
        refusal: SendRefusal,
        /// The chain's own words.
        text: String,
    },
    /// No answer came: time out, connection lost, or a malformed answer. The request may have been carried out.
    #[error("no answer from the chain: {0}")]
    Unreachable(String),
    /// The asked block is unknown or its state is no longer kept.
    #[error("the chain does not hold the state of block {0}")]
    StateNotHeld(B256),
    /// The request itself is wrong.
    #[error("the chain cannot answer this: {0}")]
    Invalid(String),
    /// Fewer nodes than needed gave the same answer. Nothing may be concluded; ask again later.
    #[error("the nodes do not agree on {0}")]
    Disagreement(String),
    /// A node serves another chain than the configured one. Nothing may be signed while it is configured.
    #[error("endpoint {endpoint} serves chain {} with genesis {}", found.chain_id, found.genesis_hash)]
    ForeignChain {
        /// The node's configured name.
        endpoint: String,
        /// What it says.
        found: ChainIdentity,
    },
    /// A block that was final is not part of the chain any more: the chain's own promise is broken.
    #[error("block {} {} was final, and the nodes agree on {found} in its place", was.number, was.hash)]
    FinalityBroken {
        /// The block that was agreed on as final.
        was: BlockRef,
        /// The hash that stands at its height.
        found: B256,
    },
    /// The embedded chain's own files failed or are damaged.
    #[error("the embedded chain cannot be read or written: {0}")]
    Storage(String),
    /// A sync of the embedded chain's file failed: what the file holds is not certain until it is opened again.
    #[error("the embedded chain could not be synced: {0}")]
    SyncFailed(String),
}

/// An EVM chain.
///
/// Answers about state are facts only at a finalized block. An error never proves that something did not happen.
pub trait Chain: Send + Sync {
    /// The chain id that signatures must carry (EIP-155).
    fn chain_id(&self) -> u64;

    /// Hands over a signed transaction's raw bytes. Sending the same bytes again is harmless.
    ///
    /// # Errors
    /// [`ChainError::Refused`] and [`ChainError::Unreachable`]; neither proves that the transaction will not run.
    fn send<'a>(&'a self, raw: &'a [u8]) -> Answer<'a, TxHash>;

    /// The receipt of a transaction, `None` while no block of this chain holds it.
    fn receipt(&self, hash: TxHash) -> Answer<'_, Option<Receipt>>;

    /// Simulates a call; changes nothing.
    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome>;

    /// Logs in order of the chain.
    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>>;

    /// The newest block.
    fn head(&self) -> Answer<'_, BlockRef>;

    /// The newest block that can no longer be replaced.
    fn finalized(&self) -> Answer<'_, BlockRef>;

    /// How many transactions of this account have run.
    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64>;

    /// The runtime code of a contract; empty where there is none.
    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>>;

    /// The account's balance in wei.
    ///
    /// # Errors
    /// [`ChainError::Invalid`] where the balance does not fit 128 bits.
    fn balance(&self, address: Address, at: At) -> Answer<'_, u128>;

    /// Which chain the nodes serve, read from them.
    fn identity(&self) -> Answer<'_, ChainIdentity>;

    /// The block at a height of the newest branch, `None` above the head.
    fn block_at(&self, number: u64) -> Answer<'_, Option<BlockRef>>;

    /// The account's next nonce if everything that waits in the pools ran. A hint: a pool forgets.
    fn pending_nonce(&self, address: Address) -> Answer<'_, u64>;

    /// Gas with which the call runs on the newest state, without reserve.
    fn estimate_gas(&self, request: CallRequest) -> Answer<'_, Estimate>;

    /// What gas costs, with the tip at this percentile (0–100) of what the newest blocks paid.
    fn fee_market(&self, tip_percentile: u8) -> Answer<'_, FeeMarket>;
}
