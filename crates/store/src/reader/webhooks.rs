//! Webhooks, and what waits to be told.

use domain::ids::OrganisationId;
use domain::instant::Instant;
use domain::webhook::{Waiting, Webhook};

use super::Reader;
use crate::error::StoreError;
use crate::rows::Table;

impl Reader {
    /// Every webhook, removed ones included, oldest first.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let sql = format!("{} ORDER BY created_at, organisation_id", Webhook::COLUMNS.select());
        self.run(|snapshot| snapshot.rows(&sql, []))
    }

    /// The webhook of an organisation, also where it was removed.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn webhook(&self, organisation_id: OrganisationId) -> Result<Option<Webhook>, StoreError> {
        let sql = format!("{} WHERE organisation_id = ?", Webhook::COLUMNS.select());
        self.run(|snapshot| snapshot.first(&sql, [organisation_id.uuid().into()]))
    }

    /// What is to be sent to an organisation by now, earliest first, `limit` of it at most.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn events_due(&self, organisation_id: OrganisationId, now: Instant, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let select = Waiting::COLUMNS.select();
        let sql = format!("{select} WHERE organisation_id = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?");
        self.run(|snapshot| snapshot.rows(&sql, [organisation_id.uuid().into(), now.into(), i64::from(limit).into()]))
    }

    /// How many events wait for an organisation. Counts them: for operators.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn events_waiting(&self, organisation_id: OrganisationId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM webhook_event WHERE organisation_id = ?";
        let count = self.run(|snapshot| snapshot.value::<i64>("webhook_event", sql, [organisation_id.uuid().into()]))?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }
}
