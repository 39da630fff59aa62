//! How a product pays interest, and how much of it has run up on a date.
//!
//! Source: guide, "Mark investment as paid": accrued interest comes from the product's configuration like interest rate and
//! interest periods. eWpRV § 7(1) makes amount, method of calculation and due dates the content of the register's entry.

mod accrual;
pub(crate) mod canonical;
mod schedule;
mod terms;

pub use accrual::{Accrual, NoAccrual, RunningAccrual, accrual};
pub use schedule::{Frequency, Schedule, Stub};
pub use terms::{
    CouponPeriod, CouponStatement, Coupons, InterestFault, ListedPeriod, PERIODS_MAX, PeriodFault, Periods, RateBasis,
};

use jiff::civil::Date;

/// How a product pays interest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Interest {
    /// It bears none and has no end.
    None,
    /// It bears none; its price is below what is paid back at maturity.
    ZeroCoupon {
        /// When it is paid back.
        maturity: Date,
    },
    /// It pays coupons.
    Coupons(Box<Coupons>),
}

impl Interest {
    /// When the product is paid back, where it is.
    #[must_use]
    pub fn maturity(&self) -> Option<Date> {
        match self {
            Self::None => None,
            Self::ZeroCoupon { maturity } => Some(*maturity),
            Self::Coupons(coupons) => Some(coupons.statement().maturity),
        }
    }

    /// The periods that coupons are paid for, in order; none without coupons.
    #[must_use]
    pub fn coupon_periods(&self) -> &[CouponPeriod] {
        match self {
            Self::None | Self::ZeroCoupon { .. } => &[],
            Self::Coupons(coupons) => coupons.periods(),
        }
    }

    /// Whether interest is computed on a nominal value, so that the product has to state one.
    #[must_use]
    pub const fn needs_nominal_value(&self) -> bool {
        match self {
            Self::None | Self::ZeroCoupon { .. } => false,
            Self::Coupons(_) => true,
        }
    }
}

#[cfg(test)]
mod tests;
