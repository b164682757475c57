//! One transaction with the reader: from the first command to card data, the chip's last word or
//! a failure.
//!
//! Owns phases, retries and their bounds. It never takes an approval that the issuer did not give.
//!
//! ```text
//! phase           verdict                → phase
//! probing         chip started           → pausing → probing   (a card is still in the slot)
//! probing         nothing within a second → activating
//! activating      card data              → over          (contactless, swipe)
//! activating      chip started           → authenticating
//! activating      insert                 → inserting     (60-10)
//! activating      again                  → pausing → activating
//! inserting       as activating
//! authenticating  card data              → waiting for the host
//! waiting         answer, or none in time → completing
//! completing      completed              → over, housekeeping
//! any             end, no answer         → over, or setup when the reader is at fault
//! ```

mod ask;

use protocol::reader::command::{self, Beep, Message, Online};
use protocol::reader::frame::{Command, Response};
use protocol::reader::outcome::{CardRead, Entry as Interface};
use protocol::reader::tlv::Form;

use super::last_result::Identity;
use super::verdict::{self, Verdict};
use super::{
    EndReason, Entry, Event, Output, Progress, ReaderConversation, ReaderFault, Start, State, Wait,
};

/// Tag 9F02.
const TAG_AMOUNT: u32 = 0x9F02;

/// What the reader is asked to do about a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Take one on every allowed interface (02-40).
    Present,
    /// Take one in the slot (60-10).
    Insert,
    /// Say whether one is still in the slot from before (60-10 with the shortest time).
    Probe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Probing,
    Activating,
    Inserting,
    Authenticating,
    WaitingForHost,
    Completing { host_approved: bool },
    Pausing { then: Ask },
}

/// A running transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    start: Start,
    /// When the customer's time is up.
    card_by_ms: u64,
    pub(super) phase: Phase,
    pub(super) wait: Wait,
    /// The outstanding command, should it have to be sent again.
    pub(super) outstanding: Command,
    pub(super) sendings: u8,
    retries: u8,
    /// What identifies the chip's request to ask the issuer.
    identity: Option<Identity>,
}

impl Transaction {
    pub(super) fn is_pausing(&self) -> bool {
        matches!(self.phase, Phase::Pausing { .. })
    }

    pub(super) fn is_completing(&self) -> bool {
        matches!(self.phase, Phase::Completing { .. })
    }

    /// Whether the reader works on a command.
    pub(super) fn is_outstanding(&self) -> bool {
        !matches!(self.phase, Phase::WaitingForHost | Phase::Pausing { .. })
    }

    /// Whether only the answer of the display is waited for.
    fn is_showing(&self) -> bool {
        let then = Ask::Insert;
        self.phase == Phase::Pausing { then } && self.outstanding.cmd() == command::INTERFACE
    }

    /// Of a chip that was told an approval.
    pub(super) fn approved_identity(&self) -> Option<&Identity> {
        let approved = Phase::Completing {
            host_approved: true,
        };
        self.identity.as_ref().filter(|_| self.phase == approved)
    }
}

impl ReaderConversation {
    pub(super) fn begin_transaction(&mut self, now_ms: u64, start: Start, out: &mut Vec<Output>) {
        let transaction = Transaction {
            start,
            card_by_ms: now_ms.saturating_add(start.timeout_ms),
            phase: Phase::Activating,
            wait: self.immediate_wait(now_ms),
            outstanding: command::ping(),
            sendings: 0,
            retries: 0,
            identity: None,
        };
        // A card that the last transaction left in the slot must not pay this one.
        let is_in_doubt = self.slot_may_hold_card && start.interfaces.contact;
        match start.prompt {
            _ if is_in_doubt => self.ask_for_card(now_ms, transaction, Ask::Probe, out),
            Some(shown) if self.config.switches.shows_messages => {
                self.prompt_before(now_ms, transaction, shown, out);
            }
            _ => self.ask_for_card(now_ms, transaction, Ask::Present, out),
        }
    }

