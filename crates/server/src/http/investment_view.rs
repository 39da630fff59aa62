//! An investment as both APIs show it.

use domain::document::SignedDocument;
use domain::investment::{Investment, Party};
use domain::money::Money;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::Position;
use super::view::MoneyView;

/// An investment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Investment)]
pub struct InvestmentView {
    id: Uuid,
    product_id: Uuid,
    campaign_id: Uuid,
    investor_id: Uuid,
    /// The wallet it settles to.
    #[schema(required = true)]
    wallet: Option<Uuid>,
    #[schema(example = 10)]
    units: u64,
    /// Units still held, after transfers and redemptions.
    #[schema(example = 10)]
    remaining_amount: u64,
    #[schema(example = "WAITING_FOR_ACCEPTANCE")]
    status: &'static str,
    #[schema(example = "primary")]
    investment_type: &'static str,
    #[schema(format = DateTime)]
    signed_at: String,
    #[schema(required = true, format = DateTime)]
    accepted_at: Option<String>,
    #[schema(required = true, format = DateTime)]
    paid_at: Option<String>,
    #[schema(required = true, format = DateTime)]
    delivered_at: Option<String>,
    #[schema(required = true, format = DateTime)]
    cancellation_date: Option<String>,
    /// `aborted_by_investor`, `rejected_by_issuer`, `withdrawn_by_investor`, `payment_missing`, `kyc_insufficient`.
    #[schema(required = true)]
    cancellation_reason: Option<&'static str>,
    signed_documents: Vec<SignedDocumentView>,
    investment_amount: MoneyView,
    agio: MoneyView,
    disagio: MoneyView,
    accrued_interest: MoneyView,
    payment_total: MoneyView,
    /// Whether the amounts may still change: until the payment is stated.
    payment_provisional: bool,
    /// The version of the product's terms that the amounts follow from.
    #[schema(example = 1)]
    terms_version: u32,
    /// What this caller's side may do now.
    allowed_acts: Vec<&'static str>,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A signed document of an investment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SignedDocument)]
pub struct SignedDocumentView {
    id: Uuid,
    /// `effecta_cryptoregistry_tos` or `effecta_document`.
    #[schema(example = "effecta_document")]
    document_type: &'static str,
    document_id: Uuid,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

impl From<&SignedDocument> for SignedDocumentView {
    fn from(document: &SignedDocument) -> Self {
        Self {
            id: document.id.uuid(),
            document_type: document.document_type.code(),
            document_id: document.document_id.uuid(),
            created_at: document.created_at.to_string(),
        }
    }
}

impl InvestmentView {
    /// What a party sees.
    #[must_use]
    pub fn of(investment: &Investment, party: Party) -> Self {
        let facts = &investment.facts;
        let amounts = &investment.payable;
        let money = |money: Money| MoneyView::from(money);
        Self {
            id: investment.id.uuid(),
            product_id: investment.product_id.uuid(),
            campaign_id: investment.campaign_id.uuid(),
            investor_id: investment.investor_id.uuid(),
            wallet: investment.wallet.map(|wallet| wallet.id.uuid()),
            units: investment.units.get(),
            remaining_amount: investment.remaining.get(),
            status: investment.status().code(),
            investment_type: investment.investment_type.code(),
            signed_at: investment.signed.at.to_string(),
            accepted_at: facts.progress.accepted().map(|accepted| accepted.at.to_string()),
            paid_at: facts.progress.paid().map(|paid| paid.at.to_string()),
            delivered_at: facts.progress.delivered_at().map(|at| at.to_string()),
            cancellation_date: facts.ended.map(|ended| ended.cancellation.at.to_string()),
            cancellation_reason: facts.ended.map(|ended| ended.ending.code()),
            signed_documents: investment.signed_documents.iter().map(SignedDocumentView::from).collect(),
            investment_amount: money(amounts.investment_amount),
            agio: money(amounts.agio),
            disagio: money(amounts.disagio),
            accrued_interest: money(amounts.accrued_interest),
            payment_total: money(amounts.payment_total),
            payment_provisional: investment.payment_is_provisional(),
            terms_version: investment.basis.terms_version,
            allowed_acts: investment.allowed_acts(party).map(domain::investment::Act::code).collect(),
            created_at: investment.created_at.to_string(),
            updated_at: investment.updated_at.to_string(),
        }
    }

    /// What the distribution platform sees.
    #[must_use]
    pub fn of_distributor(investment: &Investment) -> Self {
        Self::of(investment, Party::Distributor)
    }

    /// What the issuer sees.
    #[must_use]
    pub fn of_issuer(investment: &Investment) -> Self {
        Self::of(investment, Party::Issuer)
    }
}

/// Where an investment stands in its list.
#[must_use]
pub fn investment_position(investment: &Investment) -> Position {
    Position { created_at: investment.created_at, id: investment.id.uuid() }
}
