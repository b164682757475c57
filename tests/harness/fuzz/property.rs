//! What must hold for any bytes, and the check sums that let mutated bytes past the gate.

use std::fmt::{Debug, Display};

/// Digits in a row that may be an account number: the shortest has twelve (ISO/IEC 7812).
const ACCOUNT_DIGITS_MIN: usize = 12;

/// CRC-32C (RFC 3720 §12.1), written apart from the programs, so that the formats are checked and
/// not repeated.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    const fn table() -> [u32; 256] {
        let mut table = [0; 256];
        let mut index = 0u32;
        while index < 256 {
            let mut entry = index;
            let mut bit = 0;
            while bit < 8 {
                entry = (entry >> 1) ^ (0x82F6_3B78 * (entry & 1));
                bit += 1;
            }
            table[index as usize] = entry;
            index += 1;
        }
        table
    }
    static TABLE: [u32; 256] = table();
    let crc = parts.iter().copied().flatten().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE[usize::from(low ^ byte)]
    });
    !crc
}

/// An error must not repeat what may be an account number of the input.
pub(super) fn keeps_secrets<E: Display + Debug>(error: &E, input: &[u8]) {
    keeps_secrets_text(&error.to_string(), input);
    keeps_secrets_text(&format!("{error:?}"), input);
}

/// As [`keeps_secrets`], for anything that is shown or logged.
pub(super) fn keeps_secrets_text(text: &str, input: &[u8]) {
    let mut run = String::new();
    for character in text.chars().chain([' ']) {
        if character.is_ascii_digit() {
            run.push(character);
            continue;
        }
        if run.len() >= ACCOUNT_DIGITS_MIN {
            let is_quoted = input
                .windows(run.len())
                .any(|window| window == run.as_bytes());
            assert!(!is_quoted, "quotes {} digits of the input", run.len());
        }
        run.clear();
    }
}

/// What was decoded encodes to something that decodes to the same.
pub(super) fn decodes_again<T: PartialEq, E: Debug>(
    value: &T,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Result<T, E>,
) {
    let bytes = encode(value);
    let again = decode(&bytes).expect("what was encoded decodes");
    assert!(again == *value, "it decodes to something else");
    assert!(encode(&again) == bytes, "it encodes to something else");
}
