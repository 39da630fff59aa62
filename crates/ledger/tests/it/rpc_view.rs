//! The embedded chain as JSON-RPC.

use crate::world::*;
use ledger::contract;
use ledger::embedded::EmbeddedChain;
use ledger::embedded::rpc_view::{answer, parse_error};
use ledger::transaction::Signer;
use ledger::{Address, TxHash};
use serde_json::{Value, json};

const UNTIL: u64 = START.unsigned_abs() + 600;

fn ask(chain: &EmbeddedChain, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let answered = answer(chain, request);
    assert_eq!(answered["jsonrpc"], "2.0");
    assert_eq!(answered["id"], 7);
    answered
}

fn result(chain: &EmbeddedChain, method: &str, params: Value) -> Value {
    let answered = ask(chain, method, params);
    assert_eq!(answered.get("error"), None, "{method}");
    answered["result"].clone()
}

fn error(chain: &EmbeddedChain, method: &str, params: Value) -> (i64, String) {
    let answered = ask(chain, method, params);
    assert_eq!(answered.get("result"), None, "{method}");
    let message = answered["error"]["message"].as_str().unwrap().to_owned();
    (answered["error"]["code"].as_i64().unwrap(), message)
}

/// A token with one batch of two issues in block 3, and an empty block 4; one block makes final.
fn grown() -> (EmbeddedChain, Address, TxHash) {
    let chain = in_memory(&Time::new(), 1);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let hash = send(&chain, &batch(2, token, UNTIL, &[issue(1, 10), issue(2, 20)]));
    chain.produce().unwrap();
    chain.produce().unwrap();
    (chain, token, hash)
}

#[test]
fn the_chain_introduces_itself() {
    let (chain, _, _) = grown();
    let nothing = || json!([]);
    assert_eq!(result(&chain, "eth_chainId", nothing()), "0x11f65");
    assert_eq!(result(&chain, "net_version", nothing()), "73573");
    assert_eq!(result(&chain, "eth_blockNumber", nothing()), "0x4");
    assert_eq!(result(&chain, "eth_gasPrice", nothing()), "0x3baa0c40");
    assert_eq!(result(&chain, "eth_maxPriorityFeePerGas", nothing()), "0xf4240");
    assert_eq!(result(&chain, "eth_syncing", nothing()), false);
    let version = result(&chain, "web3_clientVersion", nothing());
    assert!(version.as_str().unwrap().starts_with("scrip/"));
}

#[test]
fn blocks_transactions_receipts_and_logs_agree() {
    let (chain, token, hash) = grown();
    let hash = hash.to_string();
    let block = result(&chain, "eth_getBlockByNumber", json!(["0x3", true]));
    assert_eq!(block["number"], "0x3");
    assert_eq!(block["baseFeePerGas"], "0x3b9aca00");
    let transaction = &block["transactions"][0];
    assert_eq!(transaction["hash"], hash);
    assert_eq!(transaction["nonce"], "0x2");
    assert_eq!(transaction["type"], "0x2");
    let from: Address = transaction["from"].as_str().unwrap().parse().unwrap();
    assert_eq!(from, signer().address());
    let by_hash = result(&chain, "eth_getBlockByHash", json!([block["hash"], true]));
    assert_eq!(by_hash, block);
    let short = result(&chain, "eth_getBlockByNumber", json!(["finalized", false]));
    assert_eq!(short["hash"], block["hash"]);
    assert_eq!(short["transactions"], json!([hash]));
    assert_eq!(result(&chain, "eth_getTransactionByHash", json!([hash])), *transaction);

    let receipt = result(&chain, "eth_getTransactionReceipt", json!([hash]));
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["blockHash"], block["hash"]);
    assert_eq!(receipt["gasUsed"], block["gasUsed"]);
    assert_eq!(receipt["contractAddress"], Value::Null);
    let logs = receipt["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 3, "two transfers and the records");
    let filter = json!({"address": token.to_string(), "fromBlock": "0x3"});
    let listed = result(&chain, "eth_getLogs", json!([filter]));
    assert_eq!(listed.as_array().unwrap(), logs);
    let transfers = json!([["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"]]);
    let filter = json!({"blockHash": block["hash"], "topics": transfers});
    assert_eq!(result(&chain, "eth_getLogs", json!([filter])).as_array().unwrap().len(), 2);
    let filter = json!({"address": account(1).to_string(), "fromBlock": "0x0"});
    assert_eq!(result(&chain, "eth_getLogs", json!([filter])), json!([]));

    for method in ["eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getBlockByHash"] {
        let unknown = format!("0x{}", "ab".repeat(32));
        assert_eq!(result(&chain, method, json!([unknown, false])), Value::Null, "{method}");
    }
    assert_eq!(result(&chain, "eth_getBlockByNumber", json!(["0x63", false])), Value::Null);
    let genesis = result(&chain, "eth_getBlockByNumber", json!(["earliest", false]));
    assert_eq!(genesis["number"], "0x0");
    assert_eq!(genesis["transactions"], json!([]));
}

