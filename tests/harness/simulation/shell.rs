//! The shell of a till's agent: feeds the machine, and carries out what it emits.
//!
//! Does what `terminal_agent::shell` does around the machines, and nothing else.

use std::collections::VecDeque;

use protocol::link::PosStatus;
use terminal_agent::machine::agent::{ControlCommand, ControlId, Input, Output};
use terminal_agent::machine::screen::Screen;
use terminal_agent::machine::{reader, translate};

use super::checker;
use super::event::Event;
use super::fault::Fault;
use super::sabotage::Sabotage;
use super::world::World;

impl World {
    /// The agent is told something.
    pub fn till_hears(&mut self, number: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now_ms = self.tills[number].local_ms(self.now_ms);
            let Some(process) = &mut self.tills[number].process else {
                return;
            };
            let mut out = Vec::new();
            process.agent.handle(now_ms, input, &mut out);
            for output in out {
                if self.till_ends_here(number) {
                    return;
                }
                self.till_acts(number, output, &mut inputs);
            }
        }
    }

    fn till_ends_here(&mut self, number: usize) -> bool {
        match &mut self.tills[number].ends_after {
            Some((0, how)) => {
                let how = *how;
                self.end_till(number, how);
                true
            }
            Some((left, _)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn till_acts(&mut self, number: usize, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::Persist(bytes) => {
                if self.sabotage == Some(Sabotage::ActBeforeJournal) {
                    inputs.push_back(Input::Persisted);
                }
                let life = self.tills[number].life;
                let at_ms = self.now_ms + self.random.between(0, 8);
                self.queue.push(
                    at_ms,
                    Event::JournalWrites {
                        till: number,
                        life,
                        bytes,
                    },
                );
            }
            Output::Hello { open, prints } => self.till_says_hello(number, open, prints),
            Output::Send(message) => {
                self.check_till_sends(number, &message);
                self.till_sends(number, &message);
                inputs.extend(self.lie_to_itself(&message));
            }
            Output::Reader(request) => {
                let request = reader::Input::Request(translate::reader_request(request));
                inputs.extend(self.conversation(number, request));
            }
            Output::Printer(job) => self.give_printer(number, job, inputs),
            Output::BeginPrint(job_id) => self.begin_print(number, job_id, inputs),
            Output::Show(screen) => self.till_shows(number, screen),
            Output::ControlAnswer(_, reply) => {
                self.note(|| format!("till {number} answers {reply:?}"));
            }
            Output::LookAround => inputs.push_back(Input::Facts(Box::default())),
            Output::Configured { version, settings } => {
                self.note(|| format!("till {number} is as told in {version}: {settings:?}"));
            }
            Output::JournalFault => self.end_till(number, Fault::JournalFails),
        }
    }

    fn till_shows(&mut self, number: usize, screen: Screen) {
        self.note(|| format!("till {number} shows {screen:?}"));
        self.note_advice(&screen);
        match &screen {
            Screen::Concluded(concluded) if concluded.status == PosStatus::Approved => {
                let pos_id = concluded.pos_id;
                let lost = &self.history.lost;
                let was_told = lost.was_approved(pos_id)
                    && lost.frees_pos("approved_shown_only_after_commit", pos_id);
                if !was_told {
                    let history = &self.history;
                    self.check(checker::approved_shown_only_after_commit(history, pos_id));
                }
            }
            Screen::PresentCard {
                pos_id, attempt, ..
            } => self.check_reader_starts(number, *pos_id, *attempt),
            Screen::SelectTip { pos_id, .. } => {
                let at_ms = self.now_ms + self.random.between(500, 40_000);
                self.queue.push(
                    at_ms,
                    Event::TipKey {
                        till: number,
                        pos_id: *pos_id,
                    },
                );
            }
            _ => {}
        }
        if let Some(process) = &mut self.tills[number].process {
            process.screen = screen;
        }
    }

    /// Somebody asks for something on the control socket.
    pub fn control(&mut self, number: usize, command: ControlCommand) {
        let Some(process) = &mut self.tills[number].process else {
            return;
        };
        process.controls += 1;
        let control = ControlId(process.controls);
        self.note(|| format!("till {number} is asked {command:?}"));
        self.till_hears(number, Input::Control(control, command));
    }
}
