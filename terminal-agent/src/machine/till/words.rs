//! The words of the till screen. The one word for "paid" is in [`conclusion`] and nowhere else. PURE.

use protocol::link::{Advice, AttemptEnd, Concluded, PosKind, PosStatus};
use protocol::money::Currency;

use super::Tone;
use crate::machine::agent::{RecentSale, Undone};

/// The longest text from outside that is shown.
const FOREIGN_MAX: usize = 200;
/// Digits in a row that are shown of such a text; an account number has at least twelve.
const FOREIGN_DIGITS_MAX: usize = 8;

/// A second start while the first is open.
pub(super) const START_STILL_OPEN: &str =
    "The sale before this one is still being asked for. Wait for its answer.";
/// A start without engine or agent.
pub(super) const CANNOT_START: &str =
    "No sale can start now: see below what is missing. Nothing was sent.";

/// Text from outside, fit for the screen: one line, no control characters, no long numbers, and
/// never the word that only a conclusion may say.
pub(super) fn foreign(text: &str) -> String {
    let mut shown = String::new();
    let mut digits: usize = 0;
    for letter in text.chars().take(FOREIGN_MAX) {
        if letter.is_ascii_digit() {
            digits = digits.saturating_add(1);
        } else if !matches!(letter, ' ' | '-') {
            digits = 0;
        }
        shown.push(match letter {
            _ if digits > FOREIGN_DIGITS_MAX && letter.is_ascii_digit() => '*',
            letter if letter.is_control() => ' ',
            letter => letter,
        });
    }
    if shown.to_lowercase().contains("approved") {
        return "(see the merchant console)".to_owned();
    }
    shown
}

/// The headline of a conclusion.
pub(super) fn conclusion(concluded: &Concluded, undone: Undone) -> (&'static str, Tone) {
    match (concluded.status, undone) {
        (PosStatus::Approved, Undone::No) => ("APPROVED", Tone::Good),
        (PosStatus::Approved, Undone::Pending) => ("BEING UNDONE", Tone::Attention),
        (PosStatus::Approved, Undone::Yes) => ("UNDONE", Tone::Bad),
        (PosStatus::Declined, _) => ("DECLINED", Tone::Bad),
        (PosStatus::Canceled, _) => ("CANCELED", Tone::Bad),
        (PosStatus::Failed, _) => ("NOT PAID", Tone::Bad),
        (PosStatus::Reversed, _) => ("UNDONE", Tone::Bad),
        (PosStatus::InDoubt | PosStatus::InProgress, _) => ("NOT KNOWN YET", Tone::Unknown),
    }
}

/// What the cashier has to know and do.
pub(super) fn conclusion_lines(sale: &RecentSale) -> Vec<String> {
    let concluded = &sale.concluded;
    let is_reserved = concluded.kind == Some(PosKind::Authorization);
    let first = match (concluded.status, sale.undone) {
        (PosStatus::Approved, Undone::No) if is_reserved => {
            "The amount is RESERVED, not charged: it has to be captured later."
        }
        (PosStatus::Approved, Undone::Yes) if is_reserved => {
            "NOT PAID: the reservation is released."
        }
        (PosStatus::Approved, Undone::No) => "The payment stands. Hand over the goods.",
        (PosStatus::Approved, Undone::Pending) => {
            "The undo is on record; it is repeated until the bank has confirmed it."
        }
        (PosStatus::Approved, Undone::Yes) => "NOT PAID: the money goes back to the card.",
        (PosStatus::Declined, _) => "NOT PAID. Ask for another card or for cash.",
        (PosStatus::Canceled | PosStatus::Failed, _) => "NOT PAID. No money has moved.",
        (PosStatus::Reversed, _) => "NOT PAID: the charge was undone. No money has moved.",
        (PosStatus::InDoubt | PosStatus::InProgress, _) => {
            "NOBODY HAS PAID as far as we know. Do not hand over goods, do not charge again."
        }
    };
    let mut lines = match advice(concluded.advice) {
        Some(advice) if concluded.status == PosStatus::Declined => {
            vec![format!("NOT PAID. {advice}")]
        }
        _ => vec![first.to_owned()],
    };
    if matches!(concluded.status, PosStatus::InDoubt | PosStatus::InProgress) {
        let text = "The engine is asking the bank and undoes the charge; the answer comes here.";
        lines.push(text.to_owned());
    }
    if concluded.status != PosStatus::Approved {
        lines.push(format!("Reason: {}", reason(&concluded.reason)));
    }
    if let Some(tip) = concluded
        .tip
        .filter(|_| !is_surely_unpaid(concluded.status))
    {
        lines.push(format!("Tip {tip} is in it."));
    }
    lines
}

