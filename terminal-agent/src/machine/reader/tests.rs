//! The conversation against the vendor's documented frames.

use super::*;
use proptest::prelude::*;
use protocol::reader::frame::{CommandDecoder, Received};
use protocol::reader::outcome::{ContactlessError, TAG_ERROR, TransactionResult as R};
use protocol::reader::tlv::TlvWriter;

const ACTIVATE: (u8, u8) = (0x02, 0x40);
const INSERT: (u8, u8) = (0x60, 0x10);
const AUTHENTICATE: (u8, u8) = (0x60, 0x11);
const CANCEL: (u8, u8) = (0x05, 0x01);
const PING: (u8, u8) = (0x18, 0x01);

/// The machine with a hand on its clock and its cable.
struct Bench {
    conversation: ReaderConversation,
    now_ms: u64,
    commands: Vec<Command>,
    events: Vec<Event>,
}

impl Bench {
    fn unopened() -> Self {
        Self {
            conversation: ReaderConversation::new(ReaderConversationConfig::standard()),
            now_ms: 0,
            commands: Vec::new(),
            events: Vec::new(),
        }
    }

    fn ready() -> Self {
        let mut bench = Self::unopened();
        bench.feed(Input::PortOpened);
        bench.set_up();
        let ready = bench.take_events();
        assert_eq!(format!("{ready:?}"), "[Ready(SIM0000001)]");
        bench
    }

    fn started() -> Self {
        let mut bench = Self::ready();
        bench.start();
        assert_eq!(bench.take_commands(), [ACTIVATE]);
        assert_eq!(
            bench.take_events(),
            [Event::Progress(Progress::PresentCard)]
        );
        bench
    }

    fn waiting_for_host() -> Self {
        let mut bench = Self::started();
        bench.hear_vector(CHIP, 2);
        assert_eq!(bench.take_commands(), [AUTHENTICATE]);
        bench.hear_vector(CHIP, 4);
        bench.hear_vector(CHIP, 5);
        let events = format!("{:?}", bench.take_events());
        assert_eq!(events, "[Progress(CardDetected), CardData(Contact)]");
        bench
    }

    fn feed(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.conversation.handle(self.now_ms, input, &mut out);
        for output in out {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Write(bytes) => {
                    let frames = CommandDecoder::default().decode(&bytes);
                    let [Received::Command(command)] = frames.as_slice() else {
                        panic!("{frames:?}");
                    };
                    self.commands.push(command.clone());
                }
            }
        }
        let deadline = self.conversation.poll_deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now_ms));
    }

    fn hear(&mut self, cmd: u8, status: u8, data: &[u8]) {
        let response = Response::new(cmd, status, data.to_vec()).unwrap();
        self.feed(Input::Bytes(&response.encode()));
    }

    fn hear_result(&mut self, cmd: u8, result: R) {
        let data = TlvWriter::after(&[0xE0]).clear(0x00DF_EE25, &result.code().to_be_bytes());
        self.hear(cmd, 0x00, &data.finish());
    }

    fn hear_error(&mut self, error: ContactlessError) {
        let block = [error.code(), 0, 0, 4];
        let data = TlvWriter::after(&[0xE1]).clear(TAG_ERROR, &block).finish();
        self.hear(0x02, 0x0A, &data);
    }

    /// Plays a response of a documented conversation. The start's answer is given to 02-40 here.
    fn hear_vector(&mut self, flow: &str, step: usize) {
        let mut bytes = vector(flow, step);
        if (flow, step) == (CHIP, 2) {
            let [response] = ResponseDecoder::default()
                .decode(&bytes)
                .try_into()
                .unwrap();
            bytes = Response::new(0x02, 0x00, response.into_data())
                .unwrap()
                .encode();
        }
        self.feed(Input::Bytes(&bytes));
    }

    fn start(&mut self) {
        self.feed(Input::Request(Request::Start(Start {
            amount: Money::new(1234, "EUR".parse().unwrap()),
            timeout_ms: 30_000,
            interfaces: Interfaces::ALL,
        })));
    }

    fn host_answers(&mut self, approved: bool, response_code: [u8; 2], issuer_data: &str) {
        self.feed(Input::Request(Request::HostAnswer {
            approved,
            response_code,
            issuer_data: hex::decode(issuer_data).unwrap(),
        }));
    }

    fn wait_to_deadline(&mut self) {
        self.now_ms = self.conversation.poll_deadline().unwrap();
        self.feed(Input::Deadline);
    }

    /// Answers the setup as the reader of the vectors would.
    fn set_up(&mut self) {
        while let Some(command) = self.commands.pop() {
            let data: &[u8] = match command.cmd() {
                0x29 => b"NEO2 SIM v1.00",
                0x12 => b"SIM0000001\0\0\0\0\0",
                0xC7 => &[3],
                _ => &[],
            };
            self.hear(command.cmd(), 0x00, data);
        }
    }

    fn take_commands(&mut self) -> Vec<(u8, u8)> {
        let commands = std::mem::take(&mut self.commands);
        commands.iter().map(|c| (c.cmd(), c.sub())).collect()
    }

    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn ended(&mut self) -> Option<EndReason> {
        let ends: Vec<_> = self
            .take_events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Ended(reason) => Some(reason),
                _ => None,
            })
            .collect();
        assert!(ends.len() <= 1, "{ends:?}");
        ends.first().copied()
    }
}

