//! The command line.

mod ledger;
mod webhook;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::ids::ClientId;
use domain::network::NetworkName;
use domain::organisation::OrganisationKind;
use domain::text::Name;
use indicatif::{ProgressBar, ProgressStyle};
use store::{Database, Upkeep};
use tokio::signal::unix::{SignalKind, signal};

use crate::backup::{BackupOrder, RestoreOrder, back_up, restore};
use crate::breakdown::EXIT_DISK_FAILED;
use crate::desk::QUEUE_COMMANDS_MAX;
use crate::handout::Handout;
use crate::http::{CALLS_PER_SECOND, Doors, openapi_document};
use crate::jobs::head;
use crate::networks::{ConfiguredNetwork, NetworksFault};
use crate::operations::client::{CreateClient, RevokeClient};
use crate::operations::organisation::CreateOrganisation;
use crate::program::{LEASE_DEFAULT_MS, Office, Running, Settings, documents_path, place};
use crate::{demo, networks, verify};

/// Why a command did not do its work. It is shown to the person who called it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An open registrar's platform for the primary market of crypto securities.
#[derive(Debug, Parser)]
#[command(name = "scrip", version)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a sandbox, plays the guide in it over HTTP, and stays up.
    Demo(DemoArgs),
    /// Starts a sandbox: embedded database and ledger, first inhabitants, a clock that can be turned.
    Sandbox(SandboxArgs),
    /// Serves a data folder without the sandbox's doors and inhabitants.
    Serve(ServeArgs),
    /// Creates and revokes API clients. Works while a server runs on the same data.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Prepares the networks on which tokens stand, and lets credits go on that rested.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Says where organisations are told of their investments. Works while a server runs on the same data.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Brings the database's schema up to date, and ends. Works while a server runs on the same data.
    Migrate(DataArgs),
    /// Takes a backup, also while a server runs on the same data.
    Backup(BackupArgs),
    /// Restores a backup into an empty place, and verifies it.
    Restore(RestoreArgs),
    /// Checks the journal, every row, the register and the ledger of a data folder against each other.
    Verify(VerifyArgs),
    /// Prints the OpenAPI file.
    Openapi,
}

#[derive(Debug, Args)]
struct DataArgs {
    /// Takes options that are not said otherwise from this TOML file, under their names here.
    #[arg(long, env = "SCRIP_CONFIG", value_name = "FILE")]
    config: Option<String>,
    /// Where everything is kept; with --database: keys, documents and the embedded ledger.
    #[arg(long, env = "SCRIP_DATA", default_value = "scrip-data")]
    data: PathBuf,
    /// Uses the database of this URL in place of the embedded one; other machines need `sslmode=require`.
    #[arg(long, env = "SCRIP_DATABASE", hide_env_values = true, value_name = "postgres://…")]
    database: Option<String>,
}

#[derive(Debug, Args)]
struct DocumentArgs {
    /// Where documents' bytes lie, for servers that share them; by default `documents` in the data folder.
    #[arg(long, env = "SCRIP_DOCUMENTS", value_name = "DIR")]
    documents: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct NetworkArgs {
    /// The networks beside the embedded ledger, from this TOML file (docs/operating.md).
    #[arg(long, env = "SCRIP_NETWORKS", value_name = "FILE")]
    networks: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    documents: DocumentArgs,
    #[command(flatten)]
    networks: NetworkArgs,
}

#[derive(Debug, Args)]
struct BackupArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    documents: DocumentArgs,
    /// The folder that becomes the backup; it must not exist.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Puts the root key into the backup. Whoever has the backup can then read personal data and sign as the registrar.
    #[arg(long)]
    with_root_key: bool,
}

