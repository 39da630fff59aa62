//! What the program exposes for Prometheus, and where.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::tidy::repository_files;
use crate::world::{World, make_key};

async fn world_with_metrics() -> World {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    World::start_in(tempfile::tempdir().unwrap(), |settings| settings.metrics = Some(anywhere)).await
}

async fn exposed(world: &World) -> String {
    let address = world.running.metrics_address.expect("metrics are served");
    assert_ne!(address, world.running.address);
    let answer = world.http.get(format!("http://{address}/metrics")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

/// The value of a line, as text.
#[track_caller]
fn value<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
}

/// The names that stand first in the rows of the table of metrics.
fn documented() -> BTreeSet<String> {
    let files = repository_files();
    let text = &files.iter().find(|file| file.path == "docs/operating.md").unwrap().text;
    let table = text.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(|name| name.split('{').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_metrics_are_those_that_are_exposed() {
    let world = world_with_metrics().await;
    let text = exposed(&world).await;
    let types: BTreeSet<String> =
        text.lines().filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned())).collect();
    let helps: BTreeSet<String> =
        text.lines().filter_map(|line| Some(line.strip_prefix("# HELP ")?.split(' ').next()?.to_owned())).collect();
    assert_eq!(types, helps, "every metric is explained");
    assert_eq!(documented(), types);
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_metrics_are_not_on_the_public_listener_and_nothing_public_is_on_theirs() {
    let world = world_with_metrics().await;
    let metrics = world.running.metrics_address.unwrap();
    assert!(metrics.ip().is_loopback());
    for path in ["/metrics", "/metrics/", "/api/metrics"] {
        let answer = world.http.get(format!("http://{}{path}", world.running.address)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    for path in ["/", "/healthz", "/api/openapi.json", "/api/distributor/v2/products/"] {
        let answer = world.http.get(format!("http://{metrics}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted_once() {
    let world = world_with_metrics().await;
    let before = exposed(&world).await;
    let campaign = world.campaign(json!({})).await;
    let session = world.distributor().await;
    let (path, body, key) = ("/distributor/v2/investments/", world.investment_body(&campaign), make_key());
    for status in [201, 201] {
        session.send(reqwest::Method::POST, path, Some(&key), Some(&body)).await.expect(status);
    }
    session.post(path, &crate::world::merged(body, json!({"units": 101}))).await.expect(409);
    let investment = world.paid_investment(&campaign).await;
    let credit = session.post_empty(&format!("{path}{investment}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
    let unknown = world.http.get(format!("{}/distributor/v2/products/", world.handout.url)).send().await.unwrap();
    assert_eq!(unknown.status(), 401);

    let text = exposed(&world).await;
    let creates = r#"route="/api/distributor/v2/investments/",method="POST""#;
    assert_eq!(value(&text, &format!("scrip_http_requests_total{{{creates},status=\"2xx\"}}")), "3");
    assert_eq!(value(&text, &format!("scrip_http_requests_total{{{creates},status=\"4xx\"}}")), "1");
    assert_eq!(value(&text, &format!("scrip_http_request_duration_seconds_count{{{creates}}}")), "4");
    for (name, expected) in [
        ("scrip_desk_commands_total{outcome=\"replayed\"}", "1"),
        ("scrip_desk_commands_total{outcome=\"refused\"}", "1"),
        ("scrip_desk_commands_total{outcome=\"failed\"}", "0"),
        ("scrip_ledger_verdicts_total{verdict=\"succeeded\"}", "1"),
        ("scrip_ledger_verdicts_total{verdict=\"incident\"}", "0"),
        ("scrip_ledger_queued_instructions", "0"),
        ("scrip_http_unauthenticated_total", "1"),
        ("scrip_http_requests_in_flight", "0"),
        ("scrip_desk_queue_length", "0"),
        ("scrip_store_up", "1"),
        ("scrip_ledger_up{network=\"embedded\"}", "1"),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
    let number = |text: &str, name: &str| value(text, name).parse::<f64>().unwrap();
    for grown in [
        "scrip_desk_commands_total{outcome=\"done\"}",
        "scrip_desk_batch_commands_count",
        "scrip_desk_step_seconds_count{step=\"commit\"}",
        "scrip_ledger_head_block{network=\"embedded\"}",
        "scrip_ledger_finalized_block{network=\"embedded\"}",
        "scrip_ledger_used_nonces{network=\"embedded\"}",
        "scrip_store_readings_total",
    ] {
        assert!(number(&text, grown) > number(&before, grown), "{grown}");
    }
    for positive in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
        "scrip_ledger_signer_balance_wei{network=\"embedded\"}",
    ] {
        assert!(number(&text, positive) > 0.0, "{positive}");
    }
    for secret in [&session.token, &world.handout.issuer.client_secret, &investment] {
        assert!(!text.contains(secret.as_str()));
    }
    world.stop().await;
}
