//! A list that lies in several campaigns: each campaign is walked along its own index, and the walks are merged. What is read
//! depends on the number of campaigns, never on the number of investments.

use std::collections::{BTreeMap, BTreeSet};

use domain::instant::Instant;
use domain::investment::{Investment, Status};
use uuid::Uuid;

use super::condition::Condition;
use super::page::{Direction, Index};
use super::snapshot::{Snapshot, Value};
use crate::error::StoreError;
use crate::queries::{From, PAGE_ROWS_MAX, Page, PageRequest, Position};

/// Campaigns that one statement walks. A constant number makes one statement for every number of campaigns.
const WALKED_AT_ONCE: usize = 16;

/// Places of each campaign that are read first: most pages need no more, because many campaigns share them.
const PLACES_FIRST: usize = 8;

/// A place of a merged list.
#[derive(Clone, Copy, Debug)]
struct Place {
    position: Position,
    campaign: Uuid,
}

fn in_order(places: &mut [Place], direction: Direction) {
    places.sort_unstable_by_key(|place| -> (Instant, Uuid) { (place.position.created_at, place.position.id) });
    if direction == Direction::Backwards {
        places.reverse();
    }
}

/// The campaigns that may hold more of the first `limit` places than the `few` that were read of each: those all of whose
/// places are among them.
fn cut_short(places: &[Place], few: usize, limit: usize) -> BTreeSet<Uuid> {
    let mut among: BTreeMap<Uuid, usize> = BTreeMap::new();
    for place in places.iter().take(limit) {
        *among.entry(place.campaign).or_default() += 1;
    }
    among.into_iter().filter(|(_, count)| *count == few).map(|(campaign, _)| campaign).collect()
}

/// The campaigns that hold a list's investments, and what they must be.
#[derive(Debug)]
pub(super) struct Merged {
    /// The campaigns.
    pub(super) campaigns: Vec<Uuid>,
    /// Only investments of this status.
    pub(super) status: Option<Status>,
}

/// The campaigns among rows of `investment_count`, and how many investments they hold together.
pub(super) fn campaigns_of(snapshot: &Snapshot<'_>, counted: &Condition) -> Result<(Vec<Uuid>, u64), StoreError> {
    let sql = format!(
        "SELECT campaign_id, CAST(sum(rows) AS bigint) FROM investment_count WHERE {} AND rows > 0 GROUP BY campaign_id",
        counted.text()
    );
    let (mut campaigns, mut count) = (Vec::new(), 0_u64);
    snapshot.each("investment_count", &sql, counted.parameters(), &mut |row| {
        let rows = row.number(1).ok().flatten().and_then(|rows| u64::try_from(rows).ok());
        let (Ok(Some(campaign)), Some(rows)) = (row.id(0), rows) else {
            return Err(StoreError::Inconsistent { table: "investment_count", column: "rows", row: row.key() });
        };
        campaigns.push(campaign);
        count = count.saturating_add(rows);
        Ok(())
    })?;
    Ok((campaigns, count))
}

impl Merged {
    /// A page of a list whose length is known, without the signed documents.
    pub(super) fn page(&self, snapshot: &Snapshot<'_>, request: PageRequest, count: u64) -> Result<Page<Investment>, StoreError> {
        if self.campaigns.is_empty() {
            return Ok(Page { count, rows: Vec::new(), has_previous: false, has_next: false });
        }
        let limit = usize::try_from(request.limit.clamp(1, PAGE_ROWS_MAX)).unwrap_or(1);
        let (from, direction) = match request.from {
            From::Start => (None, Direction::Forwards),
            From::After(position) => (Some(position), Direction::Forwards),
            From::Before(position) => (Some(position), Direction::Backwards),
        };
        // One more than asked for: it tells whether there are more.
        let mut places = self.walk(snapshot, from, direction, limit.saturating_add(1))?;
        let has_more = places.len() > limit;
        places.truncate(limit);
        if direction == Direction::Backwards {
            places.reverse();
        }
        let (has_previous, has_next) = match (direction, from) {
            (Direction::Forwards, None) => (false, has_more),
            (Direction::Forwards, Some(_)) => (self.has_any(snapshot, places.first(), Direction::Backwards)?, has_more),
            (Direction::Backwards, _) => (has_more, self.has_any(snapshot, places.last(), Direction::Forwards)?),
        };
        let ids: Vec<Uuid> = places.iter().map(|place| place.id).collect();
        let rows = snapshot.rows_of("id", &ids, "created_at, id")?;
        Ok(Page { count, rows, has_previous, has_next })
    }

