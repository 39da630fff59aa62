//! The program is killed while fifty clients have units credited, and goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use server::entropy::Entropy;
use server::verify::verify;
use store::sqlite::Database;
use tokio::sync::watch;

use crate::contract;
use crate::process::{Process, run};
use crate::world::{GUIDE_DATE, Reply, Session};

const CLIENTS: usize = 50;
const KILLS: usize = 10;
/// How often a client tries again, or looks again, before the test is given up.
const TRIES_MAX: u32 = 3_000;

/// What is waited for before the program is killed; a random pause follows.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So many creates were acknowledged in this life.
    Created(usize),
    /// So many credits were acknowledged in this life.
    Ordered(usize),
    /// The bytes of a ledger transaction were stored in this life.
    Signed,
}

/// What the clients have been told so far.
#[derive(Default)]
struct Progress {
    created: AtomicUsize,
    ordered: AtomicUsize,
    succeeded: AtomicUsize,
}

/// What all clients share.
struct Shared {
    url: watch::Receiver<String>,
    is_last_round: AtomicBool,
    token: String,
    create: Value,
    progress: Progress,
}

/// A client that asks until it is answered: the same request under the same key, at whatever address the program has.
struct Client {
    shared: Arc<Shared>,
    http: reqwest::Client,
    index: usize,
}

/// A random number below `end`.
fn below(entropy: &mut Entropy, end: usize) -> usize {
    usize::try_from(u64::from_be_bytes(entropy.bytes()) % end as u64).unwrap()
}

/// Ten moments, spread over creating, crediting and work on the ledger, in random order.
fn moments(entropy: &mut Entropy) -> Vec<Moment> {
    let mut moments = Vec::with_capacity(KILLS);
    for index in 0..KILLS {
        let count = 1 + below(entropy, 2 * CLIENTS);
        let moment = [Moment::Created(count), Moment::Ordered(count), Moment::Signed, Moment::Signed][index % 4];
        moments.insert(below(entropy, index + 1), moment);
    }
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn k01_k02_k13_fifty_credits_survive_ten_kills() {
    let seed: [u8; 32] = Entropy::from_machine().unwrap().bytes();
    println!("seed {}", hex::encode(seed));
    let mut entropy = Entropy::from_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path(), &[]).await;
    let handout = process.handout.clone();
    let session = process.distributor().await;
    let (url, url_seen) = watch::channel(handout.url.clone());
    let shared = Arc::new(Shared {
        url: url_seen,
        is_last_round: AtomicBool::new(false),
        token: session.token.clone(),
        create: create_body(&process, &session).await,
        progress: Progress::default(),
    });
    let clients: Vec<_> = (0..CLIENTS).map(|index| tokio::spawn(Client::new(&shared, index).work())).collect();

    for moment in moments(&mut entropy) {
        wait_for(moment, &shared.progress, &folder.path().join("data")).await;
        tokio::time::sleep(Duration::from_micros(below(&mut entropy, 4_000) as u64)).await;
        process.kill();
        println!("killed at {moment:?}: {}", shared.progress.shown());
        process = Process::start(folder.path(), &[]).await;
        assert_eq!(process.handout, server::handout::Handout { url: process.handout.url.clone(), ..handout.clone() });
        url.send_replace(process.handout.url.clone());
    }
    shared.is_last_round.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for (index, client) in clients.into_iter().enumerate() {
        for id in client.await.unwrap() {
            assert_eq!(acknowledged.insert(id, index as u64 + 1), None, "two creates were told the same id");
        }
    }
    compare_investments(&process.distributor().await, &acknowledged).await;
    process.terminate();
    assert!(process.ended().await.success());
    compare_ledger(&folder.path().join("data"), &acknowledged).await;
}

/// Every acknowledged create exists, none twice, and each is delivered by one credit.
async fn compare_investments(session: &Session, acknowledged: &BTreeMap<String, u64>) {
    let mut found = BTreeMap::new();
    let mut next = Some("/distributor/v2/investments/?limit=200".to_owned());
    while let Some(path) = next {
        let page = session.get(&path).await.expect(200).body;
        assert_eq!(page["count"], acknowledged.len());
        for row in page["results"].as_array().unwrap() {
            assert_eq!(row["status"], "DELIVERED", "{row}");
            let id = row["id"].as_str().unwrap().to_owned();
            let credits = session.get(&format!("/distributor/v2/investments/{id}/credits/")).await.expect(200).body;
            assert_eq!((&credits["count"], &credits["results"][0]["status"]), (&json!(1), &json!("succeeded")));
            found.insert(id, row["units"].as_u64().unwrap());
        }
        next = page["next"].as_str().map(|url| url.strip_prefix(&session.url).unwrap().to_owned());
    }
    assert_eq!(&found, acknowledged);
}

