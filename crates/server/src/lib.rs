//! The program: one counter (HTTP), one desk (writes), one archive (reads), and the background work on the ledger.

pub mod backup;
pub mod breakdown;
pub mod clock;
pub mod command;
pub mod configuration;
pub mod crash;
pub mod demo;
pub mod desk;
pub mod directory;
pub mod documents;
pub mod entropy;
pub mod fence;
pub mod handout;
pub mod http;
pub mod jobs;
pub mod keyring;
pub mod ledger_rpc;
pub mod log;
pub mod meters;
pub mod networks;
pub mod operations;
pub mod planted;
pub mod program;
pub mod reconciliation;
pub mod standing;
pub mod verify;
