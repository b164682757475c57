//! The acquirer: the line and the host that ship, under the world's faults.
//!
//! Like an acquirer outside, it goes on while the engine is down; what it answers then is lost.

use std::collections::BTreeMap;

use engine::acquirer::base_keys::BaseKeys;
use engine::acquirer::host::{BookState, Host};
use engine::acquirer::line::{Fault as LineFault, Line, Ticket};
use engine::acquirer::{AcquirerAction, AcquirerAnswer, AcquirerRequest, Sending};
use engine::domain::reversal::ReversalAnswer;
use engine::domain::transaction::Trace;
use engine::owner::machine::Input;
use engine::owner::merchant::MerchantInput;
use engine::owner::work::Ids as _;
use protocol::id::TransactionId;
use protocol::link::CardReport;

use super::engine::Mail;
use super::event::Event;
use super::fault::Fault;
use super::sabotage::Sabotage;
use super::world::{EPOCH_MS, World};

/// When the engine's end stops to wait and says *unknown*. As the simulator's default.
const TIMEOUT_MS: u64 = 20_000;
/// The longest that a request is under way. Below what reversals reckon with.
const DELAY_MS_MAX: u64 = 55_000;
/// How long the host takes.
const LATENCY_MS: u64 = 80;

/// Whose request a ticket is.
#[derive(Debug, Clone, Copy)]
struct Asked {
    life: u64,
    merchant: usize,
    transaction_id: TransactionId,
    sending: Sending,
}

/// The line, and who waits on it.
#[derive(Debug)]
pub struct Acquirer {
    /// The line, with the host and its book.
    pub line: Line,
    asked: BTreeMap<Ticket, Asked>,
    tickets: u64,
    /// When it was last asked to undo a transaction, in virtual time.
    undoing_ms: BTreeMap<TransactionId, u64>,
    /// When a merchant's owner, in its present life, first heard "original not found".
    not_found_ms: BTreeMap<(usize, TransactionId), u64>,
}

impl Default for Acquirer {
    fn default() -> Self {
        let host = Host::new(BaseKeys::published_for_tests(), LATENCY_MS);
        let line = Line::new(host, TIMEOUT_MS);
        Self {
            line,
            asked: BTreeMap::new(),
            tickets: 0,
            undoing_ms: BTreeMap::new(),
            not_found_ms: BTreeMap::new(),
        }
    }
}

impl Acquirer {
    /// A ticket that was never used.
    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn note_asking(&mut self, request: &AcquirerRequest, now_ms: u64) {
        if matches!(request.action, AcquirerAction::Reverse { .. }) {
            self.undoing_ms.insert(request.transaction_id, now_ms);
        }
    }

    /// An owner is loaded: what it heard before says nothing to it about time.
    pub(super) fn owner_begins(&mut self, merchant: usize) {
        self.not_found_ms.retain(|(of, _), _| *of != merchant);
    }

    /// An owner is told something.
    pub(super) fn note_heard(
        &mut self,
        merchant: usize,
        input: &Input<MerchantInput>,
        now_ms: u64,
    ) {
        let Input::Outside(MerchantInput::Acquirer {
            transaction_id,
            answer: AcquirerAnswer::Reversal(ReversalAnswer::OriginalNotFound),
            ..
        }) = input
        else {
            return;
        };
        let heard = self.not_found_ms.entry((merchant, *transaction_id));
        heard.or_insert(now_ms);
    }

    /// From when on the pause before the next asking counts, at the latest: the last asking, or
    /// the first "original not found", which is asked about again after the longest delay.
    pub fn pause_began_ms(&self, merchant: usize, id: TransactionId) -> Option<u64> {
        let asked = self.undoing_ms.get(&id);
        let doubted = self.not_found_ms.get(&(merchant, id));
        asked.max(doubted).copied()
    }

    /// Whether anything stands for a transaction.
    pub fn stands(&self, id: TransactionId) -> bool {
        let entry = self.line.host().book().find_transaction(id);
        entry.is_some_and(|entry| entry.state == BookState::Authorized)
    }
}

