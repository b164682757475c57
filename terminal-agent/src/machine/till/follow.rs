//! Follows what runs at the till, whoever has started it: screens, status, conclusions. PURE.

use protocol::id::PosTransactionId;
use protocol::link::{Advice, AttemptEnd, Concluded, PosStatus};
use protocol::money::Money;

use super::amount::Digits;
use super::requests::Purpose;
use super::{ENDS_MAX, End, Mode, Output, Till, Tone, words};
use crate::machine::agent::{AgentStatus, RecentSale, Undone};
use crate::machine::screen::{Screen, TipOption};

/// How long a sale may be unknown to the agent before this screen says that it has lost it: above
/// the engine's patience with a terminal that does not answer an offer.
const LOST_AFTER_MS: u64 = 20_000;

/// How far a sale is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    Preparing,
    SelectTip {
        options: Vec<TipOption>,
        custom: bool,
        /// When the sale goes on without a tip; not known after a reconnect.
        until_ms: Option<u64>,
        /// The amount being typed.
        typed: Option<Digits>,
    },
    PresentCard {
        attempt: u32,
        advice: Option<Advice>,
    },
    Reader {
        progress: String,
        advice: Option<Advice>,
    },
    Authorizing,
    Finishing,
    DeclinedTryAnother(Option<Advice>),
    AttemptEnded(AttemptEnd),
    /// The agent knows it and has not said how far it is.
    WaitingForWord,
    /// There is no agent to ask.
    OutOfSight,
}

/// A sale that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) pos_id: PosTransactionId,
    /// What it is about, as far as known: without a tip until the card is asked for.
    pub(super) amount: Option<Money>,
    pub(super) stage: Stage,
    /// Since when the agent does not know it any more.
    pub(super) missing_since_ms: Option<u64>,
}

impl Running {
    pub(super) const fn new(pos_id: PosTransactionId, amount: Option<Money>) -> Self {
        Self {
            pos_id,
            amount,
            stage: Stage::Preparing,
            missing_since_ms: None,
        }
    }

    pub(super) fn lose_sight(&mut self) {
        self.stage = Stage::OutOfSight;
        self.missing_since_ms = None;
    }
}

impl Till {
    /// Takes in what the agent shows. `is_old`: it may have been shown a while ago.
    pub(super) fn screen(&mut self, now_ms: u64, screen: Screen, is_old: bool) {
        if !matches!(screen, Screen::OutOfOrder { .. }) {
            self.out_of_order = None;
        }
        match screen {
            Screen::Idle => {}
            Screen::OutOfOrder { reason } => self.out_of_order = Some(reason),
            Screen::Concluded(concluded) => self.concluded(now_ms, concluded),
            Screen::AttemptClosed { pos_id } => self.closed(pos_id),
            Screen::Preparing { pos_id, amount } => {
                self.live(pos_id, Some(amount), Stage::Preparing);
            }
            Screen::SelectTip {
                pos_id,
                amount,
                options,
                custom,
                timeout_s,
            } => {
                let timeout_ms = u64::from(timeout_s).saturating_mul(1_000);
                let stage = Stage::SelectTip {
                    options,
                    custom,
                    until_ms: (!is_old).then(|| now_ms.saturating_add(timeout_ms)),
                    typed: None,
                };
                self.live(pos_id, Some(amount), stage);
            }
            Screen::PresentCard {
                pos_id,
                amount,
                attempt,
                advice,
            } => self.live(pos_id, Some(amount), Stage::PresentCard { attempt, advice }),
            Screen::Reader {
                pos_id,
                progress,
                advice,
            } => self.live(pos_id, None, Stage::Reader { progress, advice }),
            Screen::Authorizing { pos_id } => self.live(pos_id, None, Stage::Authorizing),
            Screen::Finishing { pos_id } => self.live(pos_id, None, Stage::Finishing),
            Screen::DeclinedTryAnother { pos_id, advice } => {
                self.live(pos_id, None, Stage::DeclinedTryAnother(advice));
            }
            Screen::AttemptEnded { pos_id, end } => {
                self.live(pos_id, None, Stage::AttemptEnded(end));
            }
        }
    }

