//! The machine against the vendor's documented conversations.

use super::*;
use crate::cards::{self, Way};
use protocol::dukpt::tdes::Ksn;
use protocol::money::Money;
use protocol::reader::command::{Activate, HostAnswer, Interfaces, Online};
use protocol::reader::frame::{Command, ResponseDecoder};
use protocol::reader::outcome::{CardRead, ContactlessError, TransactionResult as R};
use protocol::reader::swipe::Swipe;
use protocol::reader::tlv::{Form, Tlvs};

mod aes;

/// A reader with a hand on its cable and its clock.
struct Bench {
    reader: Reader,
    decoder: ResponseDecoder,
    now_ms: u64,
}

impl Bench {
    fn with(change: impl FnOnce(&mut ReaderConfig)) -> Self {
        let mut config = ReaderConfig::demo();
        config.timing = Timing::INSTANT;
        config.quirks.interface_events = false;
        config.keys = KeyRegister::demo(0x11);
        change(&mut config);
        let mut bench = Self {
            reader: Reader::new(config, 0),
            decoder: ResponseDecoder::default(),
            now_ms: 0,
        };
        bench.wait_to_deadline();
        bench.send(&command::poll_on_demand());
        bench
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    fn feed(&mut self, input: Input<'_>) -> Vec<Response> {
        let outputs = self.reader.handle(self.now_ms, input);
        outputs
            .iter()
            .flat_map(|Output::Host(bytes)| self.decoder.decode(bytes))
            .collect()
    }

    fn send(&mut self, command: &Command) -> Vec<Response> {
        self.feed(Input::Host(&command.encode()))
    }

    fn present(&mut self, way: Way, name: &str) -> Vec<Response> {
        let card = cards::find(name).unwrap();
        self.feed(Input::Present(Presentation { card, way }))
    }

    fn wait_to_deadline(&mut self) -> Vec<Response> {
        self.now_ms = self.reader.poll_deadline().unwrap();
        self.feed(Input::Deadline)
    }

    fn activate(&mut self) {
        assert_eq!(self.send(&activate_command()), []);
        assert_eq!(self.reader.phase(), Phase::Polling);
    }

    /// Inserts during 02-40 and goes on to the chip's request to ask the issuer.
    fn insert_and_authenticate(&mut self, name: &str) -> Vec<Response> {
        self.activate();
        let started = self.present(Way::Insert, name);
        assert_eq!(results(&started), [(0x02, Some(R::StartSucceeded))]);
        self.send(&command::contact_authenticate(Online::Forced, 60))
    }

    fn apply(&mut self, response_code: [u8; 2]) -> Vec<Response> {
        let answer = HostAnswer::Answered {
            response_code,
            issuer_tlvs: &[],
        };
        self.send(&command::contact_apply_host_response(answer).unwrap())
    }
}

fn activate_command() -> Command {
    command::activate(Activate {
        amount: Money::new(1234, "EUR".parse().unwrap()),
        timeout_s: 30,
        interfaces: Interfaces::ALL,
        next_command_s: 96,
    })
    .unwrap()
}

fn codes(responses: &[Response]) -> Vec<(u8, u8)> {
    responses.iter().map(|r| (r.cmd(), r.status())).collect()
}

fn results(responses: &[Response]) -> Vec<(u8, Option<R>)> {
    let result = |r: &Response| CardRead::parse(r.data()).ok().and_then(|read| read.result);
    responses.iter().map(|r| (r.cmd(), result(r))).collect()
}

fn error(responses: &[Response]) -> Option<ContactlessError> {
    let read = CardRead::parse(responses.last()?.data()).ok()?;
    read.error.map(|block| block.error)
}

/// Decrypts as the acquirer's side would, with the key serial number of the response.
fn decrypted(read: &CardRead<'_>, tag: u32) -> Vec<u8> {
    let ksn = Ksn::try_from(read.ksn.unwrap()).unwrap();
    let key = KeyRegister::demo_base_key().initial_key(ksn).data_key(ksn);
    let plain = key
        .decrypt(read.find(tag, Form::Encrypted).unwrap())
        .unwrap();
    let tlv = Tlvs::new(&plain).next().unwrap().unwrap();
    assert_eq!((tlv.tag, tlv.form), (tag, Form::Clear));
    tlv.value.to_vec()
}

fn vector_flow(name: &str) -> Vec<(bool, Vec<u8>)> {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../protocol/vectors/idtech_neo2.json")).unwrap();
    let flows = vectors["flows"].as_array().unwrap();
    let flow = flows.iter().find(|flow| flow["name"] == name).unwrap();
    let steps = flow["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let bytes = hex::decode(step["hex"].as_str().unwrap()).unwrap();
            (step["dir"] == ">", bytes)
        })
        .collect()
}

