//! The desk: every write passes here, in batches.
//!
//! Whatever arrives while one batch is being committed is the next batch. There is no timer: an idle system answers at
//! once, a busy one shares one lock and one disk sync among many commands. Arrival order is decision order, and so the
//! order of the register (eWpG § 18(3)).
//!
//! Invariant: effect, journal and remembered answer of a command are in one commit.
//! Invariant: nobody is answered before the commit.
//! Invariant: the desk caches no counter and no journal head between batches; other processes write too.

mod batch;
mod events;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::ClientId;
use domain::instant::Instant;
use domain::journal::Head;
use store::{AnswerKey, Writer};
use tokio::sync::{mpsc, watch};

use crate::breakdown::Breakdown;
use crate::entropy::Entropy;
use crate::fence::Fence;
use crate::keyring::Keyring;
use crate::meters::{DeskMeters, Outcome};
use crate::operations::{Operation, Refused};
use crate::planted::Bug;

use batch::Batches;
pub use work::Reply;
use work::{Submission, Work};

/// Commands of one batch at most.
pub const BATCH_COMMANDS_MAX: usize = 256;
/// Request bytes of one batch at most.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Places of a batch that background work gets even while requests queue.
const BACKGROUND_COMMANDS_MIN: usize = 32;
/// Requests that may wait where nothing else is said; one more is answered with 503. Less than the listener's connections,
/// or it would never be full.
pub const QUEUE_COMMANDS_MAX: u16 = 2_048;
/// Background commands that may wait; their senders wait too.
const BACKGROUND_QUEUE_COMMANDS_MAX: usize = 256;

/// Why a command came to nothing although the rules did not refuse it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeskError {
    /// Too many commands wait, or the program is stopping.
    #[error("too many requests wait")]
    Overloaded,
    /// The database is busy, unreachable or full. Nothing was written, unless the answer to a commit was lost: a repeat
    /// under the same key finds out.
    #[error("the database does not take writes now")]
    Unavailable,
    /// Something is broken; nothing was written.
    #[error("the command failed")]
    Failed,
}

/// Writes the answer of a decision.
pub type Renderer<T> = Box<dyn Fn(&Result<T, Refused>) -> Option<Rendered> + Send>;

/// How to remember the answer of a command.
pub struct Remember<T> {
    /// Tenant, client and key.
    pub key: AnswerKey,
    /// SHA-256 over method, path and canonical body.
    pub fingerprint: [u8; 32],
    /// Writes the answer of a decision; `None` where it shall not be remembered.
    pub render: Renderer<T>,
}

impl<T> std::fmt::Debug for Remember<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remember").field("key", &self.key).finish_non_exhaustive()
    }
}

/// An answer as it goes over the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    /// The HTTP status.
    pub status: u16,
    /// Whether the body is a problem document.
    pub is_problem: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// A command with the circumstances it came in.
#[derive(Debug)]
pub struct Command<O: Operation> {
    /// What to do.
    pub operation: O,
    /// The client that asks; `None` where the program acts by itself.
    pub actor: Option<ClientId>,
    /// When it was received.
    pub now: Instant,
    /// How to remember the answer; `None` where the request carries no key.
    pub remember: Option<Remember<O::Output>>,
    /// Decide, but write nothing.
    pub is_dry_run: bool,
    /// Size of the request, in bytes.
    pub size_bytes: usize,
}

impl<O: Operation> Command<O> {
    /// A command of the program itself.
    pub const fn of_program(operation: O, now: Instant) -> Self {
        Self { operation, actor: None, now, remember: None, is_dry_run: false, size_bytes: 256 }
    }
}

/// What the desk counted since it opened.
#[derive(Debug)]
pub struct DeskCounts {
    /// Batches committed.
    pub commits: AtomicU64,
    /// Commands answered.
    pub commands: AtomicU64,
    /// The same and more, for whoever watches the program.
    pub meters: DeskMeters,
}

