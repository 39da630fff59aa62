//! Signed documents of an investment.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::document::{SignedDocument, SignedDocumentType};
use domain::ids::InvestmentId;
use store::queries::Viewer;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::investments::read_reference;
use crate::http::Counter;
use crate::http::act::{BodyIdentity, Intake};
use crate::http::body::{FieldFault, Json as Body, JsonBody, one_of};
use crate::http::caller::{Caller, DistributorInvestmentsRead, DistributorInvestmentsWrite};
use crate::http::errors::{ActErrors, DryRunParams, KeyParams, PageParams, ReadErrors};
use crate::http::investment_view::SignedDocumentView;
use crate::http::page::{Page, Position};
use crate::http::problem::Problem;
use crate::http::reading::{Ids, ListAsked, shown_page};
use crate::operations::investment::AttachDocument;

/// A document that the investor signed.
#[derive(Debug, ToSchema)]
pub struct NewSignedDocument {
    /// `effecta_cryptoregistry_tos`: the signed terms of service and data protection terms. `effecta_document`: the
    /// signed issuance document.
    #[schema(example = "effecta_document", pattern = "^(effecta_cryptoregistry_tos|effecta_document)$")]
    pub document_type: String,
    /// A document that the platform uploaded.
    pub document_id: Uuid,
}

/// A reader of document types.
pub fn document_type() -> impl Fn(&Body) -> Result<SignedDocumentType, FieldFault> {
    one_of(&[
        (SignedDocumentType::EffectaCryptoregistryTos.code(), SignedDocumentType::EffectaCryptoregistryTos),
        (SignedDocumentType::EffectaDocument.code(), SignedDocumentType::EffectaDocument),
    ])
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_signed_documents, attach_signed_document))
}

/// List what was signed for an investment.
#[utoipa::path(get, path = "/api/distributor/v2/investments/{investment_id}/signed-documents/", tag = "Distributor: investments",
    params(("investment_id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of signed documents.", body = Page<SignedDocumentView>), ReadErrors),
    security(("oauth2" = ["investments:read"])))]
async fn list_signed_documents(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsRead>,
    Ids([investment_id]): Ids<1>,
    asked: ListAsked,
) -> Result<Json<Page<SignedDocumentView>>, Problem> {
    let list = format!("distributor/investments/{investment_id}/signed-documents");
    let page = asked.page(&counter, caller.organisation_id, &list)?;
    let (viewer, request) = (Viewer::Platform(caller.organisation_id), page.0.rows());
    let id = InvestmentId::new(investment_id);
    let rows = counter.find(move |archive| archive.signed_documents(viewer, id, request)).await?;
    let position = |document: &SignedDocument| Position { created_at: document.created_at, id: document.id.uuid() };
    Ok(shown_page(&counter, &page, rows, position, |document| SignedDocumentView::from(document)))
}

/// Attach a signed document to an investment.
#[utoipa::path(post, path = "/api/distributor/v2/investments/{investment_id}/signed-documents/", tag = "Distributor: investments",
    params(("investment_id" = Uuid, Path), KeyParams, DryRunParams), request_body = NewSignedDocument,
    responses((status = 201, description = "The signed document.", body = SignedDocumentView),
        (status = 200, description = "A dry run: what would come of it.", body = SignedDocumentView), ActErrors),
    security(("oauth2" = ["investments:write"])))]
async fn attach_signed_document(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsWrite>,
    Ids([investment_id]): Ids<1>,
    intake: Intake,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let operation = AttachDocument {
        platform_id: caller.organisation_id,
        investment_id: InvestmentId::new(investment_id),
        reference: read_reference(&body)?,
    };
    let show: fn(&SignedDocument) -> SignedDocumentView = |document| SignedDocumentView::from(document);
    intake.act(&counter, &caller, operation, BodyIdentity::Json(&body), StatusCode::CREATED, show).await
}
