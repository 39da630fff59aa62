//! Signed documents of an investment.

use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{GUIDE_DATE, World, make_key};

const TERMS: &str = "effecta_cryptoregistry_tos";
const DOCUMENT: &str = "effecta_document";

fn paths(investment: &str) -> (String, String) {
    let own = format!("/distributor/v2/investments/{investment}/");
    let documents = format!("{own}signed-documents/");
    (own, documents)
}

#[tokio::test(flavor = "multi_thread")]
async fn d09_both_types_are_needed_at_acceptance_and_what_is_missing_is_named() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let documents = world.signed_documents(&session).await;
    let accept = json!({"accepted_at": GUIDE_DATE});
    for (attached, missing) in [
        (vec![], vec![TERMS, DOCUMENT]),
        (vec![&documents[0]], vec![DOCUMENT]),
        (vec![&documents[1]], vec![TERMS]),
        (vec![&documents[1], &documents[1]], vec![TERMS]),
    ] {
        let early = json!({"accepted_at": GUIDE_DATE, "signed_documents": attached});
        let refused = world.investment(&campaign, early).await.expect_refused("signed_documents_missing");
        assert_eq!(refused.body["missing"], json!(missing), "in the creating call");
        let created = world.investment(&campaign, json!({"signed_documents": attached})).await.expect(201);
        let (own, path) = paths(&created.id());
        for query in ["?dry_run=true", ""] {
            let refused = session.patch(&format!("{own}{query}"), &accept).await.expect_refused("signed_documents_missing");
            assert_eq!(refused.body["missing"], json!(missing), "by PATCH");
            assert_eq!(refused.body["current_status"], "WAITING_FOR_ACCEPTANCE");
        }
        assert_eq!(session.get(&own).await.expect(200).body, created.body);
        for document in documents.as_array().unwrap().iter().filter(|document| !attached.contains(document)) {
            session.post(&path, document).await.expect(201);
        }
        assert_eq!(session.patch(&own, &accept).await.expect(200).body["status"], "ACCEPTED");
    }
    let (_, path) = paths(&world.investment(&campaign, json!({})).await.expect(201).id());
    let id = &documents[0]["document_id"];
    for (body, pointer, code) in [
        (json!({"document_type": "passport", "document_id": id}), "/document_type", "invalid_value"),
        (json!({"document_type": "EFFECTA_DOCUMENT", "document_id": id}), "/document_type", "invalid_value"),
        (json!({"document_id": id}), "/document_type", "missing"),
        (json!({"document_type": DOCUMENT}), "/document_id", "missing"),
        (json!({"document_type": DOCUMENT, "document_id": Uuid::from_u128(1)}), "/document_id", "not_found"),
        (json!({"document_type": DOCUMENT, "document_id": "x"}), "/document_id", "invalid_value"),
        (json!({"document_type": DOCUMENT, "document_id": id, "signed_at": GUIDE_DATE}), "/signed_at", "unknown_field"),
    ] {
        session.post(&path, &body).await.expect_fault(pointer, code);
    }
    assert_eq!(session.get(&path).await.expect(200).body["count"], 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_a_signed_document_stays_and_further_ones_stand_beside_it() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let investment = world.paid_investment(&campaign).await;
    let (own, path) = paths(&investment);
    let listed = async || session.get(&path).await.expect(200).body["results"].as_array().unwrap().clone();
    let before = listed().await;
    assert_eq!(before.len(), 2);
    let newer = session.upload("newer.pdf").await.expect(201).id();
    let body = json!({"document_type": DOCUMENT, "document_id": newer});
    let dry = session.send(Method::POST, &format!("{path}?dry_run=true"), None, Some(&body)).await.expect(200);
    assert_eq!(dry.body["document_id"], newer);
    assert_eq!(listed().await, before);
    let key = make_key();
    let attached = session.send(Method::POST, &path, Some(&key), Some(&body)).await.expect(201);
    let again = session.send(Method::POST, &path, Some(&key), Some(&body)).await.expect(201);
    assert_eq!((again.is_replay(), &again.text), (true, &attached.text));
    let after = listed().await;
    assert_eq!((&after[..2], &after[2..]), (&before[..], &[attached.body.clone()][..]), "after acceptance, beside the others");
    assert_eq!(session.get(&own).await.expect(200).body["signed_documents"], Value::Array(after.clone()));
    let single = format!("{path}{}/", attached.id());
    for method in [Method::DELETE, Method::PUT, Method::PATCH] {
        assert_eq!(session.send(method.clone(), &path, Some(&make_key()), Some(&body)).await.status, 405, "{method}");
        assert_eq!(session.send(method, &single, Some(&make_key()), Some(&body)).await.status, 404);
        let document = format!("/distributor/v2/documents/{newer}/");
        assert_eq!(session.send(Method::DELETE, &document, Some(&make_key()), None).await.status, 405);
    }
    assert_eq!(listed().await, after);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_documents_are_readable_in_every_status_by_who_may_see_the_investment() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    let stranger = world.tenant(OrganisationKind::Issuer, "Another Issuer").await;
    let issuer = world.issuer().await;
    let document = session.upload("conditions.pdf").await.expect(201);
    let document_path = |api: &str| format!("/{api}/v2/documents/{}/", document.id());
    issuer.get(&document_path("issuer")).await.expect(404);
    let both = world.signed_documents(&session).await;
    let attached = json!({"signed_documents": [both[0], both[1], {"document_type": DOCUMENT, "document_id": document.id()}]});
    let aborted = world.investment(&campaign, attached.clone()).await.expect(201).id();
    let (own, _) = paths(&aborted);
    session.post(&format!("{own}cancellation/"), &json!({"cancellation_date": GUIDE_DATE})).await.expect(200);
    let facts = json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": world.handout.wallet_id});
    let delivered = world.investment(&campaign, crate::world::merged(attached.clone(), facts)).await.expect(201).id();
    let credit = session.post_empty(&format!("{}credits/", paths(&delivered).0)).await.expect(201).id();
    session.ended_credit(&delivered, &credit).await;
    let waiting = world.investment(&campaign, attached).await.expect(201).id();
    for (investment, status) in [(aborted, "ABORTED"), (delivered, "DELIVERED"), (waiting, "WAITING_FOR_ACCEPTANCE")] {
        let (own, path) = paths(&investment);
        let shown = session.get(&own).await.expect(200).body;
        assert_eq!(shown["status"], status);
        let listed = session.get(&path).await.expect(200).body;
        assert_eq!((&listed["count"], &listed["results"]), (&json!(3), &shown["signed_documents"]));
        theirs.get(&path).await.expect(404);
        theirs.post(&path, &both[0]).await.expect(404);
    }
    assert_eq!(issuer.get(&document_path("issuer")).await.expect(200).body, document.body, "attached, so the issuer may read it");
    issuer.get(&format!("{}content/", document_path("issuer"))).await.expect(200);
    stranger.get(&document_path("issuer")).await.expect(404);
    theirs.get(&document_path("distributor")).await.expect(404);
    world.stop().await;
}
