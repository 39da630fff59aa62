use super::*;
use crate::contract::{Item, Kind, execute_calldata};
use crate::fees::Fees;
use crate::signer::{DeviceSignature, LocalSigner};
use std::sync::atomic::{AtomicUsize, Ordering};

const CHAIN: u64 = 5;
const NOON: u64 = 20_000 * DAY_SECONDS + 43_200;
const TOKEN: Address = Address([0x70; 20]);
const FACTORY: Address = Address([0xfa; 20]);

/// A device that counts how often it is asked, and may be away.
struct Counted {
    key: LocalSigner,
    asked: AtomicUsize,
    is_away: bool,
}

impl Signer for Counted {
    fn address(&self) -> Address {
        self.key.address()
    }

    fn sign_digest(&self, digest: [u8; 32]) -> Result<DeviceSignature, SignerError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_away { Err(SignerError::Unavailable("away".to_owned())) } else { self.key.sign_digest(digest) }
    }
}

fn device(is_away: bool) -> Arc<Counted> {
    Arc::new(Counted { key: LocalSigner::new([7; 32]).unwrap(), asked: AtomicUsize::new(0), is_away })
}

fn policy() -> SigningPolicy {
    SigningPolicy {
        chain_id: CHAIN,
        factory: Some(FACTORY),
        may_deploy_factory: false,
        tokens: BTreeSet::from([TOKEN]),
        transaction_gas_max: 1_000_000,
        max_fee_per_gas_wei_max: 100,
        max_priority_fee_per_gas_wei_max: 10,
        issued_units_per_day_max: 1_000,
    }
}

fn batch(kind: Kind, units: &[u128]) -> Vec<u8> {
    let item = |(number, units): (u64, &u128)| Item {
        kind,
        number,
        id: [1; 16],
        account: Address([2; 20]),
        units: *units,
        counterparty: Address::ZERO,
    };
    execute_calldata(9, &(0..).zip(units).map(item).collect::<Vec<_>>()).unwrap()
}

fn call(nonce: u64, to: Address, data: Vec<u8>) -> Unsigned {
    let fees = Fees { max_fee_per_gas_wei: 100, max_priority_fee_per_gas_wei: 10 };
    Unsigned { chain_id: CHAIN, nonce, gas_limit: 1_000_000, fees, to: Some(to), value_wei: 0, data }
}

