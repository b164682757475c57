//! What goes wrong in a world: the faults that its seed switches on.

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

pub(super) use words;

words! {
    /// A kind of fault. A seed has it or not.
    Fault {
        /// A link breaks; either side learns of it later.
        LinkCut = "link-cut",
        /// A link hears nothing any more in one of its directions.
        LinkDeaf = "link-deaf",
        /// What a till has said on its old link arrives after it has begun a new one.
        LinkOverlap = "link-overlap",
        /// Frames take seconds.
        LinkDelay = "link-delay",
        /// The engine's process ends at any instant, also between two of its own steps.
        EngineCrash = "engine-crash",
        /// Commits take long.
        SlowDisk = "slow-disk",
        /// A commit is refused for want of space.
        CommitRefused = "commit-refused",
        /// The engine's disk is full for a while, to the last byte or to what is kept back.
        DiskFull = "disk-full",
        /// A write or sync fails: the engine's process ends.
        SyncFails = "sync-fails",
        /// Allowlists change, keys are revoked.
        AccessChange = "access-change",
        /// The agent's process is killed; what it wrote stays.
        AgentKill = "agent-kill",
        /// The till loses power: what was not synced is lost, and the last frame is torn.
        AgentPower = "agent-power",
        /// The journal cannot be written.
        JournalFails = "journal-fails",
        /// The till's disk is full for a while.
        JournalFull = "journal-full",
        /// The till's journal is replaced by an older copy of itself.
        JournalRestored = "journal-restored",
        /// A copy of a till is put into operation beside it.
        TillCopied = "till-copied",
        /// An agent's clock is fast or slow.
        ClockDrift = "clock-drift",
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
        /// The clock of the engine's machine is set, by seconds or hours.
        ClockStep = "clock-step",
        /// The same key comes twice at once, or with another body.
        KeyReused = "key-reused",
        /// Callers go away and repeat; requests and answers are lost.
        CallerGone = "caller-gone",
        /// The engine is restored from a backup of some time ago.
        EngineRestored = "engine-restored",
    }
}

impl Fault {
    /// In how many worlds of a hundred it is, when it is not drawn with the others: after it some
    /// rules are relaxed, and most worlds must be without.
    const fn is_rare(self) -> Option<u64> {
        match self {
            Self::EngineRestored => Some(12),
            _ => None,
        }
    }
}

/// What the dice of rare faults are kept apart from the others by: any number.
const RARE_SALT: u64 = 0x5EED_0F00_0000_0000;

/// The faults that a seed has, and how often each has struck.
#[derive(Debug, Default)]
pub struct Plan {
    on: BTreeSet<Fault>,
    /// How often each has struck.
    pub struck: BTreeMap<Fault, u64>,
    /// Nothing goes wrong any more.
    pub is_over: bool,
    without: BTreeSet<u32>,
    choices: u32,
}

impl Plan {
    /// A random subset; one seed in eight has none.
    pub fn draw(seed: u64, random: &mut Random, without: BTreeSet<u32>) -> Self {
        let mut plan = Self {
            without,
            ..Self::default()
        };
        if !random.chance(12) {
            let percent = *random.pick(&[15, 35, 60]);
            for fault in Fault::ALL.iter().filter(|fault| fault.is_rare().is_none()) {
                if random.chance(percent) && plan.takes() {
                    plan.on.insert(*fault);
                }
            }
        }
        // Their dice are their own: worlds without them stay what they were.
        let mut random = Random::new(seed ^ RARE_SALT);
        for fault in Fault::ALL {
            let percent = fault.is_rare();
            if percent.is_some_and(|percent| random.chance(percent)) && plan.takes() {
                plan.on.insert(*fault);
            }
        }
        plan
    }

    /// Switches faults on beside those that were drawn.
    pub fn switch_on(&mut self, faults: &[Fault]) {
        for fault in faults {
            if self.takes() {
                self.on.insert(*fault);
            }
        }
    }

    /// Gives something that is about to be done its number; false when that is left out.
    pub fn takes(&mut self) -> bool {
        self.choices += 1;
        !self.without.contains(&self.choices)
    }

    /// How many numbers were given.
    pub const fn choices(&self) -> u32 {
        self.choices
    }

    /// Whether the fault may strike.
    pub fn has(&self, fault: Fault) -> bool {
        !self.is_over && self.on.contains(&fault)
    }

    /// The faults that may strike at any moment.
    pub fn kinds(&self) -> Vec<Fault> {
        if self.is_over {
            Vec::new()
        } else {
            let on = self.on.iter().copied();
            on.filter(|fault| fault.is_rare().is_none()).collect()
        }
    }

    /// Counts a strike.
    pub fn strike(&mut self, fault: Fault) {
        *self.struck.entry(fault).or_default() += 1;
    }

    /// Strikes in `percent` of a hundred cases, if the seed has the fault.
    pub fn strikes(&mut self, fault: Fault, percent: u64, random: &mut Random) -> bool {
        let strikes = self.has(fault) && random.chance(percent) && self.takes();
        if strikes {
            self.strike(fault);
        }
        strikes
    }
}
