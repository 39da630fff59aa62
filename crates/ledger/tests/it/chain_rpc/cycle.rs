//! The whole cycle of the contracts on a real node.

use super::*;
use crate::anvil::Begin;
use ledger::contract::{Deployed, Outcome, SkipReason};
use ledger::fees::{FeeOffer, gas_limit_of_estimate};
use ledger::judge::{FailReason, Waiting};
use ledger::pin::{Pin, PinFault, PinnedContract};
use ledger::{CallRequest, Estimate, FeeMarket};
use serde_json::json;

fn waits() -> Verdict {
    Verdict::Processing(Waiting::Finality { until_seconds: UNTIL })
}

#[tokio::test]
async fn factory_token_and_a_batch_are_final_on_a_real_node() {
    let anvil = Anvil::start().await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    let (factory, token) = deploy_on(&anvil, &chain).await;
    let items = [issue(1, 10), Item { account: Address::ZERO, ..issue(2, 1) }, issue(3, 30)];
    let foreseen = contract::preflight(&chain, token, signer().address(), UNTIL, &items).await.unwrap();
    assert_eq!(foreseen, [Outcome::Applied, Outcome::Skipped(SkipReason::ForbiddenAddress), Outcome::Applied]);
    let hash = send_to(&chain, &issue_on(&anvil, 2, token, &items)).await;
    assert_eq!(chain.pending_nonce(signer().address()).await, Ok(3));
    assert_eq!(chain.nonce(signer().address(), At::Head).await, Ok(2));
    anvil.mine(1).await;
    let receipt = chain.receipt(hash).await.unwrap().unwrap();
    assert!(receipt.succeeded);
    assert_eq!(receipt.block, chain.head().await.unwrap());
    assert_eq!(receipt.block.hash, anvil.hash_at(receipt.block.number).await);
    for item in &items {
        assert_eq!(verdict(&chain, token, item, &[hash]).await, waits());
    }
    anvil.mine(2).await;
    assert_eq!(chain.finalized().await, Ok(receipt.block));
    for item in [&items[0], &items[2]] {
        let verdict = verdict(&chain, token, item, &[hash]).await;
        assert!(matches!(verdict, Verdict::Succeeded(place) if place.block == receipt.block && place.tx_hash == hash));
    }
    let skipped = Verdict::Failed(FailReason::Skipped(SkipReason::ForbiddenAddress));
    assert_eq!(verdict(&chain, token, &items[1], &[hash]).await, skipped);
    assert_eq!(contract::total_supply(&chain, token, At::Finalized).await, Ok(40));
    assert_eq!(chain.nonce(signer().address(), At::Finalized).await, Ok(3));
    let salt = contract::token_salt(PRODUCT);
    let deployed = contract::deployed_token(&chain, factory, salt, At::Finalized).await;
    assert_eq!(deployed, Ok(Deployed::Present { address: token }));
    assert!(chain.balance(signer().address(), At::Finalized).await.unwrap() > 10_u128.pow(23));
}

#[tokio::test]
async fn finality_follows_the_rule_of_the_network() {
    let anvil = Anvil::begin(Begin { epoch_blocks: 3, ..Begin::new() }).await;
    anvil.mine(20).await;
    let number = async |finality| {
        let network = Network { finality, ..network(anvil.chain_id, &[&anvil.url]) };
        chain_of(&network).finalized().await.unwrap().number
    };
    assert_eq!(number(FinalityRule::Tag).await, 14);
    assert_eq!(number(FinalityRule::Depth { blocks: 9 }).await, 11);
    assert_eq!(number(FinalityRule::Depth { blocks: 99 }).await, 0);
    assert_eq!(number(FinalityRule::TagAndDepth { blocks: 9 }).await, 11);
    assert_eq!(number(FinalityRule::TagAndDepth { blocks: 2 }).await, 14);
}

#[tokio::test]
async fn logs_are_read_in_ranges_and_come_out_whole() {
    let anvil = Anvil::start().await;
    let mut network = network(anvil.chain_id, &[&anvil.url]);
    let whole = chain_of(&network);
    let (_, token) = deploy_on(&anvil, &whole).await;
    for nonce in 2..12 {
        send_to(&whole, &issue_on(&anvil, nonce, token, &[issue(nonce, 1)])).await;
        anvil.mine(1).await;
    }
    let filter = ledger::LogFilter { address: token, from_block: 0, to_block: anvil.head_number().await, topic0: None };
    let all = whole.logs(filter).await.unwrap();
    // The token's own beginning, and of each batch a transfer and the records.
    assert!(all.len() >= 20, "{}", all.len());
    assert!(all.iter().all(|log| log.address == token && log.block.time_seconds > START.unsigned_abs()));
    network.requests.logs_blocks_max = 3;
    assert_eq!(chain_of(&network).logs(filter).await.unwrap(), all);
    // An answer that is too large is asked for in halves.
    network.requests.logs_blocks_max = 2_000;
    network.requests.answer_bytes_max = 4_000;
    assert_eq!(chain_of(&network).logs(filter).await.unwrap(), all);
    network.requests.logs_max = 5;
    assert!(matches!(chain_of(&network).logs(filter).await, Err(ChainError::Unreachable(_))));
}

