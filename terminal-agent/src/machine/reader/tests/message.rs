//! What the reader's own display is told, and when.

use super::*;

const SHOW: (u8, u8) = (0x01, 0x02);

fn showing() -> Bench {
    let config = ReaderConversationConfig::standard();
    let mut bench = Bench::with(config).brought_up();
    bench.start();
    assert_eq!(bench.take_commands(), [ACTIVATE]);
    bench.take_events();
    bench
}

/// The messages sent, each answered at once.
fn messages(bench: &mut Bench) -> Vec<u8> {
    let mut shown = Vec::new();
    loop {
        let found = bench
            .commands
            .iter()
            .position(|command| (command.cmd(), command.sub()) == SHOW);
        let Some(place) = found else {
            return shown;
        };
        shown.push(bench.commands.remove(place).data()[0]);
        bench.hear(0x01, 0x00, &[]);
    }
}

#[test]
fn a_message_follows_each_step_that_leaves_the_reader_idle() {
    let mut bench = showing();
    bench.hear_vector(TAP, 1);
    assert_eq!(messages(&mut bench), [3]);
    bench.host_answers(true, *b"00", "");
    assert_eq!(messages(&mut bench), [4]);

    let mut bench = showing();
    bench.hear_vector(TAP, 1);
    bench.host_answers(false, *b"05", "");
    assert_eq!(messages(&mut bench), [3, 5]);

    let mut bench = showing();
    bench.hear(0x02, 0x08, &[]);
    assert_eq!(messages(&mut bench), [2]);

    let mut bench = showing();
    bench.feed(Input::Request(Request::Cancel));
    bench.hear(0x05, 0x00, &[]);
    assert_eq!(messages(&mut bench), [2]);

    let mut bench = showing();
    bench.hear_error(ContactlessError::CardBlocked);
    assert_eq!(messages(&mut bench), [5]);
}

#[test]
fn a_retry_says_what_to_do_and_waits_for_the_display() {
    for (error, message) in [
        (ContactlessError::TwoCards, 10),
        (ContactlessError::CardRemoved, 9),
    ] {
        let mut bench = showing();
        bench.hear_error(error);
        assert_eq!(messages(&mut bench), [message]);
        assert_eq!(bench.take_commands(), []);
        bench.wait_to_deadline();
        assert_eq!(bench.take_commands(), [ACTIVATE]);
    }
    for is_answered in [true, false] {
        let mut bench = showing();
        bench.hear_error(ContactlessError::UseOtherInterface);
        assert_eq!(bench.commands[0].data()[0], 8);
        assert_eq!(bench.take_commands(), [SHOW]);
        if is_answered {
            bench.hear(0x01, 0x00, &[]);
        } else {
            bench.wait_to_deadline();
        }
        assert_eq!(bench.take_commands(), [INSERT]);
    }
}

/// What asks for the card puts its own words on the display.
#[test]
fn what_to_do_differently_is_shown_before_the_card_is_asked_for() {
    let start = Start {
        amount: Money::new(1234, "EUR".parse().unwrap()),
        timeout_ms: 30_000,
        interfaces: Interfaces::ALL,
        prompt: Some(Progress::UseChip),
    };
    let mut bench = showing();
    bench.hear(0x02, 0x08, &[]);
    assert_eq!(messages(&mut bench), [2]);
    bench.take_events();
    bench.feed(Input::Request(Request::Start(start)));
    assert_eq!(bench.commands[0].data()[0], 8);
    assert_eq!(bench.take_commands(), [SHOW]);
    assert_eq!(bench.take_events(), [Event::Progress(Progress::UseChip)]);
    bench.hear(0x01, 0x00, &[]);
    assert_eq!(bench.take_commands(), []);
    bench.wait_to_deadline();
    assert_eq!(bench.take_commands(), [ACTIVATE]);
    bench.hear_vector(TAP, 1);
    assert_eq!(messages(&mut bench), [3]);

    // Canceled before the reader was asked for anything.
    bench.take_events();
    bench.feed(Input::Request(Request::Start(start)));
    bench.take_commands();
    bench.feed(Input::Request(Request::Cancel));
    assert_eq!(bench.ended(), Some(EndReason::Canceled));
    assert_eq!(bench.take_commands(), []);

    // A reader that is not to show anything is asked at once.
    let mut bench = Bench::ready();
    bench.feed(Input::Request(Request::Start(start)));
    assert_eq!(bench.take_commands(), [ACTIVATE]);
}

/// Any command but a cancel would be taken for one.
#[test]
fn nothing_is_shown_while_the_reader_works_for_a_transaction() {
    let mut bench = showing();
    bench.hear(0x02, 0x0E, &[1]);
    bench.hear_vector(CHIP, 2);
    assert_eq!(bench.take_commands(), [AUTHENTICATE]);
    bench.hear_vector(CHIP, 4);
    bench.hear_vector(CHIP, 5);
    assert_eq!(bench.take_commands(), []);
    bench.host_answers(true, *b"00", "");
    assert_eq!(bench.take_commands(), [(0x60, 0x12)]);
    bench.hear_vector(CHIP, 7);
    assert_eq!(bench.take_commands(), []);
    bench.hear_vector(CHIP, 8);
    assert_eq!(bench.take_commands(), [(0x2C, 0x18)]);
    bench.hear(0x2C, 0x00, &[]);
    assert_eq!(messages(&mut bench), [4]);
}
