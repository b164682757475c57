//! Between the agent machine's words and those of the two device machines. No state, no rules
//! beyond what a word of one side means on the other.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

use protocol::link::{Advice, AttemptEnd, PaperState, PrintState, ReaderState};
use protocol::printer::PaperState as PrinterPaper;
use protocol::reader::command::Interfaces;

use super::agent::{PrinterHealth, PrinterJob, ReaderEvent, ReaderRequest};
use super::printer::{FailureReason, Input as PrinterInput, JobState, PrinterMachine};
use super::reader::{EndReason, Event, NotReadyReason, Progress, Request, Start};

/// What the agent asks of the reader, as the reader's conversation hears it.
pub fn reader_request(request: ReaderRequest) -> Request {
    match request {
        ReaderRequest::Start {
            amount,
            timeout_ms,
            advice,
        } => Request::Start(Start {
            amount,
            timeout_ms,
            interfaces: Interfaces::ALL,
            prompt: advice.and_then(prompt),
        }),
        ReaderRequest::HostAnswer {
            approved,
            arc,
            issuer_data,
        } => Request::HostAnswer {
            approved,
            response_code: arc,
            issuer_data,
        },
        ReaderRequest::HostUnreachable => Request::HostUnreachable,
        ReaderRequest::Cancel => Request::Cancel,
    }
}

/// What the reader's display has to say of it: it has words for cards only.
const fn prompt(advice: Advice) -> Option<Progress> {
    match advice {
        Advice::UseChip => Some(Progress::UseChip),
        Advice::TryLater | Advice::CallBank | Advice::CheckReader | Advice::Other => None,
    }
}

/// What the reader's conversation reports, as the agent hears it.
pub fn reader_event(event: Event) -> ReaderEvent {
    match event {
        Event::Ready {
            serial,
            firmware,
            encryption_on,
        } => ReaderEvent::Ready {
            serial,
            firmware,
            is_encrypting: encryption_on,
        },
        Event::NotReady { reason } => ReaderEvent::NotReady {
            state: match reason {
                NotReadyReason::Restarting => ReaderState::Starting,
                NotReadyReason::EncryptionOff => ReaderState::NotEncrypting,
                NotReadyReason::PortClosed
                | NotReadyReason::NoAnswer
                | NotReadyReason::SetupRefused => ReaderState::Absent,
            },
        },
        Event::Progress(progress) => ReaderEvent::Progress(progress_name(progress).to_owned()),
        Event::CardData {
            response_data,
            needs_host_answer,
            ..
        } => ReaderEvent::CardData {
            data: response_data,
            needs_host_answer,
        },
        Event::ChipFinal { approved, data } => ReaderEvent::ChipFinal {
            is_approved: approved,
            data,
        },
        Event::Ended(reason) => ReaderEvent::Ended(attempt_end(reason)),
        // The reader and the agent disagree about what runs: nothing can be charged with this.
        Event::Busy => ReaderEvent::Ended(AttemptEnd::ReaderFault),
    }
}

const fn attempt_end(reason: EndReason) -> AttemptEnd {
    match reason {
        EndReason::Timeout => AttemptEnd::CustomerTimeout,
        EndReason::Canceled => AttemptEnd::Stopped,
        EndReason::CardRemoved => AttemptEnd::CardRemoved,
        EndReason::CardError
        | EndReason::CardBlocked
        | EndReason::CardExpired
        | EndReason::CardDeclined
        | EndReason::TwoCards => AttemptEnd::CardUnusable,
        EndReason::OfflineNotAllowed => AttemptEnd::OfflineNotAllowed,
        EndReason::AmountRefused | EndReason::NotReady | EndReason::ReaderFault(_) => {
            AttemptEnd::ReaderFault
        }
    }
}

const fn progress_name(progress: Progress) -> &'static str {
    match progress {
        Progress::PresentCard => "present_card",
        Progress::CardDetected => "card_detected",
        Progress::InsertOrSwipe => "insert_or_swipe",
        Progress::OneCardOnly => "one_card_only",
        Progress::TryAgain => "try_again",
        Progress::RemoveCard => "remove_card",
        Progress::UseChip => "use_chip",
        Progress::Swipe => "swipe",
        Progress::Message => "reader_message",
        Progress::LanguageChosen => "language_chosen",
        Progress::ApplicationChosen => "application_chosen",
        Progress::PinSkipped => "pin_skipped",
        Progress::ReaderLost => "reader_lost",
    }
}

/// What the agent asks of the printer, as the printer machine hears it.
pub fn printer_job(job: PrinterJob) -> PrinterInput<'static> {
    PrinterInput::Job {
        job_id: job.job_id,
        receipt: job.receipt,
        opens_drawer: job.open_drawer,
    }
}

/// Where a job stands, as the engine is told.
pub fn print_state(state: JobState) -> PrintState {
    match state {
        JobState::Queued => PrintState::Queued {
            held_by: String::new(),
        },
        JobState::Held(reason) => PrintState::Queued {
            held_by: reason.as_str().to_owned(),
        },
        JobState::Printing => PrintState::Printing,
        JobState::Printed => PrintState::Printed,
        JobState::Failed(reason) => PrintState::Failed {
            reason: match reason {
                FailureReason::Held(held) => format!("held_{}", held.as_str()),
                FailureReason::Unrecoverable | FailureReason::QueueFull => {
                    reason.as_str().to_owned()
                }
            },
        },
        JobState::Unknown => PrintState::Unknown,
    }
}

/// Health of the printer from what it last said.
pub fn printer_health(is_connected: bool, printer: &PrinterMachine) -> PrinterHealth {
    match printer.status() {
        Some(status) if is_connected => PrinterHealth {
            is_connected,
            is_online: status.online,
            paper: match status.paper {
                _ if !printer.has_answered() => PaperState::Unknown,
                PrinterPaper::Ok => PaperState::Ok,
                PrinterPaper::NearEnd => PaperState::NearEnd,
                PrinterPaper::Out => PaperState::Out,
            },
            is_cover_open: status.cover_open,
            trouble: printer.trouble(),
            is_drawer_open: printer.is_drawer_open(),
        },
        _ => PrinterHealth {
            is_connected,
            ..PrinterHealth::UNKNOWN
        },
    }
}
