//! A product as both APIs show it.

use domain::product::{Product, Token};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::interest_view::InterestView;
use super::page::Position;
use super::view::MoneyView;

/// A product.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductView {
    id: Uuid,
    issuer_id: Uuid,
    #[schema(example = "Solar Bond 2031")]
    name: String,
    /// The token's symbol.
    #[schema(example = "SOLAR31")]
    asset_code: String,
    /// `BOND`, `DEBT_SECURITY`, …
    #[schema(example = "BOND")]
    product_type: &'static str,
    /// Whether it is a crypto security under eWpG.
    ewpg: bool,
    #[schema(required = true)]
    isin: Option<String>,
    /// The most units that may ever be issued.
    #[schema(example = 1_000_000)]
    max_issuable_amount: u64,
    /// Investments must be a multiple of it.
    #[schema(example = 1)]
    step_size: u64,
    #[schema(example = "0")]
    agio_percent: String,
    #[schema(required = true)]
    nominal_value: Option<MoneyView>,
    /// How it pays interest; null where it bears none.
    #[schema(required = true)]
    interest: Option<InterestView>,
    /// Which statement of interest and nominal value holds. Investments remember theirs.
    #[schema(example = 1)]
    terms_version: u32,
    /// `DEPLOYING` until the token contract stands on the ledger, then `ACTIVE`.
    #[schema(example = "ACTIVE")]
    status: &'static str,
    /// The token contract, once it stands on the ledger.
    #[schema(required = true)]
    contract_address: Option<String>,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

impl From<&Product> for ProductView {
    fn from(product: &Product) -> Self {
        let terms = &product.terms;
        let (status, contract_address) = match product.token {
            Token::Deploying => ("DEPLOYING", None),
            Token::Deployed(address) => ("ACTIVE", Some(address.to_string())),
        };
        Self {
            id: product.id.uuid(),
            issuer_id: product.issuer_id.uuid(),
            name: terms.name.to_string(),
            asset_code: terms.asset_code.as_str().to_owned(),
            product_type: terms.product_type.code(),
            ewpg: terms.ewpg,
            isin: terms.isin.clone(),
            max_issuable_amount: terms.issuable_units_max.get(),
            step_size: terms.step_size.get(),
            agio_percent: terms.agio_percent.to_string(),
            nominal_value: terms.nominal_value.map(MoneyView::from),
            interest: InterestView::of(&terms.interest),
            terms_version: product.terms_version,
            status,
            contract_address,
            created_at: product.created_at.to_string(),
        }
    }
}

/// Where a product stands in its list.
#[must_use]
pub fn product_position(product: &Product) -> Position {
    Position { created_at: product.created_at, id: product.id.uuid() }
}
