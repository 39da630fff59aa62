//! What a platform finds: products listed on it, and its own campaigns.

use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Session, World, make_key, merged};

async fn ids(session: &Session, path: &str) -> Vec<String> {
    let page = session.get(path).await.expect(200).body;
    let members: Vec<&String> = page.as_object().unwrap().keys().collect();
    assert_eq!(members, ["count", "next", "previous", "results"], "the guide's list shape");
    let results = page["results"].as_array().unwrap();
    assert_eq!(page["count"], results.len());
    results.iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_finds_only_what_is_listed_on_it_and_made_for_it() {
    let world = World::start().await;
    let ours = world.distributor().await;
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    let unlisted = world.product(|_| {}).await;
    let shared = world.product(|_| {}).await;
    world.list(&shared, ours.organisation_id).await;
    world.list(&shared, theirs.organisation_id).await;
    let (seeded, shared_id) = (world.handout.product_id.to_string(), shared.id.to_string());
    let (our_campaign, their_campaign) = (
        world.campaign_of(shared.id.uuid(), json!({})).await,
        world.campaign_of(shared.id.uuid(), json!({"distribution_platform_id": theirs.organisation_id})).await,
    );

    let products = "/distributor/v2/products/";
    assert_eq!(ids(&ours, products).await, [seeded.clone(), shared_id.clone()], "oldest first");
    assert_eq!(ids(&theirs, products).await, [shared_id.as_str()]);
    let campaigns = format!("{products}{shared_id}/campaigns/");
    assert_eq!(ids(&ours, &campaigns).await, [our_campaign.as_str()]);
    assert_eq!(ids(&theirs, &campaigns).await, [their_campaign.as_str()]);
    assert_eq!(ids(&ours, &format!("{products}{seeded}/campaigns/")).await, [""; 0]);
    let product = ours.get(&format!("{products}{shared_id}/")).await.expect(200).body;
    assert_eq!((&product["id"], &product["max_issuable_amount"]), (&json!(shared_id), &json!(1_000_000)));
    ours.get(&format!("{campaigns}{our_campaign}/")).await.expect(200);

    let nothing = ours.get(&format!("{products}00000000-0000-7000-8000-000000000000/")).await.expect(404);
    for (session, path) in [
        (&ours, format!("{products}{}/", unlisted.id)),
        (&ours, format!("{products}{}/campaigns/", unlisted.id)),
        (&ours, format!("{campaigns}{their_campaign}/")),
        (&ours, format!("{products}{seeded}/campaigns/{our_campaign}/")),
        (&theirs, format!("{products}{seeded}/")),
        (&theirs, format!("{products}{seeded}/campaigns/")),
        (&theirs, format!("{campaigns}{our_campaign}/")),
    ] {
        let hidden = session.get(&path).await.expect(404);
        let without_id = |body: &Value| merged(body.clone(), json!({"instance": null}));
        assert_eq!(without_id(&hidden.body), without_id(&nothing.body), "{path} tells nothing");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_its_slash_is_the_same_resource() {
    let world = World::start().await;
    let (distributor, issuer) = (world.distributor().await, world.issuer().await);
    let product = format!("/distributor/v2/products/{}", world.handout.product_id);
    for path in ["/distributor/v2/products".to_owned(), product.clone(), format!("{product}/campaigns")] {
        let slashed = distributor.get(&format!("{path}/")).await.expect(200);
        assert_eq!(distributor.get(&path).await.expect(200).body, slashed.body);
    }
    let path = format!("/issuer/v2/products/{}/campaigns", world.handout.product_id);
    let (key, body) = (make_key(), world.campaign_body());
    let created = issuer.send(Method::POST, &path, Some(&key), Some(&body)).await.expect(201);
    let again = issuer.send(Method::POST, &format!("{path}/"), Some(&key), Some(&body)).await.expect(201);
    assert!(again.is_replay());
    assert_eq!(again.text, created.text);
    let paged = distributor.get(&format!("{product}/campaigns?limit=1")).await.expect(200);
    assert_eq!(paged.body["results"][0]["id"], created.id());
    world.stop().await;
}
