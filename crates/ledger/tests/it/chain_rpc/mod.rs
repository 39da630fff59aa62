//! A chain behind JSON-RPC, on real anvils, with a proxy between that makes the faults.

mod answers;
mod cycle;
mod disagreeing;
mod sending;

use crate::anvil::Anvil;
use crate::world::*;
use ledger::contract::{self, Checkpoint, Item};
use ledger::fees::{FeePolicy, Fees};
use ledger::judge::{Evidence, Holder, NumberState, Reading, Verdict, applied_key, finalized_skip, judge};
use ledger::nodes::Nodes;
use ledger::rpc::{Endpoint, FinalityRule, Network, RequestPolicy, connect};
use ledger::transaction::{Signer, Unsigned, deployed_address};
use ledger::{Address, At, B256, Chain, ChainError, SendOutcome, SendRefusal, TxHash};
use std::sync::Arc;
use std::time::Duration;

pub const UNTIL: u64 = START.unsigned_abs() + 600;
pub const GWEI: u128 = 1_000_000_000;

pub fn network(chain_id: u64, urls: &[&str]) -> Network {
    let endpoints = urls.iter().enumerate();
    Network {
        name: "test".to_owned(),
        chain_id,
        genesis_hash: None,
        endpoints: endpoints.map(|(index, url)| Endpoint { name: format!("node {index}"), url: (*url).to_owned() }).collect(),
        finality: FinalityRule::Tag,
        fees: FeePolicy {
            max_fee_per_gas_wei_max: 50 * GWEI,
            max_priority_fee_per_gas_wei_max: 5 * GWEI,
            max_priority_fee_per_gas_wei_min: 1,
            tip_percentile: 50,
            base_fee_factor: 2,
        },
        transaction_gas_max: 16_777_216,
        requests: RequestPolicy {
            timeout: Duration::from_mins(1),
            tries_max: 1,
            backoff_first: Duration::from_millis(1),
            backoff_max: Duration::from_millis(5),
            circuit_failures: 1_000,
            ..RequestPolicy::default()
        },
    }
}

pub fn chain_of(network: &Network) -> Nodes {
    connect(network, None, &(Arc::new(|| 0_u64) as ledger::rpc::Jitter)).unwrap()
}

pub fn chain(chain_id: u64, urls: &[&str]) -> Nodes {
    chain_of(&network(chain_id, urls))
}

/// Transactions of the test's operator on another chain than the embedded one.
pub fn on(chain_id: u64, transaction: Unsigned) -> Unsigned {
    let fees = Fees { max_fee_per_gas_wei: 10 * GWEI, max_priority_fee_per_gas_wei: GWEI };
    Unsigned { chain_id, fees, ..transaction }
}

pub async fn send_to(chain: &dyn Chain, transaction: &Unsigned) -> TxHash {
    chain.send(&sign(transaction).raw).await.unwrap()
}

pub async fn refused(chain: &dyn Chain, transaction: &Unsigned) -> (SendRefusal, SendOutcome) {
    let answer = chain.send(&sign(transaction).raw).await;
    let outcome = SendOutcome::of(&answer);
    match answer {
        Err(ChainError::Refused { refusal, .. }) => (refusal, outcome),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Deploys factory and token with nonces 0 and 1 through this chain; both are final afterwards.
pub async fn deploy_on(anvil: &Anvil, chain: &dyn Chain) -> (Address, Address) {
    let gas = contract::deploy_factory_gas_limit();
    send_to(chain, &on(anvil.chain_id, unsigned(0, None, contract::deploy_factory_data(), gas))).await;
    anvil.mine(1).await;
    let factory = deployed_address(signer().address(), 0);
    let salt = contract::token_salt(PRODUCT);
    let data = contract::deploy_token_calldata(salt, &terms()).unwrap();
    let call = on(anvil.chain_id, unsigned(1, Some(factory), data, contract::deploy_token_gas_limit()));
    let hash = send_to(chain, &call).await;
    anvil.mine(1).await;
    assert!(chain.receipt(hash).await.unwrap().unwrap().succeeded);
    let token = contract::predict_token(factory, salt, &terms()).unwrap();
    anvil.mine(2).await;
    assert_eq!(contract::token_of(chain, factory, salt, At::Head).await.unwrap(), Some(token));
    (factory, token)
}

pub fn issue_on(anvil: &Anvil, nonce: u64, token: Address, items: &[Item]) -> Unsigned {
    on(anvil.chain_id, batch(nonce, token, UNTIL, items))
}

/// What the judge says of one issue, on what the nodes agree on.
pub async fn verdict(chain: &dyn Chain, token: Address, item: &Item, attempts: &[TxHash]) -> Verdict {
    let (reading, skip) = read(chain, token, item, attempts).await.unwrap_or((Reading::Unreadable, None));
    let holders = vec![Holder { valid_until_seconds: UNTIL, finalized_skip: skip }];
    judge(&Evidence { reading, holders, preflight_refusal: None, quarantine_until_seconds: None })
}

async fn read(
    chain: &dyn Chain,
    token: Address,
    item: &Item,
    attempts: &[TxHash],
) -> Option<(Reading, Option<contract::SkipReason>)> {
    let block = chain.finalized().await.ok()?;
    let since = Checkpoint { next_block: 0, running_hash: B256::ZERO };
    let key = contract::instruction_key(chain.chain_id(), token, item.id);
    let is_applied = contract::applied(chain, token, item.number, At::Block(block.hash)).await.ok()?;
    let records = contract::trusted_records(chain, token, since, block).await.map(|trusted| trusted.records);
    let records = records.unwrap_or_default();
    let number = if is_applied { NumberState::Applied(applied_key(&records, item.number, key)) } else { NumberState::NotApplied };
    Some((Reading::Finalized { block, number }, finalized_skip(&records, attempts, item.number, key)))
}
