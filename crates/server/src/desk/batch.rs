//! One batch: load, decide, record, commit, answer; and what happens when the engine says no.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::ids::{BatchId, InvestorId};
use domain::instant::Instant as ReceivedAt;
use domain::journal::{Head, SubjectKey};
use store::{Answer, Book, Record, StoreError, Wanted, Writer};
use tokio::sync::watch;
use tokio::time::Instant;

use super::events;
use super::work::{Found, ToRemember, Work};
use super::{DeskCounts, DeskError, Rendered, Safeguards};
use crate::clock::day_of;
use crate::crash::CrashPoint;
use crate::entropy::Entropy;
use crate::fence::{self, WentBack};
use crate::keyring::{self, Keyring};
use crate::operations::Context;
use crate::planted::Bug;

/// How often a busy engine is asked again, and how long the desk waits before each time, in milliseconds. Together about
/// three seconds.
const BUSY_WAITS_MS: [u64; 8] = [10, 20, 50, 100, 250, 500, 1_000, 1_000];

/// How long a batch is tried at most, waiting for others' locks included. An attempt that has begun is not cut off.
const TRIED_MAX: Duration = Duration::from_secs(3);
/// How long the desk rests after the database could not be reached, first to last, in milliseconds. Whoever asks
/// meanwhile is in the next batch.
const UNREACHABLE_WAITS_MS: [u64; 5] = [20, 50, 100, 200, 500];

/// The working part of the desk.
#[derive(Debug)]
pub(super) struct Batches<W> {
    writer: W,
    keyring: Keyring,
    entropy: Entropy,
    counts: Arc<DeskCounts>,
    head: watch::Sender<Option<Head>>,
    instructions_queued: watch::Sender<u64>,
    safeguards: Safeguards,
    /// How often in a row the database could not be reached.
    times_unreached: usize,
}

/// What a decided batch leaves to be written.
struct Decided {
    book: Book,
    record: Record,
    head: Head,
    queued_instructions: bool,
    /// Whether a verdict is among it.
    ended_credits: bool,
}

/// Why a batch was not decided.
enum Undecided {
    /// The engine could not load.
    Store(StoreError),
    /// What was loaded lies behind what was committed.
    WentBack(WentBack),
    /// This command panicked or found stored facts that contradict each other.
    Broken(usize),
}

impl<W: Writer> Batches<W> {
    pub fn new(
        writer: W,
        keyring: Keyring,
        entropy: Entropy,
        counts: Arc<DeskCounts>,
        head: watch::Sender<Option<Head>>,
        instructions_queued: watch::Sender<u64>,
        safeguards: Safeguards,
    ) -> Self {
        Self { writer, keyring, entropy, counts, head, instructions_queued, safeguards, times_unreached: 0 }
    }

    /// Works off a batch. A batch that the engine refuses is halved, so that one command cannot hurt its neighbours.
    ///
    /// Where the engine loads ahead, the next batch is what `gather` finds waiting when this one is about to be committed,
    /// and its load travels with the commit. It is given back, to be worked off next.
    pub async fn process(
        &mut self,
        batch: Vec<Box<dyn Work>>,
        mut gather: impl FnMut() -> Vec<Box<dyn Work>>,
    ) -> Vec<Box<dyn Work>> {
        let mut next = Vec::new();
        let mut open = vec![batch];
        while let Some(mut batch) = open.pop() {
            if self.safeguards.breakdown.is_reported() {
                settle_all(batch, Err(DeskError::Unavailable));
                continue;
            }
            let is_last = open.is_empty();
            let mut before_commit = || {
                if !is_last {
                    return None;
                }
                if next.is_empty() {
                    next = gather();
                }
                (!next.is_empty()).then(|| wanted_by(&next))
            };
            match self.attempt(&mut batch, &mut before_commit).await {
                Ok(()) => {
                    self.times_unreached = 0;
                    settle_all(batch, Ok(()));
                }
                Err(Undecided::Broken(index)) => {
                    batch.remove(index).settle(Err(DeskError::Failed));
                    if !batch.is_empty() {
                        open.push(batch);
                    }
                }
                Err(Undecided::WentBack(fault)) => {
                    tracing::error!(%fault, commands = batch.len(), "nothing is written and nothing is signed");
                    settle_all(batch, Err(DeskError::Unavailable));
                }
                Err(Undecided::Store(StoreError::Disk(reason))) => {
                    self.safeguards.breakdown.report(&reason);
                    settle_all(batch, Err(DeskError::Unavailable));
                }
                Err(Undecided::Store(error)) => {
                    let is_unreached = matches!(error, StoreError::Unreachable(_));
                    if is_unreached || matches!(error, StoreError::Busy | StoreError::Full | StoreError::CommitUnknown) {
                        tracing::warn!(%error, commands = batch.len(), "the database takes no writes");
                        settle_all(batch, Err(DeskError::Unavailable));
                        if is_unreached {
                            self.rest().await;
                        }
                    } else if batch.len() == 1 {
                        tracing::error!(%error, "a command failed in the database");
                        settle_all(batch, Err(DeskError::Failed));
                    } else {
                        tracing::warn!(%error, commands = batch.len(), "a batch failed in the database and is halved");
                        self.counts.meters.halvings.increment(1);
                        let later = batch.split_off(batch.len() / 2);
                        // The last pushed is worked off first: arrival order stays.
                        open.push(later);
                        open.push(batch);
                    }
                }
            }
        }
        next
    }

