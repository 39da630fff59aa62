//! Who asks, and with which permission. A handler's signature is its authorisation.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::ids::{ClientId, OrganisationId};
use domain::instant::Instant;
use domain::organisation::{OrganisationKind, Scope};

use super::Counter;
use super::negotiation::note_client;
use super::problem::Problem;
use super::token::bearer_token;

/// What an operation demands of its caller.
pub trait Permission: Send + Sync + 'static {
    /// The API the operation belongs to.
    const KIND: OrganisationKind;
    /// Any one of these scopes opens it.
    const SCOPES: &'static [Scope];
}

/// A caller whose token holds and carries the permission, and the one instant of its request.
#[derive(Debug)]
pub struct Caller<P> {
    /// The tenant. Every query names it.
    pub organisation_id: OrganisationId,
    /// The client.
    pub client_id: ClientId,
    /// When the request was received, in business time.
    pub now: Instant,
    permission: PhantomData<P>,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $kind:ident, $($scope:ident)|+;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Permission for $name {
            const KIND: OrganisationKind = OrganisationKind::$kind;
            const SCOPES: &'static [Scope] = &[$(Scope::$scope),+];
        }
    )+};
}

permissions! {
    /// Distributor API: upload documents.
    DistributorDocumentsWrite = Distributor, DocumentsWrite;
    /// Distributor API: read documents one uploaded, or that belong to one's investments.
    DistributorDocumentsRead = Distributor, DocumentsWrite | InvestmentsRead;
    /// Distributor API: read products and campaigns. A platform's examples ask for investment scopes only, so those open it too.
    DistributorProductsRead = Distributor, ProductsRead | InvestmentsRead | InvestmentsWrite;
    /// Distributor API: read investors and wallets.
    DistributorInvestorsRead = Distributor, InvestorsRead;
    /// Distributor API: read investments, signed documents and credits.
    DistributorInvestmentsRead = Distributor, InvestmentsRead;
    /// Distributor API: create, change, cancel and credit investments.
    DistributorInvestmentsWrite = Distributor, InvestmentsWrite;
    /// Issuer API: upload documents.
    IssuerDocumentsWrite = Issuer, DocumentsWrite;
    /// Issuer API: read documents one uploaded, or that belong to investments in one's products.
    IssuerDocumentsRead = Issuer, DocumentsWrite | InvestmentsRead;
    /// Issuer API: read issuers.
    IssuerIssuersRead = Issuer, IssuersRead;
    /// Issuer API: read products, listings, platforms and campaigns.
    IssuerProductsRead = Issuer, ProductsRead;
    /// Issuer API: create campaigns and switch them.
    IssuerProductsWrite = Issuer, ProductsWrite;
    /// Issuer API: read investments in one's products.
    IssuerInvestmentsRead = Issuer, InvestmentsRead;
}

impl<P: Permission> FromRequestParts<Arc<Counter>> for Caller<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, counter: &Arc<Counter>) -> Result<Self, Problem> {
        let verified = counter
            .verified
            .verify(&counter.tokens, bearer_token(&parts.headers)?, counter.clock.machine_now())
            .map_err(|_| Problem::unauthenticated())?;
        let grant = &verified.grant;
        if !counter.directory.accepts(grant.client_id, grant.epoch, verified.token_id) {
            return Err(Problem::unauthenticated());
        }
        let client_id = grant.client_id;
        note_client(parts, client_id);
        counter.throttle.calls.check(client_id)?;
        let is_open = grant.kind == P::KIND && P::SCOPES.iter().any(|scope| grant.scopes.has(scope.code()));
        if !is_open {
            return Err(Problem::insufficient_scope(P::SCOPES[0].code()));
        }
        Ok(Self { organisation_id: grant.organisation_id, client_id, now: counter.clock.now(), permission: PhantomData })
    }
}
