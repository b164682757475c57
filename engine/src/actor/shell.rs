//! What every actor does around its owner: feeds it, survives its panics, and tells the commits of
//! a discarded owner from those of its successor. No mailbox, no timer, no rules.

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::Message;

use crate::owner::machine::{Decider, Input, Output, Owner, Surroundings};
use crate::owner::quarantine::Quarantine;
use crate::store::{CommitRefused, Committed};

/// An owner, or the gap between two.
pub(crate) struct Shell<D: Decider> {
    /// For the log: whose owner it is.
    name: String,
    owner: Option<Owner<D>>,
    generation: u64,
    quarantine: Quarantine,
}

/// The fate of the commit in flight.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StoreDone {
    pub(crate) generation: u64,
    pub(crate) fate: Result<Committed, CommitRefused>,
}

/// What came of an input.
#[derive(Debug)]
pub(crate) struct Fed<E> {
    /// To be carried out, in order, whatever else came of it: what a commit justified is among it.
    pub(crate) outputs: Vec<Output<E>>,
    /// The decision panicked: the owner must be discarded afterwards.
    pub(crate) has_panicked: bool,
}

impl<D: Decider> std::fmt::Debug for Shell<D> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Shell")
            .field("name", &self.name)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl<D: Decider> Shell<D> {
    /// A shell without an owner.
    pub(crate) const fn new(name: String) -> Self {
        Self {
            name,
            owner: None,
            generation: 0,
            quarantine: Quarantine::new(),
        }
    }

    /// The owner, while there is one.
    pub(crate) const fn owner(&self) -> Option<&Owner<D>> {
        self.owner.as_ref()
    }

    /// Which life this is; commits of another one do not concern it.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether no decision has ever panicked: otherwise it must be remembered on what.
    pub(crate) fn has_clean_record(&self) -> bool {
        self.quarantine.is_empty()
    }

    /// Puts a loaded owner in place.
    pub(crate) fn put(&mut self, mut owner: Owner<D>) {
        owner.quarantine(self.quarantine.inputs().clone());
        self.owner = Some(owner);
        self.generation += 1;
    }

    /// Gives the owner up.
    pub(crate) const fn discard(&mut self) -> Option<Owner<D>> {
        self.owner.take()
    }

    /// Gives the owner one input. Without an owner nothing comes of it.
    pub(crate) fn feed(
        &mut self,
        input: Input<D::Input>,
        around: &mut Surroundings<'_>,
    ) -> Fed<D::Effect> {
        let mut outputs = Vec::new();
        let Some(owner) = &mut self.owner else {
            return Fed {
                outputs,
                has_panicked: false,
            };
        };
        let decided = catch_unwind(AssertUnwindSafe(|| {
            owner.handle(input, around, &mut outputs)
        }));
        let has_panicked = decided.is_err();
        if has_panicked {
            let input = owner.deciding();
            let is_quarantined = input.is_some_and(|input| self.quarantine.panicked(input));
            if is_quarantined {
                tracing::error!(
                    owner = self.name,
                    ?input,
                    "QUARANTINED: a decision panicked twice on the same input, which is not decided any more; this is a fault of the engine and needs its makers"
                );
            } else {
                tracing::error!(owner = self.name, ?input, "decision panicked");
            }
        }
        Fed {
            outputs,
            has_panicked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::id_source::SystemIds;
    use crate::owner::quarantine::Identity;
    use crate::owner::work::Work;
    use crate::store::memory::MemoryStore;
    use crate::store::{ReadFault, StreamId, Urgency};

    const POISON: u8 = 13;
    /// Poison that a deadline meets, as one part of what is due.
    const POISONED_PART: u8 = 66;

    /// Echoes numbers; one number is too much for it.
    #[derive(Debug, Default)]
    struct Echo {
        due: Vec<u8>,
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Heard {
        Echo(u8),
        Refused(u8),
        Due(u8),
    }

    impl Decider for Echo {
        type Input = u8;
        type Effect = Heard;

        fn decide(&mut self, input: u8, work: &mut Work<'_, Heard>) -> Result<(), ReadFault> {
            assert_ne!(input, POISON, "on purpose");
            work.effect(Heard::Echo(input));
            Ok(())
        }

        fn deadline(&mut self, work: &mut Work<'_, Heard>) -> Result<(), ReadFault> {
            for due in std::mem::take(&mut self.due) {
                if work.takes_up(Identity::of(&("due", due))) {
                    assert_ne!(due, POISONED_PART, "on purpose");
                    work.effect(Heard::Due(due));
                }
            }
            Ok(())
        }

        fn resume(&mut self, _work: &mut Work<'_, Heard>) -> Result<(), ReadFault> {
            self.due = vec![1, POISONED_PART, 2];
            Ok(())
        }

        fn poll_deadline(&self) -> Option<Timestamp> {
            None
        }

        fn urgency(_input: &u8) -> Urgency {
            Urgency::New
        }

        fn identity(input: &u8) -> Identity {
            Identity::of(input)
        }

        fn refuse(&mut self, input: u8, work: &mut Work<'_, Heard>) {
            work.effect(Heard::Refused(input));
        }

        fn worth_keeping(_input: &u8) -> Option<u8> {
            None
        }
    }

    /// Feeds one input, as an actor would: a panic makes a new owner. What was heard, and whether
    /// it panicked.
    fn feed(shell: &mut Shell<Echo>, input: Input<u8>) -> (Vec<Heard>, bool) {
        let store = MemoryStore::new();
        let around = |shell: &mut Shell<Echo>, input| {
            let mut ids = SystemIds;
            let mut around = Surroundings {
                now: Timestamp(0),
                ids: &mut ids,
                rows: &store,
            };
            shell.feed(input, &mut around)
        };
        if shell.owner().is_none() {
            shell.put(Owner::new(Echo::default(), StreamId([0; 17]), 0));
            around(shell, Input::Resume);
        }
        let fed = around(shell, input);
        if fed.has_panicked {
            assert!(shell.discard().is_some());
        }
        let heard = fed.outputs.into_iter().filter_map(|output| match output {
            Output::Effect(heard) => Some(heard),
            Output::Commit(_) | Output::Discard(_) => None,
        });
        (heard.collect(), fed.has_panicked)
    }

    #[test]
    fn the_second_panic_on_an_input_is_its_last() {
        let mut shell = Shell::new("echo".to_owned());
        assert_eq!(
            feed(&mut shell, Input::Outside(1)),
            (vec![Heard::Echo(1)], false)
        );
        assert_eq!(feed(&mut shell, Input::Outside(POISON)), (vec![], true));
        assert_eq!(
            feed(&mut shell, Input::Outside(2)),
            (vec![Heard::Echo(2)], false)
        );
        assert_eq!(feed(&mut shell, Input::Outside(POISON)), (vec![], true));
        let generation = shell.generation();
        for input in [POISON, 3, POISON] {
            let heard = match input {
                POISON => Heard::Refused(POISON),
                other => Heard::Echo(other),
            };
            assert_eq!(
                feed(&mut shell, Input::Outside(input)),
                (vec![heard], false)
            );
        }
        assert_eq!(
            shell.generation(),
            generation + 1,
            "no owner was discarded for it"
        );
    }

    #[test]
    fn a_poisonous_part_of_a_deadline_does_not_stop_the_others() {
        let mut shell = Shell::new("echo".to_owned());
        for _ in 0..2 {
            assert_eq!(feed(&mut shell, Input::Deadline), (vec![], true));
        }
        let others = vec![Heard::Due(1), Heard::Due(2)];
        assert_eq!(feed(&mut shell, Input::Deadline), (others, false));
    }
}
