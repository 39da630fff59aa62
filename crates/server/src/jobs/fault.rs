//! Why ledger work stops: for a moment, for one product alone, or until a person has looked.

use domain::ids::ProductId;
use domain::network::NetworkName;
use ledger::contract::ContractError;
use ledger::pin::PinFault;
use ledger::signer::SigningError;
use ledger::transaction::SignerError;
use ledger::{Address, ChainError};
use store::StoreError;

use crate::desk::{DeskError, ProgramFault};

/// Why a round of ledger work stopped. Nothing is lost: the next round goes on from what is stored.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The desk did not take a record.
    #[error(transparent)]
    Program(#[from] ProgramFault),
    /// The chain did not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The contract answered unexpectedly.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// There is no signature.
    #[error(transparent)]
    Signer(SignerError),
    /// The signing policy refuses what was to be signed. The device was not asked.
    #[error(transparent)]
    Policy(SigningError),
    /// Stored bytes are not a signed transaction.
    #[error("stored bytes are not a signed ledger transaction")]
    UnreadableAttempt,
    /// The work on one product panicked.
    #[error("the work on product {0} panicked")]
    Panicked(ProductId),
    /// A batch does not fit one transaction.
    #[error("a batch does not fit one ledger transaction")]
    BatchTooLarge,
    /// What lies at a contract's address is not the contract.
    #[error("unexpected code at {0}")]
    UnexpectedCode(Address),
    /// The network is not the one that was pinned.
    #[error("the network is not the one that was pinned: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    OtherNetwork(Vec<PinFault>),
    /// The configured key is not the registrar of the network's tokens.
    #[error("the tokens take instructions from {pinned}, the configured key is that of {own}")]
    OtherRegistrar {
        /// Of the tokens.
        pinned: Address,
        /// Of the key.
        own: Address,
    },
    /// What was remembered of the network cannot be read.
    #[error("the network's pin in the database cannot be read")]
    UnreadablePin,
    /// What was remembered of a restart or a quarantine cannot be read.
    #[error("{0} cannot be read")]
    UnreadableRecovery(&'static str),
    /// The network has no factory yet.
    #[error("network {0} has no factory yet: `scrip ledger init --network {0}` deploys it")]
    NotInitialised(NetworkName),
    /// Gas costs more than the operator pays.
    #[error("gas costs at least {needed_per_gas_wei} wei, at most {ceiling_per_gas_wei} are paid: the queue waits")]
    FeesAboveCeiling {
        /// What a block would take at least.
        needed_per_gas_wei: u128,
        /// The operator's ceiling.
        ceiling_per_gas_wei: u128,
    },
    /// Another process took the signer's lane over. Nothing was written.
    #[error("another process took the lane over")]
    LaneLost,
    /// The background thread that reads the database ended.
    #[error("a read was cut off")]
    Cut,
}

impl From<SigningError> for LedgerFault {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Signer(error) => Self::Signer(error),
            SigningError::Refused(_) => Self::Policy(error),
        }
    }
}

impl LedgerFault {
    /// Whether nothing is signed until a person has looked, however often it is tried.
    #[must_use]
    pub const fn halts(&self) -> bool {
        match self {
            Self::UnexpectedCode(_)
            | Self::OtherNetwork(_)
            | Self::OtherRegistrar { .. }
            | Self::UnreadablePin
            | Self::UnreadableRecovery(_)
            | Self::NotInitialised(_)
            | Self::Chain(ChainError::ForeignChain { .. } | ChainError::FinalityBroken { .. })
            | Self::Contract(ContractError::Chain(ChainError::ForeignChain { .. } | ChainError::FinalityBroken { .. })) => true,
            Self::Store(_)
            | Self::Program(_)
            | Self::Chain(_)
            | Self::Contract(_)
            | Self::Signer(_)
            | Self::Policy(_)
            | Self::BatchTooLarge
            | Self::UnreadableAttempt
            | Self::Panicked(_)
            | Self::FeesAboveCeiling { .. }
            | Self::LaneLost
            | Self::Cut => false,
        }
    }
}

/// How much of the work a fault stops, from one instruction to everything on the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// It can lie in one instruction alone.
    Instruction,
    /// It lies in what is known or done of one product. What a node says of a batch belongs here: the contract skips what it
    /// cannot apply, so a refused call or a senseless answer blames no instruction, and leaving one alone for it would let
    /// later ones overtake it.
    Product,
    /// It concerns all products.
    Network,
}

impl LedgerFault {
    /// How much of the work the fault stops.
    pub(super) const fn reach(&self) -> Reach {
        match self {
            Self::Program(ProgramFault::Refused(_) | ProgramFault::Desk(DeskError::Failed))
            | Self::Contract(ContractError::Pack(_) | ContractError::Cap(_))
            | Self::Policy(_)
            | Self::BatchTooLarge
            | Self::Panicked(_) => Reach::Instruction,
            Self::Contract(
                ContractError::Reverted(_)
                | ContractError::Malformed(_)
                | ContractError::LogsDoNotFold { .. }
                | ContractError::Chain(ChainError::Invalid(_)),
            )
            | Self::UnexpectedCode(_)
            | Self::UnreadableAttempt => Reach::Product,
            Self::Program(_)
            | Self::Contract(_)
            | Self::Store(_)
            | Self::Chain(_)
            | Self::Signer(_)
            | Self::OtherNetwork(_)
            | Self::OtherRegistrar { .. }
            | Self::UnreadablePin
            | Self::UnreadableRecovery(_)
            | Self::NotInitialised(_)
            | Self::FeesAboveCeiling { .. }
            | Self::LaneLost
            | Self::Cut => Reach::Network,
        }
    }

    /// Whether other work may go on.
    pub(super) const fn is_contained(&self) -> bool {
        match self.reach() {
            Reach::Instruction | Reach::Product => true,
            Reach::Network => false,
        }
    }
}
