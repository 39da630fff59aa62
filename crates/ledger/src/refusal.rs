//! What the error texts of EVM nodes mean.

/// Why a node did not take a transaction. No refusal is terminal for an instruction: only the judge ends one.
///
/// The texts are those of geth, anvil, Nethermind, Besu and Erigon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendRefusal {
    /// The node has these bytes already: as good as sent.
    AlreadyKnown,
    /// The nonce is used, by this or another transaction.
    NonceTooLow,
    /// The nonce is further ahead than the node keeps.
    NonceTooHigh,
    /// A transaction with this nonce waits and the new fees are not enough above its own.
    ReplacementUnderpriced,
    /// The fees are below the node's minimum or the block's base fee.
    Underpriced,
    /// The sender cannot pay gas and value.
    InsufficientFunds,
    /// The node's pool or the account's share of it is full.
    PoolFull,
    /// The gas limit is below the intrinsic cost, above the block's limit or above the cap of one transaction.
    GasLimit,
    /// Too many bytes.
    Oversized,
    /// Signed for another chain.
    WrongChain,
    /// The signature or the bytes are not those of a transaction that the node accepts.
    Malformed,
    /// A text that this table does not know: try again later.
    Unknown,
}

impl SendRefusal {
    /// Reads a node's error text.
    #[must_use]
    pub fn classify(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        TABLE.iter().find(|(part, _)| text.contains(part)).map_or(Self::Unknown, |(_, refusal)| *refusal)
    }

    /// True where the node holds these very bytes, so that there is nothing to repeat.
    #[must_use]
    pub const fn counts_as_sent(self) -> bool {
        matches!(self, Self::AlreadyKnown)
    }
}

/// The first matching line decides, so the more special text stands first.
const TABLE: &[(&str, SendRefusal)] = &[
    ("already known", SendRefusal::AlreadyKnown),
    ("transaction already imported", SendRefusal::AlreadyKnown),
    ("same hash was already imported", SendRefusal::AlreadyKnown),
    ("alreadyknown", SendRefusal::AlreadyKnown),
    ("known transaction", SendRefusal::AlreadyKnown),
    ("nonce too low", SendRefusal::NonceTooLow),
    ("oldnonce", SendRefusal::NonceTooLow),
    ("nonce too high", SendRefusal::NonceTooHigh),
    ("nonce too distant", SendRefusal::NonceTooHigh),
    ("noncegap", SendRefusal::NonceTooHigh),
    ("replacement transaction underpriced", SendRefusal::ReplacementUnderpriced),
    ("could not replace", SendRefusal::ReplacementUnderpriced),
    ("replacementnotallowed", SendRefusal::ReplacementUnderpriced),
    ("underpriced", SendRefusal::Underpriced),
    ("max fee per gas less than block base fee", SendRefusal::Underpriced),
    ("fee cap less than block base fee", SendRefusal::Underpriced),
    ("feetoolow", SendRefusal::Underpriced),
    ("gas price below", SendRefusal::Underpriced),
    ("insufficient funds", SendRefusal::InsufficientFunds),
    ("insufficient balance", SendRefusal::InsufficientFunds),
    ("insufficientfunds", SendRefusal::InsufficientFunds),
    ("txpool is full", SendRefusal::PoolFull),
    ("account limit exceeded", SendRefusal::PoolFull),
    ("already reserved", SendRefusal::PoolFull),
    ("intrinsic gas too low", SendRefusal::GasLimit),
    ("exceeds block gas limit", SendRefusal::GasLimit),
    ("gas limit too high", SendRefusal::GasLimit),
    ("greater than the cap", SendRefusal::GasLimit),
    ("gas required exceeds", SendRefusal::GasLimit),
    ("floor data gas", SendRefusal::GasLimit),
    ("oversized data", SendRefusal::Oversized),
    ("max initcode size exceeded", SendRefusal::Oversized),
    ("invalid chain id", SendRefusal::WrongChain),
    ("chain id mismatch", SendRefusal::WrongChain),
    ("invalid sender", SendRefusal::Malformed),
    ("invalid signature", SendRefusal::Malformed),
    ("transaction type not supported", SendRefusal::Malformed),
    ("failed to decode", SendRefusal::Malformed),
    ("max priority fee per gas higher than max fee per gas", SendRefusal::Malformed),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("already known", SendRefusal::AlreadyKnown)]
    #[case("transaction already imported", SendRefusal::AlreadyKnown)]
    #[case("Transaction with the same hash was already imported.", SendRefusal::AlreadyKnown)]
    #[case("nonce too low: next nonce 5, tx nonce 4", SendRefusal::NonceTooLow)]
    #[case("replacement transaction underpriced", SendRefusal::ReplacementUnderpriced)]
    #[case("transaction underpriced: tip needed 1, tip permitted 0", SendRefusal::Underpriced)]
    #[case("max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7", SendRefusal::Underpriced)]
    #[case("insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1", SendRefusal::InsufficientFunds)]
    #[case("txpool is full", SendRefusal::PoolFull)]
    #[case("account limit exceeded", SendRefusal::PoolFull)]
    #[case("address already reserved", SendRefusal::PoolFull)]
    #[case("oversized data: transaction size 131073, limit 131072", SendRefusal::Oversized)]
    #[case("exceeds block gas limit", SendRefusal::GasLimit)]
    #[case("intrinsic gas too low: gas 20999, minimum needed 21000", SendRefusal::GasLimit)]
    #[case("invalid sender: invalid chain id for signer: have 1 want 2", SendRefusal::WrongChain)]
    #[case("the moon is full", SendRefusal::Unknown)]
    fn l01_l02_l03_l04_l05_texts_are_classified(#[case] text: &str, #[case] expected: SendRefusal) {
        assert_eq!(SendRefusal::classify(text), expected);
    }

    #[test]
    fn only_known_bytes_count_as_sent() {
        assert!(SendRefusal::AlreadyKnown.counts_as_sent());
        assert!(!SendRefusal::NonceTooLow.counts_as_sent());
        assert!(!SendRefusal::Unknown.counts_as_sent());
    }
}
