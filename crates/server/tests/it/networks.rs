//! Tokens on a network that an operator configured: a real node (anvil), a key in a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use server::program::documents_path;
use server::verify::verify_with;
use tempfile::TempDir;

use crate::anvil::{Anvil, NETWORK, REGISTRAR, network_name};
use crate::backup::{command, empty_database_of, paid_body, succeeded};
use crate::process::{Process, expect_failure, scrip};
use crate::world::{Session, World, database_of};

const INVESTMENTS: &str = "/distributor/v2/investments/";
/// How often something is looked for that background work brings about; together a minute.
const POLLS_MAX: u32 = 3_000;

/// `scrip ledger init` on the folder's data.
pub fn initialise(folder: &Path, networks: &Path) -> std::process::Output {
    let mut command = scrip(&["ledger", "init", "--network", NETWORK, "--networks", networks.to_str().unwrap(), "--data"]);
    command.arg(folder.join("data")).env("SCRIP_LOG", "warn");
    command.args(database_of(folder).iter().flat_map(|url| ["--database", url]));
    command.output().unwrap()
}

/// A sandbox whose product's token stands on the node.
async fn world_on(anvil: &Anvil, folder: TempDir) -> World {
    let networks = anvil.configured(folder.path());
    World::start_in(folder, |settings| {
        settings.networks = networks;
        settings.product_network = network_name();
    })
    .await
}

