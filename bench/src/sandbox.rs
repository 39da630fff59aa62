//! A `scrip sandbox` of the harness: started on a folder, spoken to over its API, ended.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use server::entropy::Entropy;
use server::http::page::CursorKey;
use server::keyring::{KeyUse, Keyring};
use tokio::process::Command;

use crate::Failure;
use crate::anvil::NETWORK;
use crate::client::{Connection, Outgoing};
use crate::correctness::Sold;
use crate::process::{Process, Signal};

/// How long a sandbox may take to write its hand-out.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// How often it is looked for: often, because the start is measured.
const START_POLL: Duration = Duration::from_millis(1);
/// The date of the guide's examples.
pub const SIGNED_AT: &str = "2025-03-12T07:14:13.630308+00:00";

/// The program that is measured.
#[derive(Clone, Debug)]
pub struct Scrip {
    path: PathBuf,
    /// What it says of itself.
    pub version: String,
    /// The folder it lies in, which cargo names after the profile.
    pub profile: String,
    /// Whether `scrip verify` takes `--database`.
    pub verifies_database: bool,
}

/// Where a sandbox keeps its state.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data folder.
    pub data: PathBuf,
    /// The database's address; `None` means the embedded one in the data folder.
    pub database: Option<String>,
    /// The networks' file of [`crate::anvil`], where the product's token stands there.
    pub networks: Option<PathBuf>,
}

/// A running sandbox with tokens of its issuer and its distributor.
#[derive(Debug)]
pub struct Sandbox {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it handed out.
    pub handout: Handout,
    place: Place,
    connection: Connection,
    issuer: String,
    distributor: String,
    keys: u64,
    key_prefix: String,
}

/// What the harness needs of the hand-out.
#[derive(Clone, Debug, Deserialize)]
pub struct Handout {
    url: String,
    issuer: Credentials,
    distributor: Credentials,
    /// The distribution platform.
    pub distribution_platform_id: String,
    product_id: String,
    /// An identified investor.
    pub investor_id: String,
    /// The investor's wallet.
    pub wallet_id: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Credentials {
    client_id: String,
    client_secret: String,
}

/// As whom a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The issuer.
    Issuer,
    /// The distribution platform.
    Distributor,
}

impl Scrip {
    /// Looks at a program.
    pub async fn look(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let path = path.canonicalize().map_err(|error| format!("{shown}: {error} (cargo build --release builds it)"))?;
        let ask = async |arguments: &[&str]| -> Result<String, Failure> {
            let output = Command::new(&path).args(arguments).output().await?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Ok(Self {
            version: ask(&["--version"]).await?,
            profile: path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned(),
            verifies_database: ask(&["verify", "--help"]).await?.contains("--database"),
            path,
        })
    }

    /// Runs `scrip verify`.
    pub async fn verify(&self, place: &Place) -> Result<Output, Failure> {
        let mut command = Command::new(&self.path);
        command.arg("verify").arg("--data").arg(&place.data);
        if let Some(database) = place.database.as_ref().filter(|_| self.verifies_database) {
            command.args(["--database", database]);
        }
        if let Some(networks) = &place.networks {
            command.arg("--networks").arg(networks);
        }
        Ok(command.output().await?)
    }

    /// Sets a webhook up for a platform whose receiver is not there, so that every event is recorded and stays in the outbox.
    pub async fn record_events(&self, place: &Place, platform_id: &str) -> Result<(), Failure> {
        let output = self.webhook(place, &["set", "--organisation-id", platform_id, "--url", "http://127.0.0.1:9/"]).await?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().into()) }
    }

    /// How many events wait in the outbox.
    pub async fn events_waiting(&self, place: &Place) -> Result<u64, Failure> {
        let output = self.webhook(place, &["list"]).await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().map(|line| number(&serde_json::from_str(line)?, "waiting")).sum()
    }

    async fn webhook(&self, place: &Place, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = Command::new(&self.path);
        command.arg("webhook").args(arguments).arg("--data").arg(&place.data);
        command.args(place.database.iter().flat_map(|database| ["--database", database]));
        Ok(command.output().await?)
    }

    /// Deploys the factory of the place's network.
    pub async fn initialise(&self, place: &Place) -> Result<(), Failure> {
        let mut command = Command::new(&self.path);
        command.args(["ledger", "init", "--network", NETWORK]).arg("--data").arg(&place.data);
        command.args(place.networks.iter().flat_map(|file| [Path::new("--networks"), file.as_path()]));
        let output = command.output().await?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().into()) }
    }

    /// A server without sandbox and ledger on a database that another program serves too.
    pub fn serve(&self, data: &Path, database: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "off", "--no-ledger"]);
        command.arg("--data").arg(data).args(["--database", database]).env("SCRIP_LOG", "info");
        command
    }

    fn sandbox(&self, place: &Place, handout: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--rate-limit", "off"]);
        command.arg("--data").arg(&place.data).arg("--handout").arg(handout);
        if let Some(database) = &place.database {
            command.args(["--database", database]);
        }
        if let Some(networks) = &place.networks {
            command.args(["--network", NETWORK, "--networks"]).arg(networks);
        }
        // Everything is on as in production, logs at info too.
        command.env("SCRIP_LOG", "info");
        command
    }
}

