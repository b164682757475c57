//! The owner of a merchant: the single writer of everything that the merchant owns.
//!
//! Holds in memory only what is open: POS transactions under way, transactions that the acquirer
//! still owes an answer for, print jobs, links and waiting callers. Everything else is read by key
//! when it is needed.

mod admin;
mod cancel;
mod claim;
mod fleet;
mod host;
mod link;
mod money;
mod pairing;
mod print;
mod resolve;
mod restore;
mod retire;
mod sandbox;
mod start;
mod till;
mod wait;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod fleet_test;
#[cfg(test)]
mod invariant_test;
#[cfg(test)]
mod order_test;
#[cfg(test)]
mod pairing_test;
#[cfg(test)]
mod print_test;
#[cfg(test)]
mod resolve_test;
#[cfg(test)]
mod retire_test;
#[cfg(test)]
mod rule_test;
#[cfg(test)]
mod sandbox_test;
#[cfg(test)]
mod table_test;
#[cfg(test)]
mod unknown_test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::id::{
    JournalId, MerchantId, PosTransactionId, PrintJobId, TerminalId, TransactionId,
};
use protocol::link::{
    Configuration, ConfigurationReport, Digest, PosStatus, PrintReport, RefusedReason, ToAgent,
    ToEngine,
};
use protocol::money::Currency;

use crate::acquirer::{AcquirerAnswer, AcquirerRequest, Sending};
use crate::domain::merchant::{Merchant, Terminal};
use crate::domain::pos::{PosTransaction, Stage};
use crate::domain::print::PrintJob;
use crate::domain::reason::Reason;
use crate::domain::rejection::Rejection;
use crate::domain::reversal::HOST_DELAY_MS_MAX;
use crate::domain::rollout::Rollout;
use crate::domain::sandbox::{Fault, Policy};
use crate::domain::terminal_settings::TerminalDefaults;
use crate::domain::time::Timestamp;
use crate::domain::tip::TipLimits;
use crate::domain::transaction::Transaction;
use crate::store::{ReadFault, Rows, Urgency};

use super::access_change::AccessChange;
use super::key;
use super::machine::{Decider, Owner};
use super::quarantine::Identity;
use super::request::{Ask, CallerId, Reply, Request};
use super::stored::Counters;
use super::sweep::ClaimSweep;
use super::work::{Work, decode};

pub use sandbox::Misbehaviour;
use sandbox::Sandbox;
use wait::Waiter;

/// How long things may take, and how much they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a terminal must have taken an offer. Seconds: the cashier stands in front of it.
    pub offer_ms: u64,
    /// Until a card must have been read.
    pub attempt_ms: u64,
    /// Until a terminal must have told a card that it was declined.
    pub tell_ms: u64,
    /// Until the acquirer must have answered. Above the acquirer's own timeout.
    pub host_ms: u64,
    /// How long a request may be on its way to the acquirer: "original not found" counts only
    /// when it is still the answer after that.
    pub host_delay_ms: u64,
    /// Until a terminal must have confirmed an approval.
    pub confirm_ms: u64,
    /// From the start of a POS transaction until no further card is tried.
    pub retry_ms: u64,
    /// After a restart, until terminals must have reconnected.
    pub reconnect_ms: u64,
    /// Cards tried in one POS transaction.
    pub attempts_max: u32,
    /// Highest amount in minor units.
    pub amount_max: i64,
    /// Without anything to do, until an owner is dropped from memory.
    pub idle_ms: u64,
    /// Limits on tips set later.
    pub tip: TipLimits,
    /// Whether faults may be asked for.
    pub sandbox: Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            offer_ms: 5_000,
            attempt_ms: 60_000,
            tell_ms: 20_000,
            host_ms: 30_000,
            host_delay_ms: HOST_DELAY_MS_MAX,
            confirm_ms: 60_000,
            retry_ms: 180_000,
            reconnect_ms: 30_000,
            attempts_max: 3,
            amount_max: 99_999_999,
            idle_ms: 300_000,
            tip: TipLimits::default(),
            sandbox: Policy::Off,
        }
    }
}

impl Limits {
    /// The longest that the present stage of a POS transaction can last.
    fn life_ms(&self, pos: &PosTransaction) -> u64 {
        match pos.stage {
            Stage::Offered => self.offer_ms,
            Stage::SelectingTip => pos.tip_prompt.as_ref().map_or(0, start::prompt_life_ms),
            Stage::AwaitingCard => self
                .tell_ms
                .max(self.attempt_ms + start::CARD_ON_ITS_WAY_MS),
            Stage::Authorizing => self.host_ms,
            Stage::Confirming => self.confirm_ms,
            Stage::Reversing | Stage::Closed => 0,
        }
    }
}

