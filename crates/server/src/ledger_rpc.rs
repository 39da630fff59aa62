//! The embedded ledger as JSON-RPC, for wallets and explorers on this machine.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ledger::embedded::{EmbeddedChain, rpc_view};

/// A router with the one resource of JSON-RPC.
pub fn router(chain: Arc<EmbeddedChain>) -> Router {
    Router::new().route("/", post(answer)).with_state(chain)
}

async fn answer(State(chain): State<Arc<EmbeddedChain>>, body: Bytes) -> Response {
    // A call may run the EVM for a while, and a send may wait for the chain's lock.
    let answered = tokio::task::spawn_blocking(move || match serde_json::from_slice(&body) {
        Ok(request) => rpc_view::answer(&chain, request),
        Err(_) => rpc_view::parse_error(),
    });
    match answered.await {
        // A notification gets no answer (JSON-RPC 2.0 section 4.1).
        Ok(serde_json::Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
