//! Lists in pages: `{count, next, previous, results}`, oldest first, with opaque cursors.
//!
//! A cursor names a position between objects, not a page number, so pages neither skip nor repeat anything when
//! objects are added. It carries a MAC over the tenant, the list and its filters: a cursor that was changed or that
//! belongs elsewhere is 400.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::OrganisationId;
use domain::instant::Instant;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use store::queries::From;
pub use store::queries::Position;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::FieldFault;
use super::problem::{FieldCode, FieldError, Problem};
use super::query::{Query, unsigned};

/// The most objects on one page.
pub const LIMIT_MAX: u32 = 200;
/// The objects on one page where the request does not say.
pub const LIMIT_DEFAULT: u32 = 20;

const MAC_BYTES: usize = 16;
const PAYLOAD_BYTES: usize = 1 + 8 + 16;
const MAC_DOMAIN: &[u8] = b"scrip page cursor v1";

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// Objects in the whole list, under the same filters.
    pub count: u64,
    /// Absolute address of the next page; null on the last.
    #[schema(required = true)]
    pub next: Option<String>,
    /// Absolute address of the page before; null on the first.
    #[schema(required = true)]
    pub previous: Option<String>,
    /// The objects, oldest first.
    pub results: Vec<T>,
}

/// Which way a page lies from its cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The objects after the position.
    Next,
    /// The objects before the position.
    Previous,
}

/// A position and the way from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Which way.
    pub direction: Direction,
    /// From where, exclusive.
    pub position: Position,
}

/// What a cursor is bound to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListScope {
    /// The tenant whose list it is.
    pub tenant: OrganisationId,
    /// The name of the list, with the ids in its path (`products/<id>/campaigns`).
    pub list: String,
    /// The filters in their one spelling ([`Query::filters`]).
    pub filters: String,
}

/// The key that cursors are sealed with.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

/// A page as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    limit: u32,
    cursor: Option<Cursor>,
    scope: ListScope,
}

impl<T> Page<T> {
    /// The same page with every object shown by `show`.
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page {
            count: self.count,
            next: self.next,
            previous: self.previous,
            results: self.results.into_iter().map(show).collect(),
        }
    }
}

