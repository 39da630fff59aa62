//! The desk on an engine whose answers are scripted.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use domain::ids::{BatchId, ClientId, OrganisationId};
use domain::instant::Instant;
use domain::journal::{Head, Object, ObjectKind};
use domain::product::Inconsistent;
use store::{AnswerKey, Book, Record, Setting, StoreError, Wanted, Writer};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::batch::Batches;
use super::work::{Submission, Work};
use super::{BACKGROUND_COMMANDS_MIN, BATCH_COMMANDS_MAX, QUEUE_COMMANDS_MAX, Safeguards};
use super::{Command, Desk, DeskCounts, DeskError, DeskFittings, Remember, Rendered, Reply};
use crate::entropy::Entropy;
use crate::keyring::Keyring;
use crate::meters::DeskMeters;
use crate::operations::{Context, Operation, Refused};

/// How one commit ends; what comes after the script is committed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Committed,
    Busy,
    Conflict,
    Full,
    /// The answer is lost, and nothing was committed.
    LostBefore,
    /// The answer is lost after the commit.
    LostAfter,
    /// The answer is lost, and the commit comes through while the batch is run again.
    LostThenCommitted,
}

#[derive(Default)]
struct Engine {
    script: VecDeque<Ending>,
    /// Asking for a batch fails so often.
    unanswered: usize,
    /// A record with this value is refused.
    refused: Option<u32>,
    coming_through: Option<Record>,
    committed: Vec<Record>,
    batch_ids_seen: BTreeSet<Uuid>,
    loads: usize,
    rollbacks: usize,
    /// Whether it wants to know what the next batch wants, and what it was told.
    loads_ahead: bool,
    announced: Vec<Wanted>,
}

/// Each commit takes a permit, so that a test can hold it up.
#[derive(Clone)]
struct Scripted {
    engine: Arc<Mutex<Engine>>,
    permits: Arc<Semaphore>,
}

impl Scripted {
    fn new(script: &[Ending]) -> Self {
        let engine = Engine { script: script.iter().copied().collect(), ..Engine::default() };
        Self { engine: Arc::new(Mutex::new(engine)), permits: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    fn engine<T>(&self, look: impl FnOnce(&mut Engine) -> T) -> T {
        look(&mut self.engine.lock().unwrap())
    }

    /// The values of each commit.
    fn committed(&self) -> Vec<Vec<u32>> {
        self.engine(|engine| engine.committed.iter().map(values).collect())
    }
}

fn values(record: &Record) -> Vec<u32> {
    record.settings.iter().map(|setting| u32::from_be_bytes(setting.value.clone().try_into().unwrap())).collect()
}

impl Writer for Scripted {
    async fn load(&mut self, wanted: &Wanted) -> Result<Book, StoreError> {
        self.engine(|engine| {
            engine.loads += 1;
            let mut book = Book::default();
            for record in &engine.committed {
                if let Some(entry) = record.journal.last() {
                    book.journal_head = Head { sequence: entry.sequence, hash: entry.hash() };
                }
                book.answers.extend(record.answers.iter().filter(|(key, _)| wanted.answers.contains(key)).cloned());
            }
            Ok(book)
        })
    }

    async fn commit(&mut self, _book: &Book, record: &Record) -> Result<(), StoreError> {
        self.permits.acquire().await.unwrap().forget();
        self.engine(|engine| {
            engine.batch_ids_seen.insert(record.batch_id.uuid());
            if engine.refused.is_some_and(|refused| values(record).contains(&refused)) {
                return Err(StoreError::Constraint("refused".to_owned()));
            }
            engine.committed.extend(engine.coming_through.take());
            if engine.committed.iter().any(|committed| committed.batch_id == record.batch_id) {
                return Err(StoreError::Conflict("batch"));
            }
            let ending = engine.script.pop_front().unwrap_or(Ending::Committed);
            match ending {
                Ending::Committed | Ending::LostAfter => engine.committed.push(record.clone()),
                Ending::LostThenCommitted => engine.coming_through = Some(record.clone()),
                Ending::Busy | Ending::Conflict | Ending::Full | Ending::LostBefore => {}
            }
            match ending {
                Ending::Committed => Ok(()),
                Ending::Busy => Err(StoreError::Busy),
                Ending::Conflict => Err(StoreError::Conflict("row")),
                Ending::Full => Err(StoreError::Full),
                Ending::LostBefore | Ending::LostAfter | Ending::LostThenCommitted => Err(StoreError::CommitUnknown),
            }
        })
    }

    fn loads_ahead(&self) -> bool {
        self.engine(|engine| engine.loads_ahead)
    }

    fn announce(&mut self, next: Wanted) {
        self.engine(|engine| engine.announced.push(next));
    }

    async fn rollback(&mut self) {
        self.engine(|engine| engine.rollbacks += 1);
    }

    async fn has_committed(&mut self, batch_id: BatchId) -> Result<bool, StoreError> {
        self.engine(|engine| {
            if let Some(left) = engine.unanswered.checked_sub(1) {
                engine.unanswered = left;
                return Err(StoreError::Unreachable("no answer".to_owned()));
            }
            Ok(engine.committed.iter().any(|record| record.batch_id == batch_id))
        })
    }
}

/// What a test command does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Put,
    Panic,
    Contradict,
    /// Says how many values the commands before it put, and puts its own.
    Count,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    act: Act,
    value: u32,
}

impl Operation for Step {
    type Output = usize;

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<usize, Refused> {
        let before = cx.record.settings.len();
        match self.act {
            Act::Put | Act::Count => {}
            Act::Panic => panic!("planted"),
            Act::Contradict => return Err(Inconsistent("planted").into()),
        }
        cx.record.settings.push(Setting { name: "value".into(), value: self.value.to_be_bytes().to_vec() });
        cx.journal(book, "put", &Counted(self.value))?;
        Ok(before)
    }
}

struct Counted(u32);

impl domain::state::Journaled for Counted {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Campaign, id: Uuid::from_u128(u128::from(self.0)) }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> domain::journal::Canonical {
        domain::journal::Canonical::new()
    }
}

