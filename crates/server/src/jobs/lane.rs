//! Holding a lane: the process's side of a lease.
//!
//! Which form each piece of background work has, and why:
//! - *Ledger work* (deploy, credit, watch) is leased, one lane a signer: nonces have one order, so two processes on one
//!   signer could only get in each other's way. What they record is fenced; that units are issued once does not depend
//!   on it, but on the contract's numbers.
//! - *Queued instructions* are claimed by a lane in sets, passing over what another lane is working on.
//! - *Webhooks* are leased, one lane for all: two processes would send everything twice. That nothing is lost does not
//!   depend on it.
//! - *Block production* is per process: the embedded ledger belongs to the process that holds its folder's lock.
//! - *The journal's head file* and *the directory of clients* are per process: each has a file or a memory of its own.
//! - *The tables of a day* are made by whichever commit needs them first, which is idempotent.
//! - *Documents that an ended process left behind* are collected at the start of any process that shares the place, which
//!   is idempotent; an upload's owner holds a lock (`documents.rs`).

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::ids::HolderId;
use domain::lease::{Claim, Lane, Standing, Ticket};
use uuid::Uuid;

use super::LedgerFault;
use crate::clock::Clock;
use crate::desk::{Desk, ProgramFault};
use crate::entropy::Entropy;
use crate::operations::Operation;
use crate::operations::lease::{ClaimLane, Fenced, Recorded, ReleaseLane};

/// The file that says which holder a data folder's program is.
const HOLDER_FILE_NAME: &str = "holder.id";

/// Whether a program has worked on a data folder before.
#[must_use]
pub fn has_holder(data: &Path) -> bool {
    data.join(HOLDER_FILE_NAME).exists()
}

/// The holder that the program of a data folder is. It stays the same over restarts: the folder's process lock lets one
/// process at a time be it, so a new one need not wait for the lease of the one before.
///
/// # Errors
/// The file cannot be read or made, or holds something else.
pub fn holder_of(data: &Path, entropy: &mut Entropy) -> io::Result<HolderId> {
    let path = data.join(HOLDER_FILE_NAME);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = uuid::Builder::from_random_bytes(entropy.bytes()).into_uuid();
            let temporary = path.with_extension("new");
            let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(id.hyphenated().to_string().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            return Ok(HolderId::new(id));
        }
        Err(error) => return Err(error),
    };
    Uuid::parse_str(text.trim()).map(HolderId::new).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Holds a lane while there is work on it.
#[derive(Debug)]
pub struct LaneKeeper {
    desk: Desk,
    clock: Clock,
    lane: Lane,
    holder: HolderId,
    lasts: Duration,
    standing: Standing,
    held: Option<Held>,
}

/// A lane that is held, as the holder sees it.
#[derive(Clone, Copy, Debug)]
struct Held {
    ticket: Ticket,
    /// When it asks again, by a clock that nobody turns. Counted from before the claim was made: the holder never
    /// believes to hold the lane longer than the lease says.
    renew_at: Instant,
}

/// Whether a lane is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holding {
    /// Under this fencing number. Where it is another than before, what was known of the lane's work is out of date.
    Here(u64),
    /// Another process holds it.
    Elsewhere,
}

impl LaneKeeper {
    /// A keeper of a lane that is not held yet.
    #[must_use]
    pub const fn new(desk: Desk, clock: Clock, lane: Lane, holder: HolderId, lasts: Duration) -> Self {
        Self { desk, clock, lane, holder, lasts, standing: Standing::Beginning, held: None }
    }

    /// Holds the lane: at once where half of the lease is still to come, else by asking the database.
    ///
    /// # Errors
    /// The desk could not record it.
    pub async fn hold(&mut self) -> Result<Holding, ProgramFault> {
        let asked_at = self.clock.monotonic();
        if let Some(held) = self.held.filter(|held| asked_at < held.renew_at) {
            return Ok(Holding::Here(held.ticket.fencing));
        }
        let lasts_micros = i64::try_from(self.lasts.as_micros()).unwrap_or(i64::MAX);
        let claim = Claim { lane: self.lane, holder: self.holder, standing: self.standing, lasts_micros };
        match self.desk.run(ClaimLane { claim }, self.clock.now()).await? {
            Ok(lease) => {
                self.standing = Standing::Holding(lease.fencing);
                self.held = Some(Held { ticket: lease.ticket(), renew_at: asked_at + self.lasts / 2 });
                Ok(Holding::Here(lease.fencing))
            }
            Err(elsewhere) => {
                if self.standing != Standing::Waiting {
                    tracing::info!(lane = %self.lane, holder = %elsewhere.holder, "another process works on the lane");
                }
                self.lose();
                Ok(Holding::Elsewhere)
            }
        }
    }

    /// Whether the lane is believed to be held.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Makes a record of the lane's work.
    ///
    /// # Errors
    /// [`LedgerFault::LaneLost`] where the lane is not held, or somebody else has held it since the work was begun: nothing
    /// was written. What the desk says.
    pub async fn record<O: Operation>(&mut self, operation: O) -> Result<O::Output, LedgerFault> {
        let begun_under = self.held.map(|held| held.ticket).ok_or(LedgerFault::LaneLost)?;
        match self.hold().await? {
            Holding::Here(fencing) if fencing == begun_under.fencing => {}
            Holding::Here(_) | Holding::Elsewhere => return Err(LedgerFault::LaneLost),
        }
        match self.desk.run(Fenced { ticket: begun_under, operation }, self.clock.now()).await? {
            Recorded::Made(output) => Ok(output),
            Recorded::LaneLost => {
                self.lose();
                Err(LedgerFault::LaneLost)
            }
        }
    }

    /// Hands the lane back, where it is held.
    pub async fn release(&mut self) {
        let Some(held) = self.held else { return };
        self.lose();
        if let Err(fault) = self.desk.run(ReleaseLane { ticket: held.ticket }, self.clock.now()).await {
            tracing::debug!(%fault, lane = %self.lane, "a lane could not be handed back: others wait for its lease to end");
        }
    }

    const fn lose(&mut self) {
        (self.held, self.standing) = (None, Standing::Waiting);
    }
}
