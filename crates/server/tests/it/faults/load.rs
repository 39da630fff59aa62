//! Clients that create investments as fast as they are answered, each with units that no other has, under a key of its
//! own, and that ask again with the same key until they are answered.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::network::NetworkName;
use domain::units::Units;
use reqwest::Method;
use serde_json::{Value, json};
use server::program::Settings;
use server::verify::verify;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::process::Process;
use crate::world::{Reply, Session, World};

/// Clients at once.
const CLIENTS: u64 = 8;
/// How often a client asks again, or a condition is looked at, before the test is given up; together half a minute.
const TRIES_MAX: u32 = 6_000;
const PAUSE: Duration = Duration::from_millis(5);
/// More units than all creates of a run together ask for.
const UNITS: u64 = 1 << 50;
const INVESTMENTS: &str = "/distributor/v2/investments/";

/// A campaign that never sells out, in a folder whose program is stopped.
pub struct Ground {
    pub folder: TempDir,
    pub campaign: String,
}

/// How often something is looked for before the test is given up; together a minute.
const POLLS_MAX: u32 = 6_000;

impl Ground {
    pub async fn lay(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let world = World::start_in(folder, change).await;
        let product = world.product(|terms| terms.issuable_units_max = Units::new(UNITS).unwrap()).await;
        world.list(&product, world.handout.distribution_platform_id).await;
        let change = json!({"allocation": UNITS, "max_number_of_tokens": UNITS});
        let campaign = world.campaign_of(product.id.uuid(), change).await;
        await_rest(&world).await;
        Self { campaign, folder: world.stop().await }
    }
}

/// Waits until every token stands and nothing is under way on the ledger: a further life commits nothing of its own.
async fn await_rest(world: &World) {
    let archive = &world.running.office.archive;
    for _poll in 0..POLLS_MAX {
        let is_deploying = !archive.deploying_products(&NetworkName::embedded()).unwrap().is_empty();
        if !is_deploying && archive.ledger_backlog().unwrap().open_transactions == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the ledger does not come to rest");
}

/// Where the clients find the program, and how.
#[derive(Clone)]
struct Door {
    url: String,
    token: String,
}

/// Whether the program itself may go away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// It is killed: connections break.
    Dies,
    /// It stays: every request is answered.
    Stays,
}

struct Shared {
    door: watch::Receiver<Door>,
    investor: Value,
    campaign: String,
    program: Program,
    is_over: AtomicBool,
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

/// The clients at work.
pub struct Load {
    shared: Arc<Shared>,
    door: watch::Sender<Door>,
    clients: Vec<JoinHandle<BTreeMap<u64, String>>>,
}

impl Load {
    pub async fn start(ground: &Ground, process: &Process, program: Program) -> Self {
        let (door, seen) = watch::channel(door_of(process).await);
        let shared = Arc::new(Shared {
            door: seen,
            investor: json!(process.handout.investor_id),
            campaign: ground.campaign.clone(),
            program,
            is_over: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let clients = (0..CLIENTS).map(|client| tokio::spawn(work(shared.clone(), client))).collect();
        Self { shared, door, clients }
    }

    /// Tells the clients where the program is after it was started again.
    pub async fn move_to(&self, process: &Process) {
        self.door.send_replace(door_of(process).await);
    }

    /// Waits until so many more creates were acknowledged.
    pub async fn acknowledges(&self, more: u64) {
        grows(&self.shared.acknowledged, more, "acknowledged").await;
    }

    /// Waits until so many more requests were refused with 503.
    pub async fn is_refused(&self, more: u64) {
        grows(&self.shared.refused, more, "refused").await;
    }

    /// Lets every client finish what it has begun, and gives the id that was acknowledged for each number of units.
    pub async fn finish(self) -> BTreeMap<u64, String> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut acknowledged = BTreeMap::new();
        for client in self.clients {
            acknowledged.extend(client.await.unwrap());
        }
        println!("{} creates were acknowledged, {:?} refused", acknowledged.len(), self.shared.refused);
        acknowledged
    }
}

async fn door_of(process: &Process) -> Door {
    Door { url: process.handout.url.clone(), token: process.distributor().await.token }
}

async fn grows(counter: &AtomicU64, more: u64, what: &str) {
    let target = counter.load(Ordering::Relaxed) + more;
    for _try in 0..TRIES_MAX {
        if counter.load(Ordering::Relaxed) >= target {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("nothing is {what} any more: {counter:?} of {target}");
}

async fn work(shared: Arc<Shared>, client: u64) -> BTreeMap<u64, String> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut units = client + 1;
    while !shared.is_over.load(Ordering::Relaxed) {
        acknowledged.insert(units, create(&shared, &http, units).await);
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        units += CLIENTS;
    }
    acknowledged
}

/// Asks until it is answered with a success, and gives the id.
async fn create(shared: &Shared, http: &reqwest::Client, units: u64) -> String {
    let body = json!({
        "investor_id": shared.investor, "campaign_id": shared.campaign, "units": units, "signed_at": crate::world::GUIDE_DATE,
    });
    for _try in 0..TRIES_MAX {
        let Door { url, token } = shared.door.borrow().clone();
        let request = http.post(format!("{url}{INVESTMENTS}")).bearer_auth(token).json(&body);
        match request.header("X-Idempotency-Key", format!("units-{units}")).send().await {
            Ok(response) => match answer(shared, response).await {
                Some(reply) if reply.status == 201 => return reply.expect(201).id(),
                Some(reply) => {
                    let reply = reply.expect(503);
                    assert!(reply.headers.contains_key("retry-after"), "{:?}", reply.headers);
                    shared.refused.fetch_add(1, Ordering::Relaxed);
                }
                None => {}
            },
            Err(error) => assert!(shared.program == Program::Dies, "a request was not answered: {error:?}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the create of {units} units is never answered");
}

/// The whole answer; `None` where it broke off because the program died.
async fn answer(shared: &Shared, response: reqwest::Response) -> Option<Reply> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    match response.text().await {
        Ok(text) => {
            let reply = Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text };
            crate::contract::check(&Method::POST, INVESTMENTS, &reply);
            Some(reply)
        }
        Err(error) => {
            assert!(shared.program == Program::Dies, "an answer broke off: {error:?}");
            None
        }
    }
}

/// The register holds exactly what was acknowledged, each once and under the id that was told; its counters agree.
pub async fn compare(session: &Session, campaign: &str, acknowledged: &BTreeMap<u64, String>) {
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    let mut next = Some(format!("{INVESTMENTS}?campaign_id={campaign}&limit=200"));
    while let Some(path) = next {
        let page = session.get(&path).await.expect(200).body;
        assert_eq!(page["count"], acknowledged.len(), "the count of the campaign's investments");
        for row in page["results"].as_array().unwrap() {
            let units = row["units"].as_u64().unwrap();
            let before = found.insert(units, row["id"].as_str().unwrap().to_owned());
            assert_eq!(before, None, "{units} units were asked for once, and are there twice");
        }
        next = page["next"].as_str().map(|url| url.strip_prefix(&session.url).unwrap().to_owned());
    }
    assert_eq!(&found, acknowledged);
}

/// Everything agrees with everything: pages and indexes, journal, counters, ledger.
pub async fn verified(folder: &Path, database: Option<&str>) {
    if database.is_none() {
        let file = rusqlite::Connection::open(folder.join("data/scrip.sqlite")).unwrap();
        let said: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(said, "ok");
    }
    let report = verify(&folder.join("data"), database).await.unwrap();
    assert!(report.rows > 0, "{report}");
}
