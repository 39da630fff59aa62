//! The program is killed at random moments under load (rows B01 and O08).

use std::time::Duration;

use super::load::{self, Ground, Load, Program};
use super::{below, rounds, seeded};
use crate::process::Process;
use crate::world::database_of;

/// A random pause lies between the last create that is waited for and the kill: it is the fault's moment.
const PAUSE_MAX_US: u64 = 20_000;
/// Creates that are waited for at most before a kill.
const CREATES_MAX: u64 = 150;

#[tokio::test(flavor = "multi_thread")]
async fn b01_o08_killed_at_random_under_load_nothing_acknowledged_is_lost_or_done_twice() {
    let mut entropy = seeded();
    let ground = Ground::lay(tempfile::tempdir().unwrap(), |_| {}).await;
    let database = database_of(ground.folder.path());
    let options: Vec<&str> = database.iter().flat_map(|url| ["--database", url.as_str()]).collect();
    let mut process = Process::start(ground.folder.path(), &options).await;
    let load = Load::start(&ground, &process, Program::Dies).await;
    for _round in 0..rounds(20, 500) {
        load.acknowledges(1 + below(&mut entropy, CREATES_MAX)).await;
        tokio::time::sleep(Duration::from_micros(below(&mut entropy, PAUSE_MAX_US))).await;
        process.kill();
        process = Process::start(ground.folder.path(), &options).await;
        load.move_to(&process).await;
    }
    let acknowledged = load.finish().await;
    load::compare(&process.distributor().await, &ground.campaign, &acknowledged).await;
    // The last life ends like the others: what it leaves is what is checked.
    process.kill();
    load::verified(ground.folder.path(), database.as_deref()).await;
}
