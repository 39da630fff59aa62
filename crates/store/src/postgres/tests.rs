//! What only a server does: lose connections, wait for others, leave a commit unanswered.

use std::time::Duration;

use domain::credit::CreditState;
use domain::instruction::InstructionState;

use super::Database;
use crate::tests::market::*;
use crate::tests::{DAY, Engine, Store, id, postgres_database, wait};
use crate::{AnyWriter, Record, StoreError, Wanted, Writer};

/// How many wait for a lock in this database. Tests of other databases share the server.
pub(super) const WAITING: &str = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()";

/// A market, and a second writer on the same database.
fn two_writers() -> (Store, AnyWriter) {
    let mut store = Store::on_postgres();
    store.settle_market();
    let second = AnyWriter::Postgres(Box::new(database(&store).writer().unwrap()));
    (store, second)
}

fn database(store: &Store) -> &Database {
    let Engine::Postgres { database, .. } = &store.engine else { unreachable!() };
    database
}

/// Everybody else's connections to the store's database end at once, as in a crash of the server.
fn cut_connections(store: &Store) {
    let sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    store.shell(sql).unwrap();
}

fn wanted_campaign() -> Wanted {
    Wanted { campaigns: [id(CAMPAIGN)].into(), ..Wanted::default() }
}

#[test]
fn b11_a_lost_connection_is_unreachable_once_and_made_again() {
    let (mut store, _second) = two_writers();
    let _book = store.load(&wanted_campaign());
    cut_connections(&store);
    let record = Record::new(id(1), DAY);
    let lost = wait(store.writer.commit(&crate::Book::default(), &record)).unwrap_err();
    // The COMMIT went out with what it should commit: whether it arrived is asked.
    assert!(matches!(lost, StoreError::Unreachable(_) | StoreError::CommitUnknown), "{lost}");
    assert!(!wait(store.writer.has_committed(id(1))).unwrap());
    store.put(|_, _| {}).unwrap();
    cut_connections(&store);
    // A reader's connection that was cut while it was idle is replaced before anybody notices.
    assert_eq!(store.reader.all_campaigns(None, 10).unwrap().len(), 2);
}

#[test]
fn an_unanswered_commit_is_unknown_and_read_back() {
    let (mut store, _second) = two_writers();
    let book = store.load(&wanted_campaign());
    let record = store.record();
    let AnyWriter::Postgres(writer) = &mut store.writer else { unreachable!() };
    writer.forget_answer_of_next_commit();
    let unknown = wait(store.writer.commit(&book, &record)).unwrap_err();
    assert!(matches!(unknown, StoreError::CommitUnknown), "{unknown}");
    assert!(wait(store.writer.has_committed(record.batch_id)).unwrap());
    assert!(!wait(store.writer.has_committed(id(7))).unwrap());
    store.put(|_, _| {}).unwrap();
}

#[test]
fn has_committed_waits_for_a_commit_that_is_still_running() {
    let (mut store, mut second) = two_writers();
    let book = store.load(&wanted_campaign());
    let record = store.record();
    let batch_id = record.batch_id;
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| wait(second.has_committed(batch_id)));
        while store.shell(WAITING).unwrap() == "0" {
            assert!(!asked.is_finished(), "it did not wait");
        }
        wait(store.writer.commit(&book, &record)).unwrap();
        assert!(asked.join().unwrap().unwrap());
    });
}

#[test]
fn a_second_writer_waits_and_sees_what_the_first_did() {
    let (mut store, mut second) = two_writers();
    let mut book = store.load(&wanted_campaign());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let book = wait(second.load(&wanted_campaign())).unwrap();
            let used = book.campaigns.get(&id(CAMPAIGN)).unwrap().used;
            let head = book.journal_head;
            wait(second.rollback());
            (used, head)
        });
        while store.shell(WAITING).unwrap() == "0" {
            assert!(!waiting.is_finished(), "it did not wait");
        }
        let mut campaign = book.campaigns.get(&id(CAMPAIGN)).unwrap().clone();
        campaign.used = units(77);
        book.campaigns.put(campaign.id, campaign);
        let record = Record::new(id(5), DAY);
        wait(store.writer.commit(&book, &record)).unwrap();
        assert_eq!(waiting.join().unwrap(), (units(77), book.journal_head));
    });
}

