//! What a reader without keypad or display asks of the till (61-01 to 61-03).
//!
//! Owns the answers. Nobody at the till is asked: the first language and the first application are
//! taken, a PIN is never typed here, and a text is never shown as the till's own.

use protocol::reader::frame::Response;
use protocol::reader::prompt::{Mode, Prompt};

use super::{Event, Output, Progress, ReaderConversation, State};

impl ReaderConversation {
    pub(super) fn prompted(&mut self, frame: &Response, out: &mut Vec<Output>) {
        let State::Transaction(transaction) = &self.state else {
            return;
        };
        // A command between two of the transaction's own would be taken for a cancel.
        if !transaction.is_outstanding() || !self.config.switches.answers_prompts {
            return;
        }
        let Some(prompt) = Prompt::parse(frame) else {
            return;
        };
        if let Some(answer) = prompt.answer() {
            out.push(Output::Write(answer.encode()));
        }
        if let Some(progress) = progress(&prompt) {
            out.push(Output::Event(Event::Progress(progress)));
        }
    }
}

const fn progress(prompt: &Prompt<'_>) -> Option<Progress> {
    match prompt {
        Prompt::Display { mode, .. } => match mode {
            Mode::Menu => Some(Progress::ApplicationChosen),
            Mode::Language => Some(Progress::LanguageChosen),
            Mode::Keys | Mode::Message => Some(Progress::Message),
            Mode::Clear | Mode::Unknown(_) => None,
        },
        Prompt::Pin => Some(Progress::PinSkipped),
        Prompt::Stripe => Some(Progress::InsertOrSwipe),
        Prompt::Unknown => None,
    }
}
