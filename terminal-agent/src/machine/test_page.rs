//! The page that `print-test` prints: a receipt like any other, so that the way of a receipt is what
//! is tried. Pure.

use protocol::receipt::{Align, Copy, Entry, Receipt};

/// The page.
pub fn test_page(agent_version: &str, label: &str) -> Receipt {
    let text = |text: &str, align| Entry::Text {
        text: text.to_owned(),
        align,
    };
    let field = |label: &str, value: &str, emphasis| Entry::Field {
        name: "test".to_owned(),
        label: label.to_owned(),
        value: value.to_owned(),
        emphasis,
    };
    let label = if label.is_empty() { "no name" } else { label };
    let entries = vec![
        Entry::Heading {
            text: "TEST".to_owned(),
        },
        text("This is no receipt.", Align::Centre),
        Entry::Rule,
        text("The line above fills the paper.", Align::Left),
        text("1234567890123456789012345678901234567890", Align::Left),
        Entry::Blank,
        text("left", Align::Left),
        text("centre", Align::Centre),
        text("right", Align::Right),
        field("Plain", "1.00", false),
        field("Bold", "2.00", true),
        text(
            "\u{20ac} \u{a3} \u{e4}\u{f6}\u{fc}\u{df} \u{e9}\u{e8}\u{ea} \u{f1} \u{e7} \u{e5}\u{f8}",
            Align::Left,
        ),
        Entry::Rule,
        text("QR and barcode say TILLWAY-TEST:", Align::Left),
        Entry::Qr {
            content: "TILLWAY-TEST".to_owned(),
        },
        Entry::Barcode {
            content: "TILLWAY-TEST".to_owned(),
        },
        Entry::Blank,
        text(&format!("Till: {label}"), Align::Left),
        text(&format!("Agent: {agent_version}"), Align::Left),
    ];
    Receipt {
        copy: Copy::Merchant,
        is_duplicate: false,
        entries,
    }
}
