//! Compares answers with the OpenAPI file: status, media type, and the members of objects.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

use crate::world::Reply;

/// The OpenAPI file that the program under test serves.
pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&server::http::openapi_document().unwrap()).unwrap());

/// Checks an answer; `path` begins behind `/api`. Paths that the file does not have must be refused.
#[track_caller]
pub fn check(method: &Method, path: &str, reply: &Reply) {
    let path = path.split('?').next().unwrap_or(path);
    let Some(operation) = operation(method, path) else {
        assert!(reply.status >= 400, "{method} {path} is not in the OpenAPI file, but answered {}", reply.status);
        return;
    };
    let declared = &operation["responses"][reply.status.to_string()];
    assert!(declared.is_object(), "{method} {path} answered {}, which it does not declare: {}", reply.status, reply.text);
    let Some(content) = declared["content"].as_object() else { return };
    let media_type = reply.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    if content.contains_key("application/octet-stream") {
        return;
    }
    let schema = content.get(media_type).unwrap_or_else(|| panic!("{method} {path}: {media_type} is not declared"));
    check_value(&schema["schema"], &reply.body, &format!("{method} {path}"));
}

/// The operation of a concrete path.
pub fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?;
    let asked = format!("/api{path}");
    let asked = if asked.ends_with('/') || !has_slash(&asked) { asked } else { format!("{asked}/") };
    let template = paths.keys().find(|template| matches(template, &asked))?;
    paths[template].get(method.as_str().to_lowercase())
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

#[track_caller]
fn check_value(schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return check_value(&DOCUMENT["components"]["schemas"][name], value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        if !value.is_null() {
            let choice = choices.iter().find(|choice| choice["type"] != "null").unwrap();
            check_value(choice, value, at);
        }
        return;
    }
    check_type(schema, value, at);
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
        _ => return,
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&found), "{at}: {value} is {found}, declared is {types:?}");
}
