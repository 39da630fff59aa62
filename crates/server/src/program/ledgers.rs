//! The ledgers of a program: the one inside it, and the networks that operators configured.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ids::HolderId;
use domain::network::NetworkName;
use ledger::embedded::{BASE_FEE_PER_GAS_WEI, CHAIN_ID_DEFAULT, EmbeddedChain, GenesisConfig, TRANSACTION_GAS_LIMIT};
use ledger::fees::FeePolicy;
use ledger::rpc::{Jitter, connect};
use ledger::signer::Signer;
use ledger::transaction::LocalSigner;
use ledger::{Address, Chain};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Office, Settings, StartFault};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::jobs::{BlockTime, LedgerFault, LedgerParts, LedgerPolicy, LedgerWork, produce, supervise};
use crate::keyring::KeyUse;
use crate::networks::{ConfiguredNetwork, UNKNOWN_AFTER_DEFAULT};
use crate::operations::network::{NetworkPin, pin_setting};

/// Wei the embedded ledger's registrar starts with: more than any number of batches costs.
const REGISTRAR_WEI: u128 = 1_000_000_000_000_000_000_000_000_000;
/// What the embedded ledger is offered for gas at most: twice its constant base fee.
const FEE_PER_GAS_WEI_MAX: u128 = BASE_FEE_PER_GAS_WEI as u128 * 2;
/// Nonces in flight at most: nodes promise to keep sixteen per account.
const OPEN_MAX: usize = 16;

/// The ledgers that a running program works with.
pub struct Ledgers {
    /// The embedded one; `None` where another program holds it.
    pub embedded: Option<Arc<EmbeddedChain>>,
    /// All of them.
    pub worked: Vec<WorkedNetwork>,
}

/// A network that a running program works with.
pub struct WorkedNetwork {
    /// Its name.
    pub name: NetworkName,
    /// Its nodes.
    pub chain: Arc<dyn Chain>,
    /// Who signs there.
    pub signer: Address,
}

impl Ledgers {
    /// Opens the ledgers and starts their work.
    pub(super) fn start(
        settings: &Settings,
        office: &Office,
        holder: HolderId,
        stopped: &watch::Receiver<bool>,
        tasks: &mut Vec<JoinHandle<()>>,
    ) -> Result<Self, StartFault> {
        let mut ledgers = Self { embedded: None, worked: Vec::new() };
        if settings.has_ledger {
            ledgers.start_embedded(settings, office, holder, stopped, tasks)?;
        }
        for network in &settings.networks {
            let parts = parts_of(office, network, holder, settings.lease)?;
            let worked = WorkedNetwork { name: network.name.clone(), chain: parts.chain.clone(), signer: parts.signer.address() };
            if let Some(other) = ledgers.worked.iter().find(|other| other.signer == worked.signer) {
                return Err(StartFault::SharedKey(other.name.clone(), worked.name));
            }
            ledgers.worked.push(worked);
            tasks.push(spawn_work(office, parts, stopped));
        }
        Ok(ledgers)
    }

    fn start_embedded(
        &mut self,
        settings: &Settings,
        office: &Office,
        holder: HolderId,
        stopped: &watch::Receiver<bool>,
        tasks: &mut Vec<JoinHandle<()>>,
    ) -> Result<(), StartFault> {
        let signer = LocalSigner::new(office.keyring.derive(KeyUse::EmbeddedLedger))?;
        let chain = Arc::new(open_ledger(settings, &office.clock, &signer)?);
        let (sent, block) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let parts = LedgerParts {
            network: NetworkName::embedded(),
            desk: office.desk.clone(),
            archive: office.archive.clone(),
            chain: chain.clone(),
            signer: Arc::new(signer),
            clock: office.clock.clone(),
            holder,
            policy: embedded_policy(settings.lease),
            meters: office.meters.ledger.clone(),
            sent: sent.clone(),
            block: block.clone(),
            standing: office.standing.clone(),
        };
        self.worked.push(WorkedNetwork { name: parts.network.clone(), chain: chain.clone(), signer: parts.signer.address() });
        let (producer, told, breakdown) = (chain.clone(), stopped.clone(), office.desk.breakdown());
        let blocks = move || produce::run(producer.clone(), sent.clone(), block.clone(), breakdown.clone(), told.clone());
        tasks.push(spawn_work(office, parts, stopped));
        tasks.push(tokio::spawn(supervise("blocks", office.meters.tasks.clone(), stopped.clone(), blocks)));
        self.embedded = Some(chain);
        Ok(())
    }
}

/// Deploys a network's factory and pins the network. What was done already is not done again.
///
/// # Errors
/// The key cannot be used; whatever cut the work short: it goes on when it is asked for again.
pub async fn initialise(office: &Office, network: &ConfiguredNetwork, lease: Duration) -> Result<NetworkPin, StartFault> {
    let holder = HolderId::new(uuid::Builder::from_random_bytes(Entropy::from_machine()?.bytes()).into_uuid());
    let mut parts = parts_of(office, network, holder, lease)?;
    parts.policy.may_deploy_factory = true;
    let mut work = LedgerWork::new(parts);
    let initialised = loop {
        match work.initialise().await {
            Ok(Some(pin)) => break Ok(pin),
            Ok(None) | Err(LedgerFault::LaneLost) => tokio::time::sleep(network.look_every).await,
            Err(fault) => break Err(StartFault::Network(network.name.clone(), fault.to_string())),
        }
    };
    work.hand_back().await;
    initialised
}

