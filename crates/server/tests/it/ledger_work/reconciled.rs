//! Register and ledger compared while the program runs (row L20).

use domain::credit::{CreditFailure, CreditState};
use domain::freeze::{Difference, Freeze};
use domain::ids::{InvestmentId, ProductId};
use domain::instruction::InstructionState;
use domain::refusal::Refusal;
use ledger::contract::{Item, Kind, execute_calldata};
use ledger::{Address, B256, Chain};
use server::desk::ProgramFault;
use server::operations::Refused;
use server::operations::credit::OrderCredit;
use server::operations::freeze::{Acknowledged, AskRelease, Reconciled};

use super::bench::{Bench, Ordered};

/// A number that no campaign ever gives.
const FOREIGN_NUMBER: u64 = u64::MAX - 7;

/// A bench with a delivered credit, a campaign, and a further product with its own.
async fn agreed() -> (Bench, Vec<Ordered>) {
    let mut bench = Bench::start(1).await;
    let campaign = bench.campaign(bench.product_id()).await;
    let ordered = bench.order(campaign, 3).await;
    bench.finish(&ordered).await;
    (bench, ordered)
}

fn freeze(bench: &Bench, id: ProductId) -> Option<Freeze> {
    bench.product(id).freeze
}

/// The registrar's key gives the token an order that the register does not know.
async fn order_by_hand(bench: &Bench, kind: Kind, number: u64, units: u128) {
    give(bench, Item { kind, number, id: [9; 16], account: Address([7; 20]), units, counterparty: Address::ZERO }).await;
}

async fn give(bench: &Bench, item: Item) {
    let data = execute_calldata(u64::MAX, &[item]).unwrap();
    bench.call_token(&bench.device.key, bench.product_id(), data).await;
}

/// Looks once at the ledger as it is, and then so often that what was seen is believed.
async fn look(bench: &mut Bench) {
    bench.mine(1);
    for _look in 0..2 {
        bench.work.round().await.unwrap();
    }
}

