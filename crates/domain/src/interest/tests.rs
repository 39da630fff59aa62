use jiff::civil::Date;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;
use proptest::prelude::*;

use super::*;
use crate::calendar::BusinessDayRule;
use crate::daycount::{DayCount, NotionalPeriod, actual_days};
use crate::money::Percent;
use crate::refusal::Refusal;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn exact(numerator: i64, denominator: i64) -> BigRational {
    BigRational::new(BigInt::from(numerator), BigInt::from(denominator))
}

fn statement(start: &str, maturity: &str, periods: Periods) -> CouponStatement {
    CouponStatement {
        rate: Percent::parse("5").unwrap(),
        rate_basis: RateBasis::PerYear,
        day_count: DayCount::ActActIcma,
        interest_start: date(start),
        maturity: date(maturity),
        business_day_rule: BusinessDayRule::Unadjusted,
        periods,
    }
}

fn generated(
    start: &str,
    maturity: &str,
    frequency: Frequency,
    end_of_month: bool,
    stub: Stub,
) -> Result<Coupons, Vec<InterestFault>> {
    Coupons::new(statement(start, maturity, Periods::Generated(Schedule { frequency, end_of_month, stub })))
}

fn listed(start: &str, end: &str) -> ListedPeriod {
    ListedPeriod { start: date(start), end: date(end), payment: None, rate: None, notional: Vec::new() }
}

fn bounds(coupons: &Coupons) -> Vec<String> {
    let starts = coupons.periods().iter().map(|period| period.start.to_string());
    starts.chain(coupons.periods().last().map(|period| period.end.to_string())).collect()
}

#[test]
fn schedules_are_rolled_from_the_end_without_the_stub() {
    use Frequency::{Annual, Monthly, Quarterly, SemiAnnual};
    type Row = (&'static str, &'static str, Frequency, bool, Stub, &'static [&'static str]);
    let rows: [Row; 11] = [
        ("2025-01-15", "2026-01-15", SemiAnnual, false, Stub::None, &["2025-01-15", "2025-07-15", "2026-01-15"]),
        ("2025-03-01", "2026-01-15", SemiAnnual, false, Stub::ShortFirst, &["2025-03-01", "2025-07-15", "2026-01-15"]),
        ("2025-03-01", "2026-01-15", SemiAnnual, false, Stub::LongFirst, &["2025-03-01", "2026-01-15"]),
        ("2025-03-01", "2026-07-15", SemiAnnual, false, Stub::LongFirst, &["2025-03-01", "2026-01-15", "2026-07-15"]),
        ("2025-03-01", "2026-01-15", SemiAnnual, false, Stub::ShortLast, &["2025-03-01", "2025-09-01", "2026-01-15"]),
        ("2025-03-01", "2026-01-15", SemiAnnual, false, Stub::LongLast, &["2025-03-01", "2026-01-15"]),
        // The day of the month comes back after a short month.
        ("2025-12-31", "2026-03-31", Monthly, false, Stub::None, &["2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31"]),
        // From the last of February: last days only where the rule says so.
        ("2025-02-28", "2025-08-31", Quarterly, true, Stub::None, &["2025-02-28", "2025-05-31", "2025-08-31"]),
        ("2025-02-28", "2025-08-28", Quarterly, false, Stub::None, &["2025-02-28", "2025-05-28", "2025-08-28"]),
        (
            "2024-02-29",
            "2028-02-29",
            Annual,
            false,
            Stub::None,
            &["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
        ),
        // A term shorter than one period is one short period, wherever the stub would go.
        ("2025-03-01", "2025-05-01", SemiAnnual, false, Stub::LongLast, &["2025-03-01", "2025-05-01"]),
    ];
    for (start, maturity, frequency, end_of_month, stub, expected) in rows {
        let coupons = generated(start, maturity, frequency, end_of_month, stub).unwrap();
        assert_eq!(bounds(&coupons), expected, "{start} to {maturity} {frequency:?} {stub:?}");
    }
    let irregular = generated("2025-03-01", "2026-01-15", SemiAnnual, false, Stub::None);
    assert_eq!(irregular.unwrap_err(), [InterestFault::Irregular]);
}

