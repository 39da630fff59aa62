//! Integration tests: the whole program through real HTTP, on a real database and a real EVM.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod clock;
mod contract;
mod demo;
mod guide;
mod killing;
mod ledger_work;
mod process;
mod restart;
mod tamper;
mod tidy;
mod world;
