//! One reader, one conversation, and a customer and an issuer who do as they are told.

use firmware_sim::cards::{self, Way};
use firmware_sim::reader::fault::{Fault, Scope};
use firmware_sim::reader::{
    Input as DeviceInput, Output as DeviceOutput, Phase, Presentation, Reader, ReaderConfig,
    ReaderQuirks, Timing,
};
use protocol::money::Money;
use protocol::reader::command::Interfaces;
use terminal_agent::machine::reader::{
    EndReason, Entry, Event, Input, Output, Progress, ReaderConversation, ReaderConversationConfig,
    Request, Start,
};

/// Longer than any transaction of these tests may take.
const PATIENCE_MS: u64 = 300_000;
/// How long the customer has.
pub(super) const CUSTOMER_MS: u64 = 60_000;
/// From the reader's question to a card, and from card data to the issuer's answer.
const REACTION_MS: u64 = 300;

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Issuer and chip agree, or the issuer alone where there is no chip to be told.
    Approved(Entry),
    /// The chip has spoken, and refused.
    Refused,
    /// No last word.
    Ended(EndReason),
}

/// What the issuer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    Approves,
    Declines,
    IsUnreachable,
}

pub(super) struct Bench {
    pub(super) now_ms: u64,
    pub(super) reader: Reader,
    pub(super) conversation: ReaderConversation,
    pub(super) issuer: Issuer,
    /// Presented in turn, each when the reader waits for a card.
    pub(super) cards: Vec<(&'static str, Way)>,
    /// What the till was shown.
    pub(super) shown: Vec<Progress>,
    /// Armed as soon as the reader is in a phase.
    pub(super) trap: Option<(Phase, Fault, Scope)>,
    amount_minor: i64,
    is_plugged: bool,
    is_ready: bool,
    phase: Phase,
    /// The till asks for a card.
    is_invited: bool,
    present_at_ms: Option<u64>,
    answer_at_ms: Option<u64>,
    entry: Option<Entry>,
    /// Endings of the running transaction.
    ends: Vec<End>,
    needs_host: bool,
    /// Of chips, before the running transaction.
    approvals: u64,
}

impl Bench {
    pub(super) fn new(quirks: ReaderQuirks) -> Self {
        Self::with(quirks, ReaderConversationConfig::standard())
    }

    /// Switched on and set up.
    pub(super) fn with(quirks: ReaderQuirks, config: ReaderConversationConfig) -> Self {
        let mut device = ReaderConfig::demo();
        device.timing = Timing::LIFELIKE;
        device.quirks = quirks;
        let mut bench = Self {
            now_ms: 0,
            reader: Reader::new(device, 0),
            conversation: ReaderConversation::new(config),
            issuer: Issuer::Approves,
            cards: Vec::new(),
            shown: Vec::new(),
            trap: None,
            amount_minor: 1_000,
            is_plugged: false,
            is_ready: false,
            phase: Phase::Boot,
            is_invited: false,
            present_at_ms: None,
            answer_at_ms: None,
            entry: None,
            ends: Vec::new(),
            needs_host: false,
            approvals: 0,
        };
        bench.plug_in();
        bench.until_ready();
        bench
    }

    pub(super) fn arm(&mut self, fault: Fault, scope: Scope) {
        self.device(DeviceInput::Fault(fault, scope));
    }

    pub(super) fn unplug(&mut self) {
        if std::mem::take(&mut self.is_plugged) {
            self.agent(Input::PortClosed);
        }
    }

    pub(super) fn plug_in(&mut self) {
        if !std::mem::replace(&mut self.is_plugged, true) {
            self.agent(Input::PortOpened);
        }
    }

    pub(super) fn until_ready(&mut self) {
        let limit_ms = self.now_ms + PATIENCE_MS;
        while !self.is_ready {
            self.step(limit_ms);
        }
    }

