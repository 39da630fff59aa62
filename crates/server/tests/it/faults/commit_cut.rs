//! The connection to the database server is lost exactly at a COMMIT (row B03).

use reqwest::Method;
use serde_json::{Value, json};
use server::verify::verify;

use super::load::Ground;
use super::proxy::{Cut, Proxy};
use crate::world::{Reply, Session, World, make_key, server_database_of};
use domain::investor::PersonKind;

const INVESTMENTS: &str = "/distributor/v2/investments/";

async fn count(session: &Session, path: &str) -> u64 {
    session.get(path).await.expect(200).body["count"].as_u64().unwrap()
}

async fn create(session: &Session, body: &Value, key: &str) -> Reply {
    session.send(Method::POST, INVESTMENTS, Some(key), Some(body)).await
}

/// A program without ledger work, whose every connection to its database passes the proxy, and a campaign.
async fn start() -> (World, Proxy, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = server_database_of(folder.path());
    let ground = Ground::lay(folder, |settings| settings.database = Some(url.clone())).await;
    let proxy = Proxy::before(&url).await;
    let world = World::start_in(ground.folder, |settings| {
        settings.database = Some(proxy.url().to_owned());
        settings.has_ledger = false;
    })
    .await;
    (world, proxy, ground.campaign)
}

async fn stop_and_verify(world: World) {
    let url = server_database_of(world.folder.path());
    let folder = world.stop().await;
    verify(&folder.path().join("data"), Some(&url)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b03_a_commit_whose_answer_is_lost_is_looked_up_and_never_run_blindly_again() {
    let (world, proxy, campaign) = start().await;
    let session = world.distributor().await;
    let investors = "/distributor/v2/investors/?limit=1";
    let investments = format!("{INVESTMENTS}?campaign_id={campaign}&limit=1");
    for (turn, cut) in [Cut::BeforeCommit, Cut::AfterCommit].into_iter().enumerate() {
        let made = turn as u64;
        let (commits, commands) = world.running.office.desk.counts();
        let (key, body) = (make_key(), world.investment_body(&campaign));
        proxy.arm(cut);
        let created = create(&session, &body, &key).await.expect(201);
        assert_eq!(proxy.cuts(), 2 * turn + 1, "{cut:?}");
        assert!(!created.is_replay(), "{cut:?}: the batch itself was answered, not a second run of it");
        assert_eq!(count(&session, &investments).await, made + 1, "{cut:?}");
        let again = create(&session, &body, &key).await.expect(201);
        assert!(again.is_replay() && again.id() == created.id(), "{cut:?}");

        // A command without a key has nothing but its batch's id to keep it from being done twice.
        let before = count(&session, investors).await;
        proxy.arm(cut);
        world.investor(session.organisation_id, PersonKind::Natural, false).await;
        assert_eq!(proxy.cuts(), 2 * turn + 2, "{cut:?}");
        assert_eq!(count(&session, investors).await, before + 1, "{cut:?}: done twice");
        let counted = world.running.office.desk.counts();
        assert_eq!((counted.0 - commits, counted.1 - commands), (2, 3), "{cut:?}: the create, its repeat, the investor");
    }
    stop_and_verify(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b03_while_nobody_can_say_whether_it_committed_the_answer_is_503_and_a_repeat_finds_the_effect() {
    let (world, proxy, campaign) = start().await;
    let session = world.distributor().await;
    let (key, body) = (make_key(), world.investment_body(&campaign));
    proxy.arm(Cut::AfterCommitForAWhile);
    let unknown = create(&session, &body, &key).await.expect(503);
    assert!(unknown.headers.contains_key("retry-after"));
    // Of another request nothing is in doubt: the database is simply not there.
    create(&session, &body, &make_key()).await.expect(503);
    proxy.reopen();
    let found = create(&session, &body, &key).await.expect(201);
    assert!(found.is_replay(), "it had committed");
    assert_eq!(session.get(&format!("{INVESTMENTS}?campaign_id={campaign}")).await.expect(200).body["count"], json!(1));
    stop_and_verify(world).await;
}
