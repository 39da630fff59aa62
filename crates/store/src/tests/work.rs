//! What the background work and `verify` read.

use std::collections::BTreeMap;

use domain::credit::CreditState;
use domain::ids::LedgerTransactionId;
use domain::instruction::{Instruction, InstructionState};
use domain::investment::{AssignedWallet, Progress};
use domain::lease::{Lane, Lease};
use domain::ledger_transaction::{Attempt, LedgerTransaction, LedgerTransactionState, Purpose, Signer};
use domain::network::NetworkName;
use domain::product::Token;

use super::market::*;
use super::{Store, at, id};
use crate::Wanted;

fn ledger_transaction(number: u64, nonce: u64, purpose: Purpose) -> LedgerTransaction {
    LedgerTransaction {
        id: id(number),
        signer: address(1),
        nonce,
        purpose,
        state: LedgerTransactionState::Live,
        created_at: at(1),
        version: 0,
    }
}

fn attempt(number: u64, ledger_transaction_id: LedgerTransactionId, created_at: i64) -> Attempt {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    Attempt { id: id(number), ledger_transaction_id, raw: vec![1], hash, created_at: at(created_at) }
}

/// A market with six credits in the order 5, 0, 1, 2, 3, 4 of their instructions.
fn with_instructions() -> (Store, Vec<Instruction>) {
    let mut store = Store::with_market();
    let mut written = Vec::new();
    store
        .put(|book, _| {
            for number in 0..6 {
                let row = investment(1_000 + number);
                let credit = credit(2_000 + number, &row, CreditState::Processing);
                let mut instruction = instruction(3_000 + number, &credit, InstructionState::Queued);
                instruction.created_at = at(if number == 5 { 1 } else { 2 });
                book.investments.put(row.id, row);
                book.credits.put(credit.id, credit);
                book.instructions.put(instruction.id, instruction);
                written.push(Instruction { version: 1, ..instruction });
            }
        })
        .unwrap();
    written.rotate_right(1);
    (store, written)
}

#[test]
fn instructions_wait_in_the_order_in_which_they_were_ordered() {
    let (store, written) = with_instructions();
    assert_eq!(store.reader.products_with_queued_instructions(&NetworkName::embedded()).unwrap(), [id(PRODUCT)]);
    assert_eq!(store.reader.queued_instructions(id(PRODUCT), 100).unwrap(), written);
    assert_eq!(store.reader.queued_instructions(id(PRODUCT), 2).unwrap(), written[..2]);
    assert_eq!(store.reader.queued_instructions(id(OTHER_PRODUCT), 2).unwrap(), []);
}

#[test]
fn bound_instructions_stand_in_their_live_ledger_transaction() {
    let (mut store, written) = with_instructions();
    let execute = Purpose::Execute { product_id: id(PRODUCT), valid_until_seconds: 5 };
    let (second, first) = (ledger_transaction(100, 1, execute), ledger_transaction(101, 0, execute));
    let wanted = Wanted { instructions: written.iter().map(|row| row.id).collect(), ..Wanted::default() };
    store
        .change(&wanted, |book, record| {
            book.signers.put(address(1), Signer { address: address(1), next_nonce: 2, version: 0 });
            for (place, row) in written.iter().enumerate() {
                let bound = if place < 4 { first } else { second };
                let state = InstructionState::Bound(bound.id);
                book.instructions.put(row.id, Instruction { state, ..*row });
            }
            for row in [first, second] {
                book.ledger_transactions.put(row.id, row);
            }
            record.attempts.push(attempt(201, first.id, 6));
            record.attempts.push(attempt(202, first.id, 5));
        })
        .unwrap();
    assert_eq!(store.reader.products_with_queued_instructions(&NetworkName::embedded()).unwrap(), []);
    let live = store.reader.live_ledger_transactions().unwrap();
    assert_eq!(live.iter().map(|live| live.ledger_transaction.id).collect::<Vec<_>>(), [first.id, second.id]);
    let instructions: Vec<Vec<_>> = live.iter().map(|live| live.instructions.iter().map(|row| row.id).collect()).collect();
    let expected: Vec<Vec<_>> = [&written[..4], &written[4..]].map(|rows| rows.iter().map(|row| row.id).collect()).into();
    assert_eq!(instructions, expected);
    assert_eq!(live[0].attempts.iter().map(|row| row.id).collect::<Vec<_>>(), [id(202), id(201)]);
    assert_eq!(live[1].attempts, []);
}

