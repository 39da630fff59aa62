//! What a run finds: the content of a result file. Rates are per second, ratios per mille, times microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the result file's form.
pub const FORM: u32 = 3;

/// A result file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Findings {
    /// See [`FORM`].
    pub form: u32,
    /// What was measured.
    pub commit: Commit,
    /// Where.
    pub machine: Machine,
    /// With what.
    pub setting: Setting,
    /// Scrip on its embedded database, with the echo.
    pub embedded: Outcome<EmbeddedPart>,
    /// Scrip on `PostgreSQL`, with the echo and the per-request baseline.
    pub postgres: Outcome<PostgresPart>,
    /// Few and many investments on the embedded database.
    pub embedded_size: Outcome<SizePart>,
    /// Few and many investments on `PostgreSQL`.
    pub postgres_size: Outcome<SizePart>,
    /// Credits through a real node, with the bare loop.
    #[serde(default)]
    pub anvil: Outcome<AnvilPart>,
    /// What is compared.
    pub ratios: Ratios,
    /// What was aimed at, and whether it was met.
    pub targets: Vec<Target>,
}

/// What others did on the machine while a part was measured. Nothing of the harness ran when it was looked at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Others {
    /// The kernel's load average of the minute before, in thousandths. It holds what the harness itself did then.
    pub load_average_milli: u64,
    /// Busy processors before the part, in thousandths.
    pub before_milli_cores: u64,
    /// Busy processors after the part, in thousandths.
    pub after_milli_cores: u64,
}

/// What is measured in one go on the embedded database.
#[derive(Debug, Serialize, Deserialize)]
pub struct EmbeddedPart {
    /// What others did meanwhile.
    pub others: Others,
    /// The bare echo, before everything else and after it.
    pub echo: Vec<Load>,
    /// The loads.
    pub engine: Engine,
}

/// What is measured in one go on `PostgreSQL`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PostgresPart {
    /// What others did meanwhile.
    pub others: Others,
    /// The version and settings of the database.
    pub description: String,
    /// The bare echo, before everything else and after it.
    pub echo: Vec<Load>,
    /// One database transaction per request.
    pub per_request: PerRequest,
    /// The loads.
    pub engine: Engine,
    /// Two servers on one database, and one hot campaign.
    pub two_servers: TwoServers,
}

/// Credits through a real node, measured in one go with what the node can do.
#[derive(Debug, Serialize, Deserialize)]
pub struct AnvilPart {
    /// What others did meanwhile.
    pub others: Others,
    /// Issues per second of a bare loop of prepared batches of a hundred on such a node, before Scrip and after it.
    pub bare_per_second: Vec<u64>,
    /// Issues of one bare loop.
    pub bare_issues: u64,
    /// The POSTs that order the credits.
    pub credit_orders: Load,
    /// Credits that were delivered.
    pub credits: u64,
    /// From the first POST to the last DELIVERED, finality included.
    pub credits_elapsed_us: u64,
    /// Credits per second of that.
    pub credits_per_second: u64,
    /// CPU time of the node for each credit, in microseconds.
    pub node_cpu_us_per_credit: u64,
    /// CPU time of the node for each issue of the faster bare loop, in microseconds.
    pub node_cpu_us_per_bare_issue: u64,
    /// What was checked afterwards.
    pub checks: Vec<Check>,
}

/// Two sizes of a register on one engine, measured in one go.
#[derive(Debug, Serialize, Deserialize)]
pub struct SizePart {
    /// What others did meanwhile.
    pub others: Others,
    /// Few investments.
    pub few: AtSize,
    /// Many.
    pub many: AtSize,
    /// What was checked afterwards.
    pub checks: Vec<Check>,
}

/// The loads on a register of one size.
#[derive(Debug, Serialize, Deserialize)]
pub struct AtSize {
    /// Investments of the platform that asks, before the loads.
    pub investments: u64,
    /// Resident memory of the server after its start, in KiB.
    pub resident_at_start_kib: u64,
    /// Resident memory of the server after all loads, in KiB.
    pub resident_after_kib: u64,
    /// Creates on one hot campaign by many investors.
    pub creates_hot: Load,
    /// Creates on fifty campaigns by many investors.
    pub creates_spread: Load,
    /// Reads of one investment from all over the register.
    pub reads: Load,
    /// Pages of 50, by what they were asked for.
    pub pages: Vec<PageLoad>,
}

/// One kind of page.
#[derive(Debug, Serialize, Deserialize)]
pub struct PageLoad {
    /// Which pages.
    pub what: String,
    /// On one connection.
    pub alone: Load,
    /// On a timetable, as many a second as one connection could ask for.
    pub loaded: Load,
}

/// Two servers on one database.
#[derive(Debug, Serialize, Deserialize)]
pub struct TwoServers {
    /// Creates on one hot campaign, half of the connections at each server. The server's CPU time is that of both.
    pub creates_hot: Load,
}

/// Something that was measured, or the reason why not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<T> {
    /// It was.
    Measured(T),
    /// It was not; why.
    Skipped(String),
}

/// What a result file from before there was such a part says of it.
impl<T> Default for Outcome<T> {
    fn default() -> Self {
        Self::Skipped("the file is older than this part".to_owned())
    }
}

/// A commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// Its hash.
    pub id: String,
    /// Whether tracked files differed from it.
    pub is_dirty: bool,
    /// The date that the run was given, or the commit's.
    pub date: String,
}

/// A machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that the harness and everything it starts share.
    pub cores: u64,
    /// Memory, in KiB.
    pub memory_kib: u64,
    /// The kernel's name and version.
    pub kernel: String,
    /// What the processor calls itself.
    pub cpu_model: String,
    /// The median time of appending 4 KiB and syncing it on the disk that was used.
    pub sync_p50_us: u64,
}

