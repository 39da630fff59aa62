//! What the database itself refuses.

use std::panic::Location;

use domain::credit::{CreditFailure, CreditState};
use domain::investment::LatestCredit;
use domain::journal::{Entry, Object, ObjectKind};
use domain::text::Name;
use uuid::Uuid;

use super::market::*;
use super::{Store, at, id, wait};
use crate::{StoreError, Wanted, Writer};

pub(super) fn entry(sequence: u64, previous_hash: [u8; 32]) -> Entry {
    Entry {
        sequence,
        occurred_at: at(1),
        actor: None,
        act: "create".to_owned(),
        object: Object { kind: ObjectKind::Campaign, id: Uuid::from_u128(1) },
        subject: None,
        state_mac: [1; 32],
        previous_hash,
    }
}

/// Takes the checks of the investments away.
const WITHOUT_CHECKS: &str = "DO $$ DECLARE refusal name; BEGIN
    FOR refusal IN SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 'investment'::regclass LOOP
        EXECUTE format('ALTER TABLE investment DROP CONSTRAINT %I', refusal);
    END LOOP; END $$";

/// Executes SQL that must be refused for a reason.
#[track_caller]
fn assert_refused(store: &Store, sql: &str, reason: &str) {
    match store.shell(sql) {
        Ok(_) => panic!("{}: {sql} was not refused", Location::caller()),
        Err(error) => assert!(error.contains(reason), "{}: {sql}: {error}", Location::caller()),
    }
}

#[test]
fn a_row_that_changed_meanwhile_is_a_conflict() {
    let mut store = Store::with_market();
    let wanted = Wanted { campaigns: [id(CAMPAIGN)].into(), ..Wanted::default() };
    let book = store.look(&wanted);
    let mut stale = book.campaigns.get(&id(CAMPAIGN)).unwrap().clone();
    store.change(&wanted, |book, _| book.campaigns.put(stale.id, stale.clone())).unwrap();
    stale.used = units(5);
    let refused = store.change(&wanted, |book, _| book.campaigns.put(stale.id, stale.clone())).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("campaign")), "{refused}");
    let stored = store.look(&wanted).campaigns.get(&id(CAMPAIGN)).unwrap().clone();
    assert_eq!((stored.used.get(), stored.version), (0, 2));
}

#[test]
fn a_refused_batch_leaves_nothing_behind() {
    let mut store = Store::with_market();
    let refused = store
        .put(|book, record| {
            book.investors.put(id(300), investor(300, id(PLATFORM)));
            record.wrapped_keys.push((id(300), vec![1]));
            record.wrapped_keys.push((id(300), vec![2]));
        })
        .unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("subject_key")), "{refused}");
    assert_eq!(store.reader.investor(id(PLATFORM), id(300)).unwrap(), None);
    assert!(!wait(store.writer.has_committed(id(1_000_000 + store.batches))).unwrap());
    store.put(|book, _| book.investors.put(id(300), investor(300, id(PLATFORM)))).unwrap();
    assert!(wait(store.writer.has_committed(id(1_000_000 + store.batches))).unwrap());
}

#[test]
fn a_batch_is_committed_once() {
    let mut store = Store::new();
    let book = store.load(&Wanted::default());
    let record = store.record();
    wait(store.writer.commit(&book, &record)).unwrap();
    let again = store.load(&Wanted::default());
    let refused = wait(store.writer.commit(&again, &record)).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("batch")), "{refused}");
}

#[test]
fn taken_keys_are_conflicts() {
    let mut store = Store::with_market();
    let organisation = domain::organisation::Organisation {
        id: id(500),
        ..organisation(ISSUER, domain::organisation::OrganisationKind::Issuer)
    };
    let refused = store.put(|book, _| book.organisations.put(organisation.id, organisation.clone())).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("organisation")), "{refused}");
    let mut product = product(501, id(ISSUER));
    product.terms.asset_code = super::market::product(PRODUCT, id(ISSUER)).terms.asset_code;
    let refused = store.put(|book, _| book.products.put(product.id, product.clone())).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("product")), "{refused}");
    let mut wallet = wallet(502, id(OTHER_INVESTOR), id(OTHER_PLATFORM));
    wallet.address = address(WALLET);
    let refused = store.put(|book, _| book.wallets.put(wallet.id, wallet)).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("wallet")), "{refused}");
    let mut same_number = investment(503);
    same_number.number = investment(504).number;
    let refused = store
        .put(|book, _| {
            book.investments.put(id(503), same_number.clone());
            book.investments.put(id(504), investment(504));
        })
        .unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("investment")), "{refused}");
}

