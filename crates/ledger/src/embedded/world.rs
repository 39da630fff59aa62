//! The state after the newest block, what leads back to recent blocks, and the index of all blocks.

use super::block::{Block, Header};
use super::evm::{Executed, execute};
use super::file::{BlockLog, Span, storage};
use super::genesis::GenesisConfig;
use super::state::{Changes, State, View};
use crate::chain::{At, BlockRef, ChainError};
use alloy::consensus::transaction::SignerRecoverable;
use alloy::primitives::B256;
use alloy::primitives::map::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is kept in memory of every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: B256,
    pub(super) time_seconds: u64,
    pub(super) span: Span,
    pub(super) transaction_count: u32,
    pub(super) has_logs: bool,
}

/// Where a transaction lies: block number and position in the block.
pub(super) type Place = (u64, u32);

pub(super) struct World {
    pub(super) chain_id: u64,
    pub(super) state: State,
    /// By block number; the genesis block is first.
    pub(super) entries: Vec<Entry>,
    pub(super) numbers: HashMap<B256, u64>,
    pub(super) places: HashMap<B256, Place>,
    /// What takes back the newest blocks, oldest first.
    pub(super) undos: VecDeque<Arc<Changes>>,
    /// The newest blocks, oldest first.
    pub(super) blocks: VecDeque<Arc<Block>>,
    pub(super) genesis_header: Header,
    /// How many of the newest blocks' states can be read besides the head's.
    pub(super) kept: usize,
    /// How many of the newest blocks stay in memory; older ones are read from the file.
    pub(super) blocks_kept: usize,
    /// Gas used since the state was last written to a snapshot.
    pub(super) gas_since_snapshot: u64,
    pub(super) blocks_since_snapshot: u64,
}

impl World {
    pub(super) fn begin(genesis: &GenesisConfig, kept: usize, blocks_kept: usize) -> Self {
        let header = genesis.header();
        let hash = header.hash_slow();
        let mut state = State::default();
        state.apply(&genesis.changes());
        let entry = Entry {
            hash,
            time_seconds: header.timestamp,
            span: Span { offset: 0, length: 0 },
            transaction_count: 0,
            has_logs: false,
        };
        Self {
            chain_id: genesis.chain_id,
            state,
            entries: vec![entry],
            numbers: std::iter::once((hash, 0)).collect(),
            places: HashMap::default(),
            undos: VecDeque::new(),
            blocks: VecDeque::new(),
            genesis_header: header,
            kept,
            blocks_kept,
            gas_since_snapshot: 0,
            blocks_since_snapshot: 0,
        }
    }

    pub(super) fn head_number(&self) -> u64 {
        // The genesis block is always there.
        u64::try_from(self.entries.len().saturating_sub(1)).unwrap_or(u64::MAX)
    }

    pub(super) fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    pub(super) fn block_ref(&self, number: u64) -> Result<BlockRef, ChainError> {
        let entry = self.entry(number).ok_or_else(|| ChainError::Invalid(format!("there is no block {number}")))?;
        Ok(BlockRef { number, hash: entry.hash.into(), time_seconds: entry.time_seconds })
    }

    pub(super) fn number_at(&self, at: At, finalized: u64) -> Result<u64, ChainError> {
        match at {
            At::Head => Ok(self.head_number()),
            At::Finalized => Ok(finalized),
            At::Block(hash) => self.numbers.get(&B256::from(hash)).copied().ok_or(ChainError::StateNotHeld(hash)),
        }
    }

