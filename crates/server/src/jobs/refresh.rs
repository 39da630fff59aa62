//! Keeping the directory of clients fresh.

use std::sync::Arc;
use std::time::Duration;

use store::{Reader, StoreError};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::directory::{ClientDirectory, REFRESH_S};

/// Reads epochs and revocations once.
///
/// # Errors
/// The database does not answer.
pub fn once(archive: &Reader, directory: &ClientDirectory, clock: &Clock) -> Result<(), StoreError> {
    directory.refresh(&archive.clients()?, &archive.revoked_tokens()?, clock.machine_now());
    Ok(())
}

/// Reads epochs and revocations every fifteen seconds until told to stop.
pub async fn run(archive: Arc<Reader>, directory: Arc<ClientDirectory>, clock: Clock, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _said = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(Duration::from_secs(REFRESH_S)) => {}
        }
        let (archive, directory, clock) = (archive.clone(), directory.clone(), clock.clone());
        let read = tokio::task::spawn_blocking(move || once(&archive, &directory, &clock)).await;
        if !matches!(read, Ok(Ok(()))) {
            tracing::warn!("the directory of clients could not be refreshed");
        }
    }
}
