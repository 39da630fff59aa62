//! The registrar's numbered instructions: their packed form, their outcomes, and the running hash over them.
//!
//! The numbers are those of `contracts/src/Instruction.sol`.

use crate::types::{Address, B256};
use alloy::primitives::{Keccak256, U256, keccak256};

/// Bytes of one packed item.
pub const ITEM_BYTES: usize = 77;

/// Bytes of one record: the item, then its outcome.
pub const RECORD_BYTES: usize = 78;

/// Most units that one instruction can carry (uint96).
pub const UNITS_MAX: u128 = (1 << 96) - 1;

const KEY_TAG: &[u8; 20] = b"scrip.instruction.v1";

/// What an instruction orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// New units for the account, which is registered where it is unknown.
    Issue,
    /// Takes issued units back as if they had not been issued.
    Withdraw,
    /// Ends units that were issued rightly.
    Redeem,
    /// Moves units from the account to the counterparty.
    ForcedTransfer,
    /// Puts the counterparty in the place of a lost wallet.
    Recover,
    /// Blocks the account.
    Block,
    /// Lifts a block.
    Unblock,
    /// Freezes units of the account.
    Freeze,
    /// Lifts the freeze of units.
    Unfreeze,
    /// Registers the account.
    Register,
    /// Lets the account receive (1 unit) or not (0 units).
    SetReceiving,
    /// A number that this program does not know.
    Unknown(u8),
}

/// Why an instruction was skipped. It had no effect, and its number stays free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// An account that units would reach, or that is to be registered, is blocked.
    BlockedAccount,
    /// The address can never hold units: zero, a precompile, the token or its factory.
    ForbiddenAddress,
    /// More units would be issued than the token's cap.
    CapExceeded,
    /// The account holds too few units.
    InsufficientBalance,
    /// The contract does not know the kind.
    UnknownKind,
    /// No units where the kind needs some.
    ZeroUnits,
    /// The account is not registered.
    NotRegistered,
    /// The token is paused.
    Paused,
    /// The account's receiving is switched off.
    ReceivingDisabled,
    /// An argument that the kind does not allow.
    InvalidArgument,
    /// A number that this program does not know.
    Other(u8),
}

/// What became of an instruction in one run of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It took effect.
    Applied,
    /// Its number had been applied before: nothing happened, and the running hash does not hold this run.
    AlreadyApplied,
    /// It was skipped.
    Skipped(SkipReason),
}

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Item {
    /// What is ordered.
    pub kind: Kind,
    /// The number that can be applied once.
    pub number: u64,
    /// What the order is about: an investment's id (UUID bytes).
    pub id: [u8; 16],
    /// The account that it concerns.
    pub account: Address,
    /// Units, at most [`UNITS_MAX`].
    pub units: u128,
    /// The other account, zero where there is none.
    pub counterparty: Address,
}

/// An instruction and what became of it, as the contract's `Executed` event holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    /// The instruction.
    pub item: Item,
    /// What became of it.
    pub outcome: Outcome,
}

/// Bytes that are not a whole number of records, or units above [`UNITS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The units of this instruction do not fit 96 bits.
    #[error("the units of instruction {number} do not fit 96 bits")]
    Units {
        /// The instruction's number.
        number: u64,
    },
    /// The length is no multiple of a record's.
    #[error("{length_bytes} bytes are no whole number of records")]
    Length {
        /// How many bytes there are.
        length_bytes: usize,
    },
}

impl Kind {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Issue => 1,
            Self::Withdraw => 2,
            Self::Redeem => 3,
            Self::ForcedTransfer => 4,
            Self::Recover => 5,
            Self::Block => 6,
            Self::Unblock => 7,
            Self::Freeze => 8,
            Self::Unfreeze => 9,
            Self::Register => 10,
            Self::SetReceiving => 11,
            Self::Unknown(code) => code,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Issue,
            2 => Self::Withdraw,
            3 => Self::Redeem,
            4 => Self::ForcedTransfer,
            5 => Self::Recover,
            6 => Self::Block,
            7 => Self::Unblock,
            8 => Self::Freeze,
            9 => Self::Unfreeze,
            10 => Self::Register,
            11 => Self::SetReceiving,
            other => Self::Unknown(other),
        }
    }
}

