use num_traits::Signed;
use proptest::prelude::*;

use super::*;
use crate::calendar::BusinessDayRule;
use crate::daycount::DayCount;
use crate::interest::{CouponStatement, Coupons, Frequency, Periods, RateBasis, Schedule, Stub};

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn inputs(units: u64, amount: &str, decimals: u64, agio: &str, disagio_minor: Option<i64>) -> PayableInputs<'static> {
    let eur = currency("EUR");
    PayableInputs {
        units: Units::new(units).unwrap(),
        price: Price::from_wire(amount, decimals, eur).unwrap(),
        agio_percent: Percent::parse(agio).unwrap(),
        disagio: disagio_minor.map(|minor| Money::from_minor(minor, eur)),
        nominal_value: None,
        interest: &Interest::None,
        value_date: date("2025-03-12"),
    }
}

fn coupons(day_count: DayCount, rate: &str, start: &str, maturity: &str) -> Interest {
    let statement = CouponStatement {
        rate: Percent::parse(rate).unwrap(),
        rate_basis: RateBasis::PerYear,
        day_count,
        interest_start: date(start),
        maturity: date(maturity),
        business_day_rule: BusinessDayRule::Following,
        periods: Periods::Generated(Schedule { frequency: Frequency::Annual, end_of_month: false, stub: Stub::ShortLast }),
    };
    Interest::Coupons(Box::new(Coupons::new(statement).unwrap()))
}

#[test]
fn components_are_rounded_once_on_the_whole_position() {
    // units, price, decimals, agio %, disagio → amount, agio, disagio, total (cents)
    for (units, amount, decimals, agio, disagio, expected) in [
        (10, "100", 2, "0", None, (1_000, 0, 0, 1_000)),
        (1, "9999", 2, "5", None, (9_999, 500, 0, 10_499)),
        (3, "333333", 5, "0", None, (1_000, 0, 0, 1_000)),
        (100, "1005", 3, "2.5", Some(50), (10_050, 251, 50, 10_251)),
        (1, "5", 3, "0", Some(1), (1, 0, 1, 0)),
    ] {
        let result = payable(&inputs(units, amount, decimals, agio, disagio)).unwrap();
        let got = (result.investment_amount.minor(), result.agio.minor(), result.disagio.minor(), result.payment_total.minor());
        assert_eq!(got, expected, "{units} × {amount}e-{decimals}, agio {agio}, disagio {disagio:?}");
        assert_eq!(result.accrued_interest.minor(), 0);
    }
}

#[test]
fn what_cannot_be_paid_is_refused() {
    let too_much = payable(&inputs(1, "100", 2, "0", Some(101))).unwrap_err();
    assert_eq!(too_much.code(), "disagio_above_investment_amount");
    let too_large = payable(&inputs(i64::MAX as u64, "1000000000000000000", 0, "0", None)).unwrap_err();
    assert_eq!(too_large, Refusal::AmountTooLarge);
    let mut mixed = inputs(1, "100", 2, "0", None);
    mixed.disagio = Some(Money::from_minor(1, currency("USD")));
    assert_eq!(payable(&mixed).unwrap_err().code(), "currency_mismatch");
    let interest = coupons(DayCount::Act360, "5", "2025-01-01", "2026-01-01");
    let other_nominal = Some(Money::from_minor(100, currency("USD")));
    let mixed = PayableInputs { nominal_value: other_nominal, interest: &interest, ..inputs(1, "100", 2, "0", None) };
    assert_eq!(payable(&mixed).unwrap_err().code(), "currency_mismatch");
    let late = PayableInputs { interest: &interest, value_date: date("2026-01-02"), ..inputs(1, "100", 2, "0", None) };
    assert_eq!(payable(&late).unwrap_err().code(), "value_date_after_maturity");
}

/// Accrued interest on EUR 1,000.00 at 5 %: the vectors that are computed from exact rationals and agree with QuantLib.
#[test]
fn accrued_interest_is_as_in_the_vectors() {
    let conventions = [
        DayCount::Act360,
        DayCount::Act365Fixed,
        DayCount::ActActIsda,
        DayCount::ThirtyE360,
        DayCount::Thirty360Bond,
        DayCount::ThirtyE360Isda,
    ];
    for (start, value_date, cents) in [
        ("2025-01-01", "2025-03-12", [972, 959, 959, 986, 986, 986]),
        ("2027-12-15", "2028-03-01", [1069, 1055, 1053, 1056, 1056, 1056]),
        ("2028-02-28", "2028-02-29", [14, 14, 14, 14, 14, 28]),
        ("2028-02-28", "2028-03-01", [28, 27, 27, 42, 42, 42]),
        ("2028-02-29", "2028-03-31", [431, 425, 423, 431, 444, 417]),
        ("2025-01-31", "2025-02-28", [389, 384, 384, 389, 389, 417]),
        ("2025-08-31", "2026-02-28", [2514, 2479, 2479, 2472, 2472, 2500]),
        ("2025-03-30", "2025-03-31", [14, 14, 14, 0, 0, 0]),
    ] {
        for (convention, expected) in conventions.into_iter().zip(cents) {
            let interest = coupons(convention, "5", start, "2040-06-30");
            let position = PayableInputs {
                nominal_value: Some(Money::from_minor(100_000, currency("EUR"))),
                interest: &interest,
                value_date: date(value_date),
                ..inputs(1, "100000", 2, "0", None)
            };
            let found = payable(&position).unwrap().accrued_interest.minor();
            assert_eq!(found, expected, "{convention:?} {start} to {value_date}");
        }
    }
}