type Answer = tokio::sync::oneshot::Receiver<Result<Reply<usize>, DeskError>>;

/// The working part on a scripted engine, with what it tells others.
struct Bench {
    writer: Scripted,
    batches: Batches<Scripted>,
    head: watch::Receiver<Option<Head>>,
    counts: Arc<DeskCounts>,
}

impl Bench {
    fn new(script: &[Ending]) -> Self {
        let writer = Scripted::new(script);
        let (head_sender, head) = watch::channel(None);
        let counts = Arc::new(DeskCounts::new(DeskMeters::silent()));
        let entropy = Entropy::from_seed([3; 32]);
        let (rung, _hears) = watch::channel(0);
        let batches = Batches::new(
            writer.clone(),
            Keyring::new([1; 32]),
            entropy,
            counts.clone(),
            head_sender,
            rung,
            Safeguards::default(),
        );
        Self { writer, batches, head, counts }
    }

    /// Works off one batch, and gives every command's answer: how many values it found, or why it came to nothing.
    async fn process(&mut self, commands: Vec<Command<Step>>) -> Vec<Result<Reply<usize>, DeskError>> {
        let (batch, answers) = submitted(commands);
        self.batches.process(batch, Vec::new).await;
        answers.into_iter().map(|mut answer| answer.try_recv().expect("nobody is forgotten")).collect()
    }

    async fn put(&mut self, count: u32) -> Vec<Result<(), DeskError>> {
        self.process((0..count).map(|value| command(Act::Put, value)).collect()).await.into_iter().map(done).collect()
    }
}

/// Commands as a batch, and where their answers come.
fn submitted(commands: Vec<Command<Step>>) -> (Vec<Box<dyn Work>>, Vec<Answer>) {
    let mut batch: Vec<Box<dyn Work>> = Vec::new();
    let mut answers: Vec<Answer> = Vec::new();
    for command in commands {
        let (submission, answer) = Submission::new(command);
        batch.push(Box::new(submission));
        answers.push(answer);
    }
    (batch, answers)
}

fn command(act: Act, value: u32) -> Command<Step> {
    Command::of_program(Step { act, value }, Instant::from_micros(1_000_000))
}

/// A command with a key whose answer is remembered.
fn keyed(value: u32, key: &str, fingerprint: u8) -> Command<Step> {
    let key = AnswerKey {
        organisation_id: OrganisationId::new(Uuid::nil()),
        client_id: ClientId::new(Uuid::nil()),
        key: key.to_owned(),
    };
    let body = value.to_be_bytes().to_vec();
    let render = move |_: &Result<usize, Refused>| Some(Rendered { status: 201, is_problem: false, body: body.clone() });
    let remember = Remember { key, fingerprint: [fingerprint; 32], render: Box::new(render) };
    Command { remember: Some(remember), ..command(Act::Put, value) }
}

#[track_caller]
fn done(answer: Result<Reply<usize>, DeskError>) -> Result<(), DeskError> {
    let reply = answer?;
    assert!(matches!(reply, Reply::Decided { result: Ok(_), .. }), "{reply:?}");
    Ok(())
}

