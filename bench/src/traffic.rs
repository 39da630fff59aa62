//! The requests of each load.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use serde_json::{Value, json};
use server::http::page::{Cursor, Direction, ListScope, Position};
use uuid::Uuid;

use crate::Failure;
use crate::correctness::Sold;
use crate::load::RequestMaker;
use crate::sandbox::{SIGNED_AT, Sandbox, text};

/// Investments on a page of the page load.
const PAGE_ROWS: u64 = 50;
/// Pages that the page load goes round.
const PAGES: usize = 20;
/// Investments on a page while ids are collected: the most that the API gives.
const COLLECT_ROWS: u64 = 200;

const INVESTMENTS: &str = "/api/distributor/v2/investments/";
const KEY: HeaderName = HeaderName::from_static("x-idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What all requests of a load have in common.
#[derive(Clone, Debug)]
struct Frame {
    host: HeaderValue,
    authorization: HeaderValue,
}

impl Frame {
    fn of(sandbox: &Sandbox) -> Result<Self, Failure> {
        let host = HeaderValue::from_str(&sandbox.address.to_string())?;
        let authorization = HeaderValue::from_str(&sandbox.authorization())?;
        Ok(Self { host, authorization })
    }

    fn get(&self, uri: Uri) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(AUTHORIZATION, self.authorization.clone());
        request
    }

    fn post(&self, uri: Uri, key: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = self.get(uri);
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        // Keys are made of hexadecimal digits, letters and dashes.
        headers.insert(KEY, HeaderValue::from_str(key).unwrap_or(HeaderValue::from_static("unprintable")));
        *request.body_mut() = Full::new(body);
        request
    }
}

/// The body of a create of one unit.
fn investment(sandbox: &Sandbox, campaign_id: &str) -> Value {
    json!({"investor_id": sandbox.handout.investor_id, "campaign_id": campaign_id, "units": 1, "signed_at": SIGNED_AT})
}

/// Creates of one unit, round the campaigns; keys begin with `name`, and request `n` is the same whenever it is made.
pub fn creates(sandbox: &Sandbox, name: &str, campaign_ids: &[String]) -> Result<RequestMaker, Failure> {
    let bodies: Vec<Value> = campaign_ids.iter().map(|id| investment(sandbox, id)).collect();
    posts(sandbox, name, &bodies)
}

/// Creates that bring everything with them which a credit needs.
pub fn paid_creates(sandbox: &Sandbox, name: &str, campaign_id: &str, papers: &Papers) -> Result<RequestMaker, Failure> {
    posts(sandbox, name, &[papers.paid_investment(sandbox, campaign_id)])
}

/// Creates of one unit, round the campaigns and round many investors.
pub fn creates_by(sandbox: &Sandbox, name: &str, campaigns: &[Sold], investor_ids: &[String]) -> Result<RequestMaker, Failure> {
    let count = campaigns.len().max(investor_ids.len());
    let bodies: Vec<Value> = (0..count as u64)
        .map(|number| {
            let (campaign, investor) = (number_in(campaigns, number), number_in(investor_ids, number));
            let mut body = investment(sandbox, campaign.map_or("", |campaign| &campaign.campaign_id));
            body["investor_id"] = json!(investor);
            body
        })
        .collect();
    posts(sandbox, name, &bodies)
}

fn posts(sandbox: &Sandbox, name: &str, bodies: &[Value]) -> Result<RequestMaker, Failure> {
    let frame = Frame::of(sandbox)?;
    let prefix = format!("{}-{name}", sandbox.key_prefix());
    let bodies: Vec<Bytes> = bodies.iter().map(|body| Bytes::from(body.to_string())).collect();
    let uri = Uri::from_static(INVESTMENTS);
    Ok(Arc::new(move |number| frame.post(uri.clone(), &format!("{prefix}-{number}"), turn(&bodies, number))))
}

/// The same requests again, from the first to the one before `count`, over and over.
pub fn again(make: RequestMaker, count: u64) -> RequestMaker {
    Arc::new(move |number| make(number.checked_rem(count).unwrap_or(0)))
}

/// Reads of one investment, round the ids.
pub fn reads(sandbox: &Sandbox, ids: &[String]) -> Result<RequestMaker, Failure> {
    gets(sandbox, ids.iter().map(|id| format!("{INVESTMENTS}{id}/")))
}

/// Pages of fifty, round the first pages of the list.
pub async fn pages(sandbox: &mut Sandbox) -> Result<RequestMaker, Failure> {
    let mut paths = vec![format!("{INVESTMENTS}?limit={PAGE_ROWS}")];
    while let Some(path) = paths.last().filter(|_| paths.len() < PAGES) {
        let page = sandbox.get(path).await?;
        let Some(next) = next_path(&page, sandbox) else { break };
        paths.push(next);
    }
    gets(sandbox, paths.into_iter())
}

/// The first page of fifty of each of several filters, in turn.
pub fn first_pages(sandbox: &Sandbox, filters: &[String]) -> Result<RequestMaker, Failure> {
    gets(sandbox, filters.iter().map(|filter| format!("{INVESTMENTS}?limit={PAGE_ROWS}{filter}")))
}

/// Pages of fifty that begin where each of several campaigns began: all over the whole list. Walking there would take hours,
/// so the cursors are sealed here, with the key of the data folder.
pub async fn deep_pages(sandbox: &mut Sandbox, campaign_ids: &[String]) -> Result<RequestMaker, Failure> {
    let key = sandbox.cursor_key()?;
    let tenant = sandbox.handout.distribution_platform_id.parse::<Uuid>()?;
    let scope = ListScope { tenant: tenant.into(), list: "distributor/investments".to_owned(), filters: String::new() };
    let mut paths = Vec::new();
    for campaign_id in campaign_ids {
        let page = sandbox.get(&format!("{INVESTMENTS}?limit=1&campaign_id={campaign_id}")).await?;
        let Some(row) = page["results"].get(0) else { continue };
        let created_at = domain::instant::Instant::parse(&text(row, "created_at")?)?;
        let position = Position { created_at, id: text(row, "id")?.parse()? };
        let cursor = key.seal(&scope, Cursor { direction: Direction::Next, position });
        paths.push(format!("{INVESTMENTS}?limit={PAGE_ROWS}&cursor={cursor}"));
    }
    gets(sandbox, paths.into_iter())
}

