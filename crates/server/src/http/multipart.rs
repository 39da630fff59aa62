//! Uploads: one file in a multipart form (RFC 7578), streamed to a temporary file.
//!
//! Memory stays flat however large the upload is; the digest is made on the way. The file name a client states is
//! kept as a text and never becomes part of a path.

mod parts;

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use self::parts::{PartFault, PartReader, Piece, boundary};
use super::body::normalised;
use super::problem::{FieldCode, FieldError, Problem};

/// The cap of an upload, in bytes (design section 9).
pub const UPLOAD_BYTES_MAX: u64 = 25 * 1024 * 1024;
/// The longest file name, in code points.
pub const FILE_NAME_CHARS_MAX: usize = 255;
/// The media type of a file whose own is not stated or is none.
pub const UNKNOWN_MEDIA_TYPE: &str = "application/octet-stream";

/// The form field that carries the file.
const FILE_FIELD: &str = "file";
/// How much of a refused upload is still taken from the wire, in bytes.
const DISCARDED_BYTES_MAX: u64 = UPLOAD_BYTES_MAX * 2;
/// When a caller may try again after the disk was full, in seconds.
const DISK_RETRY_AFTER_S: u64 = 30;
/// What the form adds around the file: boundaries and part headers.
const FRAME_BYTES_MAX: u64 = 64 * 1024;

/// How large an upload may be and how long it may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadLimits {
    /// Cap of the file, in bytes; more is 413.
    pub bytes_max: u64,
    /// The longest silence between two pieces; longer is 408.
    pub idle_timeout: Duration,
    /// The longest upload as a whole; longer is 408.
    pub timeout: Duration,
}

/// A received file, synced to disk under a temporary name.
#[derive(Debug)]
pub struct Upload {
    /// The name the client states, in NFC. Metadata only.
    pub file_name: String,
    /// The media type the client states, or [`UNKNOWN_MEDIA_TYPE`].
    pub content_type: String,
    /// The size.
    pub size_bytes: u64,
    /// The SHA-256 digest of the bytes.
    pub sha256: [u8; 32],
    /// The bytes.
    pub file: TemporaryFile,
}

/// A file that is removed when it is dropped, unless it is kept.
#[derive(Debug)]
pub struct TemporaryFile {
    path: Option<PathBuf>,
}

impl UploadLimits {
    /// The limits of document uploads.
    pub const DOCUMENT: Self =
        Self { bytes_max: UPLOAD_BYTES_MAX, idle_timeout: Duration::from_secs(15), timeout: Duration::from_mins(5) };
}

impl TemporaryFile {
    /// Where the bytes are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Hands the file over: it is no longer removed.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.path.take().unwrap_or_default()
    }

    async fn create(directory: &Path, id: Uuid) -> io::Result<(Self, File)> {
        let path = directory.join(format!("upload-{id}.part"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // The file gets its guard on the thread that makes it: a caller that has gone away meanwhile drops both.
        let made = tokio::task::spawn_blocking(move || {
            let file = options.open(&path)?;
            Ok((Self { path: Some(path) }, File::from_std(file)))
        });
        made.await.map_err(io::Error::other)?
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, "a temporary upload could not be removed");
        }
    }
}

/// Receives the file in the field `file` into `directory`, under a name made of `id` alone.
///
/// On any error, and when the caller goes away, nothing is left behind.
///
/// # Errors
/// 400: the field is missing, there are other fields or two files, the form is malformed or breaks off, the file name
/// is missing, too long or holds control characters. 408, 413, 415 as the limits and the content type say. 500: the
/// disk fails.
pub async fn receive(request: Request, directory: &Path, id: Uuid, limits: UploadLimits) -> Result<Upload, Problem> {
    let (parts, body) = request.into_parts();
    let boundary = boundary(&parts.headers).ok_or_else(|| Problem::unsupported_media_type("multipart/form-data"))?;
    let is_stated_too_large = body.size_hint().lower() > limits.bytes_max.saturating_add(FRAME_BYTES_MAX);
    let mut reader = FormReader { body, received: 0, limits, parts: PartReader::new(&boundary), is_over: false };
    let receiving = async {
        let received = if is_stated_too_large {
            Err(Problem::payload_too_large(limits.bytes_max))
        } else {
            store(&mut reader, directory, id).await
        };
        if received.as_ref().is_err_and(|problem| problem.status() != StatusCode::REQUEST_TIMEOUT) {
            reader.discard().await;
        }
        received
    };
    tokio::time::timeout(limits.timeout, receiving).await.map_err(|_| Problem::timeout())?
}

