//! The relay: sends what waits in the outbox, and notes what became of it.
//!
//! An event is noted as delivered after its receiver took it, so that a crash between the two sends it again, under the same
//! id (row K14). One process sends at a time (`Lane::Webhooks`). Each receiver has a pace of its own: one that answers
//! nothing or slowly keeps nobody else waiting.
//!
//! When an event is due is a matter of business time, as everything that is promised in days; a sandbox's turned clock brings
//! it forward. What is signed is the machine's time, which receivers compare with their own.

mod pace;
mod send;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{HolderId, InvestmentId, OrganisationId};
use domain::instant::Instant;
use domain::lease::Lane;
use domain::webhook::{OutboxChange, RestReason, Waiting, Webhook, WebhookState, next_try};
use store::Reader;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::lane::{Holding, LaneKeeper};
use super::{LedgerFault, read};
use crate::clock::Clock;
use crate::crash::CrashPoint;
use crate::desk::Desk;
use crate::entropy::Entropy;
use crate::keyring::Keyring;
use crate::meters::WebhookMeters;
use crate::operations::webhook::{Secrets, SettleOutbox};
use crate::planted::Bug;
use crate::receivers::Reach;
use pace::Pace;
use send::{Outcome, Sender};

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Events of one receiver that are read at once.
const EVENTS_READ_MAX: u32 = 64;
/// What one receiver can ask for at most as a pause, in seconds: an hour.
const RETRY_AFTER_S_MAX: u32 = 3_600;

/// Everything the relay is made of.
#[derive(Clone)]
pub struct RelayParts {
    /// The way to the desk.
    pub desk: Desk,
    /// Committed state.
    pub archive: Arc<Reader>,
    /// The clocks.
    pub clock: Clock,
    /// The instance's keys.
    pub keyring: Keyring,
    /// Who sends.
    pub holder: HolderId,
    /// How long a process that gives no sign of life keeps the lane.
    pub lease: Duration,
    /// Whom it may send to.
    pub reach: Reach,
    /// What it counts with.
    pub meters: WebhookMeters,
}

/// Sends what waits.
pub struct Relay {
    parts: RelayParts,
    lane: LaneKeeper,
    entropy: Entropy,
    sender: Sender,
    receivers: BTreeMap<OrganisationId, Receiver>,
    flights: JoinSet<Ended>,
    /// What has ended, and was not judged yet.
    ended: Vec<Ended>,
    /// What became of events, and is not recorded yet: while the database takes no writes nothing more is sent, or receivers
    /// would get the same again and again.
    unrecorded: Vec<OutboxChange>,
}

/// One webhook, as the relay sees it.
struct Receiver {
    webhook: Arc<Webhook>,
    secrets: Arc<Secrets>,
    pace: Pace,
    queue: VecDeque<Waiting>,
    /// Of which investments something was sent that is not recorded yet. What comes next of one waits for it, so that a
    /// receiver that takes everything is told in order.
    open: Vec<InvestmentId>,
}

impl Receiver {
    /// The next event that may be sent.
    fn next(&mut self) -> Option<Waiting> {
        let place = self.queue.iter().position(|waiting| !self.open.contains(&waiting.investment_id))?;
        let waiting = self.queue.remove(place)?;
        self.open.push(waiting.investment_id);
        Some(waiting)
    }

    /// A try has ended.
    fn landed(&mut self, of: InvestmentId, outcome: &Outcome, now: Instant) {
        self.open.retain(|investment| *investment != of);
        match outcome {
            Outcome::Delivered => self.pace.succeeded(),
            Outcome::Gone => {}
            Outcome::Failed { reason: _, retry_after_s } => {
                self.pace.failed(now, retry_after_s.map(|seconds| seconds.min(RETRY_AFTER_S_MAX)));
            }
        }
    }
}

/// A try that has ended.
struct Ended {
    waiting: Waiting,
    outcome: Outcome,
}

