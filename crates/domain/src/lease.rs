//! Leases: of the processes that could do a piece of background work, one does it at a time.
//!
//! A lease says who works on a lane, until when, and under which fencing number. Time alone protects nothing: a process
//! can be stopped between looking at its clock and writing. So whoever takes a lane over raises its number, every record
//! of the work carries the number it was begun under, and a record with another number is not made.

use std::fmt;

use crate::ids::HolderId;
use crate::instant::Instant;
use crate::wallet::EvmAddress;

/// What one process at a time works on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// The ledger transactions of one signer: its nonces have one order.
    Ledger(EvmAddress),
    /// Sending what waits in the outbox.
    Webhooks,
}

const WEBHOOKS: &str = "webhooks";
const LEDGER_PREFIX: &str = "ledger:";

impl Lane {
    /// A name that is stored.
    #[must_use]
    pub fn code(self) -> String {
        match self {
            Self::Ledger(signer) => format!("{LEDGER_PREFIX}{}", hex::encode(signer.bytes())),
            Self::Webhooks => WEBHOOKS.to_owned(),
        }
    }

    /// The lane of a stored name.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        if code == WEBHOOKS {
            return Some(Self::Webhooks);
        }
        let mut signer = [0; 20];
        hex::decode_to_slice(code.strip_prefix(LEDGER_PREFIX)?, &mut signer).ok()?;
        Some(Self::Ledger(EvmAddress::new(signer)))
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code())
    }
}

/// Who works on a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The lane.
    pub lane: Lane,
    /// Who holds it.
    pub holder: HolderId,
    /// Raised whenever the lane changes hands, and at every beginning of its holder.
    pub fencing: u64,
    /// From then on another may take it, by the database's clock.
    pub expires_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}

/// What every record of the work on a lane carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The lane.
    pub lane: Lane,
    /// Who records.
    pub holder: HolderId,
    /// The number under which the work was begun.
    pub fencing: u64,
}

/// Where a holder stands when it asks for a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has just begun. What the lease says it held, it held in an earlier life, which is over: only one process at a
    /// time is this holder.
    Beginning,
    /// It has held the lane under this number and not heard otherwise.
    Holding(u64),
    /// It was told that another holds the lane.
    Waiting,
}

/// A wish to hold a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The lane.
    pub lane: Lane,
    /// Who asks.
    pub holder: HolderId,
    /// Where it stands.
    pub standing: Standing,
    /// How long it wants to hold the lane, in microseconds.
    pub lasts_micros: i64,
}

/// Another holds the lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldElsewhere {
    /// Who.
    pub holder: HolderId,
    /// Until when, unless it is renewed.
    pub expires_at: Instant,
}

impl Lease {
    /// Decides a claim at `now`, which is the database's time.
    ///
    /// # Errors
    /// Another holds the lane and its time is not over.
    pub fn claimed(stored: Option<&Self>, claim: &Claim, now: Instant) -> Result<Self, HeldElsewhere> {
        let expires_at = Instant::from_micros(now.micros().saturating_add(claim.lasts_micros));
        let (lane, holder) = (claim.lane, claim.holder);
        let Some(stored) = stored else { return Ok(Self { lane, holder, fencing: 1, expires_at, version: 0 }) };
        let is_own = stored.holder == holder;
        match claim.standing {
            Standing::Holding(fencing) if is_own && stored.fencing == fencing => Ok(Self { expires_at, ..*stored }),
            Standing::Beginning if is_own => Ok(stored.taken_over(holder, expires_at)),
            Standing::Beginning | Standing::Holding(_) | Standing::Waiting if stored.expires_at <= now => {
                Ok(stored.taken_over(holder, expires_at))
            }
            Standing::Beginning | Standing::Holding(_) | Standing::Waiting => {
                Err(HeldElsewhere { holder: stored.holder, expires_at: stored.expires_at })
            }
        }
    }

    /// Whether a record with this ticket may be made. Time does not matter: while nobody took the lane over, nobody else
    /// has worked on it.
    #[must_use]
    pub fn admits(&self, ticket: &Ticket) -> bool {
        self.lane == ticket.lane && self.holder == ticket.holder && self.fencing == ticket.fencing
    }

