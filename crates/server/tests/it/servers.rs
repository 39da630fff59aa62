//! Several `scrip serve` programs on one database, each a process of its own (rows C01 to C04, C11). On the embedded engine
//! the same demands are made of one process.

mod pausing;
mod races;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::ids::CampaignId;
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use server::program::place;
use server::verify::verify_with;
use store::{Database, Reader};
use tempfile::TempDir;
use uuid::Uuid;

use crate::process::Process;
use crate::world::{GUIDE_DATE, Reply, Session, database_of, make_key, merged};

const INVESTMENTS: &str = "/distributor/v2/investments/";

/// So many in a short run, so many with `SCRIP_LONG=1`.
fn repeats(short: usize, long: usize) -> usize {
    if std::env::var_os("SCRIP_LONG").is_some() { long } else { short }
}

/// The programs, one or two, and what they share.
struct Servers {
    folders: [TempDir; 2],
    documents: TempDir,
    database: Option<String>,
    processes: Vec<Process>,
    archive: Reader,
}

impl Servers {
    /// Two servers on a `PostgreSQL` database, the first with the ledger; one on an embedded database.
    async fn start() -> Self {
        let note = tempfile::tempdir().unwrap();
        Self::on(database_of(note.path()), &[]).await
    }

    async fn on(database: Option<String>, options: &[&str]) -> Self {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let documents = tempfile::tempdir().unwrap();
        let mut shared = vec!["--documents", documents.path().to_str().unwrap()];
        shared.extend(database.iter().flat_map(|url| ["--database", url]));
        shared.extend(options);
        // The sandbox settles the first inhabitants; then everything is served without its doors.
        let sandbox = Process::start(folders[0].path(), &shared).await;
        let handout = sandbox.handout.clone();
        sandbox.terminate();
        assert!(sandbox.ended().await.success());
        let mut processes = vec![Process::serve(folders[0].path(), &handout, &shared).await];
        if database.is_some() {
            let data = folders[1].path().join("data");
            std::fs::create_dir(&data).unwrap();
            std::fs::copy(folders[0].path().join("data/root.key"), data.join("root.key")).unwrap();
            shared.push("--no-ledger");
            processes.push(Process::serve(folders[1].path(), &handout, &shared).await);
        }
        let archive = Database::open(&place(&folders[0].path().join("data"), database.as_deref())).unwrap().reader(1).unwrap();
        Self { folders, documents, database, processes, archive }
    }

    fn data(&self) -> PathBuf {
        self.folders[0].path().join("data")
    }

    /// One session at each of two servers, or two at the only one.
    async fn distributors(&self) -> [Session; 2] {
        [self.processes[0].distributor().await, self.processes[self.processes.len() - 1].distributor().await]
    }

    async fn issuers(&self) -> [Session; 2] {
        [self.processes[0].issuer().await, self.processes[self.processes.len() - 1].issuer().await]
    }

    fn campaigns_path(&self) -> String {
        format!("/issuer/v2/products/{}/campaigns/", self.processes[0].handout.product_id)
    }

    fn campaign_body(&self, change: Value) -> Value {
        let body = json!({
            "distribution_platform_id": self.processes[0].handout.distribution_platform_id,
            "allocation": 1_000,
            "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
            "min_number_of_tokens": 1,
            "max_number_of_tokens": 100,
            "name": "Shared",
            "legal_persons_allowed": true,
            "natural_persons_allowed": true,
            "country": "DEU",
            "rule_type": "public_offering",
            "is_campaign_active": true
        });
        merged(body, change)
    }

    async fn campaign(&self, issuer: &Session, allocation: u64) -> String {
        let body = self.campaign_body(json!({"allocation": allocation}));
        issuer.post(&self.campaigns_path(), &body).await.expect(201).id()
    }

    fn order(&self, campaign: &str, units: u64) -> Value {
        let investor_id = self.processes[0].handout.investor_id;
        json!({"investor_id": investor_id, "campaign_id": campaign, "units": units, "signed_at": GUIDE_DATE})
    }

    /// Units of a campaign's investments that have not ended, counted from their rows.
    async fn sold(&self, campaign: &str) -> u64 {
        let (archive, id) = (self.archive.clone(), CampaignId::new(Uuid::parse_str(campaign).unwrap()));
        let count = move || {
            let (mut after, mut sold) = (None, 0);
            loop {
                let rows = archive.all_investments(after, 1_000).unwrap();
                let Some(last) = rows.last() else { return sold };
                after = Some(last.id);
                let open = rows.iter().filter(|row| row.campaign_id == id && row.facts.ended.is_none());
                sold += open.map(|row| row.units.get()).sum::<u64>();
            }
        };
        tokio::task::spawn_blocking(count).await.unwrap()
    }

