//! Credits: what they need, what they fix, how they fail, and trying again.

use domain::instant::Instant;
use domain::investor::PersonKind;
use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};
use server::operations::investor::KycResult;

use crate::world::{GUIDE_DATE, Reply, Session, World, make_key, merged};

fn own(investment: &str) -> String {
    format!("/distributor/v2/investments/{investment}/")
}

async fn order(session: &Session, investment: &str) -> Reply {
    session.post_empty(&format!("{}credits/", own(investment))).await
}

/// The address of the seeded product's token contract.
async fn token_address(session: &Session, world: &World) -> [u8; 20] {
    let product = session.get(&format!("/distributor/v2/products/{}/", world.handout.product_id)).await.expect(200).body;
    let text = product["contract_address"].as_str().unwrap().trim_start_matches("0x").to_owned();
    hex::decode(text).unwrap().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_second_credit_is_refused_while_one_runs_and_after_it_succeeded() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let (investment, second_wallet) = (
        world.paid_investment(&campaign).await,
        world.wallet(session.organisation_id, domain::ids::InvestorId::new(world.handout.investor_id), [9; 20]).await,
    );
    let key = make_key();
    let path = format!("{}credits/", own(&investment));
    let dry = session.send(Method::POST, &format!("{path}?dry_run=true"), None, None).await.expect(200);
    assert_eq!((&dry.body["status"], &dry.body["units"]), (&json!("processing"), &json!(10)));
    assert_eq!(session.get(&path).await.expect(200).body["count"], 0, "a dry run orders nothing");
    let credit = session.send(Method::POST, &path, Some(&key), None).await.expect(201);
    let expected = json!({
        "id": credit.id(), "investment_id": investment, "status": "processing", "error": null, "error_code": null, "units": 10,
        "address": world.running.inhabitants.as_ref().unwrap().wallet_address, "transaction_hash": null, "block_number": null,
        "created_at": credit.body["created_at"], "finished_at": null,
    });
    assert_eq!(credit.body, expected);
    let refuse = async |when: &str| {
        let refused = order(&session, &investment).await.expect_refused("credit_exists");
        assert_eq!(refused.body["failed_rules"][0]["actual"], credit.id(), "{when}: the refusal names the credit");
        let change = json!({"wallet": second_wallet});
        let refused = session.patch(&own(&investment), &change).await.expect_refused("wallet_fixed");
        assert_eq!(refused.body["failed_rules"][0]["actual"], credit.id(), "{when}");
        session.patch(&own(&investment), &json!({"wallet": world.handout.wallet_id})).await.expect(200);
    };
    refuse("processing").await;
    let ended = session.ended_credit(&investment, &credit.id()).await;
    let hash = ended["transaction_hash"].as_str().unwrap();
    assert!(hash.len() == 66 && hash.starts_with("0x"), "{hash}");
    assert!(ended["block_number"].as_u64().unwrap() > 0);
    let found = ["transaction_hash", "block_number", "finished_at"].map(|name| (name.to_owned(), ended[name].clone()));
    let found = merged(Value::Object(found.into_iter().collect()), json!({"status": "succeeded"}));
    assert_eq!(ended, merged(expected, found));
    refuse("succeeded").await;
    let again = session.send(Method::POST, &path, Some(&key), None).await.expect(201);
    assert_eq!((again.is_replay(), again.text), (true, credit.text.clone()));
    let delivered = session.get(&own(&investment)).await.expect(200).body;
    assert_eq!((&delivered["status"], &delivered["delivered_at"]), (&json!("DELIVERED"), &ended["finished_at"]));
    let listed = session.get(&path).await.expect(200).body;
    assert_eq!((&listed["count"], &listed["results"]), (&json!(1), &json!([ended])));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_failed_credit_frees_the_wallet_and_another_may_be_ordered() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let investor = domain::ids::InvestorId::new(world.handout.investor_id);
    // The token contract is an address where nobody can hold units.
    let token = token_address(&session, &world).await;
    let forbidden = world.wallet(session.organisation_id, investor, token).await;
    let investment = world.paid_investment(&campaign).await;
    session.patch(&own(&investment), &json!({"wallet": forbidden})).await.expect(200);
    let mut failed = Vec::new();
    for _attempt in 0..2 {
        let credit = order(&session, &investment).await.expect(201).id();
        let ended = session.ended_credit(&investment, &credit).await;
        assert_eq!((&ended["status"], &ended["error_code"]), (&json!("failed"), &json!("address_forbidden")));
        assert!(ended["error"].as_str().unwrap().contains("no units can be held at this address"));
        assert_eq!((&ended["transaction_hash"], &ended["block_number"]), (&Value::Null, &Value::Null), "nothing was signed");
        assert!(ended["finished_at"].is_string());
        failed.push(ended);
        let kept = session.get(&own(&investment)).await.expect(200).body;
        assert_eq!((&kept["status"], &kept["delivered_at"]), (&json!("PAID"), &Value::Null));
    }
    session.patch(&own(&investment), &json!({"wallet": world.handout.wallet_id})).await.expect(200);
    let credit = order(&session, &investment).await.expect(201).id();
    let ended = session.ended_credit(&investment, &credit).await;
    assert_eq!(
        (&ended["status"], &ended["address"]),
        (&json!("succeeded"), &json!(world.running.inhabitants.as_ref().unwrap().wallet_address))
    );
    assert_eq!(session.get(&own(&investment)).await.expect(200).body["status"], "DELIVERED");
    failed.push(ended);
    let listed = session.get(&format!("{}credits/", own(&investment))).await.expect(200).body;
    assert_eq!((&listed["count"], &listed["results"]), (&json!(3), &Value::Array(failed)), "every attempt stays, oldest first");
    order(&session, &investment).await.expect_refused("credit_exists");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_a_credit_needs_identification_that_still_holds() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let investor = world.investor(session.organisation_id, PersonKind::Natural, true).await;
    let in_a_month = world.running.office.clock.now().checked_add_span("P30D".parse().unwrap()).unwrap();
    world.record_kyc(investor, KycResult::Passed { valid_until: Some(in_a_month) }).await;
    let body = json!({
        "investor_id": investor.uuid(), "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE,
        "signed_documents": world.signed_documents(&session).await,
    });
    let investment = world.investment(&campaign, body).await.expect(201).id();
    let clock = world.http.post(format!("{}/sandbox/clock/", world.handout.url)).json(&json!({"advance": "P30D"}));
    let turned: Value = clock.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    assert!(Instant::parse(turned["now"].as_str().unwrap()).unwrap() >= in_a_month);
    let refused = order(&session, &investment).await.expect_refused("kyc_not_valid");
    let rules = refused.body["failed_rules"].as_array().unwrap();
    let named: Vec<&Value> = rules.iter().map(|rule| &rule["rule"]).collect();
    assert_eq!(named, ["kyc_not_valid", "wallet_missing"], "every failed rule is told");
    assert_eq!(refused.body["current_status"], "PAID");
    assert_eq!(session.get(&format!("{}credits/", own(&investment))).await.expect(200).body["count"], 0);
    world.record_kyc(investor, KycResult::Passed { valid_until: None }).await;
    let wallet = world.wallet(session.organisation_id, investor, [7; 20]).await;
    session.patch(&own(&investment), &json!({"wallet": wallet})).await.expect(200);
    let credit = order(&session, &investment).await.expect(201).id();
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_takes_no_body_and_belongs_to_its_investment() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let (investment, other) = (world.paid_investment(&campaign).await, world.paid_investment(&campaign).await);
    let path = format!("{}credits/", own(&investment));
    assert_eq!(session.post(&path, &json!({"units": 1})).await.status, 400);
    session.send(Method::POST, &path, None, None).await.expect_fault("header:X-Idempotency-Key", "missing");
    assert_eq!(session.get(&path).await.expect(200).body["count"], 0);
    let credit = order(&session, &investment).await.expect(201).id();
    session.ended_credit(&investment, &credit).await;
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    session.get(&format!("{}credits/{credit}/", own(&other))).await.expect(404);
    theirs.get(&format!("{path}{credit}/")).await.expect(404);
    theirs.get(&path).await.expect(404);
    order(&theirs, &other).await.expect(404);
    assert_eq!(session.get(&format!("{}credits/", own(&other))).await.expect(200).body["count"], 0);
    world.stop().await;
}
