//! A second server on a sandbox's database: another process, with the same root key and without the ledger.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::Failure;
use crate::process::{Process, Signal};
use crate::sandbox::{Sandbox, Scrip};

/// The running server.
#[derive(Debug)]
pub struct Second {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Second {
    /// Starts it beside a sandbox whose database is on a server.
    pub async fn start(scrip: &Scrip, sandbox: &Sandbox, folder: &Path) -> Result<Self, Failure> {
        let first = sandbox.place();
        let database = first.database.as_deref().ok_or("an embedded database has one server")?;
        let data = first.data.with_extension("second");
        std::fs::create_dir_all(&data)?;
        std::fs::copy(first.data.join("root.key"), data.join("root.key"))?;
        let mut process = Process::start("scrip", &mut scrip.serve(&data, database), &folder.join("second.log"))?;
        let mut lines = BufReader::new(process.take_output()?).lines();
        let line = lines.next_line().await?.ok_or("the second server ended at once")?;
        // "Scrip on http://127.0.0.1:1234/api"
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).ok_or("it does not say where")?;
        let address = address.parse()?;
        tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
        Ok(Self { process, address })
    }

    /// The server's process.
    pub const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it in order.
    pub async fn stop(self) -> Result<(), Failure> {
        self.process.stop(Signal::Terminate).await
    }
}
