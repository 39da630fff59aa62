//! Money, prices and percentages: integers with a named scale. There are no floats and no arithmetic operators.

use std::fmt;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};
use thiserror::Error;

/// The largest integer a price may state, before its decimals are taken off.
pub const PRICE_AMOUNT_MAX: u64 = 1_000_000_000_000_000_000;
/// The most decimals a price may have.
pub const PRICE_DECIMALS_MAX: u8 = 18;
/// The most decimals a percentage may have.
pub const PERCENT_DECIMALS_MAX: u8 = 6;

/// An ISO 4217 currency with a minor unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Currency(iso_currency::Currency);

/// An amount that is paid or booked: whole minor units of one currency (cents).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// A price per unit as a campaign states it: `amount / 10^decimals` of the currency. "100" with 2 decimals is 1.00.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Price {
    amount: u64,
    decimals: u8,
    currency: Currency,
}

/// An exact percentage from 0 to 100 with at most six decimals.
#[derive(Clone, Copy, Debug)]
pub struct Percent {
    mantissa: u64,
    decimals: u8,
}

/// Why an amount is not acceptable, whatever the store holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MoneyFault {
    /// Not an ISO 4217 code with a minor unit.
    #[error("must be an ISO 4217 currency code such as EUR")]
    UnknownCurrency,
    /// Not a plain non-negative integer in a string, or too large.
    #[error("must be a string that holds a plain integer from 0 to 1000000000000000000")]
    NotAnInteger,
    /// A price must be above zero.
    #[error("must be more than zero")]
    NotPositive,
    /// A price's decimals go from 0 to 18.
    #[error("must be an integer from 0 to 18")]
    Decimals,
    /// Money to pay is stated in the currency's own minor unit.
    #[error("must be the currency's own number of decimals, for EUR 2")]
    NotTheMinorUnit,
    /// Not a decimal from 0 to 100 with at most six decimals.
    #[error("must be a decimal string from 0 to 100 with at most 6 decimals")]
    NotAPercentage,
    /// The amount does not fit into 64 bits of minor units.
    #[error("the amount is too large")]
    TooLarge,
}

impl Currency {
    /// Reads an upper-case ISO 4217 code.
    ///
    /// # Errors
    /// The code is unknown, or names something without a minor unit (gold, testing codes).
    pub fn parse(code: &str) -> Result<Self, MoneyFault> {
        let currency = iso_currency::Currency::from_code(code).ok_or(MoneyFault::UnknownCurrency)?;
        currency.exponent().ok_or(MoneyFault::UnknownCurrency)?;
        Ok(Self(currency))
    }

    /// The three-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of the minor unit: EUR 2, JPY 0, KWD 3.
    #[must_use]
    pub fn minor_decimals(self) -> u8 {
        self.0.exponent().and_then(|exponent| u8::try_from(exponent).ok()).unwrap_or(0)
    }
}

impl Money {
    /// An amount in minor units.
    #[must_use]
    pub const fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Reads the wire's money: an integer in a string, and the currency's own decimals.
    ///
    /// # Errors
    /// The amount is no plain integer, or the decimals are not those of the currency's minor unit.
    pub fn from_wire(amount: &str, decimals: u64, currency: Currency) -> Result<Self, MoneyFault> {
        if decimals != u64::from(currency.minor_decimals()) {
            return Err(MoneyFault::NotTheMinorUnit);
        }
        let minor = parse_integer(amount)?;
        Ok(Self { minor: i64::try_from(minor).map_err(|_| MoneyFault::NotAnInteger)?, currency })
    }

    /// Whole minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum in the same currency; `None` where currencies differ or the sum does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let same = self.currency == other.currency;
        same.then(|| self.minor.checked_add(other.minor)).flatten().map(|minor| Self { minor, ..self })
    }

    /// The difference in the same currency; `None` where currencies differ or it does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let same = self.currency == other.currency;
        same.then(|| self.minor.checked_sub(other.minor)).flatten().map(|minor| Self { minor, ..self })
    }

    /// Rounds an exact amount of the currency to its minor unit, half away from zero, once.
    ///
    /// # Errors
    /// The result does not fit into 64 bits.
    pub fn from_exact_round_half_up(exact: &BigRational, currency: Currency) -> Result<Self, MoneyFault> {
        let scaled = exact * BigRational::from_integer(power_of_ten(currency.minor_decimals()));
        let half = BigRational::new(BigInt::one(), BigInt::from(2));
        let rounded = if scaled.is_negative() { (scaled - half).ceil() } else { (scaled + half).floor() };
        let minor = rounded.to_integer().to_i64().ok_or(MoneyFault::TooLarge)?;
        Ok(Self { minor, currency })
    }

    /// The exact value in whole units of the currency.
    #[must_use]
    pub fn exact(self) -> BigRational {
        BigRational::new(BigInt::from(self.minor), power_of_ten(self.currency.minor_decimals()))
    }
}

