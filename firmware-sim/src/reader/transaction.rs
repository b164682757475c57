//! A card transaction as the reader runs it: 02-40, and 60-10, 60-11, 60-12.
//!
//! Owns which phase follows which and which result a card brings about. It never builds the data
//! of a response (`answer` does), never decides what a card leads to (`ending` does) and never
//! damages a frame (`fault` does).
//!
//! ```text
//! phase           input                       → phase
//! idle            02-40, 60-10                → polling
//! polling         card on an allowed way      → reading
//! polling         time is up                  → idle        (08, or 60: result 0008)
//! polling         05-01 or any other command  → idle
//! reading         done: contactless, stripe   → idle        (23, 00 or 0A)
//! reading         done: chip                  → chip ready  (result 0010) or idle (failed)
//! reading, authenticating: question to the host → asking → as if it had not been asked
//! chip ready      60-11                       → authenticating
//! chip ready      time is up                  → idle
//! authenticating  done                        → wait host   (result 0004) or idle
//! wait host       60-12                       → completing
//! wait host       time is up                  → idle
//! completing      done                        → idle        (result 0002 or 0003)
//! reading, authenticating, completing: card removed → idle
//! every phase     05-01                       → idle        (05 00)
//! every phase     power lost                  → boot → idle
//! ```

use protocol::reader::command::{self, Interfaces};
use protocol::reader::frame::{Command, Response};
use protocol::reader::outcome::{ContactlessError, Status, TransactionResult};
use protocol::reader::tlv::{self, Form, Tlvs};

use super::prompt::Asked;
use super::quirks::StrayAnswer;
use super::{Phase, Reader, answer};
use crate::cards::{Card, Way};

/// When the host does not say how long a chip may wait for it; arbitrary.
const NEXT_COMMAND_MS: u64 = 60_000;

/// A card on one of the interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presentation {
    /// The card.
    pub card: &'static Card,
    /// How it is presented.
    pub way: Way,
}

/// What the host asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    /// The command group that has to be answered.
    pub group: u8,
    pub amount: [u8; 6],
    pub other: [u8; 6],
    pub currency: [u8; 2],
    pub kind: u8,
    pub interfaces: Interfaces,
    pub next_command_ms: u64,
}

/// What the host reported about the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostAnswer {
    Answered { response_code: [u8; 2] },
    Unreachable,
}

/// Where the reader stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Boot,
    Idle,
    Polling(Transaction),
    Reading(Transaction, Presentation),
    /// The host was asked for a choice.
    Asking {
        transaction: Transaction,
        card: &'static Card,
        asked: Asked,
    },
    ChipReady(Transaction),
    Authenticating {
        transaction: Transaction,
        force_online: bool,
    },
    WaitHost(Transaction),
    Completing {
        transaction: Transaction,
        answer: HostAnswer,
    },
}

impl State {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Boot => Phase::Boot,
            Self::Idle => Phase::Idle,
            Self::Polling(transaction) if transaction.group == command::CONTACT => Phase::Inserting,
            Self::Polling(_) => Phase::Polling,
            Self::Reading(..) => Phase::Reading,
            Self::Asking { .. } => Phase::Asking,
            Self::ChipReady(_) => Phase::ChipReady,
            Self::Authenticating { .. } => Phase::Authenticating,
            Self::WaitHost(_) => Phase::WaitHost,
            Self::Completing { .. } => Phase::Completing,
        }
    }
}

impl Reader {
    /// 02-40.
    pub(super) fn activate(&mut self, now_ms: u64, command: &Command) {
        let parsed = match command.data() {
            [timeout_s, tlvs @ ..] => parse(command.cmd(), tlvs).map(|found| (*timeout_s, found)),
            [] => Err(Status::MalformedData),
        };
        match parsed {
            Ok((timeout_s, transaction)) => {
                self.poll(now_ms, transaction, u64::from(timeout_s) * 1_000);
            }
            Err(status) => self.reply_status(now_ms, command.cmd(), status),
        }
    }

    /// 60-10.
    pub(super) fn contact_start(&mut self, now_ms: u64, command: &Command) {
        let [_, seat_high, seat_low, next_high, next_low, tlvs @ ..] = command.data() else {
            self.reply_status(now_ms, command.cmd(), Status::MalformedData);
            return;
        };
        match parse(command.cmd(), tlvs) {
            Ok(mut transaction) => {
                transaction.interfaces = Interfaces {
                    contactless: false,
                    ..Interfaces::ALL
                };
                transaction.next_command_ms = seconds([*next_high, *next_low]);
                self.reply_status(now_ms, command.cmd(), Status::Pending);
                self.poll(now_ms, transaction, seconds([*seat_high, *seat_low]));
            }
            Err(status) => self.reply_status(now_ms, command.cmd(), status),
        }
    }

