//! The accept loop: HTTP/1.1 with caps on header size, header time and connections, and an orderly end.
//!
//! What a request frames ambiguously is refused before any handler sees it (RFC 9112 section 6.3 and 3.2): both
//! `Content-Length` and `Transfer-Encoding`, either of them twice, `Host` missing or twice, `Authorization` twice.

mod framing;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Version};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use self::framing::WatchedStream;
use super::problem::{FieldCode, FieldError, Problem};

/// The smallest connection buffer that the HTTP library takes.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

/// Caps of the counter's door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenerLimits {
    /// The longest request head, in bytes; more is 431.
    pub head_bytes_max: usize,
    /// From the first wait for a head to its end, idle time between two requests included; then the connection closes.
    pub head_timeout: Duration,
    /// Connections open at once; more wait in the kernel's queue.
    pub connections_max: usize,
    /// How long running requests may take to end after the stop; then they are cut off.
    pub drain_timeout: Duration,
}

/// The address of the connection's other end, as a request extension.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// How the accept loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drained {
    /// Every request was answered.
    Completely,
    /// Some were cut off.
    CutOff {
        /// Connections that were still open.
        connections: usize,
    },
}

impl PeerAddress {
    /// The address a request came from; the unspecified one where it did not come through [`serve`].
    #[must_use]
    pub fn of(request: &Request) -> IpAddr {
        request.extensions().get::<Self>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
    }
}

impl ListenerLimits {
    /// The limits of the API and Studio.
    pub const DEFAULT: Self = Self {
        head_bytes_max: 64 * 1024,
        head_timeout: Duration::from_secs(30),
        connections_max: 4_096,
        drain_timeout: Duration::from_secs(25),
    };
}

