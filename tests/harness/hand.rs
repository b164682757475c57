//! A till played by hand: the agent's end of the link, one frame at a time, and a reader without a
//! cable. What the real agent would never do can be done with it.

use std::io;

use ed25519_dalek::{Signer, SigningKey};
use firmware_sim::cards::{self, Way};
use firmware_sim::reader::{Input, Output, Presentation, Reader, ReaderConfig, Timing};
use futures_util::{SinkExt, StreamExt};
use protocol::id::{IncarnationId, JournalId, PosTransactionId, PrintJobId, TerminalId};
use protocol::link::{
    CardReport, Challenge, ChipOutcome, Completion, Digest, Grant, Handshake, HandshakeReply,
    Hello, HostAnswer, PrintReport, PrintState, RefusedReason, ToAgent, ToEngine, VERSION, Welcome,
    decode, encode, signed_bytes,
};
use protocol::money::Money;
use protocol::pairing::release_bytes;
use protocol::reader::command::{Activate, Interfaces, activate};
use protocol::reader::frame::ResponseDecoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::api::{Answer, Api};
use crate::shop::{Engine, POS_SCOPES, merchant_body};
use crate::wait::PATIENCE;

/// A boarded merchant at a running engine, without tills.
#[derive(Debug)]
pub struct Counter {
    /// The POS system's client.
    pub pos: Api,
    /// The merchant.
    pub merchant_id: String,
}

impl Counter {
    /// Boards a merchant of its own, without a partner.
    pub fn board(engine: &Engine) -> Self {
        let operator = &engine.operator;
        let mut body = merchant_body("");
        body["partner_id"] = Value::Null;
        let merchant = operator.post("/v1/merchants", &body);
        assert_eq!(merchant.status, 201, "{}", merchant.text);
        let merchant_id = merchant.field("id").to_owned();
        let path = format!("/v1/merchants/{merchant_id}/api-keys");
        let key = operator.post(&path, &json!({"label": "POS", "scopes": POS_SCOPES}));
        Self {
            pos: operator.with_token(key.field("secret")),
            merchant_id,
        }
    }

    /// Makes a terminal and pairs a hand-played till with it.
    pub fn till(&self) -> HandTill {
        let terminal = self.pos.post("/v1/terminals", &json!({"label": "By hand"}));
        let terminal_id = terminal.field("id").parse().expect("a terminal has an id");
        let mut till = HandTill::new(self.pos.base(), terminal_id);
        let code = self.pairing_code(terminal_id);
        let paired = till.redeem(&code);
        assert_eq!(paired.status, 200, "{}", paired.text);
        till
    }

    /// A pairing code for a terminal.
    pub fn pairing_code(&self, terminal_id: TerminalId) -> String {
        let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
        self.pos.post(&path, &json!({})).field("code").to_owned()
    }

    /// Starts a sale in US dollars.
    pub fn start(&self, terminal_id: TerminalId, amount: i64) -> Answer {
        let body = json!({"terminal_id": terminal_id, "amount": amount, "currency": "USD"});
        self.pos.post("/v1/pos/transactions", &body)
    }

    /// A POS transaction as the API has it now.
    pub fn read(&self, pos_id: PosTransactionId) -> Value {
        self.pos
            .get(&format!("/v1/pos/transactions/{pos_id}"))
            .data()
            .clone()
    }
}

/// A till's identity and its reader.
pub struct HandTill {
    /// The engine's address.
    pub base: String,
    /// Who it is.
    pub terminal_id: TerminalId,
    /// The device's key.
    pub key: SigningKey,
    /// The journal that it pretends to write.
    pub journal_id: JournalId,
    /// How often it has started.
    pub boot: u64,
    /// How often it has connected.
    pub connection: u64,
    reader: HandReader,
}

impl HandTill {
    /// A till with a fresh key and journal, not paired.
    pub fn new(base: &str, terminal_id: TerminalId) -> Self {
        Self {
            base: base.to_owned(),
            terminal_id,
            key: fresh_key(),
            journal_id: JournalId::from_uuid(Uuid::now_v7()),
            boot: 1,
            connection: 0,
            reader: HandReader::new(),
        }
    }

    /// Redeems a pairing code with the device's key.
    pub fn redeem(&mut self, code: &str) -> Answer {
        redeem(&self.base, code, &self.key)
    }

    /// The hello that answers a challenge, signed as it should be.
    pub fn hello(&self, challenge: &Challenge) -> Hello {
        let mut hello = Hello {
            version: VERSION,
            terminal_id: self.terminal_id,
            agent_version: "by hand".to_owned(),
            journal_id: self.journal_id,
            boot: self.boot,
            connection: self.connection,
            signature: Vec::new(),
            open: Vec::new(),
            prints: Vec::new(),
            has_simulator: false,
        };
        sign(
            &mut hello,
            &self.key,
            &challenge.nonce,
            challenge.incarnation,
        );
        hello
    }

