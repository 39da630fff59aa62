//! Rows I05, I06, I07 and I12: lost answers and killed programs.

use std::net::SocketAddr;

use rusqlite::Connection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::database_in;
use super::effects::{Before, assert_executed, assert_replayed, entries_of, settle, stored_documents, until};
use crate::access::call::{Call, Payload};
use crate::access::catalogue::{Operation, mutating};
use crate::access::side::Side;
use crate::process::Process;
use crate::world::{Session, World, keep_embedded, make_key};

/// A request as the bytes that go over the wire.
fn bytes_of(call: &Call, token: &str, key: &str) -> Vec<u8> {
    let (content_type, body) = match &call.payload {
        Payload::Empty => (String::new(), Vec::new()),
        Payload::Json(body) => ("Content-Type: application/json\r\n".to_owned(), body.to_string().into_bytes()),
        Payload::File { name, media_type, bytes } => {
            let head = format!(
                "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"
            );
            let body = [head.as_bytes(), bytes, b"\r\n--cut--\r\n"].concat();
            ("Content-Type: multipart/form-data; boundary=cut\r\n".to_owned(), body)
        }
    };
    let head = format!(
        "{} /api{} HTTP/1.1\r\nHost: scrip\r\nAuthorization: Bearer {token}\r\nX-Idempotency-Key: {key}\r\n{content_type}\
         Content-Length: {}\r\n\r\n",
        call.method,
        call.path(),
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// Sends a request and leaves its answer unread.
async fn send_only(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn i05_a_lost_answer_is_given_again_and_the_request_has_one_effect() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    for operation in mutating() {
        let (call, session) = (side.fresh(&operation).await, side.caller(&operation));
        let key = make_key();
        let before = Before::of(&world, &side, &operation, &call).await;
        let sequence = world.running.office.archive.journal_head().unwrap().sequence;
        let stream = send_only(world.running.address, &bytes_of(&call, &session.token, &key)).await;
        until(|| (world.running.office.archive.journal_head().unwrap().sequence > sequence).then_some(())).await;
        drop(stream);
        let retried = call.send(&world, session, Some(&key)).await;
        assert!(retried.is_replay(), "{}: it had committed: {}", operation.id, retried.text);
        assert!(matches!(retried.status, 200 | 201), "{}", retried.text);
        before.assert_executed(1, &world, &side, &operation, &call).await;
        settle(session, &operation, &retried).await;
        cut_at_once(&world, &side, &operation).await;
    }
    world.stop().await;
}

/// Cuts the connection while the request is on its way or being worked on: whether it was executed is not known then.
async fn cut_at_once(world: &World, side: &Side, operation: &Operation) {
    let session = side.caller(operation);
    for _round in 0..5 {
        let (call, key) = (side.fresh(operation).await, make_key());
        let before = Before::of(world, side, operation, &call).await;
        drop(send_only(world.running.address, &bytes_of(&call, &session.token, &key)).await);
        let first = call.send(world, session, Some(&key)).await;
        assert!(matches!(first.status, 200 | 201), "{}: {}", operation.id, first.text);
        assert_replayed(&first, &call.send(world, session, Some(&key)).await, operation.id);
        settle(session, operation, &first).await;
        before.assert_executed(1, world, side, operation, &call).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i05_a_repeated_upload_whose_connection_is_cut_leaves_no_bytes_behind() {
    let world = World::start_embedded().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let operation = mutating().into_iter().find(|operation| operation.id == "distributor_upload_document").unwrap();
    let (call, key) = (side.fresh(&operation).await, make_key());
    let before = Before::of(&world, &side, &operation, &call).await;
    assert_executed(&call.send(&world, &side.distributor, Some(&key)).await, operation.id);
    let files = stored_documents(&world);
    let database = database_in(world.folder.path());
    // The desk has to wait, so that the connection is cut while the repeat waits for its answer.
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let stream = send_only(world.running.address, &bytes_of(&call, &side.distributor.token, &key)).await;
    until(|| (stored_documents(&world) == files + 2).then_some(())).await;
    drop(stream);
    for _look in 0..50 {
        side.distributor.get("/distributor/v2/products/").await.expect(200);
    }
    database.execute_batch("ROLLBACK").unwrap();
    until(|| (stored_documents(&world) == files).then_some(())).await;
    before.assert_executed(1, &world, &side, &operation, &call).await;
    world.stop().await;
}

/// A prepared request with the session that sends it and its key.
struct Prepared {
    operation: Operation,
    call: Call,
    session: Session,
    key: String,
}

/// Makes a request to every operation in a folder, and leaves the folder to another program.
async fn prepare(folder: tempfile::TempDir) -> (tempfile::TempDir, Vec<Prepared>) {
    // The other program is started on the folder alone.
    keep_embedded(folder.path());
    let world = World::start_in(folder, |_| {}).await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let mut prepared = Vec::new();
    for operation in mutating() {
        let (call, session) = (side.fresh(&operation).await, side.caller(&operation).clone());
        prepared.push(Prepared { operation, call, session, key: make_key() });
    }
    (world.stop().await, prepared)
}

impl Prepared {
    async fn send_only(&self, program: &Process) -> TcpStream {
        send_only(program.address(), &bytes_of(&self.call, &self.session.token, &self.key)).await
    }

    async fn send(&self, program: &Process) -> crate::world::Reply {
        let request = self.call.request(&program.http, &program.handout.url).bearer_auth(&self.session.token);
        self.call.reply(request.header("X-Idempotency-Key", &self.key)).await
    }
}

/// How many answers are remembered under these keys.
fn remembered(database: &Connection, prepared: &[Prepared]) -> usize {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'answer_*'";
    let mut statement = database.prepare(sql).unwrap();
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let count = |table: &String, key: &str| -> i64 {
        database.query_row(&format!("SELECT count(*) FROM {table} WHERE key = ?1"), [key], |row| row.get(0)).unwrap()
    };
    prepared.iter().filter(|one| tables.iter().any(|table| count(table, &one.key) == 1)).count()
}

/// Entries of the journal that the clients of these requests have made.
fn entries(database: &Connection, prepared: &[Prepared]) -> i64 {
    let mut clients: Vec<_> = prepared.iter().map(|one| one.session.credentials.client_id).collect();
    clients.sort_unstable();
    clients.dedup();
    let sql = "SELECT count(*) FROM journal WHERE actor = ?1";
    clients.iter().map(|id| -> i64 { database.query_row(sql, [id.as_bytes()], |row| row.get(0)).unwrap() }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn i06_i12_a_program_killed_before_the_commit_leaves_nothing_behind_and_the_retry_executes() {
    let (folder, prepared) = prepare(tempfile::tempdir().unwrap()).await;
    let database = database_in(folder.path());
    let before = entries(&database, &prepared);
    let program = Process::start(folder.path(), &[]).await;
    // Whoever holds the write lock keeps the program from committing.
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut streams = Vec::new();
    for one in &prepared {
        streams.push(one.send_only(&program).await);
    }
    let session = program.distributor().await;
    for _look in 0..50 {
        session.get("/distributor/v2/products/").await.expect(200);
    }
    program.kill();
    database.execute_batch("ROLLBACK").unwrap();
    drop(streams);
    assert_eq!((remembered(&database, &prepared), entries(&database, &prepared)), (0, before), "nothing persisted");
    let program = Process::start(folder.path(), &[]).await;
    for one in &prepared {
        let reply = one.send(&program).await;
        assert_executed(&reply, one.operation.id);
        assert_replayed(&reply, &one.send(&program).await, one.operation.id);
    }
    assert_executed_once(&database, &prepared, before);
    program.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn i07_a_program_killed_after_the_commit_has_kept_the_answer_and_the_retry_replays() {
    let (folder, prepared) = prepare(tempfile::tempdir().unwrap()).await;
    let database = database_in(folder.path());
    let before = entries(&database, &prepared);
    let program = Process::start(folder.path(), &[]).await;
    let mut streams = Vec::new();
    for one in &prepared {
        streams.push(one.send_only(&program).await);
    }
    until(|| (remembered(&database, &prepared) == prepared.len()).then_some(())).await;
    program.kill();
    drop(streams);
    let program = Process::start(folder.path(), &[]).await;
    for one in &prepared {
        let reply = one.send(&program).await;
        assert!(matches!(reply.status, 200 | 201), "{}: {}", one.operation.id, reply.text);
        assert!(reply.is_replay(), "{}", one.operation.id);
    }
    assert_executed_once(&database, &prepared, before);
    program.kill();
}

#[track_caller]
fn assert_executed_once(database: &Connection, prepared: &[Prepared], before: i64) {
    let due: usize = prepared.iter().map(|one| entries_of(&one.operation)).sum();
    assert_eq!(entries(database, prepared), before + i64::try_from(due).unwrap());
}
