//! Commands of a transaction with the chip in the slot.
//!
//! Owns their parameters; the order that they come in is the agent's.

use super::super::frame::Command;
use super::super::outcome::TAG_RESPONSE_CODE;
use super::super::tlv::TlvWriter;
use super::{
    CONTACT, CONTACT_APPLY_HOST_RESPONSE, CONTACT_AUTHENTICATE, CONTACT_LAST_RESULT, CONTACT_POWER,
    CONTACT_POWER_OFF, CONTACT_START, CommandError, FALLBACK_ALLOWED, TYPE_PURCHASE, amount_digits,
    currency_number,
};
use crate::money::Money;

/// Waits for a chip card in the slot.
///
/// `seat_s` is how long to wait for the card, `next_command_s` how long for the next command.
///
/// # Errors
/// [`CommandError::AmountOutOfRange`].
pub fn contact_start(
    amount: Money,
    seat_s: u16,
    next_command_s: u16,
) -> Result<Command, CommandError> {
    let [seat_high, seat_low] = seat_s.to_be_bytes();
    let [next_high, next_low] = next_command_s.to_be_bytes();
    let prefix = [FALLBACK_ALLOWED, seat_high, seat_low, next_high, next_low];
    let tlvs = TlvWriter::after(&prefix)
        .clear(0x9C, &[TYPE_PURCHASE])
        .clear(0x5F2A, &currency_number(amount))
        .clear(0x9F02, &amount_digits(amount)?)
        .clear(0x9F03, &[0; 6]);
    Ok(Command::new(CONTACT, CONTACT_START, tlvs.finish())?)
}

/// Whether the chip is made to ask the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Online {
    /// The chip and the terminal's limits decide.
    AsNeeded,
    /// Always.
    Forced,
}

/// Reads the chip and lets it decide how to go on.
pub fn contact_authenticate(online: Online, timeout_s: u16) -> Command {
    let force = u8::from(online == Online::Forced);
    let [high, low] = timeout_s.to_be_bytes();
    Command::short(CONTACT, CONTACT_AUTHENTICATE, [force, high, low])
}

/// What the chip is told about the issuer's answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HostAnswer<'a> {
    /// The issuer answered.
    Answered {
        /// The authorization response code (tag 8A); must be one that the reader knows.
        response_code: [u8; 2],
        /// Tags 91, 71 and 72 exactly as the issuer sent them.
        issuer_tlvs: &'a [u8],
    },
    /// The issuer could not be reached: the chip declines.
    Unreachable,
}

/// Gives the issuer's answer to the chip.
///
/// # Errors
/// [`CommandError::Frame`] when the issuer's data does not fit into one frame.
pub fn contact_apply_host_response(answer: HostAnswer<'_>) -> Result<Command, CommandError> {
    let HostAnswer::Answered {
        response_code,
        issuer_tlvs,
    } = answer
    else {
        return Ok(contact_host_unreachable());
    };
    let mut data = TlvWriter::after(&[0x01])
        .clear(TAG_RESPONSE_CODE, &response_code)
        .finish();
    data.extend_from_slice(issuer_tlvs);
    Ok(Command::new(CONTACT, CONTACT_APPLY_HOST_RESPONSE, data)?)
}

/// Tells the chip that the issuer could not be reached.
pub fn contact_host_unreachable() -> Command {
    Command::short(CONTACT, CONTACT_APPLY_HOST_RESPONSE, [0x00])
}

/// Asks for values of the last contact transaction.
///
/// # Errors
/// [`CommandError::Frame`] when the tags do not fit into one frame.
pub fn contact_last_result(tags: &[u32]) -> Result<Command, CommandError> {
    let data = tags
        .iter()
        .flat_map(|tag| tag.to_be_bytes().into_iter().skip_while(|byte| *byte == 0))
        .collect();
    Ok(Command::new(CONTACT, CONTACT_LAST_RESULT, data)?)
}

/// Takes the power from the chip before the card is taken out.
pub fn contact_power_off() -> Command {
    Command::short(CONTACT_POWER, CONTACT_POWER_OFF, [])
}
