//! What a batch writes beside the changed rows of its book.

use std::borrow::Cow;

use domain::ids::{BatchId, ClientId, InvestorId, OrganisationId};
use domain::instant::Instant;
use domain::journal::Entry;
use domain::ledger_transaction::Attempt;
use domain::webhook::{Event, OutboxChange, Webhook};
use uuid::Uuid;

/// Where a remembered answer is looked up: a client of a tenant, and the key it chose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AnswerKey {
    /// The tenant.
    pub organisation_id: OrganisationId,
    /// The client.
    pub client_id: ClientId,
    /// The `X-Idempotency-Key`.
    pub key: String,
}

/// An answer that a repeat of the same request gets again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// SHA-256 over method, path and canonical body of the first request.
    pub fingerprint: [u8; 32],
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub is_problem: bool,
    /// The body; sealed under the subject's key where it concerns one.
    pub body: Vec<u8>,
    /// The investor whose key seals the body.
    pub subject: Option<InvestorId>,
}

/// A value the program remembers about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Vec<u8>,
}

/// A token that is refused although it has not expired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RevokedToken {
    /// Its `jti`.
    pub id: Uuid,
    /// When it would have expired, by the machine's clock; it can be forgotten then.
    pub expires_at: Instant,
}

/// Everything a batch writes beside the changed rows.
#[derive(Clone, Debug)]
pub struct Record {
    /// The batch's own random id: inserted, so that a lost commit can be told from a failed one.
    pub batch_id: BatchId,
    /// Days since 1970-01-01 of the batch: which day's tables hold its id and answers.
    pub day: i64,
    /// New journal entries, in sequence.
    pub journal: Vec<Entry>,
    /// New remembered answers.
    pub answers: Vec<(AnswerKey, Answer)>,
    /// New subject keys, wrapped.
    pub wrapped_keys: Vec<(InvestorId, Vec<u8>)>,
    /// Personal data of investors, sealed under their keys; replaces what is there.
    pub persons: Vec<(InvestorId, Vec<u8>)>,
    /// New attempts.
    pub attempts: Vec<Attempt>,
    /// Settings to be written.
    pub settings: Vec<Setting>,
    /// Tokens to be refused from now on.
    pub revoked_tokens: Vec<RevokedToken>,
    /// What receivers are to be told: stored for each that has a webhook.
    pub events: Vec<Event>,
    /// Webhooks, new or changed.
    pub webhooks: Vec<Webhook>,
    /// What became of events that waited.
    pub outbox: Vec<OutboxChange>,
}

impl Record {
    /// A record with nothing in it yet.
    #[must_use]
    pub const fn new(batch_id: BatchId, day: i64) -> Self {
        Self {
            batch_id,
            day,
            journal: Vec::new(),
            answers: Vec::new(),
            wrapped_keys: Vec::new(),
            persons: Vec::new(),
            attempts: Vec::new(),
            settings: Vec::new(),
            revoked_tokens: Vec::new(),
            events: Vec::new(),
            webhooks: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// Whether there is nothing in it beside the batch's id.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self {
            batch_id: _,
            day: _,
            journal,
            answers,
            wrapped_keys,
            persons,
            attempts,
            settings,
            revoked_tokens,
            events,
            webhooks,
            outbox,
        } = self;
        journal.is_empty()
            && answers.is_empty()
            && wrapped_keys.is_empty()
            && persons.is_empty()
            && attempts.is_empty()
            && settings.is_empty()
            && revoked_tokens.is_empty()
            && events.is_empty()
            && webhooks.is_empty()
            && outbox.is_empty()
    }
}
