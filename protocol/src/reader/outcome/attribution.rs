//! How the card met the reader, and how its data is encrypted.
//!
//! Owns the bits of the attribution byte. What is not known to be DUKPT has no scheme.

use crate::dukpt::Scheme;

/// How the card met the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The chip in the slot.
    Contact,
    /// A contactless chip.
    ContactlessChip,
    /// A contactless card in magstripe mode.
    ContactlessStripe,
    /// The stripe.
    Swipe,
}

/// The first byte of a transaction response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribution(pub u8);

impl Attribution {
    /// The interface.
    pub const fn entry(self) -> Entry {
        let Self(byte) = self;
        match (byte & 0x18, byte & 0x01) {
            (0x00, 0) => Entry::Contact,
            (0x00, _) => Entry::ContactlessChip,
            (0x10, _) => Entry::ContactlessStripe,
            _ => Entry::Swipe,
        }
    }

    /// How values are encrypted; nothing for the vendor's extended schemes, which are not DUKPT
    /// under one of these ciphers.
    pub const fn scheme(self) -> Option<Scheme> {
        match self.0 & 0x06 {
            0x00 => Some(Scheme::TripleDes),
            0x02 => Some(Scheme::Aes),
            _ => None,
        }
    }

    /// Whether card data of this entry is encrypted at all.
    pub const fn is_encrypted(self) -> bool {
        const CHIP_ENCRYPTED: u8 = 0x40;
        const STRIPE_ENCRYPTED: u8 = 0x80;
        let needed = match self.entry() {
            Entry::Contact | Entry::ContactlessChip => CHIP_ENCRYPTED,
            Entry::ContactlessStripe | Entry::Swipe => STRIPE_ENCRYPTED,
        };
        self.0 & needed != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributions_seen_in_practice_are_understood() {
        for (byte, entry, encrypted) in [
            (0xE0, Entry::Contact, true),
            (0xE1, Entry::ContactlessChip, true),
            (0xF1, Entry::ContactlessStripe, true),
            (0xE8, Entry::Swipe, true),
            (0xC8, Entry::Swipe, true),
            (0xC1, Entry::ContactlessChip, true),
            (0x20, Entry::Contact, false),
            (0x60, Entry::Contact, true),
            (0x68, Entry::Swipe, false),
            (0xA1, Entry::ContactlessChip, false),
        ] {
            let attribution = Attribution(byte);
            assert_eq!(attribution.entry(), entry, "{byte:02X}");
            assert_eq!(attribution.is_encrypted(), encrypted, "{byte:02X}");
            assert_eq!(attribution.scheme(), Some(Scheme::TripleDes));
        }
        for (byte, scheme) in [
            (0xE2, Some(Scheme::Aes)),
            (0xE3, Some(Scheme::Aes)),
            (0xEA, Some(Scheme::Aes)),
            (0xE4, None),
            (0xE7, None),
        ] {
            assert_eq!(Attribution(byte).scheme(), scheme, "{byte:02X}");
        }
    }
}
