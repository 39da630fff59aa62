//! The operations of the OpenAPI file, as the walks over them need them.

use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::Value;

use crate::contract::DOCUMENT;

/// The operations that ask for no token: they hand tokens out, tell whether the program lives, or exist in a sandbox only.
pub const PUBLIC: [&str; 6] = ["advance_clock", "healthz", "issue_token", "read_clock", "readyz", "revoke_token"];

/// An operation that asks for a token.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its `operationId`.
    pub id: &'static str,
    pub method: Method,
    /// Its path behind `/api`, with its ids in braces.
    pub template: &'static str,
    /// The API it belongs to.
    pub kind: OrganisationKind,
    /// Any one of these opens it.
    pub scopes: Vec<&'static str>,
    /// The ids in its path, in order.
    pub path_ids: Vec<&'static str>,
    /// The ids that it filters by.
    pub filters: Vec<&'static str>,
}

impl Operation {
    /// Whether it changes anything: then it takes an idempotency key.
    pub fn is_mutating(&self) -> bool {
        let method = self.method.as_str().to_lowercase();
        let operation = &DOCUMENT["paths"][format!("/api{}", self.template)][method];
        parameters(operation).any(|parameter| parameter["name"] == "X-Idempotency-Key")
    }

    /// Whether it answers with a list in pages.
    pub fn is_list(&self) -> bool {
        parameters(&DOCUMENT["paths"][format!("/api{}", self.template)]["get"]).any(|parameter| parameter["name"] == "cursor")
            && !self.is_mutating()
    }
}

/// Every operation that asks for a token. Fails where another operation than the named ones asks for none.
pub fn guarded() -> Vec<Operation> {
    let mut open = Vec::new();
    let mut guarded = Vec::new();
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            match operation["security"].as_array() {
                None => open.push(id),
                Some(security) => guarded.push(read(id, path, method, operation, security)),
            }
        }
    }
    open.sort_unstable();
    assert_eq!(open, PUBLIC, "the operations that ask for no token");
    assert!(guarded.len() > 30, "the file holds the API");
    guarded
}

/// Every operation that changes something and takes an idempotency key.
pub fn mutating() -> Vec<Operation> {
    guarded().into_iter().filter(Operation::is_mutating).collect()
}

fn read(id: &'static str, path: &'static str, method: &str, operation: &'static Value, security: &'static [Value]) -> Operation {
    let kind = [OrganisationKind::Issuer, OrganisationKind::Distributor, OrganisationKind::Registrar]
        .into_iter()
        .find(|kind| path.starts_with(&format!("/api/{}/", kind.code())));
    let ids = |place: &str, is_id: fn(&Value) -> bool| {
        parameters(operation)
            .filter(|parameter| parameter["in"] == place && is_id(&parameter["schema"]))
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    let path_ids = ids("path", |_| true);
    assert_eq!(path_ids.len(), path.matches('{').count(), "{path}");
    let scopes = security.iter().flat_map(|choice| {
        let scopes = choice["oauth2"].as_array().unwrap();
        assert_eq!(scopes.len(), 1, "{id}: alternatives of one scope each");
        scopes.iter().map(|scope| scope.as_str().unwrap())
    });
    Operation {
        id,
        method: method.to_uppercase().parse().unwrap(),
        template: path.strip_prefix("/api").unwrap(),
        kind: kind.unwrap_or_else(|| panic!("{path} belongs to no API")),
        scopes: scopes.collect(),
        path_ids,
        filters: ids("query", |schema| schema["format"] == "uuid"),
    }
}

fn parameters(operation: &'static Value) -> impl Iterator<Item = &'static Value> {
    operation["parameters"].as_array().into_iter().flatten()
}