    /// The display speaks first: what asks for the card puts its own words there.
    fn prompt_before(
        &mut self,
        now_ms: u64,
        mut transaction: Transaction,
        shown: Progress,
        out: &mut Vec<Output>,
    ) {
        let message = command::show(ask::reader_message(shown), Beep::Double);
        out.push(Output::Write(message.encode()));
        progress(shown, out);
        transaction.phase = Phase::Pausing { then: Ask::Present };
        transaction.wait = Wait {
            until_ms: now_ms.saturating_add(self.config.retry_pause_ms),
            first_byte_by_ms: None,
        };
        transaction.outstanding = message;
        self.state = State::Transaction(transaction);
    }

    pub(super) fn transaction_answered(
        &mut self,
        now_ms: u64,
        response: Response,
        out: &mut Vec<Output>,
    ) {
        let State::Transaction(transaction) = &self.state else {
            return;
        };
        // The display has said what is to be done next.
        if transaction.is_showing() && response.cmd() == command::INTERFACE {
            self.transaction_due(now_ms, out);
            return;
        }
        if !transaction.is_outstanding() || transaction.outstanding.cmd() != response.cmd() {
            return;
        }
        let verdict = match transaction.phase {
            Phase::Probing | Phase::Activating | Phase::Inserting => {
                verdict::on_activation(&response)
            }
            Phase::Authenticating => verdict::on_authentication(&response),
            Phase::Completing { .. } => verdict::on_completion(&response),
            Phase::WaitingForHost | Phase::Pausing { .. } => Verdict::Ignore,
        };
        let is_read_again =
            matches!(verdict, Verdict::CardData(_)) && self.last_reads.contains(response.data());
        if is_read_again || is_of_another_amount(&transaction.start, &response) {
            return;
        }
        let is_probing = transaction.phase == Phase::Probing;
        self.slot_may_hold_card |= is_about_a_card_in_the_slot(verdict, &response);
        if is_probing {
            self.probed(now_ms, verdict, response, out);
        } else {
            self.follow(now_ms, verdict, response, out);
        }
    }

    /// The slot was probed: whatever is in it has to go before a card is asked for.
    fn probed(&mut self, now_ms: u64, verdict: Verdict, response: Response, out: &mut Vec<Output>) {
        match verdict {
            Verdict::End(EndReason::Timeout) => {
                self.slot_may_hold_card = false;
                self.ask_again(now_ms, Ask::Present, out);
            }
            Verdict::ChipStarted => {
                out.push(Output::Write(command::cancel().encode()));
                self.pause_for_removal(now_ms, out);
            }
            Verdict::End(EndReason::ReaderFault(_))
            | Verdict::CardData(_)
            | Verdict::CardDetected
            | Verdict::Ignore
            | Verdict::Pending
            | Verdict::SendAgain => self.follow(now_ms, verdict, response, out),
            Verdict::End(_) | Verdict::Insert | Verdict::Again(_) | Verdict::Completed { .. } => {
                self.pause_for_removal(now_ms, out);
            }
        }
    }

    fn pause_for_removal(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let until_ms = now_ms.saturating_add(self.config.retry_pause_ms);
        let State::Transaction(transaction) = &mut self.state else {
            return;
        };
        if until_ms >= transaction.card_by_ms {
            self.end(now_ms, EndReason::Timeout, out);
            return;
        }
        transaction.phase = Phase::Pausing { then: Ask::Probe };
        transaction.wait = Wait {
            until_ms,
            first_byte_by_ms: None,
        };
        progress(Progress::RemoveCard, out);
    }

