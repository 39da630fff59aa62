//! The page of a small made-up result.

use serde_json::{Value, json};

use super::*;
use crate::findings::{Ratios, Verdict};
use crate::targets::targets;

fn load(per_second: u64) -> Value {
    json!({
        "connections": 64, "succeeded": per_second * 10, "statuses": {"201": per_second * 10}, "replayed": 0, "unanswered": 0,
        "elapsed_us": 10_000_000, "per_second": per_second, "answer_bytes": 900,
        "latency": {"p50_us": 1_000, "p99_us": 21_500, "p999_us": 30_000, "max_us": 31_000},
        "generator_cpu_us_per_request": 12, "server_cpu_us_per_request": 33, "database_cpu_us_per_request": null
    })
}

fn at_size(investments: u64, per_second: u64) -> Value {
    let mut alone = load(900);
    alone["connections"] = json!(1);
    json!({
        "investments": investments, "resident_at_start_kib": 30_000, "resident_after_kib": 50_000,
        "creates_hot": load(per_second), "creates_spread": load(per_second), "reads": load(8_000),
        "pages": [{"what": "deep by cursor", "alone": alone, "loaded": load(900)}]
    })
}

fn findings_beside(others_milli_cores: u64, may_be_disturbed: bool) -> Findings {
    let others = json!({
        "load_average_milli": 1_250, "before_milli_cores": others_milli_cores, "after_milli_cores": 10
    });
    let mut findings: Findings = serde_json::from_value(json!({
        "form": FORM,
        "commit": {"id": "0123456789abcdef", "is_dirty": false, "date": "2025-01-02"},
        "machine": {"cores": 2, "memory_kib": 2_097_152, "kernel": "Linux 6", "cpu_model": "C", "sync_p50_us": 1_500},
        "setting": {
            "load_generator": "the same machine, over loopback", "is_harness_release": true, "scrip_profile": "release",
            "scrip_version": "scrip 0.1.0", "is_quick": false, "load_s": 10
        },
        "embedded": {"measured": {
            "others": others, "echo": [load(40_000), load(50_000)],
            "engine": {
                "creates_hot": load(20_000), "creates_spread": load(19_000), "replays": load(30_000), "reads": load(25_000),
                "pages": load(5_000), "pages_alone": load(900),
                "creates_open": {"due_per_second": 10_000, "load": load(10_000)},
                "newcomer": {
                    "first_delivered_us": 700_000, "idle_s": 10, "idle_resident_kib": 60_000, "creates_paid": load(15_000),
                    "credit_orders": load(9_000), "credits": 20_000, "credits_elapsed_us": 8_000_000,
                    "credits_per_second": 2_500
                },
                "checks": [{"what": "scrip verify", "found": "everything holds"}]
            }
        }},
        "postgres": {"skipped": "not asked for"},
        "embedded_size": {"measured": {
            "others": others, "few": at_size(6_000, 18_000), "many": at_size(6_000_000, 12_000), "checks": []
        }},
        "postgres_size": {"skipped": "not asked for"},
        "ratios": {},
        "targets": []
    }))
    .unwrap();
    findings.ratios = Ratios::of(&findings);
    findings.targets = targets(&findings, may_be_disturbed);
    findings
}

fn findings() -> Findings {
    findings_beside(10, false)
}

#[test]
fn the_page_says_what_was_found_and_what_was_not() {
    let page = page(&findings(), "bench/results/a.json", None);
    for line in [
        "| hot creates, embedded, to the echo | ≥ 0.400 × | 0.400 × | met |",
        "| hot creates, PostgreSQL, to the echo | ≥ 0.220 × | – | not measured |",
        "| p99 of creates at half of peak, embedded | ≤ 20.00 ms | 21.50 ms | **missed** |",
        "| on PostgreSQL | not measured: not asked for |",
        "| machine, embedded | load average 1.250 before; others kept 0.010 cores busy before and 0.010 after |",
        "| cost of a create at ten million investments to ten thousand, embedded | ≤ 2.000 × | 1.500 × | met |",
        "| pages deep by cursor, embedded, 6,000,000 | 1 | 900 | 1.00 | 21.50 | 30.00 | 33 | – |",
        "| creates, one campaign, embedded | 64 | 20,000 | 1.00 | 21.50 | 30.00 | 33 | – |",
        "| bare JSON echo, embedded | 40 | 12 | 33 | – | 0 |",
        "| *what a target of 0.400 × the echo leaves, embedded* | 100 |  |  |  |  |",
        "| repeated creates, embedded | 66 | 12 | 33 | – | 21 |",
        "| creates, one campaign, embedded | 100 | 12 | 33 | – | 55 |",
        "| embedded | 700.00 | 60,000 | 20,000 | 2,500 |",
        "| embedded | scrip verify | everything holds |",
    ] {
        assert!(page.lines().any(|found| found == line), "no line {line:?} in\n{page}");
    }
}

#[test]
fn the_plot_shows_every_load_of_many_connections() {
    let drawn = svg(&panels(&findings()));
    for text in ["bare JSON echo, before embedded", "creates, one campaign, embedded", "p99, embedded", "21.50 ms", "0.400"] {
        assert!(drawn.contains(text), "no {text:?} in {drawn}");
    }
    assert!(!drawn.contains("PostgreSQL"), "what was not measured has no bar");
}

#[test]
fn figures_of_quick_runs_and_other_builds_are_not_published() {
    assert!(worth_publishing(&findings()).is_ok());
    let spoiled: [fn(&mut Findings); 4] = [
        |findings| findings.form = 0,
        |findings| findings.setting.is_quick = true,
        |findings| findings.setting.is_harness_release = false,
        |findings| findings.setting.scrip_profile = "debug".to_owned(),
    ];
    for spoil in spoiled {
        let mut findings = findings();
        spoil(&mut findings);
        assert!(worth_publishing(&findings).is_err());
    }
}

#[test]
fn nothing_is_met_beside_the_work_of_others_unless_told() {
    let verdicts = |findings: Findings| findings.targets.into_iter().map(|target| target.verdict).collect::<Vec<_>>();
    let (quiet, busy) = (verdicts(findings()), verdicts(findings_beside(1_500, false)));
    assert!(quiet.contains(&Verdict::Met) && !busy.contains(&Verdict::Met));
    assert_eq!(quiet.iter().filter(|v| **v == Verdict::Missed).count(), busy.iter().filter(|v| **v == Verdict::Missed).count());
    assert_eq!(verdicts(findings_beside(1_500, true)), quiet);
    assert!(page(&findings_beside(1_500, false), "a", None).contains("the figures prove nothing"));
}
