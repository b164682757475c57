//! Prefixed, time-ordered identifiers (`pos_01k…`), one type per kind of thing.
//!
//! The text form is a TypeID: a prefix, an underscore, and the 128 bits of a UUIDv7 as 26
//! characters of Crockford base32 in lower case. Ids are made in one place per program
//! (`id_source.rs`) and are arguments everywhere else.

use std::fmt;
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

fn encode(uuid: Uuid) -> String {
    let value = uuid.as_u128();
    (0..TEXT_LENGTH)
        .map(|place| {
            let shift = 5 * (TEXT_LENGTH - 1 - place);
            let index = usize::from(u8::try_from((value >> shift) & 31).unwrap_or(0));
            char::from(ALPHABET.get(index).copied().unwrap_or(b'0'))
        })
        .collect()
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
            let digit = ALPHABET.iter().position(|candidate| candidate == byte)?;
            Some((value << 5) | u128::try_from(digit).ok()?)
        })
        .map(Uuid::from_u128)
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
                write!(formatter, concat!($prefix, "_{}"), encode(self.0))
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
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
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
