//! The ledger crate from outside, on the real contracts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::needless_pass_by_value, reason = "JSON parameters are written where they are given")]

mod anvil;
mod chain_rpc;
mod contract;
mod faults;
mod file;
mod hsm;
mod node;
mod nodes;
mod proxy;
mod rpc_view;
mod speed;
mod world;
