//! The embedded database's writes and syncs kill the program or fail, one after the other (rows B05 and B06).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use server::entropy::Entropy;

use super::load::{self, Ground};
use super::strace::Strace;
use super::{below, rounds, seeded};
use crate::process::{Process, log_path};
use crate::world::{GUIDE_DATE, Session, keep_embedded, make_key};

const INVESTMENTS: &str = "/distributor/v2/investments/";
/// Creates of one short scenario.
const CREATES: u64 = 4;
const WRITES: &str = "pwrite64";
/// Which of them the database uses was decided when it was built.
const SYNCS: [&str; 2] = ["fsync", "fdatasync"];
/// The exit code of a program whose disk failed.
const EXIT_DISK_FAILED: i32 = 74;

fn database_files(folder: &Path) -> Vec<PathBuf> {
    ["scrip.sqlite", "scrip.sqlite-wal"].map(|name| folder.join("data").join(name)).to_vec()
}

async fn lay_ground() -> Ground {
    let folder = tempfile::tempdir().unwrap();
    keep_embedded(folder.path());
    Ground::lay(folder, |_| {}).await
}

/// One client that creates with units that no other create has, and remembers what it was told.
struct Creator {
    campaign: String,
    investor: Value,
    next_units: u64,
    acknowledged: BTreeMap<u64, String>,
}

impl Creator {
    fn new(ground: &Ground, process: &Process) -> Self {
        let investor = json!(process.handout.investor_id);
        Self { campaign: ground.campaign.clone(), investor, next_units: 1, acknowledged: BTreeMap::new() }
    }

    /// Asks once, under the key that belongs to the units. Whatever is no success tells nothing.
    async fn create(&mut self, session: &Session, http: &reqwest::Client) -> bool {
        let units = self.next_units;
        let body = json!({
            "investor_id": self.investor, "campaign_id": self.campaign, "units": units, "signed_at": GUIDE_DATE,
        });
        let request = http.post(format!("{}{INVESTMENTS}", session.url)).bearer_auth(&session.token).json(&body);
        let Ok(answer) = request.header("X-Idempotency-Key", format!("units-{units}")).send().await else { return false };
        let status = answer.status().as_u16();
        assert!([201, 503].contains(&status), "{status}");
        let Ok(body) = answer.json::<Value>().await else { return false };
        if status == 201 {
            self.acknowledged.insert(units, body["id"].as_str().unwrap().to_owned());
            self.next_units += 1;
        }
        status == 201
    }

