//! The post room: background work on the ledger.
//!
//! Every step is recorded by an operation of its own before the next one is taken, so that a kill between any two of
//! them is continued from what is stored: reserve a nonce, sign, store the bytes, send, watch, judge, settle.
//!
//! One process at a time works on a signer's lane, and every record carries the number under which the lane is held.
//!
//! Invariant: bytes are sent only after they are committed.
//! Invariant: only the judge's word ends a credit.

mod credit;
mod deploy;
mod fence;
pub mod head;
pub mod lane;
pub mod produce;
pub mod refresh;
mod supervise;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{HolderId, ProductId};
use domain::lease::Lane;
use domain::ledger_transaction::LedgerTransaction;
use domain::wallet::EvmAddress;
use ledger::contract::ContractError;
use ledger::transaction::{Fees, Signer, SignerError, Unsigned};
use ledger::{Address, Chain, ChainError};
use store::{Reader, StoreError};
use tokio::sync::{Notify, watch as stop_watch};

use crate::clock::Clock;
use crate::desk::{Desk, ProgramFault};
use crate::meters::LedgerMeters;
use crate::operations::ledger::RecordAttempt;
use crate::standing::Standing;
use lane::{Holding, LaneKeeper};
pub use supervise::supervise;
use watch::SeenRecords;

/// How the ledger is worked with.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPolicy {
    /// How long a signed batch may run, in seconds of ledger time (Ethereum 30 minutes).
    pub validity_s: i64,
    /// What is offered for gas.
    pub fees: Fees,
    /// Gas of one transaction at most.
    pub transaction_gas_max: u64,
    /// Nonces in flight at most: nodes promise to keep sixteen per account.
    pub open_max: usize,
    /// How long a process that gives no sign of life keeps the lane.
    pub lease: Duration,
    /// How often the ledger is looked at while something is open and nothing rings.
    pub look_every: Duration,
}

/// What the ledger work needs.
pub struct LedgerWork {
    lane: LaneKeeper,
    /// Rung when instructions were queued.
    queued: Arc<Notify>,
    archive: Arc<Reader>,
    chain: Arc<dyn Chain>,
    signer: Arc<dyn Signer>,
    clock: Clock,
    policy: LedgerPolicy,
    meters: LedgerMeters,
    /// Rung after something was sent.
    sent: Arc<Notify>,
    /// Rung when there is a new block.
    block: Arc<Notify>,
    standing: Standing,
    /// Whether this run has found that the database knows every nonce that the ledger has seen.
    is_past_fence: bool,
    /// The factory, once this run has found its code on the chain that was pinned.
    pinned_factory: Option<Address>,
    /// What was read of the tokens' records, while the lane was held under one number.
    seen: BTreeMap<ProductId, SeenRecords>,
    /// That number; 0 before the lane was ever held.
    seen_under: u64,
}

/// Everything [`LedgerWork`] is made of.
#[derive(Clone)]
pub struct LedgerParts {
    /// The way to the desk.
    pub desk: Desk,
    /// Committed state.
    pub archive: Arc<Reader>,
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The registrar's key.
    pub signer: Arc<dyn Signer>,
    /// The clocks.
    pub clock: Clock,
    /// Who works.
    pub holder: HolderId,
    /// How to work.
    pub policy: LedgerPolicy,
    /// What it counts with.
    pub meters: LedgerMeters,
    /// Rung after something was sent.
    pub sent: Arc<Notify>,
    /// Rung when there is a new block.
    pub block: Arc<Notify>,
    /// Told when nothing may be signed.
    pub standing: Standing,
}

/// Why a round of ledger work stopped. Nothing is lost: the next round goes on from what is stored.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The desk did not take a record.
    #[error(transparent)]
    Program(#[from] ProgramFault),
    /// The chain did not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The contract answered unexpectedly.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// There is no signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A batch does not fit one transaction.
    #[error("a batch does not fit one ledger transaction")]
    BatchTooLarge,
    /// What lies at a contract's address is not the contract.
    #[error("unexpected code at {0}")]
    UnexpectedCode(Address),
    /// The chain is not the one whose contracts are remembered.
    #[error("chain {0} is not the chain whose contracts are remembered")]
    OtherChain(u64),
    /// Another process took the signer's lane over. Nothing was written.
    #[error("another process took the lane over")]
    LaneLost,
    /// The ledger has used nonces that the database does not know.
    #[error(
        "the ledger has used {used} nonces of the registrar, the database knows {reserved}: it is older than the ledger, nothing is signed"
    )]
    DatabaseBehind {
        /// On the ledger.
        used: u64,
        /// In the database.
        reserved: u64,
    },
    /// The background thread that reads the database ended.
    #[error("a read was cut off")]
    Cut,
}

