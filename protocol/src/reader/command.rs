//! The commands that the agent sends, and nothing that it does not need.
//!
//! Owns parameters and their ranges. It never decides when a command may be sent: while a card
//! read runs, the reader takes every command but a cancel as one.

use super::frame::{Command, FrameError};
use super::outcome::Status;
use super::tlv::TlvWriter;
use crate::money::Money;

/// Group of ping.
pub const PING: u8 = 0x18;
/// Group of the user interface and the poll mode.
pub const INTERFACE: u8 = 0x01;
/// Group of the contactless and combined transaction.
pub const ACTIVATE: u8 = 0x02;
/// Group of the configuration.
pub const CONFIGURATION: u8 = 0x04;
/// Group of cancel.
pub const CANCEL: u8 = 0x05;
/// Group of the serial number.
pub const SERIAL_NUMBER: u8 = 0x12;
/// Group of boot notifications, which the reader sends by itself.
pub const BOOT_NOTIFICATION: u8 = 0x14;
/// Group of the firmware version.
pub const FIRMWARE: u8 = 0x29;
/// Group of the contact slot's power.
pub const CONTACT_POWER: u8 = 0x2C;
/// Group of user interface events, which the reader sends by itself (`E` of `EU`).
pub const INTERFACE_EVENT: u8 = 0x45;
/// Group of the contact chip transaction.
pub const CONTACT: u8 = 0x60;
/// Group of what the reader asks of the host's display and keypad; see [`super::prompt`].
pub const PROMPT: u8 = 0x61;
/// Group of the key and encryption commands.
pub const ENCRYPTION: u8 = 0xC7;

