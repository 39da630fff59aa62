//! Credits: ordering the units of an investment, and watching them arrive.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::credit::{Credit, CreditState};
use domain::ids::{CreditId, InvestmentId};
use serde::Serialize;
use store::{Reader, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Counter;
use crate::http::act::{BodyIdentity, Intake};
use crate::http::body::NoBody;
use crate::http::caller::{Caller, DistributorInvestmentsRead, DistributorInvestmentsWrite};
use crate::http::errors::{ActErrors, DryRunParams, KeyParams, PageParams, ReadErrors};
use crate::http::page::{Page, Position};
use crate::http::problem::Problem;
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};
use crate::operations::credit::OrderCredit;
use crate::operations::network::{UNREADABLE_SETTING, Unreadable};

/// The task that issues an investment's units to its wallet.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Credit)]
pub struct CreditView {
    id: Uuid,
    investment_id: Uuid,
    /// `processing`, `succeeded` or `failed`. `unknown` stands for `processing` while no node of the ledger can be read; the
    /// credit ends by itself afterwards.
    #[schema(example = "processing")]
    status: &'static str,
    /// What went wrong, in a sentence.
    #[schema(required = true)]
    error: Option<&'static str>,
    /// What went wrong, as a stable code.
    #[schema(required = true, example = "account_blocked")]
    error_code: Option<&'static str>,
    #[schema(example = 10)]
    units: u64,
    /// The wallet's address, fixed when the credit was triggered.
    #[schema(example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
    address: String,
    #[schema(required = true)]
    transaction_hash: Option<String>,
    #[schema(required = true)]
    block_number: Option<u64>,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
    #[schema(required = true, format = DateTime)]
    finished_at: Option<String>,
}

/// What is said of a credit whose end nobody can see.
const UNREADABLE: &str = "No node of the ledger can be read at present. The credit ends by itself when one can be read again.";
const UNREADABLE_CODE: &str = "ledger_unreadable";

impl CreditView {
    /// The credit as it is shown while its ledger can be read, or while it cannot.
    fn shown(credit: &Credit, is_readable: bool) -> Self {
        match credit.state {
            CreditState::Processing if !is_readable => {
                Self { status: "unknown", error: Some(UNREADABLE), error_code: Some(UNREADABLE_CODE), ..Self::from(credit) }
            }
            CreditState::Processing | CreditState::Succeeded { .. } | CreditState::Failed { .. } => Self::from(credit),
        }
    }
}

/// Whether the ledger of these credits can be read: asked only where one of them is processing. They are of one investment.
fn is_readable(archive: &Reader, credits: &[Credit]) -> Result<bool, StoreError> {
    let Some(processing) = credits.iter().find(|credit| credit.state == CreditState::Processing) else { return Ok(true) };
    let stored = archive.setting_of_network(UNREADABLE_SETTING, processing.product_id)?;
    Ok(Unreadable::of_stored(stored.as_deref()).since_micros.is_none())
}

impl From<&Credit> for CreditView {
    fn from(credit: &Credit) -> Self {
        let (failure, transaction, finished_at) = match credit.state {
            CreditState::Processing => (None, None, None),
            CreditState::Succeeded { transaction_hash, block_number, finished_at } => {
                (None, Some((transaction_hash, block_number)), Some(finished_at))
            }
            CreditState::Failed { failure, finished_at } => (Some(failure), None, Some(finished_at)),
        };
        Self {
            id: credit.id.uuid(),
            investment_id: credit.investment_id.uuid(),
            status: credit.state.code(),
            error: failure.map(domain::credit::CreditFailure::explanation),
            error_code: failure.map(domain::credit::CreditFailure::code),
            units: credit.units.get(),
            address: credit.address.to_string(),
            transaction_hash: transaction.map(|(hash, _)| format!("0x{}", hex::encode(hash))),
            block_number: transaction.map(|(_, number)| number),
            created_at: credit.created_at.to_string(),
            finished_at: finished_at.map(|at| at.to_string()),
        }
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_credits, order_credit)).routes(routes!(read_credit))
}

/// List the credits of an investment.
#[utoipa::path(get, path = "/api/distributor/v2/investments/{investment_id}/credits/", tag = "Distributor: credits",
    params(("investment_id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of credits.", body = Page<CreditView>), ReadErrors),
    security(("oauth2" = ["investments:read"])))]
async fn list_credits(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsRead>,
    Ids([investment_id]): Ids<1>,
    asked: ListAsked,
) -> Result<Json<Page<CreditView>>, Problem> {
    let list = format!("distributor/investments/{investment_id}/credits");
    let page = asked.page(&counter, caller.organisation_id, &list)?;
    let (platform_id, request) = (caller.organisation_id, page.0.rows());
    let found = counter.find(move |archive| {
        let Some(rows) = archive.credits(platform_id, InvestmentId::new(investment_id), request)? else { return Ok(None) };
        let is_readable = is_readable(archive, &rows.rows)?;
        Ok(Some((rows, is_readable)))
    });
    let (rows, is_readable) = found.await?;
    let position = |credit: &Credit| Position { created_at: credit.created_at, id: credit.id.uuid() };
    Ok(shown_page(&counter, &page, rows, position, |credit| CreditView::shown(credit, is_readable)))
}

/// Trigger the crediting of an investment's units to its wallet.
#[utoipa::path(post, path = "/api/distributor/v2/investments/{investment_id}/credits/", tag = "Distributor: credits",
    params(("investment_id" = Uuid, Path), KeyParams, DryRunParams),
    responses((status = 201, description = "The credit, `processing`.", body = CreditView),
        (status = 200, description = "A dry run: what would come of it.", body = CreditView), ActErrors),
    security(("oauth2" = ["investments:write"])))]
async fn order_credit(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsWrite>,
    Ids([investment_id]): Ids<1>,
    intake: Intake,
    _: NoBody,
) -> Result<Response, Problem> {
    let operation = OrderCredit { platform_id: caller.organisation_id, investment_id: InvestmentId::new(investment_id) };
    let show: fn(&Credit) -> CreditView = |credit| CreditView::from(credit);
    intake.act(&counter, &caller, operation, BodyIdentity::Empty, StatusCode::CREATED, show).await
}

/// Read a credit.
#[utoipa::path(get, path = "/api/distributor/v2/investments/{investment_id}/credits/{credit_id}/", tag = "Distributor: credits",
    params(("investment_id" = Uuid, Path), ("credit_id" = Uuid, Path)),
    responses((status = 200, description = "The credit.", body = CreditView), ReadErrors),
    security(("oauth2" = ["investments:read"])))]
async fn read_credit(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsRead>,
    Ids([investment_id, credit_id]): Ids<2>,
    _: NoQuery,
) -> Result<Json<CreditView>, Problem> {
    let (platform_id, investment_id) = (caller.organisation_id, InvestmentId::new(investment_id));
    let found = counter.find(move |archive| {
        let Some(credit) = archive.credit(platform_id, investment_id, CreditId::new(credit_id))? else { return Ok(None) };
        Ok(Some((credit, is_readable(archive, &[credit])?)))
    });
    let (credit, is_readable) = found.await?;
    Ok(Json(CreditView::shown(&credit, is_readable)))
}
