//! A database that is older than its ledger: nothing is issued twice, nothing is lost, and no person is asked.

use std::collections::BTreeSet;

use domain::credit::{CreditFailure, CreditState};
use domain::ids::{CampaignId, InvestmentId};
use domain::investment::Status;
use domain::product::Token;
use ledger::contract::{Checkpoint, trusted_records};
use ledger::transaction::{Fees, Signer, Unsigned};
use ledger::{Address, At, B256, Chain};
use server::entropy::Entropy;
use server::reconciliation::investment_of;

use super::bench::{Backup, Bench, Ordered, VALIDITY_S};
use crate::faults::{below, rounds};

/// A bench on a ledger that others can send to, as a configured network is.
async fn public_bench() -> Bench {
    let mut bench = Bench::start(1).await;
    bench.policy.is_private = false;
    bench.restart_worker();
    bench
}

/// The restored database with a worker that has looked once.
async fn restored(bench: Bench, backup: &mut Backup) -> Bench {
    let mut bench = bench.restored(backup).await;
    bench.work.round().await.unwrap();
    bench
}

fn status(bench: &Bench, id: InvestmentId) -> Option<Status> {
    bench.find_investment(id).map(|investment| investment.status())
}

#[track_caller]
fn expect_delivered(bench: &Bench, ids: &[InvestmentId]) {
    for id in ids {
        assert_eq!(status(bench, *id), Some(Status::Delivered), "{id}");
    }
}

