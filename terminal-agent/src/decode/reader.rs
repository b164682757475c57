//! NEO2 frames of both directions, by name. Pure; shows no card data, also not what a reader without
//! encryption has given out.

mod names;
mod value;

use protocol::reader::command::is_encryption_on;
use protocol::reader::frame::{Command, DATA_LENGTH_MAX, HEADER, Response};
use protocol::reader::hid::{HidDecoder, REPORT_LENGTH};
use protocol::reader::outcome::Status;
use protocol::reader::tlv::Tlvs;

use super::{Decoded, Part, unknown};
use names::{GROUPS, command_name};
use value::{attribution, hidden, walk};

const PREFIX_LENGTH: usize = HEADER.len() + 4;
const CRC_LENGTH: usize = 2;

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

#[cfg(test)]
mod tests;
