//! The ledger: everything that knows EVM chains.
//!
//! This is the only crate that knows transactions, ABI encoding, gas and nonces. Its public interface speaks plain
//! types ([`Address`], [`B256`], `u64`, `u128`, bytes), so that no EVM library shows through it.
//!
//! - [`Chain`]: what the rest of the program may ask of any chain;
//! - [`embedded`]: a chain inside the program, and its JSON-RPC view;
//! - [`contract`]: the token contract and its factory, bound to [`Chain`];
//! - [`transaction`]: building and signing ledger transactions;
//! - [`signer`]: keys in memory, in encrypted files and in hardware, and what they may sign;
//! - [`fees`]: what is offered for gas;
//! - [`rpc`]: chains behind JSON-RPC nodes, and [`nodes`]: what several nodes agree on;
//! - [`pin`]: whether the chain is still the one that was meant;
//! - [`judge`]: the one pure function that says how an instruction ended;
//! - [`fake`]: a chain for tests whose faults are scripted.
//!
//! Invariant: the state of a chain changes only through signed transactions.
//! Invariant: only [`judge::judge`] says that an instruction succeeded or failed.

pub mod chain;
pub mod contract;
pub mod embedded;
pub mod fake;
pub mod fees;
pub mod judge;
pub mod nodes;
pub mod pin;
pub mod refusal;
pub mod rpc;
pub mod signer;
pub mod transaction;
pub mod types;

pub use chain::{
    Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainError, ChainIdentity, Estimate, FeeMarket, Log, LogFilter,
    Receipt,
};
pub use refusal::{SendOutcome, SendRefusal};
pub use types::{Address, B256, HexError, TxHash};
