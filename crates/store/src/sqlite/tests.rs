//! The file: opening, migrating, locking, sharing, checking.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use domain::credit::{Credit, CreditState};
use domain::investment::LatestCredit;
use rusqlite::StatementStatus;

use super::statements::SqliteTable;
use super::{DATABASE_FILE_NAME, Database, LOCK_FILE_NAME, ProcessLock, SqliteWriter};
use crate::reader::Snapshot;
use crate::tests::market::*;
use crate::tests::{DAY, Engine, Store, id, wait};
use crate::{AnyWriter, StoreError, Wanted, Writer};

fn with_market() -> Store {
    let mut store = Store::on_sqlite();
    store.settle_market();
    store
}

fn database(store: &Store) -> &Database {
    let Engine::Sqlite { database, .. } = &store.engine else { unreachable!() };
    database
}

fn folder(store: &Store) -> &Path {
    let Engine::Sqlite { folder, .. } = &store.engine else { unreachable!() };
    folder.path()
}

fn writer(store: &Store) -> &SqliteWriter {
    let AnyWriter::Sqlite(writer) = &store.writer else { unreachable!() };
    writer
}

/// A log that was long once keeps its length: it is written from its beginning again.
#[test]
fn b11_a_log_that_a_reader_keeps_too_long_refuses_writes_until_the_reader_has_finished() {
    let mut store = with_market();
    let reader = store.sql();
    reader.execute_batch("BEGIN; SELECT count(*) FROM campaign").unwrap();
    store.put(|_, _| {}).unwrap();
    let AnyWriter::Sqlite(writer) = &mut store.writer else { unreachable!() };
    writer.limit_log(1);
    store.put(|_, _| {}).unwrap();
    for _try in 0..2 {
        assert!(matches!(wait(store.writer.load(&Wanted::default())), Err(StoreError::Full)));
    }
    assert!(!store.reader.all_campaigns(None, 10).unwrap().is_empty(), "reads go on");
    reader.execute_batch("COMMIT").unwrap();
    // The copying thread, rung by the last commit, may still be at it: until it is done, the log counts as held.
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = wait(store.writer.load(&Wanted::default())) {
        assert!(matches!(error, StoreError::Full) && Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
    wait(store.writer.rollback());
    store.put(|_, _| {}).unwrap();
}

/// It would keep the write-ahead log from being cut off.
#[test]
fn b11_a_reading_that_takes_too_long_is_broken_off_and_the_next_one_goes_on() {
    const ENDLESS: &str =
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT count(*) FROM number";
    let store = with_market();
    let hurried = database(&store).reader_within(1, Some(Duration::from_millis(20))).unwrap();
    for _twice in 0..2 {
        assert!(matches!(hurried.run(|snapshot| snapshot.column::<i64>("number", ENDLESS, [])), Err(StoreError::Busy)));
        assert!(!hurried.all_campaigns(None, 10).unwrap().is_empty());
    }
}

/// An engine counts a statement's steps over all its runs, so a limit that outlived its reading would strike anywhere.
#[test]
fn b11_the_limit_of_a_reading_ends_with_it() {
    let store = with_market();
    let hurried = database(&store).reader_within(1, Some(Duration::ZERO)).unwrap();
    for _reading in 0..10_000 {
        hurried.run(|_| Ok(())).unwrap();
        hurried.state().unwrap();
    }
}

#[test]
fn b13_a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lock = ProcessLock::take(folder.path()).unwrap();
    assert!(folder.path().join(LOCK_FILE_NAME).exists());
    assert!(matches!(ProcessLock::take(folder.path()), Err(StoreError::Busy)));
    let by_file = folder.path().join(DATABASE_FILE_NAME);
    assert!(matches!(ProcessLock::take(&by_file), Err(StoreError::Busy)), "however the folder is named");
    drop(lock);
    drop(ProcessLock::take(folder.path()).unwrap());
    let below_a_file = folder.path().join(LOCK_FILE_NAME).join("data");
    assert!(matches!(ProcessLock::take(&below_a_file), Err(StoreError::Unreachable(_))));
}

#[test]
fn b14_a_reading_waits_two_seconds_for_a_connection_and_is_then_refused() {
    let store = with_market();
    let reader = database(&store).reader(1).unwrap();
    let ((held, is_held), (release, is_released)) = (mpsc::channel(), mpsc::channel::<()>());
    let holder = reader.clone();
    let holding = std::thread::spawn(move || {
        holder.run(|_| {
            held.send(()).unwrap();
            is_released.recv().unwrap();
            Ok(())
        })
    });
    is_held.recv().unwrap();
    let began = Instant::now();
    assert!(matches!(reader.run(|_| Ok(())), Err(StoreError::Busy)));
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(1_900) && waited < Duration::from_secs(10), "{waited:?}");
    release.send(()).unwrap();
    holding.join().unwrap().unwrap();
    reader.run(|_| Ok(())).unwrap();
    let state = reader.state().unwrap();
    assert_eq!((state.refusals, state.waits), (1, 0));
    assert!(state.wal_bytes >= state.wal_pending_bytes && state.wal_pending_bytes > 0, "{state:?}");
}

