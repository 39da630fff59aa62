//! Creating investments: the campaign's rules, identification, amounts, and who sees what.

use domain::instant::Instant;
use domain::investor::PersonKind;
use domain::money::Percent;
use domain::organisation::OrganisationKind;
use domain::units::Units;
use reqwest::Method;
use serde_json::{Value, json};
use server::operations::investor::KycResult;
use uuid::Uuid;

use crate::world::{GUIDE_DATE, Reply, World, make_key, merged};

const PATH: &str = "/distributor/v2/investments/";

fn euros(cents: &str) -> Value {
    json!({"amount": cents, "decimals": 2, "currency": "EUR"})
}

/// Every failed rule with its limit and actual value.
fn failed(reply: &Reply) -> Vec<(String, Value, Value)> {
    let rules = reply.body["failed_rules"].as_array().unwrap().iter();
    rules.map(|rule| (rule["rule"].as_str().unwrap().to_owned(), rule["limit"].clone(), rule["actual"].clone())).collect()
}

async fn units_available(world: &World, campaign: &str) -> u64 {
    let path = format!("/distributor/v2/products/{}/campaigns/{campaign}/", world.handout.product_id);
    world.distributor().await.get(&path).await.expect(200).body["units_available"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_investment_is_created_with_everything_in_the_first_call() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let documents = world.signed_documents(&session).await;
    let plain = world.investment(&campaign, json!({})).await.expect(201);
    let expected = json!({
        "id": plain.id(), "product_id": world.handout.product_id, "campaign_id": campaign,
        "investor_id": world.handout.investor_id, "wallet": null, "units": 10, "remaining_amount": 10,
        "status": "WAITING_FOR_ACCEPTANCE", "investment_type": "primary", "signed_at": GUIDE_DATE, "accepted_at": null,
        "paid_at": null, "delivered_at": null, "cancellation_date": null, "cancellation_reason": null, "signed_documents": [],
        "investment_amount": euros("1000"), "agio": euros("0"), "disagio": euros("0"), "accrued_interest": euros("0"),
        "payment_total": euros("1000"), "payment_provisional": true, "terms_version": 1,
        "allowed_acts": ["attach_document", "set_wallet", "set_disagio", "accept", "abort"],
        "created_at": plain.body["created_at"], "updated_at": plain.body["created_at"],
    });
    assert_eq!(plain.body, expected);
    let everything = json!({
        "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": world.handout.wallet_id,
        "signed_documents": documents, "disagio": euros("250"),
    });
    let full = world.investment(&campaign, everything).await.expect(201);
    assert_eq!((&full.body["status"], &full.body["payment_total"]), (&json!("PAID"), &euros("750")));
    assert_eq!(full.body["signed_documents"].as_array().unwrap().len(), 2);
    for created in [&plain, &full] {
        let own = format!("{}/", created.id());
        assert_eq!(session.get(&format!("{PATH}{own}")).await.expect(200).body, created.body);
        // The issuer reads it as well, with its own open acts.
        let acts = if created.id() == plain.id() { json!(["accept", "reject"]) } else { json!(["withdraw"]) };
        let seen = world.issuer().await.get(&format!("/issuer/v2/investments/{own}")).await.expect(200);
        assert_eq!(seen.body, merged(created.body.clone(), json!({"allowed_acts": acts})));
    }
    assert_eq!(units_available(&world, &campaign).await, 9_980);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_rule_is_listed_with_limit_and_actual() {
    let world = World::start().await;
    let product = world.product(|terms| terms.step_size = Units::new(5).unwrap()).await;
    world.list(&product, world.handout.distribution_platform_id).await;
    let terms = json!({
        "allocation": 40, "min_number_of_tokens": 10, "max_number_of_tokens": 60, "natural_persons_allowed": false,
        "rule_type": "minimum_investment_amount", "minimum_investment_amount": euros("2000"), "is_campaign_active": true,
    });
    let campaign = world.campaign_of(product.id.uuid(), terms).await;
    let company = world.investor(world.handout.distribution_platform_id, PersonKind::Legal, true).await;
    let by_company = |units: u64| json!({"investor_id": company.uuid(), "units": units});
    let rule = |name: &str, limit: Value, actual: Value| (name.to_owned(), limit, actual);
    for (change, expected) in [
        (json!({"units": 20}), vec![rule("person_kind_not_allowed", Value::Null, json!("natural_person"))]),
        (by_company(15), vec![rule("below_minimum_investment_amount", json!("20.00 EUR"), json!("15.00 EUR"))]),
        (by_company(22), vec![rule("not_a_multiple_of_step_size", json!("5"), json!("22"))]),
        (by_company(45), vec![rule("allocation_exhausted", json!("40"), json!("45"))]),
        (
            json!({"units": 7}),
            vec![
                rule("person_kind_not_allowed", Value::Null, json!("natural_person")),
                rule("below_min_number_of_tokens", json!("10"), json!("7")),
                rule("not_a_multiple_of_step_size", json!("5"), json!("7")),
                rule("below_minimum_investment_amount", json!("20.00 EUR"), json!("7.00 EUR")),
            ],
        ),
        (
            json!({"units": 61, "paid_at": GUIDE_DATE}),
            vec![
                rule("person_kind_not_allowed", Value::Null, json!("natural_person")),
                rule("above_max_number_of_tokens", json!("60"), json!("61")),
                rule("not_a_multiple_of_step_size", json!("5"), json!("61")),
                rule("allocation_exhausted", json!("40"), json!("61")),
                rule("not_accepted", Value::Null, Value::Null),
            ],
        ),
    ] {
        let refused = world.investment(&campaign, change.clone()).await.expect_refused(&expected[0].0);
        assert_eq!(failed(&refused), expected, "{change}");
        assert!(refused.body.get("current_status").is_none(), "there is no investment yet");
        let session = world.distributor().await;
        let body = merged(world.investment_body(&campaign), change);
        let dry = session.send(Method::POST, &format!("{PATH}?dry_run=true"), None, Some(&body)).await;
        assert_eq!(failed(&dry.expect_refused(&expected[0].0)), expected, "a dry run is refused alike");
    }
    let own = format!("/issuer/v2/products/{}/campaigns/{campaign}/", product.id);
    world.issuer().await.patch(&own, &json!({"is_campaign_active": false})).await.expect(200);
    let refused = world.investment(&campaign, by_company(20)).await.expect_refused("campaign_inactive");
    assert_eq!(failed(&refused), [rule("campaign_inactive", Value::Null, Value::Null)]);
    assert_eq!(world.distributor().await.get(PATH).await.expect(200).body["count"], 0, "nothing was written");
    world.issuer().await.patch(&own, &json!({"is_campaign_active": true})).await.expect(200);
    world.investment(&campaign, by_company(40)).await.expect(201);
    let refused = world.investment(&campaign, by_company(20)).await.expect_refused("allocation_exhausted");
    assert_eq!(failed(&refused), [rule("allocation_exhausted", json!("0"), json!("20"))]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t02_ids_in_the_body_are_the_platforms_own() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    let stranger = world.investor(theirs.organisation_id, PersonKind::Natural, true).await;
    let foreign_document = theirs.upload("foreign.pdf").await.expect(201).id();
    let product = world.product(|_| {}).await;
    world.list(&product, theirs.organisation_id).await;
    let foreign = json!({"distribution_platform_id": theirs.organisation_id});
    let foreign_campaign = world.campaign_of(product.id.uuid(), foreign).await;
    let missing = Uuid::from_u128(1).to_string();
    let reference = |id: &str| json!([{"document_type": "effecta_document", "document_id": id}]);
    for (foreign, missing, pointer) in [
        (json!({"campaign_id": foreign_campaign}), json!({"campaign_id": missing}), "/campaign_id"),
        (json!({"investor_id": stranger.uuid()}), json!({"investor_id": missing}), "/investor_id"),
        (
            json!({"signed_documents": reference(&foreign_document)}),
            json!({"signed_documents": reference(&missing)}),
            "/signed_documents/0/document_id",
        ),
    ] {
        let mut told = Vec::new();
        for change in [foreign, missing] {
            let refused = world.investment(&campaign, change).await.expect_fault(pointer, "not_found");
            told.push(merged(refused.body, json!({"instance": null})));
        }
        assert_eq!(told[0], told[1], "foreign and missing read the same");
    }
    for (change, pointer, code) in [
        (json!({"units": null}), "/units", "missing"),
        (json!({"signed_at": null}), "/signed_at", "missing"),
        (json!({"units": 0}), "/units", "out_of_range"),
        (json!({"units": "10"}), "/units", "wrong_type"),
        (json!({"units": 9_223_372_036_854_775_808_u64}), "/units", "out_of_range"),
        (json!({"signed_at": "2025-03-12"}), "/signed_at", "invalid_value"),
        (json!({"status": "PAID"}), "/status", "unknown_field"),
        (json!({"signed_documents": {}}), "/signed_documents", "wrong_type"),
        (
            json!({"signed_documents": [{"document_type": "id_card", "document_id": missing}]}),
            "/signed_documents/0/document_type",
            "invalid_value",
        ),
    ] {
        world.investment(&campaign, change).await.expect_fault(pointer, code);
    }
    assert_eq!(session.get(PATH).await.expect(200).body["count"], 0);
    assert_eq!(units_available(&world, &campaign).await, 10_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn early_facts_wait_for_identification() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let documents = world.signed_documents(&session).await;
    for (facts, next) in [
        (json!({}), "WAITING_FOR_ACCEPTANCE"),
        (json!({"accepted_at": GUIDE_DATE}), "ACCEPTED"),
        (json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE}), "PAID"),
    ] {
        let investor = world.investor(session.organisation_id, PersonKind::Natural, false).await;
        let body = json!({"investor_id": investor.uuid(), "signed_documents": documents});
        let at_once = world.investment(&campaign, merged(body.clone(), facts.clone())).await.expect(201);
        let later = world.investment(&campaign, body).await.expect(201).id();
        let later = format!("{PATH}{later}/");
        session.patch(&later, &facts).await.expect(200);
        let paths = [format!("{PATH}{}/", at_once.id()), later];
        for path in &paths {
            let kept = session.get(path).await.expect(200).body;
            assert_eq!(kept["status"], "KYC_PENDING");
            assert_eq!(kept["accepted_at"], *facts.get("accepted_at").unwrap_or(&Value::Null));
        }
        world.record_kyc(investor, KycResult::Passed { valid_until: None }).await;
        for path in &paths {
            assert_eq!(session.get(path).await.expect(200).body["status"], next);
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_identification_ends_what_waits_and_gives_the_units_back() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let documents = world.signed_documents(&session).await;
    let investor = world.investor(session.organisation_id, PersonKind::Natural, false).await;
    let body = json!({"investor_id": investor.uuid(), "signed_documents": documents});
    let paid = merged(body.clone(), json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE}));
    let waiting =
        [world.investment(&campaign, body).await.expect(201).id(), world.investment(&campaign, paid).await.expect(201).id()];
    let untouched = world.investment(&campaign, json!({})).await.expect(201);
    assert_eq!(units_available(&world, &campaign).await, 9_970);
    world.record_kyc(investor, KycResult::Failed).await;
    for id in waiting {
        let ended = session.get(&format!("{PATH}{id}/")).await.expect(200).body;
        assert_eq!((&ended["status"], &ended["cancellation_reason"]), (&json!("KYC_INSUFFICIENT"), &json!("kyc_insufficient")));
        assert_eq!((&ended["cancellation_date"], &ended["allowed_acts"]), (&ended["updated_at"], &json!([])));
    }
    assert_eq!(units_available(&world, &campaign).await, 9_990);
    let seen = session.get(&format!("{PATH}{}/", untouched.id())).await.expect(200);
    assert_eq!(seen.body, untouched.body);
    // Recording it again ends nothing twice.
    world.record_kyc(investor, KycResult::Failed).await;
    assert_eq!(units_available(&world, &campaign).await, 9_990);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn companies_reviews_and_lapsed_results_wait() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({})).await);
    let office = &world.running.office;
    let nobody = server::operations::investor::CreateInvestor {
        platform_id: domain::ids::OrganisationId::new(session.organisation_id),
        person: PersonKind::Legal,
        personal_data: b"{}".to_vec(),
        benefiting_persons: 0,
    };
    let company = office.desk.run(nobody, office.clock.now()).await.unwrap().id;
    let created = world.investment(&campaign, json!({"investor_id": company.uuid()})).await.expect(201);
    world.record_kyc(company, KycResult::Passed { valid_until: None }).await;
    let path = format!("{PATH}{}/", created.id());
    assert_eq!(session.get(&path).await.expect(200).body, created.body, "no benefiting person is named");
    assert_eq!(created.body["status"], "KYC_PENDING");
    let named = world.investor(session.organisation_id, PersonKind::Legal, true).await;
    let created = world.investment(&campaign, json!({"investor_id": named.uuid()})).await.expect(201);
    assert_eq!(created.body["status"], "WAITING_FOR_ACCEPTANCE");
    let lapsed = world.investor(session.organisation_id, PersonKind::Natural, false).await;
    world.record_kyc(lapsed, KycResult::Passed { valid_until: Some(Instant::from_micros(1)) }).await;
    let created = world.investment(&campaign, json!({"investor_id": lapsed.uuid()})).await.expect(201);
    assert_eq!(created.body["status"], "KYC_PENDING");

    let product = world.product(|terms| terms.outside_review = true).await;
    world.list(&product, session.organisation_id).await;
    let campaign = world.campaign_of(product.id.uuid(), json!({})).await;
    let early = json!({"accepted_at": GUIDE_DATE, "signed_documents": world.signed_documents(&session).await});
    let created = world.investment(&campaign, early.clone()).await.expect(201);
    assert_eq!((&created.body["status"], &created.body["accepted_at"]), (&json!("REVIEW_PENDING"), &json!(GUIDE_DATE)));
    let waiting = world.investor(session.organisation_id, PersonKind::Natural, false).await;
    let created = world.investment(&campaign, merged(early, json!({"investor_id": waiting.uuid()}))).await.expect(201);
    assert_eq!(created.body["status"], "KYC_PENDING");
    world.record_kyc(waiting, KycResult::Passed { valid_until: None }).await;
    let path = format!("{PATH}{}/", created.id());
    assert_eq!(session.get(&path).await.expect(200).body["status"], "REVIEW_PENDING");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_right_to_the_cent() {
    let world = World::start().await;
    let product = world.product(|terms| terms.agio_percent = Percent::parse("5").unwrap()).await;
    world.list(&product, world.handout.distribution_platform_id).await;
    // Price and its decimals, agio in percent or the product's five, units, disagio: investment amount, agio, total.
    for (price, agio, units, disagio, amounts) in [
        (("100", 2), None, 10, "0", ["1000", "50", "1050"]),
        (("100", 2), Some("0"), 10, "1", ["1000", "0", "999"]),
        (("9857", 4), Some("0"), 10, "0", ["986", "0", "986"]),
        (("5", 3), Some("0"), 1, "0", ["1", "0", "1"]),
        (("4", 3), Some("0"), 1, "0", ["0", "0", "0"]),
        (("1", 2), Some("50"), 1, "0", ["1", "1", "2"]),
        (("1", 2), Some("49.999999"), 1, "0", ["1", "0", "1"]),
        // 0.999…: the agio is of the exact amount, not of the rounded one.
        (("333333333333333333", 18), Some("2.5"), 3, "0", ["100", "2", "102"]),
        (("99995", 2), Some("1.5"), 100, "7", ["9999500", "149993", "10149486"]),
    ] {
        let terms = json!({
            "price_per_token": {"amount": price.0, "decimals": price.1, "currency": "EUR"}, "agio_percent": agio, "allocation": 1_000,
        });
        let campaign = world.campaign_of(product.id.uuid(), terms).await;
        let change = json!({"units": units, "disagio": euros(disagio)});
        let body = world.investment(&campaign, change).await.expect(201).body;
        let shown = [&body["investment_amount"], &body["agio"], &body["payment_total"]];
        assert_eq!(shown, [&euros(amounts[0]), &euros(amounts[1]), &euros(amounts[2])], "{price:?} {agio:?} {units} {disagio}");
        assert_eq!(body["disagio"], euros(disagio));
    }
    let yen = json!({"price_per_token": {"amount": "15", "decimals": 1, "currency": "JPY"}, "allocation": 10});
    let campaign = world.campaign_of(product.id.uuid(), yen).await;
    let body = world.investment(&campaign, json!({"units": 1})).await.expect(201).body;
    assert_eq!(body["payment_total"], json!({"amount": "2", "decimals": 0, "currency": "JPY"}));
    let huge = json!({"price_per_token": {"amount": "1000000000000000000", "decimals": 0, "currency": "EUR"}, "allocation": 10});
    let campaign = world.campaign_of(product.id.uuid(), huge).await;
    world.investment(&campaign, json!({"units": 1})).await.expect_refused("amount_too_large");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_an_investment_takes_no_units_and_no_key() {
    let world = World::start().await;
    let (session, campaign) = (world.distributor().await, world.campaign(json!({"allocation": 10})).await);
    let (body, key) = (world.investment_body(&campaign), make_key());
    for key in [None, Some(key.as_str())] {
        let dry = session.send(Method::POST, &format!("{PATH}?dry_run=true"), key, Some(&body)).await.expect(200);
        assert_eq!((&dry.body["status"], &dry.body["units"]), (&json!("WAITING_FOR_ACCEPTANCE"), &json!(10)));
    }
    assert_eq!(session.get(PATH).await.expect(200).body["count"], 0);
    assert_eq!(units_available(&world, &campaign).await, 10);
    let created = session.send(Method::POST, PATH, Some(&key), Some(&body)).await.expect(201);
    assert!(!created.is_replay());
    session.send(Method::POST, &format!("{PATH}?dry_run=true"), None, Some(&body)).await.expect_refused("allocation_exhausted");
    session.send(Method::POST, &format!("{PATH}?dry_run=1"), None, Some(&body)).await.expect_fault("?dry_run", "invalid_value");
    world.stop().await;
}
