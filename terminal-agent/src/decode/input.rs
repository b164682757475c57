//! From what a technician pastes to bytes: hexadecimal digits as loggers and dumps write them. Pure.

/// Why a text is no byte string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Something else than digits.
    #[error("line {line}, column {column}: {found:?} is no hexadecimal digit")]
    NotHex {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What stands there.
        found: char,
    },
    /// Half a byte.
    #[error("line {line}: a byte has two digits, and one is missing")]
    HalfByte {
        /// Counted from 1.
        line: usize,
    },
    /// Nothing.
    #[error("there are no bytes")]
    Empty,
}

/// Reads bytes from a file or a pipe: hexadecimal digits, or else the bytes themselves.
///
/// # Errors
/// [`InputError`] for printable text that is not hexadecimal.
pub fn read_bytes(content: &[u8]) -> Result<Vec<u8>, InputError> {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match std::str::from_utf8(content) {
        Ok(text) if content.iter().all(is_text) => read_hex(text),
        _ => Ok(content.to_vec()),
    }
}

/// Reads hexadecimal digits, with spaces, line breaks, colons, commas, `0x`, offsets in front of
/// lines and the text column of dumps.
///
/// # Errors
/// [`InputError`].
pub fn read_hex(text: &str) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        read_line(number, line, &mut bytes)?;
    }
    if bytes.is_empty() {
        return Err(InputError::Empty);
    }
    Ok(bytes)
}

fn read_line(line: usize, text: &str, bytes: &mut Vec<u8>) -> Result<(), InputError> {
    let (skipped, digits) = without_frame(text);
    let mut high = None;
    let mut is_zero_of_prefix = false;
    for (at, c) in digits.chars().enumerate() {
        let value = c.to_digit(16).and_then(|value| u8::try_from(value).ok());
        match (value, high) {
            (Some(value), None) => {
                high = Some(value);
                is_zero_of_prefix = value == 0;
                continue;
            }
            (Some(value), Some(first)) => {
                bytes.push((first << 4) | value);
                high = None;
            }
            (None, Some(0)) if is_zero_of_prefix && matches!(c, 'x' | 'X') => high = None,
            (None, Some(_)) if is_gap(c) => return Err(InputError::HalfByte { line }),
            (None, None) if is_gap(c) => {}
            (None, _) => {
                let column = skipped.saturating_add(at).saturating_add(1);
                return Err(InputError::NotHex {
                    line,
                    column,
                    found: c,
                });
            }
        }
        is_zero_of_prefix = false;
    }
    match high {
        Some(_) => Err(InputError::HalfByte { line }),
        None => Ok(()),
    }
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || matches!(c, ':' | ',' | ';' | '-' | '[' | ']')
}

/// The digits of a line without its offset and its text column, and how many characters stand in
/// front of them.
fn without_frame(line: &str) -> (usize, &str) {
    let indent = line.len().saturating_sub(line.trim_start().len());
    let body = line.trim();
    let (body, has_column) = match body.split_once('|') {
        Some((digits, _)) => (digits, true),
        None => (body, false),
    };
    let is_offset = |word: &str| {
        (4..=16).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let first = body.split([' ', '\t']).next().unwrap_or_default();
    if let Some(word) = first.strip_suffix(':')
        && is_offset(word)
    {
        let rest = body.get(first.len()..).unwrap_or_default();
        let start = rest.trim_start();
        // Two spaces part digits from text (`xxd`).
        let digits = start.split("  ").next().unwrap_or_default();
        let skipped = indent + first.len() + (rest.len() - start.len());
        return (skipped, digits);
    }
    if has_column && first.len() >= 7 && is_offset(first) {
        let skipped = indent.saturating_add(first.len());
        return (skipped, body.get(first.len()..).unwrap_or_default());
    }
    (indent, body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_read_from_all_usual_spellings() {
        for text in [
            "56694f74",
            "56 69 4F 74",
            "56:69:4f:74",
            "0x56, 0x69, 0x4f, 0x74",
            "0x56694f74",
            "[0x56,0x69,0x4f,0x74]",
            "56 69\n4f 74\n",
            "0000: 56 69 4f 74",
            "00000000: 5669 4f74                                ViOt",
            "00000000  56 69 4f 74                                       |ViOt|\n00000004\t|",
            "0000: 56 69\n0002: 4f 74\n",
        ] {
            assert_eq!(read_hex(text), Ok(b"ViOt".to_vec()), "{text}");
        }
        assert_eq!(read_hex("00 00"), Ok(vec![0, 0]));
        assert_eq!(read_bytes(b"Vi\0\xff"), Ok(b"Vi\0\xff".to_vec()));
        assert_eq!(read_bytes(b"5669\n"), Ok(b"Vi".to_vec()));
    }

    #[test]
    fn what_is_no_byte_is_named_with_its_place() {
        for (text, expected) in [
            ("", InputError::Empty),
            (" \n", InputError::Empty),
            ("56 6", InputError::HalfByte { line: 1 }),
            ("56\n6 9", InputError::HalfByte { line: 2 }),
            (
                "56 zz",
                InputError::NotHex {
                    line: 1,
                    column: 4,
                    found: 'z',
                },
            ),
            (
                "0000: 56 g9",
                InputError::NotHex {
                    line: 1,
                    column: 10,
                    found: 'g',
                },
            ),
        ] {
            assert_eq!(read_hex(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 1..100), width in 1usize..20) {
            let lines: Vec<_> = bytes
                .chunks(width)
                .enumerate()
                .map(|(at, chunk)| {
                    let pairs: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("{:04x}: {}", at * width, pairs.join(" "))
                })
                .collect();
            prop_assert_eq!(read_hex(&lines.join("\n")), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,100}", bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(read_hex(&text));
            drop(read_bytes(&bytes));
        }
    }
}
