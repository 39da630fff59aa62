//! The whole cycle of the contracts on the embedded chain.

use crate::world::*;
use ledger::contract::{self, Checkpoint, ContractError, Deployed, Item, Kind, Outcome, Revert, SkipReason};
use ledger::judge::{Evidence, FailReason, Holder, NumberState, Reading, Verdict, Waiting, judge};
use ledger::transaction::Signer;
use ledger::{Address, At, B256, CallOutcome, CallRequest, Chain};

const UNTIL: u64 = START.unsigned_abs() + 600;

fn beginning() -> Checkpoint {
    Checkpoint { next_block: 0, running_hash: B256::ZERO }
}

#[test]
fn two_hundred_units_are_issued_and_the_records_fold() {
    let time = Time::new();
    let chain = in_memory(&time, 1);
    let (factory, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let salt = contract::token_salt(PRODUCT);
    assert_eq!(contract::predict_token(factory, salt, &terms()), Ok(token));

    let items: Vec<Item> = (0..200).map(|number| issue(number, u128::from(number) + 1)).collect();
    let registrar = signer().address();
    let foreseen = now(contract::preflight(&chain, token, registrar, UNTIL, &items)).unwrap();
    assert_eq!(foreseen, vec![Outcome::Applied; 200]);
    let sent = send(&chain, &batch(2, token, UNTIL, &items));
    let made = chain.produce().unwrap();
    let receipt = receipt(&chain, sent);
    assert!(receipt.succeeded);
    assert_eq!(receipt.block, made);
    println!("gas per new holder: {}", receipt.gas_used / 200);

    for number in [0, 7, 199] {
        let held = now(contract::balance_of(&chain, token, account(number), At::Head));
        assert_eq!(held, Ok(u128::from(number) + 1));
        assert_eq!(now(contract::applied(&chain, token, number, At::Head)), Ok(true));
    }
    assert_eq!(now(contract::applied(&chain, token, 200, At::Head)), Ok(false));
    assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(20_100));
    assert_eq!(now(contract::issued_total(&chain, token, At::Head)), Ok(20_100));
    assert_eq!(now(contract::cap(&chain, token, At::Head)), Ok(CAP));
    assert_eq!(now(contract::registrar(&chain, token, At::Head)), Ok(registrar));

    // The block is not final yet: the finalized state does not know the units.
    assert_eq!(now(contract::total_supply(&chain, token, At::Finalized)), Ok(0));
    assert_eq!(now(contract::applied(&chain, token, 7, At::Finalized)), Ok(false));
    assert!(!chain.is_settled().unwrap());
    chain.produce().unwrap();
    assert!(chain.is_settled().unwrap());
    let end = finalized(&chain);
    assert_eq!(end, made);
    let trusted = now(contract::trusted_records(&chain, token, beginning(), end)).unwrap();
    assert_eq!(trusted.records.len(), 200);
    assert!(trusted.records.iter().all(|found| found.tx_hash == sent && found.block == made));
    assert_eq!(trusted.records[7].record.item, items[7]);
    let hash = now(contract::running_hash(&chain, token, At::Finalized)).unwrap();
    assert_eq!(trusted.checkpoint, Checkpoint { next_block: made.number + 1, running_hash: hash });
    let deployed = now(contract::deployed_token(&chain, factory, salt, At::Finalized));
    assert_eq!(deployed, Ok(Deployed::Present { address: token }));
}

#[test]
fn the_key_is_the_contracts_own() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let id = [0x5c; 16];
    // keyOf(bytes16)
    let mut data = alloy::primitives::keccak256("keyOf(bytes16)")[..4].to_vec();
    data.extend_from_slice(&id);
    data.extend_from_slice(&[0; 16]);
    let request = CallRequest { from: Address::ZERO, to: Some(token), data, gas: None };
    let key = contract::instruction_key(chain.chain_id(), token, id);
    assert_eq!(now(chain.call(request, At::Head)), Ok(CallOutcome::Returned(key.0.to_vec())));
}

