//! The rules of the primary market of crypto securities, as pure functions over plain values.
//!
//! Nothing here reads a clock, a socket, a file or a random source: whatever a rule needs comes in as an
//! argument, and whatever it decides goes out as a value. `ARCHITECTURE.md` explains who calls it and when.

pub mod calendar;
pub mod campaign;
pub mod country;
pub mod credit;
pub mod daycount;
pub mod document;
pub mod freeze;
pub mod ids;
pub mod instant;
pub mod instruction;
pub mod interest;
pub mod investment;
pub mod investor;
pub mod journal;
pub mod lease;
pub mod ledger_transaction;
pub mod money;
pub mod network;
pub mod organisation;
pub mod payable;
pub mod product;
pub mod refusal;
pub mod state;
pub mod text;
pub mod units;
pub mod wallet;
pub mod webhook;
