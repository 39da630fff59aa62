//! The post room: background work on the ledger.
//!
//! Every step is recorded by an operation of its own before the next one is taken, so that a kill between any two of
//! them is continued from what is stored: reserve a nonce, sign, store the bytes, send, watch, judge, settle.
//!
//! One process at a time works on a signer's lane, and every record carries the number under which the lane is held.
//!
//! Invariant: bytes are sent only after they are committed.
//! Invariant: only the judge's word ends a credit.

mod contain;
mod credit;
mod deploy;
mod fault;
mod gate;
pub mod head;
pub mod lane;
pub mod produce;
mod readable;
mod reconcile;
mod recover;
pub mod refresh;
mod supervise;
mod tend;
mod watch;
pub mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{HolderId, LedgerTransactionId, ProductId};
use domain::lease::Lane;
use domain::ledger_transaction::LedgerTransaction;
use domain::network::NetworkName;
use domain::wallet::EvmAddress;
use ledger::contract::Checkpoint;
use ledger::fees::{FeeOffer, FeePolicy, Fees};
use ledger::signer::{IssuedToday, PolicedSigner, SigningPolicy};
use ledger::transaction::{Signed, Signer, Unsigned};
use ledger::{Address, Chain, SendOutcome, TxHash};
use store::{Reader, StoreError};
use tokio::sync::{Notify, watch as stop_watch};

use crate::clock::Clock;
use crate::crash::CrashPoint;
use crate::desk::Desk;
use crate::meters::{LedgerMeters, Wait};
use crate::operations::ledger::RecordAttempt;
use crate::operations::network::NetworkPin;
use crate::standing::Standing;
use contain::SetAside;
pub use fault::LedgerFault;
use gate::Compared;
use lane::{Holding, LaneKeeper};
use readable::Readability;
use reconcile::Reconciliation;
use recover::Recovery;
pub use supervise::supervise;
use watch::SeenRecords;

/// How the ledger is worked with.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPolicy {
    /// How long a signed batch may run, in seconds of ledger time (Ethereum 30 minutes).
    pub validity_s: i64,
    /// By which clock the network's blocks are stamped.
    pub block_time: BlockTime,
    /// Whether nothing but this program can send to the network, so that nothing that it forgot can still arrive.
    pub is_private: bool,
    /// What is paid for gas.
    pub fees: FeePolicy,
    /// Gas of one transaction at most.
    pub transaction_gas_max: u64,
    /// Whether the network's factory is deployed where it has none. Where operators configured the network they say when
    /// (`scrip ledger init`).
    pub may_deploy_factory: bool,
    /// The most units that are signed for on one day; `None` for no limit.
    pub issued_units_per_day_max: Option<u64>,
    /// How long a ledger transaction that is the next to run waits for a block before more is offered for its gas; `None` where
    /// nobody else's transactions compete.
    pub bump_after: Option<Duration>,
    /// Nonces in flight at most: nodes promise to keep sixteen per account.
    pub open_max: usize,
    /// How long a process that gives no sign of life keeps the lane.
    pub lease: Duration,
    /// For how long no node may be readable before processing credits are shown as unknown.
    pub unknown_after: Duration,
    /// How often the ledger is looked at while something is open and nothing rings.
    pub look_every: Duration,
}

/// By which clock a network's blocks are stamped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockTime {
    /// Business time: the embedded ledger's.
    Business,
    /// The machines' time, whatever the sandbox's clock was turned to.
    Machine,
}

impl LedgerPolicy {
    /// What the registrar's key may sign before factory and tokens were found.
    fn signing(&self, chain_id: u64) -> SigningPolicy {
        SigningPolicy {
            chain_id,
            factory: None,
            may_deploy_factory: self.may_deploy_factory,
            tokens: BTreeSet::new(),
            transaction_gas_max: self.transaction_gas_max,
            max_fee_per_gas_wei_max: self.fees.max_fee_per_gas_wei_max,
            max_priority_fee_per_gas_wei_max: self.fees.max_priority_fee_per_gas_wei_max,
            issued_units_per_day_max: self.issued_units_per_day_max.map_or(u128::MAX, u128::from),
        }
    }
}

