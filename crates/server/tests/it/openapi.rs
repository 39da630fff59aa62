//! The OpenAPI file against the program: nothing in it is missing, untrue or unreachable.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};
use server::http::{Doors, openapi_document};

use crate::contract::{self, DOCUMENT, resolved};
use crate::input::{Scene, operations};
use crate::tidy::repository_files;
use crate::world::{GUIDE_DATE, Reply, World, make_key};

/// What every operation behind a token may answer, and what one that acts may answer beside it.
const READING: [&str; 9] = ["400", "401", "403", "404", "405", "406", "429", "500", "503"];
const ACTING: [&str; 5] = ["408", "409", "413", "415", "422"];

#[test]
fn a18_the_committed_file_is_what_the_program_says_of_itself() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let said = openapi_document().unwrap();
    if std::env::var_os("SCRIP_WRITE_DOCS").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == said, "docs/openapi.json is out of date: run this test with SCRIP_WRITE_DOCS=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_the_served_file_is_the_committed_one_without_the_sandbox_in_production() {
    let served = async |doors: Doors| {
        let world = World::start_in(tempfile::tempdir().unwrap(), |_| {}).await;
        let url = match doors {
            Doors::Sandbox => world.handout.url.clone(),
            Doors::Production => {
                let folder = world.stop().await;
                let settings = server::program::Settings {
                    data: folder.path().join("data"),
                    database: crate::world::database_of(folder.path()),
                    is_unsynced_database_accepted: true,
                    listen: ([127, 0, 0, 1], 0).into(),
                    ..server::program::Settings::default()
                };
                let running = server::program::Running::start(&settings).await.unwrap();
                let document = document_at(&format!("http://{}/api", running.address)).await;
                running.stop().await;
                return document;
            }
        };
        document_at(&url).await
    };
    assert_eq!(served(Doors::Sandbox).await, *DOCUMENT);
    let production = served(Doors::Production).await;
    let mut expected = DOCUMENT["paths"].as_object().unwrap().clone();
    expected.retain(|template, _| !template.starts_with("/api/sandbox/"));
    assert_eq!(production["paths"], Value::Object(expected));
}

async fn document_at(url: &str) -> Value {
    let answer = reqwest::get(format!("{url}/openapi.json")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "application/json"));
    answer.json().await.unwrap()
}

/// Routes stand in the file because they are made together with it: nothing is routed by other means.
#[test]
fn a18_every_route_is_in_the_file_and_every_operation_has_a_route() {
    let mut handlers = BTreeSet::new();
    let mut routed = BTreeSet::new();
    for file in repository_files().iter().filter(|file| file.path.starts_with("crates/server/src/http/") && file.is_rust()) {
        let production = file.text.split("#[cfg(test)]").next().unwrap();
        for word in [".route(", ".nest(", ".route_service(", ".nest_service("] {
            assert!(!production.contains(word), "{} routes by {word}: the OpenAPI file does not see that", file.path);
        }
        for attribute in production.split("#[utoipa::path(").skip(1) {
            let handler = attribute.split("async fn ").nth(1).unwrap().split(['(', '<']).next().unwrap();
            assert!(handlers.insert(handler.to_owned()), "{handler} stands twice");
        }
        for names in production.split("routes!(").skip(1) {
            routed.extend(names.split(')').next().unwrap().split(',').map(|name| name.trim().to_owned()));
        }
    }
    let declared: BTreeSet<String> =
        operations().iter().map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(handlers, routed, "a handler without a route, or a route without a description");
    assert_eq!(handlers, declared);
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_every_operation_of_the_file_answers() {
    let scene = Scene::start().await;
    for (method, template, _) in operations() {
        if !template.starts_with("/api/") {
            continue;
        }
        let path = scene.filled(template);
        assert!(!path.contains('{'), "{path}: no id is known for a parameter");
        let reply = scene.send(scene.session_of(&path), (&method, &path), &[], "").await;
        match method {
            Method::GET => assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text),
            _ => assert!(!matches!(reply.status, 404 | 405), "{method} {path}: {}", reply.text),
        }
    }
}

