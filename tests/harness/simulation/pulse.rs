//! The engine's heartbeats: what the task of a socket does beside carrying messages. Keep it like
//! `engine::agent_link::conversation`.

use engine::agent_link::pulse::{Beat, Pulse};
use engine::domain::time::Timestamp;
use engine::owner::terminal::TerminalInput;
use protocol::link::{ToAgent, ToEngine};

use super::engine::Mail;
use super::link::Connection;
use super::world::World;

impl World {
    /// When the first of the running engine's sockets wants to be told the time.
    pub(super) fn next_pulse(&self) -> Option<Timestamp> {
        let connections = self.network.connections.values();
        connections
            .filter(|connection| self.is_served(connection))
            .filter_map(|connection| Some(connection.pulse.as_ref()?.poll_deadline()))
            .min()
    }

    /// The heartbeat begins with a verified hello.
    pub(super) fn begin_pulse(&mut self, socket: u64) {
        let now = self.engine_now();
        if let Some(connection) = self.network.connections.get_mut(&socket) {
            connection.pulse = Some(Pulse::begin(socket, now));
        }
    }

    /// The welcome goes out.
    pub(super) fn welcome_pulse(&mut self, socket: u64) {
        if let Some(pulse) = self.pulse(socket) {
            pulse.welcome();
        }
    }

    /// Something has arrived; true when it was about the heartbeat, and for nobody else.
    pub(super) fn is_heartbeat(&mut self, socket: u64, message: &ToEngine) -> bool {
        let now = self.engine_now();
        let counts = self.pulse(socket).is_some_and(|pulse| pulse.hear(now));
        if counts && matches!(message, ToEngine::Ping) {
            self.say(socket, &ToAgent::Pong);
        }
        matches!(message, ToEngine::Ping | ToEngine::Pong)
    }

    /// Beats where it is due. A socket that has heard nothing for too long is closed, and the owner
    /// learns that it is.
    pub(super) fn pulse_timers(&mut self) {
        let now = self.engine_now();
        let connections = self.network.connections.iter();
        let served = connections.filter(|(_, connection)| self.is_served(connection));
        let served: Vec<(u64, usize)> = served
            .map(|(number, connection)| (*number, connection.till))
            .collect();
        for (socket, till) in served {
            match self.pulse(socket).and_then(|pulse| pulse.beat(now)) {
                Some(Beat::Ping) => self.say(socket, &ToAgent::Ping),
                Some(Beat::Lost) => {
                    self.note(|| format!("the engine hears nothing of till {till}"));
                    self.hang_up(socket, true);
                    let input = Box::new(TerminalInput::Closed { socket });
                    let terminal = self.tills[till].terminal;
                    self.engine.post(Mail::Terminal(terminal, input));
                }
                None => {}
            }
        }
    }

    fn pulse(&mut self, socket: u64) -> Option<&mut Pulse> {
        self.network.connections.get_mut(&socket)?.pulse.as_mut()
    }

    fn is_served(&self, connection: &Connection) -> bool {
        self.engine.is_up && connection.is_engine_open && connection.engine_life == self.engine.life
    }
}
