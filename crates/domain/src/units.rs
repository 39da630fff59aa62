//! Units: whole tokens. A token has no decimals.

use std::fmt;

/// A number of whole tokens, at most 2^63 − 1 (what both database engines can hold).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Units(u64);

/// The largest number of units.
pub const UNITS_MAX: u64 = i64::MAX as u64;

impl Units {
    /// No units.
    pub const ZERO: Self = Self(0);

    /// A number of units; `None` above 2^63 − 1.
    #[must_use]
    pub const fn new(units: u64) -> Option<Self> {
        if units <= UNITS_MAX { Some(Self(units)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, or `None` above 2^63 − 1.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::new)
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// What is left, zero where `other` is larger: for showing, never for keeping accounts.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
