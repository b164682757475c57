//! Digits in card data: packed two to a byte, hidden by masks, with a check digit.
//!
//! Owns conversions only; whose digits they are, and whether they are let through, is decided by
//! [`super`].

use zeroize::Zeroizing;

use super::CardDataError;

/// Digits and the separator (nibble D) as text; F fills the end.
pub(super) fn unpack(packed: &[u8]) -> Result<Zeroizing<String>, CardDataError> {
    // The capacity is exact: growing would leave card data behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(packed.len().saturating_mul(2)));
    let mut rest = nibbles(packed);
    for nibble in rest.by_ref() {
        match nibble {
            0..=9 => text.push(char::from(b'0'.saturating_add(nibble))),
            0x0D => text.push('='),
            0x0F => break,
            _ => return Err(CardDataError::NotACard),
        }
    }
    if rest.all(|nibble| nibble == 0x0F) {
        Ok(text)
    } else {
        Err(CardDataError::NotACard)
    }
}

pub(super) fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F])
}

/// A shown or hidden (nibble C) digit; nothing at the number's end.
pub(super) fn masked_nibble(nibble: u8) -> Option<Option<u8>> {
    match nibble {
        0..=9 => Some(Some(nibble)),
        0x0C => Some(None),
        _ => None,
    }
}

pub(super) fn digit_value(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))
}

pub(super) fn is_year_and_month(text: &str) -> bool {
    let is_month = |month: u8| (1..=12).contains(&month);
    text.bytes().all(|byte| byte.is_ascii_digit())
        && text
            .get(2..4)
            .and_then(|month| month.parse().ok())
            .is_some_and(is_month)
}

/// The check digit formula of ISO/IEC 7812-1 annex B.
pub(super) fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .zip([1, 2].into_iter().cycle())
        .map(|(byte, weight)| {
            let product = digit_value(byte).map_or(0, u32::from) * weight;
            product / 10 + product % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_checked() {
        for number in ["4761739001010010", "374245001751006", "6011111111111117"] {
            assert!(passes_luhn(number));
            let (rest, last) = number.split_at(number.len() - 1);
            for digit in ('0'..='9').filter(|digit| !last.starts_with(*digit)) {
                assert!(!passes_luhn(&format!("{rest}{digit}")), "{rest}{digit}");
            }
        }
    }
}
