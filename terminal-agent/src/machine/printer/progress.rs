//! The job that is being printed: what is left to send and what is not confirmed yet.
//!
//! Bytes go out in pieces. Each piece ends with a request that the printer answers once it has
//! printed it, and the next piece waits for that answer: a printer that loses its buffer (power
//! cut) loses the request too, so that a hole in the paper is never taken for a whole receipt.

use std::collections::VecDeque;

use protocol::printer::encode::BARRIER;

/// What to write next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing before the printer has answered.
    Confirmation,
    /// Everything was sent and confirmed.
    Complete,
}

/// The job under way.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    blocks: VecDeque<Vec<u8>>,
    unconfirmed_bytes: usize,
    pub(super) is_awaiting: bool,
    /// When silence is looked into, in ms.
    pub(super) stall_ms: u64,
    /// Whether the printer was asked for its state since the last sign of life.
    pub(super) has_polled: bool,
    /// Since when a person is needed, in ms.
    pub(super) held_since_ms: Option<u64>,
    /// When a held printer is asked again, in ms.
    pub(super) poll_ms: u64,
}

impl Progress {
    pub(super) fn new(blocks: Vec<Vec<u8>>, stall_ms: u64) -> Self {
        Self {
            blocks: blocks.into(),
            unconfirmed_bytes: 0,
            is_awaiting: false,
            stall_ms,
            has_polled: false,
            held_since_ms: None,
            poll_ms: 0,
        }
    }

    /// The next write: whole commands of up to about `write_bytes`, and the request once
    /// `piece_bytes` are out.
    pub(super) fn next(&mut self, write_bytes: usize, piece_bytes: usize) -> Next {
        if self.is_awaiting {
            return Next::Confirmation;
        }
        if self.is_complete() {
            return Next::Complete;
        }
        let mut bytes = Vec::new();
        while bytes.len() < write_bytes
            && self.unconfirmed_bytes.saturating_add(bytes.len()) < piece_bytes
        {
            let Some(block) = self.blocks.pop_front() else {
                break;
            };
            bytes.extend(block);
        }
        self.unconfirmed_bytes = self.unconfirmed_bytes.saturating_add(bytes.len());
        if self.blocks.is_empty() || self.unconfirmed_bytes >= piece_bytes {
            bytes.extend(BARRIER);
            self.is_awaiting = true;
        }
        Next::Bytes(bytes)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.blocks.is_empty() && self.unconfirmed_bytes == 0
    }

    /// The printer has answered; `false` when nobody asked.
    pub(super) fn confirm(&mut self) -> bool {
        let was_awaiting = std::mem::take(&mut self.is_awaiting);
        if was_awaiting {
            self.unconfirmed_bytes = 0;
        }
        was_awaiting
    }

    /// A sign of life: silence counts from here.
    pub(super) fn restart(&mut self, stall_ms: u64) {
        self.stall_ms = stall_ms;
        self.has_polled = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_confirmed_before_the_next() {
        let mut progress = Progress::new(vec![vec![1; 40], vec![2; 40], vec![3; 40]], 0);
        let barrier = |bytes: &[u8]| [bytes, &BARRIER].concat();
        assert_eq!(progress.next(30, 60), Next::Bytes(vec![1; 40]));
        assert_eq!(progress.next(30, 60), Next::Bytes(barrier(&[2; 40])));
        assert_eq!(progress.next(30, 60), Next::Confirmation);
        assert!(progress.confirm());
        assert!(!progress.confirm());
        assert_eq!(progress.next(30, 60), Next::Bytes(barrier(&[3; 40])));
        assert_eq!(progress.next(30, 60), Next::Confirmation);
        assert!(progress.confirm());
        assert_eq!(progress.next(30, 60), Next::Complete);
    }
}