#[test]
fn m07_stubs_are_measured_by_the_notional_periods_that_cover_them() {
    for (start, maturity, frequency, end_of_month, stub, value_date, numerator, denominator) in [
        // Short and long first and last stubs of the ISDA memo on Actual/Actual.
        ("1999-02-01", "2000-07-01", Frequency::Annual, false, Stub::ShortFirst, "1999-06-30", 149, 365),
        (
            "2002-08-15",
            "2004-01-15",
            Frequency::SemiAnnual,
            false,
            Stub::LongFirst,
            "2003-07-14",
            153 * 181 + 180 * 184,
            368 * 181,
        ),
        ("1999-07-30", "2000-06-30", Frequency::SemiAnnual, false, Stub::ShortLast, "2000-06-29", 151, 364),
        ("1999-11-30", "2000-04-30", Frequency::Quarterly, true, Stub::LongLast, "2000-04-29", 91 * 92 + 60 * 91, 4 * 91 * 92),
    ] {
        let coupons = generated(start, maturity, frequency, end_of_month, stub).unwrap();
        let interest = Interest::Coupons(Box::new(coupons));
        let Ok(Accrual::Running(running)) = accrual(&interest, date(value_date)) else { panic!("{start} runs on {value_date}") };
        assert_eq!(running.exact(), exact(5, 100) * exact(numerator, denominator), "{start} to {value_date}");
    }
}

#[test]
fn wrong_lists_are_refused_with_the_period_named() {
    let of = |periods: Vec<ListedPeriod>| {
        let periods = Periods::Listed { frequency: Frequency::Annual, periods };
        Coupons::new(statement("2025-01-01", "2027-01-01", periods)).map(|_| ()).unwrap_err()
    };
    let fault = |index, fault| InterestFault::Period { index, fault };
    let first = || listed("2025-01-01", "2026-01-01");
    assert_eq!(of(vec![]), [InterestFault::NoPeriods]);
    assert_eq!(of(vec![first(), listed("2026-01-02", "2027-01-01")]), [fault(1, PeriodFault::Gap)]);
    assert_eq!(of(vec![first(), listed("2025-12-31", "2027-01-01")]), [fault(1, PeriodFault::Overlap)]);
    assert_eq!(of(vec![listed("2025-01-02", "2027-01-01")]), [fault(0, PeriodFault::NotFromInterestStart)]);
    assert_eq!(of(vec![first()]), [fault(0, PeriodFault::NotToMaturity)]);
    assert_eq!(
        of(vec![first(), listed("2026-01-01", "2026-01-01"), listed("2026-01-01", "2027-01-01")]),
        [fault(1, PeriodFault::EndNotAfterStart)]
    );
    let early = ListedPeriod { payment: Some(date("2026-12-31")), ..listed("2026-01-01", "2027-01-01") };
    assert_eq!(of(vec![first(), early]), [fault(1, PeriodFault::PaymentBeforeEnd)]);
    let half = NotionalPeriod { start: date("2026-01-01"), end: date("2026-07-01") };
    let uncovered = ListedPeriod { notional: vec![half], ..listed("2026-01-01", "2027-01-01") };
    assert_eq!(of(vec![first(), uncovered]), [fault(1, PeriodFault::NotionalDoesNotCover)]);
    let torn = NotionalPeriod { start: date("2026-07-02"), end: date("2027-01-01") };
    let torn = ListedPeriod { notional: vec![half, torn], ..listed("2026-01-01", "2027-01-01") };
    assert_eq!(of(vec![first(), torn]), [fault(1, PeriodFault::NotionalDoesNotCover)]);
    let both = of(vec![listed("2025-01-02", "2026-01-01"), listed("2026-02-01", "2027-02-01")]);
    let expected =
        [fault(0, PeriodFault::NotFromInterestStart), fault(1, PeriodFault::Gap), fault(1, PeriodFault::NotToMaturity)];
    assert_eq!(both, expected, "all at once");
}

