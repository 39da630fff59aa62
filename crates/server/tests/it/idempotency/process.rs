//! The real program as a process of its own, for what only a process can show: kills, and what it logs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use server::handout::Handout;
use server::operations::sandbox::Credentials;

use crate::world::Reply;

/// How often something is looked for that the process brings about; together a minute.
const POLLS_MAX: u32 = 6_000;

/// A running `scrip sandbox`. Dropping it kills the process.
pub struct Process {
    child: Guarded,
    pub handout: Handout,
    pub http: reqwest::Client,
    folder: PathBuf,
}

impl Process {
    /// Starts the program on the data in a folder, with further arguments and levels of the log.
    pub async fn start(folder: &Path, arguments: &[&str], levels: &str) -> Self {
        let handout = folder.join("handout.json");
        let _no_earlier_one = std::fs::remove_file(&handout);
        let log = |name: &str| File::options().create(true).append(true).open(folder.join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_scrip"))
            .args(["sandbox", "--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--handout")
            .arg(&handout)
            .args(arguments)
            .env("SCRIP_LOG", levels)
            .stdin(Stdio::null())
            .stdout(log("stdout.log"))
            .stderr(log("stderr.log"))
            .spawn()
            .unwrap();
        let mut child = Guarded(child);
        let handout = until(|| {
            assert!(child.0.try_wait().unwrap().is_none(), "the program ended: see {}", folder.display());
            Handout::read(&handout).ok()
        });
        Self { handout: handout.await, child, http: reqwest::Client::new(), folder: folder.to_owned() }
    }

    /// Kills the process, as a machine would that loses its power but not its disk.
    pub fn kill(self) {
        drop(self.child);
    }

    /// Everything that the process wrote to its standard output and error.
    pub fn said(&self) -> String {
        ["stdout.log", "stderr.log"].map(|name| std::fs::read_to_string(self.folder.join(name)).unwrap()).concat()
    }

    /// A token with all of a client's scopes.
    pub async fn token(&self, credentials: &Credentials) -> String {
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", credentials.client_id.to_string()),
            ("client_secret", credentials.client_secret.clone()),
        ];
        let answer = self.http.post(format!("{}/oauth/token", self.handout.url)).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    /// A request with a JSON body, where there is one; `path` begins behind `/api`.
    pub async fn send(&self, method: Method, path: &str, token: &str, key: Option<&str>, body: Option<&Value>) -> Reply {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.handout.url)).bearer_auth(token);
        request = key.into_iter().fold(request, |request, key| request.header("X-Idempotency-Key", key));
        request = body.into_iter().fold(request, reqwest::RequestBuilder::json);
        Reply::of(&method, path, request.send().await.unwrap()).await
    }
}

/// A process that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _already_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Waits until something is there.
pub async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _poll in 0..POLLS_MAX {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it has not come about");
}
