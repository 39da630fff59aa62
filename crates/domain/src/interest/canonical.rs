//! Interest terms as the journal sees them: every fact once, in a fixed order.

use jiff::civil::Date;

use super::{CouponStatement, Interest, ListedPeriod, Periods, Schedule};
use crate::journal::Canonical;

/// Writes the terms into an object's canonical state.
pub(crate) fn write(state: &mut Canonical, interest: &Interest) {
    match interest {
        Interest::None => {
            state.text("none");
        }
        Interest::ZeroCoupon { maturity } => {
            date(state.text("zero_coupon"), *maturity);
        }
        Interest::Coupons(coupons) => statement(state.text("coupons"), coupons.statement()),
    }
}

fn statement(state: &mut Canonical, stated: &CouponStatement) {
    let CouponStatement { rate, rate_basis, day_count, interest_start, maturity, business_day_rule, periods } = stated;
    state.text(&rate.to_string()).text(rate_basis.code()).text(day_count.code());
    date(state, *interest_start);
    date(state, *maturity);
    state.text(business_day_rule.code());
    match periods {
        Periods::Generated(Schedule { frequency, end_of_month, stub }) => {
            state.text("generated").text(frequency.code()).flag(*end_of_month).text(stub.code());
        }
        Periods::Listed { frequency, periods } => {
            state.text("listed").text(frequency.code()).number(periods.len() as u64);
            for one in periods {
                period(state, one);
            }
        }
    }
}

fn period(state: &mut Canonical, listed: &ListedPeriod) {
    let ListedPeriod { start, end, payment, rate, notional } = listed;
    date(state, *start);
    date(state, *end);
    state.optional(payment.map(|payment| payment.to_string()).as_deref().map(str::as_bytes));
    state.optional(rate.map(|rate| rate.to_string()).as_deref().map(str::as_bytes));
    state.number(notional.len() as u64);
    for one in notional {
        date(state, one.start);
        date(state, one.end);
    }
}

fn date(state: &mut Canonical, date: Date) {
    state.text(&date.to_string());
}
