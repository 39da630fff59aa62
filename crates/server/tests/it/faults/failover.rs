//! A standby takes over that had not received the newest commits (row B04).

use cluster::{Cluster, Durability};
use serde_json::json;

use super::load::Ground;
use crate::process::{Process, expect_failure, run};
use crate::world::{GUIDE_DATE, Session};

const INVESTMENTS: &str = "/distributor/v2/investments/";
const WENT_BACK: &str = "history went back";

async fn create(process: &Process, session: &Session, campaign: &str) -> crate::world::Reply {
    let body = json!({
        "investor_id": process.handout.investor_id, "campaign_id": campaign, "units": 1, "signed_at": GUIDE_DATE,
    });
    session.post(INVESTMENTS, &body).await
}

async fn readiness(process: &Process) -> (u16, String) {
    let answer = process.http.get(format!("http://{}/readyz", process.address())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_a_standby_that_lost_commits_is_neither_written_to_nor_signed_for_before_a_new_start_goes_on_from_it() {
    let mut cluster = Cluster::start(Durability::Synced).unwrap();
    let url = cluster.create_database("failing", None).unwrap();
    let ground = Ground::lay(tempfile::tempdir().unwrap(), |settings| settings.database = Some(url.clone())).await;
    let data = ground.folder.path().join("data");
    cluster.kill().unwrap();
    cluster.copy_files("standby").unwrap();
    cluster.restart().unwrap();

    let process = Process::start(ground.folder.path(), &["--database", &url]).await;
    let session = process.distributor().await;
    let lost = create(&process, &session, &ground.campaign).await.expect(201).id();
    assert_eq!(readiness(&process).await.0, 200);
    cluster.kill().unwrap();
    cluster.fail_over_to_copy("standby").unwrap();

    // While it runs: reads go on and show what is there, nothing is written, readiness says why.
    let mut path = format!("{INVESTMENTS}{lost}/");
    let mut answer = session.get(&path).await;
    for _look in 0..1_000 {
        if answer.status != 503 {
            break;
        }
        answer = session.get(&path).await;
    }
    answer.expect(404);
    let refused = create(&process, &session, &ground.campaign).await.expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    let (status, said) = readiness(&process).await;
    assert_eq!(status, 503, "{said}");
    assert!(said.contains(WENT_BACK), "{said}");
    path = format!("{INVESTMENTS}?campaign_id={}", ground.campaign);
    assert_eq!(session.get(&path).await.expect(200).body["count"], 0, "nothing was written");
    let signed = "SELECT count(*) FROM attempt";
    let before = cluster.execute("failing", signed).unwrap();
    process.terminate();
    assert!(process.ended().await.success());
    assert_eq!(cluster.execute("failing", signed).unwrap(), before, "nothing was signed");

    // From the start, the head that was kept outside tells: a command refuses, a server goes on from what is there.
    let create_client = ["client", "create", "--kind", "issuer", "--organisation", "Late", "--database", url.as_str()];
    expect_failure(&run(&create_client, &data), WENT_BACK);
    let process = Process::start(ground.folder.path(), &["--database", &url]).await;
    assert_eq!(readiness(&process).await.0, 200);
    let session = process.distributor().await;
    create(&process, &session, &ground.campaign).await.expect(201);
    process.terminate();
    assert!(process.ended().await.success());
    let history = cluster.execute("failing", "SELECT convert_from(value, 'UTF8') FROM setting WHERE name = 'history'").unwrap();
    assert!(history.contains("\"restarts\":1"), "{history}");
    let created = run(&create_client, &data);
    assert!(created.status.success(), "the head is that of the history that goes on: {created:?}");
}
