//! Which installations have used a terminal's identity, and whether two of them take turns: a
//! copied disk. Knows nothing of links and how they are refused.

use protocol::id::JournalId;

use super::merchant::DeviceKey;
use super::time::Timestamp;

/// How long two installations that take turns are remembered. A technician who swaps a till back
/// and forth within ten minutes is rarer than a cloned disk.
pub const TURNS_MS: u64 = 10 * 60 * 1_000;

/// The installations of one terminal, each known by its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Installations {
    /// The one that had a link last; none before the first.
    pub latest: Option<JournalId>,
    /// The one before that, and when it was replaced.
    pub former: Option<(JournalId, Timestamp)>,
    /// Two have taken turns: neither is heard until a technician pairs the terminal anew.
    pub is_duplicate: bool,
    /// The key whose till gave the identity back, or had it taken, and when; of the last such till.
    pub released: Option<(DeviceKey, Timestamp)>,
}

/// How an installation that connects stands to the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connecting {
    /// The same as last time, or the first ever.
    Known,
    /// Another one: what the last one knew is lost.
    Other,
    /// One of two that take turns.
    Duplicate,
}

impl Installations {
    /// An installation connects.
    pub fn connect(&mut self, now: Timestamp, journal_id: JournalId) -> Connecting {
        let is_turn = |(former, at): (JournalId, Timestamp)| {
            former == journal_id && now.since_ms(at) < TURNS_MS
        };
        match self.latest.filter(|latest| *latest != journal_id) {
            _ if self.is_duplicate => Connecting::Duplicate,
            None => {
                self.latest = Some(journal_id);
                Connecting::Known
            }
            // It gets no link, so the other one stays the latest: what that one may have printed is
            // not known to this one, also after the terminal was paired anew.
            Some(_) if self.former.is_some_and(is_turn) => {
                self.is_duplicate = true;
                Connecting::Duplicate
            }
            Some(replaced) => {
                self.latest = Some(journal_id);
                self.former = Some((replaced, now));
                Connecting::Other
            }
        }
    }

    /// A technician has paired the terminal anew. The latest journal stays known: whoever comes
    /// with another one cannot know what was printed.
    pub const fn renew(&mut self) {
        self.former = None;
        self.is_duplicate = false;
    }

    /// The till with this key is this terminal no more. The latest journal stays known, as in
    /// [`Self::renew`].
    pub const fn release(&mut self, key: DeviceKey, now: Timestamp) {
        self.renew();
        self.released = Some((key, now));
    }
}

#[cfg(test)]
mod tests {
    use super::Connecting::{Duplicate, Known, Other};
    use super::*;
    use uuid::Uuid;

    const T0: Timestamp = Timestamp(1_800_000_000_000);

    fn journal(number: u128) -> JournalId {
        JournalId::from_uuid(Uuid::from_u128(number))
    }

    /// A till is swapped once; a clone takes turns.
    #[test]
    fn two_that_take_turns_are_duplicates_until_the_terminal_is_paired_anew() {
        let mut installations = Installations::default();
        let steps = [
            (0, 1, Known),
            (1_000, 1, Known),
            (2_000, 2, Other),
            (3_000, 1, Duplicate),
            (4_000, 2, Duplicate),
            (86_400_000, 1, Duplicate),
        ];
        for (at_ms, number, expected) in steps {
            let found = installations.connect(T0.plus_ms(at_ms), journal(number));
            assert_eq!(found, expected, "{at_ms}");
        }
        let now = T0.plus_ms(86_500_000);
        for (number, expected) in [(2, Known), (1, Other)] {
            let mut renewed = installations;
            renewed.renew();
            let found = renewed.connect(now, journal(number));
            assert_eq!(found, expected, "journal 2 had the last link");
        }
    }

    #[test]
    fn a_till_that_is_swapped_back_much_later_is_not_a_clone() {
        let mut installations = Installations::default();
        let steps = [(0, 1), (1_000, 2), (1_000 + TURNS_MS, 1)];
        for (at_ms, number) in steps {
            let found = installations.connect(T0.plus_ms(at_ms), journal(number));
            assert_ne!(found, Duplicate, "{at_ms}");
        }
    }
}
