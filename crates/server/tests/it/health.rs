//! Whether the program says how it is, shows its documentation without help from outside, and tells its log enough and
//! no more.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{self, Process};
use crate::world::{GUIDE_DATE, Reply, World, make_key};

/// Where HTTP is served, without the API's prefix.
fn root(world: &World) -> String {
    format!("http://{}", world.running.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_up_and_ready_to_anybody_and_nothing_else() {
    let world = World::start().await;
    for (path, status) in [("/healthz", "up"), ("/readyz", "ready")] {
        let answer = world.http.get(format!("{}{path}", root(&world))).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({"status": status}));
        let head = world.http.head(format!("{}{path}", root(&world))).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.text().await.unwrap()), (200, String::new()));
    }
    for path in ["/", "/metrics", "/debug", "/debug/pprof", "/admin", "/actuator", "/.env", "/.git/config", "/server-status"] {
        let answer = world.http.get(format!("{}{path}", root(&world))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path} is on the public listener");
    }
}

/// Addresses that a page loads: what stands in `src` and `href`.
fn loaded(html: &str) -> Vec<String> {
    let of = |name: &str| html.split(name).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>();
    [of("src=\""), of("href=\"")].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_loads_nothing_from_another_host() {
    let world = World::start().await;
    let docs = format!("{}/api/docs/", root(&world));
    let page = world.http.get(docs.trim_end_matches('/')).send().await.unwrap();
    assert_eq!(page.url().as_str(), docs, "one redirect leads to the page");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for directive in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("http") && !policy.contains('*') && !policy.contains("unsafe-eval"), "{policy}");
    let html = page.text().await.unwrap();
    assert_tells_no_other_host("index.html", &html);
    let inline = html.split("<script").skip(1).any(|script| !script.split('>').next().unwrap().contains("src="));
    assert!(!inline, "the policy does not run inline scripts: {html}");
    let assets = loaded(&html);
    assert!(assets.len() >= 5, "{assets:?}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} is not relative");
        let answer = world.http.get(format!("{docs}{asset}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{asset}");
        assert_eq!(answer.url().host_str(), Some("127.0.0.1"));
        let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
        if asset.rsplit('.').next() == Some("css") {
            for target in text.split("url(").skip(1).map(|rest| rest.trim_start_matches(['"', '\''])) {
                let shown: String = target.chars().take(40).collect();
                assert!(target.starts_with("data:") || target.starts_with('#'), "{asset} loads {shown}");
            }
            assert!(!text.contains("@import"), "{asset} imports");
        }
        if asset.ends_with("initializer.js") {
            assert_tells_no_other_host(&asset, &text);
            assert!(text.contains("\"/api/openapi.json\"") && text.contains("\"validatorUrl\": \"none\""), "{text}");
        }
    }
}

#[track_caller]
fn assert_tells_no_other_host(name: &str, text: &str) {
    for scheme in ["http://", "https://", "src=\"//", "href=\"//", "ws://", "wss://"] {
        assert!(!text.contains(scheme), "{name} knows {scheme}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_of_its_own_that_no_client_chooses() {
    let world = World::start().await;
    let session = world.distributor().await;
    let mut ids = BTreeSet::new();
    for path in ["/api/distributor/v2/products/", "/api/nothing", "/api/docs/", "/healthz", "/api/openapi.json", "/%00"] {
        let request = world.http.get(format!("{}{path}", root(&world))).bearer_auth(&session.token);
        let answer = request.header("X-Request-Id", "chosen").header("Traceparent", "chosen").send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(uuid::Uuid::try_parse(&id).unwrap().get_version_num(), 7, "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        for name in ["server", "x-powered-by", "access-control-allow-origin", "set-cookie"] {
            assert!(answer.headers().get(name).is_none(), "{path} answers {name}");
        }
        assert!(ids.insert(id), "an id came twice");
    }
}

/// The program in a process of its own plays the guide and some refusals; then its log is read.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_every_request_under_its_id_and_no_body_no_secret_and_no_personal_data() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_logging(folder.path(), &[], "info").await;
    let (issuer, distributor) = (process.issuer().await, process.distributor().await);
    let handout = process.handout.clone();
    let mut answered: Vec<(Method, Reply)> = Vec::new();
    let campaigns = format!("/issuer/v2/products/{}/campaigns/", handout.product_id);
    let campaign = json!({
        "distribution_platform_id": handout.distribution_platform_id, "allocation": 10, "name": "Canary-Campaign",
        "price_per_token": {"amount": "4711", "decimals": 2, "currency": "EUR"}, "min_number_of_tokens": 1,
        "max_number_of_tokens": 10, "legal_persons_allowed": true, "natural_persons_allowed": true, "country": "DEU",
        "rule_type": "public_offering", "is_campaign_active": true
    });
    let campaign = issuer.post(&campaigns, &campaign).await.expect(201);
    let investment =
        json!({"investor_id": handout.investor_id, "campaign_id": campaign.id(), "units": 1, "signed_at": GUIDE_DATE});
    let investment = distributor.post("/distributor/v2/investments/", &investment).await.expect(201);
    let investor = distributor.get(&format!("/distributor/v2/investors/{}/", handout.investor_id)).await.expect(200);
    let document = distributor.upload("Canary-Document.pdf").await.expect(201);
    let refused = distributor.get("/distributor/v2/investments/?status=Canary-Query").await.expect(400);
    let missing = distributor.get("/distributor/v2/Canary-Path/").await.expect(404);
    let key = format!("Canary-{}", make_key());
    let keyed = distributor.send(Method::POST, "/distributor/v2/investments/", Some(&key), Some(&json!({}))).await.expect(400);
    for (method, reply) in [
        (Method::POST, campaign),
        (Method::POST, investment),
        (Method::GET, investor.clone()),
        (Method::POST, document),
        (Method::GET, refused),
        (Method::GET, missing),
        (Method::POST, keyed),
    ] {
        answered.push((method, reply));
    }
    process.terminate();
    assert!(process.ended().await.success());

    let log = std::fs::read_to_string(process::log_path(folder.path())).unwrap();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (method, reply) in &answered {
        let id = reply.headers["x-request-id"].to_str().unwrap();
        let of_request: Vec<&Value> = entries.iter().filter(|entry| entry["fields"]["request_id"] == id).collect();
        let [entry] = of_request.as_slice() else { panic!("{} lines about {id}", of_request.len()) };
        let fields = &entry["fields"];
        assert_eq!((&fields["method"], &fields["status"]), (&json!(method.as_str()), &json!(reply.status)), "{entry}");
        assert!(fields["duration_us"].is_u64() && fields["route"].is_string() && fields["client_id"].is_string(), "{entry}");
    }
    let secrets = [&handout.issuer, &handout.distributor, &handout.registrar].map(|one| one.client_secret.clone());
    let words = secrets.iter().map(String::as_str).chain([
        issuer.token.as_str(),
        distributor.token.as_str(),
        "Canary",
        "4711",
        "Bearer",
        "eyJ",
        "Authorization",
        "authorization",
    ]);
    for word in words {
        assert!(!log.contains(word), "the log holds {word:?}");
    }
    let personal = investor.body["personal_data"].as_object().expect("the seeded investor has personal data");
    for text in personal.values().filter_map(Value::as_str).filter(|text| text.len() > 3) {
        assert!(!log.contains(text), "the log holds {text:?} of the investor");
    }
}