#[test]
fn notional_periods_cover_a_listed_one_in_order_and_without_gaps() {
    let taken = |bounds: &[(&str, &str)]| {
        let notional = bounds.iter().map(|(start, end)| NotionalPeriod { start: date(start), end: date(end) }).collect();
        let period = ListedPeriod { payment: Some(date("2026-01-01")), notional, ..listed("2025-01-01", "2026-01-01") };
        let periods = Periods::Listed { frequency: Frequency::Annual, periods: vec![period] };
        Coupons::new(statement("2025-01-01", "2026-01-01", periods)).map(|coupons| coupons.periods()[0].notional.len())
    };
    let uncovered = Err(vec![InterestFault::Period { index: 0, fault: PeriodFault::NotionalDoesNotCover }]);
    // One that is not listed is the period itself; it is paid on its last day at the earliest.
    assert_eq!(taken(&[]), Ok(1));
    assert_eq!(taken(&[("2025-01-01", "2026-01-01")]), Ok(1));
    assert_eq!(taken(&[("2024-07-01", "2025-07-01"), ("2025-07-01", "2026-07-01")]), Ok(2));
    for wrong in [
        &[("2025-01-02", "2026-01-01")][..],
        &[("2025-01-01", "2025-12-31")],
        &[("2025-01-01", "2025-07-01"), ("2025-07-02", "2026-01-01")],
        &[("2025-07-01", "2026-01-01"), ("2025-01-01", "2025-07-01")],
        // Nothing, and something that runs backwards, are no periods.
        &[("2025-01-01", "2025-07-01"), ("2025-07-01", "2025-07-01"), ("2025-07-01", "2026-01-01")],
        &[("2025-01-01", "2026-01-01"), ("2026-01-01", "2025-12-01"), ("2025-12-01", "2026-01-01")],
    ] {
        assert_eq!(taken(wrong), uncovered, "{wrong:?}");
    }
}

#[test]
fn terms_without_length_or_with_too_many_periods_are_refused() {
    for maturity in ["2025-01-01", "2024-12-31"] {
        let refused = generated("2025-01-01", maturity, Frequency::Annual, false, Stub::ShortLast).unwrap_err();
        assert_eq!(refused, [InterestFault::MaturityNotAfterStart]);
    }
    assert!(generated("2025-01-01", "2125-01-01", Frequency::Monthly, false, Stub::None).is_ok(), "a hundred years of months");
    let refused = generated("2025-01-01", "2125-02-01", Frequency::Monthly, false, Stub::None).unwrap_err();
    assert_eq!(refused, [InterestFault::TooManyPeriods]);
    let days = |count: i64| {
        let day = |number: i64| date("2025-01-01").checked_add(jiff::Span::new().days(number)).unwrap();
        let one = |number| ListedPeriod { start: day(number), end: day(number + 1), ..listed("2025-01-01", "2025-01-02") };
        let periods = Periods::Listed { frequency: Frequency::Annual, periods: (0..count).map(one).collect() };
        Coupons::new(CouponStatement { maturity: day(count), ..statement("2025-01-01", "2028-04-16", periods) })
    };
    assert_eq!(days(1_200).map(|coupons| coupons.periods().len()), Ok(1_200));
    assert_eq!(days(1_201).unwrap_err(), [InterestFault::TooManyPeriods]);
}

#[test]
fn a_rate_per_period_needs_a_day_in_every_period() {
    let mut wanted = statement(
        "2025-03-30",
        "2025-04-30",
        Periods::Listed {
            frequency: Frequency::Annual,
            periods: vec![listed("2025-03-30", "2025-03-31"), listed("2025-03-31", "2025-04-30")],
        },
    );
    wanted.day_count = DayCount::ThirtyE360;
    assert!(Coupons::new(wanted.clone()).is_ok(), "a rate per year has no need of it");
    wanted.rate_basis = RateBasis::PerPeriod;
    let refused = Coupons::new(wanted).unwrap_err();
    assert_eq!(refused, [InterestFault::Period { index: 0, fault: PeriodFault::NoDay }]);
}

