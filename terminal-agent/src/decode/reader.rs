//! NEO2 frames of both directions, by name. Pure; shows no card data, also not what a reader without
//! encryption has given out.

use protocol::reader::command::is_encryption_on;
use protocol::reader::frame::{Command, DATA_LENGTH_MAX, HEADER, Response};
use protocol::reader::hid::{HidDecoder, REPORT_LENGTH};
use protocol::reader::outcome::{
    Attribution, ContactlessError, Status, TAG_ERROR, TAG_ERROR_OLD, TAG_RESULT, TAG_SWIPE,
    TransactionResult,
};
use protocol::reader::swipe::Swipe;
use protocol::reader::tlv::{Form, Tlv, Tlvs};

use super::{Decoded, Part, unknown};
use crate::redact::masked;

const PREFIX_LENGTH: usize = HEADER.len() + 4;
const CRC_LENGTH: usize = 2;

/// Commands by group and number (card-reader.md §3 to §6).
const COMMANDS: &[(u8, u8, &str)] = &[
    (0x01, 0x01, "set poll mode"),
    (0x01, 0x02, "show message and beep"),
    (0x02, 0x40, "activate transaction"),
    (0x04, 0x00, "set configuration"),
    (0x05, 0x01, "cancel transaction"),
    (0x12, 0x01, "get serial number"),
    (0x18, 0x01, "ping"),
    (0x29, 0x00, "get firmware version"),
    (0x2C, 0x18, "power off the chip"),
    (0x60, 0x10, "contact: start"),
    (0x60, 0x11, "contact: authenticate"),
    (0x60, 0x12, "contact: apply the host's answer"),
    (0x60, 0x13, "contact: get the last result"),
    (0xC7, 0x37, "get encryption status"),
];

/// Groups of commands, as answers name them.
const GROUPS: &[(u8, &str)] = &[
    (0x01, "interface"),
    (0x02, "transaction"),
    (0x04, "configuration"),
    (0x05, "cancel"),
    (0x12, "serial number"),
    (0x14, "boot notification"),
    (0x18, "ping"),
    (0x29, "firmware version"),
    (0x2C, "chip power"),
    (0x45, "interface event"),
    (0x60, "contact"),
    (0xC7, "encryption status"),
];

/// How a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// As hexadecimal digits: it says nothing of the card's number or holder.
    Hex,
    /// As text.
    Text,
    /// Never: card data.
    Secret,
}

