//! The investment: one purchase position, as facts.

mod adopt;
mod decide;
mod matrix;
mod payment;
mod status;

pub use adopt::{Issue, Unadoptable};
pub use decide::{Order, Statement};
pub use matrix::{STATES_DOCUMENT_TITLE, states_document};
pub use payment::PaymentFault;
pub use status::{Act, Ended, Ending, Facts, Party, Progress, Review, Stated, Status, may, open_acts, status};

use jiff::civil::Date;

use crate::campaign::Campaign;
use crate::document::{SignedDocument, SignedDocumentType};
use crate::ids::{CampaignId, CreditId, InvestmentId, InvestorId, OrganisationId, ProductId, WalletId};
use crate::instant::Instant;
use crate::instruction::InstructionNumber;
use crate::money::Money;
use crate::payable::{Explained, Payable, explained, payable_inputs};
use crate::product::Product;
use crate::refusal::Refusal;
use crate::units::Units;
use crate::wallet::EvmAddress;

/// The wallet an investment settles to, with its address, which never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssignedWallet {
    /// The wallet.
    pub id: WalletId,
    /// Its address.
    pub address: EvmAddress,
}

/// The newest credit of an investment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LatestCredit {
    /// The credit.
    pub id: CreditId,
    /// Whether it runs or has succeeded, so that no other may be ordered and the wallet stays.
    pub excludes_another: bool,
}

/// How an investment came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvestmentType {
    /// Bought in a campaign.
    Primary,
}

impl InvestmentType {
    /// The word on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Primary => "primary",
        }
    }
}

/// One purchase position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Investment {
    /// Its id; the token contract derives its key from it.
    pub id: InvestmentId,
    /// What is bought.
    pub product_id: ProductId,
    /// Where it is bought.
    pub campaign_id: CampaignId,
    /// The distribution platform of campaign and investor.
    pub platform_id: OrganisationId,
    /// The issuer-side organisation of the product.
    pub issuer_organisation_id: OrganisationId,
    /// Who buys.
    pub investor_id: InvestorId,
    /// Its number in the token contract's memory, for ever.
    pub number: InstructionNumber,
    /// How it came to be.
    pub investment_type: InvestmentType,
    /// Units bought.
    pub units: Units,
    /// Units still held: less after transfers and redemptions.
    pub remaining: Units,
    /// When the investor gave the binding confirmation.
    pub signed: Stated,
    /// The discount, where one is stated.
    pub disagio: Option<Money>,
    /// What is to be paid: as of creation or the newest disagio, and for good once the payment is stated.
    pub payable: Payable,
    /// Which terms of the product, and which rules, the amounts follow from.
    pub basis: PayableBasis,
    /// The wallet it settles to.
    pub wallet: Option<AssignedWallet>,
    /// What decides its status.
    pub facts: Facts,
    /// Its newest credit.
    pub latest_credit: Option<LatestCredit>,
    /// What was signed for it, in order of attachment.
    pub signed_documents: Vec<SignedDocument>,
    /// When it was created.
    pub created_at: Instant,
    /// When it last changed.
    pub updated_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}

/// What the amounts of an investment follow from, fixed when it is created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PayableBasis {
    /// The version of the product's terms.
    pub terms_version: u32,
    /// The version of the rules that computed the amounts.
    pub rule_version: u32,
    /// Whether interest may run up, so that the amounts depend on the day of the payment.
    pub bears_interest: bool,
}

impl Investment {
    /// The day on which the payment counts: that of the payment; of the end where none came; else today.
    #[must_use]
    pub fn value_date(&self, now: Instant) -> Date {
        let ended = self.facts.ended.map_or(now, |ended| ended.cancellation.at);
        self.facts.progress.paid().map_or(ended, |paid| paid.at).value_date()
    }

    /// Whether the amounts depend on the day and the day is not settled yet.
    #[must_use]
    pub const fn interest_is_running(&self) -> bool {
        self.basis.bears_interest && self.payment_is_provisional() && self.facts.ended.is_none()
    }

    /// The same investment with the amounts of today, where they depend on the day. After maturity they stay what they were
    /// last: a payment would be refused.
    #[must_use]
    pub fn of_today(mut self, campaign: &Campaign, product: &Product, now: Instant) -> Self {
        if self.interest_is_running()
            && let Ok(explained) = self.payable_on(campaign, product, now.value_date())
        {
            self.payable = explained.payable;
        }
        self
    }

    /// What is to be paid on a day, and how it comes about.
    ///
    /// # Errors
    /// Everything that stands against it: the product was paid back before that day, the amounts do not fit.
    pub fn payable_on<'a>(
        &self,
        campaign: &Campaign,
        product: &'a Product,
        value_date: Date,
    ) -> Result<Explained<'a>, Vec<Refusal>> {
        explained(&payable_inputs(campaign, product, self.units, self.disagio, value_date))
    }

    /// The status its facts amount to.
    #[must_use]
    pub const fn status(&self) -> Status {
        status(&self.facts)
    }

    /// Whether the amounts may still change: nothing is fixed before the payment is stated.
    #[must_use]
    pub const fn payment_is_provisional(&self) -> bool {
        self.facts.progress.paid().is_none()
    }

    /// The required signed documents that are not attached.
    #[must_use]
    pub fn missing_documents(&self) -> Vec<SignedDocumentType> {
        let attached = |kind: &SignedDocumentType| self.signed_documents.iter().any(|document| document.document_type == *kind);
        SignedDocumentType::ALL.into_iter().filter(|kind| !attached(kind)).collect()
    }

    /// The acts open to a party.
    pub fn allowed_acts(&self, party: Party) -> impl Iterator<Item = Act> {
        open_acts(self.status()).iter().copied().filter(move |act| act.parties().contains(&party))
    }
}
