//! Every reason why an act is refused by stored state or limits, as a named fact with what it was measured against.

use jiff::civil::Date;

use crate::document::SignedDocumentType;
use crate::ids::CreditId;
use crate::instant::Instant;
use crate::investment::{Act, Status};
use crate::investor::PersonKind;
use crate::money::{Currency, Money};
use crate::units::Units;

/// A named reason why an act is not done. On the wire it is a 409 with [`Refusal::code`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The product is not listed on the distribution platform.
    ProductNotListed,
    /// The product is listed there already.
    AlreadyListed,
    /// Something of a campaign other than `is_campaign_active` was to be changed.
    CampaignImmutable {
        /// The fields that cannot change.
        fields: Vec<String>,
    },
    /// The product's campaigns together would hold more than its total.
    ProductTotalExceeded {
        /// Units asked for.
        requested: Units,
        /// Units the product has left.
        available: Units,
    },
    /// No investments can be created while the campaign is inactive.
    CampaignInactive,
    /// The campaign has fewer units left.
    AllocationExhausted {
        /// Units asked for.
        requested: Units,
        /// Units left.
        available: Units,
    },
    /// Fewer units than one investment must have.
    BelowMinNumberOfTokens {
        /// Units asked for.
        units: Units,
        /// The fewest.
        min: Units,
    },
    /// More units than one investment may have.
    AboveMaxNumberOfTokens {
        /// Units asked for.
        units: Units,
        /// The most.
        max: Units,
    },
    /// Not a multiple of the product's step.
    NotAMultipleOfStepSize {
        /// Units asked for.
        units: Units,
        /// The step.
        step_size: Units,
    },
    /// The campaign is not for persons of this kind.
    PersonKindNotAllowed {
        /// The investor's kind.
        person: PersonKind,
    },
    /// Less than the campaign's minimum investment amount.
    BelowMinimumInvestmentAmount {
        /// Units × price.
        amount: Money,
        /// The minimum.
        minimum: Money,
    },
    /// The disagio is in another currency than the campaign's price.
    CurrencyMismatch {
        /// The stated currency.
        stated: Currency,
        /// The campaign's currency.
        expected: Currency,
    },
    /// The disagio is more than the investment amount.
    DisagioAboveInvestmentAmount {
        /// The stated disagio.
        disagio: Money,
        /// Units × price.
        investment_amount: Money,
    },
    /// The amounts do not fit into 64 bits of minor units.
    AmountTooLarge,
    /// The payment would count after the product is paid back.
    ValueDateAfterMaturity {
        /// The day on which the payment would count.
        value_date: Date,
        /// The day on which the product is paid back.
        maturity: Date,
    },
    /// The status does not allow the act.
    ActNotOpen {
        /// The act.
        act: Act,
        /// The status.
        status: Status,
    },
    /// Acceptance needs both signed documents.
    SignedDocumentsMissing {
        /// The types that are not attached.
        missing: Vec<SignedDocumentType>,
    },
    /// `paid_at` needs `accepted_at`.
    NotAccepted,
    /// A credit needs a payment.
    NotPaid,
    /// A credit needs a wallet.
    WalletMissing,
    /// The fact was stated before and does not change.
    FactIsFinal {
        /// Its field.
        field: &'static str,
    },
    /// The product wants stated dates in order.
    DatesOutOfOrder {
        /// The field that must not be earlier.
        later: &'static str,
        /// The field it is compared with.
        earlier: &'static str,
        /// The earlier field's value.
        limit: Instant,
    },
    /// A credit of this investment runs or has succeeded.
    CreditExists {
        /// That credit.
        credit_id: CreditId,
    },
    /// The wallet is fixed once a credit runs or has succeeded.
    WalletFixed {
        /// That credit.
        credit_id: CreditId,
    },
    /// The investor's identification has lapsed or was never finished.
    KycNotValid,
    /// The product's ledger and the register differ: nothing is credited until an operator has looked.
    ProductFrozen {
        /// The finalized block at which that was seen.
        block_number: u64,
    },
    /// The product has campaigns: interest and nominal value are what investors were offered.
    ProductTermsFixed {
        /// How many.
        campaigns: u32,
    },
    /// The product pays interest and states no nominal value for it to run on.
    NominalValueMissing,
    /// The product's terms were stated as often as versions can be counted.
    TermsVersionsExhausted,
    /// Another organisation of the same kind has this name.
    NameTaken,
    /// The asset code names another product.
    AssetCodeTaken,
    /// The address belongs to another investor.
    AddressTaken,
}

