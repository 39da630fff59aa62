//! A real node for tests: anvil, started on a free port with a chain id of its own, ended when it is dropped.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::network::NetworkName;
use serde_json::{Value, json};
use server::networks::{ConfiguredNetwork, read};
use tokio::task::JoinHandle;

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// The name of the tests' network.
pub const NETWORK: &str = "anvil";
/// The key's address.
pub const REGISTRAR: &str = "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b";
/// Between two blocks.
const BLOCK_EVERY: Duration = Duration::from_millis(40);

/// A key file (Web3 secret storage, version 3) whose derivation is cheap; the passphrase is "testpassword".
const KEY: &str = include_str!("../../../../vectors/key-file.json");

/// A running anvil whose blocks are made by hand, or by a [`Miner`].
pub struct Anvil {
    process: Child,
    pub url: String,
    pub chain_id: u64,
    client: reqwest::Client,
}

/// Makes blocks until it is dropped.
pub struct Miner(JoinHandle<()>);

fn program() -> PathBuf {
    let tools = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contracts/node_modules/@foundry-rs");
    let program = tools.join("anvil-linux-amd64/bin/anvil");
    assert!(program.exists(), "anvil is missing: run `npm ci --ignore-scripts` in contracts/ (./check test does)");
    program
}

impl Anvil {
    /// A node with a chain of its own.
    pub async fn start() -> Self {
        let own = u64::from(std::process::id()) * 1_000 + SERIAL.fetch_add(1, Ordering::SeqCst);
        Self::begin(2_000_000_000 + own, 1).await
    }

    /// A node whose chain begins so many seconds ago.
    pub async fn begin(chain_id: u64, seconds_ago: i64) -> Self {
        let begins_at = server::clock::Clock::default().machine_now().seconds_floor() - seconds_ago;
        let mut process = Command::new(program())
            .args(["--host", "127.0.0.1", "--port", "0", "--no-mining", "--order", "fifo", "--accounts", "1"])
            .args(["--chain-id", &chain_id.to_string(), "--slots-in-an-epoch", "1", "--base-fee", "1000000000"])
            .args(["--timestamp", &begins_at.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("anvil ended before it listened").unwrap();
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.trim().to_owned();
            }
        };
        // Nobody else reads what it says, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let anvil = Self { process, url: format!("http://{address}"), chain_id, client };
        let served = anvil.ask("eth_chainId", json!([])).await;
        assert_eq!(served, format!("{chain_id:#x}"), "another node answers on this port");
        anvil.fund(10_u128.pow(24)).await;
        anvil
    }

    /// Asks the node directly; an error fails the test.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        ask(&self.client, &self.url, method, params).await
    }

    /// Gives the registrar wei.
    pub async fn fund(&self, wei: u128) {
        self.ask("anvil_setBalance", json!([REGISTRAR, format!("{wei:#x}")])).await;
    }

    /// How many transactions of the registrar have run.
    pub async fn nonce(&self) -> u64 {
        let nonce = self.ask("eth_getTransactionCount", json!([REGISTRAR, "latest"])).await;
        number(&nonce)
    }

    /// The same with those that wait for a block.
    pub async fn pending_nonce(&self) -> u64 {
        number(&self.ask("eth_getTransactionCount", json!([REGISTRAR, "pending"])).await)
    }

    /// Waits until there are so many more blocks, so that the state of now is final.
    pub async fn await_blocks(&self, more: u64) {
        let target = self.head().await + more;
        while self.head().await < target {
            tokio::time::sleep(BLOCK_EVERY).await;
        }
    }

    async fn head(&self) -> u64 {
        number(&self.ask("eth_blockNumber", json!([])).await)
    }

    /// Makes one block.
    #[cfg(feature = "planted")]
    pub async fn mine_once(&self) {
        self.ask("evm_mine", json!([])).await;
    }

    /// The hashes of what waits for a block.
    #[cfg(feature = "planted")]
    pub async fn waiting(&self) -> Vec<String> {
        let pool = self.ask("txpool_content", json!([])).await;
        let of_accounts = ["pending", "queued"].into_iter().flat_map(|part| pool[part].as_object().unwrap().values());
        let each = of_accounts.flat_map(|of_account| of_account.as_object().unwrap().values());
        each.map(|transaction| transaction["hash"].as_str().unwrap().to_owned()).collect()
    }

    /// The hashes of what the registrar has in blocks.
    #[cfg(feature = "planted")]
    pub async fn included(&self) -> Vec<String> {
        let mut hashes = Vec::new();
        for block in 1..=self.head().await {
            let block = self.ask("eth_getBlockByNumber", json!([format!("{block:#x}"), true])).await;
            let own = block["transactions"].as_array().unwrap().iter().filter(|one| one["from"] == REGISTRAR);
            hashes.extend(own.map(|one| one["hash"].as_str().unwrap().to_owned()));
        }
        hashes
    }

    /// Makes blocks by itself from here on.
    pub fn mine(&self) -> Miner {
        let (client, url) = (self.client.clone(), self.url.clone());
        Miner(tokio::spawn(async move {
            loop {
                ask(&client, &url, "evm_mine", json!([])).await;
                tokio::time::sleep(BLOCK_EVERY).await;
            }
        }))
    }

    /// Configures the network in a folder: the networks' file, its key, and the key's passphrase.
    pub fn configure(&self, folder: &Path) -> PathBuf {
        let section = format!(
            "[{NETWORK}]\nchain-id = {}\nnodes = [{{ name = \"own\", url = \"{}\" }}]\nlook-every-ms = 50\nbump-after-s = 1\n\
             fees = {{ fee-per-gas-wei-max = 100_000_000_000, tip-per-gas-wei-max = 10_000_000_000, tip-per-gas-wei-min = 1 }}\n\
             signer = {{ key-file = \"key.json\", passphrase-file = \"passphrase\", address = \"{REGISTRAR}\" }}\n",
            self.chain_id, self.url
        );
        for (name, text) in [("key.json", KEY), ("passphrase", "testpassword\n"), ("networks.toml", &section)] {
            let path = folder.join(name);
            let _none = std::fs::remove_file(&path);
            let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        folder.join("networks.toml")
    }

    /// The same, as the program reads it.
    pub fn configured(&self, folder: &Path) -> Vec<ConfiguredNetwork> {
        read(&self.configure(folder)).unwrap()
    }
}

/// The tests' network by its name.
pub fn network_name() -> NetworkName {
    NetworkName::parse(NETWORK).unwrap()
}

fn number(quantity: &Value) -> u64 {
    u64::from_str_radix(quantity.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

async fn ask(client: &reqwest::Client, url: &str, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let request = client.post(url).header("content-type", "application/json").body(body);
    let answer: Value = serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(answer.get("error"), None, "{method}");
    answer["result"].clone()
}

impl Drop for Anvil {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.0.abort();
    }
}
