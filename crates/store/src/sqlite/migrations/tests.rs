//! Migrations of the embedded engine: killed at every statement, made twice, made by two, met by an older program.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use super::{keep_up, keep_up_by, version_of};
use crate::schema::tests::{statements, with_further};
use crate::schema::{MIGRATIONS, Migration, Upkeep};
use crate::sqlite::Database;
use crate::tests::Store;

/// Says to a process of this test that it is the one to die: the file, and the statement after which it dies.
const DYING: &str = "SCRIP_TEST_DIES_AFTER_STATEMENT";

fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection
}

fn versions(file: &Path) -> Vec<i64> {
    let connection = open(file);
    let mut statement = connection.prepare("SELECT version FROM schema_version ORDER BY version").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every table, index and trigger as it was made.
fn schema_of(file: &Path) -> Vec<(String, Option<String>)> {
    let connection = open(file);
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Makes one migration statement by statement, and dies after so many as `kill -9` would have it: nothing is cleaned up.
fn migrate_and_die(file: &Path, until: &[Migration], deadly: usize) {
    let made = keep_up_by(&mut open(file), until, Upkeep::Migrate, |step, script| {
        let is_last = until.last().is_some_and(|last| last.sqlite == script);
        for (number, statement) in statements(script).iter().enumerate() {
            if is_last && number == deadly {
                std::process::abort();
            }
            step.execute_batch(statement)?;
        }
        if is_last { std::process::abort() } else { Ok(()) }
    });
    made.unwrap();
}

#[test]
fn b15_a_migration_that_is_killed_at_any_statement_has_not_happened_and_is_made_afterwards() {
    if let Ok(dying) = std::env::var(DYING) {
        let parts: Vec<&str> = dying.split(' ').collect();
        let [version, deadly, file] = parts.as_slice() else { panic!("{dying}") };
        let until = &with_further(1)[..version.parse().unwrap()];
        return migrate_and_die(Path::new(file), until, deadly.parse().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let migrations = with_further(1);
    let whole = folder.path().join("whole");
    keep_up(&mut open(&whole), &migrations, Upkeep::Migrate).unwrap();
    for version in 1..=migrations.len() {
        let script = statements(migrations[version - 1].sqlite);
        assert!(!script.is_empty());
        for deadly in 0..=script.len() {
            let file = folder.path().join(format!("{version}-{deadly}"));
            let mut dying = Command::new(std::env::current_exe().unwrap());
            let name = std::thread::current().name().unwrap().to_owned();
            dying.args(["--exact", &name]).env(DYING, format!("{version} {deadly} {}", file.display()));
            let status = dying.output().unwrap().status;
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "it died by its own hand");
            let before = i64::try_from(version).unwrap() - 1;
            assert_eq!(version_of(&open(&file)).unwrap().version, before, "killed at statement {deadly}");
            for _twice in 0..2 {
                keep_up(&mut open(&file), &migrations, Upkeep::Migrate).unwrap();
                assert_eq!(schema_of(&file), schema_of(&whole), "killed at statement {deadly}");
            }
        }
    }
}

#[test]
fn b15_every_migration_is_made_once_when_many_open_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scrip.sqlite");
    let migrations = with_further(1);
    std::thread::scope(|scope| {
        let open = || Database::open_by(folder.path(), &migrations, Upkeep::Migrate).map(drop);
        let openings: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        for opening in openings {
            opening.join().unwrap().unwrap();
        }
    });
    assert_eq!(versions(&file), (1..=i64::try_from(migrations.len()).unwrap()).collect::<Vec<_>>());
}

#[test]
fn b16_an_older_program_starts_and_writes_while_the_newer_schema_only_expands() {
    let own = i64::try_from(MIGRATIONS.len()).unwrap();
    for (compatible_from, is_used) in [(1, true), (own, true), (own + 1, false)] {
        // A running program, and a newer one that migrates beside it.
        let mut store = Store::on_sqlite();
        store.settle_market();
        let folder = store.sqlite_folder().to_owned();
        Database::open_by(&folder, &with_further(compatible_from), Upkeep::Migrate).unwrap();
        store.put(|_, _| {}).unwrap();
        assert_eq!(store.reader.all_campaigns(None, 10).unwrap().len(), 2);
        for upkeep in [Upkeep::Migrate, Upkeep::Refuse] {
            match Database::open_with(&folder, upkeep) {
                Ok(database) => {
                    assert!(is_used, "compatible from {compatible_from}");
                    assert_eq!(database.schema_version().unwrap().version, own + 1, "it is left as it is");
                }
                Err(refused) => {
                    assert!(!is_used && refused.to_string().contains("made by a newer program"), "{refused}");
                }
            }
        }
    }
}

#[test]
fn b16_a_database_from_before_versions_named_their_oldest_program_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scrip.sqlite");
    let first = open(&file);
    first.execute_batch("CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY) STRICT").unwrap();
    first.execute_batch(MIGRATIONS[0].sqlite).unwrap();
    first.execute_batch("INSERT INTO schema_version (version) VALUES (1)").unwrap();
    assert_eq!(version_of(&first).unwrap().version, 1);
    let migrations = with_further(1);
    let refused = keep_up(&mut open(&file), &migrations, Upkeep::Refuse).unwrap_err();
    assert!(refused.to_string().contains("scrip migrate"), "{refused}");
    keep_up(&mut open(&file), &migrations, Upkeep::Migrate).unwrap();
    let found = version_of(&first).unwrap();
    let compatible_from = migrations.iter().map(|migration| migration.compatible_from).max().unwrap();
    assert_eq!((found.version, found.compatible_from), (i64::try_from(migrations.len()).unwrap(), compatible_from));
}

#[test]
fn what_is_not_to_be_migrated_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    for upkeep in [Upkeep::Refuse, Upkeep::Leave] {
        Database::open_with(folder.path(), upkeep).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
