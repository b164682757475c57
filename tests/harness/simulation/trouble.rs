//! The faults that strike at an instant, and how a world heals.

use engine::store::memory::Space;
use firmware_sim::reader::Input as ReaderInput;
use firmware_sim::reader::fault::{Fault as LineFault, Scope};

use super::event::Event;
use super::fault::Fault;
use super::world::World;

impl World {
    /// One of the seed's faults strikes somewhere.
    pub(super) fn trouble(&mut self) {
        self.check_somebody_asks();
        let kinds = self.plan.kinds();
        if self.plan.is_over {
            return;
        }
        let next_ms = self.random.between(500, 15_000);
        self.queue.push(self.now_ms + next_ms, Event::Trouble);
        if kinds.is_empty() {
            return;
        }
        let fault = *self.random.pick(&kinds);
        if !self.plan.takes() {
            return;
        }
        let till = self.random.index(self.tills.len());
        self.note(|| format!("trouble: {} (till {till})", fault.word()));
        match fault {
            Fault::LinkCut => {
                let connection = self.tills[till].connection();
                if let Some(connection) = connection {
                    self.cut(connection);
                }
            }
            Fault::EngineCrash if self.engine.is_up => {
                // Not at once, but between any two of its next steps.
                let steps = self.random.below(25);
                self.engine.ends_after = Some(steps);
            }
            Fault::AgentKill | Fault::AgentPower => {
                let steps = self.random.below(12);
                self.tills[till].ends_after = Some((steps, fault));
            }
            Fault::AgentReimaged if self.random.chance(25) => {
                self.end_till(till, Fault::AgentReimaged);
            }
            Fault::JournalFails if self.random.chance(50) => {
                self.tills[till].is_journal_failing = true;
            }
            Fault::ReaderFault => {
                let kind = *self.random.pick(&[
                    LineFault::WrongCrc,
                    LineFault::Truncated,
                    LineFault::Duplicate,
                    LineFault::Late,
                    LineFault::Mute,
                    LineFault::EventFirst,
                    LineFault::Refused,
                    LineFault::Reset,
                ]);
                let scope = *self.random.pick(&[Scope::Next, Scope::NextFinal]);
                self.reader_input(till, ReaderInput::Fault(kind, scope));
            }
            // Minutes or hours, forward or back.
            Fault::ClockStep if self.random.chance(30) => {
                let size_ms = *self.random.pick(&[2_000, 90_000, 4 * 3_600_000]);
                let step_ms = i64::try_from(self.random.below(size_ms)).unwrap_or(0);
                self.clock_skew_ms += *self.random.pick(&[step_ms, -step_ms]);
            }
            Fault::ReaderUnplugged => self.unplug(till),
            Fault::PrinterTrouble | Fault::PrinterPower | Fault::PrinterUnplugged => {
                if !self.printer_trouble(till, fault) {
                    return;
                }
            }
            Fault::LinkOverlap => {
                let Some(connection) = self.tills[till].connection() else {
                    return;
                };
                self.overlap(connection);
            }
            Fault::LinkDeaf => {
                let Some(connection) = self.tills[till].connection() else {
                    return;
                };
                let to_engine = self.random.chance(50);
                self.deafen(connection, to_engine);
            }
            Fault::AccessChange => {
                if !self.change_access() {
                    return;
                }
            }
            Fault::DiskFull if self.random.chance(50) => {
                let space = *self
                    .random
                    .pick(&[Space::Reserve, Space::Reserve, Space::Nothing]);
                self.set_space(space);
                let pause_ms = self.random.between(500, 30_000);
                self.queue.push(self.now_ms + pause_ms, Event::SpaceReturns);
            }
            Fault::JournalFull if self.random.chance(50) => {
                self.tills[till].disk.is_full = true;
                let pause_ms = self.random.between(500, 30_000);
                self.queue
                    .push(self.now_ms + pause_ms, Event::JournalSpaceReturns { till });
            }
            Fault::JournalRestored => {
                if !self.journal_of_the_past(till) {
                    return;
                }
            }
            Fault::TillCopied if self.random.chance(30) => {
                if !self.copy_till(till) {
                    return;
                }
            }
            // The rest strike where something is sent, written or said.
            _ => return,
        }
        self.plan.strike(fault);
    }

    /// There is room on the engine's disk again.
    pub(super) fn space_returns(&mut self) {
        self.set_space(Space::Ample);
    }

    fn set_space(&mut self, space: Space) {
        let before = self.engine.store.set_space(space);
        if self.engine.is_up && before == Space::Nothing && space != Space::Nothing {
            // Without any room it could not note that it asks.
            self.engine.up_since_ms = Some(self.now_ms);
        }
    }

    /// The last fault has struck: from here on everything works.
    pub(super) fn heal(&mut self) {
        self.note(|| "the last fault has struck".to_owned());
        self.plan.is_over = true;
        self.engine.ends_after = None;
        self.space_returns();
        for till in 0..self.tills.len() {
            self.remove_copies(till);
            self.tills[till].ends_after = None;
            self.tills[till].disk.is_full = false;
            self.tills[till].is_journal_failing = false;
            self.reader_input(till, ReaderInput::ClearFaults);
            let plug = self.tills[till].plug;
            self.plug_in(till, plug);
            self.heal_printer(till);
        }
        self.queue.push(self.now_ms + 1_000, Event::Looks);
    }
}
