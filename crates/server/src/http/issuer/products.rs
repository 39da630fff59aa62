//! Products of the issuer's side.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::ProductId;
use store::queries::Viewer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Counter;
use crate::http::caller::{Caller, IssuerProductsRead};
use crate::http::errors::{PageParams, ReadErrors};
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::http::product_view::{ProductView, product_position};
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_products)).routes(routes!(read_product))
}

/// List one's products.
#[utoipa::path(get, path = "/api/issuer/v2/products/", tag = "Issuer: products", params(PageParams),
    responses((status = 200, description = "A page of products.", body = Page<ProductView>), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn list_products(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    asked: ListAsked,
) -> Result<Json<Page<ProductView>>, Problem> {
    let page = asked.page(&counter, caller.organisation_id, "issuer/products")?;
    let (viewer, request) = (Viewer::Issuer(caller.organisation_id), page.0.rows());
    let rows = counter.read(move |archive| archive.products(viewer, request)).await?;
    Ok(shown_page(&counter, &page, rows, product_position, |product| ProductView::from(product)))
}

/// Read one of one's products.
#[utoipa::path(get, path = "/api/issuer/v2/products/{product_id}/", tag = "Issuer: products",
    params(("product_id" = Uuid, Path)),
    responses((status = 200, description = "The product.", body = ProductView), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn read_product(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    Ids([product_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<ProductView>, Problem> {
    let viewer = Viewer::Issuer(caller.organisation_id);
    let product = counter.find(move |archive| archive.product(viewer, ProductId::new(product_id))).await?;
    Ok(Json(ProductView::from(&product)))
}
