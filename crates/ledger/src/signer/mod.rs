//! Signing keys: in memory, in an encrypted file, or in hardware.
//!
//! A device is given a 32-byte digest and returns a signature, nothing else. Everything that Ethereum asks of a
//! signature beyond plain ECDSA is done here: the low `s` (EIP-2), the parity, and the check that it is the signer's.
//!
//! Hardware gives other bytes each time for the same digest, and an answer may be lost after the device signed. So a
//! signature is no identity: the caller stores the signed transaction's bytes before it sends them, and a signature that
//! was never stored is harmless.

mod keystore;
mod local;
mod pkcs11;
mod policy;

pub use keystore::{KeystoreError, Passphrase, PassphraseError, open_keystore};
pub use local::LocalSigner;
pub use pkcs11::{Pkcs11Key, Pkcs11Signer};
pub use policy::{IssuedToday, PolicedSigner, PolicyRefusal, SigningError, SigningPolicy};

use crate::types::{Address, B256};
use alloy::primitives::{Signature, U256, keccak256};
use alloy::signers::k256::ecdsa;

/// An ECDSA signature over secp256k1 from which the signer's address can be recovered; `s` is low (EIP-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverableSignature {
    /// First scalar, big-endian.
    pub r: [u8; 32],
    /// Second scalar, big-endian, at most half of the group order.
    pub s: [u8; 32],
    /// Parity of the ephemeral point's y coordinate (v of EIP-1559).
    pub y_parity: bool,
}

/// What a device returns: `s` may be high, and there is no parity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceSignature {
    /// `r` and `s`, 32 bytes each, big-endian (PKCS#11).
    Scalars([u8; 64]),
    /// An ASN.1 sequence of `r` and `s` (most cloud key services).
    Der(Vec<u8>),
}

/// Why a signer gave no usable signature. Nothing was sent, so a new attempt may be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The key's bytes are not a secp256k1 secret.
    #[error("not a secp256k1 secret key")]
    BadSecret,
    /// The signing device did not answer or refused. It may have signed all the same.
    #[error("the signer gave no signature: {0}")]
    Unavailable(String),
    /// The device returned bytes that are no ECDSA signature.
    #[error("the device returned {length_bytes} bytes that are no signature")]
    Malformed {
        /// How many bytes it returned.
        length_bytes: usize,
    },
    /// The signature does not belong to the signer's address and the digest.
    #[error("the signature does not recover to the signer's address")]
    Mismatch,
}

/// Holds one signing key. Shaped for hardware: it is given a digest and returns what the device returns.
///
/// A call may take as long as the device takes; make it where waiting is allowed.
pub trait Signer: Send + Sync {
    /// The address of the key.
    fn address(&self) -> Address;

    /// Signs a 32-byte digest.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`] where the device gives none.
    fn sign_digest(&self, digest: [u8; 32]) -> Result<DeviceSignature, SignerError>;
}

impl DeviceSignature {
    /// Reads what a device returned: 64 bytes are two scalars, anything else is read as ASN.1.
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        match <[u8; 64]>::try_from(bytes.as_slice()) {
            Ok(scalars) => Self::Scalars(scalars),
            Err(_) => Self::Der(bytes),
        }
    }

    /// Makes a signature of it that a chain takes and that is the signer's.
    ///
    /// # Errors
    /// [`SignerError::Malformed`] where it is no signature, [`SignerError::Mismatch`] where it is not that of `address`.
    pub fn complete(&self, digest: [u8; 32], address: Address) -> Result<RecoverableSignature, SignerError> {
        let (r, s) = self.scalars()?;
        RecoverableSignature::complete(digest, r, s, address)
    }

    fn scalars(&self) -> Result<([u8; 32], [u8; 32]), SignerError> {
        let (parsed, length_bytes) = match self {
            Self::Scalars(bytes) => (ecdsa::Signature::from_slice(bytes), bytes.len()),
            Self::Der(bytes) => (ecdsa::Signature::from_der(bytes), bytes.len()),
        };
        let (r, s) = parsed.map_err(|_| SignerError::Malformed { length_bytes })?.split_bytes();
        Ok((r.into(), s.into()))
    }
}

impl From<RecoverableSignature> for DeviceSignature {
    fn from(signature: RecoverableSignature) -> Self {
        let mut bytes = [0; 64];
        let (r, s) = bytes.split_at_mut(32);
        r.copy_from_slice(&signature.r);
        s.copy_from_slice(&signature.s);
        Self::Scalars(bytes)
    }
}

