//! What goes wrong in a world: the faults that its seed switches on, and deliberate bugs.

use std::collections::{BTreeMap, BTreeSet};

use super::random::Random;

/// Declares an enum whose variants have stable words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the command line and in reports.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Looks one up by its word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

words! {
    /// A kind of fault. A seed has it or not.
    Fault {
        /// A link breaks; either side learns of it later.
        LinkCut = "link-cut",
        /// Frames take seconds.
        LinkDelay = "link-delay",
        /// The engine's process ends at any instant, also between two of its own steps.
        EngineCrash = "engine-crash",
        /// Commits take long.
        SlowDisk = "slow-disk",
        /// A commit is refused for want of space.
        CommitRefused = "commit-refused",
        /// The agent's process is killed; what it wrote stays.
        AgentKill = "agent-kill",
        /// The till loses power: what was not synced is lost, and the last frame is torn.
        AgentPower = "agent-power",
        /// The journal cannot be written.
        JournalFails = "journal-fails",
        /// The till is installed anew: another journal.
        AgentReimaged = "agent-reimaged",
        /// The acquirer is slow, out of reach, or its answers are lost.
        HostTrouble = "host-trouble",
        /// The reader's answers are late, mute or garbled.
        ReaderFault = "reader-fault",
        /// The reader is unplugged for a while.
        ReaderUnplugged = "reader-unplugged",
        /// Bytes on the reader's line are damaged, halved, doubled, late.
        LineNoise = "line-noise",
        /// Paper is out, the cover open, the cutter jammed, the head hot.
        PrinterTrouble = "printer-trouble",
        /// The printer is switched off and on, most often within a print.
        PrinterPower = "printer-power",
        /// The printer is unplugged for a while.
        PrinterUnplugged = "printer-unplugged",
        /// Cards are pulled, odd, or never come.
        OddCustomer = "odd-customer",
        /// The engine's clock is set back, or a little forward.
        ClockStep = "clock-step",
        /// Callers go away and repeat; requests and answers are lost.
        CallerGone = "caller-gone",
    }
}

words! {
    /// A deliberate bug, to prove that a checker can fail.
    Sabotage {
        /// Effects leave when a commit is submitted, not when it is durable.
        AnswerBeforeCommit = "answer-before-commit",
        /// The same, but only for commits that authorize.
        SendBeforeCommit = "send-before-commit",
        /// Authorizations are sent twice.
        AuthorizeTwice = "authorize-twice",
        /// Adjustments are taken for acknowledged without being sent.
        DropAdjustments = "drop-adjustments",
        /// The engine does not look idempotency keys up.
        ForgetKeys = "forget-keys",
        /// A replay is not what was first answered.
        ChangeReplay = "change-replay",
        /// Reversals are taken for acknowledged without being sent.
        DropReversals = "drop-reversals",
        /// The journal says that it has synced, and has not.
        SkipJournalSync = "skip-journal-sync",
        /// The hello names no open work.
        ForgetReconcile = "forget-reconcile",
        /// A restarted engine does not load what is open.
        ForgetOpenWork = "forget-open-work",
        /// The till is told of an approval by the acquirer's answer.
        ApproveEarly = "approve-early",
        /// Card data goes to the acquirer although its attempt is over.
        AuthorizeUncommitted = "authorize-uncommitted",
        /// The engine judges what tills say by a clock that is behind.
        StaleClock = "stale-clock",
    }
}

/// The faults that a seed has, and how often each has struck.
#[derive(Debug, Default)]
pub struct Plan {
    on: BTreeSet<Fault>,
    /// How often each has struck.
    pub struck: BTreeMap<Fault, u64>,
    /// Nothing goes wrong any more.
    pub is_over: bool,
}

impl Plan {
    /// A random subset; one seed in eight has none.
    pub fn draw(random: &mut Random) -> Self {
        let mut plan = Self::default();
        if !random.chance(12) {
            let percent = *random.pick(&[15, 35, 60]);
            for fault in Fault::ALL {
                if random.chance(percent) {
                    plan.on.insert(*fault);
                }
            }
        }
        plan
    }

    /// Whether the fault may strike.
    pub fn has(&self, fault: Fault) -> bool {
        !self.is_over && self.on.contains(&fault)
    }

    /// The faults that may strike.
    pub fn kinds(&self) -> Vec<Fault> {
        if self.is_over {
            Vec::new()
        } else {
            self.on.iter().copied().collect()
        }
    }

    /// Counts a strike.
    pub fn strike(&mut self, fault: Fault) {
        *self.struck.entry(fault).or_default() += 1;
    }

    /// Strikes in `percent` of a hundred cases, if the seed has the fault.
    pub fn strikes(&mut self, fault: Fault, percent: u64, random: &mut Random) -> bool {
        let strikes = self.has(fault) && random.chance(percent);
        if strikes {
            self.strike(fault);
        }
        strikes
    }
}
