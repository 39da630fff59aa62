//! The sandbox's clock: business time can be turned forwards, and nothing else turns with it.

use ledger::Chain;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Reply, World};

const DAY_S: i64 = 24 * 60 * 60;

/// Asks the clock, without a token: the sandbox's doors have none.
async fn ask(world: &World, method: Method, body: Option<&str>) -> Reply {
    let mut request = world.http.request(method.clone(), format!("{}/sandbox/clock/", world.handout.url));
    if let Some(body) = body {
        request = request.header("Content-Type", "application/json").body(body.to_owned());
    }
    Reply::of(&method, "/sandbox/clock/", request.send().await.unwrap()).await
}

async fn advance(world: &World, span: &str) -> Reply {
    ask(world, Method::POST, Some(&json!({"advance": span}).to_string())).await
}

async fn ahead_s(world: &World) -> i64 {
    ask(world, Method::GET, None).await.expect(200).body["ahead_seconds"].as_i64().unwrap()
}

fn seconds(instant: &Value) -> i64 {
    instant.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_turned_forwards_and_only_forwards() {
    let world = World::start().await;
    let machine_s = || world.running.office.clock.machine_now().seconds_floor();
    let shown = ask(&world, Method::GET, None).await.expect(200).body;
    assert_eq!(shown["ahead_seconds"], 0);
    assert!((seconds(&shown["now"]) - machine_s()).abs() <= 5, "{shown}");
    let mut expected = 0;
    for (span, span_s) in [("P30D", 30 * DAY_S), ("PT1S", 1), ("P1DT2H3M4S", DAY_S + 7_384), ("P2W", 14 * DAY_S)] {
        expected += span_s;
        let shown = advance(&world, span).await.expect(200).body;
        assert_eq!(shown["ahead_seconds"], expected, "{span}");
        assert!((seconds(&shown["now"]) - machine_s() - expected).abs() <= 5, "{span}: {shown}");
    }
    for span in ["", "P", "-P1D", "P-1D", "PT0S", "P36526D", "P9999999999D", "1 day!", "30", "2025-03-12"] {
        advance(&world, span).await.expect_fault("/advance", "invalid_value");
    }
    for (body, status) in [
        ("{}", 400),
        (r#"{"advance": 30}"#, 400),
        (r#"{"advance": null}"#, 400),
        (r#"{"advance": "P1D", "backwards": true}"#, 400),
        (r#"{"advance": "P1D", "advance": "P1D"}"#, 400),
        ("[]", 400),
        ("", 400),
    ] {
        ask(&world, Method::POST, Some(body)).await.expect(status);
    }
    assert_eq!(ahead_s(&world).await, expected, "a refusal turns nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_that_arrive_together_add_up() {
    let world = World::start().await;
    let turns = futures_util::future::join_all((0..16).map(|_| advance(&world, "PT1H"))).await;
    let mut shown: Vec<i64> = turns.into_iter().map(|turn| turn.expect(200).body["ahead_seconds"].as_i64().unwrap()).collect();
    shown.sort_unstable();
    assert_eq!(shown, (1..=16).map(|hour| hour * 3_600).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_and_the_blocks_follow_and_a_restart_keeps_the_distance() {
    let world = World::start().await;
    let campaign = world.campaign(json!({})).await;
    let ahead = 400 * DAY_S;
    advance(&world, "P400D").await.expect(200);
    let now_s = || world.running.office.clock.machine_now().seconds_floor() + ahead;
    let session = world.distributor().await;
    let id = world.paid_investment(&campaign).await;
    let credit = session.post_empty(&format!("/distributor/v2/investments/{id}/credits/")).await.expect(201).id();
    let ended = session.ended_credit(&id, &credit).await;
    assert_eq!(ended["status"], "succeeded");
    assert!((seconds(&ended["finished_at"]) - now_s()).abs() <= 60, "{ended}");
    let head = world.running.chain.as_ref().unwrap().head().await.unwrap();
    assert!((i64::try_from(head.time_seconds).unwrap() - now_s()).abs() <= 60, "{head:?}");

    let world = World::start_in(world.stop().await, |_| {}).await;
    assert_eq!(ahead_s(&world).await, ahead);
    let again = world.paid_investment(&campaign).await;
    let session = world.distributor().await;
    let credit = session.post_empty(&format!("/distributor/v2/investments/{again}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(&again, &credit).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_keep_the_machines_time() {
    let world = World::start().await;
    let session = world.distributor().await;
    advance(&world, "P10Y").await.expect(200);
    session.get("/distributor/v2/products/").await.expect(200);
    world.distributor().await.get("/distributor/v2/products/").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn production_has_no_such_door() {
    let world = World::start().await;
    let folder = world.stop().await;
    let settings = server::program::Settings {
        data: folder.path().join("data"),
        database: crate::world::database_of(folder.path()),
        is_unsynced_database_accepted: true,
        listen: std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0)),
        ..server::program::Settings::default()
    };
    let running = server::program::Running::start(&settings).await.unwrap();
    let url = format!("http://{}/api/sandbox/clock/", running.address);
    for method in [Method::GET, Method::POST] {
        let answer = reqwest::Client::new().request(method, &url).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
    running.stop().await;
}
