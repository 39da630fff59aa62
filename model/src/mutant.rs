//! Mistakes that the exploration must find.

/// A mistake, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// A credit fails once its validity is over by the program's own clock.
    TimeOutFails,
    /// The contract does not remember numbers.
    NoNumberOnLedger,
    /// The judge is asked about the newest block instead of the final one.
    JudgedAtInclusion,
    /// A skip is believed before its block is final.
    SkipBelievedEarly,
    /// A used nonce without an effect in a final block counts as failure.
    UsedNonceFails,
    /// A ledger transaction is sent before anything about it is committed.
    SentBeforeStored,
    /// After a restore, work goes on at once.
    NoQuarantine,
    /// After a restore, numbers are given again.
    NumbersGivenAgain,
    /// The contract carries out what comes after its validity.
    NoExpiry,
    /// Whoever signs a slot anew gives it a new validity, and the row keeps the old one.
    ValidityNotStored,
    /// The next nonce is what the node says instead of what the database reserved.
    NonceFromNode,
    /// Records of a worker whose lane was taken over are made all the same.
    NoFencing,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::TimeOutFails,
        Self::NoNumberOnLedger,
        Self::JudgedAtInclusion,
        Self::SkipBelievedEarly,
        Self::UsedNonceFails,
        Self::SentBeforeStored,
        Self::NoQuarantine,
        Self::NumbersGivenAgain,
        Self::NoExpiry,
        Self::ValidityNotStored,
        Self::NonceFromNode,
        Self::NoFencing,
    ];
}
