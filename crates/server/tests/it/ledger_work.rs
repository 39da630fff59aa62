//! Where the worker can be cut off, and what the ledger can do to it: every credit ends once, and rightly.

pub mod bench;
mod contained;
mod lanes;
mod reconciled;
mod restored;
mod tending;

use domain::credit::{CreditFailure, CreditState};
use domain::ledger_transaction::Purpose;
use domain::network::NetworkName;
use domain::product::Token;
use ledger::contract::BATCH_ITEMS_MAX;
use ledger::fake::{AfterReorg, SendFault};
use ledger::pin::PinFault;
use ledger::transaction::decode;
use ledger::{Address, At, Chain};
use server::jobs::LedgerFault;
use server::operations::network::{NetworkPin, UNREADABLE_SETTING, Unreadable, pin_setting};
use server::operations::setting::PutSetting;

use bench::{Bench, Ordered, VALIDITY_S};

/// Three credits that are processing.
async fn three(finality_blocks: u64) -> (Bench, Vec<Ordered>) {
    let bench = Bench::start(finality_blocks).await;
    let ordered = bench.order(bench.campaign(bench.product_id()).await, 3).await;
    (bench, ordered)
}

#[tokio::test(flavor = "multi_thread")]
async fn k04_k05_a_worker_that_is_cut_off_before_signing_goes_on_with_the_reserved_nonce() {
    let (mut bench, ordered) = three(1).await;
    bench.device.leave(2);
    for _cut_off in 0..2 {
        assert!(matches!(bench.work.round().await, Err(LedgerFault::Signer(_))));
        bench.restart_worker();
        let live = bench.live();
        assert_eq!((live.len(), live[0].attempts.len(), live[0].instructions.len()), (1, 0, 3));
    }
    let reserved = bench.live()[0].ledger_transaction.nonce;
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
    let sent = decode(bench.chain.sent.lock().unwrap().last().unwrap()).unwrap();
    assert_eq!(sent.transaction.nonce, reserved);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_is_never_signed_for() {
    let (bench, ordered) = three(1).await;
    let (mut work, chain) = bench.worker_on_another_chain();
    assert!(matches!(work.round().await, Err(LedgerFault::OtherNetwork(_))));
    assert_eq!(bench.office.standing.halted().map(|(network, _)| network), Some(NetworkName::embedded()));
    assert!(chain.sent.lock().unwrap().is_empty() && bench.live().is_empty());
    assert_eq!(bench.credit(ordered[0]).state, CreditState::Processing);
}

/// What is compiled in is what was reviewed (`./check artifacts` compares it with the source); what lies on the chain
/// must be the same code, or nothing is signed for it.
#[tokio::test(flavor = "multi_thread")]
async fn y04_code_other_than_the_reviewed_is_never_signed_for() {
    let (mut bench, ordered) = three(1).await;
    let Token::Deployed(token) = bench.product(bench.product_id()).token else { panic!("the token stands") };
    let sent_before = bench.chain.sent.lock().unwrap().len();
    // Real code at a real address, but not the factory's; then an address without code.
    let name = pin_setting(&NetworkName::embedded());
    let pinned = NetworkPin::of_bytes(&bench.office.archive.setting(&name).unwrap().unwrap()).unwrap();
    for (address, is_other_code) in [(token.bytes(), true), ([0x77; 20], false)] {
        let value = NetworkPin { factory: Address(address), ..pinned }.to_bytes();
        bench.office.desk.run(PutSetting { name: name.clone().into(), value }, bench.now()).await.unwrap();
        bench.restart_worker();
        let Err(LedgerFault::OtherNetwork(faults)) = bench.work.round().await else { panic!("it is signed for") };
        assert_eq!(matches!(faults[..], [PinFault::Code { .. }]), is_other_code, "{faults:?}");
        assert_eq!(matches!(faults[..], [PinFault::CodeMissing(_)]), !is_other_code, "{faults:?}");
    }
    assert_eq!(bench.chain.sent.lock().unwrap().len(), sent_before);
    assert!(bench.live().iter().all(|open| open.instructions.is_empty()));
    assert_eq!(bench.credit(ordered[0]).state, CreditState::Processing);
}

#[tokio::test(flavor = "multi_thread")]
async fn k06_bytes_that_were_stored_but_never_arrived_are_sent_again_unchanged() {
    for lost in [SendFault::TimeOut, SendFault::DropSilently, SendFault::Refuse("txpool is full".to_owned())] {
        let (mut bench, ordered) = three(1).await;
        bench.chain.fake.script_sends([lost.clone()]);
        bench.work.round().await.unwrap();
        assert_eq!(bench.chain.fake.waiting_count(), 0, "{lost:?}");
        bench.restart_worker();
        bench.finish(&ordered).await;
        bench.expect_succeeded(&ordered);
        let sent = bench.chain.sent.lock().unwrap().clone();
        let [.., first, second] = &sent[..] else { panic!("sent {} times", sent.len()) };
        assert_eq!(first, second, "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn k07_k08_an_error_after_the_node_took_the_bytes_proves_nothing() {
    let texts = ["nonce too low", "already known", "replacement transaction underpriced", "insufficient funds for gas"];
    let refusals = texts.map(|text| SendFault::AcceptThenRefuse(text.to_owned()));
    for lost in refusals.into_iter().chain([SendFault::AcceptThenTimeOut]) {
        let (mut bench, ordered) = three(1).await;
        bench.chain.fake.script_sends([lost.clone()]);
        bench.work.round().await.unwrap();
        for one in &ordered {
            assert_eq!(bench.credit(*one).state, CreditState::Processing, "{lost:?}");
        }
        bench.restart_worker();
        bench.finish(&ordered).await;
        bench.expect_succeeded(&ordered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pool_forgets_is_sent_again_before_and_after_the_worker_restarts() {
    let (mut bench, ordered) = three(1).await;
    for is_restarted in [false, true, false] {
        bench.work.round().await.unwrap();
        assert_eq!(bench.chain.fake.waiting_count(), 1);
        bench.chain.fake.drop_waiting();
        if is_restarted {
            bench.restart_worker();
        }
    }
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}

/// The process dies after inclusion before it noticed, and again after finality before it recorded the verdict.
#[tokio::test(flavor = "multi_thread")]
async fn k10_k12_what_was_included_or_final_while_nobody_looked_is_found_and_judged_the_same() {
    for blocks in [1, 2, 5] {
        let (mut bench, ordered) = three(1).await;
        bench.work.round().await.unwrap();
        bench.restart_worker();
        bench.mine(blocks);
        bench.restart_worker();
        if blocks > 1 {
            bench.work.round().await.unwrap();
            bench.expect_succeeded(&ordered);
        }
        bench.finish(&ordered).await;
        bench.expect_succeeded(&ordered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn k11_a_reorganisation_before_finality_ends_nothing_and_doubles_nothing() {
    for after in [AfterReorg::WaitAgain, AfterReorg::Forgotten] {
        let (mut bench, ordered) = three(4).await;
        for depth in [1, 3] {
            bench.work.round().await.unwrap();
            bench.mine(depth);
            bench.work.round().await.unwrap();
            for one in &ordered {
                assert_eq!(bench.credit(*one).state, CreditState::Processing, "{after:?}: a receipt is no verdict");
            }
            bench.chain.fake.reorg(depth, after).unwrap();
        }
        bench.finish(&ordered).await;
        bench.expect_succeeded(&ordered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_finality_stands_still_credits_are_processing_and_further_ones_are_sent() {
    let (mut bench, mut ordered) = three(1).await;
    let stalled = bench.chain.finalized().await.unwrap().number;
    bench.chain.fake.stall_finality(Some(stalled));
    for _block in 0..5 {
        bench.step().await.unwrap();
    }
    ordered.extend(bench.order(bench.campaign(bench.product_id()).await, 2).await);
    for _block in 0..5 {
        bench.step().await.unwrap();
    }
    assert_eq!(bench.live().len(), 2, "the second batch does not wait for the first");
    // Longer than anything signed may run: only finalized time can say that it expired.
    bench.pass(VALIDITY_S + 1);
    bench.step().await.unwrap();
    for one in &ordered {
        assert_eq!(bench.credit(*one).state, CreditState::Processing);
    }
    bench.chain.fake.stall_finality(None);
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_block_held_in_time_expires_and_is_credited_anew_under_the_same_number() {
    let (mut bench, ordered) = three(1).await;
    bench.chain.fake.script_sends(std::iter::repeat_n(SendFault::DropSilently, 3));
    bench.work.round().await.unwrap();
    let Purpose::Execute { valid_until_seconds, .. } = bench.live()[0].ledger_transaction.purpose else { panic!() };
    bench.step().await.unwrap();
    bench.pass(VALIDITY_S + 5);
    bench.mine(1);
    assert!(bench.chain.head().await.unwrap().time_seconds > u64::try_from(valid_until_seconds).unwrap());
    bench.work.round().await.unwrap();
    let processing = |bench: &Bench| ordered.iter().all(|one| bench.credit(*one).state == CreditState::Processing);
    assert!(processing(&bench), "the block past the end is not final yet");
    bench.mine(1);
    // The old bytes arrive after all, too late to have an effect.
    bench.until(|bench| !processing(bench)).await;
    let mut again = Vec::new();
    for one in &ordered {
        let ended = bench.credit(*one);
        assert!(matches!(ended.state, CreditState::Failed { failure: CreditFailure::Expired, .. }), "{ended:?}");
        again.push(bench.order_again(one.investment_id).await);
        assert_eq!(bench.credit(again[again.len() - 1]).number, ended.number);
    }
    bench.finish(&again).await;
    bench.expect_succeeded(&again);
}

#[tokio::test(flavor = "multi_thread")]
async fn unanswered_reads_at_any_place_cut_a_round_short_and_end_nothing_wrongly() {
    for unreachable in 1..=12 {
        let (mut bench, ordered) = three(1).await;
        for _round in 0..3 {
            bench.chain.fake.script_unreachable_reads(unreachable);
            let _cut_short = bench.work.round().await;
            bench.mine(1);
        }
        bench.chain.fake.script_unreachable_reads(0);
        bench.finish(&ordered).await;
        bench.expect_succeeded(&ordered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_and_fifty_credits_succeed_once_each_in_batches_in_their_order() {
    let mut bench = Bench::start(1).await;
    let campaign_id = bench.campaign(bench.product_id()).await;
    let ordered = bench.order(campaign_id, 450).await;
    bench.work.round().await.unwrap();
    let live = bench.live();
    let sizes: Vec<usize> = live.iter().map(|open| open.instructions.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 450);
    assert!(sizes.iter().all(|size| *size <= BATCH_ITEMS_MAX), "{sizes:?}");
    let created: Vec<_> = live.iter().flat_map(|open| open.instructions.iter().map(|one| (one.created_at, one.id))).collect();
    assert!(created.is_sorted(), "nonces follow the order of instruction");
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_products_are_worked_on_side_by_side_over_one_signer() {
    let mut bench = Bench::start(2).await;
    let second = bench.further_product().await;
    let first_campaign = bench.campaign(bench.product_id()).await;
    let second_campaign = bench.campaign(second).await;
    let mut ordered = Vec::new();
    for round in 0..6 {
        let campaign_id = if round % 2 == 0 { first_campaign } else { second_campaign };
        ordered.extend(bench.order(campaign_id, 3).await);
        if round == 2 {
            bench.chain.fake.drop_waiting();
        }
        if round == 3 {
            bench.restart_worker();
        }
        bench.step().await.unwrap();
    }
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_nonces_are_in_flight_than_nodes_keep() {
    let mut bench = Bench::start(1).await;
    let stalled = bench.chain.finalized().await.unwrap().number;
    bench.chain.fake.stall_finality(Some(stalled));
    let campaign_id = bench.campaign(bench.product_id()).await;
    let mut ordered = Vec::new();
    for _batch in 0..20 {
        ordered.extend(bench.order(campaign_id, 1).await);
        bench.step().await.unwrap();
    }
    assert_eq!(bench.live().len(), 16);
    bench.chain.fake.stall_finality(None);
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
    let address = ledger::transaction::Signer::address(bench.device.as_ref());
    let nonces: Vec<u64> = bench.chain.sent.lock().unwrap().iter().map(|raw| decode(raw).unwrap().transaction.nonce).collect();
    assert_eq!(bench.chain.nonce(address, At::Finalized).await.unwrap(), nonces.iter().max().unwrap() + 1, "no gap is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_no_node_can_be_read_is_written_down_once_and_so_is_its_end() {
    let (mut bench, ordered) = three(1).await;
    bench.policy.unknown_after = std::time::Duration::ZERO;
    bench.restart_worker();
    let product_id = bench.product_id();
    let told = |bench: &Bench| {
        let stored = bench.office.archive.setting_of_network(UNREADABLE_SETTING, product_id).unwrap();
        Unreadable::of_stored(stored.as_deref()).since_micros
    };
    bench.work.round().await.unwrap();
    assert_eq!(told(&bench), None);
    bench.chain.fake.script_unreachable_reads(usize::MAX);
    assert!(bench.work.round().await.is_err());
    let since = told(&bench).expect("it is written down");
    assert!((0..=60_000_000).contains(&(bench.now().micros() - since)));
    let commits = bench.metric("scrip_desk_batch_commands_count");
    for _round in 0..3 {
        assert!(bench.work.round().await.is_err());
    }
    assert_eq!((told(&bench), bench.metric("scrip_desk_batch_commands_count")), (Some(since), commits));
    assert!(ordered.iter().all(|one| bench.credit(*one).state == CreditState::Processing), "only the judge ends a credit");
    // Another worker, which does not know that it was written down, takes it back.
    bench.restart_worker();
    bench.chain.fake.script_unreachable_reads(0);
    bench.work.round().await.unwrap();
    assert_eq!(told(&bench), None);
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
    // Nobody is told of what lasts less than it may.
    bench.policy.unknown_after = std::time::Duration::from_mins(10);
    bench.restart_worker();
    bench.chain.fake.script_unreachable_reads(usize::MAX);
    assert!(bench.work.round().await.is_err() && told(&bench).is_none());
}
