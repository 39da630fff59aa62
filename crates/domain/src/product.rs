//! Products: what units are sold of, and how many may exist.

use crate::freeze::Freeze;
use crate::ids::{IssuerId, ListingId, OrganisationId, ProductId};
use crate::instant::Instant;
use crate::interest::Interest;
use crate::money::{Currency, Money, Percent};
use crate::network::NetworkName;
use crate::refusal::Refusal;
use crate::text::Name;
use crate::units::Units;
use crate::wallet::EvmAddress;

/// The legal form of a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProductType {
    /// A share in a company.
    DigitalCompanyShare,
    /// A bond.
    Bond,
    /// A subordinated loan.
    SubordinatedLoan,
    /// A participation paper.
    ParticipationPaper,
    /// A participation right.
    ParticipationRight,
    /// An alternative investment fund.
    Aif,
    /// A debt security.
    DebtSecurity,
    /// A convertible bond.
    ConvertibleBond,
    /// A share in a fund.
    FundShare,
}

impl ProductType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::DigitalCompanyShare,
        Self::Bond,
        Self::SubordinatedLoan,
        Self::ParticipationPaper,
        Self::ParticipationRight,
        Self::Aif,
        Self::DebtSecurity,
        Self::ConvertibleBond,
        Self::FundShare,
    ];

    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DigitalCompanyShare => "DIGITAL_COMPANY_SHARE",
            Self::Bond => "BOND",
            Self::SubordinatedLoan => "SUBORDINATED_LOAN",
            Self::ParticipationPaper => "PARTICIPATION_PAPER",
            Self::ParticipationRight => "PARTICIPATION_RIGHT",
            Self::Aif => "AIF",
            Self::DebtSecurity => "DEBT_SECURITY",
            Self::ConvertibleBond => "CONVERTIBLE_BOND",
            Self::FundShare => "FUND_SHARE",
        }
    }

    /// The type a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Where a product's token contract stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token {
    /// The deployment is ordered; credits wait for it.
    Deploying,
    /// The contract's code stands at this address in a finalized block.
    Deployed(EvmAddress),
}

/// What an issuer states about a product when it is created. Interest and nominal value may change until its first
/// campaign; nothing else does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProductTerms {
    /// Shown everywhere and written into the token contract.
    pub name: Name,
    /// 1–11 alphanumerics, the token's symbol.
    pub asset_code: AssetCode,
    /// The legal form.
    pub product_type: ProductType,
    /// Whether it is a crypto security under eWpG.
    pub ewpg: bool,
    /// The International Securities Identification Number, where there is one.
    pub isin: Option<String>,
    /// The most units that may ever be issued, equal to the issuance document.
    pub issuable_units_max: Units,
    /// Primary-market investments must be a multiple of it.
    pub step_size: Units,
    /// The agio that campaigns take over unless they state their own.
    pub agio_percent: Percent,
    /// Nominal per unit, where the issuance document states one.
    pub nominal_value: Option<Money>,
    /// How it pays interest.
    pub interest: Interest,
    /// Whether investments need an outside review after KYC.
    pub outside_review: bool,
    /// Whether stated dates must be in order (signed, accepted, paid).
    pub strict_dates: bool,
    /// Holders cannot transfer before this instant.
    pub lock_in_until: Option<Instant>,
    /// SHA-256 of the issuance document, written into the token contract.
    pub terms_hash: [u8; 32],
    /// The network on which its token stands.
    pub network: NetworkName,
}

/// The human-readable identifier on the ledger: 1–11 ASCII alphanumerics.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AssetCode(String);

impl AssetCode {
    /// Reads an asset code; `None` unless it is 1–11 ASCII letters or digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=11).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A product with what its campaigns have taken of it.
///
/// Invariant: `reserved` is the sum over its campaigns of (active: allocation; inactive: units used), and never more
/// than `terms.issuable_units_max`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// The issuer-side organisation that owns it.
    pub organisation_id: OrganisationId,
    /// The legal entity that issues it.
    pub issuer_id: IssuerId,
    /// What was stated.
    pub terms: ProductTerms,
    /// Units its campaigns hold.
    pub reserved: Units,
    /// Campaigns created so far.
    pub campaigns_created: u32,
    /// Indexes that were passed over after restores: the next campaign's index is one more than both together.
    pub campaign_indexes_skipped: u32,
    /// Its token contract.
    pub token: Token,
    /// Which statement of interest and nominal value holds, from 1. Investments remember it.
    pub terms_version: u32,
    /// Why its credits rest; `None` where they do not.
    pub freeze: Option<Freeze>,
    /// When it was created.
    pub created_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}