/// The ids of investments from all over a list: as many from each of several campaigns.
pub async fn ids_everywhere(sandbox: &mut Sandbox, campaign_ids: &[String], ids_max: usize) -> Result<Vec<String>, Failure> {
    let from_each = ids_max.div_ceil(campaign_ids.len().max(1)).max(1);
    let mut found = Vec::new();
    for campaign_id in campaign_ids {
        found.extend(ids(sandbox, &format!("&campaign_id={campaign_id}"), from_each).await?);
    }
    Ok(found)
}

/// Orders of credits, one for each investment.
pub fn credit_orders(sandbox: &Sandbox, ids: &[String]) -> Result<RequestMaker, Failure> {
    let frame = Frame::of(sandbox)?;
    let prefix = format!("{}-credit", sandbox.key_prefix());
    let uris = parsed(ids.iter().map(|id| format!("{INVESTMENTS}{id}/credits/")))?;
    Ok(Arc::new(move |number| frame.post(turn(&uris, number), &format!("{prefix}-{number}"), Bytes::new())))
}

/// The echo's and the baseline's requests: a create's body under a key of its own.
pub fn bare(campaign_id: &str) -> Result<RequestMaker, Failure> {
    let frame = Frame { host: HeaderValue::from_static("localhost"), authorization: HeaderValue::from_static("Bearer none") };
    let body = json!({
        "investor_id": "01980000-0000-7000-8000-000000000002", "campaign_id": campaign_id, "units": 1, "signed_at": SIGNED_AT
    });
    let body = Bytes::from(body.to_string());
    let uri: Uri = "/".parse()?;
    Ok(Arc::new(move |number| frame.post(uri.clone(), &format!("bare-{number}"), body.clone())))
}

/// The ids of the investments that a filter finds, oldest first, at most so many.
pub async fn ids(sandbox: &mut Sandbox, filter: &str, ids_max: usize) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    let mut path = Some(format!("{INVESTMENTS}?limit={COLLECT_ROWS}{filter}"));
    while let Some(asked) = path.filter(|_| ids.len() < ids_max) {
        let page = sandbox.get(&asked).await?;
        for row in page["results"].as_array().ok_or("a page has no results")? {
            ids.push(text(row, "id")?);
        }
        path = next_path(&page, sandbox);
    }
    ids.truncate(ids_max);
    Ok(ids)
}

/// The documents that an acceptance needs.
#[derive(Debug)]
pub struct Papers(Value);

impl Papers {
    /// Uploads them.
    pub async fn upload(sandbox: &mut Sandbox) -> Result<Self, Failure> {
        let mut papers = Vec::new();
        for document_type in ["effecta_cryptoregistry_tos", "effecta_document"] {
            let document_id = sandbox.document(&format!("{document_type}.pdf")).await?;
            papers.push(json!({"document_type": document_type, "document_id": document_id}));
        }
        Ok(Self(Value::Array(papers)))
    }

    /// The body of a create of one unit that is `PAID` at once.
    pub fn paid_investment(&self, sandbox: &Sandbox, campaign_id: &str) -> Value {
        let mut body = investment(sandbox, campaign_id);
        body["signed_documents"] = self.0.clone();
        body["accepted_at"] = json!(SIGNED_AT);
        body["paid_at"] = json!(SIGNED_AT);
        body["wallet"] = json!(sandbox.handout.wallet_id);
        body
    }
}

fn gets(sandbox: &Sandbox, paths: impl Iterator<Item = String>) -> Result<RequestMaker, Failure> {
    let frame = Frame::of(sandbox)?;
    let uris = parsed(paths)?;
    Ok(Arc::new(move |number| frame.get(turn(&uris, number))))
}

fn parsed(paths: impl Iterator<Item = String>) -> Result<Vec<Uri>, Failure> {
    let uris: Vec<Uri> = paths.map(|path| path.parse()).collect::<Result<_, _>>()?;
    if uris.is_empty() { Err("there is nothing to ask for".into()) } else { Ok(uris) }
}

fn turn<T: Clone + Default>(choices: &[T], number: u64) -> T {
    number_in(choices, number).cloned().unwrap_or_default()
}

/// The choice that a number falls on, round and round.
fn number_in<T>(choices: &[T], number: u64) -> Option<&T> {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_rem(choices.len()));
    index.and_then(|index| choices.get(index))
}

/// Where the next page is, without the address of the server.
fn next_path(page: &Value, sandbox: &Sandbox) -> Option<String> {
    page["next"].as_str()?.strip_prefix(&format!("http://{}", sandbox.address)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_taken_in_turn() {
        assert_eq!((0..5).map(|number| turn(&[1, 2, 3], number)).collect::<Vec<_>>(), [1, 2, 3, 1, 2]);
    }

    #[test]
    fn a_replay_sends_the_same_key_and_every_create_another() {
        let make = bare("01980000-0000-7000-8000-000000000001").unwrap();
        let replay = again(make.clone(), 3);
        let key = |make: &RequestMaker, number| make(number).headers()[&KEY].clone();
        assert_eq!(key(&replay, 4), key(&make, 1));
        assert_ne!(key(&make, 0), key(&make, 1));
    }
}
