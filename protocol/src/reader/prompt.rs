//! Commands in the other direction: what a reader without keypad or display asks of the host
//! (61-01 display, 61-02 PIN, 61-03 magstripe), and the host's answers.
//!
//! Owns the bytes. It never decides what is chosen, and it has no form for a PIN or a track: the
//! only answers to those two that can be built say that there is none.
//!
//! ```text
//! reader → host   61 01 | mode | timeout in seconds (2, LOW first) | line, text, 1C | …
//!                 61 02 | mode | timeout …
//!                 61 03 | timeout …
//! host → reader   61 01 | mode (00 canceled) | line, or 45 enter, 43 cancel
//!                 61 02 | 00
//!                 61 03 | (nothing)
//! ```
//! The forms of the answers follow the parameters of the vendor's software kit; the bytes on the
//! wire are not public.

use super::command::PROMPT;
use super::frame::{Command, FrameError, Response};

/// Number of the display command.
pub const DISPLAY: u8 = 0x01;
/// Number of the PIN command.
pub const PIN: u8 = 0x02;
/// Number of the magstripe command.
pub const STRIPE: u8 = 0x03;

/// Ends a line of text.
const LINE_END: u8 = 0x1C;
/// Bit of the line byte: what follows is the number of a message, not text.
const IS_MESSAGE_NUMBER: u8 = 0x80;
/// Canceled: no choice, no PIN.
const CANCELED: u8 = 0x00;
/// The enter key.
const ENTER: u8 = b'E';

/// What a display command wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A line has to be chosen, for example an application of the card.
    Menu,
    /// Enter or cancel has to be pressed.
    Keys,
    /// Nothing: the text is only shown.
    Message,
    /// A language has to be chosen.
    Language,
    /// Nothing: the display is cleared.
    Clear,
    /// Not known; answered with "canceled", so that the reader does not wait.
    Unknown(u8),
}

impl Mode {
    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Menu => 0x01,
            Self::Keys => 0x02,
            Self::Message => 0x03,
            Self::Language => 0x08,
            Self::Clear => 0x10,
            Self::Unknown(byte) => byte,
        }
    }
}

impl From<u8> for Mode {
    fn from(byte: u8) -> Self {
        match byte {
            0x01 => Self::Menu,
            0x02 => Self::Keys,
            0x03 => Self::Message,
            0x08 => Self::Language,
            0x10 => Self::Clear,
            byte => Self::Unknown(byte),
        }
    }
}

/// One line of a display command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The number of the line, which is also what is answered when it is chosen.
    pub number: u8,
    /// Whether `text` is the number of one of the reader's messages.
    pub is_message_number: bool,
    /// The text as the reader wrote it.
    pub text: &'a [u8],
}

/// What a reader asks of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt<'a> {
    /// To show something, and perhaps to choose.
    Display {
        /// What is wanted.
        mode: Mode,
        /// How long the reader waits for an answer, in seconds.
        timeout_s: u16,
        /// What is to be seen.
        lines: Vec<Line<'a>>,
    },
    /// A PIN.
    Pin,
    /// The tracks of a reader of the host's own.
    Stripe,
    /// A command that is not known.
    Unknown,
}

impl<'a> Prompt<'a> {
    /// Reads a frame of group 61; what is incomplete is unknown.
    pub fn parse(frame: &'a Response) -> Option<Self> {
        if frame.cmd() != PROMPT {
            return None;
        }
        Some(match (frame.status(), frame.data()) {
            (DISPLAY, [mode, low, high, lines @ ..]) => Self::Display {
                mode: Mode::from(*mode),
                timeout_s: u16::from_le_bytes([*low, *high]),
                lines: read_lines(lines),
            },
            (PIN, _) => Self::Pin,
            (STRIPE, _) => Self::Stripe,
            _ => Self::Unknown,
        })
    }

    /// The answer that lets the reader go on without anybody being asked: the first line of a
    /// menu, the enter key, no PIN, no tracks. Nothing when no answer is expected.
    pub fn answer(&self) -> Option<Command> {
        match self {
            Self::Display { mode, lines, .. } => match mode {
                Mode::Menu | Mode::Language => Some(match lines.first() {
                    Some(line) => display_answer(*mode, line.number),
                    None => Command::short(PROMPT, DISPLAY, [CANCELED, CANCELED]),
                }),
                Mode::Keys => Some(display_answer(*mode, ENTER)),
                Mode::Message | Mode::Clear => None,
                Mode::Unknown(_) => Some(Command::short(PROMPT, DISPLAY, [CANCELED, CANCELED])),
            },
            Self::Pin => Some(Command::short(PROMPT, PIN, [CANCELED])),
            Self::Stripe => Some(Command::short(PROMPT, STRIPE, [])),
            Self::Unknown => None,
        }
    }
}

