//! Free text that people read: names.

use std::fmt;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// The longest name, in code points.
pub const NAME_CHARS_MAX: usize = 255;

/// A name: 1 to 255 code points, NFC, without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NameFault {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More than 255 code points.
    #[error("must have at most 255 characters")]
    TooLong,
    /// NUL, C0, C1 or DEL.
    #[error("must not contain control characters")]
    ControlCharacter,
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// The text is empty, too long, or holds a control character.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        if text.trim().is_empty() {
            return Err(NameFault::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(NameFault::ControlCharacter);
        }
        // Normalising can only shorten what fits, so a bomb of combining characters is cut off before it is normalised.
        if text.chars().nth(NAME_CHARS_MAX * 4).is_some() {
            return Err(NameFault::TooLong);
        }
        let normalised: String = text.nfc().collect();
        if normalised.chars().count() > NAME_CHARS_MAX {
            return Err(NameFault::TooLong);
        }
        Ok(Self(normalised))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_and_bounded() {
        assert_eq!(Name::parse("e\u{301}").unwrap().as_str(), "\u{e9}");
        assert_eq!(Name::parse(&"x".repeat(255)).unwrap().as_str().len(), 255);
        assert_eq!(Name::parse(&"x".repeat(256)), Err(NameFault::TooLong));
        assert_eq!(Name::parse("  "), Err(NameFault::Empty));
        assert_eq!(Name::parse("a\u{0}b"), Err(NameFault::ControlCharacter));
    }
}
