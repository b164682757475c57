//! What is to be seen: facts and words, for a renderer of any kind. PURE.

use protocol::link::{Advice, PaperState, PosKind, ReaderState};
use protocol::money::{Currency, Money};

use super::follow::{Running, Stage};
use super::keys::ROWS_MAX;
use super::requests::Purpose;
use super::{Absence, ActionItem, Contact, End, Mode, Till, words};
use crate::device::fault::PortState;
use crate::machine::agent::{AgentStatus, RecentSale, Undone};

/// What a text means; a renderer may colour it, the words say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Neutral,
    /// Something goes on.
    Busy,
    /// Somebody has to look.
    Attention,
    /// Paid.
    Good,
    /// Not paid, or broken.
    Bad,
    /// Not known.
    Unknown,
}

/// A row with a key of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its key, counted from 1; 0 for "no tip".
    pub key: char,
    /// What it is.
    pub text: String,
}

/// Everything that is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What the till calls itself.
    pub label: String,
    /// The state, in a few words.
    pub headline: String,
    /// What the headline means.
    pub tone: Tone,
    /// What it is about; shown large.
    pub amount: Option<Money>,
    /// What there is to know and to do.
    pub lines: Vec<String>,
    /// What is good to know, and can be left out where there is no room.
    pub details: Vec<String>,
    /// Rows to choose from.
    pub choices: Vec<Choice>,
    /// The answer to the last press, and news of earlier sales.
    pub notice: Option<(Tone, String)>,
    /// Seconds until the prompt ends by itself.
    pub seconds_left: Option<u64>,
    /// What is broken or missing, and what to do about it.
    pub alerts: Vec<String>,
    /// How engine, reader and printer are, in one line.
    pub health: String,
    /// What can be done now.
    pub actions: Vec<ActionItem>,
}

impl View {
    /// Every text of it, for whoever searches it.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = vec![
            self.label.clone(),
            self.headline.clone(),
            self.health.clone(),
        ];
        texts.extend(self.amount.map(|amount| amount.to_string()));
        texts.extend(self.lines.iter().cloned());
        texts.extend(self.details.iter().cloned());
        texts.extend(self.choices.iter().map(|choice| choice.text.clone()));
        texts.extend(self.notice.iter().map(|(_, text)| text.clone()));
        texts.extend(self.alerts.iter().cloned());
        texts.extend(self.actions.iter().map(|item| item.label.clone()));
        texts
    }
}

/// The part of a view that is about the sale.
struct Scene {
    headline: String,
    tone: Tone,
    amount: Option<Money>,
    lines: Vec<String>,
    details: Vec<String>,
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
    /// What is to be seen now.
    pub fn view(&self, now_ms: u64) -> View {
        let scene = self.scene();
        let status = self.status.as_ref();
        View {
            label: status.map_or_else(String::new, |status| words::foreign(&status.label)),
            headline: scene.headline,
            tone: scene.tone,
            amount: scene.amount,
            lines: scene.lines,
            details: scene.details,
            choices: self.choices(now_ms),
            notice: self
                .notice
                .as_ref()
                .map(|notice| (notice.tone, notice.text.clone())),
            seconds_left: self.seconds_left(now_ms),
            alerts: self.alerts(now_ms),
            health: self.health(),
            actions: self.actions(),
        }
    }

