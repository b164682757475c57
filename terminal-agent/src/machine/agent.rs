//! The agent machine: what the till may do, and when. PURE.
//!
//! The contract is that of the engine's owners. [`Agent::handle`] mutates once; the caller drains
//! the outputs before the next input; [`Agent::poll_deadline`] is the only timer.
//!
//! # Persist, then act
//! A decision is journal entries and effects. The entries leave at once as [`Output::Persist`];
//! the effects leave only after [`Input::Persisted`]. What arrives between the two is queued and
//! decided afterwards, in order. The one exception is stopping the reader, which leaves at once:
//! it can only prevent a charge.
//!
//! # A POS transaction here
//! ```text
//!            Offer            SelectTip            ReadCard (within the go window)
//!  unknown ───────► Waiting ───────────► Tip          │
//!                    ▲  ▲ ◄──TipChosen── ┘            ▼
//!                    │  └─────AttemptEnded──── Starting ─► Reading
//!                    │                      Intent synced    │ card data, Sent synced
//!                    │ Completed{Refused,                    ▼
//!                    │           Aborted}     ┌──────────── Sent
//!                    └────────────────────────┤  HostAnswer  │ contact chip
//!                                             └── Chip ◄─────┘
//!                      Completed{Agreed}: Agreed ◄┘  Completion synced before it is sent
//!  Concluded or AttemptClosed: any state ─► unknown
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

mod attempt;
mod control;
mod device;
mod ending;
mod fleet;
mod host;
mod message;
mod offer;
mod print;
mod print_test;
mod reading;
mod recent;
mod session;
#[cfg(test)]
mod tests;
mod work;

pub use device::{PrinterEvent, PrinterHealth, PrinterJob, ReaderEvent, ReaderRequest};
pub use message::{
    AgentConfig, AgentStatus, ControlCommand, ControlId, ControlRefusal, ControlReply, Input,
    Output, TipKey,
};
pub use recent::{RecentSale, Undone};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::id::{AttemptId, PosTransactionId, RequestId};
use protocol::link::{RejectReason, ToAgent, ToEngine};

use crate::machine::record::{JournalEntry, JournalState};
use crate::machine::screen::Screen;
use fleet::FleetSide;
use print::PrintSide;
use session::LinkSide;
use work::{ReaderSide, Work};

/// An effect of a decision that waits for the journal.
enum Effect {
    Emit(Output),
    /// Touches the reader for the attempt of this POS transaction, if it is still time.
    StartReader(PosTransactionId),
}

/// The machine.
pub struct Agent {
    config: AgentConfig,
    /// What the journal holds, never more.
    journal: JournalState,
    works: BTreeMap<PosTransactionId, Work>,
    waiters: BTreeMap<RequestId, Vec<ControlId>>,
    /// Sales that were asked for at this till since it started, and when.
    starts: BTreeMap<RequestId, u64>,
    /// Attempts that were begun since the agent started.
    attempts: BTreeSet<AttemptId>,
    link: LinkSide,
    reader: ReaderSide,
    printer: PrintSide,
    fleet: FleetSide,
    screen: Screen,
    recent: recent::Recent,

    entries: Vec<JournalEntry>,
    effects: Vec<Effect>,
    urgent: Vec<Output>,
    persisting: Option<Vec<JournalEntry>>,
    queue: VecDeque<(u64, Input)>,
    is_faulted: bool,
}

impl Agent {
    /// The agent as its journal has it, after the entry of this boot was applied. Nothing is sent
    /// or touched: what is owed to the engine is in the next hello.
    pub fn resume(config: AgentConfig, journal: JournalState) -> Self {
        let works = journal
            .open()
            .map(|digest| (digest.pos_id, Work::resumed(digest)))
            .collect();
        let fleet = FleetSide::resumed(journal.configuration());
        Self {
            config,
            journal,
            works,
            waiters: BTreeMap::new(),
            starts: BTreeMap::new(),
            attempts: BTreeSet::new(),
            link: LinkSide::default(),
            reader: ReaderSide::default(),
            printer: PrintSide::default(),
            fleet,
            screen: Screen::Idle,
            recent: recent::Recent::default(),
            entries: Vec::new(),
            effects: Vec::new(),
            urgent: Vec::new(),
            persisting: None,
            queue: VecDeque::new(),
            is_faulted: false,
        }
    }

    /// What the journal holds.
    pub const fn journal(&self) -> &JournalState {
        &self.journal
    }

    /// Whether the journal has failed: nothing but a restart helps.
    pub const fn is_faulted(&self) -> bool {
        self.is_faulted
    }