const CHIP: &str = "contact chip, online, approved";
const TAP: &str = "contactless EMV, request online";
const SWIPE: &str = "magstripe fallback after chip failures";
const DECLINED: &str = "contact chip, host declines";
const UNREACHABLE: &str = "contact chip, host unreachable";

fn vector(flow: &str, step: usize) -> Vec<u8> {
    let vectors: serde_json::Value = serde_json::from_str(include_str!(
        "../../../../protocol/vectors/idtech_neo2.json"
    ))
    .unwrap();
    let flows = vectors["flows"].as_array().unwrap();
    let flow = flows.iter().find(|entry| entry["name"] == flow).unwrap();
    hex::decode(flow["steps"][step]["hex"].as_str().unwrap()).unwrap()
}

fn fault(fault: ReaderFault) -> Option<EndReason> {
    Some(EndReason::ReaderFault(fault))
}

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
        for cmd in [0x18, 0x05, 0x29, 0x12, 0x04, 0x01] {
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
    assert_eq!(bench.commands.len(), 1);
    bench.set_up();
    assert!(matches!(
        bench.take_events().as_slice(),
        [Event::Ready { .. }]
    ));
}

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
    assert_eq!(bench.now_ms, 70_000);
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
    })));
    bench.take_events();
    bench.hear_vector(TAP, 1);
    assert_eq!(bench.take_events(), []);
    assert!(bench.conversation.is_busy());
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
fn a_restart_of_the_reader_ends_everything_and_sets_it_up_again() {
    for prepare in [Bench::started, Bench::waiting_for_host, Bench::ready] {
        let mut bench = prepare();
        let was_busy = bench.conversation.is_busy();
        bench.take_commands();
        bench.hear(0x14, 0x00, &[]);
        let ended = bench.ended();
        assert_eq!(ended, fault(ReaderFault::Restarted).filter(|_| was_busy));
        assert_eq!(bench.commands.len(), 1);
        bench.set_up();
        assert!(matches!(
            bench.take_events().as_slice(),
            [Event::Ready { .. }]
        ));
    }
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

#[test]
fn an_amount_that_does_not_fit_is_refused() {
    let mut bench = Bench::ready();
    bench.feed(Input::Request(Request::Start(Start {
        amount: Money::new(-1, "EUR".parse().unwrap()),
        timeout_ms: 30_000,
        interfaces: Interfaces::ALL,
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

proptest! {
    #[test]
    fn whatever_comes_the_machine_stays_bounded_and_each_start_ends_once(
        steps in prop::collection::vec(
            (0u8..11, 0u8..0x70, prop::collection::vec(any::<u8>(), 0..20), 0u64..3_000),
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
        for _ in 0..12 {
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
