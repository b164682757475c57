//! The initialisation sequence: after the port opens, after a boot, after a fault.
//!
//! Owns the order of the steps and which refusals are fatal. A reader that does not encrypt never
//! becomes ready.

use protocol::reader::command::{self, Beep, Message};
use protocol::reader::frame::{Command, Response};
use protocol::reader::outcome::Status;

use super::{
    Event, NotReadyReason, Output, ReaderConversation, ReaderConversationConfig, SENDINGS_MAX,
    State, last_result,
};

/// One command of the sequence, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Ping,
    /// What the chip has said that nobody heard; asked before anything that could erase it.
    LastResult,
    /// Ends what a former run of this program has left behind: a chip that waits for the acquirer
    /// would keep the reader for a minute and a half.
    Cancel,
    Firmware,
    Serial,
    BurstOff,
    Fallback,
    PollOnDemand,
    Encryption,
    Welcome,
}

impl Step {
    fn command(self, config: &ReaderConversationConfig) -> Command {
        match self {
            Self::Ping => command::ping(),
            Self::LastResult => last_result::question(),
            Self::Cancel => command::cancel(),
            Self::Firmware => command::firmware_version(),
            Self::Serial => command::serial_number(),
            Self::BurstOff => command::burst_mode_off(),
            Self::Fallback => command::fallback_rules(config.fallback),
            Self::PollOnDemand => command::poll_on_demand(),
            Self::Encryption => command::encryption_status(),
            Self::Welcome => command::show(Message::Welcome, Beep::None),
        }
    }

    pub(super) const fn group(self) -> u8 {
        match self {
            Self::Ping => command::PING,
            Self::LastResult => command::CONTACT,
            Self::Cancel => command::CANCEL,
            Self::Firmware => command::FIRMWARE,
            Self::Serial => command::SERIAL_NUMBER,
            Self::BurstOff | Self::Fallback => command::CONFIGURATION,
            Self::PollOnDemand | Self::Welcome => command::INTERFACE,
            Self::Encryption => command::ENCRYPTION,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Ping | Self::LastResult => Some(Self::Cancel),
            Self::Cancel => Some(Self::Firmware),
            Self::Firmware => Some(Self::Serial),
            Self::Serial => Some(Self::BurstOff),
            Self::BurstOff => Some(Self::Fallback),
            Self::Fallback => Some(Self::PollOnDemand),
            Self::PollOnDemand => Some(Self::Encryption),
            Self::Encryption => Some(Self::Welcome),
            Self::Welcome => None,
        }
    }
}

impl ReaderConversation {
    pub(super) fn begin_setup(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.serial.clear();
        self.firmware.clear();
        self.send_step(now_ms, Step::Ping, 1, out);
    }

    pub(super) fn setup_answered(
        &mut self,
        now_ms: u64,
        response: &Response,
        out: &mut Vec<Output>,
    ) {
        let State::Setup { step, sendings, .. } = self.state else {
            return;
        };
        let status = Status::from(response.status());
        match (step, status) {
            // An event of the display is no answer.
            (_, Status::UserInterfaceEvent) => return,
            (_, Status::CrcError) => {
                self.repeat_step(now_ms, step, sendings, out);
                return;
            }
            (Step::Ping, _) if self.owed.is_some() => {
                self.send_step(now_ms, Step::LastResult, 1, out);
                return;
            }
            (Step::LastResult, _) if self.owed.is_some() => {
                self.last_result_answered(now_ms, response, out);
                return;
            }
            (Step::Firmware, Status::Ok) => self.firmware = text(response.data()),
            (Step::Serial, Status::Ok) => self.serial = text(response.data()),
            (Step::PollOnDemand, status) if status != Status::Ok => {
                self.give_up(now_ms, NotReadyReason::SetupRefused, out);
                return;
            }
            (Step::Encryption, status) if !command::is_encryption_on(status, response.data()) => {
                self.give_up(now_ms, NotReadyReason::EncryptionOff, out);
                return;
            }
            // The rest may be refused: a reader without a display, without a burst mode, or
            // whose serial number was never set.
            _ => {}
        }
        match step.next() {
            Some(next) => self.send_step(now_ms, next, 1, out),
            None => {
                self.state = State::Ready;
                out.push(Output::Event(Event::Ready {
                    serial: self.serial.clone(),
                    firmware: self.firmware.clone(),
                    encryption_on: true,
                }));
            }
        }
    }

    pub(super) fn setup_unanswered(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if let State::Setup { step, sendings, .. } = self.state {
            self.repeat_step(now_ms, step, sendings, out);
        }
    }

    fn repeat_step(&mut self, now_ms: u64, step: Step, sendings: u8, out: &mut Vec<Output>) {
        if sendings < SENDINGS_MAX {
            self.send_step(now_ms, step, sendings + 1, out);
        } else {
            self.give_up(now_ms, NotReadyReason::NoAnswer, out);
        }
    }

    pub(super) fn send_step(
        &mut self,
        now_ms: u64,
        step: Step,
        sendings: u8,
        out: &mut Vec<Output>,
    ) {
        self.state = State::Setup {
            step,
            sendings,
            wait: self.immediate_wait(now_ms),
        };
        out.push(Output::Write(step.command(&self.config).encode()));
    }

    fn give_up(&mut self, now_ms: u64, reason: NotReadyReason, out: &mut Vec<Output>) {
        self.state = State::Unready {
            retry_at_ms: now_ms.saturating_add(self.config.unready_pause_ms),
        };
        self.not_ready(reason, out);
    }
}

/// Printable text of a device's answer.
fn text(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(*byte))
        .filter(|character| character.is_ascii_graphic() || *character == ' ')
        .collect::<String>()
        .trim()
        .to_owned()
}
