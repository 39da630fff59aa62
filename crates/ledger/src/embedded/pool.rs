//! Transactions that wait for a block. The pool is memory only, as in every node: who sent, sends again.

use super::block::Transaction;
use super::evm::intrinsic_gas;
use super::genesis::{BASE_FEE_PER_GAS_WEI, BLOCK_GAS_LIMIT, TRANSACTION_GAS_LIMIT};
use super::state::Account;
use alloy::consensus::Transaction as _;
use alloy::primitives::{Address, B256, U256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many transactions of one sender may wait.
const SENDER_SLOTS: usize = 1_024;

/// How many transactions may wait in all.
const POOL_SLOTS: usize = 16_384;

/// The greatest initialisation code of a deployment (EIP-3860).
const INIT_CODE_BYTES_MAX: usize = 49_152;

/// The greatest transaction (geth's limit).
const TRANSACTION_BYTES_MAX: usize = 131_072;

#[derive(Default)]
pub(super) struct Pool {
    senders: BTreeMap<Address, BTreeMap<u64, Waiting>>,
    hashes: BTreeSet<B256>,
    arrivals: u64,
}

struct Waiting {
    transaction: Arc<Transaction>,
    arrival: u64,
}

/// Why a transaction is not taken; the texts are geth's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("already known")]
    AlreadyKnown,
    #[error("oversized data: transaction size {have}, limit {TRANSACTION_BYTES_MAX}")]
    Oversized { have: usize },
    #[error("max initcode size exceeded: code size {have}, limit {INIT_CODE_BYTES_MAX}")]
    InitCode { have: usize },
    #[error("exceeds block gas limit")]
    BlockGasLimit,
    #[error("transaction gas limit too high (cap: {TRANSACTION_GAS_LIMIT}, tx: {have})")]
    TransactionGasLimit { have: u64 },
    #[error("intrinsic gas too low: gas {have}, minimum needed {need}")]
    IntrinsicGas { have: u64, need: u64 },
    #[error("max priority fee per gas higher than max fee per gas: tip {tip}, max fee {fee}")]
    TipAboveFee { tip: u128, fee: u128 },
    #[error("max fee per gas less than block base fee: address {sender}, maxFeePerGas: {have}, baseFee: {BASE_FEE_PER_GAS_WEI}")]
    FeeBelowBase { sender: Address, have: u128 },
    #[error("nonce too low: next nonce {next}, tx nonce {have}")]
    NonceTooLow { next: u64, have: u64 },
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}",
        cost.saturating_sub(*balance)
    )]
    InsufficientFunds { balance: U256, cost: U256 },
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    #[error("account limit exceeded")]
    SenderFull,
    #[error("txpool is full")]
    Full,
}

impl Pool {
    /// Takes a transaction whose sender stands at `account`.
    pub(super) fn insert(&mut self, transaction: Transaction, account: Account, size_bytes: usize) -> Result<(), NotTaken> {
        if self.hashes.contains(&transaction.hash) {
            return Err(NotTaken::AlreadyKnown);
        }
        check_alone(&transaction, account, size_bytes)?;
        let (sender, nonce) = (transaction.sender, transaction.envelope.nonce());
        let others = self.senders.get(&sender);
        let replaced = others.and_then(|own| own.get(&nonce)).map(|waiting| &waiting.transaction);
        if let Some(replaced) = replaced {
            if !outbids(&transaction, replaced) {
                return Err(NotTaken::ReplacementUnderpriced);
            }
        } else if others.is_some_and(|own| own.len() >= SENDER_SLOTS) {
            return Err(NotTaken::SenderFull);
        } else if self.hashes.len() >= POOL_SLOTS {
            return Err(NotTaken::Full);
        }
        let queued = others
            .into_iter()
            .flatten()
            .filter(|(other, _)| **other != nonce)
            .fold(cost(&transaction), |sum, (_, waiting)| sum.saturating_add(cost(&waiting.transaction)));
        if queued > account.balance {
            return Err(NotTaken::InsufficientFunds { balance: account.balance, cost: queued });
        }
        if let Some(hash) = replaced.map(|replaced| replaced.hash) {
            self.hashes.remove(&hash);
        }
        self.hashes.insert(transaction.hash);
        self.arrivals += 1;
        let waiting = Waiting { transaction: Arc::new(transaction), arrival: self.arrivals };
        self.senders.entry(sender).or_default().insert(nonce, waiting);
        Ok(())
    }

