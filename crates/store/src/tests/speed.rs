//! How fast the writer is, measured on demand: `[SCRIP_TEST_DATABASE=postgres] cargo test --release -p store speed -- --ignored
//! --nocapture`.

use std::time::Instant;

use domain::document::SignedDocumentType;
use domain::ids::{InvestmentId, InvestorId};
use domain::instruction::InstructionNumber;
use domain::journal::{Entry, Object, ObjectKind};

use super::market::*;
use super::{Store, at, id};
use crate::record::{Answer, AnswerKey};
use crate::{Book, Record, Wanted};

const BATCH_ROWS: u64 = 256;
const BATCHES: u64 = 200;
const INVESTORS: u64 = 1_000;

fn entry(book: &Book, record: &Record, number: u64) -> Entry {
    let (sequence, previous_hash) =
        record.journal.last().map_or((book.journal_head.sequence, book.journal_head.hash), |last| (last.sequence, last.hash()));
    Entry {
        sequence: sequence + 1,
        occurred_at: at(1),
        actor: Some(id(1)),
        act: "create_investment".to_owned(),
        object: Object { kind: ObjectKind::Investment, id: id(number) },
        subject: Some(id(INVESTOR)),
        state_mac: [1; 32],
        previous_hash,
    }
}

fn answer_key(number: u64) -> AnswerKey {
    AnswerKey {
        organisation_id: id(PLATFORM),
        client_id: id(1),
        key: format!("{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    }
}

#[test]
#[ignore = "a measurement"]
fn creates_per_second() {
    // On a server that syncs every commit, as in production.
    let cluster = cluster::Cluster::start(cluster::Durability::Synced).unwrap();
    let mut store = Store::new_in(&cluster);
    store.settle_market();
    store
        .put(|book, record| {
            for number in 0..INVESTORS {
                let row = investor(100_000 + number, id(PLATFORM));
                record.wrapped_keys.push((row.id, vec![1; 60]));
                book.investors.put(row.id, row);
            }
        })
        .unwrap();
    let begun = Instant::now();
    for batch in 0..BATCHES {
        let numbers = (1_000_000 + batch * BATCH_ROWS)..(1_000_000 + (batch + 1) * BATCH_ROWS);
        let investor_of = |number: u64| id::<InvestorId>(100_000 + number.wrapping_mul(7_919) % INVESTORS);
        let wanted = Wanted {
            campaigns: [id(CAMPAIGN)].into(),
            investors: numbers.clone().map(investor_of).collect(),
            documents: [id(DOCUMENT), id(DOCUMENT + 1)].into(),
            answers: numbers.clone().map(answer_key).collect(),
            answers_day: super::DAY,
            ..Wanted::default()
        };
        store
            .change(&wanted, |book, record| {
                let mut campaign = book.campaigns.get(&id(CAMPAIGN)).unwrap().clone();
                campaign.investments_created += BATCH_ROWS;
                book.campaigns.put(campaign.id, campaign);
                for number in numbers {
                    let row_id: InvestmentId = id(number);
                    let mut row = investment(5);
                    row.id = row_id;
                    row.investor_id = investor_of(number);
                    row.number = InstructionNumber::of(1, number).unwrap();
                    row.created_at = at(i64::try_from(number).unwrap());
                    row.signed_documents = vec![
                        signed_document(2 * number, row_id, DOCUMENT, SignedDocumentType::EffectaDocument),
                        signed_document(2 * number + 1, row_id, DOCUMENT + 1, SignedDocumentType::EffectaCryptoregistryTos),
                    ];
                    book.investments.put(row_id, row);
                    let entry = entry(book, record, number);
                    record.journal.push(entry);
                    let answer =
                        Answer { fingerprint: [2; 32], status: 201, is_problem: false, body: vec![3; 1_500], subject: None };
                    record.answers.push((answer_key(number), answer));
                }
            })
            .unwrap();
    }
    let rows = BATCHES * BATCH_ROWS;
    let elapsed_us = begun.elapsed().as_micros();
    println!("{rows} creates in batches of {BATCH_ROWS}: {} /s", u128::from(rows) * 1_000_000 / elapsed_us);
}
