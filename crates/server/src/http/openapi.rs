//! The OpenAPI file: made from the handlers, so that it cannot say anything else than what is routed.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems};
use utoipa::openapi::security::{ClientCredentials, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, RefOr, Schema};
use utoipa::{Modify, OpenApi as _};

use super::oauth::OauthErrorDocument;
use super::problem::ProblemDocument;
use super::{Doors, routes};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Scrip",
        version = "2",
        description = "The primary market of crypto securities: campaigns, investments, credits. Every POST needs \
            `X-Idempotency-Key`. Errors are problem documents (RFC 9457). Lists are `{count, next, previous, results}`, \
            oldest first.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
    components(schemas(ProblemDocument, OauthErrorDocument)),
    modifiers(&OauthScheme)
)]
struct Frame;

struct OauthScheme;

impl Modify for OauthScheme {
    fn modify(&self, document: &mut OpenApi) {
        let scopes = Scopes::from_iter([
            ("documents:write", "Upload documents."),
            ("issuers:read", "Read issuers."),
            ("issuers:write", "Create and change issuers."),
            ("products:read", "Read products, listings, platforms and campaigns."),
            ("products:write", "Create and change products, listings and campaigns."),
            ("investors:read", "Read investors and wallets."),
            ("investors:write", "Create and change investors and wallets."),
            ("investments:read", "Read investments, signed documents and credits."),
            ("investments:write", "Create, change, cancel and credit investments."),
            ("registrar:read", "Read what the registrar keeps."),
            ("registrar:write", "Act as the registrar."),
        ]);
        let flow = Flow::ClientCredentials(ClientCredentials::new("/api/oauth/token", scopes));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([flow])));
    }
}

/// The document without paths.
pub(super) fn frame() -> OpenApi {
    Frame::openapi()
}

/// The document as it is published: JSON bodies take no member that is not declared, and say so.
pub(super) fn published(mut document: OpenApi) -> OpenApi {
    let mut names: Vec<String> = operations(&document).flat_map(json_bodies).collect();
    let Some(components) = document.components.as_mut() else { return document };
    while let Some(name) = names.pop() {
        let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(&name) else { continue };
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        names.extend(object.properties.values().flat_map(references));
    }
    document
}

/// The whole document, with the sandbox's operations, as pretty JSON.
///
/// # Errors
/// The document cannot be written as JSON.
pub fn openapi_document() -> Result<String, serde_json::Error> {
    let (_, document) = routes(Doors::Sandbox).split_for_parts();
    let mut text = serde_json::to_string_pretty(&published(document))?;
    text.push('\n');
    Ok(text)
}

/// Every operation's route and method.
pub(super) fn routes_and_methods(document: &OpenApi) -> Vec<(String, &'static str)> {
    let of_route = |(route, item): (&String, &PathItem)| {
        let methods =
            [("GET", &item.get), ("POST", &item.post), ("PATCH", &item.patch), ("PUT", &item.put), ("DELETE", &item.delete)];
        let present = methods.into_iter().filter(|(_, operation)| operation.is_some());
        present.map(|(method, _)| (route.clone(), method)).collect::<Vec<_>>()
    };
    document.paths.paths.iter().flat_map(of_route).collect()
}

fn operations(document: &OpenApi) -> impl Iterator<Item = &Operation> {
    document.paths.paths.values().flat_map(|item| [&item.get, &item.post, &item.patch, &item.put, &item.delete]).flatten()
}

fn json_bodies(operation: &Operation) -> Vec<String> {
    let Some(RefOr::T(body)) = &operation.request_body else { return Vec::new() };
    let Some(RefOr::T(content)) = body.content.get("application/json") else { return Vec::new() };
    content.schema.as_ref().map(references).unwrap_or_default()
}

/// The names of the schemas that a schema refers to itself.
fn references(schema: &RefOr<Schema>) -> Vec<String> {
    match schema {
        RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().map(str::to_owned).into_iter().collect(),
        RefOr::T(Schema::OneOf(choice)) => choice.items.iter().flat_map(references).collect(),
        RefOr::T(Schema::Array(list)) => match &list.items {
            ArrayItems::RefOrSchema(item) => references(item),
            ArrayItems::False => Vec::new(),
        },
        RefOr::T(_) => Vec::new(),
    }
}
