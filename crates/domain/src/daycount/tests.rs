use proptest::prelude::*;

use super::*;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn exact(numerator: i64, denominator: i64) -> BigRational {
    BigRational::new(BigInt::from(numerator), BigInt::from(denominator))
}

/// A fraction where nothing but the dates matters.
fn fraction(convention: DayCount, start: Date, end: Date) -> BigRational {
    let reference = Reference { termination: date("9999-12-31"), notional: &[], periods_per_year: 1 };
    exact_sum(&convention.segments(start, end, &reference))
}

fn days(convention: DayCount, start: &str, end: &str, termination: &str) -> i64 {
    let reference = Reference { termination: date(termination), notional: &[], periods_per_year: 1 };
    convention.segments(date(start), date(end), &reference).iter().map(|segment| segment.days).sum()
}

/// The ISDA worked examples for the 2006 Definitions: bond basis, 30E/360, US, 30E/360 ISDA; `None` where they give none.
#[test]
fn the_30_360_family_counts_as_in_the_worked_examples() {
    const OPEN: &str = "9999-12-31";
    for (start, end, termination, bond, thirty_e, us, isda) in [
        ("2006-08-20", "2007-02-20", "2009-08-20", Some(180), Some(180), Some(180), Some(180)),
        ("2008-02-20", "2008-08-20", "2009-08-20", Some(180), Some(180), Some(180), Some(180)),
        ("2006-02-28", "2006-08-31", "2012-02-29", None, Some(182), None, Some(180)),
        ("2006-08-31", "2007-02-28", "2012-02-29", Some(178), Some(178), Some(178), Some(180)),
        ("2007-02-28", "2007-08-31", "2012-02-29", Some(183), Some(182), Some(180), Some(180)),
        ("2007-08-31", "2008-02-29", "2012-02-29", Some(179), Some(179), Some(179), Some(180)),
        ("2008-02-29", "2008-08-31", "2012-02-29", Some(182), Some(181), Some(180), Some(180)),
        ("2009-02-28", "2009-08-31", "2012-02-29", Some(183), Some(182), Some(180), Some(180)),
        ("2011-08-31", "2012-02-29", "2012-02-29", None, Some(179), None, Some(179)),
        ("2006-01-31", "2006-02-28", "2008-02-29", Some(28), Some(28), Some(28), Some(30)),
        ("2006-01-30", "2006-02-28", "2008-02-29", Some(28), Some(28), Some(28), Some(30)),
        ("2006-02-28", "2006-03-03", "2008-02-29", Some(5), Some(5), Some(3), Some(3)),
        ("2006-02-14", "2006-02-28", "2008-02-29", Some(14), Some(14), Some(14), Some(16)),
        ("2006-09-30", "2006-10-31", "2008-02-29", Some(30), Some(30), Some(30), Some(30)),
        ("2006-10-31", "2006-11-28", "2008-02-29", Some(28), Some(28), Some(28), Some(28)),
        ("2007-08-31", "2008-02-28", "2008-02-29", Some(178), Some(178), Some(178), Some(178)),
        ("2008-02-28", "2008-08-28", OPEN, Some(180), Some(180), Some(180), Some(180)),
        ("2008-02-28", "2008-08-30", OPEN, Some(182), Some(182), Some(182), Some(182)),
        ("2008-02-28", "2008-08-31", OPEN, Some(183), Some(182), Some(183), Some(182)),
        ("2007-02-26", "2008-02-28", OPEN, Some(362), Some(362), Some(362), None),
        ("2007-02-26", "2008-02-29", OPEN, Some(363), Some(363), Some(363), None),
        ("2007-02-28", "2008-02-28", "2008-02-29", None, None, None, Some(358)),
        ("2007-02-28", "2008-02-29", "2008-02-29", None, None, None, Some(359)),
        ("2008-02-29", "2009-02-28", OPEN, Some(359), Some(359), Some(360), Some(360)),
        ("2008-02-28", "2008-03-30", OPEN, Some(32), Some(32), Some(32), None),
        ("2008-02-28", "2008-03-31", OPEN, Some(33), Some(32), Some(33), None),
        ("2008-02-29", "2008-03-31", OPEN, None, None, None, Some(30)),
    ] {
        for (convention, expected) in [
            (DayCount::Thirty360Bond, bond),
            (DayCount::ThirtyE360, thirty_e),
            (DayCount::Thirty360Us, us),
            (DayCount::ThirtyE360Isda, isda),
        ] {
            if let Some(expected) = expected {
                assert_eq!(days(convention, start, end, termination), expected, "{convention:?} {start} to {end}");
            }
        }
    }
}

