use num_traits::Signed;
use proptest::prelude::*;

use super::*;
use crate::calendar::BusinessDayRule;
use crate::daycount::DayCount;
use crate::interest::{CouponStatement, Coupons, Frequency, ListedPeriod, Periods, RateBasis, Schedule, Stub};

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

/// Price, agio, disagio, and the minor units of several currencies.
#[test]
fn payments_are_as_in_the_vectors() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../../vectors/payments.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= 9);
    for case in cases {
        let number = |field: &str| case[field].as_i64().unwrap();
        let money = currency(case["currency"].as_str().unwrap());
        let decimals = u64::try_from(number("decimals")).unwrap();
        let position = PayableInputs {
            units: Units::new(case["units"].as_u64().unwrap()).unwrap(),
            price: Price::from_wire(case["amount"].as_str().unwrap(), decimals, money).unwrap(),
            agio_percent: Percent::parse(case["agio_percent"].as_str().unwrap()).unwrap(),
            disagio: Some(Money::from_minor(number("disagio_minor"), money)),
            ..inputs(1, "1", 0, "0", None)
        };
        let found = payable(&position).unwrap();
        let amounts = [found.investment_amount, found.agio, found.disagio, found.payment_total];
        let fields = ["investment_amount_minor", "agio_minor", "disagio_minor", "payment_total_minor"];
        assert_eq!(amounts.map(Money::minor), fields.map(number), "{case}");
        assert!(amounts.iter().all(|amount| amount.currency() == money) && found.accrued_interest.minor() == 0, "{case}");
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

/// Accrued interest on EUR 1,000.00 at 5 %, within one long first period.
#[test]
fn accrued_interest_is_as_in_the_vectors() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../../vectors/accrued_interest.json")).unwrap();
    let mut compared = 0;
    for case in vectors["cases"].as_array().unwrap() {
        for (code, expected) in case["interest_minor"].as_object().unwrap() {
            let period = ListedPeriod {
                start: date(case["start_date"].as_str().unwrap()),
                end: date("2040-06-30"),
                payment: None,
                rate: None,
                notional: Vec::new(),
            };
            let statement = CouponStatement {
                rate: Percent::parse(vectors["interest_rate"].as_str().unwrap()).unwrap(),
                rate_basis: RateBasis::PerYear,
                day_count: DayCount::from_code(code).unwrap(),
                interest_start: period.start,
                maturity: period.end,
                business_day_rule: BusinessDayRule::Unadjusted,
                periods: Periods::Listed { frequency: Frequency::Annual, periods: vec![period] },
            };
            let position = PayableInputs {
                nominal_value: Some(Money::from_minor(vectors["nominal_minor"].as_i64().unwrap(), currency("EUR"))),
                interest: &Interest::Coupons(Box::new(Coupons::new(statement).unwrap())),
                value_date: date(case["value_date"].as_str().unwrap()),
                ..inputs(1, "100000", 2, "0", None)
            };
            let found = payable(&position).unwrap().accrued_interest.minor();
            assert_eq!(Some(found), expected.as_i64(), "{code} {case}");
            compared += 1;
        }
    }
    assert!(compared >= 60, "{compared}");
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