    /// A sale that runs takes the screen: an amount that was being typed for another is cleared,
    /// so that no press of Enter starts it by surprise.
    fn live(&mut self, pos_id: PosTransactionId, amount: Option<Money>, stage: Stage) {
        if self.ends.contains_key(&pos_id) {
            return;
        }
        if let Some(amount) = amount {
            self.learn_currency(amount.currency());
        }
        let known = match &self.mode {
            Mode::Running(running) if running.pos_id == pos_id => running.amount,
            _ => {
                self.entry.digits = Digits::new();
                self.notice = None;
                None
            }
        };
        self.mode = Mode::Running(Running {
            pos_id,
            amount: amount.or(known),
            stage,
            missing_since_ms: None,
        });
    }

    fn closed(&mut self, pos_id: PosTransactionId) {
        if let Mode::Running(running) = &self.mode
            && running.pos_id == pos_id
        {
            self.mode = Mode::Ended(End::Closed(pos_id, running.amount));
        }
    }

    /// The engine's last word. The only way to APPROVED.
    pub(super) fn concluded(&mut self, now_ms: u64, concluded: Concluded) {
        let pos_id = concluded.pos_id;
        self.learn_currency(concluded.amount.currency());
        self.ends.insert(pos_id, concluded.clone());
        if self.ends.len() > ENDS_MAX {
            self.ends.pop_first();
        }
        self.recent
            .retain(|(_, sale)| sale.concluded.pos_id != pos_id);
        let sale = RecentSale {
            concluded: concluded.clone(),
            undone: Undone::No,
            age_ms: 0,
        };
        self.recent.insert(0, (now_ms, sale));
        let is_shown = match &self.mode {
            Mode::Running(running) => running.pos_id == pos_id,
            Mode::Ended(end) => end.pos_id() == Some(pos_id),
            _ => false,
        };
        if is_shown {
            self.mode = Mode::Ended(End::Concluded(concluded));
        } else {
            self.tell(Tone::Attention, words::earlier(&concluded));
        }
    }

    pub(super) fn ask_recent_after_end(&mut self, out: &mut Vec<Output>) {
        if matches!(self.mode, Mode::Ended(_)) {
            self.requests.ask_recent(out);
        }
    }

    pub(super) fn status_came(&mut self, now_ms: u64, status: AgentStatus, out: &mut Vec<Output>) {
        self.is_online = status.is_online;
        if let Some(usual) = status.currencies.first() {
            self.learn_currency(*usual);
        }
        let is_first = self.status.is_none();
        let about = pos_of(&status.screen);
        let is_open = about.is_some_and(|pos_id| status.open.contains(&pos_id));
        let is_followed = self.running_id().is_some() && about == self.running_id();
        if !matches!(status.screen, Screen::OutOfOrder { .. }) {
            self.out_of_order = None;
        }
        match &status.screen {
            Screen::OutOfOrder { .. } => self.screen(now_ms, status.screen.clone(), true),
            // What was shown before this screen was there is of interest while it goes on, or
            // when this screen waits for it.
            Screen::Concluded(_) | Screen::AttemptClosed { .. } if is_followed => {
                self.screen(now_ms, status.screen.clone(), true);
            }
            Screen::Concluded(_) | Screen::AttemptClosed { .. } => {}
            _ if is_open && (is_first || self.is_out_of_sight()) => {
                self.screen(now_ms, status.screen.clone(), true);
            }
            _ => {}
        }
        self.look_for_running(now_ms, &status, out);
        self.status = Some(status);
        self.ask_recent_after_end_of(is_followed, out);
    }

    fn ask_recent_after_end_of(&mut self, was_followed: bool, out: &mut Vec<Output>) {
        if was_followed {
            self.ask_recent_after_end(out);
        }
    }

    const fn running_id(&self) -> Option<PosTransactionId> {
        match &self.mode {
            Mode::Running(running) => Some(running.pos_id),
            _ => None,
        }
    }

