//! Opening a port, and a printer that is idle.

use super::*;

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
