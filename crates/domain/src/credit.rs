//! Credits: the task that issues an investment's units to its wallet.

use crate::ids::{CreditId, InvestmentId, InvestorId, OrganisationId, ProductId};
use crate::instant::Instant;
use crate::instruction::InstructionNumber;
use crate::units::Units;
use crate::wallet::EvmAddress;

/// Why a credit can never change the ledger any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CreditFailure {
    /// The contract refused the wallet: it is blocked.
    AccountBlocked,
    /// The contract refused the address: nobody may hold units there.
    AddressForbidden,
    /// The contract refused: the product's cap would be passed.
    CapExceeded,
    /// The contract refused the item for another reason.
    RefusedByContract,
    /// The validity of every ledger transaction that held it has passed on the ledger without it being applied.
    Expired,
}

impl CreditFailure {
    /// Every failure.
    pub const ALL: [Self; 5] =
        [Self::AccountBlocked, Self::AddressForbidden, Self::CapExceeded, Self::RefusedByContract, Self::Expired];

    /// The stable code on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AccountBlocked => "account_blocked",
            Self::AddressForbidden => "address_forbidden",
            Self::CapExceeded => "cap_exceeded",
            Self::RefusedByContract => "refused_by_contract",
            Self::Expired => "expired",
        }
    }

    /// The failure a code names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.code() == code)
    }

    /// What happened, for the person who reads the credit.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::AccountBlocked => "The issuance could not be executed on the ledger: the wallet is blocked.",
            Self::AddressForbidden => "The issuance could not be executed on the ledger: no units can be held at this address.",
            Self::CapExceeded => "The issuance could not be executed on the ledger: the product's cap would be exceeded.",
            Self::RefusedByContract => "The issuance could not be executed on the ledger: the token contract refused it.",
            Self::Expired => "The issuance was not executed on the ledger before its validity ended.",
        }
    }
}

/// Where a credit stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreditState {
    /// Being executed.
    Processing,
    /// The units are in the wallet, finally.
    Succeeded {
        /// The ledger transaction's hash.
        transaction_hash: [u8; 32],
        /// The block that holds it.
        block_number: u64,
        /// When the verdict was recorded.
        finished_at: Instant,
    },
    /// It can never change the ledger any more.
    Failed {
        /// Why.
        failure: CreditFailure,
        /// When the verdict was recorded.
        finished_at: Instant,
    },
}

impl CreditState {
    /// The guide's status code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether a further credit of the same investment is refused: this one runs, or has done the work.
    #[must_use]
    pub const fn excludes_another(self) -> bool {
        match self {
            Self::Processing | Self::Succeeded { .. } => true,
            Self::Failed { .. } => false,
        }
    }
}

/// One credit of one investment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit {
    /// Its id.
    pub id: CreditId,
    /// The investment.
    pub investment_id: InvestmentId,
    /// Its product.
    pub product_id: ProductId,
    /// The platform of the investment.
    pub platform_id: OrganisationId,
    /// Whose investment it is.
    pub investor_id: InvestorId,
    /// The investment's instruction number.
    pub number: InstructionNumber,
    /// Units to issue.
    pub units: Units,
    /// The address, copied from the wallet when the credit was ordered.
    pub address: EvmAddress,
    /// Where it stands.
    pub state: CreditState,
    /// When it was ordered.
    pub created_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}
