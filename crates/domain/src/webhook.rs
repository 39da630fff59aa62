//! Webhooks: what an organisation is told of its investments, and when it is told again.
//!
//! An event is made of what a commit changed and nothing else, in that commit: there is no event without a change and no
//! change without its event. It says ids and states, never who an investor is; whoever wants more reads the API.

use crate::credit::{Credit, CreditState};
use crate::ids::{BatchId, CreditId, EventId, InvestmentId, OrganisationId};
use crate::instant::Instant;
use crate::investment::{Investment, Status};

/// Between two tries of one event, in seconds: the schedule of Standard Webhooks 1.0. After the last the webhook rests.
const PAUSES_S: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// How long a replaced secret still signs beside the new one, in microseconds: a day.
pub const ROTATION_MICROS: i64 = 86_400_000_000;

/// Where an organisation is told of its investments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Who is told; it has one webhook at most.
    pub organisation_id: OrganisationId,
    /// Where to.
    pub url: String,
    /// Its secrets, sealed.
    pub sealed: Vec<u8>,
    /// When it was set up.
    pub created_at: Instant,
    /// Whether it is told.
    pub state: WebhookState,
}

/// Whether a webhook is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookState {
    /// It is.
    Active,
    /// It rests, and its events wait.
    Resting {
        /// Since when.
        since: Instant,
        /// Why.
        reason: RestReason,
    },
    /// It was removed: no events are made for it.
    Removed {
        /// When.
        at: Instant,
    },
}

/// Why a webhook rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestReason {
    /// An event was tried as often as the schedule says.
    Failing,
    /// The receiver said that it is gone (410).
    Gone,
}

impl RestReason {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }

    /// The reason a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Failing, Self::Gone].into_iter().find(|reason| reason.code() == code)
    }
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// An investment came to another status, its first included.
    InvestmentStatusChanged(Status),
    /// A credit ended.
    CreditFinished {
        /// Which.
        credit_id: CreditId,
        /// Whether the units were issued.
        is_success: bool,
    },
}

impl Happening {
    /// The name of the event.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvestmentStatusChanged(_) => "investment.status_changed",
            Self::CreditFinished { .. } => "credit.finished",
        }
    }

    /// The status that was come to.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::InvestmentStatusChanged(status) => status.code(),
            Self::CreditFinished { is_success: true, .. } => "succeeded",
            Self::CreditFinished { is_success: false, .. } => "failed",
        }
    }

    /// What name, status and credit say together; `None` where they do not fit.
    #[must_use]
    pub fn from_parts(name: &str, status: &str, credit_id: Option<CreditId>) -> Option<Self> {
        let read = match credit_id {
            None => Self::InvestmentStatusChanged(Status::from_code(status)?),
            Some(credit_id) => Self::CreditFinished { credit_id, is_success: status == "succeeded" },
        };
        (read.name() == name && read.status() == status).then_some(read)
    }
}

/// What a commit has to tell of one investment, and to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The same at every try, and for every receiver.
    pub id: EventId,
    /// The distribution platform and the issuer's organisation: those of them that have a webhook are told.
    pub receivers: [OrganisationId; 2],
    /// Of which investment.
    pub investment_id: InvestmentId,
    /// What happened.
    pub happening: Happening,
    /// When, in business time.
    pub changed_at: Instant,
    /// The investment's version after the change: it ascends with every event of one investment, so that a receiver sees
    /// which of two came last.
    pub sequence: u64,
}

/// An event that waits for one receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Which.
    pub id: EventId,
    /// Whose.
    pub organisation_id: OrganisationId,
    /// Of which investment.
    pub investment_id: InvestmentId,
    /// What happened.
    pub happening: Happening,
    /// When.
    pub changed_at: Instant,
    /// The investment's version.
    pub sequence: u64,
    /// How often it was sent in vain.
    pub attempts: u64,
    /// When it is to be sent, in business time.
    pub due_at: Instant,
}

/// What became of waiting events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutboxChange {
    /// The receiver has it: it waits no more.
    Delivered {
        /// Which.
        id: EventId,
        /// Whose.
        organisation_id: OrganisationId,
    },
    /// It is sent again later.
    Postponed {
        /// Which.
        id: EventId,
        /// Whose.
        organisation_id: OrganisationId,
        /// How often it was sent in vain.
        attempts: u64,
        /// When next.
        due_at: Instant,
    },
    /// Everything that waits for a receiver is due, as if it had never been sent, and its webhook rests no more.
    Replayed {
        /// Whose.
        organisation_id: OrganisationId,
        /// From when on.
        due_at: Instant,
    },
    /// The webhook rests: what waits for it stays.
    Rested {
        /// Whose.
        organisation_id: OrganisationId,
        /// From when on.
        since: Instant,
        /// Why.
        reason: RestReason,
    },
    /// Nothing waits for a receiver any more.
    Dropped {
        /// Whose.
        organisation_id: OrganisationId,
    },
}

