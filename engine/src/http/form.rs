//! Typed forms from JSON bodies and query strings, with errors that a program can act on.
//!
//! The reader is serde's data model over [`Value`] with an error type of its own, so that "absent",
//! "unknown" and "cannot be used" are told apart by type and never by text, and so that no error
//! repeats what the caller sent.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is required and not there.
    Absent,
    /// There is no such field.
    Unknown,
    /// It is there and cannot be used; what would be accepted.
    Unusable(String),
}

/// A form that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FormError {
    /// Dotted path; empty for the form itself.
    pub(super) field: String,
    /// What is wrong with it.
    pub(super) problem: Problem,
}

/// Reads a JSON object.
///
/// # Errors
/// [`FormError`] for the first field that cannot be used.
pub(super) fn from_json<T: DeserializeOwned>(body: &Value) -> Result<T, FormError> {
    T::deserialize(Reader {
        value: body,
        is_text: false,
    })
}

/// Reads the pairs of a query string. Numbers and booleans are written in text there.
///
/// # Errors
/// [`FormError`]; also when a name occurs twice.
pub(super) fn from_query<T: DeserializeOwned>(
    pairs: Vec<(String, String)>,
) -> Result<T, FormError> {
    let mut members = Map::new();
    for (name, value) in pairs {
        if members.insert(name.clone(), Value::String(value)).is_some() {
            return Err(FormError {
                field: clipped(&name),
                problem: Problem::Unusable("must not occur twice".to_owned()),
            });
        }
    }
    T::deserialize(Reader {
        value: &Value::Object(members),
        is_text: true,
    })
}

impl FormError {
    fn here(problem: Problem) -> Self {
        Self {
            field: String::new(),
            problem,
        }
    }

    fn within(mut self, outer: &str) -> Self {
        self.field = match self.field.is_empty() {
            true => clipped(outer),
            false => format!("{}.{}", clipped(outer), self.field),
        };
        self
    }
}

/// Digits that a name may have and still be shown; an account number has at least twelve.
const NAME_DIGITS_MAX: usize = 8;

/// A name that a caller made up may be of any length, and may be a card number.
fn clipped(name: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit();
    let is_shown = name.chars().filter(|c| is_digit(*c)).count() <= NAME_DIGITS_MAX;
    name.chars()
        .take(64)
        .map(|c| if is_digit(c) && !is_shown { '*' } else { c })
        .collect()
}

impl fmt::Display for FormError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() {
            "body"
        } else {
            &self.field
        };
        match &self.problem {
            Problem::Absent => write!(formatter, "{field} is required"),
            Problem::Unknown => write!(formatter, "{field} is not a known field"),
            Problem::Unusable(expected) => write!(formatter, "{field} {expected}"),
        }
    }
}

impl std::error::Error for FormError {}

fn expected(expected: &dyn Expected) -> Problem {
    let text = expected.to_string();
    let text = match text.as_str() {
        "i16" | "i32" | "i64" | "u16" | "u32" | "u64" | "usize" => "an integer in range",
        "a sequence" => "an array",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    Problem::Unusable(format!("must be {text}"))
}

impl de::Error for FormError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::here(Problem::Unusable(format!("is invalid: {message}")))
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::here(expected(wanted))
    }

    fn invalid_value(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::here(expected(wanted))
    }

    fn invalid_length(_: usize, wanted: &dyn Expected) -> Self {
        Self::here(expected(wanted))
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::here(Problem::Unusable(format!(
            "must be one of: {}",
            variants.join(", ")
        )))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self {
            field: clipped(field),
            problem: Problem::Unknown,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            field: field.to_owned(),
            problem: Problem::Absent,
        }
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    value: &'a Value,
    is_text: bool,
}

