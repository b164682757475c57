//! The engine's WebSocket door fed by hand with what no honest agent says. After each attack an
//! ordinary sale works on the same engine, and the acquirer's book holds what was sold, nothing
//! else.
//!
//! Not here, because a real process would have to wait for a minute: card data of an attempt that
//! has run out of time, and a pairing code that has; the owner's tests have both, on a stepped clock.

mod card;
mod greeting;
mod order;
mod pairing;
mod request;
mod sealed;

use engine::acquirer::simulator::read_book;
use firmware_sim::cards::Way;
use harness::hand::{Counter, HandLink, HandTill};
use harness::shop::Engine;
use protocol::id::PosTransactionId;
use protocol::link::{ChipOutcome, Concluded, Grant, PosStatus, ToAgent, ToEngine};
use protocol::money::Money;
use tempfile::TempDir;

/// An engine with a merchant and an honest till beside the one that attacks.
struct Scene {
    engine: Engine,
    counter: Counter,
    till: HandTill,
    honest: HandTill,
    sold: Vec<i64>,
    /// Authorizations that the acquirer has declined.
    declined: usize,
    _dir: TempDir,
}

impl Scene {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::start(dir.path()).unwrap();
        let counter = Counter::board(&engine);
        let (till, honest) = (counter.till(), counter.till());
        Self {
            engine,
            counter,
            till,
            honest,
            sold: Vec::new(),
            declined: 0,
            _dir: dir,
        }
    }

    fn link(&mut self) -> HandLink {
        self.till.link().expect("the till is welcome").0
    }

    /// Starts a sale on the attacking till and gives the leave to read a card.
    fn granted(&self, link: &mut HandLink, amount: i64) -> Grant {
        let started = self.counter.start(self.till.terminal_id, amount);
        assert_eq!(started.status, 201, "{}", started.text);
        link.take_offer()
    }

    /// Goes on from a grant to the approval.
    fn finish(&mut self, link: &mut HandLink, grant: &Grant) {
        let card = self.till.card(grant, "visa", Way::Tap);
        assert!(link.send(&ToEngine::Card(card)));
        link.host_answer();
        link.complete(grant, ChipOutcome::Agreed);
        assert_eq!(concluded(link, grant.pos_id), PosStatus::Approved);
        self.sold.push(grant.amount.minor());
    }

    /// An ordinary sale on the till that never did anything.
    fn honest_sale(&mut self, amount: i64) {
        let (mut link, _) = self.honest.link().expect("the honest till is welcome");
        let started = self.counter.start(self.honest.terminal_id, amount);
        assert_eq!(started.status, 201, "{}", started.text);
        let grant = link.take_offer();
        let card = self.honest.card(&grant, "mastercard", Way::Tap);
        link.send(&ToEngine::Card(card));
        link.host_answer();
        link.complete(&grant, ChipOutcome::Agreed);
        assert_eq!(concluded(&mut link, grant.pos_id), PosStatus::Approved);
        self.sold.push(amount);
    }

    fn status(&self, pos_id: PosTransactionId) -> (String, String) {
        let pos = self.counter.read(pos_id);
        let text = |name: &str| pos[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    /// One more ordinary sale, then the acquirer's book: every sale once, and nothing else.
    fn close(mut self) {
        self.honest_sale(7_700);
        // Killed: whatever was answered is in the book already.
        self.engine.kill();
        let book = read_book(&self.engine.dir.join("data").join("acquirer.book")).unwrap();
        let mut standing: Vec<i64> = book
            .iter()
            .filter_map(|entry| entry.standing())
            .map(|money| money.minor())
            .collect();
        standing.sort_unstable();
        self.sold.sort_unstable();
        assert_eq!(standing, self.sold);
        assert_eq!(
            book.len(),
            self.sold.len() + self.declined,
            "something else has reached the acquirer"
        );
    }
}

/// The end of a POS transaction, which must be the next thing said about it.
fn concluded(link: &mut HandLink, pos_id: PosTransactionId) -> PosStatus {
    match link.next_message() {
        Some(ToAgent::Concluded(concluded)) if concluded.pos_id == pos_id => concluded.status,
        other => panic!("not concluded: {other:?}"),
    }
}

/// Frames that are no message of the protocol, with their names.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |marker: u8, count| [vec![marker; count], vec![0xC0]].concat();
    // A map of one whose value is a map of one, and so on.
    let maps: Vec<u8> = b"\x81\xa1a".iter().copied().cycle().take(60_000).collect();
    vec![
        ("nothing", Vec::new()),
        ("one byte", vec![0xC1]),
        (
            "random bytes",
            (0..=255u8).map(|byte| byte.wrapping_mul(151)).collect(),
        ),
        ("nested arrays", deep(0x91, 60_000)),
        ("nested maps", maps),
        ("four billion elements", vec![0xDD, 0xFF, 0xFF, 0xFF, 0xFF]),
        (
            "four billion bytes",
            vec![
                0x81, 0xA4, b'c', b'a', b'r', b'd', 0xC6, 0xFF, 0xFF, 0xFF, 0xFF,
            ],
        ),
        ("64 KiB and a byte", vec![0x91; 64 * 1024 + 1]),
        ("1 MiB", vec![0xC0; 1024 * 1024]),
    ]
}

/// What a till is told of a sale that is not its own: neither amount nor how it really stands.
fn unknown_here(pos_id: PosTransactionId, status: PosStatus) -> ToAgent {
    ToAgent::Concluded(Concluded {
        pos_id,
        status,
        reason: "unknown_to_engine".to_owned(),
        amount: Money::zero("USD".parse().unwrap()),
        tip: None,
        transaction_id: None,
        kind: None,
        advice: None,
    })
}