    /// 60-11.
    pub(super) fn contact_authenticate(&mut self, now_ms: u64, command: &Command) {
        let [force_online, _, _, ..] = *command.data() else {
            self.reply_status(now_ms, command.cmd(), Status::MalformedData);
            return;
        };
        let State::ChipReady(transaction) = &self.state else {
            self.reply_status(now_ms, command.cmd(), Status::NotAllowed);
            return;
        };
        let state = State::Authenticating {
            transaction: transaction.clone(),
            force_online: force_online != 0,
        };
        self.reply_status(now_ms, command.cmd(), Status::Pending);
        self.enter(state, now_ms + self.config.timing.authenticate_ms);
    }

    /// 60-12.
    pub(super) fn contact_apply_host_response(&mut self, now_ms: u64, command: &Command) {
        let State::WaitHost(transaction) = &self.state else {
            self.reply_status(now_ms, command.cmd(), Status::NotAllowed);
            return;
        };
        let answer = match command.data() {
            [0x00, ..] if self.config.quirks.understands_unreachable => {
                Some(HostAnswer::Unreachable)
            }
            [0x01, tlvs @ ..] => Tlvs::new(tlvs)
                .all(|tlv| tlv.is_ok())
                .then(|| {
                    tlv::find(
                        tlvs,
                        protocol::reader::outcome::TAG_RESPONSE_CODE,
                        Form::Clear,
                    )
                })
                .flatten()
                .and_then(|value| value.try_into().ok())
                .map(|response_code| HostAnswer::Answered { response_code }),
            _ => None,
        };
        let Some(answer) = answer else {
            self.reply_status(now_ms, command.cmd(), Status::MalformedData);
            return;
        };
        let state = State::Completing {
            transaction: transaction.clone(),
            answer,
        };
        self.reply_status(now_ms, command.cmd(), Status::Pending);
        self.enter(state, now_ms + self.config.timing.complete_ms);
    }

    /// 05-01.
    pub(super) fn cancel(&mut self, now_ms: u64) {
        let group = match self.state.phase() {
            Phase::Boot | Phase::Idle => None,
            Phase::Polling | Phase::Inserting | Phase::Reading => match &self.state {
                State::Polling(transaction) | State::Reading(transaction, _) => {
                    Some(transaction.group)
                }
                _ => None,
            },
            _ => Some(command::CONTACT),
        };
        self.enter_idle();
        let stray = group.map(|group| {
            let scheme = self.config.keys.scheme();
            let data = answer::contact_result(TransactionResult::Canceled, scheme);
            response(group, Status::Ok, data)
        });
        let stray_first = self.config.quirks.stray_answer == StrayAnswer::Before;
        let stray_last = self.config.quirks.stray_answer == StrayAnswer::After;
        if let (true, Some(stray)) = (stray_first, &stray) {
            self.line.send(now_ms, stray, false);
        }
        self.reply_status(now_ms, command::CANCEL, Status::Ok);
        if let (true, Some(stray)) = (stray_last, &stray) {
            self.line.send(now_ms, stray, false);
        }
    }

    /// Any other command ends the wait for a card.
    pub(super) fn end_polling(&mut self) {
        if matches!(self.state, State::Polling(_) | State::Reading(..)) {
            self.enter_idle();
        }
    }

    /// A card comes.
    pub(super) fn present(&mut self, now_ms: u64, presentation: Presentation) {
        if !presentation.card.ways.contains(&presentation.way) {
            return;
        }
        if presentation.way == Way::Insert {
            self.slot = Some(presentation.card);
        }
        let State::Polling(transaction) = &self.state else {
            self.read_unasked(now_ms, presentation);
            return;
        };
        let allowed = match presentation.way {
            Way::Tap => transaction.interfaces.contactless,
            Way::Insert => transaction.interfaces.contact,
            Way::Swipe => transaction.interfaces.swipe,
        };
        let is_refused_quietly = presentation.way == Way::Swipe
            && transaction.group == command::CONTACT
            && self.must_use_chip(presentation.card);
        if !allowed || is_refused_quietly {
            return;
        }
        let transaction = transaction.clone();
        if transaction.group == command::ACTIVATE && self.config.quirks.interface_events {
            const CARD_DETECTED: u8 = 0x01;
            let event = response(
                command::ACTIVATE,
                Status::UserInterfaceEvent,
                vec![CARD_DETECTED],
            );
            self.line.send(now_ms, &event, false);
        }
        let state = State::Reading(transaction, presentation);
        self.enter(state, now_ms + self.config.timing.read_ms);
    }