    /// Opens the next connection with nothing open; the welcome or the refusal.
    ///
    /// # Errors
    /// Why the engine refuses.
    pub fn link(&mut self) -> Result<(HandLink, Welcome), RefusedReason> {
        self.link_with(Vec::new())
    }

    /// Opens the next connection with this open work.
    ///
    /// # Errors
    /// Why the engine refuses.
    pub fn link_with(&mut self, open: Vec<Digest>) -> Result<(HandLink, Welcome), RefusedReason> {
        self.connection += 1;
        let (mut link, challenge) = HandLink::challenged(&self.base);
        let mut hello = self.hello(&challenge);
        hello.open = open;
        link.send(&Handshake::Hello(Box::new(hello)));
        match link.receive::<HandshakeReply>() {
            Some(HandshakeReply::Welcome(welcome)) => Ok((link, welcome)),
            Some(HandshakeReply::Refused(refused)) => Err(refused.reason),
            other => panic!("neither welcome nor refusal: {other:?}"),
        }
    }

    /// Reads a card for what was granted.
    pub fn card(&mut self, grant: &Grant, card: &str, way: Way) -> CardReport {
        CardReport {
            pos_id: grant.pos_id,
            attempt_id: grant.attempt_id,
            amount: grant.amount,
            data: self.reader.read(grant.amount, card, way),
            chip_waits: false,
        }
    }

    /// Reads a card for any amount; the reader's answer.
    pub fn read(&mut self, amount: Money, card: &str, way: Way) -> Vec<u8> {
        self.reader.read(amount, card, way)
    }
}

/// A fresh Ed25519 key.
pub fn fresh_key() -> SigningKey {
    let mut seed = [0; 32];
    for half in seed.chunks_mut(16) {
        half.copy_from_slice(Uuid::now_v7().as_bytes());
    }
    SigningKey::from_bytes(&seed)
}

/// Redeems a pairing code with a key.
pub fn redeem(base: &str, code: &str, key: &SigningKey) -> Answer {
    let public_key = hex::encode(key.verifying_key().as_bytes());
    let body = json!({"code": code, "public_key": public_key});
    let headers = [("Content-Type", "application/json")];
    Api::new(base, "").post_raw("/v1/pairing/redeem", &headers, body.to_string().as_bytes())
}

/// Asks for a person's approval with a key.
pub fn ask_to_pair(base: &str, serial_number: &str, key: &SigningKey) -> Answer {
    let public_key = hex::encode(key.verifying_key().as_bytes());
    let body = json!({
        "public_key": public_key,
        "serial_number": serial_number,
        "agent_version": "by hand",
    });
    post_open(base, "/v1/pairing/device", &body)
}

/// Asks how that stands.
pub fn poll_pairing(base: &str, device_code: &str) -> Answer {
    let body = json!({ "device_code": device_code });
    post_open(base, "/v1/pairing/device/poll", &body)
}

/// A release of a terminal, signed with a key.
pub fn release(
    terminal_id: TerminalId,
    engine_incarnation: IncarnationId,
    signed_at_ms: i64,
    key: &SigningKey,
) -> Value {
    let message = release_bytes(engine_incarnation, terminal_id, signed_at_ms);
    json!({
        "terminal_id": terminal_id,
        "engine_incarnation": engine_incarnation,
        "signed_at_ms": signed_at_ms,
        "signature": hex::encode(key.sign(&message).to_bytes()),
    })
}

/// A request that takes no credential.
pub fn post_open(base: &str, path: &str, body: &Value) -> Answer {
    let headers = [("Content-Type", "application/json")];
    Api::new(base, "").post_raw(path, &headers, body.to_string().as_bytes())
}

/// Signs a hello for a nonce and an engine.
pub fn sign(hello: &mut Hello, key: &SigningKey, nonce: &[u8], incarnation: IncarnationId) {
    let bytes = signed_bytes(
        nonce,
        incarnation,
        hello.terminal_id,
        hello.journal_id,
        hello.boot,
        hello.connection,
    );
    hello.signature = key.sign(&bytes).to_bytes().to_vec();
}

