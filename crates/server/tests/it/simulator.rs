//! The deterministic simulator: clients, two workers, three nodes and the clock do what a seed says, faults included, one
//! step after another, on the real operations, desk, jobs and store. After every step the promises of exactly-once
//! issuance are compared with what the ledger holds (E1 to E6); at the end everything is mended and has to come to rest.
//!
//! `SCRIP_SIMULATOR_SEED=…` repeats one run; `SCRIP_LONG=1` makes many.

mod gate;
mod nodes;
mod register;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::HolderId;
use ledger::embedded::GenesisConfig;
use ledger::fake::{AfterReorg, FakeChain};
use server::entropy::Entropy;
use server::jobs::{LedgerFault, LedgerWork};
use server::program::genesis;
use uuid::Uuid;

use crate::ledger_work::bench::{Bench, VALIDITY_S};
use gate::{Gate, Sent, Stop};
use nodes::{Lie, NODES, Servers};
use register::Register;

const RUNS: usize = 40;
const RUNS_LONG: usize = 500;
const STEPS: usize = 120;
const WORKERS: usize = 2;
/// A lease that is over at once, so that any worker can take the lane at any step.
const LEASE: Duration = Duration::from_micros(1);
const INVESTMENTS_MAX: usize = 16;
/// Chain calls of a round at most, for the place where it is stopped.
const CALLS_MAX: usize = 40;
const REORG_DEPTH_MAX: u64 = 64;
/// Blocks between the head and the newest final block: none worth mentioning, few, and more than the deepest reorganisation.
const FINALITY: [u64; 3] = [1, 5, 70];
/// Business time that passes with each look once everything is mended.
const REST_STEP_S: i64 = 20;
/// Time beyond validity and finality in which everything has to end.
const REST_SLACK_S: i64 = 60;

type Round = Pin<Box<dyn Future<Output = (LedgerWork, Result<(), LedgerFault>)> + Send>>;

/// One worker's place.
struct Seat {
    gate: Arc<Gate>,
    /// `None` while it stands still.
    work: Option<LedgerWork>,
    standing_still: Option<Round>,
}

struct Simulator {
    seed: u64,
    step: usize,
    entropy: Entropy,
    bench: Bench,
    servers: Servers,
    sent: Arc<Sent>,
    seats: Vec<Seat>,
    register: Register,
    finality_blocks: u64,
    /// How many lies were told: each kind has its turn.
    lies: usize,
    tally: BTreeMap<&'static str, usize>,
}

impl Simulator {
    async fn start(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut entropy = Entropy::from_seed(bytes);
        let finality_blocks = FINALITY[pick(&mut entropy, FINALITY.len())];
        let mut bench = Bench::start(finality_blocks).await;
        bench.work.hand_back().await;
        let own = genesis(&bench.device.key, 1);
        let foreign = FakeChain::new(&GenesisConfig { chain_id: own.chain_id + 1, ..own }, 1);
        let servers = Servers::of(&bench.chain.fake, foreign).await;
        let register = Register::new(bench.campaign(bench.product_id()).await, bench.product_id());
        let sent = Arc::new(Sent::default());
        let (seats, tally) = (Vec::new(), BTreeMap::new());
        let mut simulator =
            Self { seed, step: 0, entropy, bench, servers, sent, seats, register, finality_blocks, lies: 0, tally };
        for worker in 0..WORKERS {
            let (chain, archive) = (simulator.servers.asked_as_one.clone(), simulator.bench.office.archive.clone());
            let gate = Arc::new(Gate::new(chain, archive, simulator.sent.clone()));
            let work = Some(simulator.worker(worker, &gate));
            simulator.seats.push(Seat { gate, work, standing_still: None });
        }
        simulator
    }

    fn worker(&self, index: usize, gate: &Arc<Gate>) -> LedgerWork {
        let holder = HolderId::new(Uuid::from_u128(u128::try_from(index).unwrap() + 100));
        self.bench.worker_on(gate.clone(), self.bench.device.clone(), holder, LEASE)
    }

