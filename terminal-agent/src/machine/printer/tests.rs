//! Scripted conversations: what the printer says, and what the agent makes of it.

mod hold;
mod lost;
mod opening;
mod pause;
mod property;
mod receipt;

use proptest::prelude::*;
use protocol::printer::encode::{BARRIER, RECOVER_AND_CLEAR, RECOVER_AND_CONTINUE};
use protocol::printer::{DrawerPin, Paper};
use protocol::receipt::{Align, Copy, Entry};
use uuid::Uuid;

use super::*;

const READY: [u8; 4] = [0x12; 4];
const NO_PAPER: [u8; 4] = [0x1a, 0x32, 0x12, 0x7e];
const CUTTER: [u8; 4] = [0x1a, 0x52, 0x1a, 0x12];
const MODEL: &[u8] = b"_TM-T88V\0";
const QUERIES: [u8; 12] = [0x10, 4, 1, 0x10, 4, 2, 0x10, 4, 3, 0x10, 4, 4];

fn id(n: u128) -> PrintJobId {
    PrintJobId::from_uuid(Uuid::from_u128(n))
}

fn receipt(lines: usize) -> Receipt {
    Receipt {
        copy: Copy::Customer,
        is_duplicate: false,
        entries: vec![
            Entry::Text {
                text: "twelve bytes".into(),
                align: Align::Left,
            };
            lines
        ],
    }
}

/// A port that takes every write at once.
struct Bench {
    machine: PrinterMachine,
    now_ms: u64,
    written: Vec<u8>,
    takes_writes: bool,
    grants: bool,
}

impl Bench {
    fn new() -> Self {
        Self::with(PrinterConfig::new(32))
    }

    fn with(config: PrinterConfig) -> Self {
        Self {
            machine: PrinterMachine::new(config),
            now_ms: 0,
            written: Vec::new(),
            takes_writes: true,
            grants: true,
        }
    }

    /// A bench whose printer has answered the opening check and the first synchronisation.
    fn ready() -> Self {
        Self::ready_with(PrinterConfig::new(32))
    }

    fn ready_with(config: PrinterConfig) -> Self {
        let mut bench = Self::with(config);
        bench.input(Input::PortOpened);
        bench.answer(&READY);
        bench.answer(MODEL);
        bench.assert_idle();
        bench.written.clear();
        bench
    }

    /// A bench whose printer is ready for the first job, which has begun.
    fn printing() -> Self {
        let mut bench = Self::ready();
        bench.job(1, 1);
        bench.answer(&READY);
        bench
    }

    fn assert_idle(&self) {
        let check_ms = self.now_ms + 60_000;
        assert_eq!(self.machine.poll_deadline(), Some(check_ms), "not idle");
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Output> {
        let mut pending = Vec::new();
        self.machine.handle(self.now_ms, input, &mut pending);
        let mut reports = Vec::new();
        while !pending.is_empty() {
            let mut next = Vec::new();
            for output in pending {
                match output {
                    Output::Write(bytes) => {
                        self.written.extend(&bytes);
                        if self.takes_writes {
                            let written = Input::Written(bytes.len());
                            self.machine.handle(self.now_ms, written, &mut next);
                        }
                    }
                    Output::Ready { job_id } if self.grants => {
                        let begin = Input::Begin { job_id };
                        self.machine.handle(self.now_ms, begin, &mut next);
                    }
                    other => reports.push(other),
                }
            }
            pending = next;
        }
        reports
    }

    fn answer(&mut self, bytes: &[u8]) -> Vec<JobState> {
        states(&self.input(Input::Bytes(bytes)))
    }

    fn job(&mut self, n: u128, lines: usize) -> Vec<JobState> {
        let out = self.input(Input::Job {
            job_id: id(n),
            receipt: receipt(lines),
            opens_drawer: false,
        });
        states(&out)
    }

    fn job_with_drawer(&mut self, n: u128) {
        self.input(Input::Job {
            job_id: id(n),
            receipt: receipt(1),
            opens_drawer: true,
        });
    }

    /// Answers every request for confirmation in `written`.
    fn confirm(&mut self, written: &[u8]) -> Vec<JobState> {
        self.answer(&vec![0; count(written, &BARRIER)])
    }

    fn pass_to_deadline(&mut self) -> Vec<JobState> {
        self.now_ms = self.machine.poll_deadline().expect("a deadline");
        states(&self.input(Input::Deadline))
    }

    fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written)
    }
}

fn states(out: &[Output]) -> Vec<JobState> {
    out.iter()
        .filter_map(|output| match output {
            Output::JobReport { state, .. } => Some(*state),
            _ => None,
        })
        .collect()
}

fn without_barriers(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut kept = Vec::new();
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(&BARRIER) {
            Some(after) => rest = after,
            None => {
                kept.push(*first);
                rest = tail;
            }
        }
    }
    kept
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes
        .windows(wanted.len())
        .filter(|window| *window == wanted)
        .count()
}
