//! Several nodes asked as one, on chains whose faults are scripted.

use crate::world::*;
use ledger::contract::Item;
use ledger::contract::{self, Checkpoint};
use ledger::embedded::GenesisConfig;
use ledger::fake::{AfterReorg, FakeChain, Fault, SendFault};
use ledger::judge::{Evidence, FailReason, Holder, NumberState, Reading, Verdict, Waiting, applied_key, judge};
use ledger::nodes::{Node, Nodes};
use ledger::pin::{Pin, PinFault, PinnedContract};
use ledger::{Address, At, B256, BlockRef, CallOutcome, Chain, ChainError, ChainIdentity, TxHash};
use std::sync::Arc;

const UNTIL: u64 = START.unsigned_abs() + 600;

fn is_long() -> bool {
    std::env::var_os("SCRIP_LONG").is_some()
}

/// A chain behind two nodes, and the two asked as one.
struct Pair {
    one: Arc<FakeChain>,
    two: Arc<FakeChain>,
    chain: Nodes,
}

fn nodes_of(chains: &[&Arc<FakeChain>]) -> Nodes {
    let named = chains.iter().enumerate().map(|(index, chain)| {
        let chain: Arc<dyn Chain> = Arc::clone(*chain) as Arc<dyn Chain>;
        Node { name: format!("node {index}"), chain }
    });
    Nodes::new(genesis().chain_id, None, named.collect(), None)
}

fn pair(finality_blocks: u64) -> Pair {
    let one = Arc::new(FakeChain::new(&genesis(), finality_blocks));
    let two = Arc::new(one.another_node());
    let chain = nodes_of(&[&one, &two]);
    Pair { one, two, chain }
}

/// The same beginning, but another history from block 1 on.
fn other_branch(blocks: u64) -> Arc<FakeChain> {
    let other = Arc::new(FakeChain::new(&genesis(), 0));
    other.set_time(START + 77);
    other.mine(blocks).unwrap();
    other
}

/// What the judge says of one issue, on what these nodes agree on.
fn verdict(chain: &dyn Chain, token: Address, item: Item, holders: Vec<Holder>) -> Verdict {
    let reading = || -> Option<Reading> {
        let block = now(chain.finalized()).ok()?;
        let at = At::Block(block.hash);
        let number = if now(contract::applied(chain, token, item.number, at)).ok()? {
            let since = Checkpoint { next_block: 0, running_hash: B256::ZERO };
            let records = now(contract::trusted_records(chain, token, since, block)).ok();
            let key = contract::instruction_key(chain.chain_id(), token, item.id);
            let records = records.map(|trusted| trusted.records).unwrap_or_default();
            NumberState::Applied(applied_key(&records, item.number, key))
        } else {
            NumberState::NotApplied
        };
        Some(Reading::Finalized { block, number })
    };
    let reading = reading().unwrap_or(Reading::Unreadable);
    judge(&Evidence { reading, holders, preflight_refusal: None, quarantine_until_seconds: None })
}

fn holder() -> Vec<Holder> {
    vec![Holder { valid_until_seconds: UNTIL, finalized_skip: None }]
}

fn disagreement<T: std::fmt::Debug>(answer: Result<T, ChainError>) -> bool {
    matches!(answer, Err(ChainError::Disagreement(_)))
}

#[test]
fn a_send_reaches_every_node_and_one_that_takes_it_is_enough() {
    let pair = pair(0);
    pair.one.script_sends([SendFault::TimeOut, SendFault::Refuse("txpool is full".to_owned())]);
    pair.two.script_sends([SendFault::Refuse("nonce too low".to_owned())]);
    let raw = sign(&transfer(0)).raw;
    assert!(matches!(now(pair.chain.send(&raw)), Err(ChainError::Refused { text, .. }) if text == "nonce too low"));
    assert_eq!(now(pair.chain.send(&raw)), Ok(sign(&transfer(0)).tx_hash));
    assert_eq!(now(pair.chain.send(&raw)), Ok(sign(&transfer(0)).tx_hash), "known bytes are as good as sent");
    assert_eq!(pair.one.waiting_count(), 1);
    assert_eq!([pair.one.fired_count(Fault::SendLost), pair.one.fired_count(Fault::Refused)], [1, 1]);
}

#[test]
fn transactions_that_overtake_each_other_run_in_order_of_their_nonces() {
    let chain = FakeChain::new(&genesis(), 0);
    chain.script_sends([SendFault::Reorder]);
    let (first, second) = (send(&chain, &transfer(0)), send(&chain, &transfer(1)));
    chain.mine(1).unwrap();
    assert!(receipt(&chain, first).succeeded && receipt(&chain, second).succeeded);
    assert_eq!(chain.fired_count(Fault::Reordered), 1);
}

