//! Reading a JSON tree field by field, with every fault reported at once.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use domain::instant::Instant;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::json::Json;
use crate::http::problem::{FieldCode, FieldError, Problem};

/// The years a stated instant or date may lie in.
pub const YEARS: RangeInclusive<i16> = 1900..=2200;

/// What is wrong with one value, without saying where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldFault {
    /// Stable code.
    pub code: FieldCode,
    /// What is wrong, for people.
    pub message: Cow<'static, str>,
}

/// Everything that is wrong with one value and the values in it; pointers are relative to it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults(Vec<FieldError>);

/// Reads the members of one object and collects everything that is wrong with them.
///
/// Readers are functions from [`Json`] to a value or its faults; a reader of an object uses `Fields` itself, so faults
/// bubble up with their JSON pointers.
#[derive(Debug)]
pub struct Fields<'a> {
    members: &'a [(String, Json)],
    is_object: bool,
    is_known: Vec<bool>,
    faults: Faults,
}

impl FieldFault {
    /// A fault.
    pub fn new(code: FieldCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The JSON type is not `due` ("a text", "an integer").
    #[must_use]
    pub fn wrong_type(due: &str) -> Self {
        Self::new(FieldCode::WrongType, format!("must be {due}"))
    }

    /// The value does not have the form that is due.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FieldCode::InvalidValue, message)
    }

    /// An id that names nothing the caller can see: the same text for missing and foreign (design section 9).
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(FieldCode::NotFound, "does not exist")
    }
}

impl Faults {
    /// The single faults.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds faults of a value inside this one; `segment` is its name or index.
    fn add_below(&mut self, segment: &str, inner: Self) {
        let escaped = escape_pointer(segment);
        self.0.extend(
            inner.0.into_iter().map(|error| FieldError { pointer: Cow::Owned(format!("/{escaped}{}", error.pointer)), ..error }),
        );
    }
}

impl FromIterator<FieldError> for Faults {
    fn from_iter<I: IntoIterator<Item = FieldError>>(errors: I) -> Self {
        Self(errors.into_iter().collect())
    }
}

impl From<FieldError> for Faults {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

impl From<FieldFault> for Faults {
    fn from(fault: FieldFault) -> Self {
        Self(vec![FieldError::new("", fault.code, fault.message)])
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        Self::invalid_request(faults.0)
    }
}

impl<'a> Fields<'a> {
    /// Starts reading an object; anything else is one fault, and every field reads as absent.
    #[must_use]
    pub fn of(json: &'a Json) -> Self {
        match json {
            Json::Object(members) => {
                Self { members, is_object: true, is_known: vec![false; members.len()], faults: Faults::default() }
            }
            Json::Null | Json::Bool(_) | Json::Integer(_) | Json::NotInteger(_) | Json::Text(_) | Json::Array(_) => {
                Self { members: &[], is_object: false, is_known: Vec::new(), faults: FieldFault::wrong_type("an object").into() }
            }
        }
    }

