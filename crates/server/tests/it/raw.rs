//! What only a raw socket can send: odd heads, odd paths, bodies that do not arrive.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::input::Scene;
use crate::world::{Session, make_key};

/// Nothing waits this long; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_mins(2);

/// What came back before the connection was closed.
#[derive(Debug)]
pub struct Answer {
    /// The first answer's status; 0 where nothing came.
    pub status: u16,
    /// Everything that came.
    pub text: String,
    /// Whether the server closed the connection.
    pub is_closed: bool,
}

/// Sends bytes and reads until the server closes the connection.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    read_to_close(begun(address, request).await).await
}

async fn begun(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse and close before it has read everything.
    let _written = stream.write_all(request).await;
    stream
}

async fn read_to_close(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8_192];
    let reading = async {
        while let Ok(1..) = stream.read(&mut buffer).await.inspect(|count| bytes.extend_from_slice(&buffer[..*count])) {}
    };
    let is_closed = tokio::time::timeout(PATIENCE, reading).await.is_ok();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), text, is_closed }
}

/// The head of a POST that would create an investment, without its framing and its last line.
fn creating_head(session: &Session) -> String {
    let (token, key) = (&session.token, make_key());
    format!(
        "POST /api/distributor/v2/investments/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\
         X-Idempotency-Key: {key}\r\nContent-Type: application/json\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_a_body_framed_in_two_ways_is_400_closed_and_smuggles_nothing() {
    let scene = Scene::start().await;
    let address = scene.world.running.address;
    let body = scene.world.investment_body(&scene.campaign_id).to_string();
    let inner = format!("{}Content-Length: {}\r\n\r\n{body}", creating_head(&scene.distributor), body.len());
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let before = scene.head();
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 400\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n",
    ] {
        let request = format!("{}{fields}\r\n{chunks}{inner}", creating_head(&scene.distributor));
        let answer = exchange(address, request.as_bytes()).await;
        assert_eq!((answer.status, answer.is_closed), (400, true), "{fields}: {}", answer.text);
        assert_eq!(answer.text.matches("HTTP/1.1 ").count(), 1, "{fields}: {}", answer.text);
    }
    assert_eq!(scene.head(), before);
    // The same request, framed in one way, does create: what was refused above was the framing.
    let request = format!("{}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}", creating_head(&scene.distributor));
    assert_eq!(exchange(address, request.as_bytes()).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_header_bombs_and_malformed_fields_are_431_or_400_and_closed() {
    let scene = Scene::start().await;
    let address = scene.world.running.address;
    let token = &scene.distributor.token;
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let many = "X-Field: y\r\n".repeat(1_000);
    let long = format!("X-Field: {}\r\n", "y".repeat(64 * 1024));
    let name = format!("{}: y\r\n", "X".repeat(64 * 1024));
    for (fields, status) in [
        (format!("Host: h\r\n{bearer}{many}"), 431),
        (format!("Host: h\r\n{bearer}{long}"), 431),
        (format!("Host: h\r\n{bearer}{name}"), 431),
        (format!("Host: h\r\n{bearer}{bearer}"), 400),
        (format!("Host: h\r\n{bearer}Authorization: Bearer other\r\n"), 400),
        (format!("Host: h\r\n{bearer}Authorization: Basic eDp5\r\n"), 400),
        (format!("Host: h\r\nHost: h\r\n{bearer}"), 400),
        (format!("Host: evil.example/path\r\n{bearer}"), 400),
        (bearer.clone(), 400),
        (format!("Host: h\r\nAuthorization: Bearer\r\n {token}\r\n"), 400),
        (format!("Host: h\r\n{bearer}X-Field: a\r\n\tb\r\n"), 400),
        (format!("Host: h\r\n{bearer}X-Field: a\rb\r\n"), 400),
        (format!("Host: h\r\n{bearer}X-Field: a\0b\r\n"), 400),
        (format!("Host: h\r\n{bearer}X-Field: \x7f\r\n"), 400),
        (format!("Host: h\r\n{bearer}X Field: b\r\n"), 400),
        (format!("Host: h\r\n{bearer}X-Field : b\r\n"), 400),
        (format!("Host: h\r\n{bearer}: b\r\n"), 400),
        (format!("Host: h\r\n{bearer}no colon\r\n"), 400),
    ] {
        let request = format!("GET /api/distributor/v2/products/ HTTP/1.1\r\n{fields}\r\n");
        let answer = exchange(address, request.as_bytes()).await;
        let shown: String = fields.replace(token, "…").chars().take(70).collect();
        assert_eq!((answer.status, answer.is_closed), (status, true), "{shown:?}: {}", answer.text);
        assert!(!answer.text.contains(&scene.world.handout.product_id.to_string()), "{shown:?} was answered");
    }
    let long_path = format!("GET /api/distributor/v2/products/?cursor={} HTTP/1.1\r\nHost: h\r\n\r\n", "y".repeat(70_000));
    let answer = exchange(address, long_path.as_bytes()).await;
    assert!(matches!(answer.status, 400 | 414 | 431) && answer.is_closed, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a09_path_tricks_reach_no_other_resource() {
    let scene = Scene::start().await;
    let (product_id, campaign_id) = (scene.world.handout.product_id.to_string(), &scene.campaign_id);
    let upper = product_id.to_uppercase();
    let bare = product_id.replace('-', "");
    let long = "x/".repeat(10_000);
    let below = "/api/distributor/v2";
    for path in [
        format!("{below}/../../issuer/v2/products/"),
        format!("{below}/%2e%2e/%2e%2e/issuer/v2/products/"),
        format!("{below}/..%2f..%2fissuer%2fv2%2fproducts/"),
        format!("{below}/..;/issuer/v2/products/"),
        format!("{below}/./products/"),
        format!("{below}//products/"),
        format!("/{below}/products/"),
        format!("{below}/products//"),
        format!("{below}/products;a=b/"),
        format!("{below}/products/;a=b"),
        format!("{below}/products./"),
        format!("{below}/products.json"),
        format!("{below}%2Fproducts/"),
        format!("{below}/%70roducts%00/"),
        format!("{below}/Products/"),
        format!("{below}\\products/"),
        format!("{below}/products/{product_id}%2fcampaigns/"),
        format!("{below}/products/{product_id}/campaigns%2F{campaign_id}/"),
        format!("{below}/products/{product_id}%00/"),
        format!("{below}/products/{product_id}./"),
        format!("{below}/products/{product_id};x/"),
        format!("{below}/products/{{{product_id}}}/"),
        format!("{below}/products/urn:uuid:{product_id}/"),
        format!("{below}/products/{bare}/"),
        format!("{below}/products/1/"),
        format!("{below}/products/-1/"),
        format!("{below}/products/'%20OR%201=1--/"),
        format!("{below}/products/null/"),
        format!("{below}/products/*/"),
        format!("{below}/products/{product_id}/../{product_id}/"),
        format!("{below}/{long}"),
        "/API/distributor/v2/products/".to_owned(),
        format!("http://evil.example{below}/../../issuer/v2/products/"),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            scene.distributor.token
        );
        let answer = exchange(scene.world.running.address, request.as_bytes()).await;
        let shown: String = path.chars().take(80).collect();
        assert!(matches!(answer.status, 400 | 404), "{shown}: {}", answer.text);
        assert!(answer.text.contains("application/problem+json") || answer.status == 400, "{shown}: {}", answer.text);
        assert!(!answer.text.contains("\"results\"") && !answer.text.contains("asset_code"), "{shown}: {}", answer.text);
    }
    // Only the case of an id's digits is free (RFC 9562 section 4): the object is the same, under its one spelling.
    let reply = scene.distributor.get(&format!("/distributor/v2/products/{upper}/")).await.expect(200);
    assert_eq!(reply.body["id"], product_id);
}

/// Time is paused where the server waits for bytes that never come, so that its real limits pass at once. With nothing
/// else to do, the runtime's clock jumps to the next timer.
#[tokio::test]
async fn a15_bodies_that_do_not_arrive_are_408_after_the_read_timeout_and_free_their_place() {
    let scene = Scene::start().await;
    let address = scene.world.running.address;
    let before = scene.head();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let mut waiting = Vec::new();
    for (framing, begun_body) in [
        ("Content-Length: 100\r\nExpect: 100-continue\r\n", ""),
        ("Content-Length: 100\r\n", ""),
        ("Content-Length: 100\r\n", "{\"units\":"),
        (chunked, ""),
        (chunked, "1\r\n{\r\n"),
        (chunked, "9\r\n{\"uni"),
    ] {
        let request = format!("{}{framing}\r\n{begun_body}", creating_head(&scene.distributor));
        waiting.push((framing, begun(address, request.as_bytes()).await));
    }
    tokio::time::pause();
    for (framing, stream) in waiting {
        let answer = read_to_close(stream).await;
        assert!(answer.text.contains("HTTP/1.1 408 "), "{framing}: {}", answer.text);
        assert!(answer.is_closed && answer.text.contains("application/problem+json"), "{framing}: {}", answer.text);
    }
    tokio::time::resume();
    assert_eq!(scene.head(), before);
    scene.world.investment(&scene.campaign_id, serde_json::json!({})).await.expect(201);
}

#[tokio::test]
async fn a15_a_trickle_does_not_extend_the_read_timeout() {
    const READ_TIMEOUT_S: u64 = 10;
    let scene = Scene::start().await;
    let request = format!("{}Transfer-Encoding: chunked\r\n\r\n", creating_head(&scene.distributor));
    let mut stream = begun(scene.world.running.address, request.as_bytes()).await;
    tokio::time::pause();
    let started = Instant::now();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    // One chunk of one byte a second, for ever.
    loop {
        let pause = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await;
        match pause {
            Ok(Ok(count @ 1..)) => bytes.extend_from_slice(&buffer[..count]),
            Ok(Ok(0) | Err(_)) => break,
            Err(_nothing_yet) => {
                let _written = stream.write_all(b"1\r\n \r\n").await;
            }
        }
        assert!(started.elapsed().as_secs() < 3 * READ_TIMEOUT_S, "the trickle still runs");
    }
    let waited_s = started.elapsed().as_secs();
    let answer = String::from_utf8_lossy(&bytes);
    assert!(answer.contains("HTTP/1.1 408 "), "{answer}");
    assert!((READ_TIMEOUT_S - 1..=READ_TIMEOUT_S + 2).contains(&waited_s), "{waited_s} s");
    tokio::time::resume();
    scene.world.investment(&scene.campaign_id, serde_json::json!({})).await.expect(201);
}
