//! The chain with scripted faults.

use crate::world::*;
use ledger::contract::{self, Checkpoint, ContractError};
use ledger::fake::{AfterReorg, FakeChain, SendFault};
use ledger::{At, B256, Chain, ChainError, SendRefusal};

const UNTIL: u64 = START.unsigned_abs() + 600;

fn fake(finality_blocks: u64) -> FakeChain {
    FakeChain::new(&genesis(), finality_blocks)
}

fn beginning() -> Checkpoint {
    Checkpoint { next_block: 0, running_hash: B256::ZERO }
}

#[test]
fn l01_l02_an_error_proves_nothing() {
    let chain = fake(0);
    chain.script_sends([
        SendFault::AcceptThenTimeOut,
        SendFault::AcceptThenRefuse("nonce too low".to_owned()),
        SendFault::Refuse("txpool is full".to_owned()),
        SendFault::TimeOut,
        SendFault::DropSilently,
    ]);
    let try_send = |nonce| now(chain.send(&sign(&transfer(nonce)).raw));
    assert_eq!(try_send(0), Err(ChainError::Unreachable("time out".to_owned())));
    let text = "nonce too low".to_owned();
    let refused = ChainError::Refused { refusal: SendRefusal::NonceTooLow, text };
    assert_eq!(try_send(1), Err(refused));
    assert!(matches!(try_send(2), Err(ChainError::Refused { refusal: SendRefusal::PoolFull, .. })));
    assert!(matches!(try_send(2), Err(ChainError::Unreachable(_))));
    assert_eq!(try_send(2), Ok(sign(&transfer(2)).tx_hash));
    chain.mine(1).unwrap();
    let ran = |nonce| now(chain.receipt(sign(&transfer(nonce)).tx_hash)).unwrap().is_some();
    assert_eq!([ran(0), ran(1), ran(2)], [true, true, false]);
    assert_eq!(chain.faults_fired(), 5);
}

#[test]
fn l06_a_dropped_transaction_runs_when_its_bytes_are_sent_again() {
    let chain = fake(0);
    let hash = send(&chain, &transfer(0));
    chain.drop_waiting();
    chain.mine(1).unwrap();
    assert_eq!(now(chain.receipt(hash)), Ok(None));
    assert_eq!(send(&chain, &transfer(0)), hash);
    chain.mine(1).unwrap();
    assert!(receipt(&chain, hash).succeeded);
}

#[test]
fn l08_a_reorganisation_takes_blocks_back_and_the_batch_runs_once() {
    for depth in [1, 2, 64, 157, 200] {
        let chain = fake(300);
        let (_, token) = deploy(&chain, || chain.mine(1).map(drop).unwrap());
        let transaction = batch(2, token, UNTIL, &[issue(1, 10)]);
        let hash = send(&chain, &transaction);
        let before = chain.mine(1).unwrap();
        chain.mine(depth - 1).unwrap();
        chain.reorg(depth, AfterReorg::Forgotten).unwrap();
        assert_eq!(now(chain.receipt(hash)), Ok(None));
        assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(0));
        let gone = now(chain.balance(account(1), At::Block(before.hash)));
        assert_eq!(gone, Err(ChainError::StateNotHeld(before.hash)));
        chain.mine(1).unwrap();
        assert_eq!(send(&chain, &transaction), hash);
        let after = chain.mine(1).unwrap();
        assert_ne!(after.hash, before.hash);
        assert_eq!(receipt(&chain, hash).block, after);
        assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(10));
    }
}

