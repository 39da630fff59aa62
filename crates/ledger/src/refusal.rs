//! What the error texts of EVM nodes mean.

use crate::chain::ChainError;
use crate::types::TxHash;

/// Why a node did not take a transaction. No refusal is terminal for an instruction: only the judge ends one.
///
/// The texts are those of geth, anvil, Nethermind, Erigon, Besu and reth.
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
    /// The fees are below the node's minimum.
    Underpriced,
    /// The fees are below the next block's base fee.
    FeeCapBelowBaseFee,
    /// The node's operator forbids fees as high as these.
    AboveNodeFeeCap,
    /// The sender cannot pay gas and value.
    InsufficientFunds,
    /// The node's pool is full.
    PoolFull,
    /// The account's share of the node's pool is full.
    AccountLimit,
    /// The gas limit is below what the transaction costs before it runs.
    IntrinsicGas,
    /// The gas limit is above the block's limit or above the cap of one transaction.
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

/// What follows from the answer to a send. None of it ends an instruction, and none of it allows another nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendOutcome {
    /// A node holds the bytes: wait for a block.
    Held,
    /// The nonce is used, perhaps by these very bytes: look at the contract and at every attempt's hash.
    NonceUsed,
    /// An attempt at the same nonce has to offer more, up to the policy's ceiling; until then the same bytes again.
    RaiseFees,
    /// The account has to be topped up: tell somebody, and send the same bytes again.
    TopUp,
    /// The same bytes again, later.
    Later,
    /// The node never takes these bytes as they are: tell somebody. Another node may hold them all the same.
    Inspect,
    /// No answer: the bytes may have been taken. Send them again.
    Unanswered,
}

impl SendOutcome {
    /// What follows from an answer of [`crate::Chain::send`].
    #[must_use]
    pub const fn of(answer: &Result<TxHash, ChainError>) -> Self {
        match answer {
            Ok(_) => Self::Held,
            Err(ChainError::Refused { refusal, .. }) => refusal.outcome(),
            Err(ChainError::ForeignChain { .. } | ChainError::FinalityBroken { .. } | ChainError::Invalid(_)) => Self::Inspect,
            Err(
                ChainError::Unreachable(_)
                | ChainError::Disagreement(_)
                | ChainError::StateNotHeld(_)
                | ChainError::Storage(_)
                | ChainError::SyncFailed(_),
            ) => Self::Unanswered,
        }
    }
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

    /// What follows from it.
    #[must_use]
    pub const fn outcome(self) -> SendOutcome {
        match self {
            Self::AlreadyKnown => SendOutcome::Held,
            Self::NonceTooLow => SendOutcome::NonceUsed,
            Self::ReplacementUnderpriced | Self::Underpriced | Self::FeeCapBelowBaseFee => SendOutcome::RaiseFees,
            Self::InsufficientFunds => SendOutcome::TopUp,
            Self::NonceTooHigh | Self::PoolFull | Self::AccountLimit | Self::Unknown => SendOutcome::Later,
            Self::AboveNodeFeeCap
            | Self::IntrinsicGas
            | Self::GasLimit
            | Self::Oversized
            | Self::WrongChain
            | Self::Malformed => SendOutcome::Inspect,
        }
    }
}

