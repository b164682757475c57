//! The way to the host and back: delays, losses, repeats, and the time after which an answer is
//! given up.
//!
//! Owns when a request reaches the host, when its answer comes back, and that every request is
//! answered exactly once. Pure: the simulated acquirer gives it a clock, a thread and a file; the
//! seeded simulation gives it its own. Changes of the book must be durable before the answers of
//! the same step are passed on.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::host::{Arrival, BookEntry, Host, Outcome, ResponseCode, by_amount};
use super::{AcquirerAction, AcquirerAnswer, AcquirerRequest};
use crate::domain::time::Timestamp;

/// How long after its answer was given up a held request reaches the host. Arbitrary; with the
/// default answer timeout it stays well below the longest delay that reversals reckon with.
pub const HELD_MS: u64 = 5_000;

/// Something that goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not one byte leaves.
    NotSent,
    /// It never reaches the host.
    LoseRequest,
    /// The host acts; its answer never comes back.
    LoseAnswer,
    /// It reaches the host late; later than the answer timeout means after `unknown` was answered.
    DelayRequest {
        /// How late.
        ms: u64,
    },
    /// The host acts at once; its answer comes back late.
    DelayAnswer {
        /// How late.
        ms: u64,
    },
    /// It reaches the host at once, and once more later.
    RepeatRequest {
        /// When the repeat arrives.
        after_ms: u64,
    },
    /// The host declines an authorization with this code.
    Decline(ResponseCode),
}

/// Which requests a fault rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Every request.
    Everything,
    /// Authorizations.
    Authorizations,
    /// Reversals.
    Reversals,
    /// Voids and adjustments.
    Intents,
}

impl Target {
    const fn covers(self, action: &AcquirerAction) -> bool {
        match self {
            Self::Everything => true,
            Self::Authorizations => matches!(action, AcquirerAction::Authorize { .. }),
            Self::Reversals => matches!(action, AcquirerAction::Reverse { .. }),
            Self::Intents => matches!(
                action,
                AcquirerAction::Void { .. } | AcquirerAction::Adjust { .. }
            ),
        }
    }
}

/// Faults that are switched on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultPlan {
    rules: Vec<FaultRule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FaultRule {
    target: Target,
    fault: Fault,
    /// How many more requests; `None` until cleared.
    left: Option<u32>,
}

impl FaultPlan {
    /// Lets a fault happen to every request of a kind from now on.
    pub fn switch_on(&mut self, target: Target, fault: Fault) {
        self.add(target, fault, None);
    }

    /// Lets a fault happen to the next `count` requests of a kind. Rules count in the order added.
    pub fn next(&mut self, count: u32, target: Target, fault: Fault) {
        self.add(target, fault, Some(count));
    }

    /// Switches everything off.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault of a request; uses it up.
    pub fn take(&mut self, action: &AcquirerAction) -> Option<Fault> {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.target.covers(action))?;
        let fault = rule.fault;
        rule.left = rule.left.map(|left| left.saturating_sub(1));
        self.rules.retain(|rule| rule.left != Some(0));
        Some(fault)
    }

    fn add(&mut self, target: Target, fault: Fault, left: Option<u32>) {
        if left != Some(0) {
            self.rules.push(FaultRule {
                target,
                fault,
                left,
            });
        }
    }
}

/// Names a request among those under way; chosen by the caller, used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which.
    pub ticket: Ticket,
    /// What was answered.
    pub answer: AcquirerAnswer,
}

/// A host behind a line.
pub struct Line {
    host: Host,
    answer_timeout_ms: u64,
    steps: BTreeMap<StepKey, Step>,
    step_next: u64,
    /// What is answered when nothing comes, and the step that does it.
    waiting: BTreeMap<Ticket, (AcquirerAnswer, StepKey)>,
    answers: VecDeque<Delivery>,
    changes: Vec<BookEntry>,
}

/// Steps of the same time happen in the order in which they were planned.
type StepKey = (Timestamp, u64);

enum Step {
    Arrive {
        ticket: Ticket,
        request: Box<AcquirerRequest>,
        arrival: Arrival,
        declines: Option<ResponseCode>,
        back: Back,
    },
    Answer {
        ticket: Ticket,
        answer: AcquirerAnswer,
    },
    GiveUp {
        ticket: Ticket,
    },
}

/// What happens to the answer.
#[derive(Clone, Copy)]
enum Back {
    Lost,
    After(u64),
}

impl Line {
    /// A line to `host` on which answers are waited for so long.
    pub const fn new(host: Host, answer_timeout_ms: u64) -> Self {
        Self {
            host,
            answer_timeout_ms,
            steps: BTreeMap::new(),
            step_next: 0,
            waiting: BTreeMap::new(),
            answers: VecDeque::new(),
            changes: Vec::new(),
        }
    }