impl RecoverableSignature {
    /// Completes what hardware returns: brings `s` to its low form (EIP-2) and finds the parity whose recovered
    /// address is the signer's.
    ///
    /// # Errors
    /// [`SignerError::Mismatch`] where neither parity recovers to `address`.
    pub fn complete(digest: [u8; 32], r: [u8; 32], s: [u8; 32], address: Address) -> Result<Self, SignerError> {
        let scalars = (U256::from_be_bytes(r), U256::from_be_bytes(s));
        for parity in [false, true] {
            let raw = Signature::new(scalars.0, scalars.1, parity);
            let low = raw.normalize_s().unwrap_or(raw);
            let recovered = low.recover_address_from_prehash(&digest.into());
            if recovered.is_ok_and(|found| Address::from(found) == address) {
                return Ok(Self { r: low.r().to_be_bytes(), s: low.s().to_be_bytes(), y_parity: low.v() });
            }
        }
        Err(SignerError::Mismatch)
    }

    pub(crate) fn to_evm(self) -> Signature {
        Signature::new(U256::from_be_bytes(self.r), U256::from_be_bytes(self.s), self.y_parity)
    }
}

/// The address that a secp256k1 public key has: the key as 64 bytes, x then y, without a prefix.
#[must_use]
pub fn address_of_public_key(key: &[u8; 64]) -> Address {
    let hash: B256 = keccak256(key).into();
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&hash.0[12..]);
    Address(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fees::Fees;
    use crate::transaction::Unsigned;

    const SECRET: [u8; 32] = [7; 32];

    fn unsigned() -> Unsigned {
        let fees = Fees { max_fee_per_gas_wei: 100, max_priority_fee_per_gas_wei: 1 };
        Unsigned::gap_filler(5, 3, Address([9; 20]), fees)
    }

    /// A device that returns the high twin of every signature, in one form or the other.
    struct HighS(LocalSigner, fn([u8; 64]) -> DeviceSignature);

    struct Impostor(LocalSigner);

    impl Signer for Impostor {
        fn address(&self) -> Address {
            Address([1; 20])
        }

        fn sign_digest(&self, digest: [u8; 32]) -> Result<DeviceSignature, SignerError> {
            self.0.sign_digest(digest)
        }
    }

    impl Signer for HighS {
        fn address(&self) -> Address {
            self.0.address()
        }

        fn sign_digest(&self, digest: [u8; 32]) -> Result<DeviceSignature, SignerError> {
            let low = self.0.sign_digest(digest)?.complete(digest, self.address())?;
            Ok((self.1)(high(low)))
        }
    }

    fn high(low: RecoverableSignature) -> [u8; 64] {
        let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
        let s: [u8; 32] = (order - U256::from_be_bytes(low.s)).to_be_bytes();
        [low.r, s].concat().try_into().unwrap()
    }

    fn der(scalars: [u8; 64]) -> DeviceSignature {
        DeviceSignature::Der(ecdsa::Signature::from_slice(&scalars).unwrap().to_der().as_bytes().to_vec())
    }

    #[test]
    fn l16_a_high_s_is_lowered_and_the_parity_found_in_either_form() {
        let signer = LocalSigner::new(SECRET).unwrap();
        for seed in 0..16_u8 {
            let digest = [seed; 32];
            let low = signer.sign_digest(digest).unwrap().complete(digest, signer.address()).unwrap();
            let raised = high(low);
            for returned in [DeviceSignature::Scalars(raised), der(raised), low.into()] {
                assert_eq!(returned.complete(digest, signer.address()), Ok(low));
            }
            let DeviceSignature::Der(bytes) = der(raised) else { panic!("not DER") };
            assert_eq!(DeviceSignature::of_bytes(bytes), der(raised));
            assert_eq!(DeviceSignature::of_bytes(raised.to_vec()), DeviceSignature::Scalars(raised));
        }
    }

    #[test]
    fn l16_a_device_with_high_s_signs_what_a_local_key_signs() {
        let expected = unsigned().sign(&LocalSigner::new(SECRET).unwrap()).unwrap();
        for form in [DeviceSignature::Scalars as fn([u8; 64]) -> DeviceSignature, der] {
            let device = HighS(LocalSigner::new(SECRET).unwrap(), form);
            assert_eq!(unsigned().sign(&device), Ok(expected.clone()));
        }
    }

    #[test]
    fn l16_a_foreign_or_broken_signature_is_not_given_out() {
        let impostor = Impostor(LocalSigner::new(SECRET).unwrap());
        assert_eq!(unsigned().sign(&impostor), Err(SignerError::Mismatch));
        let honest = LocalSigner::new(SECRET).unwrap();
        let signature = honest.sign_digest([1; 32]).unwrap();
        assert_eq!(signature.complete([2; 32], honest.address()), Err(SignerError::Mismatch));
        for broken in [vec![], vec![0; 64], vec![0xff; 64], vec![0x30, 0x02, 0x01, 0x00], vec![1; 71]] {
            let length_bytes = broken.len();
            let completed = DeviceSignature::of_bytes(broken).complete([1; 32], honest.address());
            assert_eq!(completed, Err(SignerError::Malformed { length_bytes }));
        }
    }
}
