//! The part of a view that is about the sale: what the state means, in words. PURE.

use protocol::link::{Advice, PosKind};
use protocol::money::Money;

use super::follow::{Running, Stage};
use super::requests::Purpose;
use super::{End, Mode, Till, Tone, words};
use crate::machine::agent::{RecentSale, Undone};

/// The part of a view that is about the sale.
pub(super) struct Scene {
    pub(super) headline: String,
    pub(super) tone: Tone,
    pub(super) amount: Option<Money>,
    pub(super) lines: Vec<String>,
    pub(super) details: Vec<String>,
}

impl Scene {
    fn new(headline: &str, tone: Tone, amount: Option<Money>, lines: &[&str]) -> Self {
        Self {
            headline: headline.to_owned(),
            tone,
            amount,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            details: Vec::new(),
        }
    }
}

impl Till {
    pub(super) fn scene(&self) -> Scene {
        match &self.mode {
            Mode::Currency(letters) => Scene::new(
                "WHICH CURRENCY?",
                Tone::Neutral,
                None,
                &[
                    "Type its three letters, such as USD or EUR, then Enter.",
                    &format!("> {letters}"),
                ],
            ),
            Mode::Entry => self.entry_scene(),
            Mode::Starting => self.starting_scene(),
            Mode::Running(running) => self.running_scene(running),
            Mode::Ended(end) => self.end_scene(end),
            Mode::Sales if self.recent.is_empty() => Scene::new(
                "LAST SALES",
                Tone::Neutral,
                None,
                &["None since the agent started. Older ones are in the merchant console."],
            ),
            Mode::Sales => Scene::new("LAST SALES", Tone::Neutral, None, &[]),
            Mode::Sale(pos_id) => match self.sale_of(*pos_id) {
                Some(sale) => sale_scene(sale),
                None => Scene::new(
                    "NOT HERE ANY MORE",
                    Tone::Neutral,
                    None,
                    &["The agent has restarted. Look it up in the merchant console."],
                ),
            },
            Mode::Tip(pos_id, digits) => {
                let amount = self.sale_of(*pos_id).map(|sale| sale.concluded.amount);
                let tip = amount.map(|amount| digits.money(amount.currency()));
                let now = amount.map(|amount| format!("Total now: {amount}."));
                let line = "Type the whole tip; it replaces the one before. 0 takes it off.";
                Scene::new(
                    "NEW TIP",
                    Tone::Neutral,
                    tip,
                    &[line, &now.unwrap_or_default()],
                )
            }
            Mode::ConfirmVoid(pos_id) => {
                let concluded = self.sale_of(*pos_id).map(|sale| &sale.concluded);
                let amount = concluded.map(|concluded| concluded.amount);
                let (headline, line) = match concluded.and_then(|concluded| concluded.kind) {
                    Some(PosKind::Authorization) => (
                        "UNDO THIS RESERVATION?",
                        "The whole amount is released on the card.",
                    ),
                    Some(PosKind::Sale) | None => {
                        ("UNDO THIS SALE?", "The whole amount goes back to the card.")
                    }
                };
                Scene::new(headline, Tone::Attention, amount, &[line])
            }
        }
    }

    fn entry_scene(&self) -> Scene {
        let amount = self
            .currency
            .map(|currency| self.entry.digits.money(currency));
        let (headline, kind) = match self.entry.kind {
            PosKind::Sale => ("AMOUNT", "Sale: the card is charged at once."),
            PosKind::Authorization => (
                "AMOUNT TO RESERVE",
                "Authorization: the amount is only reserved; capture it later.",
            ),
        };
        let tip = if self.entry.tip_prompt {
            "The payer will be asked for a tip."
        } else {
            "No question for a tip."
        };
        let typed = if self.entry.digits.is_empty() {
            "Type the amount, then Enter."
        } else {
            "Enter starts."
        };
        // What the merchant wants to be read here while nothing runs.
        let status = self.status.as_ref();
        let idle_text = status.and_then(|status| status.idle_text.as_deref());
        let mut details = vec![kind.to_owned(), tip.to_owned()];
        details.extend(idle_text.map(words::foreign));
        Scene {
            details,
            ..Scene::new(headline, Tone::Neutral, amount, &[typed])
        }
    }

    fn starting_scene(&self) -> Scene {
        let Some(start) = &self.start else {
            return Scene::new("STARTING", Tone::Busy, None, &[]);
        };
        let mut lines = vec!["Nobody has paid. The engine is asked to start the sale."];
        if !self.is_connected() {
            lines = vec![
                "The agent is gone, and had not answered. It is asked again when it is back.",
                "Do not start the sale a second time.",
            ];
        }
        if start.is_cancel_wanted {
            lines.push("It is canceled as soon as it has started.");
        }
        let kind = match start.kind {
            PosKind::Sale => "STARTING",
            PosKind::Authorization => "STARTING (RESERVE)",
        };
        Scene::new(kind, Tone::Busy, Some(start.amount), &lines)
    }