#[test]
fn a18_every_operation_declares_its_errors_its_success_and_its_scopes() {
    let known: BTreeSet<&str> = [OrganisationKind::Issuer, OrganisationKind::Distributor, OrganisationKind::Registrar]
        .into_iter()
        .flat_map(|kind| kind.scopes().iter().map(|scope| scope.code()))
        .collect();
    let flow = &DOCUMENT["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"];
    let described: BTreeSet<&str> = flow["scopes"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, known, "the file describes other scopes than there are");
    for (method, template, operation) in operations() {
        let at = format!("{method} {template}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at} declares no success");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at} has no summary");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{at} {status} says nothing");
            let content = response["content"].as_object();
            let is_problem = content.is_some_and(|content| content.contains_key("application/problem+json"));
            let is_oauth = template.starts_with("/api/oauth/") && matches!(status.as_str(), "400" | "401");
            assert_eq!(is_problem, !status.starts_with('2') && !is_oauth, "{at} {status}");
        }
        if !template.contains("/v2/") {
            continue;
        }
        let acts = method != Method::GET;
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let takes_key = parameters.any(|parameter| parameter["name"] == "X-Idempotency-Key");
        // Only a key can belong to another request.
        let due = |status: &&&str| acts && (takes_key || **status != "422");
        for status in READING.iter().chain(ACTING.iter().filter(due)) {
            assert!(responses.contains_key(*status), "{at} does not declare {status}");
        }
        let scopes: Vec<&str> = operation["security"]
            .as_array()
            .unwrap_or_else(|| panic!("{at} needs no token"))
            .iter()
            .flat_map(|choice| choice["oauth2"].as_array().unwrap())
            .map(|scope| scope.as_str().unwrap())
            .collect();
        assert!(!scopes.is_empty() && scopes.iter().all(|scope| known.contains(scope)), "{at}: {scopes:?}");
        let key = operation["parameters"].as_array().into_iter().flatten().find(|one| one["name"] == "X-Idempotency-Key");
        // A quote computes and records nothing.
        let records = acts && operation["operationId"] != "create_quote";
        assert_eq!(key.is_some(), records, "{at}: X-Idempotency-Key");
        let is_due = records && method == Method::POST;
        assert_eq!(key.is_some_and(|key| key["required"] == true), is_due, "{at}: X-Idempotency-Key");
    }
}

#[test]
fn a18_every_reference_resolves_and_every_schema_is_used() {
    let mut used = BTreeSet::new();
    walk(&DOCUMENT, &mut |value| {
        if value["$ref"].is_string() {
            resolved(value);
            used.insert(value["$ref"].as_str().unwrap().rsplit('/').next().unwrap());
        }
    });
    // The pages' own schemas are the framework's generics: they stand where they are used, too.
    let names = DOCUMENT["components"]["schemas"].as_object().unwrap().keys().map(String::as_str);
    let unused: Vec<&str> = names.filter(|name| !used.contains(name)).collect();
    assert_eq!(unused, Vec::<&str>::new());
}

/// Bodies take no member that is not declared, and say so.
#[test]
fn a18_json_bodies_are_closed() {
    for (method, template, operation) in operations() {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        assert_eq!(resolved(schema)["additionalProperties"], false, "{method} {template}");
    }
}

