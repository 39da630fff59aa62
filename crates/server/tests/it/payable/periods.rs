//! Interest periods: what is wrong in them is named, and what follows from good ones is listed with its payment dates.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Market, bond, product_path};
use crate::world::{Session, World, merged};

fn period(start: &str, end: &str) -> Value {
    json!({"start_date": start, "end_date": end})
}

/// The bond with these periods in place of a schedule.
fn listed(periods: &Value) -> Value {
    merged(bond()["interest"].clone(), json!({"schedule": null, "interest_periods": periods}))
}

fn money(amount: &str, decimals: u8) -> Value {
    json!({"amount": amount, "decimals": decimals, "currency": "EUR"})
}

/// Every period of a list, page by page.
async fn walked(session: &Session, path: &str, limit: usize) -> Vec<Value> {
    let mut periods = Vec::new();
    let mut path = format!("{path}?limit={limit}");
    loop {
        let page = session.get(&path).await.expect(200).body;
        periods.extend(page["results"].as_array().unwrap().iter().cloned());
        let Value::String(next) = &page["next"] else { return periods };
        next.strip_prefix(&session.url).unwrap().clone_into(&mut path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_listed_interest_period_is_named_and_points_at_it() {
    let world = World::start().await;
    let issuer = world.issuer().await;
    let product = world.product(|_| {}).await;
    let (first, last) = (period("2025-01-15", "2026-01-15"), period("2026-01-15", "2030-01-15"));
    let with = |change: Value| merged(last.clone(), change);
    let notional = |start: &str, end: &str| json!({"notional_periods": [period(start, end)]});
    for (interest, place, code) in [
        (listed(&json!([first, period("2026-01-16", "2030-01-15")])), "/interest_periods/1", "period_gap"),
        (listed(&json!([first, period("2026-01-14", "2030-01-15")])), "/interest_periods/1", "period_overlap"),
        (
            listed(&json!([first, period("2026-01-15", "2026-01-14"), period("2026-01-14", "2030-01-15")])),
            "/interest_periods/1",
            "period_end_not_after_start",
        ),
        (listed(&json!([period("2025-01-16", "2030-01-15")])), "/interest_periods/0", "period_not_from_interest_start"),
        (listed(&json!([first, period("2026-01-15", "2030-01-14")])), "/interest_periods/1", "period_not_to_maturity"),
        (
            listed(&json!([first, with(json!({"payment_date": "2030-01-14"}))])),
            "/interest_periods/1",
            "period_payment_before_end",
        ),
        (
            listed(&json!([first, with(notional("2026-01-15", "2029-01-15"))])),
            "/interest_periods/1",
            "period_notional_does_not_cover",
        ),
        (
            merged(
                listed(&json!([period("2025-03-30", "2025-03-31"), period("2025-03-31", "2030-01-15")])),
                json!({"rate_basis": "per_period", "interest_start_date": "2025-03-30"}),
            ),
            "/interest_periods/0",
            "period_without_day",
        ),
        (listed(&json!([])), "/interest_periods", "no_interest_periods"),
        (listed(&json!([first, with(json!({"interest_rate": "100.1"}))])), "/interest_periods/1/interest_rate", "invalid_value"),
        (listed(&json!([first, with(json!({"interest_rate": "-1"}))])), "/interest_periods/1/interest_rate", "invalid_value"),
        (listed(&json!([first, with(json!({"interest_rate": 5.25}))])), "/interest_periods/1/interest_rate", "wrong_type"),
        (listed(&json!([first, with(json!({"end_date": "2030-02-30"}))])), "/interest_periods/1/end_date", "invalid_value"),
        (listed(&Value::Array(vec![first.clone(); 121])), "/interest_periods", "too_long"),
    ] {
        let body = json!({"interest": interest, "nominal_value": bond()["nominal_value"]});
        let refused = issuer.patch(&product_path(&product), &body).await;
        refused.expect_fault(&format!("/interest{place}"), code);
    }
    // All at once: the message says which period it is, too.
    let torn = listed(&json!([period("2025-01-16", "2026-01-15"), period("2026-02-01", "2029-01-15")]));
    let refused = issuer.patch(&product_path(&product), &json!({"interest": torn})).await.expect(400).body;
    let errors: Vec<(&str, &str)> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["code"].as_str().unwrap(), error["message"].as_str().unwrap()))
        .collect();
    let codes: Vec<&str> = errors.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, ["period_not_from_interest_start", "period_gap", "period_not_to_maturity"]);
    assert!(errors[1].1.starts_with("interest period 1 does not begin where"), "{}", errors[1].1);
    assert_eq!(issuer.get(&product_path(&product)).await.expect(200).body["interest"], Value::Null, "nothing was taken");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_that_make_no_sense_are_named() {
    let world = World::start().await;
    let issuer = world.issuer().await;
    let product = world.product(|_| {}).await;
    for (change, place, code) in [
        (json!({"maturity_date": "2025-01-15"}), "/maturity_date", "maturity_not_after_start"),
        (json!({"maturity_date": "2024-01-15"}), "/maturity_date", "maturity_not_after_start"),
        (json!({"maturity_date": "2029-12-15"}), "/schedule/stub", "irregular_term"),
        (json!({"maturity_date": "2200-01-15", "frequency": "monthly"}), "/interest_periods", "too_many_interest_periods"),
        (json!({"interest_rate": "100.000001"}), "/interest_rate", "invalid_value"),
        (json!({"interest_rate": "-0.5"}), "/interest_rate", "invalid_value"),
        (json!({"interest_rate": "1e1"}), "/interest_rate", "invalid_value"),
        (json!({"interest_rate": "5.2500001"}), "/interest_rate", "invalid_value"),
        (json!({"interest_rate": 5.25}), "/interest_rate", "wrong_type"),
    ] {
        let interest = merged(bond()["interest"].clone(), change);
        let body = json!({"interest": interest, "nominal_value": bond()["nominal_value"]});
        let refused = issuer.patch(&product_path(&product), &body).await;
        refused.expect_fault(&format!("/interest{place}"), code);
    }
    for (amount, place) in [(money("0", 2), "/amount"), (money("-1000", 2), "/amount"), (money("1", 3), "/decimals")] {
        let refused = issuer.patch(&product_path(&product), &json!({"nominal_value": amount})).await;
        refused.expect_fault(&format!("/nominal_value{place}"), "invalid_value");
    }
    world.stop().await;
}

/// A semi-annual bond from the end of August with a short first period, over the weekends and holidays of five years.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_see_every_interest_period_with_its_payment_date() {
    let terms = json!({"interest": {
        "kind": "coupons", "interest_rate": "5.25", "day_count_convention": "30E_360", "interest_start_date": "2025-01-15",
        "maturity_date": "2027-08-31", "frequency": "semi_annual", "business_day_rule": "modified_following",
        "schedule": {"end_of_month": true, "stub": "short_first"},
    }});
    let market = Market::start(&merged(bond(), terms)).await;
    // 31 August 2025 and 28 February 2027 are Sundays, 28 February 2026 is a Saturday: the next business day is in the next
    // month, so that the last one before counts.
    let expected: Vec<Value> = [
        ("2025-01-15", "2025-02-28", "2025-02-28"),
        ("2025-02-28", "2025-08-31", "2025-08-29"),
        ("2025-08-31", "2026-02-28", "2026-02-27"),
        ("2026-02-28", "2026-08-31", "2026-08-31"),
        ("2026-08-31", "2027-02-28", "2027-02-26"),
        ("2027-02-28", "2027-08-31", "2027-08-31"),
    ]
    .into_iter()
    .map(|(start, end, payment)| merged(period(start, end), json!({"payment_date": payment, "interest_rate": "5.25"})))
    .collect();
    let id = market.product.id;
    let own = format!("/issuer/v2/products/{id}/interest-periods/");
    let sold = format!("/distributor/v2/products/{id}/interest-periods/");
    for (session, path) in [(&market.issuer, &own), (&market.distributor, &sold)] {
        let page = session.get(path).await.expect(200).body;
        assert_eq!(page, json!({"count": 6, "next": null, "previous": null, "results": expected}));
        for limit in [1, 4, 6] {
            assert_eq!(walked(session, path, limit).await, expected, "{limit} a page");
        }
        let second = session.get(&format!("{path}?limit=4")).await.expect(200).body["next"].as_str().unwrap().to_owned();
        let second = session.get(second.strip_prefix(&session.url).unwrap()).await.expect(200).body;
        let first = session.get(second["previous"].as_str().unwrap().strip_prefix(&session.url).unwrap()).await.expect(200).body;
        assert_eq!(first["results"].as_array().unwrap()[..], expected[..4]);
        session.get(&format!("{path}?limit=0")).await.expect_fault("?limit", "out_of_range");
        let cursor = second["previous"].as_str().unwrap().split("cursor=").nth(1).unwrap();
        let other = if *path == own { "/issuer/v2/products/" } else { "/distributor/v2/products/" };
        session.get(&format!("{other}?cursor={cursor}")).await.expect_fault("?cursor", "invalid_value");
    }
    // What runs in a quote is one of them.
    let quote = market.quote(json!({"units": 1, "value_date": "2025-09-01"})).await.expect(200).body;
    assert_eq!(quote["lines"][3]["inputs"]["interest_period"], expected[2]);
    let bare = market.world.product(|_| {}).await;
    let none = json!({"count": 0, "next": null, "previous": null, "results": []});
    let path = format!("/issuer/v2/products/{}/interest-periods/", bare.id);
    assert_eq!(market.issuer.get(&path).await.expect(200).body, none);
    let unlisted = format!("/distributor/v2/products/{}/interest-periods/", bare.id);
    assert_eq!(market.distributor.get(&unlisted).await.status, 404, "not listed on the platform");
    assert_eq!(market.distributor.send(Method::POST, &sold, None, None).await.status, 405);
    market.world.stop().await;
}

