//! What becomes of a sent transaction when its answer is lost, an error, or a lie.

use super::*;
use crate::proxy::{Proxy, Twist};
use ledger::judge::{FailReason, Waiting};
use serde_json::json;

const SEND: &str = "eth_sendRawTransaction";

fn waits() -> Verdict {
    Verdict::Processing(Waiting::Finality { until_seconds: UNTIL })
}

#[tokio::test]
async fn l01_bytes_whose_answer_was_lost_are_sent_again_and_run_once() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let direct = chain(anvil.chain_id, &[&anvil.url]);
    let through = chain(anvil.chain_id, &[&proxy.url]);
    let (_, token) = deploy_on(&anvil, &direct).await;
    let transaction = issue_on(&anvil, 2, token, &[issue(1, 10)]);
    proxy.twist(SEND, Twist::CutAfter, 1);
    let lost = through.send(&sign(&transaction).raw).await;
    assert!(matches!(lost, Err(ChainError::Unreachable(_))), "{lost:?}");
    assert_eq!(SendOutcome::of(&lost), SendOutcome::Unanswered);
    assert_eq!(through.pending_nonce(signer().address()).await, Ok(3), "it was taken all the same");
    // The node knows the bytes, which counts as sent.
    let again = through.send(&sign(&transaction).raw).await;
    assert_eq!(again, Ok(sign(&transaction).tx_hash));
    // Tries of one request are the same: the first is lost behind the node, the second finds the bytes known.
    let mut patient = network(anvil.chain_id, &[&proxy.url]);
    patient.requests.tries_max = 3;
    proxy.twist(SEND, Twist::CutAfter, 1);
    proxy.twist(SEND, Twist::CutBefore, 1);
    let next = issue_on(&anvil, 3, token, &[issue(2, 20)]);
    assert_eq!(chain_of(&patient).send(&sign(&next).raw).await, Ok(sign(&next).tx_hash));
    assert_eq!(proxy.fired(SEND), 3);
    anvil.mine(3).await;
    assert_eq!(contract::total_supply(&through, token, At::Finalized).await, Ok(30));
    let settled = verdict(&through, token, &issue(1, 10), &[sign(&transaction).tx_hash]).await;
    assert!(matches!(settled, Verdict::Succeeded(_)));
}

#[tokio::test]
async fn l01_a_node_that_never_answers_ends_by_the_policys_time() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let mut hasty = network(anvil.chain_id, &[&proxy.url]);
    hasty.requests.timeout = Duration::from_millis(200);
    proxy.twist(SEND, Twist::Silence, 1);
    let answer = chain_of(&hasty).send(&sign(&on(anvil.chain_id, transfer(0))).raw).await;
    let text = format!("node 0: {SEND}: time out");
    assert_eq!(answer, Err(ChainError::Unreachable(text)));
    assert_eq!(anvil.ask("txpool_status", json!([])).await["pending"], "0x0");
}

#[tokio::test]
async fn l02_a_used_nonce_says_nothing_and_the_contract_says_all() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let chain = chain(anvil.chain_id, &[&proxy.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    let transaction = issue_on(&anvil, 2, token, &[issue(1, 10)]);
    // First send: the answer is an error although the node took it.
    proxy.twist(SEND, Twist::CutAfter, 1);
    chain.send(&sign(&transaction).raw).await.unwrap_err();
    anvil.mine(1).await;
    assert_eq!(refused(&chain, &transaction).await, (SendRefusal::NonceTooLow, SendOutcome::NonceUsed));
    let hash = sign(&transaction).tx_hash;
    assert!(chain.receipt(hash).await.unwrap().unwrap().succeeded, "the nonce was used by these very bytes");
    assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, waits());
    anvil.mine(2).await;
    assert!(matches!(verdict(&chain, token, &issue(1, 10), &[hash]).await, Verdict::Succeeded(_)));
    // Another transaction took this one's nonce: it is not failed either before its time has passed.
    let never = issue_on(&anvil, 2, token, &[issue(7, 70)]);
    assert_eq!(refused(&chain, &never).await, (SendRefusal::NonceTooLow, SendOutcome::NonceUsed));
    let hash = sign(&never).tx_hash;
    assert_eq!(verdict(&chain, token, &issue(7, 70), &[hash]).await, waits());
    anvil.mine_at(UNTIL + 1).await;
    anvil.mine(2).await;
    assert_eq!(verdict(&chain, token, &issue(7, 70), &[hash]).await, Verdict::Failed(FailReason::Expired));
}

