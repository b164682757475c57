//! The technician's commands: they look at the till, and speak to no engine on anybody's behalf.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::printer::Trouble;
use serde_json::json;

use super::client::{Client, ClientError};
use super::output::Output;
use super::{Exit, explain};
use crate::config::Config;
use crate::control::message::{Answer, AnswerData, Line, TestPrinted};
use crate::decode::{Decoded, input, link, printer, reader};
use crate::device::endpoint::{Endpoint, Role};
use crate::journal::{self, JournalLook};
use crate::{bundle, doctor, print_test};

/// The largest capture that is decoded.
const CAPTURE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long the agent may take for a test page: what the printer's machine gives it, and some.
const PAGE_PATIENCE: Duration = Duration::from_secs(100);

/// Whose language a capture is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Language {
    /// NEO2 frames of a card reader, both directions.
    Reader,
    /// ESC/POS.
    Printer,
    /// MessagePack frames between engine and agent.
    Link,
}

/// Where a capture comes from.
#[derive(Debug, clap::Args)]
pub(super) struct Capture {
    /// Whose language it is in.
    #[arg(value_enum)]
    language: Language,
    /// Hexadecimal digits, with or without spaces; `-` reads standard input.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    hex: Vec<String>,
    /// A file with hexadecimal digits, a dump, or the bytes themselves.
    #[arg(long)]
    file: Option<PathBuf>,
    /// For a printer: what it answered rather than what it was sent.
    #[arg(long)]
    answers: bool,
}