impl LedgerWork {
    /// Sets up the work.
    #[must_use]
    pub fn new(parts: LedgerParts) -> Self {
        let LedgerParts { desk, archive, chain, signer, clock, holder, policy, meters, sent, block, standing } = parts;
        let lane = Lane::Ledger(EvmAddress::new(signer.address().0));
        let queued = desk.instructions_queued();
        let lane = LaneKeeper::new(desk, clock.clone(), lane, holder, policy.lease);
        Self {
            lane,
            queued,
            archive,
            chain,
            signer,
            clock,
            policy,
            meters,
            sent,
            block,
            standing,
            is_past_fence: false,
            pinned_factory: None,
            seen: BTreeMap::new(),
            seen_under: 0,
        }
    }

    /// Works until told to stop: at once when a credit is ordered or a block is made, else at a calm pace.
    pub async fn run(mut self, mut stop: stop_watch::Receiver<bool>) {
        let queued = self.queued.clone();
        loop {
            let looked = self.round().await;
            if looked.is_err() {
                self.meters.faults.increment(1);
            }
            match looked {
                Ok(()) => {}
                Err(fault @ LedgerFault::LaneLost) => tracing::info!(%fault, "ledger work is left to it"),
                Err(fault @ LedgerFault::DatabaseBehind { .. }) => tracing::error!(%fault, "ledger work is halted"),
                Err(fault) => tracing::warn!(%fault, "ledger work stopped early and will go on"),
            }
            let is_over = tokio::select! {
                _said = stop.wait_for(|stop| *stop) => true,
                () = queued.notified() => false,
                () = self.block.notified() => false,
                () = tokio::time::sleep(self.policy.look_every) => false,
            };
            if is_over {
                return self.hand_back().await;
            }
        }
    }

    /// Hands the lane back, so that another process can go on at once.
    pub async fn hand_back(&mut self) {
        self.lane.release().await;
    }

    /// One look at everything that is open. Does nothing while there is no work, or another process does it.
    ///
    /// # Errors
    /// Whatever cut the round short.
    pub async fn round(&mut self) -> Result<(), LedgerFault> {
        self.pass_fence().await?;
        // Who has nothing to do asks for no lane: an idle program writes nothing.
        if self.pinned_factory.is_some() && !self.read(Reader::has_ledger_work).await? {
            return Ok(());
        }
        match self.lane.hold().await? {
            Holding::Here(fencing) if fencing == self.seen_under => {}
            // What another worker sent meanwhile was not watched for.
            Holding::Here(fencing) => (self.seen, self.seen_under) = (BTreeMap::new(), fencing),
            Holding::Elsewhere => return Ok(()),
        }
        let Some(factory) = self.factory().await? else { return Ok(()) };
        self.deploy_tokens(factory).await?;
        let open = self.watch_open(factory).await?;
        self.bind_queued(factory, open).await
    }

    /// Signs a reserved ledger transaction, commits the bytes, and only then sends them.
    async fn sign_store_send(&mut self, slot: &LedgerTransaction, call: Call) -> Result<(), LedgerFault> {
        let unsigned = Unsigned {
            chain_id: self.chain.chain_id(),
            nonce: slot.nonce,
            gas_limit: call.gas_limit,
            fees: self.policy.fees,
            to: call.to,
            value_wei: 0,
            data: call.data,
        };
        let signed = unsigned.sign(self.signer.as_ref())?;
        let record = RecordAttempt { ledger_transaction_id: slot.id, raw: signed.raw.clone(), hash: signed.tx_hash.0 };
        self.lane.record(record).await?;
        self.send(&signed.raw).await;
        Ok(())
    }

    /// Sends stored bytes. Should another process hold the lane by now, sending is harmless: the bytes were recorded while
    /// it was held, and each number in them is applied once, however often they arrive. Whatever the node answers proves nothing: the judge will see.
    async fn send(&self, raw: &[u8]) {
        if let Err(error) = self.chain.send(raw).await {
            tracing::debug!(%error, "the node did not take a ledger transaction");
        }
        self.sent.notify_one();
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LedgerFault> {
        let archive = self.archive.clone();
        Ok(tokio::task::spawn_blocking(move || query(&archive)).await.map_err(|_| LedgerFault::Cut)??)
    }

    fn registrar(&self) -> EvmAddress {
        EvmAddress::new(self.signer.address().0)
    }
}

/// What a ledger transaction says to the chain.
struct Call {
    to: Option<Address>,
    data: Vec<u8>,
    gas_limit: u64,
}
