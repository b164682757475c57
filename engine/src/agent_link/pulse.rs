//! The heartbeat of one link: when a ping is due, and when the link is lost. Pure.
//!
//! It belongs to the task of the socket, which answers and sends pings by itself: the terminal's
//! actor learns of a link that it comes and that it goes, and nothing of the beats between. An idle
//! link costs a timer and a message every [`HEARTBEAT_MS`], and no hand-over between threads.

use protocol::link::{HEARTBEAT_MS, SILENCE_MS_MAX};

use crate::domain::time::Timestamp;

/// How far apart the instants are at which heartbeats leave. With 10,000 links 77 share one: a
/// millisecond of work.
const SHARED_INSTANT_MS: i64 = 100;
/// The first heartbeat of a link comes no sooner: it has said hello a moment ago. It comes no later
/// than 15 s after it (design), a whole period wide.
const QUIET_MS: u64 = 2_000;

/// What is due on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A ping is to be sent.
    Ping,
    /// Nothing was heard for [`SILENCE_MS_MAX`]: the link is to be closed.
    Lost,
}

/// The heartbeat of a link from its hello on.
#[derive(Debug)]
pub struct Pulse {
    is_welcomed: bool,
    heard_at: Timestamp,
    ping_at: Timestamp,
}

impl Pulse {
    /// Of a link whose hello was heard at `now`.
    pub fn begin(socket: u64, now: Timestamp) -> Self {
        Self {
            is_welcomed: false,
            heard_at: now,
            ping_at: ping_at(now, first_ping_after_ms(socket)),
        }
    }

    /// The welcome goes out. Before it nothing else does, and nothing that comes counts.
    pub const fn welcome(&mut self) {
        self.is_welcomed = true;
    }

    /// Something has arrived; whether it counts.
    pub const fn hear(&mut self, now: Timestamp) -> bool {
        if self.is_welcomed {
            self.heard_at = now;
        }
        self.is_welcomed
    }

    /// When the link is lost unless something arrives.
    pub fn lost_at(&self) -> Timestamp {
        self.heard_at.plus_ms(SILENCE_MS_MAX)
    }

    /// When something may be due. What arrives meanwhile makes it no earlier, so that a timer once
    /// set may stay.
    pub fn poll_deadline(&self) -> Timestamp {
        self.ping_at.min(self.lost_at())
    }

    /// What is due.
    pub fn beat(&mut self, now: Timestamp) -> Option<Beat> {
        if now >= self.lost_at() {
            return Some(Beat::Lost);
        }
        if now < self.ping_at {
            return None;
        }
        self.ping_at = ping_at(now, HEARTBEAT_MS);
        self.is_welcomed.then_some(Beat::Ping)
    }
}

/// When a new link's first heartbeat is due: links that came up together are spread evenly, so that
/// they do not come in waves for ever after.
const fn first_ping_after_ms(socket: u64) -> u64 {
    // Neighbours in a sequence of multiples of the golden ratio are far apart.
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    QUIET_MS + (socket.wrapping_mul(GOLDEN_RATIO) >> 32) % HEARTBEAT_MS
}

/// The heartbeat that is due after so long, or a moment before: those of many links share an
/// instant, so that their threads wake up once for all of them.
fn ping_at(now: Timestamp, after_ms: u64) -> Timestamp {
    let at = now.plus_ms(after_ms);
    let shared = Timestamp(at.0 - at.0.rem_euclid(SHARED_INSTANT_MS));
    shared.max(now.plus_ms(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_800_000_000_000);

    /// Lives until the link is lost; the agent answers each of the first pings. When it is lost, and
    /// how many pings went out.
    fn live(socket: u64, is_welcomed: bool, answers: usize) -> (Timestamp, usize) {
        let mut pulse = Pulse::begin(socket, T0);
        if is_welcomed {
            pulse.welcome();
        }
        let (mut now, mut pings) = (T0, 0);
        loop {
            let due = pulse.poll_deadline();
            assert!(due > now, "time goes on");
            assert!(
                due.since_ms(now) <= 15_000,
                "a heartbeat at least every 15 s"
            );
            now = due;
            match pulse.beat(now) {
                Some(Beat::Lost) => return (now, pings),
                Some(Beat::Ping) => {
                    if pings < answers {
                        assert!(pulse.hear(now.plus_ms(1)));
                    }
                    pings += 1;
                }
                None => {}
            }
        }
    }

    /// Online is never older than 30 s.
    #[test]
    fn silence_ends_a_link_within_two_heartbeats() {
        for socket in 1..100 {
            let (lost_at, pings) = live(socket, true, 0);
            assert_eq!(lost_at, T0.plus_ms(SILENCE_MS_MAX));
            assert!((2..=3).contains(&pings), "two misses at least");
        }
    }

    #[test]
    fn a_link_lives_for_as_long_as_it_is_answered() {
        for socket in 1..100 {
            let (lost_at, pings) = live(socket, true, 100);
            assert!((102..=103).contains(&pings), "{pings}");
            assert!(lost_at.since_ms(T0) > 100 * (HEARTBEAT_MS - 101));
        }
    }

    /// Not even the heartbeat goes out before the welcome, and what an agent says before it does not
    /// keep the link.
    #[test]
    fn a_link_that_is_not_welcomed_is_silent_and_ends() {
        let (lost_at, pings) = live(1, false, 0);
        assert_eq!((lost_at, pings), (T0.plus_ms(SILENCE_MS_MAX), 0));
        let mut pulse = Pulse::begin(1, T0);
        let late = T0.plus_ms(SILENCE_MS_MAX - 1);
        assert!(!pulse.hear(late));
        assert_eq!(pulse.lost_at(), late.plus_ms(1));
        pulse.welcome();
        assert!(pulse.hear(late));
        assert_eq!(pulse.lost_at(), late.plus_ms(SILENCE_MS_MAX));
    }

    /// The timer of a link is set once per beat, whatever is heard in between.
    #[test]
    fn what_is_heard_makes_nothing_due_earlier() {
        let mut pulse = Pulse::begin(7, T0);
        pulse.welcome();
        let due = pulse.poll_deadline();
        for after_ms in (0..due.since_ms(T0)).step_by(500) {
            let now = T0.plus_ms(after_ms);
            assert!(pulse.hear(now));
            assert_eq!(pulse.beat(now), None);
            assert!(pulse.poll_deadline() >= due);
        }
        assert_eq!(pulse.beat(due), Some(Beat::Ping));
    }

    #[test]
    fn heartbeats_of_links_that_came_together_are_spread() {
        let mut seconds = [0_u32; 15];
        for socket in 500..1_800 {
            let due = Pulse::begin(socket, T0).poll_deadline();
            seconds[usize::try_from(due.since_ms(T0) / 1_000).unwrap()] += 1;
        }
        let (quiet, beating) = seconds.split_at(2);
        assert_eq!(quiet, [0, 0]);
        assert!(
            beating.iter().all(|count| (90..=110).contains(count)),
            "{seconds:?}"
        );
    }
}
