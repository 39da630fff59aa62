//! Thousands of requests made from the OpenAPI file's own schemas and then damaged: whatever comes, the answer is one that
//! the file declares, and never a failure of ours.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use server::verify::verify;
use uuid::Uuid;

use super::{Scene, operations, unknown_id};
use crate::contract::resolved;
use crate::world::{GUIDE_DATE, Reply, database_of, make_key};

/// Requests of one run.
const REQUESTS: usize = 3_000;
/// A key that several requests share.
const SHARED_KEY: &str = "shared";

/// A reproducible source of choices.
struct Dice(ChaCha12Rng);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.0.next_u64() % count as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        Uuid::from_bytes(bytes)
    }
}

/// One request, before it is sent.
#[derive(Debug)]
struct Request {
    method: Method,
    path: String,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// What requests are made of: dice, and ids that exist.
struct Maker<'s> {
    dice: Dice,
    scene: &'s Scene,
    ids: Vec<String>,
}

impl Maker<'_> {
    fn request(&mut self, method: &Method, template: &str, operation: &'static Value) -> Request {
        let method = if self.dice.chance(2) { Method::PUT } else { method.clone() };
        let mut path = self.path(template);
        let query = self.query(operation);
        if !query.is_empty() {
            path = format!("{path}?{query}");
        }
        let mut fields = self.fields();
        let content = operation["requestBody"]["content"].as_object();
        let body = match content.and_then(|content| content.iter().next()) {
            None if self.dice.chance(5) => self.junk().to_string().into_bytes(),
            None => Vec::new(),
            Some((media_type, content)) => {
                let (stated, body) = self.body(media_type, &content["schema"]);
                let stated = if self.dice.chance(3) { "text/plain".to_owned() } else { stated };
                fields.push(("Content-Type", stated));
                body
            }
        };
        Request { method, path, fields, body }
    }

    fn path(&mut self, template: &str) -> String {
        let filled = self.scene.filled(template);
        if !self.dice.chance(12) {
            return filled;
        }
        let mut segments: Vec<String> = filled.split('/').map(str::to_owned).collect();
        let place = self.dice.below(segments.len());
        segments[place] = match self.dice.below(5) {
            0 => self.dice.uuid().to_string(),
            1 => self.dice.pick(&self.ids).clone(),
            2 => "%00".to_owned(),
            3 => "%ff%20'".to_owned(),
            _ => String::new(),
        };
        format!("/{}", segments.join("/").trim_start_matches('/'))
    }

    fn query(&mut self, operation: &Value) -> String {
        let declared = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query");
        let mut pairs: Vec<String> = Vec::new();
        for parameter in declared {
            if !self.dice.chance(25) {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let value = if self.dice.chance(25) { self.query_junk() } else { self.query_value(name, &parameter["schema"]) };
            pairs.push(format!("{name}={value}"));
        }
        if self.dice.chance(4) {
            pairs.push(format!("{}={}", self.query_junk(), self.query_junk()));
        }
        pairs.join("&")
    }

    fn query_value(&mut self, name: &str, schema: &Value) -> String {
        match (name, schema["format"].as_str(), schema["type"].as_str()) {
            ("status", ..) => (*self.dice.pick(&["PAID", "ABORTION", "DELIVERED", "KYC_PENDING"])).to_owned(),
            (_, Some("uuid"), _) => self.dice.pick(&self.ids).clone(),
            (_, _, Some("integer")) => (1 + self.dice.below(200)).to_string(),
            (_, _, Some("boolean")) => (*self.dice.pick(&["true", "false"])).to_owned(),
            _ => "AAAA".to_owned(),
        }
    }

    fn query_junk(&mut self) -> String {
        (*self.dice.pick(&[
            "",
            "0",
            "-1",
            "%00",
            "%zz",
            "%ff",
            "a%26b",
            "null",
            "99999999999999999999",
            "%F0%9F%92%A9",
            "'--",
            "[]",
        ]))
        .to_owned()
    }

    fn fields(&mut self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        let key = match self.dice.below(20) {
            0 => None,
            1..=3 => Some(SHARED_KEY.to_owned()),
            4 => Some("k".repeat(300)),
            5 => Some("two words".to_owned()),
            _ => Some(make_key()),
        };
        fields.extend(key.map(|key| ("X-Idempotency-Key", key)));
        if self.dice.chance(3) {
            fields.push(("Accept", (*self.dice.pick(&["text/html", "*/*;q=0", "application/*", ";;,"])).to_owned()));
        }
        if self.dice.chance(2) {
            fields.push(("Expect", "100-continue".to_owned()));
        }
        fields
    }

    /// The content type and the bytes of a body.
    fn body(&mut self, media_type: &str, schema: &'static Value) -> (String, Vec<u8>) {
        let mut value = self.value(schema);
        match media_type {
            "application/json" => {
                if self.dice.chance(40) {
                    self.damage(&mut value);
                }
                (media_type.to_owned(), self.bytes(value.to_string().into_bytes()))
            }
            "application/x-www-form-urlencoded" => {
                let pairs =
                    value.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("1")));
                let form = pairs.collect::<Vec<_>>().join("&").replace(' ', "+");
                (media_type.to_owned(), self.bytes(form.into_bytes()))
            }
            "multipart/form-data" => {
                let name = self.dice.pick(&["file", "file", "file", "other", ""]);
                let file = self.dice.pick(&["a.pdf", "../../x", "\u{202e}fdp.exe", "", "a\"b"]);
                let bytes = self.dice.pick(&["%PDF-1.4\n", "", "--b\r\n", "\0\0"]);
                let part = format!(
                    "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\r\n{bytes}\r\n--b--\r\n"
                );
                ("multipart/form-data; boundary=b".to_owned(), self.bytes(part.into_bytes()))
            }
            other => panic!("{other} bodies are not made here"),
        }
    }

    /// Now and then, damages bytes whatever they mean.
    fn bytes(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() || !self.dice.chance(12) {
            return bytes;
        }
        for _damage in 0..=self.dice.below(3) {
            let place = self.dice.below(bytes.len());
            match self.dice.below(4) {
                0 => bytes[place] = u8::try_from(self.dice.below(256)).unwrap(),
                1 => bytes.insert(place, *self.dice.pick(b"\0\"{[,\\\xff\r\n")),
                2 => bytes.truncate(place.max(1)),
                _ => {
                    let copy = bytes[place..].to_vec();
                    bytes.extend(copy);
                }
            }
        }
        bytes
    }

    /// A value that fits a schema, with ids that exist where it can.
    fn value(&mut self, schema: &'static Value) -> Value {
        let schema = resolved(schema);
        if let Some(properties) = schema["properties"].as_object() {
            let required: BTreeSet<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut object = json!({});
            for (name, property) in properties {
                if required.contains(name.as_str()) || self.dice.chance(30) {
                    object[name] = self.named_value(name, property);
                }
            }
            return object;
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let choice = self.dice.pick(choices);
            return self.value(choice);
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
        match (kind, schema["format"].as_str()) {
            (Some("string"), Some("date-time")) => {
                json!(*self.dice.pick(&[GUIDE_DATE, "2025-03-12T08:14:13+01:00", "1999-12-31T23:59:59Z"]))
            }
            (Some("string"), Some("uuid")) => json!(self.dice.pick(&self.ids)),
            (Some("string"), _) => schema.get("example").cloned().unwrap_or(json!("x")),
            (Some("integer"), _) => json!(1 + self.dice.below(20)),
            (Some("boolean"), _) => json!(self.dice.chance(60)),
            (Some("array"), _) => (0..self.dice.below(3)).map(|_| self.value(&schema["items"])).collect(),
            _ => Value::Null,
        }
    }

    /// Values that only make sense together, as ids that belong together.
    fn named_value(&mut self, name: &str, schema: &'static Value) -> Value {
        let handout = &self.scene.world.handout;
        match name {
            "distribution_platform_id" => json!(handout.distribution_platform_id),
            "investor_id" => json!(handout.investor_id),
            "campaign_id" => json!(self.scene.campaign_id),
            "wallet" => json!(handout.wallet_id),
            "document_id" => json!(self.scene.document_id),
            "min_number_of_tokens" => json!(1),
            "document_type" => json!(*self.dice.pick(&["effecta_document", "effecta_cryptoregistry_tos"])),
            "advance" => json!(*self.dice.pick(&["PT1S", "P1D", "PT1H30M"])),
            _ => self.value(schema),
        }
    }

    /// Puts something unfit into a random place.
    fn damage(&mut self, value: &mut Value) {
        let count = value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len);
        if count == 0 || self.dice.chance(15) {
            *value = self.junk();
            return;
        }
        let place = self.dice.below(count);
        if let Some(items) = value.as_array_mut() {
            self.damage(&mut items[place]);
            return;
        }
        let object = value.as_object_mut().unwrap();
        let name = object.keys().nth(place).unwrap().clone();
        match self.dice.below(5) {
            0 => drop(object.remove(&name)),
            1 => drop(object.insert(format!("{name}_"), json!(1))),
            2 => self.damage(object.get_mut(&name).unwrap()),
            _ => drop(object.insert(name, self.junk())),
        }
    }

    fn junk(&mut self) -> Value {
        let long = "x".repeat(3_000);
        let all = [
            Value::Null,
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(""),
            json!(" "),
            json!("\0"),
            json!("\u{202e}"),
            json!("9".repeat(50)),
            json!(long),
            json!(unknown_id()),
            json!(self.dice.uuid()),
            json!("2025-02-29T00:00:00Z"),
            json!("2999-01-01T00:00:00Z"),
            json!("P99999999999D"),
            json!([]),
            json!({}),
            json!([[[[[[]]]]]]),
            json!({"": {"a/b~c": [null]}}),
            json!({"amount": "1", "decimals": 2, "currency": "EUR"}),
        ];
        self.dice.pick(&all).clone()
    }
}

