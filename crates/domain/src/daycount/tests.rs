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

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../vectors/day_counts.json")).unwrap()
}

fn rows(vectors: &serde_json::Value, name: &str, least: usize) -> Vec<serde_json::Value> {
    let rows = vectors[name].as_array().unwrap().clone();
    assert!(rows.len() >= least, "{name} has {} rows", rows.len());
    rows
}

fn text<'a>(row: &'a serde_json::Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

fn years(row: &serde_json::Value) -> BigRational {
    text(row, "years").parse().unwrap()
}

/// The ISDA worked examples for the 2006 Definitions.
#[test]
fn m07_the_30_360_family_counts_as_in_the_worked_examples() {
    let mut compared = 0;
    for row in rows(&vectors(), "thirty_360", 27) {
        for (code, expected) in row["days"].as_object().unwrap() {
            let convention = DayCount::from_code(code).unwrap();
            let found = days(convention, text(&row, "start_date"), text(&row, "end_date"), text(&row, "maturity_date"));
            assert_eq!(Some(found), expected.as_i64(), "{code} {row}");
            compared += 1;
        }
    }
    assert!(compared >= 90, "{compared}");
}

/// ISDA memo of 1998 and ISDA paper of 1999 on Actual/Actual: the ISDA variant.
#[test]
fn m07_actual_actual_isda_counts_as_in_the_memo() {
    for row in rows(&vectors(), "actual_isda", 7) {
        let found = fraction(DayCount::ActActIsda, date(text(&row, "start_date")), date(text(&row, "end_date")));
        assert_eq!(found, years(&row), "{row}");
    }
}

/// The same papers: the ICMA variant, with the notional periods that they name.
#[test]
fn m07_actual_actual_icma_counts_as_in_the_memo() {
    for row in rows(&vectors(), "actual_icma", 9) {
        let bounds: Vec<Date> = row["notional_dates"].as_array().unwrap().iter().map(|one| date(one.as_str().unwrap())).collect();
        let notional: Vec<NotionalPeriod> =
            bounds.windows(2).map(|pair| NotionalPeriod { start: pair[0], end: pair[1] }).collect();
        let periods_per_year = u8::try_from(row["periods_per_year"].as_u64().unwrap()).unwrap();
        let reference = Reference { termination: date("9999-12-31"), notional: &notional, periods_per_year };
        let (start, end) = (date(text(&row, "start_date")), date(text(&row, "end_date")));
        assert_eq!(exact_sum(&DayCount::ActActIcma.segments(start, end, &reference)), years(&row), "{row}");
    }
}

#[test]
fn a_notional_period_that_is_not_touched_counts_nothing() {
    let bounds = ["2024-07-01", "2025-01-01", "2025-07-01", "2026-01-01"].map(date);
    let notional: Vec<NotionalPeriod> = bounds.windows(2).map(|pair| NotionalPeriod { start: pair[0], end: pair[1] }).collect();
    let reference = Reference { termination: date("2030-01-01"), notional: &notional, periods_per_year: 2 };
    let segments = |start: &str, end: &str| DayCount::ActActIcma.segments(date(start), date(end), &reference);
    let segment = |start: &str, end: &str, days, days_of_year| Segment { start: date(start), end: date(end), days, days_of_year };
    let whole = segment("2025-01-01", "2025-07-01", 181, 362);
    assert_eq!(segments("2025-01-01", "2025-07-01"), [whole]);
    assert_eq!(segments("2025-01-02", "2025-06-30"), [segment("2025-01-02", "2025-06-30", 179, 362)]);
    let (before, after) = (segment("2024-12-31", "2025-01-01", 1, 368), segment("2025-07-01", "2025-07-02", 1, 368));
    assert_eq!(segments("2024-12-31", "2025-07-02"), [before, whole, after]);
}

#[test]
fn a_segment_of_a_year_without_days_is_worth_nothing() {
    let none = Segment { start: date("2025-01-01"), end: date("2025-01-02"), days: 1, days_of_year: 0 };
    assert_eq!(none.exact(), BigRational::zero());
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
fn m07_actual_days_know_the_leap_years() {
    for row in rows(&vectors(), "actual_days", 6) {
        let found = actual_days(date(text(&row, "start_date")), date(text(&row, "end_date")));
        assert_eq!(Some(found), row["days"].as_i64(), "{row}");
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