    fn pick(&mut self, choices: usize) -> usize {
        pick(&mut self.entropy, choices)
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// One thing happens; then everything must hold.
    async fn act(&mut self) {
        match self.pick(100) {
            0..14 => self.order().await,
            14..18 => self.order_again().await,
            18..46 => self.look().await,
            46..54 => self.crash().await,
            54..58 => self.stand_still().await,
            58..68 => self.go_on().await,
            68..70 => self.leave_device(),
            70..80 => self.mine(),
            80..83 => self.reorganise().await,
            83..85 => self.drop_pool(),
            85..88 => self.spoil_sends(),
            88..92 => self.spoil_node().await,
            92..95 => self.lie().await,
            95..97 => self.servers.mend(),
            _ => self.turn_clock(),
        }
    }

    async fn order(&mut self) {
        if self.register.len() >= INVESTMENTS_MAX {
            return;
        }
        let count = 1 + self.pick(3);
        for ordered in self.bench.order(self.register.campaign_id, u64::try_from(count).unwrap()).await {
            self.register.ordered(ordered, self.step);
        }
    }

    async fn order_again(&mut self) {
        let failed = self.register.failed();
        if failed.is_empty() {
            return;
        }
        let chosen = failed[self.pick(failed.len())];
        let again = self.bench.order_again(chosen.investment_id).await;
        self.register.ordered(again, self.step);
        self.count("credit ordered anew");
    }

    /// A worker's round, whole.
    async fn look(&mut self) {
        let worker = self.pick(WORKERS);
        if let Some(work) = &mut self.seats[worker].work {
            let outcome = work.round().await;
            self.note(&outcome);
        }
    }

    fn note(&mut self, outcome: &Result<(), LedgerFault>) {
        match outcome {
            Ok(()) => self.count("round ended"),
            Err(LedgerFault::LaneLost) => self.count("lane lost"),
            Err(_) => self.count("round cut short"),
        }
    }

    /// Begins a round that stops somewhere. Gives it back where it did, else its worker is as before.
    async fn stop_somewhere(&mut self, worker: usize) -> Option<Round> {
        let stop = Stop { calls: self.pick(CALLS_MAX), is_carried_out: self.pick(2) == 0 };
        let seat = &mut self.seats[worker];
        let mut work = seat.work.take()?;
        seat.gate.stop_at(stop);
        let mut round: Round = Box::pin(async move {
            let outcome = work.round().await;
            (work, outcome)
        });
        let ended = tokio::select! {
            biased;
            ended = &mut round => Some(ended),
            () = seat.gate.stopped() => None,
        };
        let Some((work, outcome)) = ended else { return Some(round) };
        seat.gate.open();
        seat.work = Some(work);
        self.note(&outcome);
        None
    }

    /// A worker dies within a round, with all it knew; another process takes its place.
    async fn crash(&mut self) {
        let worker = self.pick(WORKERS);
        if self.stop_somewhere(worker).await.is_some() {
            self.seats[worker].work = Some(self.worker(worker, &self.seats[worker].gate));
            self.count("worker died in a round");
        }
    }

    /// A worker stands still within a round, while the others go on.
    async fn stand_still(&mut self) {
        let worker = self.pick(WORKERS);
        if let Some(round) = self.stop_somewhere(worker).await {
            self.seats[worker].standing_still = Some(round);
            self.count("worker stood still in a round");
        }
    }

    async fn go_on(&mut self) {
        for worker in 0..WORKERS {
            let Some(round) = self.seats[worker].standing_still.take() else { continue };
            self.seats[worker].gate.let_go_on();
            let (work, outcome) = round.await;
            self.seats[worker].work = Some(work);
            self.note(&outcome);
        }
    }

    fn leave_device(&mut self) {
        self.bench.device.leave(1);
        self.count("signing device away");
    }

    /// A few blocks, or so many that what is in a block now becomes final.
    fn mine(&mut self) {
        let blocks = if self.pick(4) == 0 { self.finality_blocks } else { 0 };
        let few = u64::try_from(1 + self.pick(3)).unwrap();
        self.bench.mine(blocks + few);
    }

    /// Another branch of the same length takes the place of blocks that are not final.
    async fn reorganise(&mut self) {
        let deepest = self.servers.replaceable().await.min(REORG_DEPTH_MAX);
        if deepest == 0 {
            return;
        }
        let depth = 1 + u64::try_from(self.pick(usize::try_from(deepest).unwrap())).unwrap();
        let after = if self.pick(2) == 0 { AfterReorg::WaitAgain } else { AfterReorg::Forgotten };
        self.bench.chain.fake.reorg(depth, after).unwrap();
        self.bench.mine(depth);
        self.count(if depth > 16 { "deep reorganisation" } else { "reorganisation" });
    }

    fn drop_pool(&mut self) {
        if self.bench.chain.fake.waiting_count() > 0 {
            self.bench.chain.fake.drop_waiting();
            self.count("pool dropped");
        }
    }

    /// All nodes, two, or one.
    fn some_nodes(&mut self) -> Vec<usize> {
        let first = self.pick(NODES);
        let count = [1, 1, 2, NODES][self.pick(4)];
        (first..first + count).map(|node| node % NODES).collect()
    }

    fn spoil_sends(&mut self) {
        let nodes = if self.pick(2) == 0 { (0..NODES).collect() } else { self.some_nodes() };
        let choice = self.pick(60);
        self.servers.spoil_sends(&nodes, choice);
    }

    async fn spoil_node(&mut self) {
        let nodes = self.some_nodes();
        match self.pick(3) {
            0 => {
                let reads = 1 + self.pick(6);
                self.servers.silence(&nodes, reads);
            }
            1 => {
                let blocks = 1 + self.pick(5);
                self.servers.lag(&nodes, u64::try_from(blocks).unwrap());
            }
            _ => self.servers.stall_finality(&nodes).await,
        }
    }

    /// One node lies, and the others do nothing wrong.
    async fn lie(&mut self) {
        self.servers.mend();
        let turn = usize::try_from(self.seed % 5).unwrap() + self.lies;
        self.lies += 1;
        let lie = Lie::ALL[turn % Lie::ALL.len()];
        // Receipts are asked of the first node alone.
        let liar = if lie == Lie::Receipt { 0 } else { self.pick(NODES) };
        self.servers.lie(liar, lie).await;
    }

    fn turn_clock(&mut self) {
        if self.pick(2) == 0 {
            self.bench.pass(VALIDITY_S + 5);
            self.bench.mine(1 + self.finality_blocks);
            self.count("clock turned past the validity");
        } else {
            let seconds = 1 + self.pick(90);
            self.bench.pass(i64::try_from(seconds).unwrap());
            self.count("clock turned");
        }
    }

    async fn check(&mut self) {
        let at = format!("seed {}, step {}", self.seed, self.step);
        self.register.check(&self.bench, &self.servers.observer, &self.sent, self.step, &at).await;
    }

    async fn run(mut self) -> BTreeMap<&'static str, usize> {
        while self.step < STEPS {
            self.step += 1;
            self.act().await;
            self.check().await;
        }
        self.come_to_rest().await;
        self.servers.count_into(&mut self.tally);
        let (ended, failed) = self.register.ended_counts();
        *self.tally.entry("credit succeeded").or_default() += ended - failed;
        *self.tally.entry("credit failed").or_default() += failed;
        self.tally
    }

