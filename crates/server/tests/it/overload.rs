//! More than the program can do: what is too much is refused at once and in words, the rest is served, and afterwards
//! everything is as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::organisation::OrganisationKind;
use futures_util::future::join_all;
use serde_json::{Value, json};
use server::desk::DeskError;
use server::operations::setting::PutSetting;
use server::operations::{Context, Operation, Refused};
use store::{Book, Wanted};

use crate::world::{Reply, Session, World, server_database_of};

const INVESTMENTS: &str = "/distributor/v2/investments/";
/// How long something is waited for.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A sandbox with a short queue.
async fn world_with_queue(queue_commands_max: u16) -> World {
    World::start_in(tempfile::tempdir().unwrap(), |settings| settings.queue_commands_max = queue_commands_max).await
}

/// Keeps every writer of the database waiting until it is let go.
pub enum Hold {
    Embedded(rusqlite::Connection),
    Server { database: String, locker: std::thread::JoinHandle<()> },
}

impl Hold {
    pub fn take(world: &World) -> Self {
        match crate::world::database_of(world.folder.path()) {
            None => {
                let connection = rusqlite::Connection::open(world.folder.path().join("data/scrip.sqlite")).unwrap();
                connection.busy_timeout(WAIT_MAX).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Self::Embedded(connection)
            }
            Some(url) => Self::lock_table(&url, "journal_head", "EXCLUSIVE"),
        }
    }

    /// Locks a table of a server's database.
    fn lock_table(url: &str, table: &'static str, mode: &'static str) -> Self {
        let database = url.strip_prefix("postgres:///").unwrap().split('?').next().unwrap().to_owned();
        let lock = format!("BEGIN; LOCK TABLE {table} IN {mode} MODE; SELECT pg_sleep(60)");
        let at = database.clone();
        // It ends by being terminated, which is no success.
        let locker = std::thread::spawn(move || drop(cluster::shared().unwrap().execute(&at, &lock)));
        let is_locked = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'BEGIN; LOCK%' AND wait_event = 'PgSleep'"
        );
        let began = Instant::now();
        while cluster::shared().unwrap().execute(&database, &is_locked).unwrap().trim() != "1" {
            assert!(began.elapsed() < WAIT_MAX, "{table} cannot be locked");
        }
        Self::Server { database, locker }
    }

    pub fn release(self) {
        match self {
            Self::Embedded(connection) => connection.execute_batch("ROLLBACK").unwrap(),
            Self::Server { database, locker } => {
                let end = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'BEGIN; LOCK%'"
                );
                cluster::shared().unwrap().execute(&database, &end).unwrap();
                locker.join().unwrap();
            }
        }
    }
}

#[track_caller]
fn expect_overloaded(reply: &Reply) {
    assert_eq!((reply.status, &reply.body["type"]), (503, &json!("/api/problems/overloaded")), "{}", reply.text);
    let wait_s: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait_s));
}

