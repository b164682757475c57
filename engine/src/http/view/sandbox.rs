//! Views of faults that were asked for in test mode.

use protocol::id::{FaultId, PosTransactionId, TerminalId, TransactionId};
use serde::Serialize;

use crate::domain::sandbox::{Fault, Firing, State, Target};

use super::super::resource::sandbox::ACQUIRER;
use super::instant;

/// A fault and what came of it. Parameters that its kind does not take are left out.
#[derive(Debug, Serialize)]
pub(in crate::http) struct FaultView<'a> {
    id: FaultId,
    target: String,
    kind: &'static str,
    at: &'static str,
    times: u32,
    after_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<String>,
    status: &'static str,
    refusal: Option<&'a str>,
    fired_count: usize,
    firings: Vec<FiringView>,
    created_at: String,
    expires_at: String,
    ended_at: Option<String>,
    livemode: bool,
}

#[derive(Debug, Serialize)]
struct FiringView {
    at: String,
    stage: &'static str,
    terminal_id: TerminalId,
    pos_transaction_id: Option<PosTransactionId>,
    transaction_id: Option<TransactionId>,
}

impl<'a> FaultView<'a> {
    pub(in crate::http) fn of(fault: &'a Fault) -> Self {
        let parameters = fault.kind.parameters();
        Self {
            id: fault.id,
            target: match fault.target {
                Target::Acquirer => ACQUIRER.to_owned(),
                Target::Terminal(terminal_id) => terminal_id.to_string(),
                Target::Pos(pos_id) => pos_id.to_string(),
            },
            kind: fault.kind.code(),
            at: fault.at.code(),
            times: fault.times,
            after_ms: fault.after_ms,
            duration_ms: parameters.duration_ms,
            delay_ms: parameters.delay_ms,
            response_code: parameters.response_code,
            card: parameters.card,
            way: parameters.way,
            status: fault.state.code(),
            refusal: match &fault.state {
                State::Refused(why) => Some(why),
                State::Armed | State::Fired | State::Expired | State::Disarmed => None,
            },
            fired_count: fault.firings.len(),
            firings: fault.firings.iter().map(FiringView::of).collect(),
            created_at: instant(fault.created_at),
            expires_at: instant(fault.expires_at),
            ended_at: fault.ended_at.map(instant),
            livemode: false,
        }
    }
}

impl FiringView {
    fn of(firing: &Firing) -> Self {
        Self {
            at: instant(firing.at),
            stage: firing.met.moment.code(),
            terminal_id: firing.met.terminal_id,
            pos_transaction_id: firing.met.pos_id,
            transaction_id: firing.met.transaction_id,
        }
    }
}
