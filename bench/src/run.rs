//! `bench run`: everything in one run on one machine, so that the figures can be compared.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Failure;
use crate::anvil::Node;
use crate::cluster::Cluster;
use crate::correctness;
use crate::engine::{self, Bench, Sizes};
use crate::findings::{
    AnvilPart, Commit, EmbeddedPart, FORM, Findings, Load, Machine, Others, Outcome, PerRequest, PostgresPart, Ratios, Setting,
    SizePart,
};
use crate::load::{Pace, Shape};
use crate::meter::Meter;
use crate::parts::{Kept, PartName};
use crate::per_request::{CAMPAIGN_ID, POOL_CONNECTIONS, Sold};
use crate::process::{Process, Signal, TicksPerSecond};
use crate::progress::Progress;
use crate::sandbox::{Place, Scrip};
use crate::seed::{self, EngineName, Seeded};
use crate::sized::{self, at_size};
use crate::statistics::{micros, per_second};
use crate::targets::targets;
use crate::{newcomer, traffic};

/// Units of the per-request baseline's campaign.
const BASELINE_ALLOCATION: u64 = 1_000_000;
/// Investments of the register that the large one is compared with.
const FEW_INVESTMENTS: u64 = 10_000;

/// What to measure and where to write it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Small sizes: shows that everything works; its figures are not worth keeping.
    #[arg(long)]
    quick: bool,
    /// Only these parts; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<PartName>,
    /// Keeps each part here, and does not measure again what is kept of the same commit and sizes.
    #[arg(long)]
    parts: Option<PathBuf>,
    /// The built program.
    #[arg(long, default_value = "target/release/scrip")]
    scrip: PathBuf,
    /// The result file, written when no part is missing [default: bench/results/DATE-COMMIT.json].
    #[arg(long)]
    out: Option<PathBuf>,
    /// The date of the run, as YYYY-MM-DD [default: the commit's].
    #[arg(long)]
    date: Option<String>,
    /// How long each load lasts, in seconds.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Where databases and data folders are made; removed afterwards [default: the system's folder for temporary files].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Where the database's programs are [default: the newest of Debian's, else the search path].
    #[arg(long)]
    postgres_programs: Option<PathBuf>,
    /// The node; without it nothing is measured through one.
    #[arg(long, default_value = "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")]
    anvil: PathBuf,
    /// A folder of `bench seed --engine embedded`; its register gets a few more investments.
    #[arg(long)]
    large_embedded: Option<PathBuf>,
    /// A folder of `bench seed --engine postgres`.
    #[arg(long)]
    large_postgres: Option<PathBuf>,
    /// Counts targets as met although others used the machine.
    #[arg(long)]
    beside_others: bool,
}

/// A run that has begun.
struct Run {
    args: RunArgs,
    scrip: Scrip,
    sizes: Sizes,
    ticks: TicksPerSecond,
    folder: TempDir,
    progress: Progress,
    kept: Option<Kept>,
}

/// Measures, and writes the result file when no part is missing.
pub async fn run(args: RunArgs) -> Result<(), Failure> {
    let commit = Commit::here(args.date.clone())?;
    let out = args.out.clone().unwrap_or_else(|| default_out(&commit));
    let run = Run::begin(args, &commit).await?;
    let machine = Machine::here(run.folder.path())?;
    let findings = tokio::select! {
        findings = run.findings(commit, machine) => findings?,
        // What was started ends with what started it, and the folder is removed.
        _interrupted = tokio::signal::ctrl_c() => return Err("interrupted".into()),
    };
    run.progress.finish();
    for target in &findings.targets {
        println!("{target}");
    }
    if run.args.parts.is_some() && findings.is_any_missing() {
        println!("parts are missing: no result file is written");
        return Ok(());
    }
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&out, serde_json::to_string_pretty(&findings)? + "\n")?;
    println!("written to {}", out.display());
    Ok(())
}

impl RunArgs {
    fn wants(&self, name: PartName) -> bool {
        let is_seeded = match name {
            PartName::Embedded | PartName::Postgres => true,
            PartName::EmbeddedSize => self.large_embedded.is_some(),
            PartName::PostgresSize => self.large_postgres.is_some(),
            PartName::Anvil => self.anvil.exists(),
        };
        is_seeded && (self.only.is_empty() || self.only.contains(&name))
    }

    /// Steps that the whole run shows.
    fn steps(&self) -> u64 {
        let steps = |name| match name {
            PartName::Embedded => engine::STEPS + 2,
            PartName::Postgres => engine::STEPS + engine::TWO_SERVERS_STEPS + 3,
            PartName::EmbeddedSize | PartName::PostgresSize => 2 * sized::STEPS + 2,
            PartName::Anvil => 6,
        };
        PartName::ALL.into_iter().filter(|&name| self.wants(name)).map(steps).sum()
    }
}

impl Run {
    async fn begin(args: RunArgs, commit: &Commit) -> Result<Self, Failure> {
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
        let parts = args.parts.clone();
        let mut run = Self { ticks: TicksPerSecond::of_system().await?, args, scrip, sizes, folder, progress, kept: None };
        run.kept = parts.map(|parts| Kept::new(&parts, commit, &run.setting())).transpose()?;
        Ok(run)
    }

