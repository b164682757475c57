//! Answers that do not come, or come broken.

use super::*;
use proptest::prelude::*;

#[test]
fn a_reader_that_falls_silent_ends_the_transaction_in_bounded_time() {
    let mut bench = Bench::started();
    bench.wait_to_deadline();
    assert_eq!(bench.now_ms, 40_000);
    assert_eq!(bench.ended(), fault(ReaderFault::NoAnswer));
    assert_eq!(bench.take_commands(), [PING]);

    let mut bench = Bench::started();
    bench.hear_vector(CHIP, 2);
    bench.wait_to_deadline();
    assert_eq!(bench.now_ms, 2_000);
    assert_eq!(bench.ended(), fault(ReaderFault::NoAnswer));

    let mut bench = Bench::waiting_for_host();
    bench.host_answers(true, *b"00", "");
    bench.hear_vector(CHIP, 7);
    bench.wait_to_deadline();
    assert_eq!(bench.now_ms, 20_000);
    assert_eq!(bench.ended(), None);
    while bench.conversation.is_busy() {
        bench.wait_to_deadline();
    }
    assert_eq!(bench.now_ms, 50_000);
    assert_eq!(bench.ended(), fault(ReaderFault::NoAnswer));
}

#[test]
fn garbled_late_and_repeated_answers_are_tolerated() {
    let mut bench = Bench::started();
    let mut garbled = vector(TAP, 1);
    *garbled.last_mut().unwrap() ^= 1;
    bench.feed(Input::Bytes(&garbled));
    bench.hear(0x45, 0x55, &[3, 0, 0, 0]);
    bench.hear(0x60, 0x00, &[]);
    bench.feed(Input::Bytes(&vector(TAP, 1)[..40]));
    assert_eq!(bench.take_events(), []);
    bench.wait_to_deadline();
    assert_eq!(bench.now_ms, 250);
    for byte in vector(TAP, 1) {
        bench.feed(Input::Bytes(&[byte]));
    }
    assert_eq!(bench.take_events().len(), 1);
    bench.hear_vector(TAP, 1);
    assert_eq!(bench.take_events(), []);

    let mut bench = Bench::started();
    bench.hear_vector(CHIP, 2);
    bench.feed(Input::Bytes(&vector(CHIP, 2)));
    bench.hear_vector(CHIP, 5);
    bench.hear_vector(CHIP, 5);
    assert_eq!(bench.take_events().len(), 2);
    bench.host_answers(true, *b"00", "");
    bench.hear_vector(CHIP, 5);
    assert_eq!(bench.take_events(), []);
    bench.hear_vector(CHIP, 8);
    bench.hear_vector(CHIP, 8);
    assert_eq!(bench.take_events().len(), 2);
}

#[test]
fn a_damaged_command_is_sent_again_and_a_refused_one_is_a_fault() {
    let mut bench = Bench::started();
    for _ in 0..2 {
        bench.hear(0x02, 0x04, &[]);
        assert_eq!(bench.take_commands(), [ACTIVATE]);
    }
    bench.hear(0x02, 0x04, &[]);
    assert_eq!(bench.ended(), fault(ReaderFault::NoAnswer));
    let mut bench = Bench::started();
    bench.hear(0x02, 0x0B, &[]);
    assert_eq!(bench.ended(), fault(ReaderFault::Refused { status: 0x0B }));
}

#[test]
fn a_closed_port_ends_everything() {
    let mut bench = Bench::waiting_for_host();
    bench.feed(Input::PortClosed);
    let reason = NotReadyReason::PortClosed;
    let ended = Event::Ended(EndReason::ReaderFault(ReaderFault::PortClosed));
    assert_eq!(bench.take_events(), [ended, Event::NotReady { reason }]);
    bench.feed(Input::PortClosed);
    bench.feed(Input::Bytes(&vector(TAP, 1)));
    assert_eq!(
        (bench.take_events(), bench.take_commands()),
        (vec![], vec![])
    );
    assert_eq!(bench.conversation.poll_deadline(), None);
}

proptest! {
    #[test]
    fn whatever_comes_the_machine_stays_bounded_and_each_start_ends_once(
        steps in prop::collection::vec(
            (0u8..14, 0u8..0x70, prop::collection::vec(any::<u8>(), 0..20), 0u64..3_000),
            0..60,
        )
    ) {
        let mut bench = Bench::ready();
        let mut starts = 0usize;
        let mut ends = 0usize;
        for (kind, status, data, pause_ms) in steps {
            bench.now_ms += pause_ms;
            match kind {
                0 => { bench.start(); starts += 1; }
                1 => bench.feed(Input::Request(Request::Cancel)),
                2 => bench.host_answers(status.is_multiple_of(2), *b"00", ""),
                3 => bench.hear_vector(CHIP, 2),
                4 => bench.hear_vector(CHIP, 5),
                5 => bench.hear_vector(CHIP, 8),
                6 => bench.hear_vector(TAP, 1),
                7 => bench.hear(0x02, status, &data),
                8 => bench.hear(0x60, status, &data),
                9 => bench.feed(Input::Bytes(&data)),
                10 => bench.feed(Input::PortClosed),
                11 => bench.feed(Input::PortOpened),
                12 => bench.hear(0x14, 0x00, &[]),
                _ => bench.set_up(),
            }
            bench.feed(Input::Deadline);
            for event in bench.take_events() {
                match event {
                    Event::Ended(_) | Event::ChipFinal { .. } | Event::Busy => ends += 1,
                    Event::CardData { needs_host_answer: false, .. } => ends += 1,
                    _ => {}
                }
            }
            prop_assert!(ends <= starts);
        }
        for _ in 0..200 {
            if bench.conversation.poll_deadline().is_some() {
                bench.wait_to_deadline();
            }
        }
        for event in bench.take_events() {
            match event {
                Event::Ended(_) | Event::ChipFinal { .. } | Event::Busy => ends += 1,
                _ => {}
            }
        }
        prop_assert_eq!(ends, starts);
    }
}