/// Values that depend on the day, the card's counter or chance.
const VARYING: &[u32] = &[0x9F26, 0x9F36, 0x9F37, 0x9F1E];

/// Same status, same tags in the same order and form, same values unless varying.
fn assert_like(ours: &Response, theirs: &Response) {
    assert_eq!((ours.cmd(), ours.status()), (theirs.cmd(), theirs.status()));
    let shape = |response: &Response| -> Vec<_> {
        let tlvs = response.data().get(1..).unwrap_or_default();
        Tlvs::new(tlvs)
            .map(Result::unwrap)
            .map(|tlv| {
                let value = match VARYING.contains(&tlv.tag) {
                    true => vec![0; tlv.value.len()],
                    false => tlv.value.to_vec(),
                };
                (tlv.tag, tlv.form, value)
            })
            .collect()
    };
    assert_eq!(ours.data().first(), theirs.data().first());
    assert_eq!(shape(ours), shape(theirs));
}

/// Replays a documented conversation, and compares every answer.
fn replay(flow: &str, counter: u32, way: Way, prepare: impl FnOnce(&mut Bench)) {
    let mut bench = Bench::with(|config| {
        config.country = [0x02, 0x76];
        config.date = [0x26, 0x11, 0x20];
        config.keys = KeyRegister::demo(counter);
    });
    prepare(&mut bench);
    let mut card = Some("visa");
    let mut answers = Vec::new();
    let mut expected = Vec::new();
    for (is_command, bytes) in vector_flow(flow) {
        if is_command {
            answers.extend(bench.feed(Input::Host(&bytes)));
            let waits = matches!(bench.reader.phase(), Phase::Polling | Phase::Inserting);
            if let (true, Some(name)) = (waits, card) {
                card = None;
                answers.extend(bench.present(way, name));
            }
        } else {
            expected.extend(ResponseDecoder::default().decode(&bytes));
        }
    }
    assert_eq!(codes(&answers), codes(&expected), "{flow}");
    for (ours, theirs) in answers.iter().zip(&expected) {
        assert_like(ours, theirs);
    }
}

#[test]
fn documented_conversations_come_out_value_for_value() {
    let ready = |_: &mut Bench| {};
    replay("contact chip, online, approved", 0x11, Way::Insert, ready);
    replay("contactless EMV, request online", 0x13, Way::Tap, ready);
    let wait_host = |bench: &mut Bench| {
        bench.insert_and_authenticate("visa");
    };
    for flow in [
        "contact chip, host declines",
        "contact chip, host unreachable",
    ] {
        replay(flow, 0, Way::Insert, wait_host);
    }
    let three_failures = |bench: &mut Bench| {
        for _ in 0..3 {
            bench.activate();
            bench.present(Way::Insert, "bad-chip");
        }
    };
    let flow = "magstripe fallback after chip failures";
    replay(flow, 0x14, Way::Swipe, three_failures);
}