#[tokio::test]
async fn l08_batches_survive_reorganisations_before_finality_and_run_once() {
    let depths: &[u64] = if std::env::var_os("SCRIP_LONG").is_some() { &[1, 64, 157, 200] } else { &[1, 64] };
    for depth in depths.iter().copied() {
        let anvil = Anvil::start().await;
        let finality = FinalityRule::Depth { blocks: depth };
        let chain = chain_of(&Network { finality, ..network(anvil.chain_id, &[&anvil.url]) });
        let (_, token) = deploy_on(&anvil, &chain).await;
        anvil.mine(depth).await;
        let transaction = issue_on(&anvil, 2, token, &[issue(1, 10)]);
        let hash = send_to(&chain, &transaction).await;
        anvil.mine(depth).await;
        assert_eq!(contract::total_supply(&chain, token, At::Head).await, Ok(10));
        assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, waits());
        let before = chain.receipt(hash).await.unwrap().unwrap().block;
        anvil.reorg(depth).await;
        assert_ne!(anvil.hash_at(before.number).await, before.hash, "no other branch was made");
        assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, waits());
        let again = chain.send(&sign(&transaction).raw).await;
        assert_eq!(SendOutcome::of(&again), SendOutcome::Held, "{again:?}");
        anvil.mine(1).await;
        let after = chain.receipt(hash).await.unwrap().unwrap().block;
        assert_ne!(after.hash, before.hash);
        assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, waits());
        anvil.mine(depth).await;
        let settled = verdict(&chain, token, &issue(1, 10), &[hash]).await;
        assert!(matches!(settled, Verdict::Succeeded(place) if place.block == after), "depth {depth}: {settled:?}");
        assert_eq!(contract::total_supply(&chain, token, At::Finalized).await, Ok(10));
    }
}

#[tokio::test]
async fn l10_a_node_that_never_finalises_ends_nothing() {
    let anvil = Anvil::begin(Begin { epoch_blocks: 1_000, ..Begin::new() }).await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    let hash = send_to(&chain, &issue_on(&anvil, 2, token, &[issue(1, 10)])).await;
    for minute in 1..=60 {
        anvil.mine_at(START.unsigned_abs() + minute * 60).await;
        assert_eq!(chain.finalized().await.unwrap().number, 0);
        // At block 0 there is no token to be asked, which proves nothing.
        assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, Verdict::Processing(Waiting::Nodes));
    }
    assert_eq!(contract::applied(&chain, token, 1, At::Head).await, Ok(true));
}

#[tokio::test]
async fn l21_the_estimate_and_a_reserve_are_enough_and_a_short_limit_ends_only_by_time() {
    let anvil = Anvil::start().await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    let transaction = issue_on(&anvil, 2, token, &[issue(1, 10)]);
    let from = signer().address();
    let request = CallRequest { from, to: Some(token), data: transaction.data.clone(), gas: None };
    let Estimate::Gas(gas) = chain.estimate_gas(request.clone()).await.unwrap() else { panic!("reverted") };
    // Less than it needs, but enough to begin: it runs out of gas.
    let short = Unsigned { gas_limit: gas - gas / 4, ..transaction.clone() };
    let hash = send_to(&chain, &short).await;
    anvil.mine(3).await;
    assert!(!chain.receipt(hash).await.unwrap().unwrap().succeeded);
    assert_eq!(verdict(&chain, token, &issue(1, 10), &[hash]).await, waits(), "a final receipt of status 0 is no end");
    let gas_limit = gas_limit_of_estimate(gas, 16_777_216).unwrap();
    let hash = send_to(&chain, &Unsigned { gas_limit, nonce: 3, ..transaction }).await;
    anvil.mine(1).await;
    let receipt = chain.receipt(hash).await.unwrap().unwrap();
    assert!(receipt.succeeded && receipt.gas_used <= gas && gas_limit == gas * 13 / 10, "{gas} {gas_limit} {receipt:?}");
    // What would be reverted is known before anything is signed.
    let late = CallRequest { data: contract::execute_calldata(1, &[issue(2, 1)]).unwrap(), ..request };
    let Estimate::Reverted(data) = chain.estimate_gas(late).await.unwrap() else { panic!("not reverted") };
    assert_eq!(contract::Revert::decode(&data), contract::Revert::Expired { valid_until_seconds: 1 });
}

/// What the node says of fees once it says this: it adds a block to its history of fees at a moment of its own.
async fn market_in_which(chain: &impl Chain, is_so: impl Fn(&FeeMarket) -> bool) -> FeeMarket {
    for _ in 0..1_000 {
        let market = chain.fee_market(50).await.unwrap();
        if is_so(&market) {
            return market;
        }
    }
    panic!("the fees stay {:?}", chain.fee_market(50).await);
}

