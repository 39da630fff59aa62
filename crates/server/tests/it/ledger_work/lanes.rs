//! Several workers on one signer's lane: one works, and who was taken over writes nothing (row C11).

use std::sync::Arc;

use domain::credit::{CreditFailure, CreditState};
use domain::ids::HolderId;
use domain::lease::{Claim, Lane, Lease, Standing, Ticket};
use domain::wallet::EvmAddress;
use ledger::Chain;
use ledger::transaction::Signer;
use server::jobs::LedgerFault;
use server::operations::Operation;
use server::operations::lease::{ClaimLane, Fenced, Recorded};
use server::operations::ledger::{
    BindInstructions, CloseLedgerTransaction, RecordAttempt, ReserveDeployment, SettleCredits, Verdict,
};
use uuid::Uuid;

use super::bench::{Bench, Device, Ordered};
use super::three;

/// A lane that the bench's own worker does not hold.
const LANE: Lane = Lane::Ledger(EvmAddress::new([9; 20]));
/// How often a claim is repeated before the test is given up.
const CLAIMS_MAX: usize = 10_000;

/// Claims the lane for a moment, as soon as it is free.
async fn take(bench: &Bench, holder: u128) -> Lease {
    let holder = HolderId::new(Uuid::from_u128(holder));
    for _claim in 0..CLAIMS_MAX {
        let claim = Claim { lane: LANE, holder, standing: Standing::Waiting, lasts_micros: 1 };
        if let Ok(lease) = bench.office.desk.run(ClaimLane { claim }, bench.now()).await.unwrap() {
            return lease;
        }
    }
    panic!("the lane does not become free");
}

/// Everything that ledger work writes.
fn rows(bench: &Bench, ordered: &[Ordered]) -> String {
    let credits: Vec<_> = ordered.iter().map(|one| bench.credit(*one)).collect();
    let queued = bench.office.archive.queued_instructions(bench.product_id(), 100).unwrap();
    format!("{:?}\n{queued:?}\n{credits:?}", bench.live())
}

