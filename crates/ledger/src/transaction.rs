//! Building and signing ledger transactions (EIP-1559).
//!
//! A signature is never made twice for one attempt: the stored raw bytes are the attempt's identity, because signing
//! hardware gives other bytes each time.

use crate::types::{Address, B256, TxHash};
use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{SignableTransaction, Transaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{Bytes, Signature, TxKind, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;

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

/// Why a signer gave no usable signature. Nothing was sent, so a new attempt may be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The key's bytes are not a secp256k1 secret.
    #[error("not a secp256k1 secret key")]
    BadSecret,
    /// The signing device did not answer or refused.
    #[error("the signer gave no signature: {0}")]
    Unavailable(String),
    /// The signature does not belong to the signer's address and the digest.
    #[error("the signature does not recover to the signer's address")]
    Mismatch,
}

/// Holds one signing key. Shaped for hardware: it is given a digest and returns a signature, nothing else.
pub trait Signer: Send + Sync {
    /// The address of the key.
    fn address(&self) -> Address;

    /// Signs a 32-byte digest.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`] where the device gives none.
    fn sign_digest(&self, digest: [u8; 32]) -> Result<RecoverableSignature, SignerError>;
}

/// A signing key held in the process's memory.
pub struct LocalSigner {
    key: PrivateKeySigner,
}

/// Fees per gas in wei (EIP-1559).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// The most that is paid per gas, base fee included.
    pub max_fee_per_gas_wei: u128,
    /// The most that the block's maker gets per gas.
    pub max_priority_fee_per_gas_wei: u128,
}

/// A ledger transaction before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Chain that alone may run it (EIP-155).
    pub chain_id: u64,
    /// Position among the sender's transactions.
    pub nonce: u64,
    /// Gas limit.
    pub gas_limit: u64,
    /// Fees offered.
    pub fees: Fees,
    /// The called contract; `None` deploys one.
    pub to: Option<Address>,
    /// Wei sent along.
    pub value_wei: u128,
    /// Call data or initialisation code.
    pub data: Vec<u8>,
}

/// A signed ledger transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The bytes to store, then to send (EIP-2718).
    pub raw: Vec<u8>,
    /// Their hash, under which every node knows the transaction.
    pub tx_hash: TxHash,
}

/// What raw bytes say when they are read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The fields.
    pub transaction: Unsigned,
    /// The address that the signature recovers to.
    pub sender: Address,
    /// Hash of the raw bytes.
    pub tx_hash: TxHash,
}

/// Raw bytes that are not a signed EIP-1559 transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a signed transaction: {0}")]
pub struct DecodeError(pub String);

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
                return Ok(Self::from_evm(&low));
            }
        }
        Err(SignerError::Mismatch)
    }

    fn from_evm(signature: &Signature) -> Self {
        Self { r: signature.r().to_be_bytes(), s: signature.s().to_be_bytes(), y_parity: signature.v() }
    }

    fn to_evm(self) -> Signature {
        Signature::new(U256::from_be_bytes(self.r), U256::from_be_bytes(self.s), self.y_parity)
    }
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

    fn sign_digest(&self, digest: [u8; 32]) -> Result<RecoverableSignature, SignerError> {
        let signature = self.key.sign_hash_sync(&digest.into()).map_err(|error| SignerError::Unavailable(error.to_string()))?;
        RecoverableSignature::complete(digest, signature.r().to_be_bytes(), signature.s().to_be_bytes(), self.address())
    }
}

impl Fees {
    /// The smallest fees that replace these at the same nonce on every common node: 12.5 % more on both, rounded up.
    /// `None` where the maximum fee would pass `max_fee_per_gas_wei_max`, the operator's ceiling.
    #[must_use]
    pub fn bumped(self, max_fee_per_gas_wei_max: u128) -> Option<Self> {
        let raise = |wei: u128| wei.checked_add((wei / 8).checked_add(1)?);
        let bumped = Self {
            max_fee_per_gas_wei: raise(self.max_fee_per_gas_wei)?,
            max_priority_fee_per_gas_wei: raise(self.max_priority_fee_per_gas_wei)?,
        };
        (bumped.max_fee_per_gas_wei <= max_fee_per_gas_wei_max).then_some(bumped)
    }
}

impl Unsigned {
    fn to_evm(&self) -> TxEip1559 {
        TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: self.fees.max_fee_per_gas_wei,
            max_priority_fee_per_gas: self.fees.max_priority_fee_per_gas_wei,
            to: self.to.map_or(TxKind::Create, |to| TxKind::Call(to.into())),
            value: U256::from(self.value_wei),
            access_list: alloy::eips::eip2930::AccessList::default(),
            input: Bytes::copy_from_slice(&self.data),
        }
    }

    /// Signs the transaction, and recovers the sender from the result before giving it out.
    ///
    /// # Errors
    /// The signer's own, and [`SignerError::Mismatch`] where the signature is not low or not the signer's.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Signed, SignerError> {
        let unsigned = self.to_evm();
        let digest = unsigned.signature_hash();
        let signature = signer.sign_digest(digest.0)?;
        let envelope = TxEnvelope::from(unsigned.into_signed(signature.to_evm()));
        // Refuses a high `s` too (EIP-2).
        let sender = envelope.recover_signer().map_err(|_| SignerError::Mismatch)?;
        if Address::from(sender) != signer.address() {
            return Err(SignerError::Mismatch);
        }
        let raw = envelope.encoded_2718();
        let tx_hash = tx_hash(&raw);
        Ok(Signed { raw, tx_hash })
    }
}

/// The hash of a transaction's raw bytes.
#[must_use]
pub fn tx_hash(raw: &[u8]) -> TxHash {
    keccak256(raw).into()
}

