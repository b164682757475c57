//! Money as integer minor units of an ISO 4217 currency. Checked operations only, no floats.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why an amount or a currency cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not the code of a currency in use.
    #[error("not a currency in use")]
    UnknownCurrency,
    /// Two amounts of different currencies met.
    #[error("currencies differ")]
    CurrencyMismatch,
    /// The result does not fit.
    #[error("amount out of range")]
    OutOfRange,
}

/// Codes that ISO 4217 has withdrawn but that tables still list.
const WITHDRAWN: &[&str] = &["ANG", "BGN", "CUC", "HRK", "SLL", "ZWL"];

/// A currency in which cards are charged: an ISO 4217 code with a minor unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The ISO 4217 number, as EMV tag 5F2A carries it.
    pub fn number(self) -> u16 {
        self.0.numeric()
    }

    /// Digits after the decimal point.
    pub fn exponent(self) -> u8 {
        self.0
            .exponent()
            .and_then(|digits| u8::try_from(digits).ok())
            .unwrap_or(0)
    }

    /// Looks a currency up by its ISO 4217 number.
    pub fn from_number(number: u16) -> Option<Self> {
        iso_currency::Currency::from_numeric(number).and_then(Self::usable)
    }

    fn usable(currency: iso_currency::Currency) -> Option<Self> {
        // Precious metals and funds have no minor unit: nobody pays a till in them.
        currency.exponent()?;
        (!WITHDRAWN.contains(&currency.code())).then_some(Self(currency))
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code)
            .and_then(Self::usable)
            .ok_or(MoneyError::UnknownCurrency)
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CodeVisitor)
    }
}

/// Reads a currency from a text, without a copy of it.
struct CodeVisitor;

impl de::Visitor<'_> for CodeVisitor {
    type Value = Currency;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, code: &str) -> Result<Currency, E> {
        code.parse().map_err(E::custom)
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units (cents of a dollar, yen of a yen).
    minor: i64,
    /// What the minor units are of.
    currency: Currency,
}

impl Money {
    /// `minor` minor units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Minor units.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Whether the amount is above zero.
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// Adds an amount of the same currency.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], or [`MoneyError::OutOfRange`] on overflow.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// Takes away an amount of the same currency; the result may be negative.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], or [`MoneyError::OutOfRange`] on overflow.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// A part of the amount in basis points (1/10,000), rounded half up to a minor unit.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] on overflow or for a negative amount.
    pub fn basis_points(self, points: u32) -> Result<Self, MoneyError> {
        let minor = u64::try_from(self.minor).map_err(|_| MoneyError::OutOfRange)?;
        let scaled = u128::from(minor) * u128::from(points) + 5_000;
        let minor = i64::try_from(scaled / 10_000).map_err(|_| MoneyError::OutOfRange)?;
        Ok(Self::new(minor, self.currency))
    }

    /// The largest amount that is not more than a part of this one, in basis points (1/10,000): for
    /// limits, where rounding up would allow what is above them.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] on overflow or for a negative amount.
    pub fn basis_points_at_most(self, points: u32) -> Result<Self, MoneyError> {
        let minor = u64::try_from(self.minor).map_err(|_| MoneyError::OutOfRange)?;
        let scaled = u128::from(minor) * u128::from(points);
        let minor = i64::try_from(scaled / 10_000).map_err(|_| MoneyError::OutOfRange)?;
        Ok(Self::new(minor, self.currency))
    }

    fn combine(self, other: Self, op: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        let minor = op(self.minor, other.minor).ok_or(MoneyError::OutOfRange)?;
        Ok(Self::new(minor, self.currency))
    }

    /// The amount in major units with the currency's decimals: `12.34`, `-0.05`, `1200`.
    pub fn decimal(self) -> String {
        let digits = usize::from(self.currency.exponent());
        let sign = if self.minor < 0 { "-" } else { "" };
        let text = format!("{:0>width$}", self.minor.unsigned_abs(), width = digits + 1);
        match text.split_at_checked(text.len() - digits) {
            Some((major, minor)) if !minor.is_empty() => format!("{sign}{major}.{minor}"),
            _ => format!("{sign}{text}"),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.currency, self.decimal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    #[test]
    fn decimal_has_the_currency_digits() {
        for (minor, code, text) in [
            (1234, "USD", "12.34"),
            (5, "EUR", "0.05"),
            (-5, "EUR", "-0.05"),
            (0, "USD", "0.00"),
            (1200, "JPY", "1200"),
            (1234, "KWD", "1.234"),
            (i64::MIN, "USD", "-92233720368547758.08"),
        ] {
            assert_eq!(money(minor, code).decimal(), text);
        }
    }

    #[test]
    fn currencies_out_of_use_are_refused() {
        for code in ["", "usd", "XAU", "XXX", "HRK", "CUC", "ZZZ", "US", "USDT"] {
            assert_eq!(
                code.parse::<Currency>(),
                Err(MoneyError::UnknownCurrency),
                "{code}"
            );
        }
        assert_eq!("EUR".parse::<Currency>().unwrap().number(), 978);
        assert_eq!(Currency::from_number(840).unwrap().code(), "USD");
    }

    #[test]
    fn mixed_currencies_and_overflow_are_refused() {
        let cent = money(1, "USD");
        assert_eq!(
            cent.plus(money(1, "EUR")),
            Err(MoneyError::CurrencyMismatch)
        );
        assert_eq!(
            money(i64::MAX, "USD").plus(cent),
            Err(MoneyError::OutOfRange)
        );
        assert_eq!(
            money(i64::MIN, "USD").minus(cent),
            Err(MoneyError::OutOfRange)
        );
        assert_eq!(
            money(-1, "USD").basis_points(1),
            Err(MoneyError::OutOfRange)
        );
    }

    #[test]
    fn a_float_is_not_an_amount() {
        for json in [
            r#"{"minor":1.0,"currency":"USD"}"#,
            r#"{"minor":"1","currency":"USD"}"#,
        ] {
            assert!(serde_json::from_str::<Money>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn plus_then_minus_returns(a: i64, b: i64) {
            if let Ok(sum) = money(a, "USD").plus(money(b, "USD")) {
                prop_assert_eq!(sum.minus(money(b, "USD")), Ok(money(a, "USD")));
            }
        }

        #[test]
        fn basis_points_are_within_half_a_minor_unit(minor in 0..1_000_000_000i64, points in 0..20_000u32) {
            let part = money(minor, "USD").basis_points(points).unwrap().minor();
            let exact = i128::from(minor) * i128::from(points);
            let error = i128::from(part) * 10_000 - exact;
            prop_assert!((-4_999..=5_000).contains(&error));
        }

        #[test]
        fn basis_points_of_a_limit_are_never_above_it(minor in 0..1_000_000_000i64, points in 0..20_000u32) {
            let part = money(minor, "USD").basis_points_at_most(points).unwrap().minor();
            let missing = i128::from(minor) * i128::from(points) - i128::from(part) * 10_000;
            prop_assert!((0..10_000).contains(&missing));
        }
    }
}
