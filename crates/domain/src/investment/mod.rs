//! The investment: one purchase position, as facts.

mod decide;
mod matrix;
mod status;

pub use decide::{Order, Statement};
pub use matrix::{STATES_DOCUMENT_TITLE, states_document};
pub use status::{Act, Ended, Ending, Facts, Party, Progress, Review, Stated, Status, may, open_acts, status};

use crate::document::{SignedDocument, SignedDocumentType};
use crate::ids::{CampaignId, CreditId, InvestmentId, InvestorId, OrganisationId, ProductId, WalletId};
use crate::instant::Instant;
use crate::instruction::InstructionNumber;
use crate::money::Money;
use crate::payable::Payable;
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
    /// What is to be paid.
    pub payable: Payable,
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

impl Investment {
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
