//! An EVM chain inside the program.
//!
//! It behaves as a node does: transactions are signed, their sender is recovered, they wait in a pool, blocks hold
//! them, and older blocks are final. There is no other way to change its state. Blocks lie in one append-only file; a
//! block counts as made once it is synced.
//!
//! Invariant: a block that was answered is in the file.
//! Invariant: readers see a block only after its sync.

mod answers;
mod block;
mod codec;
mod copy;
mod evm;
mod file;
mod genesis;
mod pool;
pub mod rpc_view;
mod snapshot;
mod state;
mod world;

pub use copy::copy_blocks;
pub use genesis::{BASE_FEE_PER_GAS_WEI, BLOCK_GAS_LIMIT, CHAIN_ID_DEFAULT, GenesisConfig, TRANSACTION_GAS_LIMIT};

use crate::chain::{Answer, At, BlockRef, CallOutcome, CallRequest, ChainError, Log, LogFilter, Receipt};
use crate::refusal::SendRefusal;
use crate::types::{Address, TxHash};
use alloy::primitives::{self as evm_types, U256};
use block::{Block, Transaction};
use evm::Simulated;
use file::{BlockLog, FileLog, storage};
use pool::Pool;
use snapshot::Snapshot;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use world::World;

/// Tells the time in seconds since 1970. Block times follow it, but never go back.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A chain inside the program; shared by reference, every method may be called from any thread.
///
/// Blocks are made only by [`EmbeddedChain::produce`], which the program's work calls after it has sent something and
/// again until [`EmbeddedChain::is_settled`]. Everything that waits at that moment shares the block and its sync.
pub struct EmbeddedChain {
    chain_id: u64,
    finality_blocks: u64,
    clock: Clock,
    world: RwLock<World>,
    pool: Mutex<Pool>,
    log: BlockLog,
    producer: Mutex<Producer>,
    // Held for its lock, which ends when it is closed.
    _lock: Option<File>,
}

/// What only the one who makes blocks needs.
#[derive(Default)]
struct Producer {
    snapshot_path: Option<PathBuf>,
    snapshot_writer: Option<JoinHandle<()>>,
    /// How often the chain was reorganised, so that blocks of another branch have other hashes.
    branch: u64,
}

/// How many states behind finality can still be read.
const STATES_KEPT_BEHIND_FINALITY: u64 = 16;

/// How many blocks stay in memory, for those who ask about what just happened.
const BLOCKS_KEPT: usize = 4;

/// How many states a chain in memory keeps, so that tests can reorganise deeply.
const STATES_KEPT_IN_MEMORY: usize = 512;

/// A snapshot is due after this much gas, about a quarter of a second of running it again,
const SNAPSHOT_GAS: u64 = 400_000_000;

/// and after this much more for each storage slot that it must write,
const SNAPSHOT_GAS_PER_SLOT: u64 = 600;

/// or after this many blocks.
const SNAPSHOT_BLOCKS: u64 = 4_096;

impl EmbeddedChain {
    /// Opens the chain in a folder, which is made where it is missing, and locks the folder while the value lives.
    ///
    /// `finality_blocks` is how many blocks must follow one until it counts as final; 0 makes every block final.
    ///
    /// # Errors
    /// [`ChainError::Storage`] where the folder is in use, belongs to another chain, or the file of blocks is damaged
    /// other than by an append that was cut short.
    pub fn open(folder: &Path, genesis: &GenesisConfig, finality_blocks: u64, clock: Clock) -> Result<Self, ChainError> {
        std::fs::create_dir_all(folder).map_err(storage)?;
        let lock = lock_folder(folder)?;
        let (log, genesis, first) = FileLog::open(&folder.join("blocks.log"), genesis)?;
        let snapshot_path = folder.join("state.snapshot");
        let kept = usize::try_from(finality_blocks.saturating_add(STATES_KEPT_BEHIND_FINALITY)).map_err(storage)?;
        let loaded = snapshot::load(&snapshot_path, &genesis, kept);
        if let Some((world, offset)) = &loaded
            && *offset > log.end()
        {
            return Err(storage(format!(
                "{} ends before block {}, which was synced: restore it from a backup, or remove {} to go on without \
                 the missing blocks",
                folder.join("blocks.log").display(),
                world.head_number(),
                snapshot_path.display()
            )));
        }
        let loaded = loaded.filter(|(world, offset)| holds_last_block(&log, world, *offset));
        let (mut world, offset) = loaded.unwrap_or_else(|| (World::begin(&genesis, kept, BLOCKS_KEPT), first));
        let log = BlockLog::File(log);
        let mut parent = world.header(&log, world.head_number())?;
        if let BlockLog::File(file) = &log {
            file.replay(offset, |block, span| {
                world.replay(&parent, &block, span)?;
                parent = block.header;
                Ok(())
            })?;
        }
        let producer = Producer { snapshot_path: Some(snapshot_path), ..Producer::default() };
        Ok(Self::assemble(world, log, finality_blocks, clock, producer, Some(lock)))
    }