    /// Reads the state after a block, where it is still held.
    pub(super) fn with_view<T>(&self, number: u64, read: impl FnOnce(&View<'_>) -> T) -> Result<T, ChainError> {
        let block = self.block_ref(number)?;
        let later = usize::try_from(self.head_number() - number).map_err(storage)?;
        let skipped = self.undos.len().checked_sub(later).ok_or(ChainError::StateNotHeld(block.hash))?;
        let hash_of = |asked: u64| self.entry(asked).filter(|_| asked <= number).map(|entry| entry.hash);
        let view =
            View { state: &self.state, undone: self.undos.iter().skip(skipped).map(|undo| &**undo).collect(), hash_of: &hash_of };
        Ok(read(&view))
    }

    /// A block from memory or from the file; the genesis block has no transactions.
    pub(super) fn block(&self, log: &BlockLog, number: u64) -> Result<Arc<Block>, ChainError> {
        if number == 0 {
            return Ok(Arc::new(self.genesis_block()));
        }
        let entry = self.entry(number).ok_or_else(|| ChainError::Invalid(format!("there is no block {number}")))?;
        let back = usize::try_from(self.head_number() - number).map_err(storage)?;
        let cached = self.blocks.len().checked_sub(back + 1).and_then(|index| self.blocks.get(index));
        if let Some(block) = cached {
            return Ok(Arc::clone(block));
        }
        let block = log.read(entry.span)?;
        if block.hash != entry.hash {
            return Err(storage(format!("the record of block {number} holds another block")));
        }
        Ok(Arc::new(block))
    }

    pub(super) fn header(&self, log: &BlockLog, number: u64) -> Result<Header, ChainError> {
        if number == 0 {
            return Ok(self.genesis_header.clone());
        }
        Ok(self.block(log, number)?.header.clone())
    }

    /// The header that the next block begins with.
    pub(super) fn next_header(&self, parent: &Header, time_seconds: u64, extra_data: Vec<u8>) -> Result<Header, ChainError> {
        let parent_ref = self.block_ref(self.head_number())?;
        Ok(Header {
            parent_hash: parent_ref.hash.into(),
            number: parent_ref.number + 1,
            timestamp: time_seconds.max(parent_ref.time_seconds),
            gas_limit: parent.gas_limit,
            base_fee_per_gas: parent.base_fee_per_gas,
            // Not random and not claimed to be: contracts here take no chances.
            mix_hash: alloy::primitives::keccak256(parent_ref.hash.0),
            extra_data: extra_data.into(),
            ..Header::default()
        })
    }

    /// Adds a block whose record is synced, with what it changes.
    pub(super) fn push(&mut self, block: Arc<Block>, changes: &Changes, span: Span) {
        let number = block.header.number;
        let undo = self.state.apply(changes);
        self.entries.push(Entry {
            hash: block.hash,
            time_seconds: block.header.timestamp,
            span,
            transaction_count: u32::try_from(block.transactions.len()).unwrap_or(u32::MAX),
            has_logs: block.outcomes.iter().any(|outcome| !outcome.logs.is_empty()),
        });
        self.numbers.insert(block.hash, number);
        for (transaction, position) in block.transactions.iter().zip(0..) {
            self.places.insert(transaction.hash, (number, position));
        }
        self.gas_since_snapshot = self.gas_since_snapshot.saturating_add(block.header.gas_used);
        self.blocks_since_snapshot += 1;
        self.undos.push_back(Arc::new(undo));
        self.blocks.push_back(block);
        while self.undos.len() > self.kept {
            self.undos.pop_front();
        }
        while self.blocks.len() > self.blocks_kept {
            self.blocks.pop_front();
        }
    }

    /// Takes the newest block back, as a reorganisation does, and returns it.
    pub(super) fn pop(&mut self) -> Option<Arc<Block>> {
        let (undo, block) = (self.undos.pop_back()?, self.blocks.pop_back()?);
        self.state.apply(&undo);
        self.entries.pop();
        self.numbers.remove(&block.hash);
        for transaction in &block.transactions {
            self.places.remove(&transaction.hash);
        }
        Some(block)
    }

    /// Runs a recorded block again and adds it, where everything comes out as recorded.
    pub(super) fn replay(&mut self, parent: &Header, block: &Block, span: Span) -> Result<(), ChainError> {
        let number = block.header.number;
        let wrong = |what: &str| storage(format!("block {number} of the file does not replay: {what}"));
        if number != self.head_number() + 1 || block.header.parent_hash != parent.hash_slow() {
            return Err(wrong("it does not follow the block before it"));
        }
        for transaction in &block.transactions {
            let sender = transaction.envelope.recover_signer();
            if sender.ok() != Some(transaction.sender) {
                return Err(wrong("a signature is not its sender's"));
            }
        }
        let candidates: Vec<_> = block.transactions.iter().cloned().map(Arc::new).collect();
        let executed = self.execute(&block.header, &candidates)?;
        let sealed =
            Block::seal(block.header.clone(), parent.state_root, &executed.changes, executed.transactions, executed.outcomes);
        if sealed.hash != block.hash || sealed.outcomes != block.outcomes {
            return Err(wrong("its outcome differs"));
        }
        self.push(Arc::new(sealed), &executed.changes, span);
        Ok(())
    }

    pub(super) fn execute(&self, header: &Header, candidates: &[Arc<super::block::Transaction>]) -> Result<Executed, ChainError> {
        self.with_view(self.head_number(), |view| execute(view, header, self.chain_id, candidates.iter()))?
    }

    fn genesis_block(&self) -> Block {
        Block {
            hash: self.genesis_header.hash_slow(),
            header: self.genesis_header.clone(),
            transactions: Vec::new(),
            outcomes: Vec::new(),
        }
    }
}