#[test]
fn an_instruction_serves_one_credit_and_a_nonce_one_ledger_transaction() {
    let (mut store, written) = with_instructions();
    let second = Instruction { id: id(3_100), version: 0, ..written[0] };
    let refused = store.put(|book, _| book.instructions.put(second.id, second)).unwrap_err();
    assert!(matches!(refused, crate::StoreError::Conflict("instruction")), "{refused}");
    let refused = store
        .put(|book, _| {
            book.signers.put(address(1), Signer { address: address(1), next_nonce: 2, version: 0 });
            for number in [100, 101] {
                book.ledger_transactions.put(id(number), ledger_transaction(number, 0, Purpose::DeployFactory));
            }
        })
        .unwrap_err();
    assert!(matches!(refused, crate::StoreError::Conflict("ledger_transaction")), "{refused}");
}

#[test]
fn deployments_are_found() {
    let mut store = Store::with_market();
    let ids = |store: &Store| {
        store.reader.deploying_products(&NetworkName::embedded()).unwrap().iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&store), [id(PRODUCT), id(OTHER_PRODUCT)]);
    assert!(!store.reader.has_live_deployment(id(PRODUCT)).unwrap());
    assert!(!store.reader.has_live_factory_deployment().unwrap());
    store
        .put(|book, _| {
            book.signers.put(address(1), Signer { address: address(1), next_nonce: 2, version: 0 });
            for (nonce, purpose) in [(0, Purpose::DeployFactory), (1, Purpose::DeployToken(id(PRODUCT)))] {
                book.ledger_transactions.put(id(100 + nonce), ledger_transaction(100 + nonce, nonce, purpose));
            }
        })
        .unwrap();
    assert!(store.reader.has_live_deployment(id(PRODUCT)).unwrap());
    assert!(!store.reader.has_live_deployment(id(OTHER_PRODUCT)).unwrap());
    assert!(store.reader.has_live_factory_deployment().unwrap());
    let wanted = Wanted { ledger_transactions: [id(100), id(101)].into(), products: [id(PRODUCT)].into(), ..Wanted::default() };
    store
        .change(&wanted, |book, _| {
            for number in [100, 101] {
                let row = *book.ledger_transactions.get(&id(number)).unwrap();
                let closed = LedgerTransaction { state: LedgerTransactionState::Closed, ..row };
                book.ledger_transactions.put(row.id, closed);
            }
            let mut product = book.products.get(&id(PRODUCT)).unwrap().clone();
            product.token = Token::Deployed(address(77));
            book.products.put(product.id, product);
        })
        .unwrap();
    assert!(!store.reader.has_live_deployment(id(PRODUCT)).unwrap());
    assert!(!store.reader.has_live_factory_deployment().unwrap());
    assert_eq!(ids(&store), [id(OTHER_PRODUCT)]);
}

