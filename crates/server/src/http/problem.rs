//! The one shape of every refusal: problem documents (RFC 9457).
//!
//! A problem's `type` is the relative reference `/api/problems/<name>`, resolved against the address of the API.
//! Types are stable: clients may branch on `type` and `code`, never on `title` or `detail`.

mod kind;

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::kind::{FieldCode, ProblemKind};

/// The media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// One thing that is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body; `?name` for a query parameter, `header:Name` for a header.
    #[schema(value_type = String, example = "/price_per_token/amount")]
    pub pointer: Cow<'static, str>,
    /// Stable code.
    #[schema(value_type = String, example = "out_of_range")]
    pub code: FieldCode,
    /// What is wrong, for people.
    #[schema(value_type = String, example = "must be between 1 and 100")]
    pub message: Cow<'static, str>,
}

/// One rule that refused an act.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct FailedRule {
    /// Stable name of the rule.
    #[schema(example = "max_number_of_tokens")]
    pub rule: String,
    /// The limit the rule sets: an integer, a text or a money object; null where the rule has none.
    pub limit: Value,
    /// The value that was found.
    pub actual: Value,
    /// The rule in words, for people.
    pub message: String,
}

/// The JSON members of a problem document (RFC 9457 section 3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Stable relative reference, `/api/problems/<name>`.
    #[serde(rename = "type")]
    #[schema(example = "/api/problems/invalid-request")]
    pub type_reference: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// Stable code: the kind's name or, for a refused act, the refusal's.
    #[schema(example = "invalid_request")]
    pub code: Cow<'static, str>,
    /// This occurrence in words.
    pub detail: String,
    /// `urn:request:<request id>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Everything that is wrong with the request's fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The status of the object that refused the act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_status: Option<String>,
    /// The acts that are open in that status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_acts: Option<Vec<String>>,
    /// What has to be supplied before the act opens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// All rules that failed, each with its limit and the actual value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_rules: Vec<FailedRule>,
}

/// When to look again whether somebody has put right what does not pass by itself, in seconds.
const NOT_READY_RETRY_AFTER_S: u64 = 60;

/// A refusal on its way out: the document and the header fields its status demands.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: ProblemKind,
    document: ProblemDocument,
    headers: HeaderMap,
}

impl FieldError {
    /// An error at a pointer.
    pub fn new(pointer: impl Into<Cow<'static, str>>, code: FieldCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}

impl Problem {
    /// A problem of any kind; the other constructors add what a status demands beyond it.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let document = ProblemDocument {
            type_reference: format!("/api/problems/{}", kind.name().replace('_', "-")),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            code: Cow::Borrowed(kind.name()),
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            current_status: None,
            allowed_acts: None,
            missing: Vec::new(),
            failed_rules: Vec::new(),
        };
        Self(Box::new(Parts { kind, document, headers: HeaderMap::new() }))
    }