    /// A life of the program: some creates, then a stop in order, which copies the log into the database. Gives how the
    /// process ended.
    async fn live(&mut self, process: Process) -> std::process::ExitStatus {
        let (session, http) = (process.distributor().await, process.http.clone());
        for _create in 0..CREATES {
            if !self.create(&session, &http).await {
                break;
            }
        }
        process.terminate();
        process.ended().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b05_killed_at_any_write_or_sync_of_the_database_nothing_acknowledged_is_lost_or_done_twice() {
    let mut entropy = seeded();
    let ground = lay_ground().await;
    let folder = ground.folder.path();
    let files = database_files(folder);
    let process = Process::start(folder, &[]).await;
    let mut creator = Creator::new(&ground, &process);
    let strace = Strace::attach(process.id(), folder, &files, &["-e", "trace=pwrite64,fsync,fdatasync"]);
    assert!(creator.live(process).await.success());
    let counts: BTreeMap<String, usize> = strace.detach().into_iter().collect();
    println!("one life of {CREATES} creates makes {counts:?}");
    let count_of = |call: &str| counts.get(call).copied().unwrap_or(0);
    let syncs: usize = SYNCS.into_iter().map(count_of).sum();
    assert!(count_of(WRITES) > 8 && syncs as u64 >= CREATES, "{counts:?}");
    let points_of = |call: &'static str| (1..=count_of(call)).map(move |count| (call, count)).collect::<Vec<_>>();
    let (writes, syncs): (Vec<_>, Vec<_>) = (points_of(WRITES), SYNCS.into_iter().flat_map(points_of).collect());
    let mut points = sampled(&mut entropy, writes, 8);
    points.extend(sampled(&mut entropy, syncs, 4));
    let mut killed = 0;
    for (call, count) in &points {
        let process = Process::start(folder, &[]).await;
        let inject = format!("inject={call}:signal=KILL:when={count}");
        let _strace = Strace::attach(process.id(), folder, &files, &["-e", &format!("trace={call}"), "-e", &inject]);
        killed += usize::from(!creator.live(process).await.success());
    }
    println!("{killed} of {} points were reached", points.len());
    // How much the stop copies into the database differs from life to life: the last points may lie behind its end.
    assert!(killed * 2 > points.len(), "{killed} of {points:?}");
    let process = Process::start(folder, &[]).await;
    // What was asked last may have been cut off: it is asked again.
    assert!(creator.create(&process.distributor().await, &process.http).await);
    load::compare(&process.distributor().await, &ground.campaign, &creator.acknowledged).await;
    process.kill();
    load::verified(folder, None).await;
}

/// So many of the points, chosen at random; all of them in the longer mode.
fn sampled<T>(entropy: &mut Entropy, mut points: Vec<T>, normal: usize) -> Vec<T> {
    let wanted = rounds(normal, points.len());
    while points.len() > wanted {
        points.swap_remove(usize::try_from(below(entropy, points.len() as u64)).unwrap());
    }
    points
}

/// Waits for the end that a failed disk brings, and sees what it left in the log.
async fn ended_by_the_disk(process: Process, folder: &Path) {
    assert_eq!(process.ended().await.code(), Some(EXIT_DISK_FAILED));
    let log = std::fs::read_to_string(log_path(folder)).unwrap();
    assert!(log.contains("a disk failed"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn b06_a_commit_that_cannot_be_synced_is_not_acknowledged_and_ends_the_program_which_recovers() {
    let ground = lay_ground().await;
    let folder = ground.folder.path();
    let process = Process::start(folder, &[]).await;
    let mut creator = Creator::new(&ground, &process);
    let (session, http) = (process.distributor().await, process.http.clone());
    assert!(creator.create(&session, &http).await);
    let files = database_files(folder);
    let strace = Strace::attach(process.id(), folder, &files, &["-e", "inject=fdatasync,fsync:error=EIO:when=2+"]);
    assert!(creator.create(&session, &http).await, "the first sync holds");
    assert!(!creator.create(&session, &http).await, "the second does not");
    ended_by_the_disk(process, folder).await;
    drop(strace);
    let process = Process::start(folder, &[]).await;
    assert!(creator.create(&process.distributor().await, &process.http).await);
    load::compare(&process.distributor().await, &ground.campaign, &creator.acknowledged).await;
    process.terminate();
    assert!(process.ended().await.success());
    load::verified(folder, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b06_a_block_that_cannot_be_synced_ends_the_program_and_the_credit_succeeds_in_the_next_life() {
    let folder = tempfile::tempdir().unwrap();
    keep_embedded(folder.path());
    let world = crate::world::World::start_in(folder, |_| {}).await;
    let campaign = world.campaign(json!({})).await;
    let investment = world.paid_investment(&campaign).await;
    let folder = world.stop().await;
    let process = Process::start(folder.path(), &[]).await;
    let session = process.distributor().await;
    let blocks = folder.path().join("data/ledger/blocks.log");
    let strace = Strace::attach(process.id(), folder.path(), &[blocks], &["-e", "inject=fdatasync,fsync:error=EIO"]);
    let credits = format!("{INVESTMENTS}{investment}/credits/");
    let credit = session.post_empty(&credits).await.expect(201).id();
    ended_by_the_disk(process, folder.path()).await;
    drop(strace);
    let process = Process::start(folder.path(), &[]).await;
    let session = process.distributor().await;
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
    process.terminate();
    assert!(process.ended().await.success());
    load::verified(folder.path(), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b06_a_document_that_cannot_be_synced_is_not_acknowledged_and_leaves_nothing() {
    const PATH: &str = "/distributor/v2/documents/";
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), &[]).await;
    let session = process.distributor().await;
    let (key, bytes) = (make_key(), b"%PDF-1.4\n%%EOF\n".to_vec());
    // Its bytes are synced first: no commit is reached.
    let strace = Strace::attach(process.id(), folder.path(), &[], &["-e", "trace=fsync", "-e", "inject=fsync:error=EIO"]);
    session.upload_bytes(PATH, "a.pdf", bytes.clone(), &key).await.expect(500);
    drop(strace);
    let names = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let documents = folder.path().join("data/documents");
    assert_eq!(names(documents.join("stored")), Vec::<PathBuf>::new());
    let (folders, locks): (Vec<_>, Vec<_>) = names(documents.join("incoming")).into_iter().partition(|path| path.is_dir());
    assert_eq!((folders.len(), locks.len()), (1, 1), "one program's uploads");
    assert_eq!(names(folders[0].clone()), Vec::<PathBuf>::new());
    let stored = session.upload_bytes(PATH, "a.pdf", bytes.clone(), &key).await.expect(201);
    assert!(!stored.is_replay());
    let content = session.send(Method::GET, &format!("{PATH}{}/content/", stored.id()), None, None).await.expect(200);
    assert_eq!(content.text.into_bytes(), bytes);
}