/// What to do about a decline, where another card is not the answer; nothing for what this version
/// has no words for.
pub const fn advice(advice: Option<Advice>) -> Option<&'static str> {
    Some(match advice {
        Some(Advice::UseChip) => "This card has a chip: insert it, do not swipe.",
        Some(Advice::TryLater) => "The bank is out of order: try again later, or ask for cash.",
        Some(Advice::CallBank) => "The cardholder has to call the bank, or pay in another way.",
        Some(Advice::CheckReader) => {
            "The bank cannot read this card reader: no card will work. Call the technician."
        }
        Some(Advice::Other) | None => return None,
    })
}

/// A conclusion of something that is not on the screen.
pub(super) fn earlier(concluded: &Concluded) -> String {
    let (headline, _) = conclusion(concluded, Undone::No);
    let rest = if is_surely_unpaid(concluded.status) {
        " – NOT PAID"
    } else {
        reserved(concluded)
    };
    format!("Earlier sale {}: {headline}{rest}", concluded.amount)
}

/// What stands is no charge yet.
pub(super) fn reserved(concluded: &Concluded) -> &'static str {
    let is_reserved = concluded.kind == Some(PosKind::Authorization);
    if is_reserved && concluded.status == PosStatus::Approved {
        " (reserved)"
    } else {
        ""
    }
}

/// Whether it is certain that no money has moved and none will.
pub(super) const fn is_surely_unpaid(status: PosStatus) -> bool {
    matches!(
        status,
        PosStatus::Declined | PosStatus::Canceled | PosStatus::Failed | PosStatus::Reversed
    )
}

/// A reason of the engine's closed list.
fn reason(code: &str) -> String {
    let known = match code {
        "host_declined" => "the bank declined the card",
        "chip_declined" => "the card's chip refused",
        "card_removed" => "the card was taken away too early",
        "card_unusable" => "the card could not be used",
        "customer_timeout" => "nobody presented a card in time",
        "cashier_canceled" => "canceled at this till",
        "pos_canceled" => "canceled by the POS system",
        "terminal_unreachable" => "this till did not answer the engine in time",
        "terminal_busy" => "this till was busy",
        "terminal_replaced" => "this till was installed anew meanwhile",
        "terminal_restarted" => "the agent restarted in the middle",
        "terminal_fault" => "the till's journal cannot be written: call the technician",
        "reader_fault" => "the card reader is missing or does not answer",
        "offline_not_allowed" => "the reader agreed by itself, which is no payment",
        "amount_mismatch" => "the card was read for another amount",
        "acquirer_unreachable" => "the bank cannot be reached",
        "acquirer_unknown" => "the bank has not answered",
        "engine_restarted" => "the engine restarted in the middle",
        other => return foreign(&other.replace('_', " ")),
    };
    known.to_owned()
}

/// How an attempt ended before anything was sent.
pub(super) const fn attempt_end(end: AttemptEnd) -> &'static str {
    match end {
        AttemptEnd::CustomerTimeout => "Nobody presented a card in time.",
        AttemptEnd::CashierCanceled => "Stopped at this till.",
        AttemptEnd::Stopped => "Stopped by the engine.",
        AttemptEnd::CardRemoved => "The card was taken away too early.",
        AttemptEnd::CardUnusable => "The card could not be used.",
        AttemptEnd::ReaderFault => "The card reader is gone or does not answer.",
        AttemptEnd::OfflineNotAllowed => "The reader agreed by itself; that is no payment.",
        AttemptEnd::AgentRestarted => "The agent restarted.",
        AttemptEnd::LinkLost => "The connection to the engine broke.",
    }
}

/// What the reader says, from its closed list: headline and what to do.
pub(super) fn progress(name: &str) -> (String, &'static str) {
    let (headline, text) = match name {
        "present_card" => ("PRESENT CARD", "Tap, insert or swipe the card."),
        "card_detected" => ("READING CARD", "Leave the card where it is."),
        "insert_or_swipe" => (
            "INSERT OR SWIPE",
            "This card cannot be tapped: insert or swipe it.",
        ),
        "one_card_only" => ("ONE CARD ONLY", "Two cards were seen. Present one."),
        "try_again" => ("TRY AGAIN", "The card was not read. Present it again."),
        "remove_card" => ("REMOVE CARD", "Take the card out."),
        "use_chip" => ("USE CHIP", "This card has a chip: insert it."),
        "swipe" => ("SWIPE CARD", "The chip cannot be read: swipe the card."),
        "reader_message" => ("PLEASE WAIT", "Follow the reader."),
        "language_chosen" | "application_chosen" => ("PLEASE WAIT", "Leave the card in."),
        "pin_skipped" => ("PLEASE WAIT", "No PIN is needed. Leave the card in."),
        "reader_lost" => (
            "READER LOST",
            "NOT PAID YET. Check the cable; the till asks the reader how it ended.",
        ),
        other => {
            let words = foreign(&other.replace('_', " "));
            return (words.to_uppercase(), "Follow the reader.");
        }
    };
    (headline.to_owned(), text)
}