/// Whether the program says that it can work, and the problem where it cannot.
async fn readiness(world: &World) -> (u16, Value) {
    let answer = world.http.get(format!("http://{}/readyz", world.running.address)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Waits until readiness is as expected; the problem.
async fn await_readiness(world: &World, status: u16) -> Value {
    for _poll in 0..POLLS_MAX {
        let (found, body) = readiness(world).await;
        if found == status {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("readiness does not become {status}");
}

/// A credit of a paid investment, ordered.
async fn order(world: &World, campaign: &str) -> (String, String) {
    let investment = world.paid_investment(campaign).await;
    let session = world.distributor().await;
    let credit = session.post_empty(&format!("{INVESTMENTS}{investment}/credits/")).await.expect(201).id();
    (investment, credit)
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_issued_on_a_configured_network_and_verify_reads_it() {
    let anvil = Anvil::start().await;
    let _miner = anvil.mine();
    let folder = tempfile::tempdir().unwrap();
    let networks = anvil.configure(folder.path());
    let first = initialise(folder.path(), &networks);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let shown: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((&shown["network"], &shown["chain_id"]), (&json!(NETWORK), &json!(anvil.chain_id)));
    assert_eq!(shown["registrar"], REGISTRAR);
    assert_eq!(initialise(folder.path(), &networks).stdout, first.stdout, "a factory is deployed once");
    assert_eq!(anvil.nonce().await, 1);

    let world = world_on(&anvil, folder).await;
    let campaign = world.campaign(json!({})).await;
    let mut ordered = Vec::new();
    for _credit in 0..3 {
        ordered.push(order(&world, &campaign).await);
    }
    let session = world.distributor().await;
    for (investment, credit) in &ordered {
        let ended = session.ended_credit(investment, credit).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
        let receipt = anvil.ask("eth_getTransactionReceipt", json!([ended["transaction_hash"]])).await;
        assert_eq!(receipt["from"], REGISTRAR);
    }
    assert_eq!(readiness(&world).await.0, 200);
    let folder = world.stop().await;
    let data = folder.path().join("data");
    let (database, documents) = (database_of(folder.path()), documents_path(&data, None));
    let networks = anvil.configured(folder.path());
    let whole = verify_with(&data, database.as_deref(), &documents, &networks).await.unwrap();
    assert_eq!((whole.tokens, whole.issues, whole.tokens_elsewhere), (1, 3, 0));
    let without = verify_with(&data, database.as_deref(), &documents, &[]).await.unwrap();
    assert_eq!((without.tokens, without.tokens_elsewhere), (0, 1));
    assert!(without.to_string().contains("1 tokens on other networks were not read"), "{without}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_a_factory_is_not_ready_until_it_is_initialised() {
    let anvil = Anvil::start().await;
    let _miner = anvil.mine();
    let folder = tempfile::tempdir().unwrap();
    let networks = anvil.configured(folder.path());
    let world = World::start_in(folder, |settings| settings.networks = networks).await;
    let problem = await_readiness(&world, 503).await;
    assert_eq!(problem["code"], "ledger_halted");
    assert!(problem["detail"].as_str().unwrap().contains("scrip ledger init --network anvil"), "{problem}");
    assert_eq!(anvil.nonce().await, 0, "nothing is deployed unasked");
    if database_of(world.folder.path()).is_some() {
        // Beside the running server: it finds the pin by itself.
        let done = initialise(world.folder.path(), &world.folder.path().join("networks.toml"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        await_readiness(&world, 200).await;
        return;
    }
    let folder = world.stop().await;
    assert!(initialise(folder.path(), &folder.path().join("networks.toml")).status.success());
    let networks = anvil.configured(folder.path());
    let world = World::start_in(folder, |settings| settings.networks = networks).await;
    assert_eq!(readiness(&world).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_another_chain_or_other_code_behind_the_url_is_never_signed_for_and_readiness_is_red() {
    let anvil = Anvil::start().await;
    let _miner = anvil.mine();
    let folder = tempfile::tempdir().unwrap();
    assert!(initialise(folder.path(), &anvil.configure(folder.path())).status.success());
    let world = world_on(&anvil, folder).await;
    let campaign = world.campaign(json!({})).await;
    let folder = world.stop().await;

    // The same chain id, begun anew: only the genesis tells.
    let other = Anvil::begin(anvil.chain_id, 1_000).await;
    let _other_miner = other.mine();
    let networks = other.configured(folder.path());
    let world = World::start_in(folder, |settings| settings.networks = networks).await;
    let problem = await_readiness(&world, 503).await;
    assert_eq!(problem["code"], "ledger_halted");
    let (investment, credit) = order(&world, &campaign).await;
    let session = world.distributor().await;
    // Many of its rounds: what does not happen cannot be waited for.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        session.get(&format!("{INVESTMENTS}{investment}/credits/{credit}/")).await.expect(200).body["status"],
        "processing"
    );
    assert_eq!(other.nonce().await, 0);
    let folder = world.stop().await;

    // The right chain, whose factory has other code.
    let name = server::operations::network::pin_setting(&network_name());
    let archive =
        store::Database::open(&server::program::place(&folder.path().join("data"), database_of(folder.path()).as_deref()))
            .unwrap()
            .reader(1)
            .unwrap();
    let pin = server::operations::network::NetworkPin::of_bytes(&archive.setting(&name).unwrap().unwrap()).unwrap();
    drop(archive);
    let factory = pin.factory.to_string();
    let code = anvil.ask("eth_getCode", json!([factory, "latest"])).await;
    anvil.ask("anvil_setCode", json!([factory, "0x00"])).await;
    anvil.await_blocks(4).await;
    let before = anvil.nonce().await;
    let networks = anvil.configured(folder.path());
    let world = World::start_in(folder, |settings| settings.networks = networks).await;
    let problem = await_readiness(&world, 503).await;
    assert!(problem["detail"].as_str().unwrap().contains("the code at"), "{problem}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(anvil.nonce().await, before);

    // When it is as it was, work goes on by itself.
    anvil.ask("anvil_setCode", json!([factory, code])).await;
    await_readiness(&world, 200).await;
    let session = world.distributor().await;
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o14_what_is_wrong_with_a_network_refuses_the_start() {
    let anvil = Anvil::start().await;
    let folder = tempfile::tempdir().unwrap();
    let networks = anvil.configure(folder.path());
    let text = std::fs::read_to_string(&networks).unwrap();
    let serve = |text: &str, options: &[&str]| {
        std::fs::write(&networks, text).unwrap();
        let mut command = scrip(&["serve", "--listen", "127.0.0.1:0", "--networks", networks.to_str().unwrap(), "--data"]);
        command.arg(folder.path().join("data")).args(options).env("SCRIP_LOG", "error").output().unwrap()
    };
    let chain_id = format!("chain-id = {}", anvil.chain_id);
    for (from, to, words) in [
        (chain_id.as_str(), "chain-id = 0", "network anvil: the chain id is 0"),
        ("[anvil]", "[embedded]", "`embedded` cannot be the name of a network"),
        ("passphrase-file = \"passphrase\"", "passphrase-file = \"key.json\"", "network anvil: the passphrase does not open"),
        (REGISTRAR, "0x00000000000000000000000000000000000000ff", "network anvil: the key file holds the key of"),
    ] {
        expect_failure(&serve(&text.replace(from, to), &[]), words);
    }
    let twice = format!("{text}{}", text.replace("[anvil]", "[second]"));
    expect_failure(&serve(&twice, &[]), "the networks anvil and second have the same key");
    let unknown = scrip(&["sandbox", "--listen", "127.0.0.1:0", "--network", "nowhere", "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    expect_failure(&unknown, "there is no network nowhere in the networks' file");
}

/// A value of the program's metrics.
fn metric(world: &World, name: &str) -> String {
    let text = world.running.office.meters.registry().text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).to_owned()
}

/// Waits until a metric is no longer zero.
async fn await_counted(world: &World, name: &str) {
    for _poll in 0..POLLS_MAX {
        if metric(world, name) != "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} stays 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_l22_a_drained_signer_and_dear_gas_are_waited_for_and_told_and_nothing_is_overpaid() {
    let anvil = Anvil::start().await;
    let miner = anvil.mine();
    let folder = tempfile::tempdir().unwrap();
    assert!(initialise(folder.path(), &anvil.configure(folder.path())).status.success());
    let world = world_on(&anvil, folder).await;
    let campaign = world.campaign(json!({})).await;
    let session = world.distributor().await;

    anvil.fund(0).await;
    let (investment, credit) = order(&world, &campaign).await;
    await_counted(&world, "scrip_ledger_waits_total{reason=\"funds\"}").await;
    let path = format!("{INVESTMENTS}{investment}/credits/{credit}/");
    assert_eq!(session.get(&path).await.expect(200).body["status"], "processing");
    anvil.fund(10_u128.pow(24)).await;
    assert_eq!(session.ended_credit(&investment, &credit).await["status"], "succeeded");

    // Ten thousand times the ceiling; empty blocks bring it down again by an eighth each.
    drop(miner);
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!(["0x38d7ea4c68000"])).await;
    anvil.ask("evm_mine", json!([])).await;
    let before = anvil.nonce().await;
    let (investment, credit) = order(&world, &campaign).await;
    await_counted(&world, "scrip_ledger_waits_total{reason=\"fee_ceiling\"}").await;
    assert_eq!(anvil.nonce().await, before);
    let _miner = anvil.mine();
    let ended = session.ended_credit(&investment, &credit).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let receipt = anvil.ask("eth_getTransactionReceipt", json!([ended["transaction_hash"]])).await;
    let paid = u128::from_str_radix(receipt["effectiveGasPrice"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!(paid <= 100_000_000_000, "{paid} wei per gas");
    world.stop().await;
}

/// A network of which no node answers: credits are shown as unknown, by a server that does no ledger work as well, stay
/// processing, and end by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_credit_is_unknown_only_while_no_node_can_be_read_and_ends_by_itself() {
    let anvil = Anvil::start().await;
    let _miner = anvil.mine();
    let folder = tempfile::tempdir().unwrap();
    assert!(initialise(folder.path(), &anvil.configure(folder.path())).status.success());
    let world = world_on(&anvil, folder).await;
    let campaign = world.campaign(json!({})).await;
    let (delivered, before) = order(&world, &campaign).await;
    let session = world.distributor().await;
    assert_eq!(session.ended_credit(&delivered, &before).await["status"], "succeeded");
    let folder = world.stop().await;

    // Nobody listens on port 1.
    let file = anvil.configure(folder.path());
    let text = std::fs::read_to_string(&file).unwrap().replace(&anvil.url, "http://127.0.0.1:1");
    std::fs::write(&file, text.replace("look-every-ms", "unknown-after-s = 0\nlook-every-ms")).unwrap();
    let networks = server::networks::read(&file).unwrap();
    let world = World::start_in(folder, |settings| settings.networks = networks).await;
    let session = world.distributor().await;
    let (investment, credit) = order(&world, &campaign).await;
    let list = format!("{INVESTMENTS}{investment}/credits/");
    let path = format!("{list}{credit}/");
    let mut polls = 0..POLLS_MAX;
    let shown = loop {
        polls.next().expect("the credit is shown as unknown");
        let shown = session.get(&path).await.expect(200).body;
        if shown["status"] == "unknown" {
            break shown;
        }
        assert_eq!(shown["status"], "processing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&shown["error_code"], &shown["finished_at"]), (&json!("ledger_unreadable"), &Value::Null));
    assert_eq!(session.get(&list).await.expect(200).body["results"], json!([shown]));
    session.post_empty(&list).await.expect_refused("credit_exists");
    // What has ended is not unknown.
    assert_eq!(session.get(&format!("{INVESTMENTS}{delivered}/credits/{before}/")).await.expect(200).body["status"], "succeeded");
    let folder = world.stop().await;
    let world = World::start_in(folder, |_| {}).await;
    let session = world.distributor().await;
    assert_eq!(session.get(&path).await.expect(200).body, shown, "by a server without the network as well");
    let folder = world.stop().await;

    let networks = anvil.configured(folder.path());
    let world = World::start_in(folder, |settings| settings.networks = networks).await;
    let session = world.distributor().await;
    let ended = session.ended_credit(&investment, &credit).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    world.stop().await;
}

/// The node configured in a folder, for batches that run ten seconds at most.
fn short_lived(anvil: &Anvil, folder: &Path) -> PathBuf {
    let file = anvil.configure(folder);
    let text = std::fs::read_to_string(&file).unwrap().replace("look-every-ms", "validity-s = 10\nlook-every-ms");
    std::fs::write(&file, text).unwrap();
    file
}

/// A sandbox whose product's token stands on the node, as a process of its own.
async fn start_on(anvil: &Anvil, folder: &Path, database: Option<&str>) -> Process {
    let networks = short_lived(anvil, folder);
    let mut options = vec!["--network", NETWORK, "--networks", networks.to_str().unwrap()];
    options.extend(database.iter().flat_map(|url| ["--database", url]));
    Process::start(folder, &options).await
}

/// A backup that is older than what a real node knows, and bytes in the node's pool that it does not know: nothing is signed
/// until they cannot run any more, what the node has issued is taken over, and every investment is issued once.
#[tokio::test(flavor = "multi_thread")]
async fn k15_an_older_database_is_gone_on_from_on_a_real_node() {
    let anvil = Anvil::start().await;
    let miner = anvil.mine();
    let (lost, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(initialise(lost.path(), &short_lived(&anvil, lost.path())).status.success());
    let process = start_on(&anvil, lost.path(), database_of(lost.path()).as_deref()).await;
    let session = process.distributor().await;
    let body = paid_body(&process, &session).await;
    let credits = |id: &str| format!("{INVESTMENTS}{id}/credits/");
    let (mut paid, mut later) = (Vec::new(), Vec::new());
    for _investment in 0..3 {
        paid.push(session.post(INVESTMENTS, &body).await.expect(201).id());
    }
    let deliver = async |session: &Session, id: &str| {
        let credit = session.post_empty(&credits(id)).await.expect(201).id();
        assert_eq!(session.ended_credit(id, &credit).await["status"], "succeeded");
    };
    deliver(&session, &paid[0]).await;
    let to = restored.path().join("backup");
    let backup = ["backup", "--with-root-key", "--to", to.to_str().unwrap()];
    succeeded(&command(&backup, &lost.path().join("data"), database_of(lost.path()).as_deref()));

    // What the backup does not know: a credit, a whole investment, and bytes that wait in the pool.
    deliver(&session, &paid[1]).await;
    later.push(session.post(INVESTMENTS, &body).await.expect(201).id());
    deliver(&session, &later[0]).await;
    drop(miner);
    session.post_empty(&credits(&paid[2])).await.expect(201);
    let nonce = anvil.nonce().await;
    let mut polls = 0..POLLS_MAX;
    while anvil.pending_nonce().await == nonce {
        polls.next().expect("bytes wait in the pool");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.kill();

    let (new_data, new_url) = (restored.path().join("data"), empty_database_of(restored.path()));
    succeeded(&command(&["restore", "--from", to.to_str().unwrap()], &new_data, new_url.as_deref()));
    let process = start_on(&anvil, restored.path(), new_url.as_deref()).await;
    let session = process.distributor().await;
    // The platform does not know what became of its order either.
    let again = session.post_empty(&credits(&paid[2])).await.expect(201).id();
    let new = session.post(INVESTMENTS, &body).await.expect(201).id();
    let of_new = session.post_empty(&credits(&new)).await.expect(201).id();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(anvil.pending_nonce().await, nonce + 1, "something was signed in quarantine");
    let _miner = anvil.mine();
    for (investment, credit) in [(&paid[2], &again), (&new, &of_new)] {
        assert_eq!(session.ended_credit(investment, credit).await["status"], "succeeded");
    }
    for id in paid.iter().chain(&later).chain([&new]) {
        assert_eq!(session.get(&format!("{INVESTMENTS}{id}/")).await.expect(200).body["status"], "DELIVERED", "{id}");
    }
    process.terminate();
    assert!(process.ended().await.success());
    let networks = server::networks::read(&short_lived(&anvil, restored.path())).unwrap();
    let report = verify_with(&new_data, new_url.as_deref(), &documents_path(&new_data, None), &networks).await.unwrap();
    assert_eq!((report.issues, report.tokens), (5, 1), "{report}");
}
