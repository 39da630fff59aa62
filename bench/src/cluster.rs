//! A throw-away `PostgreSQL` cluster on loopback, durable like a real one.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio_postgres::NoTls;

use crate::Failure;
use crate::account::Account;
use crate::process::{Process, Signal};

/// How long the cluster may take until it answers.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How often it is asked.
const START_POLL: Duration = Duration::from_millis(50);
/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// What differs from the defaults, for Scrip and the baseline alike, or matters enough to be said.
const SETTINGS: [&str; 7] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "min_wal_size=2GB",
    "max_connections=200",
];

/// Writes the log to the length that is kept for being written over, and lets a checkpoint keep it.
const FILL_LOG: &str = "DO $$ BEGIN
        FOR megabyte IN 1..2048 LOOP PERFORM pg_logical_emit_message(false, 'bench', repeat('x', 1048576)); END LOOP;
    END $$";

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    process: Process,
    port: u16,
    version: String,
}

impl Cluster {
    /// Makes a cluster in a folder and starts it.
    pub async fn start(folder: &Path, programs: Option<PathBuf>) -> Result<Self, Failure> {
        let programs = Programs::find(folder, programs)?;
        std::fs::create_dir(folder)?;
        if let Some(account) = programs.account {
            chown(folder, Some(account.uid), Some(account.gid))?;
        }
        let mut initdb = programs.command("initdb");
        initdb.args(["--pgdata=data", "--username=bench", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        let made = initdb.output().await.map_err(|error| format!("PostgreSQL was not found: {error}"))?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr).trim()).into());
        }
        Self::reopen_with(folder, &programs).await
    }

    /// Starts a cluster that was made before.
    pub async fn reopen(folder: &Path, programs: Option<PathBuf>) -> Result<Self, Failure> {
        Self::reopen_with(folder, &Programs::find(folder, programs)?).await
    }

    async fn reopen_with(folder: &Path, programs: &Programs) -> Result<Self, Failure> {
        let version = programs.command("postgres").arg("--version").output().await;
        let version = version.map_err(|error| format!("PostgreSQL was not found: {error}"))?;
        let port = free_port()?;
        let mut postgres = programs.command("postgres");
        postgres.args(["-D", "data", "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        postgres.args(["-c", "unix_socket_directories="]);
        for setting in SETTINGS {
            postgres.args(["-c", setting]);
        }
        let process = Process::start("postgres", &mut postgres, &folder.join("postgres.log"))?;
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let mut cluster = Self { process, port, version };
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    /// Makes an empty database and gives its address.
    pub async fn database(&self, name: &str) -> Result<String, Failure> {
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await?;
        Ok(self.url(name))
    }

    /// Brings a database that was just filled into the state that it would come to by itself.
    pub async fn settle(&self, name: &str) -> Result<(), Failure> {
        self.execute(name, "VACUUM (ANALYZE)").await?;
        self.execute(name, "CHECKPOINT").await
    }

    /// Makes the log of a new cluster like that of one that has served for a while: the pieces it is written into are there
    /// already. On a new cluster each piece of 16 MiB is made and synced first, and every commit waits for it.
    pub async fn fill_log(&self) -> Result<(), Failure> {
        self.execute("postgres", FILL_LOG).await?;
        self.execute("postgres", "CHECKPOINT").await
    }

    async fn execute(&self, database: &str, sql: &str) -> Result<(), Failure> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await?;
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await?;
        drop(client);
        driver.await??;
        Ok(())
    }

    /// The process whose children do the work.
    pub const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Version and settings.
    pub fn description(&self) -> String {
        format!("{}; {}; its log was full once before", self.version, SETTINGS.join(", "))
    }

    /// Ends the cluster.
    pub async fn stop(self) -> Result<(), Failure> {
        self.process.stop(Signal::Interrupt).await
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://bench@127.0.0.1:{}/{database}", self.port)
    }

    async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            match tokio_postgres::connect(&self.url("postgres"), NoTls).await {
                Ok(_answers) => return Ok(()),
                Err(error) if began.elapsed() > START_TIMEOUT => {
                    return Err(format!("the cluster does not answer: {error}").into());
                }
                Err(_not_yet) => {}
            }
            if let Some(status) = self.process.has_ended()? {
                return Err(format!("the cluster ended at once with {status}").into());
            }
            tokio::time::sleep(START_POLL).await;
        }
    }
}

/// The database's programs, and how they are run in a cluster's folder.
struct Programs {
    path: PathBuf,
    folder: PathBuf,
    account: Option<Account>,
}

impl Programs {
    fn find(folder: &Path, programs: Option<PathBuf>) -> Result<Self, Failure> {
        let path = programs.or_else(newest_programs).unwrap_or_default();
        Ok(Self { path, folder: folder.to_owned(), account: Account::unprivileged()? })
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path.join(name));
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

/// A port that was free a moment ago: `PostgreSQL` cannot choose one by itself.
fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn newest_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).ok()?.filter_map(Result::ok);
    let numbered = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    numbered.max().map(|(_, path)| path.join("bin"))
}
