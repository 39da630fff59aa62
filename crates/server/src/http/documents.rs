//! Documents: uploading, and reading back what was sent. Both APIs have the same resource.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::document::{ContentCheck, Document};
use domain::ids::DocumentId;
use domain::instant::Instant;
use domain::organisation::OrganisationKind;
use serde::Serialize;
use store::Reader;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Counter;
use super::act::{BodyIdentity, Intake};
use super::caller::{
    Caller, DistributorDocumentsRead, DistributorDocumentsWrite, IssuerDocumentsRead, IssuerDocumentsWrite, Permission,
};
use super::errors::{ActErrors, DryRunParams, KeyParams, ReadErrors};
use super::multipart::{Upload, UploadLimits, download_headers, receive};
use super::problem::Problem;
use super::reading::{Ids, NoQuery};
use crate::operations::document::{FindDocuments, StoreDocument};
use crate::planted::Bug;

/// A document's metadata.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Document)]
pub struct DocumentView {
    id: Uuid,
    /// The name it was sent with: metadata only.
    #[schema(example = "bond-conditions.pdf")]
    file_name: String,
    #[schema(example = "application/pdf")]
    content_type: String,
    size_bytes: u64,
    /// SHA-256 of the bytes, in hexadecimal.
    sha256: String,
    /// What the bytes are, whatever the sender said: `pdf` or `not_pdf`.
    #[schema(example = "pdf")]
    content_check: &'static str,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

impl From<&Document> for DocumentView {
    fn from(document: &Document) -> Self {
        Self {
            id: document.id.uuid(),
            file_name: document.file_name.clone(),
            content_type: document.content_type.clone(),
            size_bytes: document.size_bytes,
            sha256: hex::encode(document.sha256),
            content_check: document.content_check.code(),
            created_at: document.created_at.to_string(),
        }
    }
}

/// A multipart form with one file.
#[derive(Debug, ToSchema)]
pub struct DocumentForm {
    /// The document, at most 25 MiB.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
}

/// The routes of the Distributor API.
pub fn distributor_routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new()
        .routes(routes!(distributor_upload_document))
        .routes(routes!(distributor_read_document))
        .routes(routes!(distributor_read_document_content))
}

/// The routes of the Issuer API.
pub fn issuer_routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new()
        .routes(routes!(issuer_upload_document))
        .routes(routes!(issuer_read_document))
        .routes(routes!(issuer_read_document_content))
}

/// Upload a document.
#[utoipa::path(post, path = "/api/distributor/v2/documents/", tag = "Distributor: documents",
    params(KeyParams, DryRunParams), request_body(content = inline(DocumentForm), content_type = "multipart/form-data"),
    responses((status = 201, description = "The document's metadata.", body = DocumentView),
        (status = 200, description = "A dry run: what would come of it.", body = DocumentView), ActErrors),
    security(("oauth2" = ["documents:write"])))]
async fn distributor_upload_document(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorDocumentsWrite>,
    intake: Intake,
    request: Request,
) -> Result<Response, Problem> {
    upload(counter, caller, intake, request).await
}

/// Upload a document.
#[utoipa::path(post, path = "/api/issuer/v2/documents/", tag = "Issuer: documents",
    params(KeyParams, DryRunParams), request_body(content = inline(DocumentForm), content_type = "multipart/form-data"),
    responses((status = 201, description = "The document's metadata.", body = DocumentView),
        (status = 200, description = "A dry run: what would come of it.", body = DocumentView), ActErrors),
    security(("oauth2" = ["documents:write"])))]
async fn issuer_upload_document(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerDocumentsWrite>,
    intake: Intake,
    request: Request,
) -> Result<Response, Problem> {
    upload(counter, caller, intake, request).await
}

/// Read a document's metadata.
#[utoipa::path(get, path = "/api/distributor/v2/documents/{document_id}/", tag = "Distributor: documents",
    params(("document_id" = Uuid, Path)),
    responses((status = 200, description = "The document's metadata.", body = DocumentView), ReadErrors),
    security(("oauth2" = ["documents:write"]), ("oauth2" = ["investments:read"])))]
async fn distributor_read_document(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorDocumentsRead>,
    Ids([id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<DocumentView>, Problem> {
    Ok(Json(DocumentView::from(&find(&counter, &caller, id).await?)))
}

/// Read a document's metadata.
#[utoipa::path(get, path = "/api/issuer/v2/documents/{document_id}/", tag = "Issuer: documents",
    params(("document_id" = Uuid, Path)),
    responses((status = 200, description = "The document's metadata.", body = DocumentView), ReadErrors),
    security(("oauth2" = ["documents:write"]), ("oauth2" = ["investments:read"])))]
async fn issuer_read_document(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerDocumentsRead>,
    Ids([id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<DocumentView>, Problem> {
    Ok(Json(DocumentView::from(&find(&counter, &caller, id).await?)))
}

/// Download a document as it was sent.
#[utoipa::path(get, path = "/api/distributor/v2/documents/{document_id}/content/", tag = "Distributor: documents",
    params(("document_id" = Uuid, Path)),
    responses((status = 200, description = "The bytes, in the media type they were sent with.", content_type = "*/*"), ReadErrors),
    security(("oauth2" = ["documents:write"]), ("oauth2" = ["investments:read"])))]
async fn distributor_read_document_content(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorDocumentsRead>,
    Ids([id]): Ids<1>,
    _: NoQuery,
) -> Result<Response, Problem> {
    content(&counter, find(&counter, &caller, id).await?).await
}

/// Download a document as it was sent.
#[utoipa::path(get, path = "/api/issuer/v2/documents/{document_id}/content/", tag = "Issuer: documents",
    params(("document_id" = Uuid, Path)),
    responses((status = 200, description = "The bytes, in the media type they were sent with.", content_type = "*/*"), ReadErrors),
    security(("oauth2" = ["documents:write"]), ("oauth2" = ["investments:read"])))]
