//! Rows I08, I09 and I10: what is remembered, and what is not.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::database_in;
use super::effects::{Before, assert_executed, assert_replayed, settle};
use crate::access::call::{Call, Payload};
use crate::access::catalogue::{Operation, mutating};
use crate::access::side::Side;
use crate::world::{GUIDE_DATE, World, make_key, merged};

#[tokio::test(flavor = "multi_thread")]
async fn i08_a_request_that_was_wrong_can_be_corrected_under_the_same_key() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    for operation in mutating() {
        let (call, key, session) = (side.fresh(&operation).await, make_key(), side.caller(&operation));
        let before = Before::of(&world, &side, &operation, &call).await;
        let mut wrong = vec![(call.with_payload(unknown_field(&call)), [400, 415])];
        wrong.push((call.with_query("unknown=1"), [400, 400]));
        for position in call.positions() {
            wrong.push((call.with_id(&position, &Uuid::nil().to_string()), [400, 404]));
        }
        for (wrong, statuses) in wrong {
            let reply = wrong.send(&world, session, Some(&key)).await;
            assert!(statuses.contains(&reply.status), "{}: {}", operation.id, reply.text);
        }
        let mut stranger = session.clone();
        stranger.token.push('x');
        call.send(&world, &stranger, Some(&key)).await.expect(401);
        assert_eq!(call.with_query("dry_run=true").send(&world, session, Some(&key)).await.status, 200, "{}", operation.id);
        before.assert_executed(0, &world, &side, &operation, &call).await;
        assert_executed(&call.send(&world, session, Some(&key)).await, operation.id);
        before.assert_executed(1, &world, &side, &operation, &call).await;
    }
    world.stop().await;
}

/// A body that the operation does not take.
fn unknown_field(call: &Call) -> Payload {
    match &call.payload {
        Payload::Json(body) => Payload::Json(merged(body.clone(), json!({"unknown": 1}))),
        Payload::Empty | Payload::File { .. } => Payload::Json(json!({"unknown": 1})),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i09_a_refusal_by_stored_state_is_remembered_and_replayed() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    for operation in mutating() {
        let Some((code, call)) = refused(&side, &operation).await else { continue };
        let (key, session) = (make_key(), side.caller(&operation));
        let before = Before::of(&world, &side, &operation, &call).await;
        let first = call.send(&world, session, Some(&key)).await.expect_refused(code);
        assert!(!first.headers.contains_key("idempotency-replayed"), "{}", operation.id);
        for _repeat in 0..3 {
            assert_replayed(&first, &call.send(&world, session, Some(&key)).await, operation.id);
        }
        before.assert_executed(0, &world, &side, &operation, &call).await;
    }
    let order = mutating().into_iter().find(|operation| operation.id == "order_credit").unwrap();
    let investment = side.investment().await;
    let path = format!("/distributor/v2/investments/{investment}/");
    let credits = format!("{path}credits/");
    let key = make_key();
    let too_early = side.distributor.send(Method::POST, &credits, Some(&key), None).await.expect(409);
    let body = json!({"document_type": "effecta_cryptoregistry_tos", "document_id": side.document().await});
    side.distributor.post(&format!("{path}signed-documents/"), &body).await.expect(201);
    side.distributor.patch(&path, &json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE})).await.expect(200);
    let replayed = side.distributor.send(Method::POST, &credits, Some(&key), None).await;
    assert_replayed(&too_early, &replayed, "although the credit is open by now");
    let credit = side.distributor.post_empty(&credits).await.expect(201);
    settle(&side.distributor, &order, &credit).await;
    world.stop().await;
}

/// A request that stored state or a limit refuses, and the refusal's code; uploads are never refused so.
async fn refused(side: &Side, operation: &Operation) -> Option<(&'static str, Call)> {
    let fresh = side.fresh(operation).await;
    let body = |change: Value| {
        let Payload::Json(body) = &fresh.payload else { panic!("{} has a JSON body", operation.id) };
        fresh.with_payload(Payload::Json(merged(body.clone(), change)))
    };
    let ended = async || {
        let position = &fresh.positions()[0];
        let path = format!("/distributor/v2/investments/{}/cancellation/", fresh.id_at(position));
        side.distributor.post(&path, &json!({"cancellation_date": GUIDE_DATE})).await.expect(200);
        fresh.clone()
    };
    Some(match operation.id {
        "distributor_upload_document" | "issuer_upload_document" => return None,
        "create_investment" => ("above_max_number_of_tokens", body(json!({"units": 101}))),
        "change_investment" | "cancel_investment" | "attach_signed_document" => ("act_not_open", ended().await),
        "order_credit" => {
            let waiting = side.investment().await;
            ("not_accepted", fresh.with_id(&fresh.positions()[0], &waiting))
        }
        "create_campaign" => ("product_total_exceeded", body(json!({"allocation": 1_000_001}))),
        "change_campaign" => ("campaign_immutable", body(json!({"name": "Another"}))),
        "change_product" => ("product_terms_fixed", fresh.with_id(&fresh.positions()[0], &side.id("product_id"))),
        unknown => panic!("{unknown} changes something, and no refusal of it is known here: add one"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_a_failure_inside_is_not_remembered_and_the_retry_executes() {
    let world = World::start_embedded().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let database = database_in(world.folder.path());
    for operation in mutating() {
        let (call, key, session) = (side.fresh(&operation).await, make_key(), side.caller(&operation));
        let before = Before::of(&world, &side, &operation, &call).await;
        let plant = "CREATE TRIGGER planted BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'planted'); END";
        database.execute_batch(plant).unwrap();
        for _attempt in 0..2 {
            let failed = call.send(&world, session, Some(&key)).await;
            assert_eq!((failed.status, failed.body["code"].as_str()), (500, Some("internal")), "{}", operation.id);
            assert!(!failed.text.contains("planted"), "{}: the reason stays inside", operation.id);
        }
        database.execute_batch("DROP TRIGGER planted").unwrap();
        before.assert_executed(0, &world, &side, &operation, &call).await;
        let reply = call.send(&world, session, Some(&key)).await;
        assert_executed(&reply, operation.id);
        before.assert_executed(1, &world, &side, &operation, &call).await;
        assert_replayed(&reply, &call.send(&world, session, Some(&key)).await, operation.id);
        settle(session, &operation, &reply).await;
    }
    world.stop().await;
}