    /// Lets a database that cannot be reached be, longer each time.
    async fn rest(&mut self) {
        let pause_ms = UNREACHABLE_WAITS_MS.get(self.times_unreached).or(UNREACHABLE_WAITS_MS.last());
        self.times_unreached = self.times_unreached.saturating_add(1);
        tokio::time::sleep(Duration::from_millis(pause_ms.copied().unwrap_or_default())).await;
    }

    async fn attempt(
        &mut self,
        batch: &mut [Box<dyn Work>],
        before_commit: &mut impl FnMut() -> Option<Wanted>,
    ) -> Result<(), Undecided> {
        let batch_id = self.fresh_batch_id();
        let begun_at = Instant::now();
        let mut waits_ms = BUSY_WAITS_MS.iter();
        let mut is_in_doubt = false;
        loop {
            let Err(undecided) = self.attempt_once(batch, batch_id, &mut is_in_doubt, before_commit).await else { return Ok(()) };
            self.writer.rollback().await;
            let may_pass = match &undecided {
                Undecided::Store(StoreError::Busy | StoreError::Conflict(_)) => true,
                Undecided::Broken(_)
                | Undecided::WentBack(_)
                | Undecided::Store(
                    StoreError::CommitUnknown
                    | StoreError::Unreachable(_)
                    | StoreError::Full
                    | StoreError::Disk(_)
                    | StoreError::Constraint(_)
                    | StoreError::Inconsistent { .. }
                    | StoreError::Engine(_),
                ) => false,
            };
            match waits_ms.next() {
                Some(pause_ms) if may_pass && begun_at.elapsed() < TRIED_MAX => {
                    self.counts.meters.retries.increment(1);
                    tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
                }
                // Run again in parts, under other ids, it could be done twice.
                Some(_) | None if is_in_doubt => return Err(Undecided::Store(StoreError::CommitUnknown)),
                Some(_) | None => return Err(undecided),
            }
        }
    }

    async fn attempt_once(
        &mut self,
        batch: &mut [Box<dyn Work>],
        batch_id: BatchId,
        is_in_doubt: &mut bool,
        before_commit: &mut impl FnMut() -> Option<Wanted>,
    ) -> Result<(), Undecided> {
        let wanted = wanted_by(batch);
        let book = self.load(&wanted).await?;
        let is_blind = *is_in_doubt && Bug::BlindRerun.is_planted();
        let batch_id = if is_blind { self.fresh_batch_id() } else { batch_id };
        let began = Instant::now();
        let decided = self.decide(batch, book, Record::new(batch_id, wanted.answers_day))?;
        self.counts.meters.decide.record(began.elapsed());
        if Bug::AnswerWithoutCommit.is_planted() && self.counts.commits.fetch_add(1, Ordering::Relaxed) % 7 == 6 {
            self.writer.rollback().await;
            return Ok(());
        }
        if decided.record.is_empty() && !decided.book.is_changed() && !*is_in_doubt {
            // Repeats, dry runs and refusals that are not remembered: there is nothing that could be lost.
            self.writer.rollback().await;
            self.counts.commands.fetch_add(batch.len() as u64, Ordering::Relaxed);
            return Ok(());
        }
        if self.writer.loads_ahead()
            && let Some(next) = before_commit()
        {
            self.writer.announce(next);
        }
        if Bug::AnswerBeforeCommit.is_planted() {
            for work in batch.iter_mut() {
                work.settle(Ok(()));
            }
        }
        self.commit(decided, is_in_doubt, batch.len()).await
    }