/// Tags by name (EMV book 3 annex A; the vendor's own as card-reader.md §7 has them). Values of
/// tags that are not listed are not shown.
const TAGS: &[(u32, &str, Show)] = &[
    (0x42, "issuer identification number", Show::Secret),
    (0x4F, "application id", Show::Hex),
    (0x50, "application label", Show::Text),
    (0x56, "track 1", Show::Secret),
    (0x57, "track 2 equivalent", Show::Secret),
    (0x5A, "account number", Show::Secret),
    (0x5F20, "cardholder name", Show::Secret),
    (0x5F24, "expiry", Show::Secret),
    (0x5F25, "effective date", Show::Secret),
    (0x5F28, "issuer country", Show::Hex),
    (0x5F2A, "currency", Show::Hex),
    (0x5F2D, "languages", Show::Text),
    (0x5F30, "service code", Show::Secret),
    (0x5F34, "account sequence number", Show::Hex),
    (0x5F36, "currency exponent", Show::Hex),
    (0x71, "issuer script 1", Show::Secret),
    (0x72, "issuer script 2", Show::Secret),
    (0x82, "application interchange profile", Show::Hex),
    (0x84, "dedicated file name", Show::Hex),
    (0x8A, "authorization response code", Show::Text),
    (0x8E, "verification method list", Show::Hex),
    (0x91, "issuer authentication data", Show::Secret),
    (0x95, "terminal verification results", Show::Hex),
    (0x9A, "transaction date", Show::Hex),
    (0x9B, "transaction status information", Show::Hex),
    (0x9C, "transaction type", Show::Hex),
    (0x9F02, "amount", Show::Hex),
    (0x9F03, "other amount", Show::Hex),
    (0x9F06, "application id of the terminal", Show::Hex),
    (0x9F07, "application usage control", Show::Hex),
    (0x9F08, "application version of the card", Show::Hex),
    (0x9F09, "application version of the terminal", Show::Hex),
    (0x9F0D, "issuer action code, default", Show::Hex),
    (0x9F0E, "issuer action code, denial", Show::Hex),
    (0x9F0F, "issuer action code, online", Show::Hex),
    (0x9F10, "issuer application data", Show::Secret),
    (0x9F12, "preferred application name", Show::Text),
    (0x9F1A, "terminal country", Show::Hex),
    (0x9F1E, "interface device serial number", Show::Text),
    (0x9F1F, "track 1 discretionary data", Show::Secret),
    (0x9F20, "track 2 discretionary data", Show::Secret),
    (0x9F21, "transaction time", Show::Hex),
    (0x9F26, "application cryptogram", Show::Hex),
    (0x9F27, "cryptogram information", Show::Hex),
    (0x9F33, "terminal capabilities", Show::Hex),
    (0x9F34, "verification method results", Show::Hex),
    (0x9F35, "terminal type", Show::Hex),
    (0x9F36, "application transaction counter", Show::Hex),
    (0x9F37, "unpredictable number", Show::Hex),
    (0x9F39, "entry mode", Show::Hex),
    (0x9F40, "additional terminal capabilities", Show::Hex),
    (0x9F41, "transaction sequence counter", Show::Hex),
    (0x9F53, "transaction category", Show::Hex),
    (0x9F66, "terminal transaction qualifiers", Show::Hex),
    (0x9F6B, "track 2 of a contactless stripe", Show::Secret),
    (0x9F6C, "card transaction qualifiers", Show::Hex),
    (0x9F6E, "form factor", Show::Hex),
    (0xDF_EE12, "key serial number", Show::Hex),
    (TAG_SWIPE, "magstripe block", Show::Secret),
    (TAG_RESULT, "transaction result", Show::Hex),
    (0xDF_EE26, "attribution", Show::Hex),
    (0xDF_EE7E, "burst mode", Show::Hex),
    (0xDF_EF37, "interfaces", Show::Hex),
    (0xDF_EF3C, "fallback and next command", Show::Hex),
    (0xDF_EF4B, "encrypted tracks", Show::Secret),
    (0xDF_EF4C, "track lengths", Show::Hex),
    (0xDF_EF4D, "encrypted track data", Show::Secret),
    (TAG_ERROR, "contactless error", Show::Hex),
    (TAG_ERROR_OLD, "contactless error", Show::Hex),
    (0xFF_EE01, "vendor group", Show::Secret),
    (0xFF_8105, "data record", Show::Secret),
    (0xFF_8106, "discretionary data", Show::Secret),
];

/// Decodes a capture: frames of host and reader in any order, with anything between them; or HID
/// reports.
pub fn decode(bytes: &[u8]) -> Decoded {
    if let Some(frames) = reports(bytes) {
        return decode_frames(&frames);
    }
    decode_frames(bytes)
}

/// The frames inside HID reports; nothing when these are none.
fn reports(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_report = bytes.len() >= REPORT_LENGTH
        && bytes.len().is_multiple_of(REPORT_LENGTH)
        && matches!(bytes.first(), Some(1 | 2))
        && bytes.get(1..=HEADER.len()) == Some(HEADER.as_slice());
    if !is_report {
        return None;
    }
    let mut decoder = HidDecoder::default();
    let frames = bytes
        .chunks(REPORT_LENGTH)
        .filter_map(|report| decoder.decode(report));
    Some(frames.collect::<Vec<_>>().concat())
}

fn decode_frames(bytes: &[u8]) -> Decoded {
    let mut parts = Vec::new();
    let mut at = 0;
    let mut lost_from = None;
    let mut unknown_bytes = 0usize;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        match decode_frame(at, rest) {
            Some((part, length)) => {
                close_gap(&mut lost_from, at, &mut parts, &mut unknown_bytes);
                parts.push(part);
                at = at.saturating_add(length);
            }
            None => {
                lost_from.get_or_insert(at);
                at = at.saturating_add(1);
            }
        }
    }
    close_gap(&mut lost_from, at, &mut parts, &mut unknown_bytes);
    Decoded::new(bytes.len(), unknown_bytes, parts)
}

