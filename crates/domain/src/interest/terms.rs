//! The coupon terms of a product: what an issuer states, and the periods that follow from it.

use jiff::civil::Date;
use num_traits::Zero;
use thiserror::Error;

use super::schedule::{Frequency, NotGenerated, Schedule};
use crate::calendar::BusinessDayRule;
use crate::daycount::{DayCount, NotionalPeriod, Reference, exact_sum};
use crate::money::Percent;

/// Coupon periods of a product at most: a hundred years of months.
pub const PERIODS_MAX: usize = 1_200;

/// What a rate is a rate of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RateBasis {
    /// Percent of the nominal a year.
    PerYear,
    /// Percent of the nominal a coupon period, whatever its length.
    PerPeriod,
}

impl RateBasis {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PerYear, Self::PerPeriod];

    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PerYear => "per_year",
            Self::PerPeriod => "per_period",
        }
    }

    /// The basis a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.code() == code)
    }
}

/// A coupon period as an issuer lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedPeriod {
    /// Its first day.
    pub start: Date,
    /// The day after its last: the next one's first, and the coupon date.
    pub end: Date,
    /// When it is paid, before the business-day rule; its end where nothing is said.
    pub payment: Option<Date>,
    /// Its own rate, where it differs.
    pub rate: Option<Percent>,
    /// The notional periods that it is measured by, where it is not regular (Actual/Actual ICMA).
    pub notional: Vec<NotionalPeriod>,
}

/// Where the periods come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Periods {
    /// They are listed.
    Listed {
        /// Regular periods of a year.
        frequency: Frequency,
        /// In order, without gaps.
        periods: Vec<ListedPeriod>,
    },
    /// They are generated.
    Generated(Schedule),
}

/// What an issuer states about coupons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CouponStatement {
    /// The rate.
    pub rate: Percent,
    /// What it is a rate of.
    pub rate_basis: RateBasis,
    /// How days are counted.
    pub day_count: DayCount,
    /// The first day that bears interest.
    pub interest_start: Date,
    /// The day on which the nominal is paid back, which bears none.
    pub maturity: Date,
    /// Where payment dates go that are no TARGET days. Interest periods are not moved.
    pub business_day_rule: BusinessDayRule,
    /// Where the periods come from.
    pub periods: Periods,
}

/// A coupon period that is known to be in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CouponPeriod {
    /// Its first day.
    pub start: Date,
    /// The day after its last.
    pub end: Date,
    /// When the coupon is paid: a business day where the rule asks for one.
    pub payment: Date,
    /// The rate that holds in it.
    pub rate: Percent,
    /// Notional periods that cover it.
    pub notional: Vec<NotionalPeriod>,
}

/// What is wrong with one listed period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PeriodFault {
    /// It ends before it has begun, or on the same day.
    #[error("ends on or before its first day")]
    EndNotAfterStart,
    /// Days between the period before and it belong to none.
    #[error("does not begin where the period before it ends: there is a gap")]
    Gap,
    /// Days belong to the period before and to it.
    #[error("does not begin where the period before it ends: they overlap")]
    Overlap,
    /// The first period does not begin on the first day that bears interest.
    #[error("is the first and does not begin on the interest start date")]
    NotFromInterestStart,
    /// The last period does not end at maturity.
    #[error("is the last and does not end on the maturity date")]
    NotToMaturity,
    /// It is paid before it is over.
    #[error("is paid before its end")]
    PaymentBeforeEnd,
    /// Its notional periods have gaps or do not cover it.
    #[error("is not covered by its notional periods")]
    NotionalDoesNotCover,
    /// The convention counts no day in it, so that a rate per period cannot be divided by its days.
    #[error("has no day by the day count convention")]
    NoDay,
    /// Its payment date leaves the calendar.
    #[error("is paid after the end of the calendar")]
    PaymentOutOfRange,
}

impl PeriodFault {
    /// The stable code on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::EndNotAfterStart => "period_end_not_after_start",
            Self::Gap => "period_gap",
            Self::Overlap => "period_overlap",
            Self::NotFromInterestStart => "period_not_from_interest_start",
            Self::NotToMaturity => "period_not_to_maturity",
            Self::PaymentBeforeEnd => "period_payment_before_end",
            Self::NotionalDoesNotCover => "period_notional_does_not_cover",
            Self::NoDay => "period_without_day",
            Self::PaymentOutOfRange => "period_payment_out_of_range",
        }
    }
}

/// Why coupon terms are not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum InterestFault {
    /// Maturity is not after the first day that bears interest.
    #[error("the maturity date must be after the interest start date")]
    MaturityNotAfterStart,
    /// No period is listed.
    #[error("at least one interest period is needed")]
    NoPeriods,
    /// More periods than a hundred years of months.
    #[error("there are more than 1200 interest periods")]
    TooManyPeriods,
    /// The term is no whole number of periods, and no stub is allowed.
    #[error("the term is no whole number of periods: state where the irregular period goes")]
    Irregular,
    /// One listed period.
    #[error("interest period {index} {fault}")]
    Period {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        fault: PeriodFault,
    },
}

impl InterestFault {
    /// The stable code on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::MaturityNotAfterStart => "maturity_not_after_start",
            Self::NoPeriods => "no_interest_periods",
            Self::TooManyPeriods => "too_many_interest_periods",
            Self::Irregular => "irregular_term",
            Self::Period { fault, .. } => fault.code(),
        }
    }
}

/// Coupon terms that are known to be in order.
///
/// Invariant: the periods join from the interest start date to maturity without gap or overlap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coupons {
    statement: CouponStatement,
    periods: Vec<CouponPeriod>,
}

