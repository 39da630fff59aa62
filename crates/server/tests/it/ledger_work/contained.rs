//! One bad credit stops nothing but itself.

use domain::credit::CreditState;
use domain::ids::{InvestorId, WalletId};
use domain::investor::PersonKind;
use domain::wallet::EvmAddress;
use server::operations::investor::{CreateInvestor, KycResult, RecordKyc};
use server::operations::wallet::CreateWallet;

use super::bench::Bench;

/// A further investor of the platform, with a wallet.
async fn investor(bench: &Bench) -> (InvestorId, WalletId) {
    let (desk, now) = (&bench.office.desk, bench.now());
    let platform_id = bench.platform_id();
    let create =
        CreateInvestor { platform_id, person: PersonKind::Natural, personal_data: b"{}".to_vec(), benefiting_persons: 0 };
    let investor_id = desk.run(create, now).await.unwrap().id;
    let result = KycResult::Passed { valid_until: None };
    desk.run(RecordKyc { investor_id, result }, now).await.unwrap();
    let address = EvmAddress::new([0xb0; 20]);
    let wallet = CreateWallet { platform_id, investor_id, address, receiving_enabled: true };
    (investor_id, desk.run(wallet, now).await.unwrap().id)
}

/// The key of an investor is gone, so no verdict about this investor can be recorded.
#[tokio::test(flavor = "multi_thread")]
async fn o12_a_credit_whose_verdict_cannot_be_recorded_stops_no_other() {
    let mut bench = Bench::start_embedded(1).await;
    let campaign_id = bench.campaign(bench.product_id()).await;
    let (investor_id, wallet_id) = investor(&bench).await;
    let bad = bench.order_for(campaign_id, 3, investor_id, wallet_id).await;
    let mut good = bench.order(campaign_id, 5).await;
    let path = bench.folder.path().join("data").join(store::sqlite::DATABASE_FILE_NAME);
    let connection = rusqlite::Connection::open(path).unwrap();
    let deleted = connection.execute("DELETE FROM subject_key WHERE investor_id = ?1", [investor_id.uuid().as_bytes()]);
    assert_eq!(deleted.unwrap(), 1);
    drop(connection);

    for further in 0..2 {
        bench.until(|bench| good.iter().all(|one| bench.credit(*one).state != CreditState::Processing)).await;
        bench.expect_succeeded(&good);
        assert_eq!(bench.credit(bad).state, CreditState::Processing, "after {further}");
        // What comes later is worked on as well.
        good.extend(bench.order(campaign_id, 2).await);
    }
    assert_ne!(bench.metric("scrip_ledger_contained_faults_total"), "0");
    assert_eq!(bench.metric("scrip_ledger_faults_total"), "0", "no round was cut short");
}
