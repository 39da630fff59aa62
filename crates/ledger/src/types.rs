//! Plain types of the ledger's interface.

use alloy::primitives as evm;
use std::fmt;
use std::str::FromStr;

/// An EVM account address (20 bytes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub [u8; 20]);

/// A 32-byte word: a hash, a salt or a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct B256(pub [u8; 32]);

/// The hash of a signed ledger transaction: keccak-256 over its raw bytes (EIP-2718).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TxHash(pub [u8; 32]);

/// Text that is not the hexadecimal form of a fixed number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and {expected_bytes} bytes in hexadecimal")]
pub struct HexError {
    /// How many bytes the text must hold.
    pub expected_bytes: usize,
}

impl Address {
    /// The zero address, which no key controls.
    pub const ZERO: Self = Self([0; 20]);

    /// The checksummed text of the address (EIP-55).
    #[must_use]
    pub fn to_checksum(self) -> String {
        evm::Address::from(self).to_checksum(None)
    }
}

impl B256 {
    /// The zero word, where every running hash starts.
    pub const ZERO: Self = Self([0; 32]);
}

fn parse_fixed<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let error = HexError { expected_bytes: N };
    let digits = text.strip_prefix("0x").ok_or(error)?;
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| error)?;
    Ok(bytes)
}

macro_rules! fixed_bytes {
    ($name:ident, $length:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                parse_fixed(text).map(Self)
            }
        }

        impl From<[u8; $length]> for $name {
            fn from(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
        }

        impl From<$name> for [u8; $length] {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

fixed_bytes!(Address, 20);
fixed_bytes!(B256, 32);
fixed_bytes!(TxHash, 32);

// The EVM libraries' own types stay inside this crate.
impl From<Address> for evm::Address {
    fn from(value: Address) -> Self {
        Self(value.0.into())
    }
}

impl From<evm::Address> for Address {
    fn from(value: evm::Address) -> Self {
        Self(value.0.0)
    }
}

impl From<B256> for evm::B256 {
    fn from(value: B256) -> Self {
        Self(value.0)
    }
}

impl From<evm::B256> for B256 {
    fn from(value: evm::B256) -> Self {
        Self(value.0)
    }
}

impl From<TxHash> for evm::B256 {
    fn from(value: TxHash) -> Self {
        Self(value.0)
    }
}

impl From<evm::B256> for TxHash {
    fn from(value: evm::B256) -> Self {
        Self(value.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_address_reads_back() {
        let text = "0x00000000000000000000000000000000000000ff";
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(address.0[19], 0xff);
    }

    #[test]
    fn short_long_or_bare_text_is_not_an_address() {
        for text in ["0x00", "00000000000000000000000000000000000000ff", "0xzz", ""] {
            assert_eq!(text.parse::<Address>(), Err(HexError { expected_bytes: 20 }), "{text}");
        }
    }

    #[test]
    fn checksum_follows_eip_55() {
        let address: Address = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed".parse().unwrap();
        assert_eq!(address.to_checksum(), "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
    }
}
