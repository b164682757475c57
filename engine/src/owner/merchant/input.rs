//! What a merchant's owner is told.
//!
//! Owns the inputs, what makes two of them the same, and how urgent one is; never what follows.

use protocol::id::{JournalId, TerminalId, TransactionId};
use protocol::link::{ConfigurationReport, Digest, PrintReport, ToEngine};

use crate::acquirer::{AcquirerAnswer, Sending};
use crate::owner::quarantine::Identity;
use crate::owner::request::{Ask, Request};
use crate::store::Urgency;

/// What a merchant's owner is told.
#[derive(Debug, Clone)]
pub enum MerchantInput {
    /// A request, to be answered exactly once.
    Ask(Ask),
    /// Something about a terminal's link.
    Terminal {
        /// The terminal.
        terminal_id: TerminalId,
        /// What.
        event: TerminalEvent,
    },
    /// The acquirer answered.
    Acquirer {
        /// The transaction.
        transaction_id: TransactionId,
        /// Which sending it answers.
        sending: Sending,
        /// The answer.
        answer: AcquirerAnswer,
    },
}

impl MerchantInput {
    /// Whether it starts something, or concludes something that is open.
    pub(super) fn urgency(&self) -> Urgency {
        match self {
            Self::Ask(ask) => match ask.request {
                Request::CancelPos(_)
                | Request::Void { .. }
                | Request::Resolve(_)
                | Request::ReadPos { .. } => Urgency::Concluding,
                Request::StartPos(_)
                | Request::PrintReceipt(_)
                | Request::AdjustTip { .. }
                | Request::CreateTerminal { .. }
                | Request::ChangeTerminal(_)
                | Request::SetTerminalSettings { .. }
                | Request::SetTerminalDefaults { .. }
                | Request::CreatePairingCode { .. }
                | Request::CreateTills(_)
                | Request::RevokePairingCode { .. }
                | Request::RedeemPairingCode(_)
                | Request::ApprovePairing(_)
                | Request::Unpair { .. }
                | Request::CreateApiKey { .. }
                | Request::RevokeApiKey { .. }
                | Request::ArmFault(_)
                | Request::DisarmFault { .. }
                | Request::Retire(_) => Urgency::New,
            },
            Self::Terminal { .. } | Self::Acquirer { .. } => Urgency::Concluding,
        }
    }

    /// What makes it the same input when it comes again.
    pub(super) fn identity(&self) -> Identity {
        match self {
            Self::Ask(ask) => match &ask.claim {
                Some(claim) => Identity::of_bytes(&[&claim.key.0, &claim.fingerprint.0]),
                None => Identity::of(&ask.request),
            },
            Self::Terminal { terminal_id, event } => identity_of(*terminal_id, event),
            // The same word on another sending is the same word.
            Self::Acquirer {
                transaction_id,
                answer,
                ..
            } => Identity::of(&(transaction_id, answer)),
        }
    }
}

/// What happens on a terminal's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalEvent {
    /// A link is up; nothing has been sent on it yet.
    Up {
        /// Which link: the verdict names it.
        socket: u64,
        /// The journal of the installation.
        journal_id: JournalId,
        /// Open work there.
        open: Vec<Digest>,
        /// Print jobs that ended there.
        prints: Vec<PrintReport>,
    },
    /// The link is lost.
    Down,
    /// The agent said something.
    Said(ToEngine),
    /// The agent said which configuration it has, on a link where one is wanted.
    Configured(ConfigurationReport),
}

/// The identity of what happens on a link. Card data is long, and is not formatted for it.
fn identity_of(terminal_id: TerminalId, event: &TerminalEvent) -> Identity {
    match event {
        TerminalEvent::Said(ToEngine::Card(report)) => Identity::of_bytes(&[
            b"card",
            &terminal_id.bytes(),
            &report.pos_id.bytes(),
            &report.attempt_id.bytes(),
            &report.amount.minor().to_be_bytes(),
            &report.data,
        ]),
        // The same hello on another link is the same hello.
        TerminalEvent::Up {
            journal_id,
            open,
            prints,
            ..
        } => Identity::of(&(terminal_id, "up", journal_id, open, prints)),
        event => Identity::of(&(terminal_id, event)),
    }
}
