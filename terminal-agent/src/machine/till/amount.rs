//! Amounts as they are typed: digits that fill the minor units from the right. PURE.

use protocol::money::{Currency, Money};

/// The most digits that can be typed: no card number fits, and no currency needs more at a till.
const DIGITS_MAX: usize = 10;

/// Digits typed so far, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Digits(String);

impl Digits {
    pub(super) const fn new() -> Self {
        Self(String::new())
    }

    /// The digits of an amount.
    pub(super) fn of(amount: Money) -> Self {
        Self(amount.minor().max(0).to_string())
    }

    /// One more digit; false when there is no room.
    pub(super) fn push(&mut self, digit: char) -> bool {
        if self.0 == "0" {
            self.0.clear();
        }
        let fits = digit.is_ascii_digit() && self.0.len() < DIGITS_MAX;
        if fits && !(digit == '0' && self.0.is_empty()) {
            self.0.push(digit);
        }
        fits
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The amount so far; zero for nothing.
    pub(super) fn money(&self, currency: Currency) -> Money {
        Money::new(self.0.parse().unwrap_or(0), currency)
    }
}

/// A typed line as an amount: `1250` and `12.50` are the same in a currency with two decimals, and
/// `12.5` is nothing, because nobody knows what was meant.
pub(super) fn parse(text: &str, currency: Currency) -> Option<Digits> {
    let decimals = usize::from(currency.exponent());
    let digits = match text.split_once(['.', ',']) {
        None => text.to_owned(),
        Some((major, minor)) if decimals > 0 && minor.len() == decimals && !major.is_empty() => {
            format!("{major}{minor}")
        }
        Some(_) => return None,
    };
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let digits = digits.trim_start_matches('0');
    (is_number && digits.len() <= DIGITS_MAX).then(|| Digits(digits.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn digits_fill_the_minor_units_from_the_right() {
        for (typed, code, text) in [
            ("", "USD", "0.00"),
            ("1", "USD", "0.01"),
            ("125", "USD", "1.25"),
            ("1250", "USD", "12.50"),
            ("1250", "JPY", "1250"),
            ("1250", "KWD", "1.250"),
            ("00120", "EUR", "1.20"),
            ("4761739001010010", "USD", "47617390.01"),
        ] {
            let mut digits = Digits::new();
            for digit in typed.chars() {
                digits.push(digit);
            }
            assert_eq!(digits.money(currency(code)).decimal(), text, "{typed}");
        }
        let mut digits = Digits::of(Money::new(1_250, currency("USD")));
        digits.pop();
        assert_eq!(digits.money(currency("USD")).decimal(), "1.25");
        assert!(!digits.push('x'));
    }

    #[test]
    fn a_typed_line_is_an_amount_or_nothing() {
        for (text, code, minor) in [
            ("1250", "USD", Some(1_250)),
            ("12.50", "USD", Some(1_250)),
            ("12,50", "EUR", Some(1_250)),
            ("0.05", "USD", Some(5)),
            ("1250", "JPY", Some(1_250)),
            ("1.250", "KWD", Some(1_250)),
            ("12.5", "USD", None),
            ("12.505", "USD", None),
            ("12.50", "JPY", None),
            (".50", "USD", None),
            ("1.2.3", "USD", None),
            ("1,250.00", "USD", None),
            ("-5", "USD", None),
            ("", "USD", None),
            ("4761739001010010", "USD", None),
            ("٣", "USD", None),
        ] {
            let currency = currency(code);
            let parsed = parse(text, currency).map(|digits| digits.money(currency).minor());
            assert_eq!(parsed, minor, "{text:?} {code}");
        }
    }
}