async fn issuer_read_document_content(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerDocumentsRead>,
    Ids([id]): Ids<1>,
    _: NoQuery,
) -> Result<Response, Problem> {
    content(&counter, find(&counter, &caller, id).await?).await
}

/// The bytes are synced under a temporary name first, then the desk makes the row, and the name becomes final last: a
/// row always has its bytes, and what a crash leaves behind is collected at the next start.
async fn upload<P: Permission>(
    counter: Arc<Counter>,
    caller: Caller<P>,
    intake: Intake,
    request: Request,
) -> Result<Response, Problem> {
    let id: DocumentId = counter.fresh_id();
    let upload = receive(request, counter.documents.incoming(), id.uuid(), UploadLimits::DOCUMENT).await?;
    // A task of its own: where the client hangs up now, bytes without a row are still taken away.
    let kept = tokio::spawn(async move { keep(&counter, &caller, intake, id, upload).await });
    kept.await.unwrap_or_else(|_| Err(Problem::internal()))
}

async fn keep<P: Permission>(
    counter: &Counter,
    caller: &Caller<P>,
    intake: Intake,
    id: DocumentId,
    upload: Upload,
) -> Result<Response, Problem> {
    let content_check = counter.documents.check(upload.file.path()).await.map_err(|_| Problem::internal())?;
    let identity = identity(&upload);
    let operation = store_document(id, caller, &upload, content_check);
    counter.documents.place(id, upload.file.path()).await.map_err(|error| {
        tracing::error!(%error, "a document could not be placed");
        Problem::overloaded(5)
    })?;
    let show: fn(&Document) -> DocumentView = |document| DocumentView::from(document);
    let answer = intake.act(counter, caller, operation, BodyIdentity::Bytes(&identity), StatusCode::CREATED, show).await;
    let is_decided = answer.as_ref().err().is_none_or(|problem| !problem.status().is_server_error());
    match has_row(counter, caller.now, id, is_decided).await {
        Some(true) => {}
        Some(false) => counter.documents.discard(id).await,
        // What keeps its temporary name is looked at when another program starts.
        None => {
            tracing::warn!(document_id = %id, "whether an upload has a row is not known: it is left to the next start");
            let _left = upload.file.keep();
        }
    }
    answer
}

/// Whether an upload has its row; `None` where that is not known.
async fn has_row(counter: &Counter, now: Instant, id: DocumentId, is_decided: bool) -> Option<bool> {
    if is_decided {
        return counter.read(move |archive| archive.document_exists(id)).await.ok();
    }
    // A commit may be under way whose answer was lost; a command waits for its end.
    let found = counter.desk.run(FindDocuments { ids: [id].into() }, now).await.ok()?;
    Some(!found.is_empty())
}

fn store_document<P>(id: DocumentId, caller: &Caller<P>, upload: &Upload, content_check: ContentCheck) -> StoreDocument {
    StoreDocument {
        id,
        organisation_id: caller.organisation_id,
        file_name: upload.file_name.clone(),
        content_type: upload.content_type.clone(),
        size_bytes: upload.size_bytes,
        sha256: upload.sha256,
        content_check,
    }
}

/// What makes two uploads the same request: field, file name, type and digest of the bytes.
fn identity(upload: &Upload) -> Vec<u8> {
    let mut identity = Vec::new();
    for part in [b"file".as_slice(), upload.file_name.as_bytes(), upload.content_type.as_bytes(), &upload.sha256] {
        identity.extend((part.len() as u64).to_be_bytes());
        identity.extend(part);
    }
    identity
}

async fn find<P: Permission>(counter: &Counter, caller: &Caller<P>, id: Uuid) -> Result<Document, Problem> {
    let (organisation_id, kind): (_, OrganisationKind) = (caller.organisation_id, P::KIND);
    let id = DocumentId::new(id);
    let query = move |archive: &Reader| match archive.document(organisation_id, kind, id)? {
        None if Bug::ForeignDocumentSoughtTwice.is_planted() && archive.document_exists(id)? => {
            archive.document(organisation_id, kind, id)
        }
        found => Ok(found),
    };
    counter.find(query).await
}

/// Changed bytes are never served: the digest is compared before the first one is sent.
async fn content(counter: &Counter, document: Document) -> Result<Response, Problem> {
    let bytes = counter.documents.read(&document).await.map_err(|error| {
        tracing::error!(%error, document_id = %document.id, "a document is not what was stored");
        Problem::internal()
    })?;
    Ok((download_headers(&document.file_name, &document.content_type), Body::from(bytes)).into_response())
}
