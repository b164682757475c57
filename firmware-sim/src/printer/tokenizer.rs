//! Bytes to commands, strictly.
//!
//! Written from the printer's manuals, not from the agent's encoder: what is not in the
//! subset of a common 80 mm printer is unknown, and parameters out of range are unknown too.

/// One command, or one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Character(u8),
    LineFeed,
    Initialise,
    CodePage(u8),
    InternationalSet(u8),
    Emphasis(bool),
    Underline(u8),
    Reverse(bool),
    Font(u8),
    Size { width: u8, height: u8 },
    PrintMode(u8),
    Justify(u8),
    LineSpacing(Option<u8>),
    FeedLines(u8),
    FeedDots(u8),
    Cut { is_partial: bool, feed_dots: u8 },
    Drawer { pin: u8, on_2ms: u8 },
    BarcodeHeight(u8),
    BarcodeModule(u8),
    BarcodeTextPlace(u8),
    BarcodeTextFont(u8),
    Code128(Vec<u8>),
    QrModel(u8),
    QrModule(u8),
    QrCorrection(u8),
    QrStore(Vec<u8>),
    QrPrint,
    Raster(Raster),
    AutomaticStatus(u8),
    TransmitPaper,
    TransmitDrawer,
    Identify(u8),
    ProcessId([u8; 4]),
    RealTimeStatus(u8),
    RealTimeRecover(u8),
    RealTimeDrawer { pin: u8, on_100ms: u8 },
}

/// An image as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) mode: u8,
    pub(super) row_bytes: u16,
    pub(super) rows: u16,
    pub(super) dots: Vec<u8>,
}

/// What stands at the start of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A command of this many bytes.
    Token(Token, usize),
    /// This many bytes mean nothing.
    Unknown(usize),
}

/// Looks at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    match bytes {
        [] => Parsed::Incomplete,
        [0x0a, ..] => token(Token::LineFeed, 1),
        [0x10, rest @ ..] => parse_real_time(rest),
        [0x1b, rest @ ..] => parse_escape(rest),
        [0x1d, rest @ ..] => parse_group(rest),
        [0x00..=0x1f | 0x7f, ..] => Parsed::Unknown(1),
        [character, ..] => token(Token::Character(*character), 1),
    }
}

fn token(token: Token, length: usize) -> Parsed {
    Parsed::Token(token, length)
}

fn parse_real_time(rest: &[u8]) -> Parsed {
    match rest {
        [] | [0x04 | 0x05] | [0x14] | [0x14, _] | [0x14, _, _] => Parsed::Incomplete,
        [0x04, n @ 1..=4, ..] => token(Token::RealTimeStatus(*n), 3),
        [0x05, n @ 1..=2, ..] => token(Token::RealTimeRecover(*n), 3),
        [0x14, 1, pin @ 0..=1, on_100ms @ 1..=8, ..] => {
            let (pin, on_100ms) = (*pin, *on_100ms);
            token(Token::RealTimeDrawer { pin, on_100ms }, 5)
        }
        [0x04 | 0x05, _, ..] => Parsed::Unknown(3),
        [0x14, _, _, _, ..] => Parsed::Unknown(5),
        [_, ..] => Parsed::Unknown(2),
    }
}

fn parse_escape(rest: &[u8]) -> Parsed {
    match rest {
        [] => Parsed::Incomplete,
        [b'@', ..] => token(Token::Initialise, 2),
        [b'2', ..] => token(Token::LineSpacing(None), 2),
        [b'v', ..] => token(Token::TransmitPaper, 2),
        [b'p', parameters @ ..] => match parameters {
            [pin @ (0 | 1 | 48 | 49), on_2ms, _off, ..] => {
                let (pin, on_2ms) = (pin & 1, *on_2ms);
                token(Token::Drawer { pin, on_2ms }, 5)
            }
            [_, _, _, ..] => Parsed::Unknown(5),
            _ => Parsed::Incomplete,
        },
        [b't' | b'R' | b'E' | b'-' | b'M' | b'!' | b'a' | b'3' | b'd' | b'J'] => Parsed::Incomplete,
        [b't', n @ (0 | 2 | 16 | 19), ..] => token(Token::CodePage(*n), 3),
        [b'R', n @ (0 | 2 | 3), ..] => token(Token::InternationalSet(*n), 3),
        [b'E', n, ..] => token(Token::Emphasis(n & 1 == 1), 3),
        [b'-', n @ (0..=2 | 48..=50), ..] => token(Token::Underline(n & 3), 3),
        [b'M', n @ (0 | 1 | 48 | 49), ..] => token(Token::Font(n & 1), 3),
        // Only font, bold, double height, double width and underline have a meaning.
        [b'!', n, ..] if n & 0x46 == 0 => token(Token::PrintMode(*n), 3),
        [b'a', n @ (0..=2 | 48..=50), ..] => token(Token::Justify(n & 3), 3),
        [b'3', n, ..] => token(Token::LineSpacing(Some(*n)), 3),
        [b'd', n, ..] => token(Token::FeedLines(*n), 3),
        [b'J', n, ..] => token(Token::FeedDots(*n), 3),
        [b't' | b'R' | b'-' | b'M' | b'!' | b'a', _, ..] => Parsed::Unknown(3),
        [_, ..] => Parsed::Unknown(2),
    }
}

