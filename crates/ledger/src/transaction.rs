//! Building and signing ledger transactions (EIP-1559).
//!
//! A signature is never made twice for one attempt: the stored raw bytes are the attempt's identity, because signing
//! hardware gives other bytes each time. Storing them before they are sent is the caller's business; nothing here sends.

pub use crate::fees::Fees;
pub use crate::signer::{DeviceSignature, LocalSigner, RecoverableSignature, Signer, SignerError};

use crate::types::{Address, TxHash};
use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{SignableTransaction, Transaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{Bytes, TxKind, U256, keccak256};

/// The gas of a plain transfer.
pub const TRANSFER_GAS: u64 = 21_000;

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

    /// A transfer of nothing from an account to itself, which fills a nonce that nothing else uses.
    #[must_use]
    pub fn gap_filler(chain_id: u64, nonce: u64, own: Address, fees: Fees) -> Self {
        Self { chain_id, nonce, gas_limit: TRANSFER_GAS, fees, to: Some(own), value_wei: 0, data: Vec::new() }
    }

    /// Signs the transaction: asks the device once, completes what it returns, and recovers the sender from the result
    /// before giving it out.
    ///
    /// # Errors
    /// The signer's own, and [`SignerError::Mismatch`] where the signature is not the signer's.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Signed, SignerError> {
        let unsigned = self.to_evm();
        let digest = unsigned.signature_hash();
        let signature = signer.sign_digest(digest.0)?.complete(digest.0, signer.address())?;
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

    #[test]
    fn a_signed_transaction_reads_back() {
        let signer = LocalSigner::new(SECRET).unwrap();
        let attempt = unsigned().sign(&signer).unwrap();
        let decoded = decode(&attempt.raw).unwrap();
        assert_eq!(decoded.transaction, unsigned());
        assert_eq!(decoded.sender, signer.address());
        assert_eq!(decoded.tx_hash, attempt.tx_hash);
    }
}