/// The first matching line decides, so the more special text stands first.
const TABLE: &[(&str, SendRefusal)] = &[
    ("already known", SendRefusal::AlreadyKnown),
    ("already imported", SendRefusal::AlreadyKnown),
    ("alreadyknown", SendRefusal::AlreadyKnown),
    ("known transaction", SendRefusal::AlreadyKnown),
    ("existing tx with same hash", SendRefusal::AlreadyKnown),
    ("nonce too low", SendRefusal::NonceTooLow),
    ("nonce is too low", SendRefusal::NonceTooLow),
    ("oldnonce", SendRefusal::NonceTooLow),
    ("nonce too high", SendRefusal::NonceTooHigh),
    ("nonce too far", SendRefusal::NonceTooHigh),
    ("too distant", SendRefusal::NonceTooHigh),
    ("noncegap", SendRefusal::NonceTooHigh),
    ("noncetoofarinfuture", SendRefusal::NonceTooHigh),
    ("gapped-nonce", SendRefusal::NonceTooHigh),
    ("lower nonce invalid transaction exists", SendRefusal::NonceTooHigh),
    ("replacement transaction underpriced", SendRefusal::ReplacementUnderpriced),
    ("transaction replacement underpriced", SendRefusal::ReplacementUnderpriced),
    ("insufficient gas price to replace", SendRefusal::ReplacementUnderpriced),
    ("could not replace", SendRefusal::ReplacementUnderpriced),
    ("replacementnotallowed", SendRefusal::ReplacementUnderpriced),
    ("replaced by transaction with higher tip", SendRefusal::ReplacementUnderpriced),
    ("future transaction tries to replace pending", SendRefusal::AccountLimit),
    ("less than block base fee", SendRefusal::FeeCapBelowBaseFee),
    ("below the current base fee", SendRefusal::FeeCapBelowBaseFee),
    ("max priority fee per gas higher than max fee per gas", SendRefusal::Malformed),
    ("underpriced", SendRefusal::Underpriced),
    ("fee too low", SendRefusal::Underpriced),
    ("feetoolowtocompete", SendRefusal::PoolFull),
    ("feetoolow", SendRefusal::Underpriced),
    ("gas price below", SendRefusal::Underpriced),
    ("gas price supplied is too low", SendRefusal::Underpriced),
    ("exceeds the configured cap", SendRefusal::AboveNodeFeeCap),
    ("transaction fee cap exceeded", SendRefusal::AboveNodeFeeCap),
    ("insufficient funds", SendRefusal::InsufficientFunds),
    ("insufficient balance", SendRefusal::InsufficientFunds),
    ("insufficientfunds", SendRefusal::InsufficientFunds),
    ("upfront cost exceeds account balance", SendRefusal::InsufficientFunds),
    ("account limit exceeded", SendRefusal::AccountLimit),
    ("already reserved", SendRefusal::AccountLimit),
    ("inflight transaction limit", SendRefusal::AccountLimit),
    ("pendingtxsofothertype", SendRefusal::AccountLimit),
    ("txpool is full", SendRefusal::PoolFull),
    ("pool is full", SendRefusal::PoolFull),
    ("pool limit exceeded", SendRefusal::PoolFull),
    ("too many transactions in the queue", SendRefusal::PoolFull),
    // anvil says "too high" where a limit is too low.
    ("callgascostmorethangaslimit", SendRefusal::IntrinsicGas),
    ("gasfloormorethangaslimit", SendRefusal::IntrinsicGas),
    ("intrinsic gas too high", SendRefusal::GasLimit),
    ("intrinsic gas", SendRefusal::IntrinsicGas),
    ("floor data gas", SendRefusal::IntrinsicGas),
    ("gas floor", SendRefusal::IntrinsicGas),
    ("exceeds block gas limit", SendRefusal::GasLimit),
    ("gaslimitexceeded", SendRefusal::GasLimit),
    ("gas limit too high", SendRefusal::GasLimit),
    ("gas limit is too high", SendRefusal::GasLimit),
    ("greater than the cap", SendRefusal::GasLimit),
    ("gas required exceeds", SendRefusal::GasLimit),
    ("oversized data", SendRefusal::Oversized),
    ("maxtxsizeexceeded", SendRefusal::Oversized),
    ("initcode size", SendRefusal::Oversized),
    ("initcode too large", SendRefusal::Oversized),
    ("chain id", SendRefusal::WrongChain),
    ("chainid", SendRefusal::WrongChain),
    ("invalid sender", SendRefusal::Malformed),
    ("failedtoresolvesender", SendRefusal::Malformed),
    ("invalid signature", SendRefusal::Malformed),
    ("type not supported", SendRefusal::Malformed),
    ("notsupportedtxtype", SendRefusal::Malformed),
    ("failed to decode", SendRefusal::Malformed),
    ("rlp:", SendRefusal::Malformed),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    // geth
    #[case("already known", SendRefusal::AlreadyKnown)]
    #[case("nonce too low: next nonce 5, tx nonce 4", SendRefusal::NonceTooLow)]
    #[case("nonce too high: address 0x00, tx: 9 state: 1", SendRefusal::NonceTooHigh)]
    #[case("gapped-nonce tx from delegated accounts", SendRefusal::NonceTooHigh)]
    #[case("replacement transaction underpriced", SendRefusal::ReplacementUnderpriced)]
    #[case("transaction underpriced", SendRefusal::Underpriced)]
    #[case("transaction underpriced: tip needed 1, tip permitted 0", SendRefusal::Underpriced)]
    #[case(
        "max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7",
        SendRefusal::FeeCapBelowBaseFee
    )]
    #[case("max priority fee per gas higher than max fee per gas: address 0x00", SendRefusal::Malformed)]
    #[case("tx fee (2.00 ether) exceeds the configured cap (1.00 ether)", SendRefusal::AboveNodeFeeCap)]
    #[case("insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1", SendRefusal::InsufficientFunds)]
    #[case("txpool is full", SendRefusal::PoolFull)]
    #[case("account limit exceeded: pooled 16 txs", SendRefusal::AccountLimit)]
    #[case("address already reserved", SendRefusal::AccountLimit)]
    #[case("inflight transaction limit reached for delegated accounts", SendRefusal::AccountLimit)]
    #[case("future transaction tries to replace pending", SendRefusal::AccountLimit)]
    #[case("intrinsic gas too low: gas 20999, minimum needed 21000", SendRefusal::IntrinsicGas)]
    #[case("insufficient gas for floor data gas cost: gas 21000, minimum needed 30000", SendRefusal::IntrinsicGas)]
    #[case("exceeds block gas limit", SendRefusal::GasLimit)]
    #[case("transaction gas limit too high (cap: 16777216, tx: 16777217)", SendRefusal::GasLimit)]
    #[case("oversized data: transaction size 131073, limit 131072", SendRefusal::Oversized)]
    #[case("max initcode size exceeded: code size 49153, limit 49152", SendRefusal::Oversized)]
    #[case("invalid sender: invalid chain id for signer: have 1 want 2", SendRefusal::WrongChain)]
    #[case("invalid sender", SendRefusal::Malformed)]
    #[case("transaction type not supported", SendRefusal::Malformed)]
    #[case("rlp: element is larger than containing list", SendRefusal::Malformed)]
    // anvil
    #[case("transaction already imported", SendRefusal::AlreadyKnown)]
    #[case("nonce too low", SendRefusal::NonceTooLow)]
    #[case("Insufficient funds for gas * price + value", SendRefusal::InsufficientFunds)]
    #[case("max fee per gas less than block base fee", SendRefusal::FeeCapBelowBaseFee)]
    #[case("intrinsic gas too low", SendRefusal::IntrinsicGas)]
    #[case("intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", SendRefusal::GasLimit)]
    #[case("intrinsic gas too high -- CallGasCostMoreThanGasLimit", SendRefusal::IntrinsicGas)]
    #[case("intrinsic gas too high -- GasFloorMoreThanGasLimit", SendRefusal::IntrinsicGas)]
    #[case("Out of gas: gas required exceeds allowance: 0", SendRefusal::GasLimit)]
    #[case("Failed to decode transaction", SendRefusal::Malformed)]
    // Nethermind
    #[case("AlreadyKnown", SendRefusal::AlreadyKnown)]
    #[case("OldNonce, Current nonce: 5, nonce of rejected tx: 4", SendRefusal::NonceTooLow)]
    #[case("NonceGap, Future nonce. Expected nonce: 5", SendRefusal::NonceTooHigh)]
    #[case("ReplacementNotAllowed", SendRefusal::ReplacementUnderpriced)]
    #[case("FeeTooLow, MaxFeePerGas too low", SendRefusal::Underpriced)]
    #[case("InsufficientFunds, Account balance: 0, cumulative cost: 1", SendRefusal::InsufficientFunds)]
    #[case("GasLimitExceeded, Gas limit: 1, gas limit of rejected tx: 2", SendRefusal::GasLimit)]
    #[case("MaxTxSizeExceeded", SendRefusal::Oversized)]
    #[case("FailedToResolveSender", SendRefusal::Malformed)]
    // Erigon
    #[case("existing tx with same hash", SendRefusal::AlreadyKnown)]
    #[case("could not replace existing tx", SendRefusal::ReplacementUnderpriced)]
    #[case("fee too low", SendRefusal::Underpriced)]
    #[case("pending sub-pool is full", SendRefusal::PoolFull)]
    #[case("gas limit is too high", SendRefusal::GasLimit)]
    #[case("initcode too large", SendRefusal::Oversized)]
    // Besu
    #[case("Known transaction", SendRefusal::AlreadyKnown)]
    #[case("Nonce too low", SendRefusal::NonceTooLow)]
    #[case("Transaction nonce is too distant from current sender nonce", SendRefusal::NonceTooHigh)]
    #[case("Lower nonce invalid transaction exists", SendRefusal::NonceTooHigh)]
    #[case("Replacement transaction underpriced", SendRefusal::ReplacementUnderpriced)]
    #[case("Gas price below configured minimum gas price", SendRefusal::Underpriced)]
    #[case("Transaction fee cap exceeded", SendRefusal::AboveNodeFeeCap)]
    #[case("Upfront cost exceeds account balance", SendRefusal::InsufficientFunds)]
    #[case("Intrinsic gas exceeds gas limit", SendRefusal::IntrinsicGas)]
    #[case("Transaction gas limit exceeds block gas limit", SendRefusal::GasLimit)]
    #[case("Wrong chainId", SendRefusal::WrongChain)]
    // OpenEthereum's words, which some networks still answer
    #[case("Transaction with the same hash was already imported.", SendRefusal::AlreadyKnown)]
    #[case("Transaction nonce is too low. Try incrementing the nonce.", SendRefusal::NonceTooLow)]
    #[case("There are too many transactions in the queue.", SendRefusal::PoolFull)]
    // Nobody's
    #[case("the moon is full", SendRefusal::Unknown)]
    #[case("", SendRefusal::Unknown)]
    fn l01_l02_l03_l04_l05_texts_are_classified(#[case] text: &str, #[case] expected: SendRefusal) {
        assert_eq!(SendRefusal::classify(text), expected);
    }

    #[rstest]
    #[case("already known", SendOutcome::Held)]
    #[case("nonce too low", SendOutcome::NonceUsed)]
    #[case("replacement transaction underpriced", SendOutcome::RaiseFees)]
    #[case("transaction underpriced", SendOutcome::RaiseFees)]
    #[case("max fee per gas less than block base fee", SendOutcome::RaiseFees)]
    #[case("insufficient funds for gas * price + value", SendOutcome::TopUp)]
    #[case("txpool is full", SendOutcome::Later)]
    #[case("account limit exceeded", SendOutcome::Later)]
    #[case("nonce too high", SendOutcome::Later)]
    #[case("the moon is full", SendOutcome::Later)]
    #[case("exceeds block gas limit", SendOutcome::Inspect)]
    #[case("intrinsic gas too low", SendOutcome::Inspect)]
    #[case("tx fee (2.00 ether) exceeds the configured cap (1.00 ether)", SendOutcome::Inspect)]
    #[case("oversized data", SendOutcome::Inspect)]
    #[case("invalid chain id", SendOutcome::Inspect)]
    #[case("invalid sender", SendOutcome::Inspect)]
    fn l01_l02_l03_l04_l05_every_refusal_says_what_follows_and_none_is_an_end(#[case] text: &str, #[case] expected: SendOutcome) {
        let refusal = SendRefusal::classify(text);
        assert_eq!(SendOutcome::of(&Err(ChainError::Refused { refusal, text: text.to_owned() })), expected);
        assert_eq!(refusal.counts_as_sent(), expected == SendOutcome::Held);
    }

    #[test]
    fn l01_no_answer_is_sent_again() {
        assert_eq!(SendOutcome::of(&Ok(TxHash([1; 32]))), SendOutcome::Held);
        assert_eq!(SendOutcome::of(&Err(ChainError::Unreachable("time out".to_owned()))), SendOutcome::Unanswered);
    }
}
