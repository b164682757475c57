//! Readers of other makes: what they encrypt by, where their firmware differs, what their agent is
//! set to, and what cards customers bring to them.
//!
//! Some of the worlds have them, with numbers of their own: the others go as they went before.

use firmware_sim::cards::{self, Card, Way};
use firmware_sim::reader::key_register::{Encryption, KeyRegister};
use firmware_sim::reader::quirks::SWITCHES;
use firmware_sim::reader::{Reader, ReaderConfig, ReaderQuirks};
use protocol::link::{Advice, PosStatus};
use terminal_agent::machine::reader::ReaderSwitches;
use terminal_agent::machine::screen::Screen;

use super::random::Random;
use super::world::World;

/// Every so many seeds there is a world with them.
const ONE_IN: u64 = 8;
/// Which ones. None of the seeds that were saved before is one of them.
const PLACE: u64 = 3;
/// Sets these numbers apart from those of the world.
const STREAM: u64 = 0x0076_6172_6965_7479;

/// Whether the world of a seed has readers of other makes.
pub const fn is_varied(seed: u64) -> bool {
    seed % ONE_IN == PLACE
}

/// What is special about the readers of a world.
#[derive(Debug)]
pub struct Variety {
    random: Random,
    is_on: bool,
    /// How often a till has said what to do differently after a decline.
    pub(super) advised: u64,
}

impl Variety {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ STREAM),
            is_on: is_varied(seed),
            advised: 0,
        }
    }

    fn quirks(&mut self) -> ReaderQuirks {
        let mut quirks = ReaderQuirks::default();
        for (name, settings) in SWITCHES {
            if self.random.chance(40) {
                let setting: &str = self.random.pick::<&str>(settings);
                quirks.set(name, setting);
            }
        }
        quirks
    }

    fn switches(&mut self) -> ReaderSwitches {
        let mut draw = |usual: bool| usual != self.random.chance(20);
        let usual = ReaderSwitches::default();
        ReaderSwitches {
            inserts_by_activation: draw(usual.inserts_by_activation),
            declines_when_unreachable: draw(usual.declines_when_unreachable),
            asks_last_result: draw(usual.asks_last_result),
            answers_prompts: draw(usual.answers_prompts),
            shows_messages: draw(usual.shows_messages),
        }
    }
}

impl World {
    /// A till that was just boarded gets its reader.
    pub(super) fn vary_reader(&mut self, number: usize) {
        if !self.variety.is_on {
            return;
        }
        let encryption = *self.variety.random.pick(&Encryption::ALL);
        let mut config = ReaderConfig::demo();
        config.serial = format!("SIM{number}");
        config.keys = KeyRegister::demo_of(encryption, 0);
        if self.variety.random.chance(80) {
            config.quirks = self.variety.quirks();
        }
        let switches = self.variety.switches();
        self.note(|| {
            let (word, quirks) = (encryption.word(), config.quirks);
            format!("till {number} has a reader with {word}, {quirks:?}, {switches:?}")
        });
        let till = &mut self.tills[number];
        till.reader = Reader::new(config, 0);
        till.switches = switches;
    }

    /// What a customer brings instead.
    pub(super) fn vary_card(&mut self, card: &'static Card, way: Way) -> (&'static Card, Way) {
        if !self.variety.is_on || !self.variety.random.chance(30) {
            return (card, way);
        }
        let others = [
            ("visa", Way::Swipe),
            ("mastercard", Way::Swipe),
            ("msd", Way::Tap),
        ];
        let (name, way) = *self.variety.random.pick(&others);
        (cards::find(name).unwrap_or(card), way)
    }

    /// A till shows something.
    pub(super) fn note_advice(&mut self, screen: &Screen) {
        if let Screen::DeclinedTryAnother {
            advice: Some(Advice::UseChip),
            ..
        } = screen
        {
            self.variety.advised += 1;
        }
    }

    /// Approved sales whose card was read under AES.
    pub(super) fn approved_under_aes(&self) -> u64 {
        let is_aes = |number: usize| {
            let keys = self.tills[number].reader.keys();
            keys.encryption() == Encryption::Aes128
        };
        let terminals: Vec<_> = (0..self.tills.len())
            .filter(|number| is_aes(*number))
            .map(|number| self.tills[number].terminal_id)
            .collect();
        let is_meant = |pos: &&engine::domain::pos::PosTransaction| {
            pos.status() == PosStatus::Approved && terminals.contains(&pos.terminal_id)
        };
        let count = self.history.pos.values().filter(is_meant).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}
