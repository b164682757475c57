//! What leaves a job unknown, and the one repetition that a configuration may allow.

use super::*;

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
fn silence_after_bytes_is_unknown_and_an_old_confirmation_proves_nothing() {
    let mut bench = Bench::printing();
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
fn a_lost_port_is_unknown_only_for_what_was_sent() {
    let mut bench = Bench::printing();
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
fn what_breaks_within_a_job_leaves_it_unknown_at_once() {
    let mut bench = Bench::printing();
    assert_eq!(bench.answer(&[0x18, 0x20, 0, 0]), [JobState::Unknown]);
    assert_eq!(bench.machine.trouble(), Some(Trouble::Unrecoverable));
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
    bench.job_with_drawer(1);
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
