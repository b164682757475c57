//! Faults asked for in test mode: armed here, met at one place, carried out by the shells.
//!
//! The rules of payment do not know of them. After a decision, [`MerchantOwner::misbehave`] looks
//! at what it has caused and puts beside it what was asked for; that a fault has happened is part
//! of the same commit, so that a restart neither forgets nor repeats it.

use std::collections::BTreeMap;

use protocol::id::{FaultId, PrintJobId, TerminalId};
use protocol::link::{HostDecision, PosStatus, SimulatorCommand, ToAgent};

use crate::acquirer::{AcquirerAction, AcquirerRequest};
use crate::domain::rejection::Rejection;
use crate::domain::sandbox::{
    ARMED_MAX, DeviceAct, Encounter, Fault, HostFault, Kind, Moment, Order, Policy, State, Target,
};
use crate::domain::time::Timestamp;

use super::claim::{Answered, Outcome};
use super::{Decided, Effect, MerchantOwner, MerchantWork};
use crate::owner::key;
use crate::owner::request::Answer;

/// Why a fault is refused that only the operator of the engine can allow.
const RESTART_NOT_ALLOWED: &str = "engine_restart_not_allowed";

/// Why a fault is refused that happens at a till or on its link.
const TERMINAL_OFFLINE: &str = "terminal_offline";

/// The simulated reader's word for waiting for any card. While it looks only into the slot, for a
/// card that was left there, a card that comes would be taken for that one.
const WAITING_PHASE: &str = "polling";

/// Something that goes wrong on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// A request for the acquirer, and what goes wrong with it.
    Acquirer(Box<AcquirerRequest>, HostFault),
    /// Cuts a terminal's link and refuses new ones for a while.
    CutLink {
        /// The terminal.
        terminal_id: TerminalId,
        /// How long after now, in milliseconds.
        after_ms: u64,
        /// For how long links are refused then, in milliseconds.
        refusal_ms: u64,
    },
    /// Tells the simulator of a terminal's devices.
    Device {
        /// The terminal.
        terminal_id: TerminalId,
        /// How long after now, in milliseconds.
        after_ms: u64,
        /// What.
        command: SimulatorCommand,
    },
    /// Ends the process at once, as by kill -9.
    EndProcess {
        /// How long after now, in milliseconds.
        after_ms: u64,
    },
}

/// The faults that are armed.
#[derive(Debug)]
pub(super) struct Sandbox {
    policy: Policy,
    armed: BTreeMap<FaultId, Fault>,
}

impl Sandbox {
    pub(super) const fn new(policy: Policy) -> Self {
        Self {
            policy,
            armed: BTreeMap::new(),
        }
    }

    /// Takes over a fault that was armed before a restart. What was armed in test mode does not
    /// happen in live mode.
    pub(super) fn load(&mut self, fault: Fault) {
        if self.policy != Policy::Off {
            self.armed.insert(fault.id, fault);
        }
    }

    /// Whether no fault is armed.
    pub(super) fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// When the next fault expires.
    pub(super) fn poll_deadline(&self) -> Option<Timestamp> {
        self.armed.values().map(|fault| fault.expires_at).min()
    }

    fn may(&self, kind: &Kind) -> Result<(), Rejection> {
        match self.policy {
            Policy::Off => Err(Rejection::TestModeOnly),
            Policy::On {
                allows_engine_restart: false,
            } if *kind == Kind::EngineRestart => Err(Rejection::NotEnabled {
                setting: "sandbox.allow_engine_restart",
            }),
            Policy::On { .. } => Ok(()),
        }
    }
}

