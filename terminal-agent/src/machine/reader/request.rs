//! What the agent asks of the reader, and when it may.

use protocol::reader::command;

use super::chip;
use super::{EndReason, Event, Output, ReaderConversation, Request, Start, State};

impl ReaderConversation {
    pub(super) fn request(&mut self, now_ms: u64, request: Request, out: &mut Vec<Output>) {
        match request {
            Request::Start(start) => self.start_requested(now_ms, start, out),
            Request::Cancel => self.cancel_requested(now_ms, out),
            Request::HostUnreachable => self.host_answered(now_ms, None, out),
            Request::HostAnswer {
                approved,
                response_code,
                issuer_data,
            } => {
                let answer = chip::HostAnswer {
                    approved,
                    response_code,
                    issuer_data,
                };
                self.host_answered(now_ms, Some(answer), out);
            }
        }
    }

    pub(super) fn start_requested(&mut self, now_ms: u64, requested: Start, out: &mut Vec<Output>) {
        match &mut self.state {
            _ if self.owed.is_some() => out.push(Output::Event(Event::Busy)),
            State::Ready => self.begin_transaction(now_ms, requested, out),
            State::Housekeeping { start, .. } if start.is_none() => *start = Some(requested),
            State::Closed | State::Setup { .. } | State::Unready { .. } => {
                out.push(Output::Event(Event::Ended(EndReason::NotReady)));
            }
            State::Housekeeping { .. } | State::Transaction(_) | State::Canceling { .. } => {
                out.push(Output::Event(Event::Busy));
            }
        }
    }

    pub(super) fn cancel_requested(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        match &mut self.state {
            State::Housekeeping { start, .. } if start.is_some() => {
                *start = None;
                out.push(Output::Event(Event::Ended(EndReason::Canceled)));
            }
            State::Transaction(transaction) if transaction.is_pausing() => {
                self.state = State::Ready;
                out.push(Output::Event(Event::Ended(EndReason::Canceled)));
            }
            State::Transaction(transaction) if !transaction.is_completing() => {
                self.send_cancel(now_ms, 1, out);
            }
            _ => {}
        }
    }

    pub(super) fn send_cancel(&mut self, now_ms: u64, sendings: u8, out: &mut Vec<Output>) {
        let wait = self.immediate_wait(now_ms);
        self.state = State::Canceling { sendings, wait };
        out.push(Output::Write(command::cancel().encode()));
    }
}
