//! The legal entities behind products.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::IssuerId;
use domain::product::Issuer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Counter;
use crate::http::caller::{Caller, IssuerIssuersRead};
use crate::http::errors::{PageParams, ReadErrors};
use crate::http::page::{Page, Position};
use crate::http::problem::Problem;
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};

/// An issuer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Issuer)]
pub struct IssuerView {
    id: Uuid,
    legal_person: LegalPersonView,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

/// A company as its commercial register knows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LegalPerson)]
pub struct LegalPersonView {
    #[schema(example = "Solar Nord GmbH")]
    company_name: String,
    #[schema(example = "Amtsgericht Frankfurt am Main")]
    commercial_register: String,
    #[schema(example = "HRB 12344")]
    commercial_register_number: String,
}

impl From<&Issuer> for IssuerView {
    fn from(issuer: &Issuer) -> Self {
        let legal_person = LegalPersonView {
            company_name: issuer.company_name.to_string(),
            commercial_register: issuer.commercial_register.to_string(),
            commercial_register_number: issuer.commercial_register_number.to_string(),
        };
        Self { id: issuer.id.uuid(), legal_person, created_at: issuer.created_at.to_string() }
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_issuers)).routes(routes!(read_issuer))
}

/// List one's issuers.
#[utoipa::path(get, path = "/api/issuer/v2/issuers/", tag = "Issuer: issuers", params(PageParams),
    responses((status = 200, description = "A page of issuers.", body = Page<IssuerView>), ReadErrors),
    security(("oauth2" = ["issuers:read"])))]
async fn list_issuers(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerIssuersRead>,
    asked: ListAsked,
) -> Result<Json<Page<IssuerView>>, Problem> {
    let page = asked.page(&counter, caller.organisation_id, "issuer/issuers")?;
    let (organisation_id, request) = (caller.organisation_id, page.0.rows());
    let rows = counter.read(move |archive| archive.issuers(organisation_id, request)).await?;
    let position = |issuer: &Issuer| Position { created_at: issuer.created_at, id: issuer.id.uuid() };
    Ok(shown_page(&counter, &page, rows, position, |issuer| IssuerView::from(issuer)))
}

/// Read one of one's issuers.
#[utoipa::path(get, path = "/api/issuer/v2/issuers/{issuer_id}/", tag = "Issuer: issuers",
    params(("issuer_id" = Uuid, Path)),
    responses((status = 200, description = "The issuer.", body = IssuerView), ReadErrors),
    security(("oauth2" = ["issuers:read"])))]
async fn read_issuer(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerIssuersRead>,
    Ids([issuer_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<IssuerView>, Problem> {
    let organisation_id = caller.organisation_id;
    let issuer = counter.find(move |archive| archive.issuer(organisation_id, IssuerId::new(issuer_id))).await?;
    Ok(Json(IssuerView::from(&issuer)))
}