impl MerchantOwner {
    pub(super) fn arm_fault(&mut self, work: &mut MerchantWork<'_>, order: Order) -> Answered {
        if let Err(rejection) = self.sandbox.may(&order.kind) {
            return Ok(rejection.into());
        }
        if let Err(rejection) = self.check_target(work, order.target)? {
            return Ok(rejection.into());
        }
        let id = FaultId::from_uuid(work.id());
        let mut fault = match Fault::arm(id, self.id(), order, work.now) {
            Ok(fault) => fault,
            Err(rejection) => return Ok(rejection.into()),
        };
        if self.sandbox.armed.len() >= ARMED_MAX {
            return Ok(Rejection::TooManyFaults { max: ARMED_MAX }.into());
        }
        self.save_fault(work, "sandbox_fault.armed", fault.clone());
        if let (Moment::Now, Target::Terminal(terminal_id)) = (fault.at, fault.target) {
            let met = Encounter {
                moment: Moment::Now,
                terminal_id,
                pos_id: None,
                transaction_id: None,
            };
            fault = match self.impediment(&fault, terminal_id) {
                Some(why) => self.refuse(work, fault, why),
                None => {
                    self.cause(work, &fault, met);
                    self.fire(work, fault, met)
                }
            };
        }
        let resource = fault.id.to_string();
        Ok(Outcome::Done(Answer::FaultArmed(Box::new(fault)), resource))
    }

    fn check_target(
        &self,
        work: &MerchantWork<'_>,
        target: Target,
    ) -> Result<Result<(), Rejection>, crate::store::ReadFault> {
        Ok(match target {
            Target::Acquirer => Ok(()),
            Target::Terminal(terminal_id) => match self.terminal(work, terminal_id)? {
                Some(_) => Ok(()),
                None => Err(Rejection::NotFound),
            },
            Target::Pos(pos_id) => match self.pos(work, pos_id)? {
                Some(_) => Ok(()),
                None => Err(Rejection::NotFound),
            },
        })
    }

    pub(super) fn disarm_fault(
        &mut self,
        work: &mut MerchantWork<'_>,
        fault_id: FaultId,
    ) -> Answered {
        if self.sandbox.policy == Policy::Off {
            return Ok(Rejection::TestModeOnly.into());
        }
        let found = work.get::<Fault>(&key::fault(self.id(), fault_id))?;
        let Some(mut fault) = found else {
            return Ok(Rejection::NotFound.into());
        };
        if fault.is_armed() {
            fault.end(State::Disarmed, work.now);
            self.save_fault(work, "sandbox_fault.disarmed", fault.clone());
        }
        let resource = fault.id.to_string();
        Ok(Outcome::Done(
            Answer::FaultDisarmed(Box::new(fault)),
            resource,
        ))
    }

    /// Takes the time of faults that were never met.
    pub(super) fn expire_faults(&mut self, work: &mut MerchantWork<'_>) {
        let now = work.now;
        let late = |fault: &&Fault| fault.expires_at <= now;
        let late: Vec<Fault> = self.sandbox.armed.values().filter(late).cloned().collect();
        for mut fault in late {
            fault.end(State::Expired, now);
            self.save_fault(work, "sandbox_fault.expired", fault);
        }
    }

    /// What the agent said about a device fault.
    pub(super) fn device_answered(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        fault_id: FaultId,
        refusal: Option<String>,
    ) -> Decided {
        let Some(refusal) = refusal else {
            return Ok(());
        };
        let found = work.get::<Fault>(&key::fault(self.id(), fault_id))?;
        let is_its_own = |fault: &Fault| {
            fault.firings.last().map(|one| one.met.terminal_id) == Some(terminal_id)
        };
        if let Some(mut fault) = found.filter(is_its_own) {
            fault.end(State::Refused(printable(&refusal)), work.now);
            self.save_fault(work, "sandbox_fault.refused", fault);
        }
        Ok(())
    }

    /// The one place where faults are met: goes through what a decision has caused, and puts what
    /// was asked for beside it. Without an armed fault, and so in live mode, it does nothing.
    pub(super) fn misbehave(&mut self, work: &mut MerchantWork<'_>, mark: usize) {
        if self.sandbox.armed.is_empty() {
            return;
        }
        for effect in work.take_effects(mark) {
            match self.encounter(&effect) {
                Some(met) => self.meet(work, effect, met),
                None => work.effect(effect),
            }
        }
    }