impl World {
    /// Takes a request over, as the acquirer's shell does.
    pub fn submit(&mut self, merchant: usize, mut request: AcquirerRequest) {
        let (life, transaction_id) = (self.engine.life, request.transaction_id);
        let asked = Asked {
            life,
            merchant,
            transaction_id,
            sending: request.sending,
        };
        if let Some(answer) = self.lie_to_acquirer(&mut request) {
            self.deliver(asked, answer);
            return;
        }
        let checked = self.model.asks_acquirer(&request);
        self.check(checked);
        self.acquirer.note_asking(&request, self.now_ms);
        let fault = self.line_fault();
        self.note(|| format!("to acquirer ({fault:?}): {request:?}"));
        let ticket = self.acquirer.next_ticket();
        self.acquirer.asked.insert(ticket, asked);
        let now = self.true_now();
        if self.sabotage == Some(Sabotage::AuthorizeTwice) {
            let again = Ticket(u64::MAX - self.acquirer.tickets);
            self.acquirer.line.submit(now, again, request.clone(), None);
        }
        self.acquirer.line.submit(now, ticket, request, fault);
        self.collect_answers();
    }

    pub(super) fn line_fault(&mut self) -> Option<LineFault> {
        if !self.plan.strikes(Fault::HostTrouble, 35, &mut self.random) {
            return None;
        }
        let late_ms = self.random.between(1_000, DELAY_MS_MAX);
        Some(match self.random.below(8) {
            0 => LineFault::NotSent,
            1 => LineFault::LoseRequest,
            2 => LineFault::LoseAnswer,
            3 | 4 => LineFault::DelayRequest { ms: late_ms },
            5 | 6 => LineFault::DelayAnswer {
                ms: self.random.between(500, TIMEOUT_MS - 500),
            },
            _ => LineFault::RepeatRequest { after_ms: late_ms },
        })
    }

    /// Lets happen on the line what is due.
    pub fn line_timer(&mut self) {
        let now = self.true_now();
        self.acquirer.line.advance(now);
        for changed in self.acquirer.line.take_changes() {
            self.note(|| format!("host books {changed:?}"));
            self.mix(&changed.number.to_le_bytes());
        }
        self.collect_answers();
    }

    fn collect_answers(&mut self) {
        while let Some(delivery) = self.acquirer.line.poll_answer() {
            if let Some(asked) = self.acquirer.asked.remove(&delivery.ticket) {
                self.deliver(asked, delivery.answer);
            }
        }
    }

    /// The answer reaches the engine a moment later.
    fn deliver(&mut self, asked: Asked, mut answer: AcquirerAnswer) {
        self.lie_in_host_answer(asked.transaction_id, &mut answer);
        let Asked {
            life,
            merchant,
            transaction_id,
            sending,
        } = asked;
        let event = Event::HostAnswers {
            life,
            merchant,
            transaction_id,
            sending,
            answer,
        };
        self.queue.push(self.now_ms + 1, event);
    }

    /// An answer reaches the process that asked, if it still runs.
    pub fn engine_hears(&mut self, life: u64, merchant: usize, input: MerchantInput) {
        if self.engine.is_up && life == self.engine.life {
            self.note(|| format!("engine hears {input:?}"));
            self.engine
                .post(Mail::Merchant(merchant, Box::new(Input::Outside(input))));
            self.pump_engine();
        }
    }

    /// Sabotage: card data goes to the acquirer without the engine's decision.
    pub fn authorize_uncommitted(&mut self, till: usize, report: &CardReport) {
        self.ids.now_ms = EPOCH_MS + self.now_ms;
        let transaction_id = TransactionId::from_uuid(self.ids.next());
        self.history.pos_of.insert(transaction_id, report.pos_id);
        let ticket = self.acquirer.next_ticket();
        let sent_at = self.true_now();
        let merchant = self.tills[till].merchant;
        let request = AcquirerRequest {
            merchant_id: self.engine.merchants[merchant].id,
            terminal_id: self.tills[till].terminal_id,
            transaction_id,
            trace: Trace {
                number: 999_999,
                sent_at,
            },
            tries: 1,
            sending: Sending {
                number: 1,
                at: sent_at,
            },
            action: AcquirerAction::Authorize {
                kind: protocol::link::PosKind::Sale,
                amount: report.amount,
                entry: engine::domain::card::EntryMode::Contactless,
                card: engine::acquirer::SealedCard::new(report.data.clone()),
            },
        };
        self.acquirer.line.submit(sent_at, ticket, request, None);
    }
}
