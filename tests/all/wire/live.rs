//! A whole sale with a running engine, played by hand, frame by frame.

use firmware_sim::cards::Way;
use harness::hand::{Counter, HandLink, completion};
use harness::shop::Engine;
use protocol::link::{
    ChipOutcome, Handshake, HandshakeReply, PrintReport, PrintState, ToAgent, ToEngine, VERSION,
    VERSION_MIN, decode, encode,
};

use super::msgpack;

/// Numbers that differ from run to run.
const CLOCKS: [&str; 3] = ["now_ms", "expires_in_ms", "epoch"];

/// What both sides say in one approved sale with a tap. Ids are shown by their kind; the print
/// commands are left out, their content is the receipt's. A change here is a new version too, unless
/// it is an optional field, which tills of every version skip.
const SALE: &str = r#"
<- {challenge {version_min 1, version_max 2, nonce <32 bytes>, incarnation <inc>}}
-> {hello {version <version>, terminal_id <trm>, agent_version "by hand", journal_id <jrn>, boot 1, connection 1, signature <64 bytes>, open [], prints []}}
<- {welcome {epoch ms, now_ms ms, label "By hand", prints_known [], currencies ["USD", "EUR"]}}
<- {offer {pos_id <pos>, kind "sale", amount {minor 1234, currency "USD"}, reference nil, request_id nil}}
-> {accept {pos_id <pos>}}
<- {read_card {pos_id <pos>, attempt_id <att>, number 1, amount {minor 1234, currency "USD"}, expires_in_ms ms}}
-> {card {pos_id <pos>, attempt_id <att>, amount {minor 1234, currency "USD"}, data <239 bytes>, chip_waits false}}
<- {host_answer {pos_id <pos>, attempt_id <att>, decision "approved", issuer_data <0 bytes>}}
-> {completed {pos_id <pos>, attempt_id <att>, chip "agreed", data <0 bytes>}}
<- {concluded {pos_id <pos>, status "approved", reason "approved", amount {minor 1234, currency "USD"}, tip nil, transaction_id <txn>, kind "sale"}}
-> {print {job_id <prn>, state "printed"}}
-> {print {job_id <prn>, state "printed"}}
"#;

/// Frames in words, in the order in which they went.
#[derive(Default)]
struct Transcript(Vec<String>);

impl Transcript {
    fn heard<T: serde::de::DeserializeOwned + serde::Serialize>(
        &mut self,
        link: &mut HandLink,
    ) -> T {
        let bytes = link.receive_bytes().expect("the link is up");
        let message = decode(&bytes).expect("a message of this protocol");
        assert_eq!(
            encode(&message).unwrap(),
            bytes,
            "the engine writes what it would read"
        );
        self.note("<-", &bytes);
        message
    }

    fn said<T: serde::Serialize>(&mut self, link: &mut HandLink, message: &T) {
        let bytes = encode(message).unwrap();
        self.note("->", &bytes);
        assert!(link.send_bytes(bytes));
    }

    fn note(&mut self, arrow: &str, bytes: &[u8]) {
        let shape = msgpack::shape(&msgpack::read(bytes).0, &CLOCKS);
        self.0.push(format!("{arrow} {shape}"));
    }
}

#[test]
fn a_whole_sale_with_a_running_engine_in_every_version() {
    for version in VERSION_MIN..=VERSION {
        sell(version);
    }
}

fn sell(version: u16) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::start(dir.path()).unwrap();
    let counter = Counter::board(&engine);
    let mut till = counter.till();
    let mut transcript = Transcript::default();

    let mut link = HandLink::open(&till.base).unwrap();
    let HandshakeReply::Challenge(challenge) = transcript.heard(&mut link) else {
        panic!()
    };
    till.connection += 1;
    let mut hello = till.hello(&challenge);
    hello.version = version;
    transcript.said(&mut link, &Handshake::Hello(Box::new(hello)));
    let HandshakeReply::Welcome(_) = transcript.heard(&mut link) else {
        panic!()
    };

    let started = counter.start(till.terminal_id, 1234);
    assert_eq!(started.status, 201, "{}", started.text);
    let ToAgent::Offer(offer) = transcript.heard(&mut link) else {
        panic!()
    };
    transcript.said(
        &mut link,
        &ToEngine::Accept {
            pos_id: offer.pos_id,
        },
    );
    let ToAgent::ReadCard(grant) = transcript.heard(&mut link) else {
        panic!()
    };
    let card = till.card(&grant, "visa", Way::Tap);
    transcript.said(&mut link, &ToEngine::Card(card));
    let ToAgent::HostAnswer(_) = transcript.heard(&mut link) else {
        panic!()
    };
    let completed = ToEngine::Completed(completion(&grant, ChipOutcome::Agreed));
    transcript.said(&mut link, &completed);
    let ToAgent::Concluded(concluded) = transcript.heard(&mut link) else {
        panic!()
    };
    let mut receipts = Vec::new();
    for _ in 0..2 {
        let bytes = link.receive_bytes().unwrap();
        let Ok(ToAgent::Print(command)) = decode(&bytes) else {
            panic!()
        };
        receipts.push(command.receipt.text(42));
        let state = PrintState::Printed;
        transcript.said(
            &mut link,
            &ToEngine::Print(PrintReport {
                job_id: command.job_id,
                state,
            }),
        );
    }
    let expected = SALE.replace("<version>", &version.to_string());
    assert_eq!(transcript.0.join("\n"), expected.trim());
    assert_eq!(concluded.pos_id, grant.pos_id);
    assert!(
        receipts.iter().all(|receipt| receipt.contains("12.34")),
        "{receipts:?}"
    );
    assert_eq!(counter.read(grant.pos_id)["status"], "approved");
}