/// The supply is what was delivered. Every client has its own number of units, so that no mistake hides behind another.
async fn compare_ledger(data: &Path, acknowledged: &BTreeMap<String, u64>) {
    let report = verify(data, None).await.unwrap();
    assert_eq!(report.issues, acknowledged.len() as u64);
    assert_eq!(report.units, acknowledged.values().map(|units| u128::from(*units)).sum());
    let said = run(&["verify"], data);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// The body of every create, but for the units.
async fn create_body(process: &Process, session: &Session) -> Value {
    let campaign = json!({
        "distribution_platform_id": process.handout.distribution_platform_id,
        "allocation": 1_000_000,
        "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
        "min_number_of_tokens": 1,
        "max_number_of_tokens": 100,
        "name": "Killed",
        "legal_persons_allowed": true,
        "natural_persons_allowed": true,
        "country": "DEU",
        "rule_type": "public_offering",
        "is_campaign_active": true
    });
    let path = format!("/issuer/v2/products/{}/campaigns/", process.handout.product_id);
    let campaign_id = process.issuer().await.post(&path, &campaign).await.expect(201).id();
    let mut documents = Vec::new();
    for document_type in ["effecta_cryptoregistry_tos", "effecta_document"] {
        let id = session.upload(&format!("{document_type}.pdf")).await.expect(201).id();
        documents.push(json!({"document_type": document_type, "document_id": id}));
    }
    json!({
        "investor_id": process.handout.investor_id, "campaign_id": campaign_id, "signed_at": GUIDE_DATE,
        "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": process.handout.wallet_id,
        "signed_documents": documents,
    })
}

async fn wait_for(moment: Moment, progress: &Progress, data: &Path) {
    let (created, ordered) = (&progress.created, &progress.ordered);
    match moment {
        Moment::Created(count) => reached(created, created.load(Ordering::Relaxed) + count).await,
        Moment::Ordered(count) => reached(ordered, ordered.load(Ordering::Relaxed) + count).await,
        Moment::Signed => signed(data).await,
    }
}

async fn reached(counter: &AtomicUsize, target: usize) {
    for _look in 0..TRIES_MAX {
        if counter.load(Ordering::Relaxed) >= target {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing goes on: {} of {target}", counter.load(Ordering::Relaxed));
}

/// Waits for bytes that were not there before. The database is let go again before the kill, so that the next life has
/// to recover it alone.
async fn signed(data: &Path) {
    let archive = Database::open(data).unwrap().reader(1).unwrap();
    let hashes = || {
        let live = archive.live_ledger_transactions().unwrap();
        live.iter().flat_map(|open| &open.attempts).map(|attempt| attempt.hash).collect::<BTreeSet<_>>()
    };
    let before = hashes();
    for _look in 0..TRIES_MAX {
        if !hashes().is_subset(&before) {
            return;
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    panic!("nothing is signed");
}

impl Progress {
    fn shown(&self) -> String {
        let [created, ordered, succeeded] =
            [&self.created, &self.ordered, &self.succeeded].map(|counter| counter.load(Ordering::Relaxed));
        format!("{created} created, {ordered} ordered, {succeeded} succeeded")
    }
}

impl Client {
    fn new(shared: &Arc<Shared>, index: usize) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Self { shared: shared.clone(), http, index }
    }

    /// Has one investment after the other credited, and gives their ids.
    async fn work(self) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let is_last_round = self.shared.is_last_round.load(Ordering::Relaxed);
            ids.push(self.invest(ids.len()).await);
            if is_last_round {
                return ids;
            }
        }
    }

    /// Creates an investment, has it credited, and gives its id.
    async fn invest(&self, round: usize) -> String {
        let progress = &self.shared.progress;
        let key = |what: &str| format!("{what}-{}-{round}", self.index);
        let mut create = self.shared.create.clone();
        create["units"] = json!(self.index + 1);
        let path = "/distributor/v2/investments/";
        let created = self.call(Method::POST, path, Some(&key("create")), Some(&create)).await.expect(201).id();
        progress.created.fetch_add(1, Ordering::Relaxed);
        let path = format!("{path}{created}/credits/");
        let credit = self.call(Method::POST, &path, Some(&key("credit")), None).await.expect(201).id();
        progress.ordered.fetch_add(1, Ordering::Relaxed);
        for _look in 0..TRIES_MAX {
            let found = self.call(Method::GET, &format!("{path}{credit}/"), None, None).await.expect(200);
            match found.body["status"].as_str() {
                Some("succeeded") => {
                    progress.succeeded.fetch_add(1, Ordering::Relaxed);
                    return created;
                }
                Some("processing") => tokio::time::sleep(Duration::from_millis(10)).await,
                other => panic!("credit {credit} is {other:?}"),
            }
        }
        panic!("credit {credit} of client {} has not ended", self.index);
    }

    async fn call(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Reply {
        for _try in 0..TRIES_MAX {
            match self.call_once(&method, path, key, body).await {
                Ok(reply) if reply.status < 500 => return reply,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        panic!("{method} {path} is never answered");
    }

    async fn call_once(&self, method: &Method, path: &str, key: Option<&str>, body: Option<&Value>) -> reqwest::Result<Reply> {
        let url = self.shared.url.borrow().clone();
        let mut request = self.http.request(method.clone(), format!("{url}{path}")).bearer_auth(&self.shared.token);
        if let Some(key) = key {
            request = request.header("X-Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply { status, headers, text, body };
        contract::check(method, path, &reply);
        Ok(reply)
    }
}