/// Says what was chosen: a line's number, or a key.
pub fn display_answer(mode: Mode, chosen: u8) -> Command {
    Command::short(PROMPT, DISPLAY, [mode.byte(), chosen])
}

/// A display command as the reader sends it.
///
/// # Errors
/// [`FrameError`] when the lines do not fit into one frame.
pub fn display(mode: Mode, timeout_s: u16, lines: &[(u8, &str)]) -> Result<Response, FrameError> {
    let [low, high] = timeout_s.to_le_bytes();
    let mut data = vec![mode.byte(), low, high];
    for (number, text) in lines {
        data.push(*number & !IS_MESSAGE_NUMBER);
        data.extend_from_slice(text.as_bytes());
        data.push(LINE_END);
    }
    Response::new(PROMPT, DISPLAY, data)
}

/// A request for a PIN as the reader sends it.
pub fn pin() -> Response {
    Response::bare(PROMPT, PIN)
}

fn read_lines(bytes: &[u8]) -> Vec<Line<'_>> {
    let items = bytes.split(|byte| *byte == LINE_END);
    items
        .filter_map(|item| item.split_first())
        .map(|(number, text)| Line {
            number: number & !IS_MESSAGE_NUMBER,
            is_message_number: number & IS_MESSAGE_NUMBER != 0,
            text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_display_command_goes_round() {
        let frame = display(Mode::Language, 300, &[(1, "ENGLISH"), (2, "DEUTSCH")]).unwrap();
        assert_eq!(frame.data().get(..3), Some([0x08, 0x2C, 0x01].as_slice()));
        let Some(Prompt::Display {
            mode: Mode::Language,
            timeout_s: 300,
            lines,
        }) = Prompt::parse(&frame)
        else {
            panic!("{frame:?}");
        };
        let line = |number, text| Line {
            number,
            is_message_number: false,
            text,
        };
        assert_eq!(lines, [line(1, b"ENGLISH".as_slice()), line(2, b"DEUTSCH")]);
        let frame = Response::new(PROMPT, DISPLAY, vec![3, 0, 0, 0x81, 0x05, 0x1C]).unwrap();
        let Some(Prompt::Display { lines, .. }) = Prompt::parse(&frame) else {
            panic!("{frame:?}");
        };
        assert!(matches!(
            lines.as_slice(),
            [Line {
                number: 1,
                is_message_number: true,
                ..
            }]
        ));
    }

    #[test]
    fn every_question_has_an_answer_that_gives_nothing_away() {
        for (number, data, answer) in [
            (DISPLAY, vec![0x01, 30, 0, 2, b'A', 0x1C], Some("0102")),
            (DISPLAY, vec![0x01, 30, 0], Some("0000")),
            (DISPLAY, vec![0x02, 30, 0, 1, b'A', 0x1C], Some("0245")),
            (DISPLAY, vec![0x03, 30, 0, 1, b'A', 0x1C], None),
            (DISPLAY, vec![0x08, 30, 0, 1, b'A', 0x1C], Some("0801")),
            (DISPLAY, vec![0x10, 0, 0], None),
            (DISPLAY, vec![0x77, 0, 0], Some("0000")),
            (DISPLAY, vec![0x01], None),
            (PIN, vec![1, 2, 3], Some("00")),
            (STRIPE, vec![], Some("")),
            (0x17, vec![], None),
        ] {
            let frame = Response::new(PROMPT, number, data).unwrap();
            let command = Prompt::parse(&frame).unwrap().answer();
            assert!(
                command
                    .as_ref()
                    .is_none_or(|command| (command.cmd(), command.sub()) == (PROMPT, number))
            );
            let sent = command.map(|command| hex::encode(command.data()));
            assert_eq!(sent.as_deref(), answer, "{number:02X}");
        }
        assert_eq!(Prompt::parse(&Response::bare(0x60, 1)), None);
    }

    proptest! {
        #[test]
        fn arbitrary_frames_never_panic(
            number in 0u8..5,
            data in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let frame = Response::new(PROMPT, number, data).unwrap();
            let prompt = Prompt::parse(&frame).unwrap();
            if let Some(answer) = prompt.answer() {
                prop_assert!(answer.data().len() <= 2);
            }
        }
    }
}