    fn follow(&mut self, now_ms: u64, verdict: Verdict, response: Response, out: &mut Vec<Output>) {
        match verdict {
            Verdict::Ignore | Verdict::Pending => {}
            Verdict::CardDetected => progress(Progress::CardDetected, out),
            Verdict::SendAgain => self.send_again(now_ms, out),
            Verdict::ChipStarted => {
                progress(Progress::CardDetected, out);
                let command =
                    command::contact_authenticate(Online::Forced, self.config.chip_step_s);
                self.send_chip_step(now_ms, Phase::Authenticating, command, out);
            }
            Verdict::CardData(entry) => self.give_card_data(now_ms, entry, response, out),
            Verdict::Insert => self.retry(now_ms, Progress::InsertOrSwipe, true, out),
            Verdict::Again(shown) => self.retry(now_ms, shown, false, out),
            Verdict::Completed { approved } => self.complete(now_ms, approved, response, out),
            Verdict::End(EndReason::ReaderFault(ReaderFault::Refused {
                status: 0x05..=0x07,
            })) if self.decline_instead(now_ms, out) => {}
            Verdict::End(reason) => self.end(now_ms, reason, out),
        }
    }

    pub(super) fn transaction_due(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let State::Transaction(transaction) = &self.state else {
            return;
        };
        match transaction.phase {
            Phase::Pausing { then } => self.ask_again(now_ms, then, out),
            Phase::WaitingForHost => self.host_answered(now_ms, None, out),
            Phase::Probing
            | Phase::Activating
            | Phase::Inserting
            | Phase::Authenticating
            | Phase::Completing { .. } => self.restart(now_ms, ReaderFault::NoAnswer, out),
        }
    }

    fn give_card_data(
        &mut self,
        now_ms: u64,
        entry: Entry,
        response: Response,
        out: &mut Vec<Output>,
    ) {
        let needs_host_answer = entry == Entry::Contact;
        if let (true, State::Transaction(transaction)) = (needs_host_answer, &mut self.state) {
            transaction.phase = Phase::WaitingForHost;
            transaction.identity = Identity::of(response.data());
            transaction.wait = Wait {
                until_ms: now_ms.saturating_add(self.config.host_wait_ms),
                first_byte_by_ms: None,
            };
        }
        self.last_reads.push(response.data());
        out.push(Output::Event(Event::CardData {
            response_data: response.into_data(),
            entry,
            needs_host_answer,
        }));
        if !needs_host_answer {
            self.show(now_ms, Message::Processing, Beep::None, out);
        }
    }

    fn end(&mut self, now_ms: u64, reason: EndReason, out: &mut Vec<Output>) {
        if let EndReason::ReaderFault(fault) = reason {
            // A reader that answers nonsense may still be polling: setup begins with a ping,
            // which ends that.
            self.restart(now_ms, fault, out);
            return;
        }
        out.push(Output::Event(Event::Ended(reason)));
        let message = match reason {
            EndReason::Timeout | EndReason::Canceled => Message::NoCard,
            _ => Message::Failed,
        };
        self.show(now_ms, message, Beep::None, out);
    }
}

/// A read that carries an amount which was not asked for is a late answer to an earlier command.
fn is_of_another_amount(start: &Start, response: &Response) -> bool {
    let Ok(read) = CardRead::parse(response.data()) else {
        return false;
    };
    let Some(amount) = read.find(TAG_AMOUNT, Form::Clear) else {
        return false;
    };
    command::amount_digits(start.amount).is_ok_and(|digits| digits != amount)
}

/// Whether the response speaks of a card in the slot, which may stay there.
fn is_about_a_card_in_the_slot(verdict: Verdict, response: &Response) -> bool {
    let is_about_a_card = !matches!(
        verdict,
        Verdict::Ignore
            | Verdict::Pending
            | Verdict::SendAgain
            | Verdict::CardDetected
            | Verdict::End(EndReason::Timeout)
    );
    let is_contact = |read: CardRead<'_>| read.attribution.entry() == Interface::Contact;
    is_about_a_card && CardRead::parse(response.data()).is_ok_and(is_contact)
}

pub(super) fn progress(shown: Progress, out: &mut Vec<Output>) {
    out.push(Output::Event(Event::Progress(shown)));
}
