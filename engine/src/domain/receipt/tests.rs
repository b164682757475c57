//! Tests of what the paper says about a card.

use std::sync::Arc;

use super::*;

fn card(entry: EntryMode) -> CardSummary {
    CardSummary {
        brand: "visa".to_owned(),
        masked_number: Some("4761********0010".to_owned()),
        entry,
        emv: Arc::default(),
    }
}

fn field(card: &CardSummary, copy: Copy, wanted: &str) -> Option<String> {
    let mut paper = Paper {
        copy,
        entries: Vec::new(),
    };
    paper.card(card, Slip::Approved);
    paper.entries.into_iter().find_map(|entry| match entry {
        Entry::Field { name, value, .. } if name == wanted => Some(value),
        _ => None,
    })
}

/// How the card was read is on both copies (required by acquirers), in words of its own.
#[test]
fn every_entry_mode_is_printed_on_every_copy() {
    let expected = [
        (EntryMode::Contact, "CHIP"),
        (EntryMode::Contactless, "CONTACTLESS"),
        (EntryMode::ContactlessStripe, "CONTACTLESS STRIPE"),
        (EntryMode::Swipe, "SWIPE"),
        (EntryMode::Fallback, "FALLBACK SWIPE"),
    ];
    assert_eq!(expected.map(|(mode, _)| mode), EntryMode::ALL);
    for (mode, text) in expected {
        for copy in [Copy::Merchant, Copy::Customer] {
            let printed = field(&card(mode), copy, "entry_mode");
            assert_eq!(printed.as_deref(), Some(text), "{copy:?}");
        }
    }
}

/// Without a chip nobody but the signature verifies the payer.
#[test]
fn stripes_are_signed_for() {
    for mode in EntryMode::ALL {
        let is_stripe = matches!(
            mode,
            EntryMode::Swipe | EntryMode::Fallback | EntryMode::ContactlessStripe
        );
        let printed = field(&card(mode), Copy::Merchant, "cardholder_verification");
        let expected = if is_stripe {
            "SIGNATURE"
        } else {
            "NO VERIFICATION"
        };
        assert_eq!(printed.as_deref(), Some(expected), "{mode:?}");
    }
}
