//! The same request twice has one effect (rows I01–I14, T11), for every operation that changes something.

mod bodies;
mod cuts;
mod effects;
mod outcomes;
mod time;

use std::path::Path;
use std::time::Duration;

use domain::ids::OrganisationId;
use futures_util::future::join_all;
use reqwest::header::HeaderValue;
use rusqlite::Connection;
use server::operations::client::CreateClient;
use server::operations::sandbox::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::effects::{Before, assert_executed, assert_replayed, settle};
use crate::access::catalogue::mutating;
use crate::access::side::Side;
use crate::world::{Reply, World, make_key};

/// A connection of another program to the database of a folder.
pub fn database_in(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("data").join("scrip.sqlite")).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_runs_once_per_key() {
    one_after_the_other(3).await;
    all_at_once(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i01_ten_requests_with_one_key_have_one_effect_and_one_answer() {
    one_after_the_other(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i02_thirty_two_requests_at_once_with_one_key_have_one_effect_and_one_answer() {
    all_at_once(32).await;
}

async fn one_after_the_other(times: usize) {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    for operation in mutating() {
        let (call, key, session) = (side.fresh(&operation).await, make_key(), side.caller(&operation));
        let before = Before::of(&world, &side, &operation, &call).await;
        let first = call.send(&world, session, Some(&key)).await;
        assert_executed(&first, operation.id);
        for _repeat in 1..times {
            let again = call.send(&world, session, Some(&key)).await;
            assert_replayed(&first, &again, operation.id);
        }
        before.assert_executed(1, &world, &side, &operation, &call).await;
    }
    world.stop().await;
}

async fn all_at_once(times: usize) {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    for operation in mutating() {
        let (call, key, session) = (side.fresh(&operation).await, make_key(), side.caller(&operation));
        let before = Before::of(&world, &side, &operation, &call).await;
        let replies: Vec<Reply> = join_all((0..times).map(|_| call.send(&world, session, Some(&key)))).await;
        let (replayed, executed): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.is_replay());
        assert_eq!((executed.len(), replayed.len()), (1, times - 1), "{}", operation.id);
        assert_executed(executed[0], operation.id);
        for reply in replayed {
            assert_replayed(executed[0], reply, operation.id);
        }
        before.assert_executed(1, &world, &side, &operation, &call).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i04_a_key_is_one_to_255_visible_ascii_characters() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let long = "k".repeat(256);
    let refused: [&[u8]; 9] = [
        b"",
        long.as_bytes(),
        &[b'k'; 4_000],
        b"a b",
        b" ",
        b"a\tb",
        b"\x80",
        "schl\u{fc}ssel".as_bytes(),
        "\u{1f511}".as_bytes(),
    ];
    for operation in mutating() {
        let (call, session) = (side.fresh(&operation).await, side.caller(&operation));
        let before = Before::of(&world, &side, &operation, &call).await;
        let request = || call.request(&world.http, &world.handout.url).bearer_auth(&session.token);
        for key in refused {
            let reply = call.reply(request().header("X-Idempotency-Key", HeaderValue::from_bytes(key).unwrap())).await;
            assert_eq!(reply.status, 400, "{} with {key:?}: {}", operation.id, reply.text);
            reply.expect_fault("header:X-Idempotency-Key", "invalid_value");
        }
        let twice = call.reply(request().header("X-Idempotency-Key", "a").header("X-Idempotency-Key", "b")).await;
        assert_eq!(twice.status, 400, "{}: {}", operation.id, twice.text);
        if operation.method == reqwest::Method::POST {
            call.send(&world, session, None).await.expect_fault("header:X-Idempotency-Key", "missing");
        }
        for control in ["\0", "a\u{1}b", "a\u{7f}b", "\u{1b}[31m"] {
            let head = format!(
                "{} /api{} HTTP/1.1\r\nHost: scrip\r\nAuthorization: Bearer {}\r\nX-Idempotency-Key: {control}\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n",
                call.method,
                call.path(),
                session.token
            );
            let mut stream = TcpStream::connect(world.running.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{} with {control:?}: {answer}", operation.id);
        }
        before.assert_executed(0, &world, &side, &operation, &call).await;
        let longest = format!("{:~<255}", operation.id);
        assert_executed(&call.send(&world, session, Some(&longest)).await, operation.id);
        let other = side.fresh(&operation).await;
        assert_eq!(other.send(&world, session, Some(&longest)).await.status, 422, "{}: a key counts to its end", operation.id);
        let all_but_one = &longest[..254];
        assert_executed(&other.send(&world, session, Some(all_but_one)).await, operation.id);
        if operation.method == reqwest::Method::PATCH {
            assert_executed(&side.fresh(&operation).await.send(&world, session, None).await, operation.id);
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t11_a_key_belongs_to_one_client_of_one_tenant() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let other = Side::of_new_tenants(&world, "Other").await;
    let office = &world.running.office;
    for operation in mutating() {
        let key = make_key();
        let mut answers = Vec::new();
        for tenant in [&side, &other] {
            let call = tenant.fresh(&operation).await;
            let before = Before::of(&world, tenant, &operation, &call).await;
            let reply = call.send(&world, tenant.caller(&operation), Some(&key)).await;
            assert_executed(&reply, operation.id);
            before.assert_executed(1, &world, tenant, &operation, &call).await;
            settle(tenant.caller(&operation), &operation, &reply).await;
            answers.push((call, reply));
        }
        assert_ne!(answers[0].1.text, answers[1].1.text, "{}: nobody sees another's answer", operation.id);
        for (tenant, (call, first)) in [&side, &other].into_iter().zip(&answers) {
            let again = call.send(&world, tenant.caller(&operation), Some(&key)).await;
            assert_replayed(first, &again, operation.id);
        }
        let session = side.caller(&operation);
        let create = CreateClient { organisation_id: OrganisationId::new(session.organisation_id) };
        let created = office.desk.run(create, office.clock.now()).await.unwrap();
        let credentials = Credentials { client_id: created.client.id.uuid(), client_secret: created.secret };
        let colleague = world.session(&credentials, session.organisation_id, None).await;
        let reply = side.fresh(&operation).await.send(&world, &colleague, Some(&key)).await;
        assert_executed(&reply, operation.id);
    }
    world.stop().await;
}
