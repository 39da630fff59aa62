//! One JSON-RPC request over HTTP, with bounds on everything that a node could do to its caller.

use super::Jitter;
use super::circuit::{Circuit, pause};
use super::network::{Endpoint, RequestPolicy};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest error text that is kept of a node's answer.
const ERROR_TEXT_CHARS_MAX: usize = 500;

/// The error codes by which nodes and their operators say that too much was asked (EIP-1474 and common practice).
const RATE_CODES: [i64; 3] = [-32_005, -32_029, 429];

/// A way to one node.
pub(super) struct Transport {
    client: Client,
    endpoint: Endpoint,
    requests: RequestPolicy,
    circuit: Mutex<Circuit>,
    started: Instant,
    jitter: Jitter,
    next_id: AtomicU64,
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// The node answered with an error.
    Answered(NodeError),
    /// There was no answer that can be used. The request may have been carried out.
    Unanswered(String),
    /// The answer is larger than what is read; asking again would not help.
    TooLarge,
}

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct NodeError {
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) data: Value,
}

/// A try that may be made again, with the pause that the node wished for.
struct Failed {
    text: String,
    wished: Option<Duration>,
}

enum Tried {
    Done(Result<Value, NodeError>),
    Failed(Failed),
    TooLarge,
}

enum Body {
    Read(Vec<u8>),
    CutOff(String),
    TooLarge,
}

#[derive(Deserialize)]
struct Envelope {
    id: Value,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<NodeError>,
}

/// Tells a result of `null` from a missing one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// An HTTP client for all nodes of a network: it follows no redirect, asks no proxy of the environment, and keeps to the
/// time of the policy.
pub(super) fn client(requests: &RequestPolicy) -> Result<Client, reqwest::Error> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .timeout(requests.timeout)
        .connect_timeout(requests.timeout)
        .build()
}

impl Transport {
    pub(super) fn new(client: Client, endpoint: Endpoint, requests: RequestPolicy, jitter: Jitter) -> Self {
        let (circuit, started) = (Mutex::default(), Instant::now());
        Self { client, endpoint, requests, circuit, started, jitter, next_id: AtomicU64::new(1) }
    }

    pub(super) fn requests(&self) -> &RequestPolicy {
        &self.requests
    }

