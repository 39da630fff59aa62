//! A campaign as both APIs show it.

use domain::campaign::Campaign;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::Position;
use super::view::MoneyView;

/// A campaign.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub struct CampaignView {
    id: Uuid,
    product_id: Uuid,
    distribution_platform_id: Uuid,
    #[schema(example = "Spring offer")]
    name: String,
    /// Units that may be sold.
    #[schema(example = 10000)]
    allocation: u64,
    /// Units that can still be sold; none while the campaign is inactive.
    #[schema(example = 9990)]
    units_available: u64,
    price_per_token: MoneyView,
    #[schema(example = 1)]
    min_number_of_tokens: u64,
    #[schema(example = 100)]
    max_number_of_tokens: u64,
    legal_persons_allowed: bool,
    natural_persons_allowed: bool,
    /// ISO 3166-1 alpha-3: where the offer is made.
    #[schema(example = "DEU")]
    country: String,
    /// `public_offering` or `minimum_investment_amount`.
    #[schema(example = "public_offering")]
    rule_type: &'static str,
    #[schema(required = true)]
    minimum_investment_amount: Option<MoneyView>,
    /// Percent of the investment amount, a decimal.
    #[schema(example = "2.5")]
    agio_percent: String,
    is_campaign_active: bool,
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    created_at: String,
}

impl From<&Campaign> for CampaignView {
    fn from(campaign: &Campaign) -> Self {
        let terms = &campaign.terms;
        Self {
            id: campaign.id.uuid(),
            product_id: campaign.product_id.uuid(),
            distribution_platform_id: terms.platform_id.uuid(),
            name: terms.name.to_string(),
            allocation: terms.allocation.get(),
            units_available: campaign.units_available().get(),
            price_per_token: terms.price_per_token.into(),
            min_number_of_tokens: terms.min_number_of_tokens.get(),
            max_number_of_tokens: terms.max_number_of_tokens.get(),
            legal_persons_allowed: terms.legal_persons_allowed,
            natural_persons_allowed: terms.natural_persons_allowed,
            country: terms.country.to_string(),
            rule_type: terms.rule.code(),
            minimum_investment_amount: terms.rule.minimum().map(MoneyView::from),
            agio_percent: terms.agio_percent.to_string(),
            is_campaign_active: campaign.is_active,
            created_at: campaign.created_at.to_string(),
        }
    }
}

/// Where a campaign stands in its list.
#[must_use]
pub fn campaign_position(campaign: &Campaign) -> Position {
    Position { created_at: campaign.created_at, id: campaign.id.uuid() }
}
