//! Row I03: a key belongs to one request. What counts is what a request says, not how it is written.

use reqwest::Method;
use serde_json::{Value, json};

use super::effects::{Before, assert_executed, assert_replayed};
use crate::access::call::{Call, Payload};
use crate::access::catalogue::{Operation, mutating};
use crate::access::side::Side;
use crate::world::{Session, World, make_key, merged};

#[tokio::test(flavor = "multi_thread")]
async fn i03_a_key_is_refused_for_another_body_path_or_method() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    for operation in mutating() {
        let (call, key, session) = (side.fresh(&operation).await, make_key(), side.caller(&operation));
        let mut others = other_bodies(&operation, &call);
        for another in mutating().iter().filter(|another| another.kind == operation.kind) {
            others.push((format!("{} in its place", another.id), side.fresh(another).await));
        }
        assert!(others.iter().any(|(_, other)| other.method != call.method), "another method");
        let before = Before::of(&world, &side, &operation, &call).await;
        let first = call.send(&world, session, Some(&key)).await;
        assert_executed(&first, operation.id);
        for (at, other) in others {
            let reply = other.send(&world, session, Some(&key)).await;
            assert_eq!(reply.status, 422, "{}, then {at}: {}", operation.id, reply.text);
            assert_eq!(reply.body["code"], "key_reused", "{at}");
        }
        assert_replayed(&first, &call.send(&world, session, Some(&key)).await, operation.id);
        before.assert_executed(1, &world, &side, &operation, &call).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i03_order_of_members_white_space_and_the_last_slash_do_not_matter() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    for operation in mutating() {
        let (call, key, session) = (side.fresh(&operation).await, make_key(), side.caller(&operation));
        let first = call.send(&world, session, Some(&key)).await;
        assert_executed(&first, operation.id);
        let path = call.path();
        let bare = format!("{}{}", world.handout.url, path.strip_suffix('/').unwrap());
        let respelled = match &call.payload {
            Payload::Json(body) => vec![backwards(body, ""), backwards(body, " \r\n\t ")],
            // An empty object says as much as no body; a multipart form has another boundary each time by itself.
            Payload::Empty => vec![String::new(), "{}".to_owned(), " { } ".to_owned()],
            Payload::File { .. } => Vec::new(),
        };
        for text in &respelled {
            let again = call.reply(raw(&world, session, &call.method, &format!("{}{path}", world.handout.url), &key, text)).await;
            assert_replayed(&first, &again, &format!("{} as {text}", operation.id));
            let again = call.reply(raw(&world, session, &call.method, &bare, &key, text)).await;
            assert_replayed(&first, &again, &format!("{} at {bare}", operation.id));
        }
        assert_replayed(&first, &call.send(&world, session, Some(&key)).await, operation.id);
    }
    world.stop().await;
}

fn raw(world: &World, session: &Session, method: &Method, url: &str, key: &str, text: &str) -> reqwest::RequestBuilder {
    let request = world.http.request(method.clone(), url).bearer_auth(&session.token).header("X-Idempotency-Key", key);
    request.header("Content-Type", "application/json").body(text.to_owned())
}

/// The same value with the members of every object in the opposite order, and `space` between all of its parts.
fn backwards(value: &Value, space: &str) -> String {
    let joined = |parts: Vec<String>| parts.join(&format!("{space},{space}"));
    match value {
        Value::Object(members) => {
            let members = members.iter().rev();
            let members = members.map(|(name, member)| format!("\"{name}\"{space}:{space}{}", backwards(member, space)));
            format!("{space}{{{space}{}{space}}}{space}", joined(members.collect()))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| backwards(item, space)).collect();
            format!("[{space}{}{space}]", joined(items))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Requests that differ from one in a value of their body.
fn other_bodies(operation: &Operation, call: &Call) -> Vec<(String, Call)> {
    let change = match operation.id {
        "distributor_upload_document" | "issuer_upload_document" => return other_files(call),
        // It has no body.
        "order_credit" => return Vec::new(),
        "create_investment" => json!({"units": 2}),
        "change_investment" => json!({"disagio": {"amount": "2", "decimals": 2, "currency": "EUR"}}),
        "cancel_investment" => json!({"cancellation_date": "2025-03-12T07:14:13.630309+00:00"}),
        "attach_signed_document" => json!({"document_type": "effecta_document"}),
        "create_campaign" => json!({"allocation": 101}),
        "change_campaign" => json!({"is_campaign_active": true}),
        "change_product" => json!({"nominal_value": {"amount": "200", "decimals": 2, "currency": "EUR"}}),
        unknown => panic!("{unknown} changes something, and no other body for it is known here: add one"),
    };
    let Payload::Json(body) = &call.payload else { panic!("{} has a JSON body", operation.id) };
    vec![(change.to_string(), call.with_payload(Payload::Json(merged(body.clone(), change))))]
}

fn other_files(call: &Call) -> Vec<(String, Call)> {
    let Payload::File { name, media_type, bytes } = &call.payload else { panic!("a file is uploaded") };
    let longer = [bytes.as_slice(), b"\n"].concat();
    [
        ("another name", format!("x{name}"), *media_type, bytes.clone()),
        ("another media type", name.clone(), "application/octet-stream", bytes.clone()),
        ("other bytes", name.clone(), *media_type, longer),
    ]
    .map(|(at, name, media_type, bytes)| (at.to_owned(), call.with_payload(Payload::File { name, media_type, bytes })))
    .into()
}