/// A socket to the engine's link door.
pub struct HandLink {
    runtime: Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl HandLink {
    /// Opens the socket.
    ///
    /// # Errors
    /// When nobody listens, or the upgrade is refused.
    pub fn open(base: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let url = format!("{}/v1/agent/link", base.replacen("http", "ws", 1));
        let opened = runtime.block_on(tokio_tungstenite::connect_async(url));
        let (socket, _) = opened.map_err(io::Error::other)?;
        Ok(Self { runtime, socket })
    }

    /// Opens the socket and takes the challenge.
    pub fn challenged(base: &str) -> (Self, Challenge) {
        let mut link = Self::open(base).expect("the engine listens");
        match link.receive::<HandshakeReply>() {
            Some(HandshakeReply::Challenge(challenge)) => (link, challenge),
            other => panic!("no challenge: {other:?}"),
        }
    }

    /// Sends a frame of any kind; false when the socket is gone.
    pub fn send_frame(&mut self, frame: Message) -> bool {
        self.runtime.block_on(self.socket.send(frame)).is_ok()
    }

    /// Sends bytes as one binary frame; false when the socket is gone.
    pub fn send_bytes(&mut self, bytes: Vec<u8>) -> bool {
        self.send_frame(Message::binary(bytes))
    }

    /// Sends a message; false when the socket is gone.
    pub fn send<T: Serialize>(&mut self, message: &T) -> bool {
        self.send_bytes(encode(message).expect("a message of this protocol"))
    }

    /// The next binary frame; `None` when the engine has closed.
    pub fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        let Self { runtime, socket } = self;
        let wait = async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Some(bytes.to_vec()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return None,
                }
            }
        };
        let waited = runtime.block_on(async { tokio::time::timeout(PATIENCE, wait).await });
        waited.expect("the engine says something or closes")
    }

    /// The next message; `None` when the engine has closed.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Option<T> {
        let bytes = self.receive_bytes()?;
        Some(decode(&bytes).expect("a message of this protocol"))
    }

    /// Whether the engine closes now, whatever it says before.
    pub fn is_closed_by_engine(&mut self) -> bool {
        while self.receive_bytes().is_some() {}
        true
    }

    /// The next message that is neither heartbeat nor print; prints are taken and reported.
    pub fn next_message(&mut self) -> Option<ToAgent> {
        loop {
            match self.receive::<ToAgent>()? {
                ToAgent::Ping => drop(self.send(&ToEngine::Pong)),
                ToAgent::Pong => {}
                ToAgent::Print(command) => self.printed(command.job_id),
                message => return Some(message),
            }
        }
    }

    /// Reports a print job as done.
    pub fn printed(&mut self, job_id: PrintJobId) {
        self.send(&ToEngine::Print(PrintReport {
            job_id,
            state: PrintState::Printed,
        }));
    }

    /// Waits for an answer to a ping: everything sent before has been handed to the owners.
    pub fn flush(&mut self) {
        self.send(&ToEngine::Ping);
        loop {
            match self.receive::<ToAgent>().expect("the link is up") {
                ToAgent::Pong => return,
                ToAgent::Print(command) => self.printed(command.job_id),
                _ => {}
            }
        }
    }

    /// Takes the offer of this POS transaction, up to the leave to read a card.
    pub fn take_offer(&mut self) -> Grant {
        match self.next_message() {
            Some(ToAgent::Offer(offer)) => {
                self.send(&ToEngine::Accept {
                    pos_id: offer.pos_id,
                });
            }
            other => panic!("no offer: {other:?}"),
        }
        self.grant()
    }

    /// The leave to read a card, which must be next.
    pub fn grant(&mut self) -> Grant {
        match self.next_message() {
            Some(ToAgent::ReadCard(grant)) => grant,
            other => panic!("no grant: {other:?}"),
        }
    }

    /// The acquirer's answer, which must be next.
    pub fn host_answer(&mut self) -> HostAnswer {
        match self.next_message() {
            Some(ToAgent::HostAnswer(answer)) => answer,
            other => panic!("no answer of the acquirer: {other:?}"),
        }
    }

    /// Says that the card side of an attempt is complete.
    pub fn complete(&mut self, grant: &Grant, chip: ChipOutcome) {
        self.send(&ToEngine::Completed(completion(grant, chip)));
    }
}

/// The completion of an attempt, without data of the chip.
pub fn completion(grant: &Grant, chip: ChipOutcome) -> Completion {
    Completion {
        pos_id: grant.pos_id,
        attempt_id: grant.attempt_id,
        chip,
        data: Vec::new(),
        cause: None,
    }
}

/// A reader driven without a cable.
#[derive(Debug)]
struct HandReader {
    reader: Reader,
    now_ms: u64,
}

impl HandReader {
    fn new() -> Self {
        let mut config = ReaderConfig::demo();
        config.timing = Timing::INSTANT;
        config.quirks.interface_events = false;
        config.quirks.polls_at_power_on = false;
        let mut reader = Reader::new(config, 0);
        reader.handle(0, Input::Deadline);
        Self { reader, now_ms: 0 }
    }

    /// Activates for the amount, presents the card, and gives the answer's data.
    fn read(&mut self, amount: Money, card: &str, way: Way) -> Vec<u8> {
        self.now_ms += 1;
        let command = activate(Activate {
            amount,
            timeout_s: 30,
            interfaces: Interfaces::ALL,
            next_command_s: 60,
        });
        let command = command
            .expect("an amount that a card can be asked for")
            .encode();
        let card = cards::find(card).expect("a card of the simulator");
        let mut decoder = ResponseDecoder::default();
        let mut outputs = self.reader.handle(self.now_ms, Input::Host(&command));
        let presentation = Presentation { card, way };
        outputs.extend(
            self.reader
                .handle(self.now_ms, Input::Present(presentation)),
        );
        let responses = outputs
            .iter()
            .flat_map(|Output::Host(bytes)| decoder.decode(bytes));
        responses.last().expect("the reader answers").into_data()
    }
}
