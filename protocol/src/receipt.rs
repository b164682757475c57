//! The receipt as data, and its layout in lines of fixed width.
//!
//! One document feeds paper, text and JSON: a [`Receipt`] is a list of entries in reading order,
//! made by the engine from a transaction; [`Receipt::lay_out`] turns it into [`Line`]s for a paper
//! of a given number of columns. Both are pure: the same transaction, revision and copy give the
//! same bytes. This module knows no payment rules.

use serde::{Deserialize, Serialize};

/// Who keeps the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Copy {
    /// Kept by the shop; carries the signature line.
    Merchant,
    /// Handed to the payer.
    Customer,
}

/// One thing on the receipt, in reading order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Entry {
    /// A large centred line: merchant name, APPROVED, DUPLICATE.
    Heading {
        /// The words.
        text: String,
    },
    /// A line of running text, wrapped at words.
    Text {
        /// The words.
        text: String,
        /// Where the line stands.
        align: Align,
    },
    /// A named value: label to the left, value to the right.
    Field {
        /// Stable machine name, as in the JSON view (`authorization_code`).
        name: String,
        /// What the paper says.
        label: String,
        /// The value as printed.
        value: String,
        /// Printed bold: totals.
        emphasis: bool,
    },
    /// A line across the paper.
    Rule,
    /// An empty line.
    Blank,
    /// A place to sign.
    Signature,
    /// A QR symbol.
    Qr {
        /// What it encodes.
        content: String,
    },
    /// A CODE128 barcode.
    Barcode {
        /// What it encodes: printable ASCII.
        content: String,
    },
}

/// Position of a line on the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// At the left margin.
    Left,
    /// In the middle.
    Centre,
    /// At the right margin.
    Right,
}

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who keeps it.
    pub copy: Copy,
    /// Whether it says DUPLICATE: every print after the first of this copy.
    pub is_duplicate: bool,
    /// Everything on it, from top to bottom.
    pub entries: Vec<Entry>,
}

/// One line on paper of a given width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Characters; never longer than the columns (half of them when `is_double`).
    Text {
        /// The characters, without padding to the right.
        text: String,
        /// Position; text aligned left may carry leading spaces.
        align: Align,
        /// Bold.
        is_bold: bool,
        /// Double width and double height.
        is_double: bool,
    },
    /// A QR symbol.
    Qr(String),
    /// A CODE128 barcode.
    Barcode(String),
}

/// Fewest and most columns that paper has here.
pub const COLUMNS_MIN: usize = 24;
/// The widest paper in use is 80 mm in font B: 64 columns.
pub const COLUMNS_MAX: usize = 64;

impl Receipt {
    /// Lays the receipt out in lines of `columns` characters, clamped to 24…64.
    pub fn lay_out(&self, columns: usize) -> Vec<Line> {
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        self.entries
            .iter()
            .flat_map(|entry| lay_out_entry(entry, columns))
            .collect()
    }

    /// The receipt as text of `columns` characters a line, as the API and the demo show it.
    pub fn text(&self, columns: usize) -> String {
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        let mut text = String::new();
        for line in self.lay_out(columns) {
            text.push_str(&plain(&line, columns));
            text.push('\n');
        }
        text
    }

    /// The value of the named field, if the receipt has it.
    pub fn field(&self, wanted: &str) -> Option<&str> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Field { name, value, .. } if name == wanted => Some(value.as_str()),
            _ => None,
        })
    }
}

fn plain(line: &Line, columns: usize) -> String {
    match line {
        Line::Text { text, align, .. } => {
            let free = columns.saturating_sub(width(text));
            let indent = match align {
                Align::Left => 0,
                Align::Centre => free / 2,
                Align::Right => free,
            };
            format!("{}{text}", " ".repeat(indent))
        }
        Line::Qr(content) => format!("[QR] {}", printable(content)),
        Line::Barcode(content) => format!("[BARCODE] {}", printable(content)),
    }
}

