//! What a stop, a kill and a start leave as it was, and what a start refuses.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use server::verify::verify;
use uuid::Uuid;

use crate::process::{Process, expect_failure, run, scrip};
use crate::world::{GUIDE_DATE, Session, make_key};

/// Everything a client can see that must survive.
async fn seen(process: &Process, investment: &str) -> Vec<Value> {
    let (issuer, distributor) = (process.issuer().await, process.distributor().await);
    let product = process.handout.product_id;
    let mut seen = Vec::new();
    for (session, path) in [
        (&issuer, format!("/issuer/v2/products/{product}/campaigns/")),
        (&issuer, "/issuer/v2/investments/".to_owned()),
        (&distributor, "/distributor/v2/products/".to_owned()),
        (&distributor, "/distributor/v2/investments/".to_owned()),
        (&distributor, format!("/distributor/v2/investments/{investment}/")),
        (&distributor, format!("/distributor/v2/investments/{investment}/credits/")),
        (&distributor, format!("/distributor/v2/investments/{investment}/signed-documents/")),
    ] {
        seen.push(session.get(&path).await.expect(200).body);
    }
    let clock: Value =
        process.http.get(format!("{}/sandbox/clock/", process.handout.url)).send().await.unwrap().json().await.unwrap();
    seen.push(clock["ahead_seconds"].clone());
    seen
}

async fn campaign(process: &Process) -> String {
    let campaign = json!({
        "distribution_platform_id": process.handout.distribution_platform_id,
        "allocation": 100_000,
        "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
        "min_number_of_tokens": 1, "max_number_of_tokens": 100, "name": "Restarted",
        "legal_persons_allowed": true, "natural_persons_allowed": true,
        "country": "DEU", "rule_type": "public_offering", "is_campaign_active": true
    });
    let path = format!("/issuer/v2/products/{}/campaigns/", process.handout.product_id);
    process.issuer().await.post(&path, &campaign).await.expect(201).id()
}

/// A paid investment's body.
async fn investment(process: &Process, session: &Session) -> Value {
    let mut documents = Vec::new();
    for document_type in ["effecta_cryptoregistry_tos", "effecta_document"] {
        let id = session.upload(&format!("{document_type}.pdf")).await.expect(201).id();
        documents.push(json!({"document_type": document_type, "document_id": id}));
    }
    json!({
        "investor_id": process.handout.investor_id, "campaign_id": campaign(process).await, "units": 10,
        "signed_at": GUIDE_DATE, "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": process.handout.wallet_id,
        "signed_documents": documents,
    })
}

