//! The rows of the catalogue about money, where they speak of what comes in and goes out.

use domain::product::Product;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Market, bond, euros, product_path};
use crate::world::{GUIDE_DATE, Reply, Session, World, merged};

const PATH: &str = "/distributor/v2/investments/";
const AMOUNTS: [&str; 5] = ["investment_amount", "agio", "disagio", "accrued_interest", "payment_total"];

fn money(amount: &str, decimals: u8, currency: &str) -> Value {
    json!({"amount": amount, "decimals": decimals, "currency": currency})
}

/// The amounts of an answer as they stand in its bytes.
fn amounts(reply: &Reply) -> [String; 5] {
    AMOUNTS.map(|name| {
        let rest = reply.text.split(&format!("\"{name}\":{{")).nth(1).unwrap_or_else(|| panic!("no {name} in {}", reply.text));
        rest.split('}').next().unwrap().to_owned()
    })
}

impl Market {
    /// An investment that is accepted, with a body that is not only read but kept.
    async fn accepted(&self, change: Value) -> Reply {
        let facts = json!({
            "investor_id": self.world.handout.investor_id, "campaign_id": self.campaign, "units": 100, "signed_at": GUIDE_DATE,
            "wallet": self.world.handout.wallet_id, "accepted_at": GUIDE_DATE,
            "signed_documents": self.world.signed_documents(&self.distributor).await,
        });
        self.distributor.post(PATH, &merged(facts, change)).await
    }
}

async fn campaign_in(world: &World, product: &Product, price: Value) -> Reply {
    let body = merged(world.campaign_body(), json!({"price_per_token": price}));
    world.issuer().await.post(&format!("/issuer/v2/products/{}/campaigns/", product.id), &body).await
}

