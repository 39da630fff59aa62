//! A server that is stopped by the kernel past its lease, and goes on (row C11).

use std::process::Command;
use std::time::Duration;

use domain::ids::HolderId;
use domain::lease::{Claim, Lane, Lease, Standing};
use domain::network::NetworkName;
use domain::wallet::EvmAddress;
use ledger::transaction::{LocalSigner, Signer};
use serde_json::json;
use server::keyring::KeyUse;
use server::operations::lease::{ClaimLane, ReleaseLane};
use server::program::Office;
use store::Reader;
use uuid::Uuid;

use super::{INVESTMENTS, Servers, repeats};
use crate::process::{Process, log_path};
use crate::world::{GUIDE_DATE, merged, server_database_of};

/// How often something is looked for, ten milliseconds apart.
const POLLS_MAX: usize = 3_000;

fn signal(process: &Process, name: &str) {
    let said = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", process.id())).status().unwrap();
    assert!(said.success());
}

/// Takes the lane as soon as its lease is over. `None` where the stopped process holds the database's locks: then nobody
/// can write anything.
async fn take_over(office: &Office, lane: Lane) -> Option<Lease> {
    let claim = Claim { lane, holder: HolderId::new(Uuid::from_u128(7)), standing: Standing::Waiting, lasts_micros: 60_000_000 };
    for _poll in 0..POLLS_MAX {
        match office.desk.run(ClaimLane { claim }, office.clock.now()).await {
            Ok(Ok(lease)) => return Some(lease),
            Ok(Err(_elsewhere)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(_locked) => return None,
        }
    }
    panic!("the lease does not end");
}

/// Everything that ledger work writes, as text.
fn rows(archive: &Reader) -> String {
    format!(
        "{:?} {:?}",
        archive.live_ledger_transactions().unwrap(),
        archive.products_with_queued_instructions(&NetworkName::embedded()).unwrap()
    )
}

/// How often the process has said that the lane is another's.
fn times_left_to_others(servers: &Servers) -> usize {
    let log = std::fs::read_to_string(log_path(servers.folders[0].path())).unwrap();
    log.lines().filter(|line| line.contains("another process works on the lane") || line.contains("took the lane over")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_server_that_was_stopped_past_its_lease_writes_nothing_while_another_holds_the_lane() {
    let folder = tempfile::tempdir().unwrap();
    let url = server_database_of(folder.path());
    let servers = Servers::on(Some(url.clone()), &["--lease-ms", "300"]).await;
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(servers.data().join("root.key"), other.path().join("root.key")).unwrap();
    let office = Office::open(other.path(), Some(&url)).unwrap();
    let signer = LocalSigner::new(office.keyring.derive(KeyUse::EmbeddedLedger)).unwrap();
    let lane = Lane::Ledger(EvmAddress::new(signer.address().0));
    let session = servers.processes[0].distributor().await;
    let other_session = servers.processes[1].distributor().await;
    let campaign = servers.campaign(&servers.issuers().await[1], 100_000).await;
    let mut documents = Vec::new();
    for document_type in ["effecta_cryptoregistry_tos", "effecta_document"] {
        let id = session.upload(&format!("{document_type}.pdf")).await.expect(201).id();
        documents.push(json!({"document_type": document_type, "document_id": id}));
    }
    let facts = json!({
        "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": servers.processes[0].handout.wallet_id,
        "signed_documents": documents,
    });
    let body = merged(servers.order(&campaign, 10), facts);
    let mut credits = Vec::new();
    let mut taken_over = 0;
    for round in 0..repeats(4, 60) {
        let investment = session.post(INVESTMENTS, &body).await.expect(201).id();
        let credit = session.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
        credits.push((investment, credit));
        // Somewhere in its work on that credit.
        tokio::time::sleep(Duration::from_millis(u64::try_from(round * 7 % 40).unwrap())).await;
        let said_before = times_left_to_others(&servers);
        signal(&servers.processes[0], "STOP");
        if let Some(lease) = take_over(&office, lane).await {
            taken_over += 1;
            // There is work for it to try.
            let investment = other_session.post(INVESTMENTS, &body).await.expect(201).id();
            let credit = other_session.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
            credits.push((investment, credit));
            let before = rows(&office.archive);
            signal(&servers.processes[0], "CONT");
            let mut polls = 0;
            while times_left_to_others(&servers) == said_before {
                polls += 1;
                assert!(polls < POLLS_MAX, "it does not notice that the lane is another's");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(rows(&office.archive), before, "round {round}");
            office.desk.run(ReleaseLane { ticket: lease.ticket() }, office.clock.now()).await.unwrap();
        } else {
            signal(&servers.processes[0], "CONT");
        }
        // It has the lane again when all is delivered.
        for (investment, credit) in credits.drain(..) {
            assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
        }
    }
    assert!(taken_over > 0, "the lane was never taken over");
    office.close(&other.path().join("head"));
    servers.stop_and_verify().await;
    drop(folder);
}
