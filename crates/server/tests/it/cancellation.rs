//! Cancelling an investment for the investor.

use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{GUIDE_DATE, World, make_key, merged};

async fn units_available(world: &World, campaign: &str) -> Value {
    let path = format!("/distributor/v2/products/{}/campaigns/{campaign}/", world.handout.product_id);
    world.distributor().await.get(&path).await.expect(200).body["units_available"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_investment_gives_its_units_back_once() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({"allocation": 100})).await);
    let created = world.investment(&campaign, json!({})).await.expect(201);
    let own = format!("/distributor/v2/investments/{}/", created.id());
    let (path, body) = (format!("{own}cancellation/"), json!({"cancellation_date": GUIDE_DATE}));
    assert_eq!(units_available(&world, &campaign).await, 90);
    let dry = session.send(Method::POST, &format!("{path}?dry_run=true"), None, Some(&body)).await.expect(200);
    assert_eq!(dry.body["status"], "ABORTED");
    assert_eq!(session.get(&own).await.expect(200).body, created.body, "a dry run ends nothing");
    assert_eq!(units_available(&world, &campaign).await, 90);

    let key = make_key();
    let cancelled = session.send(Method::POST, &path, Some(&key), Some(&body)).await.expect(200);
    let expected = json!({
        "status": "ABORTED", "cancellation_date": GUIDE_DATE, "cancellation_reason": "aborted_by_investor", "allowed_acts": [],
        "updated_at": cancelled.body["updated_at"],
    });
    assert_eq!(cancelled.body, merged(created.body, expected));
    assert_eq!(session.get(&own).await.expect(200).body, cancelled.body);
    assert_eq!(units_available(&world, &campaign).await, 100);
    let again = session.send(Method::POST, &path, Some(&key), Some(&body)).await.expect(200);
    assert_eq!((again.is_replay(), again.text), (true, cancelled.text.clone()));
    let refused = session.post(&path, &body).await.expect_refused("act_not_open");
    assert_eq!((&refused.body["current_status"], &refused.body["allowed_acts"]), (&json!("ABORTED"), &json!([])));
    assert_eq!(units_available(&world, &campaign).await, 100, "once");
    let whole = world.investment(&campaign, json!({"units": 100})).await.expect(201);
    assert_eq!(whole.body["units"], 100);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s05_s06_after_acceptance_and_after_a_credit_nothing_is_cancelled() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({"allocation": 100})).await);
    let documents = world.signed_documents(&session).await;
    let accepted = json!({"accepted_at": GUIDE_DATE, "signed_documents": documents});
    let accepted = world.investment(&campaign, accepted).await.expect(201).id();
    let paid = world.paid_investment(&campaign).await;
    let credited = world.paid_investment(&campaign).await;
    let own = |id: &str| format!("/distributor/v2/investments/{id}/");
    let credit = session.post_empty(&format!("{}credits/", own(&credited))).await.expect(201).id();
    let body = json!({"cancellation_date": GUIDE_DATE});
    // The credit is under way now.
    session.post(&format!("{}cancellation/", own(&credited)), &body).await.expect_refused("act_not_open");
    assert_eq!(session.ended_credit(&credited, &credit).await["status"], "succeeded", "the ledger wins");
    for (id, status) in [(&accepted, "ACCEPTED"), (&paid, "PAID"), (&credited, "DELIVERED")] {
        let before = session.get(&own(id)).await.expect(200).body;
        assert_eq!(before["status"], status);
        let refused = session.post(&format!("{}cancellation/", own(id)), &body).await.expect_refused("act_not_open");
        let told = (&refused.body["current_status"], &refused.body["allowed_acts"]);
        assert_eq!(told, (&before["status"], &before["allowed_acts"]));
        assert_eq!(session.get(&own(id)).await.expect(200).body, before);
    }
    assert_eq!(units_available(&world, &campaign).await, 70);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_needs_its_date_and_ones_own_investment() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let created = world.investment(&campaign, json!({})).await.expect(201);
    let path = format!("/distributor/v2/investments/{}/cancellation/", created.id());
    let at = "/cancellation_date";
    for (body, pointer, code) in [
        (json!({}), at, "missing"),
        (json!({"cancellation_date": null}), at, "wrong_type"),
        (json!({"cancellation_date": "yesterday"}), at, "invalid_value"),
        (json!({"cancellation_date": "2025-03-12T07:14:13"}), at, "invalid_value"),
        (json!({"cancellation_date": GUIDE_DATE, "cancellation_reason": "x"}), "/cancellation_reason", "unknown_field"),
    ] {
        session.post(&path, &body).await.expect_fault(pointer, code);
    }
    let body = json!({"cancellation_date": GUIDE_DATE});
    session.send(Method::POST, &path, None, Some(&body)).await.expect_fault("header:X-Idempotency-Key", "missing");
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    theirs.post(&path, &body).await.expect(404);
    let own = format!("/distributor/v2/investments/{}/", created.id());
    assert_eq!(session.get(&own).await.expect(200).body, created.body);
    world.stop().await;
}
