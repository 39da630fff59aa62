//! The Issuer API: one file per resource.

pub mod campaigns;
pub mod investments;
pub mod issuers;
pub mod listings;
pub mod platforms;
pub mod products;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::{Counter, documents, interest_periods, payable};

/// Every route of the Issuer API.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new()
        .merge(documents::issuer_routes())
        .merge(issuers::routes())
        .merge(products::routes())
        .merge(interest_periods::issuer_routes())
        .merge(platforms::routes())
        .merge(listings::routes())
        .merge(campaigns::routes())
        .merge(investments::routes())
        .merge(payable::issuer_routes())
}
