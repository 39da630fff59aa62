//! The sandbox's own door: a clock that can be turned forwards. It does not exist in production.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::instant::Instant;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Counter;
use super::act::problem_of_desk;
use super::body::{FieldFault, Fields, Json as Body, JsonBody, parsed};
use super::errors::{ActErrors, ReadErrors};
use super::problem::Problem;
use super::reading::NoQuery;
use crate::clock::CLOCK_SETTING;
use crate::desk::ProgramFault;
use crate::operations::setting::PutSetting;

/// The furthest the clock can be turned in one call: 36,525 days, in microseconds.
const ADVANCE_MICROS_MAX: i64 = 36_525 * 24 * 60 * 60 * 1_000_000;

/// Business time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClockView {
    /// What the registrar takes for now.
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    now: String,
    /// How far that is ahead of the machine's time.
    ahead_seconds: i64,
}

/// How far to turn the clock.
#[derive(Debug, ToSchema)]
pub struct ClockAdvance {
    /// An ISO 8601 duration above zero.
    #[schema(example = "P30D")]
    pub advance: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(read_clock, advance_clock))
}

/// Read business time.
#[utoipa::path(get, path = "/api/sandbox/clock/", tag = "Sandbox",
    responses((status = 200, description = "The clock.", body = ClockView), ReadErrors))]
async fn read_clock(State(counter): State<Arc<Counter>>, _: NoQuery) -> Json<ClockView> {
    Json(shown(&counter))
}

/// Turn business time forwards. Tokens, sessions and rate limits keep the machine's time.
#[utoipa::path(post, path = "/api/sandbox/clock/", tag = "Sandbox", request_body = ClockAdvance,
    responses((status = 200, description = "The clock.", body = ClockView), ActErrors))]
async fn advance_clock(
    State(counter): State<Arc<Counter>>,
    _: NoQuery,
    JsonBody(body): JsonBody,
) -> Result<Json<ClockView>, Problem> {
    // One turn after the other: each starts from where the one before arrived.
    let _turn = counter.clock_turning.lock().await;
    let now = counter.clock.now();
    let mut fields = Fields::of(&body);
    let advance_micros = fields.required("advance", duration_micros(now));
    let ahead_micros = counter.clock.ahead_micros() + fields.finish_with(|| advance_micros)?;
    let operation = PutSetting { name: CLOCK_SETTING.into(), value: ahead_micros.to_be_bytes().to_vec() };
    counter.desk.run(operation, now).await.map_err(|fault| match fault {
        ProgramFault::Desk(error) => problem_of_desk(error),
        ProgramFault::Refused(_) => Problem::internal(),
    })?;
    counter.clock.set_ahead_micros(ahead_micros);
    Ok(Json(shown(&counter)))
}

fn shown(counter: &Counter) -> ClockView {
    ClockView { now: counter.clock.now().to_string(), ahead_seconds: counter.clock.ahead_micros() / 1_000_000 }
}

/// A reader of durations: calendar spans are counted from `now`.
fn duration_micros(now: Instant) -> impl Fn(&Body) -> Result<i64, FieldFault> {
    let parse = move |text: &str| {
        let span: jiff::Span = text.parse().map_err(|_| "must be an ISO 8601 duration such as P30D")?;
        let later = now.checked_add_span(span).map_err(|_| "must be at most P36525D")?;
        match later.micros() - now.micros() {
            micros @ 1..=ADVANCE_MICROS_MAX => Ok(micros),
            _outside => Err("must be above zero and at most P36525D"),
        }
    };
    move |json| parsed(parse)(json)
}
