//! What arrives at the two ends of a connection, read with the codec that ships.

use engine::owner::terminal::{TerminalInput, VerifiedHello};
use protocol::link::{
    Handshake, HandshakeReply, Refused, RefusedReason, ToAgent, ToEngine, VERSION, decode,
};
use terminal_agent::machine::agent::Input;

use super::engine::Mail;
use super::sabotage::Sabotage;
use super::wire::RETRY_MS;
use super::world::World;

impl World {
    /// Bytes arrive.
    pub fn frame(&mut self, number: u64, to_engine: bool, bytes: &[u8]) {
        self.mix(bytes);
        let Some(connection) = self.network.connections.get(&number) else {
            return;
        };
        if connection.is_cut || connection.is_deaf[usize::from(to_engine)] {
            return;
        }
        let till = connection.till;
        if to_engine && connection.is_engine_open && connection.engine_life == self.engine.life {
            self.engine_receives(number, till, bytes);
        } else if !to_engine && connection.is_agent_open {
            self.till_receives(number, till, bytes);
        }
    }

    /// A side learns that its connection is closed.
    pub fn hangup(&mut self, number: u64, to_engine: bool) {
        let Some(connection) = self.network.connections.get_mut(&number) else {
            return;
        };
        let till = connection.till;
        if to_engine {
            let is_open = std::mem::take(&mut connection.is_engine_open);
            if is_open && connection.engine_life == self.engine.life && self.engine.is_up {
                let input = Box::new(TerminalInput::Closed { socket: number });
                let terminal = self.tills[till].terminal;
                self.engine.post(Mail::Terminal(terminal, input));
                self.pump_engine();
            }
        } else if std::mem::take(&mut connection.is_agent_open)
            && self.tills[till].connection() == Some(number)
        {
            self.link_lost(till);
        }
    }

    fn engine_receives(&mut self, socket: u64, till: usize, bytes: &[u8]) {
        let input = if let Ok(mut message) = decode::<ToEngine>(bytes) {
            if self.sabotage == Some(Sabotage::AuthorizeUncommitted)
                && let ToEngine::Card(report) = &message
                && self
                    .history
                    .pos
                    .get(&report.pos_id)
                    .is_some_and(|pos| pos.outcome.is_some())
            {
                self.authorize_uncommitted(till, report);
            }
            let terminal = self.tills[till].terminal;
            self.model.said_on(terminal, socket, &message);
            let heard_on = self.lie_to_engine(terminal, socket, &mut message);
            if self.is_heartbeat(socket, &message) {
                return;
            }
            let socket = heard_on;
            TerminalInput::Said {
                socket,
                message: Box::new(message),
            }
        } else if let Ok(Handshake::Hello(hello)) = decode::<Handshake>(bytes) {
            if !self.is_signed(till, hello.terminal_id) {
                let reason = RefusedReason::Unauthorized;
                self.say(socket, &HandshakeReply::Refused(Refused { reason }));
                self.hang_up(socket, true);
                return;
            }
            let seen = (hello.journal_id, hello.boot, hello.connection);
            let terminal = self.tills[till].terminal;
            self.model.hello(terminal, socket, self.now_ms, seen);
            let mut hello = VerifiedHello {
                socket,
                version: hello.version,
                journal_id: hello.journal_id,
                boot: hello.boot,
                connection: hello.connection,
                open: hello.open,
                prints: hello.prints,
                has_simulator: hello.has_simulator,
            };
            self.lie_in_hello(&mut hello);
            self.begin_pulse(socket);
            TerminalInput::Hello(Box::new(hello))
        } else {
            self.broken("the engine cannot read a frame".to_owned());
            return;
        };
        let terminal = self.tills[till].terminal;
        self.engine.post(Mail::Terminal(terminal, Box::new(input)));
        self.pump_engine();
    }

    fn till_receives(&mut self, socket: u64, number: usize, bytes: &[u8]) {
        let now_ms = self.tills[number].local_ms(self.now_ms);
        let Some(process) = &mut self.tills[number].process else {
            return;
        };
        let link = &mut process.link;
        if link.socket != Some(socket) {
            return;
        }
        link.heard_ms = now_ms;
        if link.is_up {
            match decode::<ToAgent>(bytes) {
                Ok(ToAgent::Ping) => self.till_writes(number, socket, &ToEngine::Pong),
                Ok(ToAgent::Pong) => {}
                Ok(message) => {
                    let mut message = message;
                    self.lie_to_till(&mut message);
                    if let ToAgent::ReadCard(grant) = &message {
                        self.model.go_arrives(number, self.now_ms, grant);
                    }
                    self.till_hears(number, Input::Message(Box::new(message)));
                }
                Err(_) => self.broken(format!("till {number} cannot read a frame")),
            }
            return;
        }
        match decode::<HandshakeReply>(bytes) {
            Ok(HandshakeReply::Challenge(challenge)) => {
                link.next = Some(socket);
                link.owed_hellos += 1;
                let version = VERSION.min(challenge.version_max);
                self.till_hears(number, Input::LinkConnecting { version });
            }
            Ok(HandshakeReply::Welcome(welcome)) => {
                link.is_up = true;
                self.note(|| format!("till {number} link up"));
                self.till_hears(number, Input::LinkUp(welcome));
            }
            Ok(HandshakeReply::Refused(refused)) => {
                link.retry_ms = RETRY_MS.1;
                self.note(|| format!("till {number} refused: {:?}", refused.reason));
                self.link_lost(number);
            }
            Err(_) => self.broken(format!("till {number} cannot read a handshake")),
        }
    }
}
