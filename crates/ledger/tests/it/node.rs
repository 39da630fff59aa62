//! The embedded chain behaves as a node does.

use crate::world::*;
use ledger::embedded::{BASE_FEE_PER_GAS_WEI, TRANSACTION_GAS_LIMIT};
use ledger::transaction::{Fees, LocalSigner, Signer, Unsigned};
use ledger::{At, B256, CallOutcome, CallRequest, Chain, ChainError, SendRefusal};

fn refusal(chain: &dyn Chain, transaction: &Unsigned) -> (SendRefusal, String) {
    match now(chain.send(&sign(transaction).raw)) {
        Err(ChainError::Refused { refusal, text }) => (refusal, text),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_signature_for_another_chain_is_refused() {
    let chain = in_memory(&Time::new(), 0);
    let foreign = Unsigned { chain_id: 1, ..transfer(0) };
    let (refusal, text) = refusal(&chain, &foreign);
    assert_eq!(refusal, SendRefusal::WrongChain);
    assert_eq!(text, "invalid sender: invalid chain id for signer: have 1 want 73573");
    assert_eq!(chain.waiting_count(), 0);
}

#[test]
fn changed_bytes_have_another_sender_who_holds_nothing() {
    let chain = in_memory(&Time::new(), 0);
    let mut raw = sign(&transfer(0)).raw;
    let last = raw.len() - 1;
    raw[last] ^= 1;
    let answer = now(chain.send(&raw));
    let refused = [SendRefusal::InsufficientFunds, SendRefusal::Malformed];
    assert!(matches!(&answer, Err(ChainError::Refused { refusal, .. }) if refused.contains(refusal)), "{answer:?}");
    let answer = now(chain.send(b"no transaction"));
    assert!(matches!(answer, Err(ChainError::Refused { refusal: SendRefusal::Malformed, .. })));
}

#[test]
fn l01_the_same_bytes_again_are_already_known_and_then_used() {
    let chain = in_memory(&Time::new(), 0);
    send(&chain, &transfer(0));
    assert_eq!(refusal(&chain, &transfer(0)).0, SendRefusal::AlreadyKnown);
    chain.produce().unwrap();
    let (low, text) = refusal(&chain, &transfer(0));
    assert_eq!(low, SendRefusal::NonceTooLow);
    assert_eq!(text, "nonce too low: next nonce 1, tx nonce 0");
}

#[test]
fn l14_a_nonce_gap_waits_until_it_is_filled() {
    let chain = in_memory(&Time::new(), 0);
    let later = send(&chain, &transfer(1));
    chain.produce().unwrap();
    assert_eq!(now(chain.receipt(later)), Ok(None));
    assert_eq!(chain.waiting_count(), 1);
    assert!(chain.is_settled().unwrap(), "nothing that could run waits");
    let first = send(&chain, &transfer(0));
    assert!(!chain.is_settled().unwrap());
    let made = chain.produce().unwrap();
    assert_eq!(receipt(&chain, first).block, made);
    assert_eq!(receipt(&chain, later).block, made);
    assert_eq!(now(chain.nonce(signer().address(), At::Head)), Ok(2));
    assert_eq!(chain.waiting_count(), 0);
}

#[test]
fn l03_a_replacement_must_outbid_and_then_runs_instead() {
    let chain = in_memory(&Time::new(), 0);
    let first = send(&chain, &transfer(0));
    let slightly = Fees { max_fee_per_gas_wei: transfer(0).fees.max_fee_per_gas_wei + 1, max_priority_fee_per_gas_wei: 1_001 };
    let (refused, _) = refusal(&chain, &Unsigned { fees: slightly, ..transfer(0) });
    assert_eq!(refused, SendRefusal::ReplacementUnderpriced);
    let bumped = transfer(0).fees.bumped(u128::MAX).unwrap();
    let second = send(&chain, &Unsigned { fees: bumped, ..transfer(0) });
    chain.produce().unwrap();
    assert_eq!(now(chain.receipt(first)), Ok(None));
    assert!(receipt(&chain, second).succeeded);
    let below = Fees { max_fee_per_gas_wei: u128::from(BASE_FEE_PER_GAS_WEI) - 1, max_priority_fee_per_gas_wei: 0 };
    let (refused, _) = refusal(&chain, &Unsigned { fees: below, ..transfer(1) });
    assert_eq!(refused, SendRefusal::FeeCapBelowBaseFee);
}

#[test]
fn l04_who_cannot_pay_is_refused() {
    let chain = in_memory(&Time::new(), 0);
    let poor = LocalSigner::new([1; 32]).unwrap();
    let raw = transfer(0).sign(&poor).unwrap().raw;
    let Err(ChainError::Refused { refusal, text }) = now(chain.send(&raw)) else {
        panic!("not refused");
    };
    assert_eq!(refusal, SendRefusal::InsufficientFunds);
    assert_eq!(text, "insufficient funds for gas * price + value: balance 0, tx cost 42000000000001, overshot 42000000000001");
}

#[test]
fn l05_gas_limits_are_those_of_the_rules() {
    let chain = in_memory(&Time::new(), 0);
    let with_gas = |gas_limit| Unsigned { gas_limit, ..transfer(0) };
    let (refused, text) = refusal(&chain, &with_gas(20_999));
    assert_eq!(refused, SendRefusal::IntrinsicGas);
    assert_eq!(text, "intrinsic gas too low: gas 20999, minimum needed 21000");
    assert_eq!(refusal(&chain, &with_gas(TRANSACTION_GAS_LIMIT + 1)).0, SendRefusal::GasLimit);
    assert_eq!(refusal(&chain, &with_gas(60_000_001)).1, "exceeds block gas limit");
    send(&chain, &with_gas(TRANSACTION_GAS_LIMIT));
}

#[test]
fn fees_and_value_are_paid() {
    let chain = in_memory(&Time::new(), 1);
    let before = now(chain.balance(signer().address(), At::Head)).unwrap();
    send(&chain, &transfer(0));
    chain.produce().unwrap();
    let price = u128::from(BASE_FEE_PER_GAS_WEI) + 1_000;
    let after = now(chain.balance(signer().address(), At::Head)).unwrap();
    assert_eq!(before - after, 21_000 * price + 1);
    assert_eq!(now(chain.balance(account(9), At::Head)), Ok(1));
    assert_eq!(now(chain.balance(account(9), At::Finalized)), Ok(0));
    assert_eq!(now(chain.nonce(signer().address(), At::Finalized)), Ok(0));
}

#[test]
fn block_time_follows_the_clock_and_never_goes_back() {
    let time = Time::new();
    let chain = in_memory(&time, 0);
    time.set(START + 100);
    assert_eq!(chain.produce().unwrap().time_seconds, START.unsigned_abs() + 100);
    time.set(START);
    assert_eq!(chain.produce().unwrap().time_seconds, START.unsigned_abs() + 100);
    time.set(-5);
    assert_eq!(chain.produce().unwrap().time_seconds, START.unsigned_abs() + 100);
}

#[test]
fn finality_follows_the_head_at_its_distance() {
    let chain = in_memory(&Time::new(), 3);
    assert_eq!(finalized(&chain).number, 0);
    let hash = send(&chain, &transfer(0));
    let made = chain.produce().unwrap();
    for _ in 0..3 {
        assert!(!chain.is_settled().unwrap());
        chain.produce().unwrap();
    }
    assert!(chain.is_settled().unwrap());
    assert_eq!(finalized(&chain), made);
    assert_eq!(receipt(&chain, hash).block, made);
    assert_eq!(now(chain.balance(account(9), At::Block(made.hash))), Ok(1));
    let unknown = B256([9; 32]);
    let asked = now(chain.balance(account(9), At::Block(unknown)));
    assert_eq!(asked, Err(ChainError::StateNotHeld(unknown)));
}

#[test]
fn everything_that_waits_shares_a_block_up_to_its_gas() {
    let chain = in_memory(&Time::new(), 0);
    for nonce in 0..5 {
        let gas_limit = TRANSACTION_GAS_LIMIT;
        send(&chain, &Unsigned { gas_limit, ..transfer(nonce) });
    }
    // Room is reserved by limit and given back by use, so five transfers fit.
    chain.produce().unwrap();
    assert_eq!(now(chain.nonce(signer().address(), At::Head)), Ok(5));
    // These burn what they may.
    for nonce in 5..10 {
        let burning = vec![0x5b, 0x60, 0x00, 0x56];
        send(&chain, &unsigned(nonce, None, burning, TRANSACTION_GAS_LIMIT));
    }
    chain.produce().unwrap();
    assert_eq!(now(chain.nonce(signer().address(), At::Head)), Ok(8));
    chain.produce().unwrap();
    assert_eq!(now(chain.nonce(signer().address(), At::Head)), Ok(10));
    assert!(chain.is_settled().unwrap());
}

#[test]
fn a_call_changes_nothing() {
    let chain = in_memory(&Time::new(), 0);
    // Initialisation code that stores 1 in slot 0 and returns the address's own balance word.
    let data = vec![0x60, 0x01, 0x60, 0x00, 0x55, 0x60, 0x20, 0x60, 0x00, 0xf3];
    let request = CallRequest { from: signer().address(), to: None, data, gas: None };
    let answer = now(chain.call(request, At::Head));
    assert!(matches!(answer, Ok(CallOutcome::Returned(_))), "{answer:?}");
    assert_eq!(now(chain.nonce(signer().address(), At::Head)), Ok(0));
}

#[test]
fn senders_readers_and_the_maker_of_blocks_do_not_stop_each_other() {
    let chain = in_memory(&Time::new(), 1);
    let raws: Vec<_> = (0..200).map(|nonce| sign(&transfer(nonce)).raw).collect();
    std::thread::scope(|threads| {
        for part in raws.chunks(50) {
            let chain = &chain;
            threads.spawn(move || {
                for raw in part {
                    now(chain.send(raw)).unwrap();
                }
            });
        }
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..200 {
                    let end = finalized(&chain);
                    // A finalized state stays readable while the chain goes on.
                    now(chain.balance(account(9), At::Block(end.hash))).unwrap();
                    now(chain.nonce(signer().address(), At::Head)).unwrap();
                    chain.is_settled().unwrap();
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..50 {
                chain.produce().unwrap();
            }
        });
    });
    while !chain.is_settled().unwrap() {
        chain.produce().unwrap();
    }
    assert_eq!(now(chain.balance(account(9), At::Finalized)), Ok(200));
    assert_eq!(chain.waiting_count(), 0);
}
