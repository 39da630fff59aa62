//! The targets of the design, section 11, rows 1–5 and the last, and the ratios they speak of.

use crate::findings::{Bound, Engine, Findings, Load, Outcome, PerRequest, Ratios, Target, Unit, Verdict};
use crate::statistics::per_mille;

/// From how many investments on a data folder counts as a large one.
const LARGE_INVESTMENTS_MIN: u64 = 10_000_000;

impl Ratios {
    /// Compares what was measured in one run.
    pub fn of(echo: &[Load], per_request: &Outcome<PerRequest>, sqlite: &Outcome<Engine>, postgres: &Outcome<Engine>) -> Self {
        let echo = echo.iter().map(|load| load.per_second).max();
        let hot = |engine: &Outcome<Engine>| engine.measured().map(|engine| engine.creates_hot.per_second);
        let baseline = per_request.measured().map(|baseline| baseline.creates.per_second);
        let ratio = |part: Option<u64>, whole: Option<u64>| Some(per_mille(part?, whole.filter(|&whole| whole > 0)?));
        Self {
            sqlite_to_echo: ratio(hot(sqlite), echo),
            postgres_to_echo: ratio(hot(postgres), echo),
            postgres_to_per_request: ratio(hot(postgres), baseline),
            sqlite_large_cost: large_cost(sqlite),
            postgres_large_cost: large_cost(postgres),
        }
    }
}

/// How much longer a create takes with many investments than with few.
fn large_cost(engine: &Outcome<Engine>) -> Option<u64> {
    let engine = engine.measured()?;
    let large = engine.large.measured().filter(|large| large.investments >= LARGE_INVESTMENTS_MIN)?;
    Some(per_mille(engine.creates_at_start.per_second, large.creates.per_second))
}

impl Target {
    /// Judges a finding.
    pub fn judged(what: &str, unit: Unit, bound: Bound, found: Option<u64>) -> Self {
        let verdict = match (found, bound) {
            (None, _) => Verdict::NotMeasured,
            (Some(found), Bound::AtLeast(least)) if found >= least => Verdict::Met,
            (Some(found), Bound::AtMost(most)) if found <= most => Verdict::Met,
            (Some(_), Bound::AtLeast(_) | Bound::AtMost(_)) => Verdict::Missed,
        };
        Self { what: what.to_owned(), unit, bound, found, verdict }
    }
}

/// Every target, judged.
pub fn targets(findings: &Findings) -> Vec<Target> {
    let ratios = &findings.ratios;
    let (sqlite, postgres) = (findings.sqlite.measured(), findings.postgres.measured());
    let open_p99 = |engine: Option<&Engine>| engine.map(|engine| engine.creates_open.load.latency.p99_us);
    let page_p99 = |engine: Option<&Engine>| {
        let large = engine?.large.measured().filter(|large| large.investments >= LARGE_INVESTMENTS_MIN)?;
        Some(large.pages_alone.latency.p99_us)
    };
    let newcomer = sqlite.map(|engine| &engine.newcomer);
    let judged = Target::judged;
    vec![
        judged("hot creates, embedded, to the echo", Unit::PerMille, Bound::AtLeast(400), ratios.sqlite_to_echo),
        judged("hot creates, PostgreSQL, to the echo", Unit::PerMille, Bound::AtLeast(220), ratios.postgres_to_echo),
        judged(
            "hot creates, PostgreSQL, to one transaction per request",
            Unit::PerMille,
            Bound::AtLeast(8_000),
            ratios.postgres_to_per_request,
        ),
        judged("p99 of creates at half of peak, embedded", Unit::Microseconds, Bound::AtMost(20_000), open_p99(sqlite)),
        judged("p99 of creates at half of peak, PostgreSQL", Unit::Microseconds, Bound::AtMost(40_000), open_p99(postgres)),
        judged(
            "cost of a create at ten million investments to ten thousand, embedded",
            Unit::PerMille,
            Bound::AtMost(2_000),
            ratios.sqlite_large_cost,
        ),
        judged(
            "cost of a create at ten million investments to ten thousand, PostgreSQL",
            Unit::PerMille,
            Bound::AtMost(1_500),
            ratios.postgres_large_cost,
        ),
        judged(
            "p99 of a page of 50 at ten million investments, embedded",
            Unit::Microseconds,
            Bound::AtMost(5_000),
            page_p99(sqlite),
        ),
        judged(
            "p99 of a page of 50 at ten million investments, PostgreSQL",
            Unit::Microseconds,
            Bound::AtMost(5_000),
            page_p99(postgres),
        ),
        judged(
            "credits, POST to DELIVERED, embedded chain",
            Unit::PerSecond,
            Bound::AtLeast(2_000),
            newcomer.map(|newcomer| newcomer.credits_per_second),
        ),
        judged(
            "start of the program to the first DELIVERED",
            Unit::Microseconds,
            Bound::AtMost(2_000_000),
            newcomer.map(|newcomer| newcomer.first_delivered_us),
        ),
        judged(
            "memory after ten idle seconds",
            Unit::Kib,
            Bound::AtMost(80 * 1_000_000 / 1_024),
            newcomer.map(|newcomer| newcomer.idle_resident_kib),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_includes_itself_and_nothing_found_is_no_verdict() {
        let verdict = |bound, found| Target::judged("x", Unit::PerSecond, bound, found).verdict;
        assert_eq!(verdict(Bound::AtLeast(10), Some(10)), Verdict::Met);
        assert_eq!(verdict(Bound::AtLeast(10), Some(9)), Verdict::Missed);
        assert_eq!(verdict(Bound::AtMost(10), Some(10)), Verdict::Met);
        assert_eq!(verdict(Bound::AtMost(10), Some(11)), Verdict::Missed);
        assert_eq!(verdict(Bound::AtMost(10), None), Verdict::NotMeasured);
    }
}
