//! Which input an owner was deciding, and which ones it never decides again.
//!
//! A panic in a decision is a fault of ours. The owner is discarded and built anew; an input that
//! panics a second time is quarantined, so that one poisonous fact does not stop a merchant.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::{self, Debug, Write as _};
use std::hash::{DefaultHasher, Hasher as _};

/// Inputs that panicked once and are remembered. Arbitrary, bounded: faults are few.
const SUSPECTS_MAX: usize = 64;
/// Inputs in quarantine. Arbitrary, bounded; with more of them the whole program is at fault.
const QUARANTINED_MAX: usize = 1_024;

/// What an input, or a part of one, is: equal when the same is given again, by whomever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(u64);

impl Identity {
    /// The identity of something by its form in the log: the same for equal values, in one process.
    pub fn of(what: &dyn Debug) -> Self {
        let mut form = Form(DefaultHasher::new());
        // A form that cannot be written has no identity of its own; nothing is lost by that.
        write!(form, "{what:?}").ok();
        Self(form.0.finish())
    }

    /// The identity of something by its bytes.
    pub fn of_bytes(parts: &[&[u8]]) -> Self {
        let mut hasher = DefaultHasher::new();
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        Self(hasher.finish())
    }
}

/// Hashes what is formatted into it, without a text in between.
struct Form(DefaultHasher);

impl fmt::Write for Form {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// What is being decided, and what is not decided any more.
#[derive(Debug, Default)]
pub struct Suspicion {
    deciding: Option<Identity>,
    quarantined: BTreeSet<Identity>,
}

impl Suspicion {
    /// Nothing is being decided, nothing is in quarantine.
    pub const fn new() -> Self {
        Self {
            deciding: None,
            quarantined: BTreeSet::new(),
        }
    }

    /// Begins with an input, or with a part of one; false when it is in quarantine.
    pub fn takes_up(&mut self, what: Identity) -> bool {
        let is_free = !self.quarantined.contains(&what);
        if is_free {
            self.deciding = Some(what);
        }
        is_free
    }

    /// What was taken up last.
    pub const fn deciding(&self) -> Option<Identity> {
        self.deciding
    }

    /// Puts inputs in quarantine.
    pub fn quarantine(&mut self, inputs: BTreeSet<Identity>) {
        self.quarantined = inputs;
    }
}

/// What panicked in the lives of one owner.
#[derive(Debug, Default)]
pub struct Quarantine {
    suspects: VecDeque<Identity>,
    inputs: BTreeSet<Identity>,
}

impl Quarantine {
    /// Nothing has panicked yet.
    pub const fn new() -> Self {
        Self {
            suspects: VecDeque::new(),
            inputs: BTreeSet::new(),
        }
    }

    /// Notes a panic; true when the same input has panicked before and is in quarantine from now.
    pub fn panicked(&mut self, input: Identity) -> bool {
        if !self.suspects.contains(&input) {
            self.suspects.truncate(SUSPECTS_MAX.saturating_sub(1));
            self.suspects.push_front(input);
            return false;
        }
        if self.inputs.len() >= QUARANTINED_MAX {
            self.inputs.pop_first();
        }
        self.inputs.insert(input);
        true
    }

    /// Whether nothing is known against any input.
    pub fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.inputs.is_empty()
    }

    /// What the owner must not decide.
    pub const fn inputs(&self) -> &BTreeSet<Identity> {
        &self.inputs
    }
}
