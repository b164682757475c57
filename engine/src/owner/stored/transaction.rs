//! Stored form of transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::id::{AttemptId, MerchantId, PosTransactionId, TerminalId, TransactionId};
use protocol::link::PosKind;
use protocol::money::Money;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};

use crate::domain::card::{CardSummary, EntryMode};
use crate::domain::reason::Reason;
use crate::domain::resolution::{Contradiction, Resolution, ResolutionOutcome};
use crate::domain::reversal::Reversal;
use crate::domain::time::Timestamp;
use crate::domain::transaction::{
    HostResult, Intent, IntentKind, TipRevision, Trace, Transaction, TransactionState,
};

use super::Form;

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct TransactionForm {
    id: TransactionId,
    merchant_id: MerchantId,
    terminal_id: TerminalId,
    pos_id: PosTransactionId,
    attempt_id: AttemptId,
    kind: PosKind,
    base: Money,
    tip: Option<Money>,
    requested: Money,
    authorized: Option<Money>,
    reference: Option<String>,
    state: String,
    trace: u32,
    sent_at: i64,
    card: CardForm,
    host: Option<HostForm>,
    intent: Option<IntentForm>,
    reversal: Option<ReversalForm>,
    tip_revisions: Vec<TipForm>,
    #[serde(default)]
    resolution: Option<ResolutionForm>,
    reason: Option<String>,
    created_at: i64,
    updated_at: i64,
    revision: u32,
}

#[derive(Serialize, Deserialize)]
struct CardForm {
    brand: String,
    masked_number: Option<String>,
    entry: String,
    emv: Emv,
}

/// A map of tags to bytes.
struct Emv(Arc<BTreeMap<u32, Vec<u8>>>);

impl Serialize for Emv {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(tag, value)| (tag, Bytes::new(value))))
    }
}

impl<'de> Deserialize<'de> for Emv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = BTreeMap::<u32, ByteBuf>::deserialize(deserializer)?;
        let owned = read.into_iter().map(|(tag, value)| (tag, value.into_vec()));
        Ok(Self(Arc::new(owned.collect())))
    }
}