async fn record<O: Operation>(bench: &Bench, ticket: Ticket, operation: O) -> Recorded<O::Output> {
    bench.office.desk.run(Fenced { ticket, operation }, bench.now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_no_record_is_made_under_a_number_that_was_taken_over() {
    let (bench, ordered) = three(1).await;
    let old = take(&bench, 7).await.ticket();
    let new = take(&bench, 8).await.ticket();
    assert_eq!((old.fencing, new.fencing), (1, 2));
    let queued = bench.office.archive.queued_instructions(bench.product_id(), 100).unwrap();
    let instruction_ids: Vec<_> = queued.iter().map(|one| one.id).collect();
    let signer = EvmAddress::new(bench.device.address().0);
    let bind = BindInstructions { signer, product_id: bench.product_id(), valid_until_seconds: 1, instruction_ids };
    let Recorded::Made(Some(bound)) = record(&bench, new, bind.clone()).await else { panic!("the holder records") };
    assert_eq!(bound.instructions.len(), 3);
    let before = rows(&bench, &ordered);
    let ledger_transaction_id = bound.ledger_transaction.id;
    let verdicts = queued.iter().map(|one| (one.id, Verdict::Failed(CreditFailure::Expired))).collect();
    let attempt = RecordAttempt { ledger_transaction_id, raw: vec![1], hash: [1; 32] };
    let deployment = ReserveDeployment { signer, purpose: domain::ledger_transaction::Purpose::DeployFactory };
    assert_eq!(record(&bench, old, bind).await, Recorded::LaneLost);
    assert_eq!(record(&bench, old, deployment).await, Recorded::LaneLost);
    assert_eq!(record(&bench, old, attempt.clone()).await, Recorded::LaneLost);
    assert_eq!(record(&bench, old, SettleCredits { verdicts }).await, Recorded::LaneLost);
    assert_eq!(record(&bench, old, CloseLedgerTransaction { ledger_transaction_id }).await, Recorded::LaneLost);
    assert_eq!(rows(&bench, &ordered), before);
    assert!(matches!(record(&bench, new, attempt).await, Recorded::Made(_)));
}

/// The lane keeps two workers from it, but no promise may rest on the lane alone: who simulated a batch before another bound
/// and signed it has nothing to say of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_signing_ends_nothing_that_was_bound_meanwhile() {
    let (bench, ordered) = three(1).await;
    let ticket = take(&bench, 7).await.ticket();
    let queued = bench.office.archive.queued_instructions(bench.product_id(), 100).unwrap();
    let signer = EvmAddress::new(bench.device.address().0);
    let bind =
        |instruction_ids| BindInstructions { signer, product_id: bench.product_id(), valid_until_seconds: 1, instruction_ids };
    let Recorded::Made(Some(bound)) = record(&bench, ticket, bind(vec![queued[0].id, queued[1].id])).await else {
        panic!("the holder records")
    };
    assert_eq!(bound.instructions.len(), 2);
    let refused = |of: &[domain::instruction::Instruction]| {
        let verdicts = of.iter().map(|one| (one.id, Verdict::Refused(CreditFailure::AccountBlocked))).collect();
        SettleCredits { verdicts }
    };
    let before = rows(&bench, &ordered);
    assert_eq!(record(&bench, ticket, refused(&queued[..2])).await, Recorded::Made(()));
    assert_eq!(rows(&bench, &ordered), before, "what is bound goes on");
    assert_eq!(record(&bench, ticket, refused(&queued)).await, Recorded::Made(()));
    let states: Vec<_> = ordered.iter().map(|one| bench.credit(*one).state).collect();
    let ended = states.iter().filter(|state| matches!(state, CreditState::Failed { failure: CreditFailure::AccountBlocked, .. }));
    assert_eq!((ended.count(), states.iter().filter(|state| **state == CreditState::Processing).count()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c11_k03_a_worker_that_stands_still_past_its_lease_writes_nothing_when_it_goes_on() {
    let (mut bench, ordered) = three(1).await;
    bench.work.hand_back().await;
    // It reserves a nonce, and stands still while it signs.
    let (device, standing_still) = Device::that_stands_still(&bench.office);
    let mut other = bench.other_worker(2, &Arc::new(device));
    let paused = tokio::spawn(async move {
        let outcome = other.round().await;
        (other, outcome)
    });
    let (standing_still, go_on) = standing_still;
    tokio::task::spawn_blocking(move || standing_still.recv().unwrap()).await.unwrap();
    let live = bench.live();
    assert_eq!((live.len(), live[0].attempts.len()), (1, 0), "reserved, not signed");
    // Once its lease is over, the next worker goes on with what it reserved.
    while bench.live().first().is_some_and(|open| open.attempts.is_empty()) {
        bench.work.round().await.unwrap();
    }
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
    let (before, sent) = (rows(&bench, &ordered), bench.chain.sent.lock().unwrap().clone());
    go_on.send(()).unwrap();
    let (mut other, outcome) = paused.await.unwrap();
    assert!(matches!(outcome, Err(LedgerFault::LaneLost)), "{outcome:?}");
    assert_eq!(rows(&bench, &ordered), before);
    assert_eq!(*bench.chain.sent.lock().unwrap(), sent, "it sent nothing either");
    // A second broadcast of what was sent changes nothing on the ledger.
    let _refused = bench.chain.fake.send(sent.last().unwrap()).await;
    bench.mine(2);
    bench.compare().await;
    // It re-reads, and can be the one that works.
    let again = bench.order(bench.campaign(bench.product_id()).await, 2).await;
    while again.iter().any(|one| bench.credit(*one).state == CreditState::Processing) {
        other.round().await.unwrap();
        bench.mine(1);
    }
    bench.expect_succeeded(&again);
    bench.compare().await;
}

/// What one worker has read of the ledger is out of date once another has worked.
#[tokio::test(flavor = "multi_thread")]
async fn c11_two_workers_that_take_turns_deliver_every_credit_once() {
    let mut bench = Bench::start(2).await;
    let campaign = bench.campaign(bench.product_id()).await;
    let mut other = bench.other_worker(2, &bench.device.clone());
    let mut ordered = Vec::new();
    for turn in 0..6 {
        ordered.extend(bench.order(campaign, 2).await);
        for _round in 0..3 {
            let _ = if turn % 2 == 0 { bench.work.round().await } else { other.round().await };
            bench.mine(1);
        }
        if turn % 2 == 0 { bench.work.hand_back().await } else { other.hand_back().await }
    }
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}
