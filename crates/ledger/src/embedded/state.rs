//! The accounts and storage of an embedded chain, in memory.
//!
//! Storage is held in shards behind reference counts, so that a copy for a snapshot costs nothing at the moment it is
//! taken: a later write copies only the shard that it changes.

use alloy::primitives::map::HashMap;
use alloy::primitives::{Address, B256, KECCAK256_EMPTY, Keccak256, U256};
use revm::bytecode::Bytecode;
use revm::state::AccountInfo;
use std::convert::Infallible;
use std::sync::Arc;

const SHARDS: usize = 64;

/// An account without its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) nonce: u64,
    pub(super) balance: U256,
    pub(super) code_hash: B256,
}

/// What a block changes, or what takes the change back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) accounts: HashMap<Address, Option<Account>>,
    pub(super) slots: HashMap<(Address, U256), U256>,
    pub(super) codes: HashMap<B256, Bytecode>,
}

/// One shard of an account's storage.
pub(super) type Shard = HashMap<U256, U256>;

/// The whole state after some block.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    accounts: HashMap<Address, Account>,
    storage: HashMap<Address, Vec<Arc<Shard>>>,
    codes: HashMap<B256, Bytecode>,
    slot_count: u64,
}

/// The state after a block that later blocks have changed: the undo of each, oldest first, stands before the state.
#[derive(Clone)]
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    pub(super) undone: Vec<&'a Changes>,
    /// Hashes of the blocks up to the one that is read, by number.
    pub(super) hash_of: &'a (dyn Fn(u64) -> Option<B256> + Sync),
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl Changes {
    /// Folds the changes into a commitment: keccak-256 over the parent's commitment and every change in order of key.
    /// Headers carry it as state root. It is not the root of a Merkle tree, which would be hashed anew for every
    /// touched slot and which nobody here asks proofs of.
    pub(super) fn commitment(&self, parent: B256) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(parent);
        let mut accounts: Vec<_> = self.accounts.iter().collect();
        accounts.sort_unstable_by_key(|(address, _)| **address);
        for (address, account) in accounts {
            hasher.update(address);
            let account = account.unwrap_or_default();
            hasher.update(account.nonce.to_be_bytes());
            hasher.update(account.balance.to_be_bytes::<32>());
            hasher.update(account.code_hash);
        }
        let mut slots: Vec<_> = self.slots.iter().collect();
        slots.sort_unstable_by_key(|(key, _)| **key);
        for ((address, slot), value) in slots {
            hasher.update(address);
            hasher.update(slot.to_be_bytes::<32>());
            hasher.update(value.to_be_bytes::<32>());
        }
        hasher.finalize()
    }
}

impl State {
    pub(super) const fn slot_count(&self) -> u64 {
        self.slot_count
    }

    pub(super) const fn accounts(&self) -> &HashMap<Address, Account> {
        &self.accounts
    }

