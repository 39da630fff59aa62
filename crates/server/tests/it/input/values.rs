//! Values that have a JSON type but not the form that is due: money, dates, countries, texts, fields nobody asked for.

use domain::country::Country;
use serde_json::{Value, json};

use super::{Act, Scene, euros};
use crate::world::{GUIDE_DATE, Reply};

/// The most code points of a name.
const NAME_CHARS_MAX: usize = 255;

impl Scene {
    /// Decides a body without recording anything, so that a table of good values can be long.
    async fn decided(&self, act: &Act, body: String) -> Reply {
        let asked = Act { path: format!("{}?dry_run=true", act.path), ..act.clone() };
        let before = self.head();
        let reply = self.send_json(&asked, body).await;
        assert_eq!(self.head(), before, "a dry run wrote something");
        reply
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a05_amounts_are_integers_in_strings_with_decimals_and_a_currency() {
    let scene = Scene::start().await;
    let (campaign, investment) = (scene.campaign_act(), scene.investment_act());
    let places = [(&campaign, "/price_per_token"), (&campaign, "/minimum_investment_amount"), (&investment, "/disagio")];
    for (act, at) in places {
        for (member, literal, code) in [
            ("amount", "1.0", "wrong_type"),
            ("amount", "100", "wrong_type"),
            ("amount", "null", "wrong_type"),
            ("amount", "\"1.00\"", "invalid_value"),
            ("amount", "\"1e3\"", "invalid_value"),
            ("amount", "\"-1\"", "invalid_value"),
            ("amount", "\"+1\"", "invalid_value"),
            ("amount", "\"01\"", "invalid_value"),
            ("amount", "\" 1\"", "invalid_value"),
            ("amount", "\"1,000\"", "invalid_value"),
            ("amount", "\"0x10\"", "invalid_value"),
            ("amount", "\"NaN\"", "invalid_value"),
            ("amount", "\"\u{ff11}\"", "invalid_value"),
            ("amount", "\"\u{661}\"", "invalid_value"),
            ("amount", "\"\"", "too_short"),
            ("amount", "\"18446744073709551616\"", "invalid_value"),
            ("amount", "\"10000000000000000000000000000000000000000\"", "too_long"),
            ("decimals", "-1", "out_of_range"),
            ("decimals", "19", "out_of_range"),
            ("decimals", "1000000000", "out_of_range"),
            ("decimals", "2.0", "wrong_type"),
            ("decimals", "\"2\"", "wrong_type"),
            ("currency", "\"EURO\"", "invalid_value"),
            ("currency", "\"eur\"", "invalid_value"),
            ("currency", "\"EU\"", "invalid_value"),
            ("currency", "\"\u{20ac}\"", "invalid_value"),
            ("currency", "\"XXX\"", "invalid_value"),
            ("currency", "\"XTS\"", "invalid_value"),
            ("currency", "\"XAU\"", "invalid_value"),
            ("currency", "\"\"", "invalid_value"),
            ("currency", "978", "wrong_type"),
        ] {
            let pointer = format!("{at}/{member}");
            scene.refuse(act, act.text_with(&pointer, literal), 400).await.expect_fault(&pointer, code);
        }
        for literal in ["100.5", "100", "\"100\"", "[]", "null", "true"] {
            scene.refuse(act, act.text_with(at, literal), 400).await.expect_fault(at, "wrong_type");
        }
        let missing = scene.refuse(act, act.text_with(at, "{}"), 400).await;
        for member in ["amount", "decimals", "currency"] {
            missing.clone().expect_fault(&format!("{at}/{member}"), "missing");
        }
    }
    for literal in ["\"0\"", "\"1000000000000000001\""] {
        let body = campaign.text_with("/price_per_token/amount", literal);
        scene.refuse(&campaign, body, 400).await.expect_fault("/price_per_token/amount", "invalid_value");
    }
}

/// A price has 0 to 18 decimals; money that is paid or booked is stated in the currency's own minor unit.
#[tokio::test(flavor = "multi_thread")]
async fn a05_a_price_has_up_to_18_decimals_and_money_those_of_its_currency() {
    let scene = Scene::start().await;
    let (campaign, investment) = (scene.campaign_act(), scene.investment_act());
    for decimals in 0..=18 {
        let price = json!({"amount": "1000000", "decimals": decimals, "currency": "EUR"});
        let reply = scene.decided(&campaign, campaign.with(json!({"price_per_token": price}))).await.expect(200);
        assert_eq!(reply.body["price_per_token"], price, "the price is echoed as it was received");
        let money = json!({"amount": "1", "decimals": decimals, "currency": "EUR"});
        for (act, at) in [(&campaign, "/minimum_investment_amount"), (&investment, "/disagio")] {
            let reply = scene.decided(act, act.text_with(at, &money.to_string())).await;
            if decimals == 2 {
                assert_ne!(reply.status, 400, "{}", reply.text);
            } else {
                reply.expect_fault(&format!("{at}/decimals"), "invalid_value");
            }
        }
    }
    for (currency, decimals, due) in [("JPY", 2, 0), ("KWD", 2, 3)] {
        let money = |decimals: u8| json!({"amount": "1", "decimals": decimals, "currency": currency}).to_string();
        let refused = scene.refuse(&investment, investment.text_with("/disagio", &money(decimals)), 400).await;
        refused.expect_fault("/disagio/decimals", "invalid_value");
        // In its own minor unit it is money, only not of this campaign.
        scene.refuse_by_rule(&investment, investment.text_with("/disagio", &money(due))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a06_a_field_that_nobody_asked_for_is_400_on_every_body() {
    let scene = Scene::start().await;
    let names = [
        "status",
        "tenant_id",
        "organisation_id",
        "id",
        "is_admin",
        "units_available",
        "created_at",
        "payment_total",
        "",
        "a/b~c",
        "__proto__",
        "Units",
        "accepted_at ",
        "\u{202e}status",
    ];
    for act in scene.acts() {
        for name in names {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let refused = scene.refuse(&act, act.with(json!({name: "PAID"})), 400).await;
            refused.expect_fault(&pointer, "unknown_field");
        }
        // Every unknown name is told, beside whatever else is wrong.
        let refused = scene.refuse(&act, act.with(json!({"status": "PAID", "tenant_id": 1})), 400).await;
        refused.clone().expect_fault("/status", "unknown_field").expect_fault("/tenant_id", "unknown_field");
    }
    // Known elsewhere, unknown here.
    for (act, name) in [(scene.campaign_act(), "accepted_at"), (scene.investment_act(), "cancellation_date")] {
        let refused = scene.refuse(&act, act.with(json!({name: GUIDE_DATE})), 400).await;
        refused.expect_fault(&format!("/{name}"), "unknown_field");
    }
    let (campaign, investment) = (scene.campaign_act(), scene.investment_act());
    let price = json!({"amount": "100", "decimals": 2, "currency": "EUR", "minor": 10_000});
    let refused = scene.refuse(&campaign, campaign.with(json!({"price_per_token": price})), 400).await;
    refused.expect_fault("/price_per_token/minor", "unknown_field");
    let document = json!({"document_type": "effecta_document", "document_id": scene.document_id, "uploaded_by": "x"});
    let refused = scene.refuse(&investment, investment.with(json!({"signed_documents": [document]})), 400).await;
    refused.expect_fault("/signed_documents/0/uploaded_by", "unknown_field");
}

#[tokio::test(flavor = "multi_thread")]
async fn a06_operations_without_a_body_and_forms_take_no_field_either() {
    let scene = Scene::start().await;
    let path = format!("/distributor/v2/investments/{}/credits/", scene.investment_id);
    let credit = Act { path, body: json!({}), ..scene.investment_act() };
    for (body, pointer, code) in [
        ("{\"units\":1}", "/units", "unknown_field"),
        ("[]", "", "wrong_type"),
        ("1", "", "wrong_type"),
        ("null", "", "wrong_type"),
    ] {
        scene.refuse(&credit, body, 400).await.expect_fault(pointer, code);
    }
    let before = scene.head();
    let part = |name: &'static str| reqwest::multipart::Form::new().text(name, "x");
    for (form, pointer, code) in
        [(part("organisation_id"), "/organisation_id", "unknown_field"), (part("status"), "/status", "unknown_field")]
    {
        let request = scene.world.http.post(format!("{}/distributor/v2/documents/", scene.distributor.url));
        let request = request.bearer_auth(&scene.distributor.token).header("X-Idempotency-Key", "form").multipart(form);
        let answer = request.send().await.unwrap();
        let reply = Reply::of(&reqwest::Method::POST, "/distributor/v2/documents/", answer).await;
        reply.expect_fault(pointer, code);
    }
    assert_eq!(scene.head(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_what_is_no_rfc_3339_timestamp_with_an_offset_is_400() {
    let scene = Scene::start().await;
    let acts = scene.acts();
    let places = [
        (&acts[2], "/signed_at"),
        (&acts[2], "/accepted_at"),
        (&acts[3], "/accepted_at"),
        (&acts[3], "/paid_at"),
        (&acts[5], "/cancellation_date"),
    ];
    for (act, pointer) in places {
        for stated in [
            "2025-02-29T07:14:13Z",
            "2100-02-29T07:14:13Z",
            "2025-04-31T07:14:13Z",
            "2025-13-01T07:14:13Z",
            "2025-00-10T07:14:13Z",
            "2025-03-00T07:14:13Z",
            "2025-03-12T24:00:00Z",
            "2025-03-12T23:60:00Z",
            "2025-03-12T23:59:60Z",
            "2016-12-31T23:59:60Z",
            "2025-03-12T07:14:13",
            "2025-03-12T07:14:13+14:01",
            "2025-03-12T07:14:13+1:00",
            "2025-03-12T07:14:13+0100",
            "2025-03-12T07:14:13 +01:00",
            "2025-03-12T07:14:13.Z",
            "2025-03-12T07:14:13.1234567890Z",
            "2025-03-12T07:14:13,5Z",
            "2025-03-12T07:14:13Z[Europe/Berlin]",
            "2025-03-12T07:14:13+01:00[Europe/Berlin]",
            "2025-03-12T07:14:13Z[u-ca=hebrew]",
            "2025-03-12 07:14:13Z",
            "2025-03-12T07:14Z",
            "2025-03-12",
            "20250312T071413Z",
            "2025-W11-3T07:14:13Z",
            "2025-071T07:14:13Z",
            "12.03.2025",
            "0000-01-01T00:00:00Z",
            "1899-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "+002025-03-12T07:14:13Z",
            "-2025-03-12T07:14:13Z",
            "\u{662}025-03-12T07:14:13Z",
            " 2025-03-12T07:14:13Z",
            "2025-03-12T07:14:13Z ",
            "now",
            "1741763653",
            "",
        ] {
            let refused = scene.refuse(act, act.text_with(pointer, &json!(stated).to_string()), 400).await;
            refused.expect_fault(pointer, "invalid_value");
        }
        for literal in ["1741763653", "true", "[]", "{}"] {
            scene.refuse(act, act.text_with(pointer, literal), 400).await.expect_fault(pointer, "wrong_type");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_every_spelling_of_an_instant_is_stored_as_the_same_microsecond_in_utc() {
    let scene = Scene::start().await;
    let act = Act { body: scene.world.investment_body(&scene.campaign_id), ..scene.investment_act() };
    for (stated, shown) in [
        (GUIDE_DATE, GUIDE_DATE),
        ("2025-03-12T07:14:13.630308Z", GUIDE_DATE),
        ("2025-03-12t07:14:13.630308z", GUIDE_DATE),
        ("2025-03-12T08:14:13.630308+01:00", GUIDE_DATE),
        ("2025-03-11T17:14:13.630308-14:00", GUIDE_DATE),
        ("2025-03-12T21:14:13.630308+14:00", GUIDE_DATE),
        ("2025-03-12T07:14:13.630308999Z", GUIDE_DATE),
        ("2025-03-12T07:14:13Z", "2025-03-12T07:14:13.000000+00:00"),
        ("2025-03-12T07:14:13.5-00:00", "2025-03-12T07:14:13.500000+00:00"),
        ("2024-02-29T23:59:59.999999999+00:00", "2024-02-29T23:59:59.999999+00:00"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00.000000+00:00"),
    ] {
        let created = scene.send_json(&act, act.with(json!({"signed_at": stated}))).await.expect(201);
        let read = scene.distributor.get(&format!("/distributor/v2/investments/{}/", created.id())).await.expect(200);
        assert_eq!(read.body["signed_at"], shown, "{stated}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_texts_are_capped_in_code_points_free_of_control_characters_and_stored_as_nfc() {
    let scene = Scene::start().await;
    let act = scene.campaign_act();
    let longest = "\u{1f3d7}".repeat(NAME_CHARS_MAX);
    for (stated, shown) in [
        ("Ångström", "Ångström"),
        ("A\u{30a}ngstro\u{308}m", "\u{c5}ngstr\u{f6}m"),
        ("\u{1100}\u{1161}", "\u{ac00}"),
        ("\u{202e}gnirpS", "\u{202e}gnirpS"),
        ("zero\u{200b}width\u{feff}", "zero\u{200b}width\u{feff}"),
        ("\u{1f469}\u{200d}\u{1f4bb}", "\u{1f469}\u{200d}\u{1f4bb}"),
        ("  spaces  ", "  spaces  "),
        ("a\u{301}\u{302}\u{303}", "\u{e1}\u{302}\u{303}"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        (&longest, &longest),
    ] {
        let reply = scene.decided(&act, act.with(json!({"name": stated}))).await.expect(200);
        assert_eq!(reply.body["name"], shown, "{stated:?}");
    }
    let created = scene.send_json(&act, act.with(json!({"name": "A\u{30a}"}))).await.expect(201);
    let read = scene.issuer.get(&format!("{}{}/", act.path, created.id())).await.expect(200);
    assert_eq!(read.body["name"], "\u{c5}", "stored in NFC");
    let (long, bomb) = ("x".repeat(NAME_CHARS_MAX + 1), format!("a{}", "\u{301}".repeat(1_200)));
    for stated in [
        "",
        " ",
        "\u{a0}\u{2003}",
        "a\0b",
        "\0",
        "a\nb",
        "a\tb",
        "a\rb",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{9b}",
        &long,
        &bomb,
    ] {
        let refused = scene.refuse(&act, act.with(json!({"name": stated})), 400).await;
        refused.expect_fault("/name", "invalid_value");
    }
    scene.refuse(&act, act.with(json!({"name": "x".repeat(1024 * 1024)})), 413).await;
    for literal in ["1", "true", "null", "[]", "{\"de\":\"x\"}"] {
        scene.refuse(&act, act.text_with("/name", literal), 400).await.expect_fault("/name", "wrong_type");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a17_a_country_is_one_of_iso_3166_1_alpha_3_or_400() {
    let scene = Scene::start().await;
    let act = scene.campaign_act();
    for refused in [
        "deu",
        "Deu",
        "DE",
        "de",
        "276",
        "D",
        "",
        "DEUT",
        " DEU",
        "DEU ",
        "D\u{115}U",
        "XXX",
        "AAA",
        "QMA",
        "XAA",
        "ZZZ",
        "EUR",
        "UNO",
        "DDR",
        "SUN",
        "YUG",
        "CSK",
        "ANT",
        "SCG",
        "BUR",
        "ROM",
        "TMP",
        "ZAR",
        "GERMANY",
        "Germany",
    ] {
        scene.refuse(&act, act.with(json!({"country": refused})), 400).await.expect_fault("/country", "invalid_value");
    }
    for literal in ["276", "null", "[\"DEU\"]"] {
        scene.refuse(&act, act.text_with("/country", literal), 400).await.expect_fault("/country", "wrong_type");
    }
    for known in ["DEU", "AUT", "CHE", "LIE", "ALA", "CUW", "COD", "TLS", "SSD", "MKD", "SRB", "MMR", "ROU"] {
        let reply = scene.decided(&act, act.with(json!({"country": known}))).await.expect(200);
        assert_eq!(reply.body["country"], known);
    }
}

/// ISO 3166-1 assigns 249 codes (edition of 2020); what reads them over HTTP is this function.
#[test]
fn a17_exactly_the_assigned_codes_are_countries() {
    let letters = 'A'..='Z';
    let codes = letters.clone().flat_map(|a| {
        let letters = letters.clone();
        letters.clone().flat_map(move |b| letters.clone().map(move |c| [a, b, c].iter().collect::<String>()))
    });
    assert_eq!(codes.filter(|code| Country::parse(code).is_some()).count(), 249);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_body_is_told_at_once() {
    let scene = Scene::start().await;
    let act = scene.campaign_act();
    let body = json!({"name": "", "allocation": 0, "country": "de", "price_per_token": euros("x"), "status": 1});
    let refused = scene.refuse(&act, body.to_string(), 400).await;
    let pointers: Vec<&str> = refused.body["errors"].as_array().unwrap().iter().map(pointer_of).collect();
    for due in [
        "/name",
        "/allocation",
        "/country",
        "/price_per_token/amount",
        "/status",
        "/distribution_platform_id",
        "/min_number_of_tokens",
        "/rule_type",
        "/is_campaign_active",
    ] {
        assert!(pointers.contains(&due), "{due} is not among {pointers:?}");
    }
}

fn pointer_of(error: &Value) -> &str {
    error["pointer"].as_str().unwrap()
}
