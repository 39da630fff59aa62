//! Campaigns of the issuer: every success and every refusal.

use domain::organisation::OrganisationKind;
use domain::units::{UNITS_MAX, Units};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Reply, Session, World, make_key, merged};

/// A product of `units` units in all, listed on the seeded platform, and the path of its campaigns.
async fn listed_product(world: &World, units: u64) -> (Uuid, String) {
    let product = world.product(|terms| terms.issuable_units_max = Units::new(units).unwrap()).await;
    world.list(&product, world.handout.distribution_platform_id).await;
    (product.id.uuid(), campaigns_path(product.id.uuid()))
}

fn campaigns_path(product_id: Uuid) -> String {
    format!("/issuer/v2/products/{product_id}/campaigns/")
}

fn euros(cents: &str) -> Value {
    json!({"amount": cents, "decimals": 2, "currency": "EUR"})
}

/// Switches a campaign.
async fn switch(issuer: &Session, path: &str, is_active: bool) -> Reply {
    issuer.patch(path, &json!({"is_campaign_active": is_active})).await
}

/// The limit and the actual value of the only failed rule.
#[track_caller]
fn measured(reply: &Reply) -> (String, String) {
    let rules = reply.body["failed_rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1, "{}", reply.text);
    assert_eq!(rules[0]["rule"], reply.body["code"]);
    (rules[0]["limit"].as_str().unwrap().to_owned(), rules[0]["actual"].as_str().unwrap().to_owned())
}

async fn count(session: &Session, path: &str) -> u64 {
    session.get(path).await.expect(200).body["count"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_shows_every_field_it_was_created_with() {
    let world = World::start().await;
    let (product_id, path) = listed_product(&world, UNITS_MAX).await;
    let (issuer, distributor) = (world.issuer().await, world.distributor().await);
    let limits = json!({
        "allocation": UNITS_MAX - 10_000, "min_number_of_tokens": UNITS_MAX, "max_number_of_tokens": UNITS_MAX,
        "price_per_token": {"amount": "1000000000000000000", "decimals": 18, "currency": "KWD"},
        "name": "Ü".repeat(255), "legal_persons_allowed": false, "country": "FRA", "rule_type": "minimum_investment_amount",
        "minimum_investment_amount": {"amount": "1000000000000000000", "decimals": 3, "currency": "KWD"},
        "agio_percent": "99.999999", "is_campaign_active": true,
    });
    for change in [json!({}), json!({"is_campaign_active": false, "natural_persons_allowed": false}), limits] {
        let body = merged(world.campaign_body(), change);
        let created = issuer.post(&path, &body).await.expect(201);
        let is_active = body["is_campaign_active"] == true;
        let shown = json!({
            "id": created.id(), "product_id": product_id, "created_at": created.body["created_at"],
            "units_available": if is_active { body["allocation"].clone() } else { json!(0) },
            "minimum_investment_amount": body["minimum_investment_amount"],
            "agio_percent": body.get("agio_percent").cloned().unwrap_or(json!("0")),
        });
        let mut expected = merged(body.clone(), shown);
        expected["minimum_investment_amount"] = body["minimum_investment_amount"].clone();
        assert_eq!(created.body, expected);
        let own = format!("products/{product_id}/campaigns/{}/", created.id());
        assert_eq!(issuer.get(&format!("/issuer/v2/{own}")).await.expect(200).body, expected);
        assert_eq!(distributor.get(&format!("/distributor/v2/{own}")).await.expect(200).body, expected);
    }
    let listed = issuer.get(&path).await.expect(200).body;
    assert_eq!((&listed["count"], &listed["next"], &listed["previous"]), (&json!(3), &Value::Null, &Value::Null));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_eleven_fields_is_required_and_checked() {
    let world = World::start().await;
    let (_, path) = listed_product(&world, 1_000).await;
    let issuer = world.issuer().await;
    let body = merged(world.campaign_body(), json!({"allocation": 10}));
    let names: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 11);
    for name in names {
        let change = json!({ name.as_str(): null });
        let pointer = format!("/{name}");
        issuer.post(&path, &merged(body.clone(), change)).await.expect_fault(&pointer, "missing");
        let mut null = body.clone();
        null[&name] = Value::Null;
        issuer.post(&path, &null).await.expect_fault(&pointer, "wrong_type");
    }
    for (change, pointer, code) in [
        (json!({"allocation": 0}), "/allocation", "out_of_range"),
        (json!({"allocation": -1}), "/allocation", "out_of_range"),
        (json!({"allocation": UNITS_MAX + 1}), "/allocation", "out_of_range"),
        (json!({"allocation": "10"}), "/allocation", "wrong_type"),
        (json!({"min_number_of_tokens": 0}), "/min_number_of_tokens", "out_of_range"),
        (json!({"min_number_of_tokens": 101}), "/max_number_of_tokens", "out_of_range"),
        (json!({"name": " "}), "/name", "invalid_value"),
        (json!({"name": "x".repeat(256)}), "/name", "invalid_value"),
        (json!({"country": "DE"}), "/country", "invalid_value"),
        (json!({"rule_type": "private_placement"}), "/rule_type", "invalid_value"),
        (json!({"legal_persons_allowed": "true"}), "/legal_persons_allowed", "wrong_type"),
        (json!({"price_per_token": "1.00"}), "/price_per_token", "wrong_type"),
        (json!({"price_per_token": euros("0")}), "/price_per_token/amount", "invalid_value"),
        (json!({"price_per_token": euros("1.00")}), "/price_per_token/amount", "invalid_value"),
        (json!({"price_per_token": euros("1000000000000000001")}), "/price_per_token/amount", "invalid_value"),
        (json!({"agio_percent": "100.1"}), "/agio_percent", "invalid_value"),
        (json!({"agio_percent": 2}), "/agio_percent", "wrong_type"),
        (json!({"distribution_platform_id": Uuid::from_u128(7)}), "/distribution_platform_id", "not_found"),
        (json!({"distribution_platform_id": issuer.organisation_id}), "/distribution_platform_id", "not_found"),
        (json!({"status": "x"}), "/status", "unknown_field"),
    ] {
        issuer.post(&path, &merged(body.clone(), change)).await.expect_fault(pointer, code);
    }
    assert_eq!(count(&issuer, &path).await, 0, "nothing was written");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_minimum_investment_amount_belongs_to_its_rule_type() {
    let world = World::start().await;
    let (_, path) = listed_product(&world, 1_000).await;
    let issuer = world.issuer().await;
    let at = "/minimum_investment_amount";
    let dollars = json!({"amount": "100", "decimals": 2, "currency": "USD"});
    for (rule_type, minimum, pointer, code) in [
        ("minimum_investment_amount", Value::Null, at, "missing"),
        ("public_offering", euros("100"), at, "invalid_value"),
        ("minimum_investment_amount", dollars, "/minimum_investment_amount/currency", "invalid_value"),
        ("minimum_investment_amount", json!("100"), at, "wrong_type"),
    ] {
        let change = json!({"allocation": 10, "rule_type": rule_type, "minimum_investment_amount": minimum});
        issuer.post(&path, &merged(world.campaign_body(), change)).await.expect_fault(pointer, code);
    }
    assert_eq!(count(&issuer, &path).await, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_must_be_listed_and_ones_own() {
    let world = World::start().await;
    let product = world.product(|_| {}).await;
    let (issuer, path) = (world.issuer().await, campaigns_path(product.id.uuid()));
    let other = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    world.list(&product, other.organisation_id).await;
    let body = world.campaign_body();
    issuer.post(&path, &body).await.expect_refused("product_not_listed");
    assert_eq!(count(&issuer, &path).await, 0);
    world.list(&product, world.handout.distribution_platform_id).await;
    let created = issuer.post(&path, &body).await.expect(201);

    let stranger = world.tenant(OrganisationKind::Issuer, "Another Issuer").await;
    let own = format!("{path}{}/", created.id());
    stranger.post(&path, &body).await.expect(404);
    stranger.get(&path).await.expect(404);
    stranger.get(&own).await.expect(404);
    switch(&stranger, &own, false).await.expect(404);
    // The campaign is not one of this other product of the same issuer.
    let elsewhere = format!("{}{}/", campaigns_path(world.handout.product_id), created.id());
    issuer.get(&elsewhere).await.expect(404);
    switch(&issuer, &elsewhere, false).await.expect(404);
    assert_eq!(issuer.get(&own).await.expect(200).body, created.body);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_campaigns_together_hold_no_more_than_the_product_has() {
    let world = World::start().await;
    let (product_id, path) = listed_product(&world, 100).await;
    let issuer = world.issuer().await;
    let create = |allocation: u64, is_active: bool| {
        let change = json!({"allocation": allocation, "is_campaign_active": is_active});
        let (issuer, path, body) = (issuer.clone(), path.clone(), merged(world.campaign_body(), change));
        async move { issuer.post(&path, &body).await }
    };
    let refused = create(101, true).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("100".into(), "101".into()));
    let first = create(60, true).await.expect(201).id();
    let inactive = create(100, false).await.expect(201).id();
    let refused = create(41, true).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("40".into(), "41".into()), "an inactive campaign without sales holds nothing");
    let refused = switch(&issuer, &format!("{path}{inactive}/"), true).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("40".into(), "100".into()));

    // Ten sold, so switching off gives back fifty.
    let sold = world.investment(&first, json!({"units": 10})).await.expect(201).id();
    let first_path = format!("{path}{first}/");
    let off = switch(&issuer, &first_path, false).await.expect(200);
    assert_eq!((&off.body["is_campaign_active"], &off.body["units_available"]), (&json!(false), &json!(0)));
    let refused = create(91, true).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("90".into(), "91".into()), "the ten sold stay taken");
    let second = format!("{path}{}/", create(41, true).await.expect(201).id());
    let refused = switch(&issuer, &first_path, true).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("49".into(), "50".into()));
    assert_eq!(issuer.get(&first_path).await.expect(200).body, off.body, "a refusal changes nothing");

    // The cancelled units of an inactive campaign go to the product: 41 are held now, 59 are free.
    let distributor = world.distributor().await;
    let cancellation = json!({"cancellation_date": crate::world::GUIDE_DATE});
    distributor.post(&format!("/distributor/v2/investments/{sold}/cancellation/"), &cancellation).await.expect(200);
    let refused = create(60, true).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("59".into(), "60".into()));
    switch(&issuer, &second, false).await.expect(200);
    let on = switch(&issuer, &first_path, true).await.expect(200);
    assert_eq!((&on.body["is_campaign_active"], &on.body["units_available"]), (&json!(true), &json!(60)));
    assert_eq!(switch(&issuer, &first_path, true).await.expect(200).body, on.body, "switching on twice is once");
    let refused = create(41, true).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("40".into(), "41".into()));
    let product = issuer.get(&format!("/issuer/v2/products/{product_id}/")).await.expect(200);
    assert_eq!(product.body["max_issuable_amount"], 100);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_return_to_an_active_campaign_and_not_to_the_product() {
    let world = World::start().await;
    let (_, path) = listed_product(&world, 100).await;
    let (issuer, distributor) = (world.issuer().await, world.distributor().await);
    let body = merged(world.campaign_body(), json!({"allocation": 60}));
    let campaign = issuer.post(&path, &body).await.expect(201).id();
    let sold = world.investment(&campaign, json!({"units": 60})).await.expect(201).id();
    let available = async || issuer.get(&format!("{path}{campaign}/")).await.expect(200).body["units_available"].clone();
    assert_eq!(available().await, 0);
    let cancellation = json!({"cancellation_date": crate::world::GUIDE_DATE});
    distributor.post(&format!("/distributor/v2/investments/{sold}/cancellation/"), &cancellation).await.expect(200);
    assert_eq!(available().await, 60);
    let refused = issuer.post(&path, &merged(body, json!({"allocation": 41}))).await.expect_refused("product_total_exceeded");
    assert_eq!(measured(&refused), ("40".into(), "41".into()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_nothing_but_is_campaign_active_can_be_changed() {
    let world = World::start().await;
    let (_, path) = listed_product(&world, 100_000).await;
    let (issuer, body) = (world.issuer().await, world.campaign_body());
    let created = issuer.post(&path, &body).await.expect(201);
    let own = format!("{path}{}/", created.id());
    let extra = json!({"minimum_investment_amount": euros("100"), "agio_percent": "1"});
    let fixed = merged(merged(body, json!({"is_campaign_active": null})), extra);
    assert_eq!(fixed.as_object().unwrap().len(), 12);
    for (name, value) in fixed.as_object().unwrap() {
        for value in [value, &Value::Null, &json!("another")] {
            for change in [json!({ name: value }), json!({ name: value, "is_campaign_active": false })] {
                let refused = issuer.patch(&own, &change).await.expect_refused("campaign_immutable");
                let errors = json!([{"pointer": format!("/{name}"), "code": "immutable", "message": "cannot be changed"}]);
                assert_eq!(refused.body["errors"], errors);
            }
        }
    }
    let several = json!({"country": "FRA", "allocation": 1, "is_campaign_active": false});
    let refused = issuer.patch(&own, &several).await.expect_refused("campaign_immutable");
    let named: Vec<&Value> = refused.body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(named, ["/allocation", "/country"], "every field is named");
    for (change, pointer, code) in [
        (json!({"id": "x", "is_campaign_active": false}), "/id", "unknown_field"),
        (json!({"units_available": 1}), "/units_available", "unknown_field"),
        (json!({"is_campaign_active": null}), "/is_campaign_active", "wrong_type"),
        (json!({"is_campaign_active": 0}), "/is_campaign_active", "wrong_type"),
    ] {
        issuer.patch(&own, &change).await.expect_fault(pointer, code);
    }
    assert_eq!(issuer.patch(&own, &json!({})).await.expect(200).body, created.body);
    assert_eq!(issuer.get(&own).await.expect(200).body, created.body, "nothing has changed");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agio_is_the_products_unless_the_campaign_states_its_own() {
    let world = World::start().await;
    let agio = domain::money::Percent::parse("2.5").unwrap();
    let product = world.product(|terms| terms.agio_percent = agio).await;
    world.list(&product, world.handout.distribution_platform_id).await;
    let (issuer, path) = (world.issuer().await, campaigns_path(product.id.uuid()));
    for (stated, shown) in [(Value::Null, "2.5"), (json!("0"), "0"), (json!("7.25"), "7.25")] {
        let body = merged(world.campaign_body(), json!({"agio_percent": stated}));
        assert_eq!(issuer.post(&path, &body).await.expect(201).body["agio_percent"], shown);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_campaign_answers_as_the_act_would_and_records_nothing() {
    let world = World::start().await;
    let (_, path) = listed_product(&world, 10_000).await;
    let (issuer, body) = (world.issuer().await, world.campaign_body());
    let dry_path = format!("{path}?dry_run=true");
    let dry = issuer.send(Method::POST, &dry_path, None, Some(&body)).await.expect(200);
    assert_eq!((&dry.body["allocation"], &dry.body["units_available"]), (&json!(10_000), &json!(10_000)));
    assert_eq!(count(&issuer, &path).await, 0);
    let key = make_key();
    issuer.send(Method::POST, &dry_path, Some(&key), Some(&body)).await.expect(200);
    let created = issuer.send(Method::POST, &path, Some(&key), Some(&body)).await.expect(201);
    assert!(!created.is_replay(), "a dry run does not use up its key");
    issuer.send(Method::POST, &dry_path, None, Some(&body)).await.expect_refused("product_total_exceeded");

    let own = format!("{path}{}/", created.id());
    let off = json!({"is_campaign_active": false});
    let dry = issuer.patch(&format!("{own}?dry_run=true"), &off).await.expect(200);
    assert_eq!(dry.body["is_campaign_active"], false);
    assert_eq!(issuer.get(&own).await.expect(200).body, created.body);
    issuer.patch(&format!("{own}?dry_run=true"), &json!({"name": "x"})).await.expect_refused("campaign_immutable");
    world.stop().await;
}
