//! Scrip on one engine: every load, one after the other, on fresh folders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Failure;
use crate::correctness::{self, Intents, Sold};
use crate::findings::{Check, Engine, Large, Load, OpenLoop, Outcome};
use crate::load::{Pace, RequestMaker, Shape};
use crate::meter::Meter;
use crate::newcomer::newcomer;
use crate::process::TicksPerSecond;
use crate::progress::Progress;
use crate::sandbox::{Place, Sandbox, Scrip};
use crate::traffic;

/// How long a load that ends by number may take.
pub const DURATION_MAX: Duration = Duration::from_mins(5);
/// Steps that one engine shows.
pub const STEPS: u64 = 16;
/// Steps that a data folder which was filled beforehand adds.
pub const LARGE_STEPS: u64 = 3;

/// Units of the hot campaign, and how they are shared out among its loads.
const HOT_ALLOCATION: u64 = 700_000;
const START_CREATES_MAX: u64 = 80_000;
const HOT_CREATES_MAX: u64 = 400_000;
const OPEN_CREATES_MAX: u64 = 200_000;
/// Campaigns that the spread creates go round, and units of each: with the hot one, all of the seeded product.
const SPREAD_CAMPAIGNS: u64 = 50;
const SPREAD_ALLOCATION: u64 = 6_000;
/// Units of the campaign on a folder that was filled beforehand.
const LARGE_ALLOCATION: u64 = 100_000;
/// Investments that are read by their id.
const READ_IDS: usize = 1_000;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Connections of a closed loop.
    pub connections: usize,
    /// Connections of a timetable: so many that none is waited for.
    pub connections_open: usize,
    /// How long a load lasts.
    pub load: Duration,
    /// How long a short one lasts.
    pub short: Duration,
    /// How long the program is left alone before its memory is read.
    pub idle: Duration,
    /// Investments made before anything is measured.
    pub investments_at_start: u64,
    /// Credits ordered.
    pub credits: u64,
    /// Whether these are the small sizes.
    pub is_quick: bool,
}

/// What the loads of one engine need.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The program.
    pub scrip: &'a Scrip,
    /// Where hand-outs and logs go.
    pub folder: &'a Path,
    /// How long and how much.
    pub sizes: Sizes,
    /// The kernel's unit of CPU time.
    pub ticks: TicksPerSecond,
    /// The name of the engine.
    pub engine: &'static str,
    /// The database's first process, where it is not the server's.
    pub database_pid: Option<u32>,
    /// Where steps are shown.
    pub progress: &'a Progress,
}

/// A data folder that was filled beforehand.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The data folder.
    pub data: PathBuf,
    /// Its database, where it is not in the folder.
    pub database: Option<String>,
}

impl Sizes {
    /// Sizes whose figures are worth keeping.
    pub const fn full(load: Duration) -> Self {
        Self {
            connections: 64,
            connections_open: 256,
            load,
            short: Duration::from_secs(3),
            idle: Duration::from_secs(10),
            investments_at_start: 10_000,
            credits: 20_000,
            is_quick: false,
        }
    }

    /// Sizes that only show that everything works.
    pub const fn quick() -> Self {
        Self {
            connections: 64,
            connections_open: 256,
            load: Duration::from_secs(2),
            short: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            investments_at_start: 500,
            credits: 500,
            is_quick: true,
        }
    }

    const fn closed(&self, requests_max: u64) -> Shape {
        Shape { connections: self.connections, duration: self.load, requests_max, pace: Pace::Closed }
    }

    const fn short(&self, requests_max: u64) -> Shape {
        Shape { duration: self.short, ..self.closed(requests_max) }
    }

    const fn alone(&self) -> Shape {
        Shape { connections: 1, ..self.short(u64::MAX) }
    }
}

