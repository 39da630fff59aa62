//! Campaigns: an allocation of a product that one distribution platform may sell at a fixed price.

use crate::country::Country;
use crate::ids::{CampaignId, OrganisationId, ProductId};
use crate::instant::Instant;
use crate::instruction::InstructionNumber;
use crate::investor::PersonKind;
use crate::money::{Money, Percent, Price};
use crate::payable::investment_amount_of;
use crate::product::{Inconsistent, Product};
use crate::refusal::Refusal;
use crate::text::Name;
use crate::units::Units;

/// Which investments a campaign takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// No restriction.
    PublicOffering,
    /// Only investments of at least this amount (units × price).
    MinimumInvestmentAmount(Money),
}

impl Rule {
    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PublicOffering => "public_offering",
            Self::MinimumInvestmentAmount(_) => "minimum_investment_amount",
        }
    }

    /// The amount of the rule, where it has one.
    #[must_use]
    pub const fn minimum(self) -> Option<Money> {
        match self {
            Self::PublicOffering => None,
            Self::MinimumInvestmentAmount(amount) => Some(amount),
        }
    }
}

/// What an issuer states about a campaign. Nothing of it can be changed (guide: create a new one instead).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CampaignTerms {
    /// The distribution platform that sells.
    pub platform_id: OrganisationId,
    /// Its name.
    pub name: Name,
    /// Units that may be sold.
    pub allocation: Units,
    /// The purchase price of one unit.
    pub price_per_token: Price,
    /// The fewest units of one investment.
    pub min_number_of_tokens: Units,
    /// The most units of one investment.
    pub max_number_of_tokens: Units,
    /// Whether legal persons may invest.
    pub legal_persons_allowed: bool,
    /// Whether natural persons may invest.
    pub natural_persons_allowed: bool,
    /// Where the offer is made.
    pub country: Country,
    /// Which investments it takes.
    pub rule: Rule,
    /// The agio on the investment amount.
    pub agio_percent: Percent,
}

/// A campaign with what it has sold.
///
/// Invariant: `used` is the sum of the units of its investments that have not ended, and never more than the allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// The product it sells.
    pub product_id: ProductId,
    /// The issuer-side organisation that owns the product.
    pub organisation_id: OrganisationId,
    /// Its place among the product's campaigns, from 1: the upper part of its investments' instruction numbers.
    pub index: u32,
    /// What was stated.
    pub terms: CampaignTerms,
    /// Units of investments that have not ended.
    pub used: Units,
    /// Investments created so far.
    pub investments_created: u64,
    /// Sequences that were passed over after restores: the next investment's sequence is one more than both together.
    pub numbers_skipped: u64,
    /// Whether investments can be created.
    pub is_active: bool,
    /// When it was created.
    pub created_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}

impl Campaign {
    /// Units that can still be sold: none while the campaign is inactive.
    #[must_use]
    pub fn units_available(&self) -> Units {
        if self.is_active { self.terms.allocation.saturating_sub(self.used) } else { Units::ZERO }
    }

    /// What the campaign takes of its product's total: its allocation while active, else what it has sold.
    #[must_use]
    pub const fn held(&self) -> Units {
        if self.is_active { self.terms.allocation } else { self.used }
    }

    /// Whether a person of this kind may invest.
    #[must_use]
    pub const fn allows(&self, person: PersonKind) -> bool {
        match person {
            PersonKind::Natural => self.terms.natural_persons_allowed,
            PersonKind::Legal => self.terms.legal_persons_allowed,
        }
    }

    /// Every rule of the campaign that an order of `units` by such a person breaks.
    #[must_use]
    pub fn broken_rules(&self, product: &Product, person: PersonKind, units: Units) -> Vec<Refusal> {
        let terms = &self.terms;
        let available = self.units_available();
        let mut broken = Vec::new();
        if !self.is_active {
            broken.push(Refusal::CampaignInactive);
        }
        if !self.allows(person) {
            broken.push(Refusal::PersonKindNotAllowed { person });
        }
        if units < terms.min_number_of_tokens {
            broken.push(Refusal::BelowMinNumberOfTokens { units, min: terms.min_number_of_tokens });
        }
        if units > terms.max_number_of_tokens {
            broken.push(Refusal::AboveMaxNumberOfTokens { units, max: terms.max_number_of_tokens });
        }
        if !units.get().is_multiple_of(product.terms.step_size.get().max(1)) {
            broken.push(Refusal::NotAMultipleOfStepSize { units, step_size: product.terms.step_size });
        }
        match terms.rule {
            Rule::PublicOffering => {}
            // An amount that does not fit is no small one.
            Rule::MinimumInvestmentAmount(minimum) => {
                let amount = investment_amount_of(terms.price_per_token, units).ok();
                let small = amount.filter(|amount| amount.minor() < minimum.minor());
                broken.extend(small.map(|amount| Refusal::BelowMinimumInvestmentAmount { amount, minimum }));
            }
        }
        if self.is_active && units > available {
            broken.push(Refusal::AllocationExhausted { requested: units, available });
        }
        broken
    }