    fn running_scene(&self, running: &Running) -> Scene {
        let amount = running.amount;
        let scene = |headline, tone, lines: &[&str]| Scene::new(headline, tone, amount, lines);
        let mut scene = match &running.stage {
            Stage::Preparing => scene("PREPARING", Tone::Busy, &["Nobody has paid yet."]),
            Stage::SelectTip {
                typed: Some(typed), ..
            } => Scene::new(
                "TYPE THE TIP",
                Tone::Attention,
                amount.map(|amount| typed.money(amount.currency())),
                &[],
            ),
            Stage::SelectTip { .. } => scene(
                "CHOOSE A TIP",
                Tone::Attention,
                &["The payer chooses. Without a choice: no tip."],
            ),
            Stage::PresentCard {
                advice: Some(advice),
                ..
            }
            | Stage::Reader {
                advice: Some(advice),
                ..
            } => advised_scene(amount, *advice),
            Stage::PresentCard { attempt: 0 | 1, .. } => scene(
                "PRESENT CARD",
                Tone::Attention,
                &["Tap, insert or swipe the card."],
            ),
            Stage::PresentCard { attempt, .. } => {
                let line = format!("Tap, insert or swipe a card. This is try {attempt}.");
                scene("PRESENT CARD", Tone::Attention, &[&line])
            }
            Stage::Reader { progress, .. } => {
                let (headline, line) = words::progress(progress);
                scene(&headline, Tone::Attention, &[line])
            }
            Stage::Authorizing => scene(
                "ASKING THE BANK",
                Tone::Busy,
                &["Nobody has paid yet. Leave an inserted card where it is."],
            ),
            Stage::Finishing => scene(
                "FINISHING",
                Tone::Busy,
                &["Nobody has paid yet: wait for the last word."],
            ),
            Stage::DeclinedTryAnother(advice) => {
                let line =
                    words::advice(*advice).unwrap_or("Another card may be tried in a moment.");
                scene("DECLINED", Tone::Bad, &[&format!("NOT PAID. {line}")])
            }
            Stage::AttemptEnded(end) => {
                let line = words::attempt_end(*end);
                scene(
                    "NOT PAID YET",
                    Tone::Attention,
                    &[line, "Wait for the next step."],
                )
            }
            Stage::WaitingForWord => scene(
                "NOT KNOWN YET",
                Tone::Unknown,
                &["Waiting for the engine's word. Do not hand over goods, do not charge again."],
            ),
            Stage::OutOfSight => scene(
                "NOT KNOWN",
                Tone::Unknown,
                &[
                    "The agent is gone, and the sale may go on without this screen.",
                    "Do not hand over goods, do not charge again: wait for its end.",
                ],
            ),
        };
        if self.is_asked(|purpose| purpose == Purpose::Cancel(running.pos_id)) {
            let text = "Cancel asked for; the engine says who was first.";
            scene.lines.push(text.to_owned());
        }
        scene
    }

    fn end_scene(&self, end: &End) -> Scene {
        match end {
            End::Concluded(concluded) => match self.sale_of(concluded.pos_id) {
                Some(sale) => sale_scene(sale),
                None => sale_scene(&RecentSale {
                    concluded: concluded.clone(),
                    undone: Undone::No,
                    age_ms: 0,
                }),
            },
            End::Closed(_, amount) => Scene::new(
                "NOT PAID",
                Tone::Bad,
                *amount,
                &["The engine has closed this sale. No money has moved."],
            ),
            End::NotStarted { amount, why } => {
                Scene::new("NOT STARTED", Tone::Bad, Some(*amount), &[why, "NOT PAID."])
            }
            End::StartUnknown(amount) => Scene::new(
                "NOT KNOWN",
                Tone::Unknown,
                Some(*amount),
                &[
                    "Nobody has said whether this sale began.",
                    "Look at the last sales and the merchant console before you charge again.",
                ],
            ),
            End::Lost(pos_id, amount) => Scene::new(
                "NOT KNOWN HERE",
                Tone::Unknown,
                *amount,
                &[
                    "This screen has not heard how the sale ended. The engine knows:",
                    &format!("look up {pos_id} in the merchant console."),
                ],
            ),
        }
    }
}

/// A card is asked for once more, after a decline that says what to do with it.
fn advised_scene(amount: Option<Money>, advice: Advice) -> Scene {
    let headline = match advice {
        Advice::UseChip => "USE CHIP",
        Advice::TryLater | Advice::CallBank | Advice::CheckReader | Advice::Other => "PRESENT CARD",
    };
    let todo = words::advice(Some(advice));
    let todo = todo.unwrap_or("Tap, insert or swipe a card.");
    Scene::new(headline, Tone::Attention, amount, &[todo])
}

fn sale_scene(sale: &RecentSale) -> Scene {
    let (headline, tone) = words::conclusion(&sale.concluded, sale.undone);
    Scene {
        headline: headline.to_owned(),
        tone,
        amount: Some(sale.concluded.amount),
        lines: words::conclusion_lines(sale),
        details: vec![format!("POS transaction {}", sale.concluded.pos_id)],
    }
}
