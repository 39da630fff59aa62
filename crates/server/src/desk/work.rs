//! One command on its way through the desk, with its type erased so that a batch can hold every kind.

use std::fmt::Debug;

use domain::ids::{ClientId, InvestorId};
use domain::instant::Instant;
use store::{Answer, AnswerKey, Book, Wanted};
use tokio::sync::oneshot;

use super::{Command, DeskError, Rendered};
use crate::operations::{Context, Operation, Refused};

/// What became of a command.
#[derive(Debug)]
pub enum Reply<T> {
    /// It was decided now.
    Decided {
        /// The decision.
        result: Result<T, Refused>,
        /// The answer that was remembered, where it was.
        rendered: Option<Rendered>,
    },
    /// The same request was decided before: that answer again.
    Replayed(Rendered),
    /// The key belongs to another request.
    KeyReused,
    /// The same request was decided before, and its answer was erased with its subject.
    AnswerErased,
}

/// A remembered answer to be stored, before it is sealed.
#[derive(Debug)]
pub(super) struct ToRemember {
    pub key: AnswerKey,
    pub fingerprint: [u8; 32],
    pub rendered: Rendered,
    pub subject: Option<InvestorId>,
}

/// What a repeat finds.
#[derive(Debug)]
pub(super) enum Found {
    Answer(Rendered),
    Erased,
}

/// A command whose type is erased.
pub(super) trait Work: Send + Debug {
    fn want(&self, wanted: &mut Wanted);
    fn key(&self) -> Option<&AnswerKey>;
    fn actor(&self) -> Option<ClientId>;
    fn now(&self) -> Instant;
    fn is_dry_run(&self) -> bool;
    fn size_bytes(&self) -> usize;
    /// Decides. What it says is kept until the batch is committed.
    fn run(&mut self, book: &mut Book, cx: &mut Context<'_>) -> Result<Option<ToRemember>, Refused>;
    /// Takes a remembered answer in place of a decision.
    fn repeat(&mut self, known: &Answer, found: Found);
    /// Answers, once: what was decided, or why it came to nothing.
    fn settle(&mut self, outcome: Result<(), DeskError>);
}

type Answerer<T> = oneshot::Sender<Result<Reply<T>, DeskError>>;
type Answers<T> = oneshot::Receiver<Result<Reply<T>, DeskError>>;

#[derive(Debug)]
pub(super) struct Submission<O: Operation> {
    command: Command<O>,
    pending: Option<Reply<O::Output>>,
    /// Gone once it was answered.
    answerer: Option<Answerer<O::Output>>,
}

impl<O: Operation> Submission<O> {
    pub fn new(command: Command<O>) -> (Self, Answers<O::Output>) {
        let (answerer, answer) = oneshot::channel();
        (Self { command, pending: None, answerer: Some(answerer) }, answer)
    }
}

impl<O: Operation> Work for Submission<O> {
    fn want(&self, wanted: &mut Wanted) {
        self.command.operation.want(wanted);
        if let Some(remember) = &self.command.remember {
            wanted.answers.insert(remember.key.clone());
        }
    }

    fn key(&self) -> Option<&AnswerKey> {
        self.command.remember.as_ref().map(|remember| &remember.key)
    }

    fn actor(&self) -> Option<ClientId> {
        self.command.actor
    }

    fn now(&self) -> Instant {
        self.command.now
    }

    fn is_dry_run(&self) -> bool {
        self.command.is_dry_run
    }

    fn size_bytes(&self) -> usize {
        self.command.size_bytes
    }

    fn run(&mut self, book: &mut Book, cx: &mut Context<'_>) -> Result<Option<ToRemember>, Refused> {
        let result = self.command.operation.run(book, cx);
        if let Err(Refused::Inconsistent(inconsistent)) = &result {
            return Err(Refused::Inconsistent(*inconsistent));
        }
        let remember = self.command.remember.as_ref();
        let rendered = remember.and_then(|remember| (remember.render)(&result));
        let to_remember = remember.zip(rendered.clone()).map(|(remember, rendered)| ToRemember {
            key: remember.key.clone(),
            fingerprint: remember.fingerprint,
            rendered,
            subject: self.command.operation.subject(book),
        });
        self.pending = Some(Reply::Decided { result, rendered });
        Ok(to_remember)
    }

    fn repeat(&mut self, known: &Answer, found: Found) {
        let is_same = self.command.remember.as_ref().is_some_and(|remember| remember.fingerprint == known.fingerprint);
        self.pending = Some(match found {
            Found::Answer(_) | Found::Erased if !is_same => Reply::KeyReused,
            Found::Answer(rendered) => Reply::Replayed(rendered),
            Found::Erased => Reply::AnswerErased,
        });
    }

    fn settle(&mut self, outcome: Result<(), DeskError>) {
        let Some(answerer) = self.answerer.take() else { return };
        let reply = outcome.and_then(|()| self.pending.take().ok_or(DeskError::Failed));
        // A client that hung up is not an error: its command is done, and a repeat finds the answer.
        let _ = answerer.send(reply);
    }
}
