//! The token endpoint and revocation (rows T05, T08, T09), and the limits of clients.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::ids::ClientId;
use domain::organisation::OrganisationKind;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use server::operations::client::RevokeClient;
use server::operations::sandbox::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Process, log_path, run};
use crate::world::{Reply, Session, World};

const TOKEN: &str = "/oauth/token";
const REVOKE: &str = "/oauth/revoke";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Sends a request to one of the two endpoints. Whatever it answers must not be kept by anybody.
async fn ask(path: &str, request: RequestBuilder) -> Reply {
    let reply = Reply::of(&Method::POST, path, request.send().await.unwrap()).await;
    if path == TOKEN {
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
    reply
}

fn form(credentials: &Credentials) -> Vec<(&'static str, String)> {
    vec![("client_id", credentials.client_id.to_string()), ("client_secret", credentials.client_secret.clone())]
}

fn with<'a>(pairs: &[(&'a str, String)], more: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    pairs.iter().cloned().chain(more).collect()
}

fn basic(credentials: &Credentials) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", credentials.client_id, credentials.client_secret)))
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_of_proving_oneself_give_a_token_that_works() {
    let world = World::start().await;
    let credentials = &world.handout.distributor;
    let post = || world.http.post(format!("{}{TOKEN}", world.handout.url));
    let all = "documents:write investments:read investments:write investors:read investors:write products:read";
    for request in [
        post().form(&with(&form(credentials), &[GRANT])),
        post().header("Authorization", basic(credentials)).form(&[GRANT]),
        post().header("Authorization", basic(credentials)).form(&[GRANT, ("client_id", &credentials.client_id.to_string())]),
        post().form(&with(&form(credentials), &[GRANT, ("scope", "")])),
        post().form(&with(&form(credentials), &[GRANT, ("resource", "a parameter that nobody knows")])),
    ] {
        let reply = ask(TOKEN, request).await.expect(200);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(reply.headers["pragma"], "no-cache");
        let token = reply.body["access_token"].as_str().unwrap();
        let expected = json!({"access_token": token, "token_type": "Bearer", "expires_in": 900, "scope": all});
        assert_eq!(reply.body, expected, "no scope means all of the client's");
        let mut session = world.distributor().await;
        token.clone_into(&mut session.token);
        session.get("/distributor/v2/products/").await.expect(200);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_the_scopes_that_were_asked_for_and_no_other() {
    let world = World::start().await;
    let credentials = &world.handout.distributor;
    let scoped = async |scope: &str| {
        let form = with(&form(credentials), &[GRANT, ("scope", scope)]);
        ask(TOKEN, world.http.post(format!("{}{TOKEN}", world.handout.url)).form(&form)).await
    };
    for (asked, granted) in [
        ("investors:read", "investors:read"),
        ("investors:read investments:read", "investments:read investors:read"),
        ("investors:read investors:read", "investors:read"),
    ] {
        assert_eq!(scoped(asked).await.expect(200).body["scope"], granted);
    }
    for unknown in
        ["investors:erase", "investors:read unknown", "products:write", "registrar:read", "*", "INVESTORS:READ", "\"", "\u{e9}"]
    {
        assert_oauth_error(&scoped(unknown).await, 400, "invalid_scope", unknown);
    }
    let session = world.session(credentials, world.handout.distribution_platform_id, Some("investors:read")).await;
    session.get("/distributor/v2/investors/").await.expect(200);
    session.get("/distributor/v2/investments/").await.expect(403);
    world.stop().await;
}

#[track_caller]
fn assert_oauth_error(reply: &Reply, status: u16, code: &str, at: &str) {
    assert_eq!((reply.status, reply.body["error"].as_str()), (status, Some(code)), "{at}: {}", reply.text);
    assert_eq!(reply.headers["content-type"], "application/json", "{at}");
    assert_eq!(reply.headers["pragma"], "no-cache", "{at}");
    let members: Vec<&String> = reply.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["error", "error_description"], "{at}");
    let description = reply.body["error_description"].as_str().unwrap();
    assert!(description.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'), "{at}: {description}");
    let challenge = reply.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
    let due = (status == 401).then_some("Basic realm=\"scrip\", charset=\"UTF-8\"");
    assert_eq!(challenge, due, "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t09_the_token_endpoint_refuses_in_the_form_of_rfc_6749() {
    let world = World::start().await;
    let (me, other) = (&world.handout.distributor, &world.handout.issuer);
    let post = || world.http.post(format!("{}{TOKEN}", world.handout.url));
    let mine = form(me);
    let body = |text: String| post().header("Content-Type", "application/x-www-form-urlencoded").body(text);
    let encoded = format!("client_id={}&client_secret={}", me.client_id, me.client_secret);
    let wrong = Credentials { client_secret: other.client_secret.clone(), ..me.clone() };
    let nobody = Credentials { client_id: uuid::Uuid::nil(), ..me.clone() };
    let both = "both ways at once";
    for (at, request, status, code) in [
        ("no grant", post().form(&mine), 400, "invalid_request"),
        ("another grant", post().form(&with(&mine, &[("grant_type", "authorization_code")])), 400, "unsupported_grant_type"),
        (
            "the password grant",
            post().form(&with(&mine, &[("grant_type", "password"), ("username", "ada"), ("password", "secret")])),
            400,
            "unsupported_grant_type",
        ),
        ("a refresh token", post().form(&with(&mine, &[("grant_type", "refresh_token")])), 400, "unsupported_grant_type"),
        ("JSON", post().json(&json!({"grant_type": "client_credentials"})), 400, "invalid_request"),
        ("no content type", post().body(format!("{encoded}&grant_type=client_credentials")), 400, "invalid_request"),
        ("a multipart form", post().multipart(reqwest::multipart::Form::new().text("a", "b")), 400, "invalid_request"),
        (both, post().header("Authorization", basic(me)).form(&with(&mine, &[GRANT])), 400, "invalid_request"),
        ("two clients", post().header("Authorization", basic(other)).form(&with(&mine, &[GRANT])), 400, "invalid_request"),
        (
            "grant twice",
            body(format!("{encoded}&grant_type=client_credentials&grant_type=client_credentials")),
            400,
            "invalid_request",
        ),
        ("secret twice", body(format!("{encoded}&client_secret=x&grant_type=client_credentials")), 400, "invalid_request"),
        ("a broken encoding", body(format!("{encoded}&grant_type=%zz")), 400, "invalid_request"),
        ("no client", post().form(&[GRANT]), 401, "invalid_client"),
        ("no secret", post().form(&[GRANT, ("client_id", &me.client_id.to_string())]), 401, "invalid_client"),
        ("another's secret", post().form(&with(&form(&wrong), &[GRANT])), 401, "invalid_client"),
        ("another's secret, Basic", post().header("Authorization", basic(&wrong)).form(&[GRANT]), 401, "invalid_client"),
        ("an unknown client", post().form(&with(&form(&nobody), &[GRANT])), 401, "invalid_client"),
        ("a client id that is none", post().form(&[GRANT, ("client_id", "me"), ("client_secret", "x")]), 401, "invalid_client"),
        ("Basic without a colon", post().header("Authorization", "Basic YQ==").form(&[GRANT]), 401, "invalid_client"),
        ("a bearer token", post().header("Authorization", "Bearer abc").form(&[GRANT]), 401, "invalid_client"),
    ] {
        assert_oauth_error(&ask(TOKEN, request).await, status, code, at);
    }
    let query = format!("{}{TOKEN}?{encoded}&grant_type=client_credentials", world.handout.url);
    let in_query = world.http.post(&query).header("Content-Type", "application/x-www-form-urlencoded");
    assert_oauth_error(&ask(TOKEN, in_query).await, 400, "invalid_request", "the secret in the query");
    assert_eq!(world.http.get(&query).send().await.unwrap().status(), 405, "GET would put the secret into logs");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_client_and_a_wrong_secret_are_answered_alike() {
    let world = World::start().await;
    let me = &world.handout.distributor;
    let try_as = async |client_id: String| {
        let pairs = [GRANT, ("client_id", &client_id), ("client_secret", "wrong")];
        ask(TOKEN, world.http.post(format!("{}{TOKEN}", world.handout.url)).form(&pairs)).await
    };
    let (known, unknown) = (try_as(me.client_id.to_string()).await, try_as(uuid::Uuid::nil().to_string()).await);
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    world.stop().await;
}

async fn revoke(world: &World, credentials: &Credentials, token: &str) -> Reply {
    let request = world.http.post(format!("{}{REVOKE}", world.handout.url));
    ask(REVOKE, request.form(&with(&form(credentials), &[("token", token), ("token_type_hint", "access_token")]))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn t05_a_client_revokes_its_own_tokens_and_nobody_elses() {
    let world = World::start().await;
    let (mine, another) = (world.distributor().await, world.distributor().await);
    let foreign = world.issuer().await;
    let works = async |session: &Session, path: &str| session.get(path).await.status;
    let (read, foreign_read) = ("/distributor/v2/products/", "/issuer/v2/products/");
    for token in ["garbage", "a.b.c", &"x".repeat(5_000), &foreign.token] {
        revoke(&world, &world.handout.distributor, token).await.expect(200);
    }
    assert_eq!(works(&foreign, foreign_read).await, 200, "another client's token is not revoked, and that is no error");
    assert_eq!(works(&mine, read).await, 200);
    for _again in 0..2 {
        revoke(&world, &world.handout.distributor, &mine.token).await.expect(200);
        let refused = mine.get(read).await.expect(401);
        assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"scrip\", error=\"invalid_token\"");
    }
    assert_eq!(works(&another, read).await, 200, "another token of the same client goes on working");
    let post = || world.http.post(format!("{}{REVOKE}", world.handout.url));
    let mine_form = form(&world.handout.distributor);
    assert_oauth_error(&ask(REVOKE, post().form(&mine_form)).await, 400, "invalid_request", "no token");
    assert_oauth_error(&ask(REVOKE, post().form(&[("token", &another.token)])).await, 401, "invalid_client", "no client");
    assert_eq!(works(&another, read).await, 200);
    let world = World::start_in(world.stop().await, |_| {}).await;
    let mut kept = world.distributor().await;
    kept.token.clone_from(&mine.token);
    kept.get(read).await.expect(401);
    kept.token.clone_from(&another.token);
    kept.get(read).await.expect(200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t05_a_revoked_client_loses_its_secret_at_once_and_its_tokens_with_the_next_refresh() {
    let world = World::start().await;
    let (gone, stays) =
        (world.tenant(OrganisationKind::Distributor, "Gone").await, world.tenant(OrganisationKind::Distributor, "Stays").await);
    gone.get("/distributor/v2/products/").await.expect(200);
    let office = &world.running.office;
    let revocation = RevokeClient { client_id: ClientId::new(gone.credentials.client_id) };
    let began = Instant::now();
    office.desk.run(revocation, office.clock.now()).await.unwrap();
    let request = world.http.post(format!("{}{TOKEN}", world.handout.url)).form(&with(&form(&gone.credentials), &[GRANT]));
    assert_oauth_error(&ask(TOKEN, request).await, 401, "invalid_client", "a revoked client");
    let refused = loop {
        let reply = gone.get("/distributor/v2/products/").await;
        if reply.status != 200 {
            break reply.expect(401);
        }
        assert!(began.elapsed().as_secs() < 20, "the directory is refreshed every fifteen seconds");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"scrip\", error=\"invalid_token\"");
    stays.get("/distributor/v2/products/").await.expect(200);
    world.stop().await;
}

/// A client that connects from another address of this machine.
fn from_address(last: u8) -> reqwest::Client {
    reqwest::Client::builder().local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn t08_guessing_secrets_is_throttled_for_that_client_and_that_peer_and_is_audited() {
    let folder = tempfile::tempdir().unwrap();
    let program = Process::start_logging(folder.path(), &[], "info").await;
    let url = format!("{}{TOKEN}", program.handout.url);
    let (victim, bystander) = (&program.handout.distributor, &program.handout.issuer);
    let attempt = async |http: &reqwest::Client, client_id: String, secret: String| {
        let pairs = [GRANT, ("client_id", &client_id), ("client_secret", &secret)];
        ask(TOKEN, http.post(&url).form(&pairs)).await
    };
    let honest = async |http: &reqwest::Client, credentials: &Credentials| {
        attempt(http, credentials.client_id.to_string(), credentials.client_secret.clone()).await
    };
    for _call in 0..50 {
        honest(&program.http, victim).await.expect(200);
    }
    let (guesser, began) = (from_address(2), Instant::now());
    let (mut looked_at, mut last) = (0, None);
    for guess in 0..10_000_u32 {
        let reply = attempt(&guesser, victim.client_id.to_string(), format!("{guess:064x}")).await;
        match reply.status {
            401 => looked_at += 1,
            429 => last = Some(reply),
            other => panic!("{other}: {}", reply.text),
        }
    }
    assert!((10..=11 + began.elapsed().as_secs() / 6).contains(&looked_at), "ten a minute are looked at, not {looked_at}");
    assert_too_many(&last.unwrap());
    assert_too_many(&honest(&program.http, victim).await);
    honest(&guesser, bystander).await.expect(200);
    let other_peer = from_address(3);
    let mut statuses = Vec::new();
    for number in 1..=40_u128 {
        statuses.push(attempt(&other_peer, uuid::Uuid::from_u128(number).to_string(), "x".to_owned()).await.status);
    }
    let peer_failures = statuses.iter().filter(|status| **status == 401).count();
    assert!((30..=32).contains(&peer_failures), "thirty a minute of one peer: {statuses:?}");
    assert_too_many(&honest(&other_peer, bystander).await);
    honest(&program.http, bystander).await.expect(200);
    let said = std::fs::read_to_string(log_path(folder.path())).unwrap();
    let audited = said.lines().filter(|line| line.contains("client_authentication_failed")).count();
    assert_eq!(audited as u64, looked_at + peer_failures as u64, "every failure is in the log");
    assert_no_secret_at_rest(folder.path(), victim);
    program.kill();
}

#[track_caller]
fn assert_too_many(reply: &Reply) {
    assert_eq!((reply.status, reply.body["code"].as_str()), (429, Some("too_many_requests")), "{}", reply.text);
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

/// Secrets have 256 random bits, so their SHA-256 is kept and nothing else.
fn assert_no_secret_at_rest(folder: &std::path::Path, credentials: &Credentials) {
    let mut found = 0;
    for entry in std::fs::read_dir(folder.join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let is_there = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!is_there(credentials.client_secret.as_bytes()), "{}", path.display());
            assert!(!is_there(&hex::decode(&credentials.client_secret).unwrap()), "{}", path.display());
            found += u32::from(is_there(credentials.client_id.as_bytes()));
        }
    }
    assert!(found > 0, "the client itself is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_limited_for_the_client_that_makes_too_many() {
    let world = World::start_in(tempfile::tempdir().unwrap(), |settings| {
        settings.calls_per_second = std::num::NonZeroU32::new(100);
    })
    .await;
    let (busy, calm) = (world.distributor().await, world.issuer().await);
    // Refused for its API, so that a call costs little more than its token.
    let request = format!("GET /api/issuer/v2/products/ HTTP/1.1\r\nHost: scrip\r\nAuthorization: Bearer {}\r\n\r\n", busy.token);
    let floods = (0..4).map(|_| tokio::spawn(flood(world.running.address, request.clone(), 3_000)));
    let mut answered = (0, 0);
    for flood in floods.collect::<Vec<_>>() {
        let text = flood.await.unwrap();
        answered.0 += text.matches("HTTP/1.1 403").count();
        answered.1 += text.matches("HTTP/1.1 429").count();
        if let Some((_, after)) = text.split_once("HTTP/1.1 429") {
            assert!(after.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{}", &after[..400]);
        }
    }
    assert!(answered.0 >= 200, "the burst is let through: {answered:?}");
    assert!(answered.1 > 0, "more than a hundred a second are too many: {answered:?}");
    assert_eq!(answered.0 + answered.1, 12_000);
    calm.get("/issuer/v2/products/").await.expect(200);
    world.stop().await;
}

/// Sends a request so often over one connection without waiting, and gives everything that was answered.
async fn flood(address: std::net::SocketAddr, request: String, times: usize) -> String {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let last = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    let sending = tokio::spawn(async move {
        writing.write_all(format!("{}{last}", request.repeat(times - 1)).as_bytes()).await.unwrap();
        writing
    });
    let mut answers = Vec::new();
    reading.read_to_end(&mut answers).await.unwrap();
    drop(sending.await.unwrap());
    String::from_utf8(answers).unwrap()
}

/// Runs `scrip client …` on the data of a world, and gives what it printed.
fn scrip_client(world: &World, arguments: &[&str]) -> Value {
    let output = run(&[&["client"], arguments].concat(), &world.folder.path().join("data"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_created_beside_a_running_sandbox_work_at_once() {
    let world = World::start_embedded().await;
    let mut organisations = Vec::new();
    for (kind, path) in [
        ("issuer", "/issuer/v2/products/"),
        ("distributor", "/distributor/v2/products/"),
        ("registrar", "/distributor/v2/products/"),
        ("distributor", "/distributor/v2/investors/"),
    ] {
        let created = scrip_client(&world, &["create", "--kind", kind, "--organisation", "Nordlicht"]);
        let members: Vec<&String> = created.as_object().unwrap().keys().collect();
        assert_eq!(members, ["client_id", "client_secret", "organisation_id"]);
        let id = |name: &str| created[name].as_str().unwrap().parse().unwrap();
        let credentials =
            Credentials { client_id: id("client_id"), client_secret: created["client_secret"].as_str().unwrap().to_owned() };
        let session = world.session(&credentials, id("organisation_id"), None).await;
        let reply = session.get(path).await;
        if kind == "registrar" {
            reply.expect(403);
        } else {
            assert_eq!(reply.expect(200).body["count"], 0, "a new tenant has nothing");
        }
        organisations.push((kind, session.organisation_id));
    }
    assert_eq!(organisations[1], organisations[3], "a second client of the same platform");
    world.distributor().await.get("/distributor/v2/products/").await.expect(200);
    let gone = scrip_client(&world, &["create", "--kind", "issuer", "--organisation", "Gone"]);
    let revoked = scrip_client(&world, &["revoke", "--client-id", gone["client_id"].as_str().unwrap()]);
    assert_eq!(revoked, json!({"client_id": gone["client_id"], "revoked": true}));
    let pairs =
        [GRANT, ("client_id", gone["client_id"].as_str().unwrap()), ("client_secret", gone["client_secret"].as_str().unwrap())];
    let request = world.http.post(format!("{}{TOKEN}", world.handout.url)).form(&pairs);
    assert_oauth_error(&ask(TOKEN, request).await, 401, "invalid_client", "a revoked client");
    world.stop().await;
}
