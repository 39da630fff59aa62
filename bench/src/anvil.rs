//! A real node (anvil), what it carries out when nothing but prepared batches is sent to it, and Scrip's credits through it.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use ledger::contract::{
    Item, Kind, Terms, deploy_factory_data, deploy_factory_gas_limit, deploy_token_calldata, deploy_token_gas_limit,
    execute_calldata, execute_gas_limit, predict_token, token_salt,
};
use ledger::transaction::{Fees, LocalSigner, Signer, Unsigned, deployed_address};
use ledger::{Address, B256};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Failure;
use crate::client::Connection;
use crate::process::{Process, Signal};

/// The network's name for Scrip.
pub const NETWORK: &str = "anvil";
/// The chain's id.
const CHAIN_ID: u64 = 31_337_001;
/// Holders of one batch of the bare loop.
const BATCH_ITEMS: usize = 100;
/// Batches of the bare loop in flight: as many as Scrip has.
const OPEN_MAX: u64 = 16;
/// Gas of one block: so much that blocks bound neither side.
const BLOCK_GAS: &str = "1000000000";
/// Gas of one transaction at most, as Ethereum has it.
const TRANSACTION_GAS_MAX: u64 = 16_777_216;
/// How long everything that was sent may wait for its block.
const BLOCK_TIMEOUT: Duration = Duration::from_mins(2);
/// How often it is asked for them.
const NONCE_POLL: Duration = Duration::from_millis(2);
/// The key of Scrip's registrar: a key file (Web3 secret storage, version 3) of tests; the passphrase is "testpassword".
const KEY_FILE: &str = include_str!("../../vectors/key-file.json");
const REGISTRAR: &str = "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b";
/// Wei that a key begins with.
const WEI: u128 = 1_000_000_000_000_000_000_000_000;
/// What is offered for gas: far above the node's base fee.
const FEES: Fees = Fees { max_fee_per_gas_wei: 100_000_000_000, max_priority_fee_per_gas_wei: 1 };

/// A running node. It makes a block for every transaction at once, and ten each second besides, so that everything becomes
/// final.
#[derive(Debug)]
pub struct Node {
    process: Process,
    address: SocketAddr,
    connection: Connection,
    asked: u64,
}

