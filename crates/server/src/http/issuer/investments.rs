//! Investments in the issuer's products, of every platform.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::InvestmentId;
use store::queries::Viewer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Counter;
use crate::http::caller::{Caller, IssuerInvestmentsRead};
use crate::http::errors::{PageParams, ReadErrors};
use crate::http::investment_filter::{FilterParams, read_filter};
use crate::http::investment_view::{InvestmentView, investment_position};
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_investments_in_products)).routes(routes!(read_investment_in_product))
}

/// List the investments in one's products.
#[utoipa::path(get, path = "/api/issuer/v2/investments/", tag = "Issuer: investments", params(FilterParams, PageParams),
    responses((status = 200, description = "A page of investments.", body = Page<InvestmentView>), ReadErrors),
    security(("oauth2" = ["investments:read"])))]
async fn list_investments_in_products(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerInvestmentsRead>,
    mut asked: ListAsked,
) -> Result<Json<Page<InvestmentView>>, Problem> {
    let filter = read_filter(&mut asked.query);
    let page = asked.page(&counter, caller.organisation_id, "issuer/investments")?;
    let (viewer, request) = (Viewer::Issuer(caller.organisation_id), page.0.rows());
    let rows = counter.read(move |archive| archive.investments(viewer, &filter, request)).await?;
    let rows = counter.of_today(rows, caller.now).await?;
    Ok(shown_page(&counter, &page, rows, investment_position, InvestmentView::of_issuer))
}

/// Read an investment in one of one's products.
#[utoipa::path(get, path = "/api/issuer/v2/investments/{investment_id}/", tag = "Issuer: investments",
    params(("investment_id" = Uuid, Path)),
    responses((status = 200, description = "The investment.", body = InvestmentView), ReadErrors),
    security(("oauth2" = ["investments:read"])))]
async fn read_investment_in_product(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerInvestmentsRead>,
    Ids([investment_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<InvestmentView>, Problem> {
    let viewer = Viewer::Issuer(caller.organisation_id);
    let investment = counter.find(move |archive| archive.investment(viewer, InvestmentId::new(investment_id))).await?;
    Ok(Json(InvestmentView::of_issuer(&counter.one_of_today(investment, caller.now).await?)))
}
