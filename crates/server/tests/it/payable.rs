//! What an investment costs: interest terms of a product, payables line by line, quotes.

mod periods;
mod rows;

use std::process::Command;

use domain::product::Product;
use serde_json::{Value, json};

use crate::world::{GUIDE_DATE, Session, World, merged};

/// A bond: 5.25 % a year by 30E/360 from 15 January 2025 to 15 January 2030, nominal EUR 10.00.
fn bond() -> Value {
    json!({
        "interest": {
            "kind": "coupons", "interest_rate": "5.25", "day_count_convention": "30E_360", "interest_start_date": "2025-01-15",
            "maturity_date": "2030-01-15", "frequency": "annual", "business_day_rule": "following", "schedule": {}
        },
        "nominal_value": {"amount": "1000", "decimals": 2, "currency": "EUR"}
    })
}

fn product_path(product: &Product) -> String {
    format!("/issuer/v2/products/{}/", product.id)
}

fn euros(cents: i64) -> Value {
    json!({"amount": cents.to_string(), "decimals": 2, "currency": "EUR"})
}

struct Market {
    world: World,
    issuer: Session,
    distributor: Session,
    product: Product,
    campaign: String,
}

impl Market {
    /// A campaign of a product with these terms: 9.80 a unit, agio 1.5 %.
    async fn start(terms: &Value) -> Self {
        let world = World::start().await;
        let (issuer, distributor) = (world.issuer().await, world.distributor().await);
        let product = world.product(|_| {}).await;
        world.list(&product, world.handout.distribution_platform_id).await;
        issuer.patch(&product_path(&product), terms).await.expect(200);
        let change = json!({"price_per_token": euros(980), "agio_percent": "1.5", "max_number_of_tokens": 1_000_000});
        let campaign = world.campaign_of(product.id.uuid(), change).await;
        Self { world, issuer, distributor, product, campaign }
    }

    fn quotes_path(&self) -> String {
        format!("/distributor/v2/products/{}/campaigns/{}/quotes/", self.product.id, self.campaign)
    }

    async fn quote(&self, body: Value) -> crate::world::Reply {
        self.distributor.send(reqwest::Method::POST, &self.quotes_path(), None, Some(&body)).await
    }

