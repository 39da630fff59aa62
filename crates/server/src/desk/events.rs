//! What a batch has to tell: made of what its commands wrote, so that no operation can forget it.

use std::collections::BTreeMap;

use domain::ids::InvestmentId;
use domain::investment::{Investment, Status};
use domain::webhook::{self, event_id};
use store::{Book, Record};

/// Notes the events of what the newest command wrote. `statuses` remembers what the commands before made of investments.
pub(super) fn note(book: &mut Book, record: &mut Record, statuses: &mut BTreeMap<InvestmentId, Status>) {
    for id in book.investments.take_written() {
        let Some(after) = book.investments.get(&id) else { continue };
        let before = statuses.get(&id).copied().or_else(|| book.investments.before(&id).map(Investment::status));
        let place = place_in(record);
        record.events.extend(webhook::of_investment(before, after, |at| event_id(record.batch_id, place, at)));
        statuses.insert(id, after.status());
    }
    for id in book.credits.take_written() {
        let Some((after, of)) =
            book.credits.get(&id).and_then(|credit| Some((credit, book.investments.get(&credit.investment_id)?)))
        else {
            continue;
        };
        let place = place_in(record);
        let event = webhook::of_credit(book.credits.before(&id), after, of, |at| event_id(record.batch_id, place, at));
        record.events.extend(event);
    }
}

/// A batch has a few hundred commands of a few objects each.
fn place_in(record: &Record) -> u16 {
    u16::try_from(record.events.len()).unwrap_or(u16::MAX)
}
