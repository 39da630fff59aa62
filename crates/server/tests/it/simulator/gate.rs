//! A chain that stops whoever asks it, at a chosen call: there a worker dies, or stands still for a while.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ledger::{
    Address, Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainIdentity, Estimate, FeeMarket, Log, LogFilter, Receipt,
    TxHash,
};
use store::Reader;
use tokio::sync::Notify;

/// Where a worker is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// After so many calls.
    pub calls: usize,
    /// Whether that call is still carried out.
    pub is_carried_out: bool,
}

/// What was sent, as both workers share it.
#[derive(Default)]
pub struct Sent {
    /// Every send, in order.
    pub raw: Mutex<Vec<Vec<u8>>>,
    /// All bytes that were ever seen committed: a worker that stood still may send those of a slot that is closed by now.
    stored: Mutex<BTreeSet<Vec<u8>>>,
    /// Sends of bytes that were not committed.
    pub unstored: AtomicUsize,
}

impl Sent {
    /// Remembers which bytes are committed now.
    pub fn see_stored(&self, archive: &Reader) {
        let live = archive.live_ledger_transactions().unwrap();
        self.stored.lock().unwrap().extend(live.into_iter().flat_map(|open| open.attempts).map(|attempt| attempt.raw));
    }
}

/// One worker's way to the chain.
pub struct Gate {
    chain: Arc<dyn Chain>,
    archive: Arc<Reader>,
    sent: Arc<Sent>,
    stop: Mutex<Option<Stop>>,
    stopped: Notify,
    go_on: Notify,
}

impl Gate {
    pub fn new(chain: Arc<dyn Chain>, archive: Arc<Reader>, sent: Arc<Sent>) -> Self {
        Self { chain, archive, sent, stop: Mutex::default(), stopped: Notify::new(), go_on: Notify::new() }
    }

    /// Stops who asks, once.
    pub fn stop_at(&self, stop: Stop) {
        *self.stop.lock().unwrap() = Some(stop);
    }

    /// Stops nobody who is not stopped already.
    pub fn open(&self) {
        *self.stop.lock().unwrap() = None;
    }

    /// Waits until somebody is stopped.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Lets go on who is stopped.
    pub fn let_go_on(&self) {
        self.go_on.notify_one();
    }

    /// Whether this call is the one.
    fn takes_stop(&self) -> Option<Stop> {
        let mut stop = self.stop.lock().unwrap();
        match &mut *stop {
            Some(due) if due.calls == 0 => stop.take(),
            Some(due) => {
                due.calls -= 1;
                None
            }
            None => None,
        }
    }

    fn pass<'a, T: Send>(&'a self, ask: impl FnOnce(&'a dyn Chain) -> Answer<'a, T> + Send + 'a) -> Answer<'a, T> {
        Box::pin(async move {
            match self.takes_stop() {
                None => ask(self.chain.as_ref()).await,
                Some(Stop { is_carried_out: false, .. }) => {
                    self.stand_still().await;
                    ask(self.chain.as_ref()).await
                }
                Some(Stop { is_carried_out: true, .. }) => {
                    let answer = ask(self.chain.as_ref()).await;
                    self.stand_still().await;
                    answer
                }
            }
        })
    }

    fn stand_still(&self) -> impl Future<Output = ()> {
        self.stopped.notify_one();
        self.go_on.notified()
    }
}

impl Chain for Gate {
    fn chain_id(&self) -> u64 {
        self.chain.chain_id()
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Answer<'a, TxHash> {
        self.pass(move |chain| {
            self.sent.see_stored(&self.archive);
            if !self.sent.stored.lock().unwrap().contains(raw) {
                self.sent.unstored.fetch_add(1, Ordering::Relaxed);
            }
            self.sent.raw.lock().unwrap().push(raw.to_vec());
            chain.send(raw)
        })
    }

    fn receipt(&self, hash: TxHash) -> Answer<'_, Option<Receipt>> {
        self.pass(move |chain| chain.receipt(hash))
    }

    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome> {
        self.pass(move |chain| chain.call(request, at))
    }

    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>> {
        self.pass(move |chain| chain.logs(filter))
    }

    fn head(&self) -> Answer<'_, BlockRef> {
        self.pass(|chain| chain.head())
    }

    fn finalized(&self) -> Answer<'_, BlockRef> {
        self.pass(|chain| chain.finalized())
    }

    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64> {
        self.pass(move |chain| chain.nonce(address, at))
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        self.pass(move |chain| chain.code(address, at))
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        self.pass(move |chain| chain.balance(address, at))
    }

    fn identity(&self) -> Answer<'_, ChainIdentity> {
        self.pass(|chain| chain.identity())
    }

    fn block_at(&self, number: u64) -> Answer<'_, Option<BlockRef>> {
        self.pass(move |chain| chain.block_at(number))
    }

    fn pending_nonce(&self, address: Address) -> Answer<'_, u64> {
        self.pass(move |chain| chain.pending_nonce(address))
    }

    fn estimate_gas(&self, request: CallRequest) -> Answer<'_, Estimate> {
        self.pass(move |chain| chain.estimate_gas(request))
    }

    fn fee_market(&self, tip_percentile: u8) -> Answer<'_, FeeMarket> {
        self.pass(move |chain| chain.fee_market(tip_percentile))
    }
}
