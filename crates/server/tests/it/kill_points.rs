//! The program is gone at each moment that a credit meets, on a real node: nothing is issued twice, nothing is lost, nothing
//! ends wrongly, and no person is asked (rows K01 to K14, K16).

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::ids::OrganisationId;
use domain::instant::Instant as Moment;
use reqwest::Method;
use serde_json::{Value, json};
use server::crash::CrashPoint;
use server::operations::freeze::Reconciled;
use server::program::{documents_path, place};
use server::verify::verify_with;
use store::Database;

use crate::anvil::{Anvil, Miner, NETWORK, network_name};
use crate::backup::paid_body;
use crate::faults;
use crate::networks::initialise;
use crate::process::{Process, run};
use crate::webhooks::{Receiver, await_waiting};
use crate::world::{Session, database_of, make_key};

const INVESTMENTS: &str = "/distributor/v2/investments/";
/// How often something is looked for before the test is given up; together a minute.
const POLLS_MAX: u32 = 6_000;
/// Between two kills of the crash loop.
const LIFE: Duration = Duration::from_millis(200);

/// What the node does while the program works, and while it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    /// It makes blocks all the time.
    Mines,
    /// It makes none until the program is gone: what was sent is final when it comes back.
    MinesAfterwards,
    /// It makes one, and takes it back when the program is gone.
    TakesBack,
}

/// Where the program ends, how often it passes there before, and what the node does.
const CELLS: [(CrashPoint, u32, Node); 14] = [
    (CrashPoint::CreditDecided, 0, Node::Mines),
    (CrashPoint::CreditCommitted, 0, Node::Mines),
    (CrashPoint::LaneClaimed, 0, Node::Mines),
    (CrashPoint::NonceReserved, 0, Node::Mines),
    (CrashPoint::Signed, 0, Node::Mines),
    (CrashPoint::BytesStored, 0, Node::Mines),
    (CrashPoint::Sending, 0, Node::Mines),
    (CrashPoint::Sent, 0, Node::Mines),
    // The second bytes of a ledger transaction that no block holds are dearer ones.
    (CrashPoint::BytesStored, 1, Node::MinesAfterwards),
    (CrashPoint::Sent, 0, Node::MinesAfterwards),
    (CrashPoint::Included, 0, Node::TakesBack),
    (CrashPoint::Judged, 0, Node::Mines),
    (CrashPoint::VerdictWriting, 0, Node::Mines),
    (CrashPoint::VerdictWriting, 0, Node::MinesAfterwards),
];

/// A node, a data folder whose product's token stands on it, and what an investment is made of.
struct Ground {
    anvil: Anvil,
    miner: Option<Miner>,
    folder: tempfile::TempDir,
    options: Vec<String>,
    body: Value,
    issued: u64,
}

impl Ground {
    async fn lay() -> (Self, Process) {
        let anvil = Anvil::start().await;
        let miner = Some(anvil.mine());
        let folder = tempfile::tempdir().unwrap();
        let networks = anvil.configure(folder.path());
        assert!(initialise(folder.path(), &networks).status.success());
        let mut options = ["--network", NETWORK, "--networks", networks.to_str().unwrap()].map(str::to_owned).to_vec();
        options.extend(database_of(folder.path()).into_iter().flat_map(|url| ["--database".to_owned(), url]));
        let mut ground = Self { anvil, miner, folder, options, body: Value::Null, issued: 0 };
        let process = ground.start(None).await;
        let session = process.distributor().await;
        ground.body = paid_body(&process, &session).await;
        let first = ground.invest(&session).await;
        let credit = session.post_empty(&credits(&first)).await.expect(201).id();
        ground.expect_succeeded(&session, &first, &credit).await;
        (ground, process)
    }

    /// The program, to end at a moment.
    async fn start(&self, at: Option<&str>) -> Process {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let variables: Vec<(&str, &str)> = at.map(|at| ("SCRIP_KILL_AT", at)).into_iter().collect();
        Process::start_in(self.folder.path(), &options, &variables).await
    }

    async fn invest(&self, session: &Session) -> String {
        session.post(INVESTMENTS, &self.body).await.expect(201).id()
    }

