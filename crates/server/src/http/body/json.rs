//! The JSON tree, strictly parsed.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::fields::{Faults, escape_pointer};
use crate::http::problem::{FieldCode, FieldError};

/// The deepest nesting of a JSON body; the deepest published request has four levels.
pub const JSON_DEPTH_MAX: u8 = 32;

/// A JSON value. The members of an object are sorted by name and unique.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A plain integer between -2^63 and 2^64 - 1.
    Integer(i128),
    /// Any other number (fraction, exponent, `-0`, out of range), as the bits of its nearest double. No reader
    /// accepts it; the bits only keep different bodies different.
    NotInteger(u64),
    /// A text.
    Text(String),
    /// A list.
    Array(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses one JSON text (RFC 8259) and nothing after it.
    ///
    /// # Errors
    /// The bytes are not UTF-8 JSON (a byte order mark is none), nest deeper than [`JSON_DEPTH_MAX`], or hold a name
    /// twice in one object. The fault's pointer names the innermost value that was being read.
    pub fn parse(bytes: &[u8]) -> Result<Self, Faults> {
        let trace = RefCell::new(Trace::default());
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let parsed =
            Tree { depth: 0, trace: &trace }.deserialize(&mut deserializer).and_then(|json| deserializer.end().map(|()| json));
        parsed.map_err(|error| {
            let trace = trace.into_inner();
            let pointer: String = trace.path.iter().rev().flat_map(|segment| ["/", segment]).collect();
            let code = trace.code.unwrap_or(FieldCode::MalformedJson);
            Faults::from(FieldError::new(pointer, code, error.to_string()))
        })
    }

    /// One byte string per value: names sorted, no white space. The idempotency fingerprint is made of it.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Integer(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
            Self::NotInteger(bits) => out.extend_from_slice(format!("double:{bits:016x}").as_bytes()),
            Self::Text(text) => write_quoted(text, out),
            Self::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write_canonical(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_quoted(name, out);
                    out.push(b':');
                    value.write_canonical(out);
                }
                out.push(b'}');
            }
        }
    }
}

fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Where parsing stopped and why; filled in on the way out, so that parsing what is right costs nothing.
#[derive(Default)]
struct Trace {
    code: Option<FieldCode>,
    /// Escaped segments, innermost first.
    path: Vec<String>,
}

#[derive(Clone, Copy)]
struct Tree<'t> {
    depth: u8,
    trace: &'t RefCell<Trace>,
}

