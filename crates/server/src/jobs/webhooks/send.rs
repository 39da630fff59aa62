//! One try: the message, its signatures, and what the receiver's answer means (Standard Webhooks 1.0).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::webhook::{Happening, Waiting};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;

use crate::clock::Clock;
use crate::operations::webhook::Secrets;
use crate::receivers::{PublicNames, Reach};

/// One try, from the name's look-up to the answer's head. The body of an answer is not read.
const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("scrip/", env!("CARGO_PKG_VERSION"));

/// What became of a try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The receiver answered 2xx.
    Delivered,
    /// The receiver answered 410: it wants nothing more.
    Gone,
    /// Anything else.
    Failed {
        /// For the log; nothing of what the receiver wrote is in it.
        reason: String,
        /// How long it asked to be left alone, in seconds.
        retry_after_s: Option<u32>,
    },
}

/// What a receiver is told: ids and states. Whoever wants to know more reads the API.
#[derive(Serialize)]
struct Message {
    event: &'static str,
    id: Uuid,
    investment_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_id: Option<Uuid>,
    status: &'static str,
    changed_at: String,
    sequence: u64,
}

impl Message {
    fn of(waiting: &Waiting) -> Self {
        Self {
            event: waiting.happening.name(),
            id: waiting.id.uuid(),
            investment_id: waiting.investment_id.uuid(),
            credit_id: match waiting.happening {
                Happening::InvestmentStatusChanged(_) => None,
                Happening::CreditFinished { credit_id, .. } => Some(credit_id.uuid()),
            },
            status: waiting.happening.status(),
            changed_at: waiting.changed_at.to_string(),
            sequence: waiting.sequence,
        }
    }
}

/// Sends messages. It takes no proxy from the environment and follows no redirect.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client,
    reach: Reach,
}

impl Sender {
    pub(super) fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(USER_AGENT)
            .dns_resolver(Arc::new(PublicNames(reach)))
            .build()?;
        Ok(Self { client, reach })
    }

    /// Sends an event once.
    pub(super) async fn send(&self, url: &str, secrets: &Secrets, waiting: &Waiting, clock: &Clock) -> Outcome {
        let failed = |reason: String| Outcome::Failed { reason, retry_after_s: None };
        let url = match self.reach.read_url(url) {
            Ok(url) => url,
            Err(fault) => return failed(format!("the URL is not admitted: {fault}")),
        };
        // Names and numbers: nothing that JSON could refuse.
        let body = serde_json::to_vec(&Message::of(waiting)).unwrap_or_default();
        let (id, timestamp) = (waiting.id.uuid().to_string(), clock.machine_now().seconds_floor().to_string());
        let keys = secrets.signing(clock.now());
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-signature", signatures(&keys, &id, &timestamp, &body))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp);
        if let Some(bearer) = secrets.bearer() {
            let Ok(mut value) = HeaderValue::try_from(format!("Bearer {bearer}")) else {
                return failed("the bearer token is no header".to_owned());
            };
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        match request.body(body).send().await {
            Ok(answer) => outcome_of(answer.status(), answer.headers().get(RETRY_AFTER)),
            Err(error) => failed(kind_of(&error).to_owned()),
        }
    }
}

fn outcome_of(status: StatusCode, retry_after: Option<&HeaderValue>) -> Outcome {
    if status.is_success() {
        return Outcome::Delivered;
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Outcome::Failed { reason: format!("it answered {}", status.as_u16()), retry_after_s }
}

/// The kind of a failure, without what names and addresses it was about.
fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "no answer"
    }
}

/// `v1,` and HMAC-SHA-256 of id, timestamp and body, for each key.
fn signatures(keys: &[Vec<u8>], id: &str, timestamp: &str, body: &[u8]) -> String {
    let signature = |key: &Vec<u8>| {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    keys.iter().filter_map(signature).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h11_answers_mean_what_they_say() {
        let wait = HeaderValue::from_static("30");
        let failed = |reason: &str, retry_after_s| Outcome::Failed { reason: reason.to_owned(), retry_after_s };
        for (status, retry_after, expected) in [
            (200, None, Outcome::Delivered),
            (204, None, Outcome::Delivered),
            (410, None, Outcome::Gone),
            (302, None, failed("it answered 302", None)),
            (404, None, failed("it answered 404", None)),
            (429, Some(&wait), failed("it answered 429", Some(30))),
            (502, None, failed("it answered 502", None)),
            (503, Some(&wait), failed("it answered 503", Some(30))),
        ] {
            assert_eq!(outcome_of(StatusCode::from_u16(status).unwrap(), retry_after), expected, "{status}");
        }
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_specifications_example_has_the_specifications_signature() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signatures(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
