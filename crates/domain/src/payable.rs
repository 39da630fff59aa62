//! What an investor pays: four exact components, each rounded once, and their sum; and how each came about.
//!
//! Source: guide, "Mark investment as paid". Rounding to the minor unit is half up (Reg. (EC) 1103/97 Art. 5, taken
//! as the house rule), on the whole position and never per unit.

use jiff::civil::Date;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use crate::campaign::Campaign;
use crate::interest::{Accrual, Interest, NoAccrual, RunningAccrual, accrual};
use crate::money::{Currency, Money, Percent, Price};
use crate::product::Product;
use crate::refusal::Refusal;
use crate::units::Units;

/// The version of the rules in this file. An amount that was frozen under one is recomputed by the rules of that version.
pub const RULE_VERSION: u32 = 1;

/// What the payable is computed from.
#[derive(Clone, Copy, Debug)]
pub struct PayableInputs<'a> {
    /// Units bought.
    pub units: Units,
    /// The campaign's price of one unit.
    pub price: Price,
    /// The campaign's agio.
    pub agio_percent: Percent,
    /// The discount stated for this investment.
    pub disagio: Option<Money>,
    /// The nominal of one unit, on which interest runs; where the product states none, the price stands for it.
    pub nominal_value: Option<Money>,
    /// How the product pays interest.
    pub interest: &'a Interest,
    /// The day on which the payment counts.
    pub value_date: Date,
}

/// The inputs that a campaign, its product and an order amount to.
#[must_use]
pub fn payable_inputs<'a>(
    campaign: &Campaign,
    product: &'a Product,
    units: Units,
    disagio: Option<Money>,
    value_date: Date,
) -> PayableInputs<'a> {
    PayableInputs {
        units,
        price: campaign.terms.price_per_token,
        agio_percent: campaign.terms.agio_percent,
        disagio,
        nominal_value: product.terms.nominal_value,
        interest: &product.terms.interest,
        value_date,
    }
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

impl Payable {
    /// Nothing to pay, in a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        let nothing = Money::zero(currency);
        Self { investment_amount: nothing, agio: nothing, disagio: nothing, accrued_interest: nothing, payment_total: nothing }
    }
}

/// A component of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Component {
    /// Units × price.
    InvestmentAmount,
    /// Added.
    Agio,
    /// Taken off.
    Disagio,
    /// Added.
    AccruedInterest,
}

impl Component {
    /// The field that shows it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvestmentAmount => "investment_amount",
            Self::Agio => "agio",
            Self::Disagio => "disagio",
            Self::AccruedInterest => "accrued_interest",
        }
    }

    /// Its sign in the total.
    #[must_use]
    pub const fn sign(self) -> i8 {
        match self {
            Self::InvestmentAmount | Self::Agio | Self::AccruedInterest => 1,
            Self::Disagio => -1,
        }
    }
}

/// What interest runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterestBase {
    /// The nominal that the product states.
    NominalValue(Money),
    /// The campaign's price: the product states no nominal.
    Price(Price),
}

impl InterestBase {
    /// Of one unit, exactly.
    #[must_use]
    pub fn exact(self) -> BigRational {
        match self {
            Self::NominalValue(nominal) => nominal.exact(),
            Self::Price(price) => price.exact(),
        }
    }
}

/// How a component came about, with everything that it was computed from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Formula<'a> {
    /// `units × price`.
    UnitsTimesPrice {
        /// Units bought.
        units: Units,
        /// Price of one.
        price: Price,
    },
    /// `units × price × percent / 100`.
    PercentOfInvestmentAmount {
        /// The investment amount before rounding.
        base: BigRational,
        /// The percentage.
        percent: Percent,
    },
    /// The amount was stated.
    Stated,
    /// `units × base × rate / 100 × day count fraction`; a rate per period is divided by the whole period's fraction.
    Interest {
        /// Units bought.
        units: Units,
        /// What one of them bears interest on.
        base: InterestBase,
        /// The period, its rate and the days.
        running: RunningAccrual<'a>,
    },
    /// Nothing has run up.
    NoInterest(NoAccrual),
}

/// One line of the explanation: anybody can compute `exact` from the formula, and the amount from `exact`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Which component.
    pub component: Component,
    /// How it came about.
    pub formula: Formula<'a>,
    /// Its value before rounding, in whole units of the currency.
    pub exact: BigRational,
    /// Its value, rounded half up to the currency's minor unit.
    pub amount: Money,
}

/// A payment with its explanation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained<'a> {
    /// The amounts.
    pub payable: Payable,
    /// One line a component, in order.
    pub lines: [Line<'a>; 4],
    /// The day on which the payment counts.
    pub value_date: Date,
}

/// Computes what is to be paid.
///
/// # Errors
/// Everything that stands against it: the disagio's currency is not the price's, it is more than the investment amount, the
/// nominal's currency is not the price's, the value date is after maturity, an amount does not fit.
pub fn payable(inputs: &PayableInputs<'_>) -> Result<Payable, Vec<Refusal>> {
    explained(inputs).map(|explained| explained.payable)
}

