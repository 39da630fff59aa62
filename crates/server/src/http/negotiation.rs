//! What every request passes on its way in and out: request id, access log, problem bodies, path spelling, headers.

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use domain::ids::ClientId;
use metrics::Counter;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use super::problem::{Problem, ProblemKind};
use crate::meters::ApiMeters;

/// The response header that carries the request id.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The paths whose resources are the same with and without a trailing slash (design section 9).
const SLASHED_PREFIXES: [&str; 4] = ["/api/issuer/", "/api/distributor/", "/api/registrar/", "/api/sandbox/"];
const API_PREFIX: &str = "/api/";
/// Below it lies the UI of the OpenAPI file: the only pages among the API's answers.
const DOCS_PREFIX: &str = "/api/docs";
/// What the UI may load: its own files, and pictures and styles that it carries in itself. No other host, no frame.
const DOCS_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// Mints request ids; made of the clock and the random source by whoever owns them.
pub type MintRequestId = Arc<dyn Fn() -> Uuid + Send + Sync>;

/// What the front counts with.
#[derive(Clone, Debug)]
pub struct FrontMeters {
    /// Answers.
    pub api: Arc<ApiMeters>,
    /// Handlers that panicked.
    pub panics: Counter,
}

/// The facts of one request for the log, as a request extension. Layers further in add what they learn.
#[derive(Debug)]
struct AccessEntry {
    request_id: Uuid,
    route: OnceLock<String>,
    client_id: OnceLock<ClientId>,
}

/// Where the id of a request is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestId;

impl RequestId {
    /// The id of a request behind [`front`]; nil in front of it.
    #[must_use]
    pub fn of(parts: &Parts) -> Uuid {
        parts.extensions.get::<Arc<AccessEntry>>().map_or(Uuid::nil(), |entry| entry.request_id)
    }
}

impl AccessEntry {
    fn note_client(&self, client_id: ClientId) {
        // A request has one caller; a second note would be the same one.
        let _first = self.client_id.set(client_id);
    }
}

/// Notes for the log which client calls, once its token has been verified.
pub fn note_client(parts: &Parts, client_id: ClientId) {
    if let Some(entry) = parts.extensions.get::<Arc<AccessEntry>>() {
        entry.note_client(client_id);
    }
}

/// Puts the front around a router: the result is what the listener serves.
///
/// It settles the path's trailing slash, names the request, turns panics and bare refusals into problems, adds the
/// security headers and writes one log line. Method override fields have no meaning here and are passed over.
pub fn front(router: Router, mint_request_id: MintRequestId, meters: FrontMeters) -> Router {
    let noting = router.layer(from_fn(note_route));
    let answer_panic = move |payload| {
        meters.panics.increment(1);
        answer_panic(payload)
    };
    // The spelling of the path has to be settled before routing, so the routes stand behind a router of their own.
    // One layer does it all, because each one costs every request some allocations.
    Router::new()
        .fallback_service(noting)
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn_with_state((mint_request_id, meters.api), pass))
}

/// Refuses with 406 what cannot take JSON; for routes that answer JSON.
///
/// # Errors
/// 406.
pub async fn require_json_accept(request: Request, next: Next) -> Response {
    if accepts(request.headers(), "application/json") {
        next.run(request).await
    } else {
        Problem::not_acceptable("application/json").into_response()
    }
}

/// Whether the `Accept` fields admit a media type (RFC 9110 section 12.5.1); the most specific range decides, and
/// a range of quality zero refuses.
#[must_use]
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let kind = media_type.split('/').next().unwrap_or_default();
    let mut is_stated = false;
    let mut best: Option<(u8, bool)> = None;
    for field in headers.get_all(ACCEPT) {
        let Ok(field) = field.to_str() else {
            return false;
        };
        for range in field.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            is_stated = true;
            let mut pieces = range.split(';').map(str::trim);
            let stated = pieces.next().unwrap_or_default().to_ascii_lowercase();
            let specificity = match stated.as_str() {
                "*/*" => 1,
                exact if exact == media_type => 3,
                partial if partial.strip_suffix("/*") == Some(kind) => 2,
                _ => continue,
            };
            let is_wanted = pieces.all(|parameter| !is_quality_zero(parameter));
            if best.is_none_or(|(of_best, _)| specificity > of_best) {
                best = Some((specificity, is_wanted));
            }
        }
    }
    best.map_or(!is_stated, |(_, is_wanted)| is_wanted)
}