    /// The host at the other end.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Sends a request. Without a fault, the amount of an authorization may choose one.
    pub fn submit(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        request: AcquirerRequest,
        fault: Option<Fault>,
    ) {
        let fault = fault.or_else(|| self.chosen_fault(&request.action));
        if fault == Some(Fault::NotSent) {
            let answer = request.action.not_sent();
            self.answers.push_back(Delivery { ticket, answer });
            return;
        }
        let give_up_at = now.plus_ms(self.answer_timeout_ms);
        let unknown = request.action.unknown();
        let give_up = self.plan(give_up_at, Step::GiveUp { ticket });
        self.waiting.insert(ticket, (unknown, give_up));
        let (arrives_after_ms, back) = match fault {
            Some(Fault::LoseRequest) => return,
            Some(Fault::LoseAnswer) => (0, Back::Lost),
            Some(Fault::DelayRequest { ms }) => (ms, Back::After(0)),
            Some(Fault::DelayAnswer { ms }) => (0, Back::After(ms)),
            Some(Fault::NotSent | Fault::RepeatRequest { .. } | Fault::Decline(_)) | None => {
                (0, Back::After(0))
            }
        };
        if let Some(Fault::RepeatRequest { after_ms }) = fault {
            let copy = Step::Arrive {
                ticket,
                request: Box::new(request.clone()),
                arrival: Arrival::Repeated,
                declines: None,
                back: Back::After(0),
            };
            self.arrive(now, ticket, request, None, back);
            self.plan(now.plus_ms(after_ms), copy);
        } else {
            let declines = match fault {
                Some(Fault::Decline(code)) => Some(code),
                _ => None,
            };
            let at = now.plus_ms(arrives_after_ms);
            self.arrive(at, ticket, request, declines, back);
        }
    }

    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(first) = self.steps.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), step) = first.remove_entry();
            self.step(at, step);
        }
    }

    /// When to advance next.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        self.steps.keys().next().map(|(at, _)| *at)
    }

    /// Takes what is new in the book; to be made durable before answers are polled.
    pub fn take_changes(&mut self) -> Vec<BookEntry> {
        std::mem::take(&mut self.changes)
    }

    /// Takes the next answer.
    pub fn poll_answer(&mut self) -> Option<Delivery> {
        self.answers.pop_front()
    }

    /// Cuts the line: what is under way is lost, what waits for an answer gets `unknown`.
    pub fn cut(&mut self) {
        self.steps.clear();
        for (ticket, (answer, _)) in std::mem::take(&mut self.waiting) {
            self.answers.push_back(Delivery { ticket, answer });
        }
    }

    fn chosen_fault(&self, action: &AcquirerAction) -> Option<Fault> {
        let AcquirerAction::Authorize { amount, .. } = action else {
            return None;
        };
        match by_amount(*amount)? {
            Outcome::NotSent => Some(Fault::NotSent),
            Outcome::LoseRequest => Some(Fault::LoseRequest),
            Outcome::HoldRequest => Some(Fault::DelayRequest {
                ms: self.answer_timeout_ms.saturating_add(HELD_MS),
            }),
            Outcome::Decline(_)
            | Outcome::ApproveHalf
            | Outcome::Slow(_)
            | Outcome::LoseAnswer
            | Outcome::LoseAnswers
            | Outcome::RefuseVoid => None,
        }
    }

    fn arrive(
        &mut self,
        at: Timestamp,
        ticket: Ticket,
        request: AcquirerRequest,
        declines: Option<ResponseCode>,
        back: Back,
    ) {
        let step = Step::Arrive {
            ticket,
            request: Box::new(request),
            arrival: Arrival::Sent,
            declines,
            back,
        };
        self.plan(at, step);
    }

    fn plan(&mut self, at: Timestamp, step: Step) -> StepKey {
        let key = (at, self.step_next);
        self.step_next += 1;
        self.steps.insert(key, step);
        key
    }

    fn step(&mut self, now: Timestamp, step: Step) {
        match step {
            Step::Arrive {
                ticket,
                request,
                arrival,
                declines,
                back,
            } => {
                let reaction = match declines {
                    Some(code) => self.host.decline(now, &request, arrival, code),
                    None => self.host.handle(now, &request, arrival),
                };
                self.changes.extend(reaction.changed);
                if let (Some(answer), Back::After(ms)) = (reaction.answer, back) {
                    let at = now.plus_ms(reaction.delay_ms.saturating_add(ms));
                    self.plan(at, Step::Answer { ticket, answer });
                }
            }
            Step::Answer { ticket, answer } => self.conclude(ticket, Some(answer)),
            Step::GiveUp { ticket } => self.conclude(ticket, None),
        }
    }

    /// Answers a request, unless it has been answered.
    fn conclude(&mut self, ticket: Ticket, answer: Option<AcquirerAnswer>) {
        if let Some((unknown, give_up)) = self.waiting.remove(&ticket) {
            self.steps.remove(&give_up);
            let answer = answer.unwrap_or(unknown);
            self.answers.push_back(Delivery { ticket, answer });
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Line")
            .field("host", &self.host)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
