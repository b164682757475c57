//! The reader is lost after an approval has gone to the chip.

use super::*;
use protocol::reader::outcome::CardRead;
use protocol::reader::tlv::Form;

const LAST_RESULT: (u8, u8) = (0x60, 0x13);

/// A chip that was told an approval.
fn completing() -> Bench {
    let mut bench = Bench::waiting_for_host();
    bench.host_answers(true, *b"00", "");
    bench.hear_vector(CHIP, 7);
    assert_eq!(bench.take_commands(), [(0x60, 0x12)]);
    bench
}

fn lose(bench: &mut Bench, how: ReaderFault) {
    match how {
        ReaderFault::PortClosed => bench.feed(Input::PortClosed),
        _ => bench.hear(0x14, 0x00, &[]),
    }
    let lost = Event::Progress(Progress::ReaderLost);
    assert_eq!(bench.take_events(), [lost]);
    assert!(bench.conversation.is_busy());
}

/// Comes back and asks; what a former command would still say is not asked for first.
fn ask(bench: &mut Bench, how: ReaderFault) {
    if how == ReaderFault::PortClosed {
        bench.feed(Input::PortOpened);
    }
    assert_eq!(bench.take_commands(), [PING]);
    bench.hear(0x18, 0x00, &[]);
    assert_eq!(bench.take_commands(), [LAST_RESULT]);
}

/// The three values that identify the transaction of the vector.
fn identity() -> [(u32, Vec<u8>); 3] {
    let data = ResponseDecoder::default()
        .decode(&vector(CHIP, 5))
        .remove(0)
        .into_data();
    let read = CardRead::parse(&data).unwrap();
    [0x9F02, 0x9F36, 0x9F37].map(|tag| (tag, read.find(tag, Form::Clear).unwrap().to_vec()))
}

fn result(code: u16, identity: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let writer = TlvWriter::after(&[0xE0]).clear(0x00DF_EE25, &code.to_be_bytes());
    identity
        .iter()
        .fold(writer, |writer, (tag, value)| writer.clear(*tag, value))
        .finish()
}

const LOSSES: [ReaderFault; 2] = [ReaderFault::PortClosed, ReaderFault::Restarted];

#[test]
fn the_last_word_is_taken_when_it_is_this_transactions() {
    for how in LOSSES {
        for (code, expected) in [
            (0x0002, "ChipFinal(true)"),
            (0x0003, "ChipFinal(false)"),
            (0x00FF, "ChipFinal(false)"),
            (0x5025, "Ended(CardRemoved)"),
            (0x0000, "Ended(OfflineNotAllowed)"),
        ] {
            let mut bench = completing();
            lose(&mut bench, how);
            ask(&mut bench, how);
            bench.hear(0x60, 0x00, &result(code, &identity()));
            let events = format!("{:?}", bench.take_events());
            assert!(events.contains(expected), "{code:04X}: {events}");
            assert!(events.contains("NotReady("), "{events}");
            assert!(!bench.conversation.is_busy());
            // The rest of the setup follows.
            bench.assert_set_up_again();
        }
    }
}

#[test]
fn what_is_not_provably_this_transactions_ends_without_the_chips_word() {
    for (status, data) in [
        (0x60, vec![]),
        (0x02, vec![]),
        (0x03, vec![]),
        (0x0B, vec![]),
        (0x00, {
            let mut other = identity();
            other[0].1[5] ^= 1;
            result(2, &other)
        }),
        (0x00, {
            let mut other = identity();
            other[1].1[1] ^= 1;
            result(2, &other)
        }),
        (0x00, {
            let mut other = identity();
            other[2].1[0] ^= 1;
            result(2, &other)
        }),
    ] {
        for how in LOSSES {
            let mut bench = completing();
            lose(&mut bench, how);
            ask(&mut bench, how);
            bench.hear(0x60, status, &data);
            assert_eq!(bench.ended(), fault(how), "{status:02X}");
            assert!(!bench.conversation.is_busy());
        }
    }
}