/// The address with the trailing slash that the routes are written with.
#[must_use]
pub fn with_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let is_slashed = SLASHED_PREFIXES.iter().any(|prefix| path.starts_with(prefix));
    if !is_slashed || path.ends_with('/') {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}/{query}").parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

async fn note_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    if let (Some(entry), Some(route)) = (request.extensions().get::<Arc<AccessEntry>>(), route) {
        let _first = entry.route.set(route);
    }
    next.run(request).await
}

async fn pass(State((mint, meters)): State<(MintRequestId, Arc<ApiMeters>)>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let in_flight = meters.begin();
    let entry = Arc::new(AccessEntry { request_id: mint(), route: OnceLock::new(), client_id: OnceLock::new() });
    request.extensions_mut().insert(Arc::clone(&entry));
    if let Some(uri) = with_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    let method = known_method(request.method());
    let is_api = request.uri().path().starts_with(API_PREFIX);
    let is_docs = request.uri().path().starts_with(DOCS_PREFIX);
    let mut response = finish_problem(next.run(request).await, entry.request_id);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_docs {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    }
    if is_api {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    if let Ok(value) = HeaderValue::from_str(&entry.request_id.to_string()) {
        headers.insert(REQUEST_ID_HEADER, value);
    }
    let duration = started.elapsed();
    drop(in_flight);
    meters.answered(entry.route.get().map(String::as_str), method, response.status().as_u16(), duration);
    log_access(&entry, method, response.status(), duration);
    response
}

fn log_access(entry: &AccessEntry, method: &'static str, status: StatusCode, duration: Duration) {
    let client_id = entry.client_id.get().map(ToString::to_string);
    tracing::info!(
        target: "scrip::access",
        request_id = %entry.request_id,
        method,
        route = entry.route.get().map_or("-", String::as_str),
        status = status.as_u16(),
        duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        client_id = client_id.as_deref().unwrap_or("-"),
        "request"
    );
}

/// Gives every refusal its problem document with the request id: ours, and what other layers refused without one.
///
/// A status that no kind of problem has becomes that of its kind: the published operations name no other.
fn finish_problem(mut response: Response, request_id: Uuid) -> Response {
    let ours = response.extensions_mut().remove::<Problem>();
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let problem = match ours {
        Some(problem) => problem,
        None if is_refusal && is_bare(response.headers()) => bare_problem(&response),
        None => return response,
    };
    *response.status_mut() = problem.status();
    let body = problem.with_request_id(request_id).to_bytes();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(super::problem::PROBLEM_MEDIA_TYPE));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
    response
}

/// The problem for a status that the framework answered with; its text never comes from there.
fn bare_problem(response: &Response) -> Problem {
    let kind = ProblemKind::of_status(response.status());
    match kind {
        ProblemKind::NotFound => Problem::not_found(),
        ProblemKind::MethodNotAllowed => {
            let allow = response.headers().get(axum::http::header::ALLOW).and_then(|allow| allow.to_str().ok());
            Problem::method_not_allowed(allow.unwrap_or_default())
        }
        ProblemKind::Internal => Problem::internal(),
        ProblemKind::InvalidRequest
        | ProblemKind::Unauthenticated
        | ProblemKind::InsufficientScope
        | ProblemKind::NotAcceptable
        | ProblemKind::Timeout
        | ProblemKind::Refused
        | ProblemKind::PayloadTooLarge
        | ProblemKind::UriTooLong
        | ProblemKind::UnsupportedMediaType
        | ProblemKind::KeyReused
        | ProblemKind::TooManyRequests
        | ProblemKind::HeaderFieldsTooLarge
        | ProblemKind::Overloaded
        | ProblemKind::LedgerHalted => Problem::new(kind, format!("{}.", kind.title())),
    }
}

