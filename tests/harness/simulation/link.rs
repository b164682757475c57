//! Connections between tills and the engine: ordered bytes, delayed, cut.
//!
//! Bytes that are under way when a connection is cut are lost; each side learns of the cut by
//! itself. Knows nothing of messages.

use std::collections::BTreeMap;

use engine::agent_link::pulse::Pulse;

use super::event::Event;
use super::fault::Fault;
use super::world::World;

/// One socket, seen from both ends.
#[derive(Debug)]
pub struct Connection {
    /// Whose it is.
    pub till: usize,
    /// The process of the agent that opened it.
    pub agent_life: u64,
    /// The process of the engine that accepted it.
    pub engine_life: u64,
    /// Nothing passes any more.
    pub is_cut: bool,
    /// The agent has not closed it, nor learned that it is closed.
    pub is_agent_open: bool,
    /// The same for the engine.
    pub is_engine_open: bool,
    /// The engine's heartbeat, from a verified hello on.
    pub pulse: Option<Pulse>,
    /// By direction, to the engine last: nothing arrives any more.
    pub is_deaf: [bool; 2],
    latency_ms: u64,
    arrives_ms: [u64; 2],
}

/// Every connection there was.
#[derive(Debug, Default)]
pub struct Network {
    /// By number; the engine calls it the socket.
    pub connections: BTreeMap<u64, Connection>,
    made: u64,
}

impl World {
    /// Opens a connection of a till to the running engine.
    pub fn connect(&mut self, till: usize) -> u64 {
        self.network.made += 1;
        let number = self.network.made;
        let connection = Connection {
            till,
            agent_life: self.tills[till].life,
            engine_life: self.engine.life,
            is_cut: false,
            is_agent_open: true,
            is_engine_open: true,
            pulse: None,
            is_deaf: [false, false],
            latency_ms: self.random.between(1, 40),
            arrives_ms: [0, 0],
        };
        self.network.connections.insert(number, connection);
        number
    }

    /// Sends bytes; `to_engine` is the direction.
    pub fn transmit(&mut self, number: u64, to_engine: bool, bytes: Vec<u8>) {
        let at_ms = self.arrival(number, to_engine);
        self.queue.push(
            at_ms,
            Event::Frame {
                connection: number,
                to_engine,
                bytes,
            },
        );
    }

    /// When what is sent now arrives: behind what was sent before.
    fn arrival(&mut self, number: u64, to_engine: bool) -> u64 {
        let is_slow = self.plan.strikes(Fault::LinkDelay, 10, &mut self.random);
        let extra_ms = if is_slow {
            self.random.between(200, 6_000)
        } else {
            self.random.below(5)
        };
        let now_ms = self.now_ms;
        let Some(connection) = self.network.connections.get_mut(&number) else {
            return now_ms;
        };
        let latest = &mut connection.arrives_ms[usize::from(to_engine)];
        *latest = (*latest).max(now_ms + connection.latency_ms + extra_ms);
        *latest
    }

    /// One side closes: the other learns of it behind the last bytes, if anything still passes.
    pub fn hang_up(&mut self, number: u64, by_engine: bool) {
        let Some(connection) = self.network.connections.get_mut(&number) else {
            return;
        };
        let is_open = if by_engine {
            &mut connection.is_engine_open
        } else {
            &mut connection.is_agent_open
        };
        if std::mem::take(is_open) {
            let at_ms = self.arrival(number, !by_engine);
            self.queue.push(
                at_ms,
                Event::Hangup {
                    connection: number,
                    to_engine: !by_engine,
                },
            );
        }
    }

    /// Cuts a connection. Each side learns of it after a while, or by its own silence timer.
    pub fn cut(&mut self, number: u64) {
        let Some(connection) = self.network.connections.get_mut(&number) else {
            return;
        };
        if connection.is_cut {
            return;
        }
        connection.is_cut = true;
        for to_engine in [true, false] {
            // Half of the cuts are silent for longer than the silence timers.
            let delay_ms = if self.random.chance(50) {
                self.random.below(300)
            } else {
                40_000
            };
            let event = Event::Hangup {
                connection: number,
                to_engine,
            };
            self.queue.push(self.now_ms + delay_ms, event);
        }
    }

    /// One direction of a connection goes silent; the other goes on.
    pub(super) fn deafen(&mut self, number: u64, to_engine: bool) {
        if let Some(connection) = self.network.connections.get_mut(&number) {
            connection.is_deaf[usize::from(to_engine)] = true;
        }
    }

    /// The agent's side breaks at once; what it has sent, and its end, reach the engine late.
    pub(super) fn overlap(&mut self, number: u64) {
        let late_ms = self.random.between(500, 20_000);
        let Some(connection) = self.network.connections.get_mut(&number) else {
            return;
        };
        if connection.is_cut {
            return;
        }
        connection.latency_ms += late_ms;
        let at_ms = self.now_ms + self.random.between(20, 3_000);
        let event = Event::Hangup {
            connection: number,
            to_engine: false,
        };
        self.queue.push(at_ms, event);
    }

    /// The agent's hello reaches the engine after the agent has given this connection up, but as
    /// long as the engine still waits for it.
    pub(super) fn delay_hello(&mut self, number: u64) {
        let late_ms = self.random.between(1_000, 9_000);
        if let Some(connection) = self.network.connections.get_mut(&number) {
            connection.arrives_ms[usize::from(true)] = self.now_ms + late_ms;
        }
        let at_ms = self.now_ms + self.random.between(100, 1_000);
        let event = Event::Hangup {
            connection: number,
            to_engine: false,
        };
        self.queue.push(at_ms, event);
    }

    /// Cuts every connection of a process that is no more; its own side has nobody left.
    pub fn cut_all(&mut self, is_of_process: impl Fn(&Connection) -> bool) {
        let numbers: Vec<u64> = self
            .network
            .connections
            .iter()
            .filter(|(_, connection)| !connection.is_cut && is_of_process(connection))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.cut(number);
        }
    }

    /// Forgets connections that nobody has open.
    pub fn forget_connections(&mut self) {
        self.network
            .connections
            .retain(|_, connection| connection.is_agent_open || connection.is_engine_open);
    }
}