/// Turns the clock past everything that was signed, and makes blocks of that time.
fn pass_quarantine(bench: &Bench) {
    bench.pass(VALIDITY_S + 1);
    bench.mine(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn k15_what_the_ledger_knows_is_taken_over_and_issued_once() {
    let mut bench = public_bench().await;
    let campaign = bench.campaign(bench.product_id()).await;
    let known = bench.order(campaign, 3).await;
    bench.finish(&known).await;
    let paid = [bench.paid(campaign, 4).await, bench.paid(campaign, 5).await];
    let mut backup = bench.backup();

    // What the backup does not know: a credit of an investment that it has, whole investments, and bytes on their way.
    let later = bench.order_again(paid[0]).await;
    let lost = bench.order(campaign, 3).await;
    bench.finish(&[&[later], &lost[..]].concat()).await;
    let in_flight = bench.order_again(paid[1]).await;
    let flying = bench.paid(campaign, 6).await;
    bench.order_again(flying).await;
    bench.work.round().await.unwrap();
    assert_eq!(bench.chain.fake.waiting_count(), 1);
    let highest = bench.office.archive.credit(bench.platform_id(), lost[2].investment_id, lost[2].credit_id).unwrap().unwrap();

    let mut bench = restored(bench, &mut backup).await;
    let sent_before = bench.chain.sent.lock().unwrap().len();
    let lost: Vec<InvestmentId> = lost.iter().map(|one| one.investment_id).collect();
    expect_delivered(&bench, &lost);
    expect_delivered(&bench, &[later.investment_id]);
    expect_delivered(&bench, &known.iter().map(|one| one.investment_id).collect::<Vec<_>>());
    assert_eq!(status(&bench, in_flight.investment_id), Some(Status::Paid));
    assert_eq!(bench.metric("scrip_ledger_adopted_total"), "4");

    // The platform orders again what it finds uncredited, and something new; nothing is signed meanwhile.
    let again = bench.order_again(in_flight.investment_id).await;
    let new = bench.order(campaign, 2).await;
    let number = |bench: &Bench, one: Ordered| bench.credit(one).number.get();
    assert!(new.iter().all(|one| number(&bench, *one) > highest.number.get() + 1_024));
    for _round in 0..3 {
        bench.work.round().await.unwrap();
    }
    assert_eq!(bench.chain.sent.lock().unwrap().len(), sent_before, "something was signed in quarantine");
    // What was on its way arrives, and is taken over or judged as well.
    bench.mine(2);
    bench.work.round().await.unwrap();
    expect_delivered(&bench, &[flying]);

    pass_quarantine(&bench);
    bench.finish(&[&[again], &new[..]].concat()).await;
    bench.expect_succeeded(&[&[again], &new[..]].concat());
    assert_eq!(bench.metric("scrip_ledger_unadoptable_total"), "0");
    // A further run finds nothing to do.
    bench.restart_worker();
    bench.work.round().await.unwrap();
    assert_eq!(bench.metric("scrip_ledger_quarantines_total"), "1");
    let more = bench.order(campaign, 1).await;
    bench.finish(&more).await;
    bench.expect_succeeded(&more);
}

/// The backup knows a credit in its first ledger transaction, which expired. A second one, which it does not know, is still
/// in some pool when the backup is restored.
#[tokio::test(flavor = "multi_thread")]
async fn k15_nothing_fails_while_forgotten_bytes_can_still_carry_it_out() {
    let mut bench = public_bench().await;
    let campaign = bench.campaign(bench.product_id()).await;
    let ordered = bench.order(campaign, 1).await;
    bench.work.round().await.unwrap();
    bench.chain.fake.drop_waiting();
    let mut backup = bench.backup();
    bench.pass(VALIDITY_S + 1);
    bench.mine(2);
    bench.until(|bench| bench.credit(ordered[0]).state != CreditState::Processing).await;
    assert!(matches!(bench.credit(ordered[0]).state, CreditState::Failed { failure: CreditFailure::Expired, .. }));
    bench.until(|bench| bench.live().is_empty()).await;
    bench.order_again(ordered[0].investment_id).await;
    bench.work.round().await.unwrap();
    assert_eq!(bench.chain.fake.waiting_count(), 1);

    let mut bench = restored(bench, &mut backup).await;
    bench.work.round().await.unwrap();
    assert_eq!(bench.credit(ordered[0]).state, CreditState::Processing);
    bench.mine(2);
    bench.finish_after(&ordered, pass_quarantine).await;
    bench.expect_succeeded(&ordered);
}

/// An issue whose campaign was lost with it belongs to nobody that the register knows: it is told, and the product's credits
/// rest until a person has looked.
#[tokio::test(flavor = "multi_thread")]
async fn k15_an_issue_whose_campaign_was_lost_too_is_told() {
    let mut bench = public_bench().await;
    let campaign = bench.campaign(bench.product_id()).await;
    let mut backup = bench.backup();
    let lost_campaign = bench.campaign(bench.product_id()).await;
    let orphan = bench.order(lost_campaign, 1).await;
    bench.finish(&orphan).await;

    let mut bench = restored(bench, &mut backup).await;
    assert_eq!(status(&bench, orphan[0].investment_id), None);
    assert_eq!(bench.metric("scrip_ledger_unadoptable_total"), "1");
    // The index of the lost campaign is not given again.
    let next = bench.campaign(bench.product_id()).await;
    let (of_next, of_first) = (bench.order(next, 1).await, bench.order(campaign, 1).await);
    assert!(bench.credit(of_next[0]).number.parts().0 > bench.credit(of_first[0]).number.parts().0 + 1);
    let other = bench.further_product().await;
    let elsewhere = bench.campaign(other).await;
    let elsewhere = bench.order(elsewhere, 1).await;
    pass_quarantine(&bench);
    bench.finish_of(&elsewhere).await;
    bench.expect_succeeded(&elsewhere);
    assert!(bench.product(bench.product_id()).freeze.is_some());
    for one in [of_next, of_first].concat() {
        assert_eq!(bench.credit(one).state, CreditState::Processing);
    }
}

/// A private ledger holds no forgotten bytes: work goes on at once.
#[tokio::test(flavor = "multi_thread")]
async fn k15_on_the_embedded_ledger_nobody_waits() {
    let mut bench = Bench::start(1).await;
    let campaign = bench.campaign(bench.product_id()).await;
    let mut backup = bench.backup();
    let lost = bench.order(campaign, 2).await;
    bench.finish(&lost).await;
    let mut bench = restored(bench, &mut backup).await;
    expect_delivered(&bench, &[lost[0].investment_id, lost[1].investment_id]);
    let new = bench.order(campaign, 2).await;
    bench.finish(&new).await;
    bench.expect_succeeded(&new);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_while_somebody_else_uses_the_key_nothing_is_signed() {
    let mut bench = public_bench().await;
    let campaign = bench.campaign(bench.product_id()).await;
    let own = bench.device.key.address();
    let before = bench.order(campaign, 1).await;
    bench.finish(&before).await;
    for used in 1..=2 {
        let nonce = bench.chain.nonce(own, At::Head).await.unwrap();
        let fees = Fees { max_fee_per_gas_wei: 1 << 40, max_priority_fee_per_gas_wei: 0 };
        let foreign = Unsigned::gap_filler(bench.chain.chain_id(), nonce, own, fees).sign(&bench.device.key).unwrap();
        bench.chain.fake.send(&foreign.raw).await.unwrap();
        bench.mine(2);
        let ordered = bench.order(campaign, 1).await;
        let sent_before = bench.chain.sent.lock().unwrap().len();
        for _round in 0..3 {
            bench.step().await.unwrap();
        }
        assert_eq!(bench.chain.sent.lock().unwrap().len(), sent_before);
        assert_eq!(bench.metric("scrip_ledger_quarantines_total"), used.to_string());
        assert_eq!(bench.credit(ordered[0]).state, CreditState::Processing);
        pass_quarantine(&bench);
        bench.finish(&ordered).await;
        bench.expect_succeeded(&ordered);
    }
}

/// Whatever happens before a backup, between it and its restore, and afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn k15_restored_at_random_points_nothing_is_issued_twice_and_everything_ends() {
    let seed: [u8; 32] = Entropy::from_machine().unwrap().bytes();
    println!("seed {}", hex::encode(seed));
    let mut entropy = Entropy::from_seed(seed);
    let (mut quarantines, mut adopted) = (0, 0);
    for run in 0..rounds(10, 200) {
        let mut bench = public_bench().await;
        let campaign = bench.campaign(bench.product_id()).await;
        let mut paid = Vec::new();
        some_days(&mut bench, campaign, &mut paid, &mut entropy).await;
        let (mut backup, known) = (bench.backup(), paid.len());
        some_days(&mut bench, campaign, &mut paid, &mut entropy).await;
        let mut bench = restored(bench, &mut backup).await;
        paid.retain(|id| bench.find_investment(*id).is_some());
        assert!(paid.len() >= known, "run {run}");
        some_days(&mut bench, campaign, &mut paid, &mut entropy).await;
        pass_quarantine(&bench);
        for _look in 0..3 {
            bench.step().await.unwrap();
        }
        let ended = |bench: &Bench| {
            bench.office.archive.all_credits(None, 1_000).unwrap().iter().all(|one| one.state != CreditState::Processing)
        };
        bench.until(|bench| ended(bench) && bench.live().is_empty()).await;
        bench.compare().await;
        expect_issued_once(&bench).await;
        assert!(bench.product(bench.product_id()).freeze.is_none(), "run {run}");
        quarantines += bench.metric("scrip_ledger_quarantines_total").parse::<u64>().unwrap();
        adopted += bench.metric("scrip_ledger_adopted_total").parse::<u64>().unwrap();
    }
    println!("{quarantines} quarantines, {adopted} issues taken over");
    assert!(quarantines >= 10 && adopted > 0, "{quarantines} quarantines, {adopted} issues taken over");
}

/// Creates, credits, blocks, dropped pools and restarts, as chance wants them.
async fn some_days(bench: &mut Bench, campaign: CampaignId, paid: &mut Vec<InvestmentId>, entropy: &mut Entropy) {
    for _act in 0..below(entropy, 14) {
        match below(entropy, 7) {
            0 => paid.push(bench.paid(campaign, 1 + below(entropy, 5)).await),
            1 | 2 => {
                paid.push(bench.paid(campaign, 1 + below(entropy, 5)).await);
                bench.order_again(*paid.last().unwrap()).await;
            }
            3 => {
                let uncredited = paid.iter().find(|id| {
                    let investment = bench.find_investment(**id).unwrap();
                    investment.status() == Status::Paid && !investment.latest_credit.is_some_and(|credit| credit.excludes_another)
                });
                if let Some(id) = uncredited {
                    bench.order_again(*id).await;
                }
            }
            4 => bench.chain.fake.drop_waiting(),
            5 => bench.restart_worker(),
            _ => {}
        }
        bench.work.round().await.unwrap();
        bench.mine(below(entropy, 3));
    }
}

/// No investment stands twice on the ledger, and everything that does is delivered.
async fn expect_issued_once(bench: &Bench) {
    let Token::Deployed(token) = bench.product(bench.product_id()).token else { panic!("the token stands") };
    let (start, block) = (Checkpoint { next_block: 0, running_hash: B256::ZERO }, bench.chain.finalized().await.unwrap());
    let read = trusted_records(bench.chain.as_ref(), Address(token.bytes()), start, block).await.unwrap();
    let mut issued = BTreeSet::new();
    for trusted in server::reconciliation::applied(&read.records) {
        let id = investment_of(&trusted.record.item);
        assert!(issued.insert(id), "{id} was issued twice");
        assert_eq!(status(bench, id), Some(Status::Delivered), "{id}");
    }
}
