//! What tests of several modules start from: ids, amounts, a till that is well, a port of this
//! machine. Must not decide anything: a test says itself what is special about its case.

use std::path::PathBuf;

use protocol::id::{AttemptId, PosTransactionId, PrintJobId};
use protocol::link::TillStatus;
use protocol::money::Money;
use uuid::Uuid;

use crate::device::permission::Ownership;
use crate::machine::agent::AgentStatus;
use crate::machine::screen::Screen;

pub(crate) fn pos(number: u128) -> PosTransactionId {
    PosTransactionId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn att(number: u128) -> AttemptId {
    AttemptId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn job(number: u128) -> PrintJobId {
    PrintJobId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

/// An agent that is online, with reader, printer and paper, and nothing to do.
pub(crate) fn status() -> AgentStatus {
    AgentStatus {
        is_online: true,
        label: "Lane 1".to_owned(),
        currencies: Vec::new(),
        journal_id: None,
        boot: 1,
        till: TillStatus::healthy(),
        has_printer: true,
        open: Vec::new(),
        unanswered_requests: 0,
        waiting_prints: Vec::new(),
        screen: Screen::Idle,
        idle_text: None,
    }
}

/// A serial port that only root and its group may use.
pub(crate) fn dialout_port() -> Ownership {
    Ownership {
        node: PathBuf::from("/dev/ttyACM0"),
        mode: 0o660,
        uid: 0,
        owner: "root".to_owned(),
        gid: 20,
        group: "dialout".to_owned(),
    }
}
