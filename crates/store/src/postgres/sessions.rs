//! Reading: sessions that cannot write, each at one state of the database.
//!
//! A connection is driven by the thread that reads on it: no other thread has to be woken for a question or its answer.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::cells::Parameter;
use super::connect::{Connection, Connector};
use super::failure::of_table;
use super::migrations::version_of;
use super::pipeline::{Answers, BoxedParameter, Pipeline, Slot};
use super::runtime::Driver;
use crate::counts::{StoreCounts, StoreState};
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
    counts: Arc<StoreCounts>,
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
    counts: Arc<StoreCounts>,
}

/// A connection, made when it is first needed and again whenever it is lost, and what drives it while somebody waits.
struct Link {
    runtime: Driver,
    connector: Connector,
    connection: RefCell<Option<Connection>>,
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
        let counts = connector.counts().clone();
        let pool = Pool { idle: Mutex::new(links), returned: Condvar::new(), counts: counts.clone() };
        Ok(Self { source: Source::Pool(Arc::new(pool)), counts })
    }

    /// Sessions whose state is that of now, for ever.
    pub(super) fn frozen(connector: Connector) -> Result<Self, StoreError> {
        let counts = connector.counts().clone();
        let link = Link::new(connector)?;
        link.ask(true, || {
            let mut pipeline = Pipeline::default();
            // The state is fixed by the first query, not by BEGIN.
            for sql in [BEGIN].into_iter().chain(UNHURRIED).chain(["SELECT 1"]) {
                pipeline.ask("database", sql, Vec::new());
            }
            pipeline
        })?;
        Ok(Self { source: Source::Frozen(Arc::new(Mutex::new(link))), counts })
    }

    /// What the engine says of itself.
    pub(crate) fn state(&self) -> StoreState {
        self.counts.state()
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
}

impl Session<'_> {
    /// Waits for something on the connection, at the state that the session reads.
    pub(super) fn wait<T: Send>(
        &self,
        ask: impl AsyncFnOnce(&Connection) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        if !self.has_asked.replace(true) {
            self.link.ask(true, || {
                let mut pipeline = Pipeline::default();
                pipeline.ask("database", BEGIN, Vec::new());
                pipeline
            })?;
        }
        self.link.wait(ask)
    }

    /// Executes a statement in the database transaction that is open.
    pub(super) fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.wait(async move |connection| connection.batch_execute(sql).await.map_err(|error| of_table("database", &error)))
    }

    /// The version of the schema.
    pub(crate) fn schema_version(&self) -> Result<SchemaVersion, StoreError> {
        self.wait(async |connection| version_of(connection).await)
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
        Ok(Self { runtime: Driver::new()?, connector, connection: RefCell::new(None) })
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
        let answered = self.try_to_ask(questions());
        if matches!(answered, Err(StoreError::Unreachable(_))) && self.connection.replace(None).is_some() {
            self.connector.counts().connection_lost();
            if is_first && was_connected {
                self.connect()?;
                return self.try_to_ask(questions());
            }
        }
        answered
    }

    fn try_to_ask(&self, questions: Pipeline) -> Result<Answers, StoreError> {
        self.wait(async move |connection| questions.run(connection).await)
    }

    fn wait<T: Send>(&self, ask: impl AsyncFnOnce(&Connection) -> Result<T, StoreError> + Send) -> Result<T, StoreError> {
        let connection = self.connection.borrow();
        let connection = connection.as_ref().ok_or_else(|| StoreError::Unreachable("there is no connection".to_owned()))?;
        self.runtime.wait(|| ask(connection))
    }

    /// Makes a connection where there is none; whether there was one.
    fn connect(&self) -> Result<bool, StoreError> {
        if self.connection.borrow().as_ref().is_some_and(|connection| !connection.is_closed()) {
            return Ok(true);
        }
        let connector = &self.connector;
        let connection = self.runtime.wait(|| connector.connect())?;
        self.connection.replace(Some(connection));
        Ok(false)
    }

    /// Sends a statement whose answer nobody waits for.
    fn send(&self, sql: &str) {
        let connection = self.connection.borrow();
        let Some(connection) = connection.as_ref() else { return };
        let sending = self.runtime.wait(|| async {
            let mut sent = pin!(connection.batch_execute(sql));
            poll_fn(|cx| Poll::Ready(sent.as_mut().poll(cx).is_ready())).await;
            // The connection's own task puts it on the wire.
            tokio::task::yield_now().await;
            Ok(())
        });
        if let Err(error) = sending {
            tracing::debug!(%error, "a read transaction could not be ended");
        }
    }
}

impl Pool {
    fn borrow(&self) -> Result<Borrowed<'_>, StoreError> {
        let mut idle = self.lock();
        let mut waited = None;
        if idle.is_empty() {
            let began = Instant::now();
            let returned = self.returned.wait_timeout_while(idle, WAIT_MAX, |idle| idle.is_empty());
            idle = returned.unwrap_or_else(PoisonError::into_inner).0;
            waited = Some(began.elapsed());
        }
        let Some(link) = idle.pop() else {
            self.counts.reading_refused();
            return Err(StoreError::Busy);
        };
        self.counts.reading_began(waited);
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
