//! The fixed beginning and the fixed rules of an embedded chain.

use super::block::Header;
use super::codec::{Reader, Truncated, put_bytes};
use super::state::{Account, Changes};
use crate::types::Address;
use alloy::primitives::{B256, Bytes, U256};

/// The chain id of an embedded chain where none is given; no public network uses it.
pub const CHAIN_ID_DEFAULT: u64 = 73_573;

/// The base fee of every block, in wei per gas.
pub const BASE_FEE_PER_GAS_WEI: u64 = 1_000_000_000;

/// The gas limit of every block.
pub const BLOCK_GAS_LIMIT: u64 = 60_000_000;

/// The gas limit of one transaction (EIP-7825).
pub const TRANSACTION_GAS_LIMIT: u64 = 16_777_216;

/// How an embedded chain begins. An existing chain is opened only with the chain id and the accounts it began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisConfig {
    /// Chain id that every signature must carry.
    pub chain_id: u64,
    /// Accounts that hold wei at the beginning.
    pub prefunded: Vec<(Address, u128)>,
    /// Timestamp of block 0 in seconds since 1970; an existing chain keeps the one it began with.
    pub genesis_time_seconds: u64,
}

impl GenesisConfig {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.chain_id.to_le_bytes());
        out.extend_from_slice(&self.genesis_time_seconds.to_le_bytes());
        for (address, wei) in &self.prefunded {
            let mut entry = address.0.to_vec();
            entry.extend_from_slice(&wei.to_le_bytes());
            put_bytes(&mut out, &entry);
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(bytes);
        let chain_id = reader.u64()?;
        let genesis_time_seconds = reader.u64()?;
        let mut prefunded = Vec::new();
        while !reader.is_empty() {
            let mut entry = Reader::new(reader.bytes()?);
            let address = Address(entry.array()?);
            prefunded.push((address, u128::from_le_bytes(entry.array()?)));
        }
        Ok(Self { chain_id, prefunded, genesis_time_seconds })
    }

    /// True where `other` began the same chain; the time of the beginning is not compared.
    pub(super) fn begins_same_chain(&self, other: &Self) -> bool {
        self.chain_id == other.chain_id && self.prefunded == other.prefunded
    }

    pub(super) fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for (address, wei) in &self.prefunded {
            let account = Account { balance: U256::from(*wei), ..Account::default() };
            changes.accounts.insert((*address).into(), Some(account));
        }
        changes
    }

    pub(super) fn header(&self) -> Header {
        let seed = alloy::primitives::keccak256(self.to_bytes());
        Header {
            state_root: self.changes().commitment(seed),
            gas_limit: BLOCK_GAS_LIMIT,
            timestamp: self.genesis_time_seconds,
            extra_data: Bytes::from_static(b"scrip"),
            base_fee_per_gas: Some(BASE_FEE_PER_GAS_WEI),
            mix_hash: B256::ZERO,
            ..Header::default()
        }
    }
}

impl Default for GenesisConfig {
    fn default() -> Self {
        Self { chain_id: CHAIN_ID_DEFAULT, prefunded: Vec::new(), genesis_time_seconds: 0 }
    }
}
