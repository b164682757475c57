//! Pauses: XOFF, a wire that is busy, a port that does not take its bytes.

use super::*;

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
