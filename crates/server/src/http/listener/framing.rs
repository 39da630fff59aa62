//! Watching how requests frame their bodies, on the raw bytes.
//!
//! The HTTP library resolves `Content-Length` beside `Transfer-Encoding`, and a `Content-Length` that stands twice
//! with one value, without telling the handler. A proxy in front may resolve them differently, and then the two
//! disagree about where the next request begins. This watcher sees the lines themselves and marks the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much of a line is kept: enough for the two names, a length, and a generous run of spaces.
const LINE_BYTES_KEPT: usize = 128;

/// A stream that marks its connection as soon as a request frames its body in two ways.
#[derive(Debug)]
pub(super) struct WatchedStream<S> {
    inner: S,
    watcher: FramingWatcher,
    is_ambiguous: Arc<AtomicBool>,
}

/// Follows the requests of one connection through their heads and bodies.
#[derive(Debug, Default)]
pub(super) struct FramingWatcher {
    stage: Stage,
    line: Vec<u8>,
    is_line_cut: bool,
    head: HeadFacts,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    Head,
    Body {
        bytes_left: u64,
    },
    ChunkSize,
    ChunkData {
        bytes_left: u64,
    },
    ChunkEnd,
    Trailers,
    Ambiguous,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct HeadFacts {
    has_request_line: bool,
    content_lengths: u8,
    transfer_encodings: u8,
    length: Option<u64>,
}

impl<S> WatchedStream<S> {
    pub(super) fn new(inner: S, is_ambiguous: Arc<AtomicBool>) -> Self {
        Self { inner, watcher: FramingWatcher::default(), is_ambiguous }
    }
}

impl FramingWatcher {
    /// Sees the next bytes; `true` once a request has framed its body in two ways.
    pub(super) fn see(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && self.stage != Stage::Ambiguous {
            bytes = match self.stage {
                Stage::Body { bytes_left } => self.skip(bytes, bytes_left, Stage::Head),
                Stage::ChunkData { bytes_left } => self.skip(bytes, bytes_left, Stage::ChunkEnd),
                Stage::Head | Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailers => self.see_line(bytes),
                Stage::Ambiguous => &[],
            };
        }
        self.stage == Stage::Ambiguous
    }

    fn skip<'b>(&mut self, bytes: &'b [u8], bytes_left: u64, then: Stage) -> &'b [u8] {
        let available = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let skipped = available.min(bytes_left);
        let still_left = bytes_left - skipped;
        self.stage = match (still_left, self.stage) {
            (0, _) => then,
            (bytes_left, Stage::ChunkData { .. }) => Stage::ChunkData { bytes_left },
            (bytes_left, _) => Stage::Body { bytes_left },
        };
        usize::try_from(skipped).ok().and_then(|skipped| bytes.get(skipped..)).unwrap_or_default()
    }

    fn see_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = match end {
            Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default()),
            None => (bytes, &[][..]),
        };
        let room = LINE_BYTES_KEPT - self.line.len();
        self.is_line_cut |= piece.len() > room;
        self.line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            let whole = line.strip_suffix(b"\r").unwrap_or(&line);
            self.stage = self.behind_line(whole);
            self.is_line_cut = false;
            self.line = line;
            self.line.clear();
        }
        rest
    }

    fn behind_line(&mut self, line: &[u8]) -> Stage {
        match self.stage {
            Stage::Head if line.is_empty() && self.head.has_request_line => {
                let head = std::mem::take(&mut self.head);
                behind_head(head)
            }
            // Empty lines ahead of a request are skipped by every parser (RFC 9112 section 2.2).
            Stage::Head | Stage::Trailers if line.is_empty() => Stage::Head,
            Stage::Head if self.head.has_request_line => {
                self.see_field(line);
                Stage::Head
            }
            Stage::Head => {
                self.head.has_request_line = true;
                Stage::Head
            }
            Stage::ChunkSize => match chunk_size(line) {
                Some(0) => Stage::Trailers,
                Some(bytes_left) => Stage::ChunkData { bytes_left },
                // The library refuses it as well, or reads it in another way than this: both end the connection.
                None => Stage::Ambiguous,
            },
            Stage::ChunkEnd if line.is_empty() => Stage::ChunkSize,
            Stage::ChunkEnd => Stage::Ambiguous,
            Stage::Trailers => Stage::Trailers,
            stage @ (Stage::Body { .. } | Stage::ChunkData { .. } | Stage::Ambiguous) => stage,
        }
    }

    fn see_field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.transfer_encodings = self.head.transfer_encodings.saturating_add(1);
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.head.content_lengths = self.head.content_lengths.saturating_add(1);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            self.head.length = if self.is_line_cut { None } else { decimal(value) };
        }
    }
}