/// One failed rule with its limit and the value that broke it, as text for a person and a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedRule {
    /// The refusal's code.
    pub rule: &'static str,
    /// What the rule allows, where it is a limit.
    pub limit: Option<String>,
    /// What was asked for.
    pub actual: Option<String>,
    /// A sentence.
    pub message: String,
}

impl Refusal {
    /// The stable code on the wire.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ProductNotListed => "product_not_listed",
            Self::AlreadyListed => "already_listed",
            Self::CampaignImmutable { .. } => "campaign_immutable",
            Self::ProductTotalExceeded { .. } => "product_total_exceeded",
            Self::CampaignInactive => "campaign_inactive",
            Self::AllocationExhausted { .. } => "allocation_exhausted",
            Self::BelowMinNumberOfTokens { .. } => "below_min_number_of_tokens",
            Self::AboveMaxNumberOfTokens { .. } => "above_max_number_of_tokens",
            Self::NotAMultipleOfStepSize { .. } => "not_a_multiple_of_step_size",
            Self::PersonKindNotAllowed { .. } => "person_kind_not_allowed",
            Self::BelowMinimumInvestmentAmount { .. } => "below_minimum_investment_amount",
            Self::CurrencyMismatch { .. } => "currency_mismatch",
            Self::DisagioAboveInvestmentAmount { .. } => "disagio_above_investment_amount",
            Self::AmountTooLarge => "amount_too_large",
            Self::ValueDateAfterMaturity { .. } => "value_date_after_maturity",
            Self::ActNotOpen { .. } => "act_not_open",
            Self::SignedDocumentsMissing { .. } => "signed_documents_missing",
            Self::NotAccepted => "not_accepted",
            Self::NotPaid => "not_paid",
            Self::WalletMissing => "wallet_missing",
            Self::FactIsFinal { .. } => "fact_is_final",
            Self::DatesOutOfOrder { .. } => "dates_out_of_order",
            Self::CreditExists { .. } => "credit_exists",
            Self::WalletFixed { .. } => "wallet_fixed",
            Self::KycNotValid => "kyc_not_valid",
            Self::ProductFrozen { .. } => "product_frozen",
            Self::ProductTermsFixed { .. } => "product_terms_fixed",
            Self::NominalValueMissing => "nominal_value_missing",
            Self::TermsVersionsExhausted => "terms_versions_exhausted",
            Self::NameTaken => "name_taken",
            Self::AssetCodeTaken => "asset_code_taken",
            Self::AddressTaken => "address_taken",
        }
    }

    /// The rule with its limit and the actual value.
    #[must_use]
    pub fn failed_rule(&self) -> FailedRule {
        let (limit, actual) = self.measured();
        FailedRule { rule: self.code(), limit, actual, message: self.message() }
    }

    fn measured(&self) -> (Option<String>, Option<String>) {
        fn pair<L: ToString + ?Sized, A: ToString + ?Sized>(limit: &L, actual: &A) -> (Option<String>, Option<String>) {
            (Some(limit.to_string()), Some(actual.to_string()))
        }
        match self {
            Self::ProductTotalExceeded { requested, available } | Self::AllocationExhausted { requested, available } => {
                pair(available, requested)
            }
            Self::BelowMinNumberOfTokens { units, min } => pair(min, units),
            Self::AboveMaxNumberOfTokens { units, max } => pair(max, units),
            Self::NotAMultipleOfStepSize { units, step_size } => pair(step_size, units),
            Self::BelowMinimumInvestmentAmount { amount, minimum } => pair(minimum, amount),
            Self::CurrencyMismatch { stated, expected } => pair(expected.code(), stated.code()),
            Self::DisagioAboveInvestmentAmount { disagio, investment_amount } => pair(investment_amount, disagio),
            Self::ValueDateAfterMaturity { value_date, maturity } => pair(maturity, value_date),
            Self::ProductTermsFixed { campaigns } => pair("0 campaigns", campaigns),
            Self::PersonKindNotAllowed { person } => (None, Some(person.code().to_owned())),
            Self::ActNotOpen { status, .. } => (None, Some(status.code().to_owned())),
            Self::DatesOutOfOrder { limit, .. } => (Some(limit.to_string()), None),
            Self::CreditExists { credit_id } | Self::WalletFixed { credit_id } => (None, Some(credit_id.to_string())),
            Self::ProductNotListed
            | Self::ProductFrozen { .. }
            | Self::AlreadyListed
            | Self::CampaignImmutable { .. }
            | Self::CampaignInactive
            | Self::AmountTooLarge
            | Self::SignedDocumentsMissing { .. }
            | Self::NotAccepted
            | Self::NotPaid
            | Self::WalletMissing
            | Self::FactIsFinal { .. }
            | Self::KycNotValid
            | Self::NominalValueMissing
            | Self::TermsVersionsExhausted
            | Self::NameTaken
            | Self::AssetCodeTaken
            | Self::AddressTaken => (None, None),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::ProductNotListed => "The product is not listed on this distribution platform.".into(),
            Self::AlreadyListed => "The product is already listed on this distribution platform.".into(),
            Self::CampaignImmutable { fields } => {
                format!("Only is_campaign_active can be changed after creation, not {}.", fields.join(", "))
            }
            Self::ProductTotalExceeded { requested, available } => {
                format!("The product has {available} units left for campaigns, {requested} were asked for.")
            }
            Self::CampaignInactive => "The campaign is inactive.".into(),
            Self::AllocationExhausted { requested, available } => {
                format!("The campaign has {available} units left, {requested} were asked for.")
            }
            Self::BelowMinNumberOfTokens { min, .. } => format!("One investment has at least {min} units."),
            Self::AboveMaxNumberOfTokens { max, .. } => format!("One investment has at most {max} units."),
            Self::NotAMultipleOfStepSize { step_size, .. } => format!("The units must be a multiple of {step_size}."),
            Self::PersonKindNotAllowed { person } => match person {
                PersonKind::Natural => "Natural persons may not invest via this campaign.".into(),
                PersonKind::Legal => "Legal persons may not invest via this campaign.".into(),
            },
            Self::BelowMinimumInvestmentAmount { minimum, .. } => format!("One investment amounts to at least {minimum}."),
            Self::CurrencyMismatch { expected, .. } => format!("The campaign's currency is {}.", expected.code()),
            Self::DisagioAboveInvestmentAmount { .. } => "The disagio is more than the investment amount.".into(),
            Self::AmountTooLarge => "The amounts of this investment are too large to be paid.".into(),
            Self::ValueDateAfterMaturity { maturity, .. } => format!("The product is paid back on {maturity}."),
            Self::ActNotOpen { act, status } => {
                format!("{} is not possible while the investment is {}.", act.code(), status.code())
            }
            Self::SignedDocumentsMissing { missing } => {
                let codes: Vec<&str> = missing.iter().map(|kind| kind.code()).collect();
                format!("Acceptance needs signed documents that are not attached: {}.", codes.join(", "))
            }
            Self::NotAccepted => "The investment is not marked as accepted (accepted_at).".into(),
            Self::NotPaid => "The investment is not marked as paid (paid_at).".into(),
            Self::WalletMissing => "No wallet is associated with the investment.".into(),
            Self::FactIsFinal { field } => format!("{field} was stated before and cannot be changed."),
            Self::DatesOutOfOrder { later, earlier, .. } => format!("{later} must not be earlier than {earlier}."),
            Self::CreditExists { credit_id } => format!("Credit {credit_id} of this investment is running or has succeeded."),
            Self::WalletFixed { credit_id } => format!("The wallet is fixed by credit {credit_id}."),
            Self::KycNotValid => "The investor's identification is not valid.".into(),
            Self::ProductFrozen { block_number } => format!(
                "Credits of this product rest until the registrar has looked: at block {block_number} its ledger and the register differ."
            ),
            Self::ProductTermsFixed { .. } => {
                "Interest and nominal value cannot be changed once the product has a campaign.".into()
            }
            Self::NominalValueMissing => "A product that pays interest needs a nominal value.".into(),
            Self::TermsVersionsExhausted => "The terms of this product cannot be stated again.".into(),
            Self::NameTaken => "An organisation of this kind already has this name.".into(),
            Self::AssetCodeTaken => "Another product has this asset code.".into(),
            Self::AddressTaken => "The address belongs to another investor.".into(),
        }
    }
}