impl DeskCounts {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new(meters: DeskMeters) -> Self {
        Self { commits: AtomicU64::new(0), commands: AtomicU64::new(0), meters }
    }
}

/// How a desk is fitted out.
#[derive(Clone, Debug)]
pub struct DeskFittings {
    /// What it counts and measures with.
    pub meters: DeskMeters,
    /// Requests that may wait; one more is answered with 503.
    pub queue_commands_max: u16,
}

impl Default for DeskFittings {
    /// A desk that nobody watches.
    fn default() -> Self {
        Self { meters: DeskMeters::silent(), queue_commands_max: QUEUE_COMMANDS_MAX }
    }
}

/// The way to the desk. Clones share one desk.
#[derive(Clone, Debug)]
pub struct Desk {
    requests: mpsc::Sender<Box<dyn Work>>,
    background: mpsc::Sender<Box<dyn Work>>,
    counts: Arc<DeskCounts>,
    head: watch::Receiver<Option<Head>>,
    instructions_queued: watch::Receiver<u64>,
    safeguards: Safeguards,
}

/// What stops the desk from writing. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Safeguards {
    /// A disk failed.
    pub breakdown: Breakdown,
    /// The journal that was loaded lies behind what was committed.
    pub fence: Fence,
}

/// A desk that can be waited for: it stops when every [`Desk`] is gone and everything taken is answered.
#[derive(Debug)]
pub struct DeskThread(std::thread::JoinHandle<()>);

impl DeskThread {
    /// Waits until the desk has answered everything and stopped.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the desk ended in a panic");
        }
    }
}

impl Desk {
    /// Opens the desk on a thread of its own: an embedded engine blocks it, which makes it the single writer.
    ///
    /// # Errors
    /// The thread or its runtime cannot be started.
    pub fn open<W: Writer + Send + 'static>(
        writer: W,
        keyring: Keyring,
        entropy: Entropy,
        fittings: DeskFittings,
    ) -> std::io::Result<(Self, DeskThread)> {
        let queue_commands_max = if Bug::NoQueueBound.is_planted() { 1 << 20 } else { usize::from(fittings.queue_commands_max) };
        let (requests, request_queue) = mpsc::channel(queue_commands_max.max(1));
        let (background, background_queue) = mpsc::channel(BACKGROUND_QUEUE_COMMANDS_MAX);
        let (head_sender, head) = watch::channel(None);
        let counts = Arc::new(DeskCounts::new(fittings.meters));
        let (queued_sender, instructions_queued) = watch::channel(0);
        let safeguards = Safeguards::default();
        let batches = Batches::new(writer, keyring, entropy, counts.clone(), head_sender, queued_sender, safeguards.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("desk".into()).spawn(move || {
            runtime.block_on(serve(batches, request_queue, background_queue));
        })?;
        Ok((Self { requests, background, counts, head, instructions_queued, safeguards }, DeskThread(thread)))
    }

    /// Hands in a request and waits for its decision. A full queue answers at once.
    ///
    /// # Errors
    /// The command came to nothing; see [`DeskError`].
    pub async fn submit<O: Operation>(&self, command: Command<O>) -> Result<Reply<O::Output>, DeskError> {
        let (submission, answer) = Submission::new(command);
        let meters = &self.counts.meters;
        self.requests.try_send(Box::new(submission)).map_err(|_| {
            meters.overloads.increment(1);
            DeskError::Overloaded
        })?;
        let reply = answer.await.map_err(|_| DeskError::Overloaded)?;
        meters.answered(outcome_of(&reply));
        reply
    }

    /// Hands in a command of the program itself, waiting for a place in the queue.
    ///
    /// # Errors
    /// The rules refused it, or it came to nothing.
    pub async fn run<O: Operation>(&self, operation: O, now: Instant) -> Result<O::Output, ProgramFault> {
        let (submission, answer) = Submission::new(Command::of_program(operation, now));
        self.background.send(Box::new(submission)).await.map_err(|_| ProgramFault::Desk(DeskError::Overloaded))?;
        let reply = answer.await.map_err(|_| ProgramFault::Desk(DeskError::Overloaded))?;
        self.counts.meters.answered(outcome_of(&reply));
        match reply.map_err(ProgramFault::Desk)? {
            Reply::Decided { result, .. } => result.map_err(ProgramFault::Refused),
            // The program's own commands carry no key.
            Reply::Replayed(_) | Reply::KeyReused | Reply::AnswerErased => Err(ProgramFault::Desk(DeskError::Failed)),
        }
    }

    /// How many requests and how many commands of background work wait.
    #[must_use]
    pub fn queue_lengths(&self) -> (usize, usize) {
        let length = |queue: &mpsc::Sender<Box<dyn Work>>| queue.max_capacity().saturating_sub(queue.capacity());
        (length(&self.requests), length(&self.background))
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.commits.load(Ordering::Relaxed), self.counts.commands.load(Ordering::Relaxed))
    }

    /// The journal's head after the newest commit of this desk.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Option<Head>> {
        self.head.clone()
    }

    /// Where it is said that a disk failed, by the desk or whoever else writes.
    #[must_use]
    pub fn breakdown(&self) -> Breakdown {
        self.safeguards.breakdown.clone()
    }

    /// The newest head of the journal that the desk or a reader has seen.
    #[must_use]
    pub const fn fence(&self) -> &Fence {
        &self.safeguards.fence
    }

    /// Changes with every commit that queued instructions for a ledger.
    #[must_use]
    pub fn instructions_queued(&self) -> watch::Receiver<u64> {
        self.instructions_queued.clone()
    }
}

