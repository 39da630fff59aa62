//! Random sequences of acts, retries, turned clocks and crashes, compared step by step with a model that knows nothing
//! of the program's own tables.

use std::path::Path;

use domain::ids::InvestorId;
use domain::instant::Instant;
use domain::investor::PersonKind;
use reqwest::Method;
use serde_json::{Value, json};
use server::entropy::Entropy;
use server::operations::investor::KycResult;
use uuid::Uuid;

use crate::world::{GUIDE_DATE, Reply, Session, World, make_key};

const STEPS: usize = 150;
const ALLOCATION: u64 = 60;
const DATES: [&str; 2] = [GUIDE_DATE, "2025-03-20T00:00:00.000000+00:00"];
const PATH: &str = "/distributor/v2/investments/";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Aborted,
    KycInsufficient,
}

/// What one investment should be.
#[derive(Debug)]
struct Model {
    id: String,
    investor: InvestorId,
    wallets: [Uuid; 2],
    units: u64,
    is_identified: bool,
    /// Whether a credit would find the identification valid.
    is_cleared: bool,
    documents: Vec<usize>,
    accepted: Option<&'static str>,
    paid: Option<&'static str>,
    wallet: Option<Uuid>,
    disagio: Option<u64>,
    is_delivered: bool,
    end: Option<End>,
}

impl Model {
    fn status(&self) -> &'static str {
        match (self.end, self.is_delivered, self.is_identified, self.accepted, self.paid) {
            (Some(End::Aborted), ..) => "ABORTED",
            (Some(End::KycInsufficient), ..) => "KYC_INSUFFICIENT",
            (None, true, ..) => "DELIVERED",
            (None, false, false, ..) => "KYC_PENDING",
            (None, false, true, None, _) => "WAITING_FOR_ACCEPTANCE",
            (None, false, true, Some(_), None) => "ACCEPTED",
            (None, false, true, Some(_), Some(_)) => "PAID",
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some() || self.is_delivered
    }

    /// Whether the acceptance on this date is taken.
    fn accept(&mut self, date: &'static str) -> bool {
        let has_both = self.documents.contains(&0) && self.documents.contains(&1);
        if self.accepted.is_none() && !self.is_over() && has_both {
            self.accepted = Some(date);
        }
        self.accepted == Some(date)
    }

    fn pay(&mut self, date: &'static str) -> bool {
        if self.paid.is_none() && self.accepted.is_some() && !self.is_over() {
            self.paid = Some(date);
        }
        self.paid == Some(date)
    }

    fn set_wallet(&mut self, wallet: Uuid) -> bool {
        if !self.is_over() {
            self.wallet = Some(wallet);
        }
        self.wallet == Some(wallet)
    }

    fn set_disagio(&mut self, cents: u64) -> bool {
        if !self.is_over() && self.accepted.is_none() {
            self.disagio = Some(cents);
        }
        self.disagio == Some(cents)
    }

    fn attach(&mut self, kind: usize) -> bool {
        if !self.is_over() {
            self.documents.push(kind);
        }
        !self.is_over()
    }

    fn abort(&mut self) -> bool {
        let is_open = matches!(self.status(), "KYC_PENDING" | "WAITING_FOR_ACCEPTANCE");
        if is_open {
            self.end = Some(End::Aborted);
        }
        is_open
    }

    fn may_credit(&self) -> bool {
        self.status() == "PAID" && self.wallet.is_some() && self.is_cleared
    }

    fn record_kyc(&mut self, has_passed: bool) {
        self.is_cleared = has_passed;
        if self.status() == "KYC_PENDING" {
            self.is_identified = has_passed;
            self.end = (!has_passed).then_some(End::KycInsufficient);
        }
    }

    /// The investment as the API should show it, as far as the model knows.
    fn shown(&self) -> Value {
        json!({
            "status": self.status(), "accepted_at": self.accepted, "paid_at": self.paid, "wallet": self.wallet,
            "disagio": self.disagio.unwrap_or(0).to_string(), "signed_documents": self.documents.len(), "units": self.units,
        })
    }
}

/// A request as it was sent and answered, to be sent again.
struct Sent {
    method: Method,
    path: String,
    key: String,
    body: Option<Value>,
    reply: Reply,
}

