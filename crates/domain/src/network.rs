//! The names of the networks on which tokens stand.

use std::fmt;

/// The longest name, in bytes.
pub const NETWORK_NAME_BYTES_MAX: usize = 32;

/// The operator's name of a network: 1 to 32 of lower-case letters, digits and hyphens, a letter first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NetworkName(String);

impl NetworkName {
    /// The ledger inside the program, which no operator configures.
    #[must_use]
    pub fn embedded() -> Self {
        Self("embedded".to_owned())
    }

    /// Reads a name; `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_named = text.len() <= NETWORK_NAME_BYTES_MAX
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        is_named.then(|| Self(text.to_owned()))
    }

    /// Whether it is the ledger inside the program.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        *self == Self::embedded()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for text in ["polygon", "a", "eth-2", &"x".repeat(32)] {
            assert_eq!(NetworkName::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "Polygon", "2eth", "-a", "a.b", "a b", "é", &"x".repeat(33)] {
            assert_eq!(NetworkName::parse(text), None, "{text:?}");
        }
        assert!(NetworkName::parse("embedded").unwrap().is_embedded());
        assert!(!NetworkName::parse("embedded-2").unwrap().is_embedded());
    }
}
