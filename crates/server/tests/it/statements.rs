//! Facts stated by PATCH: acceptance, payment, wallet, disagio.

use domain::investor::PersonKind;
use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{GUIDE_DATE, Session, World, make_key, merged};

const EARLIER: &str = "2025-03-01T00:00:00+01:00";
const LATER: &str = "2025-03-20T00:00:00.000000+00:00";

/// An investment of ten units with both documents, changed; and its path.
async fn signed(world: &World, session: &Session, change: Value) -> (Value, String) {
    let campaign = world.campaign(json!({})).await;
    let documents = json!({"signed_documents": world.signed_documents(session).await});
    let created = world.investment(&campaign, merged(documents, change)).await.expect(201);
    let path = format!("/distributor/v2/investments/{}/", created.id());
    (created.body, path)
}

async fn read(session: &Session, path: &str) -> Value {
    session.get(path).await.expect(200).body
}

fn rules(reply: &Value) -> Vec<&str> {
    reply["failed_rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect()
}

fn euros(cents: &str) -> Value {
    json!({"amount": cents, "decimals": 2, "currency": "EUR"})
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_taken_together_or_not_at_all() {
    let world = World::start().await;
    let session = world.distributor().await;
    let (created, path) = signed(&world, &session, json!({})).await;
    let all = json!({"accepted_at": GUIDE_DATE, "paid_at": LATER, "wallet": world.handout.wallet_id, "disagio": euros("7")});
    let dry = session.patch(&format!("{path}?dry_run=true"), &all).await.expect(200).body;
    assert_eq!(read(&session, &path).await, created, "a dry run records nothing");
    let taken = session.patch(&path, &all).await.expect(200).body;
    let without_time = |body: &Value| merged(body.clone(), json!({"updated_at": null}));
    assert_eq!(without_time(&dry), without_time(&taken));
    let expected = json!({
        "status": "PAID", "accepted_at": GUIDE_DATE, "paid_at": LATER, "wallet": world.handout.wallet_id,
        "disagio": euros("7"), "payment_total": euros("993"), "payment_provisional": false,
        "allowed_acts": ["attach_document", "set_wallet", "credit"], "updated_at": taken["updated_at"],
    });
    assert_eq!(taken, merged(created.clone(), expected));
    assert_ne!(taken["updated_at"], created["updated_at"]);

    let (created, path) = signed(&world, &session, json!({})).await;
    for change in [
        json!({"accepted_at": GUIDE_DATE, "disagio": euros("1001")}),
        json!({"accepted_at": GUIDE_DATE, "wallet": Uuid::from_u128(1)}),
        json!({"accepted_at": GUIDE_DATE, "units": 11}),
    ] {
        assert!(session.patch(&path, &change).await.status >= 400);
        assert_eq!(read(&session, &path).await, created, "{change}");
    }
    for same in [json!({}), json!({"accepted_at": null, "paid_at": null})] {
        assert_eq!(session.patch(&path, &same).await.expect(200).body, created, "nothing stated, nothing changed");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_no_step_can_be_skipped() {
    let world = World::start().await;
    let session = world.distributor().await;
    for (facts, act, expected) in [
        (json!({"accepted_at": null}), json!({"paid_at": GUIDE_DATE}), vec!["not_accepted"]),
        (json!({}), Value::Null, vec!["not_accepted", "not_paid", "wallet_missing"]),
        (json!({"accepted_at": GUIDE_DATE}), Value::Null, vec!["not_paid", "wallet_missing"]),
        (json!({"accepted_at": GUIDE_DATE, "wallet": world.handout.wallet_id}), Value::Null, vec!["not_paid"]),
        (json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE}), Value::Null, vec!["wallet_missing"]),
    ] {
        let (created, path) = signed(&world, &session, facts).await;
        let refused =
            if act.is_null() { session.post_empty(&format!("{path}credits/")).await } else { session.patch(&path, &act).await };
        let refused = refused.expect_refused(expected[0]);
        assert_eq!(rules(&refused.body), expected);
        assert_eq!(
            (&refused.body["current_status"], &refused.body["allowed_acts"]),
            (&created["status"], &created["allowed_acts"])
        );
        assert_eq!(read(&session, &path).await, created);
        assert_eq!(session.get(&format!("{path}credits/")).await.expect(200).body["count"], 0);
    }
    let campaign = world.campaign(json!({})).await;
    let documents = world.signed_documents(&session).await;
    let early = json!({"paid_at": GUIDE_DATE, "signed_documents": documents});
    world.investment(&campaign, early).await.expect_refused("not_accepted");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s03_facts_are_written_once() {
    let world = World::start().await;
    let session = world.distributor().await;
    let facts = json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE});
    let (created, path) = signed(&world, &session, facts.clone()).await;
    assert_eq!(created["status"], "PAID");
    assert_eq!(session.patch(&path, &facts).await.expect(200).body, created, "the same value again is nothing new");
    let same_instant = json!({"paid_at": "2025-03-12T08:14:13.630308+01:00"});
    assert_eq!(session.patch(&path, &same_instant).await.expect(200).body, created);
    for field in ["accepted_at", "paid_at"] {
        for value in [json!(EARLIER), json!(LATER), Value::Null] {
            let refused = session.patch(&path, &json!({ field: value })).await.expect_refused("fact_is_final");
            let errors = json!([{"pointer": format!("/{field}"), "code": "immutable", "message": "cannot be changed"}]);
            assert_eq!(refused.body["errors"], errors);
            assert_eq!(refused.body["current_status"], "PAID");
        }
    }
    let both = json!({"accepted_at": EARLIER, "paid_at": null});
    let refused = session.patch(&path, &both).await.expect_refused("fact_is_final");
    assert_eq!(rules(&refused.body), ["fact_is_final", "fact_is_final"], "both are named");
    assert_eq!(read(&session, &path).await, created);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s04_stated_dates_may_not_lie_ahead_and_are_ordered_where_the_product_says_so() {
    let world = World::start().await;
    let session = world.distributor().await;
    let now = world.running.office.clock.now();
    let after = |seconds: i64| now.checked_add_micros(seconds * 1_000_000).unwrap().to_string();
    let (created, path) = signed(&world, &session, json!({})).await;
    for field in ["accepted_at", "paid_at"] {
        session.patch(&path, &json!({ field: after(330) })).await.expect_fault(&format!("/{field}"), "invalid_value");
    }
    let cancellation = json!({"cancellation_date": after(330)});
    session.post(&format!("{path}cancellation/"), &cancellation).await.expect_fault("/cancellation_date", "invalid_value");
    let campaign = world.campaign(json!({})).await;
    world.investment(&campaign, json!({"signed_at": after(330)})).await.expect_fault("/signed_at", "invalid_value");
    assert_eq!(read(&session, &path).await, created);
    let ahead = session.patch(&path, &json!({"accepted_at": after(240)})).await.expect(200);
    assert_eq!(ahead.body["accepted_at"], after(240), "clocks differ by some minutes");
    // Out of order as the guide's calls may be: taken as stated.
    assert_eq!(session.patch(&path, &json!({"paid_at": EARLIER})).await.expect(200).body["status"], "PAID");

    let product = world.product(|terms| terms.strict_dates = true).await;
    world.list(&product, session.organisation_id).await;
    let campaign = world.campaign_of(product.id.uuid(), json!({})).await;
    let documents = world.signed_documents(&session).await;
    let created = world.investment(&campaign, json!({"signed_documents": documents})).await.expect(201);
    let path = format!("/distributor/v2/investments/{}/", created.id());
    let refused = session.patch(&path, &json!({"accepted_at": EARLIER})).await.expect_refused("dates_out_of_order");
    assert_eq!(refused.body["failed_rules"][0]["limit"], GUIDE_DATE);
    assert_eq!(read(&session, &path).await, created.body);
    session.patch(&path, &json!({"accepted_at": LATER})).await.expect(200);
    session.patch(&path, &json!({"paid_at": GUIDE_DATE})).await.expect_refused("dates_out_of_order");
    assert_eq!(session.patch(&path, &json!({"paid_at": LATER})).await.expect(200).body["status"], "PAID", "equal is in order");
    let early = json!({"signed_documents": documents, "accepted_at": EARLIER});
    world.investment(&campaign, early).await.expect_refused("dates_out_of_order");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disagio_can_be_changed_until_acceptance() {
    let world = World::start().await;
    let session = world.distributor().await;
    let (created, path) = signed(&world, &session, json!({"disagio": euros("100")})).await;
    assert_eq!((&created["investment_amount"], &created["payment_total"]), (&euros("1000"), &euros("900")));
    for (disagio, total) in [("1000", "0"), ("0", "1000"), ("1", "999")] {
        let changed = session.patch(&path, &json!({"disagio": euros(disagio)})).await.expect(200).body;
        assert_eq!((&changed["disagio"], &changed["payment_total"]), (&euros(disagio), &euros(total)));
    }
    let before = read(&session, &path).await;
    let refused =
        session.patch(&path, &json!({"disagio": euros("1001")})).await.expect_refused("disagio_above_investment_amount");
    let rule = &refused.body["failed_rules"][0];
    assert_eq!((&rule["limit"], &rule["actual"]), (&json!("10.00 EUR"), &json!("10.01 EUR")));
    let yen = json!({"disagio": {"amount": "1", "decimals": 0, "currency": "JPY"}});
    let refused = session.patch(&path, &yen).await.expect_refused("currency_mismatch");
    let rule = &refused.body["failed_rules"][0];
    assert_eq!((&rule["limit"], &rule["actual"]), (&json!("EUR"), &json!("JPY")));
    for (disagio, pointer, code) in [
        (euros("-1"), "/disagio/amount", "invalid_value"),
        (euros("0.5"), "/disagio/amount", "invalid_value"),
        (json!({"amount": "1", "decimals": 3, "currency": "EUR"}), "/disagio/decimals", "invalid_value"),
        (json!({"amount": 1, "decimals": 2, "currency": "EUR"}), "/disagio/amount", "wrong_type"),
        (json!({"amount": "1", "decimals": 2}), "/disagio/currency", "missing"),
        (json!({"amount": "1", "decimals": 2, "currency": "EUR", "x": 1}), "/disagio/x", "unknown_field"),
        (Value::Null, "/disagio", "wrong_type"),
    ] {
        session.patch(&path, &json!({"disagio": disagio})).await.expect_fault(pointer, code);
    }
    assert_eq!(read(&session, &path).await, before);
    session.patch(&path, &json!({"accepted_at": GUIDE_DATE})).await.expect(200);
    session.patch(&path, &json!({"disagio": euros("2")})).await.expect_refused("act_not_open");
    session.patch(&path, &json!({"disagio": euros("1")})).await.expect(200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_one_of_the_investors_own() {
    let world = World::start().await;
    let session = world.distributor().await;
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    let other_investor = world.investor(session.organisation_id, PersonKind::Natural, true).await;
    let stranger = world.investor(theirs.organisation_id, PersonKind::Natural, true).await;
    let others_wallet = world.wallet(session.organisation_id, other_investor, [1; 20]).await;
    let foreign_wallet = world.wallet(theirs.organisation_id, stranger, [2; 20]).await;
    let (created, path) = signed(&world, &session, json!({})).await;
    let mut told = Vec::new();
    for wallet in [others_wallet, foreign_wallet, Uuid::from_u128(1)] {
        let refused = session.patch(&path, &json!({"wallet": wallet})).await.expect_fault("/wallet", "not_found");
        told.push(merged(refused.body, json!({"instance": null})));
        let campaign = created["campaign_id"].as_str().unwrap();
        world.investment(campaign, json!({"wallet": wallet})).await.expect_fault("/wallet", "not_found");
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "foreign and missing read the same");
    session.patch(&path, &json!({"wallet": "0x0"})).await.expect_fault("/wallet", "invalid_value");
    session.patch(&path, &json!({"wallet": null})).await.expect_fault("/wallet", "wrong_type");
    assert_eq!(read(&session, &path).await, created);
    theirs.patch(&path, &json!({"wallet": foreign_wallet})).await.expect(404);
    let keyless = session.send(Method::PATCH, &path, None, Some(&json!({"wallet": world.handout.wallet_id}))).await.expect(200);
    assert_eq!(keyless.body["wallet"], world.handout.wallet_id.to_string(), "PATCH needs no key");
    let (key, accepted) = (make_key(), json!({"accepted_at": GUIDE_DATE}));
    let first = session.send(Method::PATCH, &path, Some(&key), Some(&accepted)).await.expect(200);
    session.patch(&path, &json!({"paid_at": GUIDE_DATE})).await.expect(200);
    let again = session.send(Method::PATCH, &path, Some(&key), Some(&accepted)).await.expect(200);
    assert_eq!((again.is_replay(), again.text), (true, first.text), "but honours one");
    assert_eq!(read(&session, &path).await["status"], "PAID", "a replay takes nothing back");
    world.stop().await;
}