#[test]
fn l08_a_reorganisation_before_finality_is_never_shown_as_success_and_the_batch_runs_once() {
    let depths: &[u64] = if is_long() { &[1, 7, 64, 157, 200] } else { &[1, 7, 64] };
    for depth in depths.iter().copied() {
        let pair = pair(depth);
        let mine = |blocks| pair.one.mine(blocks).map(drop).unwrap();
        let (_, token) = deploy(&pair.chain, || mine(1));
        mine(depth);
        let transaction = batch(2, token, UNTIL, &[issue(1, 10)]);
        let hash = send(&pair.chain, &transaction);
        mine(depth);
        assert_eq!(now(contract::total_supply(&pair.chain, token, At::Head)), Ok(10));
        let waits = Verdict::Processing(Waiting::Finality { until_seconds: UNTIL });
        assert_eq!(verdict(&pair.chain, token, issue(1, 10), holder()), waits, "depth {depth}");
        pair.one.reorg(depth, AfterReorg::Forgotten).unwrap();
        mine(depth);
        assert_eq!(verdict(&pair.chain, token, issue(1, 10), holder()), waits);
        assert_eq!(send(&pair.chain, &transaction), hash);
        mine(1);
        assert_eq!(verdict(&pair.chain, token, issue(1, 10), holder()), waits);
        mine(depth);
        assert!(
            matches!(verdict(&pair.chain, token, issue(1, 10), holder()), Verdict::Succeeded(place) if place.tx_hash == hash)
        );
        assert_eq!(now(contract::total_supply(&pair.chain, token, At::Finalized)), Ok(10));
        assert_eq!(pair.one.fired_count(Fault::Reorganised), 1);
    }
}

#[test]
fn l09_a_chain_that_takes_back_what_was_final_is_named_and_nothing_more_is_read() {
    let pair = pair(2);
    pair.one.mine(10).unwrap();
    let was = now(pair.chain.finalized()).unwrap();
    assert_eq!(was.number, 8);
    pair.one.reorg(6, AfterReorg::Forgotten).unwrap();
    pair.one.mine(2).unwrap();
    assert!(disagreement(now(pair.chain.finalized())), "a chain that is only shorter is waited for");
    pair.one.mine(9).unwrap();
    let found = now(pair.one.block_at(8)).unwrap().unwrap().hash;
    let broken = ChainError::FinalityBroken { was, found };
    assert_eq!(now(pair.chain.finalized()), Err(broken.clone()));
    assert_eq!(now(pair.chain.balance(account(1), At::Finalized)), Err(broken.clone()));
    // A start that was told what was final notices it too.
    let named = vec![Node { name: "one".to_owned(), chain: Arc::clone(&pair.one) as Arc<dyn Chain> }];
    let restarted = Nodes::new(genesis().chain_id, None, named, Some(was));
    assert_eq!(now(restarted.finalized()), Err(broken));
}

