//! Texts that want to be something else: SQL, LDAP, templates, log lines, terminal codes, paths.

use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{self, Process};
use crate::world::{GUIDE_DATE, Reply, Session};

/// Stands in every hostile text, so that its traces can be looked for.
const MARK: &str = "m4rk3d";

/// Hostile texts without control characters: they are texts like any other.
const STORABLE: [&str; 24] = [
    "m4rk3d' OR '1'='1",
    "m4rk3d'; DROP TABLE campaign; --",
    "m4rk3d\"; DELETE FROM investment WHERE \"\"=\"",
    "m4rk3d') union select secret_digest from client --",
    "m4rk3d\\'; ATTACH DATABASE 'x' AS y; --",
    "m4rk3d%' ESCAPE '\\",
    "m4rk3d?1 :name $1 @p",
    "m4rk3d*)(uid=*))(|(uid=*",
    "m4rk3d{{7*7}}",
    "m4rk3d${7*7}",
    "m4rk3d#{7*7}",
    "m4rk3d<%= 7*7 %>",
    "m4rk3d${jndi:ldap://localhost/a}",
    "m4rk3d<script>alert(1)</script>",
    "m4rk3d\" onload=\"alert(1)",
    "m4rk3d]]><!--",
    "m4rk3d{\"level\":\"ERROR\"}",
    "m4rk3d\\n{\"level\":\"ERROR\"}",
    "m4rk3d\\u0000",
    "m4rk3d%0d%0aSet-Cookie: a=b",
    "m4rk3d%s%n%x",
    "m4rk3d=1+1|cmd",
    "m4rk3d../../../../etc/passwd",
    "m4rk3d\u{202e}\u{2028}\u{2029}",
];

/// Hostile texts with control characters: no field takes them.
const REFUSED: [&str; 5] = [
    "m4rk3d\r\n{\"level\":\"ERROR\",\"fields\":{\"message\":\"forged\"}}",
    "m4rk3d\nforged",
    "m4rk3d\u{1b}[2J\u{1b}]0;title\u{7}",
    "m4rk3d\0",
    "m4rk3d\u{9b}31m",
];

/// A program in a process of its own, whose log can be read.
struct Injected {
    process: Process,
    issuer: Session,
    distributor: Session,
}

impl Injected {
    fn campaign(&self, name: &str) -> Value {
        json!({
            "distribution_platform_id": self.process.handout.distribution_platform_id,
            "allocation": 1000,
            "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
            "min_number_of_tokens": 1,
            "max_number_of_tokens": 100,
            "name": name,
            "legal_persons_allowed": true,
            "natural_persons_allowed": true,
            "country": "DEU",
            "rule_type": "public_offering",
            "is_campaign_active": true
        })
    }

    fn campaigns(&self) -> String {
        format!("/issuer/v2/products/{}/campaigns/", self.process.handout.product_id)
    }

    /// Names are stored and read back as they were sent.
    async fn name_campaigns(&self) -> String {
        let mut last = String::new();
        for text in STORABLE {
            last = self.issuer.post(&self.campaigns(), &self.campaign(text)).await.expect(201).id();
            let read = self.issuer.get(&format!("{}{last}/", self.campaigns())).await.expect(200);
            assert_eq!(read.body["name"], text);
            let catalogue = format!("/distributor/v2/products/{}/campaigns/?limit=200", self.process.handout.product_id);
            let listed = self.distributor.get(&catalogue).await.expect(200);
            assert!(listed.body["results"].as_array().unwrap().iter().any(|one| one["name"] == text));
        }
        for text in REFUSED {
            let refused = self.issuer.post(&self.campaigns(), &self.campaign(text)).await;
            refused.expect_fault("/name", "invalid_value");
        }
        last
    }

    /// File names and media types are stored as texts and encoded where they become header fields.
    async fn name_documents(&self) {
        for text in STORABLE {
            let uploaded = self.distributor.upload(text).await.expect(201);
            let path = format!("/distributor/v2/documents/{}/", uploaded.id());
            let read = self.distributor.get(&path).await.expect(200);
            assert_eq!(read.body, uploaded.body);
            // What a client escapes is read as it stands; nothing of it is ever a path.
            let name = read.body["file_name"].as_str().unwrap();
            assert!(name.contains(MARK), "{text:?} became {name:?}");
            let content = self.distributor.get(&format!("{path}content/")).await.expect(200);
            let disposition = content.headers["content-disposition"].to_str().unwrap();
            assert!(disposition.starts_with("attachment; filename=\"") && content.headers.get("set-cookie").is_none());
        }
    }