impl Bench<'_> {
    /// Shows a step.
    pub fn step(&self, name: &str) {
        self.progress.step(&format!("{}: {name}", self.engine));
    }

    /// A meter on a sandbox.
    pub const fn meter(&self, sandbox: &Sandbox) -> Meter {
        Meter { ticks: self.ticks, server_pid: sandbox.pid(), database_pid: self.database_pid }
    }

    /// Runs everything. The places are fresh, and two: the second is for the program that starts on nothing.
    pub async fn run(&self, places: [Place; 2], filled: Option<Filled>) -> Result<Engine, Failure> {
        let [place, newcomer_place] = places;
        let mut checks = Vec::new();
        let creates = self.creates(place, &mut checks).await?;
        let newcomer = newcomer(self, newcomer_place, &mut checks).await?;
        let large = match filled {
            Some(filled) => Outcome::Measured(self.large(filled).await?),
            None => Outcome::Skipped("no data folder with many investments was given".to_owned()),
        };
        Ok(Engine {
            investments_at_start: self.sizes.investments_at_start,
            creates_at_start: creates.writes.at_start,
            creates_hot: creates.writes.hot,
            creates_spread: creates.writes.spread,
            replays: creates.writes.replays,
            reads: creates.reads,
            pages: creates.pages,
            pages_alone: creates.pages_alone,
            creates_open: creates.open,
            newcomer,
            large,
            checks,
        })
    }

    /// Shows a step and measures it.
    pub async fn load(&self, sandbox: &Sandbox, name: &str, shape: Shape, make: RequestMaker) -> Result<Load, Failure> {
        self.step(name);
        self.meter(sandbox).measure(sandbox.address, shape, make).await
    }

    async fn creates(&self, place: Place, checks: &mut Vec<Check>) -> Result<Creates, Failure> {
        self.step("start");
        let mut sandbox = Sandbox::start(self.scrip, place, self.folder).await?;
        let hot = [sandbox.sold("Hot", HOT_ALLOCATION).await?];
        let mut spread = Vec::new();
        for number in 0..SPREAD_CAMPAIGNS {
            spread.push(sandbox.sold(&format!("Spread {number}"), SPREAD_ALLOCATION).await?);
        }
        let writes = self.writes(&sandbox, &hot, &spread).await?;
        checks.push(correctness::replays(&writes.hot, &writes.replays)?);
        sandbox.renew_tokens().await?;
        let sizes = self.sizes;
        let ids = traffic::ids(&mut sandbox, "", READ_IDS).await?;
        let make = traffic::reads(&sandbox, &ids)?;
        let reads = self.load(&sandbox, "reads of one investment", sizes.closed(u64::MAX), make).await?;
        let make = traffic::pages(&mut sandbox).await?;
        let pages = self.load(&sandbox, "pages of fifty", sizes.closed(u64::MAX), make.clone()).await?;
        let pages_alone = self.load(&sandbox, "pages of fifty on one connection", sizes.alone(), make).await?;
        let open = self.open_loop(&sandbox, &hot, writes.hot.per_second).await?;

        let hot_intents = Intents::of(&[&writes.first, &writes.at_start, &writes.hot, &writes.replays, &open.load]);
        let spread_intents = Intents::of(&[&writes.spread]);
        let check = correctness::creates(&mut sandbox, "creates on one campaign are there once", &hot, hot_intents);
        checks.push(check.await?);
        let check = correctness::creates(&mut sandbox, "creates on fifty campaigns are there once", &spread, spread_intents);
        checks.push(check.await?);
        let place = sandbox.stop().await?;
        self.step("scrip verify");
        checks.push(correctness::verify(self.scrip, &place).await?);
        Ok(Creates { writes, reads, pages, pages_alone, open })
    }

    async fn writes(&self, sandbox: &Sandbox, hot: &[Sold], spread: &[Sold]) -> Result<Writes, Failure> {
        let sizes = self.sizes;
        let ids = |campaigns: &[Sold]| campaigns.iter().map(|campaign| campaign.campaign_id.clone()).collect::<Vec<_>>();
        let (hot_ids, spread_ids) = (ids(hot), ids(spread));
        let warm_up = Shape { duration: DURATION_MAX, ..sizes.closed(sizes.investments_at_start) };
        let make = traffic::creates(sandbox, "first", &hot_ids)?;
        let first = self.load(sandbox, "first investments", warm_up, make).await?;
        let make = traffic::creates(sandbox, "start", &hot_ids)?;
        let at_start = self.load(sandbox, "creates with few investments", sizes.short(START_CREATES_MAX), make).await?;
        let hot_make = traffic::creates(sandbox, "hot", &hot_ids)?;
        let hot = self.load(sandbox, "creates on one campaign", sizes.closed(HOT_CREATES_MAX), hot_make.clone()).await?;
        let make = traffic::creates(sandbox, "spread", &spread_ids)?;
        let spread_max = SPREAD_CAMPAIGNS * SPREAD_ALLOCATION;
        let spread = self.load(sandbox, "creates on fifty campaigns", sizes.closed(spread_max), make).await?;
        // The first half: at the end of a load a few numbers are drawn and not sent.
        let make = traffic::again(hot_make, (hot.succeeded / 2).max(1));
        let replays = self.load(sandbox, "repeated creates", sizes.closed(u64::MAX), make).await?;
        Ok(Writes { first, at_start, hot, spread, replays })
    }

    async fn open_loop(&self, sandbox: &Sandbox, hot: &[Sold], peak_per_second: u64) -> Result<OpenLoop, Failure> {
        let due_per_second = (peak_per_second / 2).max(1);
        let shape = Shape {
            connections: self.sizes.connections_open,
            pace: Pace::Open { per_second: due_per_second },
            ..self.sizes.closed(OPEN_CREATES_MAX)
        };
        let ids: Vec<String> = hot.iter().map(|campaign| campaign.campaign_id.clone()).collect();
        let make = traffic::creates(sandbox, "open", &ids)?;
        let load = self.load(sandbox, "creates at half of the peak", shape, make).await?;
        Ok(OpenLoop { due_per_second, load })
    }

    async fn large(&self, filled: Filled) -> Result<Large, Failure> {
        self.step("many investments: start");
        let place = Place { data: filled.data, database: filled.database };
        let mut sandbox = Sandbox::start(self.scrip, place, self.folder).await?;
        let investments = sandbox.count("").await?;
        let campaign = sandbox.sold("Hot with many", LARGE_ALLOCATION).await?;
        let make = traffic::creates(&sandbox, "many", std::slice::from_ref(&campaign.campaign_id))?;
        let creates = self.load(&sandbox, "many investments: creates", self.sizes.short(LARGE_ALLOCATION), make).await?;
        let make = traffic::pages(&mut sandbox).await?;
        let pages_alone = self.load(&sandbox, "many investments: pages of fifty", self.sizes.alone(), make).await?;
        correctness::creates(&mut sandbox, "creates are there once", &[campaign], Intents::of(&[&creates])).await?;
        sandbox.stop().await?;
        Ok(Large { investments, creates, pages_alone })
    }
}

/// Loads on one fresh place.
struct Creates {
    writes: Writes,
    reads: Load,
    pages: Load,
    pages_alone: Load,
    open: OpenLoop,
}

/// The loads that write, in order.
struct Writes {
    first: Load,
    at_start: Load,
    hot: Load,
    spread: Load,
    replays: Load,
}
