//! The virtual cards that can be shown to the simulated reader.
//!
//! Owns who the cards are and how they misbehave; what the reader makes of it is
//! [`crate::reader`]'s. Account numbers come from ranges that payment companies publish for
//! testing; none was ever issued. `Debug` shows a card's name only.

use std::fmt;

/// How a card meets the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Held to the contactless field, and taken away once it was read.
    Tap,
    /// Put into the chip slot, where it stays until it is removed.
    Insert,
    /// Drawn through the stripe slot.
    Swipe,
}

impl Way {
    /// Looks a way up by its word on the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "tap" => Some(Self::Tap),
            "insert" => Some(Self::Insert),
            "swipe" => Some(Self::Swipe),
            _ => None,
        }
    }

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Insert => "insert",
            Self::Swipe => "swipe",
        }
    }
}

/// The scheme that a card belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// American Express.
    Amex,
    /// Discover.
    Discover,
}

impl Brand {
    /// The application identifier (tag 84) of the credit application.
    pub const fn application_id(self) -> &'static [u8] {
        match self {
            Self::Visa => &[0xA0, 0, 0, 0, 0x03, 0x10, 0x10],
            Self::Mastercard => &[0xA0, 0, 0, 0, 0x04, 0x10, 0x10],
            Self::Amex => &[0xA0, 0, 0, 0, 0x25, 0x01],
            Self::Discover => &[0xA0, 0, 0, 0x01, 0x52, 0x30, 0x10],
        }
    }

    /// The application label (tag 50).
    pub const fn label(self) -> &'static str {
        match self {
            Self::Visa => "VISA TEST",
            Self::Mastercard => "MASTERCARD TEST",
            Self::Amex => "AMEX TEST",
            Self::Discover => "DISCOVER TEST",
        }
    }
}

/// What goes differently with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing: the chip asks the issuer and agrees with the answer.
    Cooperates,
    /// The chip declines after the issuer has approved.
    RefusesApproval,
    /// The chip declines without asking.
    DeclinesOffline,
    /// The chip approves without asking, even when made to ask.
    ApprovesOffline,
    /// The application has expired.
    Expired,
    /// The application is blocked.
    Blocked,
    /// Pulled out while the chip is asked to decide.
    PulledDuringAuthentication,
    /// Pulled out while the issuer's answer is given to the chip.
    PulledDuringCompletion,
    /// Two cards are in the contactless field.
    TwoCards,
    /// The contactless side sends the customer to the slot.
    WantsOtherInterface,
    /// Leaves the contactless field too early.
    LeavesField,
    /// The chip cannot be read; after three tries the stripe may be used.
    UnreadableChip,
    /// The chip gets no power. By the vendor's default that does not count towards fallback.
    DeadChip,
    /// The chip has no application that the reader knows.
    Unsupported,
    /// The contactless side knows magstripe mode only: it gives a track and no cryptogram.
    MagstripeMode,
}

/// One virtual card.
pub struct Card {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is good for.
    pub summary: &'static str,
    /// The scheme.
    pub brand: Brand,
    account: &'static str,
    /// Year and month, four digits.
    pub expiry: &'static str,
    /// Three digits; a first digit of 2 or 6 says that the card has a chip.
    pub service_code: &'static str,
    /// Ways in which it can be presented.
    pub ways: &'static [Way],
    /// What goes differently.
    pub behaviour: Behaviour,
}

impl Card {
    /// The account number in clear. Never to be logged.
    pub const fn account(&self) -> &'static str {
        self.account
    }

    /// The account number with all but the first and last four digits hidden.
    pub fn masked_account(&self) -> String {
        mask(self.account, '*')
    }

    /// Whether the stripe says that the card has a chip.
    pub fn stripe_says_chip(&self) -> bool {
        self.service_code.starts_with(['2', '6'])
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Card({})", self.name)
    }
}

impl PartialEq for Card {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Card {}

/// Hides all but the first and last four characters.
pub fn mask(account: &str, fill: char) -> String {
    let hidden = 4..account.len().saturating_sub(4);
    account
        .char_indices()
        .map(|(place, digit)| if hidden.contains(&place) { fill } else { digit })
        .collect()
}

/// Finds a card by name.
pub fn find(name: &str) -> Option<&'static Card> {
    CARDS.iter().find(|card| card.name == name)
}

const ALL_WAYS: &[Way] = &[Way::Tap, Way::Insert, Way::Swipe];
const CHIP_WAYS: &[Way] = &[Way::Insert, Way::Swipe];
const STRIPE_ONLY: &[Way] = &[Way::Swipe];
const NO_CONTACTS: &[Way] = &[Way::Tap, Way::Swipe];

/// A card with chip, contactless chip and stripe that runs until the end of 2028.
const fn card(
    name: &'static str,
    brand: Brand,
    account: &'static str,
    behaviour: Behaviour,
    summary: &'static str,
) -> Card {
    Card {
        name,
        summary,
        brand,
        account,
        expiry: "2812",
        service_code: "201",
        ways: ALL_WAYS,
        behaviour,
    }
}

