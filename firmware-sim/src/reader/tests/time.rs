//! Waiting, leaving and coming too late.

use super::*;

#[test]
fn waiting_ends_by_time_cancel_or_any_other_command() {
    let mut bench = Bench::new();
    bench.activate();
    assert_eq!(bench.reader.poll_deadline(), Some(30_000));
    assert_eq!(codes(&bench.wait_to_deadline()), [(0x02, 0x08)]);

    let start = command::contact_start(Money::new(1, "USD".parse().unwrap()), 60, 60).unwrap();
    assert_eq!(codes(&bench.send(&start)), [(0x60, 0x63)]);
    assert_eq!(
        results(&bench.wait_to_deadline()),
        [(0x60, Some(R::Timeout))]
    );

    bench.activate();
    assert_eq!(codes(&bench.send(&command::ping())), [(0x18, 0x00)]);
    assert_eq!(bench.reader.phase(), Phase::Idle);
    assert_eq!(bench.present(Way::Tap, "visa"), []);

    for (stray_answer, expected) in [
        (StrayAnswer::None, vec![(0x05, None)]),
        (
            StrayAnswer::Before,
            vec![(0x02, Some(R::Canceled)), (0x05, None)],
        ),
        (
            StrayAnswer::After,
            vec![(0x05, None), (0x02, Some(R::Canceled))],
        ),
    ] {
        let mut bench = Bench::with(|config| config.quirks.stray_answer = stray_answer);
        bench.activate();
        assert_eq!(results(&bench.send(&command::cancel())), expected);
        assert_eq!(bench.reader.phase(), Phase::Idle);
        assert_eq!(codes(&bench.send(&command::cancel())), [(0x05, 0x00)]);
    }
}

#[test]
fn a_chip_that_nobody_asks_falls_asleep() {
    let mut bench = Bench::new();
    bench.activate();
    bench.present(Way::Insert, "visa");
    assert_eq!(bench.reader.phase(), Phase::ChipReady);
    assert_eq!(bench.reader.poll_deadline(), Some(96_000));
    assert_eq!(bench.wait_to_deadline(), []);
    let command = command::contact_authenticate(Online::Forced, 60);
    assert_eq!(codes(&bench.send(&command)), [(0x60, 0x0B)]);
}

#[test]
fn a_card_can_go_at_any_moment() {
    let slow = |config: &mut ReaderConfig| config.timing = Timing::LIFELIKE;
    let mut bench = Bench::with(slow);
    bench.activate();
    bench.present(Way::Tap, "visa");
    assert_eq!(bench.reader.phase(), Phase::Reading);
    assert_eq!(
        error(&bench.feed(Input::Remove)),
        Some(ContactlessError::CardRemoved)
    );

    bench.activate();
    bench.present(Way::Insert, "visa");
    let gone = [(0x02, Some(R::CardCommunicationError))];
    assert_eq!(results(&bench.feed(Input::Remove)), gone);

    bench.activate();
    bench.present(Way::Insert, "visa");
    bench.wait_to_deadline();
    bench.feed(Input::Remove);
    bench.send(&command::contact_authenticate(Online::Forced, 60));
    assert_eq!(
        results(&bench.wait_to_deadline()),
        [(0x60, Some(R::CardAbsent))]
    );

    for leave_during in [Phase::Authenticating, Phase::Completing] {
        bench.activate();
        bench.present(Way::Insert, "visa");
        bench.wait_to_deadline();
        bench.send(&command::contact_authenticate(Online::Forced, 60));
        if leave_during == Phase::Completing {
            bench.wait_to_deadline();
            bench.apply(*b"00");
        }
        assert_eq!(bench.reader.phase(), leave_during);
        let gone = [(0x60, Some(R::CardCommunicationError))];
        assert_eq!(results(&bench.feed(Input::Remove)), gone);
    }
}

#[test]
fn a_late_final_answer_is_overtaken() {
    let mut bench = Bench::new();
    bench.feed(Input::Fault(Fault::Late, Scope::NextFinal));
    bench.activate();
    assert_eq!(bench.present(Way::Tap, "visa"), []);
    assert_eq!(codes(&bench.send(&command::cancel())), [(0x05, 0x00)]);
    assert_eq!(codes(&bench.wait_to_deadline()), [(0x02, 0x23)]);
}

#[test]
fn a_detected_card_is_announced_during_activation() {
    let mut bench = Bench::with(|config| config.quirks.interface_events = true);
    bench.activate();
    let responses = bench.present(Way::Tap, "visa");
    assert_eq!(codes(&responses), [(0x02, 0x0E), (0x02, 0x23)]);
    assert_eq!(responses[0].data(), [1]);
}