fn close_gap(
    lost_from: &mut Option<usize>,
    at: usize,
    parts: &mut Vec<Part>,
    unknown_bytes: &mut usize,
) {
    if let Some(from) = lost_from.take() {
        let length = at.saturating_sub(from);
        *unknown_bytes = unknown_bytes.saturating_add(length);
        parts.push(unknown(from, length, "no frame begins here"));
    }
}

/// The frame that begins here, and how many bytes it takes.
fn decode_frame(at: usize, bytes: &[u8]) -> Option<(Part, usize)> {
    let prefix = bytes.get(..PREFIX_LENGTH)?;
    let [cmd, code, high, low] = *prefix.strip_prefix(HEADER.as_slice())?.first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > DATA_LENGTH_MAX {
        return None;
    }
    let whole = PREFIX_LENGTH + length + CRC_LENGTH;
    let Some(frame) = bytes.get(..whole) else {
        let here = bytes.len();
        let name = format!("unfinished frame {cmd:02X}-{code:02X}");
        let part = Part::new(Some(at), here, name).saying(format!("{here} of {whole} bytes"));
        return Some((part, here));
    };
    let data = frame.get(PREFIX_LENGTH..PREFIX_LENGTH + length)?;
    let data_at = at.saturating_add(PREFIX_LENGTH);
    let is_response = Response::new(cmd, code, data.to_vec()).ok()?.encode() == frame;
    let is_command = Command::new(cmd, code, data.to_vec()).ok()?.encode() == frame;
    let part = if is_response {
        response(at, whole, cmd, code).made_of(response_data(data_at, cmd, code, data))
    } else if is_command {
        let name = command_name(cmd, code);
        Part::new(
            Some(at),
            whole,
            format!("host → reader  {cmd:02X}-{code:02X} {name}"),
        )
        .made_of(command_data(data_at, cmd, code, data))
    } else {
        Part::new(Some(at), whole, format!("frame {cmd:02X}-{code:02X}")).saying(format!(
            "wrong check bytes (CRC); {length} bytes of data not read"
        ))
    };
    Some((part, whole))
}

fn response(at: usize, length: usize, cmd: u8, code: u8) -> Part {
    let group = GROUPS.iter().find(|(group, _)| *group == cmd);
    let group = group.map_or("unknown command", |(_, name)| name);
    let name = format!("reader → host  {cmd:02X} {group}");
    let status = Status::from(code);
    Part::new(Some(at), length, name).saying(format!("status {code:02X} {status:?}"))
}

fn command_name(cmd: u8, sub: u8) -> &'static str {
    let found = COMMANDS.iter().find(|(a, b, _)| (*a, *b) == (cmd, sub));
    found.map_or("unknown command", |(_, _, name)| name)
}

/// Bytes in front of a command's TLVs.
const fn bytes_before_tlvs(cmd: u8, sub: u8) -> Option<(usize, &'static str)> {
    match (cmd, sub) {
        (0x02, 0x40) => Some((1, "timeout in seconds")),
        (0x04, _) => Some((0, "")),
        (0x60, 0x10) => Some((5, "fallback, seat timeout, next command timeout")),
        (0x60, 0x12) => Some((1, "host has answered")),
        _ => None,
    }
}

fn command_data(at: usize, cmd: u8, sub: u8, data: &[u8]) -> Vec<Part> {
    let Some((count, name)) = bytes_before_tlvs(cmd, sub) else {
        return plain_data(at, data, data.len() <= 8);
    };
    let (before, tlvs) = data.split_at_checked(count).unwrap_or((data, &[]));
    let mut parts = Vec::new();
    if !before.is_empty() {
        parts.push(Part::new(Some(at), before.len(), name).saying(hex::encode_upper(before)));
    }
    parts.extend(walk(at.saturating_add(before.len()), Tlvs::new(tlvs), tlvs));
    parts
}

