//! Scripted conversations: what the printer says, and what the agent makes of it.

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

#[test]
fn opening_initialises_asks_and_synchronises() {
    let mut bench = Bench::new();
    bench.input(Input::PortOpened);
    assert!(!bench.machine.has_answered());
    assert_eq!(
        bench.take_written(),
        [b"\x1b@\x1da\x0f".as_slice(), &QUERIES].concat()
    );
    bench.answer(&[0x10, 0, 0, 0]);
    bench.answer(&READY);
    assert_eq!(bench.take_written(), b"\x1b@\x1da\x0f\x1dI\x43");
    assert_eq!(bench.machine.status(), Some(PrinterStatus::default()));
}

#[test]
fn a_receipt_is_checked_printed_and_confirmed() {
    let mut bench = Bench::ready();
    assert_eq!(bench.job(1, 2), [JobState::Queued]);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    let expected = protocol::printer::encode_receipt(&receipt(2), &Paper::new(32));
    let written = bench.take_written();
    assert_eq!(without_barriers(&written), without_barriers(&expected));
    assert_eq!(bench.confirm(&written), [JobState::Printed]);
    bench.assert_idle();
}

#[test]
fn nothing_of_a_job_goes_out_before_its_beginning_is_on_record() {
    let mut bench = Bench::ready();
    bench.grants = false;
    bench.job(1, 1);
    bench.take_written();
    let ready = [Output::Ready { job_id: id(1) }];
    assert_eq!(bench.input(Input::Bytes(&READY)), ready);
    assert_eq!(bench.take_written(), [0u8; 0]);
    assert_eq!(bench.machine.poll_deadline(), None);
    // Leave that comes when the paper is gone begins nothing.
    bench.answer(&[0x18, 0, 0x0f, 0]);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.input(Input::Begin { job_id: id(1) }), []);
    assert_eq!(
        bench.answer(&NO_PAPER),
        [JobState::Held(HoldReason::NoPaper)]
    );
    bench.pass_to_deadline();
    assert_eq!(bench.input(Input::Bytes(&READY))[1..], ready);
    bench.take_written();
    assert_eq!(bench.input(Input::Begin { job_id: id(2) }), []);
    let out = bench.input(Input::Begin { job_id: id(1) });
    assert_eq!(states(&out), [JobState::Printing]);
    assert_eq!(count(&bench.take_written(), b"twelve bytes"), 1);
    // A port that goes before leave was given loses nothing.
    assert_eq!(bench.answer(&[0]), [JobState::Printed]);
    bench.job(2, 1);
    bench.answer(&READY);
    assert_eq!(
        states(&bench.input(Input::PortClosed)),
        [JobState::Held(HoldReason::PortClosed)]
    );
}

#[test]
fn the_drawer_opens_before_the_receipt() {
    let mut bench = Bench::ready();
    bench.input(Input::Job {
        job_id: id(1),
        receipt: receipt(1),
        opens_drawer: true,
    });
    bench.take_written();
    bench.answer(&READY);
    assert!(bench.written.starts_with(b"\x1bp\x00\x32\x32\x1b@"));
}

#[test]
fn a_long_receipt_waits_for_confirmations() {
    let mut bench = Bench::ready();
    bench.job(1, 130);
    bench.answer(&READY);
    let mut rounds = 0;
    let mut last = Vec::new();
    while last.is_empty() {
        let written = bench.take_written();
        assert!(written.len() < 1_200, "{} bytes unconfirmed", written.len());
        rounds += 1;
        last = bench.confirm(&written);
    }
    assert_eq!(last, [JobState::Printed]);
    assert!(rounds > 2, "{rounds} rounds");
}

#[test]
fn a_buffer_lost_within_a_job_is_unknown_though_the_rest_was_printed() {
    let mut bench = Bench::ready();
    bench.job(1, 20);
    bench.answer(&READY);
    let writes = count(&bench.take_written(), &BARRIER);
    assert!(writes > 3);
    // Switched off after two writes, on again before the last two.
    assert_eq!(bench.answer(&[0, 0, 0x13, 0x11, 0, 0]), []);
    bench.pass_to_deadline();
    bench.answer(&READY);
    assert_eq!(bench.pass_to_deadline(), [JobState::Unknown]);
}

