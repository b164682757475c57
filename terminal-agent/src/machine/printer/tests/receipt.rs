//! Jobs that nothing keeps from being printed.

use super::*;

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
    bench.job_with_drawer(1);
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
    bench.job_with_drawer(1);
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

#[test]
fn noise_on_the_line_ends_no_job() {
    let mut bench = Bench::printing();
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
