//! A chip after it was powered, up to its last word.

use super::*;

#[test]
fn a_chip_is_made_to_ask_and_told_the_answer() {
    let mut bench = Bench::started();
    bench.hear_vector(CHIP, 2);
    assert_eq!(bench.commands[0].data(), [1, 0, 60]);
    let mut bench = Bench::waiting_for_host();
    assert!(bench.conversation.is_busy());
    bench.host_answers(true, *b"00", "910A11223344556677883030");
    let bytes = bench.commands[0].encode();
    assert_eq!(bytes, vector(CHIP, 6));
    bench.take_commands();
    bench.hear_vector(CHIP, 7);
    bench.feed(Input::Request(Request::Cancel));
    assert_eq!(bench.take_commands(), []);
    bench.hear_vector(CHIP, 8);
    let events = format!("{:?}", bench.take_events());
    assert_eq!(events, "[ChipFinal(true), Progress(RemoveCard)]");
    assert_eq!(bench.take_commands(), [(0x2C, 0x18)]);
    bench.hear(0x2C, 0x00, &[]);
    assert_eq!(bench.take_commands(), [(0x01, 0x02)]);
    bench.hear(0x01, 0x00, &[]);
    assert_eq!(bench.conversation.poll_deadline(), None);
}

#[test]
fn only_issuer_and_chip_together_approve() {
    for (approved, response_code, sent, flow, final_approved) in [
        (true, *b"00", "018A023030", CHIP, true),
        (true, *b"08", "018A023030", CHIP, true),
        (true, *b"00", "018A023030", DECLINED, false),
        (false, *b"05", "018A023035", DECLINED, false),
        (false, *b"51", "018A023035", DECLINED, false),
        // A chip that approves what the issuer declined.
        (false, *b"05", "018A023035", CHIP, false),
    ] {
        let mut bench = Bench::waiting_for_host();
        bench.host_answers(approved, response_code, "");
        assert_eq!(hex::encode_upper(bench.commands[0].data()), sent);
        let last = if flow == CHIP { 8 } else { 2 };
        bench.hear_vector(flow, last);
        let events = bench.take_events();
        let Some(Event::ChipFinal { approved, data }) = events.first() else {
            panic!("{events:?}");
        };
        assert_eq!(*approved, final_approved);
        assert_eq!(data[0], 0xE0);
    }
}

#[test]
fn a_tc_is_needed_when_the_chip_shows_its_cryptogram() {
    for (information, approved) in [(0x40, true), (0x00, false), (0x80, false)] {
        let mut bench = Bench::waiting_for_host();
        bench.host_answers(true, *b"00", "");
        let data = TlvWriter::after(&[0xE0])
            .clear(0x00DF_EE25, &[0, 2])
            .clear(0x9F27, &[information])
            .finish();
        bench.hear(0x60, 0x00, &data);
        let events = format!("{:?}", bench.take_events());
        assert!(
            events.contains(&format!("ChipFinal({approved})")),
            "{events}"
        );
    }
}

#[test]
fn an_unreachable_issuer_is_told_to_the_chip_by_request_or_by_time() {
    for by_request in [true, false] {
        let mut bench = Bench::waiting_for_host();
        if by_request {
            bench.feed(Input::Request(Request::HostUnreachable));
        } else {
            bench.wait_to_deadline();
        }
        assert_eq!(bench.commands[0].encode(), vector(UNREACHABLE, 0));
        bench.hear_vector(UNREACHABLE, 1);
        bench.hear_vector(UNREACHABLE, 2);
        let events = format!("{:?}", bench.take_events());
        assert_eq!(events, "[ChipFinal(false), Progress(RemoveCard)]");
    }
}

#[test]
fn issuer_data_that_is_not_issuer_data_makes_the_chip_decline() {
    for data in ["8A023030", "9102", "5A0147"] {
        let mut bench = Bench::waiting_for_host();
        bench.host_answers(true, *b"00", data);
        assert_eq!(bench.commands[0].data(), [0]);
        bench.hear_vector(CHIP, 8);
        let events = format!("{:?}", bench.take_events());
        assert!(events.starts_with("[ChipFinal(false)"), "{events}");
    }
}

