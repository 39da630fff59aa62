//! Disks without room: writes are refused with 503, reads go on, and it passes without a restart (row B07).

use std::path::PathBuf;

use cluster::{Cluster, Durability};
use reqwest::Method;
use serde_json::json;
use server::verify::verify;

use crate::documents::SmallDisk;
use crate::process::{Process, log_path};
use crate::world::{Reply, Session, World, keep_embedded, make_key, merged};

const INVESTMENTS: &str = "/distributor/v2/investments/";
/// More creates than fit the room that is left within the pages that exist.
const CREATES_MAX: u64 = 10_000;

/// Creates until there is no room: how many were acknowledged, and the key of the one that was not.
async fn create_until_refused(create: impl AsyncFn(&str) -> Reply) -> (u64, String) {
    for created in 0..CREATES_MAX {
        let key = make_key();
        let reply = create(&key).await;
        if reply.status == 503 {
            assert!(reply.headers.contains_key("retry-after"));
            return (created, key);
        }
        reply.expect(201);
    }
    panic!("the disk is never full");
}

/// Creates until there is no room, then sees that reads go on and that the refused create succeeds once there is room.
async fn fill_and_recover(world: &World, disk: &SmallDisk) {
    let session = world.distributor().await;
    let campaign = world.campaign(json!({})).await;
    let body = merged(world.investment_body(&campaign), json!({"units": 1}));
    let create = async |key: &str| session.send(Method::POST, INVESTMENTS, Some(key), Some(&body)).await;
    let ballast = disk.fill();
    let (created, key) = create_until_refused(&create).await;
    let counted = format!("{INVESTMENTS}?campaign_id={campaign}&limit=1");
    assert_eq!(session.get(&counted).await.expect(200).body["count"], created, "reads go on");
    create(&make_key()).await.expect(503);
    std::fs::remove_file(ballast).unwrap();
    assert!(!create(&key).await.expect(201).is_replay(), "the refusal was no effect");
    assert_eq!(session.get(&counted).await.expect(200).body["count"], created + 1);
    credit(world, &session).await;
}

/// The whole way still works, ledger included.
async fn credit(world: &World, session: &Session) {
    let campaign = world.campaign(json!({})).await;
    let investment = world.paid_investment(&campaign).await;
    let credit = session.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_a_full_disk_below_the_embedded_database_refuses_writes_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    keep_embedded(folder.path());
    let disk = SmallDisk::mount(folder.path().join("data"), 32);
    let world = World::start_in(folder, |_| {}).await;
    fill_and_recover(&world, &disk).await;
    let folder = world.stop().await;
    verify(&folder.path().join("data"), None).await.unwrap();
    drop(disk);
    drop(folder);
}

/// A folder that the database's account may pass.
fn mount_point() -> PathBuf {
    let mount: PathBuf = tempfile::tempdir().unwrap().keep();
    std::fs::set_permissions(&mount, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    mount
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_a_full_disk_below_the_database_server_refuses_writes_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mount = mount_point();
    let disk = SmallDisk::mount(mount.clone(), 128);
    let cluster = Cluster::start_on(&mount, Durability::Synced).unwrap();
    let url = cluster.create_database("full", None).unwrap();
    let world = World::start_in(folder, |settings| settings.database = Some(url.clone())).await;
    fill_and_recover(&world, &disk).await;
    let folder = world.stop().await;
    verify(&folder.path().join("data"), Some(&url)).await.unwrap();
    drop(cluster);
    drop(disk);
    std::fs::remove_dir(mount).unwrap();
}

/// A server that cannot write its log ends itself, and somebody starts it again once there is room: the program waits for
/// it with 503 and goes on by itself, with everything that was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn b07_a_full_disk_below_the_database_servers_log_loses_nothing_and_passes_without_a_restart_of_the_program() {
    let mount = mount_point();
    let disk = SmallDisk::mount(mount.clone(), 64);
    let mut cluster = Cluster::start_with_log_on(&mount, Durability::Synced).unwrap();
    let url = cluster.create_database("full", None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let world = World::start_in(folder, |settings| settings.database = Some(url.clone())).await;
    let session = world.distributor().await;
    let campaign = world.campaign(json!({})).await;
    let body = merged(world.investment_body(&campaign), json!({"units": 1}));
    let create = async |key: &str| session.send(Method::POST, INVESTMENTS, Some(key), Some(&body)).await;
    let ballast = disk.fill();
    let (created, key) = create_until_refused(&create).await;
    std::fs::remove_file(ballast).unwrap();
    // It may have ended by itself, or be on its way through its own recovery.
    let had_ended = cluster.kill().is_err();
    cluster.restart().unwrap();
    let again = loop {
        let reply = create(&key).await;
        if reply.status != 503 {
            break reply;
        }
    };
    again.expect(201);
    let counted = format!("{INVESTMENTS}?campaign_id={campaign}&limit=1");
    let count = session.get(&counted).await.expect(200).body["count"].as_u64().unwrap();
    assert_eq!(count, created + 1, "acknowledged {created}, the server had ended by itself: {had_ended}");
    credit(&world, &session).await;
    let folder = world.stop().await;
    verify(&folder.path().join("data"), Some(&url)).await.unwrap();
    drop(cluster);
    drop(disk);
    std::fs::remove_dir(mount).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_a_log_that_takes_no_more_lines_hurts_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path().join("small"), 1);
    std::os::unix::fs::symlink(folder.path().join("small/scrip.log"), log_path(folder.path())).unwrap();
    let process = Process::start_logging(folder.path(), &[], "info").await;
    let session = process.distributor().await;
    let ballast = disk.fill();
    for _request in 0..10 {
        session.get(INVESTMENTS).await.expect(200);
        session.upload("a.pdf").await.expect(201);
    }
    std::fs::remove_file(ballast).unwrap();
    session.get("/distributor/v2/investors/").await.expect(200);
    process.terminate();
    assert!(process.ended().await.success());
    let log = std::fs::read_to_string(log_path(folder.path())).unwrap();
    assert!(log.contains("/distributor/v2/investors/"), "lines are taken again: {log}");
}
