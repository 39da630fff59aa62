//! Entity tags: the same state has the same tag, whoever sends it. A replayed answer whose tag is not the object's
//! present one shows that somebody changed the object since.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Bytes of the digest that make a tag: enough that two states never share one.
const TAG_BYTES: usize = 16;
/// The largest JSON answer: a page of two hundred objects is far below.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Puts a strong entity tag (RFC 9110 section 8.8.3) on every JSON answer that shows an object.
pub async fn tag(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_shown = matches!(response.status(), StatusCode::OK | StatusCode::CREATED);
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if !is_shown || !is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return Problem::internal().into_response();
    };
    let digest = Sha256::digest(&bytes);
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", hex::encode(&digest[..TAG_BYTES]))) {
        parts.headers.insert(ETAG, value);
    }
    Response::from_parts(parts, Body::from(bytes))
}