async fn count_of(session: &Session, campaign: &str) -> u64 {
    let page = session.get(&format!("{INVESTMENTS}?campaign_id={campaign}&limit=1")).await.expect(200);
    page.body["count"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o01_what_the_queue_does_not_hold_is_refused_and_the_rest_is_served() {
    const QUEUE: u16 = 8;
    const CALLERS: usize = 64;
    let world = world_with_queue(QUEUE).await;
    let campaign = world.campaign(json!({})).await;
    let session = world.distributor().await;
    let body = world.investment_body(&campaign);
    let hold = Hold::take(&world);
    // The batch that is held up has at most what waited and one more; as many wait behind it.
    let refused_min = CALLERS - 2 * usize::from(QUEUE) - 1;
    let ended = Arc::new(AtomicUsize::new(0));
    let callers = (0..CALLERS).map(|_| {
        let (session, body, ended) = (session.clone(), body.clone(), ended.clone());
        tokio::spawn(async move {
            let reply = session.post(INVESTMENTS, &body).await;
            ended.fetch_add(1, Ordering::Relaxed);
            reply
        })
    });
    let callers: Vec<_> = callers.collect();
    let began = Instant::now();
    while ended.load(Ordering::Relaxed) < refused_min && began.elapsed() < WAIT_MAX {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused_meanwhile = ended.load(Ordering::Relaxed);
    hold.release();
    assert!(refused_meanwhile >= refused_min, "{refused_meanwhile} of {CALLERS} were answered while nothing could be written");
    let replies: Vec<Reply> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    let (created, refused): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 201);
    for reply in &refused {
        expect_overloaded(reply);
    }
    assert!(!created.is_empty() && created.len() <= CALLERS - refused_min);
    // Afterwards everything is as before.
    session.post(INVESTMENTS, &body).await.expect(201);
    assert_eq!(count_of(&session, &campaign).await, created.len() as u64 + 1);
    let text = world.running.office.meters.registry().text();
    assert!(text.contains(&format!("scrip_desk_overloads_total {}\n", refused.len())), "{text}");
    world.stop().await;
}

/// How long a refused client waits: a fifth of what it is told at least, so that the pressure lasts.
const IMPATIENCE: Duration = Duration::from_millis(200);

/// What clients were answered in a slice of time.
#[derive(Default)]
struct Tally {
    created: AtomicUsize,
    refused: AtomicUsize,
    others: AtomicUsize,
}

/// So many clients create one investment after the other for a while; refused ones come back too early. The length of
/// the slice, in milliseconds.
async fn slice(session: &Session, body: &Value, clients: usize, length: Duration, tally: &Tally) -> u128 {
    let began = Instant::now();
    let client = || async {
        while began.elapsed() < length {
            let reply = session.post(INVESTMENTS, body).await;
            match reply.status {
                201 => tally.created.fetch_add(1, Ordering::Relaxed),
                429 | 503 => {
                    expect_overloaded(&reply);
                    tokio::time::sleep(IMPATIENCE).await;
                    tally.refused.fetch_add(1, Ordering::Relaxed)
                }
                _ => tally.others.fetch_add(1, Ordering::Relaxed),
            };
        }
    };
    join_all((0..clients).map(|_| client())).await;
    began.elapsed().as_millis()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o01_three_times_too_many_clients_leave_the_goodput_where_it_was() {
    const QUEUE: u16 = 4;
    let world = world_with_queue(QUEUE).await;
    let campaign = world.campaign(json!({"allocation": 1_000_000, "max_number_of_tokens": 100})).await;
    let (session, body) =
        (world.distributor().await, crate::world::merged(world.investment_body(&campaign), json!({"units": 1})));
    let (slices, length) =
        if std::env::var_os("SCRIP_LONG").is_some() { (60, Duration::from_secs(5)) } else { (4, Duration::from_secs(1)) };
    let (fitting, too_many) = (Tally::default(), Tally::default());
    let (mut fitting_ms, mut too_many_ms) = (0, 0);
    // One after the other in turn, so that a machine that is busy elsewhere slows both.
    for _slice in 0..slices {
        fitting_ms += slice(&session, &body, usize::from(QUEUE), length, &fitting).await;
        too_many_ms += slice(&session, &body, 3 * usize::from(QUEUE), length, &too_many).await;
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let per_second = |tally: &Tally, ms: u128| count(&tally.created) as u128 * 1_000 / ms;
    let (peak, goodput) = (per_second(&fitting, fitting_ms), per_second(&too_many, too_many_ms));
    println!("{peak} creates/s with {QUEUE} clients, {goodput} with three times as many, {} refused", count(&too_many.refused));
    assert_eq!((count(&fitting.others), count(&too_many.others)), (0, 0), "nothing but 201, 429 and 503");
    assert!(count(&too_many.refused) > 0, "three times as many are too many");
    assert!(goodput * 10 >= peak * 8, "{goodput}/s of {peak}/s");
    let began = Instant::now();
    while session.post(INVESTMENTS, &body).await.status != 201 {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not recover");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o04_i15_a_client_without_pause_is_refused_alone() {
    let limit = std::num::NonZeroU32::new(20);
    let world = World::start_in(tempfile::tempdir().unwrap(), |settings| settings.calls_per_second = limit).await;
    let (noisy, calm) = (world.distributor().await, world.tenant(OrganisationKind::Distributor, "Calm Platform").await);
    let path = "/distributor/v2/products/";
    let flood = async {
        let mut refused = Vec::new();
        while refused.len() < 20 {
            let replies = join_all((0..10).map(|_| noisy.get(path))).await;
            refused.extend(replies.into_iter().filter(|reply| reply.status != 200));
        }
        refused
    };
    let others = async {
        for _call in 0..20 {
            calm.get(path).await.expect(200);
        }
    };
    let (refused, ()) = tokio::join!(flood, others);
    for reply in refused {
        assert_eq!((reply.status, &reply.body["type"]), (429, &json!("/api/problems/too-many-requests")), "{}", reply.text);
        assert_eq!(reply.headers["retry-after"], "1");
    }
    world.stop().await;
}

/// A command with a mistake in it.
#[derive(Debug)]
struct Panics;

impl Operation for Panics {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, _cx: &mut Context<'_>) -> Result<(), Refused> {
        panic!("planted")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o12_a_command_that_panics_hurts_no_other_and_is_counted() {
    let world = World::start().await;
    let office = &world.running.office;
    let (desk, now) = (&office.desk, office.clock.now());
    let hold = Hold::take(&world);
    // Held up together, they share a batch.
    let value = |text: &str| PutSetting { name: "o12".into(), value: text.as_bytes().to_vec() };
    let together = async { tokio::join!(desk.run(value("first"), now), desk.run(Panics, now), desk.run(value("last"), now)) };
    let release = async {
        tokio::task::yield_now().await;
        hold.release();
    };
    let ((first, panicked, last), ()) = tokio::join!(together, release);
    assert_eq!((first, last), (Ok(()), Ok(())));
    assert_eq!(panicked, Err(server::desk::ProgramFault::Desk(DeskError::Failed)));
    assert_eq!(office.archive.setting("o12").unwrap().as_deref(), Some(&b"last"[..]));
    let text = office.meters.registry().text();
    assert!(text.contains("scrip_panics_total{place=\"command\"} "), "{text}");
    assert!(!text.contains("scrip_panics_total{place=\"command\"} 0\n"), "{text}");
    assert!(text.contains("scrip_desk_commands_total{outcome=\"failed\"} 1\n"), "{text}");
    world.stop().await;
}

/// Readers of a server's database are kept waiting, then lose their connections: 503 within the bound, never 500.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_exhausted_and_broken_connections_are_a_bounded_503_and_recover() {
    let folder = tempfile::tempdir().unwrap();
    let url = server_database_of(folder.path());
    let world = World::start_in(folder, |settings| settings.database = Some(url.clone())).await;
    let session = world.distributor().await;
    let investors = format!("/distributor/v2/investors/{}/", world.handout.investor_id);
    session.get(&investors).await.expect(200);
    let campaign = world.campaign(json!({})).await;
    let body = world.investment_body(&campaign);
    let hold = Hold::lock_table(&url, "investor", "ACCESS EXCLUSIVE");
    let stuck: Vec<_> = (0..4)
        .map(|_| {
            let (session, path) = (session.clone(), investors.clone());
            tokio::spawn(async move { session.get(&path).await })
        })
        .collect();
    let began = Instant::now();
    let mut refused = None;
    while began.elapsed() < Duration::from_secs(8) && refused.is_none() {
        let asked = Instant::now();
        let reply = session.get("/distributor/v2/products/").await;
        // Until all four are stuck, somebody else is served.
        refused = (reply.status != 200).then(|| (reply, asked.elapsed()));
    }
    let (reply, waited) = refused.expect("the readers are all in use");
    expect_overloaded(&reply);
    assert!(waited >= Duration::from_millis(1_900) && waited < Duration::from_secs(8), "{waited:?}");
    // The server's own statement timeout ends the stuck ones, if the release does not.
    hold.release();
    for one in stuck {
        let reply = one.await.unwrap();
        if reply.status != 200 {
            expect_overloaded(&reply);
        }
    }
    session.get("/distributor/v2/products/").await.expect(200);

    // Every connection is ended by the server, while they are idle.
    let database = url.strip_prefix("postgres:///").unwrap().split('?').next().unwrap();
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    );
    let ended: u32 = cluster::shared().unwrap().execute(database, &end).unwrap().trim().parse().unwrap();
    assert!(ended >= 2, "{ended} connections");
    let began = Instant::now();
    let mut is_served = false;
    while !is_served {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not recover");
        let read = session.get("/distributor/v2/products/").await;
        let write = session.post(INVESTMENTS, &body).await;
        for reply in [&read, &write].into_iter().filter(|reply| reply.status >= 500) {
            expect_overloaded(reply);
        }
        is_served = read.status == 200 && write.status == 201;
    }
    world.stop().await;
}