fn refused(result: Result<Signed, SigningError>) -> Vec<PolicyRefusal> {
    match result {
        Err(SigningError::Refused(reasons)) => reasons,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn l17_only_the_registrars_calls_are_signed() {
    let device = device(false);
    let own = device.address();
    let signer = PolicedSigner::new(device.clone(), policy(), IssuedToday::default());
    let good = || call(0, TOKEN, batch(Kind::Issue, &[1]));
    let fees = good().fees;
    let pause = vec![0x84, 0x56, 0xcb, 0x59];
    let stranger = Address([9; 20]);
    let selector = pause.clone();
    let cases = [
        (Unsigned { chain_id: 1, ..good() }, PolicyRefusal::Chain(1)),
        (Unsigned { value_wei: 1, ..good() }, PolicyRefusal::Value(1)),
        (call(0, stranger, batch(Kind::Issue, &[1])), PolicyRefusal::Contract(stranger)),
        (call(0, stranger, vec![]), PolicyRefusal::Contract(stranger)),
        (call(0, TOKEN, pause.clone()), PolicyRefusal::Function { contract: TOKEN, selector: selector.clone() }),
        (call(0, TOKEN, vec![]), PolicyRefusal::Function { contract: TOKEN, selector: vec![] }),
        (call(0, FACTORY, pause.clone()), PolicyRefusal::Function { contract: FACTORY, selector }),
        (call(0, TOKEN, batch(Kind::Issue, &[1])[..40].to_vec()), PolicyRefusal::Instructions),
        (Unsigned { to: None, data: deploy_factory_data(), ..good() }, PolicyRefusal::Deployment),
        (Unsigned { gas_limit: 1_000_001, ..good() }, PolicyRefusal::Gas { gas_limit: 1_000_001, gas_max: 1_000_000 }),
        (
            Unsigned { fees: Fees { max_fee_per_gas_wei: 101, ..fees }, ..good() },
            PolicyRefusal::Fee { per_gas_wei: 101, per_gas_wei_max: 100 },
        ),
        (
            Unsigned { fees: Fees { max_priority_fee_per_gas_wei: 11, ..fees }, ..good() },
            PolicyRefusal::Tip { per_gas_wei: 11, per_gas_wei_max: 10 },
        ),
        (
            call(0, TOKEN, batch(Kind::Issue, &[600, 401])),
            PolicyRefusal::DailyUnits { units: 1_001, already_units: 0, units_max: 1_000 },
        ),
        (
            Unsigned { gas_limit: TRANSFER_GAS, ..call(0, own, vec![1, 2, 3, 4]) },
            PolicyRefusal::Function { contract: own, selector: vec![1, 2, 3, 4] },
        ),
        (call(0, own, vec![]), PolicyRefusal::Gas { gas_limit: 1_000_000, gas_max: TRANSFER_GAS }),
    ];
    for (transaction, expected) in cases {
        assert_eq!(refused(signer.sign(&transaction, NOON)), [expected]);
    }
    assert_eq!(device.asked.load(Ordering::SeqCst), 0, "the device was asked for something that is refused");

    assert!(signer.sign(&good(), NOON).is_ok());
    assert!(signer.sign(&Unsigned::gap_filler(CHAIN, 1, own, fees), NOON).is_ok());
    let deploy = [DEPLOY_SELECTOR.to_vec(), vec![0; 64]].concat();
    assert!(signer.sign(&call(2, FACTORY, deploy), NOON).is_ok());
    assert_eq!(device.asked.load(Ordering::SeqCst), 3);
}

#[test]
fn l17_every_broken_rule_is_named_at_once() {
    let signer = PolicedSigner::new(device(false), policy(), IssuedToday::default());
    let wrong = Unsigned { chain_id: 1, value_wei: 2, ..call(0, Address([9; 20]), vec![]) };
    let reasons = refused(signer.sign(&wrong, NOON));
    assert_eq!(reasons, [PolicyRefusal::Chain(1), PolicyRefusal::Value(2), PolicyRefusal::Contract(Address([9; 20]))]);
}

#[test]
fn l17_the_daily_cap_counts_a_nonce_once_and_ends_with_the_day() {
    let signer = PolicedSigner::new(device(false), policy(), IssuedToday::default());
    let issue = |nonce, units| call(nonce, TOKEN, batch(Kind::Issue, &[units]));
    assert!(signer.sign(&issue(0, 600), NOON).is_ok());
    assert!(signer.sign(&issue(0, 600), NOON).is_ok(), "a replacement at the same nonce issues nothing more");
    let beyond = PolicyRefusal::DailyUnits { units: 401, already_units: 600, units_max: 1_000 };
    assert_eq!(refused(signer.sign(&issue(1, 401), NOON)), [beyond]);
    assert!(signer.sign(&issue(1, 400), NOON).is_ok());
    assert!(signer.sign(&call(2, TOKEN, batch(Kind::Redeem, &[u128::from(u64::MAX)])), NOON).is_ok(), "only issues count");
    assert!(!refused(signer.sign(&issue(3, 1), NOON)).is_empty());
    assert!(signer.sign(&issue(3, 1_000), NOON + DAY_SECONDS / 2).is_ok());
}

#[test]
fn l16_l17_units_count_where_the_device_gave_no_answer_and_earlier_ones_are_remembered() {
    let away = PolicedSigner::new(device(true), policy(), IssuedToday::default());
    let issue = |nonce, units| call(nonce, TOKEN, batch(Kind::Issue, &[units]));
    assert!(matches!(away.sign(&issue(0, 900), NOON), Err(SigningError::Signer(SignerError::Unavailable(_)))));
    let beyond = PolicyRefusal::DailyUnits { units: 101, already_units: 900, units_max: 1_000 };
    assert_eq!(refused(away.sign(&issue(1, 101), NOON)), std::slice::from_ref(&beyond));
    let issued = IssuedToday { day: NOON / DAY_SECONDS, units_by_nonce: BTreeMap::from([(0, 900)]) };
    let restarted = PolicedSigner::new(device(false), policy(), issued);
    assert_eq!(refused(restarted.sign(&issue(1, 101), NOON)), [beyond]);
}

#[test]
fn the_factory_is_deployed_once_and_then_allowed() {
    let unknown = SigningPolicy { factory: None, may_deploy_factory: true, tokens: BTreeSet::new(), ..policy() };
    let unknown = SigningPolicy { transaction_gas_max: 10_000_000, ..unknown };
    let signer = PolicedSigner::new(device(false), unknown, IssuedToday::default());
    let deployment = Unsigned { to: None, data: deploy_factory_data(), ..call(0, FACTORY, vec![]) };
    assert!(signer.sign(&deployment, NOON).is_ok());
    let mut other = deployment.clone();
    other.data.push(0);
    assert_eq!(refused(signer.sign(&other, NOON)), [PolicyRefusal::Deployment]);
    signer.allow_factory(FACTORY);
    assert_eq!(refused(signer.sign(&deployment, NOON)), [PolicyRefusal::Deployment]);
    let batch = call(1, TOKEN, batch(Kind::Issue, &[1]));
    assert_eq!(refused(signer.sign(&batch, NOON)), [PolicyRefusal::Contract(TOKEN)]);
    signer.allow_token(TOKEN);
    assert!(signer.sign(&batch, NOON).is_ok());
}
