//! What arrives at the token and revocation endpoints (RFC 6749, RFC 7009) and how they refuse.

use std::fmt;

use axum::Json as JsonResponse;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Scopes, TOKEN_LIFE_S};
use crate::http::body::{ReadLimits, read_bytes};
use crate::http::problem::Problem;
use crate::http::query::{decode_pairs, percent_decode};

/// The parameters of a form body: each at most once, those without a value left out (RFC 6749 section 3.2).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Form(Vec<(String, String)>);

/// A secret text that no log line shows.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

/// How a client proved itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAuthentication {
    /// `Authorization: Basic` with percent-encoded id and secret (RFC 6749 section 2.3.1).
    Basic,
    /// `client_id` and `client_secret` in the form.
    Form,
}

/// What a client says about itself; nothing is checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCredentials {
    /// The client's id as stated.
    pub client_id: String,
    /// The secret as stated.
    pub client_secret: SecretText,
    /// Where they stood.
    pub authentication: ClientAuthentication,
}

/// A request for a token by client credentials (RFC 6749 section 4.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRequest {
    /// Who asks.
    pub client: ClientCredentials,
    /// The scopes asked for; none means all of the client's.
    pub scopes: Option<Scopes>,
}

/// A request to revoke a token (RFC 7009 section 2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevocationRequest {
    /// Who asks.
    pub client: ClientCredentials,
    /// The token.
    pub token: SecretText,
}

/// The answer to a token request (RFC 6749 section 5.1).
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenResponse {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 900)]
    expires_in: i64,
    #[schema(example = "investments:read investments:write")]
    scope: String,
}

/// The error codes of RFC 6749 section 5.2 that this program uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OauthErrorKind {
    /// A parameter is missing, malformed or repeated, or a client proves itself twice.
    InvalidRequest,
    /// The client is unknown, its secret wrong, or it says nothing about itself.
    InvalidClient,
    /// The grant type is not `client_credentials`.
    UnsupportedGrantType,
    /// A scope is unknown, malformed, or not the client's.
    InvalidScope,
}

/// A refusal of the token endpoint in RFC 6749's own form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OauthError {
    /// The code.
    pub kind: OauthErrorKind,
    /// The reason in words; ASCII without quotes (RFC 6749 section 5.2).
    pub description: &'static str,
}

/// Why the token endpoint does not answer: for a reason of RFC 6749, or of HTTP.
#[derive(Clone, Debug)]
pub enum TokenEndpointRefusal {
    /// In RFC 6749's form.
    Oauth(OauthError),
    /// A problem: too large, too slow, too often, overloaded.
    Problem(Problem),
}

#[derive(Serialize)]
struct OauthErrorBody {
    error: &'static str,
    error_description: &'static str,
}

impl Form {
    /// Reads a form body.
    ///
    /// # Errors
    /// `invalid_request` for another content type, a query string, a parameter twice or a bad encoding; a problem
    /// where the body is too large or too slow.
    pub async fn read(request: Request) -> Result<Self, TokenEndpointRefusal> {
        let (parts, body) = request.into_parts();
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(OauthError::invalid_request("parameters belong into the body").into());
        }
        if !is_form(&parts.headers) {
            return Err(OauthError::invalid_request("the body must be application/x-www-form-urlencoded").into());
        }
        let bytes = read_bytes(body, ReadLimits::JSON).await.map_err(TokenEndpointRefusal::Problem)?;
        let malformed = || OauthError::invalid_request("the body is no form, or a parameter stands twice");
        let raw = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
        let mut pairs = decode_pairs(raw).map_err(|_| malformed())?;
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let position = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(position).1)
    }
}

