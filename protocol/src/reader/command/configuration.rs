//! Commands that configure the reader.
//!
//! Owns the tags of what is configured, and their ranges.

use super::super::frame::Command;
use super::super::tlv::TlvWriter;
use super::{CONFIGURATION, CommandError};

/// Sets configuration values.
///
/// # Errors
/// [`CommandError::Frame`] when `tlvs` does not fit into one frame.
pub fn set_configuration(tlvs: TlvWriter) -> Result<Command, CommandError> {
    Ok(Command::new(CONFIGURATION, 0x00, tlvs.finish())?)
}

/// Switches off frames of card data that nobody asked for.
pub fn burst_mode_off() -> Command {
    Command::short(CONFIGURATION, 0x00, [0xDF, 0xEE, 0x7E, 0x01, 0x00])
}

/// When the reader lets the stripe take the place of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackRules {
    /// A swipe of a card that has a chip is refused until the chip has failed often enough.
    pub refuses_early_swipe: bool,
    /// Failed insertions before the stripe may be used, 1 to 5.
    pub failures: u8,
}

/// Tag of [`FallbackRules::refuses_early_swipe`].
pub const TAG_REFUSE_EARLY_SWIPE: u32 = 0x00DF_EF62;
/// Tag of [`FallbackRules::failures`].
pub const TAG_FALLBACK_FAILURES: u32 = 0x00DF_EF7D;
/// Tag of the result codes that count as failed insertions, two bytes each.
pub const TAG_FALLBACK_CODES: u32 = 0x00DF_EF7E;
/// Tag of whether a fallback swipe names its reason.
pub const TAG_FALLBACK_REASON: u32 = 0x00DF_ED0A;
/// Tag of whether failed insertions are reported to the host.
pub const TAG_REPORT_FAILURES: u32 = 0x00DF_EF65;
/// Tag of burst mode.
pub const TAG_BURST_MODE: u32 = 0x00DF_EE7E;
/// The vendor's result codes that count as failed insertions (knowledge base, fallback).
pub const FALLBACK_CODES: [u16; 3] = [0x5001, 0x5005, 0x5036];
/// The most failed insertions that the reader can count.
pub const FALLBACK_FAILURES_MAX: u8 = 5;

/// Tells the reader when the stripe may be used instead of a chip, and that it is to say so.
pub fn fallback_rules(rules: FallbackRules) -> Command {
    let [a, b, c] = FALLBACK_CODES.map(u16::to_be_bytes);
    let tlvs = TlvWriter::default()
        .clear(
            TAG_REFUSE_EARLY_SWIPE,
            &[u8::from(rules.refuses_early_swipe)],
        )
        .clear(
            TAG_FALLBACK_FAILURES,
            &[rules.failures.clamp(1, FALLBACK_FAILURES_MAX)],
        )
        .clear(TAG_FALLBACK_CODES, &[a, b, c].concat())
        .clear(TAG_FALLBACK_REASON, &[0x01])
        .clear(TAG_REPORT_FAILURES, &[0x01]);
    Command::new(CONFIGURATION, 0x00, tlvs.finish())
        .expect("five values of a few bytes fit into a frame")
}