#[test]
fn what_never_changes_is_not_changed_in_silence() {
    let mut store = Store::with_market();
    let wanted = Wanted { campaigns: [id(CAMPAIGN)].into(), wallets: [id(WALLET)].into(), ..Wanted::default() };
    let refused = store
        .change(&wanted, |book, _| {
            let mut campaign = book.campaigns.get(&id(CAMPAIGN)).unwrap().clone();
            campaign.terms.name = Name::parse("Another").unwrap();
            book.campaigns.put(campaign.id, campaign);
        })
        .unwrap_err();
    assert!(matches!(refused, StoreError::Constraint(_)), "{refused}");
    let refused = store
        .change(&wanted, |book, _| {
            let wallet = *book.wallets.get(&id(WALLET)).unwrap();
            book.wallets.put(wallet.id, domain::wallet::Wallet { receiving_enabled: true, ..wallet });
        })
        .unwrap_err();
    assert!(matches!(refused, StoreError::Constraint(_)), "{refused}");
}

#[test]
fn s10_an_investment_has_one_credit_that_has_not_failed() {
    let mut store = Store::with_market();
    let investment = investment(1_000);
    store
        .put(|book, _| {
            book.investments.put(investment.id, investment.clone());
            book.credits.put(id(2_000), credit(2_000, &investment, CreditState::Processing));
        })
        .unwrap();
    let second =
        |store: &mut Store| store.put(|book, _| book.credits.put(id(2_001), credit(2_001, &investment, CreditState::Processing)));
    let refused = second(&mut store).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("credit")), "{refused}");
    let finish = |store: &mut Store, state: CreditState| {
        let wanted = Wanted { credits: [id(2_000)].into(), ..Wanted::default() };
        store
            .change(&wanted, |book, _| {
                let credit = *book.credits.get(&id(2_000)).unwrap();
                book.credits.put(credit.id, domain::credit::Credit { state, ..credit });
            })
            .unwrap();
    };
    finish(&mut store, CreditState::Succeeded { transaction_hash: [1; 32], block_number: 1, finished_at: at(1) });
    assert!(matches!(second(&mut store).unwrap_err(), StoreError::Conflict("credit")));
    finish(&mut store, CreditState::Failed { failure: CreditFailure::Expired, finished_at: at(1) });
    second(&mut store).unwrap();
}

#[test]
fn a_newest_credit_that_does_not_exist_is_refused() {
    let mut store = Store::with_market();
    let mut investment = investment(1_000);
    investment.latest_credit = Some(LatestCredit { id: id(2_000), excludes_another: true });
    let refused = store.put(|book, _| book.investments.put(investment.id, investment.clone())).unwrap_err();
    assert!(matches!(refused, StoreError::Constraint(_)), "{refused}");
    assert_eq!(store.reader.all_investments(None, 10).unwrap(), [], "also where COMMIT itself refuses");
    store.put(|_, _| {}).unwrap();
}

