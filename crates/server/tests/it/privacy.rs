//! Personal data: one operation shows it, nothing else does, and without its key it is gone.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::investor::PersonKind;
use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};
use server::verify::verify;
use uuid::Uuid;

use crate::access::catalogue::{guarded, mutating};
use crate::access::side::Side;
use crate::idempotency::database_in;
use crate::process::{Process, log_path, run};
use crate::world::{GUIDE_DATE, Session, World, make_key, merged};

/// In the personal data of every investor that these tests create.
const CANARY: &str = "Canary-Lindqvist";

/// The ways in which a text may stand in a file.
fn spellings() -> Vec<(&'static str, Vec<u8>)> {
    let utf16 = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("text", CANARY.as_bytes().to_vec()),
        ("surname", b"Lindqvist".to_vec()),
        ("UTF-16", utf16),
        ("hexadecimal", hex::encode(CANARY).into_bytes()),
        // Whatever stands before it shifts base64 by zero, one or two bytes; the middle of each is the same.
        ("base64", STANDARD.encode(CANARY).as_bytes()[..20].to_vec()),
        ("base64, one byte on", STANDARD.encode(format!("x{CANARY}")).as_bytes()[4..20].to_vec()),
        ("base64, two bytes on", URL_SAFE_NO_PAD.encode(format!("xx{CANARY}")).as_bytes()[4..20].to_vec()),
    ]
}

/// Searches every file below a folder, and gives how many there are.
fn assert_nowhere_in(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_nowhere_in(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for (spelling, needle) in spellings() {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{} holds it as {spelling}", path.display());
        }
        files += 1;
    }
    files
}

#[test]
fn the_search_finds_every_spelling() {
    for (spelling, needle) in spellings() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below").join("file"), [b"before", needle.as_slice(), b"after"].concat()).unwrap();
        let found = std::panic::catch_unwind(|| assert_nowhere_in(folder.path()));
        assert!(found.is_err(), "{spelling} is not found");
    }
}