#[test]
fn payment_dates_are_adjusted_and_interest_periods_are_not() {
    let mut wanted = statement(
        "2024-06-01",
        "2025-06-01",
        Periods::Generated(Schedule { frequency: Frequency::SemiAnnual, end_of_month: false, stub: Stub::None }),
    );
    for (rule, payments) in [
        (BusinessDayRule::Unadjusted, ["2024-12-01", "2025-06-01"]),
        (BusinessDayRule::Following, ["2024-12-02", "2025-06-02"]),
        (BusinessDayRule::ModifiedFollowing, ["2024-12-02", "2025-06-02"]),
    ] {
        wanted.business_day_rule = rule;
        let coupons = Coupons::new(wanted.clone()).unwrap();
        let found: Vec<String> = coupons.periods().iter().map(|period| period.payment.to_string()).collect();
        assert_eq!(found, payments, "{rule:?}");
        assert_eq!(bounds(&coupons), ["2024-06-01", "2024-12-01", "2025-06-01"]);
    }
}

/// The edges of the term.
#[test]
fn m06_nothing_runs_before_the_start_nor_on_a_coupon_date_nor_after_maturity() {
    let coupons = generated("2025-01-15", "2026-01-15", Frequency::SemiAnnual, false, Stub::None).unwrap();
    let interest = Interest::Coupons(Box::new(coupons));
    for (value_date, expected) in [
        ("2025-01-14", NoAccrual::BeforeInterestStart),
        ("2025-01-15", NoAccrual::CouponDate),
        ("2025-07-15", NoAccrual::CouponDate),
        ("2026-01-15", NoAccrual::CouponDate),
    ] {
        assert_eq!(accrual(&interest, date(value_date)), Ok(Accrual::Nothing(expected)), "{value_date}");
    }
    for (value_date, days, period_days) in [("2025-01-16", 1, 181), ("2025-07-14", 180, 181), ("2025-07-16", 1, 184)] {
        let Ok(Accrual::Running(running)) = accrual(&interest, date(value_date)) else { panic!("{value_date}") };
        assert_eq!(running.exact(), exact(5, 100) * exact(days, period_days * 2), "{value_date}");
    }
    let late = accrual(&interest, date("2026-01-16"));
    let refusal = Refusal::ValueDateAfterMaturity { value_date: date("2026-01-16"), maturity: date("2026-01-15") };
    assert_eq!(late, Err(refusal));
}

#[test]
fn products_without_coupons_accrue_nothing() {
    assert_eq!(accrual(&Interest::None, date("2099-01-01")), Ok(Accrual::Nothing(NoAccrual::NoInterest)));
    let zero = Interest::ZeroCoupon { maturity: date("2030-06-30") };
    assert_eq!(accrual(&zero, date("2030-06-30")), Ok(Accrual::Nothing(NoAccrual::ZeroCoupon)));
    let refusal = Refusal::ValueDateAfterMaturity { value_date: date("2030-07-01"), maturity: date("2030-06-30") };
    assert_eq!(accrual(&zero, date("2030-07-01")), Err(refusal));
    assert!(!Interest::None.needs_nominal_value() && !zero.needs_nominal_value());
    let bond = Interest::Coupons(Box::new(generated("2025-01-15", "2026-01-15", Frequency::Annual, false, Stub::None).unwrap()));
    assert!(bond.needs_nominal_value());
    assert_eq!(
        [Interest::None.maturity(), zero.maturity(), bond.maturity()],
        [None, Some(date("2030-06-30")), Some(date("2026-01-15"))]
    );
    assert_eq!([&Interest::None, &zero, &bond].map(|interest| interest.coupon_periods().len()), [0, 0, 1]);
}

#[test]
fn a_rate_per_period_is_earned_in_proportion_and_a_period_may_have_its_own() {
    let own = ListedPeriod { rate: Some(Percent::parse("3").unwrap()), ..listed("2025-07-01", "2026-01-01") };
    let mut wanted = statement(
        "2025-01-01",
        "2026-01-01",
        Periods::Listed { frequency: Frequency::SemiAnnual, periods: vec![listed("2025-01-01", "2025-07-01"), own] },
    );
    wanted.rate_basis = RateBasis::PerPeriod;
    for day_count in DayCount::ALL {
        wanted.day_count = day_count;
        let interest = Interest::Coupons(Box::new(Coupons::new(wanted.clone()).unwrap()));
        let Ok(Accrual::Running(running)) = accrual(&interest, date("2025-10-01")) else { panic!("{day_count:?}") };
        let (days, whole) = match day_count {
            DayCount::ThirtyE360 | DayCount::ThirtyE360Isda | DayCount::Thirty360Bond | DayCount::Thirty360Us => (90, 180),
            DayCount::Act360 | DayCount::Act365Fixed | DayCount::ActActIsda | DayCount::ActActIcma => (92, 184),
        };
        assert_eq!(running.exact(), exact(3, 100) * exact(days, whole), "{day_count:?}");
    }
}

