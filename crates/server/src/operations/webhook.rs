//! Webhooks: where organisations are told, with which secrets, and what became of what waited.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::ids::OrganisationId;
use domain::instant::Instant;
use domain::product::Inconsistent;
use domain::webhook::{OutboxChange, ROTATION_MICROS, Webhook, WebhookState};
use serde::{Deserialize, Serialize};
use store::{Book, Wanted};

use super::{Context, Operation, Refused};
use crate::keyring::{self, KeyUse, Keyring};

/// What a receiver recognises Scrip by. Stored sealed only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Signs, in hexadecimal digits.
    secret: String,
    /// Signed before, and still does for a while.
    previous: Option<Previous>,
    /// Sent as a bearer token, where the receiver wants one.
    bearer: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Previous {
    secret: String,
    until_micros: i64,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Opens what is stored of a webhook.
    ///
    /// # Errors
    /// It was sealed by another instance or for another organisation, or changed.
    pub fn of(webhook: &Webhook, keyring: &Keyring) -> Result<Self, Inconsistent> {
        let key = keyring.derive(KeyUse::Webhooks);
        let plain = keyring::open(&key, &webhook.organisation_id.bytes(), &webhook.sealed);
        plain.ok().and_then(|plain| serde_json::from_slice(&plain).ok()).ok_or(Inconsistent("webhook.sealed"))
    }

    /// The keys that sign at an instant, the newest first.
    #[must_use]
    pub fn signing(&self, now: Instant) -> Vec<Vec<u8>> {
        let previous = self.previous.as_ref().filter(|previous| now.micros() < previous.until_micros);
        let all = [Some(&self.secret), previous.map(|previous| &previous.secret)];
        // Written by this program, in hexadecimal digits.
        all.into_iter().flatten().filter_map(|secret| hex::decode(secret).ok()).collect()
    }

    /// The bearer token.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    /// The secret as receivers know it (Standard Webhooks 1.0).
    fn shown(&self) -> String {
        format!("whsec_{}", STANDARD.encode(hex::decode(&self.secret).unwrap_or_default()))
    }

    fn sealed(&self, organisation_id: OrganisationId, cx: &mut Context<'_>) -> Vec<u8> {
        // Text and numbers: nothing that JSON could refuse.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        keyring::seal(&cx.keyring.derive(KeyUse::Webhooks), &organisation_id.bytes(), &plain, cx.entropy)
    }
}

/// Sets up a webhook, or points it elsewhere. A new one has a secret of 256 random bits; one that is there keeps its own, and
/// what waits for it.
#[derive(Clone, Debug)]
pub struct SetWebhook {
    /// Who is told.
    pub organisation_id: OrganisationId,
    /// Where to.
    pub url: String,
    /// The token that the receiver wants to see.
    pub bearer: Option<String>,
    /// The webhook as it is, where there is one.
    pub stored: Option<Webhook>,
}

impl Operation for SetWebhook {
    /// The secret, where it is new.
    type Output = Option<String>;

    fn want(&self, wanted: &mut Wanted) {
        wanted.organisations.insert(self.organisation_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Self::Output, Refused> {
        book.organisations.get(&self.organisation_id).ok_or(Refused::NotFound)?;
        let kept = match &self.stored {
            Some(stored) if !matches!(stored.state, WebhookState::Removed { .. }) => Some(Secrets::of(stored, cx.keyring)?),
            Some(_) | None => None,
        };
        let is_new = kept.is_none();
        let kept =
            kept.unwrap_or_else(|| Secrets { secret: hex::encode(cx.entropy.bytes::<32>()), previous: None, bearer: None });
        let secrets = Secrets { bearer: self.bearer.clone(), ..kept };
        let webhook = Webhook {
            organisation_id: self.organisation_id,
            url: self.url.clone(),
            sealed: secrets.sealed(self.organisation_id, cx),
            created_at: self.stored.as_ref().map_or(cx.now, |stored| stored.created_at),
            state: WebhookState::Active,
        };
        cx.journal(book, "set_webhook", &webhook)?;
        cx.record.webhooks.push(webhook);
        Ok(is_new.then(|| secrets.shown()))
    }
}

/// Gives a webhook a new secret. For a day the old one signs beside it, so that receivers can change over.
#[derive(Clone, Debug)]
pub struct RotateSecret {
    /// The webhook as it is.
    pub stored: Webhook,
}

impl Operation for RotateSecret {
    /// The new secret.
    type Output = String;

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<String, Refused> {
        let before = Secrets::of(&self.stored, cx.keyring)?;
        let until_micros = cx.now.micros().saturating_add(ROTATION_MICROS);
        let previous = Some(Previous { secret: before.secret, until_micros });
        let secrets = Secrets { secret: hex::encode(cx.entropy.bytes::<32>()), previous, bearer: before.bearer };
        let webhook = Webhook { sealed: secrets.sealed(self.stored.organisation_id, cx), ..self.stored.clone() };
        cx.journal(book, "rotate_webhook_secret", &webhook)?;
        cx.record.webhooks.push(webhook);
        Ok(secrets.shown())
    }
}

/// Removes a webhook: nobody is told any more, and what waited is forgotten.
#[derive(Clone, Debug)]
pub struct RemoveWebhook {
    /// The webhook as it is.
    pub stored: Webhook,
}

impl Operation for RemoveWebhook {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        let webhook = Webhook { state: WebhookState::Removed { at: cx.now }, ..self.stored.clone() };
        cx.journal(book, "remove_webhook", &webhook)?;
        cx.record.outbox.push(OutboxChange::Dropped { organisation_id: webhook.organisation_id });
        cx.record.webhooks.push(webhook);
        Ok(())
    }
}

/// Records what became of events that waited.
#[derive(Clone, Debug)]
pub struct SettleOutbox {
    /// In order.
    pub changes: Vec<OutboxChange>,
}

impl Operation for SettleOutbox {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        cx.record.outbox.extend(&self.changes);
        Ok(())
    }
}