/// Every card.
pub static CARDS: &[Card] = &[
    card(
        "visa",
        Brand::Visa,
        "4761739001010010",
        Behaviour::Cooperates,
        "cooperates on every interface",
    ),
    card(
        "mastercard",
        Brand::Mastercard,
        "5413330089020011",
        Behaviour::Cooperates,
        "cooperates on every interface",
    ),
    card(
        "amex",
        Brand::Amex,
        "374245001751006",
        Behaviour::Cooperates,
        "cooperates; fifteen digits",
    ),
    card(
        "discover",
        Brand::Discover,
        "6011111111111117",
        Behaviour::Cooperates,
        "cooperates on every interface",
    ),
    card(
        "declined",
        Brand::Visa,
        "4000000000000002",
        Behaviour::Cooperates,
        "cooperates; for an issuer that declines this account",
    ),
    card(
        "chip-refuses",
        Brand::Visa,
        "4012888888881881",
        Behaviour::RefusesApproval,
        "the chip declines after the issuer approved (60-12 gives 0003)",
    ),
    card(
        "chip-declines",
        Brand::Visa,
        "4005519200000004",
        Behaviour::DeclinesOffline,
        "the chip declines without asking (60-11 gives 0001)",
    ),
    card(
        "chip-approves",
        Brand::Visa,
        "4009348888881881",
        Behaviour::ApprovesOffline,
        "the chip approves without asking (60-11 gives 0000): must not be taken as payment",
    ),
    Card {
        expiry: "2012",
        ..card(
            "expired",
            Brand::Visa,
            "4012000033330026",
            Behaviour::Expired,
            "expired at the end of 2020",
        )
    },
    card(
        "blocked",
        Brand::Visa,
        "4012000077777777",
        Behaviour::Blocked,
        "blocked by its issuer",
    ),
    card(
        "pulled-reading",
        Brand::Mastercard,
        "5105105105105100",
        Behaviour::PulledDuringAuthentication,
        "pulled from the slot during 60-11",
    ),
    card(
        "pulled-early",
        Brand::Visa,
        "4217651111111119",
        Behaviour::PulledDuringCompletion,
        "pulled from the slot during 60-12, after the issuer approved",
    ),
    card(
        "two-cards",
        Brand::Visa,
        "4111111111111111",
        Behaviour::TwoCards,
        "tapped together with another card",
    ),
    card(
        "use-chip",
        Brand::Mastercard,
        "5555555555554444",
        Behaviour::WantsOtherInterface,
        "tapped, it asks for the slot",
    ),
    card(
        "leaves-field",
        Brand::Mastercard,
        "2223000048400011",
        Behaviour::LeavesField,
        "taken away too early when tapped",
    ),
    Card {
        ways: CHIP_WAYS,
        ..card(
            "bad-chip",
            Brand::Visa,
            "4500600000000061",
            Behaviour::UnreadableChip,
            "unreadable chip; the stripe is allowed after three tries",
        )
    },
    Card {
        ways: CHIP_WAYS,
        ..card(
            "dead-chip",
            Brand::Visa,
            "4111110000000211",
            Behaviour::DeadChip,
            "a chip without life; that does not open the way to the stripe",
        )
    },
    card(
        "unsupported",
        Brand::Discover,
        "6011000990139424",
        Behaviour::Unsupported,
        "no application that the reader knows",
    ),
    Card {
        ways: STRIPE_ONLY,
        ..card(
            "stripe-of-chip",
            Brand::Visa,
            "4000111111111115",
            Behaviour::Cooperates,
            "a stripe whose service code says that there is a chip",
        )
    },
    Card {
        ways: STRIPE_ONLY,
        service_code: "101",
        ..card(
            "stripe",
            Brand::Visa,
            "4242424242424242",
            Behaviour::Cooperates,
            "a stripe and nothing else",
        )
    },
    Card {
        ways: NO_CONTACTS,
        service_code: "101",
        ..card(
            "msd",
            Brand::Mastercard,
            "5200828282828210",
            Behaviour::MagstripeMode,
            "contactless in magstripe mode; no chip to insert",
        )
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn luhn_holds(account: &str) -> bool {
        let sum: u32 = account
            .bytes()
            .rev()
            .zip([1, 2].into_iter().cycle())
            .map(|(digit, weight)| {
                let product = u32::from(digit - b'0') * weight;
                product / 10 + product % 10
            })
            .sum();
        sum.is_multiple_of(10)
    }

    #[test]
    fn every_card_has_its_own_name_and_a_valid_account() {
        for (place, card) in CARDS.iter().enumerate() {
            assert!(luhn_holds(card.account()), "{}", card.name);
            assert!((15..=16).contains(&card.account().len()));
            assert_eq!(find(card.name), Some(card));
            let same_account = CARDS.iter().filter(|other| other.account == card.account);
            assert_eq!(same_account.count(), 1, "{}", card.name);
            assert_eq!(CARDS.iter().position(|other| other == card), Some(place));
        }
    }

    #[test]
    fn accounts_are_masked_and_not_shown() {
        let amex = find("amex").unwrap();
        assert_eq!(amex.masked_account(), "3742*******1006");
        assert_eq!(format!("{amex:?}"), "Card(amex)");
        assert_eq!(find("no such card"), None);
    }
}