    /// A field that must be there.
    pub fn required<T, E: Into<Faults>>(&mut self, name: &str, read: impl FnOnce(&'a Json) -> Result<T, E>) -> Option<T> {
        let Some(json) = self.take(name) else {
            if self.is_object {
                self.fault(name, FieldFault::new(FieldCode::Missing, "is required"));
            }
            return None;
        };
        self.keep(name, read(json))
    }

    /// A field that may be absent; `null` is not the same as absent.
    pub fn optional<T, E: Into<Faults>>(&mut self, name: &str, read: impl FnOnce(&'a Json) -> Result<T, E>) -> Option<T> {
        let json = self.take(name)?;
        self.keep(name, read(json))
    }

    /// A field that may be absent (`None`) or `null` (`Some(None)`).
    pub fn nullable<T, E: Into<Faults>>(&mut self, name: &str, read: impl FnOnce(&'a Json) -> Result<T, E>) -> Option<Option<T>> {
        let json = self.take(name)?;
        if matches!(json, Json::Null) {
            return Some(None);
        }
        self.keep(name, read(json)).map(Some)
    }

    /// Whether the object has the field, without reading it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Reports a fault that only shows when several fields are seen together; a [`FieldError`] may point into the field.
    pub fn fault(&mut self, name: &str, fault: impl Into<Faults>) {
        self.faults.add_below(name, fault.into());
    }

    /// The names that no reader asked for so far.
    #[must_use]
    pub fn unread_names(&self) -> Vec<&'a str> {
        self.members.iter().zip(&self.is_known).filter(|(_, known)| !**known).map(|((name, _), _)| &**name).collect()
    }

    /// Ends reading; names that no reader asked for are faults.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub fn finish(mut self) -> Result<(), Faults> {
        for name in self.unread_names() {
            self.fault(name, FieldFault::new(FieldCode::UnknownField, "is not a field of this request"));
        }
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    /// Ends reading with the value made of what was read; `build` answers `None` exactly where a field had a fault.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub fn finish_with<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Faults> {
        self.finish()?;
        build().ok_or_else(|| FieldFault::invalid("is not complete").into())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.members.binary_search_by(|(member, _)| member.as_str().cmp(name)).ok()
    }

    fn take(&mut self, name: &str) -> Option<&'a Json> {
        let position = self.position(name)?;
        *self.is_known.get_mut(position)? = true;
        self.members.get(position).map(|(_, value)| value)
    }

    fn keep<T, E: Into<Faults>>(&mut self, name: &str, read: Result<T, E>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(faults) => {
                self.faults.add_below(name, faults.into());
                None
            }
        }
    }
}

/// A reader of texts of `chars` code points after NFC, without control characters.
pub fn text(chars: RangeInclusive<usize>) -> impl Fn(&Json) -> Result<String, FieldFault> {
    move |json| normalised(as_text(json)?, &chars)
}

/// A reader of what `parse` makes of a text; a refusal's words become the message.
pub fn parsed<T, E: fmt::Display>(parse: impl Fn(&str) -> Result<T, E>) -> impl Fn(&Json) -> Result<T, FieldFault> {
    move |json| parse(as_text(json)?).map_err(|fault| FieldFault::invalid(fault.to_string()))
}

/// A reader of one of some texts, each with what it means.
pub fn one_of<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&Json) -> Result<T, FieldFault> + use<T> {
    let choices = choices.to_vec();
    move |json| {
        let stated = as_text(json)?;
        choices.iter().find(|(name, _)| *name == stated).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            FieldFault::invalid(format!("must be one of {}", names.join(", ")))
        })
    }
}

/// A reader of plain integers in `range`.
pub fn unsigned(range: RangeInclusive<u64>) -> impl Fn(&Json) -> Result<u64, FieldFault> {
    move |json| {
        let &Json::Integer(integer) = json else {
            return Err(FieldFault::wrong_type("a plain integer"));
        };
        u64::try_from(integer).ok().filter(|integer| range.contains(integer)).ok_or_else(|| {
            let message = format!("must be between {} and {}", range.start(), range.end());
            FieldFault::new(FieldCode::OutOfRange, message)
        })
    }
}

