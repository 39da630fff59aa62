//! A chain for tests whose blocks are made by hand and whose faults are scripted.
//!
//! It runs real transactions in an embedded chain in memory, and stands between that chain and who asks. Several nodes
//! of one chain ([`FakeChain::another_node`]) have their own faults; a node may also answer from another chain, always or
//! by turns. Every fault is counted when it acts, so that a test can see that it was met.

use crate::chain::{
    Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainError, ChainIdentity, Estimate, FeeMarket, Log, LogFilter,
    Receipt,
};
use crate::embedded::{Clock, EmbeddedChain, GenesisConfig, ready};
use crate::refusal::SendRefusal;
use crate::types::{Address, TxHash};
use alloy::primitives::U256;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens to one sent transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendFault {
    /// The transaction is taken, but the answer is lost.
    AcceptThenTimeOut,
    /// The transaction is taken, and the answer is this error text.
    AcceptThenRefuse(String),
    /// The answer says that it was taken, but it was not.
    DropSilently,
    /// It is not taken, and the answer is this error text.
    Refuse(String),
    /// It never arrives.
    TimeOut,
    /// It is taken behind the next one: held back until another transaction was taken, and then put into the pool.
    Reorder,
}

/// What acted. Every kind is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A send whose answer was lost or an error although the transaction was taken.
    AcceptedUnsaid,
    /// A send that was answered but not taken.
    DroppedSilently,
    /// A send that was refused.
    Refused,
    /// A send that never arrived.
    SendLost,
    /// A send that was taken behind the next one.
    Reordered,
    /// A read without an answer.
    ReadLost,
    /// Blocks that were taken back.
    Reorganised,
    /// A pool that was emptied.
    PoolDropped,
    /// An answer as of an older block.
    Lagged,
    /// A finalized block that did not go on.
    FinalityStalled,
    /// A receipt that is not true.
    ReceiptForged,
    /// Logs that are not true.
    LogsForged,
    /// An answer to a call that is not true.
    CallForged,
    /// An answer from another chain or branch.
    AnsweredByOther,
}

/// From where a node answers what is read.
#[derive(Clone, Default)]
enum Backend {
    #[default]
    Own,
    Other(Arc<FakeChain>),
    ByTurns(Arc<FakeChain>),
}

/// What happens to the transactions of blocks that a reorganisation takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterReorg {
    /// They wait for a block again.
    WaitAgain,
    /// They are gone until somebody sends them again.
    Forgotten,
}

/// A chain whose faults are scripted.
pub struct FakeChain {
    chain: Arc<EmbeddedChain>,
    time_seconds: Arc<Mutex<i64>>,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    send_faults: VecDeque<SendFault>,
    held_back: Option<Vec<u8>>,
    backend: Backend,
    reads: usize,
    unreachable_reads: usize,
    finalized_stalled_at: Option<u64>,
    lag_blocks: u64,
    forged_receipt: Option<Receipt>,
    forged_logs: Option<Vec<Log>>,
    forged_call: Option<CallOutcome>,
    fired: BTreeMap<Fault, usize>,
}

impl FakeChain {
    /// A chain at block 0 whose time stands at the genesis block's until [`FakeChain::set_time`] moves it.
    #[must_use]
    pub fn new(genesis: &GenesisConfig, finality_blocks: u64) -> Self {
        let start = i64::try_from(genesis.genesis_time_seconds).unwrap_or(i64::MAX);
        let time_seconds = Arc::new(Mutex::new(start));
        let shown = Arc::clone(&time_seconds);
        let clock: Clock = Arc::new(move || *shown.lock().unwrap_or_else(PoisonError::into_inner));
        let chain = Arc::new(EmbeddedChain::in_memory(genesis, finality_blocks, clock));
        Self { chain, time_seconds, script: Mutex::default() }
    }

    /// Another node of the same chain, without faults. It sees every block and shares the pool.
    #[must_use]
    pub fn another_node(&self) -> Self {
        Self { chain: Arc::clone(&self.chain), time_seconds: Arc::clone(&self.time_seconds), script: Mutex::default() }
    }

    /// Sets the time of the next blocks, in seconds since 1970.
    pub fn set_time(&self, seconds: i64) {
        *self.time_seconds.lock().unwrap_or_else(PoisonError::into_inner) = seconds;
    }

    /// Makes this many blocks; the first takes what waits.
    ///
    /// # Errors
    /// Those of [`EmbeddedChain::produce`].
    pub fn mine(&self, blocks: u64) -> Result<BlockRef, ChainError> {
        for _ in 0..blocks {
            self.chain.produce()?;
        }
        self.chain.block_ref(self.chain.head_number()?)
    }

    /// Replaces the newest blocks: takes them back. What is mined next is another branch, also below finality.
    ///
    /// # Errors
    /// Those of taking transactions into the pool again.
    pub fn reorg(&self, depth: u64, after: AfterReorg) -> Result<(), ChainError> {
        self.fired(Fault::Reorganised);
        self.chain.take_back(depth, after == AfterReorg::WaitAgain)
    }

