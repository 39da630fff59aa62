//! The program as a whole: what is opened, in which order, and how it stops.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::journal::Head;
use domain::product::Token;
use ledger::embedded::{BASE_FEE_PER_GAS_WEI, CHAIN_ID_DEFAULT, EmbeddedChain, GenesisConfig, TRANSACTION_GAS_LIMIT};
use ledger::transaction::{Fees, LocalSigner, Signer, SignerError};
use store::sqlite::ProcessLock;
use store::{Database, Place, Reader, StoreError, Upkeep};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::clock::{CLOCK_SETTING, Clock};
use crate::desk::{Desk, DeskThread, ProgramFault};
use crate::directory::ClientDirectory;
use crate::documents::DocumentFolder;
use crate::entropy::{Entropy, NoEntropy};
use crate::fence::{self, WentBack};
use crate::http::listener::{self, ListenerLimits};
use crate::http::{Counter, Doors, Furnishing, router};
use crate::jobs::{LedgerParts, LedgerPolicy, LedgerWork, head, produce, refresh};
use crate::keyring::{self, KeyUse, Keyring};
use crate::ledger_rpc;
use crate::operations::sandbox::{INHABITANTS_SETTING, Inhabitants, SettleSandbox};
use crate::standing::Standing;

/// Wei the embedded ledger's registrar starts with: more than any number of batches costs.
const REGISTRAR_WEI: u128 = 1_000_000_000_000_000_000_000_000_000;
/// What the embedded ledger is offered for gas: twice its constant base fee.
const MAX_FEE_PER_GAS_WEI: u128 = BASE_FEE_PER_GAS_WEI as u128 * 2;
/// Connections that read the database.
const READERS: usize = 4;
/// How long the sandbox waits for its token contract before it gives up, in steps of ten milliseconds.
const TOKEN_WAIT_STEPS: u32 = 3_000;

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept that is not in the database: keys, documents, the embedded ledger.
    pub data: PathBuf,
    /// The URL of a `PostgreSQL` database; `None` for the embedded one in the data folder. Servers that share a database
    /// have the same root key in their data folders.
    pub database: Option<String>,
    /// What to do where the database's schema is older than the program.
    pub upkeep: Upkeep,
    /// Whether this program holds the embedded ledger and does its work. Of the servers that share a database one does;
    /// the others leave that work to it.
    pub has_ledger: bool,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Whether clients are limited.
    pub is_rate_limited: bool,
    /// Which doors the counter has; the sandbox is also settled.
    pub doors: Doors,
    /// Where the embedded ledger is served as JSON-RPC, if at all; loopback only.
    pub ledger_rpc: Option<SocketAddr>,
    /// Blocks that must follow one until it counts as final on the embedded ledger.
    pub finality_blocks: u64,
}

