//! Answers of a node are bounded and read strictly, and a failing node is left alone.

use super::*;
use crate::proxy::{Proxy, Twist};
use ledger::{CallOutcome, CallRequest};
use serde_json::{Value, json};

const BLOCK: &str = "eth_getBlockByNumber";

fn unreachable_text<T: std::fmt::Debug>(answer: Result<T, ChainError>) -> String {
    match answer {
        Err(ChainError::Unreachable(text)) => text,
        other => panic!("expected no answer, got {other:?}"),
    }
}

#[tokio::test]
async fn answers_that_are_none_are_not_believed() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let mut network = network(anvil.chain_id, &[&proxy.url]);
    network.requests.answer_bytes_max = 64 * 1024;
    let chain = chain_of(&network);
    let honest = anvil.ask(BLOCK, json!(["latest", false])).await;
    let with = |field: &str, value: Value| {
        let mut block = honest.clone();
        block[field] = value;
        block
    };
    let large = vec![b' '; 64 * 1024 + 1];
    let twists = [
        (Twist::Bytes(b"<html>".to_vec()), "no JSON-RPC answer"),
        (Twist::Bytes(Vec::new()), "no JSON-RPC answer"),
        (Twist::Bytes(large), "too large"),
        (Twist::Bytes(br#"{"jsonrpc":"2.0","id":0,"result":null}"#.to_vec()), "another request"),
        (Twist::Result(Value::Null), "no block"),
        (Twist::Result(json!([])), "malformed"),
        (Twist::Result(with("number", json!(7))), "malformed"),
        (Twist::Result(with("hash", json!("0x12"))), "malformed"),
        (Twist::Result(with("timestamp", Value::Null)), "malformed"),
        (Twist::Status(503), "status 503"),
        (Twist::Status(429), "status 429"),
        (Twist::Redirect(anvil.url.clone()), "status 307"),
        (Twist::Error(-32_005, "limit exceeded".to_owned()), "limit exceeded"),
        (Twist::CutBefore, BLOCK),
    ];
    for (twist, expected) in twists {
        proxy.straighten();
        proxy.twist(BLOCK, twist.clone(), 1);
        let text = unreachable_text(chain.head().await);
        assert!(text.contains(expected), "{twist:?}: {text}");
        assert!(!text.contains(&proxy.url), "the URL is told: {text}");
    }
    assert_eq!(chain.head().await.unwrap().hash.to_string(), honest["hash"]);
}

#[tokio::test]
async fn a_hurried_node_is_asked_again_and_a_dead_one_left_alone() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let mut network = network(anvil.chain_id, &[&proxy.url]);
    network.requests.tries_max = 3;
    network.requests.circuit_failures = 4;
    network.requests.circuit_rest = Duration::from_hours(1);
    let chain = chain_of(&network);
    proxy.twist(BLOCK, Twist::Status(429), 1);
    proxy.twist(BLOCK, Twist::Status(502), 1);
    assert!(chain.head().await.is_ok());
    assert_eq!(proxy.seen(BLOCK), 3);
    proxy.twist(BLOCK, Twist::CutBefore, 100);
    unreachable_text(chain.head().await);
    assert_eq!(proxy.seen(BLOCK), 6);
    unreachable_text(chain.head().await);
    assert_eq!(proxy.seen(BLOCK), 7, "the fourth failure in a row ends the tries");
    let text = unreachable_text(chain.head().await);
    assert_eq!((text.as_str(), proxy.seen(BLOCK)), ("node 0 is left alone after failures", 7));
    // The other node answers meanwhile.
    let both = Network { endpoints: self::network(0, &[&proxy.url, &anvil.url]).endpoints, ..network };
    assert!(chain_of(&both).head().await.is_ok());
}

#[tokio::test]
async fn a_revert_is_an_answer_and_a_missing_state_is_named() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::start(&anvil.url).await;
    let chain = chain(anvil.chain_id, &[&proxy.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    let stranger = account(77);
    let data = contract::execute_calldata(UNTIL, &[issue(1, 1)]).unwrap();
    let request = CallRequest { from: stranger, to: Some(token), data, gas: None };
    let CallOutcome::Reverted(data) = chain.call(request.clone(), At::Head).await.unwrap() else { panic!("not reverted") };
    assert_eq!(contract::Revert::decode(&data), contract::Revert::NotRegistrar { caller: stranger });
    let short = CallRequest { gas: Some(50_000), from: signer().address(), ..request };
    assert_eq!(chain.call(short.clone(), At::Head).await, Ok(CallOutcome::Reverted(vec![])), "out of gas");
    for text in ["execution reverted", "VM execution error.", "out of gas", "invalid opcode: INVALID"] {
        proxy.twist("eth_call", Twist::Error(-32_000, text.to_owned()), 1);
        assert_eq!(chain.call(short.clone(), At::Head).await, Ok(CallOutcome::Reverted(vec![])), "{text}");
    }
    let unknown = B256([0xab; 32]);
    assert_eq!(chain.balance(stranger, At::Block(unknown)).await, Err(ChainError::StateNotHeld(unknown)));
    let head = chain.head().await.unwrap();
    for text in ["missing trie node 12", "header not found", "hash is not currently canonical"] {
        proxy.twist("eth_getBalance", Twist::Error(-32_000, text.to_owned()), 1);
        assert_eq!(chain.balance(stranger, At::Block(head.hash)).await, Err(ChainError::StateNotHeld(head.hash)), "{text}");
    }
    proxy.twist("eth_getBalance", Twist::Error(-32_601, "the method does not exist".to_owned()), 1);
    let missing = chain.balance(stranger, At::Block(head.hash)).await;
    assert_eq!(missing, Err(ChainError::Invalid("the method does not exist".to_owned())));
    assert_eq!(chain.balance(stranger, At::Block(head.hash)).await, Ok(0));
}