#[derive(Serialize, Deserialize)]
struct HostForm {
    response_code: String,
    authorization_code: Option<String>,
    retrieval_reference: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct IntentForm {
    tip: Option<Money>,
    total: Option<Money>,
    requested_at: i64,
    #[serde(default)]
    first_sending: u32,
    tries: u32,
    next_at: i64,
}

#[derive(Serialize, Deserialize)]
struct ReversalForm {
    reason: String,
    decided_at: i64,
    tries: u32,
    next_at: i64,
    not_found_counts_at: Option<i64>,
    done_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct ResolutionForm {
    outcome: String,
    reason: String,
    by: String,
    at: i64,
    contradiction: Option<String>,
    contradicted_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct TipForm {
    tip: Money,
    total: Money,
    at: i64,
}

impl Form for TransactionForm {
    type Value = Transaction;

    fn of(transaction: &Transaction) -> Self {
        Self {
            id: transaction.id,
            merchant_id: transaction.merchant_id,
            terminal_id: transaction.terminal_id,
            pos_id: transaction.pos_id,
            attempt_id: transaction.attempt_id,
            kind: transaction.kind,
            base: transaction.base,
            tip: transaction.tip,
            requested: transaction.requested,
            authorized: transaction.authorized,
            reference: transaction.reference.clone(),
            state: transaction.state.code().to_owned(),
            trace: transaction.trace.number,
            sent_at: transaction.trace.sent_at.0,
            card: CardForm::of(&transaction.card),
            host: transaction.host.as_ref().map(|host| HostForm {
                response_code: host.response_code.clone(),
                authorization_code: host.authorization_code.clone(),
                retrieval_reference: host.retrieval_reference.clone(),
            }),
            intent: transaction.intent.as_ref().map(IntentForm::of),
            reversal: transaction.reversal.map(ReversalForm::of),
            tip_revisions: transaction
                .tip_revisions
                .iter()
                .map(|tip| TipForm {
                    tip: tip.tip,
                    total: tip.total,
                    at: tip.at.0,
                })
                .collect(),
            resolution: transaction.resolution.as_ref().map(ResolutionForm::of),
            reason: transaction.reason.map(|reason| reason.code().to_owned()),
            created_at: transaction.created_at.0,
            updated_at: transaction.updated_at.0,
            revision: transaction.revision,
        }
    }

    fn value(self) -> Option<Transaction> {
        let reversal = match self.reversal {
            Some(form) => Some(form.value()?),
            None => None,
        };
        let resolution = match self.resolution {
            Some(form) => Some(form.value()?),
            None => None,
        };
        Some(Transaction {
            id: self.id,
            merchant_id: self.merchant_id,
            terminal_id: self.terminal_id,
            pos_id: self.pos_id,
            attempt_id: self.attempt_id,
            kind: self.kind,
            base: self.base,
            tip: self.tip,
            requested: self.requested,
            authorized: self.authorized,
            reference: self.reference,
            state: TransactionState::ALL
                .into_iter()
                .find(|one| one.code() == self.state)?,
            trace: Trace {
                number: self.trace,
                sent_at: Timestamp(self.sent_at),
            },
            card: self.card.value()?,
            host: self.host.map(|host| HostResult {
                response_code: host.response_code,
                authorization_code: host.authorization_code,
                retrieval_reference: host.retrieval_reference,
            }),
            intent: self.intent.map(IntentForm::value),
            reversal,
            tip_revisions: self
                .tip_revisions
                .into_iter()
                .map(|form| TipRevision {
                    tip: form.tip,
                    total: form.total,
                    at: Timestamp(form.at),
                })
                .collect(),
            resolution,
            reason: self.reason.as_deref().and_then(Reason::from_code),
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            revision: self.revision,
        })
    }
}

impl CardForm {
    fn of(card: &CardSummary) -> Self {
        Self {
            brand: card.brand.clone(),
            masked_number: card.masked_number.clone(),
            entry: card.entry.code().to_owned(),
            emv: Emv(Arc::clone(&card.emv)),
        }
    }

    fn value(self) -> Option<CardSummary> {
        Some(CardSummary {
            brand: self.brand,
            masked_number: self.masked_number,
            entry: EntryMode::from_code(&self.entry)?,
            emv: self.emv.0,
        })
    }
}

impl IntentForm {
    fn of(intent: &Intent) -> Self {
        let (tip, total) = match intent.kind {
            IntentKind::Void => (None, None),
            IntentKind::AdjustTip { tip, total } => (Some(tip), Some(total)),
        };
        Self {
            tip,
            total,
            requested_at: intent.requested_at.0,
            first_sending: intent.first_sending,
            tries: intent.tries,
            next_at: intent.next_at.0,
        }
    }

    fn value(self) -> Intent {
        let kind = match (self.tip, self.total) {
            (Some(tip), Some(total)) => IntentKind::AdjustTip { tip, total },
            _ => IntentKind::Void,
        };
        Intent {
            kind,
            requested_at: Timestamp(self.requested_at),
            first_sending: self.first_sending,
            tries: self.tries,
            next_at: Timestamp(self.next_at),
        }
    }
}

impl ResolutionForm {
    fn of(resolution: &Resolution) -> Self {
        let contradiction = resolution.contradiction;
        Self {
            outcome: resolution.outcome.code().to_owned(),
            reason: resolution.reason.clone(),
            by: resolution.by.clone(),
            at: resolution.at.0,
            contradiction: contradiction.map(|(what, _)| what.code().to_owned()),
            contradicted_at: contradiction.map(|(_, at)| at.0),
        }
    }

    fn value(self) -> Option<Resolution> {
        let contradiction = match (self.contradiction, self.contradicted_at) {
            (Some(code), Some(at)) => Some((Contradiction::from_code(&code)?, Timestamp(at))),
            _ => None,
        };
        Some(Resolution {
            outcome: ResolutionOutcome::from_code(&self.outcome)?,
            reason: self.reason,
            by: self.by,
            at: Timestamp(self.at),
            contradiction,
        })
    }
}

impl ReversalForm {
    fn of(reversal: Reversal) -> Self {
        Self {
            reason: reversal.reason.code().to_owned(),
            decided_at: reversal.decided_at.0,
            tries: reversal.tries,
            next_at: reversal.next_at.0,
            not_found_counts_at: reversal.not_found_counts_at.map(|at| at.0),
            done_at: reversal.done_at.map(|at| at.0),
        }
    }

    fn value(self) -> Option<Reversal> {
        Some(Reversal {
            reason: Reason::from_code(&self.reason)?,
            decided_at: Timestamp(self.decided_at),
            tries: self.tries,
            next_at: Timestamp(self.next_at),
            not_found_counts_at: self.not_found_counts_at.map(Timestamp),
            done_at: self.done_at.map(Timestamp),
        })
    }
}