/// How the run was set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// Where the load came from.
    pub load_generator: String,
    /// Whether the harness (and with it both baselines) was built for release.
    pub is_harness_release: bool,
    /// The profile folder that `scrip` lay in: `release` or `debug`.
    pub scrip_profile: String,
    /// What `scrip --version` says.
    pub scrip_version: String,
    /// Whether the sizes were small.
    pub is_quick: bool,
    /// How long each load lasted, in seconds.
    pub load_s: u64,
}

/// A load and how it was borne.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Connections.
    pub connections: u64,
    /// Answers with a status from 200 to 299.
    pub succeeded: u64,
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers from memory.
    pub replayed: u64,
    /// Requests whose answer never came.
    pub unanswered: u64,
    /// From the first request to the last answer.
    pub elapsed_us: u64,
    /// Successes per second.
    pub per_second: u64,
    /// The average length of an answer's body.
    pub answer_bytes: u64,
    /// From sending (closed loop) or from being due (open loop) to the whole answer.
    pub latency: Latency,
    /// CPU time of the load generator for each success.
    pub generator_cpu_us_per_request: u64,
    /// CPU time of the server's process for each success.
    pub server_cpu_us_per_request: u64,
    /// CPU time of the database's processes for each success; `None` where the database is in the server's process.
    pub database_cpu_us_per_request: Option<u64>,
}

/// Latencies.
#[expect(clippy::struct_field_names, reason = "the unit belongs to each name in the result file")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the answers were as fast.
    pub p50_us: u64,
    /// 99 % of the answers were as fast.
    pub p99_us: u64,
    /// 99.9 % of the answers were as fast.
    pub p999_us: u64,
    /// The slowest.
    pub max_us: u64,
}

/// Scrip on one engine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Engine {
    /// Creates on one hot campaign.
    pub creates_hot: Load,
    /// Creates spread over many campaigns.
    pub creates_spread: Load,
    /// The hot campaign's creates sent once more under their keys.
    pub replays: Load,
    /// Reads of one investment.
    pub reads: Load,
    /// Pages of 50 investments.
    pub pages: Load,
    /// Pages of 50 investments on one connection.
    pub pages_alone: Load,
    /// Creates on the hot campaign on a timetable at half of the peak.
    pub creates_open: OpenLoop,
    /// A new program, and crediting.
    pub newcomer: Newcomer,
    /// What was checked afterwards; the run fails where one does not hold.
    pub checks: Vec<Check>,
}

/// A load on a timetable.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenLoop {
    /// Requests due in a second.
    pub due_per_second: u64,
    /// How it was borne.
    pub load: Load,
}

/// A program that has just been started on nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Newcomer {
    /// From the start of the process to the first `DELIVERED` that a client sees, all steps of the guide included.
    pub first_delivered_us: u64,
    /// Seconds without any request before the memory was read.
    pub idle_s: u64,
    /// Resident memory of the process after that, in KiB.
    pub idle_resident_kib: u64,
    /// Creating calls that bring documents, acceptance, payment and wallet with them.
    pub creates_paid: Load,
    /// The POSTs that order the credits.
    pub credit_orders: Load,
    /// Credits ordered and delivered.
    pub credits: u64,
    /// From the first POST to the last `DELIVERED`.
    pub credits_elapsed_us: u64,
    /// Credits delivered per second over that time.
    pub credits_per_second: u64,
}

/// The per-request baseline.
#[derive(Debug, Serialize, Deserialize)]
pub struct PerRequest {
    /// Database connections it had.
    pub pool_connections: u64,
    /// Creates on one hot row.
    pub creates: Load,
}

/// Something that was checked and held.
#[derive(Debug, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// With which figures.
    pub found: String,
}

/// What is compared; per mille, `None` where a side is missing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ratios {
    /// Hot creates on the embedded database to the faster echo.
    pub embedded_to_echo: Option<u64>,
    /// Hot creates on `PostgreSQL` to the faster echo.
    pub postgres_to_echo: Option<u64>,
    /// Hot creates on `PostgreSQL` to one transaction per request.
    pub postgres_to_per_request: Option<u64>,
    /// The cost of a create with many investments to that with few, embedded.
    pub embedded_size_cost: Option<u64>,
    /// The same on `PostgreSQL`.
    pub postgres_size_cost: Option<u64>,
    /// Credits through anvil to the faster bare loop.
    #[serde(default)]
    pub anvil_to_bare: Option<u64>,
}

/// A target of the design and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What is aimed at.
    pub what: String,
    /// In which unit.
    pub unit: Unit,
    /// The bound.
    pub bound: Bound,
    /// What was found; `None` where it was not measured.
    pub found: Option<u64>,
    /// Whether it is met.
    pub verdict: Verdict,
}

/// A unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A ratio, in thousandths.
    PerMille,
    /// A rate.
    PerSecond,
    /// A time.
    Microseconds,
    /// Memory.
    Kib,
}

/// A bound, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not less.
    AtLeast(u64),
    /// Not more.
    AtMost(u64),
}

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Met,
    /// It would be, but others used the machine: the figures prove nothing.
    Doubtful,
    /// It is not.
    Missed,
    /// Nobody knows.
    NotMeasured,
}

impl<T> Outcome<T> {
    /// What was measured.
    pub const fn measured(&self) -> Option<&T> {
        match self {
            Self::Measured(found) => Some(found),
            Self::Skipped(_) => None,
        }
    }
}
