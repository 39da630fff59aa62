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
        assert_eq!(investment_amount_of(position.price, position.units), Ok(found.investment_amount), "{case}");
    }
}

#[test]
fn what_cannot_be_paid_is_refused() {
    let codes = |position: &PayableInputs<'_>| payable(position).unwrap_err().iter().map(Refusal::code).collect::<Vec<_>>();
    assert_eq!(codes(&inputs(1, "100", 2, "0", Some(101))), ["disagio_above_investment_amount"]);
    assert!(payable(&inputs(1, "100", 2, "0", Some(100))).is_ok(), "nothing is left to pay");
    let too_large = inputs(i64::MAX as u64, "1000000000000000000", 0, "0", None);
    assert_eq!(codes(&too_large), ["amount_too_large"]);
    // Each component fits, their sum does not.
    assert_eq!(codes(&inputs(i64::MAX as u64, "1", 2, "50", None)), ["amount_too_large"]);
    assert!(payable(&inputs(i64::MAX as u64, "1", 2, "50", Some(i64::MAX))).is_ok(), "what is taken off makes room");
    let mut mixed = inputs(1, "100", 2, "0", None);
    mixed.disagio = Some(Money::from_minor(1, currency("USD")));
    assert_eq!(codes(&mixed), ["currency_mismatch"]);
    let interest = coupons(DayCount::Act360, "5", "2025-01-01", "2026-01-01");
    let other_nominal = Some(Money::from_minor(100, currency("USD")));
    let mixed = PayableInputs { nominal_value: other_nominal, interest: &interest, ..inputs(1, "100", 2, "0", None) };
    assert_eq!(codes(&mixed), ["currency_mismatch"]);
    let late = PayableInputs { interest: &interest, value_date: date("2026-01-02"), ..inputs(1, "100", 2, "0", None) };
    assert_eq!(codes(&late), ["value_date_after_maturity"]);
    // Everything at once, each once.
    let disagio = Some(Money::from_minor(1, currency("USD")));
    let wrong = PayableInputs { disagio, value_date: date("2026-01-02"), interest: &interest, ..too_large };
    assert_eq!(codes(&wrong), ["amount_too_large", "currency_mismatch", "value_date_after_maturity"]);
}

