//! Query strings: every name known, every name once, every value of its type.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use super::body::{FieldFault, parse_uuid};
use super::problem::{FieldCode, FieldError, Problem};

/// The most parameters one query or form may have; the longest published list filter has seven.
const PARAMETERS_MAX: usize = 64;

const HEX_DIGITS: [u8; 16] = *b"0123456789ABCDEF";

/// A parsed query. Readers take parameters by name; [`Query::finish`] refuses what nobody took.
///
/// Faults point at a parameter as `?name`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    parameters: Vec<Parameter>,
    errors: Vec<FieldError>,
}

/// Why pairs of names and values cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PairsFault {
    /// A percent sign without two hexadecimal digits, or bytes that are no UTF-8.
    Encoding,
    /// The name stands twice.
    Duplicate(String),
    /// More pairs than any request needs.
    TooMany,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Parameter {
    name: String,
    value: String,
    is_known: bool,
}

impl Query {
    /// Parses what stands after the question mark (`application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// 400: a name twice, or an encoding that is none.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let pairs = decode_pairs(raw).map_err(|fault| {
            Problem::invalid_request(vec![match fault {
                PairsFault::Encoding => FieldError::new("?", FieldCode::InvalidValue, "is not percent-encoded UTF-8"),
                PairsFault::Duplicate(name) => FieldError::new(format!("?{name}"), FieldCode::DuplicateField, "stands twice"),
                PairsFault::TooMany => FieldError::new("?", FieldCode::TooLong, "has too many parameters"),
            }])
        })?;
        let parameters = pairs.into_iter().map(|(name, value)| Parameter { name, value, is_known: false }).collect();
        Ok(Self { parameters, errors: Vec::new() })
    }

    /// A parameter that may be absent.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, FieldFault>) -> Option<T> {
        let parameter = self.parameters.iter_mut().find(|parameter| parameter.name == name)?;
        parameter.is_known = true;
        match read(&parameter.value) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(name, fault);
                None
            }
        }
    }

    /// The switch `dry_run`: the act is decided and nothing is recorded (design section 9). Absent means no.
    pub fn dry_run(&mut self) -> bool {
        self.optional("dry_run", boolean).unwrap_or(false)
    }

    /// Reports a fault that only shows when more than the value is known.
    pub fn fault(&mut self, name: &str, fault: FieldFault) {
        self.errors.push(FieldError::new(format!("?{name}"), fault.code, fault.message));
    }

    /// The filters in one spelling: every parameter but `cursor` and `limit`, sorted by name, percent-encoded.
    ///
    /// Cursors are bound to it and page links repeat it.
    #[must_use]
    pub fn filters(&self) -> String {
        let mut pairs: Vec<(&str, &str)> = self
            .parameters
            .iter()
            .map(|parameter| (parameter.name.as_str(), parameter.value.as_str()))
            .filter(|(name, _)| !matches!(*name, "cursor" | "limit"))
            .collect();
        pairs.sort_unstable();
        let encoded: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value))).collect();
        encoded.join("&")
    }

    /// Ends reading; parameters nobody asked for are faults.
    ///
    /// # Errors
    /// 400 with everything that was wrong.
    pub fn finish(mut self) -> Result<(), Problem> {
        for parameter in self.parameters.iter().filter(|parameter| !parameter.is_known) {
            let pointer = format!("?{}", parameter.name);
            self.errors.push(FieldError::new(pointer, FieldCode::UnknownField, "is not a parameter of this request"));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid_request(self.errors)) }
    }

    /// Ends reading with the value made of what was read; `build` answers `None` exactly where there was a fault.
    ///
    /// # Errors
    /// 400 with everything that was wrong.
    pub fn finish_with<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        self.finish()?;
        build().ok_or_else(|| Problem::invalid_request(vec![FieldError::new("?", FieldCode::InvalidValue, "is not complete")]))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

/// Reads `true` or `false`.
///
/// # Errors
/// Anything else.
pub fn boolean(value: &str) -> Result<bool, FieldFault> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(FieldFault::invalid("must be true or false")),
    }
}

/// Reads a UUID in its hyphenated form.
///
/// # Errors
/// Anything else.
pub fn uuid(value: &str) -> Result<Uuid, FieldFault> {
    parse_uuid(value).ok_or_else(|| FieldFault::invalid("must be a UUID"))
}

/// A reader of integers in `range`, written in plain digits without sign or leading zero.
pub fn unsigned(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, FieldFault> {
    move |value| {
        let out_of_range = || {
            let message = format!("must be between {} and {}", range.start(), range.end());
            FieldFault::new(FieldCode::OutOfRange, message)
        };
        let is_plain = value.bytes().all(|byte| byte.is_ascii_digit()) && (value == "0" || !value.starts_with('0'));
        if value.is_empty() || !is_plain {
            return Err(FieldFault::invalid("must be a plain integer"));
        }
        value.parse().ok().filter(|integer| range.contains(integer)).ok_or_else(out_of_range)
    }
}

/// A reader of one of some texts, each with what it means.
pub fn one_of<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, FieldFault> + use<T> {
    let choices = choices.to_vec();
    move |value| {
        choices.iter().find(|(name, _)| *name == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            FieldFault::invalid(format!("must be one of {}", names.join(", ")))
        })
    }
}

