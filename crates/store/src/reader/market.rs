//! Products, listings, campaigns and documents.

use std::collections::{BTreeMap, BTreeSet};

use domain::campaign::Campaign;
use domain::document::Document;
use domain::ids::{CampaignId, DocumentId, ListingId, OrganisationId, ProductId};
use domain::organisation::OrganisationKind;
use domain::product::{Listing, Product};

use super::Reader;
use super::condition::{Condition, campaigns_of, products_of};
use super::page::List;
use super::snapshot::{Snapshot, Value};
use crate::error::StoreError;
use crate::queries::{Page, PageRequest, Viewer};

impl Reader {
    /// The products a viewer sees: a platform those listed on it, an issuer-side organisation its own.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn products(&self, viewer: Viewer, request: PageRequest) -> Result<Page<Product>, StoreError> {
        self.run(|snapshot| List::of(products_of(viewer)).page(snapshot, request))
    }

    /// A product the viewer sees.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn product(&self, viewer: Viewer, id: ProductId) -> Result<Option<Product>, StoreError> {
        self.run_at_once(|snapshot| visible_product(snapshot, viewer, id))
    }

    /// A product, whoever owns it: for background work and `verify`.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn product_any(&self, id: ProductId) -> Result<Option<Product>, StoreError> {
        self.run_at_once(|snapshot| snapshot.by_id(id.uuid()))
    }

    /// The listings of an issuer-side organisation's products.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn listings(&self, organisation_id: OrganisationId, request: PageRequest) -> Result<Page<Listing>, StoreError> {
        self.run(|snapshot| List::of(listings_of(organisation_id)).page(snapshot, request))
    }

    /// A listing of one of an issuer-side organisation's products.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn listing(&self, organisation_id: OrganisationId, id: ListingId) -> Result<Option<Listing>, StoreError> {
        self.run_at_once(|snapshot| List::of(listings_of(organisation_id).and_id("id = ?", id.uuid())).single(snapshot))
    }

    /// A product's campaigns: a platform sees those made for it. `None` where the viewer does not see the product.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn campaigns(
        &self,
        viewer: Viewer,
        product_id: ProductId,
        request: PageRequest,
    ) -> Result<Option<Page<Campaign>>, StoreError> {
        self.run(|snapshot| {
            if visible_product(snapshot, viewer, product_id)?.is_none() {
                return Ok(None);
            }
            let condition = campaigns_of(viewer).and_id("product_id = ?", product_id.uuid());
            List::of(condition).page(snapshot, request).map(Some)
        })
    }

    /// A campaign of a product, both of which the viewer sees.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn campaign(&self, viewer: Viewer, product_id: ProductId, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.run(|snapshot| {
            if visible_product(snapshot, viewer, product_id)?.is_none() {
                return Ok(None);
            }
            let condition = campaigns_of(viewer).and_id("product_id = ?", product_id.uuid()).and_id("id = ?", id.uuid());
            List::of(condition).single(snapshot)
        })
    }

    /// Campaigns with their products, whoever owns them: what the amounts of investments that a viewer sees follow from.
    /// Each campaign once.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn offers(&self, ids: &BTreeSet<CampaignId>) -> Result<BTreeMap<CampaignId, (Campaign, Product)>, StoreError> {
        self.run(|snapshot| {
            let mut offers = BTreeMap::new();
            for id in ids {
                let campaign: Option<Campaign> = snapshot.by_id(id.uuid())?;
                let Some(campaign) = campaign else { continue };
                let product: Option<Product> = snapshot.by_id(campaign.product_id.uuid())?;
                offers.extend(product.map(|product| (*id, (campaign, product))));
            }
            Ok(offers)
        })
    }

    /// A document, for its uploader and for those who see an investment it is attached to. A platform attaches only its
    /// own, so that its id stands in the query beside the document's, and a foreign document takes as long as none. The
    /// registrar sees every investment.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn document(
        &self,
        organisation_id: OrganisationId,
        kind: OrganisationKind,
        id: DocumentId,
    ) -> Result<Option<Document>, StoreError> {
        let attached = |seen: &str| {
            format!(
                "(organisation_id = ? OR EXISTS (SELECT 1 FROM signed_document AS s JOIN investment AS i ON i.id = s.investment_id
                  WHERE s.document_id = document.id AND {seen}))"
            )
        };
        let owner = || Value::from(organisation_id.uuid());
        let by_id = Condition::with_id("id = ?", id.uuid());
        let condition = match kind {
            OrganisationKind::Distributor => by_id.and_id("organisation_id = ?", organisation_id.uuid()),
            OrganisationKind::Issuer => by_id.and(&attached("i.issuer_organisation_id = ?"), [owner(), owner()]),
            OrganisationKind::Registrar => by_id.and(&attached("1 = 1"), [owner()]),
        };
        self.run_at_once(|snapshot| List::of(condition).single(snapshot))
    }
}

fn visible_product(snapshot: &Snapshot<'_>, viewer: Viewer, id: ProductId) -> Result<Option<Product>, StoreError> {
    List::of(products_of(viewer).and_id("id = ?", id.uuid())).single(snapshot)
}

fn listings_of(organisation_id: OrganisationId) -> Condition {
    Condition::with_id("product_id IN (SELECT id FROM product WHERE organisation_id = ?)", organisation_id.uuid())
}