/// What the ledger work needs.
pub struct LedgerWork {
    network: NetworkName,
    lane: LaneKeeper,
    /// Changes when instructions were queued.
    queued: stop_watch::Receiver<u64>,
    archive: Arc<Reader>,
    chain: Arc<dyn Chain>,
    device: Arc<dyn Signer>,
    /// The device behind its policy.
    signer: Arc<PolicedSigner>,
    clock: Clock,
    policy: LedgerPolicy,
    meters: LedgerMeters,
    /// Rung after something was sent.
    sent: Arc<Notify>,
    /// Rung when there is a new block.
    block: Arc<Notify>,
    standing: Standing,
    /// Whether the database knows everything that the ledger does.
    recovery: Recovery,
    /// Where each token's records were taken over to, while nothing is signed.
    taken_over: BTreeMap<ProductId, Checkpoint>,
    /// The network's pin, while what was compared last is recent.
    gate: Option<Compared>,
    /// Whether this run knows what was signed for on this day.
    is_day_recalled: bool,
    /// Reverted ledger transactions that were explained.
    explained: BTreeSet<TxHash>,
    /// Instructions that could not be worked on, and when they are tried again.
    set_aside: SetAside,
    /// Tokens whose code this run has compared.
    tokens: BTreeMap<ProductId, Address>,
    /// Whether the network's nodes can be read.
    readability: Readability,
    /// What comparing the products came to so far.
    reconciliation: Reconciliation,
    /// What was read of the tokens' records, while the lane was held under one number.
    seen: BTreeMap<ProductId, SeenRecords>,
    /// That number; 0 before the lane was ever held.
    seen_under: u64,
}

/// Everything [`LedgerWork`] is made of.
#[derive(Clone)]
pub struct LedgerParts {
    /// The network.
    pub network: NetworkName,
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

impl LedgerWork {
    /// Sets up the work.
    #[must_use]
    pub fn new(parts: LedgerParts) -> Self {
        let LedgerParts { network, desk, archive, chain, signer: device, clock, holder, policy, meters, sent, block, standing } =
            parts;
        let signer = PolicedSigner::new(device.clone(), policy.signing(chain.chain_id()), IssuedToday::default());
        let lane = Lane::Ledger(EvmAddress::new(signer.address().0));
        let queued = desk.instructions_queued();
        let lane = LaneKeeper::new(desk, clock.clone(), lane, holder, policy.lease);
        Self {
            network,
            lane,
            queued,
            archive,
            chain,
            device,
            signer: Arc::new(signer),
            clock,
            policy,
            meters,
            sent,
            block,
            standing,
            recovery: Recovery::Unknown,
            taken_over: BTreeMap::new(),
            gate: None,
            is_day_recalled: false,
            explained: BTreeSet::new(),
            set_aside: SetAside::default(),
            tokens: BTreeMap::new(),
            readability: Readability::default(),
            reconciliation: Reconciliation::default(),
            seen: BTreeMap::new(),
            seen_under: 0,
        }
    }

