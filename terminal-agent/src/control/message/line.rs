//! What a client says: lines, and what they want of the agent. An error never quotes what may be a
//! card number.

use protocol::id::{PosTransactionId, PrintJobId, RequestId, TransactionId};
use protocol::link::{PosKind, TillRequest, TillStart};
use protocol::money::Money;
use protocol::receipt::Copy;
use serde::{Deserialize, Serialize};

use super::LINE_BYTES_MAX;
use crate::machine::agent::{ControlCommand, TipKey};

/// The longest reference, as in the HTTP API.
const REFERENCE_BYTES_MAX: usize = 128;

/// Digits of a line that an error may quote; an account number has at least twelve.
const QUOTED_DIGITS_MAX: usize = 8;

/// A line from a client. Unknown fields and commands are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// Starts a sale or an authorization.
    Sale {
        /// Repeated in the answer.
        id: u64,
        /// Without tip.
        amount: Money,
        /// Sale, if absent.
        #[serde(default = "sale")]
        kind: PosKind,
        /// The shop's own reference.
        #[serde(default)]
        reference: Option<String>,
        /// Whether the payer is asked for a tip.
        #[serde(default)]
        tip_prompt: bool,
        /// Makes a repeated line the same request; made by the agent, if absent.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// Asks the engine to cancel.
    Cancel {
        /// Repeated in the answer.
        id: u64,
        /// What is running here, if absent.
        #[serde(default)]
        pos_id: Option<PosTransactionId>,
        /// Whether an approval that won the race is undone.
        #[serde(default)]
        void_if_too_late: bool,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// The cancel key: stops the prompt or the reader here and now.
    CancelKey {
        /// Repeated in the answer.
        id: u64,
    },
    /// A key of the tip prompt.
    ChooseTip {
        /// Repeated in the answer.
        id: u64,
        /// Which.
        choice: Choice,
    },
    /// Prints a receipt.
    Print {
        /// Repeated in the answer.
        id: u64,
        /// Of what.
        pos_id: PosTransactionId,
        /// Which copy.
        copy: Copy,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// Changes a tip.
    Tip {
        /// Repeated in the answer.
        id: u64,
        /// Of what.
        pos_id: PosTransactionId,
        /// The new tip, replacing the old one.
        tip: Money,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// Undoes an approved transaction.
    Void {
        /// Repeated in the answer.
        id: u64,
        /// Which.
        transaction_id: TransactionId,
        /// As in `sale`.
        #[serde(default)]
        request_id: Option<RequestId>,
    },
    /// How the till is.
    Status {
        /// Repeated in the answer.
        id: u64,
    },
    /// What ended at this till last.
    Recent {
        /// Repeated in the answer.
        id: u64,
    },
    /// Prints a test page.
    PrintTest {
        /// Repeated in the answer.
        id: u64,
        /// Whether the drawer opens first.
        #[serde(default)]
        open_drawer: bool,
    },
    /// From now on, events come on this connection.
    Watch {
        /// Repeated in the answer.
        id: u64,
    },
}

/// A key of the tip prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// An option, counted from 0.
    Option(usize),
    /// A typed amount.
    Amount(Money),
    /// No tip.
    None,
}

const fn sale() -> PosKind {
    PosKind::Sale
}

/// What a line wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Something of the agent machine.
    Command(ControlCommand),
    /// Events.
    Watch,
}

/// Why a line is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadLine {
    /// What is wrong with it.
    pub message: String,
}

/// Reads one line, without its end.
///
/// # Errors
/// [`BadLine`].
pub fn parse(line: &[u8]) -> Result<Line, BadLine> {
    let bad = |message: String| BadLine { message };
    if line.len() > LINE_BYTES_MAX {
        return Err(bad("line is longer than 64 KiB".to_owned()));
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| bad(without_numbers(&error)))?;
    match &line {
        Line::Sale {
            reference: Some(reference),
            ..
        } if reference.is_empty() || reference.len() > REFERENCE_BYTES_MAX => {
            Err(bad("reference must be 1 to 128 bytes".to_owned()))
        }
        _ => Ok(line),
    }
}

/// What is wrong with a line. The reader's text quotes names and values, and somebody may have typed
/// a card number into any of them, in groups too.
fn without_numbers(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = text.rfind(" at line ").unwrap_or(text.len());
    let (what, place) = text.split_at_checked(place).unwrap_or((&text, ""));
    let hidden = |c: char| if c.is_ascii_digit() { '*' } else { c };
    let digits = what.chars().filter(char::is_ascii_digit).count();
    if digits <= QUOTED_DIGITS_MAX {
        return text;
    }
    what.chars().map(hidden).chain(place.chars()).collect()
}

impl Line {
    /// The client's number for it.
    pub const fn id(&self) -> u64 {
        match self {
            Self::Sale { id, .. }
            | Self::Cancel { id, .. }
            | Self::CancelKey { id }
            | Self::ChooseTip { id, .. }
            | Self::Print { id, .. }
            | Self::Tip { id, .. }
            | Self::Void { id, .. }
            | Self::Status { id }
            | Self::Recent { id }
            | Self::PrintTest { id, .. }
            | Self::Watch { id } => *id,
        }
    }

    /// What it wants; `fresh` names the request if the line does not.
    pub fn wanted(self, fresh: RequestId) -> Wanted {
        let request = |request_id: Option<RequestId>, request| ControlCommand::Request {
            request_id: request_id.unwrap_or(fresh),
            request,
        };
        Wanted::Command(match self {
            Self::Sale {
                amount,
                kind,
                reference,
                tip_prompt,
                request_id,
                ..
            } => request(
                request_id,
                TillRequest::Start(TillStart {
                    kind,
                    amount,
                    reference,
                    tip_prompt,
                }),
            ),
            Self::Cancel {
                pos_id: Some(pos_id),
                void_if_too_late,
                request_id,
                ..
            } => request(
                request_id,
                TillRequest::Cancel {
                    pos_id,
                    void_if_too_late,
                },
            ),
            Self::Cancel {
                pos_id: None,
                void_if_too_late,
                request_id,
                ..
            } => ControlCommand::CancelCurrent {
                request_id: request_id.unwrap_or(fresh),
                void_if_too_late,
            },
            Self::CancelKey { .. } => ControlCommand::CancelKey,
            Self::ChooseTip { choice, .. } => ControlCommand::ChooseTip(match choice {
                Choice::Option(index) => TipKey::Option(index),
                Choice::Amount(amount) => TipKey::Amount(amount),
                Choice::None => TipKey::None,
            }),
            Self::Print {
                pos_id,
                copy,
                request_id,
                ..
            } => request(request_id, TillRequest::Print { pos_id, copy }),
            Self::Tip {
                pos_id,
                tip,
                request_id,
                ..
            } => request(request_id, TillRequest::TipAdjust { pos_id, tip }),
            Self::Void {
                transaction_id,
                request_id,
                ..
            } => request(request_id, TillRequest::Void { transaction_id }),
            Self::Status { .. } => ControlCommand::Status,
            Self::Recent { .. } => ControlCommand::Recent,
            Self::PrintTest { open_drawer, .. } => ControlCommand::PrintTest {
                // Fresh in the same sense: nobody else has this number.
                job_id: PrintJobId::from_uuid(fresh.uuid()),
                opens_drawer: open_drawer,
            },
            Self::Watch { .. } => return Wanted::Watch,
        })
    }
}
