//! Taking a multipart form apart, piece by piece, without holding more than one piece of it.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// The longest head of a part.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// What a part's head says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PartHead {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
}

/// What comes next in a form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// A part begins.
    Head(PartHead),
    /// Some bytes of the part.
    Data(Bytes),
    /// The form is complete.
    End,
}

/// Why a form cannot be taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(super) enum PartFault {
    #[error("the form does not begin with its boundary")]
    NoBoundary,
    #[error("a boundary is followed by something else than a line end")]
    BadBoundary,
    #[error("the head of a part is too long")]
    HeadTooLong,
    #[error("the head of a part is malformed")]
    BadHead,
    #[error("a part has no content disposition form-data with a name")]
    NoName,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Before the first boundary.
    Start,
    /// Directly behind a boundary.
    Boundary,
    Head,
    Data,
    End,
}

/// Takes a form apart as it arrives.
#[derive(Debug)]
pub(super) struct PartReader {
    buffer: BytesMut,
    /// CR LF `--` boundary: what ends a part's data.
    delimiter: Vec<u8>,
    stage: Stage,
}

impl PartReader {
    pub(super) fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Self { buffer: BytesMut::new(), delimiter, stage: Stage::Start }
    }

    pub(super) fn feed(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Drops what stands behind the form: it has no meaning (RFC 2046 section 5.1.1).
    pub(super) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// The next piece; `None` where more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, PartFault> {
        loop {
            let piece = match self.stage {
                Stage::Start => self.start()?,
                Stage::Boundary => self.behind_boundary()?,
                Stage::Head => self.head()?,
                Stage::Data => self.data(),
                Stage::End => Step::Piece(Piece::End),
            };
            match piece {
                Step::Piece(piece) => return Ok(Some(piece)),
                Step::MoreBytes => return Ok(None),
                Step::NextStage(stage) => self.stage = stage,
            }
        }
    }

    fn start(&mut self) -> Result<Step, PartFault> {
        // A preamble has no meaning and no client of forms writes one, so the boundary has to stand first.
        let first = self.delimiter.get(2..).unwrap_or_default();
        let compared = self.buffer.len().min(first.len());
        if self.buffer.get(..compared) != first.get(..compared) {
            return Err(PartFault::NoBoundary);
        }
        if compared < first.len() {
            return Ok(Step::MoreBytes);
        }
        self.buffer.advance(compared);
        Ok(Step::NextStage(Stage::Boundary))
    }

    fn behind_boundary(&mut self) -> Result<Step, PartFault> {
        let padding = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match self.buffer.get(padding..) {
            Some([b'\r', b'\n', ..]) => {
                self.buffer.advance(padding + 2);
                Ok(Step::NextStage(Stage::Head))
            }
            Some([b'-', b'-', ..]) if padding == 0 => {
                self.buffer.clear();
                Ok(Step::NextStage(Stage::End))
            }
            Some([] | [b'\r' | b'-']) if padding <= BOUNDARY_BYTES_MAX => Ok(Step::MoreBytes),
            _ => Err(PartFault::BadBoundary),
        }
    }

    fn head(&mut self) -> Result<Step, PartFault> {
        // The end of a head is searched from its beginning again with every feed; its cap keeps that cheap.
        let searched = self.buffer.get(..self.buffer.len().min(HEAD_BYTES_MAX)).unwrap_or_default();
        let Some(length) = searched.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if self.buffer.len() >= HEAD_BYTES_MAX { Err(PartFault::HeadTooLong) } else { Ok(Step::MoreBytes) };
        };
        let head = parse_head(&self.buffer.split_to(length))?;
        self.buffer.advance(4);
        self.stage = Stage::Data;
        Ok(Step::Piece(Piece::Head(head)))
    }

    fn data(&mut self) -> Step {
        let delimiter = self.delimiter.as_slice();
        let mut from = 0;
        while let Some(at) = self.buffer.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'\r')) {
            let at = from + at;
            let rest = self.buffer.get(at..).unwrap_or_default();
            let compared = rest.len().min(delimiter.len());
            if rest.get(..compared) == delimiter.get(..compared) {
                // A delimiter, or what may become one with the next bytes: what stands before it is data.
                if at > 0 {
                    return Step::Piece(Piece::Data(self.buffer.split_to(at).freeze()));
                }
                if compared < delimiter.len() {
                    return Step::MoreBytes;
                }
                self.buffer.advance(compared);
                return Step::NextStage(Stage::Boundary);
            }
            from = at + 1;
        }
        if self.buffer.is_empty() {
            return Step::MoreBytes;
        }
        Step::Piece(Piece::Data(self.buffer.split().freeze()))
    }
}

enum Step {
    Piece(Piece),
    NextStage(Stage),
    MoreBytes,
}

