//! How to run, and what of it can be seen to be wrong before anything is opened.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::network::NetworkName;
use store::{Place, Upkeep};

use super::{LEASE_DEFAULT_MS, StartFault};
use crate::desk::QUEUE_COMMANDS_MAX;
use crate::http::{CALLS_PER_SECOND, Doors};
use crate::networks::ConfiguredNetwork;
use crate::receivers::Reach;

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept that is not in the database: keys, documents, the embedded ledger.
    pub data: PathBuf,
    /// The URL of a `PostgreSQL` database; `None` for the embedded one in the data folder. Servers that share a database
    /// have the same root key in their data folders.
    pub database: Option<String>,
    /// Where documents' bytes lie; `None` for a folder in the data folder. Servers that share a database share it too.
    pub documents: Option<PathBuf>,
    /// Whether a database that may lose what it acknowledged is served all the same.
    pub is_unsynced_database_accepted: bool,
    /// What to do where the database's schema is older than the program.
    pub upkeep: Upkeep,
    /// Whether this program holds the embedded ledger and does its work. Of the servers that share a database one does;
    /// the others leave that work to it.
    pub has_ledger: bool,
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Calls per second of one client, with twice as many at once; `None` where clients are not limited.
    pub calls_per_second: Option<NonZeroU32>,
    /// Requests that may wait for the desk; one more is answered with 503.
    pub queue_commands_max: u16,
    /// Which doors the counter has; the sandbox is also settled.
    pub doors: Doors,
    /// Where the embedded ledger is served as JSON-RPC, if at all; loopback only.
    pub ledger_rpc: Option<SocketAddr>,
    /// Where metrics are served, if at all; loopback only.
    pub metrics: Option<SocketAddr>,
    /// How long the program says that it is not ready before it stops to listen.
    pub drain_delay: Duration,
    /// Whether a sandbox, whose clock and secrets are anybody's, may be reached from other machines.
    pub is_sandbox_exposed: bool,
    /// Blocks that must follow one until it counts as final on the embedded ledger.
    pub finality_blocks: u64,
    /// How long a program that gives no sign of life keeps background work from others.
    pub lease: Duration,
    /// The networks that are worked with beside the embedded ledger.
    pub networks: Vec<ConfiguredNetwork>,
    /// Where the token of the product stands that a sandbox is settled with.
    pub product_network: NetworkName,
}

impl Default for Settings {
    /// What the command line takes where it is not told.
    fn default() -> Self {
        Self {
            data: PathBuf::from("scrip-data"),
            database: None,
            documents: None,
            is_unsynced_database_accepted: false,
            upkeep: Upkeep::Migrate,
            has_ledger: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            calls_per_second: Some(CALLS_PER_SECOND),
            queue_commands_max: QUEUE_COMMANDS_MAX,
            doors: Doors::Production,
            ledger_rpc: None,
            metrics: None,
            drain_delay: Duration::ZERO,
            is_sandbox_exposed: false,
            finality_blocks: 1,
            lease: Duration::from_millis(LEASE_DEFAULT_MS),
            networks: Vec::new(),
            product_network: NetworkName::embedded(),
        }
    }
}

impl Settings {
    /// Where documents' bytes lie.
    #[must_use]
    pub fn documents_path(&self) -> PathBuf {
        documents_path(&self.data, self.documents.as_deref())
    }

    /// Whom webhooks are sent to: a sandbox's receivers may be on this machine.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        match self.doors {
            Doors::Production => Reach::Public,
            Doors::Sandbox => Reach::PublicAndOwnMachine,
        }
    }

    /// Refuses what can be seen to be wrong before anything is opened.
    pub(super) fn check(&self) -> Result<(), StartFault> {
        for (option, address) in [("ledger-rpc", self.ledger_rpc), ("metrics", self.metrics)] {
            if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
                return Err(StartFault::NotLoopback(option, address));
            }
        }
        if self.doors == Doors::Sandbox && !self.listen.ip().is_loopback() && !self.is_sandbox_exposed {
            return Err(StartFault::SandboxExposed(self.listen));
        }
        if !self.has_ledger && self.database.is_none() {
            return Err(StartFault::NobodyHasTheLedger);
        }
        if !self.has_ledger && self.ledger_rpc.is_some() {
            return Err(StartFault::LedgerElsewhere);
        }
        let named = &self.product_network;
        if !named.is_embedded() && !self.networks.iter().any(|network| network.name == *named) {
            return Err(StartFault::UnknownNetwork(named.clone()));
        }
        if self.calls_per_second.is_none() && self.doors == Doors::Production {
            tracing::warn!("clients are not limited: one of them can keep the others waiting");
        }
        Ok(())
    }
}

/// Refuses to serve a database that answers a commit before its bytes are safe. A sandbox, which promises nothing to
/// anybody, is told of it only.
pub(super) fn require_synced(settings: &Settings) -> Result<(), StartFault> {
    let unsynced = place(&settings.data, settings.database.as_deref()).unsynced_settings()?;
    if unsynced.is_empty() {
        return Ok(());
    }
    let switched_off = unsynced.join(" and ");
    if settings.doors == Doors::Production && !settings.is_unsynced_database_accepted {
        return Err(StartFault::UnsyncedDatabase(switched_off));
    }
    tracing::warn!(%switched_off, "the database may lose what was acknowledged: its server does not wait for the disk");
    Ok(())
}

/// Where documents' bytes lie: in a folder of their own where one is named, else in the data folder.
#[must_use]
pub fn documents_path(data: &Path, documents: Option<&Path>) -> PathBuf {
    documents.map_or_else(|| data.join("documents"), Path::to_owned)
}

/// Where the database of a data folder is.
#[must_use]
pub fn place(data: &Path, database: Option<&str>) -> Place {
    match database {
        Some(url) => Place::Server(url.to_owned()),
        None => Place::Folder(data.to_owned()),
    }
}