/// Header fields of a download: an attachment that no browser opens, sniffs, runs or keeps.
#[must_use]
pub fn download_headers(file_name: &str, content_type: &str) -> HeaderMap {
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    let mut headers = HeaderMap::from_iter(fixed);
    let media_type = HeaderValue::from_str(content_type);
    headers.insert(CONTENT_TYPE, media_type.unwrap_or(HeaderValue::from_static(UNKNOWN_MEDIA_TYPE)));
    headers.insert(CONTENT_DISPOSITION, content_disposition(file_name));
    headers
}

/// `Content-Disposition: attachment` with the name twice: in ASCII for old clients (RFC 6266) and exactly (RFC 8187).
#[must_use]
pub fn content_disposition(file_name: &str) -> HeaderValue {
    let plain: String =
        file_name.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%' | '/') { c } else { '_' }).collect();
    let exact: String = file_name.bytes().map(encode_attribute_byte).collect();
    let field = if plain == file_name {
        format!("attachment; filename=\"{plain}\"")
    } else {
        format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
    };
    HeaderValue::from_str(&field).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Whether a text is a media type: `type/subtype` of RFC 9110 tokens, with parameters.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(parts::is_token_byte);
    let is_essence = essence.trim_end().split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    text.len() <= 255 && is_essence && parameters.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The body on its way through the form parser, piece by piece.
struct FormReader {
    body: Body,
    received: u64,
    limits: UploadLimits,
    parts: PartReader,
    is_over: bool,
}

impl FormReader {
    async fn next(&mut self) -> Result<Piece, Problem> {
        loop {
            match self.parts.next() {
                Ok(Some(piece)) => return Ok(piece),
                Ok(None) if self.is_over => return Err(broken_off()),
                Ok(None) => self.feed().await?,
                Err(fault) => return Err(form_problem(fault)),
            }
        }
    }

    async fn feed(&mut self) -> Result<(), Problem> {
        let frame = tokio::time::timeout(self.limits.idle_timeout, self.body.frame());
        match frame.await.map_err(|_| Problem::timeout())? {
            None => self.is_over = true,
            Some(Err(_)) => return Err(broken_off()),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_else(|_trailers| Bytes::new());
                self.received = self.received.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
                if self.received > self.limits.bytes_max.saturating_add(FRAME_BYTES_MAX) {
                    return Err(Problem::payload_too_large(self.limits.bytes_max));
                }
                self.parts.feed(&data);
            }
        }
        Ok(())
    }

    /// Reads on for a while and keeps nothing: a client that is still sending reads the refusal only when it is done,
    /// and loses it where the connection is cut before.
    async fn discard(&mut self) {
        let mut discarded: u64 = 0;
        while discarded < DISCARDED_BYTES_MAX {
            let Ok(Some(Ok(frame))) = tokio::time::timeout(self.limits.idle_timeout, self.body.frame()).await else { return };
            let length = frame.data_ref().map_or(0, Bytes::len);
            discarded = discarded.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
    }

    /// Reads on to the end of the body, so that the connection can be used again.
    async fn drain(&mut self) -> Result<(), Problem> {
        while !self.is_over {
            self.feed().await?;
            self.parts.forget();
        }
        Ok(())
    }
}

async fn store(reader: &mut FormReader, directory: &Path, id: Uuid) -> Result<Upload, Problem> {
    let (file_name, content_type) = match reader.next().await? {
        Piece::Head(head) if head.name == FILE_FIELD => (file_name(head.file_name)?, head.content_type),
        Piece::Head(head) => return Err(unknown_field(&head.name)),
        Piece::Data(_) | Piece::End => return Err(field_problem(FieldCode::Missing, "is required")),
    };
    let (file, mut out) = TemporaryFile::create(directory, id).await.map_err(|error| disk_problem(&error))?;
    let mut digest = Sha256::new();
    let mut size_bytes: u64 = 0;
    loop {
        match reader.next().await? {
            Piece::Data(data) => {
                size_bytes = size_bytes.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
                if size_bytes > reader.limits.bytes_max {
                    return Err(Problem::payload_too_large(reader.limits.bytes_max));
                }
                digest.update(&data);
                out.write_all(&data).await.map_err(|error| disk_problem(&error))?;
            }
            Piece::Head(head) if head.name == FILE_FIELD => {
                return Err(field_problem(FieldCode::DuplicateField, "stands twice"));
            }
            Piece::Head(head) => return Err(unknown_field(&head.name)),
            Piece::End => break,
        }
    }
    reader.drain().await?;
    out.flush().await.map_err(|error| disk_problem(&error))?;
    out.sync_all().await.map_err(|error| disk_problem(&error))?;
    let content_type = content_type.filter(|stated| is_media_type(stated)).unwrap_or(UNKNOWN_MEDIA_TYPE.to_owned());
    Ok(Upload { file_name, content_type, size_bytes, sha256: digest.finalize().into(), file })
}

fn file_name(stated: Option<String>) -> Result<String, Problem> {
    let stated = stated.ok_or_else(|| field_problem(FieldCode::Missing, "must have a file name"))?;
    normalised(&stated, &(1..=FILE_NAME_CHARS_MAX)).map_err(|fault| {
        let message = format!("has a file name that {}", fault.message);
        field_problem(fault.code, message)
    })
}

fn field_problem(code: FieldCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::invalid_request(vec![FieldError::new("/file", code, message)])
}

fn unknown_field(name: &str) -> Problem {
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let error = FieldError::new(pointer, FieldCode::UnknownField, "is not a field of this form");
    Problem::invalid_request(vec![error])
}

fn broken_off() -> Problem {
    Problem::invalid_request(vec![FieldError::new("", FieldCode::InvalidValue, "the form broke off")]).closing()
}

fn form_problem(fault: PartFault) -> Problem {
    Problem::invalid_request(vec![FieldError::new("", FieldCode::InvalidValue, fault.to_string())]).closing()
}

/// A full disk passes, so the caller may come again; anything else is a fault inside.
fn disk_problem(error: &io::Error) -> Problem {
    tracing::error!(%error, "an upload could not be stored");
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if is_full { Problem::overloaded(DISK_RETRY_AFTER_S) } else { Problem::internal() }
}

/// One byte in RFC 8187's `value-chars`.
fn encode_attribute_byte(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=b0";
    const HEAD: &str = "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
    static PIECE: [u8; 65_536] = [b'x'; 65_536];
    const TAIL: &str = "\r\n--b0--\r\n";

    fn request(body: Body) -> Request {
        Request::builder().header(CONTENT_TYPE, TYPE).body(body).unwrap()
    }

    async fn send(body: impl Into<Body>) -> (Result<Upload, Problem>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let id = Uuid::from_u128(1);
        (receive(request(body.into()), directory.path(), id, UploadLimits::DOCUMENT).await, directory)
    }

    fn file_count(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }

    /// A file of `size` bytes, in pieces of 64 KiB.
    fn form_of(size: u64) -> Body {
        let piece = Bytes::from_static(&PIECE);
        let whole = stream::iter(0..size / 65_536).map(move |_| piece.clone());
        let rest = stream::iter([Bytes::from(vec![b'x'; usize::try_from(size % 65_536).unwrap()])]);
        let form = stream::iter([Bytes::from(HEAD)]).chain(whole).chain(rest).chain(stream::iter([Bytes::from(TAIL)]));
        Body::from_stream(form.map(Ok::<_, io::Error>))
    }

    #[tokio::test]
    async fn a_file_is_stored_with_its_facts() {
        let head = "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"e\u{301}.pdf\"\r\n\
            Content-Type: application/pdf; q=1\r\n\r\n";
        let (upload, directory) = send(format!("{head}abc{TAIL}")).await;
        let upload = upload.unwrap();
        assert_eq!(upload.file_name, "\u{e9}.pdf");
        assert_eq!(upload.content_type, "application/pdf; q=1");
        assert_eq!(upload.size_bytes, 3);
        assert_eq!(hex::encode(upload.sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(std::fs::read(upload.file.path()).unwrap(), b"abc");
        let name = directory.path().join("upload-00000000-0000-0000-0000-000000000001.part");
        assert_eq!(upload.file.path(), name);
        assert_eq!(upload.file.keep(), name);
        assert_eq!(file_count(directory.path()), 1);
    }

    #[tokio::test]
    async fn an_empty_file_is_a_file_and_a_dropped_one_is_removed() {
        let (upload, directory) = send(format!("{HEAD}{TAIL}")).await;
        let upload = upload.unwrap();
        assert_eq!((upload.size_bytes, upload.content_type.as_str()), (0, UNKNOWN_MEDIA_TYPE));
        assert_eq!(file_count(directory.path()), 1);
        drop(upload);
        assert_eq!(file_count(directory.path()), 0);
    }

    #[tokio::test]
    async fn d01_files_above_the_cap_are_refused_and_leave_nothing() {
        let (upload, _directory) = send(form_of(UPLOAD_BYTES_MAX)).await;
        assert_eq!(upload.unwrap().size_bytes, UPLOAD_BYTES_MAX);
        let (upload, directory) = send(form_of(UPLOAD_BYTES_MAX + 1)).await;
        assert_eq!(upload.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(file_count(directory.path()), 0);
        let endless = stream::repeat_with(|| Bytes::from_static(&PIECE));
        let endless = stream::iter([Bytes::from(HEAD)]).chain(endless).map(Ok::<_, io::Error>);
        let (upload, directory) = send(Body::from_stream(endless)).await;
        assert_eq!(upload.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(file_count(directory.path()), 0);
        // Neither does an endless epilogue, a stated length, or an endless head.
        let epilogue = stream::repeat_with(|| Bytes::from_static(&PIECE));
        let epilogue = stream::iter([Bytes::from(format!("{HEAD}x{TAIL}"))]).chain(epilogue).map(Ok::<_, io::Error>);
        let (upload, directory) = send(Body::from_stream(epilogue)).await;
        assert_eq!(upload.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(file_count(directory.path()), 0);
        let (upload, _directory) = send(vec![b'x'; 26 * 1024 * 1024]).await;
        assert_eq!(upload.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn d02_an_upload_that_breaks_off_leaves_nothing() {
        let form = format!("{HEAD}{}{TAIL}", "x".repeat(1_000));
        let complete = form.len() - 2;
        for kept in [0, 1, HEAD.len() - 1, HEAD.len(), form.len() / 2, form.len() * 99 / 100, complete - 1] {
            let begun = Bytes::copy_from_slice(&form.as_bytes()[..kept]);
            let (upload, directory) = send(Body::from(begun.clone())).await;
            assert_eq!(upload.unwrap_err().status(), StatusCode::BAD_REQUEST, "{kept}");
            assert_eq!(file_count(directory.path()), 0, "{kept}");
            let reset = stream::iter([Ok(begun), Err(io::Error::other("reset"))]);
            let (upload, directory) = send(Body::from_stream(reset)).await;
            assert_eq!(upload.unwrap_err().status(), StatusCode::BAD_REQUEST, "{kept}");
            assert_eq!(file_count(directory.path()), 0, "{kept}");
        }
        let (upload, _directory) = send(form[..complete].to_owned()).await;
        assert_eq!(upload.unwrap().size_bytes, 1_000);
    }

    #[tokio::test]
    async fn d02_a_caller_who_goes_away_or_falls_silent_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let silent = || {
            let begun = stream::iter([Ok::<_, io::Error>(Bytes::from(format!("{HEAD}abc")))]);
            request(Body::from_stream(begun.chain(stream::pending())))
        };
        let patient = receive(silent(), directory.path(), Uuid::nil(), UploadLimits::DOCUMENT);
        assert!(tokio::time::timeout(Duration::from_millis(50), patient).await.is_err());
        assert_eq!(file_count(directory.path()), 0);
        let brief = Duration::from_millis(1);
        for limits in [
            UploadLimits { idle_timeout: brief, ..UploadLimits::DOCUMENT },
            UploadLimits { timeout: brief, ..UploadLimits::DOCUMENT },
        ] {
            let problem = receive(silent(), directory.path(), Uuid::nil(), limits).await.unwrap_err();
            assert_eq!(problem.status(), StatusCode::REQUEST_TIMEOUT);
            assert_eq!(file_count(directory.path()), 0);
        }
    }

    #[tokio::test]
    async fn exactly_one_file_field_is_taken() {
        let part = |name: &str| format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\nx\r\n");
        for (form, pointer, code) in [
            ("--b0--\r\n".to_owned(), "/file", FieldCode::Missing),
            (format!("{}--b0--", part("other/x")), "/other~1x", FieldCode::UnknownField),
            (format!("{}{}--b0--", part("file"), part("note")), "/note", FieldCode::UnknownField),
            (format!("{}{}--b0--", part("file"), part("file")), "/file", FieldCode::DuplicateField),
            ("nonsense".to_owned(), "", FieldCode::InvalidValue),
        ] {
            let (upload, directory) = send(form.clone()).await;
            let problem = upload.unwrap_err();
            let errors = &problem.document().errors;
            assert_eq!((errors[0].pointer.as_ref(), errors[0].code), (pointer, code), "{form}");
            assert_eq!(file_count(directory.path()), 0);
        }
        let directory = tempfile::tempdir().unwrap();
        let json = Request::builder().header(CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
        let problem = receive(json, directory.path(), Uuid::nil(), UploadLimits::DOCUMENT).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[tokio::test]
    async fn d08_a_file_name_is_metadata_only() {
        let long = "x".repeat(255);
        for (stated, code) in [
            ("../../etc/passwd", None),
            ("CON", None),
            ("\u{202e}fdp.exe", None),
            (&long, None),
            ("", Some(FieldCode::TooShort)),
            ("a.pdf\u{0}.exe", Some(FieldCode::ControlCharacter)),
            ("a\u{85}b", Some(FieldCode::ControlCharacter)),
            (&"x".repeat(256), Some(FieldCode::TooLong)),
            (&"x".repeat(5_000), Some(FieldCode::TooLong)),
        ] {
            let head = format!("--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{stated}\"\r\n\r\n");
            let (upload, directory) = send(format!("{head}x{TAIL}")).await;
            match (upload, code) {
                (Ok(upload), None) => {
                    assert_eq!(upload.file_name, stated);
                    assert_eq!(upload.file.path().parent(), Some(directory.path()));
                }
                (Err(problem), Some(code)) => {
                    assert_eq!(problem.document().errors[0].code, code, "{stated}");
                    assert_eq!(file_count(directory.path()), 0);
                }
                (upload, code) => panic!("{stated}: {upload:?} {code:?}"),
            }
        }
        let nameless = format!("--b0\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx{TAIL}");
        assert_eq!(send(nameless).await.0.unwrap_err().document().errors[0].code, FieldCode::Missing);
    }

    #[test]
    fn d08_names_are_encoded_for_the_download_header() {
        for (name, field) in [
            ("a b.pdf", "attachment; filename=\"a b.pdf\""),
            ("a\"b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
            ("../x", "attachment; filename=\".._x\"; filename*=UTF-8''..%2Fx"),
            ("a\r\nSet-Cookie: x", "attachment; filename=\"a__Set-Cookie: x\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x"),
            ("\u{20ac} 100%.pdf", "attachment; filename=\"_ 100_.pdf\"; filename*=UTF-8''%E2%82%AC%20100%25.pdf"),
        ] {
            assert_eq!(content_disposition(name), field, "{name}");
        }
    }

    #[test]
    fn d13_a_download_is_an_attachment_that_is_not_sniffed_run_or_kept() {
        let headers = download_headers("a.html", "text/html");
        for (name, value) in [
            ("content-type", "text/html"),
            ("content-disposition", "attachment; filename=\"a.html\""),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("cache-control", "private, no-store"),
        ] {
            assert_eq!(headers[name], value);
        }
        assert_eq!(download_headers("x", "a\nb")[CONTENT_TYPE], UNKNOWN_MEDIA_TYPE);
    }

    #[test]
    fn media_types_are_checked_for_their_form() {
        for text in ["text/plain", "application/vnd.x+json; charset=utf-8", "a/b ;c=\"d\""] {
            assert!(is_media_type(text), "{text}");
        }
        for text in ["", "text", "text/", "/plain", "text/plain/x", "te xt/plain", "text/plain; \u{e9}", "text/plain\r\nX: y"] {
            assert!(!is_media_type(text), "{text:?}");
        }
        assert!(!is_media_type(&format!("a/{}", "b".repeat(300))));
    }
}