/// What a merchant's owner is told.
#[derive(Debug, Clone)]
pub enum MerchantInput {
    /// A request, to be answered exactly once.
    Ask(Ask),
    /// Something about a terminal's link.
    Terminal {
        /// The terminal.
        terminal_id: TerminalId,
        /// What.
        event: TerminalEvent,
    },
    /// The acquirer answered.
    Acquirer {
        /// The transaction.
        transaction_id: TransactionId,
        /// Which sending it answers.
        sending: Sending,
        /// The answer.
        answer: AcquirerAnswer,
    },
}

/// What happens on a terminal's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalEvent {
    /// A link is up; nothing has been sent on it yet.
    Up {
        /// The journal of the installation.
        journal_id: JournalId,
        /// Open work there.
        open: Vec<Digest>,
        /// Print jobs that ended there.
        prints: Vec<PrintReport>,
    },
    /// The link is lost.
    Down,
    /// The agent said something.
    Said(ToEngine),
    /// The agent said which configuration it has, on a link where one is wanted.
    Configured(ConfigurationReport),
}

/// What a merchant's owner causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The one answer to a caller.
    Answer {
        /// Who waits.
        caller: CallerId,
        /// What it gets.
        reply: Result<Reply, Rejection>,
    },
    /// The hello has been reconciled: the link may be welcomed. Precedes everything sent on it.
    Welcome {
        /// The terminal.
        terminal_id: TerminalId,
        /// What the till calls itself.
        label: String,
        /// What the merchant takes, the usual one first.
        currencies: Vec<Currency>,
        /// Print reports that are stored.
        prints_known: Vec<PrintJobId>,
    },
    /// The hello gets no link.
    RefuseLink {
        /// The terminal.
        terminal_id: TerminalId,
        /// Why.
        reason: RefusedReason,
    },
    /// A message for a terminal; dropped when it has no link, and owed again at the next one.
    ToTerminal {
        /// The terminal.
        terminal_id: TerminalId,
        /// The message.
        message: Box<ToAgent>,
    },
    /// What a till is to be like; sent when it is not. Behind the welcome of its link.
    Configure {
        /// The terminal.
        terminal_id: TerminalId,
        /// What it is to be like.
        configuration: Arc<Configuration>,
    },
    /// A request for the acquirer.
    Acquirer(Box<AcquirerRequest>),
    /// A change in who may do what.
    Publish(AccessChange),
    /// A fault that was asked for in test mode.
    Misbehave(Misbehaviour),
}

/// The unit of work of this owner.
type MerchantWork<'a> = Work<'a, Effect>;
/// A decision that can only fail by failing to read.
type Decided = Result<(), ReadFault>;

/// The state of a merchant's owner.
#[derive(Debug)]
pub struct MerchantOwner {
    merchant: Merchant,
    limits: Limits,
    counters: Counters,
    /// What is wanted of all tills.
    defaults: TerminalDefaults,
    /// This is a copy whose original went on: found at the start, until it has been dealt with.
    is_restored: bool,
    open: BTreeMap<PosTransactionId, PosTransaction>,
    pending: BTreeMap<TransactionId, Transaction>,
    prints: BTreeMap<PrintJobId, PrintJob>,
    /// Terminals with a link, as their rows are: nothing about them is read during a sale.
    links: BTreeMap<TerminalId, Arc<Terminal>>,
    /// Ends of print jobs that this link has reported and was not told to forget; the next hello
    /// says them again.
    prints_reported: BTreeMap<TerminalId, BTreeSet<PrintJobId>>,
    waiters: Vec<Waiter>,
    sandbox: Sandbox,
    sweep: ClaimSweep,
}