    fn scene(&self) -> Scene {
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

    fn choices(&self, now_ms: u64) -> Vec<Choice> {
        match &self.mode {
            Mode::Sales => self
                .recent
                .iter()
                .take(ROWS_MAX)
                .zip('1'..='9')
                .map(|((since_ms, sale), key)| Choice {
                    key,
                    text: row(sale, now_ms.saturating_sub(*since_ms)),
                })
                .collect(),
            Mode::Running(Running {
                stage:
                    Stage::SelectTip {
                        options,
                        typed: None,
                        ..
                    },
                ..
            }) => {
                let option = |(option, key): (&crate::machine::screen::TipOption, char)| Choice {
                    key,
                    text: format!("{}  {}", words::percent(option.basis_points), option.tip),
                };
                let mut choices: Vec<_> = options.iter().zip('1'..='9').map(option).collect();
                choices.push(Choice {
                    key: '0',
                    text: "no tip".to_owned(),
                });
                choices
            }
            _ => Vec::new(),
        }
    }

    fn seconds_left(&self, now_ms: u64) -> Option<u64> {
        match &self.mode {
            Mode::Running(Running {
                stage:
                    Stage::SelectTip {
                        until_ms: Some(until_ms),
                        ..
                    },
                ..
            }) => Some(until_ms.saturating_sub(now_ms).div_ceil(1_000)),
            _ => None,
        }
    }

    /// What is broken, what it means, what to do: the most important first.
    fn alerts(&self, now_ms: u64) -> Vec<String> {
        let mut alerts: Vec<String> = Vec::new();
        let mut say = |text: &str| alerts.push(text.to_owned());
        match self.contact {
            Contact::None(Absence::NotRunning) => {
                say(
                    "AGENT NOT RUNNING: no payment is possible. Start `terminal-agent run` or its \
                     service; this screen connects by itself.",
                );
            }
            Contact::None(Absence::Forbidden) => {
                say(
                    "NO ACCESS TO THE AGENT: this user may not open its socket. Call the \
                     technician.",
                );
            }
            Contact::Open { .. } if self.is_silent(now_ms) => {
                say("AGENT DOES NOT ANSWER: wait; if it stays so, restart it.");
            }
            Contact::Open { .. } => {}
        }
        if self.out_of_order.is_some() {
            say(
                "TILL OUT OF ORDER: its journal cannot be written. Take no payments, call the \
                 technician.",
            );
        }
        if let Some(status) = &self.status {
            if !self.is_online {
                say(
                    "ENGINE OFFLINE: no sale can start. Check network cable or Wi-Fi; it \
                     reconnects by itself.",
                );
            }
            alerts.extend(reader_alert(status.till.reader, Some(&self.ports.reader)));
            alerts.extend(printer_alert(status, self.ports.printer.as_ref()));
            alerts.extend(currency_alert(self.currency, &status.currencies));
            if status.till.paper == PaperState::NearEnd {
                alerts.push("PAPER NEARLY OUT: have a new roll ready.".to_owned());
            }
        }
        alerts
    }

    fn health(&self) -> String {
        let Some(status) = &self.status else {
            let text = match self.contact {
                Contact::None(_) => "agent: not connected",
                Contact::Open { .. } => "agent: connecting",
            };
            return text.to_owned();
        };
        let engine = if self.is_online { "online" } else { "OFFLINE" };
        let reader = match status.till.reader {
            ReaderState::Ready => "ready",
            ReaderState::Starting => "starting",
            ReaderState::Absent => "MISSING",
            ReaderState::NotEncrypting => "BLOCKED",
        };
        let printer = match printer_alert(status, None) {
            _ if !status.has_printer => "none",
            None if status.till.paper == PaperState::NearEnd => "paper low",
            None => "ready",
            Some(_) => "NOT READY",
        };
        let prints = match status.waiting_prints.len() {
            0 => String::new(),
            count => format!(", {count} waiting"),
        };
        format!("engine: {engine} | reader: {reader} | printer: {printer}{prints}")
    }
}

fn reader_alert(state: ReaderState, port: Option<&PortState>) -> Option<String> {
    let text = match (state, port) {
        (ReaderState::Ready, _) => return None,
        (ReaderState::Starting, _) => "READER STARTING: wait a few seconds.",
        (
            ReaderState::Absent,
            Some(PortState::Faulty {
                message, remedy, ..
            }),
        ) => {
            return Some(port_alert("READER NOT FOUND", message, remedy));
        }
        (ReaderState::Absent, _) => {
            "READER NOT FOUND: check its cable and power. It is found again by itself."
        }
        (ReaderState::NotEncrypting, _) => {
            "READER BLOCKED: it would not encrypt card data and is not used. Call the technician."
        }
    };
    Some(text.to_owned())
}

fn currency_alert(typed: Option<Currency>, taken: &[Currency]) -> Option<String> {
    let typed = typed.filter(|typed| !taken.is_empty() && !taken.contains(typed))?;
    let taken: Vec<_> = taken.iter().map(|currency| currency.code()).collect();
    let taken = taken.join(", ");
    Some(format!(
        "WRONG CURRENCY: this shop does not take {typed}, but {taken}. Press x."
    ))
}

fn printer_alert(status: &AgentStatus, port: Option<&PortState>) -> Option<String> {
    if !status.has_printer {
        return None;
    }
    let till = &status.till;
    let text = if let Some(PortState::Faulty {
        message, remedy, ..
    }) = port
    {
        return Some(port_alert("PRINTER NOT FOUND", message, remedy));
    } else if till.cover_open {
        "PRINTER COVER OPEN: close it. Receipts wait."
    } else if matches!(till.paper, PaperState::Out) {
        "NO PAPER: put in a new roll. Receipts wait; payments go on."
    } else if !till.printer_online {
        "PRINTER NOT READY: check its cable and power. Receipts wait; payments go on."
    } else if !till.printer_trouble.is_empty() {
        let trouble = words::foreign(&till.printer_trouble.replace('_', " "));
        return Some(format!(
            "PRINTER STOPPED ({trouble}): look at it. Receipts wait; payments go on."
        ));
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// What the agent saw at a port, and what it advises.
fn port_alert(what: &str, seen: &str, remedy: &str) -> String {
    let (seen, remedy) = (words::foreign(seen), words::foreign(remedy));
    format!("{what}: {seen}. {remedy}")
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

/// One sale in the list.
fn row(sale: &RecentSale, since_ms: u64) -> String {
    let (headline, _) = words::conclusion(&sale.concluded, sale.undone);
    let tip = match sale.concluded.tip {
        Some(tip) => format!(" (tip {})", tip.decimal()),
        None => String::new(),
    };
    let amount = sale.concluded.amount;
    let reserved = match sale.undone {
        Undone::No => words::reserved(&sale.concluded),
        Undone::Pending | Undone::Yes => "",
    };
    let ago = words::ago(sale.age_ms.saturating_add(since_ms));
    format!("{amount}  {headline}{reserved}{tip}  {ago}")
}