fn seed() -> u64 {
    let stated = std::env::var("SCRIP_SEED").ok();
    stated.map_or_else(|| getrandom::u64().unwrap(), |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_every_answer_to_thousands_of_damaged_requests_is_declared_and_none_is_5xx() {
    let seed = seed();
    println!("SCRIP_SEED={seed}");
    let scene = Scene::start().await;
    let handout = &scene.world.handout;
    let ids = [handout.product_id, handout.investor_id, handout.wallet_id, handout.distribution_platform_id, unknown_id()];
    let ids = ids.iter().map(Uuid::to_string).chain([
        scene.campaign_id.clone(),
        scene.investment_id.clone(),
        scene.document_id.clone(),
    ]);
    let mut maker = Maker { dice: Dice(ChaCha12Rng::seed_from_u64(seed)), scene: &scene, ids: ids.collect() };
    let (reading, acting): (Vec<_>, Vec<_>) = operations()
        .into_iter()
        .filter(|(_, template, _)| template.starts_with("/api/"))
        .partition(|(method, _, _)| *method == Method::GET);
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for _request in 0..REQUESTS {
        let chosen = if maker.dice.chance(30) { &reading } else { &acting };
        let (method, template, operation) = maker.dice.pick(chosen);
        let made = maker.request(method, template, operation);
        let session = scene.session_of(&made.path);
        let mut request = scene.world.http.request(made.method.clone(), format!("{}{}", session.url, made.path));
        for (name, value) in &made.fields {
            request = request.header(*name, value);
        }
        let request = request.bearer_auth(if maker.dice.chance(2) { "e30.e30.e30" } else { &session.token });
        let answer = request.body(made.body.clone()).send().await;
        let reply = Reply::of(&made.method, &made.path, answer.unwrap_or_else(|error| panic!("{error:?} to {made:?}"))).await;
        assert!(reply.status < 500, "{} to {made:?}: {}", reply.status, reply.text);
        *counts.entry(reply.status).or_default() += 1;
    }
    println!("{counts:?}");
    for status in [200, 201, 400, 401, 404, 405, 406, 409, 415, 422] {
        assert!(counts.contains_key(&status), "no answer was {status}, so the requests are too wild or too tame: {counts:?}");
    }
    let folder = scene.world.stop().await;
    verify(&folder.path().join("data"), database_of(folder.path()).as_deref()).await.unwrap();
}
