//! Holding a lane of background work, and recording that work only while it is held.

use domain::ids::InvestorId;
use domain::lease::{Claim, HeldElsewhere, Lease, Ticket};
use domain::product::Inconsistent;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};
use crate::planted::Bug;

/// Takes a lane, or keeps it.
#[derive(Clone, Copy, Debug)]
pub struct ClaimLane {
    /// What is wished.
    pub claim: Claim,
}

impl Operation for ClaimLane {
    type Output = Result<Lease, HeldElsewhere>;

    fn want(&self, wanted: &mut Wanted) {
        wanted.lanes.insert(self.claim.lane);
    }

    fn run(&self, book: &mut Book, _cx: &mut Context<'_>) -> Result<Self::Output, Refused> {
        // Business time may be turned, and machines differ: the database's clock is the one that all holders share.
        let now = book.engine_now.ok_or(Inconsistent("lease.engine_now"))?;
        let claimed = Lease::claimed(book.leases.get(&self.claim.lane), &self.claim, now);
        if let Ok(lease) = &claimed {
            book.leases.put(lease.lane, *lease);
        }
        Ok(claimed)
    }
}

/// Hands a lane back, so that another need not wait for the lease to end. Does nothing where it is held elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseLane {
    /// What the lane was held under.
    pub ticket: Ticket,
}

impl Operation for ReleaseLane {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.lanes.insert(self.ticket.lane);
    }

    fn run(&self, book: &mut Book, _cx: &mut Context<'_>) -> Result<(), Refused> {
        let now = book.engine_now.ok_or(Inconsistent("lease.engine_now"))?;
        if let Some(lease) = book.leases.get(&self.ticket.lane).filter(|lease| lease.admits(&self.ticket)) {
            let released = lease.released(now);
            book.leases.put(released.lane, released);
        }
        Ok(())
    }
}

/// A record of the work on a lane. It is made only if nobody took the lane over since the work was begun: the lease is
/// locked until the record is committed.
#[derive(Clone, Debug)]
pub struct Fenced<O> {
    /// What the lane is held under.
    pub ticket: Ticket,
    /// The record.
    pub operation: O,
}

/// What became of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recorded<T> {
    /// It was made.
    Made(T),
    /// The lane was taken over: nothing was written, and what the holder knows of the lane's work is out of date.
    LaneLost,
}

impl<O: Operation> Operation for Fenced<O> {
    type Output = Recorded<O::Output>;

    fn want(&self, wanted: &mut Wanted) {
        wanted.lanes.insert(self.ticket.lane);
        self.operation.want(wanted);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Self::Output, Refused> {
        let is_held = book.leases.get(&self.ticket.lane).is_some_and(|lease| lease.admits(&self.ticket));
        if !is_held && !Bug::StaleFencing.is_planted() {
            return Ok(Recorded::LaneLost);
        }
        self.operation.run(book, cx).map(Recorded::Made)
    }

    fn subject(&self, book: &Book) -> Option<InvestorId> {
        self.operation.subject(book)
    }
}
