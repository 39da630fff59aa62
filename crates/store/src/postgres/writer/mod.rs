//! The writer: what the desk loads, decides on, and commits. One round trip loads a batch (two where investments are
//! named), one commits it, and the load of the next batch may travel with the commit of the one before.

mod commit;
mod load;
mod lookups;
mod outbox;
mod sets;

use std::sync::Arc;

use domain::ids::BatchId;
use tokio::sync::oneshot;

use self::load::Loading;
use super::connect::{Connection, Connector};
use super::day_tables;
use super::failure::{of_batch, of_table};
use super::pipeline::Pipeline;
use super::runtime::EngineRuntime;
use crate::Writer;
use crate::book::{Book, Wanted};
use crate::counts::StoreCounts;
use crate::day::Kind;
use crate::error::StoreError;
use crate::record::Record;

/// Waits until whoever appends to the journal has finished, in particular a commit that was cut off.
const AWAIT_COMMITS: &str = "SELECT sequence FROM journal_head FOR UPDATE";

/// One connection that writes, made when it is first needed and again whenever it is lost.
pub struct PostgresWriter {
    connector: Connector,
    runtime: Arc<EngineRuntime>,
    counts: Arc<StoreCounts>,
    open: Option<Open>,
    /// What the load after the next commit will want.
    announced: Option<Wanted>,
    #[cfg(test)]
    forgets_answer: bool,
}

/// A connection, and what is known on it.
struct Open {
    connection: Arc<Connection>,
    is_in_transaction: bool,
    /// The load that was sent with the last commit.
    ahead: Option<Ahead>,
    /// The day whose tables are known to exist.
    day_begun: Option<i64>,
    /// Where answers of a day are looked up; kept while the tables of that day exist.
    lookups: Option<(i64, Vec<String>)>,
}

/// A load that is on its way.
struct Ahead {
    wanted: Wanted,
    book: oneshot::Receiver<Result<Book, StoreError>>,
}

impl std::fmt::Debug for PostgresWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresWriter").field("is_connected", &self.open.is_some()).finish_non_exhaustive()
    }
}

impl PostgresWriter {
    pub(super) const fn new(connector: Connector, runtime: Arc<EngineRuntime>, counts: Arc<StoreCounts>) -> Self {
        Self {
            connector,
            runtime,
            counts,
            open: None,
            announced: None,
            #[cfg(test)]
            forgets_answer: false,
        }
    }

    /// The next commit happens, and its answer gets lost.
    #[cfg(test)]
    pub(crate) const fn forget_answer_of_next_commit(&mut self) {
        self.forgets_answer = true;
    }

    /// Whether a load was sent with the last commit and not taken yet.
    #[cfg(test)]
    pub(crate) fn loads_ahead_now(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.ahead.is_some())
    }

    /// How the server works off the look-ups of a batch that names one of everything.
    #[cfg(test)]
    pub(crate) async fn plans(&mut self) -> Vec<String> {
        lookups::plans(&self.open().await.unwrap().connection).await
    }

    /// The connection, made where there is none or the last was lost.
    async fn open(&mut self) -> Result<&mut Open, StoreError> {
        if self.open.as_ref().is_none_or(|open| open.connection.is_closed()) {
            if self.open.take().is_some() {
                self.counts.connection_lost();
            }
            let connector = self.connector.clone();
            let connection = self.runtime.run(async move { connector.connect().await }).await?;
            let connection = Arc::new(connection);
            self.open = Some(Open { connection, is_in_transaction: false, ahead: None, day_begun: None, lookups: None });
        }
        self.open.as_mut().ok_or_else(|| StoreError::Unreachable("there is no connection".to_owned()))
    }

    async fn load_now(&mut self, wanted: &Wanted) -> Result<Book, StoreError> {
        if let Some(ahead) = self.open.as_mut().and_then(|open| open.ahead.take()) {
            if ahead.wanted == *wanted {
                return ahead.book.await.unwrap_or_else(|_| Err(StoreError::Unreachable("the engine has stopped".to_owned())));
            }
            self.rollback_now().await;
        }
        let runtime = self.runtime.clone();
        let open = self.open().await?;
        if open.is_in_transaction {
            return Err(StoreError::Engine("the database transaction before was not ended".to_owned()));
        }
        let lookups = if wanted.answers.is_empty() { Vec::new() } else { open.answer_tables(wanted.answers_day).await? };
        open.is_in_transaction = true;
        let (connection, wanted) = (open.connection.clone(), wanted.clone());
        runtime.run(async move { load::load(&connection, &wanted, &lookups).await }).await
    }

    async fn commit_now(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        let announced = self.announced.take();
        let Some(open) = self.open.as_mut().filter(|open| open.is_in_transaction && open.ahead.is_none()) else {
            return Err(StoreError::Engine("no database transaction is open".to_owned()));
        };
        let statements = commit::statements(book, record)?;
        if open.day_begun != Some(record.day) {
            day_tables::begin_day(&open.connection, record.day).await?;
        }
        let next = open.loading(announced)?;
        let (committed, is_committed) = oneshot::channel();
        let connection = open.connection.clone();
        let mut ahead = None;
        match next {
            None => self.runtime.detach(async move {
                let _ = committed.send(commit_alone(&connection, statements).await);
            }),
            Some((wanted, loading)) => {
                let (loaded, book) = oneshot::channel();
                ahead = Some(Ahead { wanted, book });
                self.runtime.detach(commit_and_load(connection, statements, loading, committed, loaded));
            }
        }
        is_committed.await.unwrap_or(Err(StoreError::CommitUnknown))?;
        (open.is_in_transaction, open.ahead) = (ahead.is_some(), ahead);
        open.day_begun = Some(record.day);
        #[cfg(test)]
        if std::mem::take(&mut self.forgets_answer) {
            return Err(StoreError::CommitUnknown);
        }
        Ok(())
    }

    async fn rollback_now(&mut self) {
        let Some(open) = self.open.as_mut() else { return };
        open.ahead = None;
        if !open.is_in_transaction {
            return;
        }
        open.is_in_transaction = false;
        if let Err(error) = open.connection.batch_execute("ROLLBACK").await {
            // The server undoes what a lost connection leaves open.
            tracing::warn!(%error, "a database transaction could not be rolled back");
            self.open = None;
        }
    }

    /// Ends a database transaction that failed. The tables of the day may have been made by what is undone, or dropped by
    /// another process.
    async fn give_up(&mut self) {
        if let Some(open) = self.open.as_mut() {
            (open.day_begun, open.lookups) = (None, None);
        }
        self.rollback_now().await;
    }
}

