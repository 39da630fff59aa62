//! Getting into a block: more for gas at the same nonce, and nonces that nothing else will use.

use std::time::Duration;

use domain::credit::{CreditFailure, CreditState};
use ledger::embedded::BASE_FEE_PER_GAS_WEI;
use ledger::fake::SendFault;
use ledger::transaction::{LocalSigner, Signer, Unsigned, decode};
use ledger::{Address, At, Chain, TxHash};
use server::keyring::KeyUse;

use super::bench::{Bench, Ordered, VALIDITY_S};
use super::three;

/// Selectors of the token's own functions (contracts/README.md).
const PAUSE: [u8; 4] = [0x84, 0x56, 0xcb, 0x59];
const PROPOSE_REGISTRAR: [u8; 4] = [0x97, 0x3c, 0x2c, 0xd1];
const ACCEPT_REGISTRAR: [u8; 4] = [0x3a, 0xa6, 0xc1, 0x08];
/// How long a proposed registrar waits.
const DELAY_S: i64 = 2 * 24 * 60 * 60;

/// Three credits that are processing, and a worker that may pay much for gas and raises what it offers after ten seconds.
async fn three_with_room() -> (Bench, Vec<Ordered>) {
    let (mut bench, ordered) = three(1).await;
    bench.policy.fees.max_fee_per_gas_wei_max = u128::from(BASE_FEE_PER_GAS_WEI) * 100;
    bench.policy.bump_after = Some(Duration::from_secs(10));
    bench.restart_worker();
    (bench, ordered)
}

