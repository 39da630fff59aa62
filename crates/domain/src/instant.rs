//! Instants in microseconds UTC, and the calendar date that counts for money.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use thiserror::Error;

/// How far in the future a stated date may lie before it is refused: clocks of two companies differ by seconds.
pub const STATED_AHEAD_MICROS_MAX: i64 = 5 * 60 * 1_000_000;

/// The zone whose calendar date is the value date of a payment. Its rules are part of the program: a machine without a zone
/// database, or with an old one, must not move a date.
static VALUE_DATE_ZONE: TimeZone = jiff::tz::get!("Europe/Berlin");

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(i64);

/// An instant or a calculation with one lies outside the years that can be represented.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the instant is out of range")]
pub struct InstantOutOfRange;

impl Instant {
    /// An instant from microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past: a block's time is in seconds.
    #[must_use]
    pub const fn seconds_floor(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// An instant from a parsed timestamp; anything finer than a microsecond is cut off.
    #[must_use]
    pub fn from_timestamp(timestamp: Timestamp) -> Self {
        Self(timestamp.as_microsecond())
    }

    /// Parses RFC 3339 with an offset.
    ///
    /// # Errors
    /// The text is not an RFC 3339 timestamp with an offset.
    pub fn parse(text: &str) -> Result<Self, InstantOutOfRange> {
        text.parse::<Timestamp>().map(Self::from_timestamp).map_err(|_| InstantOutOfRange)
    }

    /// This instant later by `micros`.
    ///
    /// # Errors
    /// The sum cannot be represented.
    pub fn checked_add_micros(self, micros: i64) -> Result<Self, InstantOutOfRange> {
        self.0.checked_add(micros).map(Self).ok_or(InstantOutOfRange)
    }

    /// This instant later by a calendar span in UTC (`P30D`, `P1M`, `PT6H`).
    ///
    /// # Errors
    /// The sum cannot be represented.
    pub fn checked_add_span(self, span: Span) -> Result<Self, InstantOutOfRange> {
        let timestamp = Timestamp::from_microsecond(self.0).map_err(|_| InstantOutOfRange)?;
        let later = timestamp.to_zoned(TimeZone::UTC).checked_add(span).map_err(|_| InstantOutOfRange)?;
        Ok(Self::from_timestamp(later.timestamp()))
    }

    /// Whether a date stated by a client lies further ahead of `now` than clocks may differ.
    #[must_use]
    pub const fn is_too_far_ahead_of(self, now: Self) -> bool {
        self.0.saturating_sub(now.0) > STATED_AHEAD_MICROS_MAX
    }

    /// The calendar date in Europe/Berlin: the value date of a payment received at this instant. An instant outside the
    /// years that the calendar knows counts as its first or last day.
    #[must_use]
    pub fn value_date(self) -> Date {
        let outside = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let timestamp = Timestamp::from_microsecond(self.0).unwrap_or(outside);
        timestamp.to_zoned(VALUE_DATE_ZONE.clone()).date()
    }
}

/// RFC 3339 with six digits and a numeric offset, as the guide writes it: `2025-03-12T07:14:13.630308+00:00`.
///
/// An answer holds several of them, so the digits are set one by one instead of being formatted number by number.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(timestamp) = Timestamp::from_microsecond(self.0) else { return write!(f, "{}us", self.0) };
        let civil = TimeZone::UTC.to_datetime(timestamp);
        if civil.year() < 0 {
            return write!(f, "{}+00:00", timestamp.strftime("%Y-%m-%dT%H:%M:%S.%6f"));
        }
        let mut text = *b"0000-00-00T00:00:00.000000+00:00";
        let parts: [(Range<usize>, u32); 7] = [
            (0..4, civil.year().unsigned_abs().into()),
            (5..7, civil.month().unsigned_abs().into()),
            (8..10, civil.day().unsigned_abs().into()),
            (11..13, civil.hour().unsigned_abs().into()),
            (14..16, civil.minute().unsigned_abs().into()),
            (17..19, civil.second().unsigned_abs().into()),
            (20..26, civil.subsec_nanosecond().unsigned_abs() / 1_000),
        ];
        for (place, number) in parts {
            set_digits(text.get_mut(place).unwrap_or_default(), number);
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// Writes the last decimal digits of a number.
fn set_digits(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_timestamp_is_written_back_to_the_letter() {
        let text = "2025-03-12T07:14:13.630308+00:00";
        assert_eq!(Instant::parse(text).unwrap().to_string(), text);
        let other_offset = Instant::parse("2025-03-12T08:14:13.630308+01:00").unwrap();
        assert_eq!(other_offset.to_string(), text);
    }

    #[test]
    fn instants_are_written_as_the_calendar_writes_them() {
        let edges = [0, 1, 999_999, 1_000_000, 253_402_207_200_000_000, 951_782_399_999_999, -62_167_219_200_000_000];
        let many = (0..20_000_i64).map(|step| step * 12_345_678_901_237 - 60_000_000_000_000_000);
        for micros in edges.into_iter().chain(many) {
            let timestamp = Timestamp::from_microsecond(micros).unwrap();
            let expected = format!("{}+00:00", timestamp.strftime("%Y-%m-%dT%H:%M:%S.%6f"));
            assert_eq!(Instant::from_micros(micros).to_string(), expected, "{micros}");
        }
        assert_eq!(Instant::from_micros(i64::MAX).to_string(), "9223372036854775807us");
    }

    /// Midnight in Berlin, winter and summer time, the hour that is missing and the one that comes twice.
    #[test]
    fn m08_the_value_date_is_the_berlin_date() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/value_dates.json")).unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() >= 13);
        for case in cases {
            let paid_at = Instant::parse(case["paid_at"].as_str().unwrap()).unwrap();
            assert_eq!(paid_at.value_date().to_string(), case["value_date"], "{case}");
        }
    }

    #[test]
    fn an_instant_outside_the_calendar_counts_as_its_edge() {
        assert_eq!(Instant::from_micros(i64::MAX).value_date().year(), 9999);
        assert_eq!(Instant::from_micros(i64::MIN).value_date().year(), -9999);
    }

    #[test]
    fn a_stated_date_may_lie_five_minutes_ahead_and_no_more() {
        let now = Instant::from_micros(1_000_000);
        let at_limit = now.checked_add_micros(STATED_AHEAD_MICROS_MAX).unwrap();
        assert!(!at_limit.is_too_far_ahead_of(now));
        assert!(at_limit.checked_add_micros(1).unwrap().is_too_far_ahead_of(now));
    }
}
