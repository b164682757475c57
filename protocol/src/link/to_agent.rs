//! What the engine tells an agent.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AttemptId, FaultId, PosTransactionId, PrintJobId, RequestId, TransactionId};
use crate::money::Money;
use crate::receipt::Receipt;

use super::configuration::Configuration;
use super::handshake::is_false;
use super::{PosKind, PosStatus};

/// A message to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    /// Proposes a POS transaction. The agent answers `Accept` or `Reject` and touches nothing.
    Offer(Offer),
    /// Go: asks the payer for a tip. Answered by `TipChosen` or `AttemptEnded`.
    SelectTip {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The sale without tip.
        amount: Money,
        /// What to offer.
        prompt: TipPrompt,
    },
    /// Go: reads a card. Must come within `GO_WINDOW_MS` of the agent's own last word on it.
    ReadCard(Grant),
    /// The acquirer's answer to the card data of an attempt.
    HostAnswer(HostAnswer),
    /// Stops whatever is going on for this POS transaction; answered by `AttemptEnded`.
    Stop {
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// The card data or completion named an attempt that is expired, canceled or unknown.
    AttemptClosed {
        /// The POS transaction.
        pos_id: PosTransactionId,
        /// The attempt.
        attempt_id: AttemptId,
    },
    /// The end of a POS transaction. Only now may the till say APPROVED.
    Concluded(Concluded),
    /// Prints a receipt. Sent again with the same id until a report of its end has arrived.
    Print(Box<PrintCommand>),
    /// The answer to a request made at the till.
    Answer {
        /// The request.
        request_id: RequestId,
        /// What came of it.
        body: AnswerBody,
    },
    /// Answered by `Pong`.
    Ping,
    /// Answers `Ping`.
    Pong,
    /// Does something to the devices, which are simulated. Only for an agent whose hello says
    /// `has_simulator`. Answered by `Simulated`; what comes behind it is read after it was done.
    Simulate(SimulatorCommand),
    /// Looks at the till anew and answers by `StatusReported`. The reader is not spoken to while a
    /// transaction holds it. Since version 2.
    ReportStatus {
        /// The engine's number for it.
        ask: u64,
    },
    /// Tells the till what to be like. Applied when nothing runs; the next `Status` says which
    /// version is in force. Since version 2.
    Configure(Configuration),
}

impl ToAgent {
    /// The protocol version that the message came with: it goes to no agent that speaks an older
    /// one.
    pub const fn since(&self) -> u16 {
        match self {
            Self::Offer(_)
            | Self::SelectTip { .. }
            | Self::ReadCard(_)
            | Self::HostAnswer(_)
            | Self::Stop { .. }
            | Self::AttemptClosed { .. }
            | Self::Concluded(_)
            | Self::Print(_)
            | Self::Answer { .. }
            | Self::Ping
            | Self::Pong
            | Self::Simulate(_) => 1,
            Self::ReportStatus { .. } | Self::Configure(_) => 2,
        }
    }
}

/// A command for the control socket of the devices' simulator, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatorCommand {
    /// The fault that asks for it.
    pub fault_id: FaultId,
    /// The device.
    pub device: String,
    /// What to do.
    pub command: String,
    /// Parameters: name and value.
    pub arguments: Vec<(String, String)>,
    /// Phases of the reader of which one must be reached first; none for at once.
    pub wait_for: Vec<String>,
}

/// A POS transaction for this terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// Sale or authorization.
    pub kind: PosKind,
    /// The amount without tip.
    pub amount: Money,
    /// The merchant's own reference.
    pub reference: Option<String>,
    /// The request at this till that asked for it, if one did.
    pub request_id: Option<RequestId>,
}

/// Tips to offer before the card is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TipPrompt {
    /// Percentages in basis points, ascending, at most four.
    pub options_bps: Vec<u32>,
    /// Whether the payer may type an amount.
    pub custom: bool,
    /// Seconds after which no tip is taken and the sale goes on.
    pub timeout_s: u32,
}

/// Leave to read one card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// 1 for the first card.
    pub number: u32,
    /// What is charged, tip included; the card signs this amount.
    pub amount: Money,
    /// Milliseconds until the engine will refuse card data of this attempt.
    pub expires_in_ms: u64,
}

/// What the acquirer said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAnswer {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Approved, declined, or no usable answer.
    pub decision: HostDecision,
    /// EMV data for the chip: tags 91, 71, 72 as the issuer sent them.
    #[serde(with = "serde_bytes")]
    pub issuer_data: Vec<u8>,
    /// What to do about a decline, where that is something else than another card; older engines
    /// do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// What cashier and cardholder are to do differently after a decline. A closed list, and it may
/// grow: what a till does not know is [`Advice::Other`], and the till says no more than "declined".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// The stripe of a card with a chip was swiped: the chip is to be used.
    UseChip,
    /// The bank or the way to it is out of order: the same card may do later.
    TryLater,
    /// The cardholder is to call the bank.
    CallBank,
    /// The acquirer cannot use what this reader encrypts: another card does not help.
    CheckReader,
    /// Something that this version has no word for.
    #[serde(other)]
    Other,
}

/// The acquirer's decision as the chip is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostDecision {
    /// Approved: the chip may agree.
    Approved,
    /// Declined: the chip is told the decline code.
    Declined,
    /// No usable answer: the chip is told that the host could not be reached.
    Unreachable,
}

/// How a POS transaction ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concluded {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// Final, or `in_doubt`: the till must not say that anybody has paid.
    pub status: PosStatus,
    /// Why, from the closed list of reasons; `approved` for an approval.
    pub reason: String,
    /// The amount that stands, tip included.
    pub amount: Money,
    /// The tip in it.
    pub tip: Option<Money>,
    /// The transaction that stands, if one does.
    pub transaction_id: Option<TransactionId>,
    /// Sale or authorization; older engines do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PosKind>,
    /// With `declined`: as in the answer to the last card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// A receipt to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintCommand {
    /// The print job.
    pub job_id: PrintJobId,
    /// What to print.
    pub receipt: Arc<Receipt>,
    /// Whether the drawer opens first.
    pub open_drawer: bool,
    /// Print jobs whose reports of their end arrived: the agent may forget them. What a link
    /// reports is thus forgotten with the next job; the rest with the next welcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<PrintJobId>,
    /// Whether the till has said before that it printed this. An agent whose journal has nothing
    /// of that does not print it: its journal is older than the paper.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_begun: bool,
}

/// What came of a till's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerBody {
    /// A POS transaction was started, or already had been by this request.
    Started {
        /// It.
        pos_id: PosTransactionId,
    },
    /// The cancel has a verdict.
    Canceled {
        /// From the closed list of verdicts.
        verdict: String,
    },
    /// The print job exists.
    PrintQueued {
        /// It.
        job_id: PrintJobId,
    },
    /// The tip stands.
    TipAdjusted {
        /// The transaction.
        transaction_id: TransactionId,
        /// The total with the tip.
        total: Money,
    },
    /// The void has been answered.
    Voided {
        /// The transaction.
        transaction_id: TransactionId,
        /// Whether the acquirer has acknowledged it yet.
        is_final: bool,
    },
    /// The engine refuses.
    Refused(RequestRefused),
}

/// Why a till's request was refused: the same codes as in the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRefused {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}
