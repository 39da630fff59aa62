//! Products of the issuer's side.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ids::ProductId;
use domain::interest::Interest;
use domain::product::Product;
use store::queries::Viewer;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Counter;
use crate::http::act::{BodyIdentity, Intake};
use crate::http::body::{Fields, JsonBody};
use crate::http::caller::{Caller, IssuerProductsRead, IssuerProductsWrite};
use crate::http::errors::{ActErrors, DryRunParams, OptionalKeyParams, PageParams, ReadErrors};
use crate::http::interest_view::{InterestStatement, interest};
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::http::product_view::{ProductView, product_position};
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};
use crate::http::view::{MoneyView, positive_money};
use crate::operations::product::StateInterest;

/// What can be stated about a product until its first campaign.
#[derive(Debug, ToSchema)]
pub struct ProductChange {
    /// How it pays interest; null: it bears none.
    pub interest: Option<InterestStatement>,
    /// The nominal of one unit, on which interest runs; null: none is stated.
    pub nominal_value: Option<MoneyView>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_products)).routes(routes!(read_product, change_product))
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

/// State how a product pays interest, until its first campaign.
#[utoipa::path(patch, path = "/api/issuer/v2/products/{product_id}/", tag = "Issuer: products",
    params(("product_id" = Uuid, Path), OptionalKeyParams, DryRunParams), request_body = ProductChange,
    responses((status = 200, description = "The product.", body = ProductView), ActErrors),
    security(("oauth2" = ["products:write"])))]
async fn change_product(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsWrite>,
    Ids([product_id]): Ids<1>,
    intake: Intake,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(&body);
    let interest = fields.nullable("interest", interest).map(|stated| stated.unwrap_or(Interest::None));
    let nominal_value = fields.nullable("nominal_value", positive_money);
    fields.finish()?;
    let operation = StateInterest {
        organisation_id: caller.organisation_id,
        product_id: ProductId::new(product_id),
        interest,
        nominal_value,
    };
    let show: fn(&Product) -> ProductView = |product| ProductView::from(product);
    intake.act(&counter, &caller, operation, BodyIdentity::Json(&body), StatusCode::OK, show).await
}