fn parse_group(rest: &[u8]) -> Parsed {
    match rest {
        [] => Parsed::Incomplete,
        [b'V', parameters @ ..] => parse_cut(parameters),
        [b'k', parameters @ ..] => parse_barcode(parameters),
        [b'(', parameters @ ..] => parse_extended(parameters),
        [b'v', parameters @ ..] => parse_raster(parameters),
        [b'B' | b'!' | b'h' | b'w' | b'H' | b'f' | b'a' | b'r' | b'I'] => Parsed::Incomplete,
        [b'B', n, ..] => token(Token::Reverse(n & 1 == 1), 3),
        [b'!', n, ..] if n & 0x88 == 0 => token(
            Token::Size {
                width: (n >> 4).saturating_add(1),
                height: (n & 7).saturating_add(1),
            },
            3,
        ),
        [b'h', n @ 1..=255, ..] => token(Token::BarcodeHeight(*n), 3),
        [b'w', n @ 2..=6, ..] => token(Token::BarcodeModule(*n), 3),
        [b'H', n @ (0..=3 | 48..=51), ..] => token(Token::BarcodeTextPlace(n & 3), 3),
        [b'f', n @ (0 | 1 | 48 | 49), ..] => token(Token::BarcodeTextFont(n & 1), 3),
        [b'a', n @ 0..=0x0f, ..] => token(Token::AutomaticStatus(*n), 3),
        [b'r', 1 | 49, ..] => token(Token::TransmitPaper, 3),
        [b'r', 2 | 50, ..] => token(Token::TransmitDrawer, 3),
        [b'I', n @ (1..=3 | 49..=51 | 65..=68), ..] => token(Token::Identify(*n), 3),
        [b'!' | b'h' | b'w' | b'H' | b'f' | b'a' | b'r' | b'I', _, ..] => Parsed::Unknown(3),
        [_, ..] => Parsed::Unknown(2),
    }
}

/// A TM-T88 takes 1 (as 49) without feed and 66 with; full cuts (65) are for other models, which
/// the machine looks after.
fn parse_cut(parameters: &[u8]) -> Parsed {
    match parameters {
        [] | [65 | 66] => Parsed::Incomplete,
        [1 | 49, ..] => token(
            Token::Cut {
                is_partial: true,
                feed_dots: 0,
            },
            3,
        ),
        [66, feed_dots, ..] => token(
            Token::Cut {
                is_partial: true,
                feed_dots: *feed_dots,
            },
            4,
        ),
        [65, feed_dots, ..] => token(
            Token::Cut {
                is_partial: false,
                feed_dots: *feed_dots,
            },
            4,
        ),
        [_, ..] => Parsed::Unknown(3),
    }
}

/// Function B of CODE128 only: data in code set B, which begins with 7B 42.
fn parse_barcode(parameters: &[u8]) -> Parsed {
    match parameters {
        [] | [_] => Parsed::Incomplete,
        [kind, length, data @ ..] => {
            let length = usize::from(*length);
            let Some(data) = data.get(..length) else {
                return Parsed::Incomplete;
            };
            let total = length.saturating_add(4);
            match (kind, data.strip_prefix(b"{B").and_then(unescape)) {
                (73, Some(content)) if !content.is_empty() => token(Token::Code128(content), total),
                _ => Parsed::Unknown(total),
            }
        }
    }
}

fn unescape(data: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let mut bytes = data.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' => match bytes.next() {
                Some(b'{') => content.push(b'{'),
                _ => return None,
            },
            0x20..=0x7e => content.push(*byte),
            _ => return None,
        }
    }
    Some(content)
}

