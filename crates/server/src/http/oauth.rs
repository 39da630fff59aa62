//! Tokens: client credentials (RFC 6749) and revocation (RFC 7009).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::ids::ClientId;
use domain::organisation::Client;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Counter;
use super::body::parse_uuid;
use super::errors::OauthErrors;
use super::listener::PeerAddress;
use super::problem::Problem;
use super::token::{
    ClientCredentials, Form, Grant, OauthError, RevocationRequest, Scopes, TokenEndpointRefusal, TokenRequest, TokenResponse,
};
use crate::operations::client::RevokeToken;

/// The form of a token request.
#[derive(Debug, ToSchema)]
pub struct TokenForm {
    /// `client_credentials`.
    #[schema(example = "client_credentials")]
    pub grant_type: String,
    /// Scopes, separated by spaces; all of the client's where it is absent.
    #[schema(nullable = false)]
    pub scope: Option<String>,
    /// Unless the client uses Basic authentication.
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// Unless the client uses Basic authentication.
    #[schema(nullable = false)]
    pub client_secret: Option<String>,
}

/// The form of a revocation.
#[derive(Debug, ToSchema)]
pub struct RevocationForm {
    /// The access token.
    pub token: String,
    /// Unless the client uses Basic authentication.
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// Unless the client uses Basic authentication.
    #[schema(nullable = false)]
    pub client_secret: Option<String>,
}

/// An error in the form of RFC 6749 section 5.2.
#[derive(Debug, ToSchema)]
pub struct OauthErrorDocument {
    /// `invalid_request`, `invalid_client`, `unsupported_grant_type`, `invalid_scope`.
    #[schema(example = "invalid_client")]
    pub error: String,
    /// For people.
    pub error_description: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(issue_token)).routes(routes!(revoke_token))
}

/// Get an access token with client credentials.
#[utoipa::path(post, path = "/api/oauth/token", tag = "OAuth",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token that lives 15 minutes.", body = TokenResponse),
        OauthErrors))]
async fn issue_token(State(counter): State<Arc<Counter>>, request: Request) -> Result<TokenResponse, TokenEndpointRefusal> {
    let (headers, peer) = (request.headers().clone(), PeerAddress::of(&request));
    let asked = TokenRequest::read(&headers, Form::read(request).await?)?;
    let client = authenticate(&counter, &asked.client, peer).await?;
    let all = Scopes::of(client.kind.scopes());
    let scopes = match asked.scopes {
        None => all,
        Some(asked) if asked.is_within(&all) => asked,
        Some(_) => return Err(OauthError::invalid_scope().into()),
    };
    let grant =
        Grant { client_id: client.id, organisation_id: client.organisation_id, kind: client.kind, scopes, epoch: client.epoch };
    let token_id = counter.fresh_id::<uuid::Uuid>();
    let token = counter.tokens.mint(&grant, token_id, counter.clock.machine_now()).map_err(|_| Problem::internal())?;
    Ok(TokenResponse::new(token, &grant.scopes))
}

/// Revoke an access token before it expires. A token that is not valid, or another client's, is no error (RFC 7009).
#[utoipa::path(post, path = "/api/oauth/revoke", tag = "OAuth",
    request_body(content = RevocationForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token does not work any more."),
        OauthErrors))]
async fn revoke_token(State(counter): State<Arc<Counter>>, request: Request) -> Result<Response, TokenEndpointRefusal> {
    let (headers, peer) = (request.headers().clone(), PeerAddress::of(&request));
    let asked = RevocationRequest::read(&headers, Form::read(request).await?)?;
    let client = authenticate(&counter, &asked.client, peer).await?;
    let verified = counter.tokens.verify(asked.token.expose(), counter.clock.machine_now()).ok();
    if let Some(verified) = verified.filter(|verified| verified.grant.client_id == client.id) {
        let operation = RevokeToken { token_id: verified.token_id, expires_at: verified.expires_at };
        counter.desk.run(operation, counter.clock.now()).await.map_err(|_| Problem::overloaded(1))?;
        counter.directory.revoke(verified.token_id, verified.expires_at);
    }
    Ok(StatusCode::OK.into_response())
}

/// The client behind credentials. Unknown client and wrong secret look and take the same.
async fn authenticate(
    counter: &Counter,
    credentials: &ClientCredentials,
    peer: std::net::IpAddr,
) -> Result<Client, TokenEndpointRefusal> {
    counter.throttle.failures.check(&credentials.client_id, peer)?;
    let id = parse_uuid(&credentials.client_id).map(ClientId::new);
    let client = match id {
        Some(id) => counter.read(move |archive| archive.client(id)).await?,
        None => None,
    };
    let stated: [u8; 32] = Sha256::digest(credentials.client_secret.expose().as_bytes()).into();
    let known = client.as_ref().map_or([0; 32], |client| client.secret_digest);
    let matches = bool::from(stated.ct_eq(&known));
    if let Some(client) = client.filter(|client| matches && client.revoked_at.is_none()) {
        return Ok(client);
    }
    counter.throttle.failures.record_failure(&credentials.client_id, peer);
    tracing::warn!(audit = "client_authentication_failed", %peer, "a client could not prove itself");
    Err(OauthError::invalid_client().into())
}