struct Walk {
    world: World,
    session: Session,
    campaign: String,
    documents: [Value; 2],
    models: Vec<Model>,
    last: Option<Sent>,
    entropy: Entropy,
    seed: u64,
    step: usize,
}

impl Walk {
    async fn start(seed: u64) -> Self {
        let world = World::start_embedded().await;
        let session = world.distributor().await;
        let campaign = world.campaign(json!({"allocation": ALLOCATION})).await;
        let documents = world.signed_documents(&session).await;
        let documents = [documents[0].clone(), documents[1].clone()];
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let entropy = Entropy::from_seed(bytes);
        Self { world, session, campaign, documents, models: Vec::new(), last: None, entropy, seed, step: 0 }
    }

    fn pick(&mut self, choices: usize) -> usize {
        let number = u64::from_be_bytes(self.entropy.bytes());
        usize::try_from(number % u64::try_from(choices).unwrap()).unwrap()
    }

    async fn send(&mut self, method: Method, path: String, body: Option<Value>) -> Reply {
        let key = make_key();
        let reply = self.session.send(method.clone(), &path, Some(&key), body.as_ref()).await;
        self.last = Some(Sent { method, path, key, body, reply: reply.clone() });
        reply
    }

    #[track_caller]
    fn agree(&self, reply: &Reply, is_taken: bool) {
        let at = format!("seed {}, step {}", self.seed, self.step);
        assert_eq!(reply.status < 300, is_taken, "{at}: {}", reply.text);
        assert!(is_taken || reply.status == 409, "{at}: {}", reply.text);
    }

    fn available(&self) -> u64 {
        ALLOCATION - self.models.iter().filter(|model| model.end.is_none()).map(|model| model.units).sum::<u64>()
    }

    async fn create(&mut self) {
        let platform_id = self.session.organisation_id;
        let investor = self.world.investor(platform_id, PersonKind::Natural, true).await;
        let number = u8::try_from(self.step).unwrap();
        let mut wallets = [Uuid::nil(); 2];
        for (index, wallet) in wallets.iter_mut().enumerate() {
            let address = [number, u8::try_from(index).unwrap(), 77, 99].repeat(5).try_into().unwrap();
            *wallet = self.world.wallet(platform_id, investor, address).await;
        }
        let is_identified = self.pick(3) > 0;
        if !is_identified {
            let valid_until = Some(Instant::from_micros(0));
            self.world.record_kyc(investor, KycResult::Passed { valid_until }).await;
        }
        let units = u64::try_from(self.pick(12)).unwrap() + 1;
        let body = json!({
            "investor_id": investor.uuid(), "campaign_id": self.campaign, "units": units, "signed_at": GUIDE_DATE,
        });
        let is_taken = units <= self.available();
        let reply = self.send(Method::POST, PATH.to_owned(), Some(body)).await;
        self.agree(&reply, is_taken);
        if is_taken {
            self.models.push(Model {
                id: reply.id(),
                investor,
                wallets,
                units,
                is_identified,
                is_cleared: is_identified,
                documents: Vec::new(),
                accepted: None,
                paid: None,
                wallet: None,
                disagio: None,
                is_delivered: false,
                end: None,
            });
        }
    }

    async fn act(&mut self, index: usize) {
        let choice = self.pick(2);
        let act = self.pick(8);
        let own = format!("{PATH}{}/", self.models[index].id);
        let model = &mut self.models[index];
        let (is_taken, method, path, body) = match act {
            0 | 1 => {
                let path = format!("{own}signed-documents/");
                (model.attach(choice), Method::POST, path, Some(self.documents[choice].clone()))
            }
            2 => (model.accept(DATES[choice]), Method::PATCH, own.clone(), Some(json!({"accepted_at": DATES[choice]}))),
            3 => (model.pay(DATES[choice]), Method::PATCH, own.clone(), Some(json!({"paid_at": DATES[choice]}))),
            4 => {
                let wallet = model.wallets[choice];
                (model.set_wallet(wallet), Method::PATCH, own.clone(), Some(json!({"wallet": wallet})))
            }
            5 => {
                let disagio = json!({"amount": choice.to_string(), "decimals": 2, "currency": "EUR"});
                let is_taken = model.set_disagio(u64::try_from(choice).unwrap());
                (is_taken, Method::PATCH, own.clone(), Some(json!({"disagio": disagio})))
            }
            6 if choice == 0 => {
                let body = json!({"cancellation_date": GUIDE_DATE});
                (model.abort(), Method::POST, format!("{own}cancellation/"), Some(body))
            }
            _ => (model.may_credit(), Method::POST, format!("{own}credits/"), None),
        };
        let is_credit = body.is_none();
        let reply = self.send(method, path, body).await;
        self.agree(&reply, is_taken);
        if is_credit && is_taken {
            let ended = self.session.ended_credit(&self.models[index].id, &reply.id()).await;
            assert_eq!(ended["status"], "succeeded", "seed {}", self.seed);
            self.models[index].is_delivered = true;
        }
    }