    fn is_out_of_sight(&self) -> bool {
        matches!(&self.mode, Mode::Running(running)
            if matches!(running.stage, Stage::OutOfSight | Stage::WaitingForWord))
    }

    /// A sale whose end was missed: said in the agent's list, or not known here at all.
    fn look_for_running(&mut self, now_ms: u64, status: &AgentStatus, out: &mut Vec<Output>) {
        let Mode::Running(running) = &mut self.mode else {
            return;
        };
        if status.open.contains(&running.pos_id) {
            running.missing_since_ms = None;
            if running.stage == Stage::OutOfSight {
                running.stage = Stage::WaitingForWord;
            }
            return;
        }
        let since_ms = *running.missing_since_ms.get_or_insert(now_ms);
        if running.stage == Stage::OutOfSight {
            running.stage = Stage::WaitingForWord;
        }
        if now_ms.saturating_sub(since_ms) >= LOST_AFTER_MS {
            self.mode = Mode::Ended(End::Lost(running.pos_id, running.amount));
        } else {
            self.requests.ask_recent(out);
        }
    }

    pub(super) fn recent_came(&mut self, now_ms: u64, sales: Vec<RecentSale>) {
        let missed = self.running_id().or(match &self.mode {
            Mode::Ended(end) => end.pos_id(),
            _ => None,
        });
        for sale in sales.iter().rev() {
            let concluded = &sale.concluded;
            let is_new =
                self.ends.get(&concluded.pos_id).map(|it| it.status) != Some(concluded.status);
            if Some(concluded.pos_id) == missed && is_new {
                self.concluded(now_ms, concluded.clone());
            }
            self.learn_currency(concluded.amount.currency());
        }
        // An agent that has restarted has forgotten what this screen still knows.
        let kept = self.recent.iter().filter(|(_, known)| {
            let is_same = |sale: &RecentSale| sale.concluded.pos_id == known.concluded.pos_id;
            !sales.iter().any(is_same)
        });
        let mut recent: Vec<_> = kept.cloned().collect();
        recent.extend(sales.into_iter().map(|sale| (now_ms, sale)));
        recent.sort_by_key(|(since_ms, sale)| {
            now_ms.saturating_sub(*since_ms).saturating_add(sale.age_ms)
        });
        recent.truncate(ENDS_MAX);
        self.recent = recent;
    }

    /// The engine has named the sale that was asked for here.
    pub(super) fn started(&mut self, pos_id: PosTransactionId, amount: Money) {
        if !matches!(self.mode, Mode::Starting) {
            return;
        }
        self.mode = match self.ends.get(&pos_id) {
            Some(concluded) => Mode::Ended(End::Concluded(concluded.clone())),
            None => Mode::Running(Running::new(pos_id, Some(amount))),
        };
    }

    /// Whether something of this kind about this sale waits for its answer.
    pub(super) fn is_asked(&self, is_meant: impl Fn(Purpose) -> bool) -> bool {
        self.requests.has(is_meant)
    }
}

/// What a screen is about.
const fn pos_of(screen: &Screen) -> Option<PosTransactionId> {
    match screen {
        Screen::Idle | Screen::OutOfOrder { .. } => None,
        Screen::Preparing { pos_id, .. }
        | Screen::SelectTip { pos_id, .. }
        | Screen::PresentCard { pos_id, .. }
        | Screen::Reader { pos_id, .. }
        | Screen::Authorizing { pos_id }
        | Screen::Finishing { pos_id }
        | Screen::DeclinedTryAnother { pos_id, .. }
        | Screen::AttemptEnded { pos_id, .. }
        | Screen::AttemptClosed { pos_id } => Some(*pos_id),
        Screen::Concluded(concluded) => Some(concluded.pos_id),
    }
}

/// Whether a sale has been paid for by the engine's word.
pub(super) fn is_paid(concluded: &Concluded) -> bool {
    concluded.status == PosStatus::Approved
}
