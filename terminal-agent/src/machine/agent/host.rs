//! The acquirer's answer, on its way to the chip or to the completion. An answer to another attempt
//! changes nothing.

use protocol::link::{AttemptEnd, ChipOutcome, DigestState, HostAnswer, HostDecision};

use super::work::Phase;
use super::{Agent, Output, ReaderRequest};
use crate::machine::screen::Screen;

/// EMV tag 8A: approved online. EMV Book 4, annex A6; ISO 8583 response code 00.
const ARC_APPROVED: [u8; 2] = *b"00";
/// EMV tag 8A: do not honour; the decline that every chip knows. ISO 8583 response code 05.
const ARC_DECLINED: [u8; 2] = *b"05";

impl Agent {
    pub(super) fn host_answer(&mut self, now_ms: u64, answer: HostAnswer) {
        let pos_id = answer.pos_id;
        let Some(work) = self.works.get_mut(&pos_id) else {
            return;
        };
        match work.phase {
            Phase::Sent {
                attempt_id,
                chip_waits,
            } if attempt_id == answer.attempt_id => {
                work.advice = answer.advice;
                if !chip_waits {
                    let chip = match answer.decision {
                        HostDecision::Approved => ChipOutcome::Agreed,
                        HostDecision::Declined | HostDecision::Unreachable => ChipOutcome::Refused,
                    };
                    self.complete(now_ms, pos_id, attempt_id, chip, Vec::new());
                    return;
                }
                work.phase = Phase::Chip {
                    attempt_id,
                    decision: answer.decision,
                };
                self.emit(Output::Reader(chip_answer(answer)));
                self.show(Screen::Finishing { pos_id });
            }
            Phase::Waiting | Phase::Agreed => self.late_host_answer(now_ms, &answer),
            Phase::Tip { .. }
            | Phase::Starting { .. }
            | Phase::Reading { .. }
            | Phase::Sent { .. }
            | Phase::Chip { .. } => {}
        }
    }

    /// An answer to an attempt whose card side is over: says how, or that it was lost.
    fn late_host_answer(&mut self, now_ms: u64, answer: &HostAnswer) {
        let Some(digest) = self.journal.digest(answer.pos_id) else {
            return;
        };
        if digest.attempt_id != Some(answer.attempt_id) {
            return;
        }
        if digest.state == DigestState::Lost {
            let (pos_id, attempt_id) = (answer.pos_id, answer.attempt_id);
            let cause = AttemptEnd::AgentRestarted;
            self.abort(now_ms, pos_id, attempt_id, cause, Vec::new());
        } else {
            self.restate(now_ms, answer.pos_id);
        }
    }
}

fn chip_answer(answer: HostAnswer) -> ReaderRequest {
    match answer.decision {
        HostDecision::Approved => ReaderRequest::HostAnswer {
            approved: true,
            arc: ARC_APPROVED,
            issuer_data: answer.issuer_data,
        },
        HostDecision::Declined => ReaderRequest::HostAnswer {
            approved: false,
            arc: ARC_DECLINED,
            issuer_data: answer.issuer_data,
        },
        HostDecision::Unreachable => ReaderRequest::HostUnreachable,
    }
}
