//! A signing key in the process's memory.

use super::{DeviceSignature, Signer, SignerError};
use crate::types::Address;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;

/// A signing key held in the process's memory.
pub struct LocalSigner {
    pub(super) key: PrivateKeySigner,
}

impl LocalSigner {
    /// Takes a 32-byte secret.
    ///
    /// # Errors
    /// [`SignerError::BadSecret`] for zero and for values not below the group order.
    pub fn new(secret: [u8; 32]) -> Result<Self, SignerError> {
        PrivateKeySigner::from_bytes(&secret.into()).map(|key| Self { key }).map_err(|_| SignerError::BadSecret)
    }
}

impl Signer for LocalSigner {
    fn address(&self) -> Address {
        self.key.address().into()
    }

    fn sign_digest(&self, digest: [u8; 32]) -> Result<DeviceSignature, SignerError> {
        let signature = self.key.sign_hash_sync(&digest.into()).map_err(|error| SignerError::Unavailable(error.to_string()))?;
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&signature.as_bytes()[..64]);
        Ok(DeviceSignature::Scalars(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::address_of_public_key;

    #[test]
    fn zero_and_the_group_order_are_no_secrets() {
        assert_eq!(LocalSigner::new([0; 32]).err(), Some(SignerError::BadSecret));
        assert_eq!(LocalSigner::new([0xff; 32]).err(), Some(SignerError::BadSecret));
    }

    #[test]
    fn an_address_is_the_tail_of_the_keys_hash() {
        let signer = LocalSigner::new([7; 32]).unwrap();
        let point = signer.key.credential().verifying_key().to_encoded_point(false);
        let key: [u8; 64] = point.as_bytes()[1..].try_into().unwrap();
        assert_eq!(address_of_public_key(&key), signer.address());
    }
}
