//! Asking for a card: which command, for how long, and how often again.

use protocol::reader::command::{self, Activate, Beep, CommandError, Interfaces, Message};
use protocol::reader::frame::Command;

use super::super::{
    EndReason, Output, Progress, ReaderConversation, ReaderFault, SENDINGS_MAX, Start, State, Wait,
};
use super::{Ask, Phase, Transaction, progress};

/// How long the slot is probed, in seconds. The shortest time that 60-10 takes: a card that is in
/// the slot is seen at once.
const PROBE_S: u8 = 1;

impl ReaderConversation {
    pub(super) fn ask_again(&mut self, now_ms: u64, ask: Ask, out: &mut Vec<Output>) {
        if let State::Transaction(transaction) = std::mem::replace(&mut self.state, State::Ready) {
            self.ask_for_card(now_ms, transaction, ask, out);
        }
    }

    /// 02-40, or 60-10 when only the slot is meant.
    pub(super) fn ask_for_card(
        &mut self,
        now_ms: u64,
        mut transaction: Transaction,
        ask: Ask,
        out: &mut Vec<Output>,
    ) {
        let remaining_ms = transaction.card_by_ms.saturating_sub(now_ms);
        let (command, timeout_s) = match self.card_command(&transaction.start, remaining_ms, ask) {
            Ok(built) => built,
            Err(_) => {
                self.end(now_ms, EndReason::AmountRefused, out);
                return;
            }
        };
        let until_ms = now_ms
            .saturating_add(u64::from(timeout_s) * 1_000)
            .saturating_add(self.config.transaction_grace_ms);
        transaction.phase = match ask {
            Ask::Present => Phase::Activating,
            Ask::Insert => Phase::Inserting,
            Ask::Probe => Phase::Probing,
        };
        transaction.wait = Wait {
            until_ms,
            // 02-40 is answered when a card has come, 60-10 at once and then again.
            first_byte_by_ms: (command.cmd() == command::CONTACT)
                .then(|| now_ms.saturating_add(self.config.first_byte_ms)),
        };
        transaction.sendings = 1;
        transaction.outstanding = command;
        out.push(Output::Write(transaction.outstanding.encode()));
        if ask == Ask::Present {
            progress(Progress::PresentCard, out);
        }
        self.state = State::Transaction(transaction);
    }

    pub(super) fn card_command(
        &self,
        start: &Start,
        remaining_ms: u64,
        ask: Ask,
    ) -> Result<(Command, u8), CommandError> {
        let next_command_s = self.config.next_command_s;
        let seconds = remaining_ms.div_ceil(1_000).max(1);
        let timeout_s = match ask {
            Ask::Probe => PROBE_S,
            Ask::Present | Ask::Insert => u8::try_from(seconds).unwrap_or(u8::MAX),
        };
        let interfaces = match ask {
            Ask::Insert => Interfaces {
                contactless: false,
                ..start.interfaces
            },
            Ask::Present | Ask::Probe => start.interfaces,
        };
        let by_activation = ask == Ask::Insert && self.config.switches.inserts_by_activation;
        let command = match ask {
            Ask::Insert | Ask::Probe if !by_activation => {
                command::contact_start(start.amount, u16::from(timeout_s), next_command_s)?
            }
            _ => command::activate(Activate {
                amount: start.amount,
                timeout_s,
                interfaces,
                next_command_s,
            })?,
        };
        Ok((command, timeout_s))
    }

    pub(super) fn send_again(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let State::Transaction(transaction) = &mut self.state else {
            return;
        };
        if transaction.sendings < SENDINGS_MAX {
            transaction.sendings += 1;
            out.push(Output::Write(transaction.outstanding.encode()));
        } else {
            self.end(now_ms, EndReason::ReaderFault(ReaderFault::NoAnswer), out);
        }
    }

    pub(super) fn retry(
        &mut self,
        now_ms: u64,
        shown: Progress,
        then_insert: bool,
        out: &mut Vec<Output>,
    ) {
        let pause_ms = self.config.retry_pause_ms;
        let retries_max = self.config.retries_max;
        let State::Transaction(transaction) = &mut self.state else {
            return;
        };
        let Interfaces { contact, .. } = transaction.start.interfaces;
        let over = if then_insert && !contact {
            Some(EndReason::CardError)
        } else if now_ms.saturating_add(pause_ms) >= transaction.card_by_ms {
            Some(EndReason::Timeout)
        } else if transaction.retries >= retries_max {
            Some(match shown {
                Progress::OneCardOnly => EndReason::TwoCards,
                _ => EndReason::CardError,
            })
        } else {
            None
        };
        if let Some(reason) = over {
            self.end(now_ms, reason, out);
            return;
        }
        transaction.retries += 1;
        let shows = self.config.switches.shows_messages;
        let message = command::show(reader_message(shown), Beep::Double);
        let then = if then_insert {
            Ask::Insert
        } else {
            Ask::Present
        };
        // Insertion is asked for as soon as the display has said so; a card that is still in the
        // field would only be read into the same error again.
        let until_ms = match (then_insert, shows) {
            (true, false) => now_ms,
            (true, true) => now_ms.saturating_add(self.config.first_byte_ms),
            (false, _) => now_ms.saturating_add(pause_ms),
        };
        transaction.phase = Phase::Pausing { then };
        transaction.wait = Wait {
            until_ms,
            first_byte_by_ms: None,
        };
        if shows {
            out.push(Output::Write(message.encode()));
            transaction.outstanding = message;
        }
        progress(shown, out);
        if until_ms <= now_ms {
            self.transaction_due(now_ms, out);
        }
    }
}

pub(super) const fn reader_message(shown: Progress) -> Message {
    match shown {
        Progress::OneCardOnly => Message::OneCardOnly,
        Progress::InsertOrSwipe | Progress::UseChip | Progress::Swipe => Message::InsertOrSwipe,
        _ => Message::TryAgain,
    }
}
