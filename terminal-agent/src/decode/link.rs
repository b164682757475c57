//! Frames of the link as JSON. Pure; byte strings, in which card data travels, are shown as lengths.

use std::fmt;

use protocol::link::{FRAME_BYTES_MAX, Handshake, HandshakeReply, ToAgent, ToEngine, decode};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Decoded, Part, unknown};
use crate::redact::redact_json;

/// Levels of a value; hostile nesting must not reach the stack.
const DEPTH_MAX: usize = 32;

/// Decodes frames that follow each other: MessagePack values, one a frame.
pub fn decode_frames(bytes: &[u8]) -> Decoded {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((value, length)) = take(rest) else {
            parts.push(unknown(
                at,
                rest.len(),
                "no whole MessagePack value begins here",
            ));
            return Decoded::new(bytes.len(), rest.len(), parts);
        };
        let frame = rest.get(..length).unwrap_or_default();
        let part = Part::new(Some(at), length, name_of(frame));
        parts.push(part.saying(value.to_string()));
        at = at.saturating_add(length);
    }
    Decoded::new(bytes.len(), 0, parts)
}

fn take(bytes: &[u8]) -> Option<(Value, usize)> {
    let mut rest = bytes.get(..bytes.len().min(FRAME_BYTES_MAX))?;
    let whole = rest.len();
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(DEPTH_MAX);
    let Shown(mut value) = Shown::deserialize(&mut deserializer).ok()?;
    redact_json(&mut value);
    let length = whole.checked_sub(rest.len()).filter(|length| *length > 0)?;
    Some((value, length))
}

/// Who says such a thing.
fn name_of(frame: &[u8]) -> &'static str {
    let to_agent = decode::<ToAgent>(frame).is_ok();
    let to_engine = decode::<ToEngine>(frame).is_ok();
    match (to_agent, to_engine) {
        (true, true) => "either way",
        (true, false) => "engine → agent",
        (false, true) => "agent → engine",
        (false, false) if decode::<Handshake>(frame).is_ok() => "agent → engine, handshake",
        (false, false) if decode::<HandshakeReply>(frame).is_ok() => "engine → agent, handshake",
        (false, false) => "no message that this version knows",
    }
}

/// Any value as JSON, with byte strings as their lengths.
struct Shown(Value);

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShownVisitor).map(Self)
    }
}

struct ShownVisitor;

impl<'de> Visitor<'de> for ShownVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::String(format!("[{} bytes]", value.len())))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Value, D::Error> {
        // An extension type of MessagePack; the protocol has none.
        Err(serde::de::Error::custom("extension"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Shown(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((Shown(name), Shown(field))) = access.next_entry()? {
            let name = match name {
                Value::String(name) => name,
                Value::Array(_) | Value::Object(_) => {
                    // Text of a name inside a name doubles with each level; the protocol has none.
                    return Err(serde::de::Error::custom("a name that is not one value"));
                }
                other => other.to_string(),
            };
            fields.insert(name, field);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::id::{AttemptId, PosTransactionId};
    use protocol::link::{CardReport, encode};
    use protocol::money::Money;
    use uuid::Uuid;

    use super::*;

    const NUMBER: &str = "4761739001010010";

    fn card() -> Vec<u8> {
        let report = CardReport {
            pos_id: PosTransactionId::from_uuid(Uuid::from_u128(1)),
            attempt_id: AttemptId::from_uuid(Uuid::from_u128(2)),
            amount: Money::new(1_250, "USD".parse().unwrap()),
            data: NUMBER.as_bytes().to_vec(),
            chip_waits: true,
        };
        encode(&ToEngine::Card(report)).unwrap()
    }

    #[test]
    fn card_data_is_shown_as_a_length() {
        let text = decode_frames(&card()).text();
        assert!(text.contains("agent → engine: {\"card\":{"), "{text}");
        assert!(text.contains("\"data\":\"[16 bytes]\""), "{text}");
        assert!(text.contains("1250") && text.contains("pos_"), "{text}");
        assert!(!text.contains(NUMBER), "{text}");
    }

    #[test]
    fn frames_follow_each_other_and_garbage_is_named() {
        let ping = encode(&ToAgent::Ping).unwrap();
        let capture = [ping.as_slice(), &card(), b"\xC1\x00"].concat();
        let decoded = decode_frames(&capture);
        assert_eq!((decoded.parts.len(), decoded.unknown_bytes), (3, 2));
        let text = decoded.text();
        assert!(text.contains("either way: \"ping\""), "{text}");
        let unknown = encode(&serde_json::json!({"later": 1})).unwrap();
        let text = decode_frames(&unknown).text();
        assert!(
            text.contains("no message that this version knows"),
            "{text}"
        );
    }

    #[test]
    fn a_name_made_of_names_is_not_understood() {
        // A map of one entry whose name is such a map, and so on: 31 times its text would double.
        let capture = [[0x81; 31].as_slice(), &[0x01; 32]].concat();
        let decoded = decode_frames(&capture);
        assert_eq!((decoded.parts.len(), decoded.unknown_bytes), (1, 63));
    }

    #[test]
    fn numbers_in_texts_and_fields_are_masked() {
        let number: u64 = NUMBER.parse().unwrap();
        let frame = encode(&serde_json::json!({"a": NUMBER, NUMBER: number})).unwrap();
        let text = decode_frames(&frame).text();
        assert!(!text.contains(NUMBER), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(decode_frames(&bytes).text());
        }

        #[test]
        fn damaged_frames_are_decoded_without_a_panic(at in 0usize..200, value: u8) {
            let mut bytes = card();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            drop(decode_frames(&bytes).text());
        }
    }
}
