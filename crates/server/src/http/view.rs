//! Shapes that several resources share on the wire.

use domain::money::{Currency, Money, MoneyFault, Price};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Faults, FieldFault, Fields, Json, parsed, text, unsigned};

/// Money: `amount / 10^decimals` of a currency. The amount is an integer in a string.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Money)]
pub struct MoneyView {
    /// The integer.
    #[schema(example = "1000", pattern = "^(0|[1-9][0-9]{0,18})$")]
    pub amount: String,
    /// How many of its digits stand behind the decimal point.
    #[schema(maximum = 18, example = 2)]
    pub decimals: u8,
    /// ISO 4217.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    pub currency: &'static str,
}

impl From<Money> for MoneyView {
    fn from(money: Money) -> Self {
        let currency = money.currency();
        Self { amount: money.minor().to_string(), decimals: currency.minor_decimals(), currency: currency.code() }
    }
}

impl From<Price> for MoneyView {
    fn from(price: Price) -> Self {
        Self { amount: price.amount().to_string(), decimals: price.decimals(), currency: price.currency().code() }
    }
}

/// Reads money that is paid or booked: stated in the currency's own minor unit.
///
/// # Errors
/// Everything that is wrong with it.
pub fn money(json: &Json) -> Result<Money, Faults> {
    amount(json, Money::from_wire)
}

/// Reads money of which there is some: stated in the currency's own minor unit, more than zero.
///
/// # Errors
/// Everything that is wrong with it.
pub fn positive_money(json: &Json) -> Result<Money, Faults> {
    amount(json, |amount, decimals, currency| {
        let money = Money::from_wire(amount, decimals, currency)?;
        if money == Money::zero(currency) { Err(MoneyFault::NotPositive) } else { Ok(money) }
    })
}

/// Reads a price per unit: 0 to 18 decimals, more than zero.
///
/// # Errors
/// Everything that is wrong with it.
pub fn price(json: &Json) -> Result<Price, Faults> {
    amount(json, Price::from_wire)
}

fn amount<T>(json: &Json, make: fn(&str, u64, Currency) -> Result<T, MoneyFault>) -> Result<T, Faults> {
    let mut fields = Fields::of(json);
    let amount = fields.required("amount", text(1..=40));
    let decimals = fields.required("decimals", unsigned(0..=18));
    let currency = fields.required("currency", parsed(Currency::parse));
    let value = match (&amount, decimals, currency) {
        (Some(amount), Some(decimals), Some(currency)) => match make(amount, decimals, currency) {
            Ok(value) => Some(value),
            Err(fault) => {
                fields.fault(at_fault(fault), FieldFault::invalid(fault.to_string()));
                None
            }
        },
        _incomplete => None,
    };
    fields.finish_with(|| value)
}

const fn at_fault(fault: MoneyFault) -> &'static str {
    match fault {
        MoneyFault::UnknownCurrency => "currency",
        MoneyFault::Decimals | MoneyFault::NotTheMinorUnit => "decimals",
        MoneyFault::NotAnInteger | MoneyFault::NotPositive | MoneyFault::NotAPercentage | MoneyFault::TooLarge => "amount",
    }
}
