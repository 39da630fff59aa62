//! The sandbox's hand-out: everything an integrator needs to begin, as one JSON file.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::operations::sandbox::{Credentials, Inhabitants};

/// The hand-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handout {
    /// The guide's `{URL}`.
    pub url: String,
    /// The issuer's client.
    pub issuer: Credentials,
    /// The platform's client.
    pub distributor: Credentials,
    /// The registrar's client.
    pub registrar: Credentials,
    /// The platform.
    pub distribution_platform_id: Uuid,
    /// The platform's oldest product.
    pub product_id: Uuid,
    /// An identified investor.
    pub investor_id: Uuid,
    /// The investor's wallet.
    pub wallet_id: Uuid,
    /// The web UI.
    pub studio: StudioAccess,
}

/// How to get into the web UI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudioAccess {
    /// Its address; null while there is no web UI.
    pub url: Option<String>,
    /// Who may sign in.
    pub users: Vec<String>,
}

impl Handout {
    /// The hand-out of a sandbox that is served at an address.
    #[must_use]
    pub fn of(inhabitants: &Inhabitants, address: SocketAddr) -> Self {
        Self {
            url: format!("http://{address}/api"),
            issuer: inhabitants.issuer.clone(),
            distributor: inhabitants.distributor.clone(),
            registrar: inhabitants.registrar.clone(),
            distribution_platform_id: inhabitants.distribution_platform_id,
            product_id: inhabitants.product_id,
            investor_id: inhabitants.investor_id,
            wallet_id: inhabitants.wallet_id,
            studio: StudioAccess { url: None, users: Vec::new() },
        }
    }

    /// Writes the hand-out under its final name at once, readable by its owner alone: who sees the file sees it whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut temporary = path.as_os_str().to_os_string();
        temporary.push(".new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        file.write_all(text.as_bytes())?;
        std::fs::rename(&temporary, path)
    }

    /// Reads a hand-out.
    ///
    /// # Errors
    /// The file cannot be read, or is no hand-out.
    pub fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_str(&std::fs::read_to_string(path)?).map_err(io::Error::other)
    }
}