#[test]
fn c09_waiting_too_long_is_busy_and_readers_go_on() {
    let (mut store, mut second) = two_writers();
    let _held = store.load(&wanted_campaign());
    let begun = std::time::Instant::now();
    assert!(matches!(wait(second.load(&wanted_campaign())), Err(StoreError::Busy)));
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(store.reader.all_campaigns(None, 10).unwrap().len(), 2);
    wait(store.writer.rollback());
    wait(second.load(&wanted_campaign())).unwrap();
}

/// A new investor of the platform, put into a book.
fn add_investor(book: &mut crate::Book, number: u64) {
    let row = investor(number, id(PLATFORM));
    book.investors.put(row.id, row);
}

#[test]
fn an_announced_load_comes_with_the_commit_and_sees_it() {
    let (mut store, _second) = two_writers();
    store.put(|_, _| {}).unwrap();
    let mut book = store.load(&wanted_campaign());
    let mut campaign = book.campaigns.get(&id(CAMPAIGN)).unwrap().clone();
    campaign.used = units(77);
    book.campaigns.put(campaign.id, campaign);
    let record = store.record();
    store.writer.announce(wanted_campaign());
    wait(store.writer.commit(&book, &record)).unwrap();
    let AnyWriter::Postgres(writer) = &store.writer else { unreachable!() };
    assert!(writer.loads_ahead_now());
    let book = store.load(&wanted_campaign());
    assert_eq!(book.campaigns.get(&id(CAMPAIGN)).unwrap().used, units(77));
    let record = store.record();
    wait(store.writer.commit(&book, &record)).unwrap();
}

#[test]
fn an_announced_load_that_is_not_wanted_after_all_is_undone() {
    let (mut store, mut second) = two_writers();
    store.put(|_, _| {}).unwrap();
    let book = store.load(&Wanted::default());
    let record = store.record();
    store.writer.announce(wanted_campaign());
    wait(store.writer.commit(&book, &record)).unwrap();
    let other = store.look(&Wanted { products: [id(PRODUCT)].into(), ..Wanted::default() });
    assert!(other.campaigns.get(&id(CAMPAIGN)).is_none() && other.products.get(&id(PRODUCT)).is_some());
    wait(second.load(&wanted_campaign())).unwrap();
}

#[test]
fn a_refused_batch_takes_the_announced_load_with_it() {
    let (mut store, mut second) = two_writers();
    store.put(|book, _| add_investor(book, 300)).unwrap();
    let mut book = store.load(&Wanted::default());
    add_investor(&mut book, 300);
    let record = store.record();
    store.writer.announce(wanted_campaign());
    let refused = wait(store.writer.commit(&book, &record)).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("investor")), "{refused}");
    assert!(!wait(store.writer.has_committed(record.batch_id)).unwrap());
    wait(second.load(&wanted_campaign())).unwrap();
    wait(second.rollback());
    assert!(store.look(&wanted_campaign()).campaigns.get(&id(CAMPAIGN)).is_some());
}

#[test]
fn a_newer_schema_is_refused() {
    let (name, url) = postgres_database();
    cluster::shared().unwrap().execute(&name, "INSERT INTO schema_version (version) VALUES (99)").unwrap();
    let refused = Database::open(&url).unwrap_err();
    assert!(matches!(&refused, StoreError::Engine(reason) if reason.contains("newer")), "{refused}");
}

#[test]
fn what_is_not_there_is_unreachable() {
    let refused = Database::open("postgres:///scrip?user=scrip&host=/nonexistent").unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable(_)), "{refused}");
    let (_, url) = postgres_database();
    let refused = Database::open(&url.replace("copy_", "no_copy_")).unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable(_)), "{refused}");
    assert!(matches!(Database::open("no url").unwrap_err(), StoreError::Engine(_)));
}

#[test]
fn readers_cannot_write() {
    let store = Store::on_postgres();
    let refused = store.reader.run(|snapshot| snapshot.column::<i64>("setting", "DELETE FROM setting RETURNING 1", []));
    assert!(matches!(refused, Err(StoreError::Unreachable(reason)) if reason.contains("read-only")));
}

#[test]
fn a_frozen_reader_stays_where_it_is() {
    let (mut store, _second) = two_writers();
    let frozen = database(&store).frozen_reader().unwrap();
    store.put(|book, _| book.investments.put(id(1_000), investment(1_000))).unwrap();
    assert_eq!(frozen.all_investments(None, 10).unwrap(), []);
    assert_eq!(store.reader.all_investments(None, 10).unwrap().len(), 1);
    assert_eq!(frozen.all_campaigns(None, 10).unwrap().len(), 2);
}