#[test]
fn b13_two_writers_take_turns() {
    let mut store = with_market();
    let mut short_command = AnyWriter::Sqlite(Database::open(folder(&store)).unwrap().writer().unwrap());
    let wanted = Wanted { campaigns: [id(CAMPAIGN)].into(), ..Wanted::default() };
    for turn in 1..=3 {
        for (writer, batch) in [(&mut store.writer, 1), (&mut short_command, 2)] {
            let mut book = wait(writer.load(&wanted)).unwrap();
            let mut campaign = book.campaigns.get(&id(CAMPAIGN)).unwrap().clone();
            campaign.used = units(campaign.used.get() + 1);
            book.campaigns.put(campaign.id, campaign);
            wait(writer.commit(&book, &crate::Record::new(id(100 * turn + batch), DAY))).unwrap();
        }
    }
    let book = store.look(&wanted);
    assert_eq!(book.campaigns.get(&id(CAMPAIGN)).unwrap().used, units(6));
}

#[test]
fn b11_a_writer_that_must_wait_too_long_is_busy_and_readers_go_on() {
    let mut store = with_market();
    let other = store.sql();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE campaign SET used = 9").unwrap();
    writer(&store).connection().busy_timeout(Duration::from_millis(1)).unwrap();
    assert!(matches!(wait(store.writer.load(&Wanted::default())), Err(StoreError::Busy)));
    let seen = store.reader.all_campaigns(None, 10).unwrap();
    assert!(seen.iter().all(|campaign| campaign.used == units(0)), "what is not committed is not seen");
    other.execute_batch("COMMIT").unwrap();
    store.put(|_, _| {}).unwrap();
    assert!(store.reader.all_campaigns(None, 10).unwrap().iter().all(|campaign| campaign.used == units(9)));
}

#[test]
fn b11_a_writer_waits_for_another_to_finish() {
    let mut store = with_market();
    let other = store.sql();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE campaign SET used = 9").unwrap();
    let (started, wait_for_start) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        started.send(()).unwrap();
        let book = store.load(&Wanted { campaigns: [id(CAMPAIGN)].into(), ..Wanted::default() });
        book.campaigns.get(&id(CAMPAIGN)).unwrap().used
    });
    wait_for_start.recv().unwrap();
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(thread.join().unwrap(), units(9));
}

