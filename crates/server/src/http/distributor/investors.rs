//! Investors and their wallets, as far as they can be read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::{InvestorId, WalletId};
use domain::investor::Investor;
use domain::wallet::Wallet;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Counter;
use crate::http::caller::{Caller, DistributorInvestorsRead};
use crate::http::errors::{PageParams, ReadErrors};
use crate::http::page::{Page, Position};
use crate::http::problem::Problem;
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};
use crate::keyring;

/// An investor account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Investor)]
pub struct InvestorView {
    id: Uuid,
    /// `natural_person` or `legal_person`.
    #[schema(example = "natural_person")]
    person_type: &'static str,
    /// `PENDING`, `SUCCESS` or `REJECTED`.
    #[schema(example = "SUCCESS")]
    kyc_status: &'static str,
    /// The personal data as it was given; only where one investor is read. Null once erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    personal_data: Option<serde_json::Value>,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

/// A wallet.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Wallet)]
pub struct WalletView {
    id: Uuid,
    investor_id: Uuid,
    /// `eth-generic`: its keys are outside the system.
    #[schema(example = "eth-generic")]
    r#type: &'static str,
    #[schema(example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
    address: String,
    receiving_enabled: bool,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

impl From<&Investor> for InvestorView {
    fn from(investor: &Investor) -> Self {
        Self {
            id: investor.id.uuid(),
            person_type: investor.person.code(),
            kyc_status: investor.kyc.code(),
            personal_data: None,
            created_at: investor.created_at.to_string(),
        }
    }
}

impl From<&Wallet> for WalletView {
    fn from(wallet: &Wallet) -> Self {
        Self {
            id: wallet.id.uuid(),
            investor_id: wallet.investor_id.uuid(),
            r#type: "eth-generic",
            address: wallet.address.to_string(),
            receiving_enabled: wallet.receiving_enabled,
            created_at: wallet.created_at.to_string(),
        }
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new()
        .routes(routes!(list_investors))
        .routes(routes!(read_investor))
        .routes(routes!(list_wallets))
        .routes(routes!(read_wallet))
}

/// List the platform's investors.
#[utoipa::path(get, path = "/api/distributor/v2/investors/", tag = "Distributor: investors", params(PageParams),
    responses((status = 200, description = "A page of investors.", body = Page<InvestorView>), ReadErrors),
    security(("oauth2" = ["investors:read"])))]
async fn list_investors(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestorsRead>,
    asked: ListAsked,
) -> Result<Json<Page<InvestorView>>, Problem> {
    let page = asked.page(&counter, caller.organisation_id, "distributor/investors")?;
    let (platform_id, request) = (caller.organisation_id, page.0.rows());
    let rows = counter.read(move |archive| archive.investors(platform_id, request)).await?;
    let position = |investor: &Investor| Position { created_at: investor.created_at, id: investor.id.uuid() };
    Ok(shown_page(&counter, &page, rows, position, |investor| InvestorView::from(investor)))
}

/// Read an investor with the personal data that was given.
#[utoipa::path(get, path = "/api/distributor/v2/investors/{investor_id}/", tag = "Distributor: investors",
    params(("investor_id" = Uuid, Path)),
    responses((status = 200, description = "The investor.", body = InvestorView), ReadErrors),
    security(("oauth2" = ["investors:read"])))]
async fn read_investor(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestorsRead>,
    Ids([investor_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<InvestorView>, Problem> {
    let (platform_id, id) = (caller.organisation_id, InvestorId::new(investor_id));
    let (investor, sealed, wrapped) = counter
        .find(move |archive| {
            let Some(investor) = archive.investor(platform_id, id)? else { return Ok(None) };
            Ok(Some((investor, archive.person(id)?, archive.wrapped_key(id)?)))
        })
        .await?;
    let mut view = InvestorView::from(&investor);
    // Where the key was erased there is nothing to show any more.
    view.personal_data = Some(match sealed.zip(wrapped) {
        Some((sealed, wrapped)) => {
            let key = counter.keyring.unwrap_key(id, &wrapped).map_err(|_| Problem::internal())?;
            let plain = keyring::open(&key.0, &id.bytes(), &sealed).map_err(|_| Problem::internal())?;
            serde_json::from_slice(&plain).map_err(|_| Problem::internal())?
        }
        None => serde_json::Value::Null,
    });
    Ok(Json(view))
}

/// List an investor's wallets.
#[utoipa::path(get, path = "/api/distributor/v2/investors/{investor_id}/wallets/", tag = "Distributor: investors",
    params(("investor_id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of wallets.", body = Page<WalletView>), ReadErrors),
    security(("oauth2" = ["investors:read"])))]
async fn list_wallets(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestorsRead>,
    Ids([investor_id]): Ids<1>,
    asked: ListAsked,
) -> Result<Json<Page<WalletView>>, Problem> {
    let list = format!("distributor/investors/{investor_id}/wallets");
    let page = asked.page(&counter, caller.organisation_id, &list)?;
    let (platform_id, request) = (caller.organisation_id, page.0.rows());
    let rows = counter.find(move |archive| archive.wallets(platform_id, InvestorId::new(investor_id), request)).await?;
    let position = |wallet: &Wallet| Position { created_at: wallet.created_at, id: wallet.id.uuid() };
    Ok(shown_page(&counter, &page, rows, position, |wallet| WalletView::from(wallet)))
}

/// Read a wallet.
#[utoipa::path(get, path = "/api/distributor/v2/investors/{investor_id}/wallets/{wallet_id}/", tag = "Distributor: investors",
    params(("investor_id" = Uuid, Path), ("wallet_id" = Uuid, Path)),
    responses((status = 200, description = "The wallet.", body = WalletView), ReadErrors),
    security(("oauth2" = ["investors:read"])))]
async fn read_wallet(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestorsRead>,
    Ids([investor_id, wallet_id]): Ids<2>,
    _: NoQuery,
) -> Result<Json<WalletView>, Problem> {
    let (platform_id, investor_id) = (caller.organisation_id, InvestorId::new(investor_id));
    let wallet = counter.find(move |archive| archive.wallet(platform_id, investor_id, WalletId::new(wallet_id))).await?;
    Ok(Json(WalletView::from(&wallet)))
}