    /// Asks the node, again where no answer came. Every request that is made here may be made twice: sending the same
    /// transaction again is harmless, everything else only reads.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Result<Value, Fault> {
        let mut last = format!("{} is left alone after failures", self.endpoint.name);
        for failed in 1..=self.requests.tries_max {
            if !self.circuit().allows(self.started.elapsed()) {
                break;
            }
            match self.try_once(method, &params).await {
                Tried::Done(answer) => {
                    self.circuit().answered();
                    return answer.map_err(Fault::Answered);
                }
                Tried::TooLarge => {
                    self.circuit().answered();
                    return Err(Fault::TooLarge);
                }
                Tried::Failed(Failed { text, wished }) => {
                    self.circuit().failed(self.started.elapsed(), &self.requests);
                    last = format!("{}: {method}: {text}", self.endpoint.name);
                    if failed < self.requests.tries_max {
                        sleep(pause(failed, &self.requests, (self.jitter)(), wished)).await;
                    }
                }
            }
        }
        Err(Fault::Unanswered(last))
    }

    async fn try_once(&self, method: &str, params: &Value) -> Tried {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let request = self.client.post(&self.endpoint.url).header(CONTENT_TYPE, "application/json");
        // Not compressed: a small answer must not become a large one.
        let request = request.header(ACCEPT_ENCODING, "identity").body(body);
        let failed = |text: String| Tried::Failed(Failed { text, wished: None });
        let response = match request.send().await {
            Ok(response) => response,
            // The URL may hold a key.
            Err(error) => return failed(describe(error)),
        };
        let status = response.status();
        let wished = wished_pause(&response);
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() && status != StatusCode::INTERNAL_SERVER_ERROR {
            return Tried::Failed(Failed { text: format!("status {status}"), wished });
        }
        let bytes = match self.bounded_body(response).await {
            Body::Read(bytes) => bytes,
            Body::CutOff(text) => return failed(text),
            Body::TooLarge => return Tried::TooLarge,
        };
        // Some nodes answer errors of JSON-RPC with the status 400 or 500, so the body decides.
        match serde_json::from_slice::<Envelope>(&bytes) {
            Ok(envelope) => envelope.settle(id),
            Err(_) => failed(format!("status {status} and no JSON-RPC answer")),
        }
    }

    async fn bounded_body(&self, mut response: Response) -> Body {
        let most = self.requests.answer_bytes_max;
        if response.content_length().is_some_and(|length| length > most as u64) {
            return Body::TooLarge;
        }
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Body::Read(bytes),
                Ok(Some(chunk)) if bytes.len() + chunk.len() > most => return Body::TooLarge,
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Err(error) => return Body::CutOff(describe(error)),
            }
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Envelope {
    fn settle(self, id: u64) -> Tried {
        let failed = |text: &str| Tried::Failed(Failed { text: text.to_owned(), wished: None });
        match (self.result, self.error) {
            // An error about the request as a whole may carry no id.
            (None, Some(error)) if self.id == id || self.id.is_null() => {
                if RATE_CODES.contains(&error.code) {
                    return failed(&error.shortened().message);
                }
                Tried::Done(Err(error.shortened()))
            }
            (Some(result), None) if self.id == id => Tried::Done(Ok(result)),
            (None, None) => failed("neither result nor error"),
            (Some(_), Some(_)) => failed("both result and error"),
            (None, Some(_)) | (Some(_), None) => failed("the answer to another request"),
        }
    }
}

impl NodeError {
    fn shortened(mut self) -> Self {
        self.message = self.message.chars().take(ERROR_TEXT_CHARS_MAX).collect();
        self
    }
}

fn wished_pause(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// What went wrong, without the URL.
fn describe(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "time out".to_owned();
    }
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(text: &str) -> Result<Result<Value, NodeError>, String> {
        match serde_json::from_str::<Envelope>(text).unwrap().settle(7) {
            Tried::Done(answer) => Ok(answer),
            Tried::Failed(failed) => Err(failed.text),
            Tried::TooLarge => Err("too large".to_owned()),
        }
    }

    #[test]
    fn only_the_answer_to_the_own_request_counts() {
        assert_eq!(settled(r#"{"id":7,"result":null}"#), Ok(Ok(Value::Null)));
        assert_eq!(settled(r#"{"id":8,"result":"0x1"}"#), Err("the answer to another request".to_owned()));
        assert_eq!(settled(r#"{"id":"7","result":"0x1"}"#), Err("the answer to another request".to_owned()));
        assert_eq!(settled(r#"{"id":7}"#), Err("neither result nor error".to_owned()));
        let both = settled(r#"{"id":7,"result":1,"error":{"code":1,"message":"a"}}"#);
        assert_eq!(both, Err("both result and error".to_owned()));
    }

    #[test]
    fn an_error_is_an_answer_unless_it_asks_for_patience() {
        let error = NodeError { code: -32_000, message: "nonce too low".to_owned(), data: Value::Null };
        assert_eq!(settled(r#"{"id":7,"error":{"code":-32000,"message":"nonce too low"}}"#), Ok(Err(error)));
        let patience = settled(r#"{"id":7,"error":{"code":-32005,"message":"limit exceeded"}}"#);
        assert_eq!(patience, Err("limit exceeded".to_owned()));
        let long = format!(r#"{{"id":7,"error":{{"code":1,"message":"{}"}}}}"#, "ä".repeat(9_999));
        assert!(matches!(settled(&long), Ok(Err(error)) if error.message.chars().count() == ERROR_TEXT_CHARS_MAX));
    }
}
