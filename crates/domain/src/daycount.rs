//! Day counts: which fraction of a year lies between two dates.
//!
//! The first date is counted, the last is not. A fraction is a sum of exact segments, so that whoever is shown them can add
//! them up again. Sources: ISDA 2006 Definitions, section 4.16 (30/360 family, Actual/360, Actual/365 Fixed, Actual/Actual),
//! ISDA memo "EMU and Market Conventions" of 1998 and ICMA Rule 251 (Actual/Actual by notional periods), and for the
//! US variant the end-of-February rule of the SIA.

use jiff::civil::Date;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

/// How days are counted. "30/360" alone would be ambiguous: four rules bear that name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DayCount {
    /// 30E/360 (Eurobond basis): the 31st counts as the 30th.
    ThirtyE360,
    /// 30E/360 (ISDA): as 30E/360, and the last day of February counts as the 30th unless it is the termination date.
    ThirtyE360Isda,
    /// 30/360 (bond basis): the last 31st counts as the 30th only when the first day is the 30th or 31st.
    Thirty360Bond,
    /// 30/360 (US): bond basis with the end-of-February rule.
    Thirty360Us,
    /// Actual days over 360.
    Act360,
    /// Actual days over 365, in leap years too.
    Act365Fixed,
    /// Actual days over 365 in common and 366 in leap years (ISDA).
    ActActIsda,
    /// Actual days over those of the notional coupon period times the periods of a year (ICMA).
    ActActIcma,
}

/// A notional coupon period: the regular period that a coupon period is, or is measured by where it is short or long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NotionalPeriod {
    /// Its first day.
    pub start: Date,
    /// The day after its last.
    pub end: Date,
}

/// What some conventions need beside the two dates.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// The security's termination date (30E/360 ISDA).
    pub termination: Date,
    /// Notional periods in order and without gaps that cover the dates (Actual/Actual ICMA).
    pub notional: &'a [NotionalPeriod],
    /// Regular periods of a year (Actual/Actual ICMA).
    pub periods_per_year: u8,
}

/// Days over the days of a year: one summand of a fraction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Segment {
    /// The first day.
    pub start: Date,
    /// The day after the last.
    pub end: Date,
    /// Days as the convention counts them.
    pub days: i64,
    /// What they are divided by.
    pub days_of_year: i64,
}

impl Segment {
    /// Its exact value; zero where a year would have no days.
    #[must_use]
    pub fn exact(&self) -> BigRational {
        if self.days_of_year == 0 {
            return BigRational::zero();
        }
        BigRational::new(BigInt::from(self.days), BigInt::from(self.days_of_year))
    }
}

/// The exact sum of segments, in years.
#[must_use]
pub fn exact_sum(segments: &[Segment]) -> BigRational {
    segments.iter().map(Segment::exact).sum()
}

/// Actual days from one date to another.
#[must_use]
pub fn actual_days(start: Date, end: Date) -> i64 {
    start.duration_until(end).as_hours() / 24
}

impl DayCount {
    /// Every convention.
    pub const ALL: [Self; 8] = [
        Self::ThirtyE360,
        Self::ThirtyE360Isda,
        Self::Thirty360Bond,
        Self::Thirty360Us,
        Self::Act360,
        Self::Act365Fixed,
        Self::ActActIsda,
        Self::ActActIcma,
    ];

    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ThirtyE360 => "30E_360",
            Self::ThirtyE360Isda => "30E_360_ISDA",
            Self::Thirty360Bond => "30_360_BOND",
            Self::Thirty360Us => "30_360_US",
            Self::Act360 => "ACT_360",
            Self::Act365Fixed => "ACT_365F",
            Self::ActActIsda => "ACT_ACT_ISDA",
            Self::ActActIcma => "ACT_ACT_ICMA",
        }
    }

    /// The convention a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|convention| convention.code() == code)
    }

    /// The segments from `start` (counted) to `end` (not counted); none where no day lies between.
    #[must_use]
    pub fn segments(self, start: Date, end: Date, reference: &Reference<'_>) -> Vec<Segment> {
        if start >= end {
            return Vec::new();
        }
        let whole = |days, days_of_year| vec![Segment { start, end, days, days_of_year }];
        match self {
            Self::ThirtyE360 => whole(days_30e(start, end), 360),
            Self::ThirtyE360Isda => whole(days_30e_isda(start, end, reference.termination), 360),
            Self::Thirty360Bond => whole(days_bond(start, end), 360),
            Self::Thirty360Us => whole(days_us(start, end), 360),
            Self::Act360 => whole(actual_days(start, end), 360),
            Self::Act365Fixed => whole(actual_days(start, end), 365),
            Self::ActActIsda => by_calendar_years(start, end),
            Self::ActActIcma => by_notional_periods(start, end, reference),
        }
    }
}

/// Days between two dates in a year of twelve months of thirty days, from the days of the month that count.
fn days_of_thirties(start: Date, start_day: i64, end: Date, end_day: i64) -> i64 {
    let years = i64::from(end.year()) - i64::from(start.year());
    let months = i64::from(end.month()) - i64::from(start.month());
    360 * years + 30 * months + end_day - start_day
}

fn day(date: Date) -> i64 {
    i64::from(date.day())
}

fn is_end_of_february(date: Date) -> bool {
    date.month() == 2 && date.day() == date.days_in_month()
}

fn days_30e(start: Date, end: Date) -> i64 {
    days_of_thirties(start, day(start).min(30), end, day(end).min(30))
}

fn days_30e_isda(start: Date, end: Date, termination: Date) -> i64 {
    let start_day = if is_end_of_february(start) { 30 } else { day(start).min(30) };
    let end_day = if is_end_of_february(end) && end != termination { 30 } else { day(end).min(30) };
    days_of_thirties(start, start_day, end, end_day)
}

fn days_bond(start: Date, end: Date) -> i64 {
    let start_day = day(start).min(30);
    let end_day = if start_day == 30 { day(end).min(30) } else { day(end) };
    days_of_thirties(start, start_day, end, end_day)
}

fn days_us(start: Date, end: Date) -> i64 {
    if !is_end_of_february(start) {
        return days_bond(start, end);
    }
    let end_day = if is_end_of_february(end) { 30 } else { day(end).min(30) };
    days_of_thirties(start, 30, end, end_day)
}

/// One segment a calendar year.
fn by_calendar_years(start: Date, end: Date) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut from = start;
    while from < end {
        let next_year = from.year().checked_add(1).and_then(|year| Date::new(year, 1, 1).ok());
        let to = next_year.map_or(end, |new_year| new_year.min(end));
        let days_of_year = if from.in_leap_year() { 366 } else { 365 };
        segments.push(Segment { start: from, end: to, days: actual_days(from, to), days_of_year });
        from = to;
    }
    segments
}

/// One segment for each notional period that is touched.
fn by_notional_periods(start: Date, end: Date, reference: &Reference<'_>) -> Vec<Segment> {
    let touched = reference.notional.iter().filter(|period| period.start < end && start < period.end);
    touched
        .map(|period| {
            let (from, to) = (start.max(period.start), end.min(period.end));
            let days_of_year = actual_days(period.start, period.end) * i64::from(reference.periods_per_year);
            Segment { start: from, end: to, days: actual_days(from, to), days_of_year }
        })
        .collect()
}

#[cfg(test)]
mod tests;
