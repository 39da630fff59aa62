//! The writer: what the desk loads, decides on, and commits. Two round trips load a batch, two commit it.

mod commit;
mod load;
mod sets;

use std::sync::Arc;

use deadpool_postgres::{Object, Pool};
use domain::ids::BatchId;

use self::sets::ColumnTypes;
use super::connect::connection_of;
use super::day_tables;
use super::failure::{may_have_committed, of_table};
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
    pool: Pool,
    runtime: Arc<EngineRuntime>,
    counts: Arc<StoreCounts>,
    open: Option<Open>,
    #[cfg(test)]
    forgets_answer: bool,
}

/// A connection, and what is known on it.
struct Open {
    connection: Object,
    types: ColumnTypes,
    is_in_transaction: bool,
    /// The day whose tables are known to exist.
    day_begun: Option<i64>,
    /// Where answers of a day are looked up; kept while the tables of that day exist.
    lookups: Option<(i64, Vec<String>)>,
}

impl std::fmt::Debug for PostgresWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresWriter").field("is_connected", &self.open.is_some()).finish_non_exhaustive()
    }
}

impl PostgresWriter {
    pub(super) const fn new(pool: Pool, runtime: Arc<EngineRuntime>, counts: Arc<StoreCounts>) -> Self {
        Self {
            pool,
            runtime,
            counts,
            open: None,
            #[cfg(test)]
            forgets_answer: false,
        }
    }

    /// The next commit happens, and its answer gets lost.
    #[cfg(test)]
    pub(crate) const fn forget_answer_of_next_commit(&mut self) {
        self.forgets_answer = true;
    }

    /// How the server works off the look-ups of a batch that names one of everything.
    #[cfg(test)]
    pub(crate) async fn plans(&mut self) -> Vec<String> {
        load::plans(&self.open().await.unwrap().connection).await
    }

    /// The connection, made where there is none or the last was lost.
    async fn open(&mut self) -> Result<&mut Open, StoreError> {
        if self.open.as_ref().is_none_or(|open| open.connection.is_closed()) {
            self.disconnect();
            let pool = self.pool.clone();
            let opened = self.runtime.run(async move {
                let connection = connection_of(&pool).await?;
                let types = ColumnTypes::read(&connection).await?;
                Ok(Open { connection, types, is_in_transaction: false, day_begun: None, lookups: None })
            });
            self.open = Some(opened.await?);
        }
        self.open.as_mut().ok_or_else(|| StoreError::Unreachable("there is no connection".to_owned()))
    }

    /// Takes the connection out of the pool, so that nobody else gets it in the state it is in.
    fn disconnect(&mut self) {
        if let Some(open) = self.open.take() {
            self.counts.connection_lost();
            drop(Object::take(open.connection));
        }
    }

    async fn load_now(&mut self, wanted: &Wanted) -> Result<Book, StoreError> {
        let open = self.open().await?;
        if open.is_in_transaction {
            return Err(StoreError::Engine("the database transaction before was not ended".to_owned()));
        }
        let lookups = if wanted.answers.is_empty() { Vec::new() } else { open.answer_tables(wanted.answers_day).await? };
        open.is_in_transaction = true;
        load::load(&open.connection, wanted, &lookups).await
    }

    async fn commit_now(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        let Some(open) = self.open.as_mut().filter(|open| open.is_in_transaction) else {
            return Err(StoreError::Engine("no database transaction is open".to_owned()));
        };
        if open.day_begun != Some(record.day) {
            day_tables::begin_day(&open.connection, record.day).await?;
        }
        commit::write(&open.connection, &open.types, book, record).await?;
        if let Err(error) = open.connection.batch_execute("COMMIT").await {
            return Err(if may_have_committed(&error) {
                tracing::warn!(%error, "a commit was not answered");
                StoreError::CommitUnknown
            } else {
                of_table("database", &error)
            });
        }
        open.is_in_transaction = false;
        open.day_begun = Some(record.day);
        #[cfg(test)]
        if std::mem::take(&mut self.forgets_answer) {
            return Err(StoreError::CommitUnknown);
        }
        Ok(())
    }

    async fn rollback_now(&mut self) {
        let Some(open) = self.open.as_mut() else { return };
        // The tables of the day may have been made by what is undone, or dropped by another process.
        (open.day_begun, open.lookups) = (None, None);
        if !open.is_in_transaction {
            return;
        }
        open.is_in_transaction = false;
        if let Err(error) = open.connection.batch_execute("ROLLBACK").await {
            // The server undoes what a lost connection leaves open.
            tracing::warn!(%error, "a database transaction could not be rolled back");
            self.disconnect();
        }
    }
}

impl Open {
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
            self.rollback_now().await;
        }
        loaded
    }

    async fn commit(&mut self, book: &Book, record: &Record) -> Result<(), StoreError> {
        let committed = self.commit_now(book, record).await;
        match &committed {
            Ok(()) => {}
            // What the connection says after this proves nothing.
            Err(StoreError::CommitUnknown) => self.disconnect(),
            Err(_) => self.rollback_now().await,
        }
        committed
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