#[derive(Debug, Args)]
struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// The root key, where the backup does not hold it.
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    documents: DocumentArgs,
    /// Where HTTP is served; port 0 takes a free one.
    #[arg(long, env = "SCRIP_LISTEN", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    listen: SocketAddr,
    /// Whether clients are limited.
    #[arg(long, env = "SCRIP_RATE_LIMIT", value_enum, default_value_t = Switch::On)]
    rate_limit: Switch,
    /// Calls per second of one client, with twice as many at once; more are answered with 429.
    #[arg(long, env = "SCRIP_CALLS_PER_SECOND", default_value_t = CALLS_PER_SECOND)]
    calls_per_second: NonZeroU32,
    /// Requests that may wait to be decided; more are answered with 503.
    #[arg(long, env = "SCRIP_QUEUE_COMMANDS_MAX", default_value_t = QUEUE_COMMANDS_MAX,
        value_parser = clap::value_parser!(u16).range(1..))]
    queue_commands_max: u16,
    /// Serves metrics for Prometheus under /metrics on a loopback address.
    #[arg(long, env = "SCRIP_METRICS", value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Seconds between saying "not ready" and not listening any more at the stop: what a load balancer needs to see it.
    #[arg(long, env = "SCRIP_DRAIN_DELAY_S", default_value_t = 0)]
    drain_delay_s: u16,
    /// Serves the embedded ledger as JSON-RPC on a loopback address.
    #[arg(long, env = "SCRIP_LEDGER_RPC", value_name = "ADDRESS")]
    ledger_rpc: Option<SocketAddr>,
    /// Blocks that must follow one until it counts as final on the embedded ledger.
    #[arg(long, env = "SCRIP_FINALITY_BLOCKS", default_value_t = 1)]
    finality_blocks: u64,
    /// Leaves the embedded ledger and its work to another server on the same database.
    #[arg(long, env = "SCRIP_NO_LEDGER")]
    no_ledger: bool,
    /// How long background work waits for a server that gives no sign of life before another takes over, in milliseconds.
    #[arg(long, env = "SCRIP_LEASE_MS", default_value_t = LEASE_DEFAULT_MS, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    lease_ms: u64,
    #[command(flatten)]
    networks: NetworkArgs,
    /// Serves a database that may lose what it acknowledged, because its server has fsync or `full_page_writes` switched off.
    #[arg(long, env = "SCRIP_ACCEPT_UNSYNCED_DATABASE")]
    accept_unsynced_database: bool,
    /// Refuses a database whose schema is older than the program, where `scrip migrate` is a step of its own.
    #[arg(long, env = "SCRIP_NO_MIGRATE")]
    no_migrate: bool,
}

#[derive(Debug, Args)]
struct SandboxArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Lets other machines reach the sandbox, its clock and its secrets: for a network where nobody else is.
    #[arg(long, env = "SCRIP_EXPOSE_SANDBOX")]
    expose_sandbox: bool,
    /// Where the token of the sandbox's own product stands: a network of the networks' file.
    #[arg(long, env = "SCRIP_NETWORK", value_name = "NAME", default_value = "embedded", value_parser = network_name)]
    network: NetworkName,
    /// Writes addresses, credentials and ids to this file when the sandbox is ready.
    #[arg(long, env = "SCRIP_HANDOUT", value_name = "FILE")]
    handout: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// Plays the guide against this Scrip (the guide's {URL}) with the credentials of --handout, and starts none.
    #[arg(long, requires = "handout")]
    url: Option<String>,
    /// Ends after the guide instead of staying up.
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Makes a client, and its organisation where it is new; prints `{client_id, client_secret, organisation_id}`.
    Create {
        /// Which API it calls.
        #[arg(long, value_enum)]
        kind: Kind,
        /// The organisation it acts for.
        #[arg(long)]
        organisation: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Revokes a client and every token it holds.
    Revoke {
        /// The client.
        #[arg(long)]
        client_id: uuid::Uuid,
        #[command(flatten)]
        data: DataArgs,
    },
}

fn network_name(text: &str) -> Result<NetworkName, &'static str> {
    NetworkName::parse(text).ok_or("1 to 32 lower-case letters, digits and hyphens, a letter first")
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    Issuer,
    Distributor,
    Registrar,
}

impl NetworkArgs {
    fn read(&self) -> Result<Vec<ConfiguredNetwork>, NetworksFault> {
        self.networks.as_deref().map_or(Ok(Vec::new()), networks::read)
    }
}