/// Examines the till.
pub(super) fn doctor(config: &Path, fixes: bool, output: &mut Output<'_>) -> Exit {
    let report = doctor::examine(config, fixes);
    output.result(&report, &report.text());
    if report.has_failed() {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

/// Decodes a capture.
pub(super) fn decode(capture: &Capture, output: &mut Output<'_>) -> Exit {
    let bytes = match bytes_of(capture) {
        Ok(bytes) => bytes,
        Err(message) => return output.fail(Exit::Usage, "BAD_CAPTURE", &message),
    };
    let decoded: Decoded = match capture.language {
        Language::Reader => reader::decode(&bytes),
        Language::Printer if capture.answers => printer::decode_answers(&bytes),
        Language::Printer => printer::decode_commands(&bytes),
        Language::Link => link::decode_frames(&bytes),
    };
    output.result(&decoded, &decoded.text());
    Exit::Ok
}

fn bytes_of(capture: &Capture) -> Result<Vec<u8>, String> {
    let read = |source: &mut dyn Read, name: &str| {
        let mut content = Vec::new();
        let mut source = source.take(CAPTURE_BYTES_MAX);
        let read = source.read_to_end(&mut content);
        read.map_err(|error| format!("failed to read {name}: {error}"))?;
        input::read_bytes(&content).map_err(|error| format!("{name}: {error}"))
    };
    if let Some(path) = &capture.file {
        let name = path.display().to_string();
        let file = std::fs::File::open(path);
        let mut file = file.map_err(|error| format!("failed to open {name}: {error}"))?;
        return read(&mut file, &name);
    }
    if capture.hex == ["-"] {
        return read(&mut std::io::stdin().lock(), "standard input");
    }
    input::read_hex(&capture.hex.join(" ")).map_err(|error| error.to_string())
}

/// Shows the journal.
pub(super) fn journal(config: &Config, only_open: bool, output: &mut Output<'_>) -> Exit {
    let look = match journal::look(&config.state_dir) {
        Ok(look) => look,
        Err(error) => return output.fail(Exit::Failed, "JOURNAL", &explain(&error)),
    };
    let (summary, open) = (look.summary(), look.open_work());
    let mut value = json!({
        "schema": "terminal-agent.journal/v1",
        "summary": summary,
        "open": open["open"],
        "requests": open["requests"],
        "prints": open["prints"],
    });
    if !only_open {
        value["entries"] = json!(look.lines());
    }
    output.result(&value, &journal_text(&look, only_open));
    match summary.corrupt_at {
        Some(_) => Exit::Failed,
        None => Exit::Ok,
    }
}

fn journal_text(look: &JournalLook, only_open: bool) -> String {
    let summary = look.summary();
    if !summary.exists {
        return "there is no journal yet: the agent has never run here\n".to_owned();
    }
    let mut text = format!(
        "journal {}, start number {}, {} bytes, {} entries\n",
        summary.journal_id.as_deref().unwrap_or("without a name"),
        summary.boot,
        summary.bytes,
        summary.entries
    );
    if summary.torn_bytes > 0 {
        text.push_str(&format!(
            "torn tail: {} bytes; being written just now, or cut off by a power cut (the next \
             start removes it)\n",
            summary.torn_bytes
        ));
    }
    if let Some(at) = summary.corrupt_at {
        text.push_str(&format!(
            "DAMAGED at byte {at}; what is behind is not shown\n"
        ));
    }
    let open = look.open_work();
    for (title, list, id, state) in [
        ("open", "open", "pos_id", "stage"),
        ("unanswered", "requests", "request_id", "request"),
        ("print", "prints", "job_id", "state"),
    ] {
        for item in open[list].as_array().into_iter().flatten() {
            let word = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("{title:<14}{}  {}\n", word(id), word(state)));
        }
    }
    if !only_open {
        for line in look.lines() {
            text.push_str(&format!(
                "  {:<14}{}  {}\n",
                line.entry, line.about, line.detail
            ));
        }
    }
    text
}

/// Writes what support needs into one file.
pub(super) fn support_bundle(
    config: &Path,
    out: &Path,
    log: Option<&Path>,
    output: &mut Output<'_>,
) -> Exit {
    let bundle = match bundle::collect(config, log) {
        Ok(bundle) => bundle,
        Err(error) => return output.fail(Exit::Usage, "LOG_FILE", &error),
    };
    if let Err(error) = bundle::write(out, &bundle) {
        let message = format!("failed to write {}: {error}", out.display());
        return output.fail(Exit::Failed, "BUNDLE", &message);
    }
    let text = format!(
        "{} written: card numbers, keys and tokens are hidden; read it before you send it\n",
        out.display()
    );
    output.result(&json!({"file": out}), &text);
    Exit::Ok
}

/// Prints a test page, by the agent that has the port or else here.
pub(super) fn print_test(config: &Config, drawer: bool, output: &mut Output<'_>) -> Exit {
    let mut client = match Client::connect(&config.state_dir) {
        Ok(client) => client,
        Err(ClientError::NotRunning) => return print_here(config, drawer, output),
        Err(error) => return output.fail(Exit::Failed, "AGENT", &error.to_string()),
    };
    let line = Line::PrintTest {
        id: 1,
        open_drawer: drawer,
    };
    let answer = client
        .say(&line)
        .and_then(|()| client.answer(1, PAGE_PATIENCE, drop));
    let answer = answer
        .ok()
        .and_then(|json| serde_json::from_value::<Answer>(json).ok());
    match answer {
        Some(Answer {
            data: Some(AnswerData::TestPrinted(printed)),
            ..
        }) => tell_printed(&printed, "by the running agent", output),
        Some(Answer {
            error: Some(error), ..
        }) => output.fail(Exit::Refused, &error.code, &error.message),
        _ => {
            let message = "the agent did not say what became of the page; look at the printer";
            output.fail(Exit::OutcomeUnknown, "OUTCOME_UNKNOWN", message)
        }
    }
}

fn print_here(config: &Config, drawer: bool, output: &mut Output<'_>) -> Exit {
    let endpoints = config.endpoints().unwrap_or_default();
    let of_printer = |endpoint: &Endpoint| endpoint.role == Role::Printer;
    let endpoint = endpoints.into_iter().find(of_printer);
    let (Some(printer), Some(endpoint)) = (&config.printer, endpoint) else {
        let trouble = Trouble::NoPrinter;
        let message = format!("{} {}", trouble.message(), trouble.remedy());
        return output.fail(Exit::Usage, "NO_PRINTER", &message);
    };
    match doctor::block_on(print_test::print(printer, endpoint, drawer)) {
        Some(Ok(printed)) => tell_printed(&printed, "without an agent", output),
        Some(Err(fault)) => {
            let message = format!("{fault}; {}", fault.remedy());
            output.fail(Exit::DeviceFault, fault.code(), &message)
        }
        None => output.fail(Exit::Failed, "SYSTEM", "the system gives no runtime"),
    }
}

fn tell_printed(printed: &TestPrinted, way: &str, output: &mut Output<'_>) -> Exit {
    let trouble = Trouble::from_code(&printed.reason).map_or("", Trouble::message);
    let text = match printed.state.as_str() {
        "printed" => format!(
            "the test page is printed ({way}): both rules and the ruler must fit the paper, the \
             line of signs must begin with the euro sign, and QR and barcode must scan\n"
        ),
        "held" => format!(
            "the test page waits ({way}): {trouble} {}\n",
            printed.remedy
        ),
        "failed" => format!("not printed ({way}): {trouble} {}\n", printed.remedy),
        _ => format!("sent ({way}), and the printer did not confirm it: look at the paper\n"),
    };
    output.result(printed, &text);
    match printed.state.as_str() {
        "printed" => Exit::Ok,
        "held" | "failed" => Exit::DeviceFault,
        _ => Exit::OutcomeUnknown,
    }
}
