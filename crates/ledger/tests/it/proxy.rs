//! A JSON-RPC proxy whose faults are scripted: it stands between a chain and a real node.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What happens to requests of one method.
#[derive(Clone, Debug, PartialEq)]
pub enum Twist {
    /// The node carries it out, and the connection ends without an answer.
    CutAfter,
    /// The connection ends before the node hears of it.
    CutBefore,
    /// There is never an answer.
    Silence,
    /// Only an HTTP status, with the header `retry-after: 0`.
    Status(u16),
    /// A redirect to another place.
    Redirect(String),
    /// An error of JSON-RPC; the node hears nothing.
    Error(i64, String),
    /// Another result; the node hears nothing.
    Result(Value),
    /// Bytes that are no answer.
    Bytes(Vec<u8>),
}

struct Script {
    upstream: String,
    /// Every second request goes to this node instead.
    by_turns: Option<String>,
    requests: usize,
    lag_blocks: u64,
    twists: Vec<(String, Twist, usize)>,
    fired: BTreeMap<String, usize>,
    seen: Vec<String>,
}

/// A proxy on a port of its own, for as long as the test's runtime lives.
pub struct Proxy {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Proxy {
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script {
            upstream: upstream.to_owned(),
            by_turns: None,
            requests: 0,
            lag_blocks: 0,
            twists: Vec::new(),
            fired: BTreeMap::new(),
            seen: Vec::new(),
        };
        let script = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let script = Arc::clone(&shared);
                let service = service_fn(move |request| handle(Arc::clone(&script), request));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, script }
    }

    /// Twists the next requests of a method.
    pub fn twist(&self, method: &str, twist: Twist, times: usize) {
        self.script.lock().unwrap().twists.push((method.to_owned(), twist, times));
    }

    pub fn straighten(&self) {
        self.script.lock().unwrap().twists.clear();
    }

    /// Answers as the node stood this many blocks ago.
    pub fn lag(&self, blocks: u64) {
        self.script.lock().unwrap().lag_blocks = blocks;
    }

    /// Stands before another node from here on.
    pub fn swap(&self, upstream: &str) {
        upstream.clone_into(&mut self.script.lock().unwrap().upstream);
    }

    /// Stands before two nodes by turns.
    pub fn alternate(&self, other: Option<&str>) {
        self.script.lock().unwrap().by_turns = other.map(str::to_owned);
    }

    /// How often a method was twisted.
    pub fn fired(&self, method: &str) -> usize {
        self.script.lock().unwrap().fired.get(method).copied().unwrap_or_default()
    }

    /// How often a method was asked for.
    pub fn seen(&self, method: &str) -> usize {
        self.script.lock().unwrap().seen.iter().filter(|seen| *seen == method).count()
    }
}

impl Script {
    fn next_twist(&mut self, method: &str) -> Option<Twist> {
        self.seen.push(method.to_owned());
        let index = self.twists.iter().position(|(wanted, _, times)| wanted == method && *times > 0)?;
        let twist = &mut self.twists[index];
        twist.2 -= 1;
        *self.fired.entry(method.to_owned()).or_default() += 1;
        Some(twist.1.clone())
    }

    fn next_upstream(&mut self) -> String {
        self.requests += 1;
        match &self.by_turns {
            Some(other) if self.requests.is_multiple_of(2) => {
                *self.fired.entry("by turns".to_owned()).or_default() += 1;
                other.clone()
            }
            _ => self.upstream.clone(),
        }
    }
}

async fn handle(script: Arc<Mutex<Script>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let body = request.into_body().collect().await.map_err(Error::other)?.to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let method = asked["method"].as_str().unwrap().to_owned();
    let (twist, upstream, lag_blocks) = {
        let mut script = script.lock().unwrap();
        (script.next_twist(&method), script.next_upstream(), script.lag_blocks)
    };
    let cut = || Error::from(ErrorKind::ConnectionAborted);
    let answer = |content: Value| {
        let mut whole = json!({"jsonrpc": "2.0", "id": asked["id"]});
        whole.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        Ok(Response::new(Full::from(whole.to_string())))
    };
    match twist {
        None if lag_blocks > 0 => answer(lagging(&upstream, &asked, lag_blocks).await),
        None => Ok(Response::new(Full::from(forward(&upstream, &asked).await.to_string()))),
        Some(Twist::CutAfter) => {
            forward(&upstream, &asked).await;
            Err(cut())
        }
        Some(Twist::CutBefore) => Err(cut()),
        Some(Twist::Silence) => std::future::pending().await,
        Some(Twist::Status(status)) => {
            let response = Response::builder().status(StatusCode::from_u16(status).unwrap()).header("retry-after", "0");
            Ok(response.body(Full::default()).unwrap())
        }
        Some(Twist::Redirect(place)) => {
            let response = Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header("location", place);
            Ok(response.body(Full::default()).unwrap())
        }
        Some(Twist::Error(code, message)) => answer(json!({"error": {"code": code, "message": message}})),
        Some(Twist::Result(result)) => answer(json!({"result": result})),
        Some(Twist::Bytes(bytes)) => Ok(Response::new(Full::from(bytes))),
    }
}

async fn forward(upstream: &str, asked: &Value) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(upstream).header("content-type", "application/json").body(asked.to_string());
    serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
}

/// What a node says that has not seen the newest blocks.
async fn lagging(upstream: &str, asked: &Value, lag_blocks: u64) -> Value {
    let ask = async |method: &str, params: Value| {
        forward(upstream, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await["result"].clone()
    };
    let number = |value: &Value| u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let head = number(&ask("eth_blockNumber", json!([])).await).saturating_sub(lag_blocks);
    let mut asked = asked.clone();
    for parameter in asked["params"].as_array_mut().unwrap() {
        if parameter == "latest" {
            *parameter = json!(format!("{head:#x}"));
        } else if parameter == "finalized" {
            let block = ask("eth_getBlockByNumber", json!(["finalized", false])).await;
            *parameter = json!(format!("{:#x}", number(&block["number"]).saturating_sub(lag_blocks)));
        } else if let Some(hash) = parameter.get("blockHash").cloned() {
            let block = ask("eth_getBlockByHash", json!([hash, false])).await;
            if block.is_null() || number(&block["number"]) > head {
                return json!({"error": {"code": -32_000, "message": "header not found"}});
            }
        }
    }
    if asked["method"] == "eth_getBlockByNumber" && number(&asked["params"][0]) > head {
        return json!({"result": null});
    }
    let mut answer = forward(upstream, &asked).await;
    let fields = answer.as_object_mut().unwrap();
    fields.remove("jsonrpc");
    fields.remove("id");
    answer
}
