//! Statements that are sent one after the other without waiting for each answer. The server works them off in the order
//! in which they were sent, so the order of locks is kept while the network is crossed once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use super::connect::Connection;
use super::failure::of_table;
use crate::error::StoreError;

/// A parameter of a statement.
pub(super) type BoxedParameter = Box<dyn ToSql + Sync + Send>;

/// One statement.
struct Asked {
    table: &'static str,
    sql: String,
    parameters: Vec<BoxedParameter>,
}

/// Which answer belongs to a statement; none was asked where there was nothing to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot(Option<usize>);

impl Slot {
    /// Nothing was asked.
    pub(super) const NONE: Self = Self(None);
}

/// Statements in the order in which they shall run.
#[derive(Default)]
pub(super) struct Pipeline {
    asked: Vec<Asked>,
}

/// The rows that the statements answered with.
#[derive(Debug)]
pub(super) struct Answers(Vec<Vec<Row>>);

impl Answers {
    /// The rows of a statement; none where it was not asked.
    pub(super) fn rows(&self, slot: Slot) -> &[Row] {
        slot.0.and_then(|place| self.0.get(place)).map_or(&[], Vec::as_slice)
    }
}

/// Why a statement did not do what it should.
pub(super) struct Refusal {
    /// What it was about.
    pub(super) table: &'static str,
    /// Whether it was the last one.
    pub(super) is_last: bool,
    /// What the server said, or the connection.
    pub(super) error: Error,
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        of_table(refusal.table, &refusal.error)
    }
}

impl Pipeline {
    /// Adds a statement.
    pub(super) fn ask(&mut self, table: &'static str, sql: impl Into<String>, parameters: Vec<BoxedParameter>) -> Slot {
        self.asked.push(Asked { table, sql: sql.into(), parameters });
        Slot(Some(self.asked.len() - 1))
    }

    /// How many statements there are.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Adds the statements of another one.
    pub(super) fn append(&mut self, next: Self) {
        self.asked.extend(next.asked);
    }

    /// Runs the statements and gives their rows, or the first failure.
    pub(super) async fn run(self, connection: &Connection) -> Result<Answers, StoreError> {
        let statements = self.len();
        Ok(self.send(connection).await?.answers(statements).await?)
    }

    /// Sends the statements.
    pub(super) async fn send(
        self,
        connection: &Connection,
    ) -> Result<Flight<impl Future<Output = Result<Vec<Row>, Error>>>, Refusal> {
        let mut statements = Vec::with_capacity(self.asked.len());
        for asked in &self.asked {
            let prepared = connection.prepare_cached(&asked.sql).await;
            statements.push(prepared.map_err(|error| Refusal { table: asked.table, is_last: false, error })?);
        }
        let sent = self.asked.into_iter().zip(statements);
        let sent = sent.map(|(asked, statement)| (asked.table, answer(connection, statement, asked.parameters)));
        Ok(Flight::of(sent).await)
    }
}

async fn answer(connection: &Connection, statement: Statement, parameters: Vec<BoxedParameter>) -> Result<Vec<Row>, Error> {
    let references: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| -> &(dyn ToSql + Sync) { one.as_ref() }).collect();
    connection.query(&statement, &references).await
}

/// Statements that were sent, and their answers as they come.
pub(super) struct Flight<F> {
    running: Vec<Running<F>>,
}

struct Running<F> {
    table: &'static str,
    statement: Pin<Box<F>>,
    answer: Option<Result<Vec<Row>, Error>>,
}

impl<F: Future<Output = Result<Vec<Row>, Error>>> Flight<F> {
    /// Polls every statement once in order, which sends it. One that cannot be sent keeps back those after it: a COMMIT
    /// must not go out without what it commits.
    async fn of(statements: impl Iterator<Item = (&'static str, F)>) -> Self {
        let mut running: Vec<Running<F>> =
            statements.map(|(table, statement)| Running { table, statement: Box::pin(statement), answer: None }).collect();
        let sent = poll_fn(|cx| {
            for (place, one) in (1..).zip(&mut running) {
                if let Poll::Ready(answer) = one.statement.as_mut().poll(cx) {
                    let is_failed = answer.is_err();
                    one.answer = Some(answer);
                    if is_failed {
                        return Poll::Ready(place);
                    }
                }
            }
            Poll::Ready(usize::MAX)
        })
        .await;
        running.truncate(sent);
        Self { running }
    }

    /// Waits for the next so many answers, and gives them or the first failure among them.
    pub(super) async fn answers(&mut self, statements: usize) -> Result<Answers, Refusal> {
        let awaited = statements.min(self.running.len());
        poll_fn(|cx| {
            let mut is_done = true;
            for (place, one) in self.running.iter_mut().enumerate() {
                if one.answer.is_none() {
                    match one.statement.as_mut().poll(cx) {
                        Poll::Ready(ready) => one.answer = Some(ready),
                        Poll::Pending => is_done &= place >= awaited,
                    }
                }
            }
            if is_done { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let mut answers = Vec::with_capacity(awaited);
        for (place, Running { table, answer, .. }) in (1..).zip(self.running.drain(..awaited)) {
            match answer {
                Some(Ok(rows)) => answers.push(rows),
                Some(Err(error)) => return Err(Refusal { table, is_last: place == statements, error }),
                None => {}
            }
        }
        Ok(Answers(answers))
    }
}