/// Every act that concerns an investor, and refusals of some, through a program in a process of its own.
async fn act(distributor: &Session, side: &Side) {
    let post = async |path: &str, body: &Value| distributor.post(path, body).await;
    let path = "/distributor/v2/investments/";
    let paid = {
        let documents = [("effecta_cryptoregistry_tos", "a.pdf"), ("effecta_document", "b.pdf")];
        let mut signed = Vec::new();
        for (document_type, name) in documents {
            let id = distributor.upload(name).await.expect(201).id();
            signed.push(json!({"document_type": document_type, "document_id": id}));
        }
        let facts = json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "signed_documents": signed});
        post(path, &merged(side.investment_body(), facts)).await.expect(201).id()
    };
    let credit = distributor.post_empty(&format!("{path}{paid}/credits/")).await.expect(201).id();
    assert_eq!(distributor.ended_credit(&paid, &credit).await["status"], "succeeded");
    distributor.post_empty(&format!("{path}{paid}/credits/")).await.expect(409);
    let ended = post(path, &side.investment_body()).await.expect(201).id();
    let cancellation = json!({"cancellation_date": GUIDE_DATE});
    post(&format!("{path}{ended}/cancellation/"), &cancellation).await.expect(200);
    post(&format!("{path}{ended}/cancellation/"), &cancellation).await.expect(409);
    // What a client says wrongly is not repeated in a log either.
    let wrong = merged(side.investment_body(), json!({"units": CANARY, CANARY: CANARY}));
    post(path, &wrong).await.expect(400);
    distributor.get(&format!("{path}?status={CANARY}")).await.expect(400);
    distributor.get(&format!("{path}{CANARY}/")).await.expect(404);
    distributor.send(Method::POST, path, Some(CANARY), Some(&wrong)).await.expect(400);
    distributor.get(&format!("/distributor/v2/investors/{}/", side.id("investor_id"))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_stands_in_no_file_and_no_log() {
    let world = World::start_embedded().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let folder = world.stop().await;
    let program = Process::start_logging(folder.path(), &[], "info").await;
    let mut distributor = program.distributor().await;
    distributor.token.clone_from(&side.distributor.token);
    act(&distributor, &side).await;
    let read = distributor.get(&format!("/distributor/v2/investors/{}/", side.id("investor_id"))).await.expect(200);
    assert_eq!(read.body["personal_data"], json!({"surname": CANARY}), "it is there, and this operation shows it");
    // The running program's write-ahead log and the head beside the data folder are searched too.
    assert!(assert_nowhere_in(folder.path()) > 10, "database, write-ahead log, ledger, documents, keys, log");
    for name in ["data/scrip.sqlite", "data/scrip.sqlite-wal", "data/ledger/blocks.log", "scrip.log"] {
        let length = std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(length > 0, "{name} is empty");
    }
    let logged = std::fs::read_to_string(log_path(folder.path())).unwrap();
    assert!(logged.lines().filter(|line| line.contains("scrip::access")).count() > 15, "{logged}");
    program.terminate();
    assert!(program.ended().await.success());
    assert_nowhere_in(folder.path());
    let verified = run(&["verify"], &folder.path().join("data"));
    assert!(verified.status.success());
    let printed = [verified.stdout, verified.stderr].concat();
    assert!(!String::from_utf8_lossy(&printed).contains("Lindqvist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reading_an_investor_shows_personal_data() {
    let world = World::start_embedded().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let mut shown = Vec::new();
    for operation in guarded() {
        let call = side.fresh(&operation).await;
        let key = operation.is_mutating().then(make_key);
        let reply = call.send(&world, side.caller(&operation), key.as_deref()).await;
        assert!(matches!(reply.status, 200 | 201), "{}: {}", operation.id, reply.text);
        let headers = format!("{:?}", reply.headers);
        assert!(!headers.contains("Lindqvist"), "{}", operation.id);
        if reply.text.contains("Lindqvist") {
            shown.push(operation.id);
        }
    }
    assert_eq!(shown, ["read_investor"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remembered_answers_about_an_investor_name_him_and_are_sealed() {
    let world = World::start_embedded().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let subject = Uuid::parse_str(&side.id("investor_id")).unwrap().as_bytes().to_vec();
    let mut sealed = Vec::new();
    for operation in mutating() {
        let (call, key) = (side.fresh(&operation).await, make_key());
        let reply = call.send(&world, side.caller(&operation), Some(&key)).await;
        let database = database_in(world.folder.path());
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'answer_*' ORDER BY name DESC";
        let table: String = database.query_row(sql, [], |row| row.get(0)).unwrap();
        let sql = format!("SELECT body, subject FROM {table} WHERE key = ?1");
        let (body, of): (Vec<u8>, Option<Vec<u8>>) =
            database.query_row(&sql, [&key], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let concerns_somebody = operation.template.contains("/investments/");
        assert_eq!(of.as_ref() == Some(&subject), concerns_somebody, "{}", operation.id);
        assert_eq!(body != reply.text.as_bytes(), concerns_somebody, "{}", operation.id);
        if concerns_somebody {
            sealed.push(operation.id);
        }
    }
    assert_eq!(sealed.len(), 5, "{sealed:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_personal_data_is_gone_and_everything_else_still_holds() {
    let world = World::start_embedded().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let other = world.investor(side.distributor.organisation_id, PersonKind::Natural, true).await;
    let path = |id: &str| format!("/distributor/v2/investors/{id}/");
    let before = side.distributor.get(&path(&side.id("investor_id"))).await.expect(200);
    assert_eq!(before.body["personal_data"]["surname"], CANARY);
    let data = world.folder.path().join("data");
    let whole = verify(&data, None).await.unwrap();
    let subject = Uuid::parse_str(&side.id("investor_id")).unwrap();
    let deleted =
        database_in(world.folder.path()).execute("DELETE FROM subject_key WHERE investor_id = ?1", [subject.as_bytes()]);
    assert_eq!(deleted.unwrap(), 1);
    let after = side.distributor.get(&path(&subject.to_string())).await.expect(200);
    assert_eq!(after.body, erased(&before.body), "null, and nothing else has changed");
    let neighbour = side.distributor.get(&path(&other.to_string())).await.expect(200);
    assert_eq!(neighbour.body["personal_data"]["surname"], CANARY, "each person has a key of its own");
    for list in ["/distributor/v2/investors/", "/distributor/v2/investments/"] {
        assert!(side.distributor.get(list).await.expect(200).body["count"].as_u64() > Some(0), "{list}");
    }
    let report = verify(&data, None).await.unwrap();
    assert_eq!((report.journal_entries, report.issues, report.units), (whole.journal_entries, whole.issues, whole.units));
    let folder = world.stop().await;
    verify(&folder.path().join("data"), None).await.unwrap();
    let world = World::start_in(folder, |_| {}).await;
    let side = side.moved_to(&world.handout.url);
    let again = side.distributor.get(&path(&subject.to_string())).await.expect(200);
    assert_eq!(again.body["personal_data"], Value::Null);
    world.tenant(OrganisationKind::Distributor, "The journal goes on").await;
    verify(&world.stop().await.path().join("data"), None).await.unwrap();
}

/// The body with its personal data erased.
fn erased(body: &Value) -> Value {
    let mut body = body.clone();
    body["personal_data"] = Value::Null;
    body
}