#[test]
fn every_encrypted_account_decrypts_and_every_key_is_used_once() {
    let mut bench = Bench::new();
    let mut last = bench.reader.keys().used().bytes().to_vec();
    for card in cards::CARDS {
        if card.behaviour != cards::Behaviour::Cooperates || !card.ways.contains(&Way::Tap) {
            continue;
        }
        bench.activate();
        let tapped = bench.present(Way::Tap, card.name);
        let mut reads = vec![(0x23, tapped)];
        bench.activate();
        reads.push((0x00, bench.present(Way::Insert, card.name)));
        bench.feed(Input::Remove);
        bench.send(&command::cancel());
        for (status, responses) in reads {
            let [response] = responses.as_slice() else {
                panic!("{responses:?}");
            };
            assert_eq!(response.status(), status);
            let read = CardRead::parse(response.data()).unwrap();
            let ksn = read.ksn.unwrap();
            assert!(ksn > last.as_slice());
            last = ksn.to_vec();
            let account = hex::encode(decrypted(&read, 0x5A));
            assert_eq!(account.trim_end_matches('f'), card.account());
            let track2 = hex::encode(decrypted(&read, 0x57));
            assert!(track2.starts_with(&format!("{}d{}", card.account(), card.expiry)));
            let masked = hex::encode_upper(read.find(0x5A, Form::Masked).unwrap());
            assert!(masked.contains("CCCC") && !masked.starts_with(card.account()));
        }
    }
}

#[test]
fn no_answer_carries_an_account_in_clear() {
    for card in cards::CARDS {
        for way in [Way::Tap, Way::Insert, Way::Swipe] {
            let mut bench = Bench::new();
            bench.activate();
            let mut responses = bench.present(way, card.name);
            responses.extend(bench.send(&command::contact_authenticate(Online::Forced, 60)));
            responses.extend(bench.apply(*b"00"));
            responses.extend(bench.send(&command::contact_last_result(&[0x5A, 0x57]).unwrap()));
            for response in responses {
                let text = hex::encode(response.data());
                assert!(!text.contains(card.account()), "{} {way:?}", card.name);
                assert!(
                    !text.contains(&hex::encode(card.account())),
                    "{}",
                    card.name
                );
            }
        }
    }
}

#[test]
fn contactless_cards_end_as_their_behaviour_says() {
    for (name, status, expected) in [
        ("visa", 0x23, None),
        ("chip-approves", 0x00, None),
        ("chip-declines", 0x0A, Some(ContactlessError::CardDeclined)),
        ("expired", 0x0A, Some(ContactlessError::CardExpired)),
        ("blocked", 0x0A, Some(ContactlessError::CardBlocked)),
        ("two-cards", 0x0A, Some(ContactlessError::TwoCards)),
        ("use-chip", 0x0A, Some(ContactlessError::UseOtherInterface)),
        ("leaves-field", 0x0A, Some(ContactlessError::CardRemoved)),
    ] {
        let mut bench = Bench::new();
        bench.activate();
        let responses = bench.present(Way::Tap, name);
        assert_eq!(codes(&responses), [(0x02, status)], "{name}");
        assert_eq!(error(&responses), expected, "{name}");
        assert_eq!(bench.reader.phase(), Phase::Idle);
    }
}

#[test]
fn chip_cards_end_as_their_behaviour_says() {
    for (name, authenticated, completed) in [
        ("visa", R::GoOnline, Some(R::Approved)),
        ("chip-refuses", R::GoOnline, Some(R::Declined)),
        ("pulled-early", R::GoOnline, Some(R::CardCommunicationError)),
        ("pulled-reading", R::CardCommunicationError, None),
        ("chip-declines", R::DeclinedOffline, None),
        ("chip-approves", R::ApprovedOffline, None),
        ("expired", R::Expired, None),
    ] {
        let mut bench = Bench::new();
        let responses = bench.insert_and_authenticate(name);
        let expected = [(0x60, None), (0x60, Some(authenticated))];
        assert_eq!(results(&responses), expected, "{name}");
        assert!(completed.is_none() || bench.reader.was_forced_online());
        let responses = bench.apply(*b"00");
        match completed {
            Some(result) => {
                assert_eq!(results(&responses), [(0x60, None), (0x60, Some(result))]);
            }
            None => assert_eq!(codes(&responses), [(0x60, 0x0B)], "{name}"),
        }
    }
    let mut bench = Bench::new();
    bench.activate();
    let responses = bench.present(Way::Insert, "blocked");
    assert_eq!(results(&responses), [(0x02, Some(R::CardBlocked))]);
}