    /// Takes the units of a new investment and gives it its sequence in the campaign.
    ///
    /// # Errors
    /// The allocation does not hold the units: [`Campaign::broken_rules`] was not asked first.
    pub fn take(&mut self, units: Units) -> Result<u64, Inconsistent> {
        let used = self.used.checked_add(units).filter(|used| *used <= self.terms.allocation);
        self.used = used.ok_or(Inconsistent("campaign.used"))?;
        self.investments_created = self.investments_created.checked_add(1).ok_or(Inconsistent("campaign.investments_created"))?;
        self.investments_created.checked_add(self.numbers_skipped).ok_or(Inconsistent("campaign.numbers_skipped"))
    }

    /// The sequence that was given last, or passed over.
    #[must_use]
    pub const fn newest_sequence(&self) -> u64 {
        self.investments_created.saturating_add(self.numbers_skipped)
    }

    /// Passes sequences over, so that the next one is greater than this. Says whether anything changed.
    pub const fn skip_numbers_to(&mut self, sequence: u64) -> bool {
        let missing = sequence.saturating_sub(self.newest_sequence());
        self.numbers_skipped = self.numbers_skipped.saturating_add(missing);
        missing > 0
    }

    /// Gives a number that nothing has, in place of one that the ledger holds for somebody else's order.
    ///
    /// # Errors
    /// There is none left.
    pub fn spare_number(&mut self) -> Result<InstructionNumber, Inconsistent> {
        let sequence = self.newest_sequence().saturating_add(1);
        self.skip_numbers_to(sequence);
        InstructionNumber::of(self.index, sequence).ok_or(Inconsistent("campaign.numbers_skipped"))
    }

    /// Takes back in an investment that a restore had lost, with the number that it has on the ledger. No later investment
    /// is given that number.
    ///
    /// # Errors
    /// The units went to others meanwhile.
    pub fn take_back(&mut self, product: &mut Product, units: Units, sequence: u64) -> Result<(), Refusal> {
        let available = self.terms.allocation.saturating_sub(self.used);
        if units > available {
            return Err(Refusal::AllocationExhausted { requested: units, available });
        }
        if !self.is_active {
            product.reserve(units)?;
        }
        self.used = self.used.checked_add(units).unwrap_or(self.terms.allocation);
        self.investments_created = self.investments_created.saturating_add(1);
        self.skip_numbers_to(sequence);
        Ok(())
    }

    /// Gives back the units of an ended investment: to the campaign, or to the product where the campaign is inactive.
    ///
    /// # Errors
    /// More would be given back than was taken: the rows contradict each other.
    pub fn give_back(&mut self, product: &mut Product, units: Units) -> Result<(), Inconsistent> {
        self.used = self.used.checked_sub(units).ok_or(Inconsistent("campaign.used"))?;
        if self.is_active { Ok(()) } else { product.release(units) }
    }

    /// Switches the campaign on or off. Switching off gives the unsold units back to the product; switching on takes
    /// them again. `Ok(false)` where nothing changes.
    ///
    /// # Errors
    /// [`Refusal::ProductTotalExceeded`] where the units have gone to other campaigns meanwhile.
    pub fn switch(&mut self, product: &mut Product, active: bool) -> Result<bool, Refusal> {
        if self.is_active == active {
            return Ok(false);
        }
        let unsold = self.terms.allocation.saturating_sub(self.used);
        if active {
            product.reserve(unsold)?;
        } else {
            product.reserved = product.reserved.saturating_sub(unsold);
        }
        self.is_active = active;
        Ok(true)
    }
}
