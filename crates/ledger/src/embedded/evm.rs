//! Runs transactions and calls in the EVM.

use super::block::{Header, Outcome, Transaction};
use super::genesis::TRANSACTION_GAS_LIMIT;
use super::state::{Account, Changes, View, account_info};
use crate::chain::{CallOutcome, CallRequest, ChainError};
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::primitives::{Address, B256, TxKind, U256};
use revm::bytecode::Bytecode;
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::AddressMap;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use revm::{Context, Database, DatabaseCommit, DatabaseRef, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext};
use std::convert::Infallible;
use std::sync::Arc;

/// The rules that the embedded chain runs under.
pub(super) const SPEC: SpecId = SpecId::OSAKA;

/// What running a block's transactions came to.
pub(super) struct Executed {
    pub(super) transactions: Vec<Transaction>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) changes: Changes,
    /// Transactions that can no longer run, and why.
    pub(super) invalid: Vec<(B256, String)>,
}

/// A simulated call with the gas it used.
pub(super) struct Simulated {
    pub(super) outcome: CallOutcome,
    pub(super) gas_used: u64,
}

/// The state a block is built on, with what its transactions changed so far.
struct Overlay<'a> {
    base: &'a View<'a>,
    changes: Changes,
}

impl Database for Overlay<'_> {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        match self.changes.accounts.get(&address) {
            Some(account) => Ok(account.map(|account| account_info(account, None))),
            None => self.base.basic_ref(address),
        }
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Infallible> {
        match self.changes.codes.get(&code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code_by_hash_ref(code_hash),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        match self.changes.slots.get(&(address, slot)) {
            Some(value) => Ok(*value),
            None => self.base.storage_ref(address, slot),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        self.base.block_hash_ref(number)
    }
}

impl DatabaseCommit for Overlay<'_> {
    fn commit(&mut self, changes: AddressMap<revm::state::Account>) {
        for (address, touched) in changes {
            if !touched.is_touched() {
                continue;
            }
            // Since EIP-6780 only a contract made in the same transaction is destroyed, so no stored slot is lost.
            if touched.is_selfdestructed() || touched.is_empty() {
                self.changes.accounts.insert(address, None);
                continue;
            }
            if let Some(code) = touched.info.code.filter(|code| !code.is_empty()) {
                self.changes.codes.insert(touched.info.code_hash, code);
            }
            let account = Account { nonce: touched.info.nonce, balance: touched.info.balance, code_hash: touched.info.code_hash };
            self.changes.accounts.insert(address, Some(account));
            for (slot, value) in touched.storage {
                if value.is_changed() {
                    self.changes.slots.insert((address, slot), value.present_value);
                }
            }
        }
    }
}

/// Runs transactions in order while they fit the block. A transaction that does not fit is left for the next block;
/// so are the later ones of its sender, whose nonces then do not follow.
pub(super) fn execute<'a>(
    base: &View<'_>,
    header: &Header,
    chain_id: u64,
    candidates: impl Iterator<Item = &'a Arc<Transaction>>,
) -> Result<Executed, ChainError> {
    let mut overlay = Overlay { base, changes: Changes::default() };
    let (mut transactions, mut outcomes, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
    let mut gas_left = header.gas_limit;
    {
        let mut evm = Context::mainnet()
            .with_db(&mut overlay)
            .with_block(block_env(header, header.base_fee_per_gas.unwrap_or_default()))
            .with_cfg(cfg(chain_id))
            .build_mainnet();
        for candidate in candidates {
            if candidate.envelope.gas_limit() > gas_left {
                continue;
            }
            match evm.transact_commit(tx_env(candidate)) {
                Ok(result) => {
                    let outcome = outcome(result);
                    gas_left = gas_left.saturating_sub(outcome.gas_used);
                    transactions.push(Transaction::clone(candidate));
                    outcomes.push(outcome);
                }
                // Its predecessor did not fit into the block.
                Err(EVMError::Transaction(InvalidTransaction::NonceTooHigh { .. })) => {}
                Err(EVMError::Transaction(reason)) => {
                    invalid.push((candidate.hash, reason.to_string()));
                }
                Err(error) => return Err(ChainError::Storage(format!("EVM: {error}"))),
            }
        }
    }
    Ok(Executed { transactions, outcomes, changes: overlay.changes, invalid })
}

/// Simulates a call in the block of `header`; nothing is charged and nothing is kept.
pub(super) fn simulate(
    base: &View<'_>,
    header: &Header,
    chain_id: u64,
    request: &CallRequest,
    value: U256,
) -> Result<Simulated, ChainError> {
    let mut overlay = Overlay { base, changes: Changes::default() };
    let mut cfg = cfg(chain_id);
    cfg.disable_nonce_check = true;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    let mut evm = Context::mainnet().with_db(&mut overlay).with_block(block_env(header, 0)).with_cfg(cfg).build_mainnet();
    let tx = TxEnv {
        caller: request.from.into(),
        gas_limit: request.gas.unwrap_or(header.gas_limit).min(header.gas_limit),
        gas_price: 0,
        kind: request.to.map_or(TxKind::Create, |to| TxKind::Call(to.into())),
        value,
        data: request.data.clone().into(),
        chain_id: Some(chain_id),
        ..TxEnv::default()
    };
    match evm.transact(tx) {
        Ok(done) => {
            let gas_used = done.result.tx_gas_used();
            let outcome = match done.result {
                ExecutionResult::Success { output, .. } => CallOutcome::Returned(output.into_data().to_vec()),
                ExecutionResult::Revert { output, .. } => CallOutcome::Reverted(output.to_vec()),
                ExecutionResult::Halt { .. } => CallOutcome::Reverted(Vec::new()),
            };
            Ok(Simulated { outcome, gas_used })
        }
        Err(EVMError::Transaction(reason)) => Err(ChainError::Invalid(reason.to_string())),
        Err(error) => Err(ChainError::Storage(format!("EVM: {error}"))),
    }
}

/// The gas that a transaction must carry before any of its code runs (EIP-2028, EIP-2930, EIP-3860, EIP-7623).
pub(super) fn intrinsic_gas(envelope: &TxEnvelope) -> u64 {
    let data = envelope.input();
    let accesses = envelope.access_list().map_or((0, 0), |list| (list.len() as u64, list.storage_keys_count() as u64));
    let gas = revm::context_interface::cfg::GasParams::new_spec(SPEC).initial_tx_gas(
        data,
        envelope.is_create(),
        accesses.0,
        accesses.1,
        0,
        None,
    );
    gas.initial_total_gas().max(gas.floor_gas())
}

fn cfg(chain_id: u64) -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(SPEC).with_chain_id(chain_id);
    cfg.tx_gas_limit_cap = Some(TRANSACTION_GAS_LIMIT);
    cfg
}

fn block_env(header: &Header, base_fee_per_gas: u64) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: base_fee_per_gas,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, 1)),
        ..BlockEnv::default()
    }
}

fn tx_env(transaction: &Transaction) -> TxEnv {
    let envelope = &transaction.envelope;
    TxEnv {
        tx_type: envelope.tx_type().into(),
        caller: transaction.sender,
        gas_limit: envelope.gas_limit(),
        gas_price: envelope.max_fee_per_gas(),
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        ..TxEnv::default()
    }
}

fn outcome(result: ExecutionResult) -> Outcome {
    let gas_used = result.tx_gas_used();
    match result {
        ExecutionResult::Success { logs, .. } => Outcome { succeeded: true, gas_used, logs },
        ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => Outcome { succeeded: false, gas_used, logs: Vec::new() },
    }
}
