//! Hides what must not leave a till from text that somebody sends to support: card numbers, track
//! data, tokens, keys, long runs of hexadecimal digits or base64. Pure.
//!
//! Hides too much rather than too little: what is hidden can be asked for, what was sent cannot be
//! taken back. Ids of this system stay: support needs them.

/// Account numbers have this many digits (ISO/IEC 7812).
const PAN_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Characters that people and programs put between groups of digits.
const SEPARATORS: &[char] = &[' ', '-', '.', '_', ',', '/', '\u{a0}'];
/// Hexadecimal digits in a row that are taken for a key or card data: a fingerprint's group or a
/// trace id is shorter, an eight-byte value is sixteen.
const HEX_DIGITS_MIN: usize = 33;
/// Letters of base64 in a row that are taken for a key or card data.
const BASE64_LETTERS_MIN: usize = 40;
/// Numbers in a row that are taken for bytes: `[52, 55, …]`.
const NUMBERS_MIN: usize = 8;
/// How tokens of the engine and keys of its API begin.
const TOKEN_PREFIXES: [&str; 3] = ["tw_", "Bearer ", "bearer "];
/// Track 2 of a chip has `D` where a stripe has `=`.
const TRACK_SEPARATORS: &[char] = &['=', 'D', 'd', '^'];

/// The text with everything hidden that may be a secret.
pub fn redact(text: &str) -> String {
    let text = hide_tokens(text);
    let text = hide_number_lists(&text);
    let text = hide_digits(&text);
    hide_blobs(&text)
}

