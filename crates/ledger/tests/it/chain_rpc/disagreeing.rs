//! Two nodes, one of which lags, follows another branch, lies, or is of another network.

use super::*;
use crate::anvil::Begin;
use crate::proxy::{Proxy, Twist};
use ledger::judge::Waiting;
use ledger::pin::{Pin, PinFault};
use serde_json::json;

fn is_unsettled(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Processing(Waiting::Nodes | Waiting::Records | Waiting::Finality { .. }))
}

/// A node with a token and one batch that is final, and a second way to it.
struct Two {
    anvil: Anvil,
    proxy: Proxy,
    chain: Nodes,
    token: Address,
    hash: TxHash,
}

async fn two() -> Two {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let chain = chain(anvil.chain_id, &[&anvil.url, &proxy.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    anvil.mine(110).await;
    let hash = send_to(&chain, &issue_on(&anvil, 2, token, &[issue(1, 10)])).await;
    anvil.mine(3).await;
    Two { anvil, proxy, chain, token, hash }
}

/// A node with the same beginning as this one, and another history.
async fn other_branch(anvil: &Anvil) -> Anvil {
    let other = Anvil::begin(Begin { chain_id: anvil.chain_id, ..Begin::new() }).await;
    assert_eq!(other.hash_at(0).await, anvil.hash_at(0).await, "the two do not begin alike");
    other.mine_at(START.unsigned_abs() + 7).await;
    other.mine(anvil.head_number().await + 10).await;
    assert_ne!(other.hash_at(1).await, anvil.hash_at(1).await);
    other
}

#[tokio::test]
async fn l11_a_node_a_hundred_blocks_behind_holds_verdicts_back() {
    let two = two().await;
    let settled = verdict(&two.chain, two.token, &issue(1, 10), &[two.hash]).await;
    assert!(matches!(settled, Verdict::Succeeded(_)));
    let newest = two.chain.finalized().await.unwrap();
    // As after a start: nothing is remembered.
    let chain = chain(two.anvil.chain_id, &[&two.anvil.url, &two.proxy.url]);
    two.proxy.lag(100);
    let agreed = chain.finalized().await.unwrap();
    assert_eq!((agreed.number, agreed.hash), (newest.number - 100, two.anvil.hash_at(newest.number - 100).await));
    assert!(is_unsettled(verdict(&chain, two.token, &issue(1, 10), &[two.hash]).await));
    let alone = chain.balance(account(1), At::Block(newest.hash)).await;
    assert_eq!(alone, Err(ChainError::StateNotHeld(newest.hash)));
    two.proxy.lag(0);
    assert_eq!(chain.finalized().await, Ok(newest));
    assert!(matches!(verdict(&chain, two.token, &issue(1, 10), &[two.hash]).await, Verdict::Succeeded(_)));
}

#[tokio::test]
async fn l11_another_branch_or_a_flipping_back_end_leads_to_no_wrong_verdict() {
    let two = two().await;
    let other = other_branch(&two.anvil).await;
    let newest = two.chain.finalized().await.unwrap();
    two.proxy.swap(&other.url);
    let split = two.chain.finalized().await;
    assert!(matches!(split, Err(ChainError::Disagreement(_))), "{split:?}");
    assert_eq!(verdict(&two.chain, two.token, &issue(1, 10), &[two.hash]).await, Verdict::Processing(Waiting::Nodes));
    two.proxy.swap(&two.anvil.url);
    two.proxy.alternate(Some(&other.url));
    let (mut agreed, mut withheld) = (0, 0);
    for _ in 0..30 {
        match two.chain.finalized().await {
            Ok(block) => assert_eq!(block, newest),
            Err(error) => assert!(matches!(error, ChainError::Disagreement(_) | ChainError::Unreachable(_)), "{error}"),
        }
        match verdict(&two.chain, two.token, &issue(1, 10), &[two.hash]).await {
            Verdict::Succeeded(place) => {
                assert_eq!(place.block.hash, two.anvil.hash_at(place.block.number).await);
                agreed += 1;
            }
            other @ (Verdict::Processing(_) | Verdict::Failed(_) | Verdict::Incident { .. }) => {
                assert!(is_unsettled(other), "{other:?}");
                withheld += 1;
            }
        }
    }
    println!("of 30 verdicts {agreed} were true and {withheld} withheld");
    assert!(withheld > 0 && two.proxy.fired("by turns") > 0);
    two.proxy.alternate(None);
    assert!(matches!(verdict(&two.chain, two.token, &issue(1, 10), &[two.hash]).await, Verdict::Succeeded(_)));
}

#[tokio::test]
async fn l12_receipts_and_logs_of_a_liar_end_nothing() {
    let two = two().await;
    // A lone liar, who has to be asked for everything.
    let lone = chain(two.anvil.chain_id, &[&two.proxy.url]);
    let never = issue_on(&two.anvil, 3, two.token, &[issue(2, 20)]);
    let hash = sign(&never).tx_hash;
    let head = two.anvil.ask("eth_getBlockByNumber", json!(["latest", false])).await;
    let forged = json!({
        "transactionHash": hash.to_string(), "blockHash": head["hash"], "status": "0x1", "gasUsed": "0x1",
        "contractAddress": null,
    });
    two.proxy.twist("eth_getTransactionReceipt", Twist::Result(forged), 1);
    assert!(lone.receipt(hash).await.unwrap().unwrap().succeeded, "the lie arrives");
    assert!(is_unsettled(verdict(&lone, two.token, &issue(2, 20), &[hash]).await));
    // Missing logs, and those of another contract.
    two.proxy.twist("eth_getLogs", Twist::Result(json!([])), 1);
    let unfolded = verdict(&lone, two.token, &issue(1, 10), &[two.hash]).await;
    assert_eq!(unfolded, Verdict::Processing(Waiting::Records));
    let filter = json!({"address": two.token.to_string(), "fromBlock": "0x0"});
    let mut logs = two.anvil.ask("eth_getLogs", json!([filter])).await;
    for log in logs.as_array_mut().unwrap() {
        log["address"] = json!(account(5).to_string());
    }
    two.proxy.twist("eth_getLogs", Twist::Result(logs), 1);
    assert_eq!(verdict(&lone, two.token, &issue(1, 10), &[two.hash]).await, Verdict::Processing(Waiting::Records));
    assert_eq!([two.proxy.fired("eth_getTransactionReceipt"), two.proxy.fired("eth_getLogs")], [1, 2]);
    // A call that claims what is not so, where an honest node is asked too.
    two.proxy.twist("eth_call", Twist::Result(json!(format!("0x{:064x}", 1))), 1);
    assert_eq!(verdict(&two.chain, two.token, &issue(2, 20), &[hash]).await, Verdict::Processing(Waiting::Nodes));
    assert_eq!(two.proxy.fired("eth_call"), 1);
    assert!(matches!(verdict(&two.chain, two.token, &issue(1, 10), &[two.hash]).await, Verdict::Succeeded(_)));
}

#[tokio::test]
async fn l13_a_swapped_network_is_named_before_anything_is_signed() {
    let two = two().await;
    let own = two.chain.identity().await.unwrap();
    let pin = Pin { chain: own, contracts: Vec::new() };
    assert_eq!(pin.check(&two.chain).await, Ok(vec![]));
    let foreign = Anvil::start().await;
    two.proxy.swap(&foreign.url);
    let found = ledger::ChainIdentity { chain_id: foreign.chain_id, genesis_hash: foreign.hash_at(0).await };
    let fault = ChainError::ForeignChain { endpoint: "node 1".to_owned(), found };
    assert_eq!(two.chain.finalized().await, Err(fault.clone()));
    assert_eq!(two.chain.identity().await, Err(fault));
    let faults = pin.check(&two.chain).await.unwrap();
    assert!(faults.contains(&PinFault::ChainId { pinned: own.chain_id, found: foreign.chain_id }), "{faults:?}");
    // A signature for the own chain is worth nothing there.
    let signed = sign(&on(two.anvil.chain_id, transfer(0)));
    let lone = chain(two.anvil.chain_id, &[&two.proxy.url]);
    let answer = lone.send(&signed.raw).await;
    assert!(matches!(answer, Err(ChainError::Refused { refusal: SendRefusal::WrongChain, .. })), "{answer:?}");
    // The same id, begun at another time.
    let begin = Begin { chain_id: two.anvil.chain_id, genesis_seconds: START - 1, ..Begin::new() };
    let restarted = Anvil::begin(begin).await;
    two.proxy.swap(&restarted.url);
    let found = restarted.hash_at(0).await;
    assert_eq!(pin.check(&lone).await, Ok(vec![PinFault::Genesis { pinned: own.genesis_hash, found }]));
    let known =
        Network { genesis_hash: Some(own.genesis_hash), ..network(two.anvil.chain_id, &[&two.anvil.url, &two.proxy.url]) };
    assert!(matches!(chain_of(&known).finalized().await, Err(ChainError::ForeignChain { .. })));
}
