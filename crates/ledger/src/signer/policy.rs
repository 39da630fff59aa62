//! What a key may sign: the registrar's own calls, and nothing else.

use super::{Signer, SignerError};
use crate::contract::{DEPLOY_SELECTOR, EXECUTE_SELECTOR, deploy_factory_data, issued_units};
use crate::transaction::{Signed, TRANSFER_GAS, Unsigned};
use crate::types::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const DAY_SECONDS: u64 = 86_400;

/// What a key may sign on one network. Everything else is refused before the device is asked.
///
/// Allowed are: `execute` of an allowed token, `deploy` of the allowed factory, the deployment of that factory where
/// [`SigningPolicy::may_deploy_factory`] says so, and a transfer of nothing from the key's account to itself, which fills
/// a nonce gap. None of them carries value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningPolicy {
    /// The only chain.
    pub chain_id: u64,
    /// The network's factory, once it is known.
    pub factory: Option<Address>,
    /// Whether the factory may be deployed (`scrip ledger init`).
    pub may_deploy_factory: bool,
    /// The tokens that may be instructed.
    pub tokens: BTreeSet<Address>,
    /// The most gas of one transaction.
    pub transaction_gas_max: u64,
    /// The most per gas, in wei.
    pub max_fee_per_gas_wei_max: u128,
    /// The highest tip per gas, in wei.
    pub max_priority_fee_per_gas_wei_max: u128,
    /// The most units that may be issued in one day (UTC), over all tokens.
    pub issued_units_per_day_max: u128,
}

/// Why a transaction is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// It is for another chain.
    #[error("it is for chain {0}")]
    Chain(u64),
    /// It carries value.
    #[error("it carries {0} wei")]
    Value(u128),
    /// It calls an address that is not allowed.
    #[error("{0} may not be called")]
    Contract(Address),
    /// It calls another function than the one that is allowed there.
    #[error("the function {} of {contract} may not be called", hex::encode(selector))]
    Function {
        /// The called contract.
        contract: Address,
        /// The first bytes of the call data, at most four.
        selector: Vec<u8>,
    },
    /// It deploys something else than the factory, or that is not allowed.
    #[error("nothing may be deployed but the factory, and only while that is allowed")]
    Deployment,
    /// Its instructions cannot be read.
    #[error("its instructions cannot be read")]
    Instructions,
    /// More gas than is allowed.
    #[error("a gas limit of {gas_limit} is above {gas_max}")]
    Gas {
        /// Its gas limit.
        gas_limit: u64,
        /// The cap.
        gas_max: u64,
    },
    /// It pays more per gas than is allowed.
    #[error("{per_gas_wei} wei per gas is above {per_gas_wei_max}")]
    Fee {
        /// What it pays.
        per_gas_wei: u128,
        /// The cap.
        per_gas_wei_max: u128,
    },
    /// Its tip per gas is higher than is allowed.
    #[error("a tip of {per_gas_wei} wei per gas is above {per_gas_wei_max}")]
    Tip {
        /// Its tip.
        per_gas_wei: u128,
        /// The cap.
        per_gas_wei_max: u128,
    },
    /// With it more units would be issued on this day than is allowed.
    #[error("{units} units after {already_units} on this day are above {units_max}")]
    DailyUnits {
        /// Units that it would issue.
        units: u128,
        /// Units of the day before it.
        already_units: u128,
        /// The cap.
        units_max: u128,
    },
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The policy refuses it; the device was not asked. All reasons are named.
    #[error("the signing policy refuses: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<PolicyRefusal>),
    /// The device gave none.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl SigningPolicy {
    /// Checks a transaction of the account `own`, after `already_units` were issued on the same day; says how many units
    /// it issues.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub fn check(&self, own: Address, transaction: &Unsigned, already_units: u128) -> Result<u128, Vec<PolicyRefusal>> {
        let mut broken = Vec::new();
        if transaction.chain_id != self.chain_id {
            broken.push(PolicyRefusal::Chain(transaction.chain_id));
        }
        if transaction.value_wei != 0 {
            broken.push(PolicyRefusal::Value(transaction.value_wei));
        }
        let gas_max = if transaction.to == Some(own) { TRANSFER_GAS } else { self.transaction_gas_max };
        if transaction.gas_limit > gas_max {
            broken.push(PolicyRefusal::Gas { gas_limit: transaction.gas_limit, gas_max });
        }
        let (per_gas_wei, per_gas_wei_max) = (transaction.fees.max_fee_per_gas_wei, self.max_fee_per_gas_wei_max);
        if per_gas_wei > per_gas_wei_max {
            broken.push(PolicyRefusal::Fee { per_gas_wei, per_gas_wei_max });
        }
        let (per_gas_wei, per_gas_wei_max) =
            (transaction.fees.max_priority_fee_per_gas_wei, self.max_priority_fee_per_gas_wei_max);
        if per_gas_wei > per_gas_wei_max {
            broken.push(PolicyRefusal::Tip { per_gas_wei, per_gas_wei_max });
        }
        let units = self.units_of_call(own, transaction).unwrap_or_else(|refusal| {
            broken.push(refusal);
            0
        });
        let units_max = self.issued_units_per_day_max;
        if already_units.checked_add(units).is_none_or(|sum| sum > units_max) && units > 0 {
            broken.push(PolicyRefusal::DailyUnits { units, already_units, units_max });
        }
        if broken.is_empty() { Ok(units) } else { Err(broken) }
    }

    fn units_of_call(&self, own: Address, transaction: &Unsigned) -> Result<u128, PolicyRefusal> {
        let Some(to) = transaction.to else {
            let is_factory = transaction.data == deploy_factory_data();
            return if self.may_deploy_factory && is_factory { Ok(0) } else { Err(PolicyRefusal::Deployment) };
        };
        let selector: Vec<u8> = transaction.data.iter().take(4).copied().collect();
        let other = || PolicyRefusal::Function { contract: to, selector: selector.clone() };
        if to == own {
            return if transaction.data.is_empty() { Ok(0) } else { Err(other()) };
        }
        if Some(to) == self.factory {
            return if selector == DEPLOY_SELECTOR { Ok(0) } else { Err(other()) };
        }
        if !self.tokens.contains(&to) {
            return Err(PolicyRefusal::Contract(to));
        }
        if selector != EXECUTE_SELECTOR {
            return Err(other());
        }
        issued_units(&transaction.data).ok_or(PolicyRefusal::Instructions)
    }
}

