//! Webhooks, and what waits to be told.

use domain::webhook::{Event, Happening, OutboxChange, Webhook};
use rusqlite::Connection;

use super::super::statements::{SqliteTable, execute, value};
use super::commit::write_all;
use crate::error::StoreError;
use crate::record::Record;

const TABLE: &str = "webhook_event";
const IS_ANYBODY_TOLD: &str = "SELECT EXISTS (SELECT 1 FROM webhook WHERE removed_at IS NULL)";
/// For each receiver that has a webhook at this commit.
const INSERT: &str = "INSERT INTO webhook_event
    (id, organisation_id, investment_id, name, status, credit_id, changed_at, sequence, due_at)
    SELECT ?1, organisation_id, ?2, ?3, ?4, ?5, ?6, ?7, ?6 FROM webhook
    WHERE (organisation_id = ?8 OR organisation_id = ?9) AND removed_at IS NULL";
const DELIVERED: &str = "DELETE FROM webhook_event WHERE organisation_id = ?1 AND id = ?2";
const POSTPONED: &str = "UPDATE webhook_event SET attempts = ?3, due_at = ?4 WHERE organisation_id = ?1 AND id = ?2";
const REPLAYED: &str = "UPDATE webhook_event SET attempts = 0, due_at = ?2 WHERE organisation_id = ?1";
const WOKEN: &str = "UPDATE webhook SET resting_since = NULL, resting_reason = NULL WHERE organisation_id = ?1";
const RESTED: &str =
    "UPDATE webhook SET resting_since = ?2, resting_reason = ?3 WHERE organisation_id = ?1 AND removed_at IS NULL";
const DROPPED: &str = "DELETE FROM webhook_event WHERE organisation_id = ?1";

/// Writes what the record says of webhooks.
pub(super) fn write(connection: &Connection, record: &Record) -> Result<(), StoreError> {
    write_all(connection, &Webhook::statements().upsert, record.webhooks.iter())?;
    insert(connection, &record.events)?;
    record.outbox.iter().try_for_each(|change| apply(connection, change))
}

fn insert(connection: &Connection, events: &[Event]) -> Result<(), StoreError> {
    if events.is_empty() || value::<i64>(connection, "webhook", IS_ANYBODY_TOLD, [])? != Some(1) {
        return Ok(());
    }
    for event in events {
        let credit_id = match event.happening {
            Happening::InvestmentStatusChanged(_) => None,
            Happening::CreditFinished { credit_id, .. } => Some(credit_id.bytes()),
        };
        let sequence = i64::try_from(event.sequence).map_err(|error| StoreError::Constraint(error.to_string()))?;
        let [first, second] = event.receivers;
        let parameters = rusqlite::params![
            event.id.bytes(),
            event.investment_id.bytes(),
            event.happening.name(),
            event.happening.status(),
            credit_id,
            event.changed_at.micros(),
            sequence,
            first.bytes(),
            second.bytes(),
        ];
        execute(connection, TABLE, INSERT, parameters)?;
    }
    Ok(())
}

fn apply(connection: &Connection, change: &OutboxChange) -> Result<(), StoreError> {
    match *change {
        OutboxChange::Delivered { id, organisation_id } => {
            execute(connection, TABLE, DELIVERED, (organisation_id.bytes(), id.bytes()))?
        }
        OutboxChange::Postponed { id, organisation_id, attempts, due_at } => {
            let attempts = i64::try_from(attempts).unwrap_or(i64::MAX);
            execute(connection, TABLE, POSTPONED, (organisation_id.bytes(), id.bytes(), attempts, due_at.micros()))?
        }
        OutboxChange::Replayed { organisation_id, due_at } => {
            execute(connection, "webhook", WOKEN, [organisation_id.bytes()])?;
            execute(connection, TABLE, REPLAYED, (organisation_id.bytes(), due_at.micros()))?
        }
        OutboxChange::Rested { organisation_id, since, reason } => {
            execute(connection, "webhook", RESTED, (organisation_id.bytes(), since.micros(), reason.code()))?
        }
        OutboxChange::Dropped { organisation_id } => execute(connection, TABLE, DROPPED, [organisation_id.bytes()])?,
    };
    Ok(())
}
