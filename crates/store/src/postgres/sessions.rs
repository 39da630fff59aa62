//! Reading: sessions that cannot write, each at one state of the database.
//!
//! A connection is driven by the thread that reads on it: no other thread has to be woken for a question or its answer.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use super::cells::Parameter;
use super::connect::{Connection, Connector};
use super::failure::of_table;
use super::migrations::version_of;
use super::pipeline::{Answers, BoxedParameter, Pipeline, Slot};
use super::runtime::Driver;
use crate::error::StoreError;
use crate::reader::{Query, TakeRow, Value};
use crate::schema::SchemaVersion;

/// Everything that is read after this belongs to the same commit.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const END: &str = "ROLLBACK";
/// For a reader that stays at one state: it may take its time.
const UNHURRIED: [&str; 2] = ["SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"];
/// How long a reader waits for a connection when all are in use.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Connections that cannot write. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    /// Each reading has a connection and a state of its own.
    Pool(Arc<Pool>),
    /// Every reading sees the state of this one open database transaction.
    Frozen(Arc<Mutex<Link>>),
}

#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Link>>,
    returned: Condvar,
}

/// A connection, made when it is first needed and again whenever it is lost, and what drives it while somebody waits.
struct Link {
    driver: Driver,
    connector: Connector,
    connection: RefCell<Option<Arc<Connection>>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// A link that goes back into the pool, whatever happens to its borrower.
struct Borrowed<'p> {
    pool: &'p Pool,
    link: Option<Link>,
}

/// How much belongs to the state that a session reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    /// What is asked at once: that is one state without a database transaction, or in one that takes no round trips.
    Flight,
    /// Whatever is asked, in a database transaction that begins with the first question.
    Transaction,
    /// Whatever is asked, in a database transaction that somebody else began and ends.
    Frozen,
}

/// One connection at one state.
pub(crate) struct Session<'l> {
    link: &'l Link,
    extent: Extent,
    has_asked: Cell<bool>,
}

impl Sessions {
    pub(super) fn new(connector: &Connector, connections: usize) -> Result<Self, StoreError> {
        let links = (0..connections).map(|_| Link::new(connector.clone())).collect::<Result<_, _>>()?;
        Ok(Self { source: Source::Pool(Arc::new(Pool { idle: Mutex::new(links), returned: Condvar::new() })) })
    }

    /// Sessions whose state is that of now, for ever.
    pub(super) fn frozen(connector: Connector) -> Result<Self, StoreError> {
        let link = Link::new(connector)?;
        link.ask(true, || {
            let mut pipeline = Pipeline::default();
            // The state is fixed by the first query, not by BEGIN.
            for sql in [BEGIN].into_iter().chain(UNHURRIED).chain(["SELECT 1"]) {
                pipeline.ask("database", sql, Vec::new());
            }
            pipeline
        })?;
        Ok(Self { source: Source::Frozen(Arc::new(Mutex::new(link))) })
    }

    /// Reads at one state.
    pub(crate) fn run<T>(&self, read: impl FnOnce(&Session<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.read(Extent::Transaction, read)
    }

    /// Reads what can be asked at once.
    pub(crate) fn run_at_once<T>(&self, read: impl FnOnce(&Session<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.read(Extent::Flight, read)
    }

    fn read<T>(&self, extent: Extent, read: impl FnOnce(&Session<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &self.source {
            Source::Pool(pool) => {
                let borrowed = pool.borrow()?;
                let link = borrowed.link.as_ref().ok_or(StoreError::Busy)?;
                read(&Session { link, extent, has_asked: Cell::new(false) })
            }
            Source::Frozen(link) => {
                let link = link.lock().unwrap_or_else(PoisonError::into_inner);
                read(&Session { link: &link, extent: Extent::Frozen, has_asked: Cell::new(true) })
            }
        }
    }
}

impl Session<'_> {
    /// Gives every row of a query to `take`.
    pub(crate) fn each_row(
        &self,
        table: &'static str,
        sql: &str,
        parameters: Vec<Value>,
        take: TakeRow<'_>,
    ) -> Result<(), StoreError> {
        self.each_row_of(&[Query { table, sql: sql.to_owned(), parameters }], &mut |_, row| take(row))
    }

    /// Asks several questions at once, and gives every row of each to `take` with the place of the question.
    pub(crate) fn each_row_of(
        &self,
        queries: &[Query],
        take: &mut dyn FnMut(usize, &dyn crate::rows::Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let is_first = !self.has_asked.replace(true);
        if !is_first && self.extent == Extent::Flight {
            return Err(StoreError::Engine("a second question without a database transaction".to_owned()));
        }
        let begins = is_first && (self.extent == Extent::Transaction || queries.len() > 1);
        let numbered: Vec<String> = queries.iter().map(|query| numbered(&query.sql)).collect();
        let (slots, answers) = self.link.ask_queries(is_first, begins, self.extent, queries, &numbered)?;
        for (place, slot) in slots.into_iter().enumerate() {
            answers.rows(slot).iter().try_for_each(|row| take(place, row))?;
        }
        Ok(())
    }

    /// Waits for something on the connection.
    pub(super) fn wait<T: Send, F: Future<Output = Result<T, StoreError>>>(
        &self,
        ask: impl FnOnce(Arc<Connection>) -> F + Send,
    ) -> Result<T, StoreError> {
        self.link.wait(self.extent != Extent::Frozen && !self.has_asked.get(), ask)
    }

    /// Executes a statement in the database transaction that is open.
    pub(super) fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.wait(|connection| async move { connection.batch_execute(sql).await.map_err(|error| of_table("database", &error)) })
    }

    /// The version of the schema.
    pub(crate) fn schema_version(&self) -> Result<SchemaVersion, StoreError> {
        self.wait(|connection| async move { version_of(&connection).await })
    }
}

impl Drop for Session<'_> {
    /// The database transaction ends without being waited for: whoever asks next on the connection is answered after it.
    fn drop(&mut self) {
        if self.extent == Extent::Transaction && self.has_asked.get() {
            self.link.send(END);
        }
    }
}

impl Link {
    fn new(connector: Connector) -> Result<Self, StoreError> {
        Ok(Self { driver: Driver::new()?, connector, connection: RefCell::new(None) })
    }

