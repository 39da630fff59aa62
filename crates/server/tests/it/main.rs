//! Integration tests: the whole program through real HTTP, on a real database and a real EVM.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod contract;
mod coverage;
mod guide;
mod health;
mod input;
mod killing;
mod openapi;
mod process;
mod raw;
mod tidy;
mod world;
