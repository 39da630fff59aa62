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
        }
    }

    /// Handles that count nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self { succeeded: Counter::noop(), failed: Counter::noop(), incidents: Counter::noop(), faults: Counter::noop() }
    }
}