#[test]
fn the_same_job_is_printed_once() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    assert_eq!(bench.job(1, 1), [JobState::Queued]);
    bench.answer(&READY);
    assert_eq!(bench.job(1, 1), [JobState::Printing]);
    bench.answer(&[0]);
    bench.take_written();
    assert_eq!(bench.job(1, 1), [JobState::Printed]);
    assert_eq!(bench.take_written(), [0u8; 0]);
}

#[test]
fn without_paper_a_job_waits_and_then_prints_once() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    assert_eq!(
        bench.answer(&NO_PAPER),
        [JobState::Held(HoldReason::NoPaper)]
    );
    bench.take_written();
    bench.pass_to_deadline();
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&NO_PAPER), []);
    assert_eq!(bench.answer(&[0x10, 0, 0, 0]), []);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    assert_eq!(count(&bench.take_written(), b"twelve bytes"), 1);
    assert_eq!(bench.answer(&[0]), [JobState::Printed]);
}

#[test]
fn paper_end_within_a_job_holds_it_and_nothing_is_sent_twice() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.answer(&READY);
    bench.take_written();
    assert_eq!(
        bench.answer(&[0x13, 0x18, 0, 0x0f, 0]),
        [JobState::Held(HoldReason::NoPaper)]
    );
    for _ in 0..50 {
        assert_eq!(bench.pass_to_deadline(), []);
        assert_eq!(bench.take_written(), QUERIES);
        assert_eq!(bench.answer(&NO_PAPER), []);
    }
    assert_eq!(bench.answer(&[0x10, 0, 0, 0, 0x11]), [JobState::Printing]);
    assert_eq!(bench.answer(&[0]), [JobState::Printed]);
    assert_eq!(bench.take_written(), [0u8; 0]);
}

#[test]
fn an_open_cover_is_found_by_asking_when_nothing_is_reported() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.answer(&READY);
    bench.take_written();
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(
        bench.answer(&[0x1a, 0x16, 0x12, 0x12]),
        [JobState::Held(HoldReason::CoverOpen)]
    );
}

#[test]
fn silence_after_bytes_is_unknown_and_an_old_confirmation_proves_nothing() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.answer(&READY);
    bench.job(2, 1);
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(bench.answer(&READY), [], "ready, but silent about the job");
    assert_eq!(bench.pass_to_deadline(), [JobState::Unknown]);
    bench.answer(&READY);
    bench.take_written();
    // The printer was only slow: the confirmation of the lost job comes first.
    assert_eq!(bench.answer(&[0]), []);
    assert_eq!(bench.take_written(), [0u8; 0]);
    assert_eq!(bench.answer(MODEL), []);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    assert_eq!(bench.answer(&[0]), [JobState::Printed]);
}

#[test]
fn a_printer_that_cannot_identify_itself_is_taken_after_silence() {
    let mut bench = Bench::new();
    bench.input(Input::PortOpened);
    bench.answer(&READY);
    bench.job(1, 1);
    bench.take_written();
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
}

#[test]
fn a_lost_port_is_unknown_only_for_what_was_sent() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.answer(&READY);
    bench.job(2, 1);
    assert_eq!(
        states(&bench.input(Input::PortClosed)),
        [JobState::Unknown, JobState::Held(HoldReason::PortClosed)]
    );
    assert_eq!(
        bench.pass_to_deadline(),
        [JobState::Failed(FailureReason::Held(
            HoldReason::PortClosed
        ))]
    );
    assert_eq!(
        bench.job(3, 1),
        [JobState::Queued, JobState::Held(HoldReason::PortClosed)]
    );
}

#[test]
fn a_printer_that_is_off_holds_the_job_until_it_is_on() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(
        bench.pass_to_deadline(),
        [JobState::Held(HoldReason::Offline)]
    );
    assert!(!bench.machine.status().unwrap().online);
    assert!(bench.machine.has_answered(), "it has, once");
    bench.pass_to_deadline();
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
}