    async fn expect_succeeded(&mut self, session: &Session, investment: &str, credit: &str) {
        let ended = session.ended_credit(investment, credit).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
        self.issued += 1;
        self.await_rest(ended["block_number"].as_u64().unwrap()).await;
    }

    /// Waits until nothing of the ledger is left to do, up to a block: a further life begins with nothing.
    async fn await_rest(&self, block_number: u64) {
        let database = Database::open(&place(&self.folder.path().join("data"), database_of(self.folder.path()).as_deref()));
        let archive = database.unwrap().reader(1).unwrap();
        let products = archive.deployed_products(&network_name()).unwrap();
        for _poll in 0..POLLS_MAX {
            let is_compared = products.iter().all(|product| {
                let stored = archive.setting(&Reconciled::setting(product.id)).unwrap();
                let known = Reconciled::of_stored(stored.as_deref()).unwrap();
                known.is_some_and(|known| known.checkpoint().unwrap().next_block > block_number)
            });
            if is_compared && archive.ledger_backlog().unwrap().open_transactions == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the ledger does not come to rest");
    }

    /// What the node has of the registrar is known to the database: bytes are stored before they are sent.
    async fn expect_stored(&self) {
        let database = Database::open(&place(&self.folder.path().join("data"), database_of(self.folder.path()).as_deref()));
        let attempts = database.unwrap().reader(1).unwrap().attempts_since(Moment::from_micros(0)).unwrap();
        let stored: BTreeSet<String> = attempts.iter().map(|one| format!("0x{}", hex::encode(one.hash))).collect();
        for sent in [self.anvil.included().await, self.anvil.waiting().await].concat() {
            assert!(stored.contains(&sent), "{sent} was sent and is not stored");
        }
    }

    /// Waits until something waits for a block.
    async fn await_waiting(&self) {
        for _poll in 0..POLLS_MAX {
            if !self.anvil.waiting().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing is sent");
    }

    /// Everything agrees, and as many issues stand on the node as credits succeeded.
    async fn verified(&self) {
        let data = self.folder.path().join("data");
        let networks = self.anvil.configured(self.folder.path());
        let database = database_of(self.folder.path());
        let report = verify_with(&data, database.as_deref(), &documents_path(&data, None), &networks).await.unwrap();
        assert_eq!(report.issues, self.issued, "{report}");
        self.expect_stored().await;
    }
}

fn credits(investment: &str) -> String {
    format!("{INVESTMENTS}{investment}/credits/")
}

/// Waits until the program has ended by itself, at its moment.
async fn gone(process: Process) {
    let status = process.ended().await;
    assert_eq!(status.signal(), Some(6), "it ended otherwise: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn k01_k02_k03_k04_k05_k06_k07_k08_k09_k10_k11_k12_k13_a_kill_at_each_moment_doubles_and_loses_nothing() {
    let (mut ground, mut process) = Ground::lay().await;
    for cell @ (point, passes, node) in CELLS.into_iter().cycle().take(faults::rounds(1, 15) * CELLS.len()) {
        process.kill();
        process = ground.start(Some(&format!("{}:{passes}", point.name()))).await;
        let session = process.distributor().await;
        let investment = ground.invest(&session).await;
        if node != Node::Mines {
            ground.miner = None;
        }
        let key = make_key();
        let (http, path) = (process.http.clone(), credits(&investment));
        let request = http.post(format!("{}{path}", session.url)).bearer_auth(&session.token).header("X-Idempotency-Key", &key);
        // Where the program is gone before it answers, there is no answer.
        let first = request.send().await;
        if node == Node::TakesBack {
            ground.await_waiting().await;
            ground.anvil.mine_once().await;
        }
        if (point, node) == (CrashPoint::VerdictWriting, Node::MinesAfterwards) {
            ground.await_waiting().await;
            for _block in 0..4 {
                ground.anvil.mine_once().await;
            }
        }
        gone(process).await;
        ground.expect_stored().await;
        if node == Node::TakesBack {
            ground.anvil.ask("anvil_reorg", json!([1, []])).await;
        }
        ground.miner.get_or_insert_with(|| ground.anvil.mine());
        if node == Node::MinesAfterwards {
            ground.anvil.await_blocks(4).await;
        }
        process = ground.start(None).await;
        let session = process.distributor().await;
        let again = session.send(Method::POST, &path, Some(&key), None).await.expect(201);
        assert_eq!(again.is_replay(), point != CrashPoint::CreditDecided, "{cell:?}");
        if matches!(point, CrashPoint::CreditDecided | CrashPoint::CreditCommitted) {
            assert!(first.is_err(), "{cell:?}: it was answered");
        }
        ground.expect_succeeded(&session, &investment, &again.id()).await;
        assert_eq!(session.get(&path).await.expect(200).body["count"], 1, "{cell:?}");
        println!("{cell:?}: once");
    }
    process.terminate();
    assert!(process.ended().await.success());
    ground.verified().await;
}

/// Credits go on however often the program is killed, and end when it is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn k16_in_a_crash_loop_credits_go_on_and_end_when_the_program_is_left_alone() {
    let (mut ground, process) = Ground::lay().await;
    let session = process.distributor().await;
    let mut ordered = Vec::new();
    for _credit in 0..30 {
        let investment = ground.invest(&session).await;
        let credit = session.post_empty(&credits(&investment)).await.expect(201).id();
        ordered.push((investment, credit));
    }
    process.kill();
    let ended = |folder: &Path| {
        let database = Database::open(&place(&folder.join("data"), database_of(folder).as_deref())).unwrap();
        let credits = database.reader(1).unwrap().all_credits(None, 1_000).unwrap();
        credits.iter().filter(|credit| credit.state != domain::credit::CreditState::Processing).count()
    };
    let until = Instant::now() + Duration::from_secs(faults::rounds(10, 300) as u64);
    let (mut lives, mut before) = (0, ended(ground.folder.path()));
    while Instant::now() < until {
        let process = ground.start(None).await;
        tokio::time::sleep(LIFE).await;
        process.kill();
        lives += 1;
        let now = ended(ground.folder.path());
        assert!(now >= before, "{now} credits have ended, {before} had before");
        before = now;
    }
    println!("{lives} lives, {before} of {} credits ended", ordered.len() + 1);
    assert!(lives > 3, "it was killed {lives} times");
    let process = ground.start(None).await;
    let session = process.distributor().await;
    for (investment, credit) in &ordered {
        ground.expect_succeeded(&session, investment, credit).await;
    }
    process.terminate();
    assert!(process.ended().await.success());
    ground.verified().await;
}

/// A receiver that took an event from a program that was gone before it noted that gets it again, under the same id; the
/// credit of the investment goes on as if nothing had been.
#[tokio::test(flavor = "multi_thread")]
async fn k14_h09_an_event_that_was_sent_and_not_noted_is_sent_again_under_the_same_id() {
    let (mut ground, process) = Ground::lay().await;
    process.kill();
    let receiver = Receiver::start().await;
    let process = ground.start(Some(CrashPoint::WebhookSent.name())).await;
    let session = process.distributor().await;
    let platform = process.handout.distribution_platform_id.to_string();
    let database = database_of(ground.folder.path());
    let mut order = vec!["webhook", "set", "--organisation-id", &platform, "--url", &receiver.url];
    order.extend(database.iter().flat_map(|url| ["--database", url.as_str()]));
    let said = run(&order, &ground.folder.path().join("data"));
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let investment = ground.invest(&session).await;
    gone(process).await;
    assert_eq!(receiver.received().len(), 1, "it was gone after the first");
    let process = ground.start(None).await;
    let session = process.distributor().await;
    let messages = receiver.await_events(2).await;
    assert_eq!(messages[1].id(), messages[0].id(), "another id: the receiver cannot see that it has it");
    assert_eq!(messages[1].body, messages[0].body);
    assert_eq!(messages[1].body["investment_id"], investment);
    let credit = session.post_empty(&credits(&investment)).await.expect(201).id();
    ground.expect_succeeded(&session, &investment, &credit).await;
    // The verdict's events came once each; noted once they were sent, nothing waits, and nothing more comes.
    receiver.await_events(4).await;
    let archive = Database::open(&place(&ground.folder.path().join("data"), database.as_deref())).unwrap().reader(1).unwrap();
    await_waiting(&archive, OrganisationId::new(process.handout.distribution_platform_id), 0).await;
    assert_eq!(receiver.received().len(), 4);
    process.terminate();
    assert!(process.ended().await.success());
    ground.verified().await;
}