/// Accrued interest on EUR 1,000.00 at 5 %, within one long first period: 29 February, ends of months, the turn of a leap year.
#[test]
fn m07_accrued_interest_is_as_in_the_vectors() {
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

/// 100 tokens of EUR 10.00 at 5 %, 71 days of 360, which is the trap of the vectors.
#[test]
fn m04_interest_is_rounded_on_the_total_and_runs_on_the_nominal() {
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
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../../vectors/rounding.json")).unwrap();
    let [trap] = vectors["per_unit_trap"].as_array().unwrap().as_slice() else { panic!("one trap") };
    assert_eq!((&trap["units"], &trap["nominal_minor"], &trap["years"]), (&100.into(), &1_000.into(), &"71/360".into()));
    assert_eq!(Some(payable.accrued_interest.minor()), trap["interest_minor"].as_i64(), "on EUR 1,000.00 of nominal");
    assert_eq!(payable.accrued_interest.minor(), 986, "and not 100 times 0.10");
    assert_eq!(payable.payment_total.minor(), 98_000 + 1_470 - 10 + 986);
    let [_, _, _, interest_line] = &explained.lines;
    let Formula::Interest { base, running, units } = &interest_line.formula else { panic!("{interest_line:?}") };
    assert_eq!((units.get(), base.exact()), (100, BigRational::from_integer(BigInt::from(10))));
    assert_eq!(running.elapsed.iter().map(|one| (one.days, one.days_of_year)).collect::<Vec<_>>(), [(71, 360)]);
    assert_eq!(interest_line.exact, BigRational::new(BigInt::from(1_000 * 5 * 71), BigInt::from(100 * 360)));
}

/// One rule in one place: each component from exact values, rounded half up, once.
#[test]
fn m03_components_are_rounded_once_and_never_from_what_was_rounded() {
    for (units, amount, decimals, agio, investment_amount, agio_minor) in [
        // 0.014 is 0.01, and its 40 % are 0.0056: 0.01, where 40 % of 0.01 would be nothing.
        (1, "14", 3, "40", 1, 1),
        // 0.005 and its half: 0.0025.
        (1, "5", 3, "50", 1, 0),
        (1, "5", 3, "100", 1, 1),
        (1, "9999", 2, "5", 9_999, 500),
        // Three times 0.333 is 0.999, where three times 0.33 would be 0.99.
        (3, "333", 3, "0", 100, 0),
        (1, "4999999", 9, "0", 0, 0),
    ] {
        let found = payable(&inputs(units, amount, decimals, agio, None)).unwrap();
        let shown = (found.investment_amount.minor(), found.agio.minor());
        assert_eq!(shown, (investment_amount, agio_minor), "{units} × {amount}e-{decimals} + {agio} %");
        assert_eq!(found.payment_total.minor(), investment_amount + agio_minor, "the sum of what was rounded");
    }
}

#[test]
fn m05_nobody_is_paid_for_buying_and_an_agio_is_a_percentage() {
    let rows: [(&str, Option<i64>, Result<i64, &str>); 9] = [
        ("0", None, Ok(1_000)),
        ("0", Some(0), Ok(1_000)),
        ("2.5", None, Ok(1_025)),
        ("2.5", Some(25), Ok(1_000)),
        ("100", Some(1_000), Ok(1_000)),
        ("0", Some(1_000), Ok(0)),
        // More than the investment amount is refused, whatever the agio would put back.
        ("0", Some(1_001), Err("disagio_above_investment_amount")),
        ("100", Some(1_001), Err("disagio_above_investment_amount")),
        ("0", Some(i64::MAX), Err("disagio_above_investment_amount")),
    ];
    for (agio, disagio, expected) in rows {
        let found = payable(&inputs(10, "100", 2, agio, disagio));
        let found = found.map(|payable| payable.payment_total.minor()).map_err(|broken| broken[0].code());
        assert_eq!(found, expected, "{agio} %, {disagio:?}");
    }
    for refused in ["-1", "100.000001", "101", "1e1", "NaN"] {
        assert!(Percent::parse(refused).is_err(), "{refused}");
    }
    let eur = currency("EUR");
    assert!(Money::from_wire("-1", 2, eur).is_err() && Money::from_wire("1.5", 2, eur).is_err());
}

/// The words of the lines, and which of them is taken off.
#[test]
fn components_have_their_fields_name_and_their_sign() {
    let lines = explained(&inputs(10, "100", 2, "5", Some(3))).unwrap().lines;
    let words = lines.each_ref().map(|line| (line.component.code(), line.component.sign()));
    assert_eq!(words, [("investment_amount", 1), ("agio", 1), ("disagio", -1), ("accrued_interest", 1)]);
    let nothing = Payable::zero(currency("KWD"));
    let amounts = [nothing.investment_amount, nothing.agio, nothing.disagio, nothing.accrued_interest, nothing.payment_total];
    assert_eq!(amounts, [Money::zero(currency("KWD")); 5]);
}

#[test]
fn without_a_nominal_interest_runs_on_the_price() {
    let interest = coupons(DayCount::Act360, "36", "2025-01-01", "2026-01-01");
    let position = PayableInputs { interest: &interest, value_date: date("2025-01-11"), ..inputs(10, "100", 2, "0", None) };
    assert_eq!(payable(&position).unwrap().accrued_interest.minor(), 10, "a hundredth of ten euros");
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
        code in prop::sample::select(&["JPY", "EUR", "KWD"][..]),
        agio in 0_u32..=100_000_000,
        disagio in prop::option::of(prop_oneof![0_i64..1_000, 0_i64..1_000_000_000_000_000]),
        days in 0_i64..3_329,
        convention in prop::sample::select(&DayCount::ALL[..]),
    ) -> (PayableInputs<'static>, Interest) {
        let agio = format!("{}.{:06}", agio / 1_000_000, agio % 1_000_000);
        let money = currency(code);
        let position = PayableInputs {
            price: Price::from_wire(&amount.to_string(), decimals, money).unwrap(),
            disagio: disagio.map(|minor| Money::from_minor(minor, money)),
            nominal_value: Some(Money::from_minor(12_345, money)),
            value_date: date("2025-01-31").checked_add(jiff::Span::new().days(days)).unwrap(),
            ..inputs(units, "1", 0, &agio, None)
        };
        (position, coupons(convention, "6.125", "2025-01-31", "2034-03-15"))
    }
}

