//! Migrations as an operator meets them: a step of their own, a database of the first schema with everything in it, a
//! schema that a newer program has changed.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde_json::json;
use server::backup::{BackupOrder, RestoreOrder, back_up, restore};
use server::verify::verify;

use crate::process::{Process, expect_failure, scrip};
use crate::world::{GUIDE_DATE, World, database_of};

const INVESTMENTS: &str = "/distributor/v2/investments/";

/// A command on the data folder of a test and its database.
fn command(arguments: &[&str], folder: &Path, database: Option<&str>) -> std::process::Output {
    let mut command = scrip(arguments);
    command.arg("--data").arg(folder.join("data")).env("SCRIP_LOG", "warn");
    command.args(database.into_iter().flat_map(|url| ["--database", url])).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn b16_migrating_can_be_a_step_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let database = database_of(folder.path())
        .map(|_migrated| cluster::shared().unwrap().create_database("migrated_as_a_step", None).unwrap());
    let serve = ["serve", "--no-migrate", "--listen", "127.0.0.1:0"];
    let words = if database.is_some() { "`scrip migrate` brings it up to date" } else { "scrip.sqlite" };
    expect_failure(&command(&serve, folder.path(), database.as_deref()), words);
    for _twice in 0..2 {
        let migrated = command(&["migrate"], folder.path(), database.as_deref());
        let said = String::from_utf8_lossy(&migrated.stdout).into_owned();
        assert!(migrated.status.success());
        assert_eq!(said.trim(), format!("the database has schema {}", store::SchemaVersion::of_program()));
    }
    let options = ["--no-migrate"].into_iter().chain(database.iter().flat_map(|url| ["--database", url.as_str()]));
    let process = Process::start(folder.path(), &options.collect::<Vec<_>>()).await;
    process.distributor().await.get(INVESTMENTS).await.expect(200);
}

/// The present program stands for the older one: another has migrated, and only expanded.
#[tokio::test(flavor = "multi_thread")]
async fn b16_a_program_goes_on_and_starts_again_while_a_newer_one_has_expanded_the_schema() {
    let world = World::start().await;
    let campaign = world.campaign(json!({})).await;
    let newer = store::SchemaVersion::of_program() + 1;
    let expand = |compatible_from: i64| {
        format!(
            "DELETE FROM schema_version WHERE version = {newer};
            INSERT INTO schema_version (version, compatible_from) VALUES ({newer}, {compatible_from})"
        )
    };
    let database = database_of(world.folder.path());
    let (data, url) = (world.folder.path().join("data"), database.clone());
    let execute = move |sql: &str| match &url {
        None => rusqlite::Connection::open(data.join("scrip.sqlite")).unwrap().execute_batch(sql).unwrap(),
        Some(url) => {
            let name = url.strip_prefix("postgres:///").unwrap().split('?').next().unwrap();
            drop(cluster::shared().unwrap().execute(name, sql).unwrap());
        }
    };
    let number = if database.is_some() { "bigint" } else { "INTEGER" };
    execute(&format!("ALTER TABLE investment ADD COLUMN added_later {number}"));
    execute("CREATE TABLE added_later (id TEXT NOT NULL PRIMARY KEY)");
    execute(&expand(newer - 1));
    let before = world.paid_investment(&campaign).await;
    let world = World::start_in(world.stop().await, |settings| settings.upkeep = store::Upkeep::Refuse).await;
    let session = world.distributor().await;
    let after = world.paid_investment(&campaign).await;
    for investment in [before, after] {
        let credit = session.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
        assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
    }
    let folder = world.stop().await;
    assert_eq!(verify(&folder.path().join("data"), database.as_deref()).await.unwrap().issues, 2);
    execute(&expand(newer));
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    expect_failure(&command(&serve, folder.path(), database.as_deref()), "made by a newer program");
}

/// Where a backup lies that the program of a schema made: a sandbox with a delivered, a paid and an aborted investment, and
/// its root key. `SCRIP_WRITE_DOCS=1` makes the one of the present schema where it is missing.
fn backup_of_schema(version: i64) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/migrations/backup-of-schema-{version}"))
}

async fn make_backup(to: PathBuf) {
    let world = World::start_embedded().await;
    let campaign = world.campaign(json!({})).await;
    let session = world.distributor().await;
    let delivered = world.paid_investment(&campaign).await;
    let credit = session.post_empty(&format!("{INVESTMENTS}{delivered}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(&delivered, &credit).await["status"], "succeeded");
    world.paid_investment(&campaign).await;
    let aborted = world.investment(&campaign, json!({})).await.expect(201).id();
    let cancellation = json!({"cancellation_date": GUIDE_DATE});
    session.post(&format!("{INVESTMENTS}{aborted}/cancellation/"), &cancellation).await.expect(200);
    let data = world.stop().await;
    let order = BackupOrder { data: data.path().join("data"), database: None, documents: None, to, with_root_key: true };
    let taken = tokio::task::spawn_blocking(move || back_up(&order, &ProgressBar::hidden())).await.unwrap();
    println!("{}", taken.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_a_database_of_every_earlier_schema_is_brought_up_to_date_with_everything_in_it() {
    let own = store::SchemaVersion::of_program();
    if std::env::var_os("SCRIP_WRITE_DOCS").is_some() && !backup_of_schema(own).exists() {
        make_backup(backup_of_schema(own)).await;
    }
    let versions: Vec<i64> = (1..=own).filter(|version| backup_of_schema(*version).exists()).collect();
    assert!(versions.contains(&1), "the first schema's backup is missing");
    for version in versions {
        bring_up_to_date(version).await;
    }
}

async fn bring_up_to_date(version: i64) {
    let folder = tempfile::tempdir().unwrap();
    let database = database_of(folder.path())
        .map(|_migrated| cluster::shared().unwrap().create_database(&format!("of_schema_{version}"), None).unwrap());
    let data = folder.path().join("data");
    let from = backup_of_schema(version);
    let order = RestoreOrder { from, data: data.clone(), database: database.clone(), root_key: None };
    // Taken in with the schema that it states, then migrated, then verified.
    restore(&order, &ProgressBar::hidden()).await.unwrap();
    let migrated = command(&["migrate"], folder.path(), database.as_deref());
    let expected = format!("the database has schema {}", store::SchemaVersion::of_program());
    assert_eq!(String::from_utf8_lossy(&migrated.stdout).trim(), expected);
    let options: Vec<&str> = database.iter().flat_map(|url| ["--database", url.as_str()]).collect();
    let process = Process::start(folder.path(), &options).await;
    let session = process.distributor().await;
    let page = session.get(INVESTMENTS).await.expect(200).body;
    let rows = page["results"].as_array().unwrap();
    let mut statuses: Vec<&str> = rows.iter().map(|row| row["status"].as_str().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["ABORTED", "DELIVERED", "PAID"], "schema {version}");
    let id = rows.iter().find(|row| row["status"] == "PAID").unwrap()["id"].as_str().unwrap();
    let credit = session.post_empty(&format!("{INVESTMENTS}{id}/credits/")).await.expect(201).id();
    assert_eq!(session.ended_credit(id, &credit).await["status"], "succeeded");
    process.terminate();
    assert!(process.ended().await.success());
    assert_eq!(verify(&data, database.as_deref()).await.unwrap().issues, 2);
}