#[test]
fn nobody_coming_fails_the_job() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    let mut last = bench.answer(&NO_PAPER);
    while last.iter().all(|state| !state.is_final()) {
        last = bench.pass_to_deadline();
        if bench.take_written() == QUERIES {
            last.extend(bench.answer(&NO_PAPER));
        }
    }
    assert_eq!(
        last,
        [JobState::Failed(FailureReason::Held(HoldReason::NoPaper))]
    );
}

#[test]
fn a_cleared_cutter_is_recovered() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    assert_eq!(bench.answer(&CUTTER), [JobState::Held(HoldReason::Cutter)]);
    assert!(bench.take_written().ends_with(&RECOVER_AND_CLEAR));
    bench.pass_to_deadline();
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    assert_eq!(
        bench.answer(&[0x18, 8, 0, 0]),
        [JobState::Held(HoldReason::Cutter)]
    );
    bench.take_written();
    bench.pass_to_deadline();
    assert_eq!(
        bench.take_written(),
        [RECOVER_AND_CONTINUE.as_slice(), &QUERIES].concat()
    );
    assert_eq!(
        bench.answer(&[0x10, 0, 0, 0, 0]),
        [JobState::Printing, JobState::Printed],
        "the cut and the confirmation follow the recovery"
    );
}

#[test]
fn a_dead_printer_fails_every_job() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.job(2, 1);
    let failed = JobState::Failed(FailureReason::Unrecoverable);
    let dead = [0x1a, 0x52, 0x32, 0x12];
    assert_eq!(bench.answer(&dead), [failed]);
    assert_eq!(bench.answer(&dead), [failed]);
}

#[test]
fn the_queue_is_bounded() {
    let mut bench = Bench::new();
    for n in 0..32 {
        assert_eq!(bench.job(n, 1).first(), Some(&JobState::Queued));
    }
    assert_eq!(
        bench.job(32, 1),
        [JobState::Failed(FailureReason::QueueFull)]
    );
}

#[test]
fn nothing_is_sent_while_the_printer_pauses() {
    let mut bench = Bench::ready();
    bench.takes_writes = false;
    bench.job(1, 20);
    assert_eq!(bench.take_written(), QUERIES);
    bench.answer(&READY);
    assert_eq!(
        bench.take_written(),
        [0u8; 0],
        "queries are still on their way"
    );
    bench.input(Input::Written(QUERIES.len()));
    let first = bench.take_written().len();
    bench.answer(&[0x13]);
    bench.input(Input::Written(first));
    assert_eq!(bench.take_written(), [0u8; 0]);
    bench.answer(&[0x11]);
    assert!(!bench.take_written().is_empty());
}

/// A pause in the middle of a job: what was sent before it, unconfirmed.
fn paused(bench: &mut Bench) -> usize {
    bench.job(1, 80);
    bench.answer(&READY);
    bench.answer(&[0x13]);
    count(&bench.take_written(), &BARRIER)
}

#[test]
fn a_long_pause_holds_the_job_and_ends_when_the_printer_says_so() {
    let mut bench = Bench::ready();
    let writes = paused(&mut bench);
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(
        bench.take_written(),
        QUERIES,
        "asks though it must not print"
    );
    assert_eq!(bench.answer(&READY), []);
    assert_eq!(
        bench.pass_to_deadline(),
        [JobState::Held(HoldReason::Busy)],
        "alive and waiting"
    );
    assert_eq!(bench.machine.trouble(), Some(Trouble::Busy));
    for _ in 0..100 {
        bench.pass_to_deadline();
        assert_eq!(bench.take_written(), QUERIES);
        bench.answer(&READY);
    }
    assert_eq!(bench.answer(&vec![0; writes]), []);
    assert_eq!(bench.take_written(), [0u8; 0]);
    assert_eq!(bench.answer(&[0x11]), [JobState::Printing]);
    let written = bench.take_written();
    assert!(!written.is_empty());
    assert_eq!(bench.machine.trouble(), None);
    assert_eq!(bench.confirm(&written), [JobState::Printed]);
}

