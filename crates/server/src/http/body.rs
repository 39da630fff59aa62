//! Request bodies: strict JSON, read field by field, with every fault reported at once.
//!
//! A body is parsed into a tree first, so that a name standing twice, a number that is no plain integer or a field
//! nobody asked for is seen and refused instead of being resolved silently.

mod fields;
mod json;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;

pub(super) use self::fields::normalised;
pub use self::fields::{
    Faults, FieldFault, Fields, YEARS, boolean, date, list, one_of, parse_date, parse_timestamp, parse_uuid, parsed, text,
    timestamp, unsigned, uuid,
};
pub use self::json::{JSON_DEPTH_MAX, Json};
use super::problem::{FieldCode, FieldError, Problem};

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadLimits {
    /// Cap in bytes; more is 413.
    pub bytes_max: usize,
    /// Time from the first read to the last byte; longer is 408.
    pub timeout: Duration,
}

/// Extractor: a JSON body, required.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonBody(pub Json);

/// Extractor: a JSON body, or none; without one no content type is needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptionalJsonBody(pub Option<Json>);

/// Extractor for operations that take no body: nothing, or the empty object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoBody;

impl ReadLimits {
    /// The limits of a JSON or form body.
    pub const JSON: Self = Self { bytes_max: 64 * 1024, timeout: Duration::from_secs(10) };
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        require_json_type(request.headers())?;
        let bytes = read_bytes(request.into_body(), ReadLimits::JSON).await?;
        Ok(Self(Json::parse(&bytes)?))
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_bytes(body, ReadLimits::JSON).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        require_json_type(&parts.headers)?;
        Ok(Self(Some(Json::parse(&bytes)?)))
    }
}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let OptionalJsonBody(json) = OptionalJsonBody::from_request(request, state).await?;
        if let Some(json) = json {
            Fields::of(&json).finish()?;
        }
        Ok(Self)
    }
}

/// Reads a whole body.
///
/// # Errors
/// 413 above the cap, 408 when it takes too long, 400 when it breaks off.
pub async fn read_bytes(body: Body, limits: ReadLimits) -> Result<Bytes, Problem> {
    let bytes_max = u64::try_from(limits.bytes_max).unwrap_or(u64::MAX);
    // A stated length is refused before anything is read.
    if body.size_hint().lower() > bytes_max {
        return Err(Problem::payload_too_large(bytes_max));
    }
    let collected = tokio::time::timeout(limits.timeout, Limited::new(body, limits.bytes_max).collect()).await;
    match collected.map_err(|_| Problem::timeout())? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::payload_too_large(bytes_max)),
        Err(_) => {
            let broken = FieldError::new("", FieldCode::MalformedJson, "the body broke off");
            Err(Problem::invalid_request(vec![broken]).closing())
        }
    }
}

fn require_json_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let is_json = match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(value)), None) => is_json_type(value),
        _ => false,
    };
    if is_json { Ok(()) } else { Err(Problem::unsupported_media_type("application/json")) }
}

fn is_json_type(value: &str) -> bool {
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    essence.trim().eq_ignore_ascii_case("application/json")
        && matches!(charset.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use futures_util::stream;

    use super::*;

    fn request(content_type: Option<&str>, body: impl Into<Body>) -> Request {
        let builder = content_type.into_iter().fold(Request::builder(), |builder, value| builder.header(CONTENT_TYPE, value));
        builder.body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn a07_the_content_type_must_be_json() {
        for value in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=UTF-8",
            "application/json; charset=\"utf-8\"",
        ] {
            let JsonBody(json) = JsonBody::from_request(request(Some(value), "{}"), &()).await.unwrap();
            assert_eq!(json, Json::Object(Vec::new()), "{value}");
        }
        for value in [
            None,
            Some(""),
            Some("text/json"),
            Some("text/plain"),
            Some("application/jsonx"),
            Some("application/merge-patch+json"),
            Some("application/x-www-form-urlencoded"),
            Some("application/json; charset=latin1"),
            Some("application/json, text/plain"),
        ] {
            let problem = JsonBody::from_request(request(value, "{}"), &()).await.unwrap_err();
            assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{value:?}");
        }
        let mut twice = request(Some("application/json"), "{}");
        twice.headers_mut().append(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
        assert_eq!(JsonBody::from_request(twice, &()).await.unwrap_err().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[tokio::test]
    async fn an_operation_without_a_body_needs_no_content_type_and_takes_no_field() {
        for (content_type, body, status) in [
            (None, "", None),
            (Some("text/plain"), "", None),
            (Some("application/json"), "{}", None),
            (Some("application/json"), "{\"units\":1}", Some(400)),
            (Some("application/json"), "[]", Some(400)),
            (None, "{}", Some(415)),
        ] {
            let answer = NoBody::from_request(request(content_type, body), &()).await;
            assert_eq!(answer.err().map(|problem| problem.status().as_u16()), status, "{content_type:?} {body:?}");
        }
        let OptionalJsonBody(json) = OptionalJsonBody::from_request(request(None, ""), &()).await.unwrap();
        assert_eq!(json, None);
    }

    #[tokio::test]
    async fn a03_bodies_above_the_cap_are_refused_stated_or_not() {
        let at_cap = format!("\"{}\"", "x".repeat(ReadLimits::JSON.bytes_max - 2));
        assert!(JsonBody::from_request(request(Some("application/json"), at_cap.clone()), &()).await.is_ok());
        let above = format!("{at_cap} ");
        let problem = JsonBody::from_request(request(Some("application/json"), above), &()).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let endless = Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096]))));
        let problem = JsonBody::from_request(request(Some("application/json"), endless), &()).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a15_a_body_that_does_not_arrive_is_a_timeout() {
        let stuck = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let limits = ReadLimits { timeout: Duration::from_millis(1), ..ReadLimits::JSON };
        let problem = read_bytes(stuck, limits).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a01_a_body_that_breaks_off_is_the_clients_fault() {
        let broken = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))]));
        let problem = JsonBody::from_request(request(Some("application/json"), broken), &()).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
    }
}
