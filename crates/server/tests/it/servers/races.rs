//! Two acts at once, each at another server (rows C05 to C10): what comes of them is what comes of one after the other.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::instant::Instant;
use domain::investor::PersonKind;
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use server::operations::investor::KycResult;
use store::{Database, Wanted, Writer};
use tempfile::TempDir;

use super::{INVESTMENTS, repeats};
use crate::world::{GUIDE_DATE, Reply, Session, World, database_of, make_key};

/// Two servers on one `PostgreSQL` database that share documents; one on an embedded database.
struct Pair {
    first: World,
    second: Option<World>,
    sessions: [Session; 2],
    documents: Value,
    serial: AtomicU64,
    _place: TempDir,
}

impl Pair {
    async fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let database = database_of(folder.path());
        let documents = Some(place.path().to_owned());
        let first = World::start_in(folder, |settings| settings.documents.clone_from(&documents)).await;
        let second = match database {
            None => None,
            Some(url) => {
                let folder = tempfile::tempdir().unwrap();
                let data = folder.path().join("data");
                std::fs::create_dir(&data).unwrap();
                std::fs::copy(first.folder.path().join("data/root.key"), data.join("root.key")).unwrap();
                let second = World::start_in(folder, |settings| {
                    (settings.database, settings.documents, settings.has_ledger) = (Some(url), documents, false);
                });
                Some(second.await)
            }
        };
        let session = first.distributor().await;
        let other = second.as_ref().unwrap_or(&first).distributor().await;
        let documents = first.signed_documents(&session).await;
        Self { sessions: [session, other], documents, first, second, serial: AtomicU64::new(1), _place: place }
    }

    async fn stop(self) {
        if let Some(second) = self.second {
            second.stop().await;
        }
        self.first.stop().await;
    }

    async fn available(&self, campaign: &str) -> u64 {
        let path = format!("/distributor/v2/products/{}/campaigns/{campaign}/", self.first.handout.product_id);
        self.sessions[1].get(&path).await.expect(200).body["units_available"].as_u64().unwrap()
    }
}

/// What is done about an investment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Cancel,
    Accept,
    Pay,
    Credit,
    SetWallet,
}

/// Where the investment stands when both begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    AcceptedWhileKycPending,
    WaitingForAcceptance,
    Accepted,
    Paid,
}