    /// The transactions that can run now, in order of arrival; one sender's always in order of nonce.
    pub(super) fn executable(&self, nonce_of: impl Fn(Address) -> u64) -> Vec<Arc<Transaction>> {
        let mut ready = Vec::new();
        for (sender, own) in &self.senders {
            let next = nonce_of(*sender);
            // A later nonce that arrived earlier waits for its predecessor.
            let mut turn = 0;
            let gapless = own.range(next..).zip(next..);
            for ((nonce, waiting), _) in gapless.take_while(|((nonce, _), next)| *nonce == next) {
                turn = turn.max(waiting.arrival);
                ready.push((turn, *nonce, Arc::clone(&waiting.transaction)));
            }
        }
        ready.sort_by_key(|(turn, nonce, _)| (*turn, *nonce));
        ready.into_iter().map(|(_, _, transaction)| transaction).collect()
    }

    /// Forgets transactions that can never run: their sender's nonce is past theirs, or the EVM refused them.
    pub(super) fn settle(&mut self, nonce_of: impl Fn(Address) -> u64, invalid: &[(B256, String)]) {
        let hashes = &mut self.hashes;
        self.senders.retain(|sender, own| {
            let next = nonce_of(*sender);
            own.retain(|nonce, waiting| {
                let hash = waiting.transaction.hash;
                let kept = *nonce >= next && !invalid.iter().any(|(bad, _)| *bad == hash);
                if !kept {
                    hashes.remove(&hash);
                }
                kept
            });
            !own.is_empty()
        });
    }

    pub(super) fn get(&self, hash: B256) -> Option<Arc<Transaction>> {
        if !self.hashes.contains(&hash) {
            return None;
        }
        self.senders
            .values()
            .flat_map(BTreeMap::values)
            .find(|waiting| waiting.transaction.hash == hash)
            .map(|waiting| Arc::clone(&waiting.transaction))
    }

    /// The nonce behind the sender's gapless waiting transactions.
    pub(super) fn next_nonce(&self, sender: Address, next: u64) -> u64 {
        self.senders.get(&sender).map_or(next, |own| {
            own.range(next..)
                .zip(next..)
                .take_while(|((nonce, _), expected)| **nonce == *expected)
                .last()
                .map_or(next, |((nonce, _), _)| nonce + 1)
        })
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn clear(&mut self) {
        self.senders.clear();
        self.hashes.clear();
    }
}

fn check_alone(transaction: &Transaction, account: Account, size_bytes: usize) -> Result<(), NotTaken> {
    let envelope = &transaction.envelope;
    if size_bytes > TRANSACTION_BYTES_MAX {
        return Err(NotTaken::Oversized { have: size_bytes });
    }
    if envelope.is_create() && envelope.input().len() > INIT_CODE_BYTES_MAX {
        return Err(NotTaken::InitCode { have: envelope.input().len() });
    }
    let gas = envelope.gas_limit();
    if gas > BLOCK_GAS_LIMIT {
        return Err(NotTaken::BlockGasLimit);
    }
    if gas > TRANSACTION_GAS_LIMIT {
        return Err(NotTaken::TransactionGasLimit { have: gas });
    }
    let need = intrinsic_gas(envelope);
    if gas < need {
        return Err(NotTaken::IntrinsicGas { have: gas, need });
    }
    let fee = envelope.max_fee_per_gas();
    if let Some(tip) = envelope.max_priority_fee_per_gas().filter(|tip| *tip > fee) {
        return Err(NotTaken::TipAboveFee { tip, fee });
    }
    if fee < u128::from(BASE_FEE_PER_GAS_WEI) {
        return Err(NotTaken::FeeBelowBase { sender: transaction.sender, have: fee });
    }
    let have = envelope.nonce();
    if have < account.nonce {
        return Err(NotTaken::NonceTooLow { next: account.nonce, have });
    }
    Ok(())
}

/// The most that a transaction can cost its sender.
fn cost(transaction: &Transaction) -> U256 {
    let envelope = &transaction.envelope;
    U256::from(envelope.gas_limit()).saturating_mul(U256::from(envelope.max_fee_per_gas())).saturating_add(envelope.value())
}

/// True where both fees are at least a tenth above those of the waiting transaction (geth's rule).
fn outbids(new: &Transaction, old: &Transaction) -> bool {
    let enough = |new: u128, old: u128| new > old && U256::from(new) * U256::from(10) >= U256::from(old) * U256::from(11);
    let tip = |transaction: &Transaction| transaction.envelope.priority_fee_or_price();
    enough(new.envelope.max_fee_per_gas(), old.envelope.max_fee_per_gas()) && enough(tip(new), tip(old))
}