    /// 400: everything that is wrong with the request's fields.
    #[must_use]
    pub fn invalid_request(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => "The request is not valid.".to_owned(),
            [only] => format!("{} {}", only.pointer, only.message).trim_start().to_owned(),
            [first, others @ ..] => {
                let text = format!("{} {} (and {} more)", first.pointer, first.message, others.len());
                text.trim_start().to_owned()
            }
        };
        let mut problem = Self::new(ProblemKind::InvalidRequest, detail);
        problem.0.document.errors = errors;
        problem
    }

    /// 401: no valid access token. Which of the possible reasons it was is not told (RFC 6750 section 3.1).
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ProblemKind::Unauthenticated, "The access token is missing, malformed, expired or revoked.")
            .with_header(WWW_AUTHENTICATE, "Bearer realm=\"scrip\", error=\"invalid_token\"")
    }

    /// 403: the token lacks `scope`.
    #[must_use]
    pub fn insufficient_scope(scope: &str) -> Self {
        Self::new(ProblemKind::InsufficientScope, format!("The scope {scope} is needed."))
            .with_header(WWW_AUTHENTICATE, &format!("Bearer realm=\"scrip\", error=\"insufficient_scope\", scope=\"{scope}\""))
    }

    /// 404: one text for what does not exist and what belongs to somebody else.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ProblemKind::NotFound, "There is no such resource.")
    }

    /// 405, with the methods that the resource knows (`"GET, POST"`).
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(ProblemKind::MethodNotAllowed, format!("The resource knows {allow}.")).with_header(ALLOW, allow)
    }

    /// 406, with the media type that is offered.
    #[must_use]
    pub fn not_acceptable(offered: &str) -> Self {
        Self::new(ProblemKind::NotAcceptable, format!("The answer is {offered}."))
    }

    /// 408: the body did not arrive in time. The connection is closed.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(ProblemKind::Timeout, "The request did not arrive in time.").closing()
    }

    /// 409: the stored state or a limit refuses the act, for the reason named by `code`.
    pub fn refused(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(ProblemKind::Refused, detail);
        problem.0.document.code = code.into();
        problem
    }

    /// 413: the body is larger than `bytes_max`. The connection is closed, because the rest is not read.
    #[must_use]
    pub fn payload_too_large(bytes_max: u64) -> Self {
        Self::new(ProblemKind::PayloadTooLarge, format!("The body may have at most {bytes_max} bytes.")).closing()
    }

    /// 415, with the media type that is due.
    #[must_use]
    pub fn unsupported_media_type(due: &str) -> Self {
        Self::new(ProblemKind::UnsupportedMediaType, format!("The body must be {due}."))
    }

    /// 422: the idempotency key was used for another request.
    #[must_use]
    pub fn key_reused() -> Self {
        Self::new(ProblemKind::KeyReused, "This X-Idempotency-Key was used with another method, path or body.")
    }

    /// 429, with the seconds after which a retry can succeed.
    #[must_use]
    pub fn too_many_requests(retry_after_s: u64) -> Self {
        Self::new(ProblemKind::TooManyRequests, format!("Retry after {retry_after_s} s."))
            .with_header(RETRY_AFTER, &retry_after_s.to_string())
    }

    /// 431: the header section is too large. The connection is closed.
    #[must_use]
    pub fn header_fields_too_large() -> Self {
        Self::new(ProblemKind::HeaderFieldsTooLarge, "The header section is too large.").closing()
    }

    /// 500: the reason stays in the log, under the request id.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            ProblemKind::Internal,
            "The request could not be processed. Nothing is known to have changed; retry with the same X-Idempotency-Key.",
        )
    }

    /// 503, with the seconds after which a retry can succeed.
    #[must_use]
    pub fn overloaded(retry_after_s: u64) -> Self {
        Self::new(ProblemKind::Overloaded, format!("The server has no room now. Retry after {retry_after_s} s."))
            .with_header(RETRY_AFTER, &retry_after_s.to_string())
    }

    /// 503: nothing is signed for a network until a person has looked.
    #[must_use]
    pub fn ledger_halted(network: &str, reason: &str) -> Self {
        Self::new(ProblemKind::LedgerHalted, format!("Ledger work on network {network} is halted: {reason}."))
    }

    /// 503 for a reason that does not pass by itself.
    #[must_use]
    pub fn not_ready(reason: String) -> Self {
        Self::new(ProblemKind::Overloaded, reason).with_header(RETRY_AFTER, &NOT_READY_RETRY_AFTER_S.to_string())
    }

    /// Adds the status of the refusing object and the acts open in it.
    #[must_use]
    pub fn with_state(mut self, current_status: impl Into<String>, allowed_acts: Vec<String>) -> Self {
        self.0.document.current_status = Some(current_status.into());
        self.0.document.allowed_acts = Some(allowed_acts);
        self
    }

    /// Adds what has to be supplied before the act opens.
    #[must_use]
    pub fn with_missing(mut self, missing: Vec<String>) -> Self {
        self.0.document.missing = missing;
        self
    }

    /// Adds all rules that failed.
    #[must_use]
    pub fn with_failed_rules(mut self, failed_rules: Vec<FailedRule>) -> Self {
        self.0.document.failed_rules = failed_rules;
        self
    }

    /// Adds field errors (a refusal may name the fields it is about).
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.document.errors = errors;
        self
    }

    /// Names the request this problem answers, as `urn:request:<id>`; the first name stays.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Uuid) -> Self {
        self.0.document.instance.get_or_insert_with(|| format!("urn:request:{request_id}"));
        self
    }

    /// Adds a header field. A value that cannot stand in a header is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    /// Closes the connection after the answer.
    #[must_use]
    pub fn closing(self) -> Self {
        self.with_header(CONNECTION, "close")
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// The document's members.
    #[must_use]
    pub fn document(&self) -> &ProblemDocument {
        &self.0.document
    }

    /// The document as JSON bytes, as they go over the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A document holds only texts, numbers and JSON values, so this cannot fail; the fallback keeps the shape.
        serde_json::to_vec(&self.0.document).unwrap_or_else(|_| br#"{"type":"/api/problems/internal","status":500}"#.to_vec())
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.document.status, self.0.document.code, self.0.document.detail)
    }
}

impl std::error::Error for Problem {}