    fn meet(&mut self, work: &mut MerchantWork<'_>, effect: Effect, met: Encounter) {
        let now = work.now;
        let is_met = |fault: &&Fault| fault.meets(&met, now);
        let due: Vec<Fault> = self
            .sandbox
            .armed
            .values()
            .filter(is_met)
            .cloned()
            .collect();
        let mut effect = Some(effect);
        for fault in due {
            if let Some(why) = self.impediment(&fault, met.terminal_id) {
                self.refuse(work, fault, why);
                continue;
            }
            // A terminal that is told to read a card must hear of it before the card comes.
            if is_after(&fault.kind, met.moment)
                && let Some(effect) = effect.take()
            {
                work.effect(effect);
            }
            match (&fault.kind, effect.take()) {
                // Of two faults of one request the first one counts; the other waits.
                (Kind::Host(host), Some(Effect::Acquirer(request))) => {
                    let act = Misbehaviour::Acquirer(request, *host);
                    work.effect(Effect::Misbehave(act));
                }
                (Kind::Host(_), other) => {
                    effect = other;
                    continue;
                }
                (_, other) => {
                    effect = other;
                    self.cause(work, &fault, met);
                }
            }
            self.fire(work, fault, met);
        }
        if let Some(effect) = effect {
            work.effect(effect);
        }
    }

    fn cause(&self, work: &mut MerchantWork<'_>, fault: &Fault, met: Encounter) {
        let (terminal_id, after_ms) = (met.terminal_id, fault.after_ms);
        let act = match &fault.kind {
            Kind::LinkCut { refusal_ms } => Misbehaviour::CutLink {
                terminal_id,
                after_ms,
                refusal_ms: *refusal_ms,
            },
            Kind::Device(act) => Misbehaviour::Device {
                terminal_id,
                after_ms,
                command: command(fault.id, act, met.moment),
            },
            Kind::EngineRestart => Misbehaviour::EndProcess { after_ms },
            Kind::Host(_) => return,
        };
        work.effect(Effect::Misbehave(act));
    }

    fn fire(&mut self, work: &mut MerchantWork<'_>, mut fault: Fault, met: Encounter) -> Fault {
        fault.fire(met, work.now);
        self.save_fault(work, "sandbox_fault.fired", fault.clone());
        fault
    }

    fn refuse(&mut self, work: &mut MerchantWork<'_>, mut fault: Fault, why: &str) -> Fault {
        fault.end(State::Refused(why.to_owned()), work.now);
        self.save_fault(work, "sandbox_fault.refused", fault.clone());
        fault
    }