#[test]
fn l18_an_applied_number_is_a_no_op() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    send(&chain, &batch(2, token, UNTIL, &[issue(5, 100)]));
    chain.produce().unwrap();
    let before = now(contract::running_hash(&chain, token, At::Head)).unwrap();
    let again = [issue(5, 100), issue(6, 1)];
    let foreseen = now(contract::preflight(&chain, token, signer().address(), UNTIL, &again)).unwrap();
    assert_eq!(foreseen, [Outcome::AlreadyApplied, Outcome::Applied]);
    let sent = send(&chain, &batch(3, token, UNTIL, &again[..1]));
    chain.produce().unwrap();
    assert!(receipt(&chain, sent).succeeded);
    assert_eq!(now(contract::balance_of(&chain, token, account(5), At::Head)), Ok(100));
    assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(100));
    assert_eq!(now(contract::running_hash(&chain, token, At::Head)), Ok(before));
    let trusted = now(contract::trusted_records(&chain, token, beginning(), finalized(&chain))).unwrap();
    let outcomes: Vec<_> = trusted.records.iter().map(|found| found.record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Applied, Outcome::AlreadyApplied]);
}

#[test]
fn a_skipped_item_fails_alone_and_is_judged_by_its_record() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let forbidden = Item { account: Address::ZERO, ..issue(2, 1) };
    let items = [issue(1, 10), forbidden, issue(3, CAP), issue(4, 20)];
    let sent = send(&chain, &batch(2, token, UNTIL, &items));
    chain.produce().unwrap();
    assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(30));
    let end = finalized(&chain);
    let trusted = now(contract::trusted_records(&chain, token, beginning(), end)).unwrap();
    let verdict = |item: &Item| {
        let key = contract::instruction_key(chain.chain_id(), token, item.id);
        let applied = now(contract::applied(&chain, token, item.number, At::Finalized)).unwrap();
        let number = if applied {
            NumberState::Applied(ledger::judge::applied_key(&trusted.records, item.number, key))
        } else {
            NumberState::NotApplied
        };
        let skip = ledger::judge::finalized_skip(&trusted.records, &[sent], item.number, key);
        judge(&Evidence {
            reading: Reading::Finalized { block: end, number },
            holders: vec![Holder { valid_until_seconds: UNTIL, finalized_skip: skip }],
            preflight_refusal: None,
            quarantine_until_seconds: None,
        })
    };
    assert!(matches!(verdict(&items[0]), Verdict::Succeeded(place) if place.tx_hash == sent));
    let failed = |reason| Verdict::Failed(FailReason::Skipped(reason));
    assert_eq!(verdict(&items[1]), failed(SkipReason::ForbiddenAddress));
    assert_eq!(verdict(&items[2]), failed(SkipReason::CapExceeded));
    assert!(matches!(verdict(&items[3]), Verdict::Succeeded(_)));
    let never = Waiting::Finality { until_seconds: UNTIL };
    assert_eq!(verdict(&issue(9, 1)), Verdict::Processing(never));
}

#[test]
fn l07_l24_an_expired_batch_reverts_and_fails_only_when_finality_is_past_it() {
    let time = Time::new();
    let chain = in_memory(&time, 1);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let items = [issue(1, 10)];
    let sent = send(&chain, &batch(2, token, UNTIL, &items));
    time.set(START + 601);
    let late = chain.produce().unwrap();
    assert_eq!(late.time_seconds, UNTIL + 1);
    assert!(!receipt(&chain, sent).succeeded);
    assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(0));
    let foreseen = now(contract::preflight(&chain, token, signer().address(), UNTIL, &items));
    let expired = Revert::Expired { valid_until_seconds: UNTIL };
    assert_eq!(foreseen, Err(ContractError::Reverted(expired)));
    let verdict = || {
        judge(&Evidence {
            reading: Reading::Finalized { block: finalized(&chain), number: NumberState::NotApplied },
            holders: vec![Holder { valid_until_seconds: UNTIL, finalized_skip: None }],
            preflight_refusal: None,
            quarantine_until_seconds: None,
        })
    };
    assert_eq!(verdict(), Verdict::Processing(Waiting::Finality { until_seconds: UNTIL }));
    chain.produce().unwrap();
    assert_eq!(verdict(), Verdict::Failed(FailReason::Expired));
}