    /// Every other text of every body has a form, which none of these has.
    async fn fill_bodies(&self, campaign_id: &str) {
        let investment = json!({
            "investor_id": self.process.handout.investor_id, "campaign_id": campaign_id, "units": 1, "signed_at": GUIDE_DATE,
            "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": self.process.handout.wallet_id,
            "disagio": {"amount": "1", "decimals": 2, "currency": "EUR"},
            "signed_documents": [{"document_type": "effecta_document", "document_id": self.process.handout.wallet_id}],
        });
        let mut campaign = self.campaign("x");
        campaign["agio_percent"] = json!("1");
        for (session, path, body) in [
            (&self.issuer, self.campaigns(), campaign),
            (&self.distributor, "/distributor/v2/investments/".to_owned(), investment),
        ] {
            for pointer in text_pointers(&body, "").into_iter().filter(|pointer| pointer != "/name") {
                for text in STORABLE.into_iter().chain(REFUSED) {
                    let mut changed = body.clone();
                    *changed.pointer_mut(&pointer).unwrap() = json!(text);
                    let refused = session.post(&path, &changed).await.expect(400);
                    let errors = refused.body["errors"].as_array().unwrap().clone();
                    assert!(errors.iter().any(|error| error["pointer"] == pointer), "{pointer}: {}", refused.text);
                    assert!(!refused.text.contains(MARK), "{pointer} is echoed: {}", refused.text);
                }
            }
        }
    }

    /// Paths, queries, keys and other header fields.
    async fn fill_heads(&self) {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        for text in STORABLE.into_iter().chain(REFUSED) {
            let encoded = encode(text);
            for path in [
                format!("/distributor/v2/products/{encoded}/"),
                format!("/distributor/v2/{encoded}/"),
                format!("/distributor/v2/investments/?status={encoded}"),
                format!("/distributor/v2/investments/?cursor={encoded}"),
                format!("/distributor/v2/investments/?{encoded}=1"),
            ] {
                let refused = self.distributor.get(&path).await;
                assert!(matches!(refused.status, 400 | 404), "{}", refused.text);
            }
            let form = [("grant_type", "client_credentials"), ("client_id", text), ("client_secret", text), ("scope", text)];
            let answer =
                self.process.http.post(format!("{}/oauth/token", self.distributor.url)).form(&form).send().await.unwrap();
            assert!(matches!(answer.status().as_u16(), 400 | 401 | 429), "{text:?}: {}", answer.status());
        }
        for text in STORABLE.into_iter().filter(|text| text.is_ascii()) {
            let key = text.replace(' ', "_");
            let refused = self.distributor.send(Method::POST, "/distributor/v2/investments/", Some(&key), Some(&json!({}))).await;
            refused.expect(400);
            let request = self.process.http.get(format!("{}/distributor/v2/products/", self.distributor.url));
            let request = request.bearer_auth(&self.distributor.token).header("User-Agent", text).header("X-Request-Id", text);
            let request = request.header("X-Forwarded-For", text).header("Referer", text).header("Traceparent", text);
            let reply = Reply::of(&Method::GET, "/distributor/v2/products/", request.send().await.unwrap()).await.expect(200);
            assert!(!format!("{:?}", reply.headers).contains(MARK), "a header field is echoed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_hostile_texts_are_stored_as_text_and_log_lines_stay_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_logging(folder.path(), &[], "info").await;
    let (issuer, distributor) = (process.issuer().await, process.distributor().await);
    let injected = Injected { process, issuer, distributor };
    let campaign_id = injected.name_campaigns().await;
    injected.name_documents().await;
    injected.fill_bodies(&campaign_id).await;
    injected.fill_heads().await;
    // Nothing else happened: every campaign stands, no investment does.
    let count = injected.issuer.get(&injected.campaigns()).await.expect(200).body["count"].clone();
    assert_eq!(count, STORABLE.len());
    let investments = injected.distributor.get("/distributor/v2/investments/").await.expect(200);
    assert_eq!(investments.body["count"], 0);
    injected.process.terminate();
    assert!(injected.process.ended().await.success());
    let verified = process::run(&["verify"], &folder.path().join("data"));
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));

    let log = std::fs::read_to_string(process::log_path(folder.path())).unwrap();
    let mut requests = 0;
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the log line {line:?}"));
        assert!(entry.is_object() && entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
        assert!(!line.contains(MARK) && !line.contains("forged"), "what a client wrote is in the log: {line}");
        requests += usize::from(entry["target"] == "scrip::access");
    }
    assert!(requests > 500, "{requests} requests were logged");
}

/// The pointers of every text in a body.
fn text_pointers(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::String(_) => vec![at.to_owned()],
        Value::Object(members) => {
            members.iter().flat_map(|(name, member)| text_pointers(member, &format!("{at}/{name}"))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| text_pointers(item, &format!("{at}/{index}"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
