//! The program is asked to stop while clients create investments: it says so first, ends what runs, loses nothing that it
//! acknowledged, and exits with 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::process::Process;
use crate::world::{GUIDE_DATE, Session, database_of, make_key};

const CLIENTS: usize = 8;
/// Creates that are acknowledged before the program is asked to stop.
const CREATES_MIN: usize = 20;

/// A campaign with room for everybody; the body of a create in it.
async fn create_body(process: &Process) -> Value {
    let campaign = json!({
        "distribution_platform_id": process.handout.distribution_platform_id, "allocation": 100_000, "name": "Stopped",
        "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"}, "min_number_of_tokens": 1,
        "max_number_of_tokens": 100, "legal_persons_allowed": true, "natural_persons_allowed": true, "country": "DEU",
        "rule_type": "public_offering", "is_campaign_active": true
    });
    let path = format!("/issuer/v2/products/{}/campaigns/", process.handout.product_id);
    let campaign_id = process.issuer().await.post(&path, &campaign).await.expect(201).id();
    json!({"investor_id": process.handout.investor_id, "campaign_id": campaign_id, "units": 1, "signed_at": GUIDE_DATE})
}

/// Creates until it is told that it is over, and gives what was acknowledged. Once the program has been asked to stop,
/// no answer is none: the connection is closed or refused.
async fn create(
    session: Session,
    http: reqwest::Client,
    body: Value,
    is_over: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let url = format!("{}/distributor/v2/investments/", session.url);
        let request = http.request(Method::POST, url).bearer_auth(&session.token).header("X-Idempotency-Key", make_key());
        let Ok(answer) = request.json(&body).send().await else { continue };
        let status = answer.status().as_u16();
        let Ok(text) = answer.text().await else { continue };
        assert_eq!(status, 201, "{text}");
        let created: Value = serde_json::from_str(&text).unwrap();
        acknowledged.push(created["id"].as_str().unwrap().to_owned());
        done.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o07_a_stop_under_load_says_so_first_and_loses_nothing_that_was_acknowledged() {
    let rounds = if std::env::var_os("SCRIP_LONG").is_some() { 50 } else { 3 };
    let folder = tempfile::tempdir().unwrap();
    let url = database_of(folder.path());
    let mut options = vec!["--drain-delay-s", "1"];
    options.extend(url.iter().flat_map(|url| ["--database", url.as_str()]));
    let mut process = Process::start(folder.path(), &options).await;
    let body = create_body(&process).await;
    let mut acknowledged = Vec::new();
    for round in 1..=rounds {
        let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let session = process.distributor().await;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(create(session.clone(), process.http.clone(), body.clone(), is_over.clone(), done.clone())))
            .collect();
        reached(&done, CREATES_MIN).await;
        let ready = format!("http://{}/readyz", process.address());
        assert_eq!(process.http.get(&ready).send().await.unwrap().status(), 200);
        process.terminate();
        let asked = Instant::now();
        // It is served on, but not ready any more: a load balancer goes elsewhere before anybody is refused.
        let mut unready = None;
        while let Ok(answer) = process.http.get(&ready).send().await {
            if answer.status() != 200 {
                unready = Some(answer.status().as_u16());
                break;
            }
        }
        assert_eq!(unready, Some(503));
        let before = done.load(Ordering::Relaxed);
        reached(&done, before + 1).await;
        assert!(process.ended().await.success(), "it exits with 0");
        assert!(asked.elapsed() < Duration::from_secs(26), "{:?}", asked.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            acknowledged.extend(client.await.unwrap());
        }
        println!("round {round}: {} acknowledged", acknowledged.len());
        process = Process::start(folder.path(), &options).await;
        let session = process.distributor().await;
        let page = session.get("/distributor/v2/investments/?limit=1").await.expect(200);
        assert!(page.body["count"].as_u64().unwrap() >= acknowledged.len() as u64);
    }
    let session = process.distributor().await;
    for id in &acknowledged {
        session.get(&format!("/distributor/v2/investments/{id}/")).await.expect(200);
    }
    process.terminate();
    assert!(process.ended().await.success());
}

async fn reached(counter: &AtomicUsize, target: usize) {
    let began = Instant::now();
    while counter.load(Ordering::Relaxed) < target {
        assert!(began.elapsed() < Duration::from_secs(30), "{} of {target}", counter.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
