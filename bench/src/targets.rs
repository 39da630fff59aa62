//! The targets of the design, section 11, rows 1–5 and the last, and the ratios they speak of.

use crate::findings::{AtSize, Bound, Engine, Findings, Load, Others, Outcome, Ratios, SizePart, Target, Unit, Verdict};
use crate::statistics::per_mille;

/// From how many investments on a register counts as a large one: what the sandbox's platform has of ten million.
const MANY_INVESTMENTS_MIN: u64 = 5_000_000;
/// Creates on one campaign to the echo, at least, in thousandths.
pub const EMBEDDED_TO_ECHO_MIN: u64 = 400;
/// The same on `PostgreSQL`.
pub const POSTGRES_TO_ECHO_MIN: u64 = 220;
/// Busy processors of others, in thousandths of all, above which nothing counts as met.
const OTHERS_BUSY_PER_MILLE_MAX: u64 = 500;

impl Ratios {
    /// Compares what was measured in one go.
    pub fn of(findings: &Findings) -> Self {
        let (embedded, postgres) = (findings.embedded.measured(), findings.postgres.measured());
        let ratio = |part: Option<u64>, whole: Option<u64>| Some(per_mille(part?, whole.filter(|&whole| whole > 0)?));
        let hot = postgres.map(|part| part.engine.creates_hot.per_second);
        Self {
            embedded_to_echo: ratio(
                embedded.map(|part| part.engine.creates_hot.per_second),
                embedded.and_then(|part| fastest(&part.echo)),
            ),
            postgres_to_echo: ratio(hot, postgres.and_then(|part| fastest(&part.echo))),
            postgres_to_per_request: ratio(hot, postgres.map(|part| part.per_request.creates.per_second)),
            embedded_size_cost: size_cost(&findings.embedded_size),
            postgres_size_cost: size_cost(&findings.postgres_size),
            anvil_to_bare: findings
                .anvil
                .measured()
                .and_then(|part| ratio(Some(part.credits_per_second), part.bare_per_second.iter().copied().max())),
        }
    }
}

fn fastest(loads: &[Load]) -> Option<u64> {
    loads.iter().map(|load| load.per_second).max()
}

/// How much longer a create takes with many investments than with few.
fn size_cost(part: &Outcome<SizePart>) -> Option<u64> {
    let part = part.measured()?;
    many(part).map(|many| per_mille(part.few.creates_hot.per_second, many.creates_hot.per_second))
}

fn many(part: &SizePart) -> Option<&AtSize> {
    Some(&part.many).filter(|many| many.investments >= MANY_INVESTMENTS_MIN)
}

/// The slowest kind of page on one connection, and on a timetable.
fn page_p99_us(part: Option<&SizePart>) -> [Option<u64>; 2] {
    let pages = || part.and_then(many).map(|many| many.pages.iter());
    let slowest = |p99_us: fn(&crate::findings::PageLoad) -> u64| pages()?.map(p99_us).max();
    [slowest(|page| page.alone.latency.p99_us), slowest(|page| page.loaded.latency.p99_us)]
}

impl Others {
    /// Whether others used so much of the machine that the figures prove nothing.
    pub fn disturb(&self, cores: u64) -> bool {
        self.before_milli_cores.max(self.after_milli_cores) > cores.saturating_mul(OTHERS_BUSY_PER_MILLE_MAX)
    }
}

