//! How settings reach many tills: to one first, then to a tenth, then to all, and no further when
//! one of them cannot take them. Decides who is next and when; knows nothing of links.

use std::collections::BTreeSet;

use protocol::id::TerminalId;

use super::time::Timestamp;

/// How long the tills of a wave may take to confirm, lost ones included. Longer than a sale.
pub const CONFIRM_MS: u64 = 5 * 60 * 1_000;
/// How long the tills of a wave go on as told before the next wave.
pub const SETTLE_MS: u64 = 60 * 1_000;
/// The second wave, as a part of the tills that are linked.
const TENTH: usize = 10;

/// Where a roll-out is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A wave is under way.
    Running,
    /// All tills are to have the settings.
    Done,
    /// No further till gets them.
    Stopped {
        /// The till that it failed at.
        terminal_id: TerminalId,
        /// Why, for people.
        reason: String,
    },
}

/// A roll-out in waves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Counts from 1.
    pub wave: u8,
    /// The tills that it has come to.
    pub members: BTreeSet<TerminalId>,
    /// Those that have confirmed.
    pub confirmed: BTreeSet<TerminalId>,
    /// When the wave began, or a till of it last came or went.
    pub changed_at: Timestamp,
    /// Where it is.
    pub progress: Progress,
}

impl Rollout {
    /// Begins with one of the tills that are linked. With none there is nobody to try it on: all
    /// are to have it.
    pub fn begin(now: Timestamp, linked: impl IntoIterator<Item = TerminalId>) -> Self {
        let members: BTreeSet<TerminalId> = linked.into_iter().take(1).collect();
        let progress = if members.is_empty() {
            Progress::Done
        } else {
            Progress::Running
        };
        Self {
            wave: 1,
            members,
            confirmed: BTreeSet::new(),
            changed_at: now,
            progress,
        }
    }

    /// Whether a till is to have the settings.
    pub fn includes(&self, terminal_id: TerminalId) -> bool {
        self.progress == Progress::Done || self.members.contains(&terminal_id)
    }

    /// Whether every till is to have them.
    pub fn includes_all(&self) -> bool {
        self.progress == Progress::Done
    }

    /// Whether it is under way.
    pub fn is_running(&self) -> bool {
        self.progress == Progress::Running
    }

    /// A till has them; whether that is news.
    pub fn confirm(&mut self, now: Timestamp, terminal_id: TerminalId) -> bool {
        let is_news = self.is_running()
            && self.members.contains(&terminal_id)
            && self.confirmed.insert(terminal_id);
        if is_news {
            self.changed_at = now;
        }
        is_news
    }

    /// A till has lost its link; whether that matters. It has to confirm anew, in time.
    pub fn lose(&mut self, now: Timestamp, terminal_id: TerminalId) -> bool {
        let is_news = self.is_running() && self.confirmed.remove(&terminal_id);
        if is_news {
            self.changed_at = now;
        }
        is_news
    }

    /// A till cannot take them; whether that matters.
    pub fn refuse(&mut self, terminal_id: TerminalId, reason: String) -> bool {
        let is_news = self.is_running() && self.members.contains(&terminal_id);
        if is_news {
            self.progress = Progress::Stopped {
                terminal_id,
                reason,
            };
        }
        is_news
    }

    /// When it goes on or stops by itself.
    pub fn deadline(&self) -> Option<Timestamp> {
        let wait_ms = if self.unconfirmed().is_none() {
            SETTLE_MS
        } else {
            CONFIRM_MS
        };
        self.is_running().then(|| self.changed_at.plus_ms(wait_ms))
    }

    fn unconfirmed(&self) -> Option<TerminalId> {
        self.members.difference(&self.confirmed).next().copied()
    }

    /// The deadline has come: the next wave, or the end. Whether anything has changed.
    pub fn go_on(&mut self, now: Timestamp, linked: &BTreeSet<TerminalId>) -> bool {
        if self.deadline().is_none_or(|at| now < at) {
            return false;
        }
        if let Some(terminal_id) = self.unconfirmed() {
            let reason = "it has not confirmed in time".to_owned();
            self.progress = Progress::Stopped {
                terminal_id,
                reason,
            };
            return true;
        }
        self.wave = self.wave.saturating_add(1);
        self.changed_at = now;
        let wanted = linked.len().div_ceil(TENTH);
        let fresh: Vec<TerminalId> = linked.difference(&self.members).copied().collect();
        let missing = wanted.saturating_sub(self.members.len());
        if self.wave > 2 || missing == 0 {
            self.progress = Progress::Done;
        } else {
            self.members.extend(fresh.into_iter().take(missing));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    fn till(number: u128) -> TerminalId {
        TerminalId::from_uuid(Uuid::from_u128(number))
    }

    fn linked(count: u128) -> BTreeSet<TerminalId> {
        (1..=count).map(till).collect()
    }

    fn at(ms: u64) -> Timestamp {
        T0.plus_ms(ms)
    }

    #[test]
    fn one_then_a_tenth_then_all() {
        let all = linked(40);
        let mut rollout = Rollout::begin(T0, all.iter().copied());
        assert_eq!(rollout.members, linked(1));
        assert!(!rollout.includes(till(2)));
        assert!(!rollout.confirm(at(1), till(2)), "not its turn");
        assert!(rollout.confirm(at(1), till(1)));
        assert!(!rollout.confirm(at(2), till(1)), "said before");
        assert!(!rollout.go_on(at(SETTLE_MS), &all), "not yet");
        assert!(rollout.go_on(at(1 + SETTLE_MS), &all));
        assert_eq!((rollout.wave, &rollout.members), (2, &linked(4)));
        let second = rollout.changed_at;
        for number in 2..=4 {
            assert!(rollout.confirm(second.plus_ms(5), till(number)));
        }
        assert!(rollout.go_on(second.plus_ms(5 + SETTLE_MS), &all));
        assert_eq!(rollout.progress, Progress::Done);
        assert!(rollout.includes(till(40)));
        assert_eq!(rollout.deadline(), None);
    }

    #[test]
    fn few_tills_need_no_second_wave_and_none_no_first() {
        let mut rollout = Rollout::begin(T0, linked(10));
        rollout.confirm(T0, till(1));
        assert!(rollout.go_on(at(SETTLE_MS), &linked(10)));
        assert_eq!(rollout.progress, Progress::Done);
        assert_eq!(Rollout::begin(T0, []).progress, Progress::Done);
    }

    #[test]
    fn it_stops_where_a_till_refuses_or_stays_away() {
        let mut refused = Rollout::begin(T0, linked(5));
        assert!(!refused.refuse(till(2), "not asked".to_owned()));
        assert!(refused.refuse(till(1), "unknown setting".to_owned()));
        assert!(!refused.go_on(at(CONFIRM_MS * 9), &linked(5)));
        assert!(refused.includes(till(1)) && !refused.includes(till(2)));

        let mut lost = Rollout::begin(T0, linked(5));
        assert!(lost.confirm(at(10), till(1)));
        assert!(lost.lose(at(20), till(1)));
        assert_eq!(lost.deadline(), Some(at(20 + CONFIRM_MS)));
        let mut back = lost.clone();
        assert!(lost.go_on(at(20 + CONFIRM_MS), &linked(5)));
        let Progress::Stopped { terminal_id, .. } = lost.progress else {
            panic!("{lost:?}")
        };
        assert_eq!(terminal_id, till(1));
        assert!(back.confirm(at(30), till(1)));
        assert!(back.go_on(at(30 + SETTLE_MS), &linked(5)));
        assert_eq!(back.progress, Progress::Done);
    }
}
