//! The interest periods of a product with the dates on which they are paid, as they follow from what the issuer stated.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::{OrganisationId, ProductId};
use domain::instant::Instant;
use domain::interest::CouponPeriod;
use store::queries::Viewer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Counter;
use super::caller::{Caller, DistributorProductsRead, IssuerProductsRead};
use super::errors::{PageParams, ReadErrors};
use super::page::{Page, Position};
use super::payable_view::PeriodView;
use super::problem::Problem;
use super::reading::{Ids, ListAsked, shown_page};

/// The routes of the Issuer API.
pub fn issuer_routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_interest_periods))
}

/// The routes of the Distributor API.
pub fn distributor_routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_interest_periods_of_listed_product))
}

/// List the interest periods of one of one's products, with the dates on which they are paid.
#[utoipa::path(get, path = "/api/issuer/v2/products/{product_id}/interest-periods/", tag = "Issuer: products",
    params(("product_id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of interest periods.", body = Page<PeriodView>), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn list_interest_periods(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    Ids([product_id]): Ids<1>,
    asked: ListAsked,
) -> Result<Json<Page<PeriodView>>, Problem> {
    let list = format!("issuer/products/{product_id}/interest-periods");
    let tenant = caller.organisation_id;
    periods_of(&counter, tenant, Viewer::Issuer(tenant), product_id, asked, &list).await
}

/// List the interest periods of a product listed on the platform, with the dates on which they are paid.
#[utoipa::path(get, path = "/api/distributor/v2/products/{product_id}/interest-periods/", tag = "Distributor: products",
    params(("product_id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of interest periods.", body = Page<PeriodView>), ReadErrors),
    security(("oauth2" = ["products:read"]), ("oauth2" = ["investments:read"]), ("oauth2" = ["investments:write"])))]
async fn list_interest_periods_of_listed_product(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorProductsRead>,
    Ids([product_id]): Ids<1>,
    asked: ListAsked,
) -> Result<Json<Page<PeriodView>>, Problem> {
    let list = format!("distributor/products/{product_id}/interest-periods");
    let tenant = caller.organisation_id;
    periods_of(&counter, tenant, Viewer::Platform(tenant), product_id, asked, &list).await
}

async fn periods_of(
    counter: &Counter,
    tenant: OrganisationId,
    viewer: Viewer,
    product_id: Uuid,
    asked: ListAsked,
    list: &str,
) -> Result<Json<Page<PeriodView>>, Problem> {
    let page = asked.page(counter, tenant, list)?;
    let product = counter.find(move |archive| archive.product(viewer, ProductId::new(product_id))).await?;
    let numbered = (0_i64..).zip(product.terms.interest.coupon_periods().iter().cloned()).collect();
    let rows = page.0.rows_of(numbered, period_position);
    Ok(shown_page(counter, &page, rows, period_position, |(_, period)| PeriodView::from(period)))
}

/// Periods have no ids: their place in the product's list stands for them.
fn period_position((index, _): &(i64, CouponPeriod)) -> Position {
    Position { created_at: Instant::from_micros(*index), id: Uuid::nil() }
}
