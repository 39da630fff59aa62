//! Coupon periods generated from start, maturity, frequency, end-of-month rule and stub.

use jiff::Span;
use jiff::civil::Date;

use crate::daycount::NotionalPeriod;

/// Regular coupon periods of a year.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Frequency {
    /// One.
    Annual,
    /// Two.
    SemiAnnual,
    /// Four.
    Quarterly,
    /// Twelve.
    Monthly,
}

impl Frequency {
    /// Every frequency.
    pub const ALL: [Self; 4] = [Self::Annual, Self::SemiAnnual, Self::Quarterly, Self::Monthly];

    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Annual => "annual",
            Self::SemiAnnual => "semi_annual",
            Self::Quarterly => "quarterly",
            Self::Monthly => "monthly",
        }
    }

    /// The frequency a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|frequency| frequency.code() == code)
    }

    /// Regular periods of a year.
    #[must_use]
    pub const fn periods_per_year(self) -> u8 {
        match self {
            Self::Annual => 1,
            Self::SemiAnnual => 2,
            Self::Quarterly => 4,
            Self::Monthly => 12,
        }
    }

    /// Months of a regular period.
    #[must_use]
    pub const fn months(self) -> i32 {
        match self {
            Self::Annual => 12,
            Self::SemiAnnual => 6,
            Self::Quarterly => 3,
            Self::Monthly => 1,
        }
    }
}

/// Where the irregular period goes when start and maturity are no whole number of periods apart, and whether the rest stands
/// alone (short) or joins its neighbour (long).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stub {
    /// Nowhere: the periods must be regular.
    None,
    /// First, by itself.
    ShortFirst,
    /// First, with the next period.
    LongFirst,
    /// Last, by itself.
    ShortLast,
    /// Last, with the period before.
    LongLast,
}

impl Stub {
    /// Every place.
    pub const ALL: [Self; 5] = [Self::None, Self::ShortFirst, Self::LongFirst, Self::ShortLast, Self::LongLast];

    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ShortFirst => "short_first",
            Self::LongFirst => "long_first",
            Self::ShortLast => "short_last",
            Self::LongLast => "long_last",
        }
    }

    /// The place a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stub| stub.code() == code)
    }

    const fn is_first(self) -> bool {
        match self {
            Self::ShortFirst | Self::LongFirst => true,
            Self::None | Self::ShortLast | Self::LongLast => false,
        }
    }

    const fn is_long(self) -> bool {
        match self {
            Self::LongFirst | Self::LongLast => true,
            Self::None | Self::ShortFirst | Self::ShortLast => false,
        }
    }
}

/// How periods are generated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Schedule {
    /// Regular periods of a year.
    pub frequency: Frequency,
    /// Whether a schedule that is rolled from the last day of a month stays on last days.
    pub end_of_month: bool,
    /// Where the irregular period goes.
    pub stub: Stub,
}

/// A generated period with the notional periods that cover it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Generated {
    pub start: Date,
    pub end: Date,
    pub notional: Vec<NotionalPeriod>,
}

/// Why nothing was generated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotGenerated {
    /// The term is no whole number of periods, and no stub is allowed.
    Irregular,
    /// A date would leave the calendar, or there are more periods than are allowed.
    TooMany,
}

impl Schedule {
    /// The periods from `start` to `maturity`; at most `periods_max`.
    ///
    /// Dates are rolled from the end that has no stub: each is that date moved by whole periods, its day cut to the month's
    /// last where the month is shorter, so that a schedule from 31 January comes back to 31 March.
    pub(super) fn generate(self, start: Date, maturity: Date, periods_max: usize) -> Result<Vec<Generated>, NotGenerated> {
        let grid = self.grid(start, maturity, periods_max)?;
        let is_regular = grid.first() == Some(&start) && grid.last() == Some(&maturity);
        if !is_regular && self.stub == Stub::None {
            return Err(NotGenerated::Irregular);
        }
        let mut inner: Vec<Date> = grid.iter().copied().filter(|date| start < *date && *date < maturity).collect();
        if !is_regular && self.stub.is_long() && !inner.is_empty() {
            let joined = if self.stub.is_first() { 0 } else { inner.len() - 1 };
            inner.remove(joined);
        }
        let starts = std::iter::once(start).chain(inner.iter().copied());
        let ends = inner.iter().copied().chain(std::iter::once(maturity));
        Ok(starts.zip(ends).map(|(start, end)| Generated { start, end, notional: covering(&grid, start, end) }).collect())
    }

    /// Regular dates in order that cover the term; the first or the last may lie outside it.
    fn grid(self, start: Date, maturity: Date, periods_max: usize) -> Result<Vec<Date>, NotGenerated> {
        let (anchor, direction) = if self.stub.is_first() { (maturity, -1) } else { (start, 1) };
        let mut grid = vec![anchor];
        for count in 1_i32.. {
            let covers = grid.last().is_some_and(|last| if self.stub.is_first() { *last <= start } else { *last >= maturity });
            if covers {
                break;
            }
            if grid.len() > periods_max {
                return Err(NotGenerated::TooMany);
            }
            let months = self.frequency.months().checked_mul(count * direction).ok_or(NotGenerated::TooMany)?;
            grid.push(self.roll(anchor, months).ok_or(NotGenerated::TooMany)?);
        }
        if self.stub.is_first() {
            grid.reverse();
        }
        Ok(grid)
    }

    fn roll(self, anchor: Date, months: i32) -> Option<Date> {
        let rolled = anchor.checked_add(Span::new().try_months(months).ok()?).ok()?;
        let stays_last = self.end_of_month && anchor == anchor.last_of_month();
        Some(if stays_last { rolled.last_of_month() } else { rolled })
    }
}

fn covering(grid: &[Date], start: Date, end: Date) -> Vec<NotionalPeriod> {
    let periods = grid.iter().zip(grid.iter().skip(1)).map(|(start, end)| NotionalPeriod { start: *start, end: *end });
    periods.filter(|period| period.start < end && start < period.end).collect()
}