impl Default for Settings {
    /// What the command line takes where it is not told.
    fn default() -> Self {
        Self {
            data: PathBuf::from("scrip-data"),
            database: None,
            upkeep: Upkeep::Migrate,
            has_ledger: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            is_rate_limited: true,
            doors: Doors::Production,
            ledger_rpc: None,
            finality_blocks: 1,
        }
    }
}

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// A file or socket.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// Another long-running process works on the data folder.
    #[error("{} is in use by another scrip", .0.display())]
    InUse(PathBuf),
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The ledger.
    #[error("the ledger: {0}")]
    Ledger(#[from] ledger::ChainError),
    /// The signing key.
    #[error("the signing key: {0}")]
    Signer(#[from] SignerError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The first inhabitants could not be settled.
    #[error("the sandbox: {0}")]
    Settle(#[from] ProgramFault),
    /// Sealed settings cannot be read: the data folder belongs to another key.
    #[error("the data folder was written with another key")]
    OtherKey,
    /// The database lies behind what this instance has committed: an older copy, or a standby that missed commits.
    #[error(transparent)]
    WentBack(#[from] WentBack),
    /// The token contract does not appear on the ledger.
    #[error("the token contract does not appear on the ledger")]
    NoToken,
    /// A ledger is to be served that another program holds.
    #[error("--ledger-rpc needs the ledger: leave --no-ledger out")]
    LedgerElsewhere,
    /// A JSON-RPC listener elsewhere than on this machine.
    #[error("--ledger-rpc takes loopback addresses only")]
    NotLoopback,
}

/// A data folder, opened: keys, database, clock and desk, without any server.
pub struct Office {
    /// The instance's keys.
    pub keyring: Keyring,
    /// Committed state.
    pub archive: Arc<Reader>,
    /// The clocks.
    pub clock: Clock,
    /// The way to the desk.
    pub desk: Desk,
    /// What cannot work although it runs.
    pub standing: Standing,
    desk_thread: DeskThread,
}

impl Office {
    /// Opens a data folder, making it where it is new, and its database: the embedded one, or that of a URL. Brings the
    /// database's schema up to date.
    ///
    /// # Errors
    /// See [`StartFault`].
    pub fn open(data: &Path, database: Option<&str>) -> Result<Self, StartFault> {
        Self::open_with(data, database, Upkeep::Migrate)
    }

    /// The same, with a schema that is brought up to date, or refused.
    ///
    /// # Errors
    /// See [`StartFault`].
    pub fn open_with(data: &Path, database: Option<&str>, upkeep: Upkeep) -> Result<Self, StartFault> {
        let at = |what: &str| {
            let what = format!("{}: {what}", data.display());
            move |error| StartFault::Io(what, error)
        };
        make_private(data).map_err(at("the data folder"))?;
        let mut entropy = Entropy::from_machine()?;
        let keyring = Keyring::open(&data.join("root.key"), &mut entropy).map_err(at("the root key"))?;
        let database = Database::open_with(&place(data, database), upkeep)?;
        let archive = Arc::new(database.reader(READERS)?);
        // Asked before anything is written: entries made with another key could never be checked.
        read_inhabitants(&archive, &keyring)?;
        if let Ok(kept) = head::read(&head::default_path(data), &keyring) {
            fence::holds(&archive, kept)??;
        }
        let clock = Clock::ahead_by(read_clock(&archive)?);
        let (desk, desk_thread) = Desk::open(database.writer()?, keyring.clone(), entropy).map_err(at("the desk"))?;
        Ok(Self { keyring, archive, clock, desk, standing: Standing::default(), desk_thread })
    }

    /// Waits until the desk has answered everything, keeps the head, and closes.
    pub fn close(self, head_path: &Path) {
        let Self { keyring, desk, desk_thread, .. } = self;
        let newest = desk.head();
        drop(desk);
        desk_thread.join();
        let newest: Option<Head> = *newest.borrow();
        if let Some(newest) = newest
            && let Err(error) = head::write(head_path, &keyring, newest)
        {
            tracing::error!(%error, "the journal's head could not be kept outside the data folder");
        }
    }
}

/// A running program.
pub struct Running {
    /// Where HTTP is served.
    pub address: SocketAddr,
    /// The office behind it.
    pub office: Office,
    /// The embedded ledger; `None` where another program holds it.
    pub chain: Option<Arc<EmbeddedChain>>,
    /// Who lives in the sandbox; `None` in production.
    pub inhabitants: Option<Inhabitants>,
    head_path: PathBuf,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _lock: ProcessLock,
}

impl Running {
    /// Opens everything, settles a new sandbox, and serves.
    ///
    /// # Errors
    /// See [`StartFault`].
    pub async fn start(settings: &Settings) -> Result<Self, StartFault> {
        let data = settings.data.as_path();
        make_private(data).map_err(|error| StartFault::Io(data.display().to_string(), error))?;
        let lock = ProcessLock::take(data).map_err(|error| {
            if matches!(error, StoreError::Busy) { StartFault::InUse(data.to_owned()) } else { StartFault::Store(error) }
        })?;
        let office = Office::open_with(data, settings.database.as_deref(), settings.upkeep)?;
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().map_err(|error| StartFault::Io("the listener".into(), error))?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let chain = if settings.has_ledger { Some(start_ledger(settings, &office, &stopped, &mut tasks)?) } else { None };
        let head_path = head::default_path(data);
        tasks.push(tokio::spawn(head::run(office.desk.clone(), office.keyring.clone(), head_path.clone(), stopped.clone())));
        let inhabitants = match settings.doors {
            Doors::Production => None,
            Doors::Sandbox => Some(settle(&office).await?),
        };
        let counter = furnish(settings, &office, &stopped, &mut tasks)?;
        let serving = router(Arc::new(counter), settings.doors);
        let serve = listener::serve(listener, serving, ListenerLimits::DEFAULT, stopped.clone());
        tasks.push(tokio::spawn(async move {
            serve.await;
        }));
        if let Some(address) = settings.ledger_rpc {
            let chain = chain.clone().ok_or(StartFault::LedgerElsewhere)?;
            tasks.push(serve_ledger(address, chain, stopped).await?);
        }
        Ok(Self { address, office, chain, inhabitants, head_path, stop, tasks, _lock: lock })
    }

    /// Waits until a disk fails. Then the process must end without writing anything more, and so without
    /// [`Running::stop`].
    pub async fn broken_down(&self) {
        self.office.desk.breakdown().reported().await;
    }

    /// Stops in order: no new requests, running ones finish, background work hands back, the desk answers and closes.
    pub async fn stop(self) {
        let Self { office, head_path, stop, tasks, chain, .. } = self;
        stop.send_replace(true);
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the program did not stop in order");
            }
        }
        drop(chain);
        let closed = tokio::task::spawn_blocking(move || office.close(&head_path)).await;
        if closed.is_err() {
            tracing::error!("the desk did not stop in order");
        }
    }
}

/// Where the database of a data folder is.
#[must_use]
pub fn place(data: &Path, database: Option<&str>) -> Place {
    match database {
        Some(url) => Place::Server(url.to_owned()),
        None => Place::Folder(data.to_owned()),
    }
}

/// Opens the embedded ledger and starts its work.
fn start_ledger(
    settings: &Settings,
    office: &Office,
    stopped: &watch::Receiver<bool>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> Result<Arc<EmbeddedChain>, StartFault> {
    let signer = LocalSigner::new(office.keyring.derive(KeyUse::EmbeddedLedger))?;
    let chain = Arc::new(open_ledger(settings, &office.clock, &signer)?);
    tasks.extend(spawn_ledger_work(office, chain.clone(), Arc::new(signer), stopped));
    Ok(chain)
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

fn spawn_ledger_work(
    office: &Office,
    chain: Arc<EmbeddedChain>,
    signer: Arc<LocalSigner>,
    stopped: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let (sent, block) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let work = LedgerWork::new(LedgerParts {
        desk: office.desk.clone(),
        archive: office.archive.clone(),
        chain: chain.clone(),
        signer,
        clock: office.clock.clone(),
        policy: embedded_policy(),
        sent: sent.clone(),
        block: block.clone(),
        standing: office.standing.clone(),
    });
    let blocks = produce::run(chain, sent, block, office.desk.breakdown(), stopped.clone());
    vec![tokio::spawn(work.run(stopped.clone())), tokio::spawn(blocks)]
}

const fn embedded_policy() -> LedgerPolicy {
    LedgerPolicy {
        validity_s: 30 * 60,
        fees: Fees { max_fee_per_gas_wei: MAX_FEE_PER_GAS_WEI, max_priority_fee_per_gas_wei: 0 },
        transaction_gas_max: TRANSACTION_GAS_LIMIT,
        open_max: 16,
        look_every: Duration::from_millis(500),
    }
}

fn furnish(
    settings: &Settings,
    office: &Office,
    stopped: &watch::Receiver<bool>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> Result<Counter, StartFault> {
    let folder = |error| StartFault::Io("the documents' folder".into(), error);
    let documents = DocumentFolder::open(&settings.data.join("documents")).map_err(folder)?;
    for id in documents.ids().map_err(folder)? {
        // Bytes without a row were left by an upload that a crash cut off before its commit.
        if !office.archive.document_exists(id)? {
            documents.remove(id).map_err(folder)?;
        }
    }
    let directory = Arc::new(ClientDirectory::default());
    refresh::once(&office.archive, &directory, &office.clock)?;
    let refreshing = refresh::run(office.archive.clone(), directory.clone(), office.clock.clone(), stopped.clone());
    tasks.push(tokio::spawn(refreshing));
    Ok(Counter::new(Furnishing {
        desk: office.desk.clone(),
        archive: office.archive.clone(),
        readers: READERS,
        directory,
        documents,
        clock: office.clock.clone(),
        keyring: office.keyring.clone(),
        entropy: Entropy::from_machine()?,
        is_rate_limited: settings.is_rate_limited,
        standing: office.standing.clone(),
    }))
}

/// The inhabitants of a sandbox: settled once, then read back for ever, and their token awaited.
async fn settle(office: &Office) -> Result<Inhabitants, StartFault> {
    let inhabitants = match read_inhabitants(&office.archive, &office.keyring)? {
        None => office.desk.run(SettleSandbox, office.clock.now()).await?,
        Some(inhabitants) => inhabitants,
    };
    let product_id = domain::ids::ProductId::new(inhabitants.product_id);
    for _step in 0..TOKEN_WAIT_STEPS {
        let product = office.archive.product_any(product_id)?;
        match product.map(|product| product.token) {
            Some(Token::Deployed(_)) => return Ok(inhabitants),
            Some(Token::Deploying) | None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    Err(StartFault::NoToken)
}

/// Makes a folder that only its owner can enter: keys, register and ledger lie in it.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The inhabitants that were settled before; the first thing in a data folder that only its own key opens.
fn read_inhabitants(archive: &Reader, keyring: &Keyring) -> Result<Option<Inhabitants>, StartFault> {
    let Some(sealed) = archive.setting(INHABITANTS_SETTING)? else { return Ok(None) };
    let plain = keyring::open(&keyring.derive(KeyUse::SandboxSecrets), INHABITANTS_SETTING.as_bytes(), &sealed);
    let inhabitants = serde_json::from_slice(&plain.map_err(|_| StartFault::OtherKey)?).map_err(|_| StartFault::OtherKey)?;
    Ok(Some(inhabitants))
}

fn read_clock(archive: &Reader) -> Result<i64, StoreError> {
    let stored = archive.setting(CLOCK_SETTING)?;
    Ok(stored.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartFault> {
    TcpListener::bind(address).await.map_err(|error| StartFault::Io(format!("{address} cannot be listened on"), error))
}

async fn serve_ledger(
    address: SocketAddr,
    chain: Arc<EmbeddedChain>,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, StartFault> {
    if !address.ip().is_loopback() {
        return Err(StartFault::NotLoopback);
    }
    let listener = bind(address).await?;
    let serve = listener::serve(listener, ledger_rpc::router(chain), ListenerLimits::DEFAULT, stopped);
    Ok(tokio::spawn(async move {
        serve.await;
    }))
}
