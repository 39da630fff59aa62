//! What the tests share: keys, time, and an operator who sends transactions.

use ledger::contract::{self, Item, Kind, Terms};
use ledger::embedded::{BASE_FEE_PER_GAS_WEI, Clock, EmbeddedChain, GenesisConfig, TRANSACTION_GAS_LIMIT};
use ledger::transaction::{self, Fees, LocalSigner, Signed, Signer, Unsigned};
use ledger::{Address, At, B256, BlockRef, Chain, Receipt, TxHash};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};

pub const START: i64 = 1_700_000_000;
pub const PRODUCT: [u8; 16] = [0x11; 16];
pub const CAP: u128 = 1_000_000;

/// Runs a future that never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an embedded chain answers at once"),
    }
}

/// A clock that the test turns.
#[derive(Clone)]
pub struct Time(pub Arc<AtomicI64>);

impl Time {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    pub fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.0);
        Arc::new(move || seconds.load(Ordering::SeqCst))
    }
}

pub fn signer() -> LocalSigner {
    LocalSigner::new([0x42; 32]).unwrap()
}

pub fn genesis() -> GenesisConfig {
    GenesisConfig {
        prefunded: vec![(signer().address(), 10_u128.pow(27))],
        genesis_time_seconds: START.unsigned_abs(),
        ..GenesisConfig::default()
    }
}

pub fn terms() -> Terms {
    Terms {
        product_id: PRODUCT,
        name: "Unit".to_owned(),
        symbol: "UNT".to_owned(),
        cap_units: CAP,
        terms_hash: B256([3; 32]),
        lock_in_until_seconds: 0,
        registrar: signer().address(),
    }
}

pub fn account(number: u64) -> Address {
    let mut bytes = [0xaa; 20];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Address(bytes)
}

pub fn issue(number: u64, units: u128) -> Item {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    Item { kind: Kind::Issue, number, id, account: account(number), units, counterparty: Address::ZERO }
}

pub fn unsigned(nonce: u64, to: Option<Address>, data: Vec<u8>, gas_limit: u64) -> Unsigned {
    Unsigned {
        chain_id: genesis().chain_id,
        nonce,
        gas_limit,
        fees: Fees { max_fee_per_gas_wei: u128::from(BASE_FEE_PER_GAS_WEI) * 2, max_priority_fee_per_gas_wei: 1_000 },
        to,
        value_wei: 0,
        data,
    }
}

pub fn sign(transaction: &Unsigned) -> Signed {
    transaction.sign(&signer()).unwrap()
}

pub fn transfer(nonce: u64) -> Unsigned {
    Unsigned { value_wei: 1, ..unsigned(nonce, Some(account(9)), Vec::new(), 21_000) }
}

pub fn batch(nonce: u64, token: Address, valid_until: u64, items: &[Item]) -> Unsigned {
    let gas = contract::execute_gas_limit(items, TRANSACTION_GAS_LIMIT).unwrap();
    unsigned(nonce, Some(token), contract::execute_calldata(valid_until, items).unwrap(), gas)
}

pub fn send(chain: &dyn Chain, transaction: &Unsigned) -> TxHash {
    now(chain.send(&sign(transaction).raw)).unwrap()
}

pub fn send_signed(chain: &dyn Chain, signed: &Signed) -> TxHash {
    now(chain.send(&signed.raw)).unwrap()
}

pub fn receipt(chain: &dyn Chain, hash: TxHash) -> Receipt {
    now(chain.receipt(hash)).unwrap().unwrap()
}

pub fn finalized(chain: &dyn Chain) -> BlockRef {
    now(chain.finalized()).unwrap()
}

/// Deploys factory and token with nonces 0 and 1; `mine` makes a block.
pub fn deploy(chain: &dyn Chain, mine: impl Fn()) -> (Address, Address) {
    let gas = contract::deploy_factory_gas_limit();
    let deployment = send(chain, &unsigned(0, None, contract::deploy_factory_data(), gas));
    mine();
    let receipt_of_factory = receipt(chain, deployment);
    assert!(receipt_of_factory.succeeded);
    let factory = receipt_of_factory.contract_address.unwrap();
    assert_eq!(factory, transaction::deployed_address(signer().address(), 0));
    let salt = contract::token_salt(PRODUCT);
    let data = contract::deploy_token_calldata(salt, &terms()).unwrap();
    let call = unsigned(1, Some(factory), data, contract::deploy_token_gas_limit());
    let deployment = send(chain, &call);
    mine();
    assert!(receipt(chain, deployment).succeeded);
    let token = now(contract::token_of(chain, factory, salt, At::Head)).unwrap().unwrap();
    (factory, token)
}

pub fn in_memory(time: &Time, finality_blocks: u64) -> EmbeddedChain {
    EmbeddedChain::in_memory(&genesis(), finality_blocks, time.clock())
}