impl SecretText {
    /// Wraps a secret.
    #[must_use]
    pub const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ClientCredentials {
    /// Reads what the client says about itself, in one of the two places.
    ///
    /// # Errors
    /// `invalid_client` where it says nothing or something unreadable, `invalid_request` where it says it twice.
    pub fn read(headers: &HeaderMap, form: &mut Form) -> Result<Self, OauthError> {
        let (stated_id, stated_secret) = (form.take("client_id"), form.take("client_secret"));
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        match (fields.next(), fields.next()) {
            (Some(_), Some(_)) => Err(OauthError::invalid_request("the Authorization field stands twice")),
            (Some(field), None) => {
                let (client_id, client_secret) = basic(field).ok_or_else(OauthError::invalid_client)?;
                if stated_secret.is_some() || stated_id.is_some_and(|stated| stated != client_id) {
                    return Err(OauthError::invalid_request("the client proves itself in two ways"));
                }
                Ok(Self { client_id, client_secret, authentication: ClientAuthentication::Basic })
            }
            (None, _) => match (stated_id, stated_secret) {
                (Some(client_id), Some(secret)) => {
                    let authentication = ClientAuthentication::Form;
                    Ok(Self { client_id, client_secret: SecretText(secret), authentication })
                }
                (Some(_), None) | (None, Some(_) | None) => Err(OauthError::invalid_client()),
            },
        }
    }
}

impl TokenRequest {
    /// Reads a token request. Parameters it does not know are ignored (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// As [`ClientCredentials::read`]; `unsupported_grant_type`, `invalid_scope`.
    pub fn read(headers: &HeaderMap, mut form: Form) -> Result<Self, OauthError> {
        let client = ClientCredentials::read(headers, &mut form)?;
        match form.take("grant_type").as_deref() {
            None => return Err(OauthError::invalid_request("grant_type is missing")),
            Some("client_credentials") => {}
            Some(_) => {
                let description = "only client_credentials is supported";
                return Err(OauthError { kind: OauthErrorKind::UnsupportedGrantType, description });
            }
        }
        let scopes = form.take("scope").map(|stated| Scopes::parse(&stated)).transpose();
        Ok(Self { client, scopes: scopes.map_err(|_| OauthError::invalid_scope())? })
    }
}

impl RevocationRequest {
    /// Reads a revocation request; `token_type_hint` is not needed.
    ///
    /// # Errors
    /// As [`ClientCredentials::read`]; `invalid_request` without a token.
    pub fn read(headers: &HeaderMap, mut form: Form) -> Result<Self, OauthError> {
        let client = ClientCredentials::read(headers, &mut form)?;
        let token = form.take("token").ok_or(OauthError::invalid_request("token is missing"))?;
        Ok(Self { client, token: SecretText(token) })
    }
}

impl TokenResponse {
    /// The answer with a fresh token.
    #[must_use]
    pub fn new(access_token: String, scopes: &Scopes) -> Self {
        let scope = scopes.as_str().to_owned();
        Self { access_token, token_type: "Bearer", expires_in: TOKEN_LIFE_S, scope }
    }
}

impl OauthErrorKind {
    /// The code on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest | Self::UnsupportedGrantType | Self::InvalidScope => StatusCode::BAD_REQUEST,
        }
    }
}

impl OauthError {
    /// `invalid_request`.
    #[must_use]
    pub const fn invalid_request(description: &'static str) -> Self {
        Self { kind: OauthErrorKind::InvalidRequest, description }
    }

    /// `invalid_client`: one text for an unknown client and a wrong secret.
    #[must_use]
    pub const fn invalid_client() -> Self {
        Self { kind: OauthErrorKind::InvalidClient, description: "the client is unknown or its secret is wrong" }
    }

    /// `invalid_scope`.
    #[must_use]
    pub const fn invalid_scope() -> Self {
        Self { kind: OauthErrorKind::InvalidScope, description: "a scope is unknown or not granted to the client" }
    }
}

impl From<OauthError> for TokenEndpointRefusal {
    fn from(error: OauthError) -> Self {
        Self::Oauth(error)
    }
}