impl MerchantOwner {
    /// Loads what is open; `None` when there is no such merchant.
    ///
    /// # Errors
    /// [`ReadFault`].
    pub fn load(
        merchant_id: MerchantId,
        limits: Limits,
        rows: &dyn Rows,
    ) -> Result<Option<Owner<Self>>, ReadFault> {
        let merchant_key = key::merchant(merchant_id);
        let Some(bytes) = rows.get(&merchant_key)? else {
            return Ok(None);
        };
        let counters = match rows.get(&key::counters(merchant_id))? {
            Some(bytes) => decode(&[key::COUNTERS], &bytes)?,
            None => Counters::default(),
        };
        let defaults_key = key::terminal_defaults(merchant_id);
        let defaults = match rows.get(&defaults_key)? {
            Some(bytes) => decode(&defaults_key, &bytes)?,
            None => TerminalDefaults::none(merchant_id),
        };
        let (counters, is_restored) = restore::counted_in(counters, rows);
        let mut state = Self {
            is_restored,
            merchant: decode(&merchant_key, &bytes)?,
            limits,
            counters,
            defaults,
            open: BTreeMap::new(),
            pending: BTreeMap::new(),
            prints: BTreeMap::new(),
            links: BTreeMap::new(),
            prints_reported: BTreeMap::new(),
            waiters: Vec::new(),
            sandbox: Sandbox::new(limits.sandbox),
            sweep: ClaimSweep::default(),
        };
        for (mark, _) in rows.scan(&key::of_merchant(key::OPEN, merchant_id), None, usize::MAX)? {
            state.load_open(&mark, rows)?;
        }
        let stream = key::merchant_stream(merchant_id);
        let seq = rows.head(stream)?;
        Ok(Some(Owner::new(state, stream, seq)))
    }

    fn load_open(&mut self, mark: &[u8], rows: &dyn Rows) -> Decided {
        let missing = || ReadFault("a mark of open work has no row".to_owned());
        let row_key = key::opened(mark).ok_or_else(missing)?;
        let bytes = rows.get(&row_key)?.ok_or_else(missing)?;
        match row_key.first() {
            Some(&key::POS) => {
                let pos: PosTransaction = decode(&row_key, &bytes)?;
                self.open.insert(pos.id, pos);
            }
            Some(&key::TRANSACTION) => {
                let transaction: Transaction = decode(&row_key, &bytes)?;
                self.pending.insert(transaction.id, transaction);
            }
            Some(&key::PRINT_JOB) => {
                let job: PrintJob = decode(&row_key, &bytes)?;
                self.prints.insert(job.id, job);
            }
            Some(&key::FAULT) => {
                let fault: Fault = decode(&row_key, &bytes)?;
                self.sandbox.load(fault);
            }
            _ => return Err(missing()),
        }
        Ok(())
    }

    /// POS transactions that have not ended.
    pub fn open(&self) -> impl Iterator<Item = &PosTransaction> {
        self.open.values()
    }

    /// Transactions that the acquirer owes an answer for.
    pub fn pending(&self) -> impl Iterator<Item = &Transaction> {
        self.pending.values()
    }

    /// Whether nothing is open, nobody waits, and no terminal is linked: then all that is known here
    /// is what is committed, but for where the sweep of old keys is.
    pub fn is_at_rest(&self) -> bool {
        self.open.is_empty()
            && self.pending.is_empty()
            && self.prints.is_empty()
            && self.links.is_empty()
            && self.prints_reported.values().all(BTreeSet::is_empty)
            && self.waiters.is_empty()
            && self.sandbox.is_empty()
            && !self.is_restored
            && self.rollout_deadline().is_none()
    }

    fn rollout_deadline(&self) -> Option<Timestamp> {
        let rollout = self.defaults.rollout.as_ref();
        rollout.and_then(Rollout::deadline)
    }

    fn id(&self) -> MerchantId {
        self.merchant.id
    }

    /// A POS transaction, open or past; `None` when it is not this merchant's.
    fn pos(
        &self,
        work: &MerchantWork<'_>,
        pos_id: PosTransactionId,
    ) -> Result<Option<PosTransaction>, ReadFault> {
        match self.open.get(&pos_id) {
            Some(pos) => Ok(Some(pos.clone())),
            None => work.get(&key::pos(self.id(), pos_id)),
        }
    }

    /// A transaction, open or past; `None` when it is not this merchant's.
    fn transaction(
        &self,
        work: &MerchantWork<'_>,
        transaction_id: TransactionId,
    ) -> Result<Option<Transaction>, ReadFault> {
        match self.pending.get(&transaction_id) {
            Some(transaction) => Ok(Some(transaction.clone())),
            None => work.get(&key::transaction(self.id(), transaction_id)),
        }
    }

    fn terminal(
        &self,
        work: &MerchantWork<'_>,
        terminal_id: TerminalId,
    ) -> Result<Option<Terminal>, ReadFault> {
        work.get(&key::terminal(self.id(), terminal_id))
    }