/// Runs the statements of a batch, the last of which commits it.
async fn commit_alone(connection: &Connection, statements: Pipeline) -> Result<(), StoreError> {
    let sent = statements.len();
    let mut flight = statements.send(connection).await?;
    flight.answers(sent).await.map(drop).map_err(|refusal| of_batch(&refusal))
}

/// Runs the statements of a batch and the load of the next one in one flight, and says how the commit went as soon as it
/// is answered.
async fn commit_and_load(
    connection: Arc<Connection>,
    mut statements: Pipeline,
    loading: Loading,
    committed: oneshot::Sender<Result<(), StoreError>>,
    loaded: oneshot::Sender<Result<Book, StoreError>>,
) {
    let (load, reading) = loading.into_parts();
    let (to_commit, to_load) = (statements.len(), load.len());
    statements.append(load);
    // Whoever waited and is gone needs no answer.
    let mut flight = match statements.send(&connection).await {
        Ok(flight) => flight,
        Err(refusal) => {
            let _ = committed.send(Err(refusal.into()));
            return;
        }
    };
    let outcome = flight.answers(to_commit).await.map(drop).map_err(|refusal| of_batch(&refusal));
    let has_committed = outcome.is_ok();
    let _ = committed.send(outcome);
    if has_committed {
        let answers = flight.answers(to_load).await.map_err(StoreError::from);
        let _ = loaded.send(answers.and_then(|answers| reading.take(&answers)));
    }
}

impl Open {
    /// How an announced load travels with the commit; `None` where it cannot, because more has to be known first.
    fn loading(&self, announced: Option<Wanted>) -> Result<Option<(Wanted, Loading)>, StoreError> {
        let Some(wanted) = announced else { return Ok(None) };
        let lookups = match &self.lookups {
            _ if wanted.answers.is_empty() => &[][..],
            Some((day, lookups)) if *day == wanted.answers_day => lookups.as_slice(),
            Some(_) | None => return Ok(None),
        };
        Ok(Loading::at_once(&wanted, lookups)?.map(|loading| (wanted, loading)))
    }

    /// Where the answers of a day and the day before are looked up.
    async fn answer_tables(&mut self, day: i64) -> Result<Vec<String>, StoreError> {
        if let Some((known, lookups)) = &self.lookups
            && *known == day
        {
            return Ok(lookups.clone());
        }
        let days = day_tables::days(&self.connection, Kind::Answer).await?;
        let looked_up = [day, day.saturating_sub(1)].into_iter().filter(|day| days.contains(day));
        let tables: Vec<String> = looked_up.map(|day| Kind::Answer.table(day)).collect();
        // Another process may make the table of this day at any time, but the table of a day that is over never.
        self.lookups = days.contains(&day).then(|| (day, tables.clone()));
        Ok(tables)
    }
}

impl Writer for PostgresWriter {
    async fn load(&mut self, wanted: &Wanted) -> Result<Book, StoreError> {
        let loaded = self.load_now(wanted).await;
        if loaded.is_err() {
            self.give_up().await;
        }
        loaded
    }

    async fn commit(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        let committed = self.commit_now(book, record).await;
        match &committed {
            Ok(()) => {}
            // What the connection says after this proves nothing.
            Err(StoreError::CommitUnknown) => self.open = None,
            Err(_) => self.give_up().await,
        }
        committed
    }

    fn loads_ahead(&self) -> bool {
        true
    }

    fn announce(&mut self, next: Wanted) {
        self.announced = Some(next);
    }

    async fn rollback(&mut self) {
        self.rollback_now().await;
    }

    async fn has_committed(&mut self, batch_id: BatchId) -> Result<bool, StoreError> {
        let open = self.open().await?;
        if open.is_in_transaction {
            return Err(StoreError::Engine("a database transaction is open".to_owned()));
        }
        // The cut-off commit holds the journal's head until it has ended, one way or the other.
        open.connection.batch_execute(AWAIT_COMMITS).await.map_err(|error| of_table("journal_head", &error))?;
        day_tables::has_batch(&open.connection, batch_id.uuid()).await
    }
}