#[test]
fn s09_sql_cannot_write_an_illegal_state() {
    let mut store = Store::with_market();
    store.put(|book, _| book.investments.put(id(1_000), investment(1_000))).unwrap();
    store.put(|book, _| book.credits.put(id(2_000), credit(2_000, &investment(1_000), CreditState::Processing))).unwrap();
    for (table, change) in [
        ("product", "reserved = issuable_units_max + 1"),
        ("product", "reserved = -1"),
        ("product", "issuable_units_max = reserved - 1"),
        ("product", "token_address = {short}"),
        ("product", "nominal_value_minor = 1"),
        ("campaign", "used = allocation + 1"),
        ("campaign", "used = -1"),
        ("campaign", "min_number_of_tokens = max_number_of_tokens + 1"),
        ("campaign", "rule_type = 'minimum_investment_amount'"),
        ("investor", "kyc = 'SUCCESS'"),
        ("investor", "kyc_at = {time}"),
        ("investment", "status = 'PAID'"),
        ("investment", "status = 'DELIVERED'"),
        ("investment", "status = 'ACCEPTED'"),
        ("investment", "status = 'ABORTED'"),
        ("investment", "status = 'GIFTED'"),
        ("investment", "paid_at = {time}, paid_received_at = {time}"),
        ("investment", "accepted_at = {time}"),
        ("investment", "delivered_at = {time}"),
        ("investment", "status = 'DELIVERED', delivered_at = {time}"),
        ("investment", "ending = 'aborted_by_investor'"),
        (
            "investment",
            "ending = 'aborted_by_investor', cancellation_at = {time}, cancellation_received_at = {time}, refund_due = {no}",
        ),
        ("investment", "units = 0, remaining = 0"),
        ("investment", "remaining = units + 1"),
        ("investment", "remaining = -1"),
        ("investment", "payment_total_minor = payment_total_minor - 1"),
        ("investment", "wallet_id = (SELECT id FROM wallet)"),
        ("investment", "review = 'passed'"),
        ("credit", "status = 'succeeded'"),
        ("credit", "status = 'failed', finished_at = {time}"),
        ("credit", "status = 'unknown'"),
        ("credit", "finished_at = {time}"),
        ("credit", "units = 0"),
        ("investment_count", "rows = -1"),
        ("investment_count", "units_delivered = 1"),
        ("product", "frozen_at = {time}"),
        ("product", "frozen_block = 1"),
        ("product", "frozen_difference = 'units'"),
    ] {
        let sql = in_dialect(&store, &format!("UPDATE {table} SET {change}"));
        assert_refused(&store, &sql, store.either("CHECK constraint failed", "violates check constraint"));
    }
    // What the types of the columns refuse on one engine, checks refuse on the other.
    for (sql, sqlite, postgres) in [
        ("UPDATE campaign SET is_active = 2", "CHECK constraint failed", "is of type boolean"),
        ("UPDATE investment SET id = {short}", "CHECK constraint failed", "is of type uuid"),
        ("UPDATE investment SET campaign_id = {nil}", "FOREIGN KEY constraint failed", "violates foreign key constraint"),
        ("DELETE FROM investor", "FOREIGN KEY constraint failed", "violates foreign key constraint"),
        ("UPDATE campaign SET allocation = 'many'", "cannot store TEXT value in INTEGER column", "invalid input syntax"),
        ("UPDATE investment SET units = NULL", "NOT NULL constraint failed", "violates not-null constraint"),
    ] {
        assert_refused(&store, &in_dialect(&store, sql), store.either(sqlite, postgres));
    }
}

/// SQL with literals that the engines write differently: instants, flags, bytes and ids.
fn in_dialect(store: &Store, sql: &str) -> String {
    [
        ("{time}", "1", "to_timestamp(1)"),
        ("{no}", "0", "false"),
        ("{yes}", "1", "true"),
        ("{short}", "x'00'", "decode('00', 'hex')"),
        ("{address}", "zeroblob(20)", "decode(repeat('00', 20), 'hex')"),
        ("{nil}", "zeroblob(16)", "'00000000-0000-0000-0000-000000000000'"),
    ]
    .into_iter()
    .fold(sql.to_owned(), |sql, (place, sqlite, postgres)| sql.replace(place, store.either(sqlite, postgres)))
}

