//! `scrip verify` finds every change that was not made by the program, and says where.

mod folder;

use domain::journal::{Canonical, Entry, Object, ObjectKind, SubjectKey, state_mac};
use reqwest::Method;
use rusqlite::params;
use serde_json::json;
use server::verify::verify;
use store::sqlite::Database;
use uuid::Uuid;

use crate::world::World;
use folder::{Cell, Folder};

/// Tables whose rows are in the journal, and the columns that are not: versions guard updates and state nothing.
const JOURNALED: [(&str, &[&str]); 11] = [
    ("organisation", &[]),
    ("client", &[]),
    ("issuer", &[]),
    ("product", &["version"]),
    ("listing", &[]),
    ("campaign", &["version"]),
    ("investor", &["version"]),
    ("wallet", &[]),
    ("document", &[]),
    ("investment", &["version"]),
    ("credit", &["version"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_touched_holds() {
    let folder = Folder::settled().await;
    let report = verify(&folder.data, None).await.unwrap();
    assert_eq!((report.documents, report.tokens, report.issues, report.units), (2, 1, 2, 30));
    assert!(report.journal_entries > 20 && report.rows > 15, "{report:?}");
    assert_eq!(verify(&folder.data, None).await.unwrap(), report, "looking changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_every_row_that_is_changed_by_one_unit_or_one_byte_is_found() {
    let folder = Folder::settled().await;
    let connection = folder.without_guards();
    let mut changed = 0;
    for (table, unstated) in JOURNALED {
        for column in folder::columns(&connection, table) {
            let Some(cell) = Cell::last(&connection, table, &column) else { continue };
            if unstated.contains(&column.as_str()) {
                continue;
            }
            cell.change(&connection);
            let found = folder.found().await;
            assert!(found.contains(table), "{table}.{column}: {found}");
            cell.restore(&connection);
            changed += 1;
        }
    }
    for (table, column, named) in [
        ("signed_document", "document_type", "signed_document"),
        ("signed_document", "document_id", "signed_document"),
        ("signed_document", "created_at", "investment"),
        ("subject_key", "wrapped", "its key cannot be unwrapped"),
        ("investor_person", "sealed", "its personal data cannot be opened"),
        ("campaign", "used", "units used"),
        ("campaign", "investments_created", "ever created"),
        ("product", "reserved", "product"),
        ("investment_count", "rows", "are counted as"),
        ("investor_count", "rows", "are counted as"),
    ] {
        let cell = Cell::last(&connection, table, column).unwrap();
        cell.change(&connection);
        let found = folder.found().await;
        assert!(found.contains(named), "{table}.{column}: {found}");
        cell.restore(&connection);
    }
    verify(&folder.data, None).await.unwrap();
    assert!(changed > 100, "{changed} values");
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_an_illegal_state_is_refused_by_the_database_and_exposed_by_the_journal() {
    let folder = Folder::settled().await;
    for illegal in [
        "UPDATE investment SET status = 'DELIVERED' WHERE status = 'WAITING_FOR_ACCEPTANCE'",
        "UPDATE investment SET status = 'PAID' WHERE status = 'WAITING_FOR_ACCEPTANCE'",
        "UPDATE investment SET delivered_at = NULL WHERE status = 'DELIVERED'",
        "UPDATE investment SET remaining = units + 1 WHERE status = 'DELIVERED'",
        "UPDATE investment SET paid_at = 1, paid_received_at = 1 WHERE accepted_at IS NULL",
        "UPDATE investment SET ending = NULL WHERE status = 'ABORTED'",
        "UPDATE investment SET payment_total_minor = payment_total_minor + 1",
        "UPDATE campaign SET used = allocation + 1",
        "UPDATE product SET reserved = issuable_units_max + 1",
        "UPDATE credit SET status = 'processing'",
        "UPDATE journal SET act = 'other'",
        "DELETE FROM journal",
    ] {
        let guarded = rusqlite::Connection::open(folder.data.join(store::sqlite::DATABASE_FILE_NAME)).unwrap();
        let refused = guarded.execute(illegal, []).unwrap_err();
        assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation), "{illegal}: {refused}");
        drop(guarded);
        let copy = Folder::copy_of(&folder);
        assert!(copy.without_guards().execute(illegal, []).unwrap() > 0, "{illegal}");
        let found = copy.found().await;
        assert!(!found.starts_with("nothing"), "{illegal}: {found}");
    }
}

/// Rows that are changed together with their journal by somebody who has the instance's keys: what was paid still has to
/// follow from the terms, the version of the rules and the value date.
#[tokio::test(flavor = "multi_thread")]
async fn m09_a_payment_that_does_not_follow_from_its_terms_is_found_though_the_journal_agrees() {
    let folder = Folder::settled().await;
    let report = verify(&folder.data, None).await.unwrap();
    assert_eq!(report.payments, 2, "both paid investments are computed again");
    let id = folder.investment_id;
    let both =
        |column: &str| format!("UPDATE investment SET {column} = {column} + 1, payment_total_minor = payment_total_minor + 1");
    for (tampering, expected) in [
        (both("investment_amount_minor"), "has 10.01 EUR as investment_amount, 10.00 EUR follows from its terms"),
        (both("agio_minor"), "has 0.01 EUR as agio, 0.00 EUR follows from its terms"),
        (both("accrued_interest_minor"), "has 0.01 EUR as accrued_interest, 0.00 EUR follows from its terms"),
        (
            "UPDATE investment SET disagio_minor = 1, payment_total_minor = payment_total_minor - 1".to_owned(),
            "has 0.01 EUR as disagio, 0.00 EUR follows from its terms",
        ),
        (
            "UPDATE investment SET disagio_stated_minor = 1001".to_owned(),
            "could not have been paid: disagio_above_investment_amount",
        ),
        (
            "UPDATE investment SET terms_version = 2".to_owned(),
            "was computed from version 2 of the product's terms, the product has version 1",
        ),
        (
            "UPDATE investment SET rule_version = 2".to_owned(),
            "was computed by version 2 of the rules, which this program does not know",
        ),
        (
            "UPDATE campaign SET price_amount = 101".to_owned(),
            "has 10.00 EUR as investment_amount, 10.10 EUR follows from its terms",
        ),
    ] {
        let copy = Folder::copy_of(&folder);
        let connection = copy.without_guards();
        let rows =
            if tampering.starts_with("UPDATE investment") { format!(" WHERE id = x'{}'", id.simple()) } else { String::new() };
        assert_eq!(connection.execute(&format!("{tampering}{rows}"), []).unwrap(), 1, "{tampering}");
        let found = copy.found().await;
        assert!(found.ends_with("is not as the journal says"), "{tampering}: {found}");
        copy.journal_again(&connection);
        assert_eq!(copy.found().await, format!("investment {id}: {expected}"), "{tampering}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_deleted_or_added_is_found() {
    let folder = Folder::settled().await;
    let connection = folder.without_guards();
    for (table, _) in JOURNALED {
        connection.execute_batch("SAVEPOINT kept").unwrap();
        let copy = folder::copy_of_last_row(&connection, table);
        let deleted = connection.execute(&format!("DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})"), []);
        assert_eq!(deleted.unwrap(), 1);
        connection.execute_batch("RELEASE kept").unwrap();
        let found = folder.found().await;
        assert!(found.contains(table) || found.contains("counter"), "{table} deleted: {found}");
        copy.put_back(&connection, false);
        verify(&folder.data, None).await.unwrap();
        copy.put_back(&connection, true);
        let found = folder.found().await;
        assert!(found.contains(table) || found.contains("counter"), "{table} added: {found}");
        copy.take_out(&connection);
    }
    verify(&folder.data, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_journal_that_is_changed_taken_out_exchanged_or_added_is_found() {
    let folder = Folder::settled().await;
    let connection = folder.without_guards();
    for column in folder::columns(&connection, "journal") {
        let Some(cell) = Cell::last(&connection, "journal", &column) else { continue };
        cell.change(&connection);
        let found = folder.found().await;
        assert!(found.contains("journal"), "{column}: {found}");
        cell.restore(&connection);
    }
    let cases = [
        ("DELETE FROM journal WHERE sequence = 5", "journal entry 5: is missing"),
        ("DELETE FROM journal WHERE sequence = 1", "journal entry 1: is missing"),
        (
            "UPDATE journal SET sequence = -5 WHERE sequence = 5; UPDATE journal SET sequence = 5 WHERE sequence = 6;
             UPDATE journal SET sequence = 6 WHERE sequence = -5",
            "journal entry 5: does not follow from the entry before",
        ),
    ];
    for (tampering, expected) in cases {
        let copy = Folder::copy_of(&folder);
        copy.without_guards().execute_batch(tampering).unwrap();
        assert_eq!(copy.found().await, expected);
    }
}

/// An entry that follows from the newest, as everybody can make one who reads the file.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_follows_but_was_not_made_with_the_keys_is_found() {
    let folder = Folder::settled().await;
    let newest = folder.newest_entry();
    let unknown = Object { kind: ObjectKind::Campaign, id: Uuid::max() };
    for (object, expected) in
        [(newest.entry.object, "is not as the journal says"), (unknown, "is in the journal, but has no row")]
    {
        let copy = Folder::copy_of(&folder);
        let mut entry = newest.entry.clone();
        entry.sequence += 1;
        entry.previous_hash = newest.hash;
        entry.object = object;
        entry.state_mac = state_mac(&SubjectKey([0; 32]), object, &Canonical::new());
        folder::append(&copy.without_guards(), &entry);
        let found = copy.found().await;
        assert!(found.ends_with(expected), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_was_computed_anew_is_found_by_the_head_however_old_it_is() {
    let (folder, older_head) = Folder::settled_with_older_head().await;
    let connection = folder.without_guards();
    let entries = Database::open(&folder.data).unwrap().reader(1).unwrap().journal_after(0, 10_000).unwrap();
    let mut previous_hash = [0; 32];
    for stored in &entries {
        let mut entry = Entry { previous_hash, ..stored.entry.clone() };
        if entry.sequence == 3 {
            entry.act.push('!');
        }
        previous_hash = entry.hash();
        let (act, previous) = (&entry.act, &entry.previous_hash);
        let sql = "UPDATE journal SET act = ?2, previous_hash = ?3, hash = ?4 WHERE sequence = ?1";
        connection.execute(sql, params![i64::try_from(entry.sequence).unwrap(), act, previous, previous_hash]).unwrap();
    }
    let found = folder.found().await;
    assert_eq!(found, format!("the journal's head outside the data folder: entry {} is another one", entries.len()));
    std::fs::write(folder.head_path(), older_head).unwrap();
    let found = folder.found().await;
    assert!(found.starts_with("the journal's head outside the data folder: entry "), "{found}");
    assert!(!found.contains(&format!(" {} ", entries.len())), "the older head is another entry: {found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_tail_a_restored_copy_and_an_emptied_database_are_found_by_the_head() {
    let folder = Folder::settled().await;
    let length = folder.newest_entry().entry.sequence;
    let connection = folder.without_guards();
    connection.execute("DELETE FROM journal WHERE sequence = ?1", [i64::try_from(length).unwrap()]).unwrap();
    let said = |left: u64| {
        format!("the journal's head outside the data folder: it was at entry {length}, the journal ends at entry {left}")
    };
    assert_eq!(folder.found().await, said(length - 1));
    drop(connection);
    let copy = Folder::copy_of(&folder);
    let connection = copy.without_guards();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_version'";
    for table in folder::texts(&connection, tables) {
        connection.execute_batch(&format!("DELETE FROM {table}")).unwrap();
    }
    assert_eq!(copy.found().await, said(0));

    let folder = Folder::settled_with_older_copy().await;
    let found = folder.found().await;
    assert!(found.starts_with("the journal's head outside the data folder: it was at entry "), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_forged_head_is_found() {
    let folder = Folder::settled().await;
    let kept = std::fs::read_to_string(folder.head_path()).unwrap();
    let parts: Vec<&str> = kept.split_whitespace().collect();
    let (sequence, hash, signature) = (parts[0], parts[1], parts[2]);
    let forged = "the journal's head outside the data folder: the journal's head was not signed by this instance";
    for text in [
        String::new(),
        format!("{sequence} {hash}"),
        format!("1 {hash} {signature}"),
        format!("{sequence} {} {signature}", "0".repeat(64)),
        format!("{sequence} {hash} {}", "0".repeat(64)),
    ] {
        std::fs::write(folder.head_path(), &text).unwrap();
        assert_eq!(folder.found().await, forged, "{text}");
    }
    std::fs::remove_file(folder.head_path()).unwrap();
    let found = folder.found().await;
    assert!(found.starts_with("the journal's head outside the data folder: the journal's head is not there"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_of_a_document_is_found_and_a_missing_one() {
    let folder = Folder::settled().await;
    let file = std::fs::read_dir(folder.data.join("documents/stored")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    for position in [0, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        std::fs::write(&file, changed).unwrap();
        let found = folder.found().await;
        assert!(found.starts_with("document ") && found.ends_with("the bytes have changed"), "{found}");
    }
    std::fs::remove_file(&file).unwrap();
    let found = folder.found().await;
    assert!(found.starts_with("document ") && found.contains("cannot be read"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_of_the_ledgers_file_is_found_wherever_it_is() {
    let folder = Folder::settled().await;
    let file = folder.data.join("ledger/blocks.log");
    let bytes = std::fs::read(&file).unwrap();
    let step = bytes.len() / 60;
    for position in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        std::fs::write(&file, changed).unwrap();
        let found = folder.found().await;
        assert!(found.contains("ledger"), "byte {position} of {}: {found}", bytes.len());
    }
    for length in [0, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let found = folder.found().await;
        assert!(found.contains("ledger") || found.contains("contract"), "cut to {length} of {}: {found}", bytes.len());
    }
    std::fs::remove_file(&file).unwrap();
    assert!(folder.found().await.contains("blocks.log"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unit_more_or_less_on_the_ledger_is_found_even_if_the_registrars_key_ordered_it() {
    use ledger::contract::Kind;
    let folder = Folder::settled().await;
    let cases = [
        (Kind::Issue, Uuid::max(), "which has no credit"),
        (Kind::Issue, folder.investment_id, "differ"),
        (Kind::Withdraw, folder.investment_id, "that nobody gave"),
        (Kind::Redeem, folder.investment_id, "that nobody gave"),
        (Kind::Block, folder.investment_id, "that nobody gave"),
    ];
    for (kind, id, expected) in cases {
        let copy = Folder::copy_of(&folder);
        copy.order_behind_the_registers_back(kind, id).await;
        let found = copy.found().await;
        assert!(found.starts_with("register and ledger differ") && found.contains(expected), "{kind:?}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_sandbox_holds_under_load() {
    let world = World::start_embedded().await;
    let campaign = world.campaign(json!({"max_number_of_tokens": 100})).await;
    let session = world.distributor().await;
    let facts = json!({
        "accepted_at": crate::world::GUIDE_DATE, "paid_at": crate::world::GUIDE_DATE, "wallet": world.handout.wallet_id,
        "signed_documents": world.signed_documents(&session).await,
    });
    let body = crate::world::merged(world.investment_body(&campaign), facts);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (session, body) = (session.clone(), body.clone());
            tokio::spawn(async move {
                for _round in 0..12 {
                    let id = session.post("/distributor/v2/investments/", &body).await.expect(201).id();
                    let credits = format!("/distributor/v2/investments/{id}/credits/");
                    let credit =
                        session.send(Method::POST, &credits, Some(&crate::world::make_key()), None).await.expect(201).id();
                    session.ended_credit(&id, &credit).await;
                }
            })
        })
        .collect();
    let data = world.folder.path().join("data");
    let mut looks = 0;
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        verify(&data, None).await.unwrap();
        looks += 1;
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(looks > 1, "{looks} looks");
    let report = verify(&data, None).await.unwrap();
    assert_eq!((report.issues, report.units), (96, 960));
    let folder = world.stop().await;
    assert_eq!(verify(&folder.path().join("data"), None).await.unwrap().units, 960);
}