    /// As [`Self::terminal`], without a read while the terminal has a link.
    fn terminal_as_linked(
        &self,
        work: &MerchantWork<'_>,
        terminal_id: TerminalId,
    ) -> Result<Option<Arc<Terminal>>, ReadFault> {
        match self.links.get(&terminal_id) {
            Some(terminal) => Ok(Some(Arc::clone(terminal))),
            None => Ok(self.terminal(work, terminal_id)?.map(Arc::new)),
        }
    }

    /// Writes a POS transaction with the event that changed it.
    fn save_pos(&mut self, work: &mut MerchantWork<'_>, event: &str, pos: PosTransaction) {
        let row = key::pos(self.id(), pos.id);
        work.happened(event, &pos.id);
        work.put(row.clone(), &pos);
        let mark = key::open(self.id(), &row);
        if pos.stage == Stage::Closed {
            if self.open.remove(&pos.id).is_some() {
                work.remove(mark);
            }
            self.settle_pos_waiters(work, &pos);
        } else {
            if !self.open.contains_key(&pos.id) {
                work.mark(mark);
            }
            self.settle_pos_waiters(work, &pos);
            self.open.insert(pos.id, pos);
        }
    }

    /// Writes a transaction with the event that changed it.
    fn save_transaction(
        &mut self,
        work: &mut MerchantWork<'_>,
        event: &str,
        transaction: Transaction,
    ) {
        let row = key::transaction(self.id(), transaction.id);
        work.happened(event, &transaction.id);
        work.put(row.clone(), &transaction);
        let mark = key::open(self.id(), &row);
        if transaction.is_open() {
            if !self.pending.contains_key(&transaction.id) {
                work.mark(mark);
            }
            self.pending.insert(transaction.id, transaction);
        } else {
            if self.pending.remove(&transaction.id).is_some() {
                work.remove(mark);
            }
            self.settle_transaction_waiters(work, &transaction);
        }
    }

    /// Ends a POS transaction that moved no money, and tells the terminal.
    fn close(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut pos: PosTransaction,
        status: PosStatus,
        reason: Reason,
    ) {
        pos.close(status, reason, work.now);
        self.send(
            work,
            pos.terminal_id,
            ToAgent::Concluded(till::concluded(&pos)),
        );
        self.save_pos(work, "pos_transaction.closed", pos);
    }

    fn send(&self, work: &mut MerchantWork<'_>, terminal_id: TerminalId, message: ToAgent) {
        work.effect(Effect::ToTerminal {
            terminal_id,
            message: Box::new(message),
        });
    }

    fn take_in(&mut self, input: MerchantInput, work: &mut MerchantWork<'_>) -> Decided {
        match input {
            MerchantInput::Ask(ask) => self.ask(ask, work),
            MerchantInput::Terminal { terminal_id, event } => match event {
                TerminalEvent::Up {
                    journal_id,
                    open,
                    prints,
                } => self.link_up(work, terminal_id, journal_id, open, prints),
                TerminalEvent::Down => {
                    self.links.remove(&terminal_id);
                    self.prints_reported.remove(&terminal_id);
                    self.rollout_loses(work, terminal_id);
                    Ok(())
                }
                TerminalEvent::Said(message) => self.terminal_said(work, terminal_id, message),
                TerminalEvent::Configured(report) => {
                    self.terminal_configured(work, terminal_id, report);
                    Ok(())
                }
            },
            MerchantInput::Acquirer {
                transaction_id,
                sending,
                answer,
            } => self.acquirer_answered(work, transaction_id, sending, answer),
        }
    }

    fn do_what_is_due(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let now = work.now;
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let late: Vec<PosTransactionId> = self
            .open
            .values()
            .filter(|pos| due(pos.deadline))
            .map(|pos| pos.id)
            .collect();
        for pos_id in late {
            if work.takes_up(Identity::of(&("stage", pos_id))) {
                self.stage_ran_out(work, pos_id)?;
            } else if let Some(pos) = self.open.get_mut(&pos_id) {
                pos.deadline = None;
            }
        }
        let repeats: Vec<TransactionId> = self
            .pending
            .values()
            .filter(|transaction| due(host::next_sending(transaction)))
            .map(|transaction| transaction.id)
            .collect();
        for transaction_id in repeats {
            self.send_again_if_free(work, transaction_id);
        }
        self.expire_faults(work);
        self.go_on_with_rollout(work)?;
        self.answer_late_waiters(work)
    }
}