#[test]
fn readers_wait_for_a_connection_and_then_give_up() {
    let store = with_market();
    let reader = database(&store).reader(1).unwrap();
    let held = reader.clone();
    let (entered, wait_for_entry) = mpsc::channel();
    let (leave, wait_to_leave) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        held.run(|_| {
            entered.send(()).unwrap();
            wait_to_leave.recv().unwrap();
            Ok(())
        })
    });
    wait_for_entry.recv().unwrap();
    assert!(matches!(reader.clients(), Err(StoreError::Busy)));
    leave.send(()).unwrap();
    thread.join().unwrap().unwrap();
    assert!(reader.clients().is_ok());
}

#[test]
fn a_connection_survives_a_reader_that_panics() {
    let store = with_market();
    let reader = database(&store).reader(1).unwrap();
    let panicking = reader.clone();
    let thread = std::thread::spawn(move || panicking.run(|_| -> Result<(), StoreError> { panic!("on purpose") }));
    assert!(thread.join().is_err());
    assert_eq!(reader.all_campaigns(None, 10).unwrap().len(), 2);
}

#[test]
fn readers_cannot_write() {
    let store = with_market();
    let refused = store.reader.run(|snapshot| match snapshot {
        Snapshot::Sqlite(connection) => Ok(connection.execute("DELETE FROM wallet", []).unwrap_err()),
        Snapshot::Postgres(_) => unreachable!(),
    });
    assert!(refused.unwrap().to_string().contains("readonly"));
}

#[test]
fn a_new_data_folder_is_made_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for (path, made) in [("a/data", "a/data"), ("b/own.sqlite", "b")] {
        Database::open(&folder.path().join(path)).unwrap();
        let made = folder.path().join(made);
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700, "{}", made.display());
    }
    assert!(folder.path().join("a/data").join(DATABASE_FILE_NAME).is_file());
    assert!(folder.path().join("b/own.sqlite").is_file());
}

#[test]
fn opening_again_keeps_everything() {
    let mut store = with_market();
    store.put(|book, _| book.investments.put(id(1_000), investment(1_000))).unwrap();
    let written = store.reader.all_investments(None, 10).unwrap();
    let Store { engine, writer, reader, .. } = store;
    let Engine::Sqlite { folder, .. } = engine else { unreachable!() };
    drop((writer, reader));
    for path in [folder.path().to_owned(), folder.path().join(DATABASE_FILE_NAME)] {
        let database = Database::open(&path).unwrap();
        assert_eq!(database.reader(1).unwrap().all_investments(None, 10).unwrap(), written);
    }
}

#[test]
fn the_file_belongs_to_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let store = with_market();
    for suffix in ["", "-wal", "-shm"] {
        let path = folder(&store).join(format!("{DATABASE_FILE_NAME}{suffix}"));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    assert!(database(&store).wal_bytes() > 0);
}