#[test]
fn a_pause_that_nobody_ends_is_unknown_at_last() {
    let mut bench = Bench::ready();
    paused(&mut bench);
    let mut last = Vec::new();
    while last.iter().all(|state: &JobState| !state.is_final()) {
        last = bench.pass_to_deadline();
        if bench.take_written().ends_with(&QUERIES) {
            last.extend(bench.answer(&READY));
        }
    }
    assert_eq!(last, [JobState::Unknown]);
    assert!(bench.now_ms > PrinterConfig::new(32).hold_ms_max);
}

#[test]
fn a_lost_end_of_a_pause_is_found_by_asking_a_printer_that_has_printed_all() {
    let mut bench = Bench::ready();
    let writes = paused(&mut bench);
    assert_eq!(bench.answer(&vec![0; writes]), []);
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&READY), []);
    assert_eq!(bench.pass_to_deadline(), []);
    let written = bench.take_written();
    assert!(!written.is_empty(), "nothing to wait for");
    assert_eq!(bench.confirm(&written), [JobState::Printed]);
}

#[test]
fn a_port_that_does_not_take_its_bytes_holds_the_job() {
    let mut bench = Bench::ready();
    bench.takes_writes = false;
    bench.job(1, 2);
    bench.input(Input::Written(QUERIES.len()));
    bench.answer(&READY);
    bench.written.drain(..QUERIES.len());
    assert_eq!(bench.pass_to_deadline(), [JobState::Held(HoldReason::Busy)]);
    for _ in 0..5 {
        bench.pass_to_deadline();
    }
    let written = bench.take_written();
    assert_eq!(count(&written, &QUERIES), 0, "questions would wait as well");
    bench.takes_writes = true;
    let out = bench.input(Input::Written(written.len()));
    assert_eq!(states(&out), [JobState::Printing]);
    let rest = [written, bench.take_written()].concat();
    assert_eq!(bench.confirm(&rest), [JobState::Printed]);
}

#[test]
fn the_busy_wire_stops_sending_and_holds_the_job() {
    let mut bench = Bench::ready();
    assert_eq!(bench.input(Input::Busy(true)), []);
    bench.job(1, 80);
    assert_eq!(bench.answer(&READY), [JobState::Held(HoldReason::Busy)]);
    bench.take_written();
    assert_eq!(bench.input(Input::Busy(false)), []);
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    bench.input(Input::Busy(true));
    let written = bench.take_written();
    assert_eq!(bench.confirm(&written), []);
    assert_eq!(bench.take_written(), [0u8; 0], "busy");
    bench.pass_to_deadline();
    bench.answer(&READY);
    assert_eq!(
        bench.pass_to_deadline(),
        [JobState::Held(HoldReason::Busy)],
        "a wire is not lost as a byte is"
    );
    bench.take_written();
    assert_eq!(
        states(&bench.input(Input::Busy(false))),
        [JobState::Printing]
    );
    let written = bench.take_written();
    assert_eq!(bench.confirm(&written), [JobState::Printed]);
    bench.input(Input::PortClosed);
    assert_eq!(bench.input(Input::Busy(true)), []);
    bench.input(Input::PortOpened);
    bench.answer(&READY);
    bench.answer(MODEL);
    bench.job(2, 1);
    assert_eq!(
        bench.answer(&READY),
        [JobState::Printing],
        "not of an earlier opening"
    );
}

