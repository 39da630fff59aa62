//! Webhooks, and what waits to be told.

use domain::webhook::{Event, Happening, OutboxChange, Webhook};

use super::super::cells::{ColumnCells, Parameter};
use super::super::pipeline::{BoxedParameter, Pipeline};
use super::sets::{RowSet, boxed};
use crate::error::StoreError;
use crate::reader::Value;
use crate::record::Record;
use crate::rows::Cell;

const TABLE: &str = "webhook_event";
/// For each receiver that has a webhook at this commit.
const INSERT: &str = "INSERT INTO webhook_event
    (id, organisation_id, investment_id, name, status, credit_id, changed_at, sequence, due_at)
    SELECT event.id, webhook.organisation_id, investment_id, name, status, credit_id, changed_at, sequence, changed_at
    FROM webhook JOIN UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::bigint[],
        $8::uuid[], $9::uuid[])
        AS event (id, investment_id, name, status, credit_id, changed_at, sequence, first_receiver, second_receiver)
    ON webhook.organisation_id = first_receiver OR webhook.organisation_id = second_receiver
    WHERE removed_at IS NULL";
const DELIVERED: &str = "DELETE FROM webhook_event AS stored USING UNNEST($1::uuid[], $2::uuid[]) AS done (organisation_id, id)
    WHERE stored.organisation_id = done.organisation_id AND stored.id = done.id";
const POSTPONED: &str = "UPDATE webhook_event AS stored SET attempts = later.attempts, due_at = later.due_at
    FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[], $4::timestamptz[]) AS later (organisation_id, id, attempts, due_at)
    WHERE stored.organisation_id = later.organisation_id AND stored.id = later.id";
const REPLAYED: &str = "UPDATE webhook_event SET attempts = 0, due_at = $2 WHERE organisation_id = $1";
const WOKEN: &str = "UPDATE webhook SET resting_since = NULL, resting_reason = NULL WHERE organisation_id = $1";
const RESTED: &str =
    "UPDATE webhook SET resting_since = $2, resting_reason = $3 WHERE organisation_id = $1 AND removed_at IS NULL";
const DROPPED: &str = "DELETE FROM webhook_event WHERE organisation_id = $1";

/// Asks for what the record says of webhooks.
pub(super) fn write(pipeline: &mut Pipeline, record: &Record) -> Result<(), StoreError> {
    if !record.webhooks.is_empty() {
        let mut set = RowSet::of::<Webhook>();
        record.webhooks.iter().try_for_each(|webhook| set.push(webhook))?;
        let (sql, parameters) = set.upsert();
        pipeline.ask("webhook", sql, parameters);
    }
    insert(pipeline, &record.events)?;
    change(pipeline, &record.outbox)
}

fn insert(pipeline: &mut Pipeline, events: &[Event]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut columns: [ColumnCells; 9] = Default::default();
    for event in events {
        let [ids, investments, names, statuses, credits, changed, sequences, first, second] = &mut columns;
        ids.push(Cell::Id(event.id.uuid()))?;
        investments.push(Cell::Id(event.investment_id.uuid()))?;
        names.push(Cell::Text(event.happening.name()))?;
        statuses.push(Cell::Text(event.happening.status()))?;
        credits.push(match event.happening {
            Happening::InvestmentStatusChanged(_) => Cell::Null,
            Happening::CreditFinished { credit_id, .. } => Cell::Id(credit_id.uuid()),
        })?;
        changed.push(Cell::Time(event.changed_at))?;
        sequences.push(number(event.sequence)?)?;
        first.push(Cell::Id(event.receivers[0].uuid()))?;
        second.push(Cell::Id(event.receivers[1].uuid()))?;
    }
    pipeline.ask(TABLE, INSERT, boxed(columns));
    Ok(())
}

fn change(pipeline: &mut Pipeline, changes: &[OutboxChange]) -> Result<(), StoreError> {
    let (mut done, mut later): ([ColumnCells; 2], [ColumnCells; 4]) = Default::default();
    let (mut is_any_done, mut is_any_later) = (false, false);
    for change in changes {
        match *change {
            OutboxChange::Delivered { id, organisation_id } => {
                done[0].push(Cell::Id(organisation_id.uuid()))?;
                done[1].push(Cell::Id(id.uuid()))?;
                is_any_done = true;
            }
            OutboxChange::Postponed { id, organisation_id, attempts, due_at } => {
                let [organisations, ids, counts, instants] = &mut later;
                organisations.push(Cell::Id(organisation_id.uuid()))?;
                ids.push(Cell::Id(id.uuid()))?;
                counts.push(number(attempts)?)?;
                instants.push(Cell::Time(due_at))?;
                is_any_later = true;
            }
            OutboxChange::Replayed { organisation_id, due_at } => {
                pipeline.ask("webhook", WOKEN, parameters([Value::Id(organisation_id.uuid())]));
                pipeline.ask(TABLE, REPLAYED, parameters([Value::Id(organisation_id.uuid()), Value::Time(due_at)]));
            }
            OutboxChange::Rested { organisation_id, since, reason } => {
                let reason = Value::Text(reason.code().to_owned());
                pipeline.ask("webhook", RESTED, parameters([Value::Id(organisation_id.uuid()), Value::Time(since), reason]));
            }
            OutboxChange::Dropped { organisation_id } => {
                pipeline.ask(TABLE, DROPPED, parameters([Value::Id(organisation_id.uuid())]));
            }
        }
    }
    if is_any_done {
        pipeline.ask(TABLE, DELIVERED, boxed(done));
    }
    if is_any_later {
        pipeline.ask(TABLE, POSTPONED, boxed(later));
    }
    Ok(())
}

fn parameters<const N: usize>(values: [Value; N]) -> Vec<BoxedParameter> {
    values.into_iter().map(|value| -> BoxedParameter { Box::new(Parameter(value)) }).collect()
}

fn number(number: u64) -> Result<Cell<'static>, StoreError> {
    i64::try_from(number).map(Cell::Number).map_err(|error| StoreError::Constraint(error.to_string()))
}