fn lay_out_entry(entry: &Entry, columns: usize) -> Vec<Line> {
    match entry {
        Entry::Heading { text } => wrap(text, columns / 2)
            .into_iter()
            .map(|text| Line::Text {
                text,
                align: Align::Centre,
                is_bold: true,
                is_double: true,
            })
            .collect(),
        Entry::Text { text, align } => wrap(text, columns)
            .into_iter()
            .map(|text| Line::Text {
                text,
                align: *align,
                is_bold: false,
                is_double: false,
            })
            .collect(),
        Entry::Field {
            label,
            value,
            emphasis,
            ..
        } => field(label, value, *emphasis, columns),
        Entry::Rule => vec![left("-".repeat(columns), false)],
        Entry::Blank => vec![left(String::new(), false)],
        Entry::Signature => vec![
            left(String::new(), false),
            left(String::new(), false),
            left(format!("X{}", "_".repeat(columns.saturating_sub(1))), false),
        ],
        Entry::Qr { content } => vec![Line::Qr(content.clone())],
        Entry::Barcode { content } => vec![Line::Barcode(content.clone())],
    }
}

fn field(label: &str, value: &str, is_bold: bool, columns: usize) -> Vec<Line> {
    let free = columns.saturating_sub(width(label).saturating_add(width(value)));
    if free > 0 {
        let (label, value) = (printable(label), printable(value));
        return vec![left(format!("{label}{}{value}", " ".repeat(free)), is_bold)];
    }
    let mut lines = Vec::new();
    lines.extend(
        wrap(label, columns)
            .into_iter()
            .map(|text| left(text, is_bold)),
    );
    lines.extend(wrap(value, columns).into_iter().map(|text| Line::Text {
        text,
        align: Align::Right,
        is_bold,
        is_double: false,
    }));
    lines
}

fn left(text: String, is_bold: bool) -> Line {
    Line::Text {
        text,
        align: Align::Left,
        is_bold,
        is_double: false,
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Control characters become spaces: a name in a receipt must neither reach the printer as a
/// command nor break the line of a text.
fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// Breaks at spaces; a word longer than a line is broken where the line ends.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let clean = printable(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in clean.split(' ').filter(|word| !word.is_empty()) {
        let mut rest: Vec<char> = word.chars().collect();
        if !line.is_empty() && width(&line).saturating_add(1).saturating_add(rest.len()) <= columns
        {
            line.push(' ');
            line.extend(rest);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while rest.len() > columns {
            lines.push(rest.drain(..columns).collect());
        }
        line.extend(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry_field(label: &str, value: &str) -> Entry {
        Entry::Field {
            name: "x".into(),
            label: label.into(),
            value: value.into(),
            emphasis: false,
        }
    }

    fn receipt(entries: Vec<Entry>) -> Receipt {
        Receipt {
            copy: Copy::Customer,
            is_duplicate: false,
            entries,
        }
    }

    #[test]
    fn fields_fill_the_line_or_break() {
        let receipt = receipt(vec![
            entry_field("TOTAL", "USD 12.34"),
            entry_field("Cryptogram", "TC 0011223344556677 0011"),
        ]);
        assert_eq!(
            receipt.text(24),
            "TOTAL          USD 12.34\nCryptogram\nTC 0011223344556677 0011\n"
        );
    }

    #[test]
    fn control_characters_never_reach_the_paper() {
        let text = receipt(vec![Entry::Text {
            text: "a\u{1b}@b\u{10}\u{4}c".into(),
            align: Align::Left,
        }])
        .text(32);
        assert_eq!(text, "a @b c\n");
        // Fuzzing found the one-line form of a field and the codes, which let them through.
        let content = "a\nb".to_owned();
        let text = receipt(vec![
            entry_field("a\u{1b}@", "b\nTOTAL"),
            Entry::Qr {
                content: content.clone(),
            },
            Entry::Barcode { content },
        ])
        .text(24);
        assert_eq!(text, "a @              b TOTAL\n[QR] a b\n[BARCODE] a b\n");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_paper(label in ".{0,80}", value in ".{0,80}", columns in 0usize..100) {
            let receipt = receipt(vec![
                Entry::Heading { text: label.clone() },
                entry_field(&label, &value),
                Entry::Text { text: value.clone(), align: Align::Centre },
                Entry::Rule,
                Entry::Signature,
            ]);
            let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
            for line in receipt.lay_out(columns) {
                if let Line::Text { text, is_double, .. } = line {
                    let limit = if is_double { columns / 2 } else { columns };
                    prop_assert!(width(&text) <= limit);
                }
            }
        }
    }
}
