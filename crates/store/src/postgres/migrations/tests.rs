//! Migrations on a server: killed at every statement, made twice, made by two, behind a locked table, met by an older
//! program.

use std::time::Duration;

use crate::postgres::Database;
use crate::postgres::tests::WAITING;
use crate::schema::tests::{statements, with_further};
use crate::schema::{MIGRATIONS, Migration, Upkeep};
use crate::tests::postgres_database;

const VERSIONS: &str = "SELECT string_agg(version::text, ' ' ORDER BY version) FROM schema_version";
/// Every column and constraint.
const SCHEMA: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
    SELECT table_name || '.' || column_name || ' ' || data_type AS line
    FROM information_schema.columns WHERE table_schema = current_schema()
    UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal) AS lines";

fn shell(database: &str, sql: &str) -> String {
    cluster::shared().unwrap().execute(database, sql).unwrap().trim().to_owned()
}

fn migrate(url: &str, migrations: Vec<Migration>) -> Result<(), crate::StoreError> {
    Database::open_by(url, migrations.leak(), Upkeep::Migrate).map(drop)
}

fn all_versions(migrations: &[Migration]) -> String {
    (1..=migrations.len()).map(|version| version.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn b15_a_migration_that_is_killed_at_any_statement_has_not_happened_and_is_made_afterwards() {
    const DIE: &str = "SELECT pg_terminate_backend(pg_backend_pid());";
    let cluster = cluster::shared().unwrap();
    let migrations = with_further(1);
    let whole = cluster.create_database("migrated_at_once", None).unwrap();
    migrate(&whole, migrations.clone()).unwrap();
    let expected = shell("migrated_at_once", SCHEMA);
    for version in 1..=migrations.len() {
        let script = statements(migrations[version - 1].postgres);
        let name = format!("killed_in_{version}");
        let url = cluster.create_database(&name, None).unwrap();
        migrate(&url, migrations[..version - 1].to_vec()).unwrap();
        let before = shell(&name, SCHEMA);
        for deadly in 0..=script.len() {
            let mut killing = migrations[..version].to_vec();
            let text = [&script[..deadly], &[DIE.to_owned()], &script[deadly..]].concat().concat();
            killing[version - 1].postgres = text.leak();
            migrate(&url, killing).unwrap_err();
            assert_eq!(shell(&name, SCHEMA), before, "killed at statement {deadly} of migration {version}");
        }
        for _twice in 0..2 {
            migrate(&url, migrations.clone()).unwrap();
            assert_eq!((shell(&name, SCHEMA), shell(&name, VERSIONS)), (expected.clone(), all_versions(&migrations)));
        }
    }
}

#[test]
fn b15_every_migration_is_made_once_when_many_open_at_once() {
    let migrations = with_further(1);
    let url = cluster::shared().unwrap().create_database("migrated_by_many", None).unwrap();
    std::thread::scope(|scope| {
        let openings: Vec<_> = (0..4).map(|_| scope.spawn(|| migrate(&url, migrations.clone()))).collect();
        for opening in openings {
            opening.join().unwrap().unwrap();
        }
    });
    assert_eq!(shell("migrated_by_many", VERSIONS), all_versions(&migrations));
}

/// A migration that waits for a table would make everybody wait behind it.
#[test]
fn b15_a_migration_gives_up_on_a_locked_table_soon_and_comes_again() {
    let (name, url) = postgres_database();
    let holder = Database::reach(&url).unwrap();
    let held = std::sync::Arc::new(holder.connect_for_migration().unwrap());
    let on_runtime = |sql: &'static str| {
        let held = held.clone();
        holder.runtime().wait(async move {
            held.batch_execute(sql).await.unwrap();
            Ok(())
        })
    };
    on_runtime("BEGIN; SELECT count(*) FROM setting").unwrap();
    std::thread::scope(|scope| {
        let migrating = scope.spawn(|| migrate(&url, with_further(1)));
        let is_waiting = || shell(&name, WAITING) != "0";
        let until = |wanted: bool| {
            while is_waiting() != wanted {
                assert!(!migrating.is_finished(), "it neither waits nor goes on");
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        // It waits for the table, lets the others pass, and waits again.
        until(true);
        until(false);
        on_runtime("ROLLBACK").unwrap();
        migrating.join().unwrap().unwrap();
    });
    assert_eq!(shell(&name, VERSIONS), all_versions(&with_further(1)));
}

#[test]
fn b16_an_older_program_starts_while_the_newer_schema_only_expands() {
    let own = i64::try_from(MIGRATIONS.len()).unwrap();
    for (compatible_from, is_used) in [(1, true), (own, true), (own + 1, false)] {
        let (_, url) = postgres_database();
        migrate(&url, with_further(compatible_from)).unwrap();
        for upkeep in [Upkeep::Migrate, Upkeep::Refuse] {
            match Database::open_with(&url, upkeep) {
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
    let name = "first_versions";
    let url = cluster::shared().unwrap().create_database(name, None).unwrap();
    shell(name, "CREATE TABLE schema_version (version bigint NOT NULL PRIMARY KEY)");
    shell(name, MIGRATIONS[0].postgres);
    shell(name, "INSERT INTO schema_version (version) VALUES (1)");
    let migrations = with_further(1);
    let refused = Database::open_by(&url, migrations.clone().leak(), Upkeep::Refuse).unwrap_err();
    assert!(refused.to_string().contains("scrip migrate"), "{refused}");
    migrate(&url, migrations.clone()).unwrap();
    assert_eq!(shell(name, VERSIONS), all_versions(&migrations));
}
