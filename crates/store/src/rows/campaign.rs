//! Campaigns.

use domain::campaign::{Campaign, CampaignTerms, Rule};
use domain::country::Country;
use domain::money::{Money, Price};

use super::product::optional_money;
use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

const PUBLIC_OFFERING: &str = Rule::PublicOffering.code();
const MINIMUM_INVESTMENT_AMOUNT: &str = "minimum_investment_amount";

table!(
    Campaign, "campaign",
    fixed: [
        "id", "product_id", "organisation_id", "campaign_index", "platform_id", "name", "allocation", "price_amount",
        "price_decimals", "price_currency", "min_number_of_tokens", "max_number_of_tokens", "legal_persons_allowed",
        "natural_persons_allowed", "country", "rule_type", "minimum_investment_amount_minor",
        "minimum_investment_amount_currency", "agio_percent", "created_at",
    ],
    changing: ["used", "investments_created", "numbers_skipped", "is_active", "version"]
);

impl Encode for Campaign {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let terms = &self.terms;
        row.id(self.id.uuid())
            .id(self.product_id.uuid())
            .id(self.organisation_id.uuid())
            .number(u64::from(self.index))
            .id(terms.platform_id.uuid())
            .text(terms.name.as_str())
            .units(terms.allocation)
            .number(terms.price_per_token.amount())
            .number(u64::from(terms.price_per_token.decimals()))
            .text(terms.price_per_token.currency().code())
            .units(terms.min_number_of_tokens)
            .units(terms.max_number_of_tokens)
            .flag(terms.legal_persons_allowed)
            .flag(terms.natural_persons_allowed)
            .text(terms.country.code())
            .text(terms.rule.code())
            .optional_signed(terms.rule.minimum().map(Money::minor))
            .optional_text(terms.rule.minimum().map(|minimum| minimum.currency().code()))
            .text(&terms.agio_percent.to_string())
            .instant(self.created_at)
            .units(self.used)
            .number(self.investments_created)
            .number(self.numbers_skipped)
            .flag(self.is_active)
            .next_version(self.version);
    }
}

impl Decode for Campaign {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let (id, product_id, organisation_id) = (row.id()?, row.id()?, row.id()?);
        let index = row.number()?;
        let terms = CampaignTerms {
            platform_id: row.id()?,
            name: row.name()?,
            allocation: row.units()?,
            price_per_token: price(row)?,
            min_number_of_tokens: row.units()?,
            max_number_of_tokens: row.units()?,
            legal_persons_allowed: row.flag()?,
            natural_persons_allowed: row.flag()?,
            country: row.code(Country::parse)?,
            rule: rule(row)?,
            agio_percent: row.percent()?,
        };
        Ok(Self {
            id,
            product_id,
            organisation_id,
            index,
            terms,
            created_at: row.instant()?,
            used: row.units()?,
            investments_created: row.number()?,
            numbers_skipped: row.number()?,
            is_active: row.flag()?,
            version: row.number()?,
        })
    }
}

fn price<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Price, StoreError> {
    let (amount, decimals, currency): (u64, u64, _) = (row.number()?, row.number()?, row.currency()?);
    Price::from_wire(&amount.to_string(), decimals, currency).map_err(|_| row.fault_at("price_amount"))
}

fn rule<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Rule, StoreError> {
    let code = row.text()?;
    match (code, optional_money(row)?) {
        (PUBLIC_OFFERING, None) => Ok(Rule::PublicOffering),
        (MINIMUM_INVESTMENT_AMOUNT, Some(minimum)) => Ok(Rule::MinimumInvestmentAmount(minimum)),
        _ => Err(row.fault_at("rule_type")),
    }
}