    /// Why a fault cannot happen now, if it cannot: the operator has forbidden meanwhile what was
    /// allowed when it was armed, or there is no link to cut and no till to ask.
    fn impediment(&self, fault: &Fault, terminal_id: TerminalId) -> Option<&'static str> {
        let needs_link = matches!(fault.kind, Kind::LinkCut { .. } | Kind::Device(_));
        if self.sandbox.may(&fault.kind).is_err() {
            Some(RESTART_NOT_ALLOWED)
        } else if needs_link && !self.links.contains_key(&terminal_id) {
            Some(TERMINAL_OFFLINE)
        } else {
            None
        }
    }

    fn save_fault(&mut self, work: &mut MerchantWork<'_>, event: &str, fault: Fault) {
        let row = key::fault(self.id(), fault.id);
        let mark = key::open(self.id(), &row);
        work.happened(event, &fault.id);
        work.put(row, &fault);
        if fault.is_armed() {
            if !self.sandbox.armed.contains_key(&fault.id) {
                work.mark(mark);
            }
            self.sandbox.armed.insert(fault.id, fault);
        } else if self.sandbox.armed.remove(&fault.id).is_some() {
            work.remove(mark);
        }
    }

    /// The moment that an effect is, if it is one.
    fn encounter(&self, effect: &Effect) -> Option<Encounter> {
        match effect {
            Effect::Acquirer(request) => Some(Encounter {
                moment: match request.action {
                    AcquirerAction::Authorize { .. } => Moment::Authorizing,
                    AcquirerAction::Reverse { .. } => Moment::Reversing,
                    AcquirerAction::Void { .. } => Moment::Voiding,
                    AcquirerAction::Adjust { .. } => Moment::AdjustingTip,
                },
                terminal_id: request.terminal_id,
                pos_id: self
                    .pending
                    .get(&request.transaction_id)
                    .map(|transaction| transaction.pos_id),
                transaction_id: Some(request.transaction_id),
            }),
            Effect::ToTerminal {
                terminal_id,
                message,
            } => self.encounter_at(*terminal_id, message),
            Effect::Answer { .. }
            | Effect::Welcome { .. }
            | Effect::RefuseLink { .. }
            | Effect::Configure { .. }
            | Effect::Publish(_)
            | Effect::Misbehave(_) => None,
        }
    }

    fn encounter_at(&self, terminal_id: TerminalId, message: &ToAgent) -> Option<Encounter> {
        let (moment, pos_id) = match message {
            ToAgent::Offer(offer) => (Moment::Offered, offer.pos_id),
            ToAgent::SelectTip { pos_id, .. } => (Moment::SelectingTip, *pos_id),
            ToAgent::ReadCard(grant) => (Moment::AwaitingCard, grant.pos_id),
            ToAgent::HostAnswer(answer) if answer.decision == HostDecision::Approved => {
                (Moment::Confirming, answer.pos_id)
            }
            ToAgent::Concluded(concluded) if concluded.status == PosStatus::Approved => {
                (Moment::Approved, concluded.pos_id)
            }
            ToAgent::Print(print) => (Moment::Printing, self.pos_of_print(print.job_id)?),
            _ => return None,
        };
        let transaction_id = match message {
            ToAgent::Concluded(concluded) => concluded.transaction_id,
            _ => self
                .open
                .get(&pos_id)
                .and_then(|pos| pos.current_transaction()),
        };
        Some(Encounter {
            moment,
            terminal_id,
            pos_id: Some(pos_id),
            transaction_id,
        })
    }

    fn pos_of_print(&self, job_id: PrintJobId) -> Option<protocol::id::PosTransactionId> {
        self.prints.get(&job_id).map(|job| job.pos_id)
    }
}

/// Whether the fault happens behind the message that is its moment. Before it means that the
/// terminal does not hear it, or finds the device as the fault has left it.
fn is_after(kind: &Kind, moment: Moment) -> bool {
    matches!(kind, Kind::Device(_)) && moment == Moment::AwaitingCard
}

/// A device act in the words of the simulator's control socket.
fn command(fault_id: FaultId, act: &DeviceAct, moment: Moment) -> SimulatorCommand {
    let (device, command) = match act {
        DeviceAct::PaperOut => ("printer", "paper-out"),
        DeviceAct::PaperIn => ("printer", "paper-in"),
        DeviceAct::CoverOpen => ("printer", "cover-open"),
        DeviceAct::CoverClosed => ("printer", "cover-close"),
        DeviceAct::CardPresented { .. } => ("reader", "present"),
        DeviceAct::CardPulled => ("reader", "remove"),
        DeviceAct::ReaderReset => ("reader", "reset"),
        DeviceAct::ReaderUnplugged => ("reader", "unplug"),
        DeviceAct::ReaderPluggedIn => ("reader", "plug-in"),
    };
    let arguments = match act {
        DeviceAct::CardPresented { card, way } => vec![
            ("card".to_owned(), card.clone()),
            ("way".to_owned(), way.code().to_owned()),
        ],
        _ => Vec::new(),
    };
    let is_card = matches!(act, DeviceAct::CardPresented { .. });
    let waits = device == "reader" && (is_card || moment == Moment::AwaitingCard);
    SimulatorCommand {
        fault_id,
        device: device.to_owned(),
        command: command.to_owned(),
        arguments,
        wait_for: waits
            .then(|| WAITING_PHASE.to_owned())
            .into_iter()
            .collect(),
    }
}

/// What a till says about its simulator is shown to callers: short and without control characters.
fn printable(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(80).collect()
}
