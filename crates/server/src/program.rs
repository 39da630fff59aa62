//! The program as a whole: what is opened, in which order, and how it stops.

pub mod history;
mod ledgers;
mod settings;
mod webhooks;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::journal::Head;
use domain::network::NetworkName;
use domain::product::Token;
use ledger::embedded::EmbeddedChain;
use ledger::transaction::SignerError;
use store::sqlite::ProcessLock;
use store::{Database, Reader, StoreError, Upkeep};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::{CLOCK_SETTING, Clock};
use crate::desk::{Desk, DeskFittings, DeskThread, ProgramFault, QUEUE_COMMANDS_MAX};
use crate::directory::ClientDirectory;
use crate::documents::DocumentFolder;
use crate::entropy::{Entropy, NoEntropy};
use crate::fence::{self, WentBack};
use crate::http::listener::{self, ListenerLimits};
use crate::http::{Counter, Doors, Furnishing, router};
use crate::jobs::lane::holder_of;
use crate::jobs::{head, refresh, supervise};
use crate::keyring::{self, KeyUse, Keyring};
use crate::ledger_rpc;
use crate::meters::Meters;
use crate::meters::exposition::{self, NetworkSource, Sources};
use crate::operations::document::FindDocuments;
use crate::operations::sandbox::{INHABITANTS_SETTING, Inhabitants, SettleSandbox};
use crate::standing::Standing;

pub use self::ledgers::{Ledgers, WorkedNetwork, embedded_policy, genesis, initialise, open_ledger, open_network};
pub use self::settings::{Settings, documents_path, place};