#[test]
fn words_name_one_thing_each() {
    assert!(Frequency::ALL.into_iter().all(|one| Frequency::from_code(one.code()) == Some(one)));
    assert!(Stub::ALL.into_iter().all(|one| Stub::from_code(one.code()) == Some(one)));
    assert!(RateBasis::ALL.into_iter().all(|one| RateBasis::from_code(one.code()) == Some(one)));
    assert!(Frequency::ALL.into_iter().all(|one| i32::from(one.periods_per_year()) * one.months() == 12));
}

/// What goes over the wire and into the database.
#[test]
fn words_are_those_of_the_documentation() {
    assert_eq!(Frequency::ALL.map(Frequency::code), ["annual", "semi_annual", "quarterly", "monthly"]);
    assert_eq!(Frequency::ALL.map(Frequency::periods_per_year), [1, 2, 4, 12]);
    assert_eq!(Stub::ALL.map(Stub::code), ["none", "short_first", "long_first", "short_last", "long_last"]);
    assert_eq!(RateBasis::ALL.map(RateBasis::code), ["per_year", "per_period"]);
    assert_eq!((Frequency::from_code("weekly"), Stub::from_code("middle"), RateBasis::from_code("per_day")), (None, None, None));
    let reasons = [NoAccrual::NoInterest, NoAccrual::ZeroCoupon, NoAccrual::BeforeInterestStart, NoAccrual::CouponDate];
    assert_eq!(reasons.map(NoAccrual::code), ["no_interest", "zero_coupon", "before_interest_start", "coupon_date"]);
    let faults = [
        InterestFault::MaturityNotAfterStart,
        InterestFault::NoPeriods,
        InterestFault::TooManyPeriods,
        InterestFault::Irregular,
        InterestFault::Period { index: 7, fault: PeriodFault::Gap },
    ];
    let codes = ["maturity_not_after_start", "no_interest_periods", "too_many_interest_periods", "irregular_term", "period_gap"];
    assert_eq!(faults.map(InterestFault::code), codes);
    let faults = [
        (PeriodFault::EndNotAfterStart, "period_end_not_after_start"),
        (PeriodFault::Gap, "period_gap"),
        (PeriodFault::Overlap, "period_overlap"),
        (PeriodFault::NotFromInterestStart, "period_not_from_interest_start"),
        (PeriodFault::NotToMaturity, "period_not_to_maturity"),
        (PeriodFault::PaymentBeforeEnd, "period_payment_before_end"),
        (PeriodFault::NotionalDoesNotCover, "period_notional_does_not_cover"),
        (PeriodFault::NoDay, "period_without_day"),
        (PeriodFault::PaymentOutOfRange, "period_payment_out_of_range"),
    ];
    assert!(faults.iter().all(|(fault, code)| fault.code() == *code));
}

/// The grid of a short first period reaches back before the start, that of a short last one beyond maturity.
#[test]
fn irregular_periods_know_the_regular_ones_that_cover_them() {
    type Row = (Stub, usize, &'static [(&'static str, &'static str)]);
    let rows: [Row; 4] = [
        (Stub::ShortFirst, 0, &[("2024-12-15", "2025-06-15")]),
        (Stub::LongFirst, 0, &[("2024-12-15", "2025-06-15"), ("2025-06-15", "2025-12-15")]),
        (Stub::ShortLast, 3, &[("2026-09-01", "2027-03-01")]),
        (Stub::LongLast, 2, &[("2026-03-01", "2026-09-01"), ("2026-09-01", "2027-03-01")]),
    ];
    for (stub, place, expected) in rows {
        let coupons = generated("2025-03-01", "2026-12-15", Frequency::SemiAnnual, false, stub).unwrap();
        let period = &coupons.periods()[place];
        let found: Vec<(String, String)> =
            period.notional.iter().map(|notional| (notional.start.to_string(), notional.end.to_string())).collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(start, end)| ((*start).to_owned(), (*end).to_owned())).collect();
        assert_eq!(found, expected, "{stub:?}");
    }
}