fn walk(value: &'static Value, see: &mut impl FnMut(&'static Value)) {
    see(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| walk(member, see)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A body made of a schema's own examples, with the scene's ids; `optional` names the optional members it has.
fn example_of(scene: &Scene, schema: &'static Value, optional: &BTreeSet<&str>) -> Value {
    let schema = resolved(schema);
    let Some(properties) = schema["properties"].as_object() else { return example_value(scene, "", schema) };
    let is_required = |name: &str| schema["required"].as_array().into_iter().flatten().any(|required| required == name);
    let chosen = properties.iter().filter(|(name, _)| is_required(name) || optional.contains(name.as_str()));
    chosen.map(|(name, property)| (name.clone(), example_value(scene, name, property))).collect::<serde_json::Map<_, _>>().into()
}

fn example_value(scene: &Scene, name: &str, schema: &'static Value) -> Value {
    let schema = resolved(schema);
    let handout = &scene.world.handout;
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return example_value(scene, name, &choices[0]);
    }
    match (name, schema["type"].as_str(), schema["format"].as_str()) {
        ("distribution_platform_id", ..) => json!(handout.distribution_platform_id),
        ("investor_id", ..) => json!(handout.investor_id),
        ("campaign_id", ..) => json!(scene.campaign_id),
        ("wallet", ..) => json!(handout.wallet_id),
        ("document_id", ..) => json!(scene.document_id),
        (_, Some("boolean"), _) => json!(true),
        (_, Some("array"), _) => json!([example_of(scene, &schema["items"], &BTreeSet::new())]),
        (_, Some("object"), _) => example_of(scene, schema, &BTreeSet::new()),
        (_, _, Some("date-time")) => json!(GUIDE_DATE),
        _ if schema["type"][0] == "string" && schema["format"] == "date-time" => json!(GUIDE_DATE),
        _ => panic!("{name} has no example and none can be made: {schema}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_the_examples_of_every_body_have_nothing_wrong_with_their_form() {
    let scene = Scene::start().await;
    for (method, template, operation) in operations() {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        let all: BTreeMap<&str, &Value> =
            resolved(schema)["properties"].as_object().unwrap().iter().map(|(name, one)| (name.as_str(), one)).collect();
        let alone = all.keys().map(|name| BTreeSet::from([*name]));
        for optional in [BTreeSet::new(), all.keys().copied().collect()].into_iter().chain(alone) {
            let mut body = example_of(&scene, schema, &optional);
            if body.get("minimum_investment_amount").is_some() {
                // The amount belongs to the rule type of its name; the example shows the other one.
                body["rule_type"] = json!("minimum_investment_amount");
            }
            contract::check_value(schema, &body, template);
            let path = scene.filled(template);
            let fields = [("Content-Type", "application/json"), ("X-Idempotency-Key", &make_key())];
            let reply = scene.send(scene.session_of(&path), (&method, &path), &fields, body.to_string()).await;
            assert!(matches!(reply.status, 200 | 201 | 409), "{method} {path} {body}: {}", reply.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_the_forms_of_the_file_are_taken() {
    let scene = Scene::start().await;
    let credentials = &scene.world.handout.distributor;
    let schema = &DOCUMENT["components"]["schemas"]["TokenForm"];
    let names: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["client_id", "client_secret", "grant_type", "scope"]));
    let client_id = credentials.client_id.to_string();
    let form = [
        ("grant_type", schema["properties"]["grant_type"]["example"].as_str().unwrap()),
        ("client_id", &client_id),
        ("client_secret", &credentials.client_secret),
        ("scope", DOCUMENT["components"]["schemas"]["Token"]["properties"]["scope"]["example"].as_str().unwrap()),
    ];
    let url = &scene.world.handout.url;
    let answer = scene.world.http.post(format!("{url}/oauth/token")).form(&form).send().await.unwrap();
    let token = Reply::of(&Method::POST, "/oauth/token", answer).await.expect(200);
    let form = [("token", token.body["access_token"].as_str().unwrap()), form[1], form[2]];
    let answer = scene.world.http.post(format!("{url}/oauth/revoke")).form(&form).send().await.unwrap();
    Reply::of(&Method::POST, "/oauth/revoke", answer).await.expect(200);
    for path in ["/distributor/v2/documents/", "/issuer/v2/documents/"] {
        scene.session_of(path).upload_bytes(path, "a.pdf", b"%PDF-1.4".to_vec(), &make_key()).await.expect(201);
    }
}

/// What compares every answer with the file does see a difference.
#[tokio::test(flavor = "multi_thread")]
async fn a16_an_answer_that_differs_from_the_file_is_caught() {
    let scene = Scene::start().await;
    let path = format!("/distributor/v2/investments/{}/", scene.investment_id);
    let truth = scene.distributor.get(&path).await.expect(200);
    let refusal = scene.distributor.get("/distributor/v2/investments/?limit=0").await.expect(400);
    let is_caught = |reply: &Reply| {
        let checking = AssertUnwindSafe(|| contract::check(&Method::GET, &path, reply));
        catch_unwind(checking).is_err()
    };
    assert!(!is_caught(&truth) && !is_caught(&refusal));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut lie = truth.clone();
        change(&mut lie.body);
        lie
    };
    let lies = [
        with(&|body| body["tenant_id"] = json!(1)),
        with(&|body| drop(body.as_object_mut().unwrap().remove("units"))),
        with(&|body| body["units"] = json!("10")),
        with(&|body| body["units"] = json!(1.5)),
        with(&|body| body["units"] = json!(-1)),
        with(&|body| body["units"] = Value::Null),
        with(&|body| body["id"] = json!("1")),
        with(&|body| body["signed_at"] = json!("2025-03-12T07:14:13Z")),
        with(&|body| body["agio"]["decimals"] = json!(19)),
        with(&|body| body["agio"]["cents"] = json!(1)),
        with(&|body| body["signed_documents"] = json!([{"id": 1}])),
        Reply { status: 202, ..truth.clone() },
        Reply { status: 400, ..truth.clone() },
    ];
    for (number, lie) in lies.iter().enumerate() {
        assert!(is_caught(lie), "lie {number} was not seen: {}", lie.body);
    }
    let without = |name: &str| {
        let mut lie = truth.clone();
        lie.headers.remove(name);
        lie
    };
    for name in ["content-type", "x-request-id", "x-content-type-options", "cache-control"] {
        assert!(is_caught(&without(name)), "{name} is not missed");
    }
    for (pointer, value) in [("/status", json!(409)), ("/instance", json!("urn:request:1")), ("/title", Value::Null)] {
        let mut lie = refusal.clone();
        *lie.body.pointer_mut(pointer).unwrap() = value;
        assert!(is_caught(&lie), "{pointer}");
    }
    let leak = Reply { text: format!("{} at crates/server/src/main.rs:1", refusal.text), ..refusal.clone() };
    assert!(is_caught(&leak));
}
