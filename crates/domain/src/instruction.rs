//! Numbered orders to a token contract.

use std::fmt;

use crate::ids::{CreditId, InstructionId, InvestmentId, LedgerTransactionId, ProductId};
use crate::instant::Instant;
use crate::units::Units;
use crate::wallet::EvmAddress;

/// Bits of an instruction number that hold the sequence within the campaign.
pub const SEQUENCE_BITS: u32 = 40;

/// The number by which a token contract remembers that an order ran. An investment gets it when it is created and
/// keeps it for ever, so that a repeat is a no-op on the ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstructionNumber(u64);

impl InstructionNumber {
    /// Campaign index · 2^40 + sequence in the campaign; `None` where either is out of range.
    #[must_use]
    pub fn of(campaign_index: u32, sequence: u64) -> Option<Self> {
        let in_range = campaign_index < (1 << (63 - SEQUENCE_BITS)) && sequence < (1 << SEQUENCE_BITS);
        in_range.then(|| Self((u64::from(campaign_index) << SEQUENCE_BITS) | sequence))
    }

    /// The campaign's index and the sequence in the campaign.
    #[must_use]
    pub const fn parts(self) -> (u64, u64) {
        (self.0 >> SEQUENCE_BITS, self.0 & ((1 << SEQUENCE_BITS) - 1))
    }

    /// Whether a campaign can ever give this number; others can only be somebody else's.
    #[must_use]
    pub const fn is_of_a_campaign(self) -> bool {
        self.0 < (1 << 63)
    }

    /// A number read back from storage or the ledger.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for InstructionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an instruction stands on its way to the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstructionState {
    /// Waits to be put into a ledger transaction.
    Queued,
    /// Is in its only live ledger transaction.
    Bound(LedgerTransactionId),
    /// The judge has spoken.
    Judged,
}

/// One order to issue the units of an investment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// Its id.
    pub id: InstructionId,
    /// The credit it serves.
    pub credit_id: CreditId,
    /// The product whose token contract it orders.
    pub product_id: ProductId,
    /// The investment, from which the contract derives the key.
    pub investment_id: InvestmentId,
    /// Its number in the contract's memory.
    pub number: InstructionNumber,
    /// Who receives the units.
    pub account: EvmAddress,
    /// How many.
    pub units: Units,
    /// Where it stands.
    pub state: InstructionState,
    /// When it was ordered: the register follows this order (eWpG § 18(3)).
    pub created_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_two_campaigns_never_meet() {
        assert_eq!(InstructionNumber::of(1, 1).unwrap().get(), (1 << 40) + 1);
        let last_of_first = InstructionNumber::of(1, (1 << 40) - 1).unwrap();
        assert!(last_of_first < InstructionNumber::of(2, 0).unwrap());
        assert_eq!(InstructionNumber::of(1, 1 << 40), None);
        assert_eq!(InstructionNumber::of(1 << 23, 0), None);
        let greatest = InstructionNumber::of((1 << 23) - 1, (1 << 40) - 1).unwrap();
        assert!(greatest.is_of_a_campaign() && !InstructionNumber::new(greatest.get() + 1).is_of_a_campaign());
    }
}