/// ISDA memo of 1998 and ISDA paper of 1999 on Actual/Actual: the ISDA variant.
#[test]
fn actual_actual_isda_counts_as_in_the_memo() {
    for (start, end, numerator, denominator) in [
        ("2003-11-01", "2004-05-01", 66_491, 133_590),
        ("1999-02-01", "1999-07-01", 30, 73),
        ("1999-07-01", "2000-07-01", 66_887, 66_795),
        ("2002-08-15", "2003-07-15", 334, 365),
        ("2003-07-15", "2004-01-15", 6_733, 13_359),
        ("1999-07-30", "2000-01-30", 13_463, 26_718),
        ("2000-01-30", "2000-06-30", 76, 183),
    ] {
        assert_eq!(fraction(DayCount::ActActIsda, date(start), date(end)), exact(numerator, denominator), "{start} to {end}");
    }
}

/// The same papers: the ICMA variant, with the notional periods that they name. The last row of the memo, "not end of month",
/// adds up to its own result only with a notional period that ends on 29 May 2000.
#[test]
fn actual_actual_icma_counts_as_in_the_memo() {
    let rows: [(&str, &str, u8, &[&str], i64, i64); 9] = [
        ("2003-11-01", "2004-05-01", 2, &["2003-11-01", "2004-05-01"], 1, 2),
        ("1999-02-01", "1999-07-01", 1, &["1998-07-01", "1999-07-01"], 30, 73),
        ("1999-07-01", "2000-07-01", 1, &["1999-07-01", "2000-07-01"], 1, 1),
        ("2002-08-15", "2003-07-15", 2, &["2002-07-15", "2003-01-15", "2003-07-15"], 337, 368),
        ("2003-07-15", "2004-01-15", 2, &["2003-07-15", "2004-01-15"], 1, 2),
        ("1999-07-30", "2000-01-30", 2, &["1999-07-30", "2000-01-30"], 1, 2),
        ("2000-01-30", "2000-06-30", 2, &["2000-01-30", "2000-07-30"], 38, 91),
        ("1999-11-30", "2000-04-30", 4, &["1999-11-30", "2000-02-29", "2000-05-31"], 153, 368),
        ("1999-11-30", "2000-04-30", 4, &["1999-11-30", "2000-02-29", "2000-05-29"], 151, 360),
    ];
    for (start, end, periods_per_year, bounds, numerator, denominator) in rows {
        let notional: Vec<NotionalPeriod> =
            bounds.windows(2).map(|pair| NotionalPeriod { start: date(pair[0]), end: date(pair[1]) }).collect();
        let reference = Reference { termination: date("9999-12-31"), notional: &notional, periods_per_year };
        let found = exact_sum(&DayCount::ActActIcma.segments(date(start), date(end), &reference));
        assert_eq!(found, exact(numerator, denominator), "{start} to {end}, {periods_per_year} a year");
    }
}

#[test]
fn every_convention_has_a_word_of_its_own() {
    for convention in DayCount::ALL {
        assert_eq!(DayCount::from_code(convention.code()), Some(convention));
    }
    for unknown in ["30/360", "ACT/ACT", "act_360", ""] {
        assert_eq!(DayCount::from_code(unknown), None, "{unknown}");
    }
}