#[test]
fn s09_the_journal_is_append_only() {
    let mut store = Store::new();
    let first = entry(1, [0; 32]);
    let second = entry(2, first.hash());
    store.put(|_, record| record.journal = vec![first.clone(), second.clone()]).unwrap();
    for sql in [
        "UPDATE journal SET act = 'other'",
        "UPDATE journal SET sequence = 3 WHERE sequence = 2",
        "DELETE FROM journal",
        "DELETE FROM journal WHERE sequence = 2",
        store.either("INSERT OR REPLACE INTO journal SELECT * FROM journal WHERE sequence = 2", "TRUNCATE journal"),
    ] {
        assert_refused(&store, sql, "the journal is append-only");
    }
    // An older entry comes again: under its own number, which the key refuses, or under one that was never used.
    let again = "INSERT INTO journal SELECT * FROM journal WHERE sequence = 1";
    assert_refused(&store, again, store.either("the journal is append-only", "duplicate key"));
    let earlier = "INSERT INTO journal SELECT -7, occurred_at, actor, act, object_kind, object_id, subject, state_mac,
        previous_hash, hash FROM journal WHERE sequence = 1";
    assert_refused(&store, earlier, store.either("the journal is append-only", "violates check constraint"));
}

#[test]
fn an_entry_must_continue_the_chain() {
    let mut store = Store::new();
    store.put(|_, record| record.journal.push(entry(1, [0; 32]))).unwrap();
    let head = entry(1, [0; 32]).hash();
    for broken in [entry(1, head), entry(3, head), entry(2, [0; 32])] {
        let refused = store.put(|_, record| record.journal.push(broken.clone())).unwrap_err();
        assert!(matches!(refused, StoreError::Constraint(_)), "{refused}");
    }
    store.put(|_, record| record.journal.push(entry(2, head))).unwrap();
}

#[test]
fn impossible_rows_are_reported_with_their_place() {
    let mut store = Store::with_market();
    store.put(|book, _| book.investments.put(id(1_000), investment(1_000))).unwrap();
    let healthy = store.reader.all_investments(None, 10).unwrap();
    let unguarded = store.either("PRAGMA ignore_check_constraints = 1", WITHOUT_CHECKS);
    for (change, undo, column) in [
        ("status = 'PAID'", "status = 'KYC_PENDING'", "status"),
        ("status = 'GIFTED'", "status = 'KYC_PENDING'", "status"),
        ("paid_at = {time}, paid_received_at = {time}", "paid_at = NULL, paid_received_at = NULL", "paid_at"),
        ("delivered_at = {time}", "delivered_at = NULL", "delivered_at"),
        ("accepted_at = {time}", "accepted_at = NULL", "accepted_received_at"),
        ("ending = 'payment_missing'", "ending = NULL", "ending"),
        ("refund_due = {yes}", "refund_due = NULL", "ending"),
        ("review = 'passed'", "review = 'not_asked'", "review"),
        ("wallet_address = {address}", "wallet_address = NULL", "wallet_address"),
        ("latest_credit_excludes = {yes}", "latest_credit_excludes = NULL", "latest_credit_excludes"),
        ("units = -1", "units = 10", "units"),
        ("currency = 'EURO'", "currency = 'EUR'", "currency"),
        ("investment_type = 'gift'", "investment_type = 'primary'", "investment_type"),
    ] {
        let change = in_dialect(&store, change);
        store.shell(&format!("{unguarded}; UPDATE investment SET {change}")).unwrap();
        let expected = healthy[0].id.to_string();
        for found in [
            store.reader.all_investments(None, 10).unwrap_err(),
            wait(store.writer.load(&Wanted { investments: [id(1_000)].into(), ..Wanted::default() })).unwrap_err(),
        ] {
            let StoreError::Inconsistent { table: "investment", column: at, row } = found else {
                panic!("{change}: {found}");
            };
            assert_eq!((at, row), (column, expected.clone()), "{change}");
        }
        store.shell(&format!("UPDATE investment SET {undo}")).unwrap();
        assert_eq!(store.reader.all_investments(None, 10).unwrap(), healthy, "{undo}");
    }
}

#[test]
fn the_writer_keeps_its_transactions_apart() {
    let mut store = Store::new();
    let book = store.load(&Wanted::default());
    let record = store.record();
    let refused = wait(store.writer.load(&Wanted::default())).unwrap_err();
    assert!(matches!(refused, StoreError::Engine(_)), "{refused}");
    let refused = wait(store.writer.commit(&book, &record)).unwrap_err();
    assert!(matches!(refused, StoreError::Engine(_)), "the failed load ended the transaction: {refused}");
    wait(store.writer.rollback());
    store.put(|_, _| {}).unwrap();
}
