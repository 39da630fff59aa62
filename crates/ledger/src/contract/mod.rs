//! The token contract and its factory, bound to [`Chain`].
//!
//! Reads take the place they are made at; only reads at a finalized block are facts.

mod bindings;
mod instruction;
mod records;

pub use instruction::{
    ITEM_BYTES, Item, Kind, Outcome, PackError, RECORD_BYTES, Record, SkipReason, UNITS_MAX, fold_records, instruction_key,
    pack_items, unpack_items, unpack_records,
};
pub use records::{Checkpoint, TrustedRecord, TrustedRecords, trusted_records};

use crate::chain::{At, CallOutcome, CallRequest, Chain, ChainError};
use crate::types::{Address, B256};
use alloy::primitives::aliases::U96;
use alloy::primitives::{U256, keccak256};
use alloy::sol_types::{SolCall, SolError, SolValue};
use bindings::{FACTORY, ScripFactory, ScripToken, TOKEN};

/// How a call of a token's `execute` begins.
pub const EXECUTE_SELECTOR: [u8; 4] = ScripToken::executeCall::SELECTOR;

/// How a call of the factory's `deploy` begins.
pub const DEPLOY_SELECTOR: [u8; 4] = ScripFactory::deployCall::SELECTOR;

/// The most instructions that one ledger transaction carries.
pub const BATCH_ITEMS_MAX: usize = 200;

/// What `execute` costs besides its items, with reserve.
const BATCH_GAS: u64 = 100_000;

/// What one item costs at most: two new storage words (holder and a number far from its neighbours), the events and
/// the call data, with reserve.
const ITEM_GAS: u64 = 65_000;

/// What an item costs at most that changes two holders.
const PAIR_ITEM_GAS: u64 = 95_000;

/// What deploying a token costs at most, with reserve.
const TOKEN_DEPLOYMENT_GAS: u64 = 6_000_000;

/// What deploying the factory costs at most, with reserve.
const FACTORY_DEPLOYMENT_GAS: u64 = 6_000_000;

/// What a token is made from. All but the registrar stay as they are for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The product's id (UUID bytes).
    pub product_id: [u8; 16],
    /// Name of the token (ERC-20).
    pub name: String,
    /// Symbol of the token (ERC-20).
    pub symbol: String,
    /// The most units that may be issued, at most [`UNITS_MAX`].
    pub cap_units: u128,
    /// Hash of the terms of issue.
    pub terms_hash: B256,
    /// Before this time holders cannot transfer, in seconds since 1970; 0 is none.
    pub lock_in_until_seconds: u64,
    /// The account whose instructions the token carries out.
    pub registrar: Address,
}

/// What lies where a token is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployed {
    /// Nothing.
    Absent,
    /// The expected contract.
    Present {
        /// Its address.
        address: Address,
    },
    /// Something else: nothing may be signed for it.
    Foreign {
        /// The address.
        address: Address,
        /// keccak-256 of the code that lies there.
        code_hash: B256,
    },
}

/// Why a call of the token's `execute` was refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revert {
    /// The block's time is past the batch's `validUntil`.
    Expired {
        /// The batch's last second.
        valid_until_seconds: u64,
    },
    /// The sender is not the token's registrar.
    NotRegistrar {
        /// The sender.
        caller: Address,
    },
    /// The packed items do not divide into items.
    BadLength,
    /// Anything else: out of gas, no contract, another contract.
    Other,
}

/// Why the contract could not be asked or answered unexpectedly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The chain gave no answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Instructions cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The cap does not fit 96 bits.
    #[error("a cap of {0} units does not fit 96 bits")]
    Cap(u128),
    /// The contract refused the call.
    #[error("the contract refused the call: {0:?}")]
    Reverted(Revert),
    /// The answer is not one of this contract.
    #[error("the answer is not one of this contract: {0}")]
    Malformed(String),
    /// The logs do not fold to the running hash: they are incomplete, forged, or of another branch.
    #[error("the logs fold to {folded}, the contract's running hash is {expected}")]
    LogsDoNotFold {
        /// What the logs come to.
        folded: B256,
        /// What the contract says.
        expected: B256,
    },
}

impl Revert {
    /// Reads what a reverted call of `execute` returned.
    #[must_use]
    pub fn decode(data: &[u8]) -> Self {
        if let Ok(error) = ScripToken::Expired::abi_decode(data) {
            return Self::Expired { valid_until_seconds: error.validUntil };
        }
        if let Ok(error) = ScripToken::NotRegistrar::abi_decode(data) {
            return Self::NotRegistrar { caller: error.caller.into() };
        }
        if ScripToken::BadLength::abi_decode(data).is_ok() {
            return Self::BadLength;
        }
        Self::Other
    }
}

/// The salt of a product's token: keccak-256 of the product's id.
#[must_use]
pub fn token_salt(product_id: [u8; 16]) -> B256 {
    keccak256(product_id).into()
}

/// The hash of a token's runtime code, the same for every product.
#[must_use]
pub fn token_code_hash() -> B256 {
    keccak256(&TOKEN.deployed_bytecode).into()
}

