//! A real node for tests: anvil, started on a free port with a chain id of its own, ended when it is dropped.

use crate::world::{START, signer};
use ledger::transaction::Signer;
use ledger::{Address, B256};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A running anvil whose blocks are made by hand.
pub struct Anvil {
    process: Child,
    pub url: String,
    pub chain_id: u64,
    client: reqwest::Client,
}

/// How an anvil is started.
#[derive(Clone, Copy)]
pub struct Begin {
    pub chain_id: u64,
    /// Blocks of an epoch; a block is final two epochs behind the head.
    pub epoch_blocks: u64,
    pub genesis_seconds: i64,
}

impl Begin {
    /// A chain id that no other test of this machine uses at the same time.
    pub fn new() -> Self {
        let own = u64::from(std::process::id()) * 1_000 + SERIAL.fetch_add(1, Ordering::SeqCst);
        Self { chain_id: 1_000_000_000 + own, epoch_blocks: 1, genesis_seconds: START }
    }
}

fn program() -> PathBuf {
    let tools = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contracts/node_modules/@foundry-rs");
    let program = tools.join("anvil-linux-amd64/bin/anvil");
    assert!(program.exists(), "anvil is missing: run `npm ci --ignore-scripts` in contracts/ (./check test does)");
    program
}

impl Anvil {
    pub async fn start() -> Self {
        Self::begin(Begin::new()).await
    }

    /// Starts a node, asserts that it is the one that was started, and gives the registrar wei.
    pub async fn begin(begin: Begin) -> Self {
        let mut process = Command::new(program())
            .args(["--host", "127.0.0.1", "--port", "0", "--no-mining", "--order", "fifo", "--accounts", "1"])
            .args(["--chain-id", &begin.chain_id.to_string()])
            .args(["--slots-in-an-epoch", &begin.epoch_blocks.to_string()])
            .args(["--timestamp", &begin.genesis_seconds.to_string()])
            .args(["--base-fee", "1000000000"])
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
        let anvil = Self { process, url: format!("http://{address}"), chain_id: begin.chain_id, client };
        let served = anvil.ask("eth_chainId", json!([])).await;
        assert_eq!(served, format!("{:#x}", begin.chain_id), "another node answers on this port");
        anvil.fund(signer().address(), 10_u128.pow(24)).await;
        anvil
    }

    /// Asks the node directly; an error fails the test.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        let answer: Value = serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
        assert_eq!(answer.get("error"), None, "{method}");
        answer["result"].clone()
    }

    pub async fn fund(&self, address: Address, wei: u128) {
        self.ask("anvil_setBalance", json!([address.to_string(), format!("{wei:#x}")])).await;
    }

    /// Makes blocks; the first takes what waits.
    pub async fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", json!([format!("{blocks:#x}"), "0x1"])).await;
    }

    /// Makes one block with this time, in seconds since 1970.
    pub async fn mine_at(&self, seconds: u64) {
        self.ask("evm_setNextBlockTimestamp", json!([seconds])).await;
        self.ask("evm_mine", json!([])).await;
    }

    /// Takes the newest blocks back and makes as many empty ones.
    pub async fn reorg(&self, depth: u64) {
        self.ask("anvil_reorg", json!([depth, []])).await;
    }

    pub async fn hash_at(&self, number: u64) -> B256 {
        let block = self.ask("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
        block["hash"].as_str().unwrap().parse().unwrap()
    }

    pub async fn head_number(&self) -> u64 {
        let number = self.ask("eth_blockNumber", json!([])).await;
        u64::from_str_radix(number.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