async fn expect_refused(bench: &Bench, id: InvestmentId) {
    let order = OrderCredit { platform_id: bench.platform_id(), investment_id: id };
    let Err(ProgramFault::Refused(Refused::Rules(broken))) = bench.office.desk.run(order, bench.now()).await else {
        panic!("it is not refused")
    };
    assert!(matches!(broken.refusals[..], [Refusal::ProductFrozen { .. }]), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_an_issue_that_nobody_ordered_lets_the_products_credits_rest_and_no_others() {
    let (mut bench, _) = agreed().await;
    let (product, other) = (bench.product_id(), bench.further_product().await);
    let (campaign, others) = (bench.campaign(product).await, bench.campaign(other).await);
    bench.until(|bench| bench.live().is_empty()).await;
    let paid = bench.paid(campaign, 1).await;
    order_by_hand(&bench, Kind::Issue, FOREIGN_NUMBER, 1).await;
    let waiting = bench.order(campaign, 2).await;
    look(&mut bench).await;
    let found = freeze(&bench, product).expect("the product is frozen");
    assert_eq!(found.difference, Difference::ForeignOrder);
    assert!(!found.is_release_asked && found.block_number > 0, "{found:?}");
    assert!(freeze(&bench, other).is_none());
    expect_refused(&bench, paid).await;
    // What waits is not signed, however often it is looked; what another product orders is.
    let elsewhere = bench.order(others, 2).await;
    bench.finish_of(&elsewhere).await;
    bench.expect_succeeded(&elsewhere);
    for one in &waiting {
        assert_eq!(bench.credit(*one).state, CreditState::Processing);
    }
    let queued = bench.office.archive.queued_instructions(product, 9).unwrap();
    assert!(queued.len() == 2 && queued.iter().all(|one| one.state == InstructionState::Queued));
    assert_eq!(bench.metric("scrip_ledger_differences_total"), "2");
    // It survives the worker, and is not found a second time.
    bench.restart_worker();
    look(&mut bench).await;
    assert_eq!(freeze(&bench, product), Some(found));
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_credits_go_on_when_an_operator_says_so_and_the_units_agree() {
    let (mut bench, _) = agreed().await;
    let (product, campaign) = (bench.product_id(), bench.campaign(bench.product_id()).await);
    let waiting = bench.order(campaign, 2).await;
    order_by_hand(&bench, Kind::Issue, FOREIGN_NUMBER, 5).await;
    look(&mut bench).await;
    let found = freeze(&bench, product).expect("the product is frozen");

    // While the ledger has five units more than the register, nothing is released.
    let ask = AskRelease { product_id: product };
    assert!(bench.office.desk.run(ask, bench.now()).await.unwrap().freeze.unwrap().is_release_asked);
    bench.work.round().await.unwrap();
    let still = freeze(&bench, product).expect("the units differ");
    assert!(!still.is_release_asked && still.since == found.since, "{still:?}");

    // The registrar takes them back. Both orders stay on the ledger, and are acknowledged.
    order_by_hand(&bench, Kind::Withdraw, FOREIGN_NUMBER + 1, 5).await;
    bench.mine(1);
    bench.work.round().await.unwrap();
    assert!(freeze(&bench, product).is_some(), "nobody asked");
    bench.office.desk.run(ask, bench.now()).await.unwrap();
    bench.finish(&waiting).await;
    bench.expect_succeeded(&waiting);
    assert_eq!(freeze(&bench, product), None);
    let stored = bench.office.archive.setting(&Acknowledged::setting(product)).unwrap();
    let keyring = &bench.office.keyring;
    let known = Acknowledged::of_signed(stored.as_deref(), product, keyring).unwrap();
    assert_eq!(known.numbers, [FOREIGN_NUMBER, FOREIGN_NUMBER + 1]);
    // Nobody without the instance's key can acknowledge anything.
    let forged = String::from_utf8(stored.unwrap()).unwrap().replace(&FOREIGN_NUMBER.to_string(), "7").into_bytes();
    assert!(Acknowledged::of_stored(Some(&forged)).unwrap().numbers.contains(&7));
    assert!(Acknowledged::of_signed(Some(&forged), product, keyring).is_err());
    assert!(Acknowledged::of_signed(Some(&forged), bench.further_product().await, keyring).is_err());
    // A further order that nobody gave is found again.
    order_by_hand(&bench, Kind::Issue, FOREIGN_NUMBER + 2, 1).await;
    look(&mut bench).await;
    assert!(freeze(&bench, product).is_some());
}

/// The register knows a delivery of which the ledger knows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn l20_units_that_the_ledger_does_not_have_let_credits_rest() {
    let mut bench = Bench::start_embedded(1).await;
    let campaign = bench.campaign(bench.product_id()).await;
    let ordered = bench.order(campaign, 2).await;
    bench.finish(&ordered).await;
    bench.work.round().await.unwrap();
    let file = bench.folder.path().join("data/scrip.sqlite");
    let by_hand = rusqlite::Connection::open(file).unwrap();
    let changed =
        by_hand.execute("UPDATE investment_count SET units_delivered = units_delivered + 1 WHERE status = 'DELIVERED'", []);
    assert_eq!(changed.unwrap(), 1);
    bench.restart_worker();
    look(&mut bench).await;
    let found = freeze(&bench, bench.product_id()).expect("the product is frozen");
    assert_eq!(found.difference, Difference::Units);
    assert_eq!(found.detail, "the ledger issued 3 units, 3 of which are outstanding; the register delivered 4");
}

/// A node that says something else once has proved nothing: nothing is signed meanwhile, and nothing is frozen.
#[tokio::test(flavor = "multi_thread")]
async fn l20_what_a_node_says_once_freezes_nothing() {
    let (mut bench, _) = agreed().await;
    let campaign = bench.campaign(bench.product_id()).await;
    let ordered = bench.order(campaign, 2).await;
    bench.chain.fake.forge_logs(Some(Vec::new()));
    for _look in 0..4 {
        bench.mine(1);
        let _cut_short = bench.work.round().await;
    }
    assert!(bench.metric("scrip_ledger_differences_total").parse::<u64>().unwrap() > 0);
    assert!(freeze(&bench, bench.product_id()).is_none());
    bench.chain.fake.forge_logs(None);
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
    // Records that stay away for ten minutes of the ledger's time are a difference.
    let again = bench.order(campaign, 1).await;
    bench.work.round().await.unwrap();
    bench.mine(2);
    bench.chain.fake.forge_logs(Some(Vec::new()));
    let _cut_short = bench.work.round().await;
    bench.pass(599);
    bench.mine(2);
    let _cut_short = bench.work.round().await;
    assert!(freeze(&bench, bench.product_id()).is_none());
    bench.pass(1);
    bench.mine(2);
    let _cut_short = bench.work.round().await;
    let found = freeze(&bench, bench.product_id()).expect("the product is frozen");
    assert_eq!(found.difference, Difference::RecordsDoNotFold);
    // What was signed before is judged all the same.
    bench.chain.fake.forge_logs(None);
    bench.until(|bench| bench.credit(again[0]).state != CreditState::Processing).await;
    bench.expect_succeeded(&again);
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_what_was_compared_is_not_read_again_and_nothing_is_written_while_nothing_happens() {
    let (mut bench, _) = agreed().await;
    for _look in 0..3 {
        look(&mut bench).await;
    }
    let product = bench.product_id();
    let stored = bench.office.archive.setting(&Reconciled::setting(product)).unwrap();
    let checkpoint = Reconciled::of_stored(stored.as_deref()).unwrap().unwrap().checkpoint().unwrap();
    assert!(checkpoint.next_block > 0 && checkpoint.running_hash != B256::ZERO, "{checkpoint:?}");
    let commits = |bench: &Bench| bench.metric("scrip_desk_batch_commands_count");
    let before = commits(&bench);
    bench.restart_worker();
    for _look in 0..3 {
        look(&mut bench).await;
    }
    assert_eq!(commits(&bench), before);
    assert_eq!(bench.office.archive.setting(&Reconciled::setting(product)).unwrap(), stored);
    assert!(bench.chain.finalized().await.unwrap().number >= checkpoint.next_block);
    // Watching begins there as well; before something fails everything is read.
    let campaign = bench.campaign(product).await;
    bench.restart_worker();
    bench.chain.logs_from.lock().unwrap().clear();
    let ordered = bench.order(campaign, 2).await;
    bench.finish(&ordered).await;
    bench.expect_succeeded(&ordered);
    let asked = std::mem::take(&mut *bench.chain.logs_from.lock().unwrap());
    assert!(!asked.is_empty() && asked.iter().all(|from| *from >= checkpoint.next_block), "{asked:?}");
    let late = bench.order(campaign, 1).await;
    bench.work.round().await.unwrap();
    bench.chain.fake.drop_waiting();
    bench.pass(super::bench::VALIDITY_S + 1);
    bench.mine(2);
    bench.until(|bench| bench.credit(late[0]).state != CreditState::Processing).await;
    assert!(matches!(bench.credit(late[0]).state, CreditState::Failed { failure: CreditFailure::Expired, .. }));
    assert!(bench.chain.logs_from.lock().unwrap().iter().any(|from| *from < checkpoint.next_block));
}

/// Somebody with the registrar's key has given an investment's own order with other units, or to another wallet.
#[tokio::test(flavor = "multi_thread")]
async fn l19_the_same_number_with_other_units_or_wallet_is_an_incident_and_gets_a_fresh_number_once_acknowledged() {
    for (units, account) in [(5, None), (3, Some([7; 20]))] {
        let (mut bench, _) = agreed().await;
        let (product, campaign) = (bench.product_id(), bench.campaign(bench.product_id()).await);
        let id = bench.paid(campaign, 3).await;
        let investment = bench.find_investment(id).unwrap();
        let account = Address(account.unwrap_or_else(|| investment.wallet.unwrap().address.bytes()));
        let number = investment.number.get();
        let item = Item { kind: Kind::Issue, number, id: id.bytes(), account, units, counterparty: Address::ZERO };
        give(&bench, item).await;
        let ordered = bench.order_again(id).await;
        look(&mut bench).await;
        let found = freeze(&bench, product).expect("the product is frozen");
        assert_eq!(found.difference, Difference::OtherOrder, "{found:?}");
        assert_eq!(bench.credit(ordered).state, CreditState::Processing, "what stands on the ledger is not its order");

        // The registrar takes the units back, and an operator lets credits go on.
        give(&bench, Item { kind: Kind::Withdraw, number: FOREIGN_NUMBER, ..item }).await;
        bench.mine(1);
        bench.office.desk.run(AskRelease { product_id: product }, bench.now()).await.unwrap();
        bench.until(|bench| bench.credit(ordered).state != CreditState::Processing).await;
        let CreditState::Failed { failure, .. } = bench.credit(ordered).state else { panic!("it has not that number") };
        assert_eq!(failure, CreditFailure::RefusedByContract);
        assert_ne!(bench.metric("scrip_ledger_verdicts_total{verdict=\"incident\"}"), "0");
        let latest = bench.find_investment(id).unwrap().latest_credit.unwrap();
        assert!(latest.excludes_another && latest.id != ordered.credit_id, "{latest:?}");
        let anew = Ordered { investment_id: id, credit_id: latest.id };
        bench.finish(&[anew]).await;
        bench.expect_succeeded(&[anew]);
        assert!(bench.credit(anew).number.get() > number);
        assert_eq!(freeze(&bench, product), None);
        // Numbers that are given later are others.
        let next = bench.order(campaign, 1).await;
        bench.finish(&next).await;
        assert!(bench.credit(next[0]).number > bench.credit(anew).number);
    }
}
