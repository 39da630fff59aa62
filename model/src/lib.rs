//! The way of an instruction to the ledger, as a machine small enough to be explored completely.
//!
//! Two investments, two workers, one account on one ledger. `tests/exhaustive.rs` visits every state that can be reached
//! within [`Bounds`] and asks each of them for the promises of exactly-once issuance ([`properties`]); then it plants one
//! mistake after another ([`Mutant`]) and wants each to be found.
//!
//! What decides is the program's own code: [`ledger::judge::judge`], [`ledger::judge::applied_key`] and
//! [`ledger::judge::finalized_skip`] are asked on evidence that is made from the model's state ([`evidence`]). What
//! surrounds them is told here again, one action for one commit, one send or one block, so that anything may come between
//! any two of them:
//!
//! | modelled | how |
//! |---|---|
//! | client | makes the second investment and orders credits at any time; orders a failed one anew |
//! | worker | simulates, binds queued instructions to a nonce, stores the bytes, sends, sends again, judges, records the word |
//! | crash | between any two of these; the worker's mind is empty afterwards |
//! | two workers | the lane may be taken over at any moment; who lost it may still send stored bytes, and records nothing |
//! | ledger | any known bytes whose nonce is next may enter a block, or none; what was once sent is never forgotten (more than any pool can do) |
//! | time | blocks may be older than the present time; validity ends by block time |
//! | reorganisation | any depth above the final block; another branch may have other blocks at other times |
//! | finality | may come at once, late or never |
//! | refusal | an item may be found impossible by the simulation or the contract, and possible later |
//! | restore | the database goes back to a backup of any moment, and what it lost may still run; quarantine, adoption by key, higher numbers |
//!
//! Left out: units and caps (one unit each); fees and bumps (an attempt at the same nonce with the same call does the same);
//! nodes that lie or are silent (`ledger::nodes` and its tests; a silent node is an action that is not taken); reading of
//! logs (records are what the contract told; `trusted_records` and its tests); deployment; several products; the limit of
//! nonces in flight.

pub mod chain;
pub mod database;
pub mod evidence;
pub mod machine;
pub mod mutant;
pub mod properties;
pub mod state;

pub use machine::{Bounds, Machine};
pub use mutant::Mutant;
pub use state::{Action, State};
