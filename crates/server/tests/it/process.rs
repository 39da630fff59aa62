//! The real program in a process of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use server::handout::Handout;
use uuid::Uuid;

use crate::world::{Session, database_of};

/// The program under test.
pub const SCRIP: &str = env!("CARGO_BIN_EXE_scrip");
/// How often something is looked for before the process is given up; together half a minute.
const POLLS_MAX: u32 = 3_000;

/// A running sandbox.
pub struct Process {
    child: Child,
    pub handout: Handout,
    pub http: reqwest::Client,
}

impl Process {
    /// Starts a sandbox on `folder/data`, waits until it is ready, and makes sure that it is the one that answers.
    pub async fn start(folder: &Path, options: &[&str]) -> Self {
        Self::start_logging(folder, options, "warn").await
    }

    /// The same with other log levels, as in `SCRIP_LOG`.
    pub async fn start_logging(folder: &Path, options: &[&str], levels: &str) -> Self {
        Self::start_in(folder, options, &[("SCRIP_LOG", levels)]).await
    }

    /// The same with variables of the environment.
    pub async fn start_in(folder: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let handout_path = folder.join("handout.json");
        let _none_before = std::fs::remove_file(&handout_path);
        let log = File::options().create(true).append(true).open(log_path(folder)).unwrap();
        let mut command = scrip(&["sandbox", "--listen", "127.0.0.1:0", "--rate-limit", "off"]);
        command.arg("--data").arg(folder.join("data")).arg("--handout").arg(&handout_path).args(options);
        command.env("SCRIP_LOG", "warn").envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let handout = ready(&mut child, folder, &handout_path).await;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let process = Self { child, handout, http };
        let address = process.address();
        let health = process.http.get(format!("http://{address}/healthz")).send().await.unwrap();
        assert_eq!(health.status(), 200);
        assert!(listens(process.child.id(), address.port()), "{address} belongs to another process");
        process
    }

    /// Serves `folder/data`, which a sandbox with this hand-out has settled, without the sandbox's doors.
    pub async fn serve(folder: &Path, settled: &Handout, options: &[&str]) -> Self {
        let said_path = folder.join("serve.out");
        let said = File::create(&said_path).unwrap();
        let log = File::options().create(true).append(true).open(log_path(folder)).unwrap();
        let mut command = scrip(&["serve", "--listen", "127.0.0.1:0", "--rate-limit", "off"]);
        command.arg("--data").arg(folder.join("data")).args(options);
        let mut child = command.env("SCRIP_LOG", "warn,server::jobs=info").stdout(said).stderr(log).spawn().unwrap();
        let url = served_url(&mut child, folder, &said_path).await;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let process = Self { child, handout: Handout { url, ..settled.clone() }, http };
        assert!(listens(process.child.id(), process.address().port()), "the address belongs to another process");
        process
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A sandbox on a folder whose database is of the engine that the environment names.
    pub async fn start_on_engine(folder: &Path) -> Self {
        match database_of(folder) {
            Some(url) => Self::start(folder, &["--database", &url]).await,
            None => Self::start(folder, &[]).await,
        }
    }

    /// Where HTTP is served.
    pub fn address(&self) -> SocketAddr {
        let root = self.handout.url.strip_suffix("/api").unwrap();
        root.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// The most memory that it had so far, in bytes.
    pub fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        1_024 * peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    }

    /// `kill -9`, at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as an init system would.
    pub fn terminate(&self) {
        let said = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status().unwrap();
        assert!(said.success());
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) -> ExitStatus {
        for _poll in 0..POLLS_MAX {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the program does not stop");
    }

    /// The seeded issuer's client with all its scopes.
    pub async fn issuer(&self) -> Session {
        Session::sign_in(&self.http, &self.handout.url, &self.handout.issuer, Uuid::nil(), None).await
    }

    /// The seeded platform's client with all its scopes.
    pub async fn distributor(&self) -> Session {
        let platform_id = self.handout.distribution_platform_id;
        Session::sign_in(&self.http, &self.handout.url, &self.handout.distributor, platform_id, None).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that has ended already is no error.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A short command, run to its end.
pub fn run(arguments: &[&str], data: &Path) -> Output {
    scrip(arguments).arg("--data").arg(data).env("SCRIP_LOG", "warn").output().unwrap()
}

/// What a command says where it does not do its work: one line beginning with `scrip: `, and exit code 1.
#[track_caller]
pub fn expect_failure(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.lines().find(|line| line.starts_with("scrip: "));
    let line = line.unwrap_or_else(|| panic!("no reason in {said}"));
    assert!(line.contains(words), "{line:?} does not say {words:?}");
}

/// The program. The tests' common database does not wait for a disk.
pub fn scrip(arguments: &[&str]) -> Command {
    let mut command = Command::new(SCRIP);
    command.args(arguments).env("SCRIP_ACCEPT_UNSYNCED_DATABASE", "true").stdin(Stdio::null());
    command
}

/// Where the program's log of a folder is.
pub fn log_path(folder: &Path) -> PathBuf {
    folder.join("scrip.log")
}

/// The hand-out appears under its name only when the sandbox is ready.
async fn ready(child: &mut Child, folder: &Path, handout_path: &Path) -> Handout {
    for _poll in 0..POLLS_MAX {
        if let Ok(handout) = Handout::read(handout_path) {
            return handout;
        }
        if let Some(status) = child.try_wait().unwrap() {
            let log = std::fs::read_to_string(log_path(folder)).unwrap();
            panic!("the sandbox ended with {status}:\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the sandbox does not become ready");
}

/// The address appears on standard output when it is served.
async fn served_url(child: &mut Child, folder: &Path, said_path: &Path) -> String {
    for _poll in 0..POLLS_MAX {
        let said = std::fs::read_to_string(said_path).unwrap();
        if let Some(url) = said.strip_suffix('\n').and_then(|line| line.strip_prefix("Scrip on ")) {
            return url.to_owned();
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the server ended with {status}:\n{}", std::fs::read_to_string(log_path(folder)).unwrap());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the server does not become ready");
}

/// Whether a process holds the socket that listens on a port, by what the kernel says of both.
fn listens(pid: u32, port: u16) -> bool {
    const LISTENING: &str = "0A";
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let sockets = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_address, local_port) = columns[1].split_once(':')?;
        let is_it = columns[3] == LISTENING && u16::from_str_radix(local_port, 16) == Ok(port);
        is_it.then(|| format!("socket:[{}]", columns[9]))
    });
    let sockets: Vec<String> = sockets.collect();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target == Path::new(socket)))
}
