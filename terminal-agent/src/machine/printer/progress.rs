//! The job that is being printed: what is left to send and what is not confirmed yet.
//!
//! Each write ends with a request that the printer answers once it has printed the write, and
//! the answers are counted: a printer that loses its buffer (power cut) loses the requests in it
//! too, so that a hole in the paper is never taken for a whole receipt.

use std::collections::VecDeque;

use protocol::id::PrintJobId;
use protocol::printer::Encoder;
use protocol::printer::encode::BARRIER;

use super::Confirmation;

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

/// A write on its way.
#[derive(Debug, Clone)]
struct Sent {
    length: usize,
    /// What the printer gives back for it, where confirmations have names.
    id: Option<[u8; 4]>,
}

/// Makes the requests for confirmation.
#[derive(Debug, Clone)]
struct Marks {
    kind: Confirmation,
    /// Number of the next id.
    next: u128,
}

/// Epson allows 32 to 126 in each byte of a process id.
const ID_FIRST: u128 = 32;
const ID_VALUES: u128 = 95;

impl Marks {
    /// Ids begin where the job's own id says, so that those of another job are told apart.
    const fn new(kind: Confirmation, job_id: PrintJobId) -> Self {
        let next = job_id.uuid().as_u128();
        Self { kind, next }
    }

    fn append(&mut self, bytes: &mut Vec<u8>) -> Option<[u8; 4]> {
        if self.kind == Confirmation::PaperStatus {
            bytes.extend(BARRIER);
            return None;
        }
        let mut rest = self.next;
        self.next = self.next.wrapping_add(1);
        let id = [(); 4].map(|()| {
            let digit = rest.checked_rem(ID_VALUES).unwrap_or_default();
            rest = rest.checked_div(ID_VALUES).unwrap_or_default();
            u8::try_from(digit.saturating_add(ID_FIRST)).unwrap_or(b' ')
        });
        let mut encoder = Encoder::new();
        encoder.process_id(id);
        bytes.extend(encoder.finish());
        Some(id)
    }
}

/// The job under way.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    blocks: VecDeque<Vec<u8>>,
    /// The writes that the printer has not confirmed.
    unconfirmed: VecDeque<Sent>,
    marks: Marks,
    /// When silence is looked into, in ms.
    pub(super) stall_ms: u64,
    /// Whether the printer was asked for its state since the last sign of life.
    pub(super) has_polled: bool,
    /// Whether it has answered that.
    pub(super) has_answered: bool,
    /// Whether it keeps its host waiting for longer than printing takes.
    pub(super) is_busy: bool,
    /// Whether its bytes have not left for longer than printing takes: a transport that waits for
    /// the printer by itself.
    pub(super) is_blocked: bool,
    /// Since when a person is needed, in ms.
    pub(super) held_since_ms: Option<u64>,
    /// When a held printer is asked again, in ms.
    pub(super) poll_ms: u64,
}

impl Progress {
    pub(super) fn new(
        blocks: Vec<Vec<u8>>,
        kind: Confirmation,
        job_id: PrintJobId,
        stall_ms: u64,
    ) -> Self {
        Self {
            blocks: blocks.into(),
            unconfirmed: VecDeque::new(),
            marks: Marks::new(kind, job_id),
            stall_ms,
            has_polled: false,
            has_answered: false,
            is_busy: false,
            is_blocked: false,
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
        if self.unconfirmed_bytes() >= window_bytes {
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
        let id = self.marks.append(&mut bytes);
        let length = bytes.len();
        self.unconfirmed.push_back(Sent { length, id });
        Next::Bytes(bytes)
    }

    fn unconfirmed_bytes(&self) -> usize {
        let lengths = self.unconfirmed.iter().map(|sent| sent.length);
        lengths.fold(0, usize::saturating_add)
    }

    /// Whether the printer has printed everything that it was sent.
    pub(super) fn is_drained(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.blocks.is_empty() && self.unconfirmed.is_empty()
    }

    /// The printer has answered, by a bare byte or with an id. Without effect when nobody asked,
    /// or for another write than the oldest: that one may be lost though a later one came out.
    pub(super) fn confirm(&mut self, id: Option<[u8; 4]>, stall_ms: u64) {
        if self.unconfirmed.front().is_some_and(|sent| sent.id == id) {
            self.unconfirmed.pop_front();
            self.restart(stall_ms);
        }
    }

    /// Whether the printer keeps its host waiting.
    pub(super) const fn is_waiting(&self) -> bool {
        self.is_busy || self.is_blocked
    }

    /// A sign of life: silence counts from here.
    pub(super) fn restart(&mut self, stall_ms: u64) {
        self.stall_ms = stall_ms;
        self.has_polled = false;
        self.has_answered = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::job;

    #[test]
    fn each_write_is_confirmed_and_the_window_is_bounded() {
        let blocks = vec![
            vec![1; 20],
            vec![1; 10],
            vec![2; 30],
            vec![3; 50],
            vec![4; 5],
        ];
        let mut progress = Progress::new(blocks, Confirmation::PaperStatus, job(7), 0);
        let marked = |bytes: &[u8]| Next::Bytes([bytes, &BARRIER].concat());
        assert_eq!(progress.next(40, 60), marked(&[1; 30]));
        assert_eq!(progress.next(40, 60), marked(&[2; 30]), "33 bytes wait");
        assert_eq!(progress.next(40, 60), Next::Confirmation);
        progress.confirm(None, 9);
        assert_eq!(
            progress.next(40, 60),
            Next::Confirmation,
            "longer than a write"
        );
        progress.confirm(None, 9);
        assert_eq!(progress.next(40, 60), marked(&[3; 50]));
        assert_eq!(progress.next(40, 60), marked(&[4; 5]));
        assert_eq!(progress.next(40, 60), Next::Confirmation);
        progress.confirm(None, 9);
        progress.confirm(None, 9);
        progress.confirm(None, 9);
        assert_eq!(progress.next(40, 60), Next::Complete);
    }

    #[test]
    fn only_the_oldest_write_is_confirmed_by_its_name() {
        let blocks = vec![vec![1; 30], vec![2; 30]];
        let mut progress = Progress::new(blocks, Confirmation::ProcessId, job(95 * 3 + 2), 0);
        let marked = |byte: u8, id: &[u8]| {
            Next::Bytes([&[byte; 30], b"\x1d(H\x06\x0000".as_slice(), id].concat())
        };
        assert_eq!(progress.next(40, 60), marked(1, b"\x22#  "));
        assert_eq!(progress.next(40, 60), marked(2, b"##  "));
        for wrong in [None, Some(*b"##  "), Some(*b"    ")] {
            progress.confirm(wrong, 9);
            assert_eq!(progress.unconfirmed.len(), 2, "{wrong:?}");
        }
        progress.confirm(Some(*b"\x22#  "), 9);
        assert!(!progress.is_drained());
        progress.confirm(Some(*b"##  "), 9);
        assert_eq!(progress.next(40, 60), Next::Complete);
    }
}
