//! A till's reader: the firmware, the serial line, and the agent's conversation with it.

use firmware_sim::reader::{Input as ReaderInput, Output as ReaderOutput};
use terminal_agent::machine::agent::Input;
use terminal_agent::machine::{reader, translate};

use super::event::Event;
use super::world::World;

/// The way of a few bytes over a serial line.
const SERIAL_MS: u64 = 2;

impl World {
    /// Tells the reader's conversation something, and the agent what it makes of it.
    pub fn tell_conversation(&mut self, number: usize, input: reader::Input<'_>) {
        for event in self.conversation(number, input) {
            self.till_hears(number, event);
        }
    }

    pub(super) fn conversation(&mut self, number: usize, input: reader::Input<'_>) -> Vec<Input> {
        let now_ms = self.now_ms;
        let till = &mut self.tills[number];
        let local_ms = till.local_ms(now_ms);
        let Some(process) = &mut till.process else {
            return Vec::new();
        };
        let mut out = Vec::new();
        process.conversation.handle(local_ms, input, &mut out);
        let plug = till.plug;
        let mut events = Vec::new();
        for output in out {
            match output {
                reader::Output::Write(bytes) => {
                    for (late_ms, bytes) in self.noise(bytes) {
                        let event = Event::ToReader {
                            till: number,
                            plug,
                            bytes,
                        };
                        self.queue.push(now_ms + SERIAL_MS + late_ms, event);
                    }
                }
                reader::Output::Event(event) => {
                    self.note(|| format!("till {number} reader {event:?}"));
                    events.push(Input::Reader(translate::reader_event(event)));
                }
            }
        }
        events
    }

    /// Bytes reach the reader.
    pub fn reader_hears(&mut self, number: usize, plug: u64, bytes: &[u8]) {
        if self.tills[number].plug == plug {
            self.reader_input(number, ReaderInput::Host(bytes));
        }
    }

    /// Something happens to the reader.
    pub fn reader_input(&mut self, number: usize, input: ReaderInput<'_>) {
        let now_ms = self.now_ms;
        let till = &mut self.tills[number];
        let (life, plug) = (till.life, till.plug);
        let is_plugged = till.is_plugged;
        let out = till.reader.handle(now_ms, input);
        for ReaderOutput::Host(bytes) in out {
            if !is_plugged {
                continue;
            }
            for (late_ms, bytes) in self.noise(bytes) {
                let event = Event::FromReader {
                    till: number,
                    life,
                    plug,
                    bytes,
                };
                self.queue.push(now_ms + SERIAL_MS + late_ms, event);
            }
        }
        let till = &mut self.tills[number];
        let phase = till.reader.phase();
        if phase != std::mem::replace(&mut till.phase, phase) {
            self.phase_changed(number, phase);
        }
    }

    /// Bytes of the reader reach the agent.
    pub fn reader_says(&mut self, number: usize, life: u64, plug: u64, bytes: &[u8]) {
        let till = &self.tills[number];
        if till.life == life && till.plug == plug {
            self.tell_conversation(number, reader::Input::Bytes(bytes));
        }
    }
}
