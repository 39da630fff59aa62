//! Reading: ids from the path, pages, and committed state from the archive.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use domain::ids::OrganisationId;
use serde::Serialize;
use store::{Reader, StoreError};
use uuid::Uuid;

use super::Counter;
use super::body::parse_uuid;
use super::page::{Page, PageRequest, Position, absolute_address};
use super::problem::Problem;
use super::query::Query;

/// How long a query waits until one of those that run has ended.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The ids in the path, in order. Anything that is no id names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct Ids<const N: usize>(pub [Uuid; N]);

impl<const N: usize> FromRequestParts<Arc<Counter>> for Ids<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, counter: &Arc<Counter>) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, counter).await.map_err(|_| Problem::not_found())?;
        let ids: Option<Vec<Uuid>> = raw.iter().map(|(_, text)| parse_uuid(text)).collect();
        let ids: Option<[Uuid; N]> = ids.and_then(|ids| ids.try_into().ok());
        ids.map(Self).ok_or_else(Problem::not_found)
    }
}

/// A request for a list: its filters, its place, and its own absolute address.
#[derive(Debug)]
pub struct ListAsked {
    /// The query, for filters.
    pub query: Query,
    address: String,
}

impl FromRequestParts<Arc<Counter>> for ListAsked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, counter: &Arc<Counter>) -> Result<Self, Problem> {
        let query = Query::parse(parts.uri.query().unwrap_or(""))?;
        let address = absolute_address(counter.scheme, &parts.headers, parts.uri.path())?;
        Ok(Self { query, address })
    }
}

impl ListAsked {
    /// Ends the reading of the query; `list` is the list's name with the ids of its path.
    ///
    /// # Errors
    /// 400 with everything that is wrong in the query.
    pub fn page(mut self, counter: &Counter, tenant: OrganisationId, list: &str) -> Result<(PageRequest, String), Problem> {
        let page = PageRequest::read(&mut self.query, &counter.cursors, tenant, list);
        self.query.finish()?;
        Ok((page, self.address))
    }
}

/// The list's answer.
pub fn shown_page<T, V: Serialize>(
    counter: &Counter,
    (request, address): &(PageRequest, String),
    page: store::queries::Page<T>,
    position: fn(&T) -> Position,
    show: impl Fn(&T) -> V,
) -> Json<Page<V>> {
    Json(request.page(&counter.cursors, address, page, position).map(|row| show(&row)))
}

/// A query without parameters.
///
/// # Errors
/// 400 for any parameter.
pub fn no_query(parts: &Parts) -> Result<(), Problem> {
    Query::parse(parts.uri.query().unwrap_or(""))?.finish()
}

/// Extractor for operations that take no query.
#[derive(Clone, Copy, Debug)]
pub struct NoQuery;

impl FromRequestParts<Arc<Counter>> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _counter: &Arc<Counter>) -> Result<Self, Problem> {
        no_query(parts).map(|()| Self)
    }
}

impl Counter {
    /// Reads committed state on a connection of its own.
    ///
    /// # Errors
    /// 503 where the database does not answer, 500 where a row cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        // Without a place in hand a query would wait for a connection on a thread that it blocks.
        let place = tokio::time::timeout(PLACE_WAIT_MAX, self.reading.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(Problem::overloaded(1)) };
        let archive = self.archive.clone();
        let read = tokio::task::spawn_blocking(move || query(&archive)).await;
        match read {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(StoreError::Busy | StoreError::Unreachable(_))) => Err(Problem::overloaded(1)),
            Ok(Err(error)) => {
                tracing::error!(%error, "a query failed");
                Err(Problem::internal())
            }
            Err(_) => Err(Problem::internal()),
        }
    }

    /// Reads one object; what is not found is 404.
    ///
    /// # Errors
    /// As [`Counter::read`], and 404.
    pub async fn find<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<Option<T>, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.read(query).await?.ok_or_else(Problem::not_found)
    }
}
