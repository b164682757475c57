//! The two ends of a connection: the agent's link task and the engine's socket task, with the real
//! codec between them. Keep it like `terminal_agent::link` and `engine::agent_link::socket`.

use engine::store::Rows as _;
use protocol::link::{
    AGENT_HEARTBEAT_MS, Challenge, Digest, Handshake, HandshakeReply, Hello, PrintReport,
    SILENCE_MS_MAX, ToEngine, VERSION, VERSION_MIN, encode,
};
use terminal_agent::machine::agent::Input;

use super::event::Event;
use super::fault::Fault;
use super::restore::incarnation;
use super::world::World;

/// How long each step of the handshake may take.
const STEP_MS_MAX: u64 = 10_000;
/// First and longest pause before another connection.
pub(super) const RETRY_MS: (u64, u64) = (250, 10_000);

/// The agent's link task, and the shell's side of it.
#[derive(Debug, Default)]
pub struct LinkSide {
    /// The connection that the task has open.
    pub socket: Option<u64>,
    /// Whether the engine has welcomed it.
    pub is_up: bool,
    /// Where the shell's messages go.
    commands: Option<u64>,
    pub(super) next: Option<u64>,
    pub(super) owed_hellos: u32,
    made: u64,
    pub(super) heard_ms: u64,
    said_ms: u64,
    pub(super) retry_ms: u64,
}

impl LinkSide {
    /// When the task wants to be told the time.
    pub fn next_timer_ms(&self) -> Option<u64> {
        self.socket?;
        let silence_ms = if self.is_up {
            SILENCE_MS_MAX
        } else {
            STEP_MS_MAX
        };
        let silence_ms = self.heard_ms + silence_ms;
        Some(if self.is_up {
            silence_ms.min(self.said_ms + AGENT_HEARTBEAT_MS)
        } else {
            silence_ms
        })
    }
}

impl World {
    /// The agent opens a connection.
    pub fn till_connects(&mut self, number: usize, life: u64) {
        let is_right = self.tills[number].life == life && self.tills[number].process.is_some();
        if !is_right {
            return;
        }
        self.forget_connections();
        let socket = self.engine.is_up.then(|| self.connect(number));
        if let Some(socket) = socket
            && self.plan.strikes(Fault::LinkOverlap, 15, &mut self.random)
        {
            self.delay_hello(socket);
        }
        let now_ms = self.tills[number].local_ms(self.now_ms);
        let Some(process) = &mut self.tills[number].process else {
            return;
        };
        process.link.made += 1;
        process.link.socket = socket;
        process.link.heard_ms = now_ms;
        match socket {
            Some(socket) => {
                let challenge = Challenge {
                    version_min: VERSION_MIN,
                    version_max: VERSION,
                    nonce: vec![7; 32],
                    incarnation: self.engine.store.incarnation().unwrap_or(incarnation(0)),
                };
                self.say(socket, &HandshakeReply::Challenge(challenge));
            }
            None => self.link_lost(number),
        }
    }

    /// The agent's link task gives up its connection, and tries again later.
    pub(super) fn link_lost(&mut self, number: usize) {
        let life = self.tills[number].life;
        let Some(process) = &mut self.tills[number].process else {
            return;
        };
        let link = &mut process.link;
        if link.is_up || link.retry_ms == 0 {
            link.retry_ms = RETRY_MS.0;
        }
        let pause_ms = link.retry_ms / 2 + self.random.below(link.retry_ms);
        link.retry_ms = (link.retry_ms * 2).min(RETRY_MS.1);
        let socket = link.socket.take();
        (link.is_up, link.commands, link.next) = (false, None, None);
        if let Some(socket) = socket {
            self.hang_up(socket, false);
        }
        self.note(|| format!("till {number} link down"));
        self.queue.push(
            self.now_ms + pause_ms,
            Event::Connects { till: number, life },
        );
        self.till_hears(number, Input::LinkDown);
    }

    /// The link task's timer: silence, or a ping.
    pub fn link_timer(&mut self, number: usize) {
        let now_ms = self.tills[number].local_ms(self.now_ms);
        let Some(process) = &mut self.tills[number].process else {
            return;
        };
        let link = &mut process.link;
        let silence_ms = if link.is_up {
            SILENCE_MS_MAX
        } else {
            STEP_MS_MAX
        };
        if now_ms >= link.heard_ms + silence_ms {
            self.link_lost(number);
        } else if let Some(socket) = link.socket {
            self.till_writes(number, socket, &ToEngine::Ping);
        }
    }

    /// The agent machine's hello goes out on the connection that asked for it last.
    pub fn till_says_hello(&mut self, number: usize, open: Vec<Digest>, prints: Vec<PrintReport>) {
        let terminal_id = self.tills[number].terminal_id;
        let Some(process) = &mut self.tills[number].process else {
            return;
        };
        let journal = process.agent.journal();
        let (journal_id, boot) = (journal.journal_id(), journal.boot());
        let link = &mut process.link;
        link.owed_hellos = link.owed_hellos.saturating_sub(1);
        if link.owed_hellos > 0 {
            return;
        }
        link.commands = link.next.take();
        let (Some(socket), Some(journal_id)) = (link.commands, journal_id) else {
            return;
        };
        let hello = Handshake::Hello(Box::new(Hello {
            version: VERSION,
            terminal_id,
            agent_version: "sim".to_owned(),
            journal_id,
            boot,
            connection: link.made,
            signature: vec![0; 64],
            open,
            prints,
            has_simulator: false,
        }));
        self.note(|| format!("till {number} says {hello:?}"));
        let Handshake::Hello(said) = &hello;
        for digest in &said.open {
            self.model.till_has_open(number, self.now_ms, digest);
        }
        self.till_writes(number, socket, &hello);
    }

    /// The agent machine's message goes out, if there is a connection.
    pub fn till_sends(&mut self, number: usize, message: &ToEngine) {
        self.note(|| format!("till {number} to engine: {message:?}"));
        let socket = self.tills[number]
            .process
            .as_ref()
            .and_then(|process| process.link.commands);
        if let Some(socket) = socket {
            self.till_writes(number, socket, message);
        }
    }

    pub(super) fn till_writes<T: serde::Serialize>(
        &mut self,
        number: usize,
        socket: u64,
        message: &T,
    ) {
        let now_ms = self.tills[number].local_ms(self.now_ms);
        if let Some(process) = &mut self.tills[number].process {
            process.link.said_ms = now_ms;
        }
        match encode(message) {
            Ok(bytes) => self.transmit(socket, true, bytes),
            Err(error) => self.broken(format!("till {number}: {error}")),
        }
    }

    /// The engine's socket task writes.
    pub fn say<T: serde::Serialize>(&mut self, socket: u64, message: &T) {
        match encode(message) {
            Ok(bytes) => self.transmit(socket, false, bytes),
            Err(error) => self.broken(format!("engine: {error}")),
        }
    }
}
