//! What the agent answers to a line.

use protocol::id::{PosTransactionId, PrintJobId, RequestId, TransactionId};
use protocol::link::{AnswerBody, PrintState};
use protocol::money::Money;
use protocol::printer::Trouble;
use serde::{Deserialize, Serialize};

use super::{PortsHealth, ProcessHealth};
use crate::machine::agent::{AgentStatus, ControlReply, RecentSale};

/// The answer to one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The client's number; absent when the line had none that could be read.
    pub id: Option<u64>,
    /// Whether `data` or `error` is there.
    pub success: bool,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<AnswerData>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<AnswerError>,
}

/// What came of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum AnswerData {
    /// A POS transaction runs.
    Started {
        /// The till's name for the request.
        request_id: RequestId,
        /// The POS transaction.
        pos_id: PosTransactionId,
    },
    /// The cancel has a verdict.
    Canceled {
        /// The till's name for the request.
        request_id: RequestId,
        /// From the closed list of verdicts.
        verdict: String,
    },
    /// The print job exists.
    PrintQueued {
        /// The till's name for the request.
        request_id: RequestId,
        /// The job.
        job_id: PrintJobId,
    },
    /// The tip stands.
    TipAdjusted {
        /// The till's name for the request.
        request_id: RequestId,
        /// The transaction.
        transaction_id: TransactionId,
        /// The total with the tip.
        total: Money,
    },
    /// The void was answered.
    Voided {
        /// The till's name for the request.
        request_id: RequestId,
        /// The transaction.
        transaction_id: TransactionId,
        /// Whether the acquirer has acknowledged it.
        is_final: bool,
    },
    /// The key was taken, or the watch has begun.
    Done,
    /// The state of the till.
    Status {
        /// It.
        status: Box<AgentStatus>,
        /// Its ports.
        ports: Box<PortsHealth>,
        /// The agent's process and its link.
        #[serde(default)]
        process: Box<ProcessHealth>,
    },
    /// The test page has ended, or waits for a person.
    TestPrinted(TestPrinted),
    /// What ended here since the agent started.
    Recent {
        /// Newest first.
        sales: Vec<RecentSale>,
    },
}

/// How a test page stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestPrinted {
    /// The job.
    pub job_id: PrintJobId,
    /// `printed`, `held`, `failed`, or `unknown`: bytes were sent and the printer did not say that
    /// they are on paper.
    pub state: String,
    /// Code of what keeps the printer from printing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl TestPrinted {
    /// Where the job stands.
    pub fn new(job_id: PrintJobId, state: PrintState) -> Self {
        let (state, reason) = match state {
            PrintState::Printed => ("printed", String::new()),
            PrintState::Queued { held_by } => ("held", held_by),
            PrintState::Printing => ("printing", String::new()),
            PrintState::Failed { reason } => ("failed", reason),
            PrintState::Unknown => ("unknown", String::new()),
        };
        let trouble = Trouble::from_code(&reason);
        let remedy = trouble.map_or("", Trouble::remedy).to_owned();
        Self {
            job_id,
            state: state.to_owned(),
            reason,
            remedy,
        }
    }
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerError {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Answer {
    /// The answer of the agent machine to the line with this number.
    pub fn from_reply(
        id: u64,
        reply: ControlReply,
        ports: &PortsHealth,
        process: &ProcessHealth,
    ) -> Self {
        match reply {
            ControlReply::Done => Self::good(id, AnswerData::Done),
            ControlReply::Status(status) => {
                let ports = Box::new(ports.clone());
                let process = Box::new(process.clone());
                let data = AnswerData::Status {
                    status,
                    ports,
                    process,
                };
                Self::good(id, data)
            }
            ControlReply::TestPrinted { job_id, state } => {
                Self::good(id, AnswerData::TestPrinted(TestPrinted::new(job_id, state)))
            }
            ControlReply::Recent(sales) => Self::good(id, AnswerData::Recent { sales }),
            ControlReply::Refused(refusal) => {
                Self::refused(Some(id), refusal.code(), refusal.to_string())
            }
            ControlReply::Answered { request_id, body } => Self::from_engine(id, request_id, body),
        }
    }

    fn from_engine(id: u64, request_id: RequestId, body: AnswerBody) -> Self {
        let data = match body {
            AnswerBody::Refused(refused) => {
                return Self::refused(Some(id), &refused.code, refused.message);
            }
            AnswerBody::Started { pos_id } => AnswerData::Started { request_id, pos_id },
            AnswerBody::Canceled { verdict } => AnswerData::Canceled {
                request_id,
                verdict,
            },
            AnswerBody::PrintQueued { job_id } => AnswerData::PrintQueued { request_id, job_id },
            AnswerBody::TipAdjusted {
                transaction_id,
                total,
            } => AnswerData::TipAdjusted {
                request_id,
                transaction_id,
                total,
            },
            AnswerBody::Voided {
                transaction_id,
                is_final,
            } => AnswerData::Voided {
                request_id,
                transaction_id,
                is_final,
            },
        };
        Self::good(id, data)
    }

    /// Something came of it.
    pub const fn good(id: u64, data: AnswerData) -> Self {
        Self {
            id: Some(id),
            success: true,
            data: Some(data),
            error: None,
        }
    }

    /// Nothing came of it.
    pub fn refused(id: Option<u64>, code: &str, message: String) -> Self {
        Self {
            id,
            success: false,
            data: None,
            error: Some(AnswerError {
                code: code.to_owned(),
                message,
            }),
        }
    }
}
