//! Campaigns: creating them, and switching them on and off.

use domain::campaign::{Campaign, CampaignTerms};
use domain::ids::{CampaignId, OrganisationId, ProductId};
use domain::money::Percent;
use domain::organisation::OrganisationKind;
use domain::product::Inconsistent;
use domain::refusal::Refusal;
use domain::units::Units;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Creates a campaign of a product on a platform where it is listed.
#[derive(Clone, Debug)]
pub struct CreateCampaign {
    /// The issuer-side organisation that acts.
    pub organisation_id: OrganisationId,
    /// Its product.
    pub product_id: ProductId,
    /// What is stated; the agio is the product's unless `agio_percent` says otherwise.
    pub terms: CampaignTerms,
    /// The campaign's own agio.
    pub agio_percent: Option<Percent>,
    /// Whether investments can be created at once.
    pub is_active: bool,
}

impl Operation for CreateCampaign {
    type Output = Campaign;

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
        wanted.organisations.insert(self.terms.platform_id);
        wanted.listings.insert((self.product_id, self.terms.platform_id));
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Campaign, Refused> {
        let mut product = book
            .products
            .get(&self.product_id)
            .filter(|product| product.organisation_id == self.organisation_id)
            .ok_or(Refused::NotFound)?
            .clone();
        if book.organisations.get(&self.terms.platform_id).is_none_or(|o| o.kind != OrganisationKind::Distributor) {
            return Err(Refused::BodyIdsNotFound(vec!["/distribution_platform_id".into()]));
        }
        if book.listings.get(&(self.product_id, self.terms.platform_id)).is_none() {
            return Err(Refusal::ProductNotListed.into());
        }
        product.may_be_priced_in(self.terms.price_per_token.currency())?;
        product.campaigns_created = product.campaigns_created.checked_add(1).ok_or(Inconsistent("product.campaigns_created"))?;
        let mut terms = self.terms.clone();
        terms.agio_percent = self.agio_percent.unwrap_or(product.terms.agio_percent);
        let campaign = Campaign {
            id: cx.entropy.id(cx.now),
            product_id: product.id,
            organisation_id: self.organisation_id,
            index: product.newest_campaign_index(),
            terms,
            used: Units::ZERO,
            investments_created: 0,
            numbers_skipped: 0,
            is_active: self.is_active,
            created_at: cx.now,
            version: 0,
        };
        product.reserve(campaign.held())?;
        cx.journal(book, "create_campaign", &campaign)?;
        cx.journal(book, "create_campaign", &product)?;
        book.products.put(product.id, product);
        book.campaigns.put(campaign.id, campaign.clone());
        Ok(campaign)
    }
}

/// Switches a campaign on or off. Everything else about it is fixed.
#[derive(Clone, Debug)]
pub struct SwitchCampaign {
    /// The issuer-side organisation that acts.
    pub organisation_id: OrganisationId,
    /// Its product.
    pub product_id: ProductId,
    /// A campaign of the product.
    pub campaign_id: CampaignId,
    /// Known fields of a campaign that the request wants to change although they are fixed.
    pub immutable_fields: Vec<String>,
    /// Whether investments can be created; `None` where the request does not say.
    pub is_active: Option<bool>,
}

impl Operation for SwitchCampaign {
    type Output = Campaign;

    fn want(&self, wanted: &mut Wanted) {
        wanted.campaigns.insert(self.campaign_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Campaign, Refused> {
        let mine =
            |campaign: &&Campaign| campaign.organisation_id == self.organisation_id && campaign.product_id == self.product_id;
        let mut campaign = book.campaigns.get(&self.campaign_id).filter(mine).ok_or(Refused::NotFound)?.clone();
        if !self.immutable_fields.is_empty() {
            return Err(Refusal::CampaignImmutable { fields: self.immutable_fields.clone() }.into());
        }
        let mut product = book.products.get(&campaign.product_id).ok_or(Inconsistent("campaign.product_id"))?.clone();
        let Some(is_active) = self.is_active else { return Ok(campaign) };
        if campaign.switch(&mut product, is_active)? {
            cx.journal(book, "switch_campaign", &campaign)?;
            cx.journal(book, "switch_campaign", &product)?;
            book.products.put(product.id, product);
            book.campaigns.put(campaign.id, campaign.clone());
        }
        Ok(campaign)
    }
}
