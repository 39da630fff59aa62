//! Bodies that are no JSON, or JSON that two readers could understand differently.

use serde_json::{Value, json};

use super::Scene;
use crate::process::Process;
use crate::raw;
use crate::world::make_key;

#[tokio::test(flavor = "multi_thread")]
async fn a01_a_body_that_is_no_json_is_400_with_a_pointer_and_no_effect() {
    let scene = Scene::start().await;
    for act in scene.acts() {
        let whole = act.body.to_string();
        let first = act.body.as_object().unwrap().keys().next().unwrap().clone();
        let at_first = format!("/{first}");
        let in_text = |inside: &[u8]| [format!("{{\"{first}\":\"a").as_bytes(), inside, b"z\"}"].concat();
        let cases: [(Vec<u8>, &str); 16] = [
            (b"".to_vec(), ""),
            (b" \n".to_vec(), ""),
            (b"null x".to_vec(), ""),
            (b"{".to_vec(), ""),
            (b"\0".to_vec(), ""),
            ([b"\xef\xbb\xbf", whole.as_bytes()].concat(), ""),
            (whole.encode_utf16().flat_map(u16::to_be_bytes).collect(), ""),
            ([whole.as_bytes(), b"\0"].concat(), ""),
            ([whole.as_bytes(), b",{}"].concat(), ""),
            (whole.replacen('{', "{,", 1).into_bytes(), ""),
            (in_text(b"\xff"), &at_first),
            (in_text(b"\xc0\xaf"), &at_first),
            (in_text(b"\xed\xa0\x80"), &at_first),
            (in_text(b"\\ud800"), &at_first),
            (in_text(b"\\udc00\\ud800"), &at_first),
            (in_text(b"\0"), &at_first),
        ];
        for (body, pointer) in cases {
            scene.refuse(&act, body, 400).await.expect_fault(pointer, "malformed_json");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a01_a_body_cut_off_anywhere_is_400_with_no_effect() {
    let scene = Scene::start().await;
    for act in [scene.campaign_act(), scene.investment_act()] {
        let whole = act.body.to_string();
        for length in 0..whole.len() {
            let reply = scene.refuse(&act, whole[..length].to_owned(), 400).await;
            assert_eq!(reply.body["errors"][0]["code"], "malformed_json", "{length}: {}", reply.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a02_a_name_that_stands_twice_is_400_whatever_its_values() {
    let scene = Scene::start().await;
    for act in scene.acts() {
        let whole = act.body.to_string();
        for (name, value) in act.body.as_object().unwrap() {
            for again in [value.clone(), json!(2), Value::Null] {
                let twice = format!("{{\"{name}\":{again},{}", &whole[1..]);
                scene.refuse(&act, twice, 400).await.expect_fault(&format!("/{name}"), "duplicate_field");
            }
            let (initial, rest) = name.split_at(1);
            let escaped = format!("{{\"\\u{:04x}{rest}\":{value},{}", u32::from(initial.as_bytes()[0]), &whole[1..]);
            scene.refuse(&act, escaped, 400).await.expect_fault(&format!("/{name}"), "duplicate_field");
        }
    }
    let act = scene.campaign_act();
    let price = r#"{"amount":"1","amount":"100","decimals":2,"currency":"EUR"}"#;
    let body = act.text_with("/price_per_token", price);
    scene.refuse(&act, body, 400).await.expect_fault("/price_per_token/amount", "duplicate_field");
}

/// The program runs in a process of its own here, so that the memory it took can be read off.
#[tokio::test(flavor = "multi_thread")]
async fn a03_depth_length_and_huge_literals_are_refused_before_memory_grows() {
    const GROWTH_BYTES_MAX: u64 = 10 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), &[]).await;
    let session = process.distributor().await;
    let head = |extra: &str| {
        format!(
            "POST /api/distributor/v2/investments/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nX-Idempotency-Key: {}\r\n\
             Content-Type: application/json\r\nConnection: close\r\n{extra}\r\n",
            session.token,
            make_key()
        )
    };
    let stated = |length: usize, body: &str| format!("{}{body}", head(&format!("Content-Length: {length}\r\n")));
    let chunked = |body: &str| format!("{}{:x}\r\n{body}\r\n0\r\n\r\n", head("Transfer-Encoding: chunked\r\n"), body.len());
    let units = |literal: &str| format!("{{\"units\":{literal}}}");
    let deep = |depth: usize| units(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let objects = |depth: usize| format!("{}1{}", "{\"units\":".repeat(depth), "}".repeat(depth));
    let list = |items: usize| units(&format!("[{}1]", "1,".repeat(items - 1)));
    let number = |digits: usize| units(&"9".repeat(digits));
    let before = process.peak_memory_bytes();
    for _round in 0..3 {
        for (body, status) in [
            (deep(100_000), 413),
            (deep(30_000), 400),
            (objects(6_000), 400),
            (objects(100_000), 413),
            (list(1_000_000), 413),
            (list(30_000), 400),
            (number(60_000), 400),
            (units(&format!("\"{}\"", "x".repeat(60_000))), 400),
            (units(&format!("1e{}", "9".repeat(60_000))), 400),
        ] {
            let shown = &body[..40];
            for request in [stated(body.len(), &body), chunked(&body)] {
                let answer = raw::exchange(process.address(), request.as_bytes()).await;
                assert_eq!(answer.status, status, "{shown}: {}", answer.text);
                assert!(answer.text.contains("application/problem+json"), "{shown}: {}", answer.text);
            }
        }
        // A stated length is refused before anything of the body is sent.
        let answer = raw::exchange(process.address(), stated(50 * 1024 * 1024, "{\"units\":9").as_bytes()).await;
        assert_eq!((answer.status, answer.is_closed), (413, true), "{}", answer.text);
    }
    let growth = process.peak_memory_bytes() - before;
    assert!(growth <= GROWTH_BYTES_MAX, "{growth} bytes more");
    assert_eq!(session.get("/distributor/v2/investments/").await.expect(200).body["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a04_only_plain_integers_in_range_are_numbers() {
    let scene = Scene::start().await;
    let (campaign, investment) = (scene.campaign_act(), scene.investment_act());
    let fields = [
        (&campaign, "/allocation"),
        (&campaign, "/min_number_of_tokens"),
        (&campaign, "/max_number_of_tokens"),
        (&campaign, "/price_per_token/decimals"),
        (&campaign, "/minimum_investment_amount/decimals"),
        (&investment, "/units"),
        (&investment, "/disagio/decimals"),
    ];
    for (act, pointer) in fields {
        for (literal, code) in [
            ("1e3", "wrong_type"),
            ("1E0", "wrong_type"),
            ("1.0", "wrong_type"),
            ("1.5", "wrong_type"),
            ("-0", "wrong_type"),
            ("-0.0", "wrong_type"),
            ("\"1\"", "wrong_type"),
            ("true", "wrong_type"),
            ("null", "wrong_type"),
            ("[1]", "wrong_type"),
            ("{}", "wrong_type"),
            ("01", "malformed_json"),
            ("+1", "malformed_json"),
            ("0x1", "malformed_json"),
            ("1_0", "malformed_json"),
            ("NaN", "malformed_json"),
            ("Infinity", "malformed_json"),
            ("1e400", "malformed_json"),
            ("-1", "out_of_range"),
            ("9223372036854775808", "out_of_range"),
            ("18446744073709551615", "out_of_range"),
            ("18446744073709551616", "wrong_type"),
            ("10000000000000000000000000000000000000000", "wrong_type"),
        ] {
            let reply = scene.refuse(act, act.text_with(pointer, literal), 400).await;
            let errors = reply.body["errors"].as_array().unwrap();
            assert!(
                errors.iter().any(|error| error["code"] == code && pointer.starts_with(error["pointer"].as_str().unwrap())),
                "{pointer} {literal}: {}",
                reply.text
            );
        }
    }
    scene.refuse(&investment, investment.text_with("/units", "0"), 400).await.expect_fault("/units", "out_of_range");
}

/// 2^53 + 1 is the first integer that a double cannot hold.
#[tokio::test(flavor = "multi_thread")]
async fn a04_integers_above_2_to_the_53rd_are_never_rounded() {
    let scene = Scene::start().await;
    for (act, pointer) in [(scene.campaign_act(), "/allocation"), (scene.investment_act(), "/units")] {
        for integer in ["9007199254740993", "9007199254740995"] {
            let reply = scene.refuse_by_rule(&act, act.text_with(pointer, integer)).await;
            assert!(reply.text.contains(integer), "{pointer} {integer}: {}", reply.text);
        }
    }
}