    async fn invest(&self, change: Value) -> Value {
        let body = json!({
            "investor_id": self.world.handout.investor_id, "campaign_id": self.campaign, "units": 100, "signed_at": GUIDE_DATE,
            "wallet": self.world.handout.wallet_id,
        });
        self.distributor.post("/distributor/v2/investments/", &merged(body, change)).await.expect(201).body
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_says_line_by_line_what_units_cost_and_records_nothing() {
    let market = Market::start(&bond()).await;
    let head = market.world.running.office.archive.journal_head().unwrap();
    let quote = market.quote(json!({"units": 100, "disagio": euros(10), "value_date": "2025-03-12"})).await.expect(200).body;
    // 100 × 9.80; 1.5 % of it; 0.10; 1,000.00 × 5.25 % × 57/360.
    let amounts = [("investment_amount", 98_000), ("agio", 1_470), ("disagio", 10), ("accrued_interest", 831)];
    for ((component, cents), line) in amounts.into_iter().zip(quote["lines"].as_array().unwrap()) {
        assert_eq!(quote[component], euros(cents), "{component}");
        assert_eq!((&line["component"], &line["amount"]), (&json!(component), &euros(cents)));
    }
    assert_eq!(quote["payment_total"], euros(98_000 + 1_470 - 10 + 831));
    assert_eq!(
        (&quote["provisional"], &quote["value_date"], &quote["rule_version"]),
        (&json!(true), &json!("2025-03-12"), &json!(1))
    );
    let inputs = &quote["lines"][3]["inputs"];
    let elapsed = json!([{"start_date": "2025-01-15", "end_date": "2025-03-12", "days": 57, "days_of_year": 360}]);
    assert_eq!((&inputs["elapsed"], &inputs["base_kind"], &inputs["base"]), (&elapsed, &json!("nominal_value"), &euros(1_000)));
    assert_eq!(quote["lines"][3]["exact"], json!({"numerator": "133", "denominator": "16"}));
    assert_eq!(market.world.running.office.archive.journal_head().unwrap(), head, "nothing is recorded");
    market.world.stop().await;
}

/// Row M06 at the counter, and what is wrong in a quote.
#[tokio::test(flavor = "multi_thread")]
async fn m06_nothing_runs_before_the_start_nor_on_a_coupon_date_and_nothing_is_sold_after_maturity() {
    let market = Market::start(&bond()).await;
    for (value_date, reason) in [
        ("2025-01-14", "before_interest_start"),
        ("2025-01-15", "coupon_date"),
        ("2026-01-15", "coupon_date"),
        ("2030-01-15", "coupon_date"),
    ] {
        let quote = market.quote(json!({"units": 1, "value_date": value_date})).await.expect(200).body;
        assert_eq!(quote["accrued_interest"], euros(0), "{value_date}");
        assert_eq!(quote["lines"][3]["inputs"], json!({"reason": reason}), "{value_date}");
    }
    let late = market.quote(json!({"units": 1, "value_date": "2030-01-16"})).await.expect(409).body;
    assert_eq!((&late["code"], &late["failed_rules"][0]["limit"]), (&json!("value_date_after_maturity"), &json!("2030-01-15")));
    let dear = market.quote(json!({"units": 1, "disagio": euros(981)})).await.expect(409).body;
    assert_eq!(dear["code"], "disagio_above_investment_amount");
    let foreign = json!({"amount": "1", "decimals": 2, "currency": "USD"});
    assert_eq!(market.quote(json!({"units": 1, "disagio": foreign})).await.expect(409).body["code"], "currency_mismatch");
    for wrong in [
        json!({}),
        json!({"units": 0}),
        json!({"units": 1.5}),
        json!({"units": 1, "value_date": "2025-02-29"}),
        json!({"units": 1, "disagio": {"amount": "1", "decimals": 3, "currency": "EUR"}}),
        json!({"units": 1, "price": 1}),
    ] {
        assert_eq!(market.quote(wrong.clone()).await.status, 400, "{wrong}");
    }
    market.world.stop().await;
}

/// Row M09: what was offered does not change, and what was paid is recomputed to the cent.
#[tokio::test(flavor = "multi_thread")]
async fn m09_amounts_follow_the_day_until_the_payment_fixes_them() {
    let market = Market::start(&bond()).await;
    let created = market.invest(json!({})).await;
    let path = format!("/distributor/v2/investments/{}/", created["id"].as_str().unwrap());
    let before = market.distributor.get(&path).await.expect(200).body;
    assert_eq!((&before["payment_provisional"], &before["terms_version"]), (&json!(true), &json!(2)));
    let provisional = market.distributor.get(&format!("{path}payable/")).await.expect(200).body;
    assert_eq!((&provisional["provisional"], &provisional["payment_total"]), (&json!(true), &before["payment_total"]));
    for document_type in ["effecta_cryptoregistry_tos", "effecta_document"] {
        let document_id = market.distributor.upload("signed.pdf").await.expect(201).id();
        let body = json!({"document_type": document_type, "document_id": document_id});
        market.distributor.post(&format!("{path}signed-documents/"), &body).await.expect(201);
    }
    // 22:59:59 UTC on 11 March is still 11 March in Berlin, 23:00 is the 12th: 56 and 57 days of 360.
    let paid = json!({"accepted_at": "2025-03-11T12:00:00+00:00", "paid_at": "2025-03-11T23:00:00+00:00"});
    let paid = market.distributor.patch(&path, &paid).await.expect(200).body;
    assert_eq!((&paid["accrued_interest"], &paid["payment_provisional"]), (&euros(831), &json!(false)));
    for api in ["distributor", "issuer"] {
        let session = if api == "issuer" { &market.issuer } else { &market.distributor };
        let payable = session.get(&format!("{}payable/", path.replace("distributor", api))).await.expect(200).body;
        for field in ["investment_amount", "agio", "disagio", "accrued_interest", "payment_total"] {
            assert_eq!(payable[field], paid[field], "{api}: {field}");
        }
        assert_eq!((&payable["provisional"], &payable["value_date"]), (&json!(false), &json!("2025-03-12")));
    }
    let stated = market.issuer.get(&product_path(&market.product)).await.expect(200).body;
    for other in [
        json!({"interest": null}),
        json!({"nominal_value": euros(2_000)}),
        json!({"interest": {"kind": "zero_coupon", "maturity_date": "2030-01-15"}}),
    ] {
        let refused = market.issuer.patch(&product_path(&market.product), &other).await;
        refused.expect_refused("product_terms_fixed");
    }
    market.issuer.patch(&product_path(&market.product), &bond()).await.expect(200);
    assert_eq!(market.issuer.get(&product_path(&market.product)).await.expect(200).body, stated, "the same again is nothing new");
    // Two coupons later the payment is what it was, and so is its explanation.
    let explained = market.distributor.get(&format!("{path}payable/")).await.expect(200).text;
    market.world.running.office.clock.set_ahead_micros(800 * 86_400_000_000);
    let session = market.world.distributor().await;
    assert_eq!(session.get(&format!("{path}payable/")).await.expect(200).text, explained);
    let later = session.get(&path).await.expect(200).body;
    assert_eq!((&later["accrued_interest"], &later["payment_total"]), (&paid["accrued_interest"], &paid["payment_total"]));
    market.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interest_terms_are_shown_as_they_were_stated_and_every_statement_is_a_version() {
    let world = World::start().await;
    let issuer = world.issuer().await;
    let product = world.product(|_| {}).await;
    let path = product_path(&product);
    let shown = issuer.get(&path).await.expect(200).body;
    assert_eq!((&shown["interest"], &shown["terms_version"]), (&Value::Null, &json!(1)));
    let listed = json!({
        "interest": {
            "kind": "coupons", "interest_rate": "4", "rate_basis": "per_period", "day_count_convention": "ACT_ACT_ICMA",
            "interest_start_date": "2025-01-15", "maturity_date": "2025-10-01", "frequency": "semi_annual",
            "interest_periods": [
                {"start_date": "2025-01-15", "end_date": "2025-07-15", "payment_date": "2025-07-16", "interest_rate": "3.5"},
                {"start_date": "2025-07-15", "end_date": "2025-10-01",
                 "notional_periods": [{"start_date": "2025-07-15", "end_date": "2026-01-15"}]},
            ]
        },
        "nominal_value": euros(100)
    });
    let zero = json!({"interest": {"kind": "zero_coupon", "maturity_date": "2031-06-30"}});
    for (version, body) in [(2, bond()), (3, listed), (4, zero), (5, json!({"interest": null, "nominal_value": null}))] {
        let changed = issuer.patch(&path, &body).await.expect(200).body;
        assert_eq!(changed["terms_version"], version);
        let interest = body["interest"].as_object().into_iter().flatten();
        for (field, stated) in interest.filter(|(field, _)| !["schedule", "interest_periods"].contains(&field.as_str())) {
            assert_eq!(changed["interest"][field], *stated, "{field}");
        }
        let again = issuer.patch(&path, &body).await.expect(200).body;
        assert_eq!(again, changed, "the same again changes nothing");
        assert_eq!(issuer.get(&path).await.expect(200).body, changed);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_interest_terms_are_refused_with_the_place_named() {
    let world = World::start().await;
    let issuer = world.issuer().await;
    let product = world.product(|_| {}).await;
    let period = |start: &str, end: &str| json!({"start_date": start, "end_date": end});
    let listed = |periods: Value| json!({"schedule": null, "interest_periods": periods});
    for (change, pointer) in [
        (json!({"kind": "floating"}), "/interest/kind"),
        (json!({"interest_rate": "100.1"}), "/interest/interest_rate"),
        (json!({"interest_rate": "-1"}), "/interest/interest_rate"),
        (json!({"interest_rate": 5}), "/interest/interest_rate"),
        (json!({"interest_rate": "1e1"}), "/interest/interest_rate"),
        (json!({"day_count_convention": "30/360"}), "/interest/day_count_convention"),
        (json!({"maturity_date": "2025-01-15"}), "/interest/maturity_date"),
        (json!({"maturity_date": "2029-12-15"}), "/interest/schedule/stub"),
        (json!({"frequency": "weekly"}), "/interest/frequency"),
        (json!({"schedule": {"stub": "middle"}}), "/interest/schedule/stub"),
        (json!({"interest_periods": []}), "/interest/interest_periods"),
        (json!({"coupon": 1}), "/interest/coupon"),
        (listed(json!([period("2025-01-15", "2026-01-15"), period("2026-01-16", "2030-01-15")])), "/interest/interest_periods/1"),
        (listed(json!([period("2025-01-15", "2026-01-15"), period("2026-01-14", "2030-01-15")])), "/interest/interest_periods/1"),
        (listed(json!([period("2025-01-15", "2025-01-15"), period("2025-01-15", "2030-01-15")])), "/interest/interest_periods/0"),
        (listed(json!([period("2025-01-16", "2030-01-15")])), "/interest/interest_periods/0"),
    ] {
        let mut interest = merged(bond()["interest"].clone(), change.clone());
        interest.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let reply = issuer.patch(&product_path(&product), &json!({"interest": interest})).await.expect(400);
        let pointers: Vec<&str> =
            reply.body["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        assert!(pointers.contains(&pointer), "{change}: {}", reply.text);
    }
    let without_nominal = json!({"interest": bond()["interest"]});
    let refused = issuer.patch(&product_path(&product), &without_nominal).await.expect(409).body;
    assert_eq!(refused["code"], "nominal_value_missing");
    issuer.patch(&product_path(&product), &bond()).await.expect(200);
    world.list(&product, world.handout.distribution_platform_id).await;
    let dollars = json!({"price_per_token": {"amount": "100", "decimals": 2, "currency": "USD"}});
    let path = format!("/issuer/v2/products/{}/campaigns/", product.id);
    let refused = issuer.post(&path, &merged(world.campaign_body(), dollars)).await.expect(409).body;
    assert_eq!(refused["code"], "currency_mismatch");
    world.stop().await;
}

/// The independent verifier agrees with every quote of every convention.
#[tokio::test(flavor = "multi_thread")]
async fn the_verifier_recomputes_every_quote_from_its_lines() {
    let verifier = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/python/payable.py");
    let conventions =
        ["30E_360", "30E_360_ISDA", "30_360_BOND", "30_360_US", "ACT_360", "ACT_365F", "ACT_ACT_ISDA", "ACT_ACT_ICMA"];
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (place, convention) in conventions.into_iter().enumerate() {
        let terms = json!({"interest": {
            "kind": "coupons", "interest_rate": "5.25", "day_count_convention": convention,
            "rate_basis": if place % 2 == 0 { "per_year" } else { "per_period" },
            "interest_start_date": "2024-08-31", "maturity_date": "2029-02-28", "frequency": "semi_annual",
            "schedule": {"end_of_month": true, "stub": "short_first"}
        }});
        let market = Market::start(&merged(bond(), terms)).await;
        for value_date in ["2024-09-01", "2025-02-28", "2027-12-31", "2028-02-29", "2029-02-27"] {
            let body = json!({"units": 333, "disagio": euros(7), "value_date": value_date});
            let quote = market.quote(body).await.expect(200);
            let path = folder.path().join(format!("{convention}-{value_date}.json"));
            std::fs::write(&path, &quote.text).unwrap();
            files.push(path);
        }
        market.world.stop().await;
    }
    let told = Command::new("python3").arg("-B").arg(verifier).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{said}{}", String::from_utf8_lossy(&told.stderr));
    assert_eq!(said.lines().count(), files.len(), "{said}");
}