#[tokio::test]
async fn l22_in_a_hundredfold_fee_spike_nothing_is_offered_and_afterwards_it_goes_on() {
    let anvil = Anvil::start().await;
    let network = network(anvil.chain_id, &[&anvil.url]);
    let chain = chain_of(&network);
    send_to(&chain, &on(anvil.chain_id, transfer(0))).await;
    anvil.mine(1).await;
    let market = market_in_which(&chain, |market| market.tip_per_gas_wei == GWEI).await;
    let FeeOffer::Offered(fees) = network.fees.offer(market) else { panic!("above the ceiling") };
    let waiting = Unsigned { fees, ..on(anvil.chain_id, transfer(1)) };
    let hash = send_to(&chain, &waiting).await;
    let before = chain.balance(signer().address(), At::Head).await.unwrap();
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("{:#x}", 100 * GWEI)])).await;
    anvil.mine(1).await;
    assert_eq!(chain.receipt(hash).await, Ok(None), "it waits for a cheaper block");
    let market = market_in_which(&chain, |market| market.base_fee_per_gas_wei >= 80 * GWEI).await;
    let offer = network.fees.offer(market);
    let needed_per_gas_wei = market.base_fee_per_gas_wei + 1;
    assert_eq!(offer, FeeOffer::AboveCeiling { needed_per_gas_wei, ceiling_per_gas_wei: 50 * GWEI });
    let dear = Fees { max_fee_per_gas_wei: 49 * GWEI, max_priority_fee_per_gas_wei: 4 * GWEI };
    assert_eq!(ledger::fees::bump(dear, &network.fees, market), None);
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("{GWEI:#x}")])).await;
    // The node forgets what it could not run, at a moment of its own, so the same bytes are sent again until they have run.
    let mut ran = None;
    for _ in 0..20 {
        let again = chain.send(&sign(&waiting).raw).await;
        assert!(matches!(SendOutcome::of(&again), SendOutcome::Held | SendOutcome::NonceUsed), "{again:?}");
        anvil.mine(1).await;
        ran = chain.receipt(hash).await.unwrap();
        if ran.is_some() {
            break;
        }
    }
    assert!(ran.is_some_and(|receipt| receipt.succeeded));
    let spent = before - chain.balance(signer().address(), At::Head).await.unwrap();
    assert!(spent <= 21_000 * fees.max_fee_per_gas_wei + 1, "{spent}");
}

#[tokio::test]
async fn l24_the_contract_refuses_after_the_last_second_and_failure_waits_for_finality() {
    let anvil = Anvil::start().await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    let (_, token) = deploy_on(&anvil, &chain).await;
    let in_time = send_to(&chain, &issue_on(&anvil, 2, token, &[issue(1, 10)])).await;
    anvil.mine_at(UNTIL).await;
    assert!(chain.receipt(in_time).await.unwrap().unwrap().succeeded, "the last second is included");
    let late = send_to(&chain, &issue_on(&anvil, 3, token, &[issue(2, 10)])).await;
    anvil.mine_at(UNTIL + 1).await;
    assert!(!chain.receipt(late).await.unwrap().unwrap().succeeded);
    assert_eq!(verdict(&chain, token, &issue(2, 10), &[late]).await, waits());
    anvil.mine(1).await;
    assert_eq!(chain.finalized().await.unwrap().time_seconds, UNTIL);
    assert_eq!(verdict(&chain, token, &issue(2, 10), &[late]).await, waits(), "the finalized block is not past the last second");
    anvil.mine(1).await;
    assert_eq!(verdict(&chain, token, &issue(2, 10), &[late]).await, Verdict::Failed(FailReason::Expired));
    assert!(matches!(verdict(&chain, token, &issue(1, 10), &[in_time]).await, Verdict::Succeeded(_)));
}

#[tokio::test]
async fn l13_pinned_contracts_are_found_and_changed_code_is_named() {
    let anvil = Anvil::start().await;
    let chain = chain(anvil.chain_id, &[&anvil.url]);
    let (factory, token) = deploy_on(&anvil, &chain).await;
    anvil.mine(2).await;
    let identity = chain.identity().await.unwrap();
    assert_eq!((identity.chain_id, identity.genesis_hash), (anvil.chain_id, anvil.hash_at(0).await));
    let pin = Pin { chain: identity, contracts: vec![PinnedContract::factory(factory), PinnedContract::token(token)] };
    assert_eq!(pin.check(&chain).await, Ok(vec![]));
    anvil.ask("anvil_setCode", json!([token.to_string(), "0x00"])).await;
    anvil.ask("anvil_setCode", json!([factory.to_string(), "0x"])).await;
    anvil.mine(3).await;
    let found = B256(alloy::primitives::keccak256([0]).0);
    let other = PinFault::Code { address: token, pinned: contract::token_code_hash(), found };
    assert_eq!(pin.check(&chain).await, Ok(vec![PinFault::CodeMissing(factory), other]));
}
