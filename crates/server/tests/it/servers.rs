//! Two servers on one `PostgreSQL` database: never oversold, and one effect for one idempotency key (rows C01, C02).

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::json;
use server::verify::verify;
use tempfile::TempDir;

use crate::world::{Session, World, make_key, server_database_of};

const INVESTMENTS: &str = "/distributor/v2/investments/";

/// Two servers with the same root key on a database of their own; the second leaves the ledger to the first.
async fn start_two() -> (World, World) {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let url = server_database_of(folders[0].path());
    let [first, second] = folders;
    let first = start_on(first, &url, true).await;
    let (from, to) = (first.folder.path().join("data/root.key"), second.path().join("data"));
    std::fs::create_dir(&to).unwrap();
    std::fs::copy(from, to.join("root.key")).unwrap();
    let second = start_on(second, &url, false).await;
    assert!(first.running.chain.is_some() && second.running.chain.is_none());
    (first, second)
}

async fn start_on(folder: TempDir, url: &str, has_ledger: bool) -> World {
    World::start_in(folder, |settings| {
        settings.database = Some(url.to_owned());
        settings.has_ledger = has_ledger;
    })
    .await
}

/// Stops both, and checks everything against everything.
async fn stop_and_verify(first: World, second: World) {
    let url = server_database_of(first.folder.path());
    let _second_folder = second.stop().await;
    let folder = first.stop().await;
    let report = verify(&folder.path().join("data"), Some(&url)).await.unwrap();
    assert!(report.rows > 0, "{report}");
}

async fn count_of(session: &Session, campaign: &str) -> u64 {
    let page = session.get(&format!("{INVESTMENTS}?campaign_id={campaign}&limit=1")).await.expect(200);
    page.body["count"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c01_two_servers_never_oversell_a_campaign() {
    let (first, second) = start_two().await;
    let campaign = first.campaign(json!({"allocation": 200})).await;
    let sessions = [first.distributor().await, second.distributor().await];
    let body = first.investment_body(&campaign);
    let replies = join_all((0..60).map(|number| {
        let (session, body) = (&sessions[number % 2], &body);
        async move { session.post(INVESTMENTS, body).await }
    }))
    .await;
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    let refused = replies.iter().filter(|reply| reply.status == 409).count();
    assert_eq!((created, refused), (20, 40), "20 investments of 10 units fill 200");
    for session in &sessions {
        assert_eq!(count_of(session, &campaign).await, 20);
    }
    stop_and_verify(first, second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c02_one_key_sent_to_two_servers_has_one_effect() {
    const KEYS: usize = 20;
    let (first, second) = start_two().await;
    let campaign = first.campaign(json!({})).await;
    let sessions = [first.distributor().await, second.distributor().await];
    let body = first.investment_body(&campaign);
    let pairs = join_all((0..KEYS).map(|_| {
        let (key, sessions, body) = (make_key(), &sessions, &body);
        async move {
            let send = |session: &'_ Session| {
                let (session, key) = (session.clone(), key.clone());
                async move { session.send(Method::POST, INVESTMENTS, Some(&key), Some(body)).await }
            };
            join(send(&sessions[0]), send(&sessions[1])).await
        }
    }))
    .await;
    for (one, other) in pairs {
        assert_eq!((one.status, other.status), (201, 201), "{} {}", one.text, other.text);
        assert_eq!(one.body, other.body);
        assert!(one.is_replay() != other.is_replay(), "one of the two was decided, the other remembered");
    }
    assert_eq!(count_of(&sessions[1], &campaign).await, u64::try_from(KEYS).unwrap());
    stop_and_verify(first, second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_investment_taken_by_one_server_is_credited_by_the_other() {
    let (first, second) = start_two().await;
    let campaign = second.campaign(json!({})).await;
    let investment = second.paid_investment(&campaign).await;
    let session = second.distributor().await;
    let path = format!("{INVESTMENTS}{investment}/credits/");
    let credit = session.post_empty(&path).await.expect(201).id();
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
    // The documents lie with the server that took them.
    let _folders = (second.stop().await, first.stop().await);
}