#[test]
fn state_is_read_where_it_is_asked_for() {
    let (chain, token, _) = grown();
    let of = signer().address().to_string();
    assert_eq!(result(&chain, "eth_getTransactionCount", json!([of, "latest"])), "0x3");
    assert_eq!(result(&chain, "eth_getTransactionCount", json!([of, "0x2"])), "0x2");
    send(&chain, &transfer(3));
    assert_eq!(result(&chain, "eth_getTransactionCount", json!([of])), "0x3");
    assert_eq!(result(&chain, "eth_getTransactionCount", json!([of, "pending"])), "0x4");
    assert_eq!(result(&chain, "eth_getCode", json!([of, "latest"])), "0x");
    let code = result(&chain, "eth_getCode", json!([token.to_string(), "latest"]));
    assert!(code.as_str().unwrap().len() > 1_000);
    assert_eq!(result(&chain, "eth_getCode", json!([token.to_string(), "0x1"])), "0x");
    assert_eq!(result(&chain, "eth_getBalance", json!([account(1).to_string()])), "0x0");
    // totalSupply()
    let call = json!({"to": token.to_string(), "data": "0x18160ddd"});
    let supply = |at: Value| result(&chain, "eth_call", json!([call, at]));
    assert_eq!(supply(json!("latest")), format!("0x{:064x}", 30));
    assert_eq!(supply(json!("0x2")), format!("0x{:064x}", 0));
    let hash = result(&chain, "eth_getBlockByNumber", json!(["0x3", false]))["hash"].clone();
    assert_eq!(supply(json!({"blockHash": hash})), format!("0x{:064x}", 30));
    let waiting = result(&chain, "eth_getTransactionByHash", json!([sign(&transfer(3)).tx_hash.to_string()]));
    assert_eq!(waiting["blockHash"], Value::Null);
}

#[test]
fn an_estimate_is_enough_and_close() {
    let (chain, token, _) = grown();
    let data = contract::execute_calldata(UNTIL, &[issue(3, 1)]).unwrap();
    let call = json!({
        "from": signer().address().to_string(),
        "to": token.to_string(),
        "data": format!("0x{}", hex::encode(&data)),
    });
    let estimate = result(&chain, "eth_estimateGas", json!([call]));
    let gas = u64::from_str_radix(&estimate.as_str().unwrap()[2..], 16).unwrap();
    let sent = send(&chain, &unsigned(3, Some(token), data, gas));
    chain.produce().unwrap();
    let done = receipt(&chain, sent);
    assert!(done.succeeded);
    assert!(gas >= done.gas_used && gas < done.gas_used + done.gas_used / 8);
    let plain = json!({"from": signer().address().to_string(), "to": account(5).to_string()});
    assert_eq!(result(&chain, "eth_estimateGas", json!([plain])), "0x5208");
}

