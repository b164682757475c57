//! What is to be seen: facts and words, for a renderer of any kind. PURE.

use protocol::money::Money;

use super::action::ROWS_MAX;
use super::follow::{Running, Stage};
use super::{ActionItem, Mode, Till, words};
use crate::machine::agent::{RecentSale, Undone};

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