#[tokio::test]
async fn a_busy_engine_or_a_changed_row_is_tried_again_whole_and_answered_once() {
    for script in [&[Ending::Busy][..], &[Ending::Conflict, Ending::Conflict], &[Ending::LostBefore]] {
        let mut bench = Bench::new(script);
        assert_eq!(bench.put(3).await, [Ok(()); 3], "{script:?}");
        assert_eq!(bench.writer.committed(), [[0, 1, 2]], "{script:?}");
        let (loads, rollbacks) = bench.writer.engine(|engine| (engine.loads, engine.rollbacks));
        assert_eq!(loads, script.len() + 1, "{script:?}: decided anew each time");
        assert!(rollbacks >= script.len(), "{script:?}: nothing stays open");
        assert_eq!(bench.writer.engine(|engine| engine.batch_ids_seen.len()), 1, "{script:?}: under the same id");
        assert_eq!(bench.head.borrow().map(|head| head.sequence), Some(3), "{script:?}");
    }
}

#[tokio::test]
async fn an_engine_that_stays_busy_is_given_up_within_seconds_and_writes_nothing() {
    let mut bench = Bench::new(&[Ending::Busy; 9]);
    assert_eq!(bench.put(2).await, [Err(DeskError::Unavailable); 2]);
    assert_eq!(bench.writer.committed(), Vec::<Vec<u32>>::new());
    assert_eq!(bench.writer.engine(|engine| engine.loads), 9, "not tried again in parts");
    assert_eq!(bench.put(1).await, [Ok(())], "and works on afterwards");
}

#[tokio::test]
async fn a_full_engine_refuses_at_once() {
    let mut bench = Bench::new(&[Ending::Full]);
    assert_eq!(bench.put(2).await, [Err(DeskError::Unavailable); 2]);
    assert_eq!(bench.writer.engine(|engine| (engine.loads, engine.committed.len())), (1, 0));
}

#[tokio::test]
async fn a_refused_row_fails_its_command_alone_and_the_order_of_the_others_stays() {
    for refused in 0..8_u32 {
        let mut bench = Bench::new(&[]);
        bench.writer.engine(|engine| engine.refused = Some(refused));
        let answers = bench.put(8).await;
        for (value, answer) in (0..8).zip(answers) {
            let expected = if value == refused { Err(DeskError::Failed) } else { Ok(()) };
            assert_eq!(answer, expected, "command {value} where {refused} is refused");
        }
        let others: Vec<u32> = (0..8).filter(|value| *value != refused).collect();
        assert_eq!(bench.writer.committed().concat(), others);
        assert_eq!(bench.counts.commands.load(Ordering::Relaxed), 7);
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_commit_that_happened_is_no_second_commit() {
    for unanswered in [0, 2] {
        let mut bench = Bench::new(&[Ending::LostAfter]);
        bench.writer.engine(|engine| engine.unanswered = unanswered);
        assert_eq!(bench.put(3).await, [Ok(()); 3]);
        assert_eq!(bench.writer.committed(), [[0, 1, 2]]);
        assert_eq!(bench.head.borrow().map(|head| head.sequence), Some(3), "the head outside goes on too");
    }
}

#[tokio::test]
async fn a_commit_that_stays_in_doubt_is_not_run_again_in_parts() {
    let mut bench = Bench::new(&[Ending::LostAfter]);
    bench.writer.engine(|engine| engine.unanswered = 100);
    assert_eq!(bench.put(4).await, [Err(DeskError::Unavailable); 4]);
    assert_eq!(bench.writer.committed(), [[0, 1, 2, 3]], "once, whatever the clients were told");
}

#[tokio::test]
async fn a_commit_that_comes_through_late_is_not_done_twice() {
    let mut bench = Bench::new(&[Ending::LostThenCommitted]);
    let answers = bench.process((0..3).map(|value| keyed(value, &format!("key-{value}"), 1)).collect()).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(DeskError::Unavailable))), "{answers:?}");
    assert_eq!(bench.writer.committed(), [[0, 1, 2]]);
    let again = bench.process(vec![keyed(1, "key-1", 1)]).await;
    let expected = Rendered { status: 201, is_problem: false, body: 1_u32.to_be_bytes().to_vec() };
    assert!(matches!(&again[..], [Ok(Reply::Replayed(rendered))] if *rendered == expected), "{again:?}");
    assert_eq!(bench.writer.committed().concat(), [0, 1, 2]);
}