#[tokio::test]
async fn l03_a_bump_replaces_and_an_equal_price_does_not() {
    let anvil = Anvil::start().await;
    let network = network(anvil.chain_id, &[&anvil.url]);
    let chain = chain_of(&network);
    let first = on(anvil.chain_id, transfer(0));
    let first_hash = send_to(&chain, &first).await;
    // Another transaction at the same price.
    let rival = Unsigned { value_wei: 2, ..first.clone() };
    let underpriced = (SendRefusal::ReplacementUnderpriced, SendOutcome::RaiseFees);
    assert_eq!(refused(&chain, &rival).await, underpriced);
    let market = chain.fee_market(50).await.unwrap();
    let bumped = ledger::fees::bump(first.fees, &network.fees, market).unwrap();
    let second_hash = send_to(&chain, &Unsigned { fees: bumped, ..first.clone() }).await;
    anvil.mine(1).await;
    assert_eq!(chain.receipt(first_hash).await, Ok(None));
    assert!(chain.receipt(second_hash).await.unwrap().unwrap().succeeded);
    let dear = Fees { max_fee_per_gas_wei: 48 * GWEI, max_priority_fee_per_gas_wei: GWEI };
    assert_eq!(ledger::fees::bump(dear, &network.fees, market), None, "at the ceiling the same bytes are sent again");
}

#[tokio::test]
async fn l04_a_drained_account_waits_for_money_and_the_same_bytes_run() {
    let anvil = Anvil::start().await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    anvil.fund(signer().address(), 1).await;
    let transaction = on(anvil.chain_id, transfer(0));
    assert_eq!(refused(&chain, &transaction).await, (SendRefusal::InsufficientFunds, SendOutcome::TopUp));
    anvil.fund(signer().address(), 10_u128.pow(18)).await;
    let hash = send_to(&chain, &transaction).await;
    anvil.mine(1).await;
    assert!(chain.receipt(hash).await.unwrap().unwrap().succeeded);
}

#[tokio::test]
async fn l05_a_full_or_unwilling_node_is_asked_again_and_never_the_end() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let chain = chain(anvil.chain_id, &[&proxy.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    let transaction = issue_on(&anvil, 2, token, &[issue(1, 10)]);
    let texts = [
        ("txpool is full", SendRefusal::PoolFull, SendOutcome::Later),
        ("account limit exceeded", SendRefusal::AccountLimit, SendOutcome::Later),
        ("address already reserved", SendRefusal::AccountLimit, SendOutcome::Later),
        ("oversized data", SendRefusal::Oversized, SendOutcome::Inspect),
        ("exceeds block gas limit", SendRefusal::GasLimit, SendOutcome::Inspect),
        ("the moon is full", SendRefusal::Unknown, SendOutcome::Later),
    ];
    let hash = sign(&transaction).tx_hash;
    for (text, refusal, outcome) in texts {
        proxy.twist(SEND, Twist::Error(-32_000, text.to_owned()), 1);
        assert_eq!(refused(&chain, &transaction).await, (refusal, outcome), "{text}");
        assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, waits());
    }
    assert_eq!(proxy.fired(SEND), texts.len());
    // What this node itself says of a limit above the block's.
    let large = Unsigned { gas_limit: 31_000_000, ..transaction.clone() };
    assert_eq!(refused(&chain, &large).await, (SendRefusal::GasLimit, SendOutcome::Inspect));
    let small = Unsigned { gas_limit: 20_000, ..on(anvil.chain_id, transfer(2)) };
    assert_eq!(refused(&chain, &small).await, (SendRefusal::IntrinsicGas, SendOutcome::Inspect));
    assert_eq!(send_to(&chain, &transaction).await, hash);
    anvil.mine(3).await;
    assert!(matches!(verdict(&chain, token, &issue(1, 10), &[hash]).await, Verdict::Succeeded(_)));
}

#[tokio::test]
async fn l06_a_transaction_that_left_the_pool_is_seen_by_its_absence_and_sent_again() {
    let anvil = Anvil::start().await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    let transaction = issue_on(&anvil, 2, token, &[issue(1, 10)]);
    let hash = send_to(&chain, &transaction).await;
    let dropped = anvil.ask("anvil_dropTransaction", json!([hash.to_string()])).await;
    assert_eq!(dropped, hash.to_string());
    anvil.mine(3).await;
    assert_eq!(chain.receipt(hash).await, Ok(None));
    assert_eq!(chain.pending_nonce(signer().address()).await, Ok(2));
    assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, waits());
    assert_eq!(send_to(&chain, &transaction).await, hash);
    anvil.mine(3).await;
    assert!(matches!(verdict(&chain, token, &issue(1, 10), &[hash]).await, Verdict::Succeeded(_)));
    assert_eq!(contract::total_supply(&chain, token, At::Finalized).await, Ok(10));
}

#[tokio::test]
async fn l14_a_nonce_gap_is_filled_by_a_transfer_of_nothing() {
    let anvil = Anvil::start().await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    let later = send_to(&chain, &on(anvil.chain_id, transfer(1))).await;
    anvil.mine(1).await;
    assert_eq!(chain.receipt(later).await, Ok(None));
    let fees = on(anvil.chain_id, transfer(0)).fees;
    let filler = Unsigned::gap_filler(anvil.chain_id, 0, signer().address(), fees);
    let hash = send_to(&chain, &filler).await;
    anvil.mine(1).await;
    assert!(chain.receipt(hash).await.unwrap().unwrap().succeeded);
    assert!(chain.receipt(later).await.unwrap().unwrap().succeeded);
}