#[test]
fn fee_history_says_what_was_paid() {
    let (chain, _, _) = grown();
    let history = result(&chain, "eth_feeHistory", json!(["0x2", "latest", [0, 50.5, 100]]));
    assert_eq!(history["oldestBlock"], "0x3");
    assert_eq!(history["baseFeePerGas"], json!(["0x3b9aca00", "0x3b9aca00", "0x3b9aca00"]));
    assert_eq!(history["reward"][0], json!(["0x3e8", "0x3e8", "0x3e8"]));
    assert_eq!(history["reward"][1], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(history["gasUsedRatio"][1].to_string(), "0.0");
    let short = result(&chain, "eth_feeHistory", json!([1_000, "latest", null]));
    assert_eq!(short["oldestBlock"], "0x0");
    assert_eq!(short.get("reward"), None);
    assert_eq!(error(&chain, "eth_feeHistory", json!([1, "latest", [101]])).0, -32_602);
    assert_eq!(error(&chain, "eth_feeHistory", json!([1, "latest", [9, 8]])).0, -32_602);
}

#[test]
fn a_signed_transaction_is_taken_and_a_bad_one_refused_in_a_nodes_words() {
    let (chain, _, _) = grown();
    let raw = |nonce| json!([format!("0x{}", hex::encode(sign(&transfer(nonce)).raw))]);
    let hash = result(&chain, "eth_sendRawTransaction", raw(3));
    assert_eq!(hash, sign(&transfer(3)).tx_hash.to_string());
    let known = error(&chain, "eth_sendRawTransaction", raw(3));
    assert_eq!(known, (-32_000, "already known".to_owned()));
    let low = error(&chain, "eth_sendRawTransaction", raw(0));
    assert_eq!(low, (-32_000, "nonce too low: next nonce 3, tx nonce 0".to_owned()));
    assert_eq!(error(&chain, "eth_sendRawTransaction", json!(["0x00"])).0, -32_000);
    assert_eq!(error(&chain, "eth_sendRawTransaction", json!(["zz"])).0, -32_602);
}

#[test]
fn nothing_signs_or_changes_state_without_a_signature() {
    let (chain, _, _) = grown();
    for method in [
        "eth_sendTransaction",
        "eth_sign",
        "eth_signTransaction",
        "evm_mine",
        "evm_increaseTime",
        "anvil_setBalance",
        "hardhat_setStorageAt",
        "personal_unlockAccount",
        "debug_setHead",
    ] {
        assert_eq!(error(&chain, method, json!([])).0, -32_601, "{method}");
    }
    let call = json!({"to": account(1).to_string()});
    let overrides = json!([call, "latest", {account(1).to_string(): {"balance": "0x1"}}]);
    assert_eq!(error(&chain, "eth_call", overrides).0, -32_602);
}

#[test]
fn a_reverted_call_carries_its_data() {
    let (chain, token, _) = grown();
    let data = contract::execute_calldata(1, &[issue(3, 1)]).unwrap();
    let call = json!({
        "from": signer().address().to_string(),
        "to": token.to_string(),
        "input": format!("0x{}", hex::encode(&data)),
    });
    for method in ["eth_call", "eth_estimateGas"] {
        let answered = ask(&chain, method, json!([call, "latest"]));
        assert_eq!(answered["error"]["code"], 3);
        let data = answered["error"]["data"].as_str().unwrap();
        let reason = contract::Revert::decode(&hex::decode(&data[2..]).unwrap());
        assert_eq!(reason, contract::Revert::Expired { valid_until_seconds: 1 });
    }
}

#[test]
fn malformed_requests_get_the_codes_of_json_rpc() {
    let (chain, _, _) = grown();
    let code = |request: Value| answer(&chain, request)["error"]["code"].clone();
    assert_eq!(parse_error()["error"]["code"], -32_700);
    assert_eq!(parse_error()["id"], Value::Null);
    assert_eq!(code(json!([])), -32_600);
    assert_eq!(code(json!(5)), -32_600);
    assert_eq!(code(json!({"id": 1, "method": "eth_chainId"})), -32_600);
    assert_eq!(code(json!({"jsonrpc": "2.0", "id": 1})), -32_600);
    assert_eq!(code(json!({"jsonrpc": "2.0", "id": {}, "method": "eth_chainId"})), -32_600);
    let by_name = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": {"a": 1}});
    assert_eq!(code(by_name), -32_602);
    assert_eq!(error(&chain, "eth_nothing", json!([])).0, -32_601);
    for (method, params) in [
        ("eth_getBalance", json!([])),
        ("eth_getBalance", json!(["0x12"])),
        ("eth_getBalance", json!([account(1).to_string(), "someday"])),
        ("eth_getLogs", json!(["all"])),
        ("eth_call", json!([{"to": 5}])),
    ] {
        assert_eq!(error(&chain, method, params.clone()).0, -32_602, "{method} {params}");
    }
    let beyond = json!([account(1).to_string(), "0x63"]);
    let header_not_found = (-32_000, "header not found".to_owned());
    assert_eq!(error(&chain, "eth_getBalance", beyond), header_not_found);
}

#[test]
fn batches_are_answered_in_order_and_notifications_not_at_all() {
    let (chain, _, _) = grown();
    let request = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "eth_chainId"});
    let notification = json!({"jsonrpc": "2.0", "method": "eth_chainId"});
    let batch = json!([request(json!(1)), notification, 5, request(json!("b"))]);
    let answered = answer(&chain, batch);
    let ids: Vec<_> = answered.as_array().unwrap().iter().map(|each| each["id"].clone()).collect();
    assert_eq!(ids, [json!(1), Value::Null, json!("b")]);
    assert_eq!(answer(&chain, notification.clone()), Value::Null);
    assert_eq!(answer(&chain, json!([notification])), Value::Null);
    let many: Vec<_> = (0..101).map(|id| request(json!(id))).collect();
    assert_eq!(answer(&chain, json!(many))["error"]["code"], -32_600);
}