#[test]
fn l08_what_a_reorganisation_took_back_can_wait_again() {
    let chain = fake(300);
    let (_, token) = deploy(&chain, || chain.mine(1).map(drop).unwrap());
    let hash = send(&chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    chain.mine(3).unwrap();
    chain.reorg(5, AfterReorg::WaitAgain).unwrap();
    assert_eq!(chain.waiting_count(), 3);
    chain.mine(1).unwrap();
    assert!(receipt(&chain, hash).succeeded);
    assert_eq!(now(contract::total_supply(&chain, token, At::Head)), Ok(10));
}

#[test]
fn l10_finality_can_stall_and_go_on() {
    let chain = fake(1);
    chain.mine(5).unwrap();
    chain.stall_finality(Some(2));
    chain.mine(5).unwrap();
    assert_eq!(finalized(&chain).number, 2);
    chain.stall_finality(None);
    assert_eq!(finalized(&chain).number, 9);
}

#[test]
fn l11_a_lagging_node_answers_from_the_past() {
    let chain = fake(1);
    let hash = send(&chain, &transfer(0));
    let made = chain.mine(1).unwrap();
    chain.lag(1);
    assert_eq!(now(chain.head()).unwrap().number, 0);
    assert_eq!(now(chain.receipt(hash)), Ok(None));
    assert_eq!(now(chain.nonce(account(0), At::Head)), Ok(0));
    assert_eq!(now(chain.balance(account(9), At::Head)), Ok(0));
    let unknown = now(chain.balance(account(9), At::Block(made.hash)));
    assert_eq!(unknown, Err(ChainError::StateNotHeld(made.hash)));
    chain.lag(0);
    assert_eq!(now(chain.balance(account(9), At::Head)), Ok(1));
}

#[test]
fn l12_forged_logs_do_not_fold() {
    let chain = fake(0);
    let (_, token) = deploy(&chain, || chain.mine(1).map(drop).unwrap());
    send(&chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    let made = chain.mine(1).unwrap();
    let filter = ledger::LogFilter { address: token, from_block: 0, to_block: 9, topic0: None };
    let true_logs = now(chain.logs(filter)).unwrap();
    let executed = true_logs.iter().find(|log| log.topics.len() == 1).unwrap();
    let asked = || now(contract::trusted_records(&chain, token, beginning(), made));
    assert_eq!(asked().unwrap().records.len(), 1);

    chain.forge_logs(Some(Vec::new()));
    assert!(matches!(asked(), Err(ContractError::LogsDoNotFold { folded: B256::ZERO, .. })));
    let mut more_units = executed.clone();
    let units_at = 4 * 32 + 1 + 8 + 16 + 20 + 11;
    assert_eq!(more_units.data[units_at], 10);
    more_units.data[units_at] = 11;
    chain.forge_logs(Some(vec![more_units]));
    assert!(matches!(asked(), Err(ContractError::LogsDoNotFold { .. })));
    chain.forge_logs(Some(vec![executed.clone(), executed.clone()]));
    assert!(matches!(asked(), Err(ContractError::LogsDoNotFold { .. })));
    chain.forge_logs(Some(vec![executed.clone()]));
    assert_eq!(asked().unwrap().records.len(), 1);
}

#[test]
fn l12_a_forged_receipt_does_not_change_what_the_contract_says() {
    let chain = fake(0);
    let (_, token) = deploy(&chain, || chain.mine(1).map(drop).unwrap());
    let hash = send(&chain, &batch(2, token, UNTIL, &[issue(1, 10)]));
    let block = now(chain.head()).unwrap();
    chain.forge_receipt(Some(ledger::Receipt { tx_hash: hash, block, succeeded: true, gas_used: 1, contract_address: None }));
    assert!(receipt(&chain, hash).succeeded);
    assert_eq!(now(contract::applied(&chain, token, 1, At::Finalized)), Ok(false));
}

#[test]
fn unreachable_reads_end_after_their_number() {
    let chain = fake(0);
    chain.script_unreachable_reads(2);
    assert!(matches!(now(chain.head()), Err(ChainError::Unreachable(_))));
    assert!(matches!(now(chain.finalized()), Err(ChainError::Unreachable(_))));
    assert!(now(chain.head()).is_ok());
    assert_eq!(chain.faults_fired(), 2);
}