    /// A chain that lives in memory only, for tests and trials.
    #[must_use]
    pub fn in_memory(genesis: &GenesisConfig, finality_blocks: u64, clock: Clock) -> Self {
        let world = World::begin(genesis, STATES_KEPT_IN_MEMORY, STATES_KEPT_IN_MEMORY);
        let log = BlockLog::Memory(Mutex::default());
        Self::assemble(world, log, finality_blocks, clock, Producer::default(), None)
    }

    fn assemble(world: World, log: BlockLog, finality_blocks: u64, clock: Clock, producer: Producer, lock: Option<File>) -> Self {
        Self {
            chain_id: world.chain_id,
            finality_blocks,
            clock,
            world: RwLock::new(world),
            pool: Mutex::default(),
            log,
            producer: Mutex::new(producer),
            _lock: lock,
        }
    }

    /// Makes one block of what waits, empty where nothing does, and syncs it. This waits for the disk: call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// [`ChainError::Storage`] where the block could not be written; then it was not made, and what it would have
    /// held waits on.
    pub fn produce(&self) -> Result<BlockRef, ChainError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        let (block, changes, invalid) = {
            let world = self.world()?;
            let parent = world.header(&self.log, world.head_number())?;
            let time_seconds = u64::try_from((self.clock)()).unwrap_or(0);
            let header = world.next_header(&parent, time_seconds, producer.extra_data())?;
            let candidates = self.pool().executable(|sender| nonce(&world, sender));
            let executed = world.execute(&header, &candidates)?;
            let block = Block::seal(header, parent.state_root, &executed.changes, executed.transactions, executed.outcomes);
            (Arc::new(block), executed.changes, executed.invalid)
        };
        for (hash, reason) in &invalid {
            tracing::warn!(transaction = %hash, reason, "a waiting transaction can no longer run");
        }
        let span = self.log.append(&block)?;
        let mut world = self.world.write().map_err(|_| poisoned())?;
        world.push(block, &changes, span);
        self.pool().settle(|sender| nonce(&world, sender), &invalid);
        let made = world.block_ref(world.head_number())?;
        if let Some(snapshot) = producer.due_snapshot(&mut world, &self.log) {
            drop(world);
            producer.write_in_background(snapshot);
        }
        Ok(made)
    }

    /// True where nothing that could run waits and every block with a transaction is final.
    ///
    /// # Errors
    /// [`ChainError::Storage`] where an earlier failure left the chain unreadable.
    pub fn is_settled(&self) -> Result<bool, ChainError> {
        let world = self.world()?;
        let head = world.head_number();
        let final_number = head.saturating_sub(self.finality_blocks);
        let open = (final_number + 1..=head).filter_map(|number| world.entry(number)).any(|entry| entry.transaction_count > 0);
        Ok(!open && self.pool().executable(|sender| nonce(&world, sender)).is_empty())
    }

    /// How many transactions wait, those with a gap before their nonce included.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.pool().len()
    }

    /// Reads the file of blocks from its beginning and runs every block again in memory; returns the newest.
    ///
    /// # Errors
    /// [`ChainError::Storage`] where the folder is in use, or naming the first block that is damaged or does not come out as recorded.
    pub fn verify_file(folder: &Path, genesis: &GenesisConfig) -> Result<BlockRef, ChainError> {
        let _lock = lock_folder(folder)?;
        let (log, genesis, first) = FileLog::open(&folder.join("blocks.log"), genesis)?;
        let mut world = World::begin(&genesis, 1, 1);
        let mut parent = world.genesis_header.clone();
        log.replay(first, |block, span| {
            world.replay(&parent, &block, span)?;
            parent = block.header;
            Ok(())
        })?;
        world.block_ref(world.head_number())
    }

    fn world(&self) -> Result<RwLockReadGuard<'_, World>, ChainError> {
        self.world.read().map_err(|_| poisoned())
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a signed transaction into the pool.
    pub(crate) fn submit(&self, raw: &[u8]) -> Result<TxHash, ChainError> {
        let refused = |text: String| ChainError::Refused { refusal: SendRefusal::classify(&text), text };
        let transaction = Transaction::from_raw(raw, self.chain_id).map_err(|error| refused(error.to_string()))?;
        let hash = transaction.hash.into();
        let world = self.world()?;
        let account = world.with_view(world.head_number(), |view| view.account(transaction.sender).unwrap_or_default())?;
        self.pool().insert(transaction, account, raw.len()).map_err(|error| refused(error.to_string()))?;
        Ok(hash)
    }

    pub(crate) fn head_number(&self) -> Result<u64, ChainError> {
        Ok(self.world()?.head_number())
    }

    pub(crate) fn finalized_number(&self) -> Result<u64, ChainError> {
        Ok(self.head_number()?.saturating_sub(self.finality_blocks))
    }

    pub(crate) fn block_ref(&self, number: u64) -> Result<BlockRef, ChainError> {
        self.world()?.block_ref(number)
    }

    pub(crate) fn number_at(&self, at: At) -> Result<u64, ChainError> {
        let finalized = self.finalized_number()?;
        self.world()?.number_at(at, finalized)
    }

    pub(crate) fn receipt_of(&self, hash: TxHash) -> Result<Option<Receipt>, ChainError> {
        let world = self.world()?;
        let Some((number, position)) = world.places.get(&evm_types::B256::from(hash)).copied() else {
            return Ok(None);
        };
        let block = world.block(&self.log, number)?;
        let position = usize::try_from(position).map_err(storage)?;
        let (Some(transaction), Some(outcome)) = (block.transactions.get(position), block.outcomes.get(position)) else {
            return Err(storage("the index names a transaction that its block does not hold"));
        };
        Ok(Some(Receipt {
            tx_hash: hash,
            block: world.block_ref(number)?,
            succeeded: outcome.succeeded,
            gas_used: outcome.gas_used,
            contract_address: transaction.deploys().map(Address::from),
        }))
    }

    fn simulate(&self, request: &CallRequest, value: U256, number: u64) -> Result<Simulated, ChainError> {
        let world = self.world()?;
        let header = world.header(&self.log, number)?;
        world.with_view(number, |view| evm::simulate(view, &header, self.chain_id, request, value))?
    }

    pub(crate) fn call_at(&self, request: &CallRequest, number: u64) -> Result<CallOutcome, ChainError> {
        self.simulate(request, U256::ZERO, number).map(|done| done.outcome)
    }

    pub(crate) fn logs_of(&self, filter: LogFilter) -> Result<Vec<Log>, ChainError> {
        self.logs_where(filter.from_block, filter.to_block, |log| {
            log.address == evm_types::Address::from(filter.address)
                && filter.topic0.is_none_or(|topic| log.data.topics().first() == Some(&evm_types::B256::from(topic)))
        })
    }

    fn logs_where(
        &self,
        from_block: u64,
        to_block: u64,
        wanted: impl Fn(&evm_types::Log) -> bool,
    ) -> Result<Vec<Log>, ChainError> {
        let world = self.world()?;
        let mut found = Vec::new();
        for number in from_block..=to_block.min(world.head_number()) {
            if !world.entry(number).is_some_and(|entry| entry.has_logs) {
                continue;
            }
            let block = world.block(&self.log, number)?;
            let block_ref = world.block_ref(number)?;
            let logs = block
                .transactions
                .iter()
                .zip(&block.outcomes)
                .flat_map(|(transaction, outcome)| outcome.logs.iter().map(|log| (transaction.hash, log)));
            for ((hash, log), index) in logs.zip(0..).filter(|((_, log), _)| wanted(log)) {
                found.push(Log {
                    address: log.address.into(),
                    topics: log.data.topics().iter().map(|topic| (*topic).into()).collect(),
                    data: log.data.data.to_vec(),
                    block: block_ref,
                    tx_hash: hash.into(),
                    index,
                });
            }
        }
        Ok(found)
    }

    pub(crate) fn nonce_at(&self, address: Address, number: u64) -> Result<u64, ChainError> {
        self.world()?.with_view(number, |view| view.account(address.into()).unwrap_or_default().nonce)
    }

    pub(crate) fn code_at(&self, address: Address, number: u64) -> Result<Vec<u8>, ChainError> {
        self.world()?.with_view(number, |view| {
            view.account(address.into()).map(|account| view.code(account.code_hash).original_bytes().to_vec()).unwrap_or_default()
        })
    }

    /// The account's next nonce if everything ran that waits without a gap.
    pub(crate) fn pending_nonce_of(&self, address: Address) -> Result<u64, ChainError> {
        let world = self.world()?;
        let sender = address.into();
        Ok(self.pool().next_nonce(sender, nonce(&world, sender)))
    }

    pub(crate) fn wei_at(&self, address: Address, number: u64) -> Result<u128, ChainError> {
        let wei = self.world()?.with_view(number, |view| view.account(address.into()).unwrap_or_default().balance)?;
        u128::try_from(wei).map_err(|_| ChainError::Invalid("a balance above 128 bits".to_owned()))
    }

    /// Takes the newest blocks back, as a reorganisation does; their transactions wait again where `resubmit` says
    /// so. Only a chain in memory can do this.
    pub(crate) fn take_back(&self, blocks: u64, resubmit: bool) -> Result<(), ChainError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(self.log, BlockLog::File(_)) {
            return Err(ChainError::Invalid("blocks in a file are final".to_owned()));
        }
        producer.branch += 1;
        let mut taken = Vec::new();
        {
            let mut world = self.world.write().map_err(|_| poisoned())?;
            for _ in 0..blocks {
                taken.extend(world.pop());
            }
        }
        if !resubmit {
            return Ok(());
        }
        for block in taken.iter().rev() {
            for transaction in &block.transactions {
                let raw = alloy::eips::eip2718::Encodable2718::encoded_2718(&transaction.envelope);
                self.submit(&raw)?;
            }
        }
        Ok(())
    }

    /// Forgets everything that waits.
    pub(crate) fn drop_waiting(&self) {
        self.pool().clear();
    }
}