impl<'a> Reader<'a> {
    fn within(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    fn unexpected(self, wanted: &dyn Expected) -> FormError {
        FormError::here(expected(wanted))
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        match self.value {
            Value::String(text) if self.is_text => match text.parse::<i64>() {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(self.unexpected(&visitor)),
            },
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => visitor.visit_i64(number),
                (None, Some(number)) => visitor.visit_u64(number),
                (None, None) => Err(self.unexpected(&visitor)),
            },
            _ => Err(self.unexpected(&visitor)),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
            self.number(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = FormError;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) => self.number(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items {
                reader: self,
                items: items.iter().enumerate(),
            }),
            Value::Object(members) => visitor.visit_map(Members {
                reader: self,
                members: members.iter(),
                current: None,
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) if self.is_text && text == "true" => visitor.visit_bool(true),
            Value::String(text) if self.is_text && text == "false" => visitor.visit_bool(false),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FormError> {
        visitor.visit_newtype_struct(self)
    }

    // serde also reads structs from arrays; a form never is one.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormError> {
        match self.value {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormError> {
        match self.value {
            Value::String(text) => {
                let text: StrDeserializer<'_, FormError> = text.as_str().into_deserializer();
                visitor.visit_enum(text)
            }
            _ => Err(de::Error::unknown_variant("", variants)),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier ignored_any
    }
}

struct Items<'a> {
    reader: Reader<'a>,
    items: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = FormError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, FormError> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(self.reader.within(item))
            .map(Some)
            .map_err(|error| error.within(&index.to_string()))
    }
}

struct Members<'a> {
    reader: Reader<'a>,
    members: serde_json::map::Iter<'a>,
    current: Option<(&'a String, &'a Value)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = FormError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, FormError> {
        self.current = self.members.next();
        let Some((name, _)) = self.current else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, FormError> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, FormError> {
        let Some((name, value)) = self.current.take() else {
            return Err(FormError::here(Problem::Absent));
        };
        seed.deserialize(self.reader.within(value))
            .map_err(|error| error.within(name))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        amount: i64,
        kind: Option<Kind>,
        inner: Option<Inner>,
        #[serde(default)]
        flags: Vec<u32>,
        id: Option<protocol::id::TerminalId>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Sale,
        Authorization,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        on: bool,
    }

    fn refusal(body: Value) -> (String, Problem) {
        let error = from_json::<Form>(&body).unwrap_err();
        (error.field, error.problem)
    }

    #[test]
    fn fields_are_named_and_told_apart() {
        for (body, field, problem) in [
            (json!({}), "amount", "absent"),
            (json!({"amount": 1, "amuont": 1}), "amuont", "unknown"),
            // Fuzzing found that a card number in the place of a name came back.
            (
                json!({"amount": 1, "a4761739001010010": 1}),
                "a****************",
                "unknown",
            ),
            (json!({"amount": 1.0}), "amount", "unusable"),
            (json!({"amount": 1e3}), "amount", "unusable"),
            (json!({"amount": "1"}), "amount", "unusable"),
            (json!({"amount": true}), "amount", "unusable"),
            (json!({"amount": null}), "amount", "unusable"),
            (json!({"amount": u64::MAX}), "amount", "unusable"),
            (json!({"amount": 1, "kind": "refund"}), "kind", "unusable"),
            (json!({"amount": 1, "kind": 1}), "kind", "unusable"),
            (
                json!({"amount": 1, "kind": {"sale": {}}}),
                "kind",
                "unusable",
            ),
            (json!({"amount": 1, "inner": {}}), "inner.on", "absent"),
            (json!({"amount": 1, "inner": [true]}), "inner", "unusable"),
            (
                json!({"amount": 1, "inner": {"on": 1}}),
                "inner.on",
                "unusable",
            ),
            (
                json!({"amount": 1, "inner": {"on": true, "x": 1}}),
                "inner.x",
                "unknown",
            ),
            (
                json!({"amount": 1, "flags": [1, -1]}),
                "flags.1",
                "unusable",
            ),
            (json!({"amount": 1, "flags": {}}), "flags", "unusable"),
            (json!({"amount": 1, "id": "pos_1"}), "id", "unusable"),
            (json!([1]), "", "unusable"),
            (json!("x"), "", "unusable"),
        ] {
            let (found_field, found) = refusal(body.clone());
            let name = match found {
                Problem::Absent => "absent",
                Problem::Unknown => "unknown",
                Problem::Unusable(_) => "unusable",
            };
            assert_eq!((found_field.as_str(), name), (field, problem), "{body}");
        }
    }

    #[test]
    fn good_forms_are_read() {
        let body = json!({"amount": -5, "kind": "sale", "inner": {"on": true}, "flags": [7],
            "id": null});
        let form: Form = from_json(&body).unwrap();
        assert_eq!(form.amount, -5);
        assert_eq!(form.kind, Some(Kind::Sale));
        assert_eq!(form.inner, Some(Inner { on: true }));
        assert_eq!((form.flags, form.id), (vec![7], None));
    }

    #[test]
    fn errors_do_not_repeat_what_was_sent() {
        let pan = "4111111111111111";
        for body in [
            json!({"amount": pan}),
            json!({"amount": 1, "kind": pan}),
            json!({"amount": 1, "id": pan}),
        ] {
            let error = from_json::<Form>(&body).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(pan));
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Search {
        limit: Option<u32>,
        kind: Option<Kind>,
        all: Option<bool>,
    }

    #[test]
    fn query_strings_are_read_the_same_way() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<Vec<_>>()
        };
        let form: Search =
            from_query(pairs(&[("limit", "5"), ("kind", "sale"), ("all", "true")])).unwrap();
        assert_eq!(
            (form.limit, form.kind, form.all),
            (Some(5), Some(Kind::Sale), Some(true))
        );
        for bad in [
            &[("limit", "x")][..],
            &[("limit", "-1")],
            &[("limit", "1"), ("limit", "1")],
            &[("all", "yes")],
            &[("other", "1")],
        ] {
            assert!(from_query::<Search>(pairs(bad)).is_err(), "{bad:?}");
        }
    }
}
