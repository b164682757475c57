//! Undoing an authorization whose outcome cannot be used, until the acquirer has said yes.

use super::reason::Reason;
use super::time::Timestamp;

/// Pauses between repeats; the last one is kept for ever. Arbitrary, bounded: quick enough that a
/// short host outage is over within seconds, slow enough not to load a host that is down.
const PAUSES_MS: [u64; 6] = [1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// How long an acquirer may hold a request before it acts on it, unless configured. "Original not
/// found" counts only when it is said again after that long: a delayed original could still arrive.
pub const HOST_DELAY_MS_MAX: u64 = 60_000;

/// The pause after the `tries`-th sending.
pub fn pause_ms(tries: u32) -> u64 {
    let index = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    PAUSES_MS
        .get(index)
        .or(PAUSES_MS.last())
        .copied()
        .unwrap_or(60_000)
}

/// An undoing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reversal {
    /// Why.
    pub reason: Reason,
    /// When it was decided; irrevocable from then on.
    pub decided_at: Timestamp,
    /// How often it was sent.
    pub tries: u32,
    /// When it is sent next.
    pub next_at: Timestamp,
    /// Set by a first "original not found": from then on the same answer counts.
    pub not_found_counts_at: Option<Timestamp>,
    /// When the acquirer acknowledged it, or a person ended the asking.
    pub done_at: Option<Timestamp>,
}

/// What the acquirer said to a reversal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReversalAnswer {
    /// Undone.
    Acknowledged,
    /// It does not know the original.
    OriginalNotFound,
    /// Nothing usable.
    Unknown,
}

impl Reversal {
    /// Decides to undo; it is to be sent at once.
    pub const fn begin(reason: Reason, now: Timestamp) -> Self {
        Self {
            reason,
            decided_at: now,
            tries: 1,
            next_at: now.plus_ms(PAUSES_MS[0]),
            not_found_counts_at: None,
            done_at: None,
        }
    }

    /// Notes that it is sent once more.
    pub fn sent_again(&mut self, now: Timestamp) {
        self.tries = self.tries.saturating_add(1);
        self.next_at = now.plus_ms(pause_ms(self.tries));
    }

    /// After a restart: the clock may have been set while nobody ran, so nothing says how long the
    /// acquirer has had. The next "original not found" is a first one.
    pub const fn forget_elapsed(&mut self) {
        self.not_found_counts_at = None;
    }

    /// Takes the acquirer's word on the sending of `sent_at`; true when the undoing is complete.
    /// `longest_delay_ms` is how long a request may be on its way to the host.
    pub fn answered(
        &mut self,
        answer: ReversalAnswer,
        sent_at: Timestamp,
        now: Timestamp,
        longest_delay_ms: u64,
    ) -> bool {
        let is_done = match (answer, self.not_found_counts_at) {
            (ReversalAnswer::Acknowledged, _) => true,
            // An answer may be long under way: what counts is when the host was asked.
            (ReversalAnswer::OriginalNotFound, Some(counts_at)) => sent_at >= counts_at,
            (ReversalAnswer::OriginalNotFound, None) => {
                let counts_at = now.plus_ms(longest_delay_ms);
                self.not_found_counts_at = Some(counts_at);
                false
            }
            (ReversalAnswer::Unknown, _) => false,
        };
        if is_done {
            self.done_at = Some(now);
        } else if let Some(counts_at) = self.not_found_counts_at
            && counts_at > now
        {
            self.next_at = counts_at;
        }
        is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    #[test]
    fn original_not_found_is_provisional() {
        let mut reversal = Reversal::begin(Reason::AcquirerUnknown, T0);
        assert!(!reversal.answered(ReversalAnswer::OriginalNotFound, T0, T0, HOST_DELAY_MS_MAX));
        assert_eq!(reversal.next_at, T0.plus_ms(HOST_DELAY_MS_MAX));
        let early = T0.plus_ms(HOST_DELAY_MS_MAX - 1);
        let due = reversal.next_at;
        assert!(!reversal.answered(
            ReversalAnswer::OriginalNotFound,
            early,
            early,
            HOST_DELAY_MS_MAX
        ));
        assert!(!reversal.answered(
            ReversalAnswer::OriginalNotFound,
            early,
            due,
            HOST_DELAY_MS_MAX
        ));
        assert!(reversal.answered(
            ReversalAnswer::OriginalNotFound,
            due,
            due,
            HOST_DELAY_MS_MAX
        ));
        assert!(reversal.done_at.is_some());
    }

    #[test]
    fn an_original_that_turns_up_late_is_undone() {
        let mut reversal = Reversal::begin(Reason::AcquirerUnknown, T0);
        assert!(!reversal.answered(ReversalAnswer::OriginalNotFound, T0, T0, HOST_DELAY_MS_MAX));
        assert!(reversal.answered(
            ReversalAnswer::Acknowledged,
            T0,
            T0.plus_ms(1),
            HOST_DELAY_MS_MAX
        ));
    }

    #[test]
    fn time_that_nobody_measured_does_not_count() {
        let mut reversal = Reversal::begin(Reason::AcquirerUnknown, T0);
        assert!(!reversal.answered(ReversalAnswer::OriginalNotFound, T0, T0, HOST_DELAY_MS_MAX));
        reversal.forget_elapsed();
        let later = T0.plus_ms(3_600_000);
        assert!(!reversal.answered(
            ReversalAnswer::OriginalNotFound,
            later,
            later,
            HOST_DELAY_MS_MAX
        ));
        assert_eq!(reversal.next_at, later.plus_ms(HOST_DELAY_MS_MAX));
    }

    #[test]
    fn pauses_grow_and_never_end() {
        let pauses: Vec<u64> = (1..=8).map(pause_ms).collect();
        assert_eq!(
            pauses,
            [1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 60_000, 60_000]
        );
        assert_eq!(pause_ms(u32::MAX), 60_000);
    }
}