impl Price {
    /// Reads the wire's price.
    ///
    /// # Errors
    /// The amount is no plain positive integer, or has more than 18 decimals.
    pub fn from_wire(amount: &str, decimals: u64, currency: Currency) -> Result<Self, MoneyFault> {
        let decimals = u8::try_from(decimals).ok().filter(|d| *d <= PRICE_DECIMALS_MAX).ok_or(MoneyFault::Decimals)?;
        let amount = parse_integer(amount)?;
        if amount == 0 {
            return Err(MoneyFault::NotPositive);
        }
        Ok(Self { amount, decimals, currency })
    }

    /// The integer as it was stated.
    #[must_use]
    pub const fn amount(self) -> u64 {
        self.amount
    }

    /// The number of decimals as it was stated.
    #[must_use]
    pub const fn decimals(self) -> u8 {
        self.decimals
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The exact price of one unit.
    #[must_use]
    pub fn exact(self) -> BigRational {
        BigRational::new(BigInt::from(self.amount), power_of_ten(self.decimals))
    }
}

impl Percent {
    /// Zero percent.
    pub const ZERO: Self = Self { mantissa: 0, decimals: 0 };

    /// Reads a decimal string such as "2.5".
    ///
    /// # Errors
    /// Not a plain decimal from 0 to 100 with at most six decimals.
    pub fn parse(text: &str) -> Result<Self, MoneyFault> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        let whole_ok = plain(whole) && !whole.is_empty() && (whole == "0" || !whole.starts_with('0')) && whole.len() <= 3;
        let fraction_ok = plain(fraction) && fraction.len() <= usize::from(PERCENT_DECIMALS_MAX);
        if !whole_ok || !fraction_ok || text.ends_with('.') {
            return Err(MoneyFault::NotAPercentage);
        }
        let decimals = u8::try_from(fraction.len()).map_err(|_| MoneyFault::NotAPercentage)?;
        let mantissa = format!("{whole}{fraction}").parse().map_err(|_| MoneyFault::NotAPercentage)?;
        let percent = Self { mantissa, decimals };
        if percent.exact() > BigRational::from_integer(BigInt::from(100)) {
            return Err(MoneyFault::NotAPercentage);
        }
        Ok(percent)
    }

    /// The exact number of percent (2.5, not 0.025).
    #[must_use]
    pub fn exact(self) -> BigRational {
        BigRational::new(BigInt::from(self.mantissa), power_of_ten(self.decimals))
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.mantissa.is_zero()
    }
}

/// Two percentages are equal when they mean the same number, however many zeros they were written with.
impl PartialEq for Percent {
    fn eq(&self, other: &Self) -> bool {
        self.exact() == other.exact()
    }
}

impl Eq for Percent {}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.pow(u32::from(self.decimals));
        let (whole, fraction) = (self.mantissa / scale, self.mantissa % scale);
        if self.decimals == 0 {
            write!(f, "{whole}")
        } else {
            write!(f, "{whole}.{fraction:0width$}", width = usize::from(self.decimals))
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.currency.minor_decimals());
        let scale = 10_u64.pow(u32::from(self.currency.minor_decimals()));
        let (sign, size) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        if decimals == 0 {
            write!(f, "{sign}{size} {}", self.currency.code())
        } else {
            write!(f, "{sign}{}.{:0decimals$} {}", size / scale, size % scale, self.currency.code())
        }
    }
}

fn parse_integer(text: &str) -> Result<u64, MoneyFault> {
    let canonical = text == "0" || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let number: u64 = canonical.then(|| text.parse().ok()).flatten().ok_or(MoneyFault::NotAnInteger)?;
    if number > PRICE_AMOUNT_MAX {
        return Err(MoneyFault::NotAnInteger);
    }
    Ok(number)
}