/// The event of an investment that had another status before, or none; `None` where its status stayed. `id` makes an id of
/// the instant.
#[must_use]
pub fn of_investment(before: Option<Status>, after: &Investment, id: impl FnOnce(Instant) -> EventId) -> Option<Event> {
    let status = after.status();
    let happening = Happening::InvestmentStatusChanged(status);
    (before != Some(status)).then(|| event(after, happening, after.updated_at, id(after.updated_at)))
}

/// The event of a credit of an investment; `None` where it did not end now.
#[must_use]
pub fn of_credit(before: Option<&Credit>, after: &Credit, of: &Investment, id: impl FnOnce(Instant) -> EventId) -> Option<Event> {
    let was_processing = before.is_none_or(|before| before.state == CreditState::Processing);
    let (finished_at, is_success) = match &after.state {
        CreditState::Processing => return None,
        CreditState::Succeeded { finished_at, .. } => (*finished_at, true),
        CreditState::Failed { finished_at, .. } => (*finished_at, false),
    };
    was_processing.then(|| event(of, Happening::CreditFinished { credit_id: after.id, is_success }, finished_at, id(finished_at)))
}

fn event(of: &Investment, happening: Happening, changed_at: Instant, id: EventId) -> Event {
    let receivers = [of.platform_id, of.issuer_organisation_id];
    Event { id, receivers, investment_id: of.id, happening, changed_at, sequence: of.version.saturating_add(1) }
}

/// The id of a commit's event: the batch's own randomness and the event's place in it, behind the time, so that ids ascend.
/// A batch that is run again after a lost commit makes the same ids.
#[must_use]
pub fn event_id(batch_id: BatchId, place: u16, changed_at: Instant) -> EventId {
    let random = batch_id.bytes();
    let mut tail = [0; 10];
    tail[..6].copy_from_slice(&random[..6]);
    tail[6..8].copy_from_slice(&random[9..11]);
    tail[8..].copy_from_slice(&place.to_be_bytes());
    let millis = u64::try_from(changed_at.micros().div_euclid(1_000)).unwrap_or(0);
    EventId::new(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
}

/// When an event that was sent `attempts` times in vain is sent again; `None` where it was tried often enough. `jitter` is
/// any number: it adds up to a tenth, so that what failed together does not come again together.
#[must_use]
pub fn next_try(attempts: u64, now: Instant, jitter: u64) -> Option<Instant> {
    let place = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let pause = PAUSES_S.get(place)?.saturating_mul(1_000_000);
    let jitter = i64::try_from(jitter % 1_000).unwrap_or(0).saturating_mul(pause) / 10_000;
    now.checked_add_micros(pause.saturating_add(jitter)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn tries_are_further_and_further_apart_and_end_after_three_days() {
        let now = Instant::from_micros(0);
        let seconds = |attempts, jitter| next_try(attempts, now, jitter).map(|at| at.micros() / 1_000_000);
        let planned: Vec<Option<i64>> = (0..=10).map(|attempts| seconds(attempts, 0)).collect();
        let expected = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map(Some);
        assert_eq!(planned, [&[None][..], &expected, &[None]].concat());
        assert_eq!(PAUSES_S.iter().sum::<i64>() / 86_400, 3);
        for jitter in 0..2_000 {
            let with = next_try(2, now, jitter).unwrap().micros();
            assert!((300_000_000..330_000_000).contains(&with), "{with}");
        }
    }

    #[test]
    fn ids_of_one_commit_differ_and_are_the_same_when_it_is_run_again() {
        let batch = BatchId::new(uuid::Builder::from_random_bytes([0xA5; 16]).into_uuid());
        let other = BatchId::new(uuid::Builder::from_random_bytes([0x5A; 16]).into_uuid());
        let at = Instant::from_micros(1_700_000_000_000_000);
        let ids: std::collections::BTreeSet<EventId> = (0..600).map(|place| event_id(batch, place, at)).collect();
        assert_eq!(ids.len(), 600);
        assert_eq!(event_id(batch, 7, at), event_id(batch, 7, at));
        assert_ne!(event_id(batch, 7, at), event_id(other, 7, at));
        assert!(event_id(batch, 9, at) < event_id(other, 0, Instant::from_micros(at.micros() + 1_000)));
    }

    #[test]
    fn a_stored_happening_is_read_back_and_contradictions_are_not() {
        let credit = CreditId::new(Uuid::from_u128(1));
        let happenings = [
            Happening::InvestmentStatusChanged(Status::Accepted),
            Happening::CreditFinished { credit_id: credit, is_success: true },
            Happening::CreditFinished { credit_id: credit, is_success: false },
        ];
        for happening in happenings {
            let of = matches!(happening, Happening::CreditFinished { .. }).then_some(credit);
            assert_eq!(Happening::from_parts(happening.name(), happening.status(), of), Some(happening));
        }
        for (name, status, of) in [
            ("investment.status_changed", "ACCEPTED", Some(credit)),
            ("credit.finished", "succeeded", None),
            ("credit.finished", "processing", Some(credit)),
            ("investment.status_changed", "accepted", None),
        ] {
            assert_eq!(Happening::from_parts(name, status, of), None, "{name} {status}");
        }
        for reason in [RestReason::Failing, RestReason::Gone] {
            assert_eq!(RestReason::from_code(reason.code()), Some(reason));
        }
    }
}