impl From<Problem> for TokenEndpointRefusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for TokenResponse {
    fn into_response(self) -> Response {
        uncached(JsonResponse(self).into_response())
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let body = OauthErrorBody { error: self.kind.as_str(), error_description: self.description };
        let mut response = uncached((self.kind.status(), JsonResponse(body)).into_response());
        if self.kind == OauthErrorKind::InvalidClient {
            let challenge = HeaderValue::from_static("Basic realm=\"scrip\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl IntoResponse for TokenEndpointRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::Oauth(error) => error.into_response(),
            Self::Problem(problem) => uncached(problem.into_response()),
        }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenResponse({})", self.scope)
    }
}

/// RFC 6749 section 5.1: no answer of the token endpoint is kept.
fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(Ok(value)), None) = (values.next().map(HeaderValue::to_str), values.next()) else {
        return false;
    };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && matches!(parameters.trim().to_ascii_lowercase().as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

fn basic(field: &HeaderValue) -> Option<(String, SecretText)> {
    let (scheme, encoded) = field.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim_matches(' ')).ok()?).ok()?;
    let (client_id, secret) = decoded.split_once(':')?;
    let (client_id, secret) = (percent_decode(client_id)?, percent_decode(secret)?);
    if client_id.is_empty() {
        return None;
    }
    Some((client_id, SecretText(secret)))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";
    const GRANT: &str = "grant_type=client_credentials";

    async fn ask(authorization: &[&str], body: &str) -> Result<TokenRequest, OauthError> {
        let request = Request::builder().header(CONTENT_TYPE, FORM).body(Body::from(body.to_owned())).unwrap();
        let form = match Form::read(request).await {
            Ok(form) => form,
            Err(TokenEndpointRefusal::Oauth(error)) => return Err(error),
            Err(TokenEndpointRefusal::Problem(problem)) => panic!("{problem}"),
        };
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        TokenRequest::read(&headers, form)
    }

    fn basic_field(id: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    }

    fn credentials(id: &str, secret: &str, authentication: ClientAuthentication) -> ClientCredentials {
        ClientCredentials { client_id: id.to_owned(), client_secret: SecretText(secret.to_owned()), authentication }
    }

    #[tokio::test]
    async fn both_client_authentication_styles_are_read() {
        let body = format!("{GRANT}&client_id=me&client_secret=a%2Bb%20c&scope=b+a");
        let request = ask(&[], &body).await.unwrap();
        assert_eq!(request.client, credentials("me", "a+b c", ClientAuthentication::Form));
        assert_eq!(request.scopes, Some(Scopes::parse("a b").unwrap()));
        let request = ask(&[&basic_field("me", "a%3Ab:c+d")], &format!("{GRANT}&unknown=1&scope=")).await.unwrap();
        assert_eq!(request.client, credentials("me", "a:b:c d", ClientAuthentication::Basic));
        assert_eq!(request.scopes, None);
        assert!(ask(&[&basic_field("me", "s")], &format!("{GRANT}&client_id=me")).await.is_ok());
        assert!(!format!("{request:?}").contains("a:b"));
    }

    #[tokio::test]
    async fn t09_abuse_of_the_token_endpoint_is_refused() {
        use OauthErrorKind::{InvalidClient, InvalidRequest, InvalidScope, UnsupportedGrantType};
        let me = basic_field("me", "s");
        let cases: [(&[&str], String, OauthErrorKind); 17] = [
            (&[], GRANT.to_owned(), InvalidClient),
            (&[], format!("{GRANT}&client_id=me"), InvalidClient),
            (&[], format!("{GRANT}&client_secret=s"), InvalidClient),
            (&[], format!("{GRANT}&client_id=me&client_secret="), InvalidClient),
            (&["Basic !"], GRANT.to_owned(), InvalidClient),
            (&["Basic bWU="], GRANT.to_owned(), InvalidClient),
            (&["Basic OnM="], GRANT.to_owned(), InvalidClient),
            (&["Bearer x"], format!("{GRANT}&client_id=me&client_secret=s"), InvalidClient),
            (&[&me, &me], GRANT.to_owned(), InvalidRequest),
            (&[&me], format!("{GRANT}&client_id=me&client_secret=s"), InvalidRequest),
            (&[&me], format!("{GRANT}&client_id=you"), InvalidRequest),
            (&[&me], String::new(), InvalidRequest),
            (&[&me], "grant_type=".to_owned(), InvalidRequest),
            (&[&me], format!("{GRANT}&{GRANT}"), InvalidRequest),
            (&[&me], format!("{GRANT}&x=%zz"), InvalidRequest),
            (&[&me], "grant_type=password&username=u&password=p".to_owned(), UnsupportedGrantType),
            (&[&me], format!("{GRANT}&scope=a%22"), InvalidScope),
        ];
        for (authorization, body, kind) in cases {
            let error = ask(authorization, &body).await.unwrap_err();
            assert_eq!(error.kind, kind, "{authorization:?} {body}");
        }
    }

    #[tokio::test]
    async fn t09_the_form_must_be_a_form_and_stand_in_the_body() {
        for (uri, content_type, status) in [
            ("/", Some("application/json"), 400),
            ("/", None, 400),
            ("/?client_id=me", Some(FORM), 400),
            ("/", Some("application/x-www-form-urlencoded; charset=latin1"), 400),
        ] {
            let builder = Request::builder().uri(uri);
            let builder = content_type.into_iter().fold(builder, |builder, value| builder.header(CONTENT_TYPE, value));
            let refusal = Form::read(builder.body(Body::from(GRANT)).unwrap()).await.unwrap_err();
            assert_eq!(refusal.into_response().status().as_u16(), status, "{uri} {content_type:?}");
        }
        let large = Request::builder().header(CONTENT_TYPE, FORM).body(Body::from("x".repeat(70_000))).unwrap();
        let response = Form::read(large).await.unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }

    #[tokio::test]
    async fn t09_errors_have_the_form_of_rfc_6749_and_are_not_kept() {
        for (error, status, code, has_challenge) in [
            (OauthError::invalid_client(), 401, "invalid_client", true),
            (OauthError::invalid_scope(), 400, "invalid_scope", false),
            (OauthError::invalid_request("x"), 400, "invalid_request", false),
        ] {
            let response = error.into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(response.headers()[PRAGMA], "no-cache");
            assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), has_challenge, "{code}");
            let body: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
            assert_eq!(body, json!({"error": code, "error_description": error.description}));
        }
    }

    #[tokio::test]
    async fn a_token_answer_is_bearer_and_not_kept() {
        let response = TokenResponse::new("t".to_owned(), &Scopes::parse("a").unwrap()).into_response();
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let body: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(body, json!({"access_token": "t", "token_type": "Bearer", "expires_in": 900, "scope": "a"}));
    }

    #[tokio::test]
    async fn revocation_needs_a_token() {
        let form =
            |pairs: &[(&str, &str)]| Form(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        let me = [("client_id", "me"), ("client_secret", "s")];
        let none = RevocationRequest::read(&HeaderMap::new(), form(&me)).unwrap_err();
        assert_eq!(none.kind, OauthErrorKind::InvalidRequest);
        let with = [me.as_slice(), &[("token", "t"), ("token_type_hint", "access_token")]].concat();
        assert_eq!(RevocationRequest::read(&HeaderMap::new(), form(&with)).unwrap().token.expose(), "t");
    }
}
