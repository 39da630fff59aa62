//! What restore and backup refuse, by name, with exit code 1, and before anything is touched.

use std::path::{Path, PathBuf};

use super::{Backed, command, empty_server_database, manifest_of, succeeded};
use crate::process::expect_failure;
use crate::world::World;

impl Backed {
    /// Says with which words a restore is refused, and that it left nothing.
    #[track_caller]
    fn expect_refusal(&self, backup: &Path, key: &Path, words: &str) {
        let place = tempfile::tempdir().unwrap();
        let database = self.database.as_ref().map(|_| empty_server_database());
        let data = place.path().join("data");
        let arguments = ["restore", "--from", backup.to_str().unwrap(), "--root-key", key.to_str().unwrap()];
        let refused = command(&arguments, &data, database.as_deref());
        expect_failure(&refused, words);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "something was written");
        if let Some(url) = database {
            assert!(store::dump::EmptyDatabase::open(&store::Place::Server(url)).is_ok(), "the database was touched");
        }
    }

    /// A copy of the backup in which something is changed.
    fn copy(&self, into: &Path, change: impl FnOnce(&Path)) -> PathBuf {
        let copy = into.join("copy");
        let _none = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(&self.backup).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        change(&copy);
        copy
    }
}

fn flip_byte_in_the_middle(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_a_damaged_or_foreign_backup_is_refused_by_name_before_anything_is_touched() {
    let backed = Backed::new(World::start().await, false).await;
    let (copies, key) = (tempfile::tempdir().unwrap(), backed.root_key());
    let parts = manifest_of(&backed.backup)["parts"].as_array().unwrap().clone();
    let files = std::fs::read_dir(&backed.backup).unwrap().count();
    assert_eq!(files, parts.len() + 1, "nothing but the parts and the manifest");
    for part in &parts {
        let name = part["name"].as_str().unwrap();
        let flipped = backed.copy(copies.path(), |copy| flip_byte_in_the_middle(&copy.join(name)));
        backed.expect_refusal(&flipped, &key, &format!("part {name} is damaged"));
        let cut = backed.copy(copies.path(), |copy| std::fs::remove_file(copy.join(name)).unwrap());
        backed.expect_refusal(&cut, &key, &format!("part {name} is missing"));
    }
    let manifest = "manifest.json";
    let no_manifest = backed.copy(copies.path(), |copy| std::fs::remove_file(copy.join(manifest)).unwrap());
    backed.expect_refusal(&no_manifest, &key, "is no backup");
    let change = |from: &str, to: &str| {
        backed.copy(copies.path(), |copy| {
            let text = std::fs::read_to_string(copy.join(manifest)).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(copy.join(manifest), text.replacen(from, to, 1)).unwrap();
        })
    };
    backed.expect_refusal(&change("\"format\": 1", "\"format\": 2"), &key, "the backup has format 2");
    backed.expect_refusal(&change("\"format\": 1", "\"format\": \"one\""), &key, "is no backup");
    backed.expect_refusal(&change("\"blocks\": ", "\"blocks\": 1"), &key, "or its manifest was changed");
    let other = copies.path().join("other.key");
    std::fs::write(&other, "1".repeat(64)).unwrap();
    backed.expect_refusal(&backed.backup, &other, "was made with another root key");
    backed.expect_refusal(&backed.backup, &copies.path().join("none.key"), "none.key");

    let data = copies.path().join("data");
    let without_key = command(&["restore", "--from", backed.backup.to_str().unwrap()], &data, backed.database.as_deref());
    expect_failure(&without_key, "name its file with --root-key");
    assert!(!data.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_a_backup_of_a_newer_schema_is_refused() {
    let backed = Backed::new(World::start().await, false).await;
    let sql = "INSERT INTO schema_version (version, compatible_from) VALUES (99, 1)";
    let data = backed.folder.path().join("data");
    match &backed.database {
        None => drop(rusqlite::Connection::open(data.join("scrip.sqlite")).unwrap().execute(sql, []).unwrap()),
        Some(url) => {
            let name = url.strip_prefix("postgres:///").unwrap().split('?').next().unwrap();
            drop(cluster::shared().unwrap().execute(name, sql).unwrap());
        }
    }
    let newer = backed.folder.path().join("newer");
    succeeded(&command(&["backup", "--to", newer.to_str().unwrap()], &data, backed.database.as_deref()));
    backed.expect_refusal(&newer, &backed.root_key(), "has schema 99, made by a newer program");
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_nothing_is_restored_or_backed_up_over_something_that_is_there() {
    let backed = Backed::new(World::start().await, true).await;
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let from = ["restore", "--from", backed.backup.to_str().unwrap()];
    let database = backed.database.as_ref().map(|_| empty_server_database());
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("notes.txt"), "").unwrap();
    expect_failure(&command(&from, &data, database.as_deref()), "is not empty: it holds notes.txt");
    std::fs::remove_file(data.join("notes.txt")).unwrap();

    // A head that knows of more: what came after the backup would be lost without a word.
    let head = place.path().join("data.head");
    let later = backed.folder.path().join("data.head");
    let kept = std::fs::read_to_string(&later).unwrap();
    let more = kept.split_whitespace().next().unwrap().parse::<u64>().unwrap() + 1;
    sign_head(&backed.root_key(), &head, more);
    expect_failure(&command(&from, &data, database.as_deref()), &format!("says that journal entry {more} was written"));
    std::fs::remove_file(&head).unwrap();

    if let Some(taken) = &backed.database {
        expect_failure(&command(&from, &data, Some(taken)), "the database is not empty: it has a table");
    }
    let to = ["backup", "--to", backed.backup.to_str().unwrap()];
    let source = backed.folder.path().join("data");
    expect_failure(&command(&to, &source, backed.database.as_deref()), "exists already");

    // The empty folder and database are taken in the end.
    succeeded(&command(&from, &data, database.as_deref()));
}

/// A head as the instance would have kept it at an entry.
fn sign_head(root_key: &Path, path: &Path, sequence: u64) {
    use server::entropy::Entropy;
    use server::jobs::head;
    use server::keyring::Keyring;
    let keyring = Keyring::open(root_key, &mut Entropy::from_seed([0; 32])).unwrap();
    head::write(path, &keyring, domain::journal::Head { sequence, hash: [7; 32] }).unwrap();
}
