//! A bare JSON echo: axum reads a creating call's body into a struct and writes it back. No rule, no store, no log.

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Failure;

/// The body of a creating call.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewInvestment {
    /// Who invests.
    pub investor_id: String,
    /// In which campaign.
    pub campaign_id: String,
    /// How many units.
    pub units: u64,
    /// When the investor bound himself.
    pub signed_at: String,
}

/// Serves until it is killed. The first line on standard output is the address.
pub async fn serve() -> Result<(), Failure> {
    serve_on_free_port(Router::new().route("/", post(echo))).await
}

/// Serves a router on a free loopback port, and says where on standard output.
pub async fn serve_on_free_port(router: Router) -> Result<(), Failure> {
    use axum::serve::ListenerExt;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Without it small answers wait for the other side's acknowledgement.
        let _set = stream.set_nodelay(true);
    });
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stopped = async move {
        let _signal = terminate.recv().await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await?;
    Ok(())
}

async fn echo(Json(body): Json<NewInvestment>) -> (StatusCode, Json<NewInvestment>) {
    (StatusCode::CREATED, Json(body))
}