/// Half of the smallest amount of a currency.
fn half_a_minor_unit(currency: Currency) -> BigRational {
    BigRational::new(BigInt::from(1), BigInt::from(2 * 10_i64.pow(u32::from(currency.minor_decimals()))))
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_the_rounded_components_and_each_is_its_line((position, interest) in any_position()) {
        let position = PayableInputs { interest: &interest, ..position };
        match explained(&position) {
            Ok(Explained { payable: p, lines, .. }) => {
                let sum: i64 = lines.iter().map(|line| i64::from(line.component.sign()) * line.amount.minor()).sum();
                prop_assert_eq!(p.payment_total.minor(), sum);
                let shown = [p.investment_amount, p.agio, p.disagio, p.accrued_interest];
                for (line, shown) in lines.iter().zip(shown) {
                    prop_assert_eq!(line.amount, shown);
                    prop_assert!(shown.minor() >= 0);
                    let (off, half) = (line.exact.clone() - line.amount.exact(), half_a_minor_unit(position.price.currency()));
                    prop_assert!(-half.clone() <= off && off < half, "to the nearest of the currency's own, half-way up");
                }
                prop_assert!(p.payment_total.minor() >= 0, "nobody is paid for buying");
                prop_assert_eq!(payable(&position), Ok(p));
            }
            Err(broken) => {
                let codes: Vec<&str> = broken.iter().map(Refusal::code).collect();
                prop_assert_eq!(codes, ["disagio_above_investment_amount"]);
            }
        }
    }

    #[test]
    fn splitting_an_order_changes_no_component_by_more_than_one_rounding_a_part(
        (position, interest) in any_position(), cut in 1_u64..1_000_000
    ) {
        let units = position.units.get();
        prop_assume!(cut < units);
        let of = |units| {
            let units = Units::new(units).unwrap();
            payable(&PayableInputs { units, disagio: None, interest: &interest, ..position }).unwrap()
        };
        let (whole, one, other) = (of(units), of(cut), of(units - cut));
        for (whole, one, other) in [
            (whole.investment_amount, one.investment_amount, other.investment_amount),
            (whole.agio, one.agio, other.agio),
            (whole.accrued_interest, one.accrued_interest, other.accrued_interest),
        ] {
            prop_assert!((whole.minor() - one.minor() - other.minor()).abs() <= 1);
        }
    }

    #[test]
    fn a_day_later_never_costs_less_until_the_next_coupon((position, interest) in any_position()) {
        let on = |value_date| payable(&PayableInputs { disagio: None, interest: &interest, value_date, ..position }).unwrap();
        let (today, tomorrow) = (on(position.value_date), on(position.value_date.tomorrow().unwrap()));
        let starts = interest.coupon_periods().iter().any(|period| period.start == position.value_date.tomorrow().unwrap());
        prop_assert!(today.accrued_interest.minor() <= tomorrow.accrued_interest.minor() || starts);
        let rest = |payable: Payable| (payable.investment_amount, payable.agio, payable.disagio);
        prop_assert_eq!(rest(today), rest(tomorrow), "the day changes the interest alone");
    }

    /// Any number of units at any price is worked out to the cent or refused: nothing wraps and nothing panics.
    #[test]
    fn m02_any_units_at_any_price_are_paid_exactly_or_refused(
        units in any::<u64>(), shift in 0_u32..64, amount in 1..=crate::money::PRICE_AMOUNT_MAX, decimals in 0_u64..=18,
        agio in 0_u32..=100, code in prop::sample::select(&["JPY", "EUR", "KWD"][..]),
    ) {
        let Some(held) = Units::new(units >> shift) else {
            prop_assert!(units >> shift > crate::units::UNITS_MAX);
            return Ok(());
        };
        let money = currency(code);
        let price = Price::from_wire(&amount.to_string(), decimals, money).unwrap();
        let agio_percent = Percent::parse(&agio.to_string()).unwrap();
        let position = PayableInputs { units: held, price, agio_percent, ..inputs(1, "1", 0, "0", None) };
        let scale = |decimals: u32| BigInt::from(10).pow(decimals);
        let numerator = BigInt::from(held.get()) * amount * scale(money.minor_decimals().into());
        let denominator = scale(u32::try_from(decimals).unwrap());
        let rounded = |numerator: BigInt, denominator: BigInt| (numerator * 2 + &denominator) / (denominator * 2);
        let investment_amount = rounded(numerator.clone(), denominator.clone());
        let surcharge = rounded(numerator * agio, denominator * 100);
        let total = &investment_amount + &surcharge;
        match payable(&position) {
            Ok(found) => {
                let shown = [found.investment_amount, found.agio, found.payment_total].map(|one| BigInt::from(one.minor()));
                prop_assert_eq!(shown, [investment_amount, surcharge, total]);
            }
            Err(broken) => {
                prop_assert_eq!(broken, [Refusal::AmountTooLarge]);
                prop_assert!(total > BigInt::from(i64::MAX));
            }
        }
    }
}
