//! What the simulated host does on purpose: outcomes chosen by amount or by card.
//!
//! Owns the two tables; the documentation is made from them. Every other amount and card approves.

use protocol::money::Money;

/// What is done on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Declines with this response code.
    Decline(&'static str),
    /// Approves half of the amount, with response code 10.
    ApproveHalf,
    /// Approves and books; the answer comes after so many milliseconds.
    Slow(u64),
    /// Approves and books; the answer is lost.
    LoseAnswer,
    /// Approves and books; the answer is lost, and those to the first two reversals.
    LoseAnswers,
    /// The request is lost: nothing is booked, no answer comes.
    LoseRequest,
    /// The request reaches the host five seconds after its answer was given up, and is booked then.
    HoldRequest,
    /// Not one byte leaves for the host.
    NotSent,
    /// Approves and books; refuses a later void with response code 12.
    RefuseVoid,
}

/// An amount that chooses an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxAmount {
    /// The last five digits of the amount in minor units.
    pub minor: i64,
    /// What happens.
    pub outcome: Outcome,
    /// What it stands for.
    pub meaning: &'static str,
}

/// A card that chooses an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxCard {
    /// A published test number; none was ever issued.
    pub number: &'static str,
    /// What happens.
    pub outcome: Outcome,
    /// What it stands for.
    pub meaning: &'static str,
}

const fn amount(minor: i64, outcome: Outcome, meaning: &'static str) -> SandboxAmount {
    SandboxAmount {
        minor,
        outcome,
        meaning,
    }
}

const fn card(number: &'static str, code: &'static str, meaning: &'static str) -> SandboxCard {
    SandboxCard {
        number,
        outcome: Outcome::Decline(code),
        meaning,
    }
}

/// How many minor units apart the amounts are that choose the same outcome.
const PERIOD_MINOR: i64 = 100_000;

/// Amounts that choose: the trigger itself, or a multiple of 100,000 minor units above it (0.05,
/// 1000.05, 2000.05 …). All triggers are below 100 minor units, so that ordinary amounts approve.
///
/// 06, 07, 08 and 21 are the triggers of an existing provider's sandbox.
pub const SANDBOX_AMOUNTS: &[SandboxAmount] = &[
    amount(1, Outcome::Decline("01"), "call the issuer"),
    amount(5, Outcome::Decline("05"), "do not honour"),
    amount(6, Outcome::Decline("07"), "pick up card, special condition"),
    amount(7, Outcome::Decline("41"), "lost card"),
    amount(8, Outcome::Decline("43"), "stolen card"),
    amount(10, Outcome::ApproveHalf, "approved for half of the amount"),
    amount(12, Outcome::Decline("12"), "invalid transaction"),
    amount(13, Outcome::Decline("13"), "invalid amount"),
    amount(14, Outcome::Decline("14"), "no such card number"),
    amount(21, Outcome::Decline("51"), "insufficient funds"),
    amount(51, Outcome::Decline("51"), "insufficient funds"),
    amount(54, Outcome::Decline("54"), "expired card"),
    amount(55, Outcome::Decline("55"), "wrong PIN"),
    amount(57, Outcome::Decline("57"), "not permitted to this card"),
    amount(61, Outcome::Decline("61"), "over the amount limit"),
    amount(65, Outcome::Decline("65"), "over the count limit"),
    amount(75, Outcome::Decline("75"), "too many wrong PINs"),
    amount(80, Outcome::LoseAnswer, "approved, the answer is lost"),
    amount(81, Outcome::LoseRequest, "the request is lost"),
    amount(
        82,
        Outcome::LoseAnswers,
        "approved, the answer is lost, and those to the first two reversals",
    ),
    amount(83, Outcome::Slow(5_000), "approved after five seconds"),
    amount(
        84,
        Outcome::HoldRequest,
        "approved five seconds after the answer was given up",
    ),
    amount(85, Outcome::NotSent, "the host cannot be reached"),
    amount(86, Outcome::RefuseVoid, "approved, a void is refused"),
    amount(91, Outcome::Decline("91"), "issuer not available"),
    amount(96, Outcome::Decline("96"), "system malfunction"),
];

/// Cards that choose. Numbers from ranges that payment companies publish for testing.
pub const SANDBOX_CARDS: &[SandboxCard] = &[
    card("4000000000000002", "05", "do not honour"),
    card("4000000000009987", "41", "lost card"),
    card("4000000000009979", "43", "stolen card"),
    card("4000000000009995", "51", "insufficient funds"),
    card("4000000000000069", "54", "expired card"),
    card("4012000033330026", "54", "expired card"),
    card("4012000077777777", "62", "restricted card"),
];

/// What an amount chooses.
pub fn by_amount(amount: Money) -> Option<Outcome> {
    let trigger = amount.minor().checked_rem(PERIOD_MINOR)?;
    SANDBOX_AMOUNTS
        .iter()
        .find(|row| row.minor == trigger)
        .map(|row| row.outcome)
}

/// What a card chooses.
pub fn by_card(account_number: &str) -> Option<Outcome> {
    SANDBOX_CARDS
        .iter()
        .find(|row| row.number == account_number)
        .map(|row| row.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euros(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    #[test]
    fn ordinary_amounts_choose_nothing() {
        for minor in [
            100, 500, 550, 1_000, 1_234, 2_000, 9_999, 25_005, 99_999, 100_000,
        ] {
            assert_eq!(by_amount(euros(minor)), None, "{minor}");
        }
        assert!((100..100_000).all(|minor| by_amount(euros(minor)).is_none()));
        assert_eq!(by_amount(euros(-5)), None);
    }

    #[test]
    fn every_row_is_chosen_by_its_amount_and_by_a_thousand_more() {
        for row in SANDBOX_AMOUNTS {
            assert_eq!(by_amount(euros(row.minor)), Some(row.outcome));
            assert_eq!(by_amount(euros(row.minor + 300_000)), Some(row.outcome));
            assert!((1..100).contains(&row.minor));
        }
    }

    #[test]
    fn the_known_sandbox_triggers_mean_the_same_here() {
        for (minor, code) in [(6, "07"), (7, "41"), (8, "43"), (21, "51")] {
            assert_eq!(by_amount(euros(minor)), Some(Outcome::Decline(code)));
        }
    }

    #[test]
    fn every_card_is_listed_once_and_declines() {
        for row in SANDBOX_CARDS {
            let same = SANDBOX_CARDS
                .iter()
                .filter(|other| other.number == row.number);
            assert_eq!(same.count(), 1, "{}", row.meaning);
            assert!(matches!(by_card(row.number), Some(Outcome::Decline(_))));
        }
        assert_eq!(by_card("4761739001010010"), None);
    }
}