/// Computes what is to be paid and says how.
///
/// # Errors
/// As [`payable`].
pub fn explained<'a>(inputs: &PayableInputs<'a>) -> Result<Explained<'a>, Vec<Refusal>> {
    let exact_amount = inputs.price.exact() * whole(inputs.units);
    let investment_amount = investment_amount(inputs, exact_amount.clone());
    let disagio = disagio(inputs, investment_amount.as_ref().ok().map(|line| line.amount));
    let (investment_amount, agio, disagio, accrued_interest) =
        match (investment_amount, agio(inputs, exact_amount), disagio, accrued_interest(inputs)) {
            (Ok(investment_amount), Ok(agio), Ok(disagio), Ok(interest)) => (investment_amount, agio, disagio, interest),
            (investment_amount, agio, disagio, interest) => {
                let lines = [investment_amount, agio, disagio, interest];
                return Err(distinct(lines.into_iter().filter_map(Result::err)));
            }
        };
    // The disagio first, so that no sum on the way is larger than the total.
    let payment_total = investment_amount
        .amount
        .checked_sub(disagio.amount)
        .and_then(|sum| sum.checked_add(agio.amount))
        .and_then(|sum| sum.checked_add(accrued_interest.amount))
        .ok_or_else(|| vec![Refusal::AmountTooLarge])?;
    let payable = Payable {
        investment_amount: investment_amount.amount,
        agio: agio.amount,
        disagio: disagio.amount,
        accrued_interest: accrued_interest.amount,
        payment_total,
    };
    let lines = [investment_amount, agio, disagio, accrued_interest];
    Ok(Explained { payable, lines, value_date: inputs.value_date })
}

fn investment_amount<'a>(inputs: &PayableInputs<'a>, exact: BigRational) -> Result<Line<'a>, Refusal> {
    let amount = round(&exact, inputs.price.currency())?;
    let formula = Formula::UnitsTimesPrice { units: inputs.units, price: inputs.price };
    Ok(Line { component: Component::InvestmentAmount, formula, exact, amount })
}

fn agio<'a>(inputs: &PayableInputs<'a>, base: BigRational) -> Result<Line<'a>, Refusal> {
    let percent = inputs.agio_percent;
    let exact = if percent.is_zero() { BigRational::zero() } else { &base * percent.exact() / hundred() };
    let amount = round(&exact, inputs.price.currency())?;
    Ok(Line { component: Component::Agio, formula: Formula::PercentOfInvestmentAmount { base, percent }, exact, amount })
}

/// A disagio above the investment amount would make somebody else pay. Where that amount does not fit, nothing is above it.
fn disagio<'a>(inputs: &PayableInputs<'a>, investment_amount: Option<Money>) -> Result<Line<'a>, Refusal> {
    let currency = inputs.price.currency();
    let disagio = inputs.disagio.unwrap_or(Money::zero(currency));
    if disagio.currency() != currency {
        return Err(Refusal::CurrencyMismatch { stated: disagio.currency(), expected: currency });
    }
    if let Some(investment_amount) = investment_amount.filter(|amount| disagio.minor() > amount.minor()) {
        return Err(Refusal::DisagioAboveInvestmentAmount { disagio, investment_amount });
    }
    Ok(Line { component: Component::Disagio, formula: Formula::Stated, exact: disagio.exact(), amount: disagio })
}

fn accrued_interest<'a>(inputs: &PayableInputs<'a>) -> Result<Line<'a>, Refusal> {
    let component = Component::AccruedInterest;
    let currency = inputs.price.currency();
    match accrual(inputs.interest, inputs.value_date)? {
        Accrual::Nothing(reason) => {
            let (exact, amount) = (BigRational::zero(), Money::zero(currency));
            Ok(Line { component, formula: Formula::NoInterest(reason), exact, amount })
        }
        Accrual::Running(running) => {
            let base = inputs.nominal_value.map_or(InterestBase::Price(inputs.price), InterestBase::NominalValue);
            if let InterestBase::NominalValue(nominal) = base
                && nominal.currency() != currency
            {
                return Err(Refusal::CurrencyMismatch { stated: currency, expected: nominal.currency() });
            }
            let exact = base.exact() * whole(inputs.units) * running.exact();
            let amount = round(&exact, currency)?;
            Ok(Line { component, formula: Formula::Interest { units: inputs.units, base, running }, exact, amount })
        }
    }
}

fn whole(units: Units) -> BigRational {
    BigRational::from_integer(BigInt::from(units.get()))
}

fn hundred() -> BigRational {
    BigRational::from_integer(BigInt::from(100))
}

/// The investment amount alone, as [`payable`] computes it.
///
/// # Errors
/// It does not fit.
pub fn investment_amount_of(price: Price, units: Units) -> Result<Money, Refusal> {
    round(&(price.exact() * whole(units)), price.currency())
}

/// Each refusal once, in order of appearance.
pub(crate) fn distinct(refusals: impl IntoIterator<Item = Refusal>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for refusal in refusals {
        if !found.contains(&refusal) {
            found.push(refusal);
        }
    }
    found
}

fn round(exact: &BigRational, currency: Currency) -> Result<Money, Refusal> {
    Money::from_exact_round_half_up(exact, currency).map_err(|_| Refusal::AmountTooLarge)
}

#[cfg(test)]
mod tests;