impl Sandbox {
    /// Starts a sandbox and takes tokens; its hand-out and its log go to `folder`.
    pub async fn start(scrip: &Scrip, place: Place, folder: &Path) -> Result<Self, Failure> {
        let name = place.data.file_name().ok_or("the data folder has no name")?.to_string_lossy().into_owned();
        let handout_path = folder.join(format!("{name}.handout.json"));
        if handout_path.exists() {
            std::fs::remove_file(&handout_path)?;
        }
        let log = folder.join(format!("{name}.log"));
        let mut process = Process::start("scrip", &mut scrip.sandbox(&place, &handout_path), &log)?;
        let handout = wait_for_handout(&mut process, &handout_path, &log).await?;
        let address = handout.url.trim_start_matches("http://").trim_end_matches("/api").parse()?;
        let mut connection = Connection::open(address).await?;
        let issuer = token(&mut connection, &handout.issuer).await?;
        let distributor = token(&mut connection, &handout.distributor).await?;
        let mut random = [0; 6];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let key_prefix = hex::encode(random);
        Ok(Self { process, address, handout, place, connection, issuer, distributor, keys: 0, key_prefix })
    }

    /// Takes new tokens: they last a quarter of an hour.
    pub async fn renew_tokens(&mut self) -> Result<(), Failure> {
        // The server closes a connection that was idle during a load.
        self.connection = Connection::open(self.address).await?;
        self.issuer = token(&mut self.connection, &self.handout.issuer).await?;
        self.distributor = token(&mut self.connection, &self.handout.distributor).await?;
        Ok(())
    }

    /// Makes further campaigns on this product instead of the sandbox's own.
    pub fn sell(&mut self, product_id: &str) {
        product_id.clone_into(&mut self.handout.product_id);
    }

    /// The key that this sandbox seals cursors with.
    pub fn cursor_key(&self) -> Result<CursorKey, Failure> {
        let mut entropy = Entropy::from_machine()?;
        let keyring = Keyring::open(&self.place.data.join("root.key"), &mut entropy)?;
        Ok(CursorKey::new(keyring.derive(KeyUse::Cursors)))
    }

    /// Makes a campaign on the seeded product for investments of one unit and more.
    pub async fn campaign(&mut self, name: &str, allocation: u64) -> Result<String, Failure> {
        let body = json!({
            "distribution_platform_id": self.handout.distribution_platform_id,
            "allocation": allocation,
            "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
            "min_number_of_tokens": 1,
            "max_number_of_tokens": 100,
            "name": name,
            "legal_persons_allowed": true,
            "natural_persons_allowed": true,
            "country": "DEU",
            "rule_type": "public_offering",
            "is_campaign_active": true
        });
        let path = format!("/api/issuer/v2/products/{}/campaigns/", self.handout.product_id);
        let created = self.post(Side::Issuer, &path, &body).await?;
        text(&created, "id")
    }

    /// Makes a campaign whose sales are checked afterwards.
    pub async fn sold(&mut self, name: &str, allocation: u64) -> Result<Sold, Failure> {
        Ok(Sold { campaign_id: self.campaign(name, allocation).await?, allocation })
    }

    /// Units of a campaign that are not sold.
    pub async fn units_available(&mut self, campaign_id: &str) -> Result<u64, Failure> {
        let path = format!("/api/distributor/v2/products/{}/campaigns/{campaign_id}/", self.handout.product_id);
        number(&self.get(&path).await?, "units_available")
    }