    async fn load(&mut self, wanted: &Wanted) -> Result<Book, Undecided> {
        let began = Instant::now();
        let book = self.writer.load(wanted).await.map_err(Undecided::Store)?;
        self.counts.meters.load.record(began.elapsed());
        fence::compare(self.safeguards.fence.newest(), book.journal_head).map_err(Undecided::WentBack)?;
        self.safeguards.fence.remember(book.journal_head);
        Ok(book)
    }

    /// Commits what was decided, or finds that an attempt before did.
    async fn commit(&mut self, mut decided: Decided, is_in_doubt: &mut bool, commands: usize) -> Result<(), Undecided> {
        let keys_for_later = Bug::KeyOutsideCommit.is_planted().then(|| std::mem::take(&mut decided.record.answers));
        let batch_id = decided.record.batch_id;
        let began = Instant::now();
        if decided.queued_instructions {
            CrashPoint::CreditDecided.reached();
        }
        let committing = self.writer.commit(&decided.book, &decided.record);
        let committed =
            if decided.ended_credits { CrashPoint::VerdictWriting.during(committing).await } else { committing.await };
        match committed {
            Ok(()) => self.counts.meters.commit.record(began.elapsed()),
            Err(StoreError::CommitUnknown) if Bug::BlindRerun.is_planted() => {
                *is_in_doubt = true;
                return Err(Undecided::Store(StoreError::Busy));
            }
            Err(StoreError::CommitUnknown) => {
                *is_in_doubt = true;
                self.counts.meters.commits_in_doubt.increment(1);
                if !self.has_committed(batch_id).await? {
                    return Err(Undecided::Store(StoreError::Busy));
                }
            }
            // The commit in doubt came through after all, and its answers are not these.
            Err(StoreError::Conflict(_)) if *is_in_doubt && self.has_committed(batch_id).await? => {
                return Err(Undecided::Store(StoreError::CommitUnknown));
            }
            Err(error) => return Err(Undecided::Store(error)),
        }
        if let Some(answers) = keys_for_later {
            self.remember_later(answers, decided.record.day).await?;
        }
        if decided.queued_instructions {
            CrashPoint::CreditCommitted.reached();
        }
        self.tell(&decided, commands);
        Ok(())
    }

