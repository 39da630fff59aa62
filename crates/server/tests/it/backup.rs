//! Backup and restore: a drill under load, damaged and foreign backups, places that are not empty, a kill half-way, what a
//! thief reads, the other engine, and a database that is older than its ledger.

mod refused;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};
use server::backup::{BackupOrder, RestoreOrder, back_up, restore};
use server::verify::verify;

use crate::process::{Process, run, scrip};
use crate::world::{GUIDE_DATE, Session, World, database_of, make_key};

const INVESTMENTS: &str = "/distributor/v2/investments/";
/// How often something is looked for before a test is given up; together a minute.
const POLLS_MAX: u32 = 6_000;

/// A database of the engine that the environment names, empty, for a folder; `None` for the embedded one.
pub fn empty_database_of(folder: &Path) -> Option<String> {
    database_of(folder).map(|_migrated| empty_server_database())
}

/// A new database of the server without any table.
fn empty_server_database() -> String {
    cluster::shared().unwrap().create_database(&format!("empty_{}", make_key().replace('-', "_")), None).unwrap()
}

/// A command on a data folder and its database.
pub fn command(arguments: &[&str], data: &Path, database: Option<&str>) -> Output {
    let url = database.map(|url| ["--database", url]);
    run(&[arguments, url.as_ref().map_or(&[], |url| url.as_slice())].concat(), data)
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn manifest_of(backup: &Path) -> Value {
    serde_json::from_slice::<Value>(&std::fs::read(backup.join("manifest.json")).unwrap()).unwrap()["manifest"].clone()
}

/// What has been acknowledged so far.
#[derive(Clone, Default)]
struct Acknowledged {
    investments: Arc<Mutex<Vec<String>>>,
    credits: Arc<Mutex<Vec<String>>>,
}

impl Acknowledged {
    fn investments(&self) -> Vec<String> {
        self.investments.lock().unwrap().clone()
    }

    fn credits(&self) -> Vec<String> {
        self.credits.lock().unwrap().clone()
    }

    /// Waits until so many investments and credits have come after these.
    async fn await_further(&self, count: usize) {
        let (investments, credits) = (self.investments().len(), self.credits().len());
        for _poll in 0..POLLS_MAX {
            if self.investments().len() >= investments + count && self.credits().len() >= credits + count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the load stands still");
    }
}

/// A paid investment's body, on a campaign of its own.
pub async fn paid_body(process: &Process, session: &Session) -> Value {
    let campaign = json!({
        "distribution_platform_id": process.handout.distribution_platform_id,
        "allocation": 500_000, "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
        "min_number_of_tokens": 1, "max_number_of_tokens": 100, "name": "Backed up",
        "legal_persons_allowed": true, "natural_persons_allowed": true,
        "country": "DEU", "rule_type": "public_offering", "is_campaign_active": true
    });
    let path = format!("/issuer/v2/products/{}/campaigns/", process.handout.product_id);
    let campaign = process.issuer().await.post(&path, &campaign).await.expect(201).id();
    let mut documents = Vec::new();
    for document_type in ["effecta_cryptoregistry_tos", "effecta_document"] {
        let id = session.upload(&format!("{document_type}.pdf")).await.expect(201).id();
        documents.push(json!({"document_type": document_type, "document_id": id}));
    }
    json!({
        "investor_id": process.handout.investor_id, "campaign_id": campaign, "units": 1,
        "signed_at": GUIDE_DATE, "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": process.handout.wallet_id,
        "signed_documents": documents,
    })
}

/// Creates and has credited until the program is gone.
async fn load_until_gone(http: reqwest::Client, session: Session, body: Value, told: Acknowledged) {
    let post = |path: String| {
        let request = http.post(format!("{}{path}", session.url)).bearer_auth(&session.token);
        request.header("X-Idempotency-Key", make_key())
    };
    loop {
        let Ok(answer) = post(INVESTMENTS.to_owned()).json(&body).send().await else { return };
        let (status, Ok(text)) = (answer.status(), answer.text().await) else { return };
        assert_eq!(status, 201, "{text}");
        let id = serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned();
        told.investments.lock().unwrap().push(id.clone());
        let Ok(answer) = post(format!("{INVESTMENTS}{id}/credits/")).send().await else { return };
        if answer.status() == 201 && answer.bytes().await.is_ok() {
            told.credits.lock().unwrap().push(id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_what_was_acknowledged_before_a_backup_under_load_is_there_after_a_kill_and_a_restore() {
    let (lost, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, database) = (lost.path().join("data"), database_of(lost.path()));
    let process = Process::start_on_engine(lost.path()).await;
    let session = process.distributor().await;
    let body = paid_body(&process, &session).await;
    let told = Acknowledged::default();
    let clients: Vec<_> = (0..8)
        .map(|_| tokio::spawn(load_until_gone(process.http.clone(), session.clone(), body.clone(), told.clone())))
        .collect();
    told.await_further(40).await;
    let (investments, credits) = (told.investments(), told.credits());
    let to = restored.path().join("backup");
    let taken = {
        let (data, database, to) = (data.clone(), database.clone(), to.clone());
        let backup = move || command(&["backup", "--to", to.to_str().unwrap()], &data, database.as_deref());
        tokio::task::spawn_blocking(backup).await.unwrap()
    };
    assert!(succeeded(&taken).starts_with("backed up to"), "{taken:?}");
    told.await_further(20).await;
    process.kill();
    for client in clients {
        client.await.unwrap();
    }

    let (new_data, new_database) = (restored.path().join("data"), empty_database_of(restored.path()));
    let key = data.join("root.key");
    let arguments = ["restore", "--from", to.to_str().unwrap(), "--root-key", key.to_str().unwrap()];
    assert!(succeeded(&command(&arguments, &new_data, new_database.as_deref())).contains("and verified"));
    let report = verify(&new_data, new_database.as_deref()).await.unwrap();
    let manifest = manifest_of(&to);
    assert_eq!(manifest["journal_sequence"], report.journal_entries);
    let head = std::fs::read_to_string(restored.path().join("data.head")).unwrap();
    assert_eq!(head.split_whitespace().nth(1), manifest["journal_hash"].as_str());

    let url = new_database.clone();
    let options = url.as_ref().map(|url| ["--database", url]);
    let process = Process::start(restored.path(), options.as_ref().map_or(&[], |options| options.as_slice())).await;
    let session = process.distributor().await;
    for id in &investments {
        session.get(&format!("{INVESTMENTS}{id}/")).await.expect(200);
    }
    // What was on its way goes on, and new orders reach the ledger.
    let further = session.post(INVESTMENTS, &body).await.expect(201).id();
    session.post_empty(&format!("{INVESTMENTS}{further}/credits/")).await.expect(201);
    for id in credits.iter().chain([&further]) {
        delivered(&session, id).await;
    }
    process.terminate();
    assert!(process.ended().await.success());
    let after = verify(&new_data, new_database.as_deref()).await.unwrap();
    assert!(after.issues > credits.len() as u64, "{after}");
}

async fn delivered(session: &Session, id: &str) {
    for _poll in 0..POLLS_MAX {
        let found = session.get(&format!("{INVESTMENTS}{id}/")).await.expect(200);
        if found.body["status"] == "DELIVERED" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("investment {id} is not delivered");
}

/// A stopped sandbox with a delivered investment, and a backup of it.
struct Backed {
    folder: tempfile::TempDir,
    database: Option<String>,
    backup: PathBuf,
}

impl Backed {
    async fn new(world: World, with_root_key: bool) -> Self {
        let campaign = world.campaign(json!({})).await;
        let investment = world.paid_investment(&campaign).await;
        let session = world.distributor().await;
        let credit = session.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
        assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
        let database = database_of(world.folder.path());
        let folder = world.stop().await;
        let backup = folder.path().join("backup");
        let order = BackupOrder {
            data: folder.path().join("data"),
            database: database.clone(),
            documents: None,
            to: backup.clone(),
            with_root_key,
        };
        let taken = tokio::task::spawn_blocking(move || back_up(&order, &ProgressBar::hidden())).await.unwrap();
        assert!(taken.unwrap().rows > 0);
        Self { folder, database, backup }
    }

    fn root_key(&self) -> PathBuf {
        self.folder.path().join("data").join("root.key")
    }

    /// Restores into a folder that is made for it.
    async fn restore_to(&self, folder: &Path, database: Option<String>) {
        let (data, root_key) = (folder.join("data"), Some(self.root_key()));
        restore(&RestoreOrder { from: self.backup.clone(), data, database, root_key }, &ProgressBar::hidden()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_a_backup_of_one_engine_is_restored_into_the_other_and_back() {
    let embedded = Backed::new(World::start_embedded().await, false).await;
    let report = verify(&embedded.folder.path().join("data"), None).await.unwrap();
    assert!(report.issues == 1 && report.documents == 2, "{report}");
    let (there, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = empty_server_database();
    embedded.restore_to(there.path(), Some(url.clone())).await;
    let data = there.path().join("data");
    assert_eq!(verify(&data, Some(&url)).await.unwrap(), report);
    let again = there.path().join("backup");
    succeeded(&command(&["backup", "--to", again.to_str().unwrap()], &data, Some(&url)));
    let arguments = ["restore", "--from", again.to_str().unwrap(), "--root-key"];
    let key = embedded.root_key();
    succeeded(&command(&[arguments.as_slice(), &[key.to_str().unwrap()]].concat(), &back.path().join("data"), None));
    assert_eq!(verify(&back.path().join("data"), None).await.unwrap(), report);
    // A server takes up where the other engine was.
    let process = Process::start(there.path(), &["--database", &url]).await;
    let session = process.distributor().await;
    assert_eq!(session.get(INVESTMENTS).await.expect(200).body["count"], 1);
    let body = paid_body(&process, &session).await;
    let id = session.post(INVESTMENTS, &body).await.expect(201).id();
    session.post_empty(&format!("{INVESTMENTS}{id}/credits/")).await.expect(201);
    delivered(&session, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_a_stolen_backup_holds_no_personal_data_and_no_secret_in_the_clear() {
    const CANARY: &str = "Canary-Lindqvist";
    let world = World::start().await;
    let platform = world.handout.distribution_platform_id;
    world.investor(platform, domain::investor::PersonKind::Natural, true).await;
    let content = format!("%PDF-1.7 subscription of {CANARY} %%EOF");
    let session = world.distributor().await;
    let name = format!("{CANARY}.pdf");
    session.upload_bytes("/distributor/v2/documents/", &name, content.into_bytes(), &make_key()).await.expect(201);
    let issuer_secret = world.handout.issuer.client_secret.clone();
    let backed = Backed::new(world, false).await;
    let root_key = std::fs::read_to_string(backed.root_key()).unwrap();
    let documents = backed.folder.path().join("data/documents/stored");
    assert!(files_hold(&documents, CANARY), "the canary is where it should be looked for");
    for secret in [CANARY, &root_key, &issuer_secret] {
        assert!(!files_hold(&backed.backup, secret), "{secret} lies open");
    }
    assert!(!backed.backup.join("root.key").exists());
}

fn files_hold(folder: &Path, text: &str) -> bool {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_a_backup_that_was_asked_to_hold_the_root_key_is_restored_without_another() {
    let backed = Backed::new(World::start().await, true).await;
    let place = tempfile::tempdir().unwrap();
    let (data, database) = (place.path().join("data"), backed.database.as_ref().map(|_| empty_server_database()));
    let output = command(&["restore", "--from", backed.backup.to_str().unwrap()], &data, database.as_deref());
    assert!(succeeded(&output).contains("and verified"));
    assert_eq!(std::fs::read(data.join("root.key")).unwrap(), std::fs::read(backed.root_key()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_a_backup_that_is_killed_leaves_nothing_that_restore_takes() {
    let backed = Backed::new(World::start().await, true).await;
    let data = backed.folder.path().join("data");
    let place = tempfile::tempdir().unwrap();
    let mut partial = 0;
    for pause in 0..12_u64 {
        let to = place.path().join(format!("backup-{pause}"));
        let mut killed = scrip(&["backup", "--to", to.to_str().unwrap(), "--data", data.to_str().unwrap()]);
        killed.args(backed.database.iter().flat_map(|url| ["--database", url]));
        let mut killed = killed.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause * pause));
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    for (number, entry) in std::fs::read_dir(place.path()).unwrap().enumerate() {
        let found = entry.unwrap().path();
        let is_partial = found.to_string_lossy().contains(".partial-");
        partial += usize::from(is_partial);
        let elsewhere = tempfile::tempdir().unwrap();
        let (data, database) = (elsewhere.path().join("data"), backed.database.as_ref().map(|_| empty_server_database()));
        let key = backed.root_key();
        let arguments = ["restore", "--from", found.to_str().unwrap(), "--root-key", key.to_str().unwrap()];
        let restored = command(&arguments, &data, database.as_deref());
        // Only what has its manifest, which comes last, is a backup, and then it is whole.
        let said = String::from_utf8_lossy(&restored.stderr).into_owned();
        assert!(restored.status.success() || said.contains("is no backup"), "{number}: {}: {said}", found.display());
        assert!(restored.status.success() || is_partial, "{} has its name", found.display());
        assert_eq!(data.exists(), restored.status.success());
    }
    println!("{partial} of 12 were cut off half-way");
}

/// Until a database can learn from its ledger what it has forgotten, it signs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn k15_a_database_that_is_older_than_its_ledger_takes_over_what_the_ledger_knows() {
    let world = World::start_embedded().await;
    let campaign = world.campaign(json!({})).await;
    let folder = world.stop().await;
    let (data, older) = (folder.path().join("data"), folder.path().join("older.sqlite"));
    store::sqlite::Database::open(&data).unwrap().copy_to(&older).unwrap();
    let world = World::start_in(folder, |_| {}).await;
    let readiness = |world: &World| {
        let (http, address) = (world.http.clone(), world.running.address);
        async move { http.get(format!("http://{address}/readyz")).send().await.unwrap() }
    };
    assert_eq!(readiness(&world).await.status(), 200);
    let ahead = world.paid_investment(&campaign).await;
    let session = world.distributor().await;
    let credit = session.post_empty(&format!("{INVESTMENTS}{ahead}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(&ahead, &credit).await["status"], "succeeded");
    let folder = world.stop().await;
    for suffix in ["-wal", "-shm"] {
        let _none = std::fs::remove_file(data.join(format!("scrip.sqlite{suffix}")));
    }
    std::fs::rename(&older, data.join("scrip.sqlite")).unwrap();
    // With or without the head that is kept outside: it goes on from what the ledger knows.
    std::fs::remove_file(folder.path().join("data.head")).unwrap();

    let world = World::start_in(folder, |_| {}).await;
    assert_eq!(readiness(&world).await.status(), 200);
    let session = world.distributor().await;
    let mut found = session.get(&format!("{INVESTMENTS}{ahead}/")).await;
    for _poll in 0..POLLS_MAX {
        if found.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        found = session.get(&format!("{INVESTMENTS}{ahead}/")).await;
    }
    let found = found.expect(200).body;
    assert_eq!(found["status"], "DELIVERED", "{found}");
    let investment = world.paid_investment(&campaign).await;
    let credit = session.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
    let _folder = world.stop().await;
    let report = verify(&data, None).await.unwrap();
    assert_eq!(report.issues, 2);
}
