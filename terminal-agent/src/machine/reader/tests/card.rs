//! A card until its data is given out: retries, cancels, copies.

use super::*;

#[test]
fn a_tap_gives_card_data_and_ends_the_readers_part() {
    let mut bench = Bench::started();
    bench.hear(0x02, 0x0E, &[1]);
    bench.hear_vector(TAP, 1);
    let events = bench.take_events();
    let [
        Event::Progress(Progress::CardDetected),
        Event::CardData {
            response_data,
            entry: Entry::Contactless,
            needs_host_answer: false,
        },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!(response_data[0], 0xE1);
    assert_eq!(bench.take_commands(), []);
    assert!(!bench.conversation.is_busy());
    bench.host_answers(true, *b"00", "");
    assert_eq!(bench.commands[0].data(), [0x04, 0x01, 0xFF, 0x00]);
    bench.start();
    assert_eq!(bench.take_commands(), [(0x01, 0x02)]);
    bench.hear(0x01, 0x00, &[]);
    assert_eq!(bench.take_commands(), [ACTIVATE]);
}

#[test]
fn a_swipe_is_card_data() {
    let mut bench = Bench::started();
    bench.hear_vector(SWIPE, 1);
    let events = format!("{:?}", bench.take_events());
    assert_eq!(events, "[CardData(Swipe)]");
}

#[test]
fn clear_card_data_is_dropped() {
    for data in [
        "210000",
        "E15A084761739001010010",
        "E8DFEE250200115713",
        "68DFEE25020011DFEE2300",
    ] {
        let mut bench = Bench::started();
        let status = if data.starts_with("E8") || data.starts_with("68") {
            0x00
        } else {
            0x23
        };
        bench.hear(0x02, status, &hex::decode(data).unwrap());
        let events = bench.take_events();
        assert!(
            matches!(
                events.first(),
                Some(Event::Ended(EndReason::ReaderFault(_)))
            ),
            "{data}: {events:?}"
        );
    }
}

#[test]
fn contactless_errors_lead_where_they_should() {
    use ContactlessError as E;
    for error in [
        E::UseOtherInterface,
        E::UseContact,
        E::UseMagstripe,
        E::AmountOverLimit,
    ] {
        let mut bench = Bench::started();
        bench.hear_error(error);
        assert_eq!(bench.take_commands(), [INSERT], "{error:?}");
        assert_eq!(
            bench.take_events(),
            [Event::Progress(Progress::InsertOrSwipe)]
        );
        bench.hear(0x60, 0x63, &[]);
        bench.feed(Input::Bytes(&vector(CHIP, 2)));
        assert_eq!(bench.take_commands(), [AUTHENTICATE]);
    }
    for (error, shown) in [
        (E::TwoCards, Progress::OneCardOnly),
        (E::CardCommunication, Progress::TryAgain),
        (E::CardRemoved, Progress::TryAgain),
    ] {
        let mut bench = Bench::started();
        bench.hear_error(error);
        assert_eq!(bench.take_events(), [Event::Progress(shown)]);
        assert_eq!(bench.take_commands(), []);
        bench.wait_to_deadline();
        assert_eq!(bench.commands[0].data()[0], 29);
        assert_eq!(bench.take_commands(), [ACTIVATE]);
    }
    for (error, reason) in [
        (E::CardBlocked, EndReason::CardBlocked),
        (E::CardExpired, EndReason::CardExpired),
        (E::CardDeclined, EndReason::CardDeclined),
        (E::Unknown(0x99), EndReason::CardError),
    ] {
        let mut bench = Bench::started();
        bench.hear_error(error);
        assert_eq!(bench.ended(), Some(reason));
        assert!(!bench.conversation.is_busy());
    }
}

#[test]
fn retries_are_bounded_by_count_and_by_time() {
    let mut bench = Bench::started();
    let mut retries = 0;
    let reason = loop {
        bench.hear_error(ContactlessError::TwoCards);
        if let Some(reason) = bench.ended() {
            break reason;
        }
        retries += 1;
        bench.wait_to_deadline();
    };
    assert_eq!((retries, reason), (8, EndReason::TwoCards));
    let mut bench = Bench::started();
    bench.now_ms += 29_500;
    bench.hear_error(ContactlessError::CardRemoved);
    assert_eq!(bench.ended(), Some(EndReason::Timeout));
}

#[test]
fn cancel_waits_for_its_answer_and_tolerates_strays() {
    for stray in [None, Some(R::Canceled), Some(R::StartSucceeded)] {
        let mut bench = Bench::started();
        bench.feed(Input::Request(Request::Cancel));
        assert_eq!(bench.take_commands(), [CANCEL]);
        if let Some(result) = stray {
            bench.hear_result(0x02, result);
        }
        assert_eq!(bench.ended(), None);
        bench.start();
        assert_eq!(bench.take_events(), [Event::Busy]);
        bench.hear(0x05, 0x00, &[]);
        assert_eq!(bench.ended(), Some(EndReason::Canceled));
        if let Some(result) = stray {
            bench.hear_result(0x02, result);
        }
        assert_eq!((bench.ended(), bench.take_commands()), (None, vec![]));
    }
    let mut bench = Bench::started();
    bench.feed(Input::Request(Request::Cancel));
    for _ in 0..3 {
        assert_eq!(bench.take_commands(), [CANCEL]);
        bench.wait_to_deadline();
    }
    assert_eq!(bench.ended(), Some(EndReason::Canceled));
    assert_eq!(bench.take_commands(), [PING]);
}

#[test]
fn cancel_of_nothing_is_nothing_and_of_a_pause_is_at_once() {
    let mut bench = Bench::ready();
    bench.feed(Input::Request(Request::Cancel));
    assert_eq!((bench.ended(), bench.take_commands()), (None, vec![]));
    let mut bench = Bench::started();
    bench.hear_error(ContactlessError::TwoCards);
    bench.take_events();
    bench.feed(Input::Request(Request::Cancel));
    assert_eq!(bench.ended(), Some(EndReason::Canceled));
    assert_eq!(bench.take_commands(), []);
}

#[test]
fn a_late_copy_of_the_last_card_pays_nothing() {
    let mut bench = Bench::started();
    bench.hear_vector(TAP, 1);
    assert_eq!(bench.take_events().len(), 1);
    bench.start();
    assert_eq!(
        bench.take_events(),
        [Event::Progress(Progress::PresentCard)]
    );
    bench.hear_vector(TAP, 1);
    assert_eq!(bench.take_events(), []);
    assert!(bench.conversation.is_busy(), "a card is still waited for");
}

/// The line may have held it back while another card was read.
#[test]
fn a_late_copy_of_an_earlier_card_pays_nothing() {
    let mut bench = Bench::started();
    bench.hear_vector(TAP, 1);
    bench.start();
    bench.hear_vector(SWIPE, 1);
    bench.start();
    bench.take_events();
    bench.hear_vector(TAP, 1);
    bench.hear_vector(SWIPE, 1);
    assert_eq!(bench.take_events(), []);
    assert!(bench.conversation.is_busy(), "a card is still waited for");
}

#[test]
fn an_answer_about_another_amount_is_not_this_transactions() {
    let mut bench = Bench::ready();
    bench.feed(Input::Request(Request::Start(Start {
        amount: Money::new(1235, "EUR".parse().unwrap()),
        timeout_ms: 30_000,
        interfaces: Interfaces::ALL,
        prompt: None,
    })));
    bench.take_events();
    bench.hear_vector(TAP, 1);
    assert_eq!(bench.take_events(), []);
    assert!(bench.conversation.is_busy());
}

#[test]
fn an_amount_that_does_not_fit_is_refused() {
    let mut bench = Bench::ready();
    bench.feed(Input::Request(Request::Start(Start {
        amount: Money::new(-1, "EUR".parse().unwrap()),
        timeout_ms: 30_000,
        interfaces: Interfaces::ALL,
        prompt: None,
    })));
    assert_eq!(bench.ended(), Some(EndReason::AmountRefused));
    assert!(!bench.conversation.is_busy());
}

#[test]
fn debug_output_shows_no_card_data() {
    let mut conversation = ReaderConversation::new(ReaderConversationConfig::standard());
    let mut out = Vec::new();
    conversation.handle(0, Input::PortOpened, &mut out);
    out.push(Output::Event(Event::CardData {
        response_data: b"4761739001010010".to_vec(),
        entry: Entry::Swipe,
        needs_host_answer: false,
    }));
    let text = format!("{conversation:?} {out:?} {:?}", Input::Bytes(b"4761"));
    assert!(
        !text.contains("47, 61") && !text.contains("52, 55"),
        "{text}"
    );
}

/// A swipe of the vectors with another masked track, entry mode and result.
fn swipe(service_code: &str, entry_mode: u8, result: Option<R>) -> Vec<u8> {
    use protocol::reader::swipe::seal;
    let track = format!(";4761********0010=2812{service_code}*******?");
    let length = u8::try_from(track.len()).unwrap();
    let mut data = vec![0x80, 0x02, 0, length, 0, 0x02, 0x02];
    data.extend(track.as_bytes());
    data.extend(vec![9; track.len().next_multiple_of(8)]);
    let mut writer = TlvWriter::after(&[0xE8]);
    if let Some(result) = result {
        writer = writer.clear(0x00DF_EE25, &result.code().to_be_bytes());
    }
    writer
        .clear(0x00DF_EE23, &seal(&data).unwrap())
        .clear(0x9F39, &[entry_mode])
        .finish()
}

#[test]
fn a_stripe_takes_the_place_of_a_chip_only_when_the_reader_says_so() {
    for (service_code, entry_mode, result, is_taken) in [
        ("101", 0x90, Some(R::Swiped), true),
        ("***", 0x90, Some(R::Swiped), true),
        ("201", 0x90, Some(R::Swiped), false),
        ("601", 0x90, Some(R::Swiped), false),
        ("201", 0x80, Some(R::FallBackToMagstripe), true),
        ("201", 0x80, None, true),
        ("201", 0x90, None, false),
        ("101", 0x90, None, true),
        ("201", 0x90, Some(R::FallBackToMagstripe), false),
        ("201", 0x77, Some(R::FallBackToMagstripe), true),
        ("201", 0x77, Some(R::Swiped), false),
    ] {
        let what = format!("{service_code} {entry_mode:02X} {result:?}");
        let mut bench = Bench::started();
        bench.hear(0x02, 0x00, &swipe(service_code, entry_mode, result));
        if is_taken {
            let events = format!("{:?}", bench.take_events());
            assert_eq!(events, "[CardData(Swipe)]", "{what}");
        } else {
            let shown = [Event::Progress(Progress::UseChip)];
            assert_eq!(bench.take_events(), shown, "{what}");
            bench.wait_to_deadline();
            assert_eq!(bench.take_commands(), [ACTIVATE], "{what}");
        }
    }
}

#[test]
fn the_slot_stays_open_however_often_a_chip_fails() {
    let mut bench = Bench::started();
    for result in [R::NoMatchingApplication, R::TagParse, R::FallbackSituation] {
        bench.hear_result(0x02, result);
        let shown = if result == R::FallbackSituation {
            Progress::Swipe
        } else {
            Progress::InsertOrSwipe
        };
        assert_eq!(bench.take_events(), [Event::Progress(shown)]);
        bench.wait_to_deadline();
        let sent = bench.commands.pop().unwrap();
        let interfaces = protocol::reader::tlv::find(
            &sent.data()[1..],
            0x00DF_EF37,
            protocol::reader::tlv::Form::Clear,
        );
        assert_eq!(interfaces, Some([0x07].as_slice()));
        bench.take_events();
    }
}

#[test]
fn insertion_can_be_asked_for_with_both_commands() {
    let mut bench = Bench::started();
    bench.conversation.config.switches.inserts_by_activation = true;
    bench.hear_error(ContactlessError::UseOtherInterface);
    let sent = bench.commands.pop().unwrap();
    assert_eq!((sent.cmd(), sent.sub()), ACTIVATE);
    let interfaces = protocol::reader::tlv::find(
        &sent.data()[1..],
        0x00DF_EF37,
        protocol::reader::tlv::Form::Clear,
    );
    assert_eq!(interfaces, Some([0x05].as_slice()));
    bench.hear_vector(CHIP, 2);
    assert_eq!(bench.take_commands(), [AUTHENTICATE]);
}

#[test]
fn cards_that_nobody_asked_for_are_not_read() {
    let mut bench = Bench::ready();
    let mut burst = vec![0x01, 0x00, 0x0A];
    burst.extend(b"%B4761********0010^^?;4761********0010=?\x12\x34");
    bench.feed(Input::Bytes(&burst));
    bench.hear(0x02, 0x23, &hex::decode("E100").unwrap());
    assert_eq!(
        (bench.take_events(), bench.take_commands()),
        (vec![], vec![])
    );
    let mut bench = Bench::started();
    bench.feed(Input::Bytes(&burst));
    assert_eq!(bench.take_events(), []);
    bench.hear_vector(TAP, 1);
    assert_eq!(bench.take_events().len(), 1);
}
