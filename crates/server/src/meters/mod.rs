//! What the program counts and measures of itself, for Prometheus.
//!
//! Every metric is registered once, before anything happens, so that it is exposed as zero from the start. The parts of
//! the program hold handles: counting is an atomic addition, without a look-up or an allocation. What is a state rather
//! than a happening (queues, blocks, memory) is read when somebody asks.
//!
//! `docs/operating.md` lists every metric; a test compares the list with what is exposed.

mod api;
mod desk;
pub mod exposition;
mod ledger;
mod registry;
mod state;
mod tasks;
mod webhooks;

pub use self::api::{ApiMeters, InFlight};
pub use self::desk::{DeskMeters, Outcome};
pub use self::ledger::{LedgerMeters, Wait};
pub use self::registry::Registry;
pub use self::state::{NetworkGauges, StateMeters};
pub use self::tasks::{PanicPlace, TaskMeters};
pub use self::webhooks::WebhookMeters;

/// The commit that the program was built from, where whoever built it said so in `SCRIP_COMMIT`.
const COMMIT: &str = match option_env!("SCRIP_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Every metric of one program, and what registers them.
#[derive(Debug)]
pub struct Meters {
    /// The desk's.
    pub desk: DeskMeters,
    /// The ledger work's.
    pub ledger: LedgerMeters,
    /// Panics and parked work.
    pub tasks: TaskMeters,
    /// States that are read when somebody asks.
    pub state: StateMeters,
    /// The webhooks'.
    pub webhooks: WebhookMeters,
    registry: Registry,
}

impl Meters {
    /// Registers everything but the counter's operations, which their router knows.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = [("version", env!("CARGO_PKG_VERSION")), ("commit", COMMIT)];
        registry.gauge("scrip_build_info", "Always 1; the labels say what runs.", &build).set(1_u32);
        let _zeros = NetworkGauges::register(&registry, "embedded");
        Self {
            desk: DeskMeters::register(&registry),
            ledger: LedgerMeters::register(&registry),
            tasks: TaskMeters::register(&registry),
            state: StateMeters::register(&registry),
            webhooks: WebhookMeters::register(&registry),
            registry,
        }
    }

    /// What a network says of itself; registered again, the same gauges.
    #[must_use]
    pub fn network(&self, network: &str) -> NetworkGauges {
        NetworkGauges::register(&self.registry, network)
    }

    /// Where metrics are registered.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}