    async fn findings(&self, commit: Commit, machine: Machine) -> Result<Findings, Failure> {
        let mut findings = Findings {
            form: FORM,
            commit,
            machine,
            setting: self.setting(),
            embedded: self.part(PartName::Embedded, self.embedded()).await?,
            postgres: Box::pin(self.part(PartName::Postgres, self.postgres())).await?,
            embedded_size: self.part(PartName::EmbeddedSize, self.size(EngineName::Embedded)).await?,
            postgres_size: self.part(PartName::PostgresSize, self.size(EngineName::Postgres)).await?,
            anvil: self.part(PartName::Anvil, self.anvil()).await?,
            ratios: Ratios::default(),
            targets: Vec::new(),
        };
        findings.ratios = Ratios::of(&findings);
        findings.targets = targets(&findings, self.args.beside_others);
        Ok(findings)
    }

    /// A part: kept from before, or measured, or neither.
    async fn part<T: Serialize + DeserializeOwned>(
        &self,
        name: PartName,
        measure: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Outcome<T>, Failure> {
        if let Some(part) = self.kept.as_ref().map(|kept| kept.find(name)).transpose()?.flatten() {
            return Ok(Outcome::Measured(part));
        }
        if !self.args.wants(name) {
            return Ok(Outcome::Skipped("not asked for".to_owned()));
        }
        let part = measure.await?;
        if let Some(kept) = &self.kept {
            kept.keep(name, &part)?;
        }
        Ok(Outcome::Measured(part))
    }

    async fn embedded(&self) -> Result<EmbeddedPart, Failure> {
        let others = Others::before(self.ticks).await?;
        let before = self.echo("echo, before").await?;
        let place = |name: &str| Place { data: self.folder.path().join(name), database: None, networks: None };
        let engine = self.bench("embedded", None).run([place("embedded"), place("embedded-newcomer")]).await?;
        let echo = vec![before, self.echo("echo, after").await?];
        Ok(EmbeddedPart { others: others.after(self.ticks).await?, echo, engine })
    }

    async fn postgres(&self) -> Result<PostgresPart, Failure> {
        let others = Others::before(self.ticks).await?;
        let cluster = Cluster::start(&self.folder.path().join("cluster"), self.args.postgres_programs.clone()).await?;
        self.fill_log(&cluster).await?;
        let before = self.echo("echo, before").await?;
        let per_request = self.per_request(&cluster).await?;
        let bench = self.bench("PostgreSQL", Some(cluster.pid()));
        let mut places = Vec::new();
        for name in ["creates", "newcomer", "two"] {
            let data = self.folder.path().join(format!("postgres-{name}"));
            let database = Some(cluster.database(&format!("scrip_{name}")).await?);
            places.push(Place { data, database, networks: None });
        }
        let [creates, newcomer, two] = <[Place; 3]>::try_from(places).map_err(|_| "there are three places")?;
        let mut engine = bench.run([creates, newcomer]).await?;
        let two_servers = bench.two_servers(two, &mut engine.checks).await?;
        let echo = vec![before, self.echo("echo, after").await?];
        let description = cluster.description();
        cluster.stop().await?;
        Ok(PostgresPart { others: others.after(self.ticks).await?, description, echo, per_request, engine, two_servers })
    }

    async fn size(&self, engine: EngineName) -> Result<SizePart, Failure> {
        let (name, large) = match engine {
            EngineName::Embedded => ("embedded", &self.args.large_embedded),
            EngineName::Postgres => ("PostgreSQL", &self.args.large_postgres),
        };
        let large = large.as_ref().ok_or("no seeded folder was given")?;
        let (large, many_manifest) = Seeded::find(large, engine)?;
        let others = Others::before(self.ticks).await?;
        self.progress.step(&format!("{name}: a register with few investments is made"));
        let few = Seeded::make(&self.folder.path().join(format!("few-{name}")), engine)?;
        let mut opened = few.open(self.args.postgres_programs.clone()).await?;
        if let Some(cluster) = &opened.cluster {
            self.fill_log(cluster).await?;
        }
        let few_manifest = seed::fill(&mut opened.place, engine, self.sizes.few_investments(FEW_INVESTMENTS)).await?;
        let mut checks = Vec::new();
        let bench = self.bench(name, opened.cluster.as_ref().map(Cluster::pid));
        let few = at_size(&bench, opened.place.clone(), &few_manifest, &mut checks).await?;
        checks.push(correctness::verify(&self.scrip, &opened.place).await?);
        opened.close().await?;
        self.progress.step(&format!("{name}: the files of the register with many investments are read once"));
        tokio::task::block_in_place(|| large.read_once())?;
        let opened = large.open(self.args.postgres_programs.clone()).await?;
        if let Some(cluster) = &opened.cluster {
            self.fill_log(cluster).await?;
        }
        let bench = self.bench(name, opened.cluster.as_ref().map(Cluster::pid));
        let many = at_size(&bench, opened.place.clone(), &many_manifest, &mut checks).await?;
        opened.close().await?;
        Ok(SizePart { others: others.after(self.ticks).await?, few, many, checks })
    }

    /// Credits through a real node between two bare loops, each on a node of its own: what a node holds slows it.
    async fn anvil(&self) -> Result<AnvilPart, Failure> {
        let others = Others::before(self.ticks).await?;
        let batches = (self.sizes.credits / 100).max(1);
        let (before, before_cpu) = self.bare_loop("before", batches).await?;
        let (folder, node) = self.node("scrip").await?;
        let place = Place { data: folder.join("data"), database: None, networks: Some(node.configure(&folder)?) };
        self.progress.step("anvil: the factory is deployed");
        self.scrip.initialise(&place).await?;
        let bench = self.bench("anvil", None);
        let (mut sandbox, campaign_id, papers) = newcomer::start(&bench, place).await?;
        let mut checks = Vec::new();
        let creates_paid = newcomer::create_paid(&bench, &mut sandbox, &campaign_id, &papers).await?;
        let cpu = self.ticks.cpu(node.pid())?;
        let credited = newcomer::credit(&bench, &mut sandbox, campaign_id, &creates_paid, &mut checks).await?;
        let node_cpu = self.ticks.cpu(node.pid())?.saturating_sub(cpu);
        let place = sandbox.stop().await?;
        checks.push(correctness::verify(&self.scrip, &place).await?);
        node.stop().await?;
        let (after, after_cpu) = self.bare_loop("after", batches).await?;
        let issues = batches * 100;
        let each = |cpu: Duration, count: u64| micros(cpu).checked_div(count).unwrap_or(0);
        Ok(AnvilPart {
            others: others.after(self.ticks).await?,
            bare_per_second: [before, after].map(|elapsed| per_second(issues, elapsed)).to_vec(),
            bare_issues: issues,
            credit_orders: credited.credit_orders,
            credits: credited.credits,
            credits_elapsed_us: micros(credited.elapsed),
            credits_per_second: per_second(credited.credits, credited.elapsed),
            node_cpu_us_per_credit: each(node_cpu, credited.credits),
            node_cpu_us_per_bare_issue: each(if before < after { before_cpu } else { after_cpu }, issues),
            checks,
        })
    }

    /// A fresh node, and a folder for it.
    async fn node(&self, name: &str) -> Result<(PathBuf, Node), Failure> {
        let folder = self.folder.path().join(format!("anvil-{name}"));
        std::fs::create_dir(&folder)?;
        let node = Node::start(&self.args.anvil.canonicalize()?, &folder).await?;
        Ok((folder, node))
    }

    /// How long a bare loop takes on a fresh node, and what it costs that.
    async fn bare_loop(&self, when: &str, batches: u64) -> Result<(Duration, Duration), Failure> {
        self.progress.step(&format!("anvil: the bare loop, {when}"));
        let (_folder, mut node) = self.node(when).await?;
        let cpu = self.ticks.cpu(node.pid())?;
        let elapsed = node.bare_loop(batches).await?;
        let cpu = self.ticks.cpu(node.pid())?.saturating_sub(cpu);
        node.stop().await?;
        Ok((elapsed, cpu))
    }

    async fn fill_log(&self, cluster: &Cluster) -> Result<(), Failure> {
        if self.sizes.is_quick {
            return Ok(());
        }
        self.progress.step("the log of a cluster that has served for a while");
        cluster.fill_log().await
    }

    async fn echo(&self, name: &str) -> Result<Load, Failure> {
        self.progress.step(name);
        let baseline = Baseline::start(self.folder.path(), &["echo"]).await?;
        let load = baseline.measure(self.ticks, None, self.sizes).await?;
        baseline.process.stop(Signal::Terminate).await?;
        Ok(load)
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

    fn setting(&self) -> Setting {
        Setting {
            load_generator: "the same machine, over loopback".to_owned(),
            is_harness_release: !cfg!(debug_assertions),
            scrip_profile: self.scrip.profile.clone(),
            scrip_version: self.scrip.version.clone(),
            is_quick: self.sizes.is_quick,
            load_s: self.sizes.load.as_secs(),
        }
    }
}

impl Findings {
    fn is_any_missing(&self) -> bool {
        self.embedded.measured().is_none()
            || self.postgres.measured().is_none()
            || self.embedded_size.measured().is_none()
            || self.postgres_size.measured().is_none()
            || self.anvil.measured().is_none()
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
        let meter = Meter { ticks, server_pids: [Some(self.process.pid()), None], database_pid };
        let shape = Shape { connections: sizes.connections, duration: sizes.load, requests_max: u64::MAX, pace: Pace::Closed };
        meter.measure(&[self.address], shape, traffic::bare(&CAMPAIGN_ID.to_string())?).await
    }
}

fn default_out(commit: &Commit) -> PathBuf {
    let short = commit.id.get(..12).unwrap_or(&commit.id);
    PathBuf::from("bench").join("results").join(format!("{}-{short}.json", commit.date))
}
