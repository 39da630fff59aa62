//! Every process of the `PostgreSQL` server is killed under load (row B02).

use std::time::{Duration, Instant};

use cluster::{Cluster, Durability};

use super::load::{self, Ground, Load, Program};
use super::{below, rounds, seeded};
use crate::process::Process;

const PAUSE_MAX_US: u64 = 20_000;
const CREATES_MAX: u64 = 150;
/// Readiness says within this time that there is no database.
const RED_MAX: Duration = Duration::from_secs(2);
/// How often readiness is asked before the test is given up.
const LOOKS_MAX: u32 = 6_000;

/// Waits until readiness answers so, and gives how long it took.
async fn readiness(process: &Process, status: u16) -> Duration {
    let began = Instant::now();
    let url = format!("http://{}/readyz", process.address());
    for _look in 0..LOOKS_MAX {
        let answer = process.http.get(&url).send().await.unwrap();
        if answer.status() == status {
            assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
            return began.elapsed();
        }
        assert!([200, 503].contains(&answer.status().as_u16()), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("readiness never becomes {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_the_database_server_killed_under_load_is_waited_for_and_nothing_acknowledged_is_lost() {
    let mut entropy = seeded();
    // What is committed is synced here: a kill of the server tears down what was not.
    let mut cluster = Cluster::start(Durability::Synced).unwrap();
    let url = cluster.create_database("killed", None).unwrap();
    let ground = Ground::lay(tempfile::tempdir().unwrap(), |settings| settings.database = Some(url.clone())).await;
    let process = Process::start(ground.folder.path(), &["--database", &url]).await;
    let load = Load::start(&ground, &process, Program::Stays).await;
    for round in 0..rounds(10, 200) {
        load.acknowledges(1 + below(&mut entropy, CREATES_MAX)).await;
        tokio::time::sleep(Duration::from_micros(below(&mut entropy, PAUSE_MAX_US))).await;
        cluster.kill().unwrap();
        let red = readiness(&process, 503).await;
        assert!(red <= RED_MAX, "readiness took {red:?}");
        load.is_refused(1).await;
        let began = Instant::now();
        cluster.restart().unwrap();
        let back = began.elapsed();
        let green = readiness(&process, 200).await;
        println!("round {round}: red after {red:?}, the server back after {back:?}, ready {green:?} later");
    }
    let acknowledged = load.finish().await;
    load::compare(&process.distributor().await, &ground.campaign, &acknowledged).await;
    process.terminate();
    assert!(process.ended().await.success());
    load::verified(ground.folder.path(), Some(&url)).await;
}
