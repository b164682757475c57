//! Verdicts on made-up facts, and whole examinations of tills that are not there.

mod device;
mod machine;
mod told;
mod whole;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use protocol::link::{PaperState, ReaderState, TillStatus, VERSION};
use protocol::printer::{PrinterStatus, Trouble};

use super::agent::{AgentFact, Running};
use super::check::Verdict::{Fail, Pass, Skip, Warn};
use super::check::{CheckId, Verdict};
use super::devices::{
    PrinterFact, ReaderAnswers, ReaderFact, judge_printer, judge_reader, trouble_of,
};
use super::host::StateFact;
use super::link::IdentityFact;
use super::network::Target;
use super::queue::QueueFact;
use super::*;
use crate::control::message::{AnswerError, LinkHealth, PortsHealth, ProcessHealth};
use crate::device::fault::{PortFault, PortState};
use crate::journal::JournalSummary;
use crate::machine::agent::AgentStatus;
use crate::tls::TlsFault;

fn running(change: impl FnOnce(&mut Running)) -> AgentFact {
    let open = PortState::Open {
        port: "/dev/x".to_owned(),
    };
    let well = crate::trial::status();
    let mut running = Running {
        status: AgentStatus {
            label: "Till".to_owned(),
            boot: 3,
            till: TillStatus {
                reader_firmware: "VP3350 V1".to_owned(),
                agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                ..well.till
            },
            ..well
        },
        ports: PortsHealth {
            reader: open.clone(),
            printer: Some(open),
        },
        process: ProcessHealth {
            process_id: 7,
            watchdog_ms: Some(30_000),
            link: LinkHealth {
                version: Some(VERSION),
                ..LinkHealth::default()
            },
        },
    };
    change(&mut running);
    AgentFact::Running(Box::new(running))
}

fn link_fault(code: &str) -> AgentFact {
    running(|running| {
        running.status.is_online = false;
        running.process.link.fault = Some(AnswerError {
            code: code.to_owned(),
            message: "it said so".to_owned(),
        });
    })
}

/// Every failure and warning says what to do.
fn assert_helpful(check: &Check) {
    let is_bad = matches!(check.verdict, Fail | Warn);
    assert_eq!(is_bad, !check.remedy.is_empty(), "{check:?}");
    assert!(!check.seen.is_empty(), "{check:?}");
}