fn response_data(at: usize, cmd: u8, status: u8, data: &[u8]) -> Vec<Part> {
    if data.is_empty() {
        return Vec::new();
    }
    let text = || {
        let shown: String = data.iter().map(|byte| char::from(*byte)).collect();
        let shown = shown.replace(|c: char| !c.is_ascii_graphic() && c != ' ', "·");
        vec![Part::new(Some(at), data.len(), "text").saying(crate::redact::redact(&shown))]
    };
    match cmd {
        0x12 | 0x29 if Status::from(status) == Status::Ok => text(),
        0xC7 => {
            let is_on = is_encryption_on(Status::from(status), data);
            let value = if is_on {
                "stripe and chip data are encrypted"
            } else {
                "card data is NOT all encrypted"
            };
            vec![Part::new(Some(at), data.len(), "encryption").saying(value)]
        }
        0x02 | 0x60 if Status::from(status) != Status::UserInterfaceEvent => {
            let (first, tlvs) = data.split_first().unwrap_or((&0, &[]));
            let mut parts = vec![attribution(at, *first)];
            parts.extend(walk(at.saturating_add(1), Tlvs::new(tlvs), tlvs));
            parts
        }
        _ => plain_data(at, data, data.len() <= 8),
    }
}

fn plain_data(at: usize, data: &[u8], is_shown: bool) -> Vec<Part> {
    if data.is_empty() {
        return Vec::new();
    }
    let value = if is_shown {
        hex::encode_upper(data)
    } else {
        hidden(data.len())
    };
    vec![Part::new(Some(at), data.len(), "data").saying(value)]
}

fn attribution(at: usize, byte: u8) -> Part {
    let attribution = Attribution(byte);
    let sealed = match (attribution.is_encrypted(), attribution.scheme()) {
        (false, _) => "card data NOT encrypted".to_owned(),
        (true, None) => "encrypted in an unknown way".to_owned(),
        (true, Some(scheme)) => format!("encrypted ({scheme:?})"),
    };
    let value = format!("{byte:02X} {:?}, {sealed}", attribution.entry());
    Part::new(Some(at), 1, "attribution").saying(value)
}

fn hidden(length: usize) -> String {
    format!("[{length} bytes, not shown]")
}

fn walk(at: usize, tlvs: Tlvs<'_>, bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    for tlv in tlvs {
        match tlv {
            Ok(tlv) => parts.push(show_tlv(offset_in(at, bytes, tlv.value), tlv)),
            Err(error) => {
                let value = format!("{error}; the rest is not shown");
                parts.push(Part::new(None, 0, "not understood").saying(value));
            }
        }
    }
    parts
}

/// Where a value is within the capture.
fn offset_in(at: usize, bytes: &[u8], value: &[u8]) -> Option<usize> {
    let inside = value.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
    (inside <= bytes.len()).then(|| at.saturating_add(inside))
}

fn show_tlv(at: Option<usize>, tlv: Tlv<'_>) -> Part {
    let found = TAGS.iter().find(|(tag, _, _)| *tag == tlv.tag);
    let (name, show) = found.map_or(("tag", Show::Secret), |(_, name, show)| (name, *show));
    let form = match tlv.form {
        Form::Clear => "",
        Form::Masked => " masked",
        Form::Encrypted => " encrypted",
    };
    let part = Part::new(at, tlv.value.len(), format!("{:X}{form} {name}", tlv.tag));
    match (tlv.form, tlv.tag) {
        (Form::Encrypted, _) => part.saying(hidden(tlv.value.len())),
        (Form::Masked, 0x57 | 0x5A) => part.saying(masked_number(tlv.value)),
        (Form::Masked, _) => part.saying(hidden(tlv.value.len())),
        (Form::Clear, TAG_SWIPE) => part.made_of(swipe(tlv.value)),
        (Form::Clear, TAG_RESULT) => part.saying(result(tlv.value)),
        (Form::Clear, TAG_ERROR | TAG_ERROR_OLD) => part.saying(error_block(tlv.value)),
        (Form::Clear, tag) if is_constructed(tag) => match tlv.nested() {
            Ok(nested) => {
                let start = at.unwrap_or_default();
                let inside = walk(start, nested, tlv.value);
                part.made_of(inside)
            }
            Err(error) => part.saying(error.to_string()),
        },
        (Form::Clear, _) => match show {
            Show::Hex => part.saying(hex::encode_upper(tlv.value)),
            Show::Text => part.saying(crate::redact::redact(&printable(tlv.value))),
            Show::Secret => part.saying(hidden(tlv.value.len())),
        },
    }
}