/// Whether an answer has no body of a front's own making: the framework writes none or plain text.
fn is_bare(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|value| value.as_bytes().starts_with(b"text/plain"))
}

fn answer_panic(_payload: Box<dyn Any + Send + 'static>) -> Response {
    // The payload may quote what a client sent; the panic hook has written where it happened.
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}

/// A method's name for the log: an invented one may be any text.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        _ => "OTHER",
    }
}

fn is_quality_zero(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    name.trim().eq_ignore_ascii_case("q")
        && value.trim().starts_with('0')
        && value.trim().bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::Json;
    use axum::extract::Path;
    use axum::routing::{get, post};
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::meters::Meters;

    fn router() -> Router {
        let items = Router::new()
            .route(
                "/api/issuer/v2/items/",
                get(async |request: Request| request.uri().to_string()).post(async |request: Request| {
                    let (parts, _) = request.into_parts();
                    note_client(&parts, ClientId::new(Uuid::from_u128(9)));
                    Json(json!({"id": RequestId::of(&parts)}))
                }),
            )
            .route("/api/issuer/v2/items/{id}/", get(async |Path(id): Path<String>| id))
            .route("/api/issuer/v2/refused/", post(async || Problem::refused("no_room", "No room.")))
            .route("/api/issuer/v2/content/", get(async || ([(CACHE_CONTROL, "private, no-store")], "x")))
            .route("/api/issuer/v2/panic/", get(async || -> StatusCode { panic!("a secret of a client") }))
            .route("/api/issuer/v2/bare/{status}/", get(async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap()))
            .route("/api/issuer/v2/text/", get(async || (StatusCode::UNPROCESSABLE_ENTITY, "inner details")))
            .route("/api/oauth/token", post(async || (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_request"})))))
            .route("/studio/", get(async || "page"));
        let strict = Router::new().route("/api/issuer/v2/json/", get(async || "{}")).layer(from_fn(require_json_accept));
        items.merge(strict)
    }

    fn fronted() -> Router {
        fronted_with(&Meters::new())
    }

    fn fronted_with(meters: &Meters) -> Router {
        let counter = AtomicU64::new(0);
        let operations = [("/api/issuer/v2/items/".to_owned(), "POST"), ("/api/issuer/v2/panic/".to_owned(), "GET")];
        let api = Arc::new(ApiMeters::register(meters.registry(), operations));
        let mint = move || Uuid::from_u128(u128::from(counter.fetch_add(1, Ordering::SeqCst) + 1));
        front(router(), Arc::new(mint), FrontMeters { api, panics: meters.tasks.handler_panics.clone() })
    }

    async fn send(request: Request) -> (StatusCode, HeaderMap, String) {
        let response = fronted().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn request(method: &str, uri: &str) -> Request {
        Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()
    }

    fn json_of(body: &str) -> Value {
        serde_json::from_str(body).unwrap()
    }

    const FIRST_INSTANCE: &str = "urn:request:00000000-0000-0000-0000-000000000001";

    #[tokio::test]
    async fn a_path_is_the_same_resource_with_and_without_its_slash() {
        for (uri, seen) in [
            ("/api/issuer/v2/items/", "/api/issuer/v2/items/"),
            ("/api/issuer/v2/items", "/api/issuer/v2/items/"),
            ("/api/issuer/v2/items?a=b/c", "/api/issuer/v2/items/?a=b/c"),
            ("/api/issuer/v2/items/7", "7"),
            ("/api/issuer/v2/items/%2e%2e", ".."),
        ] {
            let (status, _, body) = send(request("GET", uri)).await;
            assert_eq!((status.as_u16(), body.as_str()), (200, seen), "{uri}");
        }
        assert_eq!(
            with_trailing_slash(&"http://h:1/api/sandbox/clock?x".parse().unwrap()).unwrap(),
            "http://h:1/api/sandbox/clock/?x"
        );
        for uri in ["/api/oauth/token", "/api/docs", "/studio", "/api/issuer", "/x/api/issuer/y"] {
            assert_eq!(with_trailing_slash(&uri.parse().unwrap()), None, "{uri}");
        }
    }

    #[tokio::test]
    async fn a09_path_tricks_find_nothing() {
        for uri in [
            "/api/issuer/v2//items/",
            "/api//issuer/v2/items/",
            "/api/issuer/v2/items/../items/",
            "/api/issuer/v2/x/%2e%2e/items/",
            "/api/issuer/v2/items;a=b/",
            "/api/issuer/v2/items./",
            "/api/issuer/v2%2Fitems/",
            "/api/Issuer/v2/items/",
            "/api/issuer/v2/items/%00/x/",
        ] {
            let (status, headers, body) = send(request("GET", uri)).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{uri}");
            assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
            assert_eq!(json_of(&body)["type"], "/api/problems/not-found", "{uri}");
            assert_eq!(json_of(&body)["instance"], FIRST_INSTANCE);
        }
    }

    #[tokio::test]
    async fn a08_an_unlisted_method_is_405_with_allow() {
        for method in ["PUT", "DELETE", "TRACE", "PATCH", "OPTIONS", "BREW"] {
            let (status, headers, body) = send(request(method, "/api/issuer/v2/items/")).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
            let mut allow: Vec<&str> = headers["allow"].to_str().unwrap().split(',').collect();
            allow.sort_unstable();
            assert_eq!(allow, ["GET", "HEAD", "POST"], "{method}");
            assert_eq!(json_of(&body)["type"], "/api/problems/method-not-allowed");
        }
    }

    #[tokio::test]
    async fn a08_method_override_fields_are_passed_over() {
        for (name, uri) in [
            ("x-http-method-override", "/api/issuer/v2/items/"),
            ("x-method-override", "/api/issuer/v2/items/"),
            ("x-http-method", "/api/issuer/v2/items/?_method=POST"),
        ] {
            let mut overridden = request("GET", uri);
            overridden.headers_mut().insert(name, HeaderValue::from_static("POST"));
            assert_eq!(send(overridden).await.2, uri);
        }
    }

    #[tokio::test]
    async fn a07_an_accept_field_that_json_does_not_fit_is_406() {
        for (fields, due) in [
            (&[][..], 200),
            (&[""], 200),
            (&["*/*"], 200),
            (&["application/json"], 200),
            (&["Application/JSON; charset=utf-8"], 200),
            (&["text/html, application/*;q=0.1"], 200),
            (&["text/html", "application/json"], 200),
            (&["text/html, */*;q=0.01"], 200),
            (&["application/json;q=0, application/xml"], 406),
            (&["*/*, application/json;q=0.0"], 406),
            (&["*/*;q=0"], 406),
            (&["text/html"], 406),
            (&["application/xml"], 406),
            (&["applicationx/*"], 406),
        ] {
            let mut asked = request("GET", "/api/issuer/v2/json/");
            for field in fields {
                asked.headers_mut().append(ACCEPT, HeaderValue::from_str(field).unwrap());
            }
            assert_eq!(send(asked).await.0.as_u16(), due, "{fields:?}");
        }
    }

    #[tokio::test]
    async fn refusals_get_the_request_id_and_bare_ones_a_problem() {
        let mut refused = request("POST", "/api/issuer/v2/refused");
        refused.headers_mut().insert(REQUEST_ID_HEADER, HeaderValue::from_static("mine"));
        let (status, headers, body) = send(refused).await;
        assert_eq!((status.as_u16(), &json_of(&body)["code"]), (409, &json!("no_room")));
        assert_eq!(json_of(&body)["instance"], FIRST_INSTANCE);
        assert_eq!(headers[REQUEST_ID_HEADER], "00000000-0000-0000-0000-000000000001");
        assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
        for (uri, due, name) in [
            ("/api/issuer/v2/bare/413", 413, "payload-too-large"),
            ("/api/issuer/v2/bare/422", 400, "invalid-request"),
            ("/api/issuer/v2/bare/503", 503, "overloaded"),
            ("/api/issuer/v2/bare/501", 500, "internal"),
            ("/api/issuer/v2/text", 400, "invalid-request"),
            ("/nowhere", 404, "not-found"),
        ] {
            let (status, _, body) = send(request("GET", uri)).await;
            assert_eq!(status.as_u16(), due, "{uri}");
            assert_eq!(json_of(&body)["type"], format!("/api/problems/{name}"), "{uri}");
            assert_eq!(json_of(&body)["status"], due, "{uri}");
            assert!(!body.contains("inner details"), "{uri}");
        }
        let (status, _, body) = send(request("POST", "/api/oauth/token")).await;
        assert_eq!((status.as_u16(), body.as_str()), (400, r#"{"error":"invalid_request"}"#));
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let (status, _, body) = send(request("GET", "/api/issuer/v2/panic/")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(json_of(&body)["type"], "/api/problems/internal");
        assert_eq!(json_of(&body)["instance"], FIRST_INSTANCE);
        assert!(!body.contains("secret"));
    }

    #[tokio::test]
    async fn o12_requests_are_counted_by_route_and_panics_for_themselves() {
        let meters = Meters::new();
        let router = fronted_with(&meters);
        for (method, uri) in [
            ("POST", "/api/issuer/v2/items"),
            ("POST", "/api/issuer/v2/items/"),
            ("GET", "/api/issuer/v2/panic/"),
            ("GET", "/nowhere/secret"),
            ("SECRET", "/api/issuer/v2/items/"),
        ] {
            let _answer = router.clone().oneshot(request(method, uri)).await.unwrap();
        }
        let text = meters.registry().text();
        for line in [
            r#"scrip_http_requests_total{route="/api/issuer/v2/items/",method="POST",status="2xx"} 2"#,
            r#"scrip_http_requests_total{route="/api/issuer/v2/panic/",method="GET",status="5xx"} 1"#,
            r#"scrip_http_requests_total{route="none",method="none",status="4xx"} 2"#,
            r#"scrip_http_request_duration_seconds_count{route="/api/issuer/v2/items/",method="POST"} 2"#,
            r#"scrip_panics_total{place="handler"} 1"#,
            "scrip_http_requests_in_flight 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("secret") && !text.contains("SECRET"));
    }

    #[tokio::test]
    async fn security_headers_stand_on_every_answer() {
        for (uri, cache) in [
            ("/api/issuer/v2/items/", Some("no-store")),
            ("/api/nowhere", Some("no-store")),
            ("/api/issuer/v2/panic/", Some("no-store")),
            ("/api/issuer/v2/content/", Some("private, no-store")),
            ("/studio/", None),
        ] {
            let (_, headers, _) = send(request("GET", uri)).await;
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{uri}");
            assert_eq!(headers.get(CACHE_CONTROL).map(|value| value.to_str().unwrap()), cache, "{uri}");
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Lines {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    #[tokio::test]
    async fn a14_the_access_log_is_one_line_a_request_without_what_the_client_wrote() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let router = fronted();
        for (method, uri) in [
            ("POST", "/api/issuer/v2/items?access_token=secret"),
            ("GET", "/api/issuer/v2/items/secret%0Ainjected"),
            ("SECRET", "/api/secret"),
        ] {
            let mut request = request(method, uri);
            request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer secret"));
            let _answer = router.clone().oneshot(request).await.unwrap();
        }
        drop(guard);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let facts = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let fields = &line["fields"];
            assert!(fields["duration_us"].is_u64(), "{line}");
            ["request_id", "method", "route", "status", "client_id"].map(|name| fields[name].clone())
        };
        let logged: Vec<_> = text.lines().map(facts).collect();
        let id = |number: u128| json!(Uuid::from_u128(number).to_string());
        assert_eq!(
            logged,
            [
                [id(1), json!("POST"), json!("/api/issuer/v2/items/"), json!(200), id(9)],
                [id(2), json!("GET"), json!("/api/issuer/v2/items/{id}/"), json!(200), json!("-")],
                [id(3), json!("OTHER"), json!("-"), json!(404), json!("-")],
            ]
        );
        assert!(!text.contains("secret") && !text.contains("SECRET"), "{text}");
    }
}