/// Whether any part was measured beside others' work.
pub fn is_disturbed(findings: &Findings) -> bool {
    let parts = [
        findings.embedded.measured().map(|part| part.others),
        findings.postgres.measured().map(|part| part.others),
        findings.embedded_size.measured().map(|part| part.others),
        findings.postgres_size.measured().map(|part| part.others),
        findings.anvil.measured().map(|part| part.others),
    ];
    parts.into_iter().flatten().any(|others| others.disturb(findings.machine.cores))
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

/// Every target, judged. Where others used the machine nothing counts as met, unless the caller says that it may.
pub fn targets(findings: &Findings, may_be_disturbed: bool) -> Vec<Target> {
    let mut targets = rates_and_ratios(findings);
    targets.extend(latencies(findings));
    if is_disturbed(findings) && !may_be_disturbed {
        for target in &mut targets {
            if target.verdict == Verdict::Met {
                target.verdict = Verdict::Doubtful;
            }
        }
    }
    targets
}

fn rates_and_ratios(findings: &Findings) -> Vec<Target> {
    let ratios = &findings.ratios;
    let newcomer = findings.embedded.measured().map(|part| &part.engine.newcomer);
    let per_mille = |what, bound, found| Target::judged(what, Unit::PerMille, bound, found);
    vec![
        per_mille("hot creates, embedded, to the echo", Bound::AtLeast(EMBEDDED_TO_ECHO_MIN), ratios.embedded_to_echo),
        per_mille("hot creates, PostgreSQL, to the echo", Bound::AtLeast(POSTGRES_TO_ECHO_MIN), ratios.postgres_to_echo),
        per_mille(
            "hot creates, PostgreSQL, to one transaction per request",
            Bound::AtLeast(8_000),
            ratios.postgres_to_per_request,
        ),
        per_mille(
            "cost of a create at ten million investments to ten thousand, embedded",
            Bound::AtMost(2_000),
            ratios.embedded_size_cost,
        ),
        per_mille(
            "cost of a create at ten million investments to ten thousand, PostgreSQL",
            Bound::AtMost(1_500),
            ratios.postgres_size_cost,
        ),
        Target::judged(
            "credits, POST to DELIVERED, embedded chain",
            Unit::PerSecond,
            Bound::AtLeast(2_000),
            newcomer.map(|newcomer| newcomer.credits_per_second),
        ),
        per_mille("credits through anvil to a bare loop", Bound::AtLeast(600), ratios.anvil_to_bare),
        Target::judged(
            "memory after ten idle seconds",
            Unit::Kib,
            Bound::AtMost(80 * 1_000_000 / 1_024),
            newcomer.map(|newcomer| newcomer.idle_resident_kib),
        ),
    ]
}

fn latencies(findings: &Findings) -> Vec<Target> {
    let embedded = findings.embedded.measured().map(|part| &part.engine);
    let postgres = findings.postgres.measured().map(|part| &part.engine);
    let open_p99 = |engine: Option<&Engine>| engine.map(|engine| engine.creates_open.load.latency.p99_us);
    let [embedded_alone, embedded_loaded] = page_p99_us(findings.embedded_size.measured());
    let [postgres_alone, postgres_loaded] = page_p99_us(findings.postgres_size.measured());
    let at_most = |what, bound_us, found| Target::judged(what, Unit::Microseconds, Bound::AtMost(bound_us), found);
    vec![
        at_most("p99 of creates at half of peak, embedded", 20_000, open_p99(embedded)),
        at_most("p99 of creates at half of peak, PostgreSQL", 40_000, open_p99(postgres)),
        at_most("p99 of the slowest page of 50 at ten million investments, embedded", 5_000, embedded_alone),
        at_most("p99 of the slowest page of 50 at ten million investments, PostgreSQL", 5_000, postgres_alone),
        at_most("the same on a timetable at the rate of one connection, embedded", 5_000, embedded_loaded),
        at_most("the same on a timetable at the rate of one connection, PostgreSQL", 5_000, postgres_loaded),
        at_most(
            "start of the program to the first DELIVERED",
            2_000_000,
            embedded.map(|engine| engine.newcomer.first_delivered_us),
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

    #[test]
    fn half_a_core_of_others_for_each_core_disturbs() {
        let others = |after_milli_cores| Others { load_average_milli: 9_000, before_milli_cores: 10, after_milli_cores };
        assert!(!others(1_000).disturb(2));
        assert!(others(1_001).disturb(2));
    }
}
