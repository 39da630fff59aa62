//! A proxy in front of the `PostgreSQL` server that understands enough of its protocol to lose a connection exactly at a
//! COMMIT (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::unix::{OwnedReadHalf as ServerRead, OwnedWriteHalf as ServerWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

/// The server's file name in the folder of its socket.
const SOCKET: &str = ".s.PGSQL.5432";
const COMMIT: &str = "COMMIT";

/// Where a connection is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The server never sees the COMMIT.
    BeforeCommit,
    /// The server has committed, and the program never hears of it.
    AfterCommit,
    /// The same, and the program cannot connect again until it is let.
    AfterCommitForAWhile,
}

#[derive(Default)]
struct Plan {
    armed: Mutex<Option<Cut>>,
    is_closed: AtomicBool,
    cuts: AtomicUsize,
}

pub struct Proxy {
    url: String,
    plan: Arc<Plan>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Stands in front of the database of a URL that names a folder with a socket.
    pub async fn before(url: &str) -> Self {
        let (name, options) = url.strip_prefix("postgres:///").unwrap().split_once('?').unwrap();
        let folder = options.split('&').find_map(|option| option.strip_prefix("host=")).unwrap();
        let user = options.split('&').find_map(|option| option.strip_prefix("user=")).unwrap();
        let socket = PathBuf::from(folder).join(SOCKET);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://{user}@{}/{name}?sslmode=disable", listener.local_addr().unwrap());
        let plan = Arc::new(Plan::default());
        let listening = tokio::spawn(listen(listener, socket, plan.clone()));
        Self { url, plan, listening }
    }

    /// The URL for the program.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next COMMIT on any connection is cut.
    pub fn arm(&self, cut: Cut) {
        *self.plan.armed.lock().unwrap() = Some(cut);
    }

    /// Connections are let through again.
    pub fn reopen(&self) {
        self.plan.is_closed.store(false, Ordering::SeqCst);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.plan.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, socket: PathBuf, plan: Arc<Plan>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        if plan.is_closed.load(Ordering::SeqCst) {
            continue;
        }
        let server = UnixStream::connect(&socket).await.unwrap();
        tokio::spawn(carry(client, server, plan.clone()));
    }
}

/// Carries both directions until one ends; then both connections are gone.
async fn carry(client: TcpStream, server: UnixStream, plan: Arc<Plan>) {
    let swallows = Arc::new(AtomicBool::new(false));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        // Whichever ends first, and however: the connection is over.
        _asked = carry_questions(from_client, to_server, &plan, &swallows) => {}
        _answered = carry_answers(from_server, to_client, &swallows) => {}
    }
}

async fn carry_questions(mut from: OwnedReadHalf, mut to: ServerWrite, plan: &Plan, swallows: &AtomicBool) -> io::Result<()> {
    to.write_all(&message(&mut from, Kind::Nameless).await?).await?;
    let mut prepared = BTreeSet::new();
    loop {
        let asked = message(&mut from, Kind::Named).await?;
        if commits(&asked, &mut prepared)
            && let Some(cut) = plan.armed.lock().unwrap().take()
        {
            plan.is_closed.store(cut == Cut::AfterCommitForAWhile, Ordering::SeqCst);
            plan.cuts.fetch_add(1, Ordering::SeqCst);
            match cut {
                Cut::BeforeCommit => return Ok(()),
                Cut::AfterCommit | Cut::AfterCommitForAWhile => swallows.store(true, Ordering::SeqCst),
            }
        }
        to.write_all(&asked).await?;
    }
}

/// Answers that are swallowed end with that of the COMMIT.
async fn carry_answers(mut from: ServerRead, mut to: OwnedWriteHalf, swallows: &AtomicBool) -> io::Result<()> {
    loop {
        let answer = message(&mut from, Kind::Named).await?;
        if !swallows.load(Ordering::SeqCst) {
            to.write_all(&answer).await?;
        } else if answer.first() == Some(&b'C') && answer.get(5..).is_some_and(|tag| tag == b"COMMIT\0") {
            return Ok(());
        }
    }
}

/// Whether a message begins with a byte that says what it is; a connection's first does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Named,
    Nameless,
}

async fn message(from: &mut (impl AsyncRead + Unpin), kind: Kind) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; if kind == Kind::Named { 5 } else { 4 }];
    from.read_exact(&mut bytes).await?;
    let length: [u8; 4] = bytes[bytes.len() - 4..].try_into().unwrap();
    let head = bytes.len();
    bytes.resize(head + usize::try_from(u32::from_be_bytes(length)).unwrap() - 4, 0);
    from.read_exact(&mut bytes[head..]).await?;
    Ok(bytes)
}

/// Whether a message has the server commit: said at once, or a statement that was prepared before.
fn commits(asked: &[u8], prepared: &mut BTreeSet<Vec<u8>>) -> bool {
    let is_commit =
        |text: &[u8]| std::str::from_utf8(text).is_ok_and(|text| text.trim_end_matches(';').eq_ignore_ascii_case(COMMIT));
    let mut texts = asked[5..].split(|byte| *byte == 0);
    match (asked[0], texts.next(), texts.next()) {
        (b'Q', Some(sql), _) => is_commit(sql),
        (b'P', Some(name), Some(sql)) => {
            if is_commit(sql) {
                prepared.insert(name.to_vec());
            }
            false
        }
        (b'B', Some(_portal), Some(name)) => prepared.contains(name),
        _ => false,
    }
}

#[test]
fn a_commit_is_recognised_said_at_once_or_prepared() {
    let said = |kind: u8, texts: &str| [&[kind, 0, 0, 0, 0], texts.as_bytes()].concat();
    let mut prepared = BTreeSet::new();
    for (kind, texts, expected) in [
        (b'Q', "COMMIT\0", true),
        (b'Q', "commit;\0", true),
        (b'Q', "ROLLBACK\0", false),
        (b'B', "\0s7\0", false),
        (b'P', "s7\0COMMIT\0", false),
        (b'B', "\0s7\0", true),
        (b'B', "\0s8\0", false),
    ] {
        assert_eq!(commits(&said(kind, texts), &mut prepared), expected, "{kind} {texts:?}");
    }
}