async fn quote_of(world: &World, session: &Session, campaign: &str, body: Value) -> Reply {
    let path = format!("/distributor/v2/products/{}/campaigns/{campaign}/quotes/", world.handout.product_id);
    session.send(Method::POST, &path, None, Some(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn m02_what_is_too_large_is_refused_by_name() {
    let world = World::start().await;
    let session = world.distributor().await;
    let dear = money("1000000000000000000", 0, "EUR");
    let dear = world.campaign(json!({"price_per_token": dear, "max_number_of_tokens": 1_000_000_000_000_u64})).await;
    for units in [1, 10_000, 1_000_000_000_000, (1 << 53) - 1, 9_223_372_036_854_775_807_u64] {
        quote_of(&world, &session, &dear, json!({"units": units})).await.expect_refused("amount_too_large");
    }
    let body = merged(world.investment_body(&dear), json!({"units": 1_000_000_000_000_u64}));
    let refused = session.post(PATH, &body).await.expect_refused("amount_too_large").body;
    let rules: Vec<&str> =
        refused["failed_rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["amount_too_large", "allocation_exhausted"]);
    for units in [json!(9_223_372_036_854_775_808_u64), json!(u64::MAX)] {
        quote_of(&world, &session, &dear, json!({"units": units})).await.expect_fault("/units", "out_of_range");
    }
    let tiny = world.campaign(json!({"price_per_token": money("1000000000000000000", 18, "EUR")})).await;
    let quote = quote_of(&world, &session, &tiny, json!({"units": 92_233_720_368_547_758_u64})).await.expect(200).body;
    assert_eq!(quote["payment_total"], money("9223372036854775800", 2, "EUR"), "the largest that is whole euros");
    quote_of(&world, &session, &tiny, json!({"units": 92_233_720_368_547_759_u64})).await.expect_refused("amount_too_large");
    let too_dear = json!({"price_per_token": money("1000000000000000001", 18, "EUR")});
    let path = format!("/issuer/v2/products/{}/campaigns/", world.handout.product_id);
    let refused = world.issuer().await.post(&path, &merged(world.campaign_body(), too_dear)).await;
    refused.expect_fault("/price_per_token/amount", "invalid_value");
    world.stop().await;
}

/// Whatever is no plain integer of the currency's own minor unit is 400 at its place, wherever money is stated.
#[tokio::test(flavor = "multi_thread")]
async fn m05_a_disagio_is_an_amount_of_the_currency_and_never_more_than_the_price() {
    let market = Market::start(&bond()).await;
    for (disagio, place, code) in [
        (money("-1", 2, "EUR"), "/amount", "invalid_value"),
        (money("1.5", 2, "EUR"), "/amount", "invalid_value"),
        (money("1e3", 2, "EUR"), "/amount", "invalid_value"),
        (money("+1", 2, "EUR"), "/amount", "invalid_value"),
        (money("01", 2, "EUR"), "/amount", "invalid_value"),
        (money("", 2, "EUR"), "/amount", "too_short"),
        (money("1000000000000000001", 2, "EUR"), "/amount", "invalid_value"),
        (json!({"amount": 1, "decimals": 2, "currency": "EUR"}), "/amount", "wrong_type"),
        (json!({"amount": 1.5, "decimals": 2, "currency": "EUR"}), "/amount", "wrong_type"),
        (json!({"amount": "1", "decimals": 2.0, "currency": "EUR"}), "/decimals", "wrong_type"),
        (json!({"amount": "1", "decimals": "2", "currency": "EUR"}), "/decimals", "wrong_type"),
        (money("1", 3, "EUR"), "/decimals", "invalid_value"),
        (money("1", 0, "EUR"), "/decimals", "invalid_value"),
        (money("1", 19, "EUR"), "/decimals", "out_of_range"),
        (money("1", 2, "eur"), "/currency", "invalid_value"),
        (money("1", 2, "XAU"), "/currency", "invalid_value"),
        (json!("1.00"), "", "wrong_type"),
    ] {
        let pointer = format!("/disagio{place}");
        market.quote(json!({"units": 1, "disagio": disagio})).await.expect_fault(&pointer, code);
        market.accepted(json!({"disagio": disagio})).await.expect_fault(&pointer, code);
        let issuer = &market.issuer;
        let nominal = issuer.patch(&product_path(&market.product), &json!({"nominal_value": disagio})).await;
        nominal.expect_fault(&format!("/nominal_value{place}"), code);
        let minimum = json!({"rule_type": "minimum_investment_amount", "minimum_investment_amount": disagio});
        let path = format!("/issuer/v2/products/{}/campaigns/", market.product.id);
        let campaign = issuer.post(&path, &merged(market.world.campaign_body(), minimum)).await;
        campaign.expect_fault(&format!("/minimum_investment_amount{place}"), code);
    }
    for units in [json!(1.5), json!(1.0), json!("1"), json!(-1), json!(true)] {
        let pointers = market.quote(json!({"units": units})).await.expect(400).body;
        assert_eq!(pointers["errors"][0]["pointer"], "/units", "{units}");
    }
    for agio in [json!("-1"), json!("100.1"), json!("1e1"), json!("1,5"), json!(1.5), json!("0.0000001")] {
        let path = format!("/issuer/v2/products/{}/campaigns/", market.product.id);
        let campaign = merged(market.world.campaign_body(), json!({"agio_percent": agio}));
        let refused = market.issuer.post(&path, &campaign).await.expect(400).body;
        assert_eq!(refused["errors"][0]["pointer"], "/agio_percent", "{agio}");
    }
    // 100 units at 9.80 with 1.5 % agio: nothing but the agio is left to pay, and not less.
    let nothing = json!({"disagio": euros(98_000), "paid_at": "2025-01-15T12:00:00+00:00"});
    assert_eq!(market.accepted(nothing).await.expect(201).body["payment_total"], euros(1_470));
    let refused = market.accepted(json!({"disagio": euros(98_001)})).await.expect_refused("disagio_above_investment_amount").body;
    let rule = &refused["failed_rules"][0];
    assert_eq!((&rule["limit"], &rule["actual"]), (&json!("980.00 EUR"), &json!("980.01 EUR")));
    market.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m08_the_date_in_berlin_decides_which_day_a_payment_counts() {
    let market = Market::start(&bond()).await;
    for (paid_at, value_date, cents) in [
        // 100 units of EUR 10.00 at 5.25 % by 30E/360 from 15 January: 56 days, 57 from midnight in Berlin on.
        ("2025-03-11T22:59:59Z", "2025-03-11", 817),
        ("2025-03-11T23:00:00Z", "2025-03-12", 831),
        ("2025-03-12T00:00:00+01:00", "2025-03-12", 831),
        // In summer midnight is at 22:00 UTC.
        ("2025-07-31T21:59:59Z", "2025-07-31", 2_844),
        ("2025-07-31T22:00:00Z", "2025-08-01", 2_858),
        // The turn of the year, and 2026's coupon is not due before the 15th.
        ("2025-12-31T22:59:59Z", "2025-12-31", 5_031),
        ("2025-12-31T23:00:00Z", "2026-01-01", 5_046),
        // The hour that is missing and the one that comes twice.
        ("2026-03-29T01:00:00Z", "2026-03-29", 1_079),
        ("2026-10-25T00:30:00Z", "2026-10-25", 4_083),
        ("2026-10-25T01:30:00Z", "2026-10-25", 4_083),
        (GUIDE_DATE, "2025-03-12", 831),
    ] {
        let paid = market.accepted(json!({"accepted_at": "2025-01-01T00:00:00Z", "paid_at": paid_at})).await.expect(201);
        let payable = market.distributor.get(&format!("{PATH}{}/payable/", paid.id())).await.expect(200).body;
        let shown = (&payable["value_date"], &payable["accrued_interest"], &payable["provisional"]);
        assert_eq!(shown, (&json!(value_date), &euros(cents), &json!(false)), "{paid_at}");
        assert_eq!(paid.body["accrued_interest"], euros(cents), "{paid_at}");
    }
    market.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m10_a_campaign_has_one_currency_with_its_own_minor_unit() {
    let world = World::start().await;
    let (issuer, session) = (world.issuer().await, world.distributor().await);
    // 7 × 1.2345 and 3 % of it, in currencies with no, two and three decimals.
    for (currency, decimals, [amount, agio, total]) in
        [("JPY", 0, ["9", "0", "9"]), ("EUR", 2, ["864", "26", "890"]), ("KWD", 3, ["8642", "259", "8901"])]
    {
        let terms = json!({"price_per_token": money("12345", 4, currency), "agio_percent": "3"});
        let campaign = world.campaign(terms).await;
        let quote = quote_of(&world, &session, &campaign, json!({"units": 7})).await.expect(200).body;
        for (name, due) in [("investment_amount", amount), ("agio", agio), ("disagio", "0"), ("payment_total", total)] {
            assert_eq!(quote[name], money(due, decimals, currency), "{currency} {name}");
        }
        let one = money("1", decimals, currency);
        let quote = quote_of(&world, &session, &campaign, json!({"units": 7, "disagio": one})).await.expect(200).body;
        assert_eq!(quote["disagio"], one);
        let finer = json!({"units": 7, "disagio": money("1", decimals + 1, currency)});
        quote_of(&world, &session, &campaign, finer).await.expect_fault("/disagio/decimals", "invalid_value");
        for (other, decimals) in
            [("JPY", 0), ("EUR", 2), ("KWD", 3), ("USD", 2)].into_iter().filter(|(other, _)| *other != currency)
        {
            let foreign = json!({"units": 7, "disagio": money("1", decimals, other)});
            let body = merged(world.investment_body(&campaign), foreign.clone());
            for refused in [quote_of(&world, &session, &campaign, foreign).await, session.post(PATH, &body).await] {
                let rule = refused.expect_refused("currency_mismatch").body["failed_rules"][0].clone();
                assert_eq!((&rule["limit"], &rule["actual"]), (&json!(currency), &json!(other)));
            }
        }
        let own = format!("/issuer/v2/products/{}/campaigns/{campaign}/", world.handout.product_id);
        let change = json!({"price_per_token": money("12345", 4, "USD")});
        let refused = issuer.patch(&own, &change).await.expect_refused("campaign_immutable");
        assert_eq!(refused.body["errors"][0]["pointer"], "/price_per_token");
    }
    let minimum = json!({"rule_type": "minimum_investment_amount", "minimum_investment_amount": money("100", 2, "USD")});
    let path = format!("/issuer/v2/products/{}/campaigns/", world.handout.product_id);
    let refused = issuer.post(&path, &merged(world.campaign_body(), minimum)).await;
    refused.expect_fault("/minimum_investment_amount/currency", "invalid_value");
    // Interest in euros cannot be paid for in another currency, whichever of both is stated first.
    let product = world.product(|_| {}).await;
    world.list(&product, world.handout.distribution_platform_id).await;
    issuer.patch(&product_path(&product), &bond()).await.expect(200);
    campaign_in(&world, &product, money("100", 2, "USD")).await.expect_refused("currency_mismatch");
    campaign_in(&world, &product, money("100", 2, "EUR")).await.expect(201);
    world.stop().await;
}

/// Every place that shows an investment's amounts shows the same bytes: both APIs, lists, the payable, its quote, a replay,
/// and what the register holds.
#[tokio::test(flavor = "multi_thread")]
async fn m11_every_place_shows_the_same_amounts_to_the_byte() {
    let market = Market::start(&bond()).await;
    let (distributor, issuer) = (&market.distributor, &market.issuer);
    for (units, disagio, paid_at) in [
        (100, 10, "2025-03-11T23:00:00Z"),
        (333, 7, "2025-08-30T22:00:00Z"),
        (1, 0, "2026-02-28T12:00:00Z"),
        (9_000, 1, GUIDE_DATE),
    ] {
        let stated = json!({"units": units, "disagio": euros(disagio), "accepted_at": "2025-01-20T00:00:00Z"});
        let created = market.accepted(stated).await.expect(201);
        let own = format!("{PATH}{}/", created.id());
        let today = distributor.get(&own).await.expect(200);
        assert_eq!(amounts(&created), amounts(&today), "provisional");
        assert_eq!(amounts(&distributor.get(&format!("{own}payable/")).await.expect(200)), amounts(&today), "provisional");
        let key = crate::world::make_key();
        let payment = json!({"paid_at": paid_at});
        let paid = distributor.send(Method::PATCH, &own, Some(&key), Some(&payment)).await.expect(200);
        let due = amounts(&paid);
        let replayed = distributor.send(Method::PATCH, &own, Some(&key), Some(&payment)).await;
        assert!(replayed.is_replay());
        let payable = distributor.get(&format!("{own}payable/")).await.expect(200);
        let value_date = payable.body["value_date"].clone();
        let asked = json!({"units": units, "disagio": euros(disagio), "value_date": value_date});
        let issuers = own.replace("distributor", "issuer");
        for (place, reply) in [
            ("a replay", replayed),
            ("the distributor's investment", distributor.get(&own).await),
            ("the issuer's investment", issuer.get(&issuers).await),
            ("the issuer's payable", issuer.get(&format!("{issuers}payable/")).await),
            ("a quote of that day", market.quote(asked).await),
            ("the distributor's payable", payable),
        ] {
            assert_eq!(amounts(&reply.expect(200)), due, "{place}");
        }
        let investor = market.world.handout.investor_id;
        for (session, list) in [(distributor, PATH.to_owned()), (issuer, "/issuer/v2/investments/".to_owned())] {
            let page = session.get(&format!("{list}?investor_id={investor}&status=PAID&limit=200")).await.expect(200).body;
            let listed = page["results"].as_array().unwrap().iter().find(|row| row["id"] == paid.body["id"]).unwrap();
            assert_eq!(AMOUNTS.map(|name| &listed[name]), AMOUNTS.map(|name| &paid.body[name]), "{list}");
        }
        let archive = &market.world.running.office.archive;
        let stored = archive.all_investments(None, 1_000).unwrap();
        let stored = stored.iter().find(|row| row.id.uuid().to_string() == paid.id()).unwrap().payable;
        let kept = [stored.investment_amount, stored.agio, stored.disagio, stored.accrued_interest, stored.payment_total];
        let kept = kept.map(|one| format!("\"amount\":\"{}\",\"decimals\":2,\"currency\":\"EUR\"", one.minor()));
        assert_eq!(kept, due, "the register");
    }
    market.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m12_an_amount_of_100_with_two_decimals_is_one_euro_and_1_00_is_refused() {
    let world = World::start().await;
    let (issuer, session) = (world.issuer().await, world.distributor().await);
    for (price, total) in [
        (money("100", 2, "EUR"), "1000"),
        (money("100", 0, "EUR"), "100000"),
        (money("1", 0, "EUR"), "1000"),
        (money("1000000", 6, "EUR"), "1000"),
    ] {
        let campaign = world.campaign(json!({"price_per_token": price})).await;
        let path = format!("/distributor/v2/products/{}/campaigns/{campaign}/", world.handout.product_id);
        assert_eq!(session.get(&path).await.expect(200).body["price_per_token"], price, "echoed as received");
        let quote = quote_of(&world, &session, &campaign, json!({"units": 10})).await.expect(200).body;
        assert_eq!(quote["payment_total"], money(total, 2, "EUR"), "{price}");
    }
    let path = format!("/issuer/v2/products/{}/campaigns/", world.handout.product_id);
    for (amount, code) in [
        (json!("1.00"), "invalid_value"),
        (json!("100.00"), "invalid_value"),
        (json!("1,00"), "invalid_value"),
        (json!("1e2"), "invalid_value"),
        (json!("0"), "invalid_value"),
        (json!(100), "wrong_type"),
        (json!(1.0), "wrong_type"),
    ] {
        let price = json!({"price_per_token": {"amount": amount, "decimals": 2, "currency": "EUR"}});
        let refused = issuer.post(&path, &merged(world.campaign_body(), price)).await;
        refused.expect_fault("/price_per_token/amount", code);
    }
    world.stop().await;
}

/// After maturity nothing is sold, paid or quoted, whether a date says so or the clock.
#[tokio::test(flavor = "multi_thread")]
async fn m06_a_value_date_after_maturity_is_refused_wherever_it_comes_from() {
    let terms = json!({"interest": merged(bond()["interest"].clone(), json!({"maturity_date": "2026-01-15"}))});
    let market = Market::start(&merged(bond(), terms)).await;
    market.quote(json!({"units": 1, "value_date": "2026-01-15"})).await.expect(200);
    let late = "2026-01-15T23:00:00Z";
    let due = (json!("2026-01-15"), json!("2026-01-16"));
    let by_date = market.accepted(json!({"paid_at": late})).await;
    let by_quote = market.quote(json!({"units": 1, "value_date": "2026-01-16"})).await;
    for refused in [by_date, by_quote] {
        let rule = refused.expect_refused("value_date_after_maturity").body["failed_rules"][0].clone();
        assert_eq!((rule["limit"].clone(), rule["actual"].clone()), due);
    }
    // The machine's date is later than the maturity: what states no payment counts today.
    market.quote(json!({"units": 1})).await.expect_refused("value_date_after_maturity");
    market.accepted(json!({})).await.expect_refused("value_date_after_maturity");
    market.accepted(json!({"paid_at": "2026-01-15T22:59:59Z"})).await.expect(201);
    // Before it: the clock is turned past another bond's maturity while an investment waits for its payment.
    let terms = json!({"interest": merged(bond()["interest"].clone(), json!({"maturity_date": "2199-01-15"}))});
    let later = Market::start(&merged(bond(), terms)).await;
    let waiting = later.accepted(json!({})).await.expect(201);
    let own = format!("{PATH}{}/", waiting.id());
    later.world.running.office.clock.set_ahead_micros(174 * 365 * 86_400_000_000);
    let session = later.world.distributor().await;
    session.get(&format!("{own}payable/")).await.expect_refused("value_date_after_maturity");
    let now = later.world.running.office.clock.now().to_string();
    session.patch(&own, &json!({"paid_at": now})).await.expect_refused("value_date_after_maturity");
    let shown = session.get(&own).await.expect(200).body;
    assert_eq!((&shown["payment_provisional"], &shown["investment_amount"]), (&json!(true), &euros(98_000)));
    session.patch(&own, &json!({"paid_at": GUIDE_DATE})).await.expect(200);
    assert_eq!(session.get(&format!("{own}payable/")).await.expect(200).body["accrued_interest"], euros(831));
    for world in [market.world, later.world] {
        world.stop().await;
    }
}

/// The worked example of the documentation, line by line, is what the program answers.
#[tokio::test(flavor = "multi_thread")]
async fn the_bond_of_the_documentation_is_computed_as_it_says() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/payable.md")).unwrap();
    let example = document.split("## A bond by hand").nth(1).unwrap().split("\n## ").next().unwrap();
    let steps: Vec<&str> = example.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).collect();
    let [amount, agio, disagio, interest, total] = steps[..] else { panic!("five steps: {steps:?}") };
    let market = Market::start(&bond()).await;
    let paid = market.accepted(json!({"disagio": euros(10), "paid_at": "2025-03-11T23:00:00Z"})).await.expect(201);
    let payable = market.distributor.get(&format!("{PATH}{}/payable/", paid.id())).await.expect(200).body;
    let shown = |name: &str| {
        let cents: i64 = payable[name]["amount"].as_str().unwrap().parse().unwrap();
        let euros = (cents / 100).to_string();
        let grouped = if euros.len() > 3 { format!("{},{}", &euros[..1], &euros[1..]) } else { euros };
        format!("**{grouped}.{:02}**", cents % 100)
    };
    for (step, name) in [
        (amount, "investment_amount"),
        (agio, "agio"),
        (disagio, "disagio"),
        (interest, "accrued_interest"),
        (total, "payment_total"),
    ] {
        assert!(step.contains(&shown(name)), "{name} is {}: {step}", shown(name));
    }
    let line = &payable["lines"][3];
    let (elapsed, exact) = (&line["inputs"]["elapsed"][0], &line["exact"]);
    let days = format!("= {}. Interest", elapsed["days"]);
    let fraction = format!("= {}/{} =", exact["numerator"].as_str().unwrap(), exact["denominator"].as_str().unwrap());
    assert!(interest.contains(&days) && interest.contains(&fraction), "{days} {fraction} {interest}");
    assert!(example.contains("2025-03-11T23:00Z") && payable["value_date"] == "2025-03-12" && example.contains("12 March 2025"));
    let bond = bond();
    let stated =
        [&bond["interest"]["interest_rate"], &bond["interest"]["day_count_convention"]].map(|text| text.as_str().unwrap());
    assert!(example.contains(&format!("{} % a year by {}", stated[0], stated[1].replace('_', "/"))), "{example}");
    market.world.stop().await;
}
