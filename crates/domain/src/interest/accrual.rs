//! Interest that has run up since the last coupon date.

use jiff::civil::Date;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use super::{CouponPeriod, Coupons, Interest, RateBasis};
use crate::daycount::{DayCount, Segment, exact_sum};
use crate::refusal::Refusal;

/// Why no interest has run up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoAccrual {
    /// The product bears none.
    NoInterest,
    /// The product pays everything at maturity.
    ZeroCoupon,
    /// The value date is before the first day that bears interest.
    BeforeInterestStart,
    /// The value date is a coupon date: the coupon goes to who held the units before.
    CouponDate,
}

impl NoAccrual {
    /// The stable code on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoInterest => "no_interest",
            Self::ZeroCoupon => "zero_coupon",
            Self::BeforeInterestStart => "before_interest_start",
            Self::CouponDate => "coupon_date",
        }
    }
}

/// Interest that runs in a coupon period.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunningAccrual<'a> {
    /// The period.
    pub period: &'a CouponPeriod,
    /// How days are counted.
    pub day_count: DayCount,
    /// What the rate is a rate of.
    pub rate_basis: RateBasis,
    /// Regular periods of a year.
    pub periods_per_year: u8,
    /// From the period's first day to the value date.
    pub elapsed: Vec<Segment>,
    /// The whole period, which a rate per period is divided by; empty where the rate is one per year.
    pub whole: Vec<Segment>,
}

/// What has run up on a value date.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Accrual<'a> {
    /// Nothing.
    Nothing(NoAccrual),
    /// Something, or a period by whose convention no day has passed yet.
    Running(RunningAccrual<'a>),
}

impl RunningAccrual<'_> {
    /// The part of the nominal that has run up, exactly.
    #[must_use]
    pub fn exact(&self) -> BigRational {
        let per_cent = self.period.rate.exact() / BigRational::from_integer(BigInt::from(100));
        let elapsed = exact_sum(&self.elapsed);
        let whole = exact_sum(&self.whole);
        match self.rate_basis {
            RateBasis::PerYear => per_cent * elapsed,
            // A period without a day is not taken into the terms.
            RateBasis::PerPeriod if whole.is_zero() => BigRational::zero(),
            RateBasis::PerPeriod => per_cent * elapsed / whole,
        }
    }
}

/// What has run up on a value date: the period's first day counts, the value date does not.
///
/// # Errors
/// [`Refusal::ValueDateAfterMaturity`]: the units are paid back already.
pub fn accrual(interest: &Interest, value_date: Date) -> Result<Accrual<'_>, Refusal> {
    if let Some(maturity) = interest.maturity().filter(|maturity| value_date > *maturity) {
        return Err(Refusal::ValueDateAfterMaturity { value_date, maturity });
    }
    Ok(match interest {
        Interest::None => Accrual::Nothing(NoAccrual::NoInterest),
        Interest::ZeroCoupon { .. } => Accrual::Nothing(NoAccrual::ZeroCoupon),
        Interest::Coupons(coupons) => of_coupons(coupons, value_date),
    })
}

fn of_coupons(coupons: &Coupons, value_date: Date) -> Accrual<'_> {
    let statement = coupons.statement();
    if value_date < statement.interest_start {
        return Accrual::Nothing(NoAccrual::BeforeInterestStart);
    }
    let Some(period) = coupons.period_of(value_date).filter(|period| period.start < value_date) else {
        return Accrual::Nothing(NoAccrual::CouponDate);
    };
    let reference = coupons.reference(period);
    let whole = match statement.rate_basis {
        RateBasis::PerYear => Vec::new(),
        RateBasis::PerPeriod => statement.day_count.segments(period.start, period.end, &reference),
    };
    Accrual::Running(RunningAccrual {
        period,
        day_count: statement.day_count,
        rate_basis: statement.rate_basis,
        periods_per_year: reference.periods_per_year,
        elapsed: statement.day_count.segments(period.start, value_date, &reference),
        whole,
    })
}