#[test]
fn every_state_holds_a_job_with_its_name_and_lets_it_go() {
    for (answers, reason) in [
        ([0x1a, 0x16, 0x12, 0x12], HoldReason::CoverOpen),
        ([0x1a, 0x32, 0x12, 0x72], HoldReason::NoPaper),
        ([0x1a, 0x52, 0x1a, 0x12], HoldReason::Cutter),
        ([0x1a, 0x52, 0x16, 0x12], HoldReason::Mechanical),
        ([0x1a, 0x52, 0x52, 0x12], HoldReason::Overheated),
        ([0x5a, 0x1a, 0x12, 0x12], HoldReason::Feeding),
        ([0x3a, 0x12, 0x12, 0x12], HoldReason::FeedButton),
        ([0x1a, 0x12, 0x12, 0x12], HoldReason::Offline),
    ] {
        let mut bench = Bench::ready();
        bench.job(1, 1);
        assert_eq!(bench.answer(&answers), [JobState::Held(reason)]);
        assert_eq!(bench.machine.trouble(), Some(reason.trouble()));
        bench.take_written();
        // Automatic status comes first, polling is for printers without it.
        assert_eq!(bench.answer(&[0x10, 0, 0, 0]), []);
        assert_eq!(bench.take_written(), QUERIES, "{reason:?}");
        assert_eq!(bench.answer(&READY), [JobState::Printing]);
        assert_eq!(bench.machine.trouble(), None);
        assert_eq!(bench.answer(&[0]), [JobState::Printed]);
    }
}

#[test]
fn automatic_status_within_a_job_holds_it_by_name() {
    for (block, reason) in [
        ([0x38, 0, 0, 0], HoldReason::CoverOpen),
        ([0x18, 0, 0x0f, 0], HoldReason::NoPaper),
        ([0x18, 8, 0, 0], HoldReason::Cutter),
        ([0x18, 4, 0, 0], HoldReason::Mechanical),
        ([0x18, 0x40, 0, 0], HoldReason::Overheated),
        ([0x58, 2, 0, 0], HoldReason::Feeding),
        ([0x18, 1, 0, 0], HoldReason::FeedButton),
        ([0x18, 0, 0, 0], HoldReason::Offline),
    ] {
        for split in 0..4 {
            let mut bench = Bench::ready();
            bench.job(1, 1);
            bench.answer(&READY);
            bench.take_written();
            let (head, tail) = block.split_at(split);
            let mut seen = bench.answer(head);
            // An answer that nobody asked for, as of image data, may come at any place.
            seen.extend(bench.answer(&[0x12]));
            seen.extend(bench.answer(tail));
            assert_eq!(seen, [JobState::Held(reason)], "split at {split}");
            assert_eq!(
                bench.answer(&[0x10, 0, 3, 0]),
                [JobState::Printing],
                "near end prints"
            );
            assert_eq!(bench.answer(&[0x03]), [JobState::Printed]);
            assert_eq!(bench.take_written(), [0u8; 0], "nothing is sent twice");
        }
    }
}

#[test]
fn what_breaks_within_a_job_leaves_it_unknown_at_once() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.answer(&READY);
    assert_eq!(bench.answer(&[0x18, 0x20, 0, 0]), [JobState::Unknown]);
    assert_eq!(bench.machine.trouble(), Some(Trouble::Unrecoverable));
}

#[test]
fn an_idle_printer_is_asked_whether_it_is_still_there() {
    let mut bench = Bench::ready();
    for _ in 0..3 {
        bench.pass_to_deadline();
        assert_eq!(bench.take_written(), QUERIES);
        bench.answer(&READY);
        bench.assert_idle();
    }
    for _ in 0..4 {
        bench.pass_to_deadline();
    }
    assert_eq!(bench.machine.trouble(), Some(Trouble::Offline));
    bench.take_written();
    bench.pass_to_deadline();
    assert_eq!(bench.take_written(), QUERIES);
    bench.answer(&READY);
    assert_eq!(
        bench.take_written(),
        b"\x1b@\x1da\x0f\x1dI\x43",
        "set up again"
    );
    bench.answer(MODEL);
    bench.answer(&READY);
    bench.assert_idle();
    assert_eq!(bench.machine.trouble(), None);
}

#[test]
fn a_printer_that_was_switched_on_is_set_up_again() {
    let mut bench = Bench::ready();
    bench.answer(&[0x11]);
    assert_eq!(bench.take_written(), QUERIES);
    bench.answer(&READY);
    assert_eq!(bench.take_written(), b"\x1b@\x1da\x0f\x1dI\x43");
    bench.answer(MODEL);
    bench.answer(&READY);
    bench.assert_idle();
    // After a pause it means what it says.
    bench.answer(&[0x13, 0x11]);
    bench.assert_idle();
}

