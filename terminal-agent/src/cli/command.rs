//! The commands that speak to a running agent.

use std::path::Path;
use std::time::Duration;

use protocol::link::PosKind;
use protocol::money::Money;
use protocol::receipt::Copy;
use serde_json::Value;

use super::client::{Client, ClientError};
use super::output::Output;
use super::{Exit, explain};
use crate::control::message::Line;
use crate::machine::till::advice_words;

/// How long the engine may take to answer a request.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a payer may take: above the engine's own deadlines.
const SALE_PATIENCE: Duration = Duration::from_secs(900);

/// A copy of a receipt.
#[derive(Debug, Clone, std::marker::Copy, clap::ValueEnum)]
pub(super) enum CopyArgument {
    /// For the payer.
    Customer,
    /// For the shop.
    Merchant,
}

impl From<CopyArgument> for Copy {
    fn from(copy: CopyArgument) -> Self {
        match copy {
            CopyArgument::Customer => Self::Customer,
            CopyArgument::Merchant => Self::Merchant,
        }
    }
}

/// A sale at this till.
pub(super) struct Sale {
    pub(super) amount: Money,
    pub(super) is_authorization: bool,
    pub(super) reference: Option<String>,
    pub(super) tip_prompt: bool,
    pub(super) waits: bool,
}

/// One line, one answer.
pub(super) fn simple(state_dir: &Path, line: &Line, output: &mut Output<'_>) -> Exit {
    let answer = Client::connect(state_dir).and_then(|mut client| {
        client.say(line)?;
        client.answer(line.id(), ANSWER_PATIENCE, drop)
    });
    match answer {
        Ok(answer) => print_answer(&answer, output),
        Err(error) => fail_client(&error, matches!(line, Line::Status { .. }), output),
    }
}

/// A sale, until the engine has started it or until it has ended.
pub(super) fn sale(state_dir: &Path, sale: Sale, output: &mut Output<'_>) -> Exit {
    let waits = sale.waits;
    let mut client = match Client::connect(state_dir) {
        Ok(client) => client,
        Err(error) => return fail_client(&error, true, output),
    };
    let line = Line::Sale {
        id: 2,
        amount: sale.amount,
        kind: if sale.is_authorization {
            PosKind::Authorization
        } else {
            PosKind::Sale
        },
        reference: sale.reference,
        tip_prompt: sale.tip_prompt,
        request_id: None,
    };
    // The watch comes first, so that no event of a quick sale is missed.
    let mut early = Vec::new();
    let answer = client
        .say(&Line::Watch { id: 1 })
        .and_then(|()| client.say(&line))
        .and_then(|()| client.answer(2, ANSWER_PATIENCE, |event| early.push(event)));
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return fail_client(&error, false, output),
    };
    let pos_id = answer.pointer("/data/pos_id").and_then(Value::as_str);
    let Some(pos_id) = pos_id.filter(|_| waits) else {
        return print_answer(&answer, output);
    };
    output.progress(&format!("{pos_id} started"));
    let mut early = early.into_iter();
    loop {
        let event = match early.next() {
            Some(event) => Ok(event),
            None => client.hear(SALE_PATIENCE),
        };
        let screen = match &event {
            Ok(event) => event
                .pointer("/data")
                .filter(|screen| is_about(screen, pos_id)),
            Err(error) => {
                let message = format!("{error}; ask the engine about {pos_id}");
                return output.fail(Exit::OutcomeUnknown, "OUTCOME_UNKNOWN", &message);
            }
        };
        if let Some(exit) = screen.and_then(|screen| screen_exit(screen, output)) {
            return exit;
        }
    }
}

fn is_about(screen: &Value, pos_id: &str) -> bool {
    screen.get("pos_id").and_then(Value::as_str) == Some(pos_id)
}

