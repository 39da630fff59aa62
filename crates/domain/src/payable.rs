//! What an investor pays: four exact components, each rounded once, and their sum.
//!
//! Source: guide, "Mark investment as paid". Rounding to the minor unit is half up (Reg. (EC) 1103/97 Art. 5, taken
//! as the house rule), on the whole position and never per unit.

use num_bigint::BigInt;
use num_rational::BigRational;

use crate::money::{Currency, Money, Percent, Price};
use crate::product::Interest;
use crate::refusal::Refusal;
use crate::units::Units;

/// What the payable is computed from.
#[derive(Clone, Copy, Debug)]
pub struct PayableInputs {
    /// Units bought.
    pub units: Units,
    /// The campaign's price of one unit.
    pub price: Price,
    /// The campaign's agio.
    pub agio_percent: Percent,
    /// The discount stated for this investment.
    pub disagio: Option<Money>,
    /// How the product pays interest.
    pub interest: Interest,
}

/// The components of a payment, all in the campaign's currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payable {
    /// Units × price.
    pub investment_amount: Money,
    /// The surcharge: a percentage of the exact investment amount.
    pub agio: Money,
    /// The discount.
    pub disagio: Money,
    /// Interest that the buyer pays for the time before the value date.
    pub accrued_interest: Money,
    /// Investment amount + agio − disagio + accrued interest.
    pub payment_total: Money,
}

/// Computes what is to be paid.
///
/// # Errors
/// The disagio's currency is not the price's, it is more than the investment amount, or an amount does not fit.
pub fn payable(inputs: &PayableInputs) -> Result<Payable, Refusal> {
    let currency = inputs.price.currency();
    let exact_amount = inputs.price.exact() * BigRational::from_integer(BigInt::from(inputs.units.get()));
    let investment_amount = round(&exact_amount, currency)?;
    let agio = if inputs.agio_percent.is_zero() {
        Money::zero(currency)
    } else {
        round(&(exact_amount * inputs.agio_percent.exact() / BigRational::from_integer(BigInt::from(100))), currency)?
    };
    let disagio = inputs.disagio.unwrap_or(Money::zero(currency));
    if disagio.currency() != currency {
        return Err(Refusal::CurrencyMismatch { stated: disagio.currency(), expected: currency });
    }
    if disagio.minor() > investment_amount.minor() {
        return Err(Refusal::DisagioAboveInvestmentAmount { disagio, investment_amount });
    }
    let accrued_interest = accrued(inputs.interest, currency);
    let payment_total = investment_amount
        .checked_add(agio)
        .and_then(|sum| sum.checked_sub(disagio))
        .and_then(|sum| sum.checked_add(accrued_interest))
        .ok_or(Refusal::AmountTooLarge)?;
    Ok(Payable { investment_amount, agio, disagio, accrued_interest, payment_total })
}

fn accrued(interest: Interest, currency: Currency) -> Money {
    match interest {
        Interest::None => Money::zero(currency),
    }
}

fn round(exact: &BigRational, currency: Currency) -> Result<Money, Refusal> {
    Money::from_exact_round_half_up(exact, currency).map_err(|_| Refusal::AmountTooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inputs(units: u64, amount: &str, decimals: u64, agio: &str, disagio_minor: Option<i64>) -> PayableInputs {
        let eur = Currency::parse("EUR").unwrap();
        PayableInputs {
            units: Units::new(units).unwrap(),
            price: Price::from_wire(amount, decimals, eur).unwrap(),
            agio_percent: Percent::parse(agio).unwrap(),
            disagio: disagio_minor.map(|minor| Money::from_minor(minor, eur)),
            interest: Interest::None,
        }
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
            let got =
                (result.investment_amount.minor(), result.agio.minor(), result.disagio.minor(), result.payment_total.minor());
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
        mixed.disagio = Some(Money::from_minor(1, Currency::parse("USD").unwrap()));
        assert_eq!(payable(&mixed).unwrap_err().code(), "currency_mismatch");
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_the_rounded_components(
            units in 1_u64..1_000_000, amount in 1_u64..1_000_000_000, decimals in 0_u64..9, agio in 0_u32..100, disagio in 0_i64..1_000
        ) {
            if let Ok(p) = payable(&inputs(units, &amount.to_string(), decimals, &agio.to_string(), Some(disagio))) {
                let sum = p.investment_amount.minor() + p.agio.minor() - p.disagio.minor() + p.accrued_interest.minor();
                prop_assert_eq!(p.payment_total.minor(), sum);
                prop_assert!(p.payment_total.minor() >= 0);
            }
        }
    }
}
