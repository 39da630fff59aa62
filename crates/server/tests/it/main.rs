//! Integration tests: the whole program through real HTTP, on a real database and a real EVM.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod access;
mod anvil;
mod backup;
mod campaigns;
mod cancellation;
mod catalogue;
mod clock;
mod configuration;
mod contract;
mod coverage;
mod credits;
mod demo;
mod desk;
mod documents;
mod dry_run;
mod faults;
mod frozen;
mod guide;
mod health;
mod idempotency;
mod input;
mod investments;
#[cfg(feature = "planted")]
mod kill_points;
mod killing;
mod ledger_work;
mod lists;
mod meters;
mod migrations;
mod model;
mod networks;
mod oauth;
mod openapi;
mod overload;
mod payable;
mod privacy;
mod process;
mod raw;
mod restart;
mod servers;
mod signed_documents;
mod simulator;
mod statements;
mod states;
mod stopping;
mod tamper;
mod tidy;
mod webhooks;
mod world;
