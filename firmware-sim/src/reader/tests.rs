//! The machine against the vendor's documented conversations.

mod aes;
mod card;
mod documented;
mod fault;
mod time;

use super::*;
use crate::cards::{self, Way};
use protocol::dukpt::tdes::Ksn;
use protocol::money::Money;
use protocol::reader::command::{Activate, HostAnswer, Interfaces, Online};
use protocol::reader::frame::{Command, ResponseDecoder};
use protocol::reader::outcome::{CardRead, ContactlessError, TransactionResult as R};
use protocol::reader::swipe::Swipe;
use protocol::reader::tlv::{Form, Tlvs};

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
