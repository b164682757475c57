//! Initialisation, and readers that cannot be used.

use super::*;

#[test]
fn setup_follows_the_documented_order() {
    let mut bench = Bench::unopened();
    bench.feed(Input::PortOpened);
    let mut order = Vec::new();
    while let Some(command) = bench.commands.pop() {
        order.push((command.cmd(), command.sub()));
        assert_eq!(bench.commands.len(), 0);
        let data: &[u8] = if command.cmd() == 0xC7 { &[3] } else { &[] };
        bench.hear(command.cmd(), 0x00, data);
    }
    let expected = [
        PING,
        // Whatever a former run of the agent has left behind ends first.
        (0x05, 0x01),
        (0x29, 0x00),
        (0x12, 0x01),
        // Burst mode, then the rules of fallback.
        (0x04, 0x00),
        (0x04, 0x00),
        (0x01, 0x01),
        (0xC7, 0x37),
        (0x01, 0x02),
    ];
    assert_eq!(order, expected);
}

#[test]
fn a_reader_that_does_not_encrypt_is_not_used() {
    for (status, data) in [
        (0x00, vec![0]),
        (0x00, vec![1]),
        (0x0B, vec![]),
        (0x02, vec![]),
    ] {
        let mut bench = Bench::unopened();
        bench.feed(Input::PortOpened);
        for cmd in [0x18, 0x05, 0x29, 0x12, 0x04, 0x04, 0x01] {
            bench.hear(cmd, 0x00, &[]);
        }
        bench.hear(0xC7, status, &data);
        let reason = NotReadyReason::EncryptionOff;
        assert_eq!(bench.take_events(), [Event::NotReady { reason }]);
        bench.start();
        assert_eq!(bench.ended(), Some(EndReason::NotReady));
        bench.take_commands();
        bench.wait_to_deadline();
        assert_eq!(bench.take_commands(), [PING]);
        bench.hear(0x18, 0x00, &[]);
    }
}

#[test]
fn a_mute_reader_is_asked_three_times_and_then_again_later() {
    let mut bench = Bench::unopened();
    bench.feed(Input::PortOpened);
    for _ in 0..3 {
        assert_eq!(bench.take_commands(), [PING]);
        bench.wait_to_deadline();
    }
    let reason = NotReadyReason::NoAnswer;
    assert_eq!(bench.take_events(), [Event::NotReady { reason }]);
    assert_eq!(bench.take_commands(), []);
    bench.wait_to_deadline();
    bench.assert_set_up_again();
}

#[test]
fn a_restart_of_the_reader_ends_everything_and_sets_it_up_again() {
    for prepare in [Bench::started, Bench::waiting_for_host, Bench::ready] {
        let mut bench = prepare();
        let was_busy = bench.conversation.is_busy();
        bench.take_commands();
        bench.hear(0x14, 0x00, &[]);
        let ended = bench.ended();
        assert_eq!(ended, fault(ReaderFault::Restarted).filter(|_| was_busy));
        bench.assert_set_up_again();
    }
}
