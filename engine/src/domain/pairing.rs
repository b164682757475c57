//! Pairing codes: typed by a technician at the till, good once.

use protocol::id::{MerchantId, PairingCodeId, TerminalId};

use super::merchant::DeviceKey;
use super::time::Timestamp;
use super::token::SecretHash;

/// Letters of a code: no vowels (no words), nothing that is misread for something else.
pub const ALPHABET: &[u8; 28] = b"BCDFGHJKLMNPQRSTVWXZ23456789";
/// Letters in a code: 28^10 is 48 bits.
pub const CODE_LENGTH: usize = 10;
/// Default life: a technician stands in front of the till.
pub const LIFE_S_DEFAULT: u64 = 15 * 60;
/// Longest life: a roll-out of many tills.
pub const LIFE_S_MAX: u64 = 90 * 24 * 3600;

/// A pairing code, without the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingCode {
    /// Its id.
    pub id: PairingCodeId,
    /// The terminal that it pairs.
    pub terminal_id: TerminalId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Hash of the normalized code.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The key that it was redeemed with.
    pub redeemed: Option<(DeviceKey, Timestamp)>,
}

/// Letters from random bytes; `None` when there are not enough usable bytes.
pub fn letters(random: &[u8]) -> Option<String> {
    // 252 is the largest multiple of 28 in a byte: above it the letters would not be equally likely.
    let code: String = random
        .iter()
        .filter(|byte| **byte < 252)
        .take(CODE_LENGTH)
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 28)))
        .map(|letter| char::from(*letter))
        .collect();
    (code.len() == CODE_LENGTH).then_some(code)
}

/// As shown to people: `BCDFG-HJKLM`.
pub fn display(code: &str) -> String {
    match code.split_at_checked(CODE_LENGTH / 2) {
        Some((left, right)) => format!("{left}-{right}"),
        None => code.to_owned(),
    }
}

/// What people type, in upper case and without separators; `None` when it cannot be a code.
pub fn normalize(typed: &str) -> Option<String> {
    if typed.len() > 4 * CODE_LENGTH {
        return None;
    }
    let code: String = typed
        .chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '.' | '\u{2013}'))
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    let is_code = code.len() == CODE_LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte));
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_type_codes_in_many_ways() {
        for typed in ["BCDFG-HJKLM", "bcdfghjklm", " bcdfg hjklm ", "BCDFG–HJKLM"] {
            assert_eq!(normalize(typed).as_deref(), Some("BCDFGHJKLM"), "{typed}");
        }
        for typed in [
            "",
            "BCDFGHJKL",
            "BCDFGHJKLMN",
            "AEIOUAEIOU",
            &"B".repeat(999),
        ] {
            assert_eq!(normalize(typed), None, "{typed}");
        }
        assert_eq!(display("BCDFGHJKLM"), "BCDFG-HJKLM");
    }

    #[test]
    fn letters_skip_biased_bytes() {
        assert_eq!(letters(&[252, 253, 254, 255]), None);
        assert_eq!(
            letters(&[255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 27]).as_deref(),
            Some("BCDFGHJKL9")
        );
    }
}
