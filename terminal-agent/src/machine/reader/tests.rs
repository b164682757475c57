//! The conversation against the vendor's documented frames.

mod card;
mod chip;
mod fault;
mod last_result;
mod message;
mod prompt;
mod setup;
mod table;

use super::*;
use protocol::money::Money;
use protocol::reader::command::Interfaces;
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
    /// Without messages between commands, which have tests of their own.
    fn unopened() -> Self {
        let mut config = ReaderConversationConfig::standard();
        config.switches.shows_messages = false;
        Self::with(config)
    }

    fn with(config: ReaderConversationConfig) -> Self {
        Self {
            conversation: ReaderConversation::new(config),
            now_ms: 0,
            commands: Vec::new(),
            events: Vec::new(),
        }
    }

    fn ready() -> Self {
        Self::unopened().brought_up()
    }

    fn brought_up(self) -> Self {
        let mut bench = self;
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
            prompt: None,
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

    /// The setup has begun, and ends well.
    fn assert_set_up_again(&mut self) {
        assert_eq!(self.commands.len(), 1);
        self.set_up();
        assert!(matches!(
            self.take_events().as_slice(),
            [Event::Ready { .. }]
        ));
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