/// Bit 6 of a tag's first byte (ISO/IEC 8825-1 §8.1.2.5).
fn is_constructed(tag: u32) -> bool {
    let first = tag.to_be_bytes().into_iter().find(|byte| *byte != 0);
    first.is_some_and(|byte| byte & 0x20 != 0)
}

fn printable(bytes: &[u8]) -> String {
    let shown = bytes.iter().map(|byte| char::from(*byte));
    let shown = shown.map(|c| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '·'
        }
    });
    shown.collect()
}

/// A number that the reader has masked: masked once more here, in case that it has not.
fn masked_number(value: &[u8]) -> String {
    let is_text = value.iter().all(|byte| byte.is_ascii_graphic());
    let digits = if is_text {
        printable(value)
    } else {
        hex::encode_upper(value)
    };
    let number = digits.split(['D', '=']).next().unwrap_or_default();
    let number = number.trim_end_matches('F');
    masked(number)
}

fn result(value: &[u8]) -> String {
    match <[u8; 2]>::try_from(value) {
        Ok(code) => {
            let code = u16::from_be_bytes(code);
            format!("{code:04X} {:?}", TransactionResult::from(code))
        }
        Err(_) => "has a wrong length".to_owned(),
    }
}

fn error_block(value: &[u8]) -> String {
    match <[u8; 4]>::try_from(value) {
        Ok([error, sw1, sw2, step]) => format!(
            "{:?}, card status {sw1:02X}{sw2:02X}, step {step:02X}",
            ContactlessError::from(error)
        ),
        Err(_) => "has a wrong length".to_owned(),
    }
}

