//! Remembered answers and batch ids live in day tables.

use super::{DAY, Store, id, wait};
use crate::day::Kind;
use crate::record::{Answer, AnswerKey};
use crate::{Record, StoreError, Wanted, Writer};

fn key(key: &str) -> AnswerKey {
    AnswerKey { organisation_id: id(1), client_id: id(2), key: key.to_owned() }
}

fn answer(status: u16) -> Answer {
    Answer {
        fingerprint: [3; 32],
        status,
        is_problem: status >= 400,
        body: vec![4; 2_000],
        subject: (status == 201).then(|| id(5)),
    }
}

fn commit_on(store: &mut Store, day: i64, answers: Vec<(AnswerKey, Answer)>) -> Result<(), StoreError> {
    let book = store.load(&Wanted::default());
    let mut record = Record { day, ..store.record() };
    record.answers = answers;
    wait(store.writer.commit(&book, &record))
}

fn remembered(store: &mut Store, day: i64, wanted: &AnswerKey) -> Option<Answer> {
    let book = store.look(&Wanted { answers: [wanted.clone()].into(), answers_day: day, ..Wanted::default() });
    book.answers.get(wanted).cloned()
}

#[test]
fn i11_an_answer_is_remembered_on_its_day_and_the_next() {
    let mut store = Store::new();
    commit_on(&mut store, DAY, vec![(key("a"), answer(201)), (key("b"), answer(409))]).unwrap();
    for day in [DAY, DAY + 1] {
        assert_eq!(remembered(&mut store, day, &key("a")), Some(answer(201)), "day {day}");
        assert_eq!(remembered(&mut store, day, &key("b")), Some(answer(409)), "day {day}");
        assert_eq!(remembered(&mut store, day, &key("c")), None);
    }
    assert_eq!(remembered(&mut store, DAY + 2, &key("a")), None);
    assert_eq!(remembered(&mut store, DAY - 1, &key("a")), None);
    let other_client = AnswerKey { client_id: id(3), ..key("a") };
    assert_eq!(remembered(&mut store, DAY, &other_client), None);
    let other_tenant = AnswerKey { organisation_id: id(3), ..key("a") };
    assert_eq!(remembered(&mut store, DAY, &other_tenant), None);
}

#[test]
fn an_answer_is_written_once_a_day() {
    let mut store = Store::new();
    commit_on(&mut store, DAY, vec![(key("a"), answer(201))]).unwrap();
    let refused = commit_on(&mut store, DAY, vec![(key("a"), answer(409))]).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict("answer")), "{refused}");
    assert_eq!(remembered(&mut store, DAY, &key("a")), Some(answer(201)));
}

#[test]
fn i12_an_uncommitted_answer_is_not_remembered() {
    let mut store = Store::new();
    let book = store.load(&Wanted::default());
    drop(book);
    wait(store.writer.rollback());
    assert_eq!(remembered(&mut store, DAY, &key("a")), None);
    // The first commit of a day fails after it made the day's tables.
    commit_on(&mut store, DAY, vec![(key("a"), answer(201)), (key("a"), answer(201))]).unwrap_err();
    assert_eq!(remembered(&mut store, DAY, &key("a")), None);
    commit_on(&mut store, DAY, vec![(key("a"), answer(201))]).unwrap();
    assert_eq!(remembered(&mut store, DAY, &key("a")), Some(answer(201)));
}

#[test]
fn tables_are_dropped_when_they_are_older_than_the_day_before() {
    let mut store = Store::new();
    let kept = |store: &Store, kind| {
        let mut days = store.days(kind);
        days.sort_unstable();
        days
    };
    for (day, expected) in [
        (DAY, vec![DAY]),
        (DAY + 1, vec![DAY, DAY + 1]),
        (DAY + 2, vec![DAY + 1, DAY + 2]),
        (DAY + 30, vec![DAY + 30]),
        // A process whose clock is behind takes nothing away from the others.
        (DAY + 2, vec![DAY + 2, DAY + 30]),
        (DAY + 31, vec![DAY + 30, DAY + 31]),
    ] {
        commit_on(&mut store, day, Vec::new()).unwrap();
        for kind in [Kind::Answer, Kind::Batch] {
            assert_eq!(kept(&store, kind), expected, "{kind:?} after day {day}");
        }
    }
}

#[test]
fn a_day_table_that_another_process_dropped_is_made_again() {
    let mut store = Store::new();
    commit_on(&mut store, DAY, Vec::new()).unwrap();
    store.shell(&format!("DROP TABLE answer_{DAY}; DROP TABLE batch_{DAY}")).unwrap();
    commit_on(&mut store, DAY, vec![(key("a"), answer(201))]).unwrap_err();
    commit_on(&mut store, DAY, vec![(key("a"), answer(201))]).unwrap();
    assert_eq!(remembered(&mut store, DAY, &key("a")), Some(answer(201)));
}

#[test]
fn a_batch_is_found_on_any_day() {
    let mut store = Store::new();
    commit_on(&mut store, DAY, Vec::new()).unwrap();
    let first = id(1_000_000 + store.batches);
    commit_on(&mut store, DAY + 1, Vec::new()).unwrap();
    assert!(wait(store.writer.has_committed(first)).unwrap());
    assert!(!wait(store.writer.has_committed(id(7))).unwrap());
}
