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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::BusinessDayRule;
    use crate::daycount::{DayCount, NotionalPeriod};
    use crate::interest::{Coupons, Frequency, RateBasis, Stub};
    use crate::money::Percent;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn state(interest: &Interest) -> Vec<u8> {
        let mut state = Canonical::new();
        write(&mut state, interest);
        state.as_slice().to_vec()
    }

    fn listed(change: impl FnOnce(&mut ListedPeriod)) -> Periods {
        let mut period =
            ListedPeriod { start: day("2025-01-15"), end: day("2026-01-15"), payment: None, rate: None, notional: Vec::new() };
        change(&mut period);
        Periods::Listed { frequency: Frequency::Annual, periods: vec![period] }
    }

    /// A change of any one fact would be seen in the journal.
    #[test]
    fn every_fact_of_the_terms_is_in_their_state() {
        let plain = CouponStatement {
            rate: Percent::parse("5").unwrap(),
            rate_basis: RateBasis::PerYear,
            day_count: DayCount::Act360,
            interest_start: day("2025-01-15"),
            maturity: day("2026-01-15"),
            business_day_rule: BusinessDayRule::Unadjusted,
            periods: Periods::Generated(regular()),
        };
        let changes: [fn(&mut CouponStatement); 15] = [
            |_| {},
            |terms| terms.rate = Percent::parse("5.1").unwrap(),
            |terms| terms.rate_basis = RateBasis::PerPeriod,
            |terms| terms.day_count = DayCount::Act365Fixed,
            |terms| terms.interest_start = day("2024-01-15"),
            |terms| terms.maturity = day("2027-01-15"),
            |terms| terms.business_day_rule = BusinessDayRule::Following,
            |terms| terms.periods = Periods::Generated(Schedule { frequency: Frequency::SemiAnnual, ..regular() }),
            |terms| terms.periods = Periods::Generated(Schedule { end_of_month: true, ..regular() }),
            |terms| terms.periods = Periods::Generated(Schedule { stub: Stub::ShortLast, ..regular() }),
            |terms| terms.periods = listed(|_| {}),
            |terms| terms.periods = listed(|period| period.payment = Some(day("2026-01-16"))),
            |terms| terms.periods = listed(|period| period.rate = Some(Percent::parse("3").unwrap())),
            |terms| terms.periods = listed(|period| period.notional = vec![covering("2025-01-15")]),
            |terms| terms.periods = listed(|period| period.notional = vec![covering("2025-01-14")]),
        ];
        let terms = changes.map(|change| {
            let mut stated = plain.clone();
            change(&mut stated);
            Interest::Coupons(Box::new(Coupons::new(stated).unwrap()))
        });
        let zero = |maturity| Interest::ZeroCoupon { maturity: day(maturity) };
        let others = [Interest::None, zero("2026-01-15"), zero("2026-01-16")];
        let states: std::collections::BTreeSet<Vec<u8>> = terms.iter().chain(&others).map(state).collect();
        assert_eq!(states.len(), 18, "each has a state of its own");
        assert_eq!(state(&terms[0]), state(&terms[0].clone()));
    }

    const fn regular() -> Schedule {
        Schedule { frequency: Frequency::Annual, end_of_month: false, stub: Stub::None }
    }

    fn covering(start: &str) -> NotionalPeriod {
        NotionalPeriod { start: day(start), end: day("2026-01-15") }
    }
}