/// A JSON value with all its texts redacted; names of fields too.
pub fn redact_json(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) => *text = redact(text),
        Value::Array(items) => {
            let is_byte = |item: &Value| item.as_u64().is_some_and(|number| number <= 255);
            if items.len() >= NUMBERS_MIN && items.iter().all(is_byte) {
                *value = Value::String(format!("[{} bytes]", items.len()));
            } else {
                items.iter_mut().for_each(redact_json);
            }
        }
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (name, mut field) in old {
                redact_json(&mut field);
                fields.insert(redact(&name), field);
            }
        }
        Value::Number(number) => {
            let text = number.to_string();
            if is_account_number(&text) && text.len() > 13 {
                *value = Value::String(masked(&text));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Digits of an account number as a receipt may show them: the last four.
pub fn masked(digits: &str) -> String {
    let count = digits.chars().count();
    let shown = if PAN_DIGITS.contains(&count) { 4 } else { 0 };
    let hidden = count.saturating_sub(shown);
    let tail = digits.chars().skip(hidden);
    "*".repeat(hidden).chars().chain(tail).collect()
}

/// Whether these digits can be an account number: their length, and the check digit (Luhn,
/// ISO/IEC 7812-1 annex B).
pub fn is_account_number(digits: &str) -> bool {
    let values: Option<Vec<u32>> = digits.chars().map(|c| c.to_digit(10)).collect();
    let Some(values) = values.filter(|values| PAN_DIGITS.contains(&values.len())) else {
        return false;
    };
    let sum: u32 = values
        .iter()
        .rev()
        .enumerate()
        .map(|(at, value)| match at % 2 {
            0 => *value,
            _ if *value > 4 => value * 2 - 9,
            _ => value * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Replaces the secret part behind each prefix of a token.
fn hide_tokens(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '+');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'next: while let Some(first) = rest.chars().next() {
        for prefix in TOKEN_PREFIXES {
            if let Some(behind) = rest.strip_prefix(prefix) {
                let end = behind.find(|c| !is_part(c)).unwrap_or(behind.len());
                out.push_str(prefix);
                if end > 0 {
                    out.push_str("[token]");
                }
                rest = behind.get(end..).unwrap_or_default();
                continue 'next;
            }
        }
        out.push(first);
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    out
}

/// A run of digits with at most one separator between two of them.
struct Run {
    /// Digits only.
    digits: String,
    /// The run as it stands, from its first digit to its last.
    text: String,
}

fn take_run(text: &str) -> Option<Run> {
    let mut run = Run {
        digits: String::new(),
        text: String::new(),
    };
    let mut gap = None;
    for c in text.chars() {
        if c.is_ascii_digit() {
            run.text.extend(gap.take());
            run.digits.push(c);
            run.text.push(c);
        } else if SEPARATORS.contains(&c) && gap.is_none() && !run.digits.is_empty() {
            gap = Some(c);
        } else {
            break;
        }
    }
    (!run.digits.is_empty()).then_some(run)
}

/// Hides account numbers, in groups too, and tracks.
fn hide_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = if first.is_ascii_digit() {
            take_run(rest)
        } else {
            None
        };
        let Some(run) = run else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        };
        let behind = rest.get(run.text.len()..).unwrap_or_default();
        if let Some(length) = track_length(&run, behind) {
            out.push_str("[track]");
            rest = behind.get(length..).unwrap_or_default();
            continue;
        }
        hide_in_run(&run, &mut out);
        rest = behind;
    }
    out
}

/// Bytes behind an account number that make a track of it.
fn track_length(run: &Run, behind: &str) -> Option<usize> {
    let digits = run.digits.len();
    let separator = behind.chars().next()?;
    if !TRACK_SEPARATORS.contains(&separator) || digits < *PAN_DIGITS.start() {
        return None;
    }
    let after = behind.get(separator.len_utf8()..)?;
    let is_followed = after.starts_with(|c: char| c.is_ascii_digit() || separator == '^');
    let is_part = |c: char| c.is_ascii_graphic() && c != '"' && c != '\'';
    let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
    is_followed.then_some(separator.len_utf8() + end)
}

/// Writes a run of digits with every account number in it hidden. A longer run may have one
/// anywhere inside.
fn hide_in_run(run: &Run, out: &mut String) {
    let digits: Vec<char> = run.digits.chars().collect();
    let mut hidden = vec![false; digits.len()];
    for length in PAN_DIGITS {
        for start in 0..=digits.len().saturating_sub(length) {
            let window: String = digits.iter().skip(start).take(length).collect();
            if window.len() == length && is_account_number(&window) {
                let last = length.saturating_sub(4);
                let cells = hidden.iter_mut().skip(start).take(last);
                cells.for_each(|cell| *cell = true);
            }
        }
    }
    // Where windows overlap, the digits that one of them leaves are hidden by another.
    let mut flags = hidden.into_iter();
    for c in run.text.chars() {
        let is_hidden = c.is_ascii_digit() && flags.next().unwrap_or_default();
        out.push(if is_hidden { '*' } else { c });
    }
}

/// Hides lists of numbers that can be bytes, as programs print them.
fn hide_number_lists(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, list) = rest.split_at(open);
        out.push_str(before);
        let end = list.find(']');
        let inside = end.and_then(|end| list.get(1..end)).unwrap_or_default();
        let numbers: Vec<_> = inside.split(',').map(str::trim).collect();
        let is_bytes = numbers.len() >= NUMBERS_MIN
            && numbers
                .iter()
                .all(|number| number.trim_start_matches("0x").len() <= 3 && is_number(number));
        if is_bytes {
            out.push_str(&format!("[{} bytes]", numbers.len()));
            rest = end.and_then(|end| list.get(end + 1..)).unwrap_or_default();
        } else {
            out.push('[');
            rest = list.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Hides long runs of hexadecimal digits, in pairs too, and of base64.
fn hide_blobs(text: &str) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_start = !out.ends_with(is_letter);
        if is_start && let Some(length) = spaced_hex_length(rest) {
            out.push_str(&format!("[hex, {length} characters]"));
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        if is_start && is_letter(first) {
            let end = rest.find(|c| !is_letter(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            out.push_str(&shown_word(word));
            rest = behind;
            continue;
        }
        out.push(first);
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    out
}

fn shown_word(word: &str) -> String {
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && word.len() >= HEX_DIGITS_MIN {
        return format!("[hex, {} characters]", word.len());
    }
    // Ids of this system: a short prefix, an underscore, 26 letters. Paths have slashes and words.
    let is_path = word.contains('/') && word.split('/').all(|part| part.len() < HEX_DIGITS_MIN);
    if word.len() >= BASE64_LETTERS_MIN && !is_path {
        return format!("[base64, {} characters]", word.len());
    }
    // A long run of hexadecimal digits inside a word.
    let mut longest = 0usize;
    let mut run = 0usize;
    for byte in word.bytes() {
        run = if byte.is_ascii_hexdigit() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    if longest >= HEX_DIGITS_MIN {
        return format!("[hex, {} characters]", word.len());
    }
    word.to_owned()
}

/// Pairs of hexadecimal digits with one separator between them, at least as long as a blob.
fn spaced_hex_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut pairs = 0usize;
    loop {
        let pair = bytes.get(at..at + 2)?;
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        pairs += 1;
        at += 2;
        let next = bytes.get(at..at + 3);
        let goes_on = next.is_some_and(|next| match next {
            [gap, high, low] => {
                matches!(gap, b' ' | b':' | b'-')
                    && high.is_ascii_hexdigit()
                    && low.is_ascii_hexdigit()
                    && !bytes.get(at + 3).is_some_and(u8::is_ascii_hexdigit)
            }
            _ => false,
        });
        if !goes_on {
            let is_blob = pairs * 2 >= HEX_DIGITS_MIN;
            return is_blob.then_some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Digits with the check digit that makes an account number of them.
    fn with_check_digit(digits: &str) -> String {
        (0..10)
            .map(|check| format!("{digits}{check}"))
            .find(|number| is_account_number(number))
            .unwrap()
    }

    #[test]
    fn card_numbers_are_masked_in_every_spelling() {
        for (text, expected) in [
            ("4761739001010010", "************0010"),
            ("4761 7390 0101 0010", "**** **** **** 0010"),
            ("4761-7390-0101-0010.", "****-****-****-0010."),
            ("374245001751006", "***********1006"),
            ("pan=4761739001010010,", "pan=************0010,"),
            ("4761739001010010=2812201", "[track]"),
            ("4761739001010010D2812201000", "[track]"),
            (";4761739001010010=2812201?", ";[track]"),
            ("%B4761739001010010^DOE/JOE^2812", "%B[track]"),
            ("2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"),
            ("process 12345", "process 12345"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets_are_hidden_and_ids_stay() {
        for (text, expected) in [
            ("tw_live_abcDEF123", "tw_[token]"),
            (
                "Authorization: Bearer abc.def-1",
                "Authorization: Bearer [token]",
            ),
            (
                "pos_01h2xcejqtf2nbrexx3vqjhp41 approved",
                "pos_01h2xcejqtf2nbrexx3vqjhp41 approved",
            ),
            ("bytes [52, 55, 54, 49, 55, 51, 57, 48]", "bytes [8 bytes]"),
            ("list [1, 2, 3]", "list [1, 2, 3]"),
            (
                "/var/lib/tillway-agent/state/journal.broken-1",
                "/var/lib/tillway-agent/state/journal.broken-1",
            ),
            ("9D1F AA03 FEED BEEF", "9D1F AA03 FEED BEEF"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
        let key = "ab".repeat(32);
        assert_eq!(redact(&key), "[hex, 64 characters]");
        let spaced = vec!["4a"; 20].join(" ");
        assert_eq!(redact(&spaced), "[hex, 59 characters]");
        let base64 = "QUJD".repeat(12);
        assert!(!redact(&format!("x={base64}")).contains("QUJDQUJD"));
    }

    #[test]
    fn json_is_redacted_in_names_texts_and_numbers() {
        let mut value = serde_json::json!({
            "4761739001010010": 1,
            "text": "4761739001010010",
            "number": 4_761_739_001_010_010_u64,
            "bytes": vec![52; 16],
            "few": [1, 2],
            "time_ms": 1_795_248_000_000_u64,
        });
        redact_json(&mut value);
        let text = value.to_string();
        assert!(!text.contains("4761739001010010"), "{text}");
        assert!(
            text.contains("[16 bytes]") && text.contains("[1,2]"),
            "{text}"
        );
        assert!(text.contains("1795248000000"), "{text}");
    }

    proptest! {
        #[test]
        fn no_account_number_survives(
            digits in "[1-9][0-9]{11,17}",
            before in "[a-z =:]{0,8}",
            after in "[a-z ;]{0,8}",
            group in 0usize..6,
        ) {
            let number = with_check_digit(&digits);
            let written: String = number
                .chars()
                .enumerate()
                .flat_map(|(at, c)| {
                    let gap = group > 1 && at > 0 && at % group == 0;
                    gap.then_some(' ').into_iter().chain([c])
                })
                .collect();
            let shown = redact(&format!("{before}{written}{after}"));
            let left: String = shown.chars().filter(char::is_ascii_digit).collect();
            prop_assert!(!left.contains(&number), "{shown}");
        }

        #[test]
        fn any_text_is_redacted_without_a_panic_and_again_changes_nothing_secret(text in "\\PC{0,200}") {
            let once = redact(&text);
            drop(redact(&once));
            let mut json = serde_json::json!({"text": text});
            redact_json(&mut json);
        }

        #[test]
        fn keys_never_survive(bytes in proptest::collection::vec(any::<u8>(), 17..64)) {
            let key = hex::encode(&bytes);
            let shown = redact(&format!("key {key}"));
            prop_assert!(!shown.contains(&key), "{shown}");
        }
    }
}
