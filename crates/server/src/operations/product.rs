//! Creating products, and stating how they pay interest. Their token contract is deployed by the ledger's background work.

use domain::ids::{IssuerId, OrganisationId, ProductId};
use domain::interest::Interest;
use domain::money::Money;
use domain::product::{Product, ProductTerms, Token};
use domain::refusal::Refusal;
use domain::units::Units;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Creates a product of an issuer and orders its token contract.
#[derive(Clone, Debug)]
pub struct CreateProduct {
    /// The issuer-side organisation that acts.
    pub organisation_id: OrganisationId,
    /// One of its issuers.
    pub issuer_id: IssuerId,
    /// What is stated.
    pub terms: ProductTerms,
}

impl Operation for CreateProduct {
    type Output = Product;

    fn want(&self, wanted: &mut Wanted) {
        wanted.issuers.insert(self.issuer_id);
        wanted.asset_codes.insert(self.terms.asset_code.as_str().to_owned());
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Product, Refused> {
        let issuer = book.issuers.get(&self.issuer_id).filter(|issuer| issuer.organisation_id == self.organisation_id);
        issuer.ok_or_else(|| Refused::BodyIdsNotFound(vec!["/issuer_id".into()]))?;
        let asset_code = self.terms.asset_code.as_str().to_owned();
        if book.asset_codes_taken.contains(&asset_code) {
            return Err(Refusal::AssetCodeTaken.into());
        }
        let product = Product {
            id: cx.entropy.id(cx.now),
            organisation_id: self.organisation_id,
            issuer_id: self.issuer_id,
            terms: self.terms.clone(),
            reserved: Units::ZERO,
            campaigns_created: 0,
            campaign_indexes_skipped: 0,
            token: Token::Deploying,
            terms_version: 1,
            freeze: None,
            created_at: cx.now,
            version: 0,
        };
        cx.journal(book, "create_product", &product)?;
        book.asset_codes_taken.insert(asset_code);
        book.products.put(product.id, product.clone());
        Ok(product)
    }
}

/// States how a product pays interest, and on which nominal value, before its first campaign.
#[derive(Clone, Debug)]
pub struct StateInterest {
    /// The issuer-side organisation that acts.
    pub organisation_id: OrganisationId,
    /// Its product.
    pub product_id: ProductId,
    /// How it pays interest; `None` where nothing is said.
    pub interest: Option<Interest>,
    /// The nominal of one unit, `Some(None)` for none; `None` where nothing is said.
    pub nominal_value: Option<Option<Money>>,
}

impl Operation for StateInterest {
    type Output = Product;

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Product, Refused> {
        let mine = |product: &&Product| product.organisation_id == self.organisation_id;
        let mut product = book.products.get(&self.product_id).filter(mine).ok_or(Refused::NotFound)?.clone();
        let interest = self.interest.clone().unwrap_or_else(|| product.terms.interest.clone());
        let nominal_value = self.nominal_value.unwrap_or(product.terms.nominal_value);
        if product.state_interest(interest, nominal_value)? {
            cx.journal(book, "state_interest", &product)?;
            book.products.put(product.id, product.clone());
        }
        Ok(product)
    }
}
