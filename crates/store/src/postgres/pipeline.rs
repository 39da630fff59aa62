//! Statements that are sent one after the other without waiting for each answer. The server works them off in the order
//! in which they were sent, so the order of locks is kept while the network is crossed once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use deadpool_postgres::Object;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

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

/// What the statements answered.
#[derive(Debug)]
pub(super) struct Answers<T>(Vec<T>);

impl Answers<Vec<Row>> {
    /// The rows of a statement; none where it was not asked.
    pub(super) fn rows(&self, slot: Slot) -> &[Row] {
        slot.0.and_then(|place| self.0.get(place)).map_or(&[], Vec::as_slice)
    }
}

impl<T: Default> Answers<T> {
    /// The answer of the last statement.
    pub(super) fn into_last(mut self) -> T {
        self.0.pop().unwrap_or_default()
    }
}

impl Answers<u64> {
    /// How many rows a statement changed.
    pub(super) fn changed(&self, slot: Slot) -> u64 {
        slot.0.and_then(|place| self.0.get(place)).copied().unwrap_or(0)
    }
}

impl Pipeline {
    /// Adds a statement.
    pub(super) fn ask(&mut self, table: &'static str, sql: impl Into<String>, parameters: Vec<BoxedParameter>) -> Slot {
        self.asked.push(Asked { table, sql: sql.into(), parameters });
        Slot(Some(self.asked.len() - 1))
    }

    /// Runs the statements and gives their rows, or the first failure.
    pub(super) async fn query(self, connection: &Object) -> Result<Answers<Vec<Row>>, StoreError> {
        let statements = self.prepare(connection).await?;
        let references = self.references();
        let sent = self.asked.iter().zip(&statements).zip(&references);
        in_order(sent.map(|((asked, statement), parameters)| (asked.table, connection.query(statement, parameters)))).await
    }

    /// Runs the statements and gives how many rows each changed, or the first failure.
    pub(super) async fn execute(self, connection: &Object) -> Result<Answers<u64>, StoreError> {
        let statements = self.prepare(connection).await?;
        let references = self.references();
        let sent = self.asked.iter().zip(&statements).zip(&references);
        in_order(sent.map(|((asked, statement), parameters)| (asked.table, connection.execute(statement, parameters)))).await
    }

    async fn prepare(&self, connection: &Object) -> Result<Vec<Statement>, StoreError> {
        let mut statements = Vec::with_capacity(self.asked.len());
        for asked in &self.asked {
            let prepared = connection.prepare_cached(&asked.sql).await;
            statements.push(prepared.map_err(|error| of_table(asked.table, &error))?);
        }
        Ok(statements)
    }

    fn references(&self) -> Vec<Vec<&(dyn ToSql + Sync)>> {
        self.asked.iter().map(references_of).collect()
    }
}

fn references_of(asked: &Asked) -> Vec<&(dyn ToSql + Sync)> {
    asked.parameters.iter().map(|parameter| -> &(dyn ToSql + Sync) { parameter.as_ref() }).collect()
}

/// A statement that was sent, and its answer once it is there.
type Running<F, T> = (&'static str, Pin<Box<F>>, Option<Result<T, Error>>);

/// Polls every future once in order, which sends its statement, and then waits for all.
async fn in_order<T, F: Future<Output = Result<T, Error>>>(
    sent: impl Iterator<Item = (&'static str, F)>,
) -> Result<Answers<T>, StoreError> {
    let mut running: Vec<Running<F, T>> = sent.map(|(table, future)| (table, Box::pin(future), None)).collect();
    poll_fn(|cx| {
        let mut is_done = true;
        for (_, future, answer) in &mut running {
            if answer.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(ready) => *answer = Some(ready),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let mut answers = Vec::with_capacity(running.len());
    for (table, _, answer) in running {
        match answer {
            Some(Ok(answer)) => answers.push(answer),
            Some(Err(error)) => return Err(of_table(table, &error)),
            None => return Err(StoreError::Engine(format!("{table}: a statement without an answer"))),
        }
    }
    Ok(Answers(answers))
}