#[test]
fn no_day_is_no_segment() {
    for convention in DayCount::ALL {
        for (start, end) in [("2025-02-28", "2025-02-28"), ("2025-03-01", "2025-02-28")] {
            let reference = Reference { termination: date("2025-02-28"), notional: &[], periods_per_year: 1 };
            assert_eq!(convention.segments(date(start), date(end), &reference), [], "{convention:?}");
        }
    }
}

#[test]
fn actual_days_know_the_leap_years() {
    for (start, end, days) in [
        ("2000-02-28", "2000-03-01", 2),
        ("1900-02-28", "1900-03-01", 1),
        ("2100-02-28", "2100-03-01", 1),
        ("2024-02-28", "2024-03-01", 2),
        ("2028-02-28", "2028-02-29", 1),
        ("2025-03-30", "2025-03-31", 1),
    ] {
        assert_eq!(actual_days(date(start), date(end)), days, "{start} to {end}");
    }
}

fn any_date() -> impl Strategy<Value = Date> {
    let month_end = (1990_i16..2060, 1_i8..=12).prop_map(|(year, month)| Date::new(year, month, 1).unwrap().last_of_month());
    let any = (1990_i16..2060, 1_i8..=12, 1_i8..=28).prop_map(|(year, month, day)| Date::new(year, month, day).unwrap());
    prop_oneof![3 => any, 2 => month_end]
}

proptest! {
    #[test]
    fn actual_conventions_differ_only_in_their_year(a in any_date(), b in any_date()) {
        let (start, end) = (a.min(b), a.max(b));
        let days = exact(actual_days(start, end), 1);
        prop_assert_eq!(fraction(DayCount::Act360, start, end) * exact(360, 1), days.clone());
        prop_assert_eq!(fraction(DayCount::Act365Fixed, start, end) * exact(365, 1), days);
    }

    #[test]
    fn actual_actual_isda_adds_up_at_any_date(a in any_date(), b in any_date(), c in any_date()) {
        let mut dates = [a, b, c];
        dates.sort_unstable();
        let [first, middle, last] = dates;
        let parts = fraction(DayCount::ActActIsda, first, middle) + fraction(DayCount::ActActIsda, middle, last);
        prop_assert_eq!(parts, fraction(DayCount::ActActIsda, first, last));
    }

    #[test]
    fn a_later_date_never_counts_less(start in any_date(), length in 0_i64..2_000) {
        let end = start.checked_add(jiff::Span::new().days(length)).unwrap();
        let next = end.tomorrow().unwrap();
        for convention in DayCount::ALL {
            prop_assert!(fraction(convention, start, end) <= fraction(convention, start, next), "{:?} {} {}", convention, start, end);
        }
    }

    #[test]
    fn segments_join_without_gap_and_hold_their_days(a in any_date(), b in any_date()) {
        let (start, end) = (a.min(b), a.max(b));
        let reference = Reference { termination: end, notional: &[NotionalPeriod { start, end }], periods_per_year: 2 };
        for convention in DayCount::ALL {
            let segments = convention.segments(start, end, &reference);
            prop_assert_eq!(segments.is_empty(), start == end);
            if let (Some(first), Some(last)) = (segments.first(), segments.last()) {
                prop_assert_eq!((first.start, last.end), (start, end));
                prop_assert!(segments.windows(2).all(|pair| pair[0].end == pair[1].start));
                prop_assert!(segments.iter().all(|segment| segment.days >= 0 && segment.days_of_year > 0));
            }
        }
    }

    #[test]
    fn a_whole_month_on_the_same_day_is_thirty_days(year in 1990_i16..2060, month in 1_i8..=12, day in 1_i8..=28, months in 1_i32..40) {
        let start = Date::new(year, month, day).unwrap();
        let end = start.checked_add(jiff::Span::new().months(months)).unwrap();
        prop_assume!(!is_end_of_february(start) && !is_end_of_february(end));
        for convention in [DayCount::ThirtyE360, DayCount::ThirtyE360Isda, DayCount::Thirty360Bond, DayCount::Thirty360Us] {
            prop_assert_eq!(fraction(convention, start, end), exact(i64::from(months), 12));
        }
    }
}