    /// The card goes: out of the slot, or out of the field while it is read.
    pub(super) fn remove(&mut self, now_ms: u64) {
        self.slot = None;
        match self.state.clone() {
            State::Reading(transaction, presentation) => match presentation.way {
                Way::Swipe => {}
                Way::Tap => self.finish_contactless_error(now_ms, ContactlessError::CardRemoved),
                Way::Insert => self.finish_pulled(now_ms, transaction.group),
            },
            State::Asking {
                transaction, asked, ..
            } => {
                let group = asked.group(&transaction);
                self.finish_pulled(now_ms, group);
            }
            State::Authenticating { .. } | State::Completing { .. } => {
                self.finish_pulled(now_ms, command::CONTACT);
            }
            State::Boot
            | State::Idle
            | State::Polling(_)
            | State::ChipReady(_)
            | State::WaitHost(_) => {}
        }
    }

    /// The phase's time is up.
    pub(super) fn expire(&mut self, now_ms: u64) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Boot => self.announce_boot(now_ms),
            State::Idle => self.enter_idle(),
            State::Polling(transaction) => self.finish_timeout(now_ms, &transaction),
            State::ChipReady(_) | State::WaitHost(_) => self.enter_idle(),
            State::Asking {
                transaction, asked, ..
            } => self.finish_unanswered(now_ms, &transaction, asked),
            State::Reading(transaction, presentation) => match presentation.way {
                Way::Tap => self.finish_contactless(now_ms, &transaction, presentation.card),
                Way::Insert => self.finish_start(now_ms, transaction, presentation.card),
                Way::Swipe => self.finish_swipe(now_ms, &transaction, presentation.card),
            },
            State::Authenticating {
                transaction,
                force_online,
            } => self.finish_authentication(now_ms, transaction, force_online),
            State::Completing {
                transaction,
                answer,
            } => self.finish_completion(now_ms, &transaction, answer),
        }
    }

    fn poll(&mut self, now_ms: u64, transaction: Transaction, timeout_ms: u64) {
        if !self.config.encryption_on {
            // Without keys this reader gives no card data out at all.
            self.reply_status(now_ms, transaction.group, Status::NotAllowed);
            return;
        }
        if self.reads_unasked {
            // Commands that read a card need poll on demand.
            self.reply_status(now_ms, transaction.group, Status::NotAllowed);
            return;
        }
        self.last_result.clear();
        self.is_answered = false;
        self.enter(State::Polling(transaction), now_ms + timeout_ms);
        if let Some(card) = self.slot {
            let way = Way::Insert;
            self.present(now_ms, Presentation { card, way });
        }
    }
}

pub(super) fn response(group: u8, status: Status, data: Vec<u8>) -> Response {
    Response::new(group, status.code(), data)
        .unwrap_or_else(|_| Response::bare(group, Status::BufferOverflow.code()))
}

fn parse(group: u8, tlvs: &[u8]) -> Result<Transaction, Status> {
    if Tlvs::new(tlvs).any(|tlv| tlv.is_err()) {
        return Err(Status::MalformedData);
    }
    let interfaces = match value::<1>(tlvs, 0x00DF_EF37)? {
        Some([byte]) => Interfaces::from_byte(byte),
        None => Interfaces::ALL,
    };
    let next_command_ms = match value::<3>(tlvs, 0x00DF_EF3C)? {
        Some([_, high, low]) => seconds([high, low]),
        None => NEXT_COMMAND_MS,
    };
    let kind = value::<1>(tlvs, 0x9C)?.unwrap_or([0]);
    Ok(Transaction {
        group,
        amount: value(tlvs, 0x9F02)?.ok_or(Status::WrongParameter)?,
        other: value(tlvs, 0x9F03)?.unwrap_or_default(),
        currency: value(tlvs, 0x5F2A)?.unwrap_or([0x08, 0x40]),
        kind: kind[0],
        interfaces,
        next_command_ms,
    })
}

fn value<const N: usize>(tlvs: &[u8], tag: u32) -> Result<Option<[u8; N]>, Status> {
    tlv::find(tlvs, tag, Form::Clear)
        .map(|value| value.try_into().map_err(|_| Status::WrongParameter))
        .transpose()
}

fn seconds(bytes: [u8; 2]) -> u64 {
    u64::from(u16::from_be_bytes(bytes)) * 1_000
}
