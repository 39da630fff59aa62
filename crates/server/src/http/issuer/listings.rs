//! Listings of the issuer's products on distribution platforms.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::ListingId;
use domain::product::Listing;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Counter;
use crate::http::caller::{Caller, IssuerProductsRead};
use crate::http::errors::{PageParams, ReadErrors};
use crate::http::page::{Page, Position};
use crate::http::problem::Problem;
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};

/// A listing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Listing)]
pub struct ListingView {
    id: Uuid,
    product_id: Uuid,
    distribution_platform_id: Uuid,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

impl From<&Listing> for ListingView {
    fn from(listing: &Listing) -> Self {
        Self {
            id: listing.id.uuid(),
            product_id: listing.product_id.uuid(),
            distribution_platform_id: listing.platform_id.uuid(),
            created_at: listing.created_at.to_string(),
        }
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_listings)).routes(routes!(read_listing))
}

/// List the listings of one's products.
#[utoipa::path(get, path = "/api/issuer/v2/listings/", tag = "Issuer: listings", params(PageParams),
    responses((status = 200, description = "A page of listings.", body = Page<ListingView>), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn list_listings(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    asked: ListAsked,
) -> Result<Json<Page<ListingView>>, Problem> {
    let page = asked.page(&counter, caller.organisation_id, "issuer/listings")?;
    let (organisation_id, request) = (caller.organisation_id, page.0.rows());
    let rows = counter.read(move |archive| archive.listings(organisation_id, request)).await?;
    let position = |listing: &Listing| Position { created_at: listing.created_at, id: listing.id.uuid() };
    Ok(shown_page(&counter, &page, rows, position, |listing| ListingView::from(listing)))
}

/// Read a listing of one of one's products.
#[utoipa::path(get, path = "/api/issuer/v2/listings/{listing_id}/", tag = "Issuer: listings",
    params(("listing_id" = Uuid, Path)),
    responses((status = 200, description = "The listing.", body = ListingView), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn read_listing(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    Ids([listing_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<ListingView>, Problem> {
    let organisation_id = caller.organisation_id;
    let listing = counter.find(move |archive| archive.listing(organisation_id, ListingId::new(listing_id))).await?;
    Ok(Json(ListingView::from(&listing)))
}
