//! The job that is being printed: what is left to send and what is not confirmed yet.
//!
//! Each write ends with a request that the printer answers once it has printed the write, and
//! the answers are counted: a printer that loses its buffer (power cut) loses the requests in it
//! too, so that a hole in the paper is never taken for a whole receipt.

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
    /// Lengths of the writes that the printer has not confirmed.
    unconfirmed: VecDeque<usize>,
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
            unconfirmed: VecDeque::new(),
            stall_ms,
            has_polled: false,
            held_since_ms: None,
            poll_ms: 0,
        }
    }

    /// The next write of up to `write_bytes` and a request for confirmation, unless `window_bytes`
    /// wait for theirs.
    ///
    /// A longer command (a QR symbol) goes out whole, into an empty buffer: sent in parts, a
    /// pause in the middle would let the next query fall into its data.
    pub(super) fn next(&mut self, write_bytes: usize, window_bytes: usize) -> Next {
        if self.is_complete() {
            return Next::Complete;
        }
        if self.unconfirmed.iter().sum::<usize>() >= window_bytes {
            return Next::Confirmation;
        }
        let mut bytes = Vec::new();
        while let Some(block) = self.blocks.front_mut() {
            let is_fitting = bytes.len().saturating_add(block.len()) <= write_bytes;
            let is_alone = bytes.is_empty() && self.unconfirmed.is_empty();
            if !is_fitting && !is_alone {
                break;
            }
            bytes.append(block);
            self.blocks.pop_front();
        }
        if bytes.is_empty() {
            return Next::Confirmation;
        }
        self.unconfirmed.push_back(bytes.len());
        bytes.extend(BARRIER);
        Next::Bytes(bytes)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.blocks.is_empty() && self.unconfirmed.is_empty()
    }

    /// The printer has answered; without effect when nobody asked.
    pub(super) fn confirm(&mut self, stall_ms: u64) {
        if self.unconfirmed.pop_front().is_some() {
            self.restart(stall_ms);
        }
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
    fn each_write_is_confirmed_and_the_window_is_bounded() {
        let blocks = vec![
            vec![1; 20],
            vec![1; 10],
            vec![2; 30],
            vec![3; 50],
            vec![4; 5],
        ];
        let mut progress = Progress::new(blocks, 0);
        let marked = |bytes: &[u8]| Next::Bytes([bytes, &BARRIER].concat());
        assert_eq!(progress.next(40, 60), marked(&[1; 30]));
        assert_eq!(progress.next(40, 60), marked(&[2; 30]));
        assert_eq!(progress.next(40, 60), Next::Confirmation);
        progress.confirm(9);
        assert_eq!(
            progress.next(40, 60),
            Next::Confirmation,
            "longer than a write"
        );
        progress.confirm(9);
        assert_eq!(progress.next(40, 60), marked(&[3; 50]));
        assert_eq!(progress.next(40, 60), marked(&[4; 5]));
        assert_eq!(progress.next(40, 60), Next::Confirmation);
        progress.confirm(9);
        progress.confirm(9);
        progress.confirm(9);
        assert_eq!(progress.next(40, 60), Next::Complete);
    }
}