    /// Starts a transaction of an amount of its own and follows it to its end.
    pub(super) fn pay(&mut self, cards: &[(&'static str, Way)]) -> End {
        self.start(cards);
        self.finish()
    }

    pub(super) fn start(&mut self, cards: &[(&'static str, Way)]) {
        self.amount_minor += 1;
        self.cards = cards.iter().rev().copied().collect();
        self.shown.clear();
        (self.entry, self.needs_host) = (None, false);
        (self.present_at_ms, self.answer_at_ms) = (None, None);
        self.is_invited = false;
        self.approvals = self.reader.approvals();
        self.ends.clear();
        let amount = Money::new(self.amount_minor, "EUR".parse().unwrap());
        self.agent(Input::Request(Request::Start(Start {
            amount,
            timeout_ms: CUSTOMER_MS,
            interfaces: Interfaces::ALL,
            prompt: None,
        })));
        self.customer_looks();
    }

    /// Follows to the one end, and on to a reader that is ready and idle.
    pub(super) fn finish(&mut self) -> End {
        let limit_ms = self.now_ms + PATIENCE_MS;
        while self.ends.is_empty() {
            self.step(limit_ms);
        }
        // Whatever else comes must not be a second end.
        let calm_ms = self.now_ms + 10_000;
        while self.next_ms().is_some_and(|at_ms| at_ms <= calm_ms) {
            self.step(calm_ms);
        }
        self.now_ms = calm_ms;
        self.cards.clear();
        self.until_ready();
        assert_eq!(self.ends.len(), 1, "{:?}", self.ends);
        let chip_agreed = self.reader.approvals() > self.approvals;
        let is_contact = self.ends.first() == Some(&End::Approved(Entry::Contact));
        assert!(chip_agreed || !is_contact, "approved, and no chip agreed");
        assert!(!self.conversation.is_busy());
        self.device(DeviceInput::Remove);
        self.device(DeviceInput::ClearFaults);
        self.ends.remove(0)
    }

    /// A sale that works, to show that the reader and the agent understand each other again.
    pub(super) fn works(&mut self) {
        self.trap = None;
        self.issuer = Issuer::Approves;
        for (card, way, entry) in [
            ("mastercard", Way::Insert, Entry::Contact),
            ("visa", Way::Tap, Entry::Contactless),
        ] {
            assert_eq!(self.pay(&[(card, way)]), End::Approved(entry), "{card}");
        }
    }

    fn next_ms(&self) -> Option<u64> {
        [
            self.reader.poll_deadline(),
            self.conversation.poll_deadline(),
            self.present_at_ms,
            self.answer_at_ms,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Goes to the next thing that happens.
    pub(super) fn step(&mut self, limit_ms: u64) {
        let at_ms = self.next_ms().expect("something is still to happen");
        assert!(at_ms <= limit_ms, "nothing ends: {:?}", self.shown);
        self.now_ms = self.now_ms.max(at_ms);
        let is_due = |at: Option<u64>| at.is_some_and(|at_ms| at_ms <= self.now_ms);
        let (presents, answers) = (is_due(self.present_at_ms), is_due(self.answer_at_ms));
        let (device, agent) = (
            is_due(self.reader.poll_deadline()),
            is_due(self.conversation.poll_deadline()),
        );
        if presents {
            self.present_at_ms = None;
            self.present();
        }
        if answers {
            self.answer_at_ms = None;
            self.answer();
        }
        if device {
            self.device(DeviceInput::Deadline);
        }
        if agent {
            self.agent(Input::Deadline);
        }
    }

    fn present(&mut self) {
        if !matches!(self.reader.phase(), Phase::Polling | Phase::Inserting) {
            return;
        }
        let Some((name, way)) = self.cards.pop() else {
            return;
        };
        let card = cards::find(name).unwrap();
        self.device(DeviceInput::Present(Presentation { card, way }));
    }

    fn answer(&mut self) {
        let request = match self.issuer {
            Issuer::IsUnreachable => Request::HostUnreachable,
            answer => Request::HostAnswer {
                approved: answer == Issuer::Approves,
                response_code: if answer == Issuer::Approves {
                    *b"00"
                } else {
                    *b"05"
                },
                issuer_data: Vec::new(),
            },
        };
        self.agent(Input::Request(request));
        if !self.needs_host {
            let entry = self.entry.unwrap();
            self.ends.push(match self.issuer {
                Issuer::Approves => End::Approved(entry),
                Issuer::Declines | Issuer::IsUnreachable => End::Refused,
            });
        }
    }

    pub(super) fn device(&mut self, input: DeviceInput<'_>) {
        let was_attached = self.reader.is_attached();
        let outputs = self.reader.handle(self.now_ms, input);
        if was_attached && !self.reader.is_attached() {
            self.unplug();
        }
        if !was_attached && self.reader.is_attached() {
            self.plug_in();
        }
        for DeviceOutput::Host(bytes) in outputs {
            if self.is_plugged {
                self.agent(Input::Bytes(&bytes));
            }
        }
        self.customer_looks();
    }

    /// Whoever is asked for a card, and sees that the reader waits, comes with one.
    fn customer_looks(&mut self) {
        let phase = self.reader.phase();
        let waits = matches!(phase, Phase::Polling | Phase::Inserting);
        let comes = waits && self.is_invited && !self.cards.is_empty() && self.ends.is_empty();
        if comes && self.present_at_ms.is_none() {
            self.present_at_ms = Some(self.now_ms + REACTION_MS);
        }
        if phase == std::mem::replace(&mut self.phase, phase) {
            return;
        }
        if let Some((when, fault, scope)) = self.trap
            && when == phase
        {
            self.trap = None;
            self.arm(fault, scope);
        }
    }

    pub(super) fn agent(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.conversation.handle(self.now_ms, input, &mut out);
        for output in out {
            match output {
                Output::Write(bytes) if self.is_plugged => self.device(DeviceInput::Host(&bytes)),
                Output::Write(_) => {}
                Output::Event(event) => self.note(event),
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Ready { .. } => self.is_ready = true,
            Event::NotReady { .. } => self.is_ready = false,
            Event::Progress(Progress::RemoveCard) => {
                self.shown.push(Progress::RemoveCard);
                self.is_invited = false;
                // The customer obeys as soon as the reader has said what it had to say.
                if self.reader.phase() == Phase::Idle {
                    self.device(DeviceInput::Remove);
                }
            }
            Event::Progress(progress) => {
                self.shown.push(progress);
                self.is_invited |=
                    matches!(progress, Progress::PresentCard | Progress::InsertOrSwipe);
                self.customer_looks();
            }
            Event::CardData {
                entry,
                needs_host_answer,
                ..
            } => {
                self.entry = Some(entry);
                self.needs_host = needs_host_answer;
                self.answer_at_ms = Some(self.now_ms + REACTION_MS);
            }
            Event::ChipFinal { approved: true, .. } => {
                self.ends.push(End::Approved(Entry::Contact));
            }
            Event::ChipFinal { .. } => self.ends.push(End::Refused),
            Event::Ended(reason) => self.ends.push(End::Ended(reason)),
            Event::Busy => panic!("a start was refused"),
        }
    }

    /// Whether the chip in the reader agreed to pay.
    pub(super) fn was_forced_online(&self) -> bool {
        self.reader.was_forced_online()
    }
}