#[test]
fn an_offline_approval_is_never_payment() {
    let mut bench = Bench::started();
    let tapped = ResponseDecoder::default().decode(&vector(TAP, 1)).remove(0);
    bench.hear(0x02, 0x00, tapped.data());
    assert_eq!(bench.ended(), Some(EndReason::OfflineNotAllowed));
    for result in [R::ApprovedOffline, R::Approved] {
        let mut bench = Bench::started();
        bench.hear_vector(CHIP, 2);
        bench.hear_result(0x60, result);
        assert_eq!(bench.ended(), Some(EndReason::OfflineNotAllowed));
        let mut bench = Bench::started();
        bench.hear_result(0x02, result);
        assert_eq!(bench.ended(), Some(EndReason::OfflineNotAllowed));
    }
    let mut bench = Bench::waiting_for_host();
    bench.host_answers(true, *b"00", "");
    bench.hear_result(0x60, R::ApprovedOffline);
    assert_eq!(bench.ended(), Some(EndReason::OfflineNotAllowed));
}

#[test]
fn results_of_the_chip_end_as_they_should() {
    for (result, reason) in [
        (R::Timeout, EndReason::Timeout),
        (R::Canceled, EndReason::Canceled),
        (R::CardBlocked, EndReason::CardBlocked),
        (R::Expired, EndReason::CardExpired),
        (R::DeclinedOffline, EndReason::CardDeclined),
        (R::CardCommunicationError, EndReason::CardRemoved),
        (R::CardAbsent, EndReason::CardRemoved),
        (R::Unknown(0x4242), EndReason::CardError),
    ] {
        let mut bench = Bench::started();
        bench.hear_vector(CHIP, 2);
        bench.hear_result(0x60, result);
        assert_eq!(bench.ended(), Some(reason), "{result:?}");
    }
    for result in [
        R::CardCommunicationError,
        R::CardAbsent,
        R::SmartcardTimeout,
    ] {
        let mut bench = Bench::waiting_for_host();
        bench.host_answers(true, *b"00", "");
        bench.hear_result(0x60, result);
        assert_eq!(bench.ended(), Some(EndReason::CardRemoved));
    }
    for result in [
        R::HostUnreachable,
        R::NoOnlineCommunication,
        R::Unknown(0x4242),
    ] {
        let mut bench = Bench::waiting_for_host();
        bench.host_answers(true, *b"00", "");
        bench.hear_result(0x60, result);
        let events = format!("{:?}", bench.take_events());
        assert!(events.starts_with("[ChipFinal(false)"), "{events}");
    }
}

#[test]
fn a_reader_that_does_not_know_unreachable_is_told_a_decline() {
    let mut bench = Bench::waiting_for_host();
    bench.feed(Input::Request(Request::HostUnreachable));
    assert_eq!(bench.commands.pop().unwrap().data(), [0]);
    bench.hear(0x60, 0x05, &[]);
    let sent = bench.commands.pop().unwrap();
    assert_eq!(hex::encode_upper(sent.data()), "018A023035");
    bench.hear_vector(DECLINED, 2);
    let events = format!("{:?}", bench.take_events());
    assert!(events.starts_with("[ChipFinal(false)"), "{events}");

    // Once only; and never instead of an approval.
    let mut bench = Bench::waiting_for_host();
    bench.feed(Input::Request(Request::HostUnreachable));
    bench.hear(0x60, 0x05, &[]);
    bench.hear(0x60, 0x05, &[]);
    assert_eq!(bench.ended(), fault(ReaderFault::Refused { status: 5 }));
    let mut bench = Bench::waiting_for_host();
    bench.host_answers(true, *b"00", "");
    bench.hear(0x60, 0x05, &[]);
    bench.take_commands();
    bench.hear(0x18, 0x00, &[]);
    assert_eq!(bench.take_commands(), [(0x60, 0x13)]);

    let mut bench = Bench::waiting_for_host();
    bench.conversation.config.switches.declines_when_unreachable = true;
    bench.feed(Input::Request(Request::HostUnreachable));
    let sent = bench.commands.pop().unwrap();
    assert_eq!(hex::encode_upper(sent.data()), "018A023035");
}