    /// Forgets everything that waits for a block.
    pub fn drop_waiting(&self) {
        self.fired(Fault::PoolDropped);
        self.chain.drop_waiting();
    }

    /// How many transactions wait for a block.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.chain.waiting_count()
    }

    /// Lets the next sends end like this, one after the other.
    pub fn script_sends(&self, faults: impl IntoIterator<Item = SendFault>) {
        self.script().send_faults.extend(faults);
    }

    /// Lets the next reads end without an answer.
    pub fn script_unreachable_reads(&self, count: usize) {
        self.script().unreachable_reads = count;
    }

    /// Lets finality stand still at this block; `None` lets it go on.
    pub fn stall_finality(&self, at: Option<u64>) {
        self.script().finalized_stalled_at = at;
    }

    /// Lets the node answer as it stood this many blocks ago.
    pub fn lag(&self, blocks: u64) {
        self.script().lag_blocks = blocks;
    }

    /// Lets the node answer this receipt to whoever asks for one; `None` ends the lie.
    pub fn forge_receipt(&self, receipt: Option<Receipt>) {
        self.script().forged_receipt = receipt;
    }

    /// Lets the node answer these logs to whoever asks for some; `None` ends the lie.
    pub fn forge_logs(&self, logs: Option<Vec<Log>>) {
        self.script().forged_logs = logs;
    }

    /// Lets the node answer this to every call; `None` ends the lie.
    pub fn forge_call(&self, outcome: Option<CallOutcome>) {
        self.script().forged_call = outcome;
    }

    /// Lets the node read from another chain: another branch, or another network. `None` ends it.
    pub fn answer_from(&self, other: Option<Arc<Self>>) {
        self.script().backend = other.map_or(Backend::Own, Backend::Other);
    }

    /// Lets the node read from its own and from another chain by turns, as two back ends behind one address do.
    pub fn alternate_with(&self, other: Arc<Self>) {
        self.script().backend = Backend::ByTurns(other);
    }

    /// How often faults acted, of all kinds.
    #[must_use]
    pub fn faults_fired(&self) -> usize {
        self.script().fired.values().sum()
    }

    /// How often this fault acted.
    #[must_use]
    pub fn fired_count(&self, fault: Fault) -> usize {
        self.script().fired.get(&fault).copied().unwrap_or_default()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fired(&self, fault: Fault) {
        *self.script().fired.entry(fault).or_default() += 1;
    }

    /// The chain that answers this read; an error where no answer comes.
    fn reach(&self) -> Result<Option<Arc<Self>>, ChainError> {
        let mut script = self.script();
        if let Some(left) = script.unreachable_reads.checked_sub(1) {
            script.unreachable_reads = left;
            *script.fired.entry(Fault::ReadLost).or_default() += 1;
            return Err(ChainError::Unreachable("time out".to_owned()));
        }
        script.reads += 1;
        let is_others_turn = script.reads.is_multiple_of(2);
        let other = match &script.backend {
            Backend::Own => None,
            Backend::Other(other) => Some(Arc::clone(other)),
            Backend::ByTurns(other) => is_others_turn.then(|| Arc::clone(other)),
        };
        if other.is_some() {
            *script.fired.entry(Fault::AnsweredByOther).or_default() += 1;
        }
        Ok(other)
    }

    /// Reads from the chain whose turn it is.
    fn read<T>(&self, read: impl Fn(&Self) -> Result<T, ChainError>) -> Result<T, ChainError> {
        match self.reach()? {
            Some(other) => read(&other),
            None => read(self),
        }
    }

    fn head_number(&self) -> Result<u64, ChainError> {
        let lag = self.script().lag_blocks;
        if lag > 0 {
            self.fired(Fault::Lagged);
        }
        Ok(self.chain.head_number()?.saturating_sub(lag))
    }

    fn finalized_number(&self) -> Result<u64, ChainError> {
        let (stalled, lag) = {
            let script = self.script();
            (script.finalized_stalled_at, script.lag_blocks)
        };
        let newest = self.chain.finalized_number()?.saturating_sub(lag);
        match stalled.filter(|at| *at < newest) {
            Some(at) => {
                self.fired(Fault::FinalityStalled);
                Ok(at)
            }
            None => Ok(newest),
        }
    }

    fn number_at(&self, at: At) -> Result<u64, ChainError> {
        match at {
            At::Head => self.head_number(),
            At::Finalized => self.finalized_number(),
            At::Block(hash) => {
                let number = self.chain.number_at(at)?;
                if number > self.head_number()? {
                    return Err(ChainError::StateNotHeld(hash));
                }
                Ok(number)
            }
        }
    }

    fn send_now(&self, raw: &[u8]) -> Result<TxHash, ChainError> {
        let fault = self.script().send_faults.pop_front();
        let refused = |text: String| ChainError::Refused { refusal: SendRefusal::classify(&text), text };
        let lost = || ChainError::Unreachable("time out".to_owned());
        match fault {
            None => self.take(raw),
            Some(SendFault::AcceptThenTimeOut) => {
                self.fired(Fault::AcceptedUnsaid);
                self.take(raw)?;
                Err(lost())
            }
            Some(SendFault::AcceptThenRefuse(text)) => {
                self.fired(Fault::AcceptedUnsaid);
                self.take(raw)?;
                Err(refused(text))
            }
            Some(SendFault::DropSilently) => {
                self.fired(Fault::DroppedSilently);
                Ok(crate::transaction::tx_hash(raw))
            }
            Some(SendFault::Refuse(text)) => {
                self.fired(Fault::Refused);
                Err(refused(text))
            }
            Some(SendFault::TimeOut) => {
                self.fired(Fault::SendLost);
                Err(lost())
            }
            Some(SendFault::Reorder) => {
                self.fired(Fault::Reordered);
                self.script().held_back = Some(raw.to_vec());
                Ok(crate::transaction::tx_hash(raw))
            }
        }
    }

    /// Puts a transaction into the pool, and behind it the one that was held back.
    fn take(&self, raw: &[u8]) -> Result<TxHash, ChainError> {
        let taken = self.chain.submit(raw);
        let held_back = self.script().held_back.take();
        if let Some(held_back) = held_back {
            self.chain.submit(&held_back)?;
        }
        taken
    }

    fn receipt_now(&self, hash: TxHash) -> Result<Option<Receipt>, ChainError> {
        let forged = self.script().forged_receipt;
        if let Some(receipt) = forged {
            self.fired(Fault::ReceiptForged);
            return Ok(Some(receipt));
        }
        let head = self.head_number()?;
        Ok(self.chain.receipt_of(hash)?.filter(|receipt| receipt.block.number <= head))
    }

    fn logs_now(&self, filter: LogFilter) -> Result<Vec<Log>, ChainError> {
        let forged = self.script().forged_logs.clone();
        if let Some(logs) = forged {
            self.fired(Fault::LogsForged);
            return Ok(logs);
        }
        let to_block = filter.to_block.min(self.head_number()?);
        self.chain.logs_of(LogFilter { to_block, ..filter })
    }

    fn call_now(&self, request: &CallRequest, at: At) -> Result<CallOutcome, ChainError> {
        let forged = self.script().forged_call.clone();
        if let Some(outcome) = forged {
            self.fired(Fault::CallForged);
            return Ok(outcome);
        }
        self.number_at(at).and_then(|number| self.chain.call_at(request, number))
    }

    fn block_now(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        if number > self.head_number()? {
            return Ok(None);
        }
        self.chain.block_ref(number).map(Some)
    }
}

