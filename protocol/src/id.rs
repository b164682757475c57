//! Prefixed, time-ordered identifiers (`pos_01k…`), one type per kind of thing.
//!
//! The text form is a TypeID: a prefix, an underscore, and the 128 bits of a UUIDv7 as 26
//! characters of Crockford base32 in lower case. Ids are made in one place per program
//! (`id_source.rs`) and are arguments everywhere else.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Why a text is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {expected} identifier")]
pub struct InvalidId {
    /// The prefix that the kind of id has.
    pub expected: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

/// The value of each byte as a digit; `NO_DIGIT` for all others.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value: u8 = 0;
    while value < 32 {
        digits[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = u8::MAX;

/// The text after the prefix. Ids are written several times in every message and row: nothing is
/// allocated for it.
struct Text([u8; TEXT_LENGTH]);

impl Text {
    fn of(uuid: Uuid) -> Self {
        let mut value = uuid.as_u128();
        let mut text = [b'0'; TEXT_LENGTH];
        for place in text.iter_mut().rev() {
            let index = value.to_le_bytes()[0] & 31;
            *place = ALPHABET.get(usize::from(index)).copied().unwrap_or(b'0');
            value >>= 5;
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        // The alphabet is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn decode(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    // 26 × 5 bits is two more than 128: the first character carries three bits.
    if bytes.len() != TEXT_LENGTH || !matches!(bytes.first(), Some(b'0'..=b'7')) {
        return None;
    }
    bytes
        .iter()
        .try_fold(0u128, |value, byte| {
            let digit = DIGITS.get(usize::from(*byte)).copied()?;
            (digit != NO_DIGIT).then_some((value << 5) | u128::from(digit))
        })
        .map(Uuid::from_u128)
}

/// Reads an id from a text, without a copy of it.
struct IdVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = InvalidId>> de::Visitor<'_> for IdVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// Names the thing that `uuid` identifies.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id without its prefix.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The 16 bytes, in time order; what storage keys are made of.
            pub const fn bytes(self) -> [u8; 16] {
                *self.0.as_bytes()
            }

            /// Reads the 16 bytes of a storage key.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!($prefix, "_"))?;
                formatter.write_str(Text::of(self.0).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(InvalidId { expected: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                const HEAD: &[u8] = concat!($prefix, "_").as_bytes();
                let mut text = [0; HEAD.len() + TEXT_LENGTH];
                let (head, rest) = text.split_at_mut(HEAD.len());
                head.copy_from_slice(HEAD);
                rest.copy_from_slice(&Text::of(self.0).0);
                serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(IdVisitor(PhantomData))
            }
        }
    )*};
}

ids! {
    /// A partner: boards merchants and holds their allowlist.
    PartnerId = "par";
    /// A merchant.
    MerchantId = "mer";
    /// A terminal: a till as the API sees it.
    TerminalId = "trm";
    /// A POS transaction: a job on a terminal.
    PosTransactionId = "pos";
    /// A transaction: one act at the acquirer.
    TransactionId = "txn";
    /// One card presentation within a POS transaction.
    AttemptId = "att";
    /// A receipt on its way to paper.
    PrintJobId = "prn";
    /// An API key, without its secret.
    ApiKeyId = "key";
    /// A pairing code, without the code.
    PairingCodeId = "pai";
    /// The journal of one installation of an agent.
    JournalId = "jrn";
    /// One life of an engine's database; a restored engine has a new one.
    IncarnationId = "inc";
    /// A fault that an integrator has armed in test mode.
    FaultId = "flt";
    /// A request made at the till; it is the till's idempotency key.
    RequestId = "req";
    /// One request as seen in answers and logs.
    TraceId = "trc";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_form_is_the_typeid_form() {
        // From the TypeID specification's valid vectors.
        let uuid = Uuid::from_u128(0x0188_bac7_4afa_78aa_bc3b_bd1e_ef28_d881);
        let id = PosTransactionId::from_uuid(uuid);
        assert_eq!(id.to_string(), "pos_01h2xcejqtf2nbrexx3vqjhp41");
        assert_eq!("pos_01h2xcejqtf2nbrexx3vqjhp41".parse(), Ok(id));
        let highest = PosTransactionId::from_uuid(Uuid::max());
        assert_eq!(highest.to_string(), "pos_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }

    #[test]
    fn wrong_texts_are_refused() {
        for text in [
            "",
            "pos_",
            "txn_01h2xcejqtf2nbrexx3vqjhp41",
            "pos_01h2xcejqtf2nbrexx3vqjhp4",
            "pos_01h2xcejqtf2nbrexx3vqjhp411",
            "pos_81h2xcejqtf2nbrexx3vqjhp41",
            "pos_01H2XCEJQTF2NBREXX3VQJHP41",
            "pos_01h2xcejqtf2nbrexx3vqjhpil",
            "01h2xcejqtf2nbrexx3vqjhp41",
            "pos_ééééééééééééé",
        ] {
            assert!(
                text.parse::<PosTransactionId>().is_err(),
                "{text:?} was accepted"
            );
        }
    }

    proptest! {
        #[test]
        fn text_order_is_byte_order(a: u128, b: u128) {
            let (a, b) = (Uuid::from_u128(a), Uuid::from_u128(b));
            let (left, right) = (TerminalId::from_uuid(a), TerminalId::from_uuid(b));
            prop_assert_eq!(left.to_string().cmp(&right.to_string()), a.cmp(&b));
            prop_assert_eq!(left.to_string().parse::<TerminalId>(), Ok(left));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            std::hint::black_box(text.parse::<TerminalId>()).ok();
        }
    }
}