/// A reader of lists of at most `items_max` items.
pub fn list<'a, T, E: Into<Faults>>(
    items_max: usize,
    read: impl Fn(&'a Json) -> Result<T, E>,
) -> impl Fn(&'a Json) -> Result<Vec<T>, Faults> {
    move |json| {
        let Json::Array(items) = json else {
            return Err(FieldFault::wrong_type("a list").into());
        };
        if items.len() > items_max {
            return Err(FieldFault::new(FieldCode::TooLong, format!("must have at most {items_max} items")).into());
        }
        let mut values = Vec::with_capacity(items.len());
        let mut faults = Faults::default();
        for (index, item) in items.iter().enumerate() {
            match read(item) {
                Ok(value) => values.push(value),
                Err(inner) => faults.add_below(&index.to_string(), inner.into()),
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(faults) }
    }
}

/// Reads `true` or `false`.
///
/// # Errors
/// Anything else.
pub fn boolean(json: &Json) -> Result<bool, FieldFault> {
    let &Json::Bool(flag) = json else {
        return Err(FieldFault::wrong_type("true or false"));
    };
    Ok(flag)
}

/// Reads a UUID in its hyphenated form (RFC 9562 section 4).
///
/// # Errors
/// Anything else.
pub fn uuid(json: &Json) -> Result<Uuid, FieldFault> {
    parse_uuid(as_text(json)?).ok_or_else(|| FieldFault::invalid("must be a UUID"))
}

/// Reads an RFC 3339 timestamp with its offset.
///
/// # Errors
/// Anything else; see [`parse_timestamp`].
pub fn timestamp(json: &Json) -> Result<Instant, FieldFault> {
    parse_timestamp(as_text(json)?)
        .ok_or_else(|| FieldFault::invalid("must be an RFC 3339 timestamp with an offset, in the years 1900 to 2200"))
}

/// Reads a calendar date, `YYYY-MM-DD`.
///
/// # Errors
/// Anything else, or a year outside [`YEARS`].
pub fn date(json: &Json) -> Result<Date, FieldFault> {
    parse_date(as_text(json)?).ok_or_else(|| FieldFault::invalid("must be a date as YYYY-MM-DD, in the years 1900 to 2200"))
}

/// A UUID from its hyphenated form of 36 characters; no braces, no `urn:`, no bare digits.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok()
}

/// An instant from RFC 3339: `T` and `Z` in either case, up to nine digits of fraction (cut to microseconds), a
/// mandatory offset of at most 14 hours. No leap second, no `24:00`, no RFC 9557 suffix, years in [`YEARS`].
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<Instant> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't'])?.split_at_checked(8)?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("0", rest),
    };
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = time.as_bytes() else {
        return None;
    };
    let [hour, minute, second] = [two_digits(h1, h2)?, two_digits(m1, m2)?, two_digits(s1, s2)?];
    if fraction.is_empty() || fraction.len() > 9 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros: i32 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let civil = DateTime::from_parts(parse_date(date)?, Time::new(hour, minute, second, micros * 1_000).ok()?);
    let timestamp = Offset::from_seconds(offset_seconds(offset)?).ok()?.to_timestamp(civil).ok()?;
    Some(Instant::from_timestamp(timestamp))
}

/// A date from exactly `YYYY-MM-DD`, in [`YEARS`].
#[must_use]
pub fn parse_date(text: &str) -> Option<Date> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else {
        return None;
    };
    let year = i16::from(two_digits(y1, y2)?) * 100 + i16::from(two_digits(y3, y4)?);
    if !YEARS.contains(&year) {
        return None;
    }
    Date::new(year, two_digits(m1, m2)?, two_digits(d1, d2)?).ok()
}

/// The text in NFC, if it has as many code points as allowed and no control character (C0, DEL, C1).
pub(in crate::http) fn normalised(stated: &str, chars: &RangeInclusive<usize>) -> Result<String, FieldFault> {
    let too_long = || FieldFault::new(FieldCode::TooLong, format!("must have at most {} characters", chars.end()));
    if stated.chars().any(char::is_control) {
        return Err(FieldFault::new(FieldCode::ControlCharacter, "must not hold control characters"));
    }
    // Composing makes a text at most four times shorter, so longer ones need not be composed to be refused.
    if stated.chars().nth(chars.end().saturating_mul(4)).is_some() {
        return Err(too_long());
    }
    let composed: String = stated.nfc().collect();
    let count = composed.chars().count();
    if count > *chars.end() {
        return Err(too_long());
    }
    if count < *chars.start() {
        let message = format!("must have at least {} characters", chars.start());
        return Err(FieldFault::new(FieldCode::TooShort, message));
    }
    Ok(composed)
}