#[test]
fn an_investment_names_the_product_platform_and_issuer_of_its_campaign() {
    let (mut store, _second) = two_writers();
    for change in [
        |row: &mut domain::investment::Investment| row.product_id = id(OTHER_PRODUCT),
        |row: &mut domain::investment::Investment| row.platform_id = id(OTHER_PLATFORM),
        |row: &mut domain::investment::Investment| row.issuer_organisation_id = id(OTHER_ISSUER),
        |row: &mut domain::investment::Investment| row.campaign_id = id(OTHER_CAMPAIGN),
    ] {
        let mut row = investment(1_000);
        change(&mut row);
        let refused = store.put(|book, _| book.investments.put(row.id, row.clone())).unwrap_err();
        assert!(matches!(&refused, StoreError::Constraint(reason) if reason.contains("investment_of_campaign")), "{refused}");
    }
    store.put(|book, _| book.investments.put(id(1_000), investment(1_000))).unwrap();
}

#[test]
fn a_question_that_was_not_asked_at_once_is_refused() {
    let store = Store::on_postgres();
    let refused = store.reader.run_at_once(|snapshot| {
        snapshot.column::<i64>("setting", "SELECT 1", [])?;
        snapshot.column::<i64>("setting", "SELECT 1", [])
    });
    assert!(matches!(refused, Err(StoreError::Engine(_))));
}

#[test]
fn damage_is_found() {
    let (store, _second) = two_writers();
    assert_eq!(store.reader.integrity_check().unwrap(), Vec::<String>::new());
    store.shell("SET session_replication_role = replica; DELETE FROM wallet; DELETE FROM investor").unwrap();
    let faults = store.reader.integrity_check().unwrap();
    assert!(!faults.is_empty() && faults.iter().all(|fault| fault.ends_with("refers to no investor")), "{faults:?}");
}

#[test]
fn every_look_up_of_the_desk_goes_by_an_index() {
    let (mut store, _second) = two_writers();
    store.put(|book, _| book.investments.put(id(1_000), investment(1_000))).unwrap();
    let AnyWriter::Postgres(writer) = &mut store.writer else { unreachable!() };
    for plan in wait(writer.plans()) {
        assert!(!plan.contains("Seq Scan"), "{plan}");
        assert!(plan.contains("Index"), "{plan}");
    }
}

#[test]
fn c12_a_standby_and_a_database_without_writes_are_refused() {
    let cluster = cluster::Cluster::start(cluster::Durability::Unsynced).unwrap();
    let url = cluster.create_database("led", None).unwrap();
    Database::open(&url).unwrap();
    let standby = cluster.standby().unwrap();
    let refused = Database::open(&standby.url("led")).unwrap_err();
    assert!(refused.to_string().contains("the server is a standby"), "{refused}");
    cluster.execute("postgres", "ALTER DATABASE led SET default_transaction_read_only = on").unwrap();
    let refused = Database::open(&url).unwrap_err();
    assert!(refused.to_string().contains("transaction_read_only"), "{refused}");
}

#[test]
fn instructions_that_another_process_is_claiming_are_passed_over() {
    let (mut store, mut second) = two_writers();
    let claimed = |ids: std::ops::Range<u64>| Wanted { claimed_instructions: ids.map(id).collect(), ..Wanted::default() };
    store
        .put(|book, _| {
            for number in 0..4 {
                let row = investment(1_000 + number);
                let credit = credit(2_000 + number, &row, CreditState::Processing);
                let instruction = instruction(3_000 + number, &credit, InstructionState::Queued);
                book.investments.put(row.id, row);
                book.credits.put(credit.id, credit);
                book.instructions.put(instruction.id, instruction);
            }
        })
        .unwrap();
    let book = store.load(&claimed(3_000..3_002));
    assert_eq!(book.instructions.iter().count(), 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| wait(second.load(&claimed(3_000..3_004))).unwrap());
        // It has passed over what is claimed, and waits for the journal's head.
        while store.shell(WAITING).unwrap() == "0" {
            assert!(!other.is_finished(), "it did not wait");
        }
        let record = store.record();
        wait(store.writer.commit(&book, &record)).unwrap();
        let found: Vec<_> = other.join().unwrap().instructions.iter().map(|row| row.id).collect();
        assert_eq!(found, [id(3_002), id(3_003)]);
    });
}