fn power_of_ten(decimals: u8) -> BigInt {
    Pow::pow(BigInt::from(10), u32::from(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur() -> Currency {
        Currency::parse("EUR").unwrap()
    }

    fn exact(numerator: i64, denominator: i64) -> BigRational {
        BigRational::new(BigInt::from(numerator), BigInt::from(denominator))
    }

    #[test]
    fn m03_half_way_is_rounded_up_as_the_vectors_say() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/rounding.json")).unwrap();
        let cases = vectors["half_up"].as_array().unwrap();
        assert!(cases.len() >= 7);
        for case in cases {
            let amount: BigRational = case["exact"].as_str().unwrap().parse().unwrap();
            let money = Money::from_exact_round_half_up(&amount, eur()).unwrap();
            assert_eq!(Some(money.minor()), case["minor"].as_i64(), "{case}");
        }
    }

    #[test]
    fn the_guides_price_is_one_euro() {
        assert_eq!(Price::from_wire("100", 2, eur()).unwrap().exact(), exact(1, 1));
        for refused in ["1.00", "", "-1", "01", "1e3", "+1", " 1", "0", "1000000000000000001"] {
            assert!(Price::from_wire(refused, 2, eur()).is_err(), "{refused}");
        }
        assert_eq!(Price::from_wire("1", 19, eur()), Err(MoneyFault::Decimals));
    }

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        assert_eq!(Money::from_wire("100", 3, eur()), Err(MoneyFault::NotTheMinorUnit));
        for (code, decimals) in [("EUR", 2), ("JPY", 0), ("KWD", 3)] {
            assert_eq!(Currency::parse(code).unwrap().minor_decimals(), decimals, "{code}");
        }
        for code in ["EURO", "eur", "XAU", "XXX", ""] {
            assert_eq!(Currency::parse(code), Err(MoneyFault::UnknownCurrency), "{code}");
        }
    }

    /// Sums and differences are exact, of one currency, and within 64 bits.
    #[test]
    fn money_is_added_and_taken_off_in_one_currency() {
        let of = |minor, code: &str| Money::from_minor(minor, Currency::parse(code).unwrap());
        let cents = |minor| of(minor, "EUR");
        assert_eq!((cents(7).checked_add(cents(3)), cents(7).checked_sub(cents(3))), (Some(cents(10)), Some(cents(4))));
        assert_eq!((cents(7).checked_add(of(3, "USD")), cents(7).checked_sub(of(3, "USD"))), (None, None));
        assert_eq!((cents(i64::MAX).checked_add(cents(1)), cents(i64::MIN).checked_sub(cents(1))), (None, None));
        assert_eq!((cents(i64::MAX - 1).checked_add(cents(1)), Money::zero(eur())), (Some(cents(i64::MAX)), cents(0)));
        assert_eq!(
            (cents(1_234).exact(), of(5, "JPY").exact(), of(5, "KWD").exact()),
            (exact(617, 50), exact(5, 1), exact(1, 200))
        );
        assert_eq!((cents(5).minor(), cents(5).currency().code(), of(5, "KWD").currency().code()), (5, "EUR", "KWD"));
    }

    #[test]
    fn money_is_read_and_written_as_it_is_counted() {
        for (minor, code, text) in [
            (123_456, "EUR", "1234.56 EUR"),
            (5, "EUR", "0.05 EUR"),
            (0, "EUR", "0.00 EUR"),
            (-5, "EUR", "-0.05 EUR"),
            (-12_345, "KWD", "-12.345 KWD"),
            (7, "JPY", "7 JPY"),
            (-7, "JPY", "-7 JPY"),
        ] {
            assert_eq!(Money::from_minor(minor, Currency::parse(code).unwrap()).to_string(), text);
        }
        for (amount, expected) in [("0", 0), ("10", 10), ("1000000000000000000", 1_000_000_000_000_000_000)] {
            assert_eq!(Money::from_wire(amount, 2, eur()).map(Money::minor), Ok(expected));
        }
        for refused in ["1000000000000000001", "18446744073709551616", "-0", "00", "1_0", ""] {
            assert_eq!(Money::from_wire(refused, 2, eur()), Err(MoneyFault::NotAnInteger), "{refused}");
        }
    }

    #[test]
    fn a_price_keeps_what_was_stated() {
        let price = Price::from_wire("12345", 4, eur()).unwrap();
        assert_eq!((price.amount(), price.decimals(), price.currency().code()), (12_345, 4, "EUR"));
        assert_eq!(price.exact(), exact(12_345, 10_000));
        assert_eq!(Price::from_wire("1000000000000000000", 18, eur()).unwrap().exact(), exact(1, 1));
        assert_eq!(Price::from_wire("0", 2, eur()), Err(MoneyFault::NotPositive));
    }

    #[test]
    fn what_does_not_fit_into_64_bits_is_too_large() {
        let cents = |exact| Money::from_exact_round_half_up(&exact, eur()).map(Money::minor);
        assert_eq!(cents(exact(i64::MAX, 100)), Ok(i64::MAX));
        assert_eq!(cents(exact(i64::MAX, 100) + exact(49, 10_000)), Ok(i64::MAX));
        assert_eq!(cents(exact(i64::MAX, 100) + exact(50, 10_000)), Err(MoneyFault::TooLarge));
        assert_eq!(cents(exact(i64::MIN, 100) - exact(50, 10_000)), Err(MoneyFault::TooLarge));
        assert_eq!((cents(exact(-149, 10_000)), cents(exact(-150, 10_000))), (Ok(-1), Ok(-2)), "away from zero at the half");
    }

    #[test]
    fn percentages_are_exact_decimals() {
        for text in ["0", "2.5", "100", "0.000001", "99.999999", "5.00"] {
            assert_eq!(Percent::parse(text).unwrap().to_string(), text);
        }
        for refused in ["100.1", "-1", "1e1", "01", ".5", "5.", "1.0000001", "", "1,5", "101"] {
            assert_eq!(Percent::parse(refused).map(|p| p.to_string()), Err(MoneyFault::NotAPercentage), "{refused}");
        }
        assert_eq!(Percent::parse("5.00"), Percent::parse("5"));
        assert_ne!(Percent::parse("5.01"), Percent::parse("5"));
        assert_eq!(Percent::parse("2.5").unwrap().exact(), exact(5, 2));
        assert!(Percent::ZERO.is_zero() && Percent::parse("0.00").unwrap().is_zero());
        assert!(!Percent::parse("0.000001").unwrap().is_zero());
    }
}