fn as_text(json: &Json) -> Result<&str, FieldFault> {
    let Json::Text(text) = json else {
        return Err(FieldFault::wrong_type("a text"));
    };
    Ok(text)
}

fn two_digits(tens: u8, ones: u8) -> Option<i8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i8::try_from(byte - b'0').ok()).flatten();
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn offset_seconds(offset: &str) -> Option<i32> {
    let (sign, h1, h2, m1, m2) = match offset.as_bytes() {
        b"Z" | b"z" => return Some(0),
        &[b'+', h1, h2, b':', m1, m2] => (1, h1, h2, m1, m2),
        &[b'-', h1, h2, b':', m1, m2] => (-1, h1, h2, m1, m2),
        _ => return None,
    };
    let (hours, minutes) = (i32::from(two_digits(h1, h2)?), i32::from(two_digits(m1, m2)?));
    let seconds = hours * 3_600 + minutes * 60;
    // No place on Earth is further from UTC than 14 hours; more is a mistyped offset.
    (minutes < 60 && seconds <= 14 * 3_600).then_some(sign * seconds)
}

/// Escapes a name for a JSON pointer (RFC 6901 section 3).
pub(super) fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    fn quoted(text: &str) -> Json {
        Json::Text(text.to_owned())
    }

    #[derive(Debug, PartialEq)]
    struct Price {
        amount: String,
        decimals: u64,
    }

    fn price(json: &Json) -> Result<Price, Faults> {
        let mut fields = Fields::of(json);
        let amount = fields.required("amount", text(1..=39));
        let decimals = fields.required("decimals", unsigned(0..=18));
        fields.finish_with(|| Some(Price { amount: amount?, decimals: decimals? }))
    }

    fn errors_of<T>(read: Result<T, Faults>) -> Vec<(String, FieldCode)> {
        let errors = read.err().map(Faults::into_errors).unwrap_or_default();
        errors.into_iter().map(|error| (error.pointer.into_owned(), error.code)).collect()
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_pointer() {
        let body = json(
            r#"{"price":{"amount":7,"decimals":19,"currency":"EUR"},"docs":[{"amount":"1","decimals":0},{"amount":"1"},3],
                "is_open":"yes","wallet":null,"a/b~c":1}"#,
        );
        let mut fields = Fields::of(&body);
        assert_eq!(fields.required("price", price), None);
        assert_eq!(fields.required("docs", list(9, price)), None);
        assert_eq!(fields.required("is_open", boolean), None);
        assert_eq!(fields.required("name", text(1..=9)), None);
        assert_eq!(fields.optional("wallet", uuid), None);
        assert_eq!(
            errors_of(fields.finish()),
            [
                ("/price/amount", FieldCode::WrongType),
                ("/price/decimals", FieldCode::OutOfRange),
                ("/price/currency", FieldCode::UnknownField),
                ("/docs/1/decimals", FieldCode::Missing),
                ("/docs/2", FieldCode::WrongType),
                ("/is_open", FieldCode::WrongType),
                ("/name", FieldCode::Missing),
                ("/wallet", FieldCode::WrongType),
                ("/a~1b~0c", FieldCode::UnknownField),
            ]
            .map(|(pointer, code)| (pointer.to_owned(), code))
        );
    }

    #[test]
    fn absent_null_and_stated_are_three_things() {
        let body = json(r#"{"null":null,"stated":true}"#);
        let mut fields = Fields::of(&body);
        assert_eq!(fields.nullable("absent", boolean), None);
        assert_eq!(fields.nullable("null", boolean), Some(None));
        assert_eq!(fields.nullable("stated", boolean), Some(Some(true)));
        assert_eq!(fields.optional("absent", boolean), None);
        assert!(fields.has("null") && !fields.has("absent"));
        assert_eq!(fields.finish(), Ok(()));
        assert_eq!(price(&json(r#"{"amount":"100","decimals":2}"#)), Ok(Price { amount: "100".to_owned(), decimals: 2 }));
    }

    #[test]
    fn what_is_no_object_is_one_fault() {
        for text in ["[]", "null", "1", "\"x\""] {
            assert_eq!(errors_of(price(&json(text))), [(String::new(), FieldCode::WrongType)], "{text}");
        }
    }

    #[test]
    fn a04_numbers_are_plain_integers_in_range_or_refused() {
        let read = unsigned(0..=u64::MAX);
        for (text, integer) in [("0", 0), ("9007199254740993", 9_007_199_254_740_993), ("18446744073709551615", u64::MAX)] {
            assert_eq!(read(&json(text)), Ok(integer), "{text}");
        }
        let huge = format!("1{}", "0".repeat(40));
        for text in ["1e3", "1.0", "-0", "18446744073709551616", "-9223372036854775809", &huge, "\"1\"", "true", "null"] {
            assert_eq!(read(&json(text)).map_err(|fault| fault.code), Err(FieldCode::WrongType), "{text}");
        }
        for text in ["-1", "-9223372036854775808"] {
            assert_eq!(read(&json(text)).map_err(|fault| fault.code), Err(FieldCode::OutOfRange), "{text}");
        }
        let narrow = unsigned(1..=100);
        for (text, answer) in [("0", None), ("1", Some(1)), ("100", Some(100)), ("101", None)] {
            assert_eq!(narrow(&json(text)).ok(), answer, "{text}");
        }
    }

    #[test]
    fn a12_timestamps_need_rfc_3339_with_an_offset() {
        let micros_of_guide = 1_741_763_653_630_308;
        for (text, micros) in [
            ("2025-03-12T07:14:13.630308+00:00", micros_of_guide),
            ("2025-03-12t07:14:13.630308z", micros_of_guide),
            ("2025-03-12T07:14:13.630308999Z", micros_of_guide),
            ("2025-03-12T21:14:13.630308+14:00", micros_of_guide),
            ("2025-03-11T17:14:13.630308-14:00", micros_of_guide),
            ("2025-03-12T07:14:13.630308-00:00", micros_of_guide),
            ("2025-03-12T07:14:13.6Z", 1_741_763_653_600_000),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ] {
            assert_eq!(parse_timestamp(text).map(Instant::micros), Some(micros), "{text}");
        }
        for text in [
            "2025-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2025-03-12T24:00:00Z",
            "2025-03-12T07:60:13Z",
            "2016-12-31T23:59:60Z",
            "2025-03-12T07:14:13",
            "2025-03-12T07:14:13+14:01",
            "2025-03-12T07:14:13+15:00",
            "2025-03-12T07:14:13+01:60",
            "2025-03-12T07:14:13+0100",
            "2025-03-12T07:14:13+01",
            "0000-01-01T00:00:00Z",
            "1899-12-31T23:59:59Z",
            "2201-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "+002025-03-12T07:14:13Z",
            "2025-03-12T07:14:13Z[Europe/Berlin]",
            "2025-03-12T07:14:13+01:00[Europe/Berlin]",
            "2025-03-12T07:14:13.Z",
            "2025-03-12T07:14:13.1234567891Z",
            "2025-03-12T07:14:13,5Z",
            "2025-03-12 07:14:13Z",
            "2025-03-12T07:14Z",
            "2025-3-12T07:14:13Z",
            "20250312T071413Z",
            "2025-03-12",
            "2025-13-12T07:14:13Z",
            "2025-03-12T07:14:13Z ",
            " 2025-03-12T07:14:13Z",
            "2025-03-12T07:14:13\u{663}Z",
            "",
            "now",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        assert_eq!(timestamp(&Json::Integer(1)), Err(FieldFault::wrong_type("a text")));
    }

    #[test]
    fn a12_dates_are_calendar_dates() {
        assert_eq!(date(&quoted("2024-02-29")), Ok(jiff::civil::date(2024, 2, 29)));
        for text in ["2025-02-29", "2100-02-29", "2025-00-01", "2025-01-32", "1899-12-31", "2201-01-01", "2025-1-1", "20250101"] {
            assert_eq!(date(&quoted(text)).map_err(|fault| fault.code), Err(FieldCode::InvalidValue), "{text}");
        }
    }

    #[test]
    fn a13_texts_are_normalised_bounded_and_free_of_control_characters() {
        let read = text(1..=5);
        for (stated, stored) in [
            ("e\u{301}", "\u{e9}"),
            ("\u{202e}abc", "\u{202e}abc"),
            ("a\u{200b}b", "a\u{200b}b"),
            ("\u{1f600}\u{1f600}", "\u{1f600}\u{1f600}"),
            (" x ", " x "),
            ("<b>'", "<b>'"),
            ("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"),
        ] {
            assert_eq!(read(&quoted(stated)), Ok(stored.to_owned()), "{stated:?}");
        }
        let bomb = format!("e{}", "\u{301}".repeat(100_000));
        let long = "x".repeat(1_000_000);
        for (stated, code) in [
            ("", FieldCode::TooShort),
            ("sixsix", FieldCode::TooLong),
            (&bomb, FieldCode::TooLong),
            (&long, FieldCode::TooLong),
            ("a\u{0}", FieldCode::ControlCharacter),
            ("a\nb", FieldCode::ControlCharacter),
            ("\u{1b}[1m", FieldCode::ControlCharacter),
            ("\u{7f}", FieldCode::ControlCharacter),
            ("\u{9b}", FieldCode::ControlCharacter),
        ] {
            let shown: String = stated.chars().take(10).collect();
            assert_eq!(read(&quoted(stated)).map_err(|fault| fault.code), Err(code), "{shown:?}");
        }
    }

    #[test]
    fn a09_ids_have_one_spelling() {
        let id = "0195892f-7d5e-7000-8000-00000000002a";
        assert_eq!(uuid(&quoted(id)).unwrap().to_string(), id);
        assert_eq!(uuid(&quoted(&id.to_uppercase())).unwrap().to_string(), id);
        for text in [
            "",
            "x",
            "0195892f7d5e7000800000000000002a",
            "{0195892f-7d5e-7000-8000-00000000002a}",
            "urn:uuid:0195892f-7d5e-7000-8000-00000000002a",
            "0195892f-7d5e-7000-8000-00000000002g",
            "0195892f-7d5e-7000-8000-00000000002a ",
            "0195892f-7d5e-7000-80000-0000000002a",
        ] {
            assert_eq!(uuid(&quoted(text)).map_err(|fault| fault.code), Err(FieldCode::InvalidValue), "{text}");
        }
    }

    #[test]
    fn choices_lists_and_parsed_texts_say_what_is_due() {
        let read = one_of(&[("minimum_investment_amount", 1), ("public_offering", 2)]);
        assert_eq!(read(&quoted("public_offering")), Ok(2));
        assert_eq!(
            read(&quoted("Public_offering")),
            Err(FieldFault::invalid("must be one of minimum_investment_amount, public_offering"))
        );
        let read = parsed(|text: &str| text.parse::<u8>());
        assert_eq!(read(&quoted("7")), Ok(7));
        assert_eq!(read(&quoted("x")).map_err(|fault| fault.code), Err(FieldCode::InvalidValue));
        let flags = json("[true,false]");
        assert_eq!(errors_of(list(1, boolean)(&flags)), [(String::new(), FieldCode::TooLong)]);
        assert_eq!(list(2, boolean)(&flags), Ok(vec![true, false]));
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic() {
        proptest::proptest!(|(text in "\\PC{0,40}", stamp in "[0-9TtZz:.+-]{0,40}")| {
            let _ = (parse_timestamp(&text), parse_timestamp(&stamp), parse_date(&stamp), parse_uuid(&text));
        });
    }
}