    /// How many investments a filter finds.
    pub async fn count(&mut self, filter: &str) -> Result<u64, Failure> {
        number(&self.get(&format!("/api/distributor/v2/investments/?limit=1{filter}")).await?, "count")
    }

    /// Uploads a document and gives its id.
    pub async fn document(&mut self, file_name: &str) -> Result<String, Failure> {
        let boundary = "scrip-bench";
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/pdf\r\n\r\n%PDF-1.4\n% {file_name}\n%%EOF\n\r\n--{boundary}--\r\n"
        );
        let request = self.request(Side::Distributor, Method::POST, "/api/distributor/v2/documents/");
        let request = request.header("content-type", format!("multipart/form-data; boundary={boundary}"));
        let request = self.keyed(request).body(Full::from(body))?;
        text(&self.send(request).await?, "id")
    }

    /// POST with a fresh key.
    pub async fn post(&mut self, side: Side, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.request(side, Method::POST, path).header("content-type", "application/json");
        let request = self.keyed(request).body(Full::from(body.to_string()))?;
        self.send(request).await
    }

    /// POST with a fresh key and without a body, as the distributor.
    pub async fn post_empty(&mut self, path: &str) -> Result<Value, Failure> {
        let request = self.request(Side::Distributor, Method::POST, path);
        let request = self.keyed(request).body(Full::default())?;
        self.send(request).await
    }

    /// GET as the distributor.
    pub async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        let request = self.request(Side::Distributor, Method::GET, path).body(Full::default())?;
        self.send(request).await
    }

    /// The distributor's `Authorization` header.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.distributor)
    }

    /// What begins every idempotency key of this sandbox and of no other.
    pub fn key_prefix(&self) -> &str {
        &self.key_prefix
    }

    /// Where its state lies.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The server's process.
    pub const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends the program in order; gives back where its state lies.
    pub async fn stop(self) -> Result<Place, Failure> {
        self.process.stop(Signal::Terminate).await?;
        Ok(self.place)
    }

    fn request(&self, side: Side, method: Method, path: &str) -> hyper::http::request::Builder {
        let token = match side {
            Side::Issuer => &self.issuer,
            Side::Distributor => &self.distributor,
        };
        let request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        request.header("authorization", format!("Bearer {token}"))
    }

    fn keyed(&mut self, request: hyper::http::request::Builder) -> hyper::http::request::Builder {
        self.keys += 1;
        request.header("x-idempotency-key", format!("{}-setup-{}", self.key_prefix, self.keys))
    }

    async fn send(&mut self, request: Outgoing) -> Result<Value, Failure> {
        let asked = format!("{} {}", request.method(), request.uri());
        // Between two loads the server closes what was idle, so every request of the preparation has its own connection.
        self.connection = Connection::open(self.address).await?;
        let answer = self.connection.send(request).await?;
        if !(200..300).contains(&answer.status) {
            return Err(format!("{asked}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

/// A text field of an answer.
pub fn text(answer: &Value, field: &str) -> Result<String, Failure> {
    answer[field].as_str().map(str::to_owned).ok_or_else(|| format!("no {field} in {answer}").into())
}

fn number(answer: &Value, field: &str) -> Result<u64, Failure> {
    answer[field].as_u64().ok_or_else(|| format!("no {field} in {answer}").into())
}

async fn wait_for_handout(process: &mut Process, path: &Path, log: &Path) -> Result<Handout, Failure> {
    let began = Instant::now();
    loop {
        // The file appears under its final name when it is whole.
        if let Ok(handout) = std::fs::read(path) {
            return Ok(serde_json::from_slice(&handout)?);
        }
        let ended = process.has_ended()?;
        if ended.is_some() || began.elapsed() > START_TIMEOUT {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            let last = said.lines().next_back().unwrap_or("nothing");
            return Err(format!("the sandbox did not become ready; it said last: {last}").into());
        }
        tokio::time::sleep(START_POLL).await;
    }
}

async fn token(connection: &mut Connection, credentials: &Credentials) -> Result<String, Failure> {
    let Credentials { client_id, client_secret } = credentials;
    // Ids and secrets are hexadecimal, so nothing needs to be encoded.
    let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
    let request = Request::builder().method(Method::POST).uri("/api/oauth/token").header("host", "localhost");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(Full::new(Bytes::from(form)))?;
    let answer = connection.send(request).await?;
    let answer: Value = serde_json::from_slice(&answer.body)?;
    text(&answer, "access_token")
}
