//! Listing products on distribution platforms.

use domain::ids::{OrganisationId, ProductId};
use domain::organisation::OrganisationKind;
use domain::product::Listing;
use domain::refusal::Refusal;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Lists a product on a platform, so that the platform's accounts may hold it.
#[derive(Clone, Copy, Debug)]
pub struct CreateListing {
    /// The issuer-side organisation that acts.
    pub organisation_id: OrganisationId,
    /// Its product.
    pub product_id: ProductId,
    /// The platform.
    pub platform_id: OrganisationId,
}

impl Operation for CreateListing {
    type Output = Listing;

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
        wanted.organisations.insert(self.platform_id);
        wanted.listings.insert((self.product_id, self.platform_id));
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Listing, Refused> {
        let mut missing = Vec::new();
        if book.products.get(&self.product_id).is_none_or(|product| product.organisation_id != self.organisation_id) {
            missing.push("/product_id".to_owned());
        }
        if book.organisations.get(&self.platform_id).is_none_or(|o| o.kind != OrganisationKind::Distributor) {
            missing.push("/distribution_platform_id".to_owned());
        }
        if !missing.is_empty() {
            return Err(Refused::BodyIdsNotFound(missing));
        }
        if book.listings.get(&(self.product_id, self.platform_id)).is_some() {
            return Err(Refusal::AlreadyListed.into());
        }
        let listing =
            Listing { id: cx.entropy.id(cx.now), product_id: self.product_id, platform_id: self.platform_id, created_at: cx.now };
        cx.journal(book, "create_listing", &listing)?;
        book.listings.put((self.product_id, self.platform_id), listing);
        Ok(listing)
    }
}