#[test]
fn approval_needs_the_configured_response_code() {
    for (response_code, result, applied) in [
        (*b"00", R::Approved, *b"00"),
        (*b"05", R::Declined, *b"05"),
        (*b"01", R::Declined, *b"01"),
        (*b"51", R::Declined, *b"Z3"),
    ] {
        let mut bench = Bench::new();
        bench.insert_and_authenticate("visa");
        let responses = bench.apply(response_code);
        let read = CardRead::parse(responses[1].data()).unwrap();
        assert_eq!(read.result, Some(result));
        assert_eq!(read.find(0x8A, Form::Clear), Some(applied.as_slice()));
    }
    let mut bench = Bench::new();
    let tlvs = hex::decode("0100DFEE1B083131303130350000").unwrap();
    let command = Command::new(0x60, 0x06, tlvs).unwrap();
    assert_eq!(codes(&bench.send(&command)), [(0x60, 0x00)]);
    bench.insert_and_authenticate("visa");
    assert_eq!(results(&bench.apply(*b"11"))[1].1, Some(R::Approved));
}

#[test]
fn stripes_are_read_but_chips_come_first() {
    let mut bench = Bench::new();
    bench.activate();
    let responses = bench.present(Way::Swipe, "stripe");
    assert_eq!(results(&responses), [(0x02, Some(R::Swiped))]);
    let read = CardRead::parse(responses[0].data()).unwrap();
    let block = read.find(0x00DF_EE23, Form::Clear).unwrap();
    let swipe = Swipe::parse(block).unwrap();
    let ksn = Ksn::try_from(swipe.ksn.unwrap()).unwrap();
    let key = KeyRegister::demo_base_key().initial_key(ksn).data_key(ksn);
    let track2 = key.decrypt(swipe.tracks[1].encrypted.unwrap()).unwrap();
    let account = cards::find("stripe").unwrap().account();
    assert!(track2.starts_with(format!(";{account}=2812101").as_bytes()));

    bench.activate();
    let responses = bench.present(Way::Swipe, "stripe-of-chip");
    assert_eq!(error(&responses), Some(ContactlessError::UseContact));

    for expected in [
        R::NoMatchingApplication,
        R::NoMatchingApplication,
        R::FallbackSituation,
    ] {
        bench.activate();
        let responses = bench.present(Way::Insert, "bad-chip");
        assert_eq!(results(&responses), [(0x02, Some(expected))]);
    }
    bench.activate();
    let responses = bench.present(Way::Swipe, "bad-chip");
    assert_eq!(results(&responses), [(0x02, Some(R::FallBackToMagstripe))]);
}

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
fn commands_are_answered_as_documented() {
    let mut bench = Bench::new();
    let long = Command::new(0x01, 0x02, vec![0; 9]).unwrap();
    for (command, status, data) in [
        (command::ping(), 0x00, "".as_bytes()),
        (command::firmware_version(), 0x00, b"NEO2 SIM v1.00"),
        (command::serial_number(), 0x00, b"SIM0000001\0\0\0\0\0"),
        (command::burst_mode_off(), 0x00, b""),
        (command::poll_on_demand(), 0x00, b""),
        (command::encryption_status(), 0x00, &[3]),
        (command::contact_power_off(), 0x00, b""),
        (
            command::show(command::Message::ThankYou, command::Beep::Single),
            0x00,
            b"",
        ),
        (long, 0x05, b""),
        (
            Command::new(0x03, 0x02, vec![]).unwrap(),
            0x00,
            &[0xDF, 0xEE, 0x7E, 1, 0],
        ),
        (Command::new(0x04, 0x00, vec![0x5A, 9]).unwrap(), 0x07, b""),
        (Command::new(0x18, 0x77, vec![]).unwrap(), 0x03, b""),
        (Command::new(0x77, 0x01, vec![]).unwrap(), 0x02, b""),
        (Command::new(0x02, 0x40, vec![]).unwrap(), 0x07, b""),
        (Command::new(0x02, 0x40, vec![30]).unwrap(), 0x05, b""),
        (Command::new(0x60, 0x10, vec![1]).unwrap(), 0x07, b""),
        (command::contact_last_result(&[0x8A]).unwrap(), 0x60, b""),
    ] {
        let responses = bench.send(&command);
        let expected = Response::new(command.cmd(), status, data.to_vec()).unwrap();
        assert_eq!(
            responses.as_slice(),
            std::slice::from_ref(&expected),
            "{command:?}"
        );
        assert_eq!(responses[0].data(), expected.data());
    }
    assert_eq!(bench.reader.displayed(), 4);
    bench.insert_and_authenticate("visa");
    bench.apply(*b"00");
    let responses = bench.send(&command::contact_last_result(&[0x8A, 0x00DF_EE25]).unwrap());
    assert_eq!(
        hex::encode_upper(responses[0].data()),
        "E0DFEE250200028A023030"
    );
}

