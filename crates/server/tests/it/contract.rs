//! Compares answers with the OpenAPI file: status, media type, the members of objects, formats and limits of values, and
//! the header fields that a status demands.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::world::Reply;

/// The OpenAPI file that the program under test serves.
pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&server::http::openapi_document().unwrap()).unwrap());

/// Words that only the inside of the program knows. No answer may hold one.
const INSIDES: [&str; 15] = [
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "sqlite",
    "SQLITE",
    "constraint failed",
    "panicked",
    "unwrap",
    "RUST_BACKTRACE",
    "src/",
    ".rs:",
    "/tmp/",
    "/home/",
    "/root",
    "scrip-data",
];

/// Checks an answer; `path` begins behind `/api`. What the file does not have must be refused with a problem.
#[track_caller]
pub fn check(method: &Method, path: &str, reply: &Reply) {
    let path = path.split('?').next().unwrap_or(path);
    let at = format!("{method} {path}");
    check_fields(&at, reply);
    let Some(operation) = operation(method, path) else {
        assert!(reply.status >= 400, "{at} is not in the OpenAPI file, but answered {}", reply.status);
        return;
    };
    let declared = &operation["responses"][reply.status.to_string()];
    assert!(declared.is_object(), "{at} answered {}, which it does not declare: {}", reply.status, reply.text);
    let Some(content) = declared["content"].as_object() else {
        assert_eq!(reply.text, "", "{at} declares no body");
        return;
    };
    let media_type = header(reply, "content-type").unwrap_or_default();
    if content.contains_key("*/*") {
        return;
    }
    let schema = content.get(media_type).unwrap_or_else(|| panic!("{at}: {media_type} is not declared"));
    check_value(&schema["schema"], &reply.body, &at);
}

/// What holds for every answer whatever the operation: the request id, no sniffing, and what a refusal's status demands.
#[track_caller]
fn check_fields(at: &str, reply: &Reply) {
    let id = header(reply, "x-request-id").and_then(|id| Uuid::try_parse(id).ok());
    let id = id.unwrap_or_else(|| panic!("{at}: no request id"));
    assert_eq!(header(reply, "x-content-type-options"), Some("nosniff"), "{at}");
    assert!(header(reply, "cache-control").is_some_and(|value| value.contains("no-store")), "{at}: may be cached");
    if reply.status < 400 {
        return;
    }
    for inside in INSIDES {
        assert!(!reply.text.contains(inside), "{at} tells {inside:?}: {}", reply.text);
    }
    match reply.status {
        401 => assert!(header(reply, "www-authenticate").is_some(), "{at}: 401 without WWW-Authenticate"),
        405 => assert!(header(reply, "allow").is_some(), "{at}: 405 without Allow"),
        429 | 503 => assert!(header(reply, "retry-after").is_some(), "{at}: {} without Retry-After", reply.status),
        _ => {}
    }
    if at.contains("/oauth/") && header(reply, "content-type") == Some("application/json") {
        return;
    }
    assert_eq!(header(reply, "content-type"), Some("application/problem+json"), "{at}: {}", reply.text);
    check_value(&DOCUMENT["components"]["schemas"]["Problem"], &reply.body, at);
    assert_eq!(reply.body["status"], reply.status, "{at}: {}", reply.text);
    // A replayed problem names the request that it first answered.
    let instance = reply.body["instance"].as_str().unwrap_or_default();
    assert!(reply.is_replay() || instance == format!("urn:request:{id}"), "{at}: {}", reply.text);
}

/// A header field of an answer, where it stands and is ASCII.
fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.get(name).and_then(|value| value.to_str().ok())
}

/// The operation of a concrete path.
pub fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?;
    let asked = format!("/api{path}");
    let asked = if asked.ends_with('/') || !has_slash(&asked) { asked } else { format!("{asked}/") };
    let template = paths.keys().find(|template| matches(template, &asked))?;
    paths[template].get(method.as_str().to_lowercase())
}

/// The schema that a reference names; any other schema is itself.
pub fn resolved(schema: &'static Value) -> &'static Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leaves the file"));
    DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("{reference} names nothing"))
}

fn has_slash(path: &str) -> bool {
    ["/api/issuer/", "/api/distributor/", "/api/registrar/", "/api/sandbox/"].iter().any(|prefix| path.starts_with(prefix))
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(expected, found)| expected == found || (expected.starts_with('{') && !found.is_empty()))
}

/// Checks a value against a schema of the file.
#[track_caller]
pub fn check_value(schema: &'static Value, value: &Value, at: &str) {
    let schema = resolved(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        if !value.is_null() {
            let choice = choices.iter().find(|choice| choice["type"] != "null").unwrap();
            check_value(choice, value, at);
        }
        return;
    }
    check_type(schema, value, at);
    check_limits(schema, value, at);
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for name in members.keys() {
            assert!(properties.contains_key(name), "{at}: {name} is not declared");
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(required.as_str().unwrap()), "{at}: {required} is missing in {value}");
        }
        for (name, member) in members {
            check_value(&properties[name], member, &format!("{at}/{name}"));
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for item in values {
            check_value(items, item, &format!("{at}/[]"));
        }
    }
}

#[track_caller]
fn check_type(schema: &Value, value: &Value, at: &str) {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return,
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&found), "{at}: {value} is {found}, declared is {types:?}");
}

/// The formats and limits that the file uses; a format that this does not know is a fault of the test.
#[track_caller]
fn check_limits(schema: &Value, value: &Value, at: &str) {
    if let Some(text) = value.as_str() {
        let fits = match schema["format"].as_str() {
            None | Some("binary") => true,
            Some("uuid") => text.len() == 36 && Uuid::try_parse(text).is_ok(),
            Some("date-time") => is_timestamp(text),
            Some("date") => text.parse::<jiff::civil::Date>().is_ok(),
            Some(other) => panic!("{at}: the format {other} is not checked"),
        };
        assert!(fits, "{at}: {text:?} is no {}", schema["format"]);
        let length = text.chars().count();
        assert!(schema["minLength"].as_u64().is_none_or(|least| length >= usize::try_from(least).unwrap()), "{at}: {text:?}");
        assert!(schema["maxLength"].as_u64().is_none_or(|most| length <= usize::try_from(most).unwrap()), "{at}: {text:?}");
    }
    if let Some(integer) = value.as_i64() {
        assert!(schema["minimum"].as_i64().is_none_or(|least| integer >= least), "{at}: {integer}");
        assert!(schema["maximum"].as_i64().is_none_or(|most| integer <= most), "{at}: {integer}");
        let is_short = schema["format"] != "int32" || i32::try_from(integer).is_ok();
        assert!(is_short, "{at}: {integer} is no int32");
    }
}

/// The one spelling of timestamps on the way out: `2025-03-12T07:14:13.630308+00:00`.
fn is_timestamp(text: &str) -> bool {
    let digits_as_nines: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    digits_as_nines == "9999-99-99T99:99:99.999999+99:99" && text.ends_with("+00:00") && text.parse::<jiff::Timestamp>().is_ok()
}
