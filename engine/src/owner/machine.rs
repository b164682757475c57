//! Commit, then act, then answer: the contract of every owner.
//!
//! `handle` takes one input and emits outputs, which the shell drains fully before the next input.
//! One commit is in flight at a time; inputs that arrive meanwhile wait and are then decided
//! together into the next commit. Every effect, answers to reads and refusals included, waits for
//! the commit whose state it saw. A refused commit, a failed read or a panic discards the owner:
//! the shell loads it again from the store, and [`Decider::resume`] lists the effects still owed.
//! An input that panics twice is not decided any more ([`super::quarantine`]).

use std::collections::{BTreeSet, VecDeque};

use crate::domain::time::Timestamp;
use crate::store::{Commit, Committed, ReadFault, Rows, StreamId, Urgency};

use super::quarantine::{Identity, Suspicion};
use super::work::{Ids, Work, Written};

/// Inputs decided into one commit at most. Bounds the time between two outputs of an owner.
const GROUP_MAX: usize = 64;

/// The rules of one kind of owner.
pub trait Decider {
    /// What it is told.
    type Input;
    /// What it causes.
    type Effect;

    /// Changes the state and notes what follows. Called once per input.
    ///
    /// # Errors
    /// [`ReadFault`] when rows cannot be read; the owner is then discarded.
    fn decide(
        &mut self,
        input: Self::Input,
        work: &mut Work<'_, Self::Effect>,
    ) -> Result<(), ReadFault>;

