//! Integration tests: the whole program through real HTTP, on a real database and a real EVM.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod contract;
mod guide;
mod servers;
mod tidy;
mod world;
