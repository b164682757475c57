//! A chip after it was powered: its decision, the issuer's answer, its last word.
//!
//! Owns what the chip is told. It never tells it an approval that the issuer did not give.

use protocol::reader::command::{self, Beep, Message};
use protocol::reader::frame::{Command, Response};
use protocol::reader::tlv::Tlvs;

use super::transaction::{Phase, progress};
use super::{Event, Output, Progress, ReaderConversation, State, Wait};

/// Issuer authentication data and scripts.
const ISSUER_TAGS: [u32; 3] = [0x91, 0x71, 0x72];

/// The issuer's answer.
pub(super) struct HostAnswer {
    pub approved: bool,
    pub response_code: [u8; 2],
    pub issuer_data: Vec<u8>,
}

/// Do not honour (ISO 8583): the decline when none is configured.
const DECLINE_CODE: [u8; 2] = *b"05";

impl ReaderConversation {
    pub(super) fn host_answered(
        &mut self,
        now_ms: u64,
        answer: Option<HostAnswer>,
        out: &mut Vec<Output>,
    ) {
        match &self.state {
            State::Transaction(transaction) if transaction.phase == Phase::WaitingForHost => {}
            State::Ready | State::Housekeeping { .. } => {
                let approved = answer.is_some_and(|answer| answer.approved);
                self.keep_house_also(now_ms, outcome_message(approved), out);
                return;
            }
            _ => return,
        }
        let (host_approved, command) = self.host_response(answer);
        self.send_chip_step(now_ms, Phase::Completing { host_approved }, command, out);
    }

    /// 60-12 with a code that the reader's kernel knows; what does not fit is told to the chip as
    /// "unreachable", so that it declines.
    fn host_response(&self, answer: Option<HostAnswer>) -> (bool, Command) {
        let unreachable = || self.unreachable();
        let Some(answer) = answer else {
            return (false, unreachable());
        };
        let known = match answer.approved {
            true => &self.config.approval_codes,
            false => &self.config.decline_codes,
        };
        let code = if known.contains(&answer.response_code) {
            Some(&answer.response_code)
        } else {
            known.first()
        };
        let is_issuer_data = Tlvs::new(&answer.issuer_data)
            .all(|tlv| tlv.is_ok_and(|tlv| ISSUER_TAGS.contains(&tlv.tag)));
        let built = code.filter(|_| is_issuer_data).and_then(|code| {
            command::contact_apply_host_response(command::HostAnswer::Answered {
                response_code: *code,
                issuer_tlvs: &answer.issuer_data,
            })
            .ok()
        });
        match built {
            Some(command) => (answer.approved, command),
            None => (false, unreachable()),
        }
    }

    /// The chip is to decline, because nobody could be asked.
    fn unreachable(&self) -> Command {
        if self.config.switches.declines_when_unreachable {
            self.decline_command()
        } else {
            command::contact_host_unreachable()
        }
    }

    fn decline_command(&self) -> Command {
        let code = self.config.decline_codes.first().copied();
        command::contact_apply_host_response(command::HostAnswer::Answered {
            response_code: code.unwrap_or(DECLINE_CODE),
            issuer_tlvs: &[],
        })
        .unwrap_or_else(|_| command::contact_host_unreachable())
    }

    /// A reader that does not understand "unreachable" is told a decline; false when that was not
    /// what it has refused.
    pub(super) fn decline_instead(&mut self, now_ms: u64, out: &mut Vec<Output>) -> bool {
        let State::Transaction(transaction) = &self.state else {
            return false;
        };
        let phase = Phase::Completing {
            host_approved: false,
        };
        let decline = self.decline_command();
        let was_declined = transaction.outstanding == decline;
        if transaction.phase != phase || was_declined {
            return false;
        }
        self.send_chip_step(now_ms, phase, decline, out);
        true
    }

    pub(super) fn send_chip_step(
        &mut self,
        now_ms: u64,
        phase: Phase,
        command: Command,
        out: &mut Vec<Output>,
    ) {
        let longest_ms = match phase {
            Phase::Completing { .. } => self.config.completion_ms,
            _ => u64::from(self.config.chip_step_s)
                .saturating_mul(1_000)
                .saturating_add(self.config.transaction_grace_ms),
        };
        let wait = Wait {
            until_ms: now_ms.saturating_add(longest_ms),
            first_byte_by_ms: Some(now_ms.saturating_add(self.config.first_byte_ms)),
        };
        if let State::Transaction(transaction) = &mut self.state {
            out.push(Output::Write(command.encode()));
            transaction.phase = phase;
            transaction.wait = wait;
            transaction.outstanding = command;
            transaction.sendings = 1;
        }
    }

    pub(super) fn complete(
        &mut self,
        now_ms: u64,
        chip_approved: bool,
        response: Response,
        out: &mut Vec<Output>,
    ) {
        let State::Transaction(transaction) = &self.state else {
            return;
        };
        let host_approved = transaction.phase
            == Phase::Completing {
                host_approved: true,
            };
        let approved = host_approved && chip_approved;
        out.push(Output::Event(Event::ChipFinal {
            approved,
            data: response.into_data(),
        }));
        progress(Progress::RemoveCard, out);
        let commands = [command::contact_power_off(), outcome_message(approved)];
        self.begin_housekeeping(now_ms, commands, out);
    }
}

fn outcome_message(approved: bool) -> Command {
    if approved {
        command::show(Message::ThankYou, Beep::Single)
    } else {
        command::show(Message::Failed, Beep::Double)
    }
}