/// The verdict on a cancel.
pub(super) fn verdict(verdict: &str) -> (Tone, String) {
    let (tone, text) = match verdict {
        "canceled" => (Tone::Neutral, "Canceled. NOT PAID."),
        "too_late_approved" => (
            Tone::Attention,
            "TOO LATE TO CANCEL: the payment was first. Press v to undo it.",
        ),
        "too_late_declined" => (Tone::Neutral, "It had been declined already. NOT PAID."),
        "too_late_reversed" => (Tone::Neutral, "Too late to cancel, and undone. NOT PAID."),
        "too_late_voided" => (Tone::Neutral, "Too late to cancel; the payment was undone."),
        "already_final" => (Tone::Neutral, "It had ended already."),
        other => {
            let text = format!("The engine says: {}.", foreign(&other.replace('_', " ")));
            return (Tone::Attention, text);
        }
    };
    (tone, text.to_owned())
}

/// Why something was refused, and what to do.
pub(super) fn refusal(code: &str, message: &str) -> String {
    let known = match code {
        "ENGINE_UNREACHABLE" => "The engine cannot be reached. Nothing was sent.",
        "TERMINAL_BUSY" => "Another sale is running on this till. Wait until it has ended.",
        "NOTHING_RUNNING" => "Nothing is running that this applies to.",
        "INVALID_CURRENCY" => "This shop does not take this currency.",
        "INVALID_AMOUNT" => "This amount cannot be charged.",
        "INVALID_TIP" => "The tip prompt does not offer this.",
        "TIP_LIMIT_EXCEEDED" => "The tip is above what the shop allows.",
        "TERMINAL_OFFLINE" | "TERMINAL_UNREACHABLE" => "The engine does not see this till.",
        "READER_NOT_READY" => "The card reader is not ready. Check its cable and power.",
        "FORBIDDEN" => "This shop is not allowed to do that. Ask the merchant.",
        "ALREADY_PROCESSED" => "That was done already.",
        "JOURNAL_FAULT" => {
            "The till is out of order: its journal cannot be written. Call the technician."
        }
        "OUTCOME_UNKNOWN" => "Nobody here knows whether it was done. Look it up in the console.",
        "NOT_FOUND" => "The engine does not know it.",
        _ => return format!("{} ({})", foreign(message), foreign(code)),
    };
    format!("{known} ({code})")
}

/// What became of an undo.
pub(super) const fn undone(is_final: bool) -> &'static str {
    if is_final {
        "Undone: the money goes back to the card."
    } else {
        "The undo is on record; it is repeated until the bank has confirmed it."
    }
}

/// What was wrong with a typed amount.
pub(super) fn bad_amount(currency: Currency) -> String {
    let example = protocol::money::Money::new(1_250, currency).decimal();
    format!("That is no amount in {currency}. Type 1250 or {example} for {example}.")
}

/// Basis points as a percentage: `15%`, `12.5%`.
pub(super) fn percent(basis_points: u32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    let text = format!("{whole}.{rest:02}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}%")
}

/// How long ago, roughly.
pub(super) fn ago(age_ms: u64) -> String {
    let minutes = age_ms / 60_000;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        _ => format!("{} h ago", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_made_harmless() {
        for (text, shown) in [
            ("Lane 1", "Lane 1"),
            ("a\x1b[2Jb\nc", "a [2Jb c"),
            ("card 4761 7390 0101 0010", "card 4761 7390 **** ****"),
            ("payment Approved", "(see the merchant console)"),
        ] {
            assert_eq!(foreign(text), shown);
        }
        assert_eq!(foreign(&"x".repeat(500)).len(), FOREIGN_MAX);
    }

    #[test]
    fn percentages_have_no_needless_zeros() {
        for (points, text) in [(1_500, "15%"), (1_250, "12.5%"), (5, "0.05%"), (0, "0%")] {
            assert_eq!(percent(points), text);
        }
    }
}