    pub(super) const fn codes(&self) -> &HashMap<B256, Bytecode> {
        &self.codes
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = (&Address, &Shard)> {
        self.storage.iter().flat_map(|(address, shards)| shards.iter().map(move |shard| (address, &**shard)))
    }

    fn slot(&self, address: Address, slot: U256) -> U256 {
        self.storage
            .get(&address)
            .and_then(|shards| shards.get(shard_of(slot)))
            .and_then(|shard| shard.get(&slot))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn set_slot(&mut self, address: Address, slot: U256, value: U256) -> U256 {
        let shards = self.storage.entry(address).or_insert_with(|| vec![Arc::default(); SHARDS]);
        let Some(shard) = shards.get_mut(shard_of(slot)) else {
            return U256::ZERO;
        };
        let shard = Arc::make_mut(shard);
        let before = if value.is_zero() { shard.remove(&slot) } else { shard.insert(slot, value) };
        match (before.is_some(), value.is_zero()) {
            (false, false) => self.slot_count += 1,
            (true, true) => self.slot_count -= 1,
            (false, true) | (true, false) => {}
        }
        before.unwrap_or_default()
    }

    /// Makes the changes and returns what takes them back.
    pub(super) fn apply(&mut self, changes: &Changes) -> Changes {
        let mut undo = Changes::default();
        for (hash, code) in &changes.codes {
            self.codes.entry(*hash).or_insert_with(|| code.clone());
        }
        for (address, account) in &changes.accounts {
            let before = match account {
                Some(account) => self.accounts.insert(*address, *account),
                None => self.accounts.remove(address),
            };
            undo.accounts.insert(*address, before);
        }
        for ((address, slot), value) in &changes.slots {
            let before = self.set_slot(*address, *slot, *value);
            undo.slots.insert((*address, *slot), before);
        }
        undo
    }
}

impl View<'_> {
    pub(super) fn account(&self, address: Address) -> Option<Account> {
        self.undone
            .iter()
            .find_map(|undo| undo.accounts.get(&address))
            .map_or_else(|| self.state.accounts.get(&address).copied(), |found| *found)
    }

    pub(super) fn storage(&self, address: Address, slot: U256) -> U256 {
        self.undone
            .iter()
            .find_map(|undo| undo.slots.get(&(address, slot)))
            .copied()
            .unwrap_or_else(|| self.state.slot(address, slot))
    }

    pub(super) fn code(&self, hash: B256) -> Bytecode {
        self.state.codes.get(&hash).cloned().unwrap_or_default()
    }
}

impl revm::DatabaseRef for View<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(address).map(|account| account_info(account, None)))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code(code_hash))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.storage(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok((self.hash_of)(number).unwrap_or_default())
    }
}

pub(super) fn account_info(account: Account, code: Option<Bytecode>) -> AccountInfo {
    AccountInfo { balance: account.balance, nonce: account.nonce, code_hash: account.code_hash, code, ..AccountInfo::default() }
}

fn shard_of(slot: U256) -> usize {
    // Slots of mappings are hashes, so their low byte spreads evenly.
    usize::from(slot.byte(0)) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(byte: u8) -> Address {
        Address::repeat_byte(byte)
    }

    #[test]
    fn an_undo_takes_every_change_back() {
        let mut state = State::default();
        let mut first = Changes::default();
        first.accounts.insert(address(1), Some(Account { nonce: 1, ..Account::default() }));
        first.slots.insert((address(1), U256::from(5)), U256::from(50));
        state.apply(&first);
        let mut second = Changes::default();
        second.accounts.insert(address(1), None);
        second.accounts.insert(address(2), Some(Account::default()));
        second.slots.insert((address(1), U256::from(5)), U256::ZERO);
        second.slots.insert((address(1), U256::from(6)), U256::from(60));
        let undo = state.apply(&second);
        assert_eq!(state.slot_count(), 1);
        let none = |_| None;
        let before = View { state: &state, undone: vec![&undo], hash_of: &none };
        assert_eq!(before.account(address(1)).map(|account| account.nonce), Some(1));
        assert_eq!(before.account(address(2)), None);
        assert_eq!(before.storage(address(1), U256::from(5)), U256::from(50));
        assert_eq!(before.storage(address(1), U256::from(6)), U256::ZERO);
        state.apply(&undo);
        assert_eq!(state.slot(address(1), U256::from(5)), U256::from(50));
        assert_eq!(state.slot_count(), 1);
        assert_eq!(state.accounts().len(), 1);
    }

    #[test]
    fn a_copy_is_not_changed_by_later_writes() {
        let mut state = State::default();
        state.set_slot(address(1), U256::from(1), U256::from(10));
        let copy = state.clone();
        state.set_slot(address(1), U256::from(1), U256::from(11));
        assert_eq!(copy.slot(address(1), U256::from(1)), U256::from(10));
    }

    #[test]
    fn the_commitment_depends_on_every_change_and_on_the_parent() {
        let mut changes = Changes::default();
        changes.slots.insert((address(1), U256::from(1)), U256::from(10));
        let base = changes.commitment(B256::ZERO);
        assert_ne!(base, changes.commitment(B256::repeat_byte(1)));
        changes.slots.insert((address(1), U256::from(2)), U256::from(10));
        assert_ne!(base, changes.commitment(B256::ZERO));
    }
}