    /// Does what is due at `work.now`.
    ///
    /// # Errors
    /// As [`Decider::decide`].
    fn deadline(&mut self, work: &mut Work<'_, Self::Effect>) -> Result<(), ReadFault>;

    /// Notes every effect that the committed state still owes. The only recovery code.
    ///
    /// # Errors
    /// As [`Decider::decide`].
    fn resume(&mut self, work: &mut Work<'_, Self::Effect>) -> Result<(), ReadFault>;

    /// When the next deadline is due.
    fn poll_deadline(&self) -> Option<Timestamp>;

    /// Whether the input starts something, or concludes something that is open.
    fn urgency(input: &Self::Input) -> Urgency;

    /// What the input is, whoever gives it and however often.
    fn identity(input: &Self::Input) -> Identity;

    /// Ends an input that is in quarantine: tells whoever waits, changes nothing.
    fn refuse(&mut self, input: Self::Input, work: &mut Work<'_, Self::Effect>);

    /// A copy of an input that nobody will give again if the owner is lost with it.
    fn worth_keeping(input: &Self::Input) -> Option<Self::Input>;
}

/// What an owner is told.
#[derive(Debug)]
pub enum Input<I> {
    /// Something from outside.
    Outside(I),
    /// The commit in flight is durable.
    Committed(Committed),
    /// The instant of [`Owner::poll_deadline`] has come.
    Deadline,
    /// The first input after loading.
    Resume,
}

/// What an owner emits.
#[derive(Debug)]
pub enum Output<E> {
    /// To be submitted to the store; its completion comes back as an input.
    Commit(Commit),
    /// To be carried out now.
    Effect(E),
    /// The owner must be discarded and loaded again. No further output follows.
    Discard(ReadFault),
}

/// An owner: a decider and the discipline around it.
#[derive(Debug)]
pub struct Owner<D: Decider> {
    decider: D,
    stream: StreamId,
    seq: u64,
    held: Option<Vec<D::Effect>>,
    waiting: VecDeque<Input<D::Input>>,
    /// Of the inputs that were decided and are not committed: what is worth keeping.
    kept: Vec<D::Input>,
    suspicion: Suspicion,
}

/// What a decision may use from outside.
pub struct Surroundings<'a> {
    /// The instant.
    pub now: Timestamp,
    /// Fresh ids.
    pub ids: &'a mut dyn Ids,
    /// Committed rows.
    pub rows: &'a dyn Rows,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Surroundings")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl<D: Decider> Owner<D> {
    /// An owner whose stream stands at `seq`. The shell's first input is [`Input::Resume`].
    pub const fn new(decider: D, stream: StreamId, seq: u64) -> Self {
        Self {
            decider,
            stream,
            seq,
            held: None,
            waiting: VecDeque::new(),
            kept: Vec::new(),
            suspicion: Suspicion::new(),
        }
    }

    /// The state, for looking at.
    pub const fn decider(&self) -> &D {
        &self.decider
    }

    /// What is not to be decided any more.
    pub fn quarantine(&mut self, inputs: BTreeSet<Identity>) {
        self.suspicion.quarantine(inputs);
    }

    /// What was being decided: after a panic, what it is due to.
    pub const fn deciding(&self) -> Option<Identity> {
        self.suspicion.deciding()
    }

    /// Whether nothing is in flight and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.held.is_none() && self.waiting.is_empty()
    }

    /// When the shell must send [`Input::Deadline`]; none while a commit is in flight.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        if self.held.is_some() {
            None
        } else {
            self.decider.poll_deadline()
        }
    }

    /// Takes one input.
    pub fn handle(
        &mut self,
        input: Input<D::Input>,
        around: &mut Surroundings<'_>,
        out: &mut Vec<Output<D::Effect>>,
    ) {
        if let Input::Committed(committed) = input {
            self.seq = committed.seq;
            self.kept.clear();
            out.extend(self.held.take().into_iter().flatten().map(Output::Effect));
        } else {
            self.waiting.push_back(input);
        }
        while self.held.is_none() && !self.waiting.is_empty() {
            if let Err(fault) = self.decide_group(around, out) {
                out.push(Output::Discard(fault));
                return;
            }
        }
    }

    /// Inputs that were not decided, for the owner's successor.
    pub fn into_waiting(self) -> impl Iterator<Item = D::Input> {
        self.waiting.into_iter().filter_map(|input| match input {
            Input::Outside(input) => Some(input),
            Input::Committed(_) | Input::Deadline | Input::Resume => None,
        })
    }

    /// Inputs that are not committed and worth keeping, for the owner's successor, in order.
    pub fn into_kept(mut self) -> impl Iterator<Item = D::Input> {
        let kept = std::mem::take(&mut self.kept);
        let waiting = self.into_waiting();
        kept.into_iter()
            .chain(waiting.filter_map(|input| D::worth_keeping(&input)))
    }

    /// Decides what waits, up to a bound, as long as it has the urgency of the first: new work that
    /// is refused for want of space must not take results with it.
    fn decide_group(
        &mut self,
        around: &mut Surroundings<'_>,
        out: &mut Vec<Output<D::Effect>>,
    ) -> Result<(), ReadFault> {
        let mut written = Written::new();
        let mut records = Vec::new();
        let mut effects = Vec::new();
        let Some(first) = self.waiting.front() else {
            return Ok(());
        };
        let urgency = Self::urgency(first);
        for _ in 0..GROUP_MAX {
            let Some(input) = self
                .waiting
                .pop_front_if(|input| Self::urgency(input) == urgency)
            else {
                break;
            };
            if let Input::Outside(input) = &input {
                self.kept.extend(D::worth_keeping(input));
            }
            let is_free = self.suspicion.takes_up(identity::<D>(&input));
            let mut work = Work::new(
                around.now,
                around.ids,
                around.rows,
                &mut written,
                &mut records,
                &mut effects,
                &mut self.suspicion,
            );
            match input {
                Input::Outside(input) if !is_free => self.decider.refuse(input, &mut work),
                Input::Outside(input) => self.decider.decide(input, &mut work)?,
                Input::Deadline if is_free => self.decider.deadline(&mut work)?,
                Input::Resume if is_free => self.decider.resume(&mut work)?,
                Input::Deadline | Input::Resume | Input::Committed(_) => {}
            }
        }
        if records.is_empty() {
            self.kept.clear();
            out.extend(effects.into_iter().map(Output::Effect));
            return Ok(());
        }
        self.held = Some(effects);
        let expected_seq = self.seq;
        out.push(Output::Commit(Commit {
            stream: self.stream,
            expected_seq,
            records,
            urgency,
        }));
        Ok(())
    }

    fn urgency(input: &Input<D::Input>) -> Urgency {
        match input {
            Input::Outside(input) => D::urgency(input),
            Input::Committed(_) | Input::Deadline | Input::Resume => Urgency::Concluding,
        }
    }
}

fn identity<D: Decider>(input: &Input<D::Input>) -> Identity {
    match input {
        Input::Outside(input) => D::identity(input),
        Input::Deadline => Identity::of(&"deadline"),
        Input::Resume => Identity::of(&"resume"),
        Input::Committed(_) => Identity::of(&"committed"),
    }
}