impl Chain for FakeChain {
    fn chain_id(&self) -> u64 {
        self.chain.chain_id()
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Answer<'a, TxHash> {
        ready(self.send_now(raw))
    }

    fn receipt(&self, hash: TxHash) -> Answer<'_, Option<Receipt>> {
        ready(self.read(|node| node.receipt_now(hash)))
    }

    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome> {
        ready(self.read(|node| node.call_now(&request, at)))
    }

    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>> {
        ready(self.read(|node| node.logs_now(filter)))
    }

    fn head(&self) -> Answer<'_, BlockRef> {
        ready(self.read(|node| node.number_at(At::Head).and_then(|number| node.chain.block_ref(number))))
    }

    fn finalized(&self) -> Answer<'_, BlockRef> {
        ready(self.read(|node| node.number_at(At::Finalized).and_then(|number| node.chain.block_ref(number))))
    }

    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64> {
        ready(self.read(|node| node.number_at(at).and_then(|number| node.chain.nonce_at(address, number))))
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        ready(self.read(|node| node.number_at(at).and_then(|number| node.chain.code_at(address, number))))
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        ready(self.read(|node| node.number_at(at).and_then(|number| node.chain.wei_at(address, number))))
    }

    fn identity(&self) -> Answer<'_, ChainIdentity> {
        ready(self.read(|node| {
            let genesis = node.chain.block_ref(0)?;
            Ok(ChainIdentity { chain_id: node.chain.chain_id(), genesis_hash: genesis.hash })
        }))
    }

    fn block_at(&self, number: u64) -> Answer<'_, Option<BlockRef>> {
        ready(self.read(|node| node.block_now(number)))
    }

    fn pending_nonce(&self, address: Address) -> Answer<'_, u64> {
        ready(self.read(|node| node.chain.pending_nonce_of(address)))
    }

    fn estimate_gas(&self, request: CallRequest) -> Answer<'_, Estimate> {
        ready(self.read(|node| node.chain.estimate_at(request.clone(), U256::ZERO, node.head_number()?)))
    }

    fn fee_market(&self, tip_percentile: u8) -> Answer<'_, FeeMarket> {
        ready(self.read(|node| node.chain.fee_market_of(tip_percentile)))
    }
}