impl Outcome {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Applied => 0,
            Self::AlreadyApplied => 1,
            Self::Skipped(reason) => match reason {
                SkipReason::BlockedAccount => 2,
                SkipReason::ForbiddenAddress => 3,
                SkipReason::CapExceeded => 4,
                SkipReason::InsufficientBalance => 5,
                SkipReason::UnknownKind => 6,
                SkipReason::ZeroUnits => 7,
                SkipReason::NotRegistered => 8,
                SkipReason::Paused => 9,
                SkipReason::ReceivingDisabled => 10,
                SkipReason::InvalidArgument => 11,
                SkipReason::Other(code) => code,
            },
        }
    }

    /// The outcome with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        Self::Skipped(match code {
            0 => return Self::Applied,
            1 => return Self::AlreadyApplied,
            2 => SkipReason::BlockedAccount,
            3 => SkipReason::ForbiddenAddress,
            4 => SkipReason::CapExceeded,
            5 => SkipReason::InsufficientBalance,
            6 => SkipReason::UnknownKind,
            7 => SkipReason::ZeroUnits,
            8 => SkipReason::NotRegistered,
            9 => SkipReason::Paused,
            10 => SkipReason::ReceivingDisabled,
            11 => SkipReason::InvalidArgument,
            other => SkipReason::Other(other),
        })
    }
}

/// The identity of an order on one token and chain: keccak-256 of tag, chain id, token and id.
#[must_use]
pub fn instruction_key(chain_id: u64, token: Address, id: [u8; 16]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(KEY_TAG);
    hasher.update(U256::from(chain_id).to_be_bytes::<32>());
    hasher.update(token.0);
    hasher.update(id);
    hasher.finalize().into()
}

/// Packs instructions as `execute` takes them.
///
/// # Errors
/// [`PackError::Units`] where units do not fit.
pub fn pack_items(items: &[Item]) -> Result<Vec<u8>, PackError> {
    let mut out = Vec::with_capacity(items.len().saturating_mul(ITEM_BYTES));
    for item in items {
        if item.units > UNITS_MAX {
            return Err(PackError::Units { number: item.number });
        }
        out.push(item.kind.code());
        out.extend_from_slice(&item.number.to_be_bytes());
        out.extend_from_slice(&item.id);
        out.extend_from_slice(&item.account.0);
        out.extend(units_bytes(item.units));
        out.extend_from_slice(&item.counterparty.0);
    }
    Ok(out)
}

/// Reads the instructions that `execute` takes.
///
/// # Errors
/// [`PackError::Length`] where the bytes do not divide into items.
pub fn unpack_items(bytes: &[u8]) -> Result<Vec<Item>, PackError> {
    let (items, rest) = bytes.as_chunks::<ITEM_BYTES>();
    if !rest.is_empty() {
        return Err(PackError::Length { length_bytes: bytes.len() });
    }
    Ok(items.iter().map(|item| unpack_item(&mut item.as_slice())).collect())
}

/// Reads the records of an `Executed` event.
///
/// # Errors
/// [`PackError::Length`] where the bytes do not divide into records.
pub fn unpack_records(bytes: &[u8]) -> Result<Vec<Record>, PackError> {
    let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
    if !rest.is_empty() {
        return Err(PackError::Length { length_bytes: bytes.len() });
    }
    Ok(records.iter().map(unpack_record).collect())
}

/// Folds records into a running hash as the contract does; it starts at zero. Runs of numbers that had been applied
/// before are not folded.
#[must_use]
pub fn fold_records(start: B256, chain_id: u64, token: Address, records: &[Record]) -> B256 {
    records.iter().filter(|record| record.outcome != Outcome::AlreadyApplied).fold(start, |hash, Record { item, outcome }| {
        let mut packed = Vec::with_capacity(126);
        packed.extend_from_slice(&hash.0);
        packed.push(item.kind.code());
        packed.extend_from_slice(&item.number.to_be_bytes());
        packed.extend_from_slice(&instruction_key(chain_id, token, item.id).0);
        packed.extend_from_slice(&item.account.0);
        packed.extend_from_slice(&item.counterparty.0);
        packed.extend(units_bytes(item.units));
        packed.push(outcome.code());
        keccak256(packed).into()
    })
}