/// The hash of the factory's runtime code, by which a network's factory is pinned.
#[must_use]
pub fn factory_code_hash() -> B256 {
    keccak256(&FACTORY.deployed_bytecode).into()
}

/// Initialisation code that deploys the factory; its sender becomes the one who may deploy tokens with it.
#[must_use]
pub fn deploy_factory_data() -> Vec<u8> {
    FACTORY.bytecode.clone()
}

/// Gas limit for [`deploy_factory_data`].
#[must_use]
pub const fn deploy_factory_gas_limit() -> u64 {
    FACTORY_DEPLOYMENT_GAS
}

/// Call data for the factory that deploys a product's token. Where the salt has a token already, nothing happens.
///
/// # Errors
/// [`ContractError::Cap`].
pub fn deploy_token_calldata(salt: B256, terms: &Terms) -> Result<Vec<u8>, ContractError> {
    let call = ScripFactory::deployCall { salt: salt.into(), terms: terms.to_abi()? };
    Ok(call.abi_encode())
}

/// Gas limit for [`deploy_token_calldata`].
#[must_use]
pub const fn deploy_token_gas_limit() -> u64 {
    TOKEN_DEPLOYMENT_GAS
}

/// The address that a product's token has or will have (CREATE2, EIP-1014).
///
/// # Errors
/// [`ContractError::Cap`].
pub fn predict_token(factory: Address, salt: B256, terms: &Terms) -> Result<Address, ContractError> {
    let mut init_code = TOKEN.bytecode.clone();
    init_code.extend(terms.to_abi()?.abi_encode());
    let address = alloy::primitives::Address::from(factory).create2(alloy::primitives::B256::from(salt), keccak256(init_code));
    Ok(address.into())
}

/// Call data of a batch: at most [`BATCH_ITEMS_MAX`] instructions that may run until `valid_until_seconds`, included.
///
/// # Errors
/// [`ContractError::Pack`].
pub fn execute_calldata(valid_until_seconds: u64, items: &[Item]) -> Result<Vec<u8>, ContractError> {
    let call = ScripToken::executeCall { validUntil: valid_until_seconds, items: pack_items(items)?.into() };
    Ok(call.abi_encode())
}

/// The units that a call of `execute` would issue; `None` where its instructions cannot be read.
#[must_use]
pub fn issued_units(calldata: &[u8]) -> Option<u128> {
    let call = ScripToken::executeCall::abi_decode_validate(calldata).ok()?;
    let items = unpack_items(&call.items).ok()?;
    items.iter().filter(|item| item.kind == Kind::Issue).try_fold(0_u128, |sum, item| sum.checked_add(item.units))
}

/// A gas limit that is enough for a batch; `None` where it would pass the cap of one transaction.
#[must_use]
pub fn execute_gas_limit(items: &[Item], transaction_gas_max: u64) -> Option<u64> {
    let gas = items.iter().map(|item| item_gas(item.kind)).sum::<u64>() + BATCH_GAS;
    (gas <= transaction_gas_max).then_some(gas)
}

/// How many instructions to issue fit one ledger transaction under the cap.
#[must_use]
pub fn batch_items_max(transaction_gas_max: u64) -> usize {
    let fitting = transaction_gas_max.saturating_sub(BATCH_GAS) / ITEM_GAS;
    usize::try_from(fitting).map_or(BATCH_ITEMS_MAX, |count| count.min(BATCH_ITEMS_MAX))
}

/// Runs a batch without sending it, and says what would become of each instruction.
///
/// # Errors
/// [`ContractError::Reverted`] where the batch would be refused as a whole.
pub async fn preflight(
    chain: &dyn Chain,
    token: Address,
    registrar: Address,
    valid_until_seconds: u64,
    items: &[Item],
) -> Result<Vec<Outcome>, ContractError> {
    let call = ScripToken::executeCall { validUntil: valid_until_seconds, items: pack_items(items)?.into() };
    let outcomes = ask(chain, registrar, token, call, At::Head).await?;
    if outcomes.len() != items.len() {
        return Err(ContractError::Malformed(format!("{} outcomes for {} items", outcomes.len(), items.len())));
    }
    Ok(outcomes.iter().map(|code| Outcome::from_code(*code)).collect())
}

/// Whether the instruction of this number has taken effect.
///
/// # Errors
/// Those of the chain and of an unexpected contract, as of every read below.
pub async fn applied(chain: &dyn Chain, token: Address, number: u64, at: At) -> Result<bool, ContractError> {
    ask(chain, Address::ZERO, token, ScripToken::appliedCall { number }, at).await
}

/// The hash over every applied and skipped instruction so far.
///
/// # Errors
/// As [`applied`].
pub async fn running_hash(chain: &dyn Chain, token: Address, at: At) -> Result<B256, ContractError> {
    let hash = ask(chain, Address::ZERO, token, ScripToken::runningHashCall {}, at).await?;
    Ok(hash.into())
}

