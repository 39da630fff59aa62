//! Wallets and EVM addresses.

use std::fmt;

use sha3::{Digest, Keccak256};
use thiserror::Error;

use crate::ids::{InvestorId, OrganisationId, WalletId};
use crate::instant::Instant;

/// A twenty-byte EVM address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvmAddress([u8; 20]);

/// Why a text is not an address that can hold units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AddressFault {
    /// Not `0x` and 40 hexadecimal digits.
    #[error("must be 0x and 40 hexadecimal digits")]
    Malformed,
    /// Mixed case that is not the EIP-55 checksum.
    #[error("the upper and lower case letters do not match the EIP-55 checksum")]
    Checksum,
    /// The zero address or a precompiled contract.
    #[error("no units can be held at this address")]
    Forbidden,
}

impl EvmAddress {
    /// An address from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The bytes, borrowed.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 20] {
        self.0
    }

    /// Reads a holder's address. All lower and all upper case are taken; mixed case must carry the EIP-55 checksum.
    ///
    /// # Errors
    /// The text is malformed, its checksum is wrong, or nobody can hold units at the address.
    pub fn parse_holder(text: &str) -> Result<Self, AddressFault> {
        let digits = text.strip_prefix("0x").ok_or(AddressFault::Malformed)?;
        let mut bytes = [0_u8; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| AddressFault::Malformed)?;
        let address = Self(bytes);
        let mixed = digits.bytes().any(|b| b.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
        if mixed && address.to_string() != text {
            return Err(AddressFault::Checksum);
        }
        let precompiled = bytes[..19].iter().all(|b| *b == 0) && bytes[19] <= 0x11;
        if precompiled { Err(AddressFault::Forbidden) } else { Ok(address) }
    }
}

/// The EIP-55 form.
impl fmt::Display for EvmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = hex::encode(self.0);
        let hash = Keccak256::digest(lower.as_bytes());
        f.write_str("0x")?;
        for (index, digit) in lower.chars().enumerate() {
            let nibble = (hash[index / 2] >> (if index % 2 == 0 { 4 } else { 0 })) & 0x0f;
            let shown = if nibble >= 8 { digit.to_ascii_uppercase() } else { digit };
            fmt::Write::write_char(f, shown)?;
        }
        Ok(())
    }
}

impl fmt::Debug for EvmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An investor's wallet. Its address never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// Whose it is.
    pub investor_id: InvestorId,
    /// The platform of its investor.
    pub platform_id: OrganisationId,
    /// Where it is on the ledger.
    pub address: EvmAddress,
    /// Whether it takes incoming secondary-market transfers.
    pub receiving_enabled: bool,
    /// When it was created.
    pub created_at: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_their_checksum() {
        let text = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(EvmAddress::parse_holder(text).unwrap().to_string(), text);
        assert_eq!(EvmAddress::parse_holder(&text.to_lowercase()).unwrap().to_string(), text);
        for (refused, fault) in [
            ("0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", AddressFault::Checksum),
            ("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", AddressFault::Malformed),
            ("0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", AddressFault::Malformed),
            ("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae", AddressFault::Malformed),
            ("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg", AddressFault::Malformed),
            ("0x0000000000000000000000000000000000000000", AddressFault::Forbidden),
            ("0x0000000000000000000000000000000000000011", AddressFault::Forbidden),
        ] {
            assert_eq!(EvmAddress::parse_holder(refused), Err(fault), "{refused}");
        }
        assert!(EvmAddress::parse_holder("0x0000000000000000000000000000000000000012").is_ok());
    }
}