impl Tree<'_> {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == JSON_DEPTH_MAX {
            self.trace.borrow_mut().code = Some(FieldCode::TooDeep);
            return Err(E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1, trace: self.trace })
    }

    fn leave<E>(self, segment: &str, error: E) -> E {
        self.trace.borrow_mut().path.push(escape_pointer(segment));
        error
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Json, E> {
        Ok(Json::Integer(integer.into()))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Json, E> {
        Ok(Json::Integer(integer.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::NotInteger(number.to_bits()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        loop {
            match items.next_element_seed(below) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => return Ok(Json::Array(values)),
                Err(error) => return Err(self.leave(&values.len().to_string(), error)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut values: Vec<(String, Json)> = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            match members.next_value_seed(below) {
                Ok(value) => values.push((name, value)),
                Err(error) => return Err(self.leave(&name, error)),
            }
        }
        values.sort_by(|(left, _), (right, _)| left.cmp(right));
        let twice = values.windows(2).find_map(|pair| match pair {
            [(left, _), (right, _)] if left == right => Some(left.as_str()),
            _ => None,
        });
        if let Some(name) = twice {
            self.trace.borrow_mut().code = Some(FieldCode::DuplicateField);
            return Err(self.leave(name, de::Error::custom("the name stands twice")));
        }
        Ok(Json::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> (String, FieldCode) {
        let errors = Json::parse(bytes).unwrap_err().into_errors();
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        (error.pointer.to_string(), error.code)
    }

    #[test]
    fn a01_what_is_no_json_is_refused_with_a_pointer() {
        let cases: [(&[u8], &str); 19] = [
            (b"", ""),
            (b"   ", ""),
            (b"{", ""),
            (b"{\"units\":", "/units"),
            (b"{\"a\":[1,2", "/a/2"),
            (b"{\"a\":[1,{\"b\":tru}]}", "/a/1/b"),
            (b"{}x", ""),
            (b"{} {}", ""),
            (b"\xef\xbb\xbf{}", ""),
            (b"\xff\xfe{\0}\0", ""),
            (b"{\"a\":\"\xff\"}", "/a"),
            (b"{\"a\":\"\\ud800\"}", "/a"),
            (b"{\"a\":\"\\udc00x\"}", "/a"),
            (b"{\"a\":\"\n\"}", "/a"),
            (b"{\"a\":1,}", ""),
            (b"{'a':1}", ""),
            (b"// x\n{}", ""),
            (b"\0", ""),
            (b"{\"a\":undefined}", "/a"),
        ];
        for (bytes, pointer) in cases {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(fault(bytes), (pointer.to_owned(), FieldCode::MalformedJson), "{shown:?}");
        }
    }

    #[test]
    fn a02_a_name_that_stands_twice_is_refused() {
        assert_eq!(fault(br#"{"units":1,"name":"x","units":1}"#), ("/units".to_owned(), FieldCode::DuplicateField));
        assert_eq!(fault(br#"{"a":[{"b":1,"\u0062":2}]}"#), ("/a/0/b".to_owned(), FieldCode::DuplicateField));
        assert!(Json::parse(br#"{"units":1,"Units":1,"a":{"units":1}}"#).is_ok());
        let many = (0..10_000).map(|index| format!("\"{index}\":1,")).collect::<Vec<_>>().concat();
        assert!(Json::parse(format!("{{{many}\"x\":1}}").as_bytes()).is_ok());
        assert_eq!(fault(format!("{{{many}\"7\":1}}").as_bytes()), ("/7".to_owned(), FieldCode::DuplicateField));
    }

    #[test]
    fn a03_depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(32).as_bytes()).is_ok());
        let (pointer, code) = fault(nested(33).as_bytes());
        assert_eq!((pointer, code), ("/0".repeat(32), FieldCode::TooDeep));
        assert_eq!(fault(&b"[".repeat(100_000)).1, FieldCode::TooDeep);
        assert_eq!(fault(&b"{\"a\":".repeat(100_000)).1, FieldCode::TooDeep);
        let number = [b"1".repeat(60_000), b"x".to_vec()].concat();
        assert_eq!(fault(&number).1, FieldCode::MalformedJson);
    }

    #[test]
    fn a04_number_spellings_outside_json_are_refused() {
        for text in ["01", "+1", "NaN", "Infinity", "-", "1.", ".5", "0x10", "1e", "1e400", "1_000"] {
            assert_eq!(fault(text.as_bytes()), (String::new(), FieldCode::MalformedJson), "{text}");
        }
        for text in ["1e3", "1.0", "-0", "-0.0", "18446744073709551616", "1E-2"] {
            assert!(matches!(Json::parse(text.as_bytes()), Ok(Json::NotInteger(_))), "{text}");
        }
        assert_eq!(Json::parse(b"-1"), Ok(Json::Integer(-1)));
    }

    #[test]
    fn canonical_bytes_ignore_order_and_space_and_nothing_else() {
        let canonical = |text: &str| String::from_utf8(Json::parse(text.as_bytes()).unwrap().canonical_bytes()).unwrap();
        let one = canonical("{ \"b\" : [ 1 , -2, null ] ,\n\"a\":{\"d\":true,\"c\":\"\\u0041\\u0001\\\"\"}}");
        assert_eq!(one, r#"{"a":{"c":"A\u0001\"","d":true},"b":[1,-2,null]}"#);
        assert_eq!(canonical(&one), one);
        for (left, right) in [("1", "\"1\""), ("1", "1.0"), ("1.5", "1.25"), ("[1,2]", "[2,1]"), ("{}", "[]"), ("null", "false")]
        {
            assert_ne!(canonical(left), canonical(right), "{left} {right}");
        }
    }

    #[test]
    fn any_bytes_parse_or_fail_without_a_panic() {
        proptest::proptest!(|(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "[\\[\\]{}:,\"0-9a\\\\u.-]{0,60}")| {
            let _ = Json::parse(&bytes);
            if let Ok(json) = Json::parse(text.as_bytes()) {
                let again = json.canonical_bytes();
                proptest::prop_assert_eq!(Json::parse(&again).map(|json| json.canonical_bytes()).unwrap_or(again.clone()), again);
            }
        });
    }
}