fn behind_head(head: HeadFacts) -> Stage {
    match (head.content_lengths, head.transfer_encodings, head.length) {
        (0, 0, _) | (1, 0, Some(0)) => Stage::Head,
        (0, 1, _) => Stage::ChunkSize,
        (1, 0, Some(bytes_left)) => Stage::Body { bytes_left },
        _ => Stage::Ambiguous,
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, behind) = line.split_at(end);
    if digits.is_empty() || !matches!(behind.first(), None | Some(b';' | b' ' | b'\t')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if this.watcher.see(buffer.filled().get(filled..).unwrap_or_default()) {
            this.is_ambiguous.store(true, Ordering::Release);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ambiguous(bytes: &[u8], piece_bytes: usize) -> bool {
        let mut watcher = FramingWatcher::default();
        bytes.chunks(piece_bytes).fold(false, |_, piece| watcher.see(piece))
    }

    #[test]
    fn a11_ambiguity_is_seen_in_any_request_however_it_is_cut() {
        let fine = "\r\nPOST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nTransfer-Encoding: x\r\n\r\nGET /x\
            POST / HTTP/1.1\nTransfer-Encoding: chunked\nX: y\r\n\r\n1E\r\nTransfer-Encoding: x\r\n\r\nGET /x\r\n00;q\r\nContent-Length: 9\r\n\r\n\
            GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length:0\r\n\r\n";
        let bad = "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        for piece_bytes in 1..80 {
            assert!(!is_ambiguous(fine.as_bytes(), piece_bytes), "{piece_bytes}");
            assert!(is_ambiguous(format!("{fine}{bad}").as_bytes(), piece_bytes), "{piece_bytes}");
        }
    }

    #[test]
    fn a11_each_way_to_be_ambiguous_is_seen() {
        let spaces = " ".repeat(200);
        for (fields, due) in [
            ("Content-Length: 5\r\n", false),
            ("Content-Length: 5\r\ncontent-length: 5\r\n", true),
            ("TRANSFER-ENCODING: a\r\ntransfer-encoding: b\r\n", true),
            ("Content-Length:\r\n", true),
            ("Content-Length: 5, 5\r\n", true),
            ("Content-Length: +5\r\n", true),
            ("Content-Length: 99999999999999999999\r\n", true),
            (&format!("Content-Length:{spaces}5\r\n"), true),
            (&format!("X:{spaces}5\r\n"), false),
            ("X-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", false),
        ] {
            let head = format!("POST / HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(is_ambiguous(head.as_bytes(), 4096), due, "{fields}");
        }
        for (chunks, due) in [
            ("5\r\nabcde\r\n0\r\n\r\n", false),
            ("5 ;x\r\nabcde\r\n0\r\n\r\n", false),
            ("x\r\n", true),
            ("-1\r\n", true),
            ("0x5\r\n", true),
            ("\r\n", true),
            ("fffffffffffffffff\r\n", true),
            ("5\r\nabcdef\r\n", true),
        ] {
            let request = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(is_ambiguous(request.as_bytes(), 4096), due, "{chunks:?}");
        }
    }

    #[test]
    fn any_bytes_are_seen_without_a_panic() {
        proptest::proptest!(|(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), lines in "[\\r\\n:0-9a-f TC]{0,80}")| {
            let _ = is_ambiguous(&bytes, 7);
            let _ = is_ambiguous(format!("P / H\r\nTransfer-Encoding:chunked\r\n\r\n{lines}").as_bytes(), 5);
        });
    }
}