impl Drop for EmbeddedChain {
    fn drop(&mut self) {
        let producer = self.producer.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = producer.snapshot_writer.take() {
            // A snapshot that failed is only a slower start.
            writer.join().ok();
        }
    }
}

impl Producer {
    fn extra_data(&self) -> Vec<u8> {
        if self.branch == 0 {
            return b"scrip".to_vec();
        }
        format!("scrip branch {}", self.branch).into_bytes()
    }

    fn due_snapshot(&self, world: &mut World, log: &BlockLog) -> Option<Snapshot> {
        self.snapshot_path.as_ref()?;
        let running = self.snapshot_writer.as_ref().is_some_and(|writer| !writer.is_finished());
        let gas = SNAPSHOT_GAS.saturating_add(world.state.slot_count().saturating_mul(SNAPSHOT_GAS_PER_SLOT));
        let due = world.gas_since_snapshot >= gas || world.blocks_since_snapshot >= SNAPSHOT_BLOCKS;
        if running || !due {
            return None;
        }
        world.gas_since_snapshot = 0;
        world.blocks_since_snapshot = 0;
        Some(Snapshot::of(world, log.end()))
    }

    fn write_in_background(&mut self, snapshot: Snapshot) {
        let Some(path) = self.snapshot_path.clone() else {
            return;
        };
        self.snapshot_writer = Some(std::thread::spawn(move || {
            if let Err(error) = snapshot.write(&path) {
                tracing::warn!(file = %path.display(), %error, "a snapshot could not be written");
            }
        }));
    }
}

/// An answer that is there already.
pub(crate) fn ready<'a, T: Send + 'a>(result: Result<T, ChainError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(result))
}

fn poisoned() -> ChainError {
    storage("an earlier failure left the chain unreadable; it must be opened again")
}

fn nonce(world: &World, sender: evm_types::Address) -> u64 {
    world.state.accounts().get(&sender).map_or(0, |account| account.nonce)
}

/// True where the block file holds the snapshot's newest block at the place that the snapshot names.
fn holds_last_block(log: &FileLog, world: &World, offset: u64) -> bool {
    let Some(entry) = world.entry(world.head_number()) else {
        return false;
    };
    let ends_there = entry.span.offset + entry.span.length == offset;
    ends_there && log.read_block(entry.span).is_ok_and(|block| block.hash == entry.hash)
}

fn lock_folder(folder: &Path) -> Result<File, ChainError> {
    let file = File::options().write(true).create(true).truncate(false).open(folder.join("lock")).map_err(storage)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => storage(format!("another process uses {}", folder.display())),
        TryLockError::Error(error) => storage(error),
    })?;
    Ok(file)
}