#[test]
fn what_is_not_final_or_incomplete_is_asked_for_again_until_the_time_is_up() {
    for data in [
        result(4, &identity()),
        result(2, &identity()[..2]),
        result(2, &identity()[1..]),
        result(2, &[]),
    ] {
        let mut bench = completing();
        lose(&mut bench, ReaderFault::Restarted);
        ask(&mut bench, ReaderFault::Restarted);
        let mut asked = 0;
        let ended = loop {
            bench.hear(0x60, 0x00, &data);
            assert_eq!(bench.take_events(), []);
            bench.wait_to_deadline();
            if let Some(reason) = bench.ended() {
                break reason;
            }
            asked += 1;
            assert_eq!(bench.take_commands(), [LAST_RESULT]);
        };
        assert_eq!(Some(ended), fault(ReaderFault::Restarted));
        assert_eq!((bench.now_ms, asked), (30_000, 59));
    }
    // It becomes final meanwhile.
    let mut bench = completing();
    lose(&mut bench, ReaderFault::PortClosed);
    ask(&mut bench, ReaderFault::PortClosed);
    bench.hear(0x60, 0x00, &result(4, &identity()));
    bench.wait_to_deadline();
    assert_eq!(bench.take_commands(), [LAST_RESULT]);
    bench.hear(0x60, 0x63, &[]);
    bench.hear(0x60, 0x00, &result(2, &identity()));
    let events = format!("{:?}", bench.take_events());
    assert!(events.starts_with("[ChipFinal(true)"), "{events}");
}

#[test]
fn a_reader_that_does_not_come_back_in_time_ends_the_transaction() {
    let mut bench = completing();
    lose(&mut bench, ReaderFault::PortClosed);
    bench.start();
    assert_eq!(bench.take_events(), [Event::Busy]);
    bench.feed(Input::Request(Request::Cancel));
    assert_eq!(bench.take_events(), []);
    bench.wait_to_deadline();
    assert_eq!(bench.now_ms, 30_000);
    let reason = NotReadyReason::PortClosed;
    let ended = Event::Ended(EndReason::ReaderFault(ReaderFault::PortClosed));
    assert_eq!(bench.take_events(), [ended, Event::NotReady { reason }]);
    bench.feed(Input::PortOpened);
    assert_eq!(bench.take_commands(), [PING]);

    // Mute after it came back.
    let mut bench = completing();
    lose(&mut bench, ReaderFault::Restarted);
    while bench.conversation.is_busy() {
        bench.wait_to_deadline();
    }
    assert_eq!(bench.now_ms, 30_000);
    assert_eq!(bench.ended(), fault(ReaderFault::Restarted));
}

#[test]
fn a_second_loss_changes_nothing() {
    let mut bench = completing();
    lose(&mut bench, ReaderFault::Restarted);
    bench.feed(Input::PortClosed);
    bench.feed(Input::PortOpened);
    bench.hear(0x14, 0x00, &[]);
    assert_eq!(bench.take_events(), []);
    bench.hear(0x18, 0x00, &[]);
    bench.hear(0x60, 0x00, &result(2, &identity()));
    let events = format!("{:?}", bench.take_events());
    assert!(events.starts_with("[ChipFinal(true)"), "{events}");
}

#[test]
fn nothing_is_asked_when_no_approval_went_to_the_chip_or_it_is_switched_off() {
    let declined = || {
        let mut bench = Bench::waiting_for_host();
        bench.host_answers(false, *b"05", "");
        bench
    };
    let switched_off = || {
        let mut bench = completing();
        bench.conversation.config.switches.asks_last_result = false;
        bench
    };
    for mut bench in [Bench::waiting_for_host(), declined(), switched_off()] {
        bench.take_commands();
        bench.take_events();
        bench.feed(Input::PortClosed);
        assert_eq!(bench.ended(), fault(ReaderFault::PortClosed));
        bench.feed(Input::PortOpened);
        bench.take_commands();
        bench.hear(0x18, 0x00, &[]);
        assert_eq!(bench.take_commands(), [CANCEL]);
    }
}