#[test]
fn without_keys_no_card_is_read() {
    let mut bench = Bench::with(|config| config.encryption_on = false);
    let responses = bench.send(&command::encryption_status());
    assert_eq!(responses[0].data(), [0]);
    assert_eq!(codes(&bench.send(&activate_command())), [(0x02, 0x0B)]);
    let mut bench = Bench::with(|config| config.keys = KeyRegister::demo(0x1F_F800));
    bench.activate();
    assert_eq!(codes(&bench.present(Way::Tap, "visa")), [(0x02, 0x0A)]);
}

#[test]
fn broken_commands_are_refused_and_the_next_one_is_understood() {
    let mut bench = Bench::new();
    let mut bytes = activate_command().encode();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(codes(&bench.feed(Input::Host(&bytes))), [(0x02, 0x04)]);
    let half = activate_command().encode()[..20].to_vec();
    assert_eq!(bench.feed(Input::Host(&half)), []);
    bench.now_ms += RESYNCHRONISE_MS;
    assert_eq!(codes(&bench.send(&command::ping())), [(0x18, 0x00)]);
    for byte in command::ping().encode().chunks(1).take(15) {
        assert_eq!(bench.feed(Input::Host(byte)), []);
        bench.now_ms += 1_000;
    }
    let last = *command::ping().encode().last().unwrap();
    assert_eq!(codes(&bench.feed(Input::Host(&[last]))), [(0x18, 0x00)]);
}

#[test]
fn a_reset_forgets_the_transaction_and_is_announced() {
    let mut bench = Bench::with(|config| config.timing = Timing::LIFELIKE);
    bench.activate();
    bench.present(Way::Insert, "visa");
    assert_eq!(bench.feed(Input::Fault(Fault::Reset, Scope::Next)), []);
    assert_eq!(bench.send(&command::ping()), []);
    assert_eq!(codes(&bench.wait_to_deadline()), [(0x14, 0x00)]);
    assert_eq!(codes(&bench.send(&command::ping())), [(0x18, 0x00)]);
    assert_eq!(bench.reader.inserted().unwrap().name, "visa");
    bench.send(&command::poll_on_demand());
    bench.send(&activate_command());
    assert_eq!(bench.reader.phase(), Phase::Reading);
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

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_and_cards_never_break_the_machine(
        steps in proptest::collection::vec(
            (0u8..8, proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40), 0usize..18),
            0..40,
        )
    ) {
        let mut bench = Bench::with(|config| config.timing = Timing::LIFELIKE);
        for (kind, bytes, number) in steps {
            bench.now_ms += 150;
            let card = &cards::CARDS[number % cards::CARDS.len()];
            match kind {
                0 => drop(bench.feed(Input::Host(&bytes))),
                1 => drop(bench.present(Way::Tap, card.name)),
                2 => drop(bench.present(Way::Insert, card.name)),
                3 => drop(bench.feed(Input::Remove)),
                4 => drop(bench.send(&activate_command())),
                5 => drop(bench.send(&command::contact_authenticate(Online::Forced, 9))),
                6 => drop(bench.apply(*b"00")),
                _ => if let [cmd, sub, data @ ..] = bytes.as_slice() {
                    drop(bench.send(&Command::new(*cmd, *sub, data.to_vec()).unwrap()));
                },
            }
            let deadline = bench.reader.poll_deadline();
            proptest::prop_assert!(deadline.is_none_or(|deadline| deadline > bench.now_ms));
        }
    }
}