/// Row M04: 100 tokens of EUR 10.00 at 5 %, 71 days of 360: rounded on the total, not per token.
#[test]
fn interest_is_rounded_on_the_total_and_runs_on_the_nominal() {
    let interest = coupons(DayCount::ThirtyE360, "5", "2025-01-01", "2030-01-01");
    let position = PayableInputs {
        nominal_value: Some(Money::from_minor(1_000, currency("EUR"))),
        interest: &interest,
        ..inputs(100, "980", 2, "1.5", Some(10))
    };
    let explained = explained(&position).unwrap();
    let payable = explained.payable;
    assert_eq!(payable.investment_amount.minor(), 98_000, "the price is 9.80");
    assert_eq!(payable.agio.minor(), 1_470);
    assert_eq!(payable.accrued_interest.minor(), 986, "on EUR 1,000.00 of nominal, and not 10.00");
    assert_eq!(payable.payment_total.minor(), 98_000 + 1_470 - 10 + 986);
    let [_, _, _, interest_line] = &explained.lines;
    let Formula::Interest { base, running, units } = &interest_line.formula else { panic!("{interest_line:?}") };
    assert_eq!((units.get(), base.exact()), (100, BigRational::from_integer(BigInt::from(10))));
    assert_eq!(running.elapsed.iter().map(|one| (one.days, one.days_of_year)).collect::<Vec<_>>(), [(71, 360)]);
    assert_eq!(interest_line.exact, BigRational::new(BigInt::from(1_000 * 5 * 71), BigInt::from(100 * 360)));
}

#[test]
fn every_currency_is_paid_in_its_own_minor_unit() {
    // 7 × 1.2345 of the currency, agio 3 %: 8.6415 and 0.259245
    for (code, investment_amount, agio) in [("JPY", 9, 0), ("EUR", 864, 26), ("KWD", 8_642, 259)] {
        let price = Price::from_wire("12345", 4, currency(code)).unwrap();
        let result = payable(&PayableInputs { price, ..inputs(7, "1", 0, "3", None) }).unwrap();
        assert_eq!((result.investment_amount.minor(), result.agio.minor()), (investment_amount, agio), "{code}");
        assert!(
            [result.disagio, result.accrued_interest, result.payment_total]
                .iter()
                .all(|money| money.currency() == currency(code))
        );
    }
}

#[test]
fn the_largest_amounts_fit_or_are_refused() {
    for (units, amount, decimals, is_paid) in [
        (u64::from(u32::MAX), "1000000000000000000", 18, true),
        (92_233_720_368_547_758, "100", 2, true),
        (92_233_720_368_547_759, "100", 2, false),
        (i64::MAX as u64, "1000000000000000000", 18, false),
        (i64::MAX as u64, "1", 2, true),
    ] {
        let result = payable(&inputs(units, amount, decimals, "0", None));
        assert_eq!(result.is_ok(), is_paid, "{units} × {amount}e-{decimals}: {result:?}");
    }
}

prop_compose! {
    fn any_position()(
        units in 1_u64..1_000_000,
        amount in 1_u64..1_000_000_000,
        decimals in 0_u64..9,
        agio in 0_u32..=100_000_000,
        disagio in prop::option::of(0_i64..1_000),
        days in 0_i64..3_000,
        convention in prop::sample::select(&DayCount::ALL[..]),
    ) -> (u64, String, u64, String, Option<i64>, Date, Interest) {
        let agio = format!("{}.{:06}", agio / 1_000_000, agio % 1_000_000);
        let value_date = date("2025-01-31").checked_add(jiff::Span::new().days(days)).unwrap();
        (units, amount.to_string(), decimals, agio, disagio, value_date, coupons(convention, "6.125", "2025-01-31", "2034-03-15"))
    }
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_the_rounded_components_and_each_is_its_line(
        (units, amount, decimals, agio, disagio, value_date, interest) in any_position()
    ) {
        let nominal_value = Some(Money::from_minor(12_345, currency("EUR")));
        let position = PayableInputs { nominal_value, interest: &interest, value_date, ..inputs(units, &amount, decimals, &agio, disagio) };
        if let Ok(Explained { payable: p, lines, .. }) = explained(&position) {
            let sum: i64 = lines.iter().map(|line| i64::from(line.component.sign()) * line.amount.minor()).sum();
            prop_assert_eq!(p.payment_total.minor(), sum);
            prop_assert!(p.payment_total.minor() >= 0);
            let shown = [p.investment_amount, p.agio, p.disagio, p.accrued_interest];
            for (line, shown) in lines.iter().zip(shown) {
                prop_assert_eq!(line.amount, shown);
                let off = (line.exact.clone() - line.amount.exact()).abs();
                prop_assert!(off <= BigRational::new(BigInt::from(1), BigInt::from(200)), "rounded by half a cent at most");
            }
            prop_assert_eq!(payable(&position), Ok(p));
        }
    }

    #[test]
    fn splitting_an_order_changes_no_component_by_more_than_one_rounding_a_part(
        (units, amount, decimals, agio, _, value_date, interest) in any_position(), cut in 1_u64..1_000_000
    ) {
        prop_assume!(cut < units);
        let of = |units| {
            let nominal_value = Some(Money::from_minor(100, currency("EUR")));
            let base = inputs(units, &amount, decimals, &agio, None);
            payable(&PayableInputs { nominal_value, interest: &interest, value_date, ..base })
        };
        if let (Ok(whole), Ok(one), Ok(other)) = (of(units), of(cut), of(units - cut)) {
            for (whole, one, other) in [
                (whole.investment_amount, one.investment_amount, other.investment_amount),
                (whole.agio, one.agio, other.agio),
                (whole.accrued_interest, one.accrued_interest, other.accrued_interest),
            ] {
                prop_assert!((whole.minor() - one.minor() - other.minor()).abs() <= 1);
            }
        }
    }
}
