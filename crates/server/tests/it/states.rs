//! Every status that this build reaches × every act of the Distributor API, compared with the one table of open acts.

use domain::instant::Instant;
use domain::investment::{Act, Party, Status, may, open_acts};
use domain::investor::PersonKind;
use reqwest::Method;
use serde_json::{Value, json};
use server::operations::investor::KycResult;

use crate::world::{GUIDE_DATE, Reply, Session, World, make_key, merged};

/// Statuses that something in this build leads to.
const REACHED: [Status; 8] = [
    Status::KycPending,
    Status::ReviewPending,
    Status::WaitingForAcceptance,
    Status::Accepted,
    Status::Paid,
    Status::Delivered,
    Status::KycInsufficient,
    Status::Aborted,
];
const OTHER_DATE: &str = "2025-03-13T00:00:00.000000+00:00";
const PATH: &str = "/distributor/v2/investments/";

/// What the walk needs: campaigns of a plain product and of one with a review, and two documents.
struct Stage {
    world: World,
    session: Session,
    plain: String,
    reviewed: String,
    documents: Value,
    investors: std::sync::atomic::AtomicU8,
}

impl Stage {
    async fn set() -> Self {
        let world = World::start().await;
        let session = world.distributor().await;
        let product = world.product(|terms| terms.outside_review = true).await;
        world.list(&product, session.organisation_id).await;
        let plain = world.campaign(json!({})).await;
        let reviewed = world.campaign_of(product.id.uuid(), json!({})).await;
        let documents = world.signed_documents(&session).await;
        Self { world, session, plain, reviewed, documents, investors: 0.into() }
    }

    /// An investment in a status, so prepared that nothing but the status can refuse the act; and a second wallet.
    async fn investment(&self, status: Status, act: Act) -> (String, Value) {
        let (world, session) = (&self.world, &self.session);
        let number = self.investors.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let is_identified = !matches!(status, Status::KycPending | Status::KycInsufficient);
        let investor = world.investor(session.organisation_id, PersonKind::Natural, true).await;
        let wallet = world.wallet(session.organisation_id, investor, [number, 1].repeat(10).try_into().unwrap()).await;
        let second_wallet = world.wallet(session.organisation_id, investor, [number, 2].repeat(10).try_into().unwrap()).await;
        if !is_identified {
            // Identified once, so that there are wallets; the result has lapsed since.
            world.record_kyc(investor, KycResult::Passed { valid_until: Some(Instant::from_micros(0)) }).await;
        }
        let mut body = json!({
            "investor_id": investor.uuid(), "units": 1, "signed_documents": self.documents, "wallet": wallet,
        });
        let is_early = matches!(status, Status::KycPending | Status::ReviewPending) && act == Act::MarkPaid;
        if is_early || matches!(status, Status::Accepted | Status::Paid | Status::Delivered) {
            body["accepted_at"] = json!(GUIDE_DATE);
        }
        if matches!(status, Status::Paid | Status::Delivered) {
            body["paid_at"] = json!(GUIDE_DATE);
        }
        let campaign = if status == Status::ReviewPending { &self.reviewed } else { &self.plain };
        let id = world.investment(campaign, body).await.expect(201).id();
        if status == Status::Delivered {
            let credit = session.post_empty(&format!("{PATH}{id}/credits/")).await.expect(201).id();
            assert_eq!(session.ended_credit(&id, &credit).await["status"], "succeeded");
        }
        if status == Status::KycInsufficient {
            world.record_kyc(investor, KycResult::Failed).await;
        }
        if status == Status::Aborted {
            let cancellation = json!({"cancellation_date": GUIDE_DATE});
            session.post(&format!("{PATH}{id}/cancellation/"), &cancellation).await.expect(200);
        }
        (id, json!(second_wallet))
    }

    /// Does an act, or only asks what would come of it.
    async fn act(&self, act: Act, id: &str, wallet: &Value, query: &str) -> Reply {
        let (below, method, body) = match act {
            Act::AttachDocument => ("signed-documents/", Method::POST, Some(self.documents[0].clone())),
            Act::SetWallet => ("", Method::PATCH, Some(json!({"wallet": wallet}))),
            Act::SetDisagio => ("", Method::PATCH, Some(json!({"disagio": {"amount": "1", "decimals": 2, "currency": "EUR"}}))),
            Act::Accept => ("", Method::PATCH, Some(json!({"accepted_at": OTHER_DATE}))),
            Act::MarkPaid => ("", Method::PATCH, Some(json!({"paid_at": OTHER_DATE}))),
            Act::Credit => ("credits/", Method::POST, None),
            Act::Abort => ("cancellation/", Method::POST, Some(json!({"cancellation_date": OTHER_DATE}))),
            Act::Reject | Act::EndUnpaid | Act::Withdraw | Act::PassKyc | Act::FailKyc | Act::PassReview | Act::FailReview => {
                panic!("{} is not an act of the Distributor API", act.code())
            }
        };
        self.session.send(method, &format!("{PATH}{id}/{below}{query}"), Some(&make_key()), body.as_ref()).await
    }

    async fn read(&self, id: &str) -> Value {
        self.session.get(&format!("{PATH}{id}/")).await.expect(200).body
    }
}

fn distributor_acts() -> impl Iterator<Item = Act> {
    Act::ALL.into_iter().filter(|act| act.parties().contains(&Party::Distributor))
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_every_act_in_every_status_is_open_or_refused_as_the_table_says() {
    let stage = Stage::set().await;
    assert_eq!(distributor_acts().count(), 7);
    for status in REACHED {
        let allowed: Vec<&str> =
            open_acts(status).iter().filter(|act| act.parties().contains(&Party::Distributor)).map(|act| act.code()).collect();
        for act in distributor_acts() {
            let at = format!("{} in {}", act.code(), status.code());
            let (id, wallet) = stage.investment(status, act).await;
            let before = stage.read(&id).await;
            assert_eq!((&before["status"], &before["allowed_acts"]), (&json!(status.code()), &json!(allowed)), "{at}");
            let dry = stage.act(act, &id, &wallet, "?dry_run=true").await;
            assert_eq!(stage.read(&id).await, before, "a dry run of {at} changed something");
            let done = stage.act(act, &id, &wallet, "").await;
            if may(status, act) {
                assert_eq!(dry.status, 200, "{at}: {}", dry.text);
                assert!(matches!(done.status, 200 | 201), "{at}: {}", done.text);
                assert_ne!(stage.read(&id).await, before, "{at} did something, if only to updated_at");
            } else {
                for refused in [&dry, &done] {
                    assert_eq!(refused.status, 409, "{at}: {}", refused.text);
                    assert_eq!(refused.body["current_status"], status.code(), "{at}");
                    assert_eq!(refused.body["allowed_acts"], json!(allowed), "{at}");
                }
                let told = |reply: &Reply| merged(reply.body.clone(), json!({"instance": null}));
                assert_eq!(told(&dry), told(&done), "{at}: a dry run is refused as the act is");
                assert_eq!(stage.read(&id).await, before, "{at} was refused and changed something");
            }
        }
    }
    stage.world.stop().await;
}