    /// Takes one input. `now_ms` is monotonic and never smaller than before.
    pub fn handle(&mut self, now_ms: u64, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Persisted => {
                if self.persisted() {
                    self.report_status(now_ms);
                }
            }
            Input::PersistFailed => self.persist_failed(out),
            // A timer that fires while the journal is busy is asked for again afterwards.
            Input::Deadline if self.persisting.is_some() => {}
            // What the reader says while it works for nobody must not meet the attempt that waits
            // for the journal: it is about an earlier one.
            Input::Reader(event) if self.persisting.is_some() && self.is_of_nobody(&event) => {
                self.decide(now_ms, Input::Reader(event));
            }
            other if self.persisting.is_some() => self.queue.push_back((now_ms, other)),
            other => self.decide(now_ms, other),
        }
        self.settle(now_ms, out);
    }

    /// When `Input::Deadline` is wanted.
    pub fn poll_deadline(&self) -> Option<u64> {
        if self.persisting.is_some() || self.is_faulted {
            return None;
        }
        self.works
            .values()
            .filter_map(|work| work.phase.deadline_ms())
            .min()
    }

    fn settle(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        loop {
            out.append(&mut self.urgent);
            if self.persisting.is_some() {
                return;
            }
            if !self.entries.is_empty() {
                let entries = std::mem::take(&mut self.entries);
                out.push(Output::Persist(entries.clone()));
                self.persisting = Some(entries);
                return;
            }
            if !self.effects.is_empty() {
                self.release(now_ms, out);
                continue;
            }
            match self.queue.pop_front() {
                Some((arrival_ms, input)) => self.decide(arrival_ms, input),
                None => return,
            }
        }
    }

    fn release(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Emit(output) => out.push(output),
                Effect::StartReader(pos_id) => self.start_reader(now_ms, pos_id, out),
            }
        }
    }

    /// Whether the status has changed by what was written.
    fn persisted(&mut self) -> bool {
        let mut is_configured = false;
        for entry in self.persisting.take().unwrap_or_default() {
            is_configured |= matches!(entry, JournalEntry::Configured(_));
            self.journal.apply(&entry);
        }
        is_configured
    }

    /// The journal has lost a decision: its effects never happen, and nothing new begins.
    fn persist_failed(&mut self, out: &mut Vec<Output>) {
        let lost = self.persisting.take().unwrap_or_default();
        self.entries.clear();
        self.is_faulted = true;
        if self.reader.holder.take().is_some() {
            out.push(Output::Reader(ReaderRequest::Cancel));
        }
        for effect in std::mem::take(&mut self.effects) {
            if let Effect::Emit(Output::ControlAnswer(control, _)) = effect {
                self.answer_fault(control, out);
            }
        }
        for entry in &lost {
            let (JournalEntry::Accepted { pos_id } | JournalEntry::Intent { pos_id, .. }) = entry
            else {
                continue;
            };
            self.reject_fault(*pos_id, out);
        }
        for (request_id, waiters) in std::mem::take(&mut self.waiters) {
            // What the journal holds was sent, and its answer cannot be waited for any more.
            let refusal = if self.journal.request(request_id).is_some() {
                ControlRefusal::OutcomeUnknown
            } else {
                ControlRefusal::JournalFault
            };
            for control in waiters {
                let reply = ControlReply::Refused(refusal);
                out.push(Output::ControlAnswer(control, reply));
            }
        }
        out.push(Output::Show(Screen::OutOfOrder {
            reason: "journal_fault".to_owned(),
        }));
        out.push(Output::JournalFault);
    }

    fn decide(&mut self, now_ms: u64, input: Input) {
        if self.is_faulted {
            self.decide_faulted(now_ms, input);
            return;
        }
        match input {
            Input::LinkConnecting { version } => self.link_connecting(now_ms, version),
            Input::LinkUp(welcome) => self.link_up(welcome),
            Input::LinkDown => self.link_down(now_ms),
            Input::Message(message) => self.message(now_ms, *message),
            Input::Reader(event) => {
                self.fleet.reader_heard_ms = Some(now_ms);
                self.reader_event(now_ms, event);
            }
            Input::Printer(event) => self.printer_event(event),
            Input::Facts(facts) => self.looked_around(now_ms, facts),
            Input::Control(control, command) => self.control(now_ms, control, command),
            Input::ControlClosed(control) => self.control_closed(control),
            Input::Deadline => self.deadline(now_ms),
            // Taken by `handle`; a caller that invents one changes nothing.
            Input::Persisted | Input::PersistFailed => {}
        }
        self.configure_when_idle(now_ms);
        self.report_status(now_ms);
    }

    fn message(&mut self, now_ms: u64, message: ToAgent) {
        match message {
            ToAgent::Offer(offer) => self.offer(now_ms, &offer),
            ToAgent::SelectTip {
                pos_id,
                amount,
                prompt,
            } => self.select_tip(now_ms, pos_id, amount, prompt),
            ToAgent::ReadCard(grant) => self.read_card(now_ms, grant),
            ToAgent::HostAnswer(answer) => self.host_answer(now_ms, answer),
            ToAgent::Stop { pos_id } => self.stop(now_ms, pos_id),
            ToAgent::AttemptClosed { pos_id, attempt_id } => {
                self.attempt_closed(pos_id, attempt_id);
            }
            ToAgent::Concluded(concluded) => self.concluded(now_ms, concluded),
            ToAgent::Print(command) => self.print(*command),
            ToAgent::Answer { request_id, body } => self.answer(request_id, &body),
            ToAgent::Ping => self.send(ToEngine::Pong),
            ToAgent::ReportStatus { ask } => self.report_anew(ask),
            ToAgent::Configure(configuration) => self.configure(configuration),
            // The simulator of the devices is the shell's business.
            ToAgent::Pong | ToAgent::Simulate(_) => {}
        }
    }

    /// Without a journal the agent says so to everybody and begins nothing.
    fn decide_faulted(&mut self, now_ms: u64, input: Input) {
        let mut out = Vec::new();
        match input {
            Input::LinkConnecting { version } => {
                self.link.version = version;
                self.emit_hello();
            }
            Input::LinkUp(_) => self.link.is_up = true,
            Input::LinkDown => self.link.is_up = false,
            Input::Control(control, _) => self.answer_fault(control, &mut out),
            Input::Message(message) => match *message {
                ToAgent::Offer(offer) => self.reject_fault(offer.pos_id, &mut out),
                ToAgent::SelectTip { pos_id, .. } => self.reject_fault(pos_id, &mut out),
                ToAgent::ReadCard(grant) => self.reject_fault(grant.pos_id, &mut out),
                ToAgent::Ping => self.send(ToEngine::Pong),
                ToAgent::ReportStatus { ask } => {
                    let report = self.status_report(now_ms, ask);
                    self.send(ToEngine::StatusReported(Box::new(report)));
                }
                ToAgent::HostAnswer(_)
                | ToAgent::Stop { .. }
                | ToAgent::AttemptClosed { .. }
                | ToAgent::Concluded(_)
                | ToAgent::Print(_)
                | ToAgent::Answer { .. }
                | ToAgent::Pong
                | ToAgent::Simulate(_)
                | ToAgent::Configure(_) => {}
            },
            // A chip that still waits must not be left waiting.
            Input::Reader(ReaderEvent::CardData { .. }) => {
                out.push(Output::Reader(ReaderRequest::Cancel));
            }
            Input::Reader(_)
            | Input::Printer(_)
            | Input::Facts(_)
            | Input::ControlClosed(_)
            | Input::Persisted
            | Input::PersistFailed
            | Input::Deadline => {}
        }
        self.effects.extend(out.into_iter().map(Effect::Emit));
    }

    fn answer_fault(&self, control: ControlId, out: &mut Vec<Output>) {
        out.push(Output::ControlAnswer(
            control,
            ControlReply::Refused(ControlRefusal::JournalFault),
        ));
    }

    fn reject_fault(&self, pos_id: PosTransactionId, out: &mut Vec<Output>) {
        if self.link.is_up {
            out.push(Output::Send(ToEngine::Reject {
                pos_id,
                reason: RejectReason::JournalFault,
            }));
        }
    }

    fn persist(&mut self, entry: JournalEntry) {
        self.entries.push(entry);
    }

    fn emit(&mut self, output: Output) {
        self.effects.push(Effect::Emit(output));
    }

    /// What is said while the link is down is forgotten: the next hello says it. What is newer than
    /// the link's version has no words there.
    fn send(&mut self, message: ToEngine) {
        if self.link.is_up && message.since() <= self.link.version {
            self.emit(Output::Send(message));
        }
    }

    fn reject(&mut self, pos_id: PosTransactionId, reason: RejectReason) {
        self.send(ToEngine::Reject { pos_id, reason });
    }

    fn show(&mut self, screen: Screen) {
        self.screen = screen.clone();
        self.emit(Output::Show(screen));
    }

    fn reply(&mut self, control: ControlId, reply: ControlReply) {
        self.emit(Output::ControlAnswer(control, reply));
    }
}
