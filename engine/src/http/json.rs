//! JSON as it arrives, and its canonical form.
//!
//! A member that occurs twice is refused: readers disagree on which one counts, and money must
//! not depend on that.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a JSON text.
///
/// # Errors
/// What is wrong with it, without repeating any of it.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice::<Strict>(text) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Eof => "ends too early",
                serde_json::error::Category::Data => "has a member twice",
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                    "is not JSON"
                }
            };
            Err(format!("{what} (line {line}, column {column})"))
        }
    }
}

/// Writes a value in one way only: members sorted, no spaces. Numbers keep the form in which
/// serde_json writes them, so that `1` and `1.0` differ.
pub fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push(b'{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                quoted(name, out);
                out.push(b':');
                canonical(member, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                canonical(item, out);
            }
            out.push(b']');
        }
        Value::String(text) => quoted(text, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    // Borrowing is not possible: only an owned value has the escaping writer behind `to_string`.
    out.extend_from_slice(Value::from(text).to_string().as_bytes());
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(member))) = members.next_entry::<String, Strict>()? {
            if object.insert(name, member).is_some() {
                return Err(de::Error::custom("member occurs twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical_text(json: &str) -> String {
        let mut out = Vec::new();
        canonical(&parse(json.as_bytes()).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn order_and_spaces_do_not_count() {
        let one = canonical_text(r#"{ "b" : [1, {"y":null,"x":true}], "a":"\u0041\n" }"#);
        let other = canonical_text(r#"{"a":"A\n","b":[1,{"x":true,"y":null}]}"#);
        assert_eq!(one, other);
        assert_eq!(one, r#"{"a":"A\n","b":[1,{"x":true,"y":null}]}"#);
        assert_ne!(canonical_text("[1]"), canonical_text("[1.0]"));
    }

    #[test]
    fn what_is_not_json_is_refused_without_repeating_it() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "{]",
            "\u{feff}{}",
            "{\"a\":1,\"a\":1}",
            "nul",
            "{} {}",
            &deep,
        ] {
            let message = parse(text.as_bytes()).unwrap_err();
            assert!(message.len() < 80, "{message}");
        }
        assert_eq!(
            parse(br#"{"a":{"b":1,"b":2}}"#)
                .unwrap_err()
                .split(" (")
                .next(),
            Some("has a member twice")
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(value) = parse(&bytes) {
                let mut out = Vec::new();
                canonical(&value, &mut out);
                prop_assert_eq!(parse(&out), Ok(value));
            }
        }
    }
}
