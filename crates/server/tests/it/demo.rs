//! The commands that people begin with.

use server::http::openapi_document;

use crate::process::{Process, run, scrip};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_the_guide_and_reads_the_balance_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for round in 1..=2 {
        let output = run(&["demo", "--once", "--listen", "127.0.0.1:0"], &data);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("[DELIVERED]"), "{said}");
        assert!(said.contains(&format!(" holds {} units", 10 * round)), "run {round}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_against_another_scrip_without_touching_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), &[]).await;
    let unused = folder.path().join("unused");
    let handout = folder.path().join("handout.json");
    let play = |url: &str| {
        let mut command = scrip(&["demo", "--once", "--url", url, "--data"]);
        command.arg(&unused).arg("--handout").arg(&handout).env("SCRIP_LOG", "warn").output().unwrap()
    };
    let output = play(&process.handout.url);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("[DELIVERED]"), "{said}");
    assert!(!unused.exists());
    let delivered = process.distributor().await.get("/distributor/v2/investments/?status=DELIVERED").await.expect(200);
    assert_eq!(delivered.body["count"], 1);

    let url = process.handout.url.clone();
    process.kill();
    let output = play(&url);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("scrip: "));
}

#[test]
fn the_openapi_command_prints_the_file_that_is_served() {
    let output = scrip(&["openapi"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), openapi_document().unwrap());
}

#[test]
fn a_command_line_that_makes_no_sense_is_explained() {
    for arguments in
        [&["sandbox", "--listen", "nowhere"][..], &["demo", "--url", "http://127.0.0.1:1/api"], &["client", "create"], &[]]
    {
        let output = scrip(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--help"), "{arguments:?}");
    }
}
