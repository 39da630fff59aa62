//! `bench run`: everything in one run on one machine, so that the figures can be compared.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Failure;
use crate::cluster::Cluster;
use crate::engine::{self, Bench, Filled, Sizes};
use crate::findings::{Commit, Engine, FORM, Findings, Load, Machine, Outcome, PerRequest, Ratios, Setting};
use crate::load::{Pace, Shape};
use crate::meter::Meter;
use crate::per_request::{CAMPAIGN_ID, POOL_CONNECTIONS, Sold};
use crate::process::{Process, Signal, TicksPerSecond};
use crate::progress::Progress;
use crate::sandbox::{Place, Scrip};
use crate::targets::targets;
use crate::traffic;

/// Units of the per-request baseline's campaign.
const BASELINE_ALLOCATION: u64 = 1_000_000;

/// What to measure and where to write it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Small sizes: shows that everything works; its figures are not worth keeping.
    #[arg(long)]
    quick: bool,
    /// Which engines.
    #[arg(long, value_enum, default_value_t = Engines::Both)]
    engine: Engines,
    /// The built program.
    #[arg(long, default_value = "target/release/scrip")]
    scrip: PathBuf,
    /// The result file [default: bench/results/DATE-COMMIT.json].
    #[arg(long)]
    out: Option<PathBuf>,
    /// The date of the run, as YYYY-MM-DD [default: the commit's].
    #[arg(long)]
    date: Option<String>,
    /// How long each load lasts, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Where databases and data folders are made; removed afterwards [default: the system's folder for temporary files].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Where the database's programs are [default: the newest of Debian's, else the search path].
    #[arg(long)]
    postgres_programs: Option<PathBuf>,
    /// A sandbox's data folder with many investments; a few more are made in it.
    #[arg(long)]
    large_data: Option<PathBuf>,
    /// A database with many investments; needs --large-database-data.
    #[arg(long, requires = "large_database_data")]
    large_database: Option<String>,
    /// The data folder that belongs to --large-database.
    #[arg(long, requires = "large_database")]
    large_database_data: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Engines {
    Sqlite,
    Postgres,
    Both,
}

/// A run that has begun.
struct Run {
    args: RunArgs,
    scrip: Scrip,
    sizes: Sizes,
    ticks: TicksPerSecond,
    folder: TempDir,
    progress: Progress,
}

/// Measures and writes the result file.
pub async fn run(args: RunArgs) -> Result<(), Failure> {
    let commit = Commit::here(args.date.clone())?;
    let out = args.out.clone().unwrap_or_else(|| default_out(&commit));
    let run = Run::begin(args).await?;
    let machine = Machine::here(run.folder.path())?;
    let findings = tokio::select! {
        findings = run.findings(commit, machine) => findings?,
        // What was started ends with what started it, and the folder is removed.
        _interrupted = tokio::signal::ctrl_c() => return Err("interrupted".into()),
    };
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&out, serde_json::to_string_pretty(&findings)? + "\n")?;
    run.progress.finish();
    for target in &findings.targets {
        println!("{target}");
    }
    println!("written to {}", out.display());
    Ok(())
}

impl RunArgs {
    /// Steps that the whole run shows: the echo comes twice.
    fn steps(&self) -> u64 {
        let embedded = engine::STEPS + self.large_data.as_ref().map_or(0, |_| engine::LARGE_STEPS);
        let postgres = engine::STEPS + self.large_database.as_ref().map_or(0, |_| engine::LARGE_STEPS) + 1;
        2 + match self.engine {
            Engines::Sqlite => embedded,
            Engines::Postgres => postgres,
            Engines::Both => embedded + postgres,
        }
    }
}

impl Run {
    async fn begin(args: RunArgs) -> Result<Self, Failure> {
        let scrip = Scrip::look(&args.scrip).await?;
        let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("scrip-bench-").tempdir_in(parent)?;
        // The cluster's account has to pass through it to its own folder.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        let sizes = if args.quick { Sizes::quick() } else { Sizes::full(Duration::from_secs(args.seconds)) };
        let progress = Progress::new(args.steps())?;
        if cfg!(debug_assertions) {
            progress.say("this harness was not built for release: its figures are not worth keeping");
        }
        Ok(Self { ticks: TicksPerSecond::of_system().await?, args, scrip, sizes, folder, progress })
    }

    async fn findings(&self, commit: Commit, machine: Machine) -> Result<Findings, Failure> {
        let mut echo = vec![self.echo("echo, before").await?];
        let sqlite = match self.args.engine {
            Engines::Sqlite | Engines::Both => self.sqlite().await?,
            Engines::Postgres => Outcome::Skipped("not asked for".to_owned()),
        };
        let (postgres, per_request, description) = match self.args.engine {
            Engines::Postgres | Engines::Both => self.postgres_and_baseline().await?,
            Engines::Sqlite => {
                let skipped = "not asked for".to_owned();
                (Outcome::Skipped(skipped.clone()), Outcome::Skipped(skipped), None)
            }
        };
        echo.push(self.echo("echo, after").await?);
        let mut findings = Findings {
            form: FORM,
            commit,
            machine,
            setting: self.setting(description),
            ratios: Ratios::of(&echo, &per_request, &sqlite, &postgres),
            echo,
            per_request,
            sqlite,
            postgres,
            targets: Vec::new(),
        };
        findings.targets = targets(&findings);
        Ok(findings)
    }

