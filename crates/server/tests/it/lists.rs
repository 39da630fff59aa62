//! Lists: pages in both directions, counts, filters.

use domain::investor::PersonKind;
use domain::organisation::OrganisationKind;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use server::operations::investor::KycResult;

use crate::world::{GUIDE_DATE, Session, World, merged};

const PATH: &str = "/distributor/v2/investments/";

/// Follows an absolute address of the program.
async fn follow(session: &Session, address: &str) -> Value {
    let path = address.strip_prefix(&session.url).unwrap_or_else(|| panic!("{address} is not an absolute address of this API"));
    session.get(path).await.expect(200).body
}

fn ids(page: &Value) -> Vec<String> {
    page["results"].as_array().unwrap().iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

/// Creates investments, some at a time.
async fn create(session: &Session, bodies: Vec<Value>) -> Vec<String> {
    let created = stream::iter(bodies).map(|body| async move { session.post(PATH, &body).await.expect(201).id() });
    created.buffer_unordered(32).collect().await
}

/// Every page from an address on, in one direction.
async fn walk(session: &Session, mut page: Value, direction: &str) -> Vec<Vec<String>> {
    let mut pages = vec![ids(&page)];
    while let Some(address) = page[direction].as_str().map(str::to_owned) {
        page = follow(session, &address).await;
        pages.push(ids(&page));
    }
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_forwards_and_backwards_without_a_gap_or_a_repeat() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let body = merged(world.investment_body(&campaign), json!({"units": 1}));
    let mut created = create(&session, vec![body.clone(); 215]).await;
    created.sort();
    let all = session.get(&format!("{PATH}?limit=200")).await.expect(200).body;
    assert_eq!((ids(&all).len(), &all["count"], &all["previous"]), (200, &json!(215), &Value::Null));
    for (limit, expected) in [(200, 2), (43, 5), (7, 31), (1, 215)] {
        let first = session.get(&format!("{PATH}?limit={limit}")).await.expect(200).body;
        let forwards = walk(&session, first.clone(), "next").await;
        assert_eq!(forwards.len(), expected);
        let mut seen = forwards.concat();
        assert!(forwards.iter().rev().skip(1).all(|page| page.len() == limit));
        if limit == 43 {
            let mut page = first;
            while let Some(next) = page["next"].as_str().map(str::to_owned) {
                page = follow(&session, &next).await;
            }
            let mut backwards = walk(&session, page, "previous").await;
            backwards.reverse();
            assert_eq!(backwards, forwards, "the same pages, read backwards");
        }
        seen.sort();
        assert_eq!(seen, created, "limit {limit}");
    }
    let times: Vec<&Value> = all["results"].as_array().unwrap().iter().map(|object| &object["created_at"]).collect();
    assert!(times.windows(2).all(|pair| pair[0].as_str() <= pair[1].as_str()), "oldest first");

    // What is added while somebody reads comes at the end, and shifts nothing.
    let first = session.get(&format!("{PATH}?limit=200")).await.expect(200).body;
    let late = create(&session, vec![body]).await;
    let rest = follow(&session, first["next"].as_str().unwrap()).await;
    assert_eq!((ids(&rest).len(), ids(&rest).last(), &rest["count"]), (16, late.last(), &json!(216)));
    assert_eq!(session.get(PATH).await.expect(200).body["results"].as_array().unwrap().len(), 20, "twenty unless asked");
    for (query, pointer, code) in [
        ("limit=201", "?limit", "out_of_range"),
        ("limit=0", "?limit", "out_of_range"),
        ("limit=-1", "?limit", "invalid_value"),
        ("cursor=AAAA", "?cursor", "invalid_value"),
        ("offset=2", "?offset", "unknown_field"),
    ] {
        session.get(&format!("{PATH}?{query}")).await.expect_fault(pointer, code);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_belongs_to_its_tenant_its_list_and_its_filters() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    create(&session, vec![world.investment_body(&campaign); 3]).await;
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    let page = session.get(&format!("{PATH}?limit=1&campaign_id={campaign}")).await.expect(200).body;
    let next = page["next"].as_str().unwrap();
    assert!(next.contains(&format!("campaign_id={campaign}")) && next.contains("limit=1"), "{next}");
    assert_eq!(ids(&follow(&session, next).await).len(), 1);
    let cursor = next.split("cursor=").nth(1).unwrap().split('&').next().unwrap();
    for path in [
        format!("{PATH}?cursor={cursor}"),
        format!("{PATH}?cursor={cursor}&status=PAID"),
        format!("/distributor/v2/investors/?cursor={cursor}"),
    ] {
        session.get(&path).await.expect_fault("?cursor", "invalid_value");
    }
    let foreign = format!("{PATH}?campaign_id={campaign}&limit=1&cursor={cursor}");
    theirs.get(&foreign).await.expect_fault("?cursor", "invalid_value");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_a_campaigns_surroundings_has_the_same_shape() {
    let world = World::start().await;
    let (session, issuer) = (world.distributor().await, world.issuer().await);
    let campaign = world.campaign(json!({})).await;
    let investment = world.paid_investment(&campaign).await;
    let (product, investor) = (world.handout.product_id, world.handout.investor_id);
    for (caller, path, count) in [
        (&session, "/distributor/v2/products/".to_owned(), 1),
        (&session, format!("/distributor/v2/products/{product}/campaigns/"), 1),
        (&session, "/distributor/v2/investors/".to_owned(), 1),
        (&session, format!("/distributor/v2/investors/{investor}/wallets/"), 1),
        (&session, format!("{PATH}{investment}/signed-documents/"), 2),
        (&session, format!("{PATH}{investment}/credits/"), 0),
        (&issuer, "/issuer/v2/products/".to_owned(), 1),
        (&issuer, format!("/issuer/v2/products/{product}/campaigns/"), 1),
        (&issuer, "/issuer/v2/issuers/".to_owned(), 1),
        (&issuer, "/issuer/v2/listings/".to_owned(), 1),
        (&issuer, "/issuer/v2/distribution-platforms/".to_owned(), 1),
        (&issuer, "/issuer/v2/investments/".to_owned(), 1),
    ] {
        let page = caller.get(&path).await.expect(200).body;
        let members: Vec<&String> = page.as_object().unwrap().keys().collect();
        assert_eq!(members, ["count", "next", "previous", "results"], "{path}");
        assert_eq!((&page["count"], ids(&page).len()), (&json!(count), count), "{path}");
        if count == 2 {
            let first = caller.get(&format!("{path}?limit=1")).await.expect(200).body;
            let second = follow(caller, first["next"].as_str().unwrap()).await;
            assert_eq!([ids(&first), ids(&second)].concat(), ids(&page));
            assert_eq!(follow(caller, second["previous"].as_str().unwrap()).await, first);
        }
    }
    world.stop().await;
}

/// Six investments that differ in everything that can be filtered by.
async fn mixed(world: &World, session: &Session) -> Vec<Value> {
    let product = world.product(|_| {}).await;
    world.list(&product, session.organisation_id).await;
    let campaigns =
        [world.campaign(json!({})).await, world.campaign(json!({})).await, world.campaign_of(product.id.uuid(), json!({})).await];
    let other = world.investor(session.organisation_id, PersonKind::Natural, true).await;
    let other_wallet = world.wallet(session.organisation_id, other, [1; 20]).await;
    let unknown = world.investor(session.organisation_id, PersonKind::Natural, false).await;
    let failing = world.investor(session.organisation_id, PersonKind::Natural, false).await;
    let documents = world.signed_documents(session).await;
    let paid = json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "signed_documents": documents});
    let mut created = Vec::new();
    for (campaign, change) in [
        (0, json!({"wallet": world.handout.wallet_id})),
        (1, json!({"investor_id": other.uuid(), "wallet": other_wallet})),
        (2, merged(paid, json!({"wallet": world.handout.wallet_id}))),
        (2, json!({"investor_id": unknown.uuid()})),
        (0, json!({"investor_id": failing.uuid()})),
        (0, json!({})),
    ] {
        created.push(world.investment(&campaigns[campaign], change).await.expect(201).id());
    }
    world.record_kyc(failing, KycResult::Failed).await;
    let cancellation = json!({"cancellation_date": GUIDE_DATE});
    session.post(&format!("{PATH}{}/cancellation/", created[5]), &cancellation).await.expect(200);
    let mut investments = Vec::new();
    for id in created {
        investments.push(session.get(&format!("{PATH}{id}/")).await.expect(200).body);
    }
    investments
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_alone_and_together_give_exactly_what_they_name() {
    let world = World::start().await;
    let (session, issuer) = (world.distributor().await, world.issuer().await);
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    let stranger = world.tenant(OrganisationKind::Issuer, "Another Issuer").await;
    let investments = mixed(&world, &session).await;
    let names = ["status", "campaign_id", "investor_id", "product_id", "wallet"];
    // Every set of filters, with the values of every investment in turn.
    for pattern in &investments {
        for chosen in 0..32_usize {
            let filters = (0..5).filter(|bit| chosen >> bit & 1 == 1 && pattern[names[*bit]].is_string()).map(|bit| names[bit]);
            let filters: Vec<&str> = filters.collect();
            let fits = |investment: &&Value| filters.iter().all(|name| investment[*name] == pattern[*name]);
            let expected: Vec<&str> = investments.iter().filter(fits).map(|found| found["id"].as_str().unwrap()).collect();
            let query: Vec<String> = filters.iter().map(|name| format!("{name}={}", pattern[*name].as_str().unwrap())).collect();
            for (caller, path) in [(&session, PATH), (&issuer, "/issuer/v2/investments/")] {
                let page = caller.get(&format!("{path}?{}", query.join("&"))).await.expect(200).body;
                assert_eq!(
                    (ids(&page), &page["count"]),
                    (expected.iter().map(ToString::to_string).collect(), &json!(expected.len())),
                    "{query:?}"
                );
            }
        }
    }
    let alias = session.get(&format!("{PATH}?status=ABORTION")).await.expect(200).body;
    assert_eq!(alias["results"], session.get(&format!("{PATH}?status=ABORTED")).await.expect(200).body["results"]);
    assert_eq!(ids(&alias), [investments[5]["id"].as_str().unwrap()]);
    for (caller, path) in [(&theirs, PATH), (&stranger, "/issuer/v2/investments/")] {
        for name in ["campaign_id", "investor_id", "product_id", "wallet"] {
            let page = caller.get(&format!("{path}?{name}={}", investments[0][name].as_str().unwrap())).await.expect(200).body;
            assert_eq!((&page["count"], ids(&page).len()), (&json!(0), 0), "a foreign {name} finds nothing");
        }
    }
    for (query, pointer, code) in [
        ("status=OPEN", "?status", "invalid_value"),
        ("status=paid", "?status", "invalid_value"),
        ("investor_id=1", "?investor_id", "invalid_value"),
        ("units=10", "?units", "unknown_field"),
    ] {
        session.get(&format!("{PATH}?{query}")).await.expect_fault(pointer, code);
    }
    world.stop().await;
}
