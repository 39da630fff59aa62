//! Copying the write-ahead log into the database beside the writer, so that no commit waits for it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::error::StoreError;

/// A thread that copies the write-ahead log back whenever it is rung for. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    bell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread on a connection of its own.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        // One ring may wait: what is written while a copy runs is the next one's.
        let (bell, rings) = sync_channel(1);
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(move || copy_back(&connection, &rings));
        let thread = thread.map_err(|error| StoreError::Engine(format!("the checkpoint thread: {error}")))?;
        Ok(Self { bell: Some(bell), thread: Some(thread) })
    }

    /// Asks for a copy; does not wait for it.
    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            // Full: one is asked for already.
            let _rung = bell.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread ended in a panic");
        }
    }
}

/// Copies what no reader needs in the log, and never makes anybody wait (`PASSIVE`).
fn copy_back(connection: &Connection, rings: &Receiver<()>) {
    while rings.recv().is_ok() {
        let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
        if let Err(error) = copied {
            // Nothing is lost: the log holds it, and the writer itself copies a log that has grown long.
            tracing::warn!(%error, "the write-ahead log could not be copied into the database");
        }
    }
}