/// Sub-command of poll mode in [`INTERFACE`].
pub const POLL_MODE: u8 = 0x01;
/// Sub-command of the user interface message in [`INTERFACE`].
pub const MESSAGE: u8 = 0x02;
/// Sub-command of the combined transaction in [`ACTIVATE`].
pub const ACTIVATE_TRANSACTION: u8 = 0x40;
/// Sub-command of cancel in [`CANCEL`].
pub const CANCEL_TRANSACTION: u8 = 0x01;
/// Sub-command of start in [`CONTACT`].
pub const CONTACT_START: u8 = 0x10;
/// Sub-command of authenticate in [`CONTACT`].
pub const CONTACT_AUTHENTICATE: u8 = 0x11;
/// Sub-command of apply host response in [`CONTACT`].
pub const CONTACT_APPLY_HOST_RESPONSE: u8 = 0x12;
/// Sub-command of the last result in [`CONTACT`].
pub const CONTACT_LAST_RESULT: u8 = 0x13;
/// Sub-command of power off in [`CONTACT_POWER`].
pub const CONTACT_POWER_OFF: u8 = 0x18;
/// Sub-command of the encryption status in [`ENCRYPTION`].
pub const ENCRYPTION_STATUS: u8 = 0x37;
/// Sub-command of the serial number in [`SERIAL_NUMBER`].
pub const SERIAL: u8 = 0x01;
/// Sub-command of ping in [`PING`].
pub const PING_SUB: u8 = 0x01;

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
        .clear(super::outcome::TAG_RESPONSE_CODE, &response_code)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::tlv::Tlvs;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, code.parse().unwrap())
    }

    fn vector(name: &str) -> Vec<u8> {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/idtech_neo2.json")).unwrap();
        let flows = vectors["flows"].as_array().unwrap();
        let steps = flows
            .iter()
            .flat_map(|flow| flow["steps"].as_array().unwrap());
        let step = vectors["frames"]
            .as_array()
            .unwrap()
            .iter()
            .chain(steps)
            .find(|entry| entry["name"] == name || entry["what"] == name)
            .unwrap();
        hex::decode(step["hex"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn commands_are_byte_for_byte_those_of_the_vectors() {
        let authentication = hex::decode("910A11223344556677883030").unwrap();
        for (command, name) in [
            (ping(), "ping command"),
            (serial_number(), "get serial number command"),
            (firmware_version(), "29-00 get firmware version command"),
            (poll_on_demand(), "01-01 set poll mode: poll on demand"),
            (
                burst_mode_off(),
                "04-00 set configuration: burst mode off DFEE7E 01 00",
            ),
            (
                show(Message::Wait, Beep::Single),
                "01-02 control UI: index 0B (Wait), single beep, LED FF off",
            ),
            (cancel(), "05-01 cancel command"),
            (
                contact_start(money(1234, "EUR"), 60, 60).unwrap(),
                "60-10 start 12.34 EUR, fallback, 60 s / 60 s",
            ),
            (
                contact_authenticate(Online::AsNeeded, 60),
                "60-11 authenticate",
            ),
            (
                contact_apply_host_response(HostAnswer::Answered {
                    response_code: *b"00",
                    issuer_tlvs: &authentication,
                })
                .unwrap(),
                "60-12: host answered, ARC 00, issuer authentication data",
            ),
            (
                contact_apply_host_response(HostAnswer::Answered {
                    response_code: *b"05",
                    issuer_tlvs: &[],
                })
                .unwrap(),
                "60-12: host answered, ARC 05",
            ),
            (
                contact_apply_host_response(HostAnswer::Unreachable).unwrap(),
                "60-12: no host response",
            ),
        ] {
            assert_eq!(command.encode(), vector(name), "{name}");
        }
    }

    #[test]
    fn fallback_rules_carry_the_vendors_codes_and_stay_in_range() {
        for (failures, sent) in [(0, 1), (3, 3), (9, 5)] {
            let command = fallback_rules(FallbackRules {
                refuses_early_swipe: true,
                failures,
            });
            let values: Vec<_> = Tlvs::new(command.data())
                .map(|tlv| tlv.map(|tlv| (tlv.tag, tlv.value.to_vec())).unwrap())
                .collect();
            let codes = vec![0x50, 0x01, 0x50, 0x05, 0x50, 0x36];
            assert_eq!(
                values,
                [
                    (0x00DF_EF62, vec![1]),
                    (0x00DF_EF7D, vec![sent]),
                    (0x00DF_EF7E, codes),
                    (0x00DF_ED0A, vec![1]),
                    (0x00DF_EF65, vec![1]),
                ]
            );
        }
    }

    #[test]
    fn activation_has_the_values_of_the_vector_and_the_exponent() {
        let command = activate(Activate {
            amount: money(1234, "EUR"),
            timeout_s: 30,
            interfaces: Interfaces::ALL,
            next_command_s: 96,
        })
        .unwrap();
        let bytes = vector("02-40 activate, 30 s, 12.34 EUR, all interfaces");
        let expected = &bytes[14..bytes.len() - 2];
        assert_eq!(command.data()[0], expected[0]);
        let ours: Vec<_> = Tlvs::new(&command.data()[1..]).flatten().collect();
        let theirs: Vec<_> = Tlvs::new(&expected[1..]).flatten().collect();
        let (exponent, same): (Vec<_>, Vec<_>) =
            ours.into_iter().partition(|tlv| tlv.tag == 0x5F36);
        assert_eq!(same, theirs);
        assert_eq!(exponent[0].value, [2]);
    }

    #[test]
    fn amounts_have_twelve_digits() {
        for (minor, digits) in [
            (0, "000000000000"),
            (1, "000000000001"),
            (1234, "000000001234"),
            (AMOUNT_MINOR_MAX, "999999999999"),
        ] {
            let amount = amount_digits(money(minor, "JPY")).unwrap();
            assert_eq!(hex::encode(amount), digits);
        }
        for minor in [-1, AMOUNT_MINOR_MAX + 1, i64::MAX, i64::MIN] {
            let amount = money(minor, "USD");
            assert_eq!(amount_digits(amount), Err(CommandError::AmountOutOfRange));
            assert!(contact_start(amount, 1, 1).is_err());
        }
        assert_eq!(currency_number(money(0, "EUR")), [0x09, 0x78]);
        assert_eq!(currency_number(money(0, "AUD")), [0x00, 0x36]);
    }

    #[test]
    fn tag_lists_and_interfaces_are_packed() {
        let command = contact_last_result(&[0x8A, 0x9F27, 0x00DF_EE25]).unwrap();
        assert_eq!(hex::encode_upper(command.data()), "8A9F27DFEE25");
        for byte in 0..8 {
            assert_eq!(Interfaces::from_byte(byte).byte(), byte);
        }
        assert_eq!(Interfaces::ALL.byte(), 7);
    }

    #[test]
    fn encryption_must_be_on_for_chip_and_stripe() {
        for (status, data, on) in [
            (Status::Ok, [3].as_slice(), true),
            (Status::Ok, &[1], false),
            (Status::Ok, &[2], false),
            (Status::Ok, &[0], false),
            (Status::Ok, &[], false),
            (Status::NotAllowed, &[3], false),
        ] {
            assert_eq!(is_encryption_on(status, data), on);
        }
    }

    #[test]
    fn issuer_data_that_does_not_fit_is_refused() {
        let answer = HostAnswer::Answered {
            response_code: *b"00",
            issuer_tlvs: &[0; 4096],
        };
        assert!(contact_apply_host_response(answer).is_err());
    }
}