/// The boundary of a `multipart/form-data` body; `None` where the body is something else.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let (essence, parameters) = field.to_str().ok()?.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parse_parameters(parameters.as_bytes())?
        .into_iter()
        .find(|(name, _)| name == "boundary")
        .and_then(|(_, value)| String::from_utf8(value).ok())?;
    let is_boundary_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_boundary =
        (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) && boundary.bytes().all(is_boundary_byte) && !boundary.ends_with(' ');
    is_boundary.then_some(boundary)
}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn parse_head(head: &[u8]) -> Result<PartHead, PartFault> {
    let mut disposition = None;
    let mut content_type = None;
    for line in head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':').ok_or(PartFault::BadHead)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.is_empty() || !name.iter().copied().all(is_token_byte) || line.contains(&b'\r') {
            return Err(PartFault::BadHead);
        }
        let slot = match name.to_ascii_lowercase().as_slice() {
            b"content-disposition" => &mut disposition,
            b"content-type" => &mut content_type,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(PartFault::BadHead);
        }
    }
    let disposition = disposition.ok_or(PartFault::NoName)?;
    let semicolon = disposition.iter().position(|byte| *byte == b';').ok_or(PartFault::NoName)?;
    let (kind, parameters) = disposition.split_at(semicolon);
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return Err(PartFault::NoName);
    }
    let (mut name, mut file_name, mut extended) = (None, None, None);
    for (parameter, value) in parse_parameters(parameters).ok_or(PartFault::BadHead)? {
        let slot = match parameter.as_str() {
            "name" => &mut name,
            "filename" => &mut file_name,
            // RFC 7578 section 4.2 forbids the extended form, yet some clients write it for other than ASCII names.
            "filename*" => {
                extended = Some(extended_value(&value).ok_or(PartFault::BadHead)?);
                continue;
            }
            _ => continue,
        };
        let text = String::from_utf8(value).map_err(|_| PartFault::BadHead)?;
        if slot.replace(text).is_some() {
            return Err(PartFault::BadHead);
        }
    }
    let content_type = content_type.map(|value| String::from_utf8_lossy(value).into_owned());
    Ok(PartHead { name: name.ok_or(PartFault::NoName)?, file_name: extended.or(file_name), content_type })
}

/// `; name=token; name="quoted"`, names in lower case.
fn parse_parameters(mut rest: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut parameters = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        rest = rest.strip_prefix(b";").unwrap_or(rest).trim_ascii_start();
        if rest.is_empty() {
            return Some(parameters);
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (name, value) = rest.split_at(equals);
        if name.is_empty() || !name.iter().copied().all(is_token_byte) {
            return None;
        }
        let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
        let value = value.get(1..)?;
        let (value, behind) = if let Some(quoted) = value.strip_prefix(b"\"") {
            unquote(quoted)?
        } else {
            let end = value.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(value.len());
            (value.get(..end)?.to_vec(), value.get(end..)?)
        };
        parameters.push((name, value));
        rest = behind.trim_ascii_start();
        if !(rest.is_empty() || rest.starts_with(b";")) {
            return None;
        }
    }
}

/// The text up to the closing quote and what follows it. A backslash escapes a quote or itself and is else a
/// character of its own: some clients send the paths of their system unescaped.
fn unquote(quoted: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [b'"', behind @ ..] => return Some((text, behind)),
            [b'\\', escaped @ (b'"' | b'\\'), behind @ ..] => {
                text.push(*escaped);
                rest = behind;
            }
            [byte, behind @ ..] => {
                text.push(*byte);
                rest = behind;
            }
            [] => return None,
        }
    }
}

