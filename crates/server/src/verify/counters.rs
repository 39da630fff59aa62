//! What is stored as a number, against what was counted while the rows were compared.

use std::collections::BTreeMap;

use domain::ids::{CampaignId, OrganisationId, ProductId};
use domain::investment::{Investment, Status};
use domain::investor::Investor;
use domain::product::Product;
use domain::units::Units;
use store::Reader;

use super::{CHUNK_ROWS, Difference};

/// Sums over the rows of investments and investors. There is one for each campaign and status, not for each row.
#[derive(Debug, Default)]
pub struct Counted {
    investments: BTreeMap<(OrganisationId, ProductId, CampaignId, Status), (u64, u64)>,
    campaigns: BTreeMap<CampaignId, OfCampaign>,
    investors: BTreeMap<OrganisationId, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct OfCampaign {
    investments: u64,
    units_open: u64,
}

impl Counted {
    /// Counts an investment.
    pub fn investment(&mut self, row: &Investment) {
        let group = self.investments.entry((row.platform_id, row.product_id, row.campaign_id, row.status())).or_default();
        group.0 += 1;
        if row.status() == Status::Delivered {
            group.1 = group.1.saturating_add(row.units.get());
        }
        let campaign = self.campaigns.entry(row.campaign_id).or_default();
        campaign.investments += 1;
        if row.facts.ended.is_none() {
            campaign.units_open = campaign.units_open.saturating_add(row.units.get());
        }
    }

    /// Counts an investor.
    pub fn investor(&mut self, row: &Investor) {
        *self.investors.entry(row.platform_id).or_default() += 1;
    }

    /// Compares every stored counter.
    ///
    /// # Errors
    /// The first that is not what it counts.
    pub fn compare(mut self, archive: &Reader) -> Result<(), Difference> {
        for ((platform, product, campaign, status), stored) in archive.investment_counts()? {
            let found = self.investments.remove(&(platform, product, campaign, status)).unwrap_or((0, 0));
            same(&format!("investments of campaign {campaign}"), stored.0, found.0)?;
            same(&format!("delivered units of campaign {campaign}"), stored.1, found.1)?;
        }
        if let Some(((_, _, campaign, _), found)) = self.investments.pop_first() {
            same(&format!("investments of campaign {campaign}"), 0, found.0)?;
        }
        for (platform, stored) in archive.investor_counts()? {
            let found = self.investors.remove(&platform).unwrap_or(0);
            same(&format!("investors of platform {platform}"), stored, found)?;
        }
        if let Some((platform, found)) = self.investors.pop_first() {
            same(&format!("investors of platform {platform}"), 0, found)?;
        }
        let held = self.compare_campaigns(archive)?;
        compare_products(archive, &held)
    }

    /// Gives what the campaigns of each product hold.
    fn compare_campaigns(&self, archive: &Reader) -> Result<BTreeMap<ProductId, u64>, Difference> {
        let mut held: BTreeMap<ProductId, u64> = BTreeMap::new();
        let mut after = None;
        loop {
            let campaigns = archive.all_campaigns(after, CHUNK_ROWS)?;
            let Some(last) = campaigns.last() else { return Ok(held) };
            after = Some(last.id);
            for campaign in &campaigns {
                let found = self.campaigns.get(&campaign.id).copied().unwrap_or_default();
                let created = format!("investments ever created in campaign {}", campaign.id);
                same(&created, campaign.investments_created, found.investments)?;
                if Units::new(found.units_open) != Some(campaign.used) {
                    let what = format!("has {} units used, its open investments have {}", campaign.used, found.units_open);
                    return Err(Difference::Row { kind: "campaign", id: campaign.id.uuid(), what });
                }
                *held.entry(campaign.product_id).or_default() += campaign.held().get();
            }
        }
    }
}

fn compare_products(archive: &Reader, held: &BTreeMap<ProductId, u64>) -> Result<(), Difference> {
    let mut after = None;
    loop {
        let products: Vec<Product> = archive.all_products(after, CHUNK_ROWS)?;
        let Some(last) = products.last() else { return Ok(()) };
        after = Some(last.id);
        for product in &products {
            let sum = held.get(&product.id).copied().unwrap_or(0);
            if Units::new(sum) != Some(product.reserved) {
                let what = format!("has {} units reserved, its campaigns hold {sum}", product.reserved);
                return Err(Difference::Row { kind: "product", id: product.id.uuid(), what });
            }
        }
    }
}

fn same(what: &str, stored: u64, found: u64) -> Result<(), Difference> {
    if stored == found {
        return Ok(());
    }
    Err(Difference::Counter(format!("{what} are counted as {stored}, there are {found}")))
}