#[test]
fn a_block_in_the_last_second_still_applies_the_batch() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    send(&chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    time.set(START + 600);
    chain.produce().unwrap();
    assert_eq!(now(contract::applied(&chain, token, 1, At::Head)), Ok(true));
}

#[test]
fn only_the_registrar_instructs() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let stranger = account(77);
    let refused = now(contract::preflight(&chain, token, stranger, UNTIL, &[issue(1, 1)]));
    let not_registrar = Revert::NotRegistrar { caller: stranger };
    assert_eq!(refused, Err(ContractError::Reverted(not_registrar)));
}

#[test]
fn l13_another_contract_is_recognised_by_its_code() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (factory, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let at = |address| now(contract::deployed_factory(&chain, address, At::Finalized));
    assert_eq!(at(factory), Ok(Deployed::Present { address: factory }));
    assert_eq!(at(account(1)), Ok(Deployed::Absent));
    let foreign = Deployed::Foreign { address: token, code_hash: contract::token_code_hash() };
    assert_eq!(at(token), Ok(foreign));
    let unused = contract::token_salt([0x22; 16]);
    let nothing = now(contract::deployed_token(&chain, factory, unused, At::Finalized));
    assert_eq!(nothing, Ok(Deployed::Absent));
}

#[test]
fn a_second_deployment_of_a_product_makes_nothing() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (factory, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let salt = contract::token_salt(PRODUCT);
    let data = contract::deploy_token_calldata(salt, &terms()).unwrap();
    let gas = contract::deploy_token_gas_limit();
    let sent = send(&chain, &unsigned(2, Some(factory), data, gas));
    chain.produce().unwrap();
    assert!(receipt(&chain, sent).succeeded);
    assert_eq!(now(contract::token_of(&chain, factory, salt, At::Head)), Ok(Some(token)));
}

/// Numbers far apart, new holders, and orders on two holders: the dearest that a batch can hold.
#[test]
fn l21_the_gas_limit_is_enough_for_the_dearest_batches() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let fee_limit = ledger::embedded::TRANSACTION_GAS_LIMIT;
    assert_eq!(contract::batch_items_max(fee_limit), contract::BATCH_ITEMS_MAX);
    let spread = |index: u64| (index + 1) << 32;
    let issues: Vec<_> = (0..200).map(|index| issue(spread(index), CAP / 400)).collect();
    let transaction = batch(2, token, UNTIL, &issues);
    let sent = send(&chain, &transaction);
    chain.produce().unwrap();
    let done = receipt(&chain, sent);
    assert!(done.succeeded, "{} of {}", done.gas_used, transaction.gas_limit);
    println!("issue, sparse: {} of {}", done.gas_used, transaction.gas_limit);
    assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(CAP / 2));

    let frozen = |item: &Item| Item { kind: Kind::Freeze, number: item.number + (1 << 20), units: 1, ..*item };
    let freezes: Vec<_> = issues.iter().map(frozen).collect();
    send(&chain, &batch(3, token, UNTIL, &freezes));
    chain.produce().unwrap();
    let recovered = |item: &Item| Item {
        kind: Kind::Recover,
        number: item.number + (1 << 24),
        units: 0,
        counterparty: account(item.number + 1),
        ..*item
    };
    let recoveries: Vec<_> = issues.iter().take(150).map(recovered).collect();
    let transaction = batch(4, token, UNTIL, &recoveries);
    let sent = send(&chain, &transaction);
    chain.produce().unwrap();
    let done = receipt(&chain, sent);
    println!("recover, sparse: {} of {}", done.gas_used, transaction.gas_limit);
    assert!(done.succeeded, "{} of {}", done.gas_used, transaction.gas_limit);
    let moved = now(contract::balance_of(&chain, token, account(spread(0) + 1), At::Head));
    assert_eq!(moved, Ok(CAP / 400));
}