/// Units of an account, frozen ones included.
///
/// # Errors
/// As [`applied`].
pub async fn balance_of(chain: &dyn Chain, token: Address, account: Address, at: At) -> Result<u128, ContractError> {
    let call = ScripToken::balanceOfCall { account: account.into() };
    units(ask(chain, Address::ZERO, token, call, at).await?)
}

/// Units outstanding.
///
/// # Errors
/// As [`applied`].
pub async fn total_supply(chain: &dyn Chain, token: Address, at: At) -> Result<u128, ContractError> {
    units(ask(chain, Address::ZERO, token, ScripToken::totalSupplyCall {}, at).await?)
}

/// Units issued and not withdrawn, redeemed ones included.
///
/// # Errors
/// As [`applied`].
pub async fn issued_total(chain: &dyn Chain, token: Address, at: At) -> Result<u128, ContractError> {
    let issued = ask(chain, Address::ZERO, token, ScripToken::issuedTotalCall {}, at).await?;
    units(U256::from(issued))
}

/// The most units that the token may issue.
///
/// # Errors
/// As [`applied`].
pub async fn cap(chain: &dyn Chain, token: Address, at: At) -> Result<u128, ContractError> {
    let cap = ask(chain, Address::ZERO, token, ScripToken::capCall {}, at).await?;
    units(U256::from(cap))
}

/// The account whose instructions the token carries out.
///
/// # Errors
/// As [`applied`].
pub async fn registrar(chain: &dyn Chain, token: Address, at: At) -> Result<Address, ContractError> {
    let address = ask(chain, Address::ZERO, token, ScripToken::registrarCall {}, at).await?;
    Ok(address.into())
}

/// The token that the factory made for a salt, `None` where there is none.
///
/// # Errors
/// As [`applied`].
pub async fn token_of(chain: &dyn Chain, factory: Address, salt: B256, at: At) -> Result<Option<Address>, ContractError> {
    let call = ScripFactory::tokenOfCall { salt: salt.into() };
    let address = Address::from(ask(chain, Address::ZERO, factory, call, at).await?);
    Ok((address != Address::ZERO).then_some(address))
}

/// What the factory made for a salt, checked by the hash of its code.
///
/// # Errors
/// As [`applied`].
pub async fn deployed_token(chain: &dyn Chain, factory: Address, salt: B256, at: At) -> Result<Deployed, ContractError> {
    match token_of(chain, factory, salt, at).await? {
        Some(address) => deployed(chain, address, token_code_hash(), at).await,
        None => Ok(Deployed::Absent),
    }
}

/// Whether the expected factory lies at an address.
///
/// # Errors
/// As [`applied`].
pub async fn deployed_factory(chain: &dyn Chain, factory: Address, at: At) -> Result<Deployed, ContractError> {
    deployed(chain, factory, factory_code_hash(), at).await
}

impl Terms {
    fn to_abi(&self) -> Result<bindings::Terms, ContractError> {
        if self.cap_units > UNITS_MAX {
            return Err(ContractError::Cap(self.cap_units));
        }
        let mut product_id = [0; 32];
        for (to, from) in product_id.iter_mut().zip(self.product_id) {
            *to = from;
        }
        Ok(bindings::Terms {
            productId: product_id.into(),
            name: self.name.clone(),
            symbol: self.symbol.clone(),
            cap: U96::from(self.cap_units),
            termsHash: self.terms_hash.into(),
            lockInUntil: self.lock_in_until_seconds,
            registrar: self.registrar.into(),
        })
    }
}

async fn ask<C: SolCall>(
    chain: &dyn Chain,
    from: Address,
    contract: Address,
    call: C,
    at: At,
) -> Result<C::Return, ContractError> {
    let request = CallRequest { from, to: Some(contract), data: call.abi_encode(), gas: None };
    match chain.call(request, at).await? {
        CallOutcome::Returned(data) => {
            C::abi_decode_returns_validate(&data).map_err(|error| ContractError::Malformed(error.to_string()))
        }
        CallOutcome::Reverted(data) => Err(ContractError::Reverted(Revert::decode(&data))),
    }
}

async fn deployed(chain: &dyn Chain, address: Address, expected: B256, at: At) -> Result<Deployed, ContractError> {
    let code = chain.code(address, at).await?;
    if code.is_empty() {
        return Ok(Deployed::Absent);
    }
    let code_hash = B256::from(keccak256(code));
    if code_hash == expected { Ok(Deployed::Present { address }) } else { Ok(Deployed::Foreign { address, code_hash }) }
}

fn units(value: U256) -> Result<u128, ContractError> {
    u128::try_from(value).map_err(|_| ContractError::Malformed("units above 128 bits".to_owned()))
}

const fn item_gas(kind: Kind) -> u64 {
    match kind {
        Kind::ForcedTransfer | Kind::Recover => PAIR_ITEM_GAS,
        Kind::Issue
        | Kind::Withdraw
        | Kind::Redeem
        | Kind::Block
        | Kind::Unblock
        | Kind::Freeze
        | Kind::Unfreeze
        | Kind::Register
        | Kind::SetReceiving
        | Kind::Unknown(_) => ITEM_GAS,
    }
}
