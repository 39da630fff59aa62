//! Scrip on one engine: every load, one after the other, on fresh folders.

use std::path::Path;
use std::time::Duration;

use crate::Failure;
use crate::correctness::{self, Intents, Sold};
use crate::findings::{Check, Engine, Load, OpenLoop, TwoServers};
use crate::load::{Pace, RequestMaker, Shape};
use crate::meter::Meter;
use crate::newcomer::newcomer;
use crate::process::TicksPerSecond;
use crate::progress::Progress;
use crate::sandbox::{Place, Sandbox, Scrip};
use crate::second::Second;
use crate::traffic;

/// How long a load that ends by number may take.
pub const DURATION_MAX: Duration = Duration::from_mins(5);
/// Steps that one engine shows.
pub const STEPS: u64 = 15;
/// Steps that two servers on one database show.
pub const TWO_SERVERS_STEPS: u64 = 3;

/// Units of the hot campaign, and how they are shared out among its loads.
const HOT_ALLOCATION: u64 = 700_000;
const HOT_CREATES_MAX: u64 = 400_000;
const OPEN_CREATES_MAX: u64 = 200_000;
/// Campaigns that the spread creates go round, and units of each: with the hot one, all of the seeded product.
const SPREAD_CAMPAIGNS: u64 = 50;
const SPREAD_ALLOCATION: u64 = 6_000;
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
    /// Units of the campaign that two servers sell of: so few that they come to its end.
    pub contested: u64,
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
            contested: 20_000,
            is_quick: false,
        }
    }

    /// Sizes that only show that everything works.
    pub const fn quick() -> Self {
        Self {
            connections: 64,
            connections_open: 256,
            load: Duration::from_millis(500),
            short: Duration::from_millis(200),
            idle: Duration::from_millis(200),
            investments_at_start: 500,
            credits: 200,
            contested: 500,
            is_quick: true,
        }
    }

    /// Investments of the register that a large one is compared with.
    pub const fn few_investments(&self, full: u64) -> u64 {
        if self.is_quick { full / 10 } else { full }
    }

    /// A closed loop.
    pub const fn closed(&self, requests_max: u64) -> Shape {
        Shape { connections: self.connections, duration: self.load, requests_max, pace: Pace::Closed }
    }

    /// A short one.
    pub const fn short(&self, requests_max: u64) -> Shape {
        Shape { duration: self.short, ..self.closed(requests_max) }
    }

    /// A timetable.
    pub const fn open(&self, per_second: u64, duration: Duration) -> Shape {
        Shape { connections: self.connections_open, duration, requests_max: u64::MAX, pace: Pace::Open { per_second } }
    }

    /// A short one on one connection.
    pub const fn alone(&self) -> Shape {
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
        Meter { ticks: self.ticks, server_pids: [Some(sandbox.pid()), None], database_pid: self.database_pid }
    }

    /// Runs everything. The places are fresh, and two: the second is for the program that starts on nothing.
    pub async fn run(&self, places: [Place; 2]) -> Result<Engine, Failure> {
        let [place, newcomer_place] = places;
        let mut checks = Vec::new();
        let creates = self.creates(place, &mut checks).await?;
        let newcomer = newcomer(self, newcomer_place, &mut checks).await?;
        Ok(Engine {
            creates_hot: creates.writes.hot,
            creates_spread: creates.writes.spread,
            replays: creates.writes.replays,
            reads: creates.reads,
            pages: creates.pages,
            pages_alone: creates.pages_alone,
            creates_open: creates.open,
            newcomer,
            checks,
        })
    }

    /// Shows a step and measures it.
    pub async fn load(&self, sandbox: &Sandbox, name: &str, shape: Shape, make: RequestMaker) -> Result<Load, Failure> {
        self.step(name);
        self.meter(sandbox).measure(&[sandbox.address], shape, make).await
    }

    async fn creates(&self, place: Place, checks: &mut Vec<Check>) -> Result<Creates, Failure> {
        self.step("start");
        let mut sandbox = Sandbox::start(self.scrip, place, self.folder).await?;
        self.scrip.record_events(sandbox.place(), &sandbox.handout.distribution_platform_id).await?;
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

        let hot_intents = Intents::of(&[&writes.first, &writes.hot, &writes.replays, &open.load]);
        let spread_intents = Intents::of(&[&writes.spread]);
        let check = correctness::creates(&mut sandbox, "creates on one campaign are there once", &hot, hot_intents);
        checks.push(check.await?);
        let check = correctness::creates(&mut sandbox, "creates on fifty campaigns are there once", &spread, spread_intents);
        checks.push(check.await?);
        let place = sandbox.stop().await?;
        let all = Intents::of(&[&writes.first, &writes.hot, &writes.replays, &open.load, &writes.spread]);
        checks.push(correctness::outbox(self.scrip, &place, all).await?);
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
        let hot_make = traffic::creates(sandbox, "hot", &hot_ids)?;
        let hot = self.load(sandbox, "creates on one campaign", sizes.closed(HOT_CREATES_MAX), hot_make.clone()).await?;
        let make = traffic::creates(sandbox, "spread", &spread_ids)?;
        let spread_max = SPREAD_CAMPAIGNS * SPREAD_ALLOCATION;
        let spread = self.load(sandbox, "creates on fifty campaigns", sizes.closed(spread_max), make).await?;
        // The first half: at the end of a load a few numbers are drawn and not sent.
        let make = traffic::again(hot_make, (hot.succeeded / 2).max(1));
        let replays = self.load(sandbox, "repeated creates", sizes.closed(u64::MAX), make).await?;
        Ok(Writes { first, hot, spread, replays })
    }

    async fn open_loop(&self, sandbox: &Sandbox, hot: &[Sold], peak_per_second: u64) -> Result<OpenLoop, Failure> {
        let due_per_second = (peak_per_second / 2).max(1);
        let shape = Shape { requests_max: OPEN_CREATES_MAX, ..self.sizes.open(due_per_second, self.sizes.load) };
        let ids: Vec<String> = hot.iter().map(|campaign| campaign.campaign_id.clone()).collect();
        let make = traffic::creates(sandbox, "open", &ids)?;
        let load = self.load(sandbox, "creates at half of the peak", shape, make).await?;
        Ok(OpenLoop { due_per_second, load })
    }

    /// Two servers on one database sell the same campaign until nothing is left: never more than it has.
    pub async fn two_servers(&self, place: Place, checks: &mut Vec<Check>) -> Result<TwoServers, Failure> {
        self.step("two servers: start");
        let mut sandbox = Sandbox::start(self.scrip, place, self.folder).await?;
        let second = Second::start(self.scrip, &sandbox, self.folder).await?;
        let contested = [sandbox.sold("Contested", self.sizes.contested).await?];
        let hot = [sandbox.sold("Hot for two", HOT_ALLOCATION).await?];
        let meter = Meter { server_pids: [Some(sandbox.pid()), Some(second.pid())], ..self.meter(&sandbox) };
        let addresses = [sandbox.address, second.address];
        let ids = |campaigns: &[Sold]| campaigns.iter().map(|campaign| campaign.campaign_id.clone()).collect::<Vec<_>>();
        self.step("two servers: creates on one campaign");
        let make = traffic::creates(&sandbox, "two", &ids(&hot))?;
        let creates_hot = meter.measure(&addresses, self.sizes.closed(HOT_CREATES_MAX), make).await?;
        self.step("two servers: creates until nothing is left");
        let make = traffic::creates(&sandbox, "contested", &ids(&contested))?;
        let all_and_more = Shape { duration: DURATION_MAX, ..self.sizes.closed(self.sizes.contested * 11 / 10) };
        let sold_out = meter.measure(&addresses, all_and_more, make).await?;
        let intents = Intents::of(&[&creates_hot]);
        checks.push(correctness::creates(&mut sandbox, "creates at two servers are there once", &hot, intents).await?);
        let intents = Intents::of(&[&sold_out]);
        let check = correctness::creates(&mut sandbox, "two servers sell what a campaign has", &contested, intents).await?;
        checks.push(check);
        if sold_out.succeeded != self.sizes.contested {
            return Err(format!("two servers sold {} of {} units", sold_out.succeeded, self.sizes.contested).into());
        }
        second.stop().await?;
        let place = sandbox.stop().await?;
        checks.push(correctness::verify(self.scrip, &place).await?);
        Ok(TwoServers { creates_hot })
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
    hot: Load,
    spread: Load,
    replays: Load,
}