    async fn record_kyc(&mut self, index: usize) {
        let has_passed = self.pick(4) > 0;
        let result = if has_passed { KycResult::Passed { valid_until: None } } else { KycResult::Failed };
        self.world.record_kyc(self.models[index].investor, result).await;
        self.models[index].record_kyc(has_passed);
    }

    /// The same request with the same key gets the same answer, whatever has happened since.
    async fn retry(&mut self) {
        let Some(sent) = &self.last else { return };
        let again = self.session.send(sent.method.clone(), &sent.path, Some(&sent.key), sent.body.as_ref()).await;
        assert_eq!((again.status, &again.text), (sent.reply.status, &sent.reply.text), "seed {}", self.seed);
        assert!(again.is_replay(), "seed {}", self.seed);
    }

    /// Three days later nothing has changed, but answers are no longer remembered.
    async fn turn_clock(&mut self) {
        self.last = None;
        let url = format!("{}/sandbox/clock/", self.world.handout.url);
        let turn = self.world.http.post(url).json(&json!({"advance": "P3D"})).send().await.unwrap();
        assert_eq!(turn.status(), 200);
    }

    /// Goes on with a copy of the files as they lie: what a power cut at this moment would leave.
    async fn crash(mut self) -> Self {
        let left = tempfile::tempdir().unwrap();
        copy(self.world.folder.path(), left.path());
        self.world.stop().await;
        self.world = World::start_in(left, |_| {}).await;
        self.session = self.world.distributor().await;
        self
    }

    async fn compare(&self) {
        let at = format!("seed {}, step {}", self.seed, self.step);
        for model in &self.models {
            let found = self.session.get(&format!("{PATH}{}/", model.id)).await.expect(200).body;
            let mut shown = model.shown();
            for (name, value) in shown.as_object_mut().unwrap() {
                let found = match name.as_str() {
                    "disagio" => found["disagio"]["amount"].clone(),
                    "signed_documents" => json!(found["signed_documents"].as_array().unwrap().len()),
                    _ => found[name.as_str()].clone(),
                };
                assert_eq!(found, *value, "{at}: {name} of {model:?}");
            }
        }
        let path = format!("/distributor/v2/products/{}/campaigns/{}/", self.world.handout.product_id, self.campaign);
        let campaign = self.session.get(&path).await.expect(200).body;
        assert_eq!(campaign["units_available"], self.available(), "{at}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_random_sequences_never_part_from_the_model() {
    let stated = std::env::var("SCRIP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = stated.unwrap_or_else(|| u64::from_be_bytes(Entropy::from_machine().unwrap().bytes()));
    println!("SCRIP_SEED={seed}");
    let mut walk = Walk::start(seed).await;
    for step in 0..STEPS {
        walk.step = step;
        let index = (!walk.models.is_empty()).then_some(walk.models.len()).map(|count| walk.pick(count));
        match (walk.pick(40), index) {
            (0, _) => walk = walk.crash().await,
            (1, _) => walk.turn_clock().await,
            (2..5, _) => walk.retry().await,
            (5..9, _) | (_, None) => walk.create().await,
            (9..12, Some(index)) => walk.record_kyc(index).await,
            (_, Some(index)) => walk.act(index).await,
        }
        walk.compare().await;
    }
    walk = walk.crash().await;
    walk.compare().await;
    let folder = walk.world.stop().await;
    let report = server::verify::verify(&folder.path().join("data"), None).await.unwrap();
    let delivered = walk.models.iter().filter(|model| model.is_delivered).map(|model| model.units).sum::<u64>();
    assert_eq!(report.units, u128::from(delivered), "seed {seed}: the ledger holds what was delivered");
}
