//! Webhooks, and events that wait for them.

use domain::webhook::{Happening, RestReason, Waiting, Webhook, WebhookState};

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

table!(
    Webhook, "webhook",
    fixed: ["organisation_id", "created_at"],
    changing: ["url", "sealed", "resting_since", "resting_reason", "removed_at"]
);

impl Encode for Webhook {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let (resting, removed_at) = match self.state {
            WebhookState::Active => (None, None),
            WebhookState::Resting { since, reason } => (Some((since, reason)), None),
            WebhookState::Removed { at } => (None, Some(at)),
        };
        row.id(self.organisation_id.uuid())
            .instant(self.created_at)
            .text(&self.url)
            .bytes(&self.sealed)
            .optional_instant(resting.map(|(since, _)| since))
            .optional_text(resting.map(|(_, reason)| reason.code()))
            .optional_instant(removed_at);
    }
}

impl Decode for Webhook {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let (organisation_id, created_at) = (row.id()?, row.instant()?);
        let (url, sealed) = (row.text()?.to_owned(), row.bytes()?.to_vec());
        let (since, reason) = (row.optional_instant()?, row.optional_code(RestReason::from_code)?);
        let state = match (since, reason, row.optional_instant()?) {
            (None, None, None) => WebhookState::Active,
            (Some(since), Some(reason), None) => WebhookState::Resting { since, reason },
            (None, None, Some(at)) => WebhookState::Removed { at },
            (Some(_), None, _) | (None, Some(_), _) | (Some(_), Some(_), Some(_)) => return Err(row.fault()),
        };
        Ok(Self { organisation_id, url, sealed, created_at, state })
    }
}

table!(
    Waiting, "webhook_event",
    fixed: ["id", "organisation_id", "investment_id", "name", "status", "credit_id", "changed_at", "sequence"],
    changing: ["attempts", "due_at"]
);

impl Decode for Waiting {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let (id, organisation_id, investment_id) = (row.id()?, row.id()?, row.id()?);
        let (name, status, credit_id) = (row.text()?, row.text()?, row.optional_id()?);
        let happening = Happening::from_parts(name, status, credit_id).ok_or_else(|| row.fault_at("name"))?;
        Ok(Self {
            id,
            organisation_id,
            investment_id,
            happening,
            changed_at: row.instant()?,
            sequence: row.number()?,
            attempts: row.number()?,
            due_at: row.instant()?,
        })
    }
}
