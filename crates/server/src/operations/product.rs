//! Creating products. Their token contract is deployed by the ledger's background work.

use domain::ids::{IssuerId, OrganisationId};
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
            token: Token::Deploying,
            created_at: cx.now,
            version: 0,
        };
        cx.journal(book, "create_product", &product)?;
        book.asset_codes_taken.insert(asset_code);
        book.products.put(product.id, product.clone());
        Ok(product)
    }
}
