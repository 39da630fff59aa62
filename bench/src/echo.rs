//! A bare JSON echo: axum reads a creating call's body into a struct and writes an answer of the same form and length as a
//! created investment, the request's fields among it. No rule, no store, no log.

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

/// A created investment as the API shows it. What is not echoed is constant.
#[derive(Debug, Serialize)]
pub struct CreatedInvestment {
    id: &'static str,
    product_id: &'static str,
    campaign_id: String,
    investor_id: String,
    wallet: Option<&'static str>,
    units: u64,
    remaining_amount: u64,
    status: &'static str,
    investment_type: &'static str,
    signed_at: String,
    accepted_at: Option<&'static str>,
    paid_at: Option<&'static str>,
    delivered_at: Option<&'static str>,
    cancellation_date: Option<&'static str>,
    cancellation_reason: Option<&'static str>,
    signed_documents: [&'static str; 0],
    investment_amount: Money,
    agio: Money,
    disagio: Money,
    accrued_interest: Money,
    payment_total: Money,
    payment_provisional: bool,
    terms_version: u32,
    allowed_acts: [&'static str; 6],
    created_at: &'static str,
    updated_at: &'static str,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Money {
    amount: &'static str,
    decimals: u8,
    currency: &'static str,
}

/// What is answered to a body.
pub fn created(body: NewInvestment) -> CreatedInvestment {
    let euro = |amount| Money { amount, decimals: 2, currency: "EUR" };
    CreatedInvestment {
        id: "01980000-0000-7000-8000-000000000003",
        product_id: "01980000-0000-7000-8000-000000000004",
        campaign_id: body.campaign_id,
        investor_id: body.investor_id,
        wallet: None,
        units: body.units,
        remaining_amount: body.units,
        status: "WAITING_FOR_ACCEPTANCE",
        investment_type: "primary",
        signed_at: body.signed_at,
        accepted_at: None,
        paid_at: None,
        delivered_at: None,
        cancellation_date: None,
        cancellation_reason: None,
        signed_documents: [],
        investment_amount: euro("100"),
        agio: euro("0"),
        disagio: euro("0"),
        accrued_interest: euro("0"),
        payment_total: euro("100"),
        payment_provisional: true,
        terms_version: 1,
        allowed_acts: ["attach_document", "set_wallet", "accept", "mark_paid", "abort", "reject"],
        created_at: "2025-03-12T07:14:13.630308+00:00",
        updated_at: "2025-03-12T07:14:13.630308+00:00",
    }
}

async fn echo(Json(body): Json<NewInvestment>) -> (StatusCode, Json<CreatedInvestment>) {
    (StatusCode::CREATED, Json(created(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_has_the_fields_of_a_created_investment() {
        let openapi: serde_json::Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
        let shown = openapi["components"]["schemas"]["Investment"]["properties"].as_object().unwrap();
        let body = NewInvestment { investor_id: "i".into(), campaign_id: "c".into(), units: 1, signed_at: "s".into() };
        let echoed = serde_json::to_value(created(body)).unwrap();
        let mut fields: Vec<_> = echoed.as_object().unwrap().keys().collect();
        let mut expected: Vec<_> = shown.keys().collect();
        fields.sort();
        expected.sort();
        assert_eq!(fields, expected);
    }
}
