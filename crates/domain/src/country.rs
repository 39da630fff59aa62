//! Countries by ISO 3166-1 alpha-3.

use std::fmt;

/// An ISO 3166-1 alpha-3 code that is assigned today.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Country([u8; 3]);

impl Country {
    /// Reads an upper-case alpha-3 code; `None` for lower case, alpha-2, withdrawn and unknown codes.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        let known = bytes.iter().all(u8::is_ascii_uppercase) && rust_iso3166::from_alpha3(code).is_some();
        known.then_some(Self(bytes))
    }

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_assigned_upper_case_alpha_3_codes_are_countries() {
        assert_eq!(Country::parse("DEU").map(|c| c.to_string()), Some("DEU".to_owned()));
        for refused in ["deu", "DE", "XXX", "DDR", "SUN", "YUG", "", "DEUT", "D U"] {
            assert_eq!(Country::parse(refused), None, "{refused}");
        }
    }
}