/// Every version of the newest live ledger transaction, as signed.
fn versions(bench: &Bench) -> Vec<Unsigned> {
    let live = bench.live();
    live.last().unwrap().attempts.iter().map(|attempt| decode(&attempt.raw).unwrap().transaction).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_k09_what_waits_too_long_offers_more_at_the_same_nonce_with_equal_calldata() {
    let (mut bench, ordered) = three_with_room().await;
    bench.work.round().await.unwrap();
    bench.work.round().await.unwrap();
    assert_eq!(versions(&bench).len(), 1, "it is young");
    bench.pass(11);
    bench.work.round().await.unwrap();
    let [first, second] = &versions(&bench)[..] else { panic!("one more version") };
    let fees = second.fees;
    assert_eq!(Unsigned { fees: first.fees, ..second.clone() }, *first, "only the fees differ");
    for (more, less) in [
        (fees.max_fee_per_gas_wei, first.fees.max_fee_per_gas_wei),
        (fees.max_priority_fee_per_gas_wei, first.fees.max_priority_fee_per_gas_wei),
    ] {
        assert!(more > less && more * 8 >= less * 9, "{more} after {less}");
    }
    assert_eq!(bench.metric("scrip_ledger_bumps_total"), "1");

    // A crash between the commit of a further version and its sending: an earlier one runs, and is found by its number.
    bench.pass(11);
    bench.chain.fake.script_sends([SendFault::TimeOut, SendFault::TimeOut]);
    bench.work.round().await.unwrap();
    assert_eq!(versions(&bench).len(), 3);
    let hashes: Vec<TxHash> = bench.live()[0].attempts.iter().map(|attempt| TxHash(attempt.hash)).collect();
    bench.restart_worker();
    bench.mine(1);
    assert!(bench.chain.receipt(hashes[1]).await.unwrap().is_some() && bench.chain.receipt(hashes[2]).await.unwrap().is_none());
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_node_that_asks_for_more_is_offered_more_up_to_the_ceiling_and_then_the_same_again() {
    for text in ["replacement transaction underpriced", "transaction underpriced", "max fee per gas less than block base fee"] {
        let (mut bench, ordered) = three_with_room().await;
        bench.work.round().await.unwrap();
        bench.chain.fake.drop_waiting();
        bench.chain.fake.script_sends(std::iter::repeat_n(SendFault::Refuse(text.to_owned()), 200));
        let mut rounds = 0;
        while bench.metric("scrip_ledger_waits_total{reason=\"fee_ceiling\"}") == "0" {
            bench.work.round().await.unwrap();
            rounds += 1;
            assert!(rounds < 100, "{text}: the ceiling is not reached");
        }
        let versions = versions(&bench);
        assert!(versions.len() > 10, "{text}: {} versions", versions.len());
        let ceiling = u128::from(BASE_FEE_PER_GAS_WEI) * 100;
        assert!(versions.iter().all(|version| version.fees.max_fee_per_gas_wei <= ceiling));
        assert!(versions.iter().all(|version| version.nonce == versions[0].nonce && version.data == versions[0].data));
        let sent = bench.chain.sent.lock().unwrap().clone();
        assert_eq!(sent[sent.len() - 1], sent[sent.len() - 2], "{text}: at the ceiling the same bytes again");
        bench.chain.fake.script_sends([]);
        for one in &ordered {
            assert_eq!(bench.credit(*one).state, CreditState::Processing, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_an_expired_slot_is_filled_so_that_later_nonces_do_not_wait() {
    let (mut bench, ordered) = three_with_room().await;
    bench.chain.fake.script_sends(std::iter::repeat_n(SendFault::DropSilently, 2));
    bench.work.round().await.unwrap();
    let nonce = bench.live()[0].ledger_transaction.nonce;
    bench.pass(VALIDITY_S + 5);
    bench.mine(2);
    bench.until(|bench| ordered.iter().all(|one| bench.credit(*one).state != CreditState::Processing)).await;
    for one in &ordered {
        assert!(matches!(bench.credit(*one).state, CreditState::Failed { failure: CreditFailure::Expired, .. }));
    }
    bench.until(|bench| bench.live().is_empty()).await;
    let own = bench.device.address();
    let sent = bench.chain.sent.lock().unwrap().clone();
    let fillers = sent.iter().map(|raw| decode(raw).unwrap().transaction).filter(|sent| sent.to == Some(own));
    let fillers: Vec<Unsigned> = fillers.collect();
    assert!(!fillers.is_empty() && fillers.iter().all(|filler| filler.nonce == nonce && filler.value_wei == 0));
    assert_eq!(bench.chain.nonce(own, At::Finalized).await.unwrap(), nonce + 1);
    let mut again = Vec::new();
    for one in &ordered {
        again.push(bench.order_again(one.investment_id).await);
    }
    bench.finish(&again).await;
    bench.expect_succeeded(&again);
}

/// The process died after it reserved a nonce, and comes back when what it would sign would be refused as too late.
#[tokio::test(flavor = "multi_thread")]
async fn l14_k04_a_slot_that_was_never_signed_in_time_gives_its_instructions_back_and_its_nonce_is_filled() {
    let (mut bench, ordered) = three_with_room().await;
    bench.device.leave(1);
    assert!(bench.work.round().await.is_err());
    let reserved = bench.live()[0].ledger_transaction.nonce;
    bench.pass(VALIDITY_S + 5);
    bench.mine(2);
    bench.restart_worker();
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
    let sent = bench.chain.sent.lock().unwrap().clone();
    let own = bench.device.address();
    let at_reserved = sent.iter().map(|raw| decode(raw).unwrap().transaction).filter(|sent| sent.nonce == reserved);
    assert!(at_reserved.map(|sent| sent.to).all(|to| to == Some(own)), "nothing but a filler was signed there");
    assert_eq!(bench.chain.nonce(own, At::Finalized).await.unwrap(), reserved + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn l07_a_revert_ends_nothing_at_inclusion_and_is_judged_at_finality() {
    let (mut bench, ordered) = three(1).await;
    bench.work.round().await.unwrap();
    let attempt = bench.live()[0].attempts[0].clone();
    bench.pass(VALIDITY_S + 5);
    bench.mine(1);
    let receipt = bench.chain.receipt(TxHash(attempt.hash)).await.unwrap().unwrap();
    assert!(!receipt.succeeded, "the contract refuses what comes too late");
    bench.work.round().await.unwrap();
    for one in &ordered {
        assert_eq!(bench.credit(*one).state, CreditState::Processing);
    }
    bench.mine(1);
    bench.work.round().await.unwrap();
    for one in &ordered {
        assert!(matches!(bench.credit(*one).state, CreditState::Failed { failure: CreditFailure::Expired, .. }));
    }
    bench.until(|bench| bench.live().is_empty()).await;
    bench.compare().await;
}

/// The registrar's role is handed to another key and back, each after its delay.
#[tokio::test(flavor = "multi_thread")]
async fn l23_a_revoked_role_stops_new_signing_and_work_goes_on_without_loss_when_it_is_back() {
    let (mut bench, mut ordered) = three(1).await;
    let product_id = bench.product_id();
    let own = LocalSigner::new(bench.office.keyring.derive(KeyUse::EmbeddedLedger)).unwrap();
    let other = LocalSigner::new([0x0e; 32]).unwrap();
    let propose = |next: Address| [&PROPOSE_REGISTRAR[..], &[0; 12], &next.0].concat();
    bench.call_as(&own, Some(other.address()), 10_u128.pow(20), Vec::new()).await;
    bench.call_token(&own, product_id, propose(other.address())).await;
    bench.pass(DELAY_S);
    bench.call_token(&other, product_id, ACCEPT_REGISTRAR.to_vec()).await;
    ordered.extend(bench.order(bench.campaign(product_id).await, 2).await);
    let sent = bench.chain.sent.lock().unwrap().len();
    for _round in 0..5 {
        bench.step().await.unwrap();
    }
    assert_eq!(bench.chain.sent.lock().unwrap().len(), sent, "nothing is signed that the contract would refuse");
    assert_ne!(bench.metric("scrip_ledger_contained_faults_total"), "0");
    for one in &ordered {
        assert_eq!(bench.credit(*one).state, CreditState::Processing);
    }
    bench.call_token(&other, product_id, propose(own.address())).await;
    bench.pass(DELAY_S);
    bench.call_token(&own, product_id, ACCEPT_REGISTRAR.to_vec()).await;
    bench.restart_worker();
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}

/// A pause binds holders, not the registrar.
#[tokio::test(flavor = "multi_thread")]
async fn l23_units_are_issued_while_holders_may_not_transfer() {
    let (mut bench, ordered) = three(1).await;
    let own = LocalSigner::new(bench.office.keyring.derive(KeyUse::EmbeddedLedger)).unwrap();
    bench.call_token(&own, bench.product_id(), PAUSE.to_vec()).await;
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
}

#[tokio::test(flavor = "multi_thread")]
async fn l05_l04_what_only_a_person_can_mend_is_told_and_goes_on_by_itself_afterwards() {
    for (text, reason) in [("insufficient funds for gas * price + value", "funds"), ("exceeds block gas limit", "refused")] {
        let (mut bench, ordered) = three(1).await;
        bench.chain.fake.script_sends(std::iter::repeat_n(SendFault::Refuse(text.to_owned()), 4));
        for _round in 0..4 {
            bench.work.round().await.unwrap();
        }
        for one in &ordered {
            assert_eq!(bench.credit(*one).state, CreditState::Processing, "{text}");
        }
        assert_eq!(bench.metric(&format!("scrip_ledger_waits_total{{reason=\"{reason}\"}}")), "4");
        bench.finish(&ordered).await;
        bench.expect_succeeded(&ordered);
    }
}
