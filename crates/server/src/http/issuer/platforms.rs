//! Distribution platforms. Every issuer sees all of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::OrganisationId;
use domain::organisation::Organisation;
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

/// A distribution platform.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DistributionPlatform)]
pub struct PlatformView {
    id: Uuid,
    #[schema(example = "Marktplatz AG")]
    platform_company_name: String,
}

impl From<&Organisation> for PlatformView {
    fn from(platform: &Organisation) -> Self {
        Self { id: platform.id.uuid(), platform_company_name: platform.name.to_string() }
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_platforms)).routes(routes!(read_platform))
}

/// List the distribution platforms of the system.
#[utoipa::path(get, path = "/api/issuer/v2/distribution-platforms/", tag = "Issuer: platforms", params(PageParams),
    responses((status = 200, description = "A page of platforms.", body = Page<PlatformView>), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn list_platforms(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    asked: ListAsked,
) -> Result<Json<Page<PlatformView>>, Problem> {
    let page = asked.page(&counter, caller.organisation_id, "issuer/distribution-platforms")?;
    let request = page.0.rows();
    let rows = counter.read(move |archive| archive.platforms(request)).await?;
    let position = |platform: &Organisation| Position { created_at: platform.created_at, id: platform.id.uuid() };
    Ok(shown_page(&counter, &page, rows, position, |platform| PlatformView::from(platform)))
}

/// Read a distribution platform.
#[utoipa::path(get, path = "/api/issuer/v2/distribution-platforms/{distribution_platform_id}/", tag = "Issuer: platforms",
    params(("distribution_platform_id" = Uuid, Path)),
    responses((status = 200, description = "The platform.", body = PlatformView), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn read_platform(
    State(counter): State<Arc<Counter>>,
    _caller: Caller<IssuerProductsRead>,
    Ids([platform_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<PlatformView>, Problem> {
    let platform = counter.find(move |archive| archive.platform(OrganisationId::new(platform_id))).await?;
    Ok(Json(PlatformView::from(&platform)))
}