#[test]
fn the_drawer_is_that_of_the_configuration() {
    let mut config = PrinterConfig::new(32);
    config.drawer = Drawer {
        pin: DrawerPin::Five,
        on_2ms: 25,
        off_2ms: 250,
        is_high_when_open: Some(false),
    };
    let mut bench = Bench::with(config);
    assert_eq!(bench.machine.is_drawer_open(), None, "not heard yet");
    bench.input(Input::PortOpened);
    bench.answer(&READY);
    bench.answer(MODEL);
    bench.answer(&READY);
    assert_eq!(bench.machine.is_drawer_open(), Some(true));
    bench.answer(&[0x14, 0, 0, 0]);
    assert_eq!(bench.machine.is_drawer_open(), Some(false));
    bench.input(Input::Job {
        job_id: id(1),
        receipt: receipt(1),
        opens_drawer: true,
    });
    bench.take_written();
    bench.answer(&READY);
    assert!(bench.written.starts_with(b"\x1bp\x01\x19\xfa\x1b@"));
    assert_eq!(Bench::ready().machine.is_drawer_open(), None, "no switch");
}

#[test]
fn process_ids_confirm_what_they_name() {
    let config = PrinterConfig {
        confirmation: Confirmation::ProcessId,
        ..PrinterConfig::new(32)
    };
    let mut bench = Bench::ready_with(config);
    bench.job(1, 1);
    bench.answer(&READY);
    let written = bench.take_written();
    assert_eq!(count(&written, &BARRIER), 0);
    assert!(written.ends_with(b"\x1d(H\x06\x0000!   "));
    assert_eq!(bench.answer(&[0]), [], "a bare byte names nothing");
    assert_eq!(bench.answer(b"7\x22\x22   \0"), [], "another id");
    assert_eq!(bench.answer(b"7\x22!   \0"), [JobState::Printed]);
}

fn reprinting() -> Bench {
    Bench::ready_with(PrinterConfig {
        reprints_interrupted: true,
        ..PrinterConfig::new(32)
    })
}

#[test]
fn an_interrupted_job_is_printed_once_more_and_says_so() {
    let mut bench = reprinting();
    bench.input(Input::Job {
        job_id: id(1),
        receipt: receipt(1),
        opens_drawer: true,
    });
    bench.answer(&READY);
    bench.take_written();
    assert_eq!(
        states(&bench.input(Input::PortClosed)),
        [JobState::Queued, JobState::Held(HoldReason::PortClosed)]
    );
    bench.input(Input::PortOpened);
    bench.answer(&READY);
    bench.answer(MODEL);
    bench.take_written();
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    let written = bench.take_written();
    assert!(written.starts_with(b"\x1b@"), "the drawer stays closed");
    assert_eq!(count(&written, b"DUPLICATE\n"), 1);
    assert_eq!(count(&written, b"twelve bytes"), 1);
    assert_eq!(bench.confirm(&written), [JobState::Printed]);
}

#[test]
fn a_second_interruption_is_the_last() {
    let mut bench = reprinting();
    bench.job(1, 1);
    bench.answer(&READY);
    // Switched off and on: the buffer is gone, and with it the confirmation.
    bench.pass_to_deadline();
    bench.answer(&READY);
    assert_eq!(bench.pass_to_deadline(), [JobState::Queued]);
    bench.answer(&READY);
    bench.answer(MODEL);
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    bench.pass_to_deadline();
    bench.answer(&READY);
    assert_eq!(bench.pass_to_deadline(), [JobState::Unknown]);
    bench.take_written();
    assert_eq!(bench.job(1, 1), [JobState::Unknown]);
}