/// Splits and decodes `name=value&…`; a name may stand once.
pub(super) fn decode_pairs(raw: &str) -> Result<Vec<(String, String)>, PairsFault> {
    if raw.is_empty() {
        return Ok(Vec::new());
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in raw.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode(name).ok_or(PairsFault::Encoding)?;
        let value = percent_decode(value).ok_or(PairsFault::Encoding)?;
        if pairs.iter().any(|(other, _)| *other == name) {
            return Err(PairsFault::Duplicate(name));
        }
        if pairs.len() == PARAMETERS_MAX {
            return Err(PairsFault::TooMany);
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Decodes `%XX` and `+`; `None` where that is no UTF-8.
pub(super) fn percent_decode(encoded: &str) -> Option<String> {
    let mut bytes = encoded.bytes();
    let mut decoded = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Encodes everything but the unreserved characters of RFC 3986.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend([byte >> 4, byte & 15].map(|nibble| char::from(HEX_DIGITS[usize::from(nibble)])));
        }
    }
    encoded
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(problem: &Problem) -> Vec<(String, FieldCode)> {
        problem.document().errors.iter().map(|error| (error.pointer.to_string(), error.code)).collect()
    }

    #[test]
    fn a10_names_stand_once_and_are_known() {
        let problem = Query::parse("limit=1&limit=999").unwrap_err();
        assert_eq!(codes(&problem), [("?limit".to_owned(), FieldCode::DuplicateField)]);
        assert_eq!(Query::parse("a=1&%61=2").unwrap_err().status().as_u16(), 400);
        let mut query = Query::parse("status=PAID&access_token=secret&=&x").unwrap();
        assert_eq!(query.optional("status", one_of(&[("PAID", 1), ("ACCEPTED", 2)])), Some(1));
        assert_eq!(
            codes(&query.finish().unwrap_err()),
            ["?access_token", "?", "?x"].map(|name| (name.to_owned(), FieldCode::UnknownField))
        );
        let many: Vec<String> = (0..65).map(|index| format!("{index}=")).collect();
        assert_eq!(codes(&Query::parse(&many.join("&")).unwrap_err()), [("?".to_owned(), FieldCode::TooLong)]);
    }

    #[test]
    fn a10_values_have_their_type_or_are_refused() {
        for (value, answer) in [
            ("1", Some(1)),
            ("200", Some(200)),
            ("0", None),
            ("201", None),
            ("-1", None),
            ("+1", None),
            ("%2B1", None),
            ("01", None),
            ("1000000000", None),
            ("99999999999999999999", None),
            ("1.0", None),
            ("", None),
            ("%D9%A1", None),
        ] {
            let mut query = Query::parse(&format!("limit={value}")).unwrap();
            assert_eq!(query.optional("limit", unsigned(1..=200)), answer, "{value}");
            assert_eq!(query.finish().is_ok(), answer.is_some(), "{value}");
        }
        for (raw, dry_run, is_ok) in [
            ("dry_run=true", true, true),
            ("dry_run=false", false, true),
            ("", false, true),
            ("dry_run", false, false),
            ("dry_run=1", false, false),
            ("dry_run=True", false, false),
        ] {
            let mut query = Query::parse(raw).unwrap();
            assert_eq!(query.dry_run(), dry_run, "{raw}");
            assert_eq!(query.finish().is_ok(), is_ok, "{raw}");
        }
        let mut query = Query::parse("wallet=0195892f7d5e7000800000000000002a").unwrap();
        assert_eq!(query.optional("wallet", uuid), None);
        assert_eq!(codes(&query.finish().unwrap_err()), [("?wallet".to_owned(), FieldCode::InvalidValue)]);
    }

    #[test]
    fn percent_decoding_is_strict() {
        for (encoded, decoded) in
            [("a+b%20c", Some("a b c")), ("%C3%A9", Some("\u{e9}")), ("%c3%a9", Some("\u{e9}")), ("%2526", Some("%26"))]
        {
            assert_eq!(percent_decode(encoded).as_deref(), decoded, "{encoded}");
        }
        for encoded in ["%", "%2", "%zz", "%ff", "%+1", "%C3"] {
            assert_eq!(percent_decode(encoded), None, "{encoded}");
            assert_eq!(Query::parse(encoded).unwrap_err().status().as_u16(), 400, "{encoded}");
        }
        proptest::proptest!(|(text in "\\PC{0,30}")| {
            proptest::prop_assert_eq!(percent_decode(&percent_encode(&text)), Some(text));
        });
    }

    #[test]
    fn filters_have_one_spelling_without_cursor_and_limit() {
        let filters = |raw: &str| Query::parse(raw).unwrap().filters();
        assert_eq!(filters("wallet=1&limit=7&status=a+b%26c&cursor=x"), "status=a%20b%26c&wallet=1");
        assert_eq!(filters("status=a%20b&wallet=1"), filters("wallet=%31&status=a+b"));
        assert_eq!(filters(""), "");
    }
}