/// How long a program that gives no sign of life keeps background work from others, unless it is told; in milliseconds.
pub const LEASE_DEFAULT_MS: u64 = 15_000;
/// Connections that read the database.
const READERS: usize = 4;
/// How long the sandbox waits for its token contract before it gives up, in steps of ten milliseconds.
const TOKEN_WAIT_STEPS: u32 = 3_000;

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
    /// The database does not say which uploads were completed.
    #[error("the documents' folder: {0}")]
    Documents(ProgramFault),
    /// The database's server was told not to wait for its disk.
    #[error(
        "the database's server runs with {0} switched off and may lose what was acknowledged: switch it on, or say --accept-unsynced-database"
    )]
    UnsyncedDatabase(String),
    /// Sealed settings cannot be read: the data folder belongs to another key.
    #[error("the data folder was written with another key")]
    OtherKey,
    /// The database lies behind what this instance has committed: an older copy, or a standby that missed commits.
    #[error(transparent)]
    WentBack(#[from] WentBack),
    /// What was remembered of restarts cannot be read.
    #[error("what was remembered of restarts of the history cannot be read")]
    UnreadableHistory,
    /// A restart of the history could not be recorded.
    #[error("a restart of the history: {0}")]
    Restart(ProgramFault),
    /// The token contract does not appear on the ledger.
    #[error("the token contract does not appear on the ledger")]
    NoToken,
    /// A ledger is to be served that another program holds.
    #[error("--ledger-rpc needs the ledger: leave --no-ledger out")]
    LedgerElsewhere,
    /// A listener without authentication elsewhere than on this machine.
    #[error("--{0} takes loopback addresses only, not {1}")]
    NotLoopback(&'static str, SocketAddr),
    /// A sandbox that other machines reach.
    #[error("a sandbox on {0} gives its clock and its secrets to everybody who reaches it: say --expose-sandbox, or use serve")]
    SandboxExposed(SocketAddr),
    /// A configured network cannot be worked with.
    #[error("network {0}: {1}")]
    Network(NetworkName, String),
    /// Two networks would share one sequence of nonces in the database.
    #[error("the networks {0} and {1} have the same key: each needs one of its own")]
    SharedKey(NetworkName, NetworkName),
    /// A network is named that is not configured.
    #[error("there is no network {0} in the networks' file")]
    UnknownNetwork(NetworkName),
    /// Without a database of its own there is nobody to leave the ledger to.
    #[error("--no-ledger leaves the ledger to another server on the same --database: name one")]
    NobodyHasTheLedger,
    /// Others than the owner of the root key may read it.
    #[error("{0} is open to others than its owner: `chmod 600` it, and change it where somebody may have read it")]
    KeyExposed(String),
    /// The database was written with a root key that is not there.
    #[error("{0} is missing, but the database was written with one: bring it back, or copy that of the other servers")]
    KeyMissing(String),
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
    /// What the program counts and measures.
    pub meters: Arc<Meters>,
    /// Where the database lies behind what this instance has committed.
    pub went_back: Option<WentBack>,
    desk_thread: DeskThread,
}

impl Office {
    /// Opens a data folder, making it where it is new, and its database: the embedded one, or that of a URL. Brings the
    /// database's schema up to date. A database that lies behind what this instance has committed is refused: only a server
    /// knows how to go on from it.
    ///
    /// # Errors
    /// See [`StartFault`].
    pub fn open(data: &Path, database: Option<&str>) -> Result<Self, StartFault> {
        let office = Self::open_with(data, database, Upkeep::Migrate, QUEUE_COMMANDS_MAX)?;
        match office.went_back {
            Some(went_back) => Err(StartFault::WentBack(went_back)),
            None => Ok(office),
        }
    }

    /// The same, with a schema that is brought up to date, or refused, and another limit of what may wait for the desk;
    /// whether the database lies behind is told, and not refused.
    ///
    /// # Errors
    /// See [`StartFault`].
    pub fn open_with(data: &Path, database: Option<&str>, upkeep: Upkeep, queue_commands_max: u16) -> Result<Self, StartFault> {
        let at = |what: &str| {
            let what = format!("{}: {what}", data.display());
            move |error| StartFault::Io(what, error)
        };
        make_private(data).map_err(at("the data folder"))?;
        let mut entropy = Entropy::from_machine()?;
        let key_path = data.join("root.key");
        // A key that is there is read first: a wrong one is a reason not to touch the database.
        let known = if key_path.exists() {
            if is_open_to_others(&key_path).map_err(at("the root key"))? {
                return Err(StartFault::KeyExposed(key_path.display().to_string()));
            }
            Some(Keyring::open(&key_path, &mut entropy).map_err(at("the root key"))?)
        } else {
            None
        };
        let database = Database::open_with(&place(data, database), upkeep)?;
        let archive = Arc::new(database.reader(READERS)?);
        let keyring = match known {
            Some(keyring) => keyring,
            // What was written cannot be read, nor continued, with a new key.
            None if archive.journal_head()?.sequence > 0 => return Err(StartFault::KeyMissing(key_path.display().to_string())),
            None => Keyring::open(&key_path, &mut entropy).map_err(at("the root key"))?,
        };
        // Asked before anything is written: entries made with another key could never be checked.
        read_inhabitants(&archive, &keyring)?;
        let went_back = match head::read(&head::default_path(data), &keyring) {
            Ok(kept) => fence::holds(&archive, kept)?.err(),
            Err(_missing) => None,
        };
        let clock = Clock::ahead_by(read_clock(&archive)?);
        let meters = Arc::new(Meters::new());
        let fittings = DeskFittings { meters: meters.desk.clone(), queue_commands_max };
        let opened = Desk::open(database.writer()?, keyring.clone(), entropy, fittings);
        let (desk, desk_thread) = opened.map_err(at("the desk"))?;
        Ok(Self { keyring, archive, clock, desk, standing: Standing::default(), meters, went_back, desk_thread })
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
    /// Where metrics are served, if at all.
    pub metrics_address: Option<SocketAddr>,
    head_path: PathBuf,
    drain: (watch::Sender<bool>, Duration),
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
        settings.check()?;
        let data = settings.data.as_path();
        make_private(data).map_err(|error| StartFault::Io(data.display().to_string(), error))?;
        let lock = ProcessLock::take(data).map_err(|error| {
            if matches!(error, StoreError::Busy) { StartFault::InUse(data.to_owned()) } else { StartFault::Store(error) }
        })?;
        settings::require_synced(settings)?;
        let (database, queue_commands_max) = (settings.database.as_deref(), settings.queue_commands_max);
        let office = Office::open_with(data, database, settings.upkeep, queue_commands_max)?;
        history::settle(&office, data).await?;
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().map_err(|error| StartFault::Io("the listener".into(), error))?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let holder = holder_of(data, &mut Entropy::from_machine()?);
        let holder = holder.map_err(|error| StartFault::Io("the holder's name".into(), error))?;
        let ledgers = Ledgers::start(settings, &office, holder, &stopped, &mut tasks)?;
        let chain = ledgers.embedded.clone();
        let head_path = head::default_path(data);
        tasks.push(keep_head(&office, &head_path, &stopped));
        tasks.push(webhooks::start(settings, &office, holder, &stopped));
        let inhabitants = match settings.doors {
            Doors::Production => None,
            Doors::Sandbox => Some(settle(&office, &settings.product_network).await?),
        };
        let (drain, draining) = watch::channel(false);
        let counter = furnish(settings, &office, (&stopped, draining), &mut tasks).await?;
        let serving = router(Arc::new(counter), settings.doors);
        let (meters, told) = (office.meters.clone(), stopped.clone());
        let sorting = move || exposition::sort_values(meters.clone(), told.clone());
        tasks.push(tokio::spawn(supervise("meters", office.meters.tasks.clone(), stopped.clone(), sorting)));
        let serve = listener::serve(listener, serving, ListenerLimits::DEFAULT, stopped.clone());
        tasks.push(tokio::spawn(async move {
            serve.await;
        }));
        if let Some(address) = settings.ledger_rpc {
            let chain = chain.clone().ok_or(StartFault::LedgerElsewhere)?;
            tasks.push(serve_ledger(address, chain, stopped.clone()).await?);
        }
        let metrics_address = match settings.metrics {
            Some(address) => Some(serve_metrics(address, &office, &ledgers.worked, &stopped, &mut tasks).await?),
            None => None,
        };
        let drain = (drain, settings.drain_delay);
        Ok(Self { address, office, chain, inhabitants, metrics_address, head_path, drain, stop, tasks, _lock: lock })
    }

    /// Waits until a disk fails. Then the process must end without writing anything more, and so without
    /// [`Running::stop`].
    pub async fn broken_down(&self) {
        self.office.desk.breakdown().reported().await;
    }

    /// Stops in order: it says that it is not ready, then takes no new requests, running ones finish, background work
    /// hands back, the desk answers and closes.
    pub async fn stop(self) {
        let Self { office, head_path, drain: (drain, delay), stop, tasks, chain, .. } = self;
        drain.send_replace(true);
        tokio::time::sleep(delay).await;
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

/// The folder of documents; what ended programs left in it is collected.
async fn open_documents(settings: &Settings, office: &Office, entropy: &mut Entropy) -> Result<DocumentFolder, StartFault> {
    let folder = |error| StartFault::Io("the documents' folder".into(), error);
    let life = uuid::Builder::from_random_bytes(entropy.bytes()).into_uuid();
    let (documents, abandoned) = DocumentFolder::open(&settings.documents_path(), life).map_err(folder)?;
    for left in abandoned {
        let find = FindDocuments { ids: left.ids().collect() };
        let found = office.desk.run(find, office.clock.now()).await.map_err(StartFault::Documents)?;
        documents.collect(&left, |id| found.contains(&id)).map_err(folder)?;
    }
    Ok(documents)
}

async fn furnish(
    settings: &Settings,
    office: &Office,
    (stopped, draining): (&watch::Receiver<bool>, watch::Receiver<bool>),
    tasks: &mut Vec<JoinHandle<()>>,
) -> Result<Counter, StartFault> {
    let mut entropy = Entropy::from_machine()?;
    let documents = open_documents(settings, office, &mut entropy).await?;
    let directory = Arc::new(ClientDirectory::default());
    refresh::once(&office.archive, &directory, &office.clock)?;
    let (archive, kept, clock, told) = (office.archive.clone(), directory.clone(), office.clock.clone(), stopped.clone());
    let refreshing = move || refresh::run(archive.clone(), kept.clone(), clock.clone(), told.clone());
    tasks.push(tokio::spawn(supervise("directory", office.meters.tasks.clone(), stopped.clone(), refreshing)));
    Ok(Counter::new(Furnishing {
        desk: office.desk.clone(),
        archive: office.archive.clone(),
        readers: READERS,
        directory,
        documents,
        clock: office.clock.clone(),
        keyring: office.keyring.clone(),
        entropy,
        calls_per_second: settings.calls_per_second,
        standing: office.standing.clone(),
        meters: office.meters.clone(),
        draining,
    }))
}

/// Keeps the journal's head outside the data folder.
fn keep_head(office: &Office, path: &Path, stopped: &watch::Receiver<bool>) -> JoinHandle<()> {
    let (desk, keyring, path, told) = (office.desk.clone(), office.keyring.clone(), path.to_owned(), stopped.clone());
    let keep = move || head::run(desk.clone(), keyring.clone(), path.clone(), told.clone());
    tokio::spawn(supervise("head", office.meters.tasks.clone(), stopped.clone(), keep))
}

/// Serves the metrics, on an address of their own. The address.
async fn serve_metrics(
    address: SocketAddr,
    office: &Office,
    networks: &[WorkedNetwork],
    stopped: &watch::Receiver<bool>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> Result<SocketAddr, StartFault> {
    let source = |network: &WorkedNetwork| NetworkSource {
        gauges: office.meters.network(network.name.as_str()),
        chain: network.chain.clone(),
        signer: network.signer,
    };
    let sources = Sources {
        meters: office.meters.clone(),
        desk: office.desk.clone(),
        archive: office.archive.clone(),
        clock: office.clock.clone(),
        networks: networks.iter().map(source).collect(),
    };
    let listener = bind(address).await?;
    let address = listener.local_addr().map_err(|error| StartFault::Io("the metrics' listener".into(), error))?;
    let serve = listener::serve(listener, exposition::router(sources), ListenerLimits::DEFAULT, stopped.clone());
    tasks.push(tokio::spawn(async move {
        serve.await;
    }));
    Ok(address)
}

/// The inhabitants of a sandbox: settled once, then read back for ever, and their token awaited.
async fn settle(office: &Office, network: &NetworkName) -> Result<Inhabitants, StartFault> {
    let inhabitants = match read_inhabitants(&office.archive, &office.keyring)? {
        None => office.desk.run(SettleSandbox { network: network.clone() }, office.clock.now()).await?,
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

/// Whether somebody else than its owner may read or write a file.
fn is_open_to_others(file: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(file)?.permissions().mode() & 0o077 != 0)
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
    let listener = bind(address).await?;
    let serve = listener::serve(listener, ledger_rpc::router(chain), ListenerLimits::DEFAULT, stopped);
    Ok(tokio::spawn(async move {
        serve.await;
    }))
}
