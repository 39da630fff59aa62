//! Handing an act to the desk: idempotency key, fingerprint, dry run, and the answer.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::AnswerKey;
use uuid::Uuid;

use super::Counter;
use super::body::Json;
use super::caller::Caller;
use super::negotiation::RequestId;
use super::problem::{FieldCode, FieldError, PROBLEM_MEDIA_TYPE, Problem};
use super::query::Query;
use super::refused::problem_of;
use crate::desk::{Command, DeskError, Remember, Rendered, Reply};
use crate::operations::{Operation, Refused};

/// The header that makes a repeat safe.
pub const IDEMPOTENCY_KEY: &str = "x-idempotency-key";
/// Says that an answer was remembered.
const REPLAYED: &str = "idempotency-replayed";
/// The longest key.
const KEY_CHARS_MAX: usize = 255;

/// What an acting request says beside its body.
#[derive(Clone, Debug)]
pub struct Intake {
    method: Method,
    path: String,
    request_id: Uuid,
    key: Option<String>,
    is_dry_run: bool,
}

impl FromRequestParts<Arc<Counter>> for Intake {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _counter: &Arc<Counter>) -> Result<Self, Problem> {
        let mut query = Query::parse(parts.uri.query().unwrap_or(""))?;
        let is_dry_run = query.dry_run();
        query.finish()?;
        let key = read_key(&parts.headers)?;
        if key.is_none() && !is_dry_run && parts.method == Method::POST {
            return Err(header_fault(FieldCode::Missing, "POST needs the header X-Idempotency-Key"));
        }
        Ok(Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            request_id: RequestId::of(parts),
            key: key.filter(|_| !is_dry_run),
            is_dry_run,
        })
    }
}

/// What a body is for the fingerprint.
#[derive(Clone, Copy, Debug)]
pub enum BodyIdentity<'a> {
    /// No body.
    Empty,
    /// A JSON body: order of members and white space do not matter.
    Json(&'a Json),
    /// Anything else, already reduced to what matters.
    Bytes(&'a [u8]),
}

impl Intake {
    /// Hands the operation to the desk and answers. `show` makes the body of success, answered with `status`.
    ///
    /// # Errors
    /// Whatever is not remembered: missing and foreign ids, a reused key, an overloaded or failing desk.
    pub async fn act<O, P, V>(
        self,
        counter: &Counter,
        caller: &Caller<P>,
        operation: O,
        body: BodyIdentity<'_>,
        status: StatusCode,
        show: fn(&O::Output) -> V,
    ) -> Result<Response, Problem>
    where
        O: Operation,
        V: Serialize + 'static,
    {
        let request_id = self.request_id;
        let status = if self.is_dry_run { StatusCode::OK } else { status };
        let render = move |result: &Result<O::Output, Refused>| render(result, status, show, request_id);
        let (fingerprint, size_bytes) = self.fingerprint(body);
        let remember = self.key.map(|key| Remember {
            key: AnswerKey { organisation_id: caller.organisation_id, client_id: caller.client_id, key },
            fingerprint,
            render: Box::new(render),
        });
        let command = Command {
            operation,
            actor: Some(caller.client_id),
            now: caller.now,
            remember,
            is_dry_run: self.is_dry_run,
            size_bytes,
        };
        match counter.desk.submit(command).await.map_err(problem_of_desk)? {
            Reply::Decided { rendered: Some(rendered), .. } => Ok(response(rendered)),
            Reply::Decided { result, rendered: None } => match render(&result) {
                Some(rendered) => Ok(response(rendered)),
                None => Err(result.err().map_or_else(Problem::internal, |refused| problem_of(&refused))),
            },
            Reply::Replayed(rendered) => {
                let mut answer = response(rendered);
                answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                Ok(answer)
            }
            Reply::KeyReused => Err(Problem::key_reused()),
            Reply::AnswerErased => Err(Problem::refused(
                "answer_erased",
                "This request was decided before; its answer was erased with the investor.",
            )),
        }
    }

    fn fingerprint(&self, body: BodyIdentity<'_>) -> ([u8; 32], usize) {
        let canonical = match body {
            BodyIdentity::Empty => Vec::new(),
            BodyIdentity::Json(json) => json.canonical_bytes(),
            BodyIdentity::Bytes(bytes) => bytes.to_vec(),
        };
        let mut hash = Sha256::new();
        for part in [self.method.as_str().as_bytes(), self.path.as_bytes(), &canonical] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        (hash.finalize().into(), canonical.len() + 512)
    }
}

/// What the desk decided is remembered: success, and refusals by stored state or limits. Ids that were not found are
/// not, so that the same key works once they exist.
fn render<T, V: Serialize>(
    result: &Result<T, Refused>,
    status: StatusCode,
    show: fn(&T) -> V,
    request_id: Uuid,
) -> Option<Rendered> {
    match result {
        Ok(output) => {
            let body = serde_json::to_vec(&show(output)).ok()?;
            Some(Rendered { status: status.as_u16(), is_problem: false, body })
        }
        Err(refused @ Refused::Rules(_)) => {
            let problem = problem_of(refused).with_request_id(request_id);
            Some(Rendered { status: problem.status().as_u16(), is_problem: true, body: problem.to_bytes() })
        }
        Err(Refused::NotFound | Refused::BodyIdsNotFound(_) | Refused::Inconsistent(_)) => None,
    }
}

fn response(rendered: Rendered) -> Response {
    let media_type = if rendered.is_problem { PROBLEM_MEDIA_TYPE } else { "application/json" };
    let status = StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, media_type)], rendered.body).into_response()
}

/// The problem that a desk's failure is.
#[must_use]
pub fn problem_of_desk(error: DeskError) -> Problem {
    match error {
        DeskError::Overloaded | DeskError::Unavailable => Problem::overloaded(1),
        DeskError::Failed => Problem::internal(),
    }
}

fn read_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(header_fault(FieldCode::DuplicateField, "the header X-Idempotency-Key must stand once"));
    }
    let is_key = |bytes: &[u8]| (1..=KEY_CHARS_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    let key = std::str::from_utf8(value.as_bytes()).ok().filter(|text| is_key(text.as_bytes()));
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(header_fault(FieldCode::InvalidValue, "X-Idempotency-Key must be 1 to 255 visible ASCII characters")),
    }
}

fn header_fault(code: FieldCode, message: &'static str) -> Problem {
    Problem::invalid_request(vec![FieldError::new("header:X-Idempotency-Key", code, message)])
}