/// Prints the end, or says what goes on; an end has an exit code.
fn screen_exit(screen: &Value, output: &mut Output<'_>) -> Option<Exit> {
    let text = |name: &str| screen.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("screen") {
        "concluded" => {
            let exit = conclusion_exit(text("status"), text("reason"));
            output.result(screen, &conclusion_text(screen));
            Some(exit)
        }
        "attempt_closed" => {
            let message = "the engine has closed this attempt: NOT PAID";
            Some(output.fail(Exit::Failed, "ATTEMPT_CLOSED", message))
        }
        "reader" => {
            output.progress(&advised(&text("progress").replace('_', " "), screen));
            None
        }
        "attempt_ended" => {
            output.progress(&format!("not paid: {}", text("end").replace('_', " ")));
            None
        }
        name => {
            output.progress(&advised(&name.replace('_', " "), screen));
            None
        }
    }
}

/// What the cashier is to do about a decline, where that is not just another card.
fn advice(screen: &Value) -> Option<&'static str> {
    let advice = serde_json::from_value(screen.get("advice")?.clone()).ok()?;
    advice_words(Some(advice))
}

fn advised(what: &str, screen: &Value) -> String {
    match advice(screen) {
        Some(todo) => format!("{what}: {todo}"),
        None => what.to_owned(),
    }
}

fn conclusion_exit(status: &str, reason: &str) -> Exit {
    match status {
        "approved" => Exit::Ok,
        "declined" => Exit::Refused,
        "in_doubt" => Exit::OutcomeUnknown,
        _ if reason.starts_with("reader") => Exit::DeviceFault,
        _ => Exit::Failed,
    }
}

fn conclusion_text(screen: &Value) -> String {
    let text = |name: &str| screen.get(name).and_then(Value::as_str).unwrap_or_default();
    let amount = screen
        .get("amount")
        .and_then(|amount| serde_json::from_value::<Money>(amount.clone()).ok())
        .map(|amount| amount.to_string())
        .unwrap_or_default();
    let headline = match text("status") {
        "approved" => format!("APPROVED {amount}"),
        "in_doubt" => format!("NOT KNOWN YET, NOBODY HAS PAID: {amount}"),
        status => format!("NOT PAID ({}) {amount}", status.replace('_', " ")),
    };
    let mut lines = vec![headline, format!("pos transaction: {}", text("pos_id"))];
    for (label, name) in [("transaction", "transaction_id"), ("reason", "reason")] {
        if !text(name).is_empty() {
            lines.push(format!("{label}: {}", text(name)));
        }
    }
    if (text("kind"), text("status")) == ("authorization", "approved") {
        lines.push("kind: authorization (the amount is reserved, not charged)".to_owned());
    }
    if let Some(todo) = advice(screen) {
        lines.push(format!("what to do: {todo}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn print_answer(answer: &Value, output: &mut Output<'_>) -> Exit {
    let text = |path: &str| answer.pointer(path).and_then(Value::as_str);
    if answer.get("success").and_then(Value::as_bool) == Some(true) {
        let data = answer.get("data").cloned().unwrap_or_default();
        output.result(&data, &answer_text(&data));
        return Exit::Ok;
    }
    let code = text("/error/code").unwrap_or("UNKNOWN");
    let message = text("/error/message").unwrap_or("no reason given");
    output.fail(refusal_exit(code), code, message)
}

fn refusal_exit(code: &str) -> Exit {
    match code {
        "ENGINE_UNREACHABLE" | "SERVICE_UNAVAILABLE" => Exit::EngineUnreachable,
        "JOURNAL_FAULT" | "INTERNAL_ERROR" => Exit::Failed,
        "BAD_REQUEST" | "INVALID_AMOUNT" | "INVALID_TIP" | "VALIDATION_ERROR" => Exit::Usage,
        "OUTCOME_UNKNOWN" => Exit::OutcomeUnknown,
        _ if code.starts_with("READER") => Exit::DeviceFault,
        _ => Exit::Refused,
    }
}

/// Every value of the answer, one a line, by its path.
fn answer_text(data: &Value) -> String {
    let mut lines = String::new();
    flatten("", data, &mut lines);
    lines
}

fn flatten(path: &str, value: &Value, lines: &mut String) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Ok(amount) = serde_json::from_value::<Money>(value.clone()) {
        lines.push_str(&format!("{path}: {amount}\n"));
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&below(name), value, lines);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&below(&index.to_string()), value, lines);
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => lines.push_str(&format!("{path}: {text}\n")),
        Value::Bool(_) | Value::Number(_) => lines.push_str(&format!("{path}: {value}\n")),
    }
}

