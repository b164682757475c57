//! How a card was read: from the reader's marks to the entry mode that acquirer, transaction and
//! receipt carry.
//!
//! Owns the table of marks. It never looks at a card's values.

use protocol::reader::outcome::{CardRead, Entry, TAG_ENTRY_MODE};
use protocol::reader::tlv::Form;

use super::CardError;

/// How the card was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryMode {
    /// Chip, inserted.
    Contact,
    /// Chip, tapped.
    Contactless,
    /// Stripe data over the contactless interface.
    ContactlessStripe,
    /// Stripe.
    Swipe,
    /// Stripe, after the chip failed.
    Fallback,
}

impl EntryMode {
    /// Every entry mode there is.
    pub const ALL: [Self; 5] = [
        Self::Contact,
        Self::Contactless,
        Self::ContactlessStripe,
        Self::Swipe,
        Self::Fallback,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Contactless => "contactless",
            Self::ContactlessStripe => "contactless_stripe",
            Self::Swipe => "swipe",
            Self::Fallback => "fallback_swipe",
        }
    }

    /// Reads a code back.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.code() == code)
    }

    /// By tag 9F39 (card-reader.md §5.1); nothing for values that a reader does not give.
    const fn from_mark(mark: u8) -> Option<Self> {
        match mark {
            0x05 => Some(Self::Contact),
            0x07 => Some(Self::Contactless),
            0x91 => Some(Self::ContactlessStripe),
            0x90 => Some(Self::Swipe),
            0x80 => Some(Self::Fallback),
            _ => None,
        }
    }

    /// How the card of this read met the reader. Tag 9F39 says it finer than the attribution byte:
    /// it alone tells a fallback from a swipe. Without it a stripe is an ordinary swipe.
    ///
    /// # Errors
    /// [`CardError::Malformed`] when the two name different interfaces.
    pub(super) fn of(read: &CardRead<'_>) -> Result<Self, CardError> {
        let interface = read.attribution.entry();
        let by_interface = match interface {
            Entry::Contact => Self::Contact,
            Entry::ContactlessChip => Self::Contactless,
            Entry::ContactlessStripe => Self::ContactlessStripe,
            Entry::Swipe => Self::Swipe,
        };
        let mark = match read.find(TAG_ENTRY_MODE, Form::Clear) {
            Some([mark]) => Self::from_mark(*mark),
            Some(_) => return Err(CardError::Malformed),
            None => None,
        };
        match (mark, interface) {
            (None, _) => Ok(by_interface),
            (Some(mark @ Self::Contact), Entry::Contact)
            | (
                Some(mark @ (Self::Contactless | Self::ContactlessStripe)),
                Entry::ContactlessChip | Entry::ContactlessStripe,
            )
            | (Some(mark @ (Self::Swipe | Self::Fallback)), Entry::Swipe) => Ok(mark),
            _ => Err(CardError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::reader::tlv::TlvWriter;

    #[test]
    fn marks_and_interfaces_make_the_entry_mode() {
        use EntryMode as M;
        for (attribution, mark, expected) in [
            (0xE0, None, Ok(M::Contact)),
            (0xE0, Some(0x05), Ok(M::Contact)),
            (0xE2, Some(0x05), Ok(M::Contact)),
            (0xE1, Some(0x07), Ok(M::Contactless)),
            (0xE1, Some(0x91), Ok(M::ContactlessStripe)),
            (0xF1, Some(0x91), Ok(M::ContactlessStripe)),
            (0xF1, None, Ok(M::ContactlessStripe)),
            (0xE8, None, Ok(M::Swipe)),
            (0xE8, Some(0x90), Ok(M::Swipe)),
            (0xE8, Some(0x80), Ok(M::Fallback)),
            (0xEA, Some(0x80), Ok(M::Fallback)),
            (0xE8, Some(0x02), Ok(M::Swipe)),
            (0xE8, Some(0x05), Err(CardError::Malformed)),
            (0xE0, Some(0x80), Err(CardError::Malformed)),
            (0xE1, Some(0x90), Err(CardError::Malformed)),
            (0xE0, Some(0x07), Err(CardError::Malformed)),
        ] {
            let writer = TlvWriter::after(&[attribution]);
            let data = match mark {
                Some(mark) => writer.clear(TAG_ENTRY_MODE, &[mark]),
                None => writer,
            };
            let data = data.finish();
            let found = M::of(&CardRead::parse(&data).unwrap());
            assert_eq!(found, expected, "{attribution:02X} {mark:02X?}");
        }
        let long = TlvWriter::after(&[0xE8]).clear(TAG_ENTRY_MODE, &[0x80, 0x80]);
        let long = long.finish();
        let refused = M::of(&CardRead::parse(&long).unwrap());
        assert_eq!(refused, Err(CardError::Malformed));
    }

    #[test]
    fn codes_are_distinct_and_read_back() {
        for mode in EntryMode::ALL {
            assert_eq!(EntryMode::from_code(mode.code()), Some(mode));
        }
    }
}