#[tokio::test]
async fn a_command_that_panics_or_contradicts_itself_fails_alone() {
    for act in [Act::Panic, Act::Contradict] {
        let mut bench = Bench::new(&[]);
        let commands = (0..5).map(|value| command(if value == 2 { act } else { Act::Put }, value)).collect();
        let answers: Vec<_> = bench.process(commands).await.into_iter().map(done).collect();
        assert_eq!(answers, [Ok(()), Ok(()), Err(DeskError::Failed), Ok(()), Ok(())], "{act:?}");
        assert_eq!(bench.writer.committed(), [[0, 1, 3, 4]], "{act:?}: still one commit");
    }
}

/// Value 1 is refused, so that the batch is worked off in parts: nothing is announced between them, and the order of arrival
/// stays.
#[tokio::test]
async fn what_waits_is_announced_with_the_commit_of_the_last_part_and_worked_off_next() {
    let mut bench = Bench::new(&[]);
    bench.writer.engine(|engine| (engine.refused, engine.loads_ahead) = (Some(1), true));
    let keys = |values: std::ops::Range<u32>| values.map(|value| keyed(value, &format!("key-{value}"), 1)).collect();
    let (first, _) = submitted(keys(0..4));
    let (second, _) = submitted(keys(4..6));
    let mut waiting = vec![second];
    let next = bench.batches.process(first, || waiting.pop().unwrap_or_default()).await;
    assert_eq!(bench.writer.committed(), [vec![0], vec![2, 3]]);
    let announced = bench.writer.engine(|engine| engine.announced.clone());
    let told = |wanted: &Wanted| wanted.answers.iter().map(|key| key.key.clone()).collect::<Vec<_>>();
    assert_eq!(announced.iter().map(told).collect::<Vec<_>>(), [["key-4", "key-5"], ["key-4", "key-5"]]);
    assert!(bench.batches.process(next, Vec::new).await.is_empty());
    assert_eq!(bench.writer.committed(), [vec![0], vec![2, 3], vec![4, 5]]);
}

#[tokio::test]
async fn a_dry_run_is_decided_and_leaves_no_trace() {
    let mut bench = Bench::new(&[]);
    let dry = Command { is_dry_run: true, ..command(Act::Count, 9) };
    let answers = bench.process(vec![command(Act::Put, 1), dry, command(Act::Count, 2)]).await;
    let found: Vec<usize> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(Reply::Decided { result: Ok(found), .. }) => found,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, [0, 0, 1], "the command after it does not see it");
    assert_eq!(bench.writer.committed(), [[1, 2]]);
    bench.writer.engine(|engine| {
        let sequences: Vec<u64> = engine.committed[0].journal.iter().map(|entry| entry.sequence).collect();
        assert_eq!(sequences, [1, 2]);
    });
    let dry_panic = Command { is_dry_run: true, ..command(Act::Panic, 9) };
    let answers = bench.process(vec![dry_panic, command(Act::Put, 3)]).await;
    assert_eq!(answers.into_iter().map(done).collect::<Vec<_>>(), [Err(DeskError::Failed), Ok(())]);
}

#[tokio::test]
async fn one_key_is_run_once_within_a_batch_and_across_batches() {
    let mut bench = Bench::new(&[]);
    let mut answers = bench.process((0..32).map(|value| keyed(value, "key", 1)).collect()).await;
    let first = answers.remove(0);
    assert!(matches!(&first, Ok(Reply::Decided { rendered: Some(rendered), .. }) if rendered.body == 0_u32.to_be_bytes()));
    answers.extend(bench.process(vec![keyed(7, "key", 1)]).await);
    for answer in answers {
        assert!(matches!(&answer, Ok(Reply::Replayed(rendered)) if rendered.body == 0_u32.to_be_bytes()), "{answer:?}");
    }
    let other = bench.process(vec![keyed(8, "key", 2), keyed(9, "other", 1)]).await;
    assert!(matches!(&other[..], [Ok(Reply::KeyReused), Ok(Reply::Decided { .. })]), "{other:?}");
    assert_eq!(bench.writer.committed().concat(), [0, 9]);
}

#[tokio::test]
async fn a_batch_that_changes_nothing_is_answered_without_a_commit_and_leaves_nothing_open() {
    let mut bench = Bench::new(&[Ending::Committed, Ending::Full]);
    bench.process(vec![keyed(1, "key", 1)]).await;
    let newest = *bench.head.borrow();
    let rollbacks_before = bench.writer.engine(|engine| engine.rollbacks);
    let dry = Command { is_dry_run: true, ..command(Act::Count, 9) };
    let answers = bench.process(vec![keyed(1, "key", 1), dry, keyed(2, "key", 2)]).await;
    let [Ok(Reply::Replayed(_)), Ok(Reply::Decided { result: Ok(0), .. }), Ok(Reply::KeyReused)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(bench.writer.engine(|engine| engine.rollbacks), rollbacks_before + 1);
    assert_eq!(bench.counts.commits.load(Ordering::Relaxed), 1);
    assert_eq!(bench.counts.commands.load(Ordering::Relaxed), 4);
    assert_eq!(*bench.head.borrow(), newest);
    // One command that changes something makes it a commit, and that one fails here.
    let answers = bench.process(vec![keyed(1, "key", 1), keyed(3, "other", 1)]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(DeskError::Unavailable))), "{answers:?}");
}

