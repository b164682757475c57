//! What the machine does, as the words of a script.

use super::*;

/// The first word of the Debug form, and what tells two of a kind apart.
pub(super) fn name(entry: &JournalEntry) -> String {
    match entry {
        JournalEntry::Ended { end, .. } => format!("ended {end:?}"),
        JournalEntry::Completed(completion) => format!("completed {}", chip(completion)),
        JournalEntry::PrintEnded { state, .. } => format!("print ended {state:?}"),
        other => {
            let text = format!("{other:?}");
            text.split([' ', '(']).next().unwrap().to_lowercase()
        }
    }
}

/// Screens are left out except those on which money depends, and advice.
pub(super) fn render(output: &Output) -> Option<String> {
    Some(match output {
        Output::Send(ToEngine::Status(_)) => return None,
        Output::Send(message) => format!("send {}", said(message)),
        Output::Hello { open, prints } => {
            let open: Vec<_> = open.iter().map(digest).collect();
            let prints: Vec<_> = prints.iter().map(|p| format!("{:?}", p.state)).collect();
            format!("hello [{}] [{}]", open.join(", "), prints.join(", "))
        }
        Output::Reader(ReaderRequest::Start {
            timeout_ms, advice, ..
        }) => {
            let advice = advice.map_or(String::new(), |advice| format!(" {advice:?}"));
            format!("reader start {timeout_ms}{advice}")
        }
        Output::Reader(ReaderRequest::HostAnswer { arc, .. }) => {
            format!("reader arc {}", String::from_utf8_lossy(arc))
        }
        Output::Reader(other) => format!("reader {other:?}"),
        Output::Printer(job) => format!("printer {}", job.job_id.uuid().as_u128()),
        Output::BeginPrint(job_id) => format!("begin {}", job_id.uuid().as_u128()),
        Output::Show(Screen::Concluded(concluded)) => format!("show {:?}", concluded.status),
        Output::Show(Screen::OutOfOrder { .. }) => "show OutOfOrder".to_owned(),
        Output::Show(Screen::DeclinedTryAnother {
            advice: Some(advice),
            ..
        }) => format!("show declined {advice:?}"),
        Output::Show(
            Screen::PresentCard {
                advice: Some(advice),
                ..
            }
            | Screen::Reader {
                advice: Some(advice),
                ..
            },
        ) => format!("show present {advice:?}"),
        Output::Show(_) => return None,
        Output::ControlAnswer(_, reply) => match reply {
            ControlReply::Refused(refusal) => format!("refused {}", refusal.code()),
            ControlReply::Answered { .. } => "answered".to_owned(),
            ControlReply::Done => "done".to_owned(),
            ControlReply::Status(_) => "status".to_owned(),
            ControlReply::Recent(sales) => format!("recent {}", sales.len()),
            ControlReply::TestPrinted { state, .. } => format!("test {state:?}"),
        },
        Output::LookAround => "look".to_owned(),
        Output::Configured { version, .. } => format!("configured {version}"),
        Output::JournalFault => "fault".to_owned(),
        Output::Persist(_) => return None,
    })
}

fn said(message: &ToEngine) -> String {
    match message {
        ToEngine::Accept { .. } => "accept".to_owned(),
        ToEngine::Reject { reason, .. } => format!("reject {reason:?}"),
        ToEngine::TipChosen { choice, .. } => format!("tip {choice:?}"),
        ToEngine::Card(report) => format!("card {}", report.amount.minor()),
        ToEngine::AttemptEnded { end, .. } => format!("ended {end:?}"),
        ToEngine::Completed(completion) => format!("completed {}", chip(completion)),
        ToEngine::Print(report) => format!("print {:?}", report.state),
        ToEngine::Request { request_id, .. } => {
            format!("request {}", request_id.uuid().as_u128())
        }
        ToEngine::Status(_) => "status".to_owned(),
        ToEngine::Ping => "ping".to_owned(),
        ToEngine::Pong => "pong".to_owned(),
        ToEngine::Simulated { .. } => "simulated".to_owned(),
        ToEngine::StatusReported(report) => reported(report),
    }
}

fn reported(report: &StatusReport) -> String {
    let held = if report.is_reader_held {
        "held"
    } else {
        "free"
    };
    let age_ms = report.reader_age_ms.unwrap_or_default();
    let refused = report.status.configuration.as_ref();
    let refused = refused.and_then(|report| report.refused.as_ref());
    let refused = refused.map(|refused| format!(" refused {}", refused.version));
    let refused = refused.unwrap_or_default();
    format!(
        "reported {} reader {held} aged {age_ms}{refused}",
        report.ask
    )
}

/// What the chip said, or why it said nothing.
fn chip(completion: &Completion) -> String {
    match completion.cause {
        Some(cause) => format!("{:?} {cause:?}", completion.chip),
        None => format!("{:?}", completion.chip),
    }
}

fn digest(digest: &Digest) -> String {
    let number = digest.pos_id.uuid().as_u128();
    match &digest.state {
        DigestState::Completed(completion) => format!("{number} Completed {:?}", completion.chip),
        other => format!("{number} {other:?}"),
    }
}
