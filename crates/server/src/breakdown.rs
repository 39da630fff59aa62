//! What ends the program at once: a disk that failed to keep what it was given.
//!
//! After a failed sync the kernel may count what it could not write as written, so that a repeat succeeds and proves
//! nothing (`PostgreSQL` learned this in 2018 and stops since). The program does the same: nobody is told that the commit
//! held, nothing more is written, and the next start reads from the disk what it holds.

use std::sync::Arc;

use tokio::sync::watch;

/// The exit code of a program that ended so (`EX_IOERR` of sysexits.h).
pub const EXIT_DISK_FAILED: u8 = 74;

/// Where whoever writes says that a disk failed. Clones share what was said.
#[derive(Clone, Debug)]
pub struct Breakdown {
    said: Arc<watch::Sender<bool>>,
}

impl Default for Breakdown {
    fn default() -> Self {
        Self { said: Arc::new(watch::Sender::new(false)) }
    }
}

impl Breakdown {
    /// Says that a disk failed, and logs how.
    pub fn report(&self, reason: &str) {
        tracing::error!(reason, "a disk failed: the program stops, and the next start recovers from what the disk holds");
        self.said.send_replace(true);
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        *self.said.borrow()
    }

    /// Waits until it is said.
    pub async fn reported(&self) {
        let mut said = self.said.subscribe();
        // The sender lives as long as this does.
        let _ = said.wait_for(|said| *said).await;
    }
}
