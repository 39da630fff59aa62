//! Whether the program is up, and whether it can work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use store::Reader;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Counter;
use super::problem::{Problem, ProblemDocument};
use crate::fence;

/// Up or ready; nothing else is told.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `up` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Whether the program is up.
#[utoipa::path(get, path = "/healthz", tag = "Operation",
    responses((status = 200, description = "It is up.", body = Health),
        (status = 405, description = "Only GET.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 406, description = "The answer is JSON.", body = ProblemDocument, content_type = "application/problem+json")))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "up" })
}

/// Whether the program can work: the database answers and has not gone back, nothing halts the ledger work, and it is not
/// about to stop.
#[utoipa::path(get, path = "/readyz", tag = "Operation",
    responses((status = 200, description = "It can work.", body = Health),
        (status = 405, description = "Only GET.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 406, description = "The answer is JSON.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "Something failed inside.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No database, a fence that is shut, or a stop.", body = ProblemDocument, content_type = "application/problem+json")))]
async fn readyz(State(counter): State<Arc<Counter>>) -> Result<Json<Health>, Problem> {
    if *counter.draining.borrow() {
        return Err(Problem::overloaded(1));
    }
    // Taken before it is read: what is read then is not older, or history went back.
    let seen = counter.desk.fence().newest();
    let found = counter.read(Reader::journal_head).await?;
    fence::compare(seen, found).map_err(|fault| Problem::not_ready(fault.to_string()))?;
    counter.desk.fence().remember(found);
    if let Some((network, reason)) = counter.standing.halted() {
        return Err(Problem::ledger_halted(network.as_str(), &reason));
    }
    Ok(Json(Health { status: "ready" }))
}