    async fn echo(&self, name: &str) -> Result<Load, Failure> {
        self.progress.step(name);
        let baseline = Baseline::start(self.folder.path(), &["echo"]).await?;
        let load = baseline.measure(self.ticks, None, self.sizes).await?;
        baseline.process.stop(Signal::Terminate).await?;
        Ok(load)
    }

    async fn sqlite(&self) -> Result<Outcome<Engine>, Failure> {
        let place = |name: &str| Place { data: self.folder.path().join(name), database: None };
        let places = [place("embedded"), place("embedded-newcomer")];
        let filled = self.args.large_data.clone().map(|data| Filled { data, database: None });
        Ok(Outcome::Measured(self.bench("embedded", None).run(places, filled).await?))
    }

    async fn postgres_and_baseline(&self) -> Result<(Outcome<Engine>, Outcome<PerRequest>, Option<String>), Failure> {
        let programs = self.args.postgres_programs.clone();
        let cluster = match Cluster::start(&self.folder.path().join("cluster"), programs).await {
            Ok(cluster) => cluster,
            Err(failure) => {
                let why = failure.to_string();
                self.progress.say(&format!("PostgreSQL is skipped: {why}"));
                return Ok((Outcome::Skipped(why.clone()), Outcome::Skipped(why), None));
            }
        };
        let per_request = self.per_request(&cluster).await?;
        let postgres = if self.scrip.takes_database {
            Outcome::Measured(self.postgres(&cluster).await?)
        } else {
            let why = "this scrip does not take --database".to_owned();
            self.progress.say(&format!("PostgreSQL is skipped: {why}"));
            Outcome::Skipped(why)
        };
        let description = cluster.description();
        cluster.stop().await?;
        Ok((postgres, Outcome::Measured(per_request), Some(description)))
    }

    async fn postgres(&self, cluster: &Cluster) -> Result<Engine, Failure> {
        let mut places = Vec::new();
        for name in ["creates", "newcomer"] {
            let data = self.folder.path().join(format!("postgres-{name}"));
            places.push(Place { data, database: Some(cluster.database(&format!("scrip_{name}")).await?) });
        }
        let places = <[Place; 2]>::try_from(places).map_err(|_| "there are two places")?;
        let large = self.args.large_database.clone().zip(self.args.large_database_data.clone());
        let filled = large.map(|(database, data)| Filled { data, database: Some(database) });
        self.bench("PostgreSQL", Some(cluster.pid())).run(places, filled).await
    }

    async fn per_request(&self, cluster: &Cluster) -> Result<PerRequest, Failure> {
        self.progress.step("one transaction per request");
        let database = cluster.database("per_request").await?;
        let allocation = BASELINE_ALLOCATION.to_string();
        let arguments = ["per-request", "--database", &database, "--allocation", &allocation];
        let baseline = Baseline::start(self.folder.path(), &arguments).await?;
        let creates = baseline.measure(self.ticks, Some(cluster.pid()), self.sizes).await?;
        baseline.process.stop(Signal::Terminate).await?;
        let sold = Sold::read(&database).await?;
        if sold.investments != creates.succeeded || sold.units != sold.used || sold.used > BASELINE_ALLOCATION {
            return Err(format!("the baseline acknowledged {} creates and holds {sold:?}", creates.succeeded).into());
        }
        Ok(PerRequest { pool_connections: u64::try_from(POOL_CONNECTIONS)?, creates })
    }

    fn bench(&self, engine: &'static str, database_pid: Option<u32>) -> Bench<'_> {
        let Self { scrip, sizes, ticks, progress, .. } = self;
        Bench { scrip, folder: self.folder.path(), sizes: *sizes, ticks: *ticks, engine, database_pid, progress }
    }

    fn setting(&self, postgres: Option<String>) -> Setting {
        Setting {
            load_generator: "the same machine, over loopback".to_owned(),
            is_harness_release: !cfg!(debug_assertions),
            scrip_profile: self.scrip.profile.clone(),
            scrip_version: self.scrip.version.clone(),
            is_quick: self.sizes.is_quick,
            load_s: self.sizes.load.as_secs(),
            postgres,
        }
    }
}

/// A baseline server: this program in a process of its own.
struct Baseline {
    process: Process,
    address: std::net::SocketAddr,
}

impl Baseline {
    async fn start(folder: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = Process::start("baseline", command.args(arguments), &folder.join("baseline.log"))?;
        let mut lines = BufReader::new(process.take_output()?).lines();
        let address = lines.next_line().await?.ok_or("the baseline ended at once")?.parse()?;
        Ok(Self { process, address })
    }

    /// The load that Scrip bears too.
    async fn measure(&self, ticks: TicksPerSecond, database_pid: Option<u32>, sizes: Sizes) -> Result<Load, Failure> {
        let meter = Meter { ticks, server_pid: self.process.pid(), database_pid };
        let shape = Shape { connections: sizes.connections, duration: sizes.load, requests_max: u64::MAX, pace: Pace::Closed };
        meter.measure(self.address, shape, traffic::bare(&CAMPAIGN_ID.to_string())?).await
    }
}

fn default_out(commit: &Commit) -> PathBuf {
    let short = commit.id.get(..12).unwrap_or(&commit.id);
    PathBuf::from("bench").join("results").join(format!("{}-{short}.json", commit.date))
}