    /// Stops all, and checks everything against everything.
    async fn stop_and_verify(self) {
        let data = self.data();
        let Self { folders, documents, database, processes, archive } = self;
        drop(archive);
        for process in processes {
            process.terminate();
            assert!(process.ended().await.success());
        }
        let report = verify_with(&data, database.as_deref(), documents.path(), &[]).await.unwrap();
        assert!(report.rows > 0, "{report}");
        drop(folders);
    }
}

/// Sixty-four creators ask for five times what there is, in large orders first and units of one at the end: what is sold
/// never passes the allocation, and ends on it.
#[tokio::test(flavor = "multi_thread")]
async fn c01_sixty_four_creators_sell_exactly_the_allocation_and_never_more() {
    const CREATORS: u64 = 64;
    let orders = u64::try_from(repeats(10, 100)).unwrap();
    let servers = Servers::start().await;
    let sessions = servers.distributors().await;
    let demand = CREATORS * (1..=orders).map(|order| units_of(order, orders)).sum::<u64>();
    let allocation = demand / 5;
    let campaign = servers.campaign(&servers.issuers().await[0], allocation).await;
    let (accepted, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let creators = join_all((0..CREATORS).map(|creator| {
        let (servers, sessions, campaign, accepted) = (&servers, &sessions, &campaign, &accepted);
        async move {
            for order in 1..=orders {
                let units = units_of(order, orders);
                let session = &sessions[usize::try_from((creator + order) % 2).unwrap()];
                let reply = session.post(INVESTMENTS, &servers.order(campaign, units)).await;
                match reply.status {
                    201 => accepted.fetch_add(units, Ordering::Relaxed),
                    409 => u64::from(reply.expect_refused("allocation_exhausted").status),
                    _ => panic!("{}", reply.text),
                };
            }
        }
    }));
    let creating = async {
        creators.await;
        is_over.store(true, Ordering::Relaxed);
    };
    let sampling = async {
        let mut samples = 0;
        while !is_over.load(Ordering::Relaxed) {
            let sold = servers.sold(&campaign).await;
            assert!(sold <= allocation, "{sold} of {allocation} are sold");
            samples += 1;
        }
        samples
    };
    let ((), samples) = join(creating, sampling).await;
    assert!(samples > 10, "only {samples} looks were taken");
    assert_eq!((servers.sold(&campaign).await, accepted.into_inner()), (allocation, allocation), "demand {demand}");
    servers.stop_and_verify().await;
}

/// The last half of a creator's orders are of one unit.
const fn units_of(order: u64, orders: u64) -> u64 {
    if order > orders / 2 { 1 } else { 1 + order % 7 }
}

#[tokio::test(flavor = "multi_thread")]
async fn i04_one_key_sent_to_both_servers_at_once_has_one_effect() {
    let keys = repeats(20, 1_000);
    let servers = Servers::start().await;
    let sessions = servers.distributors().await;
    let campaign = servers.campaign(&servers.issuers().await[0], 100_000).await;
    let body = servers.order(&campaign, 10);
    for _key in 0..keys {
        let key = make_key();
        let send = |session: &Session| {
            let (session, key, body) = (session.clone(), key.clone(), body.clone());
            async move { session.send(Method::POST, INVESTMENTS, Some(&key), Some(&body)).await }
        };
        let (one, other) = join(send(&sessions[0]), send(&sessions[1])).await;
        assert_eq!((one.status, other.status), (201, 201), "{} {}", one.text, other.text);
        assert_eq!(one.body, other.body);
        assert!(one.is_replay() != other.is_replay(), "one of the two was decided, the other remembered");
    }
    assert_eq!(servers.sold(&campaign).await, 10 * u64::try_from(keys).unwrap());
    servers.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c02_campaigns_created_at_once_hold_no_more_than_the_product_has() {
    const CAMPAIGNS: usize = 32;
    let servers = Servers::start().await;
    let issuers = servers.issuers().await;
    // The seeded product has a million units.
    for allocation in [300_001_u64, 600_000] {
        let body = servers.campaign_body(json!({"allocation": allocation}));
        let path = servers.campaigns_path();
        let replies = join_all((0..CAMPAIGNS).map(|number| issuers[number % 2].post(&path, &body))).await;
        let (created, refused): (Vec<Reply>, Vec<Reply>) = replies.into_iter().partition(|reply| reply.status == 201);
        let fitting = usize::try_from(1_000_000 / allocation).unwrap();
        assert_eq!((created.len(), refused.len()), (fitting, CAMPAIGNS - fitting), "{allocation}");
        for reply in refused {
            reply.expect_refused("product_total_exceeded");
        }
        let off = json!({"is_campaign_active": false});
        for reply in created {
            issuers[0].patch(&format!("{path}{}/", reply.id()), &off).await.expect(200);
        }
    }
    servers.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c03_the_last_unit_is_sold_to_one_of_two() {
    let servers = Servers::start().await;
    let (sessions, issuers) = (servers.distributors().await, servers.issuers().await);
    for repeat in 0..repeats(25, 10_000) {
        let campaign = servers.campaign(&issuers[repeat % 2], 1).await;
        let body = servers.order(&campaign, 1);
        let (one, other) = join(sessions[0].post(INVESTMENTS, &body), sessions[1].post(INVESTMENTS, &body)).await;
        let (sold, refused) = if one.status == 201 { (one, other) } else { (other, one) };
        sold.expect(201);
        refused.expect_refused("allocation_exhausted");
    }
    servers.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c04_cancelled_units_return_once_however_often_they_are_cancelled_and_sold_again() {
    const CLIENTS: usize = 16;
    let rounds = repeats(6, 200);
    let servers = Servers::start().await;
    let sessions = servers.distributors().await;
    let campaign = servers.campaign(&servers.issuers().await[0], 50).await;
    let cancellation = json!({"cancellation_date": GUIDE_DATE});
    let storm = join_all((0..CLIENTS).map(|client| {
        let (servers, sessions, campaign, cancellation) = (&servers, &sessions, &campaign, &cancellation);
        async move {
            let mut sold = 0;
            for round in 0..rounds {
                let units = 1 + u64::try_from((client * 7 + round * 3) % 20).unwrap();
                let created = sessions[round % 2].post(INVESTMENTS, &servers.order(campaign, units)).await;
                if created.status == 409 {
                    created.expect_refused("allocation_exhausted");
                    continue;
                }
                let path = format!("{INVESTMENTS}{}/cancellation/", created.expect(201).id());
                sold += 1;
                let (one, other) = join(sessions[0].post(&path, cancellation), sessions[1].post(&path, cancellation)).await;
                let (done, refused) = if one.status == 200 { (one, other) } else { (other, one) };
                assert_eq!(done.expect(200).body["status"], "ABORTED");
                refused.expect_refused("act_not_open");
            }
            sold
        }
    }));
    let sold: usize = storm.await.into_iter().sum();
    assert!(sold > rounds, "the storm was none: {sold}");
    assert_eq!(servers.sold(&campaign).await, 0);
    let whole = servers.order(&campaign, 50);
    sessions[1].post(INVESTMENTS, &whole).await.expect(201);
    servers.stop_and_verify().await;
}

/// Uploaded to one, attached through the other, read back from the other; credited by the one with the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn documents_are_shared_and_credits_done_whichever_server_is_asked() {
    let servers = Servers::start().await;
    let [first, second] = servers.distributors().await;
    let campaign = servers.campaign(&servers.issuers().await[1], 100).await;
    let mut documents = Vec::new();
    for (document_type, session) in [("effecta_cryptoregistry_tos", &first), ("effecta_document", &second)] {
        let bytes = format!("%PDF-1.4\n% {document_type}\n%%EOF\n").into_bytes();
        let id = session.upload_bytes("/distributor/v2/documents/", "a.pdf", bytes, &make_key()).await.expect(201).id();
        documents.push(json!({"document_type": document_type, "document_id": id}));
    }
    let facts = json!({
        "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": servers.processes[0].handout.wallet_id,
        "signed_documents": documents,
    });
    let body = merged(servers.order(&campaign, 10), facts);
    let investment = second.post(INVESTMENTS, &body).await.expect(201).id();
    for (document, session) in documents.iter().zip([&second, &first]) {
        let path = format!("/distributor/v2/documents/{}/content/", document["document_id"].as_str().unwrap());
        let read = session.get(&path).await.expect(200);
        assert!(read.text.contains(document["document_type"].as_str().unwrap()), "{}", read.text);
    }
    let credit = second.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
    assert_eq!(second.ended_credit(&investment, &credit).await["status"], "succeeded");
    servers.stop_and_verify().await;
}

/// Another server starts while an upload is running, and collects nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_leaves_the_uploads_of_another_alone() {
    let servers = Servers::start().await;
    let [session, _] = servers.distributors().await;
    let uploads = join_all((0..8_u8).map(|number| {
        let session = session.clone();
        async move {
            let bytes = vec![number; 2_000_000];
            session.upload_bytes("/distributor/v2/documents/", "a.pdf", bytes, &make_key()).await.expect(201).id()
        }
    }));
    let place = servers.documents.path();
    let starts = async {
        for life in 0..20 {
            let (_other, abandoned) = server::documents::DocumentFolder::open(place, Uuid::from_u128(life)).unwrap();
            for left in abandoned {
                assert_eq!(left.ids().count(), 0, "nothing was left, everything runs");
            }
            tokio::task::yield_now().await;
        }
    };
    let (ids, ()) = join(uploads, starts).await;
    for id in ids {
        session.get(&format!("/distributor/v2/documents/{id}/content/")).await.expect(200);
    }
    servers.stop_and_verify().await;
}