fn units_bytes(units: u128) -> impl Iterator<Item = u8> {
    units.to_be_bytes().into_iter().skip(4)
}

fn unpack_record(bytes: &[u8; RECORD_BYTES]) -> Record {
    let mut rest = bytes.as_slice();
    let item = unpack_item(&mut rest);
    let [outcome] = split(&mut rest);
    Record { item, outcome: Outcome::from_code(outcome) }
}

fn unpack_item(rest: &mut &[u8]) -> Item {
    let [kind] = split(rest);
    let number = u64::from_be_bytes(split(rest));
    let id = split(rest);
    let account = Address(split(rest));
    let units: [u8; 12] = split(rest);
    let counterparty = Address(split(rest));
    Item {
        kind: Kind::from_code(kind),
        number,
        id,
        account,
        units: units.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte)),
        counterparty,
    }
}

/// Takes a field off the front; the fields of a record add up to its length, so there is always one.
fn split<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    match rest.split_first_chunk::<N>() {
        Some((field, behind)) => {
            *rest = behind;
            *field
        }
        None => [0; N],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn random_item(random: &mut ChaCha8Rng) -> Item {
        let mut bytes = [0; 56];
        random.fill_bytes(&mut bytes);
        Item {
            kind: Kind::from_code(bytes[0]),
            number: random.next_u64(),
            id: bytes[..16].try_into().unwrap(),
            account: Address(bytes[16..36].try_into().unwrap()),
            units: (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())) & UNITS_MAX,
            counterparty: Address(bytes[36..].try_into().unwrap()),
        }
    }

    #[test]
    fn packed_items_read_back_as_records() {
        let seed = getrandom::u64().unwrap();
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for outcome in 0..=255_u8 {
            let item = random_item(&mut random);
            let mut bytes = pack_items(&[item]).unwrap();
            assert_eq!(bytes.len(), ITEM_BYTES);
            assert_eq!(unpack_items(&bytes), Ok(vec![item]));
            bytes.push(outcome);
            let records = unpack_records(&bytes).unwrap();
            assert_eq!(records, [Record { item, outcome: Outcome::from_code(outcome) }]);
            assert_eq!(records[0].outcome.code(), outcome);
        }
    }

    #[test]
    fn codes_of_kinds_and_outcomes_are_one_to_one() {
        for code in 0..=255_u8 {
            assert_eq!(Kind::from_code(code).code(), code);
            assert_eq!(Outcome::from_code(code).code(), code);
        }
    }

    #[test]
    fn units_above_96_bits_are_refused() {
        let mut item = random_item(&mut ChaCha8Rng::seed_from_u64(1));
        item.units = UNITS_MAX + 1;
        assert_eq!(pack_items(&[item]), Err(PackError::Units { number: item.number }));
    }

    #[test]
    fn a_part_of_a_record_is_refused() {
        assert_eq!(unpack_records(&[0; 79]), Err(PackError::Length { length_bytes: 79 }));
        assert_eq!(unpack_items(&[0; 78]), Err(PackError::Length { length_bytes: 78 }));
    }

    #[test]
    fn repeats_are_not_folded_and_order_matters() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let applied = Record { item: random_item(&mut random), outcome: Outcome::Applied };
        let repeated = Record { outcome: Outcome::AlreadyApplied, ..applied };
        let other = Record { item: random_item(&mut random), outcome: Outcome::Applied };
        let token = Address([1; 20]);
        let fold = |records: &[Record]| fold_records(B256::ZERO, 5, token, records);
        assert_eq!(fold(&[applied, repeated]), fold(&[applied]));
        assert_eq!(fold(&[repeated]), B256::ZERO);
        assert_ne!(fold(&[applied, other]), fold(&[other, applied]));
    }
}