    /// The lease handed back: another may take the lane at once.
    #[must_use]
    pub const fn released(self, now: Instant) -> Self {
        Self { expires_at: now, ..self }
    }

    /// What records under this lease carry.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        Ticket { lane: self.lane, holder: self.holder, fencing: self.fencing }
    }

    const fn taken_over(self, holder: HolderId, expires_at: Instant) -> Self {
        Self { holder, fencing: self.fencing.saturating_add(1), expires_at, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const LANE: Lane = Lane::Ledger(EvmAddress::new([7; 20]));

    fn holder(number: u128) -> HolderId {
        HolderId::new(Uuid::from_u128(number))
    }

    fn claim(number: u128, standing: Standing) -> Claim {
        Claim { lane: LANE, holder: holder(number), standing, lasts_micros: 10 }
    }

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_lane_is_free_then_held_then_kept_then_taken_over_under_a_higher_number() {
        let first = Lease::claimed(None, &claim(1, Standing::Beginning), at(100)).unwrap();
        assert_eq!((first.holder, first.fencing, first.expires_at), (holder(1), 1, at(110)));
        let kept = Lease::claimed(Some(&first), &claim(1, Standing::Holding(1)), at(105)).unwrap();
        assert_eq!((kept.fencing, kept.expires_at), (1, at(115)));
        for standing in [Standing::Beginning, Standing::Holding(1), Standing::Waiting] {
            let refused = Lease::claimed(Some(&kept), &claim(2, standing), at(114)).unwrap_err();
            assert_eq!(refused, HeldElsewhere { holder: holder(1), expires_at: at(115) }, "{standing:?}");
            let taken = Lease::claimed(Some(&kept), &claim(2, standing), at(115)).unwrap();
            assert_eq!((taken.holder, taken.fencing), (holder(2), 2), "{standing:?}");
        }
    }

    #[test]
    fn who_comes_late_goes_on_where_nobody_took_over() {
        let lease = Lease::claimed(None, &claim(1, Standing::Beginning), at(0)).unwrap();
        let kept = Lease::claimed(Some(&lease), &claim(1, Standing::Holding(1)), at(1_000)).unwrap();
        assert_eq!(kept.fencing, 1);
    }

    #[test]
    fn a_new_life_of_the_holder_does_not_wait_and_shuts_the_old_one_out() {
        let first = Lease::claimed(None, &claim(1, Standing::Beginning), at(0)).unwrap();
        let second = Lease::claimed(Some(&first), &claim(1, Standing::Beginning), at(1)).unwrap();
        assert_eq!(second.fencing, 2);
        assert!(second.admits(&second.ticket()) && !second.admits(&first.ticket()));
        assert!(Lease::claimed(Some(&second), &claim(1, Standing::Holding(1)), at(2)).is_err());
        assert!(Lease::claimed(Some(&second), &claim(1, Standing::Waiting), at(2)).is_err());
    }

    #[test]
    fn a_ticket_of_another_lane_holder_or_number_is_not_admitted() {
        let lease = Lease::claimed(None, &claim(1, Standing::Beginning), at(0)).unwrap();
        let own = lease.ticket();
        assert!(lease.admits(&own) && lease.released(at(1)).admits(&own), "time alone shuts nobody out");
        let other_lane = Lane::Ledger(EvmAddress::new([8; 20]));
        for foreign in [Ticket { fencing: 2, ..own }, Ticket { holder: holder(2), ..own }, Ticket { lane: other_lane, ..own }] {
            assert!(!lease.admits(&foreign), "{foreign:?}");
        }
    }

    #[test]
    fn what_is_handed_back_is_free_at_once() {
        let lease = Lease::claimed(None, &claim(1, Standing::Beginning), at(0)).unwrap().released(at(3));
        assert_eq!(Lease::claimed(Some(&lease), &claim(2, Standing::Waiting), at(3)).unwrap().fencing, 2);
    }

    #[test]
    fn lanes_are_read_back_from_their_names() {
        for lane in [LANE, Lane::Webhooks] {
            assert_eq!(Lane::from_code(&lane.code()), Some(lane));
        }
        for other in ["", "ledger:", "ledger:07", "webhook:0707070707070707070707070707070707070707"] {
            assert_eq!(Lane::from_code(other), None, "{other}");
        }
    }
}