#[test]
fn the_writer_syncs_every_commit_and_enforces_references() {
    let store = Store::on_sqlite();
    let pragma = |name: &str| -> String {
        let connection = writer(&store).connection();
        connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0).map(|value| format!("{value:?}")))
            .unwrap()
    };
    for (name, expected) in [
        ("journal_mode", "Text(\"wal\")"),
        ("synchronous", "Integer(2)"),
        ("foreign_keys", "Integer(1)"),
        ("busy_timeout", "Integer(5000)"),
    ] {
        assert_eq!(pragma(name), expected, "{name}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let store = Store::on_sqlite();
    store.sql().execute("INSERT INTO schema_version (version) VALUES (99)", []).unwrap();
    let refused = Database::open(folder(&store)).unwrap_err();
    assert!(matches!(&refused, StoreError::Engine(reason) if reason.contains("newer")), "{refused}");
}

#[test]
fn a_credit_is_written_without_looking_through_the_investments() {
    let mut store = with_market();
    store.put(|book, _| (0..50).for_each(|n| book.investments.put(id(1_000 + n), investment(1_000 + n)))).unwrap();
    let mut book = wait(store.writer.load(&Wanted { investments: [id(1_000)].into(), ..Wanted::default() })).unwrap();
    let mut ordered = book.investments.get(&id(1_000)).unwrap().clone();
    ordered.latest_credit = Some(LatestCredit { id: id(2_000), excludes_another: true });
    book.credits.put(id(2_000), credit(2_000, &ordered, CreditState::Processing));
    book.investments.put(ordered.id, ordered);
    wait(store.writer.commit(&book, &crate::Record::new(id(3_000), DAY))).unwrap();
    let connection = writer(&store).connection();
    let rows_scanned = |sql: &str| connection.prepare_cached(sql).unwrap().get_status(StatementStatus::FullscanStep);
    let scan = "SELECT count(*) FROM investment WHERE units > 0";
    let _count: i64 = connection.prepare_cached(scan).unwrap().query_row([], |row| row.get(0)).unwrap();
    assert!(rows_scanned(scan) > 0, "what is looked for");
    assert_eq!(rows_scanned(&Credit::statements().insert), 0);
}

#[test]
fn no_row_that_is_written_costs_a_table_in_memory() {
    let store = Store::on_sqlite();
    let sql = store.sql();
    let column = |query: &str, place: usize| -> Vec<String> {
        let mut statement = sql.prepare(query).unwrap();
        // Explained, not run: parameters stay open.
        statement.raw_query().mapped(|row| row.get(place)).collect::<Result<_, _>>().unwrap()
    };
    let steps = |statement: String| column(&format!("EXPLAIN {statement}"), 1);
    assert!(steps("SELECT 1 WHERE ?1 IN ('a', 'b', 'c')".to_owned()).contains(&"OpenEphemeral".to_owned()), "what is looked for");
    let tables = column("SELECT name FROM sqlite_schema WHERE type = 'table'", 0);
    assert!(tables.contains(&"investment".to_owned()));
    for table in tables {
        let columns = column(&format!("PRAGMA table_info({table})"), 1);
        let (names, places) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
        let insert = format!("INSERT INTO {table} ({names}) VALUES ({places})");
        assert!(!steps(insert).contains(&"OpenEphemeral".to_owned()), "{table}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(DATABASE_FILE_NAME), [7; 8_192]).unwrap();
    assert!(matches!(Database::open(folder.path()), Err(StoreError::Engine(_))));
    let below_a_file = folder.path().join(DATABASE_FILE_NAME).join("data");
    assert!(matches!(Database::open(&below_a_file), Err(StoreError::Unreachable(_))));
}

#[test]
fn damage_is_found() {
    let mut store = with_market();
    store.put(|book, _| (0..50).for_each(|n| book.investments.put(id(1_000 + n), investment(1_000 + n)))).unwrap();
    assert_eq!(store.reader.integrity_check().unwrap(), Vec::<String>::new());
    let sql = store.sql();
    sql.pragma_update(None, "foreign_keys", false).unwrap();
    sql.execute("DELETE FROM wallet", []).unwrap();
    sql.execute("DELETE FROM investor WHERE id = ?1", [id::<domain::ids::InvestorId>(OTHER_INVESTOR).bytes()]).unwrap();
    let faults = store.reader.integrity_check().unwrap();
    assert!(!faults.is_empty() && faults.iter().all(|fault| fault.ends_with("refers to no investor")), "{faults:?}");
}

#[test]
fn a_full_disk_is_told_apart() {
    let mut store = with_market();
    let pages: i64 = writer(&store).connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    writer(&store).connection().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    let much = vec![0; 1_000_000];
    let refused = store.put(|_, record| record.persons.push((id(INVESTOR), much.clone()))).unwrap_err();
    assert!(matches!(refused, StoreError::Full), "{refused}");
    assert_eq!(store.reader.all_campaigns(None, 10).unwrap().len(), 2, "reads go on");
    writer(&store).connection().pragma_update_and_check(None, "max_page_count", 1_000_000_i64, |_| Ok(())).unwrap();
    store.put(|_, record| record.persons.push((id(INVESTOR), much))).unwrap();
}