#[test]
fn sums_for_verify_are_those_of_the_rows() {
    let mut store = Store::with_market();
    store
        .put(|book, _| {
            for number in 0..6 {
                let mut row = investment(1_000 + number);
                row.wallet = Some(AssignedWallet { id: id(WALLET), address: address(WALLET + number % 2) });
                if number < 4 {
                    row.facts.kyc_passed_at = Some(at(1));
                    row.facts.progress = Progress::Delivered { accepted: stated(1), paid: stated(2), delivered_at: at(3) };
                    row.remaining = units(number);
                }
                if number == 5 {
                    row.facts.ended = Some(domain::investment::Ended {
                        ending: domain::investment::Ending::Aborted,
                        cancellation: stated(4),
                        refund_due: false,
                    });
                }
                book.investments.put(row.id, row);
            }
        })
        .unwrap();
    let expected = BTreeMap::from([(address(WALLET), units(2)), (address(WALLET + 1), units(4))]);
    assert_eq!(store.reader.delivered_units_by_address(id(PRODUCT)).unwrap(), expected);
    assert_eq!(store.reader.delivered_units_by_address(id(OTHER_PRODUCT)).unwrap(), BTreeMap::new());
    let counts = store.reader.investment_counts().unwrap();
    assert_eq!(counts.values().map(|(rows, _)| rows).sum::<u64>(), 6);
    let delivered = counts.iter().filter(|((.., status), _)| *status == domain::investment::Status::Delivered);
    let delivered = delivered.fold((0, 0), |sum, (_, counted)| (sum.0 + counted.0, sum.1 + counted.1));
    assert_eq!(delivered.0, 4);
    assert_eq!(store.reader.units_delivered(id(PRODUCT)).unwrap(), delivered.1);
    assert_eq!(
        counts.iter().filter(|((.., status), _)| *status != domain::investment::Status::Delivered).map(|(_, c)| c.1).sum::<u64>(),
        0
    );
    assert_eq!(store.reader.units_delivered(id(OTHER_PRODUCT)).unwrap(), 0);
}

#[test]
fn whole_tables_are_read_in_chunks() {
    let mut store = Store::with_market();
    store.put(|book, _| (0..450).for_each(|n| book.investments.put(id(1_000 + n), investment(1_000 + n)))).unwrap();
    let (mut after, mut read) = (None, 0);
    for expected in [201, 201, 48, 0] {
        let chunk = store.reader.all_investments(after, 201).unwrap();
        assert_eq!(chunk.len(), expected);
        assert!(chunk.iter().all(|row| after.is_none_or(|after| row.id > after)));
        after = chunk.last().map(|row| row.id).or(after);
        read += chunk.len();
    }
    assert_eq!(read, 450);
    let reader = &store.reader;
    let lengths = [
        reader.all_organisations(None, 100).unwrap().len(),
        reader.all_clients(None, 100).unwrap().len(),
        reader.all_issuers(None, 100).unwrap().len(),
        reader.all_products(None, 100).unwrap().len(),
        reader.all_listings(None, 100).unwrap().len(),
        reader.all_campaigns(None, 100).unwrap().len(),
        reader.all_investors(None, 100).unwrap().len(),
        reader.all_wallets(None, 100).unwrap().len(),
        reader.all_documents(None, 100).unwrap().len(),
        reader.all_credits(None, 100).unwrap().len(),
    ];
    assert_eq!(lengths, [5, 0, 2, 2, 3, 2, 2, 1, 2, 0]);
    assert_eq!(reader.all_organisations(Some(id(ISSUER)), 100).unwrap().len(), 4);
}

#[test]
fn a_lease_is_read_back_with_the_databases_time_and_its_number_never_goes_back() {
    let mut store = Store::new();
    let lane = Lane::Ledger(address(1));
    let wanted = Wanted { lanes: [lane].into(), ..Wanted::default() };
    let book = store.look(&wanted);
    assert!(book.leases.iter().next().is_none());
    let now = book.engine_now.unwrap();
    let lease = Lease { lane, holder: id(7), fencing: 3, expires_at: now, version: 0 };
    store.change(&wanted, |book, _| book.leases.put(lane, lease)).unwrap();
    let book = store.look(&wanted);
    assert_eq!(book.leases.get(&lane), Some(&Lease { version: 1, ..lease }));
    assert!(book.engine_now.unwrap() >= now);
    let lower = store.change(&wanted, |book, _| {
        let stored = *book.leases.get(&lane).unwrap();
        book.leases.put(lane, Lease { fencing: 2, ..stored });
    });
    assert!(matches!(lower, Err(crate::StoreError::Constraint(_))), "{lower:?}");
    assert_eq!(store.look(&Wanted::default()).engine_now, None, "asked only where it is needed");
}
