//! The reader's own display and buzzer.
//!
//! Owns its messages and beeps; when one is shown is the agent's to say.

use super::super::frame::Command;
use super::{INTERFACE, MESSAGE};

/// A text of the reader's own display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Message {
    /// Welcome.
    Welcome = 0x00,
    /// Present card.
    PresentCard = 0x01,
    /// No card, timed out or canceled.
    NoCard = 0x02,
    /// Processing.
    Processing = 0x03,
    /// Thank you.
    ThankYou = 0x04,
    /// Failed.
    Failed = 0x05,
    /// Insert or swipe.
    InsertOrSwipe = 0x08,
    /// Try again.
    TryAgain = 0x09,
    /// One card only.
    OneCardOnly = 0x0A,
    /// Wait.
    Wait = 0x0B,
}

/// What the buzzer does with a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Beep {
    /// Nothing.
    None = 0x00,
    /// One short beep.
    Single = 0x01,
    /// Two short beeps.
    Double = 0x02,
    /// 400 ms.
    Long = 0x06,
}

/// Shows a message with a beep and switches all lights off.
pub fn show(message: Message, beep: Beep) -> Command {
    const ALL_LIGHTS: u8 = 0xFF;
    const OFF: u8 = 0x00;
    Command::short(
        INTERFACE,
        MESSAGE,
        [message as u8, beep as u8, ALL_LIGHTS, OFF],
    )
}
