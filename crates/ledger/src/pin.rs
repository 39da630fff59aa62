//! Whether the chain and the contracts behind the endpoints are still those that were meant.
//!
//! Someone can point a URL at another chain, or a chain can be started anew under the same id. What was found when the
//! network was set up is kept, and compared before anything is signed.

use crate::chain::{At, Chain, ChainError, ChainIdentity};
use crate::contract::{factory_code_hash, token_code_hash};
use crate::types::{Address, B256};
use alloy::primitives::keccak256;

/// What has to be found on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Chain id and genesis.
    pub chain: ChainIdentity,
    /// The contracts and the hashes of their code.
    pub contracts: Vec<PinnedContract>,
}

/// A contract that has to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedContract {
    /// Where.
    pub address: Address,
    /// keccak-256 of its runtime code.
    pub code_hash: B256,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the nodes say of themselves.
    pub chain: ChainIdentity,
    /// For each pinned contract, keccak-256 of the code at its address at a finalized block; `None` where there is none.
    pub code_hashes: Vec<Option<B256>>,
}

/// What is not as it was. While there is one, nothing is signed, and the program says that it is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinFault {
    /// Another chain id.
    #[error("the nodes serve chain {found}, not {pinned}")]
    ChainId {
        /// What was kept.
        pinned: u64,
        /// What was found.
        found: u64,
    },
    /// Another beginning under the same chain id.
    #[error("the chain begins with block {found}, not {pinned}")]
    Genesis {
        /// What was kept.
        pinned: B256,
        /// What was found.
        found: B256,
    },
    /// No code at a contract's address.
    #[error("there is no contract at {0}")]
    CodeMissing(Address),
    /// Other code at a contract's address.
    #[error("the code at {address} has the hash {found}, not {pinned}")]
    Code {
        /// The contract.
        address: Address,
        /// What was kept.
        pinned: B256,
        /// What was found.
        found: B256,
    },
}

impl PinnedContract {
    /// The network's factory.
    #[must_use]
    pub fn factory(address: Address) -> Self {
        Self { address, code_hash: factory_code_hash() }
    }

    /// A product's token.
    #[must_use]
    pub fn token(address: Address) -> Self {
        Self { address, code_hash: token_code_hash() }
    }
}

impl Pin {
    /// Names everything that is not as it was.
    #[must_use]
    pub fn faults(&self, found: &Found) -> Vec<PinFault> {
        let mut faults = Vec::new();
        let (pinned, seen) = (self.chain, found.chain);
        if pinned.chain_id != seen.chain_id {
            faults.push(PinFault::ChainId { pinned: pinned.chain_id, found: seen.chain_id });
        }
        if pinned.genesis_hash != seen.genesis_hash {
            faults.push(PinFault::Genesis { pinned: pinned.genesis_hash, found: seen.genesis_hash });
        }
        let seen = found.code_hashes.iter().copied().chain(std::iter::repeat(None));
        for (contract, found) in self.contracts.iter().zip(seen) {
            let PinnedContract { address, code_hash: pinned } = *contract;
            match found {
                None => faults.push(PinFault::CodeMissing(address)),
                Some(found) if found != pinned => faults.push(PinFault::Code { address, pinned, found }),
                Some(_) => {}
            }
        }
        faults
    }

    /// Reads what the nodes serve and compares it. An empty answer means that everything is as it was; the chain's own
    /// error means that it could not be read, and then nothing may be signed either.
    ///
    /// # Errors
    /// Those of the chain, but for [`ChainError::ForeignChain`], which is answered as a fault.
    pub async fn check(&self, chain: &dyn Chain) -> Result<Vec<PinFault>, ChainError> {
        let identity = match chain.identity().await {
            Ok(identity) | Err(ChainError::ForeignChain { found: identity, .. }) => identity,
            Err(error) => return Err(error),
        };
        if identity != self.chain {
            let nothing = Pin { chain: self.chain, contracts: Vec::new() };
            return Ok(nothing.faults(&Found { chain: identity, code_hashes: Vec::new() }));
        }
        let block = chain.finalized().await?;
        let mut code_hashes = Vec::new();
        for contract in &self.contracts {
            let code = chain.code(contract.address, At::Block(block.hash)).await?;
            code_hashes.push((!code.is_empty()).then(|| B256::from(keccak256(code))));
        }
        Ok(self.faults(&Found { chain: identity, code_hashes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin() -> Pin {
        let chain = ChainIdentity { chain_id: 5, genesis_hash: B256([1; 32]) };
        let contracts = vec![PinnedContract::factory(Address([2; 20])), PinnedContract::token(Address([3; 20]))];
        Pin { chain, contracts }
    }

    fn found() -> Found {
        Found { chain: pin().chain, code_hashes: pin().contracts.iter().map(|contract| Some(contract.code_hash)).collect() }
    }

    #[test]
    fn l13_every_difference_is_named() {
        assert_eq!(pin().faults(&found()), []);
        let other_id = ChainIdentity { chain_id: 6, ..pin().chain };
        let faults = pin().faults(&Found { chain: other_id, ..found() });
        assert_eq!(faults, [PinFault::ChainId { pinned: 5, found: 6 }]);
        let restarted = ChainIdentity { genesis_hash: B256([9; 32]), ..pin().chain };
        let faults = pin().faults(&Found { chain: restarted, ..found() });
        assert_eq!(faults, [PinFault::Genesis { pinned: B256([1; 32]), found: B256([9; 32]) }]);
        let mut codes = found();
        codes.code_hashes = vec![None, Some(B256([8; 32]))];
        let missing = PinFault::CodeMissing(Address([2; 20]));
        let other = PinFault::Code { address: Address([3; 20]), pinned: token_code_hash(), found: B256([8; 32]) };
        assert_eq!(pin().faults(&codes), [missing, other]);
        codes.code_hashes = Vec::new();
        assert_eq!(pin().faults(&codes).len(), 2, "what was not read counts as missing");
    }
}