/// `UTF-8'language'percent-encoded` (RFC 8187).
fn extended_value(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let mut pieces = text.splitn(3, '\'');
    let (charset, _language, encoded) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") || encoded.contains('+') {
        return None;
    }
    crate::http::query::percent_decode(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(form: &[u8], piece_bytes: usize) -> Result<Vec<Piece>, PartFault> {
        let mut reader = PartReader::new("b0");
        let mut pieces = Vec::new();
        for bytes in form.chunks(piece_bytes) {
            reader.feed(bytes);
            while let Some(piece) = reader.next()? {
                let is_end = piece == Piece::End;
                match (pieces.last_mut(), piece) {
                    (Some(Piece::Data(whole)), Piece::Data(more)) => {
                        *whole = Bytes::from([whole.as_ref(), &more].concat());
                    }
                    (_, piece) => pieces.push(piece),
                }
                if is_end {
                    return Ok(pieces);
                }
            }
        }
        Ok(pieces)
    }

    fn head_of(disposition: &str) -> Result<PartHead, PartFault> {
        parse_head(format!("Content-Disposition: {disposition}").as_bytes())
    }

    #[test]
    fn a_form_comes_apart_the_same_however_it_is_cut() {
        let form = b"--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\nContent-Type: text/plain\r\n\r\n\
            one\r\n--b\r\r\n--b\r\ntwo\r\n--b0 \t\r\ncontent-disposition: form-data; name=empty\r\n\r\n\r\n--b0--\r\nbehind";
        let expected = [
            Piece::Head(PartHead {
                name: "file".to_owned(),
                file_name: Some("x".to_owned()),
                content_type: Some("text/plain".to_owned()),
            }),
            Piece::Data(Bytes::from_static(b"one\r\n--b\r\r\n--b\r\ntwo")),
            Piece::Head(PartHead { name: "empty".to_owned(), file_name: None, content_type: None }),
            Piece::End,
        ];
        for piece_bytes in 1..form.len() {
            assert_eq!(pieces(form, piece_bytes).unwrap(), expected, "{piece_bytes}");
        }
    }

    #[test]
    fn any_data_comes_back_whole() {
        proptest::proptest!(|(data in "[\r\n\\-b0x]{0,60}", piece_bytes in 1_usize..70)| {
            let form = format!("--b0\r\nContent-Disposition: form-data; name=f\r\n\r\n{data}\r\n--b0--");
            let whole: Vec<u8> = pieces(form.as_bytes(), piece_bytes).unwrap_or_default().into_iter()
                .filter_map(|piece| match piece { Piece::Data(data) => Some(data), Piece::Head(_) | Piece::End => None })
                .flatten().collect();
            proptest::prop_assume!(!data.contains("--b0"));
            proptest::prop_assert_eq!(whole, data.into_bytes());
        });
    }

    #[test]
    fn malformed_forms_are_refused() {
        let long = format!("--b0\r\nX: {}", "x".repeat(9_000));
        for (form, fault) in [
            ("preamble\r\n--b0\r\n", PartFault::NoBoundary),
            ("\r\n--b0\r\n", PartFault::NoBoundary),
            ("--b1\r\n", PartFault::NoBoundary),
            ("--b0x\r\n", PartFault::BadBoundary),
            ("--b0\n", PartFault::BadBoundary),
            ("--b0-x", PartFault::BadBoundary),
            (&long, PartFault::HeadTooLong),
            ("--b0\r\nno colon\r\n\r\n", PartFault::BadHead),
            ("--b0\r\n folded: x\r\n\r\n", PartFault::BadHead),
            ("--b0\r\nX: y\r\n\r\n", PartFault::NoName),
            ("--b0\r\n\r\n\r\n", PartFault::NoName),
            (
                "--b0\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n",
                PartFault::BadHead,
            ),
        ] {
            assert_eq!(pieces(form.as_bytes(), 7), Err(fault), "{form:?}");
        }
    }

    #[test]
    fn d08_file_names_are_read_as_text() {
        for (disposition, name) in [
            (r#"form-data; name="file"; filename="a b.pdf""#, Some("a b.pdf")),
            (r#"form-data; name="file"; filename="../../etc/passwd""#, Some("../../etc/passwd")),
            (r#"form-data; name="file"; filename="C:\docs\a.pdf""#, Some(r"C:\docs\a.pdf")),
            (r#"form-data; name="file"; filename="a\"b\\c""#, Some(r#"a"b\c"#)),
            (r#"form-data; name="file"; filename="a;b=c""#, Some("a;b=c")),
            (r#"form-data; name="file"; filename="%22a%0D""#, Some("%22a%0D")),
            ("FORM-DATA; NAME=file; FILENAME=CON", Some("CON")),
            ("form-data; name=\"file\"; filename=\"\u{202e}fdp.exe\"", Some("\u{202e}fdp.exe")),
            ("form-data; name=\"file\"; filename*=utf-8''%E2%82%AC%20a.pdf", Some("\u{20ac} a.pdf")),
            ("form-data; name=\"file\"; filename*=UTF-8''%E2%82%AC; filename=e", Some("\u{20ac}")),
            ("form-data; name=\"file\"; filename=\"\"", Some("")),
            ("form-data; name=\"file\"", None),
        ] {
            let head = head_of(disposition).unwrap();
            assert_eq!((head.name.as_str(), head.file_name.as_deref()), ("file", name), "{disposition}");
        }
        for disposition in [
            "form-data",
            "attachment; name=file",
            "form-data; filename=x",
            "form-data; name=\"file",
            "form-data; name=file; filename=\"x\" y",
            "form-data; name=a; name=b",
            "form-data; name=file; filename*=latin1''x",
            "form-data; name=file; filename*=utf-8''%zz",
            "form-data; name=file; =x",
        ] {
            assert!(head_of(disposition).is_err(), "{disposition}");
        }
        assert!(parse_head(b"Content-Disposition: form-data; name=file; filename=\"\xff\"").is_err());
    }

    #[test]
    fn the_boundary_comes_from_the_content_type() {
        let ask = |value: &str| boundary(&HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]));
        assert_eq!(ask("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(ask("Multipart/Form-Data; charset=x; Boundary=\"a b\"").as_deref(), Some("a b"));
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for value in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=a\\b",
            "multipart/mixed; boundary=abc",
            "application/json",
            &long,
        ] {
            assert_eq!(ask(value), None, "{value}");
        }
    }
}
