//! Where the processors' time goes, and what a target leaves of it.

use crate::findings::{Findings, Load};
use crate::page::{Page, shown_ratio, thousands};
use crate::targets::{EMBEDDED_TO_ECHO_MIN, POSTGRES_TO_ECHO_MIN};

const TITLES: [&str; 6] = ["µs of a request", "share", "generator", "server", "database", "idle"];

/// One row: what takes how much of a request's share of the processors.
struct Share<'a> {
    name: String,
    load: &'a Load,
}

/// Writes the section.
pub(super) fn describe(page: &mut Page, findings: &Findings) {
    page.heading("Where the time goes");
    page.paragraph(
        "A request's share of the processors is their number divided by the rate: what the load generator, the server and the \
         database used of it, and what stood idle while they waited for each other or for the disk. A repeated create is verified, \
         parsed, looked up, answered and logged like a new one, but decides and writes nothing: what it takes is the floor below \
         any create.",
    );
    let cores = findings.machine.cores;
    let mut rows = Vec::new();
    for (share, limit) in shares(findings) {
        rows.push(cells(&share, cores));
        rows.extend(limit.map(|(name, us)| {
            let mut row = vec![name, thousands(us)];
            row.resize(TITLES.len(), String::new());
            row
        }));
    }
    page.table(&TITLES, rows);
}

/// The loads to be compared, each with the share that a target leaves, where it is the echo that the target speaks of.
fn shares(findings: &Findings) -> Vec<(Share<'_>, Option<(String, u64)>)> {
    let cores = findings.machine.cores;
    let mut shares = Vec::new();
    let parts = [
        ("embedded", EMBEDDED_TO_ECHO_MIN, findings.embedded.measured().map(|part| (&part.echo, &part.engine))),
        ("PostgreSQL", POSTGRES_TO_ECHO_MIN, findings.postgres.measured().map(|part| (&part.echo, &part.engine))),
    ];
    for (engine_name, target, part) in parts {
        let Some((echo, engine)) = part else { continue };
        if let Some(fastest) = echo.iter().max_by_key(|load| load.per_second) {
            let left = share_us(cores, fastest.per_second.saturating_mul(target) / 1_000);
            let limit = (format!("*what a target of {} × the echo leaves, {engine_name}*", shown_ratio(target)), left);
            shares.push((Share { name: format!("bare JSON echo, {engine_name}"), load: fastest }, Some(limit)));
        }
        for (what, load) in [("repeated creates", &engine.replays), ("creates, one campaign", &engine.creates_hot)] {
            shares.push((Share { name: format!("{what}, {engine_name}"), load }, None));
        }
    }
    shares
}

fn cells(share: &Share<'_>, cores: u64) -> Vec<String> {
    let load = share.load;
    let whole = share_us(cores, load.per_second);
    let used =
        load.generator_cpu_us_per_request + load.server_cpu_us_per_request + load.database_cpu_us_per_request.unwrap_or_default();
    vec![
        share.name.clone(),
        thousands(whole),
        thousands(load.generator_cpu_us_per_request),
        thousands(load.server_cpu_us_per_request),
        load.database_cpu_us_per_request.map_or("–".to_owned(), thousands),
        thousands(whole.saturating_sub(used)),
    ]
}

/// Microseconds of all processors for one request at a rate.
fn share_us(cores: u64, per_second: u64) -> u64 {
    cores.saturating_mul(1_000_000).checked_div(per_second).unwrap_or(0)
}