impl ServeArgs {
    fn settings(&self, doors: Doors) -> Result<Settings, Failure> {
        Ok(Settings {
            data: self.data.data.clone(),
            database: self.data.database.clone(),
            documents: self.documents.documents.clone(),
            is_unsynced_database_accepted: self.accept_unsynced_database,
            upkeep: if self.no_migrate { Upkeep::Refuse } else { Upkeep::Migrate },
            has_ledger: !self.no_ledger,
            listen: self.listen,
            calls_per_second: (self.rate_limit == Switch::On).then_some(self.calls_per_second),
            queue_commands_max: self.queue_commands_max,
            doors,
            ledger_rpc: self.ledger_rpc,
            metrics: self.metrics,
            drain_delay: Duration::from_secs(self.drain_delay_s.into()),
            is_sandbox_exposed: false,
            finality_blocks: self.finality_blocks,
            lease: Duration::from_millis(self.lease_ms),
            networks: self.networks.read()?,
            product_network: NetworkName::embedded(),
        })
    }
}

impl CommandLine {
    /// The levels of the log where nothing else is said: a demo shows its steps, not its requests.
    #[must_use]
    pub const fn log_levels(&self) -> &'static str {
        match self.command {
            Command::Demo(_) => "warn",
            Command::Sandbox(_)
            | Command::Serve(_)
            | Command::Client(_)
            | Command::Ledger(_)
            | Command::Webhook(_)
            | Command::Migrate(_)
            | Command::Backup(_)
            | Command::Restore(_)
            | Command::Verify(_)
            | Command::Openapi => "info,tokio_postgres=warn",
        }
    }

    /// Does what the command line says.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Demo(args) => run_demo(args).await,
            Command::Sandbox(args) => run_sandbox(args).await,
            Command::Serve(args) => run_serve(args).await,
            Command::Client(ClientCommand::Create { kind, organisation, data }) => {
                create_client(kind, &organisation, &data).await
            }
            Command::Client(ClientCommand::Revoke { client_id, data }) => revoke_client(ClientId::new(client_id), &data).await,
            Command::Ledger(order) => order.run().await,
            Command::Webhook(order) => order.run().await,
            Command::Migrate(args) => run_migrate(&args),
            Command::Backup(args) => run_backup(args).await,
            Command::Restore(args) => run_restore(args).await,
            Command::Verify(args) => run_verify(&args).await,
            Command::Openapi => {
                print!("{}", openapi_document()?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

async fn run_sandbox(args: SandboxArgs) -> Result<ExitCode, Failure> {
    let (running, handout) = start_sandbox(&args).await?;
    println!("Scrip sandbox on {}   docs: {}/docs   data: {}", handout.url, handout.url, args.serve.data.data.display());
    println!("{}", serde_json::to_string_pretty(&handout)?);
    until_over(&running).await?;
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn run_serve(args: ServeArgs) -> Result<ExitCode, Failure> {
    let running = Running::start(&args.settings(Doors::Production)?).await?;
    println!("Scrip on http://{}/api", running.address);
    until_over(&running).await?;
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn run_demo(args: DemoArgs) -> Result<ExitCode, Failure> {
    if let (Some(url), Some(path)) = (&args.url, &args.sandbox.handout) {
        let handout = Handout { url: url.clone(), ..Handout::read(path)? };
        demo::play(&handout, None).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let (running, handout) = start_sandbox(&args.sandbox).await?;
    demo::play(&handout, Some(&running)).await?;
    if !args.once {
        println!("\nThe sandbox stays up on {} (docs: {}/docs). Ctrl-C ends it.", handout.url, handout.url);
        until_over(&running).await?;
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn start_sandbox(args: &SandboxArgs) -> Result<(Running, Handout), Failure> {
    let settings = Settings {
        is_sandbox_exposed: args.expose_sandbox,
        product_network: args.network.clone(),
        ..args.serve.settings(Doors::Sandbox)?
    };
    let running = Running::start(&settings).await?;
    let inhabitants = running.inhabitants.as_ref().ok_or("a sandbox has inhabitants")?;
    let handout = Handout::of(inhabitants, running.address);
    if let Some(path) = &args.handout {
        handout.write(path)?;
    }
    Ok((running, handout))
}

async fn create_client(kind: Kind, organisation: &str, data: &DataArgs) -> Result<ExitCode, Failure> {
    let kind = match kind {
        Kind::Issuer => OrganisationKind::Issuer,
        Kind::Distributor => OrganisationKind::Distributor,
        Kind::Registrar => OrganisationKind::Registrar,
    };
    let name = Name::parse(organisation)?;
    let office = Office::open(&data.data, data.database.as_deref())?;
    let known = office.archive.organisation_by_name(kind, name.as_str())?;
    let organisation = match known {
        Some(organisation) => organisation,
        None => office.desk.run(CreateOrganisation { kind, name }, office.clock.now()).await?,
    };
    let created = office.desk.run(CreateClient { organisation_id: organisation.id }, office.clock.now()).await?;
    let shown = serde_json::json!({
        "client_id": created.client.id.uuid(),
        "client_secret": created.secret,
        "organisation_id": organisation.id.uuid(),
    });
    println!("{shown}");
    close(office, &data.data).await
}

async fn revoke_client(client_id: ClientId, data: &DataArgs) -> Result<ExitCode, Failure> {
    let office = Office::open(&data.data, data.database.as_deref())?;
    office.desk.run(RevokeClient { client_id }, office.clock.now()).await?;
    println!("{}", serde_json::json!({ "client_id": client_id.uuid(), "revoked": true }));
    close(office, &data.data).await
}

async fn close(office: Office, data: &Path) -> Result<ExitCode, Failure> {
    let path = head::default_path(data);
    tokio::task::spawn_blocking(move || office.close(&path)).await?;
    Ok(ExitCode::SUCCESS)
}

fn run_migrate(args: &DataArgs) -> Result<ExitCode, Failure> {
    let database = Database::open(&place(&args.data, args.database.as_deref()))?;
    println!("the database has schema {}", database.schema_version()?.version);
    Ok(ExitCode::SUCCESS)
}

async fn run_backup(args: BackupArgs) -> Result<ExitCode, Failure> {
    let BackupArgs { data: DataArgs { data, database, config: _ }, documents: DocumentArgs { documents }, to, with_root_key } =
        args;
    let order = BackupOrder { data, database, documents, to, with_root_key };
    let progress = progress("{spinner} {msg} {bytes} in {elapsed}");
    let target = order.to.display().to_string();
    let done = tokio::task::spawn_blocking(move || back_up(&order, &progress)).await??;
    println!("backed up to {target}: {done}");
    Ok(ExitCode::SUCCESS)
}

async fn run_restore(args: RestoreArgs) -> Result<ExitCode, Failure> {
    let RestoreArgs { from, data: DataArgs { data, database, config: _ }, root_key } = args;
    let order = RestoreOrder { from, data, database, root_key };
    let progress = progress("{bar:40} {msg} {bytes} of {total_bytes} in {elapsed}");
    let done = restore(&order, &progress).await?;
    progress.finish_and_clear();
    println!("restored to {} and verified: {done}", order.data.display());
    Ok(ExitCode::SUCCESS)
}

/// A bar on standard error; invisible where that is no terminal.
fn progress(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

async fn run_verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let (data, database) = (args.data.data.as_path(), args.data.database.as_deref());
    let documents = documents_path(data, args.documents.documents.as_deref());
    let networks = args.networks.read()?;
    match verify::verify_with(data, database, &documents, &networks).await {
        Ok(report) => {
            println!("{report}");
            Ok(ExitCode::SUCCESS)
        }
        Err(difference) => {
            println!("does not hold: {difference}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Waits until the program is asked to stop. Where a disk fails before, the process ends on the spot.
async fn until_over(running: &Running) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _terminated = terminate.recv() => {}
        _interrupted = interrupt.recv() => {}
        () = running.broken_down() => std::process::exit(EXIT_DISK_FAILED.into()),
    }
    Ok(())
}