/// The identity of what happens on a link. Card data is long, and is not formatted for it.
fn identity_of(terminal_id: TerminalId, event: &TerminalEvent) -> Identity {
    match event {
        TerminalEvent::Said(ToEngine::Card(report)) => Identity::of_bytes(&[
            b"card",
            &terminal_id.bytes(),
            &report.pos_id.bytes(),
            &report.attempt_id.bytes(),
            &report.amount.minor().to_be_bytes(),
            &report.data,
        ]),
        event => Identity::of(&(terminal_id, event)),
    }
}

impl Decider for MerchantOwner {
    type Input = MerchantInput;
    type Effect = Effect;

    // The rules decide as if there were no faults; what was asked for is put beside their effects.
    fn decide(&mut self, input: MerchantInput, work: &mut MerchantWork<'_>) -> Decided {
        let mark = work.effect_mark();
        self.take_in(input, work)?;
        self.misbehave(work, mark);
        Ok(())
    }

    fn deadline(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let mark = work.effect_mark();
        self.do_what_is_due(work)?;
        self.misbehave(work, mark);
        Ok(())
    }

    fn resume(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let mark = work.effect_mark();
        let is_restored = std::mem::take(&mut self.is_restored);
        if is_restored {
            self.resume_restored(work)?;
        }
        self.resume_open_work(work, is_restored)?;
        self.misbehave(work, mark);
        Ok(())
    }

    fn poll_deadline(&self) -> Option<Timestamp> {
        let stages = self.open.values().filter_map(|pos| pos.deadline);
        let repeats = self.pending.values().filter_map(host::next_sending);
        let waiters = self.waiters.iter().map(Waiter::until);
        let faults = self.sandbox.poll_deadline();
        let rollout = self.rollout_deadline();
        let others = waiters.chain(faults).chain(rollout);
        stages.chain(repeats).chain(others).min()
    }

    fn urgency(input: &MerchantInput) -> Urgency {
        match input {
            MerchantInput::Ask(ask) => match ask.request {
                Request::CancelPos(_)
                | Request::Void { .. }
                | Request::Resolve(_)
                | Request::ReadPos { .. } => Urgency::Concluding,
                Request::StartPos(_)
                | Request::PrintReceipt(_)
                | Request::AdjustTip { .. }
                | Request::CreateTerminal { .. }
                | Request::ChangeTerminal(_)
                | Request::SetTerminalSettings { .. }
                | Request::SetTerminalDefaults { .. }
                | Request::CreatePairingCode { .. }
                | Request::CreateTills(_)
                | Request::RevokePairingCode { .. }
                | Request::RedeemPairingCode(_)
                | Request::ApprovePairing(_)
                | Request::Unpair { .. }
                | Request::CreateApiKey { .. }
                | Request::RevokeApiKey { .. }
                | Request::ArmFault(_)
                | Request::DisarmFault { .. }
                | Request::Retire(_) => Urgency::New,
            },
            MerchantInput::Terminal { .. } | MerchantInput::Acquirer { .. } => Urgency::Concluding,
        }
    }

    fn identity(input: &MerchantInput) -> Identity {
        match input {
            MerchantInput::Ask(ask) => match &ask.claim {
                Some(claim) => Identity::of_bytes(&[&claim.key.0, &claim.fingerprint.0]),
                None => Identity::of(&ask.request),
            },
            MerchantInput::Terminal { terminal_id, event } => identity_of(*terminal_id, event),
            // The same word on another sending is the same word.
            MerchantInput::Acquirer {
                transaction_id,
                answer,
                ..
            } => Identity::of(&(transaction_id, answer)),
        }
    }

    fn refuse(&mut self, input: MerchantInput, work: &mut MerchantWork<'_>) {
        match input {
            MerchantInput::Ask(ask) => work.effect(Effect::Answer {
                caller: ask.caller,
                reply: Err(Rejection::Internal),
            }),
            // A hello that cannot be reconciled gets no link.
            MerchantInput::Terminal {
                terminal_id,
                event: TerminalEvent::Up { .. },
            } => work.effect(Effect::RefuseLink {
                terminal_id,
                reason: RefusedReason::Busy,
            }),
            MerchantInput::Terminal { .. } | MerchantInput::Acquirer { .. } => {}
        }
    }

    /// Callers and terminals ask again; the acquirer says most things once.
    fn worth_keeping(input: &MerchantInput) -> Option<MerchantInput> {
        matches!(input, MerchantInput::Acquirer { .. }).then(|| input.clone())
    }
}
