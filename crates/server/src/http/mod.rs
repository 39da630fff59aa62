//! The counter: HTTP in, HTTP out. It parses into domain types, authorises, takes one `now`, and hands acts to the desk.
//!
//! Invariant: a handler holds no business rule.
//! Invariant: writes go through the desk; reads go to the archive.

pub mod act;
pub mod body;
pub mod caller;
pub mod campaign_view;
pub mod distributor;
pub mod documents;
pub mod errors;
pub mod etag;
pub mod health;
pub mod interest_periods;
pub mod interest_view;
pub mod investment_filter;
pub mod investment_view;
pub mod issuer;
pub mod listener;
pub mod multipart;
pub mod negotiation;
pub mod oauth;
mod openapi;
pub mod page;
pub mod payable;
pub mod payable_view;
pub mod problem;
pub mod product_view;
pub mod query;
pub mod reading;
pub mod refused;
pub mod sandbox;
pub mod throttle;
pub mod token;
pub mod view;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use store::Reader;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::negotiation::{FrontMeters, front, require_json_accept};
use self::page::CursorKey;
use self::throttle::{CallThrottle, FailureThrottle, Rate};
use self::token::{TokenSigner, VerifiedTokens};
use crate::clock::Clock;
use crate::desk::Desk;
use crate::directory::ClientDirectory;
use crate::documents::DocumentFolder;
use crate::entropy::Entropy;
use crate::keyring::{KeyUse, Keyring};
use crate::meters::{ApiMeters, Meters};
use crate::standing::Standing;

pub use self::openapi::openapi_document;

/// Calls per second of one client, where limits are on and nothing else is said.
pub const CALLS_PER_SECOND: NonZeroU32 = at_least_one(2_000);
/// So many times as many calls may come at once.
const BURST_FACTOR: NonZeroU32 = at_least_one(2);
/// Failed attempts per minute at the token endpoint, per client id and per peer.
const FAILURES_PER_CLIENT: NonZeroU32 = at_least_one(10);
const FAILURES_PER_PEER: NonZeroU32 = at_least_one(30);

/// Everything the counter works with.
#[derive(Debug)]
pub struct Counter {
    desk: Desk,
    archive: Arc<Reader>,
    /// A place for each of the archive's connections.
    reading: tokio::sync::Semaphore,
    directory: Arc<ClientDirectory>,
    documents: DocumentFolder,
    clock: Clock,
    keyring: Keyring,
    entropy: Mutex<Entropy>,
    tokens: TokenSigner,
    verified: VerifiedTokens,
    cursors: CursorKey,
    throttle: Throttle,
    clock_turning: tokio::sync::Mutex<()>,
    meters: Arc<Meters>,
    draining: watch::Receiver<bool>,
    scheme: &'static str,
    standing: Standing,
}

/// What the program hands to the counter.
#[derive(Debug)]
pub struct Furnishing {
    /// The way to the desk.
    pub desk: Desk,
    /// Committed state.
    pub archive: Arc<Reader>,
    /// Connections that the archive reads on.
    pub readers: usize,
    /// Which tokens hold.
    pub directory: Arc<ClientDirectory>,
    /// Where documents' bytes lie.
    pub documents: DocumentFolder,
    /// The clocks.
    pub clock: Clock,
    /// The instance's keys.
    pub keyring: Keyring,
    /// Randomness of the counter's own.
    pub entropy: Entropy,
    /// Calls per second of one client, with twice as many at once; `None` where clients are not limited.
    pub calls_per_second: Option<NonZeroU32>,
    /// What cannot work although it runs.
    pub standing: Standing,
    /// What the program counts with.
    pub meters: Arc<Meters>,
    /// Says `true` once the program is about to stop.
    pub draining: watch::Receiver<bool>,
}

/// Rate limits.
#[derive(Debug)]
struct Throttle {
    calls: CallThrottle,
    failures: FailureThrottle,
}

impl Counter {
    /// Furnishes a counter.
    #[must_use]
    pub fn new(furnishing: Furnishing) -> Self {
        let calls = furnishing.calls_per_second.map(|count| Rate::per_second(count, count.saturating_mul(BURST_FACTOR)));
        let failures = FailureThrottle::new(Rate::per_minute(FAILURES_PER_CLIENT), Rate::per_minute(FAILURES_PER_PEER));
        Self {
            tokens: TokenSigner::new(furnishing.keyring.derive(KeyUse::Tokens)),
            verified: VerifiedTokens::default(),
            cursors: CursorKey::new(furnishing.keyring.derive(KeyUse::Cursors)),
            throttle: Throttle { calls: CallThrottle::new(calls), failures },
            desk: furnishing.desk,
            archive: furnishing.archive,
            reading: tokio::sync::Semaphore::new(furnishing.readers),
            directory: furnishing.directory,
            documents: furnishing.documents,
            clock: furnishing.clock,
            keyring: furnishing.keyring,
            entropy: Mutex::new(furnishing.entropy),
            clock_turning: tokio::sync::Mutex::new(()),
            meters: furnishing.meters,
            draining: furnishing.draining,
            scheme: "http",
            standing: furnishing.standing,
        }
    }

    /// A fresh id.
    fn fresh_id<T: From<uuid::Uuid>>(&self) -> T {
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).id(self.clock.now())
    }
}

/// Which doors the counter has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doors {
    /// The APIs.
    Production,
    /// The APIs, and the sandbox's own: a clock that can be turned.
    Sandbox,
}

/// The router of a counter, with the OpenAPI file and its UI.
pub fn router(counter: Arc<Counter>, doors: Doors) -> Router {
    let (routes, document) = routes(doors).split_for_parts();
    let docs = Config::new(["/api/openapi.json"]).use_base_layout().validator_url("none");
    let mint = counter.clone();
    let operations = openapi::routes_and_methods(&document);
    let api = Arc::new(ApiMeters::register(counter.meters.registry(), operations));
    let meters = FrontMeters { api, panics: counter.meters.tasks.handler_panics.clone() };
    let api = routes.layer(from_fn(etag::tag)).layer(from_fn(accept_json)).with_state(counter);
    let docs = SwaggerUi::new("/api/docs").url("/api/openapi.json", openapi::published(document)).config(docs);
    front(api.merge(docs), Arc::new(move || mint.fresh_id()), meters)
}

fn routes(doors: Doors) -> OpenApiRouter<Arc<Counter>> {
    let routes = OpenApiRouter::with_openapi(openapi::frame())
        .merge(oauth::routes())
        .merge(distributor::routes())
        .merge(issuer::routes())
        .merge(health::routes());
    match doors {
        Doors::Production => routes,
        Doors::Sandbox => routes.merge(sandbox::routes()),
    }
}

/// Answers are JSON, but for a document's bytes.
async fn accept_json(request: Request, next: Next) -> Response {
    if request.uri().path().ends_with("/content/") { next.run(request).await } else { require_json_accept(request, next).await }
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}