fn swipe(block: &[u8]) -> Vec<Part> {
    let swipe = match Swipe::parse(block) {
        Ok(swipe) => swipe,
        Err(error) => {
            let value = format!("{error}; not shown");
            return vec![Part::new(None, block.len(), "not understood").saying(value)];
        }
    };
    let variant = if swipe.is_pin_variant {
        ", under the PIN variant"
    } else {
        ""
    };
    let scheme = format!("{:?}{variant}", swipe.scheme);
    let mut parts = vec![
        Part::new(None, 1, "encoding").saying(format!("{:02X}", swipe.encoding)),
        Part::new(None, 0, "encryption").saying(scheme),
    ];
    for (number, track) in (1..).zip(swipe.tracks) {
        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let value = format!(
            "{} characters; masked {} bytes, encrypted {} bytes, hash {} bytes",
            track.clear_length,
            length(track.masked),
            length(track.encrypted),
            length(track.hash),
        );
        parts.push(Part::new(None, track.clear_length, format!("track {number}")).saying(value));
    }
    let serial = swipe.serial.map(printable);
    let ksn = swipe.ksn.map(hex::encode_upper);
    for (name, value) in [("serial number", serial), ("key serial number", ksn)] {
        if let Some(value) = value {
            parts.push(Part::new(None, 0, name).saying(value));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::reader::command;
    use protocol::reader::tlv::TlvWriter;

    use super::*;

    const NUMBER: &str = "4761739001010010";

    fn text_of(bytes: &[u8]) -> String {
        let decoded = decode(bytes);
        let json = serde_json::to_string(&decoded).unwrap();
        format!("{}{json}", decoded.text())
    }

    #[test]
    fn a_conversation_is_told_by_name() {
        let capture = [
            command::ping().encode(),
            Response::bare(0x18, 0).encode(),
            command::firmware_version().encode(),
            Response::new(0x29, 0, b"VP3350 FW v1.01".to_vec())
                .unwrap()
                .encode(),
            command::encryption_status().encode(),
            Response::new(0xC7, 0, vec![0x03]).unwrap().encode(),
            Response::bare(0x02, 0x63).encode(),
        ]
        .concat();
        let decoded = decode(&capture);
        assert_eq!(decoded.unknown_bytes, 0);
        let text = decoded.text();
        for expected in [
            "000000  host → reader  18-01 ping",
            "reader → host  18 ping: status 00 Ok",
            "text: VP3350 FW v1.01",
            "stripe and chip data are encrypted",
            "status 63 Pending",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    /// A card's answer with everything in clear, as a reader without keys would give it.
    fn clear_answer() -> Vec<u8> {
        let number = hex::decode(NUMBER).unwrap();
        let track2 = hex::decode(format!("{NUMBER}D2812201000000000F")).unwrap();
        let tlvs = TlvWriter::after(&[0x00])
            .clear(TAG_RESULT, &[0, 4])
            .clear(0x5A, &number)
            .clear(0x57, &track2)
            .clear(0x5F20, b"DOE/JOHN")
            .clear(0x56, format!("B{NUMBER}^DOE/JOHN^2812201").as_bytes())
            .clear(0x9F02, &[0, 0, 0, 0, 0x12, 0x34])
            .clear(0xDF_8101, NUMBER.as_bytes())
            .clear(0x50, NUMBER.as_bytes())
            .clear(
                0xFF_EE01,
                &TlvWriter::after(&[]).clear(0x5A, &number).finish(),
            )
            .finish();
        Response::new(0x60, 0, tlvs).unwrap().encode()
    }

    #[test]
    fn card_data_in_clear_is_never_shown() {
        let text = text_of(&clear_answer());
        for secret in [NUMBER, "DOE", "2812", &hex::encode(NUMBER), "47617390"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        for shown in [
            "0004 GoOnline",
            "9F02 amount: 000000001234",
            "NOT encrypted",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(
            text.contains("5A account number: [8 bytes, not shown]"),
            "{text}"
        );
    }

    #[test]
    fn masked_and_encrypted_values_are_told_apart() {
        let tlvs = TlvWriter::after(&[0x40])
            .masked(0x5A, &hex::decode("4761CCCCCCCC0010").unwrap())
            .encrypted(0x5A, &[9; 16])
            .finish();
        let text = text_of(&Response::new(0x02, 0x23, tlvs).unwrap().encode());
        assert!(
            text.contains("5A masked account number: ************0010"),
            "{text}"
        );
        assert!(
            text.contains("5A encrypted account number: [16 bytes, not shown]"),
            "{text}"
        );
    }

    #[test]
    fn garbage_is_named_with_its_place_and_read_over() {
        let ping = command::ping().encode();
        let mut damaged = ping.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let cut = ping.get(..12).unwrap();
        let capture = [b"abc".as_slice(), &ping, b"\x00\x01", &damaged, cut].concat();
        let decoded = decode(&capture);
        let text = decoded.text();
        assert!(
            text.starts_with("000000  not understood: 3 bytes"),
            "{text}"
        );
        assert!(text.contains("000013  not understood: 2 bytes"), "{text}");
        assert!(text.contains("wrong check bytes"), "{text}");
        assert_eq!(decoded.unknown_bytes, 3 + 2 + 12);
    }

    #[test]
    fn hid_reports_are_put_together() {
        let reports = protocol::reader::hid::encode(&clear_answer()).unwrap();
        let text = text_of(&reports.concat());
        assert!(text.contains("reader → host  60 contact"), "{text}");
        assert!(!text.contains(NUMBER), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(text_of(&bytes));
            let as_data = Response::new(0x02, 0x23, bytes.clone()).unwrap().encode();
            drop(text_of(&as_data));
            let as_command = Command::new(0x02, 0x40, bytes).unwrap().encode();
            drop(text_of(&as_command));
        }

        #[test]
        fn no_number_in_a_value_of_any_tag_is_shown(tag in prop::sample::select(vec![
            0x5Au32, 0x57, 0x56, 0x5F20, 0x9F1F, 0x9F20, 0x9F6B, 0xDF_EE23, 0xDF_8129, 0xFF_8105,
        ])) {
            for value in [NUMBER.as_bytes().to_vec(), hex::decode(NUMBER).unwrap()] {
                let tlvs = TlvWriter::after(&[0]).clear(tag, &value).masked(tag, &value).finish();
                let text = text_of(&Response::new(0x02, 0, tlvs).unwrap().encode());
                prop_assert!(!text.contains(NUMBER), "{}", text);
                prop_assert!(!text.contains(&hex::encode_upper(NUMBER)), "{}", text);
            }
        }
    }
}
