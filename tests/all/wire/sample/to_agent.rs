//! Samples of every message to a till.

use std::sync::Arc;

use super::{ATTEMPT, FAULT, JOB, POS, REQUEST, TRANSACTION, dollars};
use protocol::link::{
    Advice, AnswerBody, Concluded, Configuration, Grant, HostAnswer, HostDecision, Offer, PosKind,
    PosStatus, PrintCommand, RequestRefused, Setting, SimulatorCommand, TipPrompt, ToAgent,
};
use protocol::receipt::{Align, Copy, Entry, Receipt};

pub(super) fn to_agent() -> Vec<(&'static str, ToAgent)> {
    let mut messages = offers();
    messages.extend(answers());
    messages.extend(conclusions());
    messages.extend([
        (
            "",
            ToAgent::SelectTip {
                pos_id: POS,
                amount: dollars(1234),
                prompt: TipPrompt {
                    options_bps: vec![1000, 1500],
                    custom: true,
                    timeout_s: 30,
                },
            },
        ),
        (
            "",
            ToAgent::ReadCard(Grant {
                pos_id: POS,
                attempt_id: ATTEMPT,
                number: 1,
                amount: dollars(1434),
                expires_in_ms: 60_000,
            }),
        ),
        ("", ToAgent::Stop { pos_id: POS }),
        (
            "",
            ToAgent::AttemptClosed {
                pos_id: POS,
                attempt_id: ATTEMPT,
            },
        ),
        ("", ToAgent::Print(Box::new(print_command()))),
        (
            "knows",
            ToAgent::Print(Box::new(PrintCommand {
                known: vec![JOB],
                ..print_command()
            })),
        ),
        (
            "begun",
            ToAgent::Print(Box::new(PrintCommand {
                has_begun: true,
                ..print_command()
            })),
        ),
        ("", ToAgent::Simulate(simulator_command())),
        ("", ToAgent::ReportStatus { ask: 7 }),
        ("", ToAgent::Configure(configuration())),
        ("", ToAgent::Ping),
        ("", ToAgent::Pong),
    ]);
    let advised = |decision, issuer_data, advice| {
        ToAgent::HostAnswer(HostAnswer {
            pos_id: POS,
            attempt_id: ATTEMPT,
            decision,
            issuer_data,
            advice,
        })
    };
    let host = |decision, issuer_data| advised(decision, issuer_data, None);
    let advice = |advice| advised(HostDecision::Declined, Vec::new(), Some(advice));
    messages.extend([
        (
            "approved",
            host(HostDecision::Approved, vec![0x91, 0x02, 0x30, 0x30]),
        ),
        ("declined", host(HostDecision::Declined, Vec::new())),
        ("unreachable", host(HostDecision::Unreachable, Vec::new())),
        ("use_chip", advice(Advice::UseChip)),
        ("try_later", advice(Advice::TryLater)),
        ("call_bank", advice(Advice::CallBank)),
        ("check_reader", advice(Advice::CheckReader)),
    ]);
    messages
}

fn offers() -> Vec<(&'static str, ToAgent)> {
    let sale = Offer {
        pos_id: POS,
        kind: PosKind::Sale,
        amount: dollars(1234),
        reference: Some("order 7".to_owned()),
        request_id: Some(REQUEST),
    };
    let authorization = Offer {
        kind: PosKind::Authorization,
        reference: None,
        request_id: None,
        ..sale.clone()
    };
    vec![
        ("sale", ToAgent::Offer(sale)),
        ("authorization", ToAgent::Offer(authorization)),
    ]
}

fn answers() -> Vec<(&'static str, ToAgent)> {
    let bodies = vec![
        ("started", AnswerBody::Started { pos_id: POS }),
        (
            "canceled",
            AnswerBody::Canceled {
                verdict: "too_late_approved".to_owned(),
            },
        ),
        ("print_queued", AnswerBody::PrintQueued { job_id: JOB }),
        (
            "tip_adjusted",
            AnswerBody::TipAdjusted {
                transaction_id: TRANSACTION,
                total: dollars(1434),
            },
        ),
        (
            "voided",
            AnswerBody::Voided {
                transaction_id: TRANSACTION,
                is_final: true,
            },
        ),
        (
            "refused",
            AnswerBody::Refused(RequestRefused {
                code: "FORBIDDEN".to_owned(),
                message: "Not allowed.".to_owned(),
            }),
        ),
    ];
    let answer = |(name, body)| {
        (
            name,
            ToAgent::Answer {
                request_id: REQUEST,
                body,
            },
        )
    };
    bodies.into_iter().map(answer).collect()
}

fn conclusions() -> Vec<(&'static str, ToAgent)> {
    let statuses = [
        ("in_progress", PosStatus::InProgress),
        ("approved", PosStatus::Approved),
        ("declined", PosStatus::Declined),
        ("canceled", PosStatus::Canceled),
        ("failed", PosStatus::Failed),
        ("in_doubt", PosStatus::InDoubt),
        ("reversed", PosStatus::Reversed),
    ];
    let conclude = |(name, status)| {
        let is_approved = status == PosStatus::Approved;
        let concluded = Concluded {
            pos_id: POS,
            status,
            reason: if is_approved {
                String::new()
            } else {
                "host_declined".to_owned()
            },
            amount: dollars(1434),
            tip: is_approved.then(|| dollars(200)),
            transaction_id: is_approved.then_some(TRANSACTION),
            kind: None,
            advice: None,
        };
        (name, ToAgent::Concluded(concluded))
    };
    let mut conclusions: Vec<_> = statuses.into_iter().map(conclude).collect();
    let whole = Concluded {
        pos_id: POS,
        status: PosStatus::Declined,
        reason: "host_declined".to_owned(),
        amount: dollars(1434),
        tip: None,
        transaction_id: None,
        kind: Some(PosKind::Authorization),
        advice: Some(Advice::UseChip),
    };
    conclusions.push(("advised", ToAgent::Concluded(whole)));
    conclusions
}

fn print_command() -> PrintCommand {
    let text = |align| Entry::Text {
        text: "Text".to_owned(),
        align,
    };
    PrintCommand {
        known: Vec::new(),
        has_begun: false,
        job_id: JOB,
        receipt: Arc::new(Receipt {
            copy: Copy::Customer,
            is_duplicate: true,
            entries: vec![
                Entry::Heading {
                    text: "APPROVED".to_owned(),
                },
                text(Align::Left),
                text(Align::Centre),
                text(Align::Right),
                Entry::Field {
                    name: "total".to_owned(),
                    label: "TOTAL".to_owned(),
                    value: "USD 14.34".to_owned(),
                    emphasis: true,
                },
                Entry::Rule,
                Entry::Blank,
                Entry::Signature,
                Entry::Qr {
                    content: "QR".to_owned(),
                },
                Entry::Barcode {
                    content: "128".to_owned(),
                },
            ],
        }),
        open_drawer: false,
    }
}

fn simulator_command() -> SimulatorCommand {
    SimulatorCommand {
        fault_id: FAULT,
        device: "reader".to_owned(),
        command: "present".to_owned(),
        arguments: vec![("card".to_owned(), "visa".to_owned())],
        wait_for: vec!["polling".to_owned()],
    }
}

fn configuration() -> Configuration {
    Configuration {
        version: 4,
        settings: vec![Setting {
            name: "till.idle_text".to_owned(),
            value: "Welcome".to_owned(),
        }],
    }
}
