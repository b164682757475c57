//! What is broken or missing, what it means, and what to do about it. PURE.

use protocol::link::{PaperState, ReaderState};
use protocol::money::Currency;

use super::{Absence, Contact, Till, words};
use crate::device::fault::PortState;
use crate::machine::agent::AgentStatus;

impl Till {
    /// What is broken, what it means, what to do: the most important first.
    pub(super) fn alerts(&self, now_ms: u64) -> Vec<String> {
        let mut alerts: Vec<String> = Vec::new();
        let mut say = |text: &str| alerts.push(text.to_owned());
        match self.contact {
            Contact::None(Absence::NotRunning) => {
                say(
                    "AGENT NOT RUNNING: no payment is possible. Start `terminal-agent run` or its \
                     service; this screen connects by itself.",
                );
            }
            Contact::None(Absence::Forbidden) => {
                say(
                    "NO ACCESS TO THE AGENT: this user may not open its socket. Call the \
                     technician.",
                );
            }
            Contact::Open { .. } if self.is_silent(now_ms) => {
                say("AGENT DOES NOT ANSWER: wait; if it stays so, restart it.");
            }
            Contact::Open { .. } => {}
        }
        if self.out_of_order.is_some() {
            say(
                "TILL OUT OF ORDER: its journal cannot be written. Take no payments, call the \
                 technician.",
            );
        }
        if let Some(status) = &self.status {
            if !self.is_online {
                say(
                    "ENGINE OFFLINE: no sale can start. Check network cable or Wi-Fi; it \
                     reconnects by itself.",
                );
            }
            alerts.extend(reader_alert(status.till.reader, Some(&self.ports.reader)));
            alerts.extend(printer_alert(status, self.ports.printer.as_ref()));
            alerts.extend(currency_alert(self.currency, &status.currencies));
            if status.till.paper == PaperState::NearEnd {
                alerts.push("PAPER NEARLY OUT: have a new roll ready.".to_owned());
            }
        }
        alerts
    }

    pub(super) fn health(&self) -> String {
        let Some(status) = &self.status else {
            let text = match self.contact {
                Contact::None(_) => "agent: not connected",
                Contact::Open { .. } => "agent: connecting",
            };
            return text.to_owned();
        };
        let engine = if self.is_online { "online" } else { "OFFLINE" };
        let reader = match status.till.reader {
            ReaderState::Ready => "ready",
            ReaderState::Starting => "starting",
            ReaderState::Absent => "MISSING",
            ReaderState::NotEncrypting => "BLOCKED",
        };
        let printer = match printer_alert(status, None) {
            _ if !status.has_printer => "none",
            None if status.till.paper == PaperState::NearEnd => "paper low",
            None => "ready",
            Some(_) => "NOT READY",
        };
        let prints = match status.waiting_prints.len() {
            0 => String::new(),
            count => format!(", {count} waiting"),
        };
        format!("engine: {engine} | reader: {reader} | printer: {printer}{prints}")
    }
}

fn reader_alert(state: ReaderState, port: Option<&PortState>) -> Option<String> {
    let text = match (state, port) {
        (ReaderState::Ready, _) => return None,
        (ReaderState::Starting, _) => "READER STARTING: wait a few seconds.",
        (
            ReaderState::Absent,
            Some(PortState::Faulty {
                message, remedy, ..
            }),
        ) => {
            return Some(port_alert("READER NOT FOUND", message, remedy));
        }
        (ReaderState::Absent, _) => {
            "READER NOT FOUND: check its cable and power. It is found again by itself."
        }
        (ReaderState::NotEncrypting, _) => {
            "READER BLOCKED: it would not encrypt card data and is not used. Call the technician."
        }
    };
    Some(text.to_owned())
}

fn currency_alert(typed: Option<Currency>, taken: &[Currency]) -> Option<String> {
    let typed = typed.filter(|typed| !taken.is_empty() && !taken.contains(typed))?;
    let taken: Vec<_> = taken.iter().map(|currency| currency.code()).collect();
    let taken = taken.join(", ");
    Some(format!(
        "WRONG CURRENCY: this shop does not take {typed}, but {taken}. Press x."
    ))
}

fn printer_alert(status: &AgentStatus, port: Option<&PortState>) -> Option<String> {
    if !status.has_printer {
        return None;
    }
    let till = &status.till;
    let text = if let Some(PortState::Faulty {
        message, remedy, ..
    }) = port
    {
        return Some(port_alert("PRINTER NOT FOUND", message, remedy));
    } else if till.cover_open {
        "PRINTER COVER OPEN: close it. Receipts wait."
    } else if matches!(till.paper, PaperState::Out) {
        "NO PAPER: put in a new roll. Receipts wait; payments go on."
    } else if !till.printer_online {
        "PRINTER NOT READY: check its cable and power. Receipts wait; payments go on."
    } else if !till.printer_trouble.is_empty() {
        let trouble = words::foreign(&till.printer_trouble.replace('_', " "));
        return Some(format!(
            "PRINTER STOPPED ({trouble}): look at it. Receipts wait; payments go on."
        ));
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// What the agent saw at a port, and what it advises.
fn port_alert(what: &str, seen: &str, remedy: &str) -> String {
    let (seen, remedy) = (words::foreign(seen), words::foreign(remedy));
    format!("{what}: {seen}. {remedy}")
}