impl CursorKey {
    /// A key of 256 random bits; servers that share a database share it.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The cursor as it goes over the wire: base64url of position, direction and MAC.
    #[must_use]
    pub fn seal(&self, scope: &ListScope, cursor: Cursor) -> String {
        let mut sealed = Vec::with_capacity(PAYLOAD_BYTES + MAC_BYTES);
        sealed.push(match cursor.direction {
            Direction::Next => 0,
            Direction::Previous => 1,
        });
        sealed.extend_from_slice(&cursor.position.created_at.micros().to_be_bytes());
        sealed.extend_from_slice(cursor.position.id.as_bytes());
        // HMAC takes a key of any length, so this has a tag; without one the cursor would open nowhere.
        let tag = self.mac(scope, &sealed).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        sealed.extend(tag.iter().take(MAC_BYTES));
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The cursor behind its wire form; `None` unless it was sealed with this key for this scope.
    #[must_use]
    pub fn open(&self, scope: &ListScope, sealed: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (payload, tag) = bytes.split_at_checked(PAYLOAD_BYTES)?;
        if tag.len() != MAC_BYTES {
            return None;
        }
        self.mac(scope, payload)?.verify_truncated_left(tag).ok()?;
        let direction = match payload.first()? {
            0 => Direction::Next,
            1 => Direction::Previous,
            _ => return None,
        };
        let micros = i64::from_be_bytes(payload.get(1..9)?.try_into().ok()?);
        let id = Uuid::from_slice(payload.get(9..)?).ok()?;
        Some(Cursor { direction, position: Position { created_at: Instant::from_micros(micros), id } })
    }

    fn mac(&self, scope: &ListScope, payload: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(MAC_DOMAIN);
        mac.update(&scope.tenant.bytes());
        // Lengths keep a list's end apart from its filters' beginning.
        for part in [scope.list.as_bytes(), scope.filters.as_bytes(), payload] {
            mac.update(&u64::try_from(part.len()).ok()?.to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey([secret])")
    }
}

impl PageRequest {
    /// Reads `limit` and `cursor`; faults are kept in the query, so the request counts only once `finish` has passed.
    pub fn read(query: &mut Query, key: &CursorKey, tenant: OrganisationId, list: &str) -> Self {
        let scope = ListScope { tenant, list: list.to_owned(), filters: query.filters() };
        let limit = query.optional("limit", |value| {
            let limit = unsigned(1..=u64::from(LIMIT_MAX))(value)?;
            Ok(u32::try_from(limit).unwrap_or(LIMIT_MAX))
        });
        let cursor = query.optional("cursor", |value| {
            key.open(&scope, value).ok_or_else(|| FieldFault::invalid("is not a cursor of this list and these filters"))
        });
        Self { limit: limit.unwrap_or(LIMIT_DEFAULT), cursor, scope }
    }

    /// The rows to ask the store for.
    #[must_use]
    pub const fn rows(&self) -> store::queries::PageRequest {
        let from = match self.cursor {
            None => From::Start,
            Some(Cursor { direction: Direction::Next, position }) => From::After(position),
            Some(Cursor { direction: Direction::Previous, position }) => From::Before(position),
        };
        store::queries::PageRequest { from, limit: self.limit }
    }

    /// What a list that is in memory, in the order of its positions, has for [`Self::rows`].
    #[must_use]
    pub fn rows_of<T>(&self, mut all: Vec<T>, position: impl Fn(&T) -> Position) -> store::queries::Page<T> {
        let store::queries::PageRequest { from, limit } = self.rows();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let order = |at: Position| (at.created_at, at.id);
        let (start, end) = match from {
            From::Start => (0, limit),
            From::After(place) => {
                let start = all.partition_point(|row| order(position(row)) <= order(place));
                (start, start.saturating_add(limit))
            }
            From::Before(place) => {
                let end = all.partition_point(|row| order(position(row)) < order(place));
                (end.saturating_sub(limit), end)
            }
        };
        let count = all.len();
        let rows: Vec<T> = all.drain(start..end.min(count)).collect();
        let (has_previous, has_next) = (start > 0 && !rows.is_empty(), end < count && !rows.is_empty());
        store::queries::Page { count: count as u64, rows, has_previous, has_next }
    }

    /// The page as it is answered, made of what the store found for [`Self::rows`].
    ///
    /// `address` is the absolute address of the list without its query.
    #[must_use]
    pub fn page<T>(
        &self,
        key: &CursorKey,
        address: &str,
        found: store::queries::Page<T>,
        position: impl Fn(&T) -> Position,
    ) -> Page<T> {
        let store::queries::Page { count, rows, has_previous, has_next } = found;
        let (previous, next) = match (rows.first(), rows.last(), self.cursor) {
            (Some(first), Some(last), _) => (has_previous.then(|| position(first)), has_next.then(|| position(last))),
            // Nothing is left on this side of the cursor, so the way back starts with the object it names.
            (_, _, Some(Cursor { direction: Direction::Next, position })) => (Some(behind(position)), None),
            (_, _, Some(Cursor { direction: Direction::Previous, position })) => (None, Some(ahead_of(position))),
            (_, _, None) => (None, None),
        };
        let link = |direction, position| self.link(key, address, Cursor { direction, position });
        Page {
            count,
            next: next.map(|from| link(Direction::Next, from)),
            previous: previous.map(|from| link(Direction::Previous, from)),
            results: rows,
        }
    }

    fn link(&self, key: &CursorKey, address: &str, cursor: Cursor) -> String {
        let filters = &self.scope.filters;
        let separator = if filters.is_empty() { "" } else { "&" };
        let cursor = key.seal(&self.scope, cursor);
        format!("{address}?{filters}{separator}limit={}&cursor={cursor}", self.limit)
    }
}

/// The absolute address `{scheme}://{host}{path}`, with the host that the client asked.
///
/// # Errors
/// 400 where the `Host` field is missing or is no host with an optional port.
pub fn absolute_address(scheme: &str, headers: &HeaderMap, path: &str) -> Result<String, Problem> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok()).filter(|host| !host.as_str().contains('@'));
    let authority = authority.ok_or_else(|| {
        Problem::invalid_request(vec![FieldError::new("header:Host", FieldCode::InvalidValue, "must be a host")])
    })?;
    Ok(format!("{scheme}://{authority}{path}"))
}

/// The place directly behind a row, so that "before it" includes the row.
const fn behind(row: Position) -> Position {
    Position { id: Uuid::from_u128(row.id.as_u128().saturating_add(1)), ..row }
}

/// The place directly ahead of a row, so that "after it" includes the row.
const fn ahead_of(row: Position) -> Position {
    Position { id: Uuid::from_u128(row.id.as_u128().saturating_sub(1)), ..row }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CursorKey = CursorKey::new([7; 32]);

    fn tenant(number: u128) -> OrganisationId {
        OrganisationId::new(Uuid::from_u128(number))
    }

    fn scope() -> ListScope {
        ListScope { tenant: tenant(1), list: "investments".to_owned(), filters: "status=PAID".to_owned() }
    }

    fn at(number: u8) -> Position {
        Position { created_at: Instant::from_micros(i64::from(number) / 2), id: Uuid::from_u128(u128::from(number)) }
    }

    fn get(raw: &str, objects: u8) -> Result<Page<u8>, Problem> {
        let mut query = Query::parse(raw)?;
        let request = PageRequest::read(&mut query, &KEY, tenant(1), "investments");
        let _status = query.optional("status", |value| Ok(value.to_owned()));
        query.finish()?;
        Ok(request.page(&KEY, "http://h/api/x/", request.rows_of((1..=objects).collect(), |row| at(*row)), |row| at(*row)))
    }

    fn query_of(link: Option<&String>) -> String {
        link.unwrap().strip_prefix("http://h/api/x/?").unwrap().to_owned()
    }

    #[test]
    fn pages_walk_the_whole_list_and_back() {
        let first = get("limit=3&status=PAID", 8).unwrap();
        assert_eq!((first.count, &first.previous, first.results.as_slice()), (8, &None, &[1, 2, 3][..]));
        assert!(query_of(first.next.as_ref()).starts_with("status=PAID&limit=3&cursor="));
        let second = get(&query_of(first.next.as_ref()), 8).unwrap();
        assert_eq!(second.results, [4, 5, 6]);
        let third = get(&query_of(second.next.as_ref()), 8).unwrap();
        assert_eq!((third.results.as_slice(), &third.next), (&[7, 8][..], &None));
        let back = get(&query_of(third.previous.as_ref()), 8).unwrap();
        assert_eq!(back.results, [4, 5, 6]);
        assert_eq!(get(&query_of(back.next.as_ref()), 8).unwrap().results, [7, 8]);
        let start = get(&query_of(back.previous.as_ref()), 8).unwrap();
        assert_eq!((start.results.as_slice(), &start.previous), (&[1, 2, 3][..], &None));
    }

    #[test]
    fn an_empty_page_still_finds_its_neighbour() {
        let first = get("limit=3&status=PAID", 4).unwrap();
        let beyond = get(&query_of(first.next.as_ref()), 3).unwrap();
        assert_eq!((beyond.results.as_slice(), &beyond.next), (&[][..], &None));
        assert_eq!(get(&query_of(beyond.previous.as_ref()), 3).unwrap().results, [1, 2, 3]);
        assert_eq!(get("", 0).unwrap(), Page { count: 0, next: None, previous: None, results: Vec::new() });
        assert_eq!(get("", 100).unwrap().results.len(), 20);
        assert_eq!(get("limit=200", 201).unwrap().results.len(), 200);
    }

    #[test]
    fn a10_limits_and_cursors_are_checked() {
        for raw in ["limit=0", "limit=201", "limit=-1", "limit=1000000000", "limit=", "cursor=", "cursor=x", "page=2"] {
            assert_eq!(get(raw, 9).unwrap_err().status().as_u16(), 400, "{raw}");
        }
        let filtered = query_of(get("limit=3&status=PAID", 9).unwrap().next.as_ref());
        assert!(get(&filtered, 9).is_ok());
        assert_eq!(get(&filtered.replace("PAID", "ACCEPTED"), 9).unwrap_err().status().as_u16(), 400);
    }

    #[test]
    fn a10_a_cursor_opens_only_unchanged_with_its_key_and_scope() {
        let cursor = Cursor { direction: Direction::Previous, position: at(9) };
        let sealed = KEY.seal(&scope(), cursor);
        assert_eq!(sealed.len(), 55);
        assert_eq!(KEY.open(&scope(), &sealed), Some(cursor));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(KEY.open(&scope(), &changed), None, "{index}");
            assert_eq!(KEY.open(&scope(), &sealed[..index]), None, "{index}");
        }
        assert_eq!(KEY.open(&scope(), &format!("{sealed}AAAA")), None);
        assert_eq!(CursorKey::new([8; 32]).open(&scope(), &sealed), None);
        for other in [
            ListScope { tenant: tenant(2), ..scope() },
            ListScope { list: "credits".to_owned(), ..scope() },
            ListScope { filters: String::new(), ..scope() },
            ListScope { list: "investmentss".to_owned(), filters: "tatus=PAID".to_owned(), ..scope() },
        ] {
            assert_eq!(KEY.open(&other, &sealed), None, "{other:?}");
        }
    }

    #[test]
    fn addresses_are_absolute_and_of_the_host_that_was_asked() {
        let address = |host: &str| {
            let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
            absolute_address("http", &headers, "/api/x/").ok()
        };
        assert_eq!(address("127.0.0.1:8080").unwrap(), "http://127.0.0.1:8080/api/x/");
        assert_eq!(address("[::1]:80").unwrap(), "http://[::1]:80/api/x/");
        for host in ["", "a b", "user@host", "host/path", "host?x", "h:1:2"] {
            assert_eq!(address(host), None, "{host}");
        }
        assert!(absolute_address("http", &HeaderMap::new(), "/").is_err());
    }
}
