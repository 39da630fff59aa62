//! What the ledger work counts.

use metrics::Counter;

use super::Registry;

/// The ledger work's handles. Clones count together.
#[derive(Clone, Debug)]
pub struct LedgerMeters {
    /// Credits that the judge ended as succeeded.
    pub succeeded: Counter,
    /// Credits that the judge ended as failed.
    pub failed: Counter,
    /// Looks at which an instruction's number was found taken by another order.
    pub incidents: Counter,
    /// Rounds that were cut short.
    pub faults: Counter,
    /// Work on one product or credit that failed by its own fault, while the others went on.
    pub contained: Counter,
    /// Times that the database turned out to be older than the ledger.
    pub quarantines: Counter,
    /// Issues of the ledger that were taken over.
    pub adopted: Counter,
    /// Looks at which an issue of the ledger could not be taken over.
    pub unadoptable: Counter,
    /// Looks at which a product's register and ledger differed.
    pub differences: Counter,
    /// Attempts that offered more at the same nonce.
    pub bumps: Counter,
    waits: [Counter; 3],
}

/// What a ledger transaction waits for that only a person can give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Gas costs more than the operator pays.
    FeeCeiling,
    /// The registrar cannot pay for gas.
    Funds,
    /// The node refuses the bytes as they are.
    Refused,
}

impl Wait {
    const ALL: [Self; 3] = [Self::FeeCeiling, Self::Funds, Self::Refused];

    const fn name(self) -> &'static str {
        match self {
            Self::FeeCeiling => "fee_ceiling",
            Self::Funds => "funds",
            Self::Refused => "refused",
        }
    }
}

impl LedgerMeters {
    pub(super) fn register(registry: &Registry) -> Self {
        let verdict = |verdict| {
            let help = "Words of the judge. An incident is counted at every look.";
            registry.counter("scrip_ledger_verdicts_total", help, &[("verdict", verdict)])
        };
        Self {
            succeeded: verdict("succeeded"),
            failed: verdict("failed"),
            incidents: verdict("incident"),
            faults: registry.counter(
                "scrip_ledger_faults_total",
                "Rounds of ledger work that were cut short; the next goes on.",
                &[],
            ),
            contained: registry.counter(
                "scrip_ledger_contained_faults_total",
                "Work on one product or credit that failed by its own fault, while the others went on.",
                &[],
            ),
            quarantines: registry.counter(
                "scrip_ledger_quarantines_total",
                "Times that signing stopped because the database was older than the ledger, or may have been.",
                &[],
            ),
            adopted: registry.counter(
                "scrip_ledger_adopted_total",
                "Issues of the ledger that the database had lost and took over.",
                &[],
            ),
            unadoptable: registry.counter(
                "scrip_ledger_unadoptable_total",
                "Looks at which an issue of the ledger could not be taken over. A person has to look.",
                &[],
            ),
            differences: registry.counter(
                "scrip_ledger_differences_total",
                "Looks at which register and ledger of a product differed. A person has to look.",
                &[],
            ),
            bumps: registry.counter("scrip_ledger_bumps_total", "Attempts that offered more for gas at the same nonce.", &[]),
            waits: Wait::ALL.map(|wait| {
                let help = "Looks at which a ledger transaction waited for what only a person can give.";
                registry.counter("scrip_ledger_waits_total", help, &[("reason", wait.name())])
            }),
        }
    }

    /// Looks at which something waited.
    pub const fn waits(&self, wait: Wait) -> &Counter {
        let [fee_ceiling, funds, refused] = &self.waits;
        match wait {
            Wait::FeeCeiling => fee_ceiling,
            Wait::Funds => funds,
            Wait::Refused => refused,
        }
    }

    /// Handles that count nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            succeeded: Counter::noop(),
            failed: Counter::noop(),
            incidents: Counter::noop(),
            faults: Counter::noop(),
            contained: Counter::noop(),
            quarantines: Counter::noop(),
            adopted: Counter::noop(),
            unadoptable: Counter::noop(),
            differences: Counter::noop(),
            bumps: Counter::noop(),
            waits: [Counter::noop(), Counter::noop(), Counter::noop()],
        }
    }
}
