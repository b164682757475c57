//! The shell's end of the control socket: who is connected, who watches, whose answer is owed. Never
//! waits for a client.

use std::collections::BTreeMap;

use protocol::id::RequestId;
use tokio::sync::mpsc;

use super::Shell;
use crate::control::message::{
    Answer, AnswerData, Line, PortsHealth, ProcessHealth, Wanted, WatchEvent, encode_line,
};
use crate::control::{ConnectionId, ControlEvent};
use crate::id_source;
use crate::machine::agent::{ControlId, ControlReply, Input};

impl Shell {
    pub(super) fn control_event(&mut self, event: ControlEvent) {
        match event {
            ControlEvent::Opened(connection, lines) => {
                let client = Client {
                    lines,
                    is_watching: false,
                    is_closing: false,
                };
                self.control.clients.insert(connection, client);
            }
            ControlEvent::Line(connection, line) => self.control_line(connection, *line),
            ControlEvent::Closed(connection) => {
                if let Some(client) = self.control.clients.get_mut(&connection) {
                    client.is_closing = true;
                }
                self.control.close_if_done(connection);
            }
        }
    }

    pub(super) fn control_line(&mut self, connection: ConnectionId, line: Line) {
        let id = line.id();
        let fresh: RequestId = id_source::request_id();
        match line.wanted(fresh) {
            Wanted::Watch => {
                if let Some(client) = self.control.clients.get_mut(&connection) {
                    client.is_watching = true;
                }
                let answer = Answer::good(id, AnswerData::Done);
                self.control.tell(connection, &encode_line(&answer));
            }
            Wanted::Command(command) => {
                self.control.last = self.control.last.saturating_add(1);
                let control = ControlId(self.control.last);
                self.control.pending.insert(control, (connection, id));
                self.pump(Input::Control(control, command));
            }
        }
    }
}

#[derive(Default)]
pub(super) struct ControlSide {
    clients: BTreeMap<ConnectionId, Client>,
    /// Commands whose answer is owed: to whom, under which number.
    pending: BTreeMap<ControlId, (ConnectionId, u64)>,
    last: u64,
}

struct Client {
    lines: mpsc::Sender<String>,
    is_watching: bool,
    /// It will say no more, but may still read what it asked for.
    is_closing: bool,
}

impl ControlSide {
    pub(super) fn answer(
        &mut self,
        control: ControlId,
        reply: ControlReply,
        ports: &PortsHealth,
        process: &ProcessHealth,
    ) {
        if let Some((connection, id)) = self.pending.remove(&control) {
            let line = encode_line(&Answer::from_reply(id, reply, ports, process));
            self.tell(connection, &line);
            self.close_if_done(connection);
        }
    }

    pub(super) fn tell(&mut self, connection: ConnectionId, line: &str) {
        let Some(client) = self.clients.get(&connection) else {
            return;
        };
        // A client that does not read is disconnected.
        if client.lines.try_send(line.to_owned()).is_err() {
            self.clients.remove(&connection);
        }
    }

    pub(super) fn tell_watchers(&mut self, event: &WatchEvent) {
        let line = encode_line(event);
        let watching: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, client)| client.is_watching)
            .map(|(connection, _)| *connection)
            .collect();
        for connection in watching {
            self.tell(connection, &line);
        }
    }

    fn close_if_done(&mut self, connection: ConnectionId) {
        let is_owed = self.pending.values().any(|(owed, _)| *owed == connection);
        let is_closing = self
            .clients
            .get(&connection)
            .is_some_and(|client| client.is_closing);
        if is_closing && !is_owed {
            self.clients.remove(&connection);
        }
    }
}