impl Coupons {
    /// Checks a statement and works out its periods.
    ///
    /// # Errors
    /// Everything that is wrong with it, period by period.
    pub fn new(statement: CouponStatement) -> Result<Self, Vec<InterestFault>> {
        if statement.maturity <= statement.interest_start {
            return Err(vec![InterestFault::MaturityNotAfterStart]);
        }
        let listed = match &statement.periods {
            Periods::Listed { periods, .. } => listed_checked(&statement, periods)?,
            Periods::Generated(schedule) => generated(&statement, *schedule)?,
        };
        let mut faults = Vec::new();
        let mut periods = Vec::with_capacity(listed.len());
        for (index, period) in listed.into_iter().enumerate() {
            match settled(&statement, period) {
                Ok(period) => periods.push(period),
                Err(fault) => faults.push(InterestFault::Period { index, fault }),
            }
        }
        if faults.is_empty() { Ok(Self { statement, periods }) } else { Err(faults) }
    }

    /// What was stated.
    #[must_use]
    pub const fn statement(&self) -> &CouponStatement {
        &self.statement
    }

    /// The periods, in order.
    #[must_use]
    pub fn periods(&self) -> &[CouponPeriod] {
        &self.periods
    }

    /// The period that a date lies in; `None` before the interest start and from maturity on.
    #[must_use]
    pub fn period_of(&self, date: Date) -> Option<&CouponPeriod> {
        let ended = self.periods.partition_point(|period| period.end <= date);
        self.periods.get(ended).filter(|period| period.start <= date)
    }

    /// What the day count needs to know beside two dates of a period.
    #[must_use]
    pub fn reference<'a>(&self, period: &'a CouponPeriod) -> Reference<'a> {
        reference(&self.statement, &period.notional)
    }
}

fn reference<'a>(statement: &CouponStatement, notional: &'a [NotionalPeriod]) -> Reference<'a> {
    let frequency = match &statement.periods {
        Periods::Listed { frequency, .. } | Periods::Generated(Schedule { frequency, .. }) => *frequency,
    };
    Reference { termination: statement.maturity, notional, periods_per_year: frequency.periods_per_year() }
}

fn generated(statement: &CouponStatement, schedule: Schedule) -> Result<Vec<ListedPeriod>, Vec<InterestFault>> {
    let periods = schedule.generate(statement.interest_start, statement.maturity, PERIODS_MAX);
    let periods = periods.map_err(|fault| match fault {
        NotGenerated::Irregular => vec![InterestFault::Irregular],
        NotGenerated::TooMany => vec![InterestFault::TooManyPeriods],
    })?;
    let listed = periods.into_iter().map(|period| ListedPeriod {
        start: period.start,
        end: period.end,
        payment: None,
        rate: None,
        notional: period.notional,
    });
    Ok(listed.collect())
}

fn listed_checked(statement: &CouponStatement, periods: &[ListedPeriod]) -> Result<Vec<ListedPeriod>, Vec<InterestFault>> {
    if periods.is_empty() {
        return Err(vec![InterestFault::NoPeriods]);
    }
    if periods.len() > PERIODS_MAX {
        return Err(vec![InterestFault::TooManyPeriods]);
    }
    let mut faults = Vec::new();
    let mut expected_start = statement.interest_start;
    for (index, period) in periods.iter().enumerate() {
        let is_first = index == 0;
        let is_last = index + 1 == periods.len();
        let start_fault = match period.start.cmp(&expected_start) {
            std::cmp::Ordering::Equal => None,
            _differs if is_first => Some(PeriodFault::NotFromInterestStart),
            std::cmp::Ordering::Greater => Some(PeriodFault::Gap),
            std::cmp::Ordering::Less => Some(PeriodFault::Overlap),
        };
        let end_fault = (period.end <= period.start).then_some(PeriodFault::EndNotAfterStart);
        let last_fault = (is_last && period.end != statement.maturity).then_some(PeriodFault::NotToMaturity);
        let payment_fault = period.payment.is_some_and(|payment| payment < period.end).then_some(PeriodFault::PaymentBeforeEnd);
        let covers = period.notional.is_empty() || is_covered(period.start, period.end, &period.notional);
        let notional_fault = (!covers).then_some(PeriodFault::NotionalDoesNotCover);
        let found = [start_fault, end_fault, last_fault, payment_fault, notional_fault];
        faults.extend(found.into_iter().flatten().map(|fault| InterestFault::Period { index, fault }));
        expected_start = period.end;
    }
    if faults.is_empty() { Ok(periods.to_vec()) } else { Err(faults) }
}

fn is_covered(start: Date, end: Date, notional: &[NotionalPeriod]) -> bool {
    let joins = notional.iter().zip(notional.iter().skip(1)).all(|(one, next)| one.end == next.start);
    let are_real = notional.iter().all(|period| period.start < period.end);
    let reach = notional.first().zip(notional.last()).is_some_and(|(first, last)| first.start <= start && end <= last.end);
    joins && are_real && reach
}

fn settled(statement: &CouponStatement, listed: ListedPeriod) -> Result<CouponPeriod, PeriodFault> {
    let ListedPeriod { start, end, payment, rate, notional } = listed;
    let payment = payment.unwrap_or(end);
    let payment = statement.business_day_rule.adjust(payment).ok_or(PeriodFault::PaymentOutOfRange)?;
    let notional = if notional.is_empty() { vec![NotionalPeriod { start, end }] } else { notional };
    if statement.rate_basis == RateBasis::PerPeriod {
        let segments = statement.day_count.segments(start, end, &reference(statement, &notional));
        if exact_sum(&segments).is_zero() {
            return Err(PeriodFault::NoDay);
        }
    }
    Ok(CouponPeriod { start, end, payment, rate: rate.unwrap_or(statement.rate), notional })
}