    /// Whether the list goes on beyond an edge; an empty page has something on the side it came from.
    fn has_any(&self, snapshot: &Snapshot<'_>, edge: Option<&Position>, direction: Direction) -> Result<bool, StoreError> {
        let Some(edge) = edge else { return Ok(true) };
        Ok(!self.walk(snapshot, Some(*edge), direction, 1)?.is_empty())
    }

    /// The first places from a position on, in the direction of the walk.
    fn walk(
        &self,
        snapshot: &Snapshot<'_>,
        from: Option<Position>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let few = limit.min(PLACES_FIRST);
        let mut walked = self.places(snapshot, &self.campaigns, from, direction, few)?;
        if few < limit {
            let cut = cut_short(&walked, few, limit);
            if !cut.is_empty() {
                walked.retain(|place| !cut.contains(&place.campaign));
                let campaigns: Vec<Uuid> = cut.into_iter().collect();
                walked.extend(self.places(snapshot, &campaigns, from, direction, limit)?);
                in_order(&mut walked, direction);
            }
        }
        walked.truncate(limit);
        Ok(walked.into_iter().map(|place| place.position).collect())
    }

    /// So many places of each of these campaigns, merged.
    fn places(
        &self,
        snapshot: &Snapshot<'_>,
        campaigns: &[Uuid],
        from: Option<Position>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Place>, StoreError> {
        let sql = self.sql(snapshot, from.is_some(), direction);
        let mut places = Vec::new();
        for campaigns in campaigns.chunks(WALKED_AT_ONCE) {
            let parameters = self.parameters(campaigns, from, limit);
            snapshot.each("investment", &sql, parameters, &mut |row| {
                let (Ok(Some(created_at)), Ok(Some(id)), Ok(Some(campaign))) = (row.time(0), row.id(1), row.id(2)) else {
                    return Err(StoreError::Inconsistent { table: "investment", column: "created_at", row: row.key() });
                };
                places.push(Place { position: Position { created_at, id }, campaign });
                Ok(())
            })?;
        }
        in_order(&mut places, direction);
        Ok(places)
    }

    /// One walk for each of a constant number of campaigns.
    fn sql(&self, snapshot: &Snapshot<'_>, is_from_a_position: bool, direction: Direction) -> String {
        let index = match self.status {
            Some(_) => "investment_by_campaign_and_status",
            None => "investment_by_campaign",
        };
        let index = snapshot.indexed_by(Index::Named(index), "investment");
        let status = if self.status.is_some() { " AND status = ?" } else { "" };
        let (comparison, order) = direction.along();
        let from = if is_from_a_position { format!(" AND {comparison}") } else { String::new() };
        let walks: Vec<String> = (0..WALKED_AT_ONCE)
            .map(|number| {
                format!(
                    "SELECT * FROM (SELECT created_at, id, campaign_id FROM investment {index} WHERE campaign_id = ?{status}{from} \
                     ORDER BY {order} LIMIT ?) AS walk_{number}"
                )
            })
            .collect();
        walks.join(" UNION ALL ")
    }

    fn parameters(&self, campaigns: &[Uuid], from: Option<Position>, limit: usize) -> Vec<Value> {
        let mut parameters = Vec::with_capacity(WALKED_AT_ONCE * 5);
        // No campaign is NULL, so that a walk without one ends at once.
        for campaign in campaigns.iter().copied().map(Some).chain(std::iter::repeat(None)).take(WALKED_AT_ONCE) {
            parameters.push(Value::OptionalId(campaign));
            parameters.extend(self.status.map(|status| Value::from(status.code())));
            parameters.extend(from.into_iter().flat_map(|from| [Value::from(from.created_at), from.id.into()]));
            parameters.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        }
        parameters
    }

    /// How an engine works off a walk, one line a step.
    #[cfg(test)]
    pub(super) fn plan(&self, snapshot: &Snapshot<'_>, from: Option<Position>, is_forwards: bool) -> Vec<String> {
        let direction = if is_forwards { Direction::Forwards } else { Direction::Backwards };
        let sql = self.sql(snapshot, from.is_some(), direction);
        super::page::explain(snapshot, &sql, self.parameters(&self.campaigns, from, 51))
    }
}