#[test]
fn what_was_sent_in_part_never_counts_as_not_sent() {
    let mut bench = reprinting();
    bench.job(1, 1);
    bench.answer(&READY);
    bench.input(Input::PortClosed);
    assert_eq!(bench.pass_to_deadline(), [JobState::Unknown]);
    // Nor is a job repeated that a person may still bring out of the printer.
    let mut bench = reprinting();
    bench.job(1, 1);
    bench.answer(&READY);
    bench.answer(&[0x18, 0, 0x0f, 0]);
    let mut last = Vec::new();
    while last.is_empty() {
        last = bench.pass_to_deadline();
        if bench.take_written().ends_with(&QUERIES) {
            bench.answer(&NO_PAPER);
        }
    }
    assert_eq!(last, [JobState::Unknown]);
}

#[test]
fn noise_on_the_line_ends_no_job() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.answer(&READY);
    bench.take_written();
    let noise = [0xff, 0x80, 0xfe, 0x91, 0x90, 0xd5, 0xb0, 0xff];
    assert_eq!(bench.answer(&noise.repeat(20)), []);
    assert_eq!(bench.answer(&[0]), [JobState::Printed]);
}

#[test]
fn a_picture_goes_out_in_whole_commands_into_an_empty_buffer() {
    let logo = protocol::printer::Logo::new(384, 64, &vec![true; 384 * 64]).unwrap();
    let mut config = PrinterConfig::new(32);
    config.paper = config.paper.with_logo(logo);
    let mut bench = Bench::ready_with(config);
    bench.job(1, 1);
    bench.answer(&READY);
    let mut last = Vec::new();
    let mut bands = 0;
    while last.is_empty() {
        let written = bench.take_written();
        let here = count(&written, b"\x1dv0\x00");
        assert!(here <= 1 && written.len() < 600, "{here} bands at once");
        bands += here;
        last = bench.confirm(&written);
    }
    assert_eq!((bands, last), (7, vec![JobState::Printed]));
}

proptest! {
    #[test]
    fn no_input_makes_it_panic_spin_or_end_a_job_twice(
        steps in proptest::collection::vec((0u8..11, any::<Vec<u8>>(), 0u64..40_000), 0..60),
        reprints: bool,
        names: bool,
    ) {
        let mut machine = PrinterMachine::new(PrinterConfig {
            reprints_interrupted: reprints,
            confirmation: if names { Confirmation::ProcessId } else { Confirmation::PaperStatus },
            ..PrinterConfig::new(32)
        });
        let mut out = Vec::new();
        let mut now_ms = 0;
        for (n, (kind, bytes, pass_ms)) in steps.iter().enumerate() {
            now_ms += pass_ms;
            match kind {
                0 => machine.handle(now_ms, Input::PortOpened, &mut out),
                1 => machine.handle(now_ms, Input::PortClosed, &mut out),
                2 => machine.handle(now_ms, Input::Bytes(bytes), &mut out),
                3 => machine.handle(now_ms, Input::Bytes(&READY), &mut out),
                4 => machine.handle(now_ms, Input::Bytes(&[0]), &mut out),
                5 => machine.handle(now_ms, Input::Written(bytes.len()), &mut out),
                6 => machine.handle(now_ms, Input::Job {
                    job_id: id(u128::try_from(n).unwrap()),
                    receipt: receipt(30),
                    opens_drawer: false,
                }, &mut out),
                7 => machine.handle(now_ms, Input::Busy(bytes.len() % 2 == 1), &mut out),
                8 => for n in 0..steps.len() {
                    let job_id = id(u128::try_from(n).unwrap());
                    machine.handle(now_ms, Input::Begin { job_id }, &mut out);
                },
                9 => machine.handle(now_ms, Input::Bytes(MODEL), &mut out),
                _ => machine.handle(now_ms, Input::Deadline, &mut out),
            }
            let mut deadlines = 0;
            while machine.poll_deadline().is_some_and(|due_ms| due_ms <= now_ms) {
                machine.handle(now_ms, Input::Deadline, &mut out);
                deadlines += 1;
                prop_assert!(deadlines < 100, "spins");
            }
        }
        let mut ended = Vec::new();
        for output in &out {
            if let Output::JobReport { job_id, state } = output {
                prop_assert!(!ended.contains(job_id), "{job_id} moved after its end");
                if state.is_final() {
                    ended.push(*job_id);
                }
            }
        }
    }
}