/// Twelve hundred periods do not fit on one page, and are one list.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_years_of_months_are_listed_in_pages() {
    let world = World::start().await;
    let issuer = world.issuer().await;
    let product = world.product(|_| {}).await;
    let terms = json!({"interest": {"frequency": "monthly", "maturity_date": "2125-01-15", "business_day_rule": "following"}});
    let interest = merged(bond()["interest"].clone(), terms["interest"].clone());
    issuer.patch(&product_path(&product), &merged(bond(), json!({"interest": interest}))).await.expect(200);
    let path = format!("/issuer/v2/products/{}/interest-periods/", product.id);
    let periods = walked(&issuer, &path, 200).await;
    assert_eq!(periods.len(), 1_200);
    assert!(periods.windows(2).all(|pair| pair[0]["end_date"] == pair[1]["start_date"]));
    assert_eq!((&periods[0]["start_date"], &periods[1_199]["end_date"]), (&json!("2025-01-15"), &json!("2125-01-15")));
    // 15 February 2025 is a Saturday, Good Friday of 2033 is 15 April.
    assert_eq!(periods[0]["payment_date"], "2025-02-17");
    let holy = periods.iter().find(|period| period["end_date"] == "2033-04-15").unwrap();
    assert_eq!(holy["payment_date"], "2033-04-19");
    world.stop().await;
}
