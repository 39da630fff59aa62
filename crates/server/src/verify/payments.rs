//! What was paid, computed again from the product's terms, the version of the rules and the value date.

use std::collections::{BTreeMap, BTreeSet};

use domain::campaign::Campaign;
use domain::ids::CampaignId;
use domain::investment::Investment;
use domain::product::Product;
use store::Reader;

use super::Difference;

/// Computes payments again, campaign by campaign as they come.
#[derive(Debug)]
pub struct Payments<'a> {
    archive: &'a Reader,
    offers: BTreeMap<CampaignId, (Campaign, Product)>,
    /// Payments that were computed again.
    pub recomputed: u64,
}

impl<'a> Payments<'a> {
    /// Nothing is computed yet.
    pub const fn new(archive: &'a Reader) -> Self {
        Self { archive, offers: BTreeMap::new(), recomputed: 0 }
    }

    /// Compares what an investment says was paid with what follows from its terms; nothing where it is not paid.
    ///
    /// # Errors
    /// They differ.
    pub fn compare(&mut self, row: &Investment) -> Result<(), Difference> {
        if row.payment_is_provisional() {
            return Ok(());
        }
        if !self.offers.contains_key(&row.campaign_id) {
            self.offers.extend(self.archive.offers(&BTreeSet::from([row.campaign_id]))?);
        }
        let differs = |what: String| Difference::Row { kind: "investment", id: row.id.uuid(), what };
        let offer = self.offers.get(&row.campaign_id);
        let (campaign, product) = offer.ok_or_else(|| differs("is of a campaign that has no row".to_owned()))?;
        row.compare_payment(campaign, product).map_err(|fault| differs(fault.to_string()))?;
        self.recomputed += 1;
        Ok(())
    }
}
