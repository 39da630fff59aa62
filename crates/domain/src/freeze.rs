//! Products whose credits rest, because their register and their ledger differ.

use crate::instant::Instant;

/// What differs between a product's register and its ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Difference {
    /// The ledger's records do not fold to its contract's running hash.
    RecordsDoNotFold,
    /// The ledger carried out an order that the register never gave.
    ForeignOrder,
    /// The ledger carried an order out otherwise than the register gave it.
    OtherOrder,
    /// The units that the ledger issued, or that are outstanding there, are not those that the register delivered.
    Units,
}

impl Difference {
    /// Every difference.
    pub const ALL: [Self; 4] = [Self::RecordsDoNotFold, Self::ForeignOrder, Self::OtherOrder, Self::Units];

    /// The word used in storage and in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RecordsDoNotFold => "records_do_not_fold",
            Self::ForeignOrder => "foreign_order",
            Self::OtherOrder => "other_order",
            Self::Units => "units",
        }
    }

    /// The difference a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|difference| difference.code() == code)
    }
}

/// Why and since when no credit of a product is ordered, and none that waits is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Freeze {
    /// When it was recorded.
    pub since: Instant,
    /// The finalized block at which the difference was seen.
    pub block_number: u64,
    /// What differs.
    pub difference: Difference,
    /// The same with its figures, for a person.
    pub detail: String,
    /// Whether an operator asked that credits go on. The ledger's worker compares again before they do.
    pub is_release_asked: bool,
}
