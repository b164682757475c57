//! What tagged values say. Card data is never among it: what the reader has masked is masked once
//! more.

use protocol::reader::outcome::{
    Attribution, ContactlessError, TAG_ERROR, TAG_ERROR_OLD, TAG_RESULT, TAG_SWIPE,
    TransactionResult,
};
use protocol::reader::swipe::Swipe;
use protocol::reader::tlv::{Form, Tlv, Tlvs};

use super::super::Part;
use super::names::{Show, TAGS};
use crate::redact::masked;

pub(super) fn attribution(at: usize, byte: u8) -> Part {
    let attribution = Attribution(byte);
    let sealed = match (attribution.is_encrypted(), attribution.scheme()) {
        (false, _) => "card data NOT encrypted".to_owned(),
        (true, None) => "encrypted in an unknown way".to_owned(),
        (true, Some(scheme)) => format!("encrypted ({scheme:?})"),
    };
    let value = format!("{byte:02X} {:?}, {sealed}", attribution.entry());
    Part::new(Some(at), 1, "attribution").saying(value)
}

pub(super) fn hidden(length: usize) -> String {
    format!("[{length} bytes, not shown]")
}

pub(super) fn walk(at: usize, tlvs: Tlvs<'_>, bytes: &[u8]) -> Vec<Part> {
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

pub(super) fn printable(bytes: &[u8]) -> String {
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