/// What came of two acts: both answers, and what the investment is then.
type Outcome = (u16, u16, &'static str);

/// An investment, and its investor's two wallets.
struct Position {
    id: String,
    wallets: [String; 2],
}

impl Pair {
    async fn position(&self, campaign: &str, start: Start) -> Position {
        let platform = self.sessions[0].organisation_id;
        let investor = self.first.investor(platform, PersonKind::Natural, true).await;
        let mut wallets = [String::new(), String::new()];
        for wallet in &mut wallets {
            let mut address = [0x77; 20];
            address[..8].copy_from_slice(&self.serial.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            *wallet = self.first.wallet(platform, investor, address).await.to_string();
        }
        if start == Start::AcceptedWhileKycPending {
            self.first.record_kyc(investor, KycResult::Passed { valid_until: Some(Instant::from_micros(0)) }).await;
        }
        let mut body = json!({
            "investor_id": investor.uuid(), "campaign_id": campaign, "units": 1, "signed_at": GUIDE_DATE,
            "signed_documents": self.documents, "wallet": wallets[0],
        });
        if start != Start::WaitingForAcceptance {
            body["accepted_at"] = json!(GUIDE_DATE);
        }
        if start == Start::Paid {
            body["paid_at"] = json!(GUIDE_DATE);
        }
        Position { id: self.sessions[0].post(INVESTMENTS, &body).await.expect(201).id(), wallets }
    }

    async fn act(&self, place: usize, act: Act, position: &Position) -> Reply {
        let own = format!("{INVESTMENTS}{}/", position.id);
        let (method, path, body) = match act {
            Act::Cancel => (Method::POST, format!("{own}cancellation/"), Some(json!({"cancellation_date": GUIDE_DATE}))),
            Act::Accept => (Method::PATCH, own, Some(json!({"accepted_at": GUIDE_DATE}))),
            Act::Pay => (Method::PATCH, own, Some(json!({"paid_at": GUIDE_DATE}))),
            Act::SetWallet => (Method::PATCH, own, Some(json!({"wallet": position.wallets[1]}))),
            Act::Credit => (Method::POST, format!("{own}credits/"), None),
        };
        let reply = self.sessions[place].send(method, &path, Some(&make_key()), body.as_ref()).await;
        if act == Act::Credit && reply.status == 201 {
            let ended = self.sessions[place].ended_credit(&position.id, &reply.id()).await;
            assert_eq!(ended["status"], "succeeded");
        }
        reply
    }

    /// What came of it, with everything that must go together.
    async fn outcome(&self, acts: [Act; 2], position: &Position, replies: [Reply; 2]) -> Outcome {
        let found = self.sessions[1].get(&format!("{INVESTMENTS}{}/", position.id)).await.expect(200).body;
        for (act, reply) in acts.iter().zip(&replies) {
            let is_done = match act {
                Act::Cancel => found["status"] == "ABORTED",
                Act::Accept => !found["accepted_at"].is_null(),
                Act::Pay => !found["paid_at"].is_null(),
                Act::SetWallet => found["wallet"] == json!(position.wallets[1]),
                // Two credits: one of them.
                Act::Credit => reply.status != 201 || found["status"] == "DELIVERED",
            };
            assert!(*act == Act::Credit || is_done == (reply.status == 200), "{act:?} was answered {}: {found}", reply.text);
            assert!(is_done || reply.status == 409, "{act:?}: {}", reply.text);
        }
        let credits = self.sessions[0].get(&format!("{INVESTMENTS}{}/credits/", position.id)).await.expect(200).body;
        let ordered = replies.iter().zip(acts).filter(|(reply, act)| *act == Act::Credit && reply.status == 201).count();
        assert_eq!(credits["count"], ordered);
        let status = ["ABORTED", "KYC_PENDING", "WAITING_FOR_ACCEPTANCE", "ACCEPTED", "PAID", "DELIVERED"];
        let status = status.into_iter().find(|status| found["status"] == *status).unwrap();
        (replies[0].status, replies[1].status, status)
    }

    async fn in_order(&self, campaign: &str, start: Start, acts: [Act; 2], first: usize) -> Outcome {
        let position = self.position(campaign, start).await;
        let one = self.act(first, acts[first], &position).await;
        let other = self.act(1 - first, acts[1 - first], &position).await;
        let replies = if first == 0 { [one, other] } else { [other, one] };
        self.outcome(acts, &position, replies).await
    }
}

/// Every pair, where it begins, and what may come of it: the two orders, worked out by hand from the table of design and
/// `docs/states.md`.
const PAIRS: [(Start, [Act; 2], [Outcome; 2]); 6] = [
    (Start::WaitingForAcceptance, [Act::Cancel, Act::Accept], [(200, 409, "ABORTED"), (409, 200, "ACCEPTED")]),
    (Start::AcceptedWhileKycPending, [Act::Cancel, Act::Pay], [(200, 409, "ABORTED"), (200, 200, "ABORTED")]),
    (Start::Accepted, [Act::Pay, Act::Credit], [(200, 201, "DELIVERED"), (200, 409, "PAID")]),
    (Start::Paid, [Act::Credit, Act::Credit], [(201, 409, "DELIVERED"), (409, 201, "DELIVERED")]),
    (Start::Paid, [Act::SetWallet, Act::Credit], [(200, 201, "DELIVERED"), (409, 201, "DELIVERED")]),
    (Start::Accepted, [Act::SetWallet, Act::Pay], [(200, 200, "PAID"), (200, 200, "PAID")]),
];

#[tokio::test(flavor = "multi_thread")]
async fn c05_two_acts_at_once_come_to_what_one_after_the_other_comes_to() {
    let pair = Pair::start().await;
    let campaign = pair.first.campaign(json!({"allocation": 100_000})).await;
    for (start, acts, may_be) in PAIRS {
        let serial = [pair.in_order(&campaign, start, acts, 0).await, pair.in_order(&campaign, start, acts, 1).await];
        assert_eq!(BTreeSet::from(serial), BTreeSet::from(may_be), "{acts:?} one after the other");
        for _repeat in 0..repeats(8, 1_000) {
            let position = pair.position(&campaign, start).await;
            let (one, other) = join(pair.act(0, acts[0], &position), pair.act(1, acts[1], &position)).await;
            let came = pair.outcome(acts, &position, [one, other]).await;
            assert!(may_be.contains(&came), "{acts:?}: {came:?}");
        }
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c05_c06_no_create_that_begins_after_a_campaign_was_switched_off_succeeds() {
    const CREATORS: usize = 16;
    let pair = Pair::start().await;
    let issuer = pair.first.issuer().await;
    for _repeat in 0..repeats(6, 300) {
        let campaign = pair.first.campaign(json!({"allocation": 10_000})).await;
        let path = format!("/issuer/v2/products/{}/campaigns/{campaign}/", pair.first.handout.product_id);
        let body = pair.first.investment_body(&campaign);
        let (is_off, created) = (AtomicBool::new(false), AtomicU64::new(0));
        let creators = join_all((0..CREATORS).map(|creator| {
            let (sessions, body, is_off, created) = (&pair.sessions, &body, &is_off, &created);
            async move {
                let mut creates_after = 0;
                while creates_after < 2 {
                    let begins_after = is_off.load(Ordering::SeqCst);
                    creates_after += usize::from(begins_after);
                    let reply = sessions[creator % 2].post(INVESTMENTS, body).await;
                    if reply.status == 201 {
                        assert!(!begins_after, "it began after the campaign was switched off");
                        created.fetch_add(1, Ordering::Relaxed);
                    } else {
                        reply.expect_refused("campaign_inactive");
                    }
                }
            }
        }));
        let switching = async {
            while created.load(Ordering::Relaxed) < 20 {
                tokio::task::yield_now().await;
            }
            issuer.patch(&path, &json!({"is_campaign_active": false})).await.expect(200);
            is_off.store(true, Ordering::SeqCst);
        };
        join(creators, switching).await;
        issuer.patch(&path, &json!({"is_campaign_active": true})).await.expect(200);
        assert_eq!(pair.available(&campaign).await, 10_000 - 10 * created.into_inner());
        issuer.patch(&path, &json!({"is_campaign_active": false})).await.expect(200);
    }
    pair.stop().await;
}

/// The API merges: what two callers state about different fields stands side by side, and of two statements about one
/// fact the second is refused, never written over the first.
#[tokio::test(flavor = "multi_thread")]
async fn c07_two_changes_from_one_reading_are_merged_and_never_overwritten() {
    let pair = Pair::start().await;
    let campaign = pair.first.campaign(json!({"allocation": 10_000})).await;
    let own = |position: &Position| format!("{INVESTMENTS}{}/", position.id);
    let disagio = json!({"disagio": {"amount": "5", "decimals": 2, "currency": "EUR"}});
    for _repeat in 0..repeats(10, 500) {
        let position = pair.position(&campaign, Start::WaitingForAcceptance).await;
        let (path, wallet) = (own(&position), json!({"wallet": position.wallets[1]}));
        let (one, other) = join(pair.sessions[0].patch(&path, &wallet), pair.sessions[1].patch(&path, &disagio)).await;
        one.expect(200);
        other.expect(200);
        let found = pair.sessions[0].get(&path).await.expect(200).body;
        assert_eq!((&found["wallet"], &found["disagio"]["amount"]), (&wallet["wallet"], &json!("5")));

        let dates = ["2025-03-12T07:14:13.630308+00:00", "2025-03-20T00:00:00.000000+00:00"];
        let states = dates.map(|date| json!({"accepted_at": date}));
        let (one, other) = join(pair.sessions[0].patch(&path, &states[0]), pair.sessions[1].patch(&path, &states[1])).await;
        let won = usize::from(one.status != 200);
        let (done, refused) = if won == 0 { (one, other) } else { (other, one) };
        assert_eq!(done.expect(200).body["accepted_at"], dates[won]);
        assert_eq!(refused.status, 409, "{}", refused.text);
        assert_eq!(pair.sessions[0].get(&path).await.expect(200).body["accepted_at"], dates[won]);
    }
    pair.stop().await;
}

/// The limits are of each investment, and no number of requests at once widens them. There is no limit per investor.
#[tokio::test(flavor = "multi_thread")]
async fn c08_limits_of_tokens_hold_for_each_of_many_requests_at_once() {
    let pair = Pair::start().await;
    let limits = json!({"allocation": 1_000, "min_number_of_tokens": 5, "max_number_of_tokens": 10});
    let campaign = pair.first.campaign(limits).await;
    let replies = join_all((0..60_usize).map(|number| {
        let mut body = pair.first.investment_body(&campaign);
        let units = [4, 5, 10, 11, 1, 20][number % 6];
        body["units"] = json!(units);
        let session = &pair.sessions[number % 2];
        async move { (units, session.post(INVESTMENTS, &body).await) }
    }));
    for (units, reply) in replies.await {
        match units {
            ..5 => drop(reply.expect_refused("below_min_number_of_tokens")),
            5..=10 => drop(reply.expect(201)),
            _ => drop(reply.expect_refused("above_max_number_of_tokens")),
        }
    }
    assert_eq!(pair.available(&campaign).await, 1_000 - 10 * 5 - 10 * 10);
    pair.stop().await;
}

/// Somebody else holds the rows for longer than the desk waits.
#[tokio::test(flavor = "multi_thread")]
async fn c09_a_database_that_stays_locked_is_503_with_retry_after_and_then_all_is_well() {
    let pair = Pair::start().await;
    let campaign = pair.first.campaign(json!({})).await;
    let folder = pair.first.folder.path();
    let place = server::program::place(&folder.join("data"), database_of(folder).as_deref());
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let (unlock, may_unlock) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let mut writer = Database::open(&place).unwrap().writer().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            writer.load(&Wanted::default()).await.unwrap();
            locked.send(()).unwrap();
            may_unlock.recv().unwrap();
            writer.rollback().await;
        });
    });
    is_locked.await.unwrap();
    let begun = std::time::Instant::now();
    let body = pair.first.investment_body(&campaign);
    let refused = pair.sessions[1].post(INVESTMENTS, &body).await.expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(begun.elapsed().as_secs() < 20, "it is given up within seconds: {:?}", begun.elapsed());
    unlock.send(()).unwrap();
    holder.join().unwrap();
    pair.sessions[1].post(INVESTMENTS, &body).await.expect(201);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_units_that_are_no_number_of_units_or_more_than_there_are_take_nothing() {
    const MOST: u64 = i64::MAX.unsigned_abs();
    let pair = Pair::start().await;
    let campaign = pair.first.campaign(json!({"max_number_of_tokens": MOST})).await;
    let order = |units: Value| {
        let mut body = pair.first.investment_body(&campaign);
        body["units"] = units;
        body
    };
    for units in [json!(-1), json!(0), json!(-10_001), json!(1.5), json!(u64::MAX), json!(MOST + 1), json!("10")] {
        let reply = pair.sessions[0].post(INVESTMENTS, &order(units.clone())).await;
        assert_eq!(reply.status, 400, "{units}: {}", reply.text);
    }
    for (units, code) in [(MOST, "amount_too_large"), (10_001, "allocation_exhausted")] {
        let body = order(json!(units));
        let (one, other) = join(pair.sessions[0].post(INVESTMENTS, &body), pair.sessions[1].post(INVESTMENTS, &body)).await;
        one.expect_refused(code);
        other.expect_refused(code);
    }
    assert_eq!(pair.available(&campaign).await, 10_000);
    pair.stop().await;
}
