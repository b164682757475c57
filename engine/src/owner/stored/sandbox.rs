//! Stored form of faults.

use protocol::id::{FaultId, MerchantId, PosTransactionId, TerminalId, TransactionId};
use serde::{Deserialize, Serialize};

use crate::domain::sandbox::{Encounter, Fault, Firing, Kind, Moment, Parameters, State, Target};
use crate::domain::time::Timestamp;

use super::Form;

#[derive(Serialize, Deserialize)]
pub(in crate::owner) struct FaultForm {
    id: FaultId,
    merchant_id: MerchantId,
    /// Both absent: the acquirer.
    terminal_id: Option<TerminalId>,
    pos_id: Option<PosTransactionId>,
    kind: String,
    duration_ms: Option<u64>,
    delay_ms: Option<u64>,
    response_code: Option<String>,
    card: Option<String>,
    way: Option<String>,
    at: String,
    times: u32,
    after_ms: u64,
    firings: Vec<FiringForm>,
    state: String,
    refusal: Option<String>,
    created_at: i64,
    expires_at: i64,
    ended_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct FiringForm {
    at: i64,
    moment: String,
    terminal_id: TerminalId,
    pos_id: Option<PosTransactionId>,
    transaction_id: Option<TransactionId>,
}

impl Form for FaultForm {
    type Value = Fault;

    fn of(fault: &Fault) -> Self {
        let parameters = fault.kind.parameters();
        let (terminal_id, pos_id) = match fault.target {
            Target::Acquirer => (None, None),
            Target::Terminal(terminal_id) => (Some(terminal_id), None),
            Target::Pos(pos_id) => (None, Some(pos_id)),
        };
        let refusal = match &fault.state {
            State::Refused(why) => Some(why.clone()),
            State::Armed | State::Fired | State::Expired | State::Disarmed => None,
        };
        Self {
            id: fault.id,
            merchant_id: fault.merchant_id,
            terminal_id,
            pos_id,
            kind: fault.kind.code().to_owned(),
            duration_ms: parameters.duration_ms,
            delay_ms: parameters.delay_ms,
            response_code: parameters.response_code,
            card: parameters.card,
            way: parameters.way,
            at: fault.at.code().to_owned(),
            times: fault.times,
            after_ms: fault.after_ms,
            firings: fault.firings.iter().map(FiringForm::of).collect(),
            state: fault.state.code().to_owned(),
            refusal,
            created_at: fault.created_at.0,
            expires_at: fault.expires_at.0,
            ended_at: fault.ended_at.map(|at| at.0),
        }
    }

    fn value(self) -> Option<Fault> {
        let parameters = Parameters {
            duration_ms: self.duration_ms,
            delay_ms: self.delay_ms,
            response_code: self.response_code,
            card: self.card,
            way: self.way,
        };
        let firings: Option<Vec<Firing>> =
            self.firings.into_iter().map(FiringForm::value).collect();
        Some(Fault {
            id: self.id,
            merchant_id: self.merchant_id,
            target: match (self.terminal_id, self.pos_id) {
                (Some(terminal_id), _) => Target::Terminal(terminal_id),
                (None, Some(pos_id)) => Target::Pos(pos_id),
                (None, None) => Target::Acquirer,
            },
            kind: Kind::read(&self.kind, parameters).ok()?,
            at: Moment::from_code(&self.at)?,
            times: self.times,
            after_ms: self.after_ms,
            firings: firings?,
            state: state(&self.state, self.refusal)?,
            created_at: Timestamp(self.created_at),
            expires_at: Timestamp(self.expires_at),
            ended_at: self.ended_at.map(Timestamp),
        })
    }
}

impl FiringForm {
    fn of(firing: &Firing) -> Self {
        Self {
            at: firing.at.0,
            moment: firing.met.moment.code().to_owned(),
            terminal_id: firing.met.terminal_id,
            pos_id: firing.met.pos_id,
            transaction_id: firing.met.transaction_id,
        }
    }

    fn value(self) -> Option<Firing> {
        Some(Firing {
            at: Timestamp(self.at),
            met: Encounter {
                moment: Moment::from_code(&self.moment)?,
                terminal_id: self.terminal_id,
                pos_id: self.pos_id,
                transaction_id: self.transaction_id,
            },
        })
    }
}

fn state(code: &str, refusal: Option<String>) -> Option<State> {
    let refused = State::Refused(refusal.unwrap_or_default());
    [
        State::Armed,
        State::Fired,
        refused,
        State::Expired,
        State::Disarmed,
    ]
    .into_iter()
    .find(|state| state.code() == code)
}