    /// Counts a commit, and tells those who wait for one.
    fn tell(&self, decided: &Decided, commands: usize) {
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.counts.commands.fetch_add(commands as u64, Ordering::Relaxed);
        self.counts.meters.batch_commands.record(u32::try_from(commands).unwrap_or(u32::MAX));
        self.safeguards.fence.remember(decided.head);
        self.head.send_replace(Some(decided.head));
        if decided.queued_instructions {
            self.instructions_queued.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
    }

    fn fresh_batch_id(&mut self) -> BatchId {
        BatchId::new(uuid::Builder::from_random_bytes(self.entropy.bytes()).into_uuid())
    }

    /// What [`Bug::KeyOutsideCommit`] does with the answers.
    async fn remember_later(&mut self, answers: Vec<(store::AnswerKey, Answer)>, day: i64) -> Result<(), Undecided> {
        let mut record = Record::new(self.fresh_batch_id(), day);
        record.answers = answers;
        let book = self.writer.load(&Wanted { answers_day: day, ..Wanted::default() }).await.map_err(Undecided::Store)?;
        self.writer.commit(&book, &record).await.map_err(Undecided::Store)
    }

    /// Whether a batch whose commit was not answered did commit. The engine is asked until it says so.
    async fn has_committed(&mut self, batch_id: BatchId) -> Result<bool, Undecided> {
        self.writer.rollback().await;
        for pause_ms in BUSY_WAITS_MS {
            match self.writer.has_committed(batch_id).await {
                Ok(has_committed) => return Ok(has_committed),
                Err(error) => tracing::warn!(%error, "whether a batch was committed is not known yet"),
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        Err(Undecided::Store(StoreError::CommitUnknown))
    }

    fn decide(&mut self, batch: &mut [Box<dyn Work>], mut book: Book, mut record: Record) -> Result<Decided, Undecided> {
        let mut head = book.journal_head;
        let mut subject_keys: BTreeMap<InvestorId, SubjectKey> = BTreeMap::new();
        let mut statuses = BTreeMap::new();
        for (index, work) in batch.iter_mut().enumerate() {
            if let Some(known) = work.key().and_then(|key| book.answers.get(key)).cloned() {
                let found = self.open_answer(&known, &book, &mut subject_keys);
                work.repeat(&known, found);
                continue;
            }
            let mut cx = Context {
                now: work.now(),
                actor: work.actor(),
                entropy: &mut self.entropy,
                keyring: &self.keyring,
                record: &mut record,
                head: &mut head,
                subject_keys: &mut subject_keys,
            };
            let outcome = if work.is_dry_run() {
                run_dry(work.as_mut(), &mut book, &mut cx)
            } else {
                catch_unwind(AssertUnwindSafe(|| work.run(&mut book, &mut cx)))
            };
            match outcome {
                Ok(Ok(Some(_))) if Bug::ForgottenAnswer.is_planted() => {}
                Ok(Ok(Some(answer))) => {
                    let (key, answer) = sealed(answer, &book, &mut cx).map_err(|_| Undecided::Broken(index))?;
                    book.answers.insert(key.clone(), answer.clone());
                    record.answers.push((key, answer));
                }
                Ok(Ok(None)) => {}
                Ok(Err(refused)) => {
                    tracing::error!(?refused, "a command found stored facts that contradict each other");
                    return Err(Undecided::Broken(index));
                }
                Err(_) => {
                    self.counts.meters.panics.increment(1);
                    tracing::error!("a command panicked");
                    return Err(Undecided::Broken(index));
                }
            }
            events::note(&mut book, &mut record, &mut statuses);
        }
        let queued_instructions = book.instructions.changes().any(|change| change.before.is_none());
        let ended_credits = book.credits.changes().any(|change| change.before.is_some());
        Ok(Decided { book, record, head, queued_instructions, ended_credits })
    }

    fn open_answer(&self, known: &Answer, book: &Book, subject_keys: &mut BTreeMap<InvestorId, SubjectKey>) -> Found {
        let body = match known.subject {
            None => Some(known.body.clone()),
            Some(subject) => self
                .subject_key(subject, book, subject_keys)
                .and_then(|key| keyring::open(&key.0, &known.fingerprint, &known.body).ok()),
        };
        match body {
            Some(body) => Found::Answer(Rendered { status: known.status, is_problem: known.is_problem, body }),
            None => Found::Erased,
        }
    }

    fn subject_key(
        &self,
        subject: InvestorId,
        book: &Book,
        subject_keys: &mut BTreeMap<InvestorId, SubjectKey>,
    ) -> Option<SubjectKey> {
        if let Some(key) = subject_keys.get(&subject) {
            return Some(*key);
        }
        let key = self.keyring.unwrap_key(subject, book.wrapped_keys.get(&subject)?).ok()?;
        subject_keys.insert(subject, key);
        Some(key)
    }
}

/// What the commands of a batch name. The newest of them says which day it is.
fn wanted_by(batch: &[Box<dyn Work>]) -> Wanted {
    let newest = batch.iter().map(|work| work.now()).max().unwrap_or(ReceivedAt::from_micros(0));
    let mut wanted = Wanted { answers_day: day_of(newest), ..Wanted::default() };
    for work in batch {
        work.want(&mut wanted);
    }
    wanted
}

type Ran = std::thread::Result<Result<Option<ToRemember>, crate::operations::Refused>>;

/// Decides on a copy that is thrown away.
fn run_dry(work: &mut dyn Work, book: &mut Book, cx: &mut Context<'_>) -> Ran {
    let mut copy = book.clone();
    let mut record = Record::new(cx.record.batch_id, cx.record.day);
    let mut head = *cx.head;
    let mut dry = Context {
        now: cx.now,
        actor: cx.actor,
        entropy: cx.entropy,
        keyring: cx.keyring,
        record: &mut record,
        head: &mut head,
        subject_keys: cx.subject_keys,
    };
    let ran = catch_unwind(AssertUnwindSafe(|| work.run(&mut copy, &mut dry)));
    if Bug::DryRunTakesUnits.is_planted() {
        book.campaigns = copy.campaigns;
    }
    ran
}

fn sealed(
    answer: ToRemember,
    book: &Book,
    cx: &mut Context<'_>,
) -> Result<(store::AnswerKey, Answer), domain::product::Inconsistent> {
    let body = match answer.subject {
        None => answer.rendered.body,
        Some(subject) => {
            let key = cx.subject_key(book, subject)?;
            keyring::seal(&key.0, &answer.fingerprint, &answer.rendered.body, cx.entropy)
        }
    };
    let stored = Answer {
        fingerprint: answer.fingerprint,
        status: answer.rendered.status,
        is_problem: answer.rendered.is_problem,
        body,
        subject: answer.subject,
    };
    Ok((answer.key, stored))
}

fn settle_all(batch: Vec<Box<dyn Work>>, outcome: Result<(), DeskError>) {
    for mut work in batch {
        work.settle(outcome);
    }
}