/// `nothing_asked`: whether nothing can have happened because of the command.
fn fail_client(error: &ClientError, nothing_asked: bool, output: &mut Output<'_>) -> Exit {
    let message = explain(error);
    match error {
        ClientError::NotRunning => output.fail(Exit::Failed, "AGENT_NOT_RUNNING", &message),
        ClientError::Forbidden => output.fail(Exit::Failed, "FORBIDDEN", &message),
        ClientError::TimedOut | ClientError::Gone if nothing_asked => {
            output.fail(Exit::Failed, "AGENT_SILENT", &message)
        }
        ClientError::TimedOut | ClientError::Gone => {
            output.fail(Exit::OutcomeUnknown, "OUTCOME_UNKNOWN", &message)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(screen: &Value) -> (Option<Exit>, String) {
        let mut stdout = Vec::new();
        let mut output = Output::new(&mut stdout, false);
        let exit = screen_exit(screen, &mut output);
        (exit, String::from_utf8(stdout).unwrap())
    }

    #[test]
    fn only_an_approval_says_approved() {
        for (status, reason, exit) in [
            ("approved", "", Exit::Ok),
            ("declined", "issuer_declined", Exit::Refused),
            ("canceled", "cashier_canceled", Exit::Failed),
            ("failed", "customer_did_not_pay", Exit::Failed),
            ("failed", "reader_fault", Exit::DeviceFault),
            ("in_doubt", "host_silent", Exit::OutcomeUnknown),
            ("reversed", "card_removed", Exit::Failed),
        ] {
            let screen = json!({
                "screen": "concluded",
                "pos_id": "pos_01h2xcejqtf2nbrexx3vqjhp41",
                "status": status,
                "reason": reason,
                "amount": {"minor": 1250, "currency": "USD"},
                "tip": null,
                "transaction_id": null,
            });
            let (ended, text) = end(&screen);
            assert_eq!(ended, Some(exit), "{status}");
            assert_eq!(text.contains("APPROVED"), status == "approved", "{text}");
            assert!(text.contains("USD 12.50"), "{text}");
        }
        let (ended, text) = end(&json!({"screen": "finishing", "pos_id": "x"}));
        assert_eq!((ended, text.as_str()), (None, ""));
    }

    #[test]
    fn a_decline_says_what_to_do_and_a_reservation_that_it_is_one() {
        let mut screen = json!({
            "screen": "concluded",
            "pos_id": "pos_01h2xcejqtf2nbrexx3vqjhp41",
            "status": "declined",
            "reason": "host_declined",
            "amount": {"minor": 1250, "currency": "USD"},
            "advice": "use_chip",
        });
        let (exit, text) = end(&screen);
        assert_eq!(exit, Some(Exit::Refused));
        assert!(text.contains("what to do: This card has a chip"), "{text}");
        // A word that this version does not know, and none.
        for advice in [json!("dance"), Value::Null] {
            screen["advice"] = advice;
            assert!(!end(&screen).1.contains("what to do"));
        }
        screen["status"] = json!("approved");
        assert!(!end(&screen).1.contains("reserved"));
        screen["kind"] = json!("authorization");
        assert!(end(&screen).1.contains("the amount is reserved"));
    }

    #[test]
    fn refusals_have_exit_codes() {
        for (code, exit) in [
            ("ENGINE_UNREACHABLE", Exit::EngineUnreachable),
            ("TERMINAL_BUSY", Exit::Refused),
            ("FORBIDDEN", Exit::Refused),
            ("READER_NOT_READY", Exit::DeviceFault),
            ("INVALID_AMOUNT", Exit::Usage),
        ] {
            assert_eq!(refusal_exit(code), exit, "{code}");
        }
    }

    #[test]
    fn answers_are_lines_of_text() {
        let text = answer_text(&json!({
            "result": "tip_adjusted",
            "total": {"minor": 1400, "currency": "USD"},
            "empty": "",
            "open": ["a"],
        }));
        assert_eq!(text, "open.0: a\nresult: tip_adjusted\ntotal: USD 14.00\n");
    }
}