/// Serves `router` on `listener` until `stop` says `true` (or its sender is gone), then lets running requests end.
///
/// Requests carry [`PeerAddress`].
pub async fn serve(listener: TcpListener, router: Router, limits: ListenerLimits, mut stop: watch::Receiver<bool>) -> Drained {
    let slots = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_ended) = connections.join_next() => {}
            accepted = accept(&listener, &slots) => match accepted {
                Ok((stream, peer, slot)) => {
                    connections.spawn(serve_connection(stream, peer, slot, router.clone(), limits, stop.clone()));
                }
                Err(error) => rest_after(&error).await,
            },
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(limits.drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_ok() {
        return Drained::Completely;
    }
    let open = connections.len();
    tracing::warn!(connections = open, "requests were cut off at the stop");
    connections.shutdown().await;
    Drained::CutOff { connections: open }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can no longer say when to stop: that is a stop too.
    let _said = stop.wait_for(|stop| *stop).await;
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

/// A connection that failed while it was accepted says nothing about the next; a lack of descriptors lasts.
async fn rest_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput) {
        tracing::error!(%error, "no connection can be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    _slot: OwnedSemaphorePermit,
    router: Router,
    limits: ListenerLimits,
    mut stop: watch::Receiver<bool>,
) {
    let is_ambiguous = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(WatchedStream::new(stream, Arc::clone(&is_ambiguous)));
    let service = service_fn(move |request: Request<Incoming>| {
        answer(router.clone(), request.map(Body::new), peer, is_ambiguous.load(Ordering::Acquire))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes_max)
        .max_buf_size(limits.head_bytes_max.max(BUFFER_BYTES_MIN))
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut is_stopping = false;
    loop {
        // Errors here are the peer's: it went away, sent no HTTP, or took too long.
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = stopped(&mut stop), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(router: Router, mut request: Request, peer: SocketAddr, is_ambiguous: bool) -> Result<Response, Infallible> {
    if let Some(problem) = door_check(&request, is_ambiguous) {
        return Ok(problem.closing().into_response());
    }
    request.extensions_mut().insert(PeerAddress(peer));
    router.oneshot(request).await
}

/// What no handler may see, because two readers could understand it differently.
fn door_check(request: &Request, is_ambiguous: bool) -> Option<Problem> {
    let refuse = |pointer: &'static str, code, message: &'static str| {
        Some(Problem::invalid_request(vec![FieldError::new(pointer, code, message)]))
    };
    let headers = request.headers();
    if is_ambiguous {
        return refuse("header:Content-Length", FieldCode::DuplicateField, "does not frame the body in one way");
    }
    if count(headers, &AUTHORIZATION) > 1 {
        return refuse("header:Authorization", FieldCode::DuplicateField, "stands twice");
    }
    match (count(headers, &HOST), request.version()) {
        (0, Version::HTTP_11) => return refuse("header:Host", FieldCode::Missing, "is required"),
        (0 | 1, _) => {}
        _ => return refuse("header:Host", FieldCode::DuplicateField, "stands twice"),
    }
    let is_host = |host: &axum::http::HeaderValue| host.to_str().is_ok_and(|host| host.parse::<Authority>().is_ok());
    if !headers.get(HOST).is_none_or(is_host) {
        return refuse("header:Host", FieldCode::InvalidValue, "must be a host");
    }
    let uri = request.uri();
    let is_authority_only = uri.authority().is_some() && uri.scheme().is_none();
    if is_authority_only || !uri.path().starts_with('/') {
        return refuse("", FieldCode::InvalidValue, "the request address must be a path");
    }
    None
}

fn count(headers: &HeaderMap, name: &HeaderName) -> usize {
    headers.get_all(name).iter().count()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use axum::routing::any;
    use http_body_util::{BodyExt, Collected};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;

    /// Nothing in these tests waits for a time to pass; this only ends a test that hangs.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Running {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        task: JoinHandle<Drained>,
        handled: Arc<AtomicUsize>,
        entered: Arc<Notify>,
        release: Arc<Notify>,
    }

    async fn start(limits: ListenerLimits) -> Running {
        let (handled, entered, release) = (Arc::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let router = Router::new()
            .route(
                "/wait",
                any({
                    let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
                    async move || {
                        entered.notify_one();
                        release.notified().await;
                        "waited"
                    }
                }),
            )
            .fallback({
                let handled: Arc<AtomicUsize> = Arc::clone(&handled);
                async move |request: Request| {
                    let peer = PeerAddress::of(&request);
                    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
                    let number = handled.fetch_add(1, Ordering::SeqCst) + 1;
                    format!("{peer}#{number}:{}", String::from_utf8_lossy(&body))
                }
            });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(serve(listener, router, limits, stopping));
        Running { address, stop, task, handled, entered, release }
    }

    async fn connect(address: SocketAddr, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may refuse and close before it has read everything.
        let _written = stream.write_all(request).await;
        stream
    }

    /// Everything the server says until it closes the connection.
    async fn read_to_close(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        let reading = async {
            while let Ok(1..) = stream.read(&mut buffer).await.inspect(|count| bytes.extend_from_slice(&buffer[..*count])) {}
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "the connection stayed open after {:?}", String::from_utf8_lossy(&bytes));
        String::from_utf8(bytes).unwrap()
    }

    fn status(answer: &str) -> &str {
        answer.get(9..12).unwrap_or(answer)
    }

    #[tokio::test]
    async fn a11_what_frames_a_body_in_two_ways_is_refused_and_the_connection_closed() {
        let running = start(ListenerLimits::DEFAULT).await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
        let chunked = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
        for fields in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "transfer-encoding: chunked\r\nX: y\r\nCONTENT-LENGTH: 4\r\n",
            "Content-Length: 4\r\nContent-Length: 4\r\n",
            "Content-Length: 4\r\nContent-Length: 5\r\n",
            "Content-Length: 4, 4\r\n",
            "Content-Length: +4\r\n",
            "Content-Length: -4\r\n",
            "Content-Length: 4x\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n",
            " Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{chunked}{smuggled}");
            let answer = read_to_close(connect(running.address, request.as_bytes()).await).await;
            assert_eq!(status(&answer), "400", "{fields}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields}: {answer}");
        }
        assert_eq!(running.handled.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a11_ambiguous_and_oversized_heads_are_refused_and_the_connection_closed() {
        let running = start(ListenerLimits::DEFAULT).await;
        let many: String = vec!["X-Field: y\r\n"; 1_000].concat();
        let long = format!("X-Field: {}\r\n", "y".repeat(64 * 1024));
        for (fields, due) in [
            ("Host: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer a\r\n", "400"),
            ("Host: h\r\nHost: h\r\n", "400"),
            ("Host: a b\r\n", "400"),
            ("Host: h/x\r\n", "400"),
            ("X: y\r\n", "400"),
            ("Host: h\r\nX: a\r\n b\r\n", "400"),
            ("Host: h\r\nX: a\rb\r\n", "400"),
            ("Host: h\r\nX: a\0b\r\n", "400"),
            ("Host: h\r\nX Y: z\r\n", "400"),
            (&format!("Host: h\r\n{many}"), "431"),
            (&format!("Host: h\r\n{long}"), "431"),
        ] {
            let request = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            let answer = read_to_close(connect(running.address, request.as_bytes()).await).await;
            let shown: String = fields.chars().take(60).collect();
            assert_eq!(status(&answer), due, "{shown}: {answer}");
        }
        for line in ["CONNECT h:443 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET h HTTP/1.1", "GET  / HTTP/1.1", "\u{1}"] {
            let answer = read_to_close(connect(running.address, format!("{line}\r\nHost: h\r\n\r\n").as_bytes()).await).await;
            assert_eq!(status(&answer), "400", "{line}: {answer}");
        }
        assert_eq!(running.handled.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn requests_on_one_connection_are_answered_in_order() {
        let running = start(ListenerLimits::DEFAULT).await;
        let requests = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab\r\n\
            POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\ncd\r\n1\r\ne\r\n0\r\nTrailer: x\r\n\r\n\
            GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n\
            GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        for cut in [requests.len(), 1, 60] {
            let first = running.handled.load(Ordering::SeqCst);
            let mut stream = connect(running.address, b"").await;
            for piece in requests.as_bytes().chunks(cut) {
                stream.write_all(piece).await.unwrap();
            }
            let answer = read_to_close(stream).await;
            let bodies: Vec<&str> = answer.split("127.0.0.1#").skip(1).map(|body| body.lines().next().unwrap()).collect();
            let due = ["ab", "cde", "", ""].iter().zip(first + 1..).map(|(body, number)| format!("{number}:{body}"));
            assert_eq!(
                bodies.iter().map(|body| body.replace("HTTP/1.1 200 OK", "")).collect::<Vec<_>>(),
                due.collect::<Vec<_>>()
            );
        }
    }

    #[tokio::test]
    async fn a15_a_head_that_does_not_arrive_frees_the_connection() {
        let limits = ListenerLimits { head_timeout: Duration::from_millis(30), connections_max: 1, ..ListenerLimits::DEFAULT };
        let running = start(limits).await;
        for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: h\r\n"] {
            let answer = read_to_close(connect(running.address, begun.as_bytes()).await).await;
            assert!(matches!(status(&answer), "" | "408"), "{begun}: {answer}");
        }
        let answer = read_to_close(connect(running.address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await).await;
        assert_eq!(status(&answer), "200", "an idle connection is closed after its answer: {answer}");
    }

    #[tokio::test]
    async fn above_the_cap_a_connection_waits_for_a_free_place() {
        let running = start(ListenerLimits { connections_max: 1, ..ListenerLimits::DEFAULT }).await;
        let first = connect(running.address, b"GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        running.entered.notified().await;
        let mut second = connect(running.address, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        let mut byte = [0; 1];
        assert!(tokio::time::timeout(Duration::from_millis(50), second.read(&mut byte)).await.is_err());
        running.release.notify_one();
        assert!(read_to_close(first).await.ends_with("waited"));
        assert!(read_to_close(second).await.ends_with("127.0.0.1#1:"));
    }

    #[tokio::test]
    async fn at_the_stop_running_requests_end_and_idle_connections_close() {
        let running = start(ListenerLimits::DEFAULT).await;
        let busy = connect(running.address, b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").await;
        running.entered.notified().await;
        let mut idle = connect(running.address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).await.unwrap();
        running.stop.send(true).unwrap();
        read_to_close(idle).await;
        assert!(!running.task.is_finished());
        running.release.notify_one();
        assert!(read_to_close(busy).await.ends_with("waited"));
        assert_eq!(running.task.await.unwrap(), Drained::Completely);
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    #[tokio::test]
    async fn at_the_stop_requests_that_do_not_end_are_cut_off() {
        let running = start(ListenerLimits { drain_timeout: Duration::from_millis(1), ..ListenerLimits::DEFAULT }).await;
        let stuck = connect(running.address, b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").await;
        running.entered.notified().await;
        drop(running.stop);
        assert_eq!(running.task.await.unwrap(), Drained::CutOff { connections: 1 });
        assert_eq!(read_to_close(stuck).await, "");
    }
}