/// The units of a day, by nonce: an attempt that replaces another one at the same nonce issues nothing more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuedToday {
    /// The day, counted from 1970-01-01 (UTC).
    pub day: u64,
    /// Units signed for on that day, by nonce.
    pub units_by_nonce: BTreeMap<u64, u128>,
}

impl IssuedToday {
    /// Units signed for on a day at other nonces than this.
    fn units_besides(&self, nonce: u64) -> u128 {
        self.units_by_nonce.iter().filter(|(other, _)| **other != nonce).fold(0, |sum, (_, units)| sum.saturating_add(*units))
    }
}

/// A key that signs nothing but what its policy allows.
pub struct PolicedSigner {
    device: Arc<dyn Signer>,
    rules: Mutex<(SigningPolicy, IssuedToday)>,
}

impl PolicedSigner {
    /// Puts a policy before a key. `issued` is what was signed for earlier on the same day, as the caller stored it.
    #[must_use]
    pub fn new(device: Arc<dyn Signer>, policy: SigningPolicy, issued: IssuedToday) -> Self {
        Self { device, rules: Mutex::new((policy, issued)) }
    }

    /// The address of the key.
    #[must_use]
    pub fn address(&self) -> Address {
        self.device.address()
    }

    /// Allows a token, once its code was found at a finalized block.
    pub fn allow_token(&self, token: Address) {
        self.rules().0.tokens.insert(token);
    }

    /// Allows the network's factory, once its code was found at a finalized block; from then on no other is deployed.
    pub fn allow_factory(&self, factory: Address) {
        let mut rules = self.rules();
        rules.0.factory = Some(factory);
        rules.0.may_deploy_factory = false;
    }

    /// Signs a transaction that the policy allows. `now_seconds` (since 1970) says which day it is. What is returned has
    /// to be stored before it is sent.
    ///
    /// Units count from the moment the device is asked: it may have signed even where no answer came.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(&self, transaction: &Unsigned, now_seconds: u64) -> Result<Signed, SigningError> {
        {
            let mut rules = self.rules();
            let (policy, issued) = &mut *rules;
            let day = now_seconds / DAY_SECONDS;
            if issued.day != day {
                *issued = IssuedToday { day, units_by_nonce: BTreeMap::new() };
            }
            let already_units = issued.units_besides(transaction.nonce);
            let units = policy.check(self.address(), transaction, already_units).map_err(SigningError::Refused)?;
            let signed_for = issued.units_by_nonce.entry(transaction.nonce).or_default();
            *signed_for = units.max(*signed_for);
        }
        Ok(transaction.sign(self.device.as_ref())?)
    }

    fn rules(&self) -> MutexGuard<'_, (SigningPolicy, IssuedToday)> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