/// The answer carries the problem as an extension too, so that the outermost layer can add the request id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_bytes()));
        *response.status_mut() = self.status();
        response.headers_mut().extend(self.headers().clone());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KINDS: [ProblemKind; 17] = [
        ProblemKind::InvalidRequest,
        ProblemKind::Unauthenticated,
        ProblemKind::InsufficientScope,
        ProblemKind::NotFound,
        ProblemKind::MethodNotAllowed,
        ProblemKind::NotAcceptable,
        ProblemKind::Timeout,
        ProblemKind::Refused,
        ProblemKind::PayloadTooLarge,
        ProblemKind::UriTooLong,
        ProblemKind::UnsupportedMediaType,
        ProblemKind::KeyReused,
        ProblemKind::TooManyRequests,
        ProblemKind::HeaderFieldsTooLarge,
        ProblemKind::Internal,
        ProblemKind::Overloaded,
        ProblemKind::LedgerHalted,
    ];

    fn json_of(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_bytes()).unwrap()
    }

    #[test]
    fn every_kind_has_its_own_status_and_finds_back_from_it() {
        for kind in KINDS {
            // 422 means a reused key, and 503 a halted ledger, only where that check answers it, not when another layer does.
            let back = if kind == ProblemKind::KeyReused {
                ProblemKind::InvalidRequest
            } else if kind == ProblemKind::LedgerHalted {
                ProblemKind::Overloaded
            } else {
                kind
            };
            assert_eq!(ProblemKind::of_status(kind.status()), back, "{kind:?}");
        }
        assert_eq!(ProblemKind::of_status(StatusCode::NOT_IMPLEMENTED), ProblemKind::Internal);
        assert_eq!(ProblemKind::of_status(StatusCode::GONE), ProblemKind::InvalidRequest);
    }

    #[test]
    fn an_invalid_request_lists_every_field_error() {
        let problem = Problem::invalid_request(vec![
            FieldError::new("/units", FieldCode::WrongType, "must be an integer"),
            FieldError::new("/status", FieldCode::UnknownField, "is not a field of this request"),
        ]);
        assert_eq!(
            json_of(&problem),
            json!({
                "type": "/api/problems/invalid-request",
                "title": "The request is not valid",
                "status": 400,
                "code": "invalid_request",
                "detail": "/units must be an integer (and 1 more)",
                "errors": [
                    {"pointer": "/units", "code": "wrong_type", "message": "must be an integer"},
                    {"pointer": "/status", "code": "unknown_field", "message": "is not a field of this request"},
                ],
            })
        );
    }

    #[test]
    fn a_refused_act_names_status_acts_missing_and_all_rules() {
        let rule = FailedRule {
            rule: "max_number_of_tokens".to_owned(),
            limit: json!(100),
            actual: json!(101),
            message: "at most 100 units in one investment".to_owned(),
        };
        let problem = Problem::refused("signed_documents_missing", "Two documents are missing.")
            .with_state("WAITING_FOR_ACCEPTANCE", vec!["abort".to_owned()])
            .with_missing(vec!["effecta_document".to_owned()])
            .with_failed_rules(vec![rule])
            .with_request_id(Uuid::nil())
            .with_request_id(Uuid::max());
        assert_eq!(
            json_of(&problem),
            json!({
                "type": "/api/problems/refused",
                "title": "The act is refused",
                "status": 409,
                "code": "signed_documents_missing",
                "detail": "Two documents are missing.",
                "instance": "urn:request:00000000-0000-0000-0000-000000000000",
                "current_status": "WAITING_FOR_ACCEPTANCE",
                "allowed_acts": ["abort"],
                "missing": ["effecta_document"],
                "failed_rules": [{
                    "rule": "max_number_of_tokens",
                    "limit": 100,
                    "actual": 101,
                    "message": "at most 100 units in one investment",
                }],
            })
        );
    }

    #[test]
    fn statuses_bring_the_headers_they_demand() {
        let bearer = |error: &str| format!("Bearer realm=\"scrip\", error=\"{error}\"");
        let cases = [
            (Problem::unauthenticated(), WWW_AUTHENTICATE, bearer("invalid_token")),
            (
                Problem::insufficient_scope("investments:read"),
                WWW_AUTHENTICATE,
                format!("{}, scope=\"investments:read\"", bearer("insufficient_scope")),
            ),
            (Problem::method_not_allowed("GET, POST"), ALLOW, "GET, POST".to_owned()),
            (Problem::timeout(), CONNECTION, "close".to_owned()),
            (Problem::payload_too_large(1), CONNECTION, "close".to_owned()),
            (Problem::header_fields_too_large(), CONNECTION, "close".to_owned()),
            (Problem::too_many_requests(7), RETRY_AFTER, "7".to_owned()),
            (Problem::overloaded(1), RETRY_AFTER, "1".to_owned()),
        ];
        for (problem, header, value) in cases {
            let status = problem.status();
            let response = problem.into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_MEDIA_TYPE);
            assert_eq!(response.headers()[&header], value, "{status}");
        }
    }
}