/// Why a command of the program itself came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProgramFault {
    /// The rules refused it.
    #[error("refused: {0:?}")]
    Refused(Refused),
    /// The desk could not.
    #[error(transparent)]
    Desk(DeskError),
}

/// What became of a command, to be counted.
const fn outcome_of<T>(reply: &Result<Reply<T>, DeskError>) -> Outcome {
    match reply {
        Ok(Reply::Decided { result: Ok(_), .. }) => Outcome::Done,
        Ok(Reply::Decided { result: Err(_), .. }) => Outcome::Refused,
        Ok(Reply::Replayed(_) | Reply::AnswerErased) => Outcome::Replayed,
        Ok(Reply::KeyReused) => Outcome::KeyReused,
        Err(DeskError::Overloaded | DeskError::Unavailable) => Outcome::Unavailable,
        Err(DeskError::Failed) => Outcome::Failed,
    }
}

async fn serve<W: Writer>(
    mut batches: Batches<W>,
    mut requests: mpsc::Receiver<Box<dyn Work>>,
    mut background: mpsc::Receiver<Box<dyn Work>>,
) {
    let mut next = Vec::new();
    loop {
        if next.is_empty() {
            let first = tokio::select! {
                biased;
                Some(work) = requests.recv() => work,
                Some(work) = background.recv() => work,
                else => break,
            };
            next = gather(vec![first], &mut requests, &mut background);
        }
        next = batches.process(next, || gather(Vec::new(), &mut requests, &mut background)).await;
    }
}

/// Takes what waits, up to the limits of a batch. Requests come first, but for the places kept for background work.
fn gather(
    mut batch: Vec<Box<dyn Work>>,
    requests: &mut mpsc::Receiver<Box<dyn Work>>,
    background: &mut mpsc::Receiver<Box<dyn Work>>,
) -> Vec<Box<dyn Work>> {
    let mut size_bytes: usize = batch.iter().map(|work| work.size_bytes()).sum();
    let kept = BACKGROUND_COMMANDS_MIN.min(background.len());
    for (queue, commands_max) in [(requests, BATCH_COMMANDS_MAX - kept), (background, BATCH_COMMANDS_MAX)] {
        while batch.len() < commands_max && size_bytes < BATCH_BYTES_MAX {
            let Ok(work) = queue.try_recv() else { break };
            size_bytes += work.size_bytes();
            batch.push(work);
        }
    }
    batch
}
