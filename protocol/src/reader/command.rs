//! The commands that the agent sends, and nothing that it does not need.
//!
//! Owns parameters and their ranges. It never decides when a command may be sent: while a card
//! read runs, the reader takes every command but a cancel as one.

mod code;
mod configuration;
mod contact;
mod display;
#[cfg(test)]
mod tests;

use super::frame::{Command, FrameError};
use super::outcome::Status;
use super::tlv::TlvWriter;
use crate::money::Money;

pub use code::*;
pub use configuration::{
    FALLBACK_CODES, FALLBACK_FAILURES_MAX, FallbackRules, TAG_BURST_MODE, TAG_FALLBACK_CODES,
    TAG_FALLBACK_FAILURES, TAG_FALLBACK_REASON, TAG_REFUSE_EARLY_SWIPE, TAG_REPORT_FAILURES,
    burst_mode_off, fallback_rules, set_configuration,
};
pub use contact::{
    HostAnswer, Online, contact_apply_host_response, contact_authenticate,
    contact_host_unreachable, contact_last_result, contact_power_off, contact_start,
};
pub use display::{Beep, Message, show};

/// The largest amount of tag 9F02: twelve digits.
pub const AMOUNT_MINOR_MAX: i64 = 999_999_999_999;

/// Bit of the encryption status: stripe data is encrypted.
pub const STRIPE_ENCRYPTION_ON: u8 = 0x01;
/// Bit of the encryption status: chip data is encrypted.
pub const CHIP_ENCRYPTION_ON: u8 = 0x02;

/// Why a command cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The amount is negative or has more than twelve digits.
    #[error("amount does not fit into twelve digits")]
    AmountOutOfRange,
    /// The parameters do not fit into one frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Where a card may be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interfaces {
    /// The magnetic stripe.
    pub swipe: bool,
    /// The contactless field.
    pub contactless: bool,
    /// The chip slot.
    pub contact: bool,
}

impl Interfaces {
    /// Swipe, contactless and contact.
    pub const ALL: Self = Self {
        swipe: true,
        contactless: true,
        contact: true,
    };

    /// Reads the byte of tag DFEF37.
    pub const fn from_byte(byte: u8) -> Self {
        Self {
            swipe: byte & 1 != 0,
            contactless: byte & 2 != 0,
            contact: byte & 4 != 0,
        }
    }

    /// The byte of tag DFEF37.
    pub const fn byte(self) -> u8 {
        (self.swipe as u8) | (self.contactless as u8) << 1 | (self.contact as u8) << 2
    }
}

/// Asks whether the reader is there.
pub fn ping() -> Command {
    Command::short(PING, PING_SUB, [])
}

/// Asks for the firmware version, answered as text.
pub fn firmware_version() -> Command {
    Command::short(FIRMWARE, 0x00, [])
}

/// Asks for the serial number, answered as 15 bytes of text padded with zeros.
pub fn serial_number() -> Command {
    Command::short(SERIAL_NUMBER, SERIAL, [])
}

/// Makes the reader wait for commands instead of reading cards by itself.
pub fn poll_on_demand() -> Command {
    Command::short(INTERFACE, POLL_MODE, [0x01])
}

/// Waits for a card on any of the interfaces and reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activate {
    /// What the card is asked for.
    pub amount: Money,
    /// How long to wait for a card, in seconds.
    pub timeout_s: u8,
    /// Where a card may be presented.
    pub interfaces: Interfaces,
    /// Within how many seconds the next chip command must come.
    pub next_command_s: u16,
}

/// Starts a combined transaction.
///
/// # Errors
/// [`CommandError::AmountOutOfRange`].
pub fn activate(request: Activate) -> Result<Command, CommandError> {
    let [high, low] = request.next_command_s.to_be_bytes();
    let currency = request.amount.currency();
    let tlvs = TlvWriter::after(&[request.timeout_s])
        .clear(0x9C, &[TYPE_PURCHASE])
        .clear(0x5F2A, &currency_number(request.amount))
        .clear(0x5F36, &[currency.exponent()])
        .clear(0x9F02, &amount_digits(request.amount)?)
        .clear(0x9F03, &[0; 6])
        .clear(0x00DF_EF37, &[request.interfaces.byte()])
        .clear(0x00DF_EF3C, &[FALLBACK_ALLOWED, high, low]);
    let data = tlvs.finish();
    Ok(Command::new(ACTIVATE, ACTIVATE_TRANSACTION, data)?)
}

/// Ends the running transaction.
pub fn cancel() -> Command {
    Command::short(CANCEL, CANCEL_TRANSACTION, [])
}

/// Asks which card data is encrypted; see [`is_encryption_on`].
pub fn encryption_status() -> Command {
    Command::short(ENCRYPTION, ENCRYPTION_STATUS, [])
}

/// Whether an answer to [`encryption_status`] says that stripe and chip data are both encrypted.
pub fn is_encryption_on(status: Status, data: &[u8]) -> bool {
    const BOTH: u8 = STRIPE_ENCRYPTION_ON | CHIP_ENCRYPTION_ON;
    status == Status::Ok && matches!(data, [flags] if flags & BOTH == BOTH)
}

/// Tag 9C: purchase.
const TYPE_PURCHASE: u8 = 0x00;
/// The stripe may be used when the chip cannot be read.
const FALLBACK_ALLOWED: u8 = 0x01;

/// Four digits in two bytes; ISO 4217 numbers have three.
fn currency_number(amount: Money) -> [u8; 2] {
    let [.., high, low] = decimal_bytes(u64::from(amount.currency().number()));
    [high, low]
}

/// An amount as tag 9F02 carries it: twelve digits, two to a byte.
///
/// # Errors
/// [`CommandError::AmountOutOfRange`].
pub fn amount_digits(amount: Money) -> Result<[u8; 6], CommandError> {
    match u64::try_from(amount.minor()) {
        Ok(minor) if amount.minor() <= AMOUNT_MINOR_MAX => Ok(decimal_bytes(minor)),
        _ => Err(CommandError::AmountOutOfRange),
    }
}

/// The last twelve decimal digits, two to a byte.
fn decimal_bytes(mut value: u64) -> [u8; 6] {
    let mut bytes = [0; 6];
    for byte in bytes.iter_mut().rev() {
        let pair = value % 100;
        let packed = (pair / 10) << 4 | (pair % 10);
        *byte = u8::try_from(packed).expect("two decimal digits fit into a byte");
        value /= 100;
    }
    bytes
}
