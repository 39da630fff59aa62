//! Integration tests: the whole program through real HTTP, on a real database and a real EVM.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod campaigns;
mod catalogue;
mod contract;
mod guide;
mod killing;
mod process;
mod states;
mod tidy;
mod world;