    /// Works until told to stop: at once when a credit is ordered or a block is made, else at a calm pace.
    pub async fn run(mut self, mut stop: stop_watch::Receiver<bool>) {
        let mut queued = self.queued.clone();
        loop {
            let looked = self.round().await;
            let network = &self.network;
            match looked {
                Ok(()) => {}
                Err(fault @ LedgerFault::LaneLost) => tracing::info!(%fault, %network, "ledger work is left to it"),
                Err(fault) if fault.halts() => tracing::error!(%fault, %network, "ledger work is halted"),
                Err(fault) => tracing::warn!(%fault, %network, "ledger work stopped early and will go on"),
            }
            let is_over = tokio::select! {
                _said = stop.wait_for(|stop| *stop) => true,
                _queued = queued.changed() => false,
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
        let looked = self.look().await;
        match &looked {
            Ok(()) => self.standing.set_halted(&self.network, None),
            Err(fault) if fault.halts() => {
                // What was compared before may be no longer so.
                self.gate = None;
                self.standing.set_halted(&self.network, Some(fault.to_string()));
            }
            // Whether it is still halted is not known.
            Err(_) => {}
        }
        if looked.is_err() {
            self.meters.faults.increment(1);
        }
        self.note_readability(&looked).await;
        looked
    }

    async fn look(&mut self) -> Result<(), LedgerFault> {
        let pin = self.pass_gate().await?;
        if pin.is_none() && !self.policy.may_deploy_factory {
            return Err(LedgerFault::NotInitialised(self.network.clone()));
        }
        let is_recovered = self.is_recovered().await?;
        let network = self.network.clone();
        // Who has nothing to do asks for no lane: an idle program writes nothing.
        if let Some(pin) = &pin
            && is_recovered
            && !self.read(move |archive| archive.has_ledger_work(&network)).await?
        {
            return self.reconcile(pin).await;
        }
        if !self.hold_lane().await? {
            return Ok(());
        }
        let pin = match pin {
            Some(pin) => Some(pin),
            None => self.deploy_factory().await?,
        };
        let Some(pin) = pin else { return Ok(()) };
        let sight = self.sight().await?;
        if !self.recover(&pin, &sight).await? {
            return self.watch_open(&pin, &sight).await.map(drop);
        }
        self.deploy_tokens(pin.factory, &sight).await?;
        let open = self.watch_open(&pin, &sight).await?;
        self.reconcile(&pin).await?;
        self.bind_queued(&pin, open).await
    }

    /// Deploys the network's factory and pins the network, where that was not done; `None` while it is on its way.
    ///
    /// # Errors
    /// As [`LedgerWork::round`].
    pub async fn initialise(&mut self) -> Result<Option<NetworkPin>, LedgerFault> {
        if let Some(pin) = self.pass_gate().await? {
            return Ok(Some(pin));
        }
        if self.hold_lane().await? { self.deploy_factory().await } else { Ok(None) }
    }

    /// Says whether the lane is held.
    async fn hold_lane(&mut self) -> Result<bool, LedgerFault> {
        match self.lane.hold().await? {
            Holding::Here(fencing) if fencing == self.seen_under => Ok(true),
            Holding::Here(fencing) => {
                // What another worker sent meanwhile was not watched for.
                (self.seen, self.seen_under) = (BTreeMap::new(), fencing);
                (self.recovery, self.taken_over) = (Recovery::Unknown, BTreeMap::new());
                CrashPoint::LaneClaimed.reached();
                Ok(true)
            }
            Holding::Elsewhere => Ok(false),
        }
    }

    /// What is offered for gas now.
    ///
    /// # Errors
    /// [`LedgerFault::FeesAboveCeiling`].
    async fn fees(&self) -> Result<Fees, LedgerFault> {
        let policy = self.policy.fees;
        match policy.offer(self.chain.fee_market(policy.tip_percentile).await?) {
            FeeOffer::Offered(fees) => Ok(fees),
            FeeOffer::AboveCeiling { needed_per_gas_wei, ceiling_per_gas_wei } => {
                Err(LedgerFault::FeesAboveCeiling { needed_per_gas_wei, ceiling_per_gas_wei })
            }
        }
    }

    /// Signs a reserved ledger transaction, commits the bytes, and only then sends them.
    async fn sign_store_send(&mut self, slot: &LedgerTransaction, call: Call) -> Result<(), LedgerFault> {
        let fees = self.fees().await?;
        let Call { to, data, gas_limit } = call;
        let (chain_id, nonce) = (self.chain.chain_id(), slot.nonce);
        self.attempt(slot.id, Unsigned { chain_id, nonce, gas_limit, fees, to, value_wei: 0, data }).await
    }

    /// Signs a version of a ledger transaction, commits the bytes, and only then sends them. Does nothing in quarantine: what
    /// is to be signed is found again.
    async fn attempt(&mut self, id: LedgerTransactionId, unsigned: Unsigned) -> Result<(), LedgerFault> {
        if self.quarantined_until_seconds().is_some() {
            return Ok(());
        }
        let signed = self.sign(unsigned).await?;
        CrashPoint::Signed.reached();
        let record = RecordAttempt { ledger_transaction_id: id, raw: signed.raw.clone(), hash: signed.tx_hash.0 };
        if crate::planted::Bug::SentBeforeStored.is_planted() {
            self.send(&signed.raw).await;
        }
        self.lane.record(record).await?;
        CrashPoint::BytesStored.reached();
        self.send(&signed.raw).await;
        Ok(())
    }

    /// Asks the device, which may take its time.
    async fn sign(&self, unsigned: Unsigned) -> Result<Signed, LedgerFault> {
        let signer = self.signer.clone();
        let now_seconds = u64::try_from(self.clock.now().seconds_floor()).unwrap_or(0);
        Ok(tokio::task::spawn_blocking(move || signer.sign(&unsigned, now_seconds)).await.map_err(|_| LedgerFault::Cut)??)
    }

    /// Sends stored bytes. Should another process hold the lane by now, sending is harmless: the bytes were recorded while
    /// it was held, and each number in them is applied once, however often they arrive. Whatever the node answers proves nothing: the judge will see.
    async fn send(&self, raw: &[u8]) -> SendOutcome {
        let answer = CrashPoint::Sending.during(self.chain.send(raw)).await;
        CrashPoint::Sent.reached();
        let outcome = SendOutcome::of(&answer);
        if let Err(error) = answer {
            tracing::debug!(%error, network = %self.network, "the node did not take a ledger transaction");
            match outcome {
                SendOutcome::TopUp => {
                    self.meters.waits(Wait::Funds).increment(1);
                    tracing::warn!(%error, network = %self.network, "the registrar cannot pay for gas: top it up, and work goes on");
                }
                SendOutcome::Inspect => {
                    self.meters.waits(Wait::Refused).increment(1);
                    tracing::warn!(%error, network = %self.network, "the node refuses a ledger transaction as it is");
                }
                SendOutcome::Held
                | SendOutcome::NonceUsed
                | SendOutcome::RaiseFees
                | SendOutcome::Later
                | SendOutcome::Unanswered => {}
            }
        }
        self.sent.notify_one();
        outcome
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LedgerFault> {
        read(&self.archive, query).await
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

/// Asks for committed state without holding up what else runs.
async fn read<T: Send + 'static>(
    archive: &Arc<Reader>,
    query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, LedgerFault> {
    let archive = archive.clone();
    Ok(tokio::task::spawn_blocking(move || query(&archive)).await.map_err(|_| LedgerFault::Cut)??)
}
