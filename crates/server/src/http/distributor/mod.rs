//! The Distributor API: one file per resource.

pub mod catalogue;
pub mod credits;
pub mod investments;
pub mod investors;
pub mod signed_documents;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::{Counter, documents, interest_periods, payable};

/// Every route of the Distributor API.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new()
        .merge(documents::distributor_routes())
        .merge(catalogue::routes())
        .merge(interest_periods::distributor_routes())
        .merge(investors::routes())
        .merge(investments::routes())
        .merge(payable::distributor_routes())
        .merge(signed_documents::routes())
        .merge(credits::routes())
}