    fn ask_queries(
        &self,
        is_first: bool,
        begins: bool,
        extent: Extent,
        queries: &[Query],
        numbered: &[String],
    ) -> Result<(Vec<Slot>, Answers), StoreError> {
        let slots = RefCell::new(Vec::new());
        let answers = self.ask(is_first, || {
            let mut pipeline = Pipeline::default();
            if begins {
                pipeline.ask("database", BEGIN, Vec::new());
            }
            let asked = queries.iter().zip(numbered).map(|(query, sql)| {
                let parameters = query.parameters.iter().map(|value| -> BoxedParameter { Box::new(Parameter(value.clone())) });
                pipeline.ask(query.table, sql.clone(), parameters.collect())
            });
            slots.replace(asked.collect());
            if begins && extent == Extent::Flight {
                pipeline.ask("database", END, Vec::new());
            }
            pipeline
        })?;
        Ok((slots.into_inner(), answers))
    }

    /// Asks, and waits for the answers. A connection that was lost while nobody looked is made again once.
    fn ask(&self, is_first: bool, questions: impl Fn() -> Pipeline) -> Result<Answers, StoreError> {
        // A state that others began is gone with its connection.
        let was_connected = !is_first || self.connect()?;
        match self.try_to_ask(questions()) {
            Err(StoreError::Unreachable(_)) if is_first && was_connected => {
                self.connection.replace(None);
                self.connect()?;
                self.try_to_ask(questions())
            }
            answered => answered,
        }
    }

    fn try_to_ask(&self, questions: Pipeline) -> Result<Answers, StoreError> {
        self.wait(false, |connection| async move { questions.run(&connection).await })
    }

    /// Waits for something on the connection, which is made where that is allowed.
    fn wait<T: Send, F: Future<Output = Result<T, StoreError>>>(
        &self,
        connects: bool,
        ask: impl FnOnce(Arc<Connection>) -> F + Send,
    ) -> Result<T, StoreError> {
        if connects {
            self.connect()?;
        }
        let connection = self.connection.borrow().clone();
        let connection = connection.ok_or_else(|| StoreError::Unreachable("there is no connection".to_owned()))?;
        self.driver.wait(|| ask(connection))
    }

    /// Makes a connection where there is none; whether there was one.
    fn connect(&self) -> Result<bool, StoreError> {
        if self.connection.borrow().as_ref().is_some_and(|connection| !connection.is_closed()) {
            return Ok(true);
        }
        let connector = &self.connector;
        let connection = self.driver.wait(|| connector.connect())?;
        self.connection.replace(Some(Arc::new(connection)));
        Ok(false)
    }

    /// Sends a statement whose answer nobody waits for.
    fn send(&self, sql: &str) {
        let connection = self.connection.borrow();
        let Some(connection) = connection.as_ref() else { return };
        let sent = self.driver.wait(|| async {
            let mut sent = pin!(connection.batch_execute(sql));
            poll_fn(|cx| Poll::Ready(sent.as_mut().poll(cx).is_ready())).await;
            // The connection's own task puts it on the wire.
            tokio::task::yield_now().await;
            Ok(())
        });
        if let Err(error) = sent {
            tracing::debug!(%error, "a read transaction was not ended: its connection is closed");
        }
    }
}

impl Pool {
    fn borrow(&self) -> Result<Borrowed<'_>, StoreError> {
        let idle = self.lock();
        let waited = self.returned.wait_timeout_while(idle, WAIT_MAX, |idle| idle.is_empty());
        let (mut idle, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let link = idle.pop().ok_or(StoreError::Busy)?;
        Ok(Borrowed { pool: self, link: Some(link) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.pool.lock().extend(self.link.take());
        self.pool.returned.notify_one();
    }
}

/// The same SQL with `$1`, `$2`, … in place of every `?`.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (place, part) in (1..).zip(parts) {
        numbered.push('$');
        numbered.push_str(&i32::to_string(&place));
        numbered.push_str(part);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn places_are_numbered() {
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
        assert_eq!(numbered("a = ? AND (b, c) > (?, ?) LIMIT ?"), "a = $1 AND (b, c) > ($2, $3) LIMIT $4");
    }
}