/// Reads stored raw bytes back, so that what is about to be sent can be compared with what was meant.
///
/// # Errors
/// [`DecodeError`] for anything but a signed EIP-1559 transaction whose sender can be recovered.
pub fn decode(raw: &[u8]) -> Result<Decoded, DecodeError> {
    let envelope = TxEnvelope::decode_2718_exact(raw).map_err(|error| DecodeError(error.to_string()))?;
    let sender = envelope.recover_signer().map_err(|error| DecodeError(error.to_string()))?;
    let TxEnvelope::Eip1559(signed) = envelope else {
        return Err(DecodeError("not of type 2".to_owned()));
    };
    let fields = signed.tx();
    let value_wei = u128::try_from(fields.value).map_err(|_| DecodeError("value above 128 bits".to_owned()))?;
    Ok(Decoded {
        transaction: Unsigned {
            chain_id: fields.chain_id,
            nonce: fields.nonce,
            gas_limit: fields.gas_limit,
            fees: Fees {
                max_fee_per_gas_wei: fields.max_fee_per_gas,
                max_priority_fee_per_gas_wei: fields.max_priority_fee_per_gas,
            },
            to: fields.to().map(Address::from),
            value_wei,
            data: fields.input.to_vec(),
        },
        sender: sender.into(),
        tx_hash: tx_hash(raw),
    })
}

/// The address of the contract that `sender`'s deployment with this nonce makes.
#[must_use]
pub fn deployed_address(sender: Address, nonce: u64) -> Address {
    alloy::primitives::Address::from(sender).create(nonce).into()
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

    const SECRET: [u8; 32] = [7; 32];

    fn unsigned() -> Unsigned {
        Unsigned {
            chain_id: 5,
            nonce: 3,
            gas_limit: 21_000,
            fees: Fees { max_fee_per_gas_wei: 100, max_priority_fee_per_gas_wei: 1 },
            to: Some(Address([9; 20])),
            value_wei: 0,
            data: vec![1, 2, 3],
        }
    }

    struct Impostor(LocalSigner);

    impl Signer for Impostor {
        fn address(&self) -> Address {
            Address([1; 20])
        }

        fn sign_digest(&self, digest: [u8; 32]) -> Result<RecoverableSignature, SignerError> {
            self.0.sign_digest(digest)
        }
    }

    struct HighS(LocalSigner);

    impl Signer for HighS {
        fn address(&self) -> Address {
            self.0.address()
        }

        fn sign_digest(&self, digest: [u8; 32]) -> Result<RecoverableSignature, SignerError> {
            let low = self.0.sign_digest(digest)?;
            Ok(high(low))
        }
    }

    fn high(low: RecoverableSignature) -> RecoverableSignature {
        let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
        RecoverableSignature { r: low.r, s: (order - U256::from_be_bytes(low.s)).to_be_bytes(), y_parity: !low.y_parity }
    }

    #[test]
    fn a_signed_transaction_reads_back() {
        let signer = LocalSigner::new(SECRET).unwrap();
        let attempt = unsigned().sign(&signer).unwrap();
        let decoded = decode(&attempt.raw).unwrap();
        assert_eq!(decoded.transaction, unsigned());
        assert_eq!(decoded.sender, signer.address());
        assert_eq!(decoded.tx_hash, attempt.tx_hash);
    }

    #[test]
    fn l16_a_high_s_is_lowered_and_the_parity_found() {
        let signer = LocalSigner::new(SECRET).unwrap();
        for seed in 0..16_u8 {
            let digest = [seed; 32];
            let low = signer.sign_digest(digest).unwrap();
            let raised = high(low);
            let completed = RecoverableSignature::complete(digest, raised.r, raised.s, signer.address());
            assert_eq!(completed, Ok(low));
        }
    }

    #[test]
    fn l16_a_foreign_or_high_signature_is_not_given_out() {
        let impostor = Impostor(LocalSigner::new(SECRET).unwrap());
        assert_eq!(unsigned().sign(&impostor), Err(SignerError::Mismatch));
        let unlowered = HighS(LocalSigner::new(SECRET).unwrap());
        assert_eq!(unsigned().sign(&unlowered), Err(SignerError::Mismatch));
        let honest = LocalSigner::new(SECRET).unwrap();
        let signature = honest.sign_digest([1; 32]).unwrap();
        assert_eq!(
            RecoverableSignature::complete([2; 32], signature.r, signature.s, honest.address()),
            Err(SignerError::Mismatch)
        );
    }

    #[test]
    fn zero_and_the_group_order_are_no_secrets() {
        assert_eq!(LocalSigner::new([0; 32]).err(), Some(SignerError::BadSecret));
        assert_eq!(LocalSigner::new([0xff; 32]).err(), Some(SignerError::BadSecret));
    }

    #[test]
    fn l03_a_bump_is_more_than_an_eighth_and_stops_at_the_ceiling() {
        let fees = Fees { max_fee_per_gas_wei: 80, max_priority_fee_per_gas_wei: 0 };
        let bumped = fees.bumped(1_000).unwrap();
        assert_eq!(bumped.max_fee_per_gas_wei, 91);
        assert_eq!(bumped.max_priority_fee_per_gas_wei, 1);
        assert_eq!(fees.bumped(90), None);
        let most = Fees { max_fee_per_gas_wei: u128::MAX, max_priority_fee_per_gas_wei: 1 };
        assert_eq!(most.bumped(u128::MAX), None);
    }

    #[test]
    fn an_address_is_the_tail_of_the_keys_hash() {
        let signer = LocalSigner::new(SECRET).unwrap();
        let point = signer.key.credential().verifying_key().to_encoded_point(false);
        let key: [u8; 64] = point.as_bytes()[1..].try_into().unwrap();
        assert_eq!(address_of_public_key(&key), signer.address());
    }
}
