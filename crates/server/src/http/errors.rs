//! The errors that operations declare in the OpenAPI file.

use std::collections::BTreeMap;

use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{IntoParams, IntoResponses};

use super::problem::PROBLEM_MEDIA_TYPE;

const READING: [(u16, &str); 9] = [
    (400, "The query is wrong; `errors` name the parameters."),
    (401, "There is no valid token."),
    (403, "The token lacks the scope, or is for another API."),
    (404, "There is no such object for this caller."),
    (405, "The resource does not have this method."),
    (406, "The answer is JSON; the request accepts something else."),
    (429, "Too many requests of this client; `Retry-After` says when."),
    (500, "Something failed inside. Nothing was changed."),
    (503, "No room for the request now; `Retry-After` says when."),
];

const FORMS: [(u16, &str); 7] = [
    (405, "Only POST."),
    (406, "The answer is JSON; the request accepts something else."),
    (408, "The body took too long."),
    (413, "The body is too large."),
    (429, "Too many failed attempts; `Retry-After` says when."),
    (500, "Something failed inside. Nothing was changed."),
    (503, "No room for the request now; `Retry-After` says when."),
];

const ACTING: [(u16, &str); 6] = [
    (400, "Wrong whatever the store holds; `errors` name the fields. Also an id in the body that is missing or foreign."),
    (408, "The body took too long."),
    (409, "Refused by stored state or limits; `failed_rules` has every rule with its limit."),
    (413, "The body is too large."),
    (415, "The body has another media type."),
    (422, "The idempotency key belongs to another request."),
];

/// Errors of operations that read.
#[derive(Clone, Copy, Debug)]
pub struct ReadErrors;

impl IntoResponses for ReadErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&READING)
    }
}

/// Errors of operations that act.
#[derive(Clone, Copy, Debug)]
pub struct ActErrors;

impl IntoResponses for ActErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = problems(&READING);
        responses.extend(problems(&ACTING));
        responses
    }
}

/// Errors of operations that compute on stored state and record nothing.
#[derive(Clone, Copy, Debug)]
pub struct QuoteErrors;

impl IntoResponses for QuoteErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = problems(&READING);
        responses.extend(problems(ACTING.iter().filter(|(status, _)| *status != 422)));
        responses
    }
}

/// The error of readings that stored state may refuse.
#[derive(Clone, Copy, Debug)]
pub struct RefusedErrors;

impl IntoResponses for RefusedErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(ACTING.iter().filter(|(status, _)| *status == 409))
    }
}

/// Errors of the token endpoint and of revocation: RFC 6749's own form where it has one.
#[derive(Clone, Copy, Debug)]
pub struct OauthErrors;

impl IntoResponses for OauthErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = problems(&FORMS);
        for (status, description) in [("400", "The request is wrong."), ("401", "The client is unknown or its secret is wrong.")]
        {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("OauthErrorDocument"))).build();
            let response = ResponseBuilder::new().description(description).content("application/json", content).build();
            responses.insert(status.to_owned(), response.into());
        }
        responses
    }
}

fn problems<'a>(rows: impl IntoIterator<Item = &'a (u16, &'a str)>) -> BTreeMap<String, RefOr<Response>> {
    rows.into_iter().map(|(status, description)| (status.to_string(), problem(description))).collect()
}

fn problem(description: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(PROBLEM_MEDIA_TYPE, content).build().into()
}

/// The header and the query of operations that act.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct KeyParams {
    /// 1 to 255 visible ASCII characters, a UUID for instance. A repeat with the same key and body gets the first
    /// answer again, with `Idempotency-Replayed: true`; with another body it gets 422. Kept for at least 24 hours.
    #[param(rename = "X-Idempotency-Key", required = true, min_length = 1, max_length = 255, example = "9f2c64d1a0b37e58")]
    pub key: String,
}

/// The header of operations that honour a key without asking for it.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct OptionalKeyParams {
    /// As on POST, but not required.
    #[param(rename = "X-Idempotency-Key", min_length = 1, max_length = 255, example = "9f2c64d1a0b37e58")]
    pub key: Option<String>,
}

/// The query of operations that act.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DryRunParams {
    /// Decide, answer 200 with what would come of it or with every failed rule, and record nothing.
    pub dry_run: Option<bool>,
}

/// The query of lists.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Objects on one page.
    #[param(minimum = 1, maximum = 200, default = 20)]
    pub limit: Option<u32>,
    /// From the `next` or `previous` of another page; opaque.
    pub cursor: Option<String>,
}