/// The nodes of a configured network.
///
/// # Errors
/// The configuration is wrong, or the database does not say what the network was pinned by.
pub fn open_network(office_archive: &store::Reader, network: &ConfiguredNetwork) -> Result<Arc<dyn Chain>, StartFault> {
    let pin = office_archive.setting(&pin_setting(&network.name))?.and_then(|stored| NetworkPin::of_bytes(&stored));
    let mut nodes = network.network.clone();
    // What was found once is asked for at every finalized block.
    nodes.genesis_hash = nodes.genesis_hash.or(pin.map(|pin| pin.chain.genesis_hash));
    let fault = |error: ledger::rpc::ConnectError| StartFault::Network(network.name.clone(), error.to_string());
    Ok(Arc::new(connect(&nodes, None, &jitter()?).map_err(fault)?))
}

fn parts_of(office: &Office, network: &ConfiguredNetwork, holder: HolderId, lease: Duration) -> Result<LedgerParts, StartFault> {
    let signer = network.signer.open().map_err(|fault| StartFault::Network(network.name.clone(), fault.to_string()))?;
    Ok(LedgerParts {
        network: network.name.clone(),
        desk: office.desk.clone(),
        archive: office.archive.clone(),
        chain: open_network(&office.archive, network)?,
        signer,
        clock: office.clock.clone(),
        holder,
        policy: LedgerPolicy {
            validity_s: network.validity_s,
            block_time: BlockTime::Machine,
            is_private: false,
            fees: network.network.fees,
            transaction_gas_max: network.network.transaction_gas_max,
            may_deploy_factory: false,
            issued_units_per_day_max: network.issued_units_per_day_max,
            bump_after: Some(network.bump_after),
            open_max: OPEN_MAX,
            lease,
            unknown_after: network.unknown_after,
            look_every: network.look_every,
        },
        meters: office.meters.ledger.clone(),
        sent: Arc::new(Notify::new()),
        block: Arc::new(Notify::new()),
        standing: office.standing.clone(),
    })
}

/// Works on one ledger until told to stop.
fn spawn_work(office: &Office, parts: LedgerParts, stopped: &watch::Receiver<bool>) -> JoinHandle<()> {
    let told = stopped.clone();
    let work = move || LedgerWork::new(parts.clone()).run(told.clone());
    tokio::spawn(supervise("ledger", office.meters.tasks.clone(), stopped.clone(), work))
}

/// Spreads the pauses between two tries of a request.
fn jitter() -> Result<Jitter, StartFault> {
    let entropy = Mutex::new(Entropy::from_machine()?);
    Ok(Arc::new(move || u64::from_be_bytes(entropy.lock().unwrap_or_else(PoisonError::into_inner).bytes())))
}

/// The embedded ledger of a data folder.
///
/// # Errors
/// Its folder is in use, damaged, or belongs to another ledger.
pub fn open_ledger(settings: &Settings, clock: &Clock, signer: &LocalSigner) -> Result<EmbeddedChain, ledger::ChainError> {
    let clock = clock.clone();
    let seconds = Arc::new(move || clock.now().seconds_floor());
    let genesis = genesis(signer, u64::try_from(seconds()).unwrap_or(0));
    EmbeddedChain::open(&settings.data.join("ledger"), &genesis, settings.finality_blocks, seconds)
}

/// How the embedded ledger of an instance begins.
#[must_use]
pub fn genesis(signer: &LocalSigner, genesis_time_seconds: u64) -> GenesisConfig {
    GenesisConfig { chain_id: CHAIN_ID_DEFAULT, prefunded: vec![(signer.address(), REGISTRAR_WEI)], genesis_time_seconds }
}

/// How the embedded ledger is worked with.
#[must_use]
pub const fn embedded_policy(lease: Duration) -> LedgerPolicy {
    LedgerPolicy {
        validity_s: 30 * 60,
        block_time: BlockTime::Business,
        is_private: true,
        fees: FeePolicy {
            max_fee_per_gas_wei_max: FEE_PER_GAS_WEI_MAX,
            max_priority_fee_per_gas_wei_max: FEE_PER_GAS_WEI_MAX,
            max_priority_fee_per_gas_wei_min: 0,
            tip_percentile: 50,
            base_fee_factor: 2,
        },
        transaction_gas_max: TRANSACTION_GAS_LIMIT,
        may_deploy_factory: true,
        issued_units_per_day_max: None,
        bump_after: None,
        open_max: OPEN_MAX,
        lease,
        unknown_after: UNKNOWN_AFTER_DEFAULT,
        look_every: Duration::from_millis(500),
    }
}
