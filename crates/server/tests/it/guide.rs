//! The guide's journey, and what a restart keeps of it.

use serde_json::json;
use server::verify::verify;

use crate::world::{GUIDE_DATE, World, database_of};

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_ends_delivered_and_a_restart_keeps_everything() {
    let world = World::start().await;
    let campaign = world.campaign(json!({})).await;
    let session = world.distributor().await;
    let found = session.get("/distributor/v2/products/").await.expect(200);
    assert_eq!(found.body["results"][0]["id"], world.handout.product_id.to_string());
    let created = world.investment(&campaign, json!({})).await.expect(201);
    assert_eq!(created.body["status"], "WAITING_FOR_ACCEPTANCE");
    let path = format!("/distributor/v2/investments/{}/", created.id());
    for document in world.signed_documents(&session).await.as_array().unwrap() {
        session.post(&format!("{path}signed-documents/"), document).await.expect(201);
    }
    for (change, status) in [
        (json!({"accepted_at": GUIDE_DATE}), "ACCEPTED"),
        (json!({"paid_at": GUIDE_DATE}), "PAID"),
        (json!({"wallet": world.handout.wallet_id}), "PAID"),
    ] {
        assert_eq!(session.patch(&path, &change).await.expect(200).body["status"], status);
    }
    let credit = session.post_empty(&format!("{path}credits/")).await.expect(201);
    assert_eq!(credit.body["status"], "processing");
    let ended = session.ended_credit(&created.id(), &credit.id()).await;
    assert_eq!(ended["status"], "succeeded");
    let delivered = session.get(&path).await.expect(200);
    assert_eq!(delivered.body["status"], "DELIVERED");
    let (handout, folder) = (world.handout.clone(), world.stop().await);

    let report = verify(&folder.path().join("data"), database_of(folder.path()).as_deref()).await.unwrap();
    assert_eq!((report.issues, report.units), (1, 10));
    let again = World::start_in(folder, |_| {}).await;
    assert_eq!((&again.handout.issuer, &again.handout.distributor), (&handout.issuer, &handout.distributor));
    assert_eq!((again.handout.product_id, again.handout.wallet_id), (handout.product_id, handout.wallet_id));
    let session = again.distributor().await;
    assert_eq!(session.get(&path).await.expect(200).text, delivered.text);
    again.stop().await;
}
