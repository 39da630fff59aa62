//! What a platform can sell: products listed on it, and the campaigns made for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::{CampaignId, ProductId};
use store::queries::Viewer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Counter;
use crate::http::caller::{Caller, DistributorProductsRead};
use crate::http::campaign_view::{CampaignView, campaign_position};
use crate::http::errors::{PageParams, ReadErrors};
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::http::product_view::{ProductView, product_position};
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new()
        .routes(routes!(list_listed_products))
        .routes(routes!(read_listed_product))
        .routes(routes!(list_own_campaigns))
        .routes(routes!(read_own_campaign))
}

/// List the products listed on the platform.
#[utoipa::path(get, path = "/api/distributor/v2/products/", tag = "Distributor: products", params(PageParams),
    responses((status = 200, description = "A page of products.", body = Page<ProductView>), ReadErrors),
    security(("oauth2" = ["products:read"]), ("oauth2" = ["investments:read"]), ("oauth2" = ["investments:write"])))]
async fn list_listed_products(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorProductsRead>,
    asked: ListAsked,
) -> Result<Json<Page<ProductView>>, Problem> {
    let page = asked.page(&counter, caller.organisation_id, "distributor/products")?;
    let (viewer, request) = (Viewer::Platform(caller.organisation_id), page.0.rows());
    let rows = counter.read(move |archive| archive.products(viewer, request)).await?;
    Ok(shown_page(&counter, &page, rows, product_position, |product| ProductView::from(product)))
}

/// Read a product listed on the platform.
#[utoipa::path(get, path = "/api/distributor/v2/products/{product_id}/", tag = "Distributor: products",
    params(("product_id" = Uuid, Path)),
    responses((status = 200, description = "The product.", body = ProductView), ReadErrors),
    security(("oauth2" = ["products:read"]), ("oauth2" = ["investments:read"]), ("oauth2" = ["investments:write"])))]
async fn read_listed_product(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorProductsRead>,
    Ids([product_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<ProductView>, Problem> {
    let viewer = Viewer::Platform(caller.organisation_id);
    let product = counter.find(move |archive| archive.product(viewer, ProductId::new(product_id))).await?;
    Ok(Json(ProductView::from(&product)))
}

/// List the campaigns of a product that were made for the platform.
#[utoipa::path(get, path = "/api/distributor/v2/products/{product_id}/campaigns/", tag = "Distributor: products",
    params(("product_id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of campaigns.", body = Page<CampaignView>), ReadErrors),
    security(("oauth2" = ["products:read"]), ("oauth2" = ["investments:read"]), ("oauth2" = ["investments:write"])))]
async fn list_own_campaigns(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorProductsRead>,
    Ids([product_id]): Ids<1>,
    asked: ListAsked,
) -> Result<Json<Page<CampaignView>>, Problem> {
    let list = format!("distributor/products/{product_id}/campaigns");
    let page = asked.page(&counter, caller.organisation_id, &list)?;
    let (viewer, request) = (Viewer::Platform(caller.organisation_id), page.0.rows());
    let rows = counter.find(move |archive| archive.campaigns(viewer, ProductId::new(product_id), request)).await?;
    Ok(shown_page(&counter, &page, rows, campaign_position, |campaign| CampaignView::from(campaign)))
}

/// Read a campaign that was made for the platform.
#[utoipa::path(get, path = "/api/distributor/v2/products/{product_id}/campaigns/{campaign_id}/", tag = "Distributor: products",
    params(("product_id" = Uuid, Path), ("campaign_id" = Uuid, Path)),
    responses((status = 200, description = "The campaign.", body = CampaignView), ReadErrors),
    security(("oauth2" = ["products:read"]), ("oauth2" = ["investments:read"]), ("oauth2" = ["investments:write"])))]
async fn read_own_campaign(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorProductsRead>,
    Ids([product_id, campaign_id]): Ids<2>,
    _: NoQuery,
) -> Result<Json<CampaignView>, Problem> {
    let viewer = Viewer::Platform(caller.organisation_id);
    let (product_id, campaign_id) = (ProductId::new(product_id), CampaignId::new(campaign_id));
    let campaign = counter.find(move |archive| archive.campaign(viewer, product_id, campaign_id)).await?;
    Ok(Json(CampaignView::from(&campaign)))
}