impl Node {
    /// Starts a node on a free port.
    pub async fn start(program: &Path, folder: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", "0", "--accounts", "1", "--order", "fifo", "--base-fee", "1000000000"]);
        command.args(["--block-time", "0.1", "--mixed-mining", "--slots-in-an-epoch", "1", "--gas-limit", BLOCK_GAS]);
        command.args(["--chain-id", &CHAIN_ID.to_string()]);
        let mut process = Process::start("anvil", &mut command, &folder.join("anvil.log"))
            .map_err(|error| format!("{error} (`npm ci --ignore-scripts` in contracts/ installs it)"))?;
        let mut lines = BufReader::new(process.take_output()?).lines();
        let address = loop {
            let line = lines.next_line().await?.ok_or("anvil ended before it listened")?;
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.trim().parse()?;
            }
        };
        // Nobody else reads what it says, and a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut node = Self { process, address, connection: Connection::open(address).await?, asked: 0 };
        let served = node.ask("eth_chainId", json!([])).await?;
        if served != format!("{CHAIN_ID:#x}") {
            return Err(format!("another node answers on {address}: {served}").into());
        }
        node.fund(REGISTRAR).await?;
        Ok(node)
    }

    /// Ends it.
    pub async fn stop(self) -> Result<(), Failure> {
        self.process.stop(Signal::Terminate).await
    }

    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Writes the networks' file, with the key, into a folder; gives its path.
    pub fn configure(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let section = format!(
            "[{NETWORK}]\nchain-id = {CHAIN_ID}\nnodes = [{{ name = \"own\", url = \"http://{}\" }}]\nlook-every-ms = 50\n\
             fees = {{ fee-per-gas-wei-max = 100_000_000_000, tip-per-gas-wei-max = 10_000_000_000, tip-per-gas-wei-min = 1 }}\n\
             signer = {{ key-file = \"key.json\", passphrase-file = \"passphrase\", address = \"{REGISTRAR}\" }}\n",
            self.address
        );
        for (name, text) in [("key.json", KEY_FILE), ("passphrase", "testpassword\n"), ("networks.toml", &section)] {
            let mut file = std::fs::File::options();
            let mut file = file.write(true).create_new(true).mode(0o600).open(folder.join(name))?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
        }
        Ok(folder.join("networks.toml"))
    }

    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        self.asked += 1;
        let body = json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}).to_string();
        let request = Request::builder().method("POST").uri("/").header("host", self.address.to_string());
        let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body)))?;
        let answer = self.connection.send(request).await?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}").into()),
            None => Ok(answer["result"].clone()),
        }
    }

    async fn fund(&mut self, address: &str) -> Result<(), Failure> {
        self.ask("anvil_setBalance", json!([address, format!("{WEI:#x}")])).await.map(drop)
    }

    /// Waits until so many transactions of an account have run, or all but `open` of them.
    async fn await_nonce(&mut self, address: &str, nonce: u64) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let used = self.ask("eth_getTransactionCount", json!([address, "latest"])).await?;
            let used = u64::from_str_radix(used.as_str().unwrap_or_default().trim_start_matches("0x"), 16)?;
            if used >= nonce {
                return Ok(());
            }
            if began.elapsed() > BLOCK_TIMEOUT {
                return Err(format!("anvil carried out {used} transactions of {nonce}").into());
            }
            tokio::time::sleep(NONCE_POLL).await;
        }
    }

    /// How long it takes for batches of a hundred issues to new holders, signed before, until the last is in a block.
    pub async fn bare_loop(&mut self, batches: u64) -> Result<Duration, Failure> {
        let key = LocalSigner::new([1; 32])?;
        let own = key.address();
        let address = own.to_string();
        self.fund(&address).await?;
        let factory = deployed_address(own, 0);
        let terms = Terms {
            product_id: [1; 16],
            name: "Bare".to_owned(),
            symbol: "BARE".to_owned(),
            cap_units: u128::from(u64::MAX),
            terms_hash: B256([1; 32]),
            lock_in_until_seconds: 0,
            registrar: own,
        };
        let salt = token_salt(terms.product_id);
        let token = predict_token(factory, salt, &terms)?;
        let signed = |nonce, to, gas_limit, data| -> Result<String, Failure> {
            let unsigned = Unsigned { chain_id: CHAIN_ID, nonce, gas_limit, fees: FEES, to, value_wei: 0, data };
            Ok(format!("0x{}", hex::encode(unsigned.sign(&key)?.raw)))
        };
        let prepared = [
            signed(0, None, deploy_factory_gas_limit(), deploy_factory_data())?,
            signed(1, Some(factory), deploy_token_gas_limit(), deploy_token_calldata(salt, &terms)?)?,
        ];
        for raw in prepared {
            self.ask("eth_sendRawTransaction", json!([raw])).await?;
        }
        self.await_nonce(&address, 2).await?;
        let mut signed_batches = Vec::new();
        for batch in 0..batches {
            let items = batch_items(batch);
            let gas_limit = execute_gas_limit(&items, TRANSACTION_GAS_MAX).ok_or("a batch does not fit")?;
            signed_batches.push(signed(2 + batch, Some(token), gas_limit, execute_calldata(u64::MAX, &items)?)?);
        }
        let began = Instant::now();
        for (nonce, raw) in (2_u64..).zip(signed_batches) {
            if nonce % (OPEN_MAX / 2) == 0 {
                // Asked rarely: asking costs the node too.
                self.await_nonce(&address, nonce.saturating_sub(OPEN_MAX / 2)).await?;
            }
            self.ask("eth_sendRawTransaction", json!([raw])).await?;
        }
        self.await_nonce(&address, 2 + batches).await?;
        let elapsed = began.elapsed();
        self.expect_issued(token, batches * BATCH_ITEMS as u64).await?;
        Ok(elapsed)
    }

    /// A transaction that was included may have been reverted, and then it proves nothing.
    async fn expect_issued(&mut self, token: Address, units: u64) -> Result<(), Failure> {
        // totalSupply()
        let call = json!([{"to": token.to_string(), "data": "0x18160ddd"}, "latest"]);
        let supply = self.ask("eth_call", call).await?;
        let expected = format!("0x{units:064x}");
        if supply == expected { Ok(()) } else { Err(format!("the bare loop issued {supply}, not {expected}").into()) }
    }
}

/// One unit each for a hundred accounts that never held anything.
fn batch_items(batch: u64) -> Vec<Item> {
    let item = |place: usize| {
        let number = batch * BATCH_ITEMS as u64 + place as u64;
        let mut account = [1; 20];
        account[..8].copy_from_slice(&(number + 1).to_be_bytes());
        let mut id = [1; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Item { kind: Kind::Issue, number, id, account: Address(account), units: 1, counterparty: Address::ZERO }
    };
    (0..BATCH_ITEMS).map(item).collect()
}