#[test]
fn l10_without_finality_for_an_hour_nothing_ends() {
    let pair = pair(1);
    let (_, token) = deploy(&pair.chain, || pair.one.mine(1).map(drop).unwrap());
    let never_sent = issue(2, 5);
    send(&pair.chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    for node in [&pair.one, &pair.two] {
        node.stall_finality(Some(2));
    }
    let waits = Verdict::Processing(Waiting::Finality { until_seconds: UNTIL });
    for minute in 0..60 {
        pair.one.set_time(START + minute * 60);
        pair.one.mine(1).unwrap();
        assert_eq!(verdict(&pair.chain, token, issue(1, 10), holder()), waits, "minute {minute}");
        assert_eq!(verdict(&pair.chain, token, never_sent, holder()), waits, "minute {minute}");
    }
    for node in [&pair.one, &pair.two] {
        assert!(node.fired_count(Fault::FinalityStalled) >= 60);
        node.stall_finality(None);
    }
    assert!(matches!(verdict(&pair.chain, token, issue(1, 10), holder()), Verdict::Succeeded(_)));
    assert_eq!(verdict(&pair.chain, token, never_sent, holder()), Verdict::Failed(FailReason::Expired));
}

#[test]
fn l11_a_node_that_lags_holds_the_verdict_back_and_changes_none() {
    let pair = pair(1);
    let (_, token) = deploy(&pair.chain, || pair.one.mine(1).map(drop).unwrap());
    pair.one.mine(150).unwrap();
    send(&pair.chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    pair.one.mine(2).unwrap();
    pair.two.lag(100);
    let waits = Verdict::Processing(Waiting::Finality { until_seconds: UNTIL });
    assert_eq!(now(pair.chain.finalized()).unwrap().number, 53);
    assert_eq!(verdict(&pair.chain, token, issue(1, 10), holder()), waits);
    let newest = now(pair.one.finalized()).unwrap();
    let alone = now(pair.chain.balance(account(1), At::Block(newest.hash)));
    assert_eq!(alone, Err(ChainError::StateNotHeld(newest.hash)), "one node alone is not enough");
    assert!(pair.two.fired_count(Fault::Lagged) > 0);
    pair.two.lag(0);
    assert!(matches!(verdict(&pair.chain, token, issue(1, 10), holder()), Verdict::Succeeded(_)));
}

#[test]
fn l11_a_node_on_another_branch_or_between_two_gives_no_verdict_and_never_a_wrong_one() {
    let pair = pair(1);
    let (_, token) = deploy(&pair.chain, || pair.one.mine(1).map(drop).unwrap());
    send(&pair.chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    pair.one.mine(3).unwrap();
    let honest = now(pair.one.finalized()).unwrap();
    let branch = other_branch(9);
    pair.two.answer_from(Some(Arc::clone(&branch)));
    assert!(disagreement(now(pair.chain.finalized())));
    let unreadable = Verdict::Processing(Waiting::Nodes);
    assert_eq!(verdict(&pair.chain, token, issue(1, 10), holder()), unreadable);

    pair.two.alternate_with(branch);
    let mut agreed = 0;
    for _ in 0..200 {
        match now(pair.chain.finalized()) {
            Ok(block) => assert_eq!(block, honest),
            Err(ChainError::Disagreement(_) | ChainError::StateNotHeld(_)) => {}
            Err(other) => panic!("{other}"),
        }
        match verdict(&pair.chain, token, issue(1, 10), holder()) {
            Verdict::Succeeded(place) => {
                assert_eq!(now(pair.one.block_at(place.block.number)).unwrap(), Some(place.block));
                agreed += 1;
            }
            Verdict::Processing(Waiting::Nodes | Waiting::Records) => {}
            other @ (Verdict::Processing(_) | Verdict::Failed(_) | Verdict::Incident { .. }) => panic!("{other:?}"),
        }
    }
    println!("the flipping node let {agreed} of 200 verdicts through, all of them true");
    assert!(pair.two.fired_count(Fault::AnsweredByOther) > 200);
    pair.two.answer_from(None);
    assert!(matches!(verdict(&pair.chain, token, issue(1, 10), holder()), Verdict::Succeeded(_)));
}

#[test]
fn l11_a_third_node_outvotes_one_that_is_wrong_or_away() {
    let one = Arc::new(FakeChain::new(&genesis(), 0));
    let (two, three) = (Arc::new(one.another_node()), Arc::new(one.another_node()));
    let chain = nodes_of(&[&one, &two, &three]);
    one.mine(5).unwrap();
    let honest = now(one.finalized()).unwrap();
    one.answer_from(Some(other_branch(9)));
    assert_eq!(now(chain.finalized()), Ok(honest));
    two.script_unreachable_reads(1_000);
    assert!(now(chain.finalized()).is_err(), "one honest node alone is not enough");
    one.answer_from(None);
    assert_eq!(now(chain.finalized()), Ok(honest));
    assert!(two.fired_count(Fault::ReadLost) > 0);
}

#[test]
fn l12_lies_of_one_node_lead_to_no_verdict_and_those_of_a_lone_node_do_not_fold() {
    let pair = pair(0);
    let (_, token) = deploy(&pair.chain, || pair.one.mine(1).map(drop).unwrap());
    let hash = send(&pair.chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    let lies_about = |verdict_of_lie: Verdict, item: Item| {
        assert_eq!(verdict(&pair.chain, token, item, holder()), verdict_of_lie);
    };
    // A receipt of a transaction that has not run.
    let block = now(pair.one.head()).unwrap();
    let forged = ledger::Receipt { tx_hash: hash, block, succeeded: true, gas_used: 1, contract_address: None };
    pair.one.forge_receipt(Some(forged));
    assert_eq!(now(pair.chain.receipt(hash)), Ok(Some(forged)));
    lies_about(Verdict::Processing(Waiting::Finality { until_seconds: UNTIL }), issue(1, 10));
    pair.one.forge_receipt(None);
    pair.one.mine(1).unwrap();
    // A contract that denies, and one that claims.
    let word = |last: u8| CallOutcome::Returned([vec![0; 31], vec![last]].concat());
    pair.two.forge_call(Some(word(0)));
    lies_about(Verdict::Processing(Waiting::Nodes), issue(1, 10));
    pair.two.forge_call(Some(word(1)));
    lies_about(Verdict::Processing(Waiting::Nodes), issue(2, 10));
    pair.two.forge_call(None);
    // Logs that are missing.
    pair.two.forge_logs(Some(Vec::new()));
    lies_about(Verdict::Processing(Waiting::Records), issue(1, 10));
    pair.two.forge_logs(None);
    assert!(matches!(verdict(&pair.chain, token, issue(1, 10), holder()), Verdict::Succeeded(_)));
    let lone = nodes_of(&[&pair.two]);
    pair.two.forge_logs(Some(Vec::new()));
    assert_eq!(verdict(&lone, token, issue(1, 10), holder()), Verdict::Processing(Waiting::Records));
    for (node, fault) in [(&pair.one, Fault::ReceiptForged), (&pair.two, Fault::CallForged), (&pair.two, Fault::LogsForged)] {
        assert!(node.fired_count(fault) > 0, "{fault:?}");
    }
}

#[test]
fn l13_another_network_behind_a_node_is_named_and_a_pin_sees_other_code() {
    let pair = pair(0);
    let (factory, token) = deploy(&pair.chain, || pair.one.mine(1).map(drop).unwrap());
    let own = now(pair.chain.identity()).unwrap();
    let contracts = vec![PinnedContract::factory(factory), PinnedContract::token(token)];
    let pin = Pin { chain: own, contracts };
    assert_eq!(now(pin.check(&pair.chain)), Ok(vec![]));

    let other_id = GenesisConfig { chain_id: 9, ..genesis() };
    let foreign = Arc::new(FakeChain::new(&other_id, 0));
    pair.two.answer_from(Some(Arc::clone(&foreign)));
    let found = now(foreign.identity()).unwrap();
    let fault = ChainError::ForeignChain { endpoint: "node 1".to_owned(), found };
    assert_eq!(now(pair.chain.identity()), Err(fault.clone()));
    assert_eq!(now(pair.chain.finalized()), Err(fault));
    let faults = now(pin.check(&pair.chain)).unwrap();
    let id = PinFault::ChainId { pinned: own.chain_id, found: 9 };
    assert_eq!(faults, [id, PinFault::Genesis { pinned: own.genesis_hash, found: found.genesis_hash }]);

    // The same id, begun anew on both nodes: only the pinned genesis tells.
    let restarted = GenesisConfig { genesis_time_seconds: START.unsigned_abs() + 1, ..genesis() };
    let restarted = Arc::new(FakeChain::new(&restarted, 0));
    let lone = nodes_of(&[&restarted]);
    let found = now(lone.identity()).unwrap();
    assert_eq!(found, ChainIdentity { chain_id: own.chain_id, ..found });
    let genesis_fault = PinFault::Genesis { pinned: own.genesis_hash, found: found.genesis_hash };
    assert_eq!(now(pin.check(&lone)), Ok(vec![genesis_fault]));

    pair.two.answer_from(None);
    let swapped = Pin { chain: own, contracts: vec![PinnedContract::factory(token), PinnedContract::token(account(1))] };
    let code = PinFault::Code { address: token, pinned: contract::factory_code_hash(), found: contract::token_code_hash() };
    assert_eq!(now(swapped.check(&pair.chain)), Ok(vec![code, PinFault::CodeMissing(account(1))]));
}

#[test]
fn what_waits_counts_to_the_pending_nonce_and_the_market_says_what_was_paid() {
    let pair = pair(0);
    let own = account(0);
    assert_eq!(now(pair.chain.pending_nonce(own)), Ok(0));
    let sender = ledger::transaction::Signer::address(&signer());
    send(&pair.chain, &transfer(0));
    send(&pair.chain, &transfer(1));
    assert_eq!(now(pair.chain.pending_nonce(sender)), Ok(2));
    assert_eq!(now(pair.chain.nonce(sender, At::Head)), Ok(0));
    pair.one.mine(1).unwrap();
    assert_eq!(now(pair.chain.nonce(sender, At::Head)), Ok(2));
    let market = now(pair.chain.fee_market(50)).unwrap();
    assert_eq!((market.base_fee_per_gas_wei, market.tip_per_gas_wei), (1_000_000_000, 1_000));
    let nothing: Option<BlockRef> = None;
    assert_eq!(now(pair.chain.block_at(99)), Ok(nothing));
    assert_eq!(now(pair.chain.receipt(TxHash([9; 32]))), Ok(None));
}
