//! Uploads and downloads, over HTTP and over a raw socket.

use std::path::{Path, PathBuf};
use std::process::Command;

use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Reply, Session, World, make_key};

const PATH: &str = "/distributor/v2/documents/";
const CAP: usize = 25 * 1024 * 1024;

fn folder(world: &World, name: &str) -> PathBuf {
    let folder = world.folder.path().join("data/documents").join(name);
    if name == "stored" { folder } else { own_folder(&folder) }
}

/// The one running program's folder among those where uploads arrive.
fn own_folder(all: &Path) -> PathBuf {
    let paths = std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    let [own] = &folders[..] else { panic!("{} folders: what ended programs left was not collected", folders.len()) };
    own.clone()
}

fn file_count(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

/// Bytes that an upload left: received ones and stored ones.
fn files(world: &World) -> (usize, usize) {
    (file_count(&folder(world, "incoming")), file_count(&folder(world, "stored")))
}

/// The head of a request that uploads a form of `length` bytes, and the form's own head.
fn request_head(session: &Session, length: Option<usize>) -> String {
    let framing = length.map_or("Transfer-Encoding: chunked".to_owned(), |length| format!("Content-Length: {length}"));
    format!(
        "POST /api{PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nX-Idempotency-Key: {}\r\n\
         Content-Type: multipart/form-data; boundary=b0\r\n{framing}\r\nConnection: close\r\n\r\n",
        session.token,
        make_key()
    )
}

const FORM_HEAD: &str = "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
const FORM_TAIL: &str = "\r\n--b0--\r\n";

/// Waits until an upload has left nothing behind.
async fn wait_until_empty(path: &Path) {
    for _poll in 0..500 {
        if file_count(path) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} is not empty", path.display());
}

/// Uploads with the headers of the file's part as they are.
async fn upload_as(session: &Session, world: &World, part_head: &[u8]) -> Reply {
    let body = [b"--b0\r\n", part_head, b"\r\n\r\nbytes", FORM_TAIL.as_bytes()].concat();
    let request = world.http.post(format!("{}{PATH}", session.url)).bearer_auth(&session.token);
    let request = request.header("X-Idempotency-Key", make_key()).header("Content-Type", "multipart/form-data; boundary=b0");
    Reply::of(&Method::POST, PATH, request.body(body).send().await.unwrap()).await
}

async fn download(world: &World, session: &Session, id: &str) -> reqwest::Response {
    let request = world.http.get(format!("{}{PATH}{id}/content/", session.url)).bearer_auth(&session.token);
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_read_back_as_it_was_sent() {
    let world = World::start().await;
    for (session, api) in [(world.distributor().await, "distributor"), (world.issuer().await, "issuer")] {
        let path = format!("/{api}/v2/documents/");
        for (bytes, check) in [
            (b"%PDF-1.7\nx\n%%EOF\n".to_vec(), "pdf"),
            (b"<html>%PDF-1.7 %%EOF".to_vec(), "not_pdf"),
            (Vec::new(), "not_pdf"),
            ((0..=255).cycle().take(100_000).collect(), "not_pdf"),
        ] {
            let (key, count) = (make_key(), files(&world).1);
            let stored = session.upload_bytes(&path, "Zeichnung.pdf", bytes.clone(), &key).await.expect(201);
            let expected = json!({
                "id": stored.id(), "file_name": "Zeichnung.pdf", "content_type": "application/pdf", "size_bytes": bytes.len(),
                "sha256": hex::encode(Sha256::digest(&bytes)), "content_check": check, "created_at": stored.body["created_at"],
            });
            assert_eq!(stored.body, expected);
            assert_eq!(session.get(&format!("{path}{}/", stored.id())).await.expect(200).body, expected);
            let content = world.http.get(format!("{}{path}{}/content/", session.url, stored.id())).bearer_auth(&session.token);
            assert_eq!(content.send().await.unwrap().bytes().await.unwrap(), bytes);
            let again = session.upload_bytes(&path, "Zeichnung.pdf", bytes.clone(), &key).await.expect(201);
            assert_eq!((again.is_replay(), &again.text), (true, &stored.text));
            session.upload_bytes(&path, "Other.pdf", bytes, &key).await.expect(422);
            assert_eq!(files(&world), (0, count + 1), "one effect, one file");
        }
        let dry = session.upload_bytes(&format!("{path}?dry_run=true"), "a.pdf", b"x".to_vec(), &make_key()).await.expect(200);
        session.get(&format!("{path}{}/", dry.id())).await.expect(404);
    }
    assert_eq!(files(&world), (0, 8));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_has_one_file_with_a_name() {
    let world = World::start().await;
    let session = world.distributor().await;
    let second = b"Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b0\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"b\"";
    for (part, pointer, code) in [
        (&b"Content-Disposition: form-data; name=\"document\"; filename=\"a\""[..], "/document", "unknown_field"),
        (b"Content-Disposition: form-data; name=\"file\"", "/file", "missing"),
        (second, "/file", "duplicate_field"),
    ] {
        upload_as(&session, &world, part).await.expect_fault(pointer, code);
    }
    session.post(PATH, &json!({"file": "x"})).await.expect(415);
    assert_eq!(files(&world), (0, 0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d01_files_up_to_the_cap_pass_and_larger_ones_leave_nothing() {
    let world = World::start().await;
    let session = world.distributor().await;
    let stored = session.upload_bytes(PATH, "full.pdf", vec![b'x'; CAP], &make_key()).await.expect(201);
    assert_eq!(stored.body["size_bytes"], CAP);
    assert_eq!(download(&world, &session, &stored.id()).await.bytes().await.unwrap().len(), CAP);
    for length in [CAP + 1, CAP + 200_000] {
        session.upload_bytes(PATH, "large.pdf", vec![b'x'; length], &make_key()).await.expect(413);
        assert_eq!(files(&world), (0, 1), "{length}");
    }
    // A body without an end is refused at the cap, and not listened to for long.
    let mut socket = TcpStream::connect(world.running.address).await.unwrap();
    socket.write_all(request_head(&session, None).as_bytes()).await.unwrap();
    socket.write_all(format!("{:x}\r\n{FORM_HEAD}\r\n", FORM_HEAD.len()).as_bytes()).await.unwrap();
    let (mut answers, mut asks) = socket.into_split();
    let endless = tokio::spawn(async move {
        let piece = [format!("{:x}\r\n", 65_536).into_bytes(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat();
        let mut sent = 0_usize;
        while asks.write_all(&piece).await.is_ok() && sent < 20 * CAP {
            sent += piece.len();
        }
        sent
    });
    let mut answer = [0; 12];
    answers.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    drop(answers);
    let sent = endless.await.unwrap();
    assert!(sent < 4 * CAP, "{sent} bytes were taken");
    wait_until_empty(&folder(&world, "incoming")).await;
    assert_eq!(files(&world), (0, 1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d02_an_aborted_upload_leaves_no_row_and_no_file() {
    let world = World::start().await;
    let session = world.distributor().await;
    let form = [FORM_HEAD.as_bytes(), &vec![b'x'; 1_000_000], FORM_TAIL.as_bytes()].concat();
    let commits = world.running.office.desk.counts();
    for percent in [1, 50, 99] {
        let mut socket = TcpStream::connect(world.running.address).await.unwrap();
        socket.write_all(request_head(&session, Some(form.len())).as_bytes()).await.unwrap();
        socket.write_all(&form[..form.len() * percent / 100]).await.unwrap();
        // The file is there, and goes when the sender does.
        for _poll in 0..500 {
            if file_count(&folder(&world, "incoming")) == 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(files(&world), (1, 0), "{percent} %");
        drop(socket);
        wait_until_empty(&folder(&world, "incoming")).await;
        assert_eq!(files(&world), (0, 0), "{percent} %");
    }
    assert_eq!(world.running.office.desk.counts(), commits, "no command reached the desk");
    // After the last byte: stored whole, or not at all.
    let mut socket = TcpStream::connect(world.running.address).await.unwrap();
    socket.write_all(request_head(&session, Some(form.len())).as_bytes()).await.unwrap();
    socket.write_all(&form).await.unwrap();
    drop(socket);
    wait_until_empty(&folder(&world, "incoming")).await;
    let folder = world.stop().await;
    let again = World::start_in(folder, |_| {}).await;
    let (incoming, stored) = files(&again);
    assert!(incoming == 0 && stored <= 1);
    for entry in std::fs::read_dir(again.folder.path().join("data/documents/stored")).unwrap() {
        let id = entry.unwrap().file_name().into_string().unwrap();
        assert_eq!(again.distributor().await.get(&format!("{PATH}{id}/")).await.expect(200).body["size_bytes"], 1_000_000);
    }
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d08_a_file_name_is_metadata_only_and_encoded_for_the_header() {
    let world = World::start().await;
    let session = world.distributor().await;
    for (stated, header) in [
        ("conditions.pdf", "attachment; filename=\"conditions.pdf\""),
        ("CON", "attachment; filename=\"CON\""),
        ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\"; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd"),
        ("a\u{202e}fdp.exe", "attachment; filename=\"a_fdp.exe\"; filename*=UTF-8''a%E2%80%AEfdp.exe"),
        ("Bürge.pdf", "attachment; filename=\"B_rge.pdf\"; filename*=UTF-8''B%C3%BCrge.pdf"),
        ("a;b.pdf", "attachment; filename=\"a;b.pdf\""),
        ("a\"b.pdf", "attachment; filename=\"a_b.pdf\"; filename*=UTF-8''a%22b.pdf"),
        ("a%22b%0D%0A.pdf", "attachment; filename=\"a_22b_0D_0A.pdf\"; filename*=UTF-8''a%2522b%250D%250A.pdf"),
    ] {
        let quoted = stated.replace('"', "\\\"");
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{quoted}\"");
        let stored = upload_as(&session, &world, head.as_bytes()).await.expect(201);
        assert_eq!(stored.body["file_name"], stated);
        assert_eq!(stored.body["content_type"], "application/octet-stream");
        let content = download(&world, &session, &stored.id()).await;
        assert_eq!(content.headers()["content-disposition"], header, "{stated}");
        assert_eq!(content.bytes().await.unwrap(), "bytes");
        assert!(folder(&world, "stored").join(stored.id()).is_file(), "stored under its id alone");
    }
    let count = files(&world).1;
    for refused in ["x".repeat(5_000), "a.pdf\u{0}.exe".to_owned(), "a\u{7}b".to_owned(), String::new()] {
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{refused}\"");
        assert_eq!(upload_as(&session, &world, head.as_bytes()).await.status, 400, "{refused:.20}");
    }
    assert_eq!(files(&world), (0, count));
    assert!(!world.folder.path().join("etc").exists());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_bytes_that_changed_on_disk_are_never_served() {
    let world = World::start().await;
    let session = world.distributor().await;
    let stored = session.upload("a.pdf").await.expect(201);
    let path = folder(&world, "stored").join(stored.id());
    let whole = std::fs::read(&path).unwrap();
    let refuse = async |what: &str| {
        let answer = download(&world, &session, &stored.id()).await;
        assert_eq!(answer.status(), 500, "{what}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "internal");
        assert!(!problem.to_string().contains("%PDF"), "{what}: not one altered byte");
    };
    for position in [0, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[position] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        refuse("a flipped bit").await;
    }
    std::fs::write(&path, &whole[1..]).unwrap();
    refuse("a byte less").await;
    std::fs::remove_file(&path).unwrap();
    refuse("no file").await;
    assert_eq!(
        session.get(&format!("{PATH}{}/", stored.id())).await.expect(200).body,
        stored.body,
        "the register keeps the hash"
    );
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(download(&world, &session, &stored.id()).await.bytes().await.unwrap(), whole);
    world.stop().await;
}

/// A file system of a few MiB, taken away again when it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(path: PathBuf, mebibytes: u32) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "scrip-test"]).arg(&path).status().unwrap();
        assert!(mounted.success(), "a tmpfs could not be mounted: this test needs the right to mount");
        Self(path)
    }
}

impl SmallDisk {
    /// Takes all the room that is left; gives the file that takes it.
    pub fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        for size_bytes in [64 * 1024, 4 * 1024, 1] {
            while std::io::Write::write(&mut file, &vec![b'x'; size_bytes]).is_ok() {}
        }
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_a_full_disk_refuses_the_upload_and_the_service_lives_on() {
    let folder_of_test = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder_of_test.path().join("data/documents"), 1);
    let world = World::start_in(folder_of_test, |_| {}).await;
    let session = world.distributor().await;
    let before = world.running.office.desk.counts().1;
    let key = make_key();
    let refused = session.upload_bytes(PATH, "large.pdf", vec![b'x'; 2 * 1024 * 1024], &key).await.expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(files(&world), (0, 0));
    assert_eq!(world.running.office.desk.counts().1, before, "no row");
    let campaign = world.campaign(json!({})).await;
    world.investment(&campaign, json!({})).await.expect(201);
    let small = session.upload_bytes(PATH, "small.pdf", vec![b'x'; 1024], &key).await.expect(201);
    assert!(!small.is_replay(), "the refusal was not remembered");
    let folder_of_test = world.stop().await;
    drop(disk);
    drop(folder_of_test);
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_a_download_is_an_attachment_for_its_own_tenant() {
    let world = World::start().await;
    let session = world.distributor().await;
    let script = b"<script>alert(1)</script>".to_vec();
    let stored = session.upload_bytes(PATH, "a.html", script.clone(), &make_key()).await.expect(201);
    let url = format!("{}{PATH}{}/content/", session.url, stored.id());
    for range in [None, Some("bytes=0-3"), Some("bytes=0-0,2-3,5-6"), Some("bytes=9-1")] {
        let mut request = world.http.get(&url).bearer_auth(&session.token);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "ranges are passed over");
        for (name, value) in [
            ("content-disposition", "attachment; filename=\"a.html\""),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("cache-control", "private, no-store"),
            ("content-type", "application/pdf"),
        ] {
            assert_eq!(answer.headers()[name], value);
        }
        assert!(answer.headers().get("accept-ranges").is_none_or(|value| value == "none"));
        assert_eq!(answer.bytes().await.unwrap(), script);
    }
    let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    for path in [format!("{PATH}{}/", stored.id()), format!("{PATH}{}/content/", stored.id())] {
        theirs.get(&path).await.expect(404);
    }
    world.issuer().await.get(&format!("/issuer/v2/documents/{}/content/", stored.id())).await.expect(404);
    assert_eq!(world.http.get(&url).send().await.unwrap().status(), 401);
    world.stop().await;
}