/// Day by day: before the start and from maturity on there is none.
#[test]
fn a_day_lies_in_the_period_that_counts_it() {
    let coupons = generated("2025-01-15", "2026-01-15", Frequency::SemiAnnual, false, Stub::None).unwrap();
    for (day, expected) in [
        ("2025-01-14", None),
        ("2025-01-15", Some("2025-01-15")),
        ("2025-07-14", Some("2025-01-15")),
        ("2025-07-15", Some("2025-07-15")),
        ("2026-01-14", Some("2025-07-15")),
        ("2026-01-15", None),
    ] {
        assert_eq!(coupons.period_of(date(day)).map(|period| period.start), expected.map(date), "{day}");
    }
}

fn any_start() -> impl Strategy<Value = Date> {
    (2000_i16..2040, 1_i8..=12, 1_i8..=31).prop_filter_map("a date", |(year, month, day)| Date::new(year, month, day).ok())
}

fn any_terms() -> impl Strategy<Value = CouponStatement> {
    let schedule = (prop::sample::select(&Frequency::ALL[..]), any::<bool>(), prop::sample::select(&Stub::ALL[1..]));
    (any_start(), 1_i64..4_000, schedule, prop::sample::select(&DayCount::ALL[..])).prop_map(
        |(start, length, (frequency, end_of_month, stub), day_count)| CouponStatement {
            rate: Percent::parse("4.25").unwrap(),
            rate_basis: RateBasis::PerYear,
            day_count,
            interest_start: start,
            maturity: start.checked_add(jiff::Span::new().days(length)).unwrap(),
            business_day_rule: BusinessDayRule::ModifiedFollowing,
            periods: Periods::Generated(Schedule { frequency, end_of_month, stub }),
        },
    )
}

proptest! {
    #[test]
    fn generated_periods_join_from_start_to_maturity_and_are_covered(wanted in any_terms()) {
        let coupons = Coupons::new(wanted.clone()).unwrap();
        let periods = coupons.periods();
        prop_assert_eq!(periods.first().map(|period| period.start), Some(wanted.interest_start));
        prop_assert_eq!(periods.last().map(|period| period.end), Some(wanted.maturity));
        prop_assert!(periods.windows(2).all(|pair| pair[0].end == pair[1].start));
        for period in periods {
            prop_assert!(period.start < period.end && period.notional.windows(2).all(|pair| pair[0].end == pair[1].start));
            let (first, last) = (period.notional.first().unwrap(), period.notional.last().unwrap());
            prop_assert!(first.start <= period.start && period.end <= last.end);
        }
        let irregular = periods.iter().filter(|period| {
            period.notional.len() != 1 || (period.notional[0].start, period.notional[0].end) != (period.start, period.end)
        });
        prop_assert!(irregular.count() <= 1, "one stub at most");
    }

    #[test]
    fn interest_grows_by_the_day_and_begins_anew_with_each_period(wanted in any_terms(), at in 0_i64..4_000) {
        let interest = Interest::Coupons(Box::new(Coupons::new(wanted.clone()).unwrap()));
        let value_date = wanted.interest_start.checked_add(jiff::Span::new().days(at)).unwrap();
        prop_assume!(value_date <= wanted.maturity);
        let of = |on: Date| match accrual(&interest, on).unwrap() {
            Accrual::Nothing(_) => (BigRational::zero(), on),
            Accrual::Running(running) => (running.exact(), running.period.start),
        };
        let ((one, start), (next, next_start)) = (of(value_date), of(value_date.tomorrow().unwrap().min(wanted.maturity)));
        prop_assert!(one >= BigRational::zero());
        if start == next_start {
            prop_assert!(one <= next, "{} {}", one, next);
        }
        let days = actual_days(start, value_date);
        prop_assert!(one <= exact(425, 10_000) * exact(days + 3, 360), "never more than the days' worth");
    }
}