/// The same sandbox, but for its address.
#[track_caller]
fn assert_same(process: &Process, before: &server::handout::Handout) {
    let expected = server::handout::Handout { url: process.handout.url.clone(), ..before.clone() };
    assert_eq!(process.handout, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_credentials_balances_ledger_and_clock_survive_a_stop_and_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = Process::start(folder.path(), &[]).await;
    let handout = process.handout.clone();
    let session = process.distributor().await;
    let id = session.post("/distributor/v2/investments/", &investment(&process, &session).await).await.expect(201).id();
    let credit = session.post_empty(&format!("/distributor/v2/investments/{id}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(&id, &credit).await["status"], "succeeded");
    let advance = process.http.post(format!("{}/sandbox/clock/", handout.url)).json(&json!({"advance": "P3D"}));
    assert_eq!(advance.send().await.unwrap().status(), 200);
    let before = seen(&process, &id).await;
    assert_eq!(before.last().unwrap(), 3 * 24 * 60 * 60);
    for is_killed in [false, true, false] {
        if is_killed {
            process.kill();
        } else {
            process.terminate();
            assert!(process.ended().await.success());
        }
        assert_eq!(verify(&data, None).await.unwrap().units, 10, "killed: {is_killed}");
        process = Process::start(folder.path(), &[]).await;
        assert_same(&process, &handout);
        assert_eq!(seen(&process, &id).await, before, "killed: {is_killed}");
    }
    // A token from before the stops still opens the doors.
    let mut session = session;
    session.url = process.handout.url.clone();
    session.get(&format!("/distributor/v2/investments/{id}/")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_created_while_the_sandbox_runs_can_sign_in_at_once_and_be_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(folder.path(), &[]).await;
    let create = |kind: &str, name: &str| run(&["client", "create", "--kind", kind, "--organisation", name], &data);
    let first = printed(&create("distributor", "Neue Plattform AG"));
    let second = printed(&create("distributor", "Neue Plattform AG"));
    assert_eq!(first["organisation_id"], second["organisation_id"], "the organisation is known by now");
    assert_ne!(first["client_id"], second["client_id"]);
    let members: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(members, ["client_id", "client_secret", "organisation_id"]);
    for client in [&first, &second] {
        let session = sign_in(&process, client).await;
        assert_eq!(session.get("/distributor/v2/investments/").await.expect(200).body["count"], 0);
    }
    let client_id = first["client_id"].as_str().unwrap();
    let revoked = printed(&run(&["client", "revoke", "--client-id", client_id], &data));
    assert_eq!(revoked, json!({"client_id": client_id, "revoked": true}));
    verify(&data, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b13_a_start_that_cannot_be_says_why_and_exits_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(folder.path(), &[]).await;
    let address = process.handout.url.strip_prefix("http://").unwrap().strip_suffix("/api").unwrap().to_owned();
    expect_failure(&sandbox(&data, "127.0.0.1:0"), "in use");
    let other = folder.path().join("other");
    expect_failure(&sandbox(&other, &address), &format!("{address} cannot be listened on"));
    // Neither try disturbed the one that runs.
    process.distributor().await.get("/distributor/v2/products/").await.expect(200);
    process.terminate();
    assert!(process.ended().await.success());

    let key = data.join("root.key");
    let secret = std::fs::read(&key).unwrap();
    for unreadable in ["", "not hexadecimal", &"0".repeat(63)] {
        std::fs::write(&key, unreadable).unwrap();
        expect_failure(&sandbox(&data, "127.0.0.1:0"), "the root key");
    }
    std::fs::write(&key, "1".repeat(64)).unwrap();
    expect_failure(&sandbox(&data, "127.0.0.1:0"), "was written with another key");
    let create = ["client", "create", "--kind", "issuer", "--organisation", "Other Key GmbH"];
    expect_failure(&run(&create, &data), "was written with another key");
    std::fs::write(&key, secret).unwrap();

    let blocks = data.join("ledger/blocks.log");
    let _none = std::fs::remove_file(data.join("ledger/state.snapshot"));
    let bytes = std::fs::read(&blocks).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    std::fs::write(&blocks, damaged).unwrap();
    expect_failure(&sandbox(&data, "127.0.0.1:0"), "the ledger: ");
    std::fs::write(&blocks, bytes).unwrap();

    let database = data.join("scrip.sqlite");
    let kept = std::fs::read(&database).unwrap();
    std::fs::write(&database, b"This is no database.").unwrap();
    expect_failure(&sandbox(&data, "127.0.0.1:0"), "the database: ");
    std::fs::write(&database, kept).unwrap();

    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    expect_failure(&sandbox(&file, "127.0.0.1:0"), &file.display().to_string());
    let nothing = run(&["verify"], &folder.path().join("nothing"));
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("nothing/root.key"));

    // Everything was put back: it starts again.
    let process = Process::start(folder.path(), &[]).await;
    process.terminate();
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_rpc_is_served_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = scrip(&["sandbox", "--listen", "127.0.0.1:0", "--ledger-rpc", "0.0.0.0:0", "--data"]);
    let output = command.arg(folder.path().join("data")).env("SCRIP_LOG", "warn").output().unwrap();
    expect_failure(&output, "--ledger-rpc takes loopback addresses only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_keeps_everything_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path(), &[]).await;
    let mut acknowledged: Vec<String> = Vec::new();
    for _stop in 0..3 {
        let session = process.distributor().await;
        let body = investment(&process, &session).await;
        let http = process.http.clone();
        let clients: Vec<_> =
            (0..16).map(|_| tokio::spawn(create_until_gone(http.clone(), session.clone(), body.clone()))).collect();
        let count = || async { session.get("/distributor/v2/investments/").await.expect(200).body["count"].as_u64().unwrap() };
        let enough = acknowledged.len() as u64 + 64;
        while count().await < enough {}
        process.terminate();
        assert!(process.ended().await.success());
        for client in clients {
            acknowledged.extend(client.await.unwrap());
        }
        process = Process::start(folder.path(), &[]).await;
    }
    let session = process.distributor().await;
    assert!(acknowledged.len() > 128, "{} creates", acknowledged.len());
    for id in &acknowledged {
        session.get(&format!("/distributor/v2/investments/{id}/")).await.expect(200);
    }
    process.terminate();
    assert!(process.ended().await.success());
    verify(&folder.path().join("data"), None).await.unwrap();
}

/// Creates until the program is gone, and gives what was acknowledged.
async fn create_until_gone(http: reqwest::Client, session: Session, body: Value) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let request = http.post(format!("{}/distributor/v2/investments/", session.url)).bearer_auth(&session.token);
        let Ok(answer) = request.header("X-Idempotency-Key", make_key()).json(&body).send().await else { return ids };
        let status = answer.status();
        let Ok(text) = answer.text().await else { return ids };
        match status.as_u16() {
            201 => ids.push(serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned()),
            503 => return ids,
            other => panic!("{other}: {text}"),
        }
    }
}

async fn sign_in(process: &Process, client: &Value) -> Session {
    let credentials = serde_json::from_value(client.clone()).unwrap();
    Session::sign_in(&process.http, &process.handout.url, &credentials, Uuid::nil(), None).await
}

fn sandbox(data: &Path, listen: &str) -> Output {
    run(&["sandbox", "--listen", listen], data)
}

#[track_caller]
fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