    /// E4: once everything is mended, every credit ends within the validity and the finality lag. Then no nonce is open,
    /// and the register says what the ledger says.
    async fn come_to_rest(&mut self) {
        let at = format!("seed {}", self.seed);
        self.servers.mend();
        self.go_on().await;
        self.bench.device.come_back();
        // What a worker has set aside it tries again after half a minute of the machine's time, which nobody turns here.
        for worker in 0..WORKERS {
            self.seats[worker].work = Some(self.worker(worker, &self.seats[worker].gate));
        }
        let began = self.bench.now().seconds_floor();
        while self.register.processing_count() > 0 {
            let passed = self.bench.now().seconds_floor() - began;
            let count = self.register.processing_count();
            assert!(passed <= VALIDITY_S + REST_SLACK_S, "{at}: E4: {count} credits do not end: {:?}", self.bench.live());
            self.look_on_and_on().await;
        }
        for _look in 0..REST_LOOKS_MAX {
            if self.bench.live().is_empty() {
                break;
            }
            self.look_on_and_on().await;
        }
        assert!(self.bench.live().is_empty(), "{at}: nonces stay open: {:?}", self.bench.live());
        self.bench.compare().await;
    }

    async fn look_on_and_on(&mut self) {
        self.step += 1;
        for worker in 0..WORKERS {
            let work = self.seats[worker].work.as_mut().expect("nobody stands still");
            if let Err(fault) = work.round().await {
                println!("seed {}, step {}: a round was cut short: {fault}", self.seed, self.step);
            }
        }
        self.bench.pass(REST_STEP_S);
        self.bench.mine(self.finality_blocks + 1);
        self.check().await;
    }
}

/// Looks in which the last nonces are closed.
const REST_LOOKS_MAX: usize = 40;

fn pick(entropy: &mut Entropy, choices: usize) -> usize {
    usize::try_from(u64::from_be_bytes(entropy.bytes()) % u64::try_from(choices).unwrap()).unwrap()
}

/// Everything that has to happen in the runs together, or they show nothing.
const MUST_HAPPEN: [&str; 26] = [
    "answered from another network",
    "call forged",
    "clock turned",
    "clock turned past the validity",
    "credit failed",
    "credit ordered anew",
    "credit succeeded",
    "deep reorganisation",
    "finality stalled",
    "lane lost",
    "logs forged",
    "node lagged",
    "pool dropped",
    "read lost",
    "receipt forged",
    "reorganisation",
    "round cut short",
    "round ended",
    "send dropped silently",
    "send lost",
    "send refused",
    "send taken, answer lost or wrong",
    "sends reordered",
    "signing device away",
    "worker died in a round",
    "worker stood still in a round",
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_every_credit_ends_once_and_rightly() {
    let chosen = std::env::var("SCRIP_SIMULATOR_SEED").ok().map(|seed| seed.parse().unwrap());
    let runs = match (chosen, std::env::var_os("SCRIP_LONG")) {
        (Some(_), _) => 1,
        (None, Some(_)) => RUNS_LONG,
        (None, None) => RUNS,
    };
    let first = chosen.unwrap_or_else(|| u64::from_be_bytes(Entropy::from_machine().unwrap().bytes()));
    println!("seeds {first} and the {} after it", runs - 1);
    let mut tally = BTreeMap::new();
    for seed in (0..runs).map(|index| first.wrapping_add(u64::try_from(index).unwrap())) {
        for (what, times) in Simulator::start(seed).await.run().await {
            *tally.entry(what).or_default() += times;
        }
    }
    for (what, times) in &tally {
        println!("{times:>6}  {what}");
    }
    let missing: Vec<&str> =
        MUST_HAPPEN.into_iter().filter(|what| tally.get(what).is_none_or(|times: &usize| *times == 0)).collect();
    assert!(chosen.is_some() || missing.is_empty(), "never happened: {missing:?}");
}