impl Product {
    /// The index that was given to a campaign last, or passed over.
    #[must_use]
    pub const fn newest_campaign_index(&self) -> u32 {
        self.campaigns_created.saturating_add(self.campaign_indexes_skipped)
    }

    /// Passes indexes over, so that the next campaign's is greater than this. Says whether anything changed.
    pub const fn skip_campaign_indexes_to(&mut self, index: u32) -> bool {
        let missing = index.saturating_sub(self.newest_campaign_index());
        self.campaign_indexes_skipped = self.campaign_indexes_skipped.saturating_add(missing);
        missing > 0
    }

    /// Whether credits may be ordered.
    ///
    /// # Errors
    /// [`Refusal::ProductFrozen`] while its ledger and the register differ.
    pub const fn may_be_credited(&self) -> Result<(), Refusal> {
        match &self.freeze {
            Some(freeze) => Err(Refusal::ProductFrozen { block_number: freeze.block_number }),
            None => Ok(()),
        }
    }

    /// Asks that its credits go on; `false` where nothing changes.
    pub const fn ask_release(&mut self) -> bool {
        match &mut self.freeze {
            Some(freeze) if !freeze.is_release_asked => {
                freeze.is_release_asked = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Takes units for a campaign.
    ///
    /// # Errors
    /// [`Refusal::ProductTotalExceeded`] where the campaigns together would hold more than the product's total.
    pub fn reserve(&mut self, units: Units) -> Result<(), Refusal> {
        let available = self.terms.issuable_units_max.saturating_sub(self.reserved);
        match self.reserved.checked_add(units) {
            Some(reserved) if reserved <= self.terms.issuable_units_max => {
                self.reserved = reserved;
                Ok(())
            }
            Some(_) | None => Err(Refusal::ProductTotalExceeded { requested: units, available }),
        }
    }

    /// Whether units can be priced in a currency: interest is paid for in that of the nominal value.
    ///
    /// # Errors
    /// [`Refusal::CurrencyMismatch`] where interest runs on a nominal value in another currency.
    pub fn may_be_priced_in(&self, currency: Currency) -> Result<(), Refusal> {
        let nominal = self.terms.nominal_value.filter(|_| self.terms.interest.needs_nominal_value());
        match nominal.map(Money::currency) {
            Some(expected) if expected != currency => Err(Refusal::CurrencyMismatch { stated: currency, expected }),
            Some(_) | None => Ok(()),
        }
    }

    /// States interest and nominal value anew; `false` where nothing differs.
    ///
    /// # Errors
    /// The product has campaigns: what is offered does not change. Or interest needs a nominal value and there is none.
    pub fn state_interest(&mut self, interest: Interest, nominal_value: Option<Money>) -> Result<bool, Refusal> {
        if interest == self.terms.interest && nominal_value == self.terms.nominal_value {
            return Ok(false);
        }
        if self.campaigns_created > 0 {
            return Err(Refusal::ProductTermsFixed { campaigns: self.campaigns_created });
        }
        if interest.needs_nominal_value() && nominal_value.is_none() {
            return Err(Refusal::NominalValueMissing);
        }
        self.terms.interest = interest;
        self.terms.nominal_value = nominal_value;
        self.terms_version = self.terms_version.checked_add(1).ok_or(Refusal::TermsVersionsExhausted)?;
        Ok(true)
    }

    /// Gives units back that a campaign no longer holds.
    ///
    /// # Errors
    /// More would be given back than is held: the rows contradict each other.
    pub fn release(&mut self, units: Units) -> Result<(), Inconsistent> {
        self.reserved = self.reserved.checked_sub(units).ok_or(Inconsistent("product.reserved"))?;
        Ok(())
    }
}

/// Two stored facts contradict each other: a broken invariant, answered with 500 and never repaired in silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stored facts contradict each other at {0}")]
pub struct Inconsistent(pub &'static str);

/// The permission of a platform's accounts to hold a product; a campaign needs one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listing {
    /// Its id.
    pub id: ListingId,
    /// The product.
    pub product_id: ProductId,
    /// The distribution platform.
    pub platform_id: OrganisationId,
    /// When it was made.
    pub created_at: Instant,
}

/// The legal entity behind products.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuer {
    /// Its id.
    pub id: IssuerId,
    /// The issuer-side organisation that manages it.
    pub organisation_id: OrganisationId,
    /// Its company name.
    pub company_name: Name,
    /// The court or office that keeps its commercial register.
    pub commercial_register: Name,
    /// Its number there.
    pub commercial_register_number: Name,
    /// When it was created.
    pub created_at: Instant,
}
