//! A chain for tests whose blocks are made by hand and whose faults are scripted.
//!
//! It runs real transactions in an embedded chain in memory, and stands between that chain and who asks.

use crate::chain::{Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainError, Log, LogFilter, Receipt};
use crate::embedded::{Clock, EmbeddedChain, GenesisConfig, ready};
use crate::refusal::SendRefusal;
use crate::types::{Address, TxHash};
use std::collections::VecDeque;
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
    chain: EmbeddedChain,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    time_seconds: Arc<Mutex<i64>>,
    send_faults: VecDeque<SendFault>,
    unreachable_reads: usize,
    finalized_stalled_at: Option<u64>,
    lag_blocks: u64,
    forged_receipt: Option<Receipt>,
    forged_logs: Option<Vec<Log>>,
    faults_fired: usize,
}

impl FakeChain {
    /// A chain at block 0 whose time stands at the genesis block's until [`FakeChain::set_time`] moves it.
    #[must_use]
    pub fn new(genesis: &GenesisConfig, finality_blocks: u64) -> Self {
        let start = i64::try_from(genesis.genesis_time_seconds).unwrap_or(i64::MAX);
        let time_seconds = Arc::new(Mutex::new(start));
        let shown = Arc::clone(&time_seconds);
        let clock: Clock = Arc::new(move || *shown.lock().unwrap_or_else(PoisonError::into_inner));
        Self {
            chain: EmbeddedChain::in_memory(genesis, finality_blocks, clock),
            script: Mutex::new(Script { time_seconds, ..Script::default() }),
        }
    }

    /// Sets the time of the next blocks, in seconds since 1970.
    pub fn set_time(&self, seconds: i64) {
        let script = self.script();
        *script.time_seconds.lock().unwrap_or_else(PoisonError::into_inner) = seconds;
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
        self.script().faults_fired += 1;
        self.chain.take_back(depth, after == AfterReorg::WaitAgain)
    }

    /// Forgets everything that waits for a block.
    pub fn drop_waiting(&self) {
        self.script().faults_fired += 1;
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

    /// How often a fault was met.
    #[must_use]
    pub fn faults_fired(&self) -> usize {
        self.script().faults_fired
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Result<(), ChainError> {
        let mut script = self.script();
        let Some(left) = script.unreachable_reads.checked_sub(1) else {
            return Ok(());
        };
        script.unreachable_reads = left;
        script.faults_fired += 1;
        Err(ChainError::Unreachable("time out".to_owned()))
    }

    fn head_number(&self) -> Result<u64, ChainError> {
        let lag = self.script().lag_blocks;
        Ok(self.chain.head_number()?.saturating_sub(lag))
    }

    fn finalized_number(&self) -> Result<u64, ChainError> {
        let stalled = self.script().finalized_stalled_at.unwrap_or(u64::MAX);
        Ok(self.chain.finalized_number()?.min(stalled).min(self.head_number()?))
    }

    fn number_at(&self, at: At) -> Result<u64, ChainError> {
        self.reach()?;
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
        let Some(fault) = fault else {
            return self.chain.submit(raw);
        };
        self.script().faults_fired += 1;
        let refused = |text: String| ChainError::Refused { refusal: SendRefusal::classify(&text), text };
        let lost = || ChainError::Unreachable("time out".to_owned());
        match fault {
            SendFault::AcceptThenTimeOut => {
                self.chain.submit(raw)?;
                Err(lost())
            }
            SendFault::AcceptThenRefuse(text) => {
                self.chain.submit(raw)?;
                Err(refused(text))
            }
            SendFault::DropSilently => Ok(crate::transaction::tx_hash(raw)),
            SendFault::Refuse(text) => Err(refused(text)),
            SendFault::TimeOut => Err(lost()),
        }
    }

    fn receipt_now(&self, hash: TxHash) -> Result<Option<Receipt>, ChainError> {
        self.reach()?;
        if let Some(receipt) = self.script().forged_receipt {
            return Ok(Some(receipt));
        }
        let head = self.head_number()?;
        Ok(self.chain.receipt_of(hash)?.filter(|receipt| receipt.block.number <= head))
    }

    fn logs_now(&self, filter: LogFilter) -> Result<Vec<Log>, ChainError> {
        self.reach()?;
        if let Some(logs) = self.script().forged_logs.clone() {
            return Ok(logs);
        }
        let to_block = filter.to_block.min(self.head_number()?);
        self.chain.logs_of(LogFilter { to_block, ..filter })
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
        ready(self.receipt_now(hash))
    }

    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome> {
        ready(self.number_at(at).and_then(|number| self.chain.call_at(&request, number)))
    }

    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>> {
        ready(self.logs_now(filter))
    }

    fn head(&self) -> Answer<'_, BlockRef> {
        ready(self.number_at(At::Head).and_then(|number| self.chain.block_ref(number)))
    }

    fn finalized(&self) -> Answer<'_, BlockRef> {
        ready(self.number_at(At::Finalized).and_then(|number| self.chain.block_ref(number)))
    }

    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64> {
        ready(self.number_at(at).and_then(|number| self.chain.nonce_at(address, number)))
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        ready(self.number_at(at).and_then(|number| self.chain.code_at(address, number)))
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        ready(self.number_at(at).and_then(|number| self.chain.wei_at(address, number)))
    }
}
