//! One HTTP/1.1 connection, driven by hand: nothing between the load and the socket but hyper.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Failure;

/// A request of the load.
pub type Outgoing = Request<Full<Bytes>>;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Whether the server says that it answered from memory (`Idempotency-Replayed: true`).
    pub is_replayed: bool,
    /// The body.
    pub body: Bytes,
}

/// One connection; one request at a time.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // How a connection ends shows in the request that was on it.
            let _ended = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&mut self, request: Outgoing) -> Result<Answer, Failure> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        let is_replayed =
            response.headers().get("idempotency-replayed").is_some_and(|value| value == HeaderValue::from_static("true"));
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, is_replayed, body })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