fn parse_extended(parameters: &[u8]) -> Parsed {
    let [function, low, high, data @ ..] = parameters else {
        return Parsed::Incomplete;
    };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let total = length.saturating_add(5);
    if !matches!(function, b'k' | b'H') {
        // Without knowing the function its length is not to be believed.
        return Parsed::Unknown(5);
    }
    let Some(data) = data.get(..length) else {
        return Parsed::Incomplete;
    };
    let found = match (function, data) {
        (b'k', [0x31, 0x41, n @ (0x31 | 0x32), 0]) => Token::QrModel(*n),
        (b'k', [0x31, 0x43, n @ 1..=16]) => Token::QrModule(*n),
        (b'k', [0x31, 0x45, n @ 0x30..=0x33]) => Token::QrCorrection(*n),
        (b'k', [0x31, 0x50, 0x30, content @ ..]) if !content.is_empty() => {
            Token::QrStore(content.to_vec())
        }
        (b'k', [0x31, 0x51, 0x30]) => Token::QrPrint,
        (b'H', [0x30, 0x30, a, b, c, d]) => Token::ProcessId([*a, *b, *c, *d]),
        _ => return Parsed::Unknown(total),
    };
    token(found, total)
}

fn parse_raster(parameters: &[u8]) -> Parsed {
    match parameters {
        [] | [b'0'] => Parsed::Incomplete,
        [b'0', mode @ (0..=3 | 48..=51), size @ ..] => {
            let [xl, xh, yl, yh, dots @ ..] = size else {
                return Parsed::Incomplete;
            };
            let row_bytes = u16::from_le_bytes([*xl, *xh]);
            let rows = u16::from_le_bytes([*yl, *yh]);
            if !(1..=128).contains(&row_bytes) || !(1..=2303).contains(&rows) {
                return Parsed::Unknown(8);
            }
            let length = usize::from(row_bytes).saturating_mul(usize::from(rows));
            match dots.get(..length) {
                None => Parsed::Incomplete,
                Some(dots) => token(
                    Token::Raster(Raster {
                        mode: mode & 3,
                        row_bytes,
                        rows,
                        dots: dots.to_vec(),
                    }),
                    length.saturating_add(8),
                ),
            }
        }
        [b'0', _, ..] => Parsed::Unknown(4),
        [_, ..] => Parsed::Unknown(2),
    }
}

/// The data that a token carries, in which a request in real time would be answered by mistake.
pub(super) fn data(token: &Token) -> &[u8] {
    match token {
        Token::Code128(data) | Token::QrStore(data) => data,
        Token::Raster(raster) => &raster.dots,
        Token::ProcessId(id) => id,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_known_by_their_bytes() {
        for (hex, expected) in [
            ("1b40", Token::Initialise),
            ("1b7413", Token::CodePage(19)),
            (
                "1d2112",
                Token::Size {
                    width: 2,
                    height: 3,
                },
            ),
            (
                "1d564205",
                Token::Cut {
                    is_partial: true,
                    feed_dots: 5,
                },
            ),
            ("1b70003219", Token::Drawer { pin: 0, on_2ms: 50 }),
            ("1b74 02", Token::CodePage(2)),
            (
                "1d564101",
                Token::Cut {
                    is_partial: false,
                    feed_dots: 1,
                },
            ),
            ("1d6b49077b423132333435", Token::Code128(b"12345".to_vec())),
            ("1d6b49067b42617b7b62", Token::Code128(b"a{b".to_vec())),
            ("1d286b0400314132 00", Token::QrModel(0x32)),
            ("1d286b0500315030 6869", Token::QrStore(b"hi".to_vec())),
            ("1d7201", Token::TransmitPaper),
            ("100404", Token::RealTimeStatus(4)),
            (
                "1014010001",
                Token::RealTimeDrawer {
                    pin: 0,
                    on_100ms: 1,
                },
            ),
            ("1d284806003030 61626364", Token::ProcessId(*b"abcd")),
        ] {
            let bytes = hex::decode(hex.replace(' ', "")).unwrap();
            assert_eq!(parse(&bytes), Parsed::Token(expected, bytes.len()), "{hex}");
            for length in 0..bytes.len() {
                assert_eq!(
                    parse(&bytes[..length]),
                    Parsed::Incomplete,
                    "{hex} cut at {length}"
                );
            }
        }
    }

    #[test]
    fn wrong_bytes_are_unknown() {
        for (hex, length) in [
            ("00", 1),
            ("0d", 1),
            ("7f", 1),
            ("1b7405", 3),
            ("1d5600", 3),
            ("1b42", 2),
            ("1d7707", 3),
            ("1d284c1000", 5),
            ("100409", 3),
            ("1d6b49037b4161", 7),
        ] {
            let bytes = hex::decode(hex).unwrap();
            assert_eq!(parse(&bytes), Parsed::Unknown(length), "{hex}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_always_advance(bytes: Vec<u8>) {
            let mut rest = bytes.as_slice();
            loop {
                match parse(rest) {
                    Parsed::Incomplete => break,
                    Parsed::Token(_, length) => {
                        prop_assert!(length > 0 && length <= rest.len());
                        rest = &rest[length..];
                    }
                    Parsed::Unknown(length) => {
                        prop_assert!(length > 0);
                        rest = &rest[length.min(rest.len())..];
                    }
                }
            }
        }
    }
}
