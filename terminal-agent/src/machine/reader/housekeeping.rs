//! Commands between transactions, one at a time: what the display says, and what follows a chip.

use protocol::reader::command::{self, Beep, Message};
use protocol::reader::frame::Command;

use super::{Output, ReaderConversation, State};

impl ReaderConversation {
    /// Lets the reader's own display say something, now that it reads no card.
    pub(super) fn show(
        &mut self,
        now_ms: u64,
        message: Message,
        beep: Beep,
        out: &mut Vec<Output>,
    ) {
        self.state = State::Ready;
        if self.config.switches.shows_messages {
            self.begin_housekeeping(now_ms, [command::show(message, beep)], out);
        }
    }

    /// Sends the commands one by one, then goes back to ready.
    pub(super) fn begin_housekeeping(
        &mut self,
        now_ms: u64,
        commands: impl IntoIterator<Item = Command>,
        out: &mut Vec<Output>,
    ) {
        self.state = State::Housekeeping {
            outstanding: 0,
            queue: commands.into_iter().collect(),
            wait: self.immediate_wait(now_ms),
            start: None,
        };
        self.keep_house(now_ms, out);
    }

    /// One command more, after those that are under way.
    pub(super) fn keep_house_also(&mut self, now_ms: u64, command: Command, out: &mut Vec<Output>) {
        match &mut self.state {
            State::Housekeeping { queue, .. } => queue.push_back(command),
            _ => self.begin_housekeeping(now_ms, [command], out),
        }
    }

    pub(super) fn keep_house(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let next_wait = self.immediate_wait(now_ms);
        let State::Housekeeping {
            outstanding,
            queue,
            wait,
            start,
        } = &mut self.state
        else {
            return;
        };
        if let Some(next) = queue.pop_front() {
            *outstanding = next.cmd();
            *wait = next_wait;
            out.push(Output::Write(next.encode()));
            return;
        }
        let start = start.take();
        self.state = State::Ready;
        if let Some(start) = start {
            self.begin_transaction(now_ms, start, out);
        }
    }
}