impl Relay {
    /// Sets up the relay.
    ///
    /// # Errors
    /// There is no HTTP client: the machine's certificates cannot be read.
    pub fn new(parts: RelayParts, entropy: Entropy) -> Result<Self, reqwest::Error> {
        let lane = LaneKeeper::new(parts.desk.clone(), parts.clock.clone(), Lane::Webhooks, parts.holder, parts.lease);
        let sender = Sender::new(parts.reach)?;
        let (receivers, flights) = (BTreeMap::new(), JoinSet::new());
        Ok(Self { parts, lane, entropy, sender, receivers, flights, ended: Vec::new(), unrecorded: Vec::new() })
    }

    /// Sends until told to stop. What is on its way then is sent again by whoever goes on.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            match self.round().await {
                Ok(()) => {}
                Err(LedgerFault::LaneLost) => self.forget(),
                Err(fault) => tracing::warn!(%fault, "webhooks are sent later"),
            }
            let is_over = tokio::select! {
                _said = stop.wait_for(|stop| *stop) => true,
                Some(joined) = self.flights.join_next() => {
                    self.land(joined);
                    false
                }
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            if is_over {
                return self.hand_back().await;
            }
        }
    }

    /// Records what has ended, and lets another process go on.
    async fn hand_back(&mut self) {
        if let Err(fault) = self.settle().await {
            tracing::warn!(%fault, "webhooks that were just sent are sent again");
        }
        self.lane.release().await;
    }

    /// Records what has ended, and sends what is due.
    async fn round(&mut self) -> Result<(), LedgerFault> {
        self.settle().await?;
        self.refill().await?;
        if self.receivers.values().all(|receiver| receiver.queue.is_empty()) {
            return Ok(());
        }
        match self.lane.hold().await? {
            Holding::Here(_) => self.start_due().await,
            Holding::Elsewhere => {
                self.forget();
                Ok(())
            }
        }
    }

    fn land(&mut self, joined: Result<Ended, JoinError>) {
        match joined {
            Ok(ended) => self.ended.push(ended),
            Err(fault) => {
                tracing::error!(%fault, "sending a webhook panicked: what was on its way is sent again");
                self.forget();
            }
        }
    }

    /// Another process may send from here on: what was read is read anew.
    fn forget(&mut self) {
        self.flights.abort_all();
        (self.receivers, self.flights) = (BTreeMap::new(), JoinSet::new());
        (self.ended, self.unrecorded) = (Vec::new(), Vec::new());
    }

    /// Reads the webhooks, and what is due for those that have nothing left of what was read before.
    async fn refill(&mut self) -> Result<(), LedgerFault> {
        let webhooks = read(&self.parts.archive, Reader::webhooks).await?;
        let active: Vec<Webhook> = webhooks.into_iter().filter(|webhook| webhook.state == WebhookState::Active).collect();
        let ids: BTreeSet<OrganisationId> = active.iter().map(|webhook| webhook.organisation_id).collect();
        self.receivers.retain(|id, _| ids.contains(id));
        for webhook in active {
            let id = webhook.organisation_id;
            if !self.receivers.get(&id).is_some_and(|receiver| *receiver.webhook == webhook) {
                self.meet(webhook);
            }
            self.read_due(id).await?;
        }
        Ok(())
    }

    /// Takes a new or changed webhook in.
    fn meet(&mut self, webhook: Webhook) {
        let id = webhook.organisation_id;
        let secrets = match Secrets::of(&webhook, &self.parts.keyring) {
            Ok(secrets) => Arc::new(secrets),
            Err(fault) => {
                tracing::error!(organisation = %id, ?fault, "the secrets of a webhook cannot be opened: nobody is told");
                self.receivers.remove(&id);
                return;
            }
        };
        let webhook = Arc::new(webhook);
        if let Some(receiver) = self.receivers.get_mut(&id) {
            (receiver.webhook, receiver.secrets) = (webhook, secrets);
        } else {
            let (pace, queue) = (Pace::default(), VecDeque::new());
            self.receivers.insert(id, Receiver { webhook, secrets, pace, queue, open: Vec::new() });
        }
    }

    async fn read_due(&mut self, id: OrganisationId) -> Result<(), LedgerFault> {
        let now = self.parts.clock.now();
        let is_idle = |receiver: &Receiver| receiver.queue.is_empty() && receiver.open.is_empty() && receiver.pace.admits(now, 0);
        if !self.receivers.get(&id).is_some_and(is_idle) {
            return Ok(());
        }
        let due = read(&self.parts.archive, move |archive| archive.events_due(id, now, EVENTS_READ_MAX)).await?;
        if let Some(receiver) = self.receivers.get_mut(&id) {
            receiver.queue.extend(due);
        }
        Ok(())
    }

    /// Sends as much of each queue as its receiver's pace admits.
    async fn start_due(&mut self) -> Result<(), LedgerFault> {
        let now = self.parts.clock.now();
        for receiver in self.receivers.values_mut() {
            while receiver.pace.admits(now, receiver.open.len())
                && let Some(waiting) = receiver.next()
            {
                if Bug::MarkedBeforeSent.is_planted() {
                    let (id, organisation_id) = (waiting.id, waiting.organisation_id);
                    self.lane.record(SettleOutbox { changes: vec![OutboxChange::Delivered { id, organisation_id }] }).await?;
                }
                let (sender, clock) = (self.sender.clone(), self.parts.clock.clone());
                let (webhook, secrets) = (receiver.webhook.clone(), receiver.secrets.clone());
                self.flights.spawn(async move {
                    let outcome = sender.send(&webhook.url, &secrets, &waiting, &clock).await;
                    if outcome == Outcome::Delivered {
                        CrashPoint::WebhookSent.reached();
                    }
                    Ended { waiting, outcome }
                });
            }
        }
        Ok(())
    }

    /// Records what became of the tries that have ended, in one commit.
    async fn settle(&mut self) -> Result<(), LedgerFault> {
        while let Some(joined) = self.flights.try_join_next() {
            self.land(joined);
        }
        for one in std::mem::take(&mut self.ended) {
            self.judge(&one);
        }
        if self.unrecorded.is_empty() {
            return Ok(());
        }
        self.lane.record(SettleOutbox { changes: self.unrecorded.clone() }).await?;
        self.unrecorded.clear();
        Ok(())
    }

    fn judge(&mut self, Ended { waiting, outcome }: &Ended) {
        let (now, meters, changes) = (self.parts.clock.now(), &self.parts.meters, &mut self.unrecorded);
        let (id, organisation_id) = (waiting.id, waiting.organisation_id);
        // Where the webhook came to rest meanwhile, what became of the event counts all the same.
        if let Some(receiver) = self.receivers.get_mut(&organisation_id) {
            receiver.landed(waiting.investment_id, outcome, now);
        }
        let rested = |reason| OutboxChange::Rested { organisation_id, since: now, reason };
        let attempts = waiting.attempts.saturating_add(1);
        match outcome {
            Outcome::Delivered => {
                meters.delivered.increment(1);
                changes.push(OutboxChange::Delivered { id, organisation_id });
            }
            Outcome::Gone => {
                meters.failed.increment(1);
                meters.rested.increment(1);
                tracing::error!(organisation = %organisation_id, "a receiver of webhooks says that it is gone: it is told nothing more");
                changes.push(OutboxChange::Postponed { id, organisation_id, attempts, due_at: now });
                changes.push(rested(RestReason::Gone));
            }
            Outcome::Failed { reason, retry_after_s: _ } => {
                meters.failed.increment(1);
                tracing::warn!(organisation = %organisation_id, event = %id, attempts, %reason, "a webhook was not taken");
                let jitter = u64::from_be_bytes(self.entropy.bytes());
                let due_at = next_try(attempts, now, jitter);
                changes.push(OutboxChange::Postponed { id, organisation_id, attempts, due_at: due_at.unwrap_or(now) });
                if due_at.is_none() {
                    meters.rested.increment(1);
                    tracing::error!(organisation = %organisation_id, "a receiver of webhooks failed for days: it is told nothing more");
                    changes.push(rested(RestReason::Failing));
                }
            }
        }
    }
}