/// A desk whose first commit is held up, with that command submitted.
async fn held_up_desk() -> (Scripted, Desk, super::DeskThread, tokio::task::JoinHandle<Result<Reply<usize>, DeskError>>) {
    let mut writer = Scripted::new(&[]);
    writer.permits = Arc::new(Semaphore::new(0));
    let (desk, thread) =
        Desk::open(writer.clone(), Keyring::new([1; 32]), Entropy::from_seed([3; 32]), DeskFittings::default()).unwrap();
    let first = tokio::spawn({
        let desk = desk.clone();
        async move { desk.submit(command(Act::Put, 0)).await }
    });
    while writer.engine(|engine| engine.loads) == 0 {
        tokio::task::yield_now().await;
    }
    (writer, desk, thread, first)
}

fn submit(desk: &Desk, value: u32) -> impl Future<Output = Result<Reply<usize>, DeskError>> + use<'_> {
    desk.submit(command(Act::Put, value))
}

/// Begins futures in order; none of them ends yet.
async fn hand_in<F: Future + Unpin>(waiting: &mut [F]) {
    for one in waiting {
        let begin = std::future::poll_fn(|cx| {
            assert!(Pin::new(&mut *one).poll(cx).is_pending());
            Poll::Ready(())
        });
        tokio::task::unconstrained(begin).await;
    }
}

#[tokio::test]
async fn a_full_queue_answers_at_once_and_everything_in_it_is_worked_off() {
    let (writer, desk, thread, first) = held_up_desk().await;
    let queued = u32::from(QUEUE_COMMANDS_MAX);
    let mut waiting: Vec<_> = (1..=queued).map(|value| Box::pin(submit(&desk, value))).collect();
    hand_in(&mut waiting).await;
    assert!(matches!(submit(&desk, 0).await, Err(DeskError::Overloaded)));
    writer.permits.add_permits(usize::from(QUEUE_COMMANDS_MAX));
    assert_eq!(done(first.await.unwrap()), Ok(()));
    for one in waiting {
        assert_eq!(done(one.await), Ok(()));
    }
    drop(desk);
    thread.join();
    assert_eq!(writer.committed().concat(), (0..=queued).collect::<Vec<_>>(), "in order of arrival");
    assert!(writer.committed().iter().all(|batch| batch.len() <= BATCH_COMMANDS_MAX));
}

#[tokio::test]
async fn background_work_has_its_share_of_every_batch() {
    const BACKGROUND: u32 = 1_000_000;
    let (writer, desk, thread, first) = held_up_desk().await;
    let mut requests: Vec<_> = (1..=600).map(|value| Box::pin(submit(&desk, value))).collect();
    let run = |value| desk.run(Step { act: Act::Put, value }, Instant::from_micros(1_000_000));
    let mut background: Vec<_> = (0..100).map(|value| Box::pin(run(BACKGROUND + value))).collect();
    hand_in(&mut requests).await;
    hand_in(&mut background).await;
    writer.permits.add_permits(700);
    assert_eq!(done(first.await.unwrap()), Ok(()));
    for one in requests {
        assert_eq!(done(one.await), Ok(()));
    }
    for one in background {
        one.await.unwrap();
    }
    drop(desk);
    thread.join();
    let shares: Vec<(usize, usize)> = writer.committed()[1..]
        .iter()
        .map(|batch| (batch.len(), batch.iter().filter(|value| **value >= BACKGROUND).count()))
        .collect();
    let full = (BATCH_COMMANDS_MAX, BACKGROUND_COMMANDS_MIN);
    assert_eq!(shares[..2], [full, full], "{shares:?}");
    assert_eq!(shares.iter().map(|(_, background)| background).sum::<usize>(), 100);
}

#[tokio::test]
async fn a_stopped_desk_takes_nothing_more() {
    let (desk, thread) =
        Desk::open(Scripted::new(&[]), Keyring::new([1; 32]), Entropy::from_seed([3; 32]), DeskFittings::default()).unwrap();
    assert_eq!(done(submit(&desk, 1).await), Ok(()));
    assert_eq!(desk.counts(), (1, 1));
    drop(desk);
    thread.join();
}
