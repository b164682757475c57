//! The agent's machines: whatever devices, engine and cashier say, in any order.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{PosTransactionId, PrintJobId, RequestId};
use protocol::link::{PosKind, PosStatus, TillRequest, TillStart, ToAgent, Welcome, decode};
use protocol::money::Money;
use protocol::reader::command::Interfaces;
use protocol::reader::frame::Response;
use terminal_agent::machine::agent::{
    Agent, AgentConfig, ControlCommand, ControlId, Input as AgentInput, Output as AgentOutput,
    TipKey,
};
use terminal_agent::machine::printer::{
    Input as PrinterInput, JobState, Output as PrinterOutput, PrinterConfig, PrinterMachine,
};
use terminal_agent::machine::reader::{
    Event, Input, Output, ReaderConversation, ReaderConversationConfig, Request, Start,
};
use terminal_agent::machine::record::{JOURNAL_FORMAT, JournalEntry, JournalState};
use terminal_agent::machine::screen::Screen;
use terminal_agent::machine::translate;

use super::corpus::{link_messages, reader_flows};
use super::input::Choices;
use super::printer::arbitrary_receipt;
pub(super) use super::reader::WORDS;

const STEPS_MAX: usize = 300;
/// Inputs in a row after which a deadline may still be due: one that ends a wait may begin another
/// that is over too.
const AT_ONCE_MAX: u32 = 12;

fn amount(choices: &mut Choices<'_>) -> Money {
    let currency = choices.pick(&["EUR", "USD", "JPY", "KWD"]);
    let minor = match choices.byte() {
        minor @ 0..=239 => i64::from(minor),
        _ => i64::from_le_bytes(choices.array()),
    };
    Money::new(minor, currency.parse().expect("a currency"))
}

/// The conversation with a reader that says anything.
pub(super) fn reader(data: &[u8]) {
    drop(reader_events(data));
}

fn reader_events(data: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut choices = Choices::new(data);
    let mut conversation = ReaderConversation::new(ReaderConversationConfig::standard());
    let mut now_ms = 0;
    let mut passed_in_vain = 0;
    let mut said_yes = false;
    for _ in 0..STEPS_MAX {
        if choices.is_over() {
            break;
        }
        let bytes = reader_bytes(&mut choices);
        let input = match choices.byte() % 16 {
            0 => Input::PortOpened,
            1 => Input::PortClosed,
            2..=9 => Input::Bytes(&bytes),
            10 | 11 => {
                // A yes is for one transaction.
                said_yes &= conversation.is_busy();
                Input::Request(Request::Start(Start {
                    amount: amount(&mut choices),
                    timeout_ms: choices.duration_ms(),
                    interfaces: Interfaces::ALL,
                    prompt: None,
                }))
            }
            12 => {
                let approved = choices.byte() & 1 != 0;
                said_yes |= approved;
                Input::Request(Request::HostAnswer {
                    approved,
                    response_code: choices.array(),
                    issuer_data: choices.short().to_vec(),
                })
            }
            13 => Input::Request(match choices.byte() & 1 {
                0 => Request::HostUnreachable,
                _ => Request::Cancel,
            }),
            14 => {
                now_ms += choices.duration_ms();
                Input::Deadline
            }
            _ => {
                now_ms = conversation.poll_deadline().unwrap_or(now_ms).max(now_ms);
                Input::Deadline
            }
        };
        let mut out = Vec::new();
        conversation.handle(now_ms, input, &mut out);
        for output in &out {
            if let Output::Event(Event::ChipFinal { approved: true, .. }) = output {
                assert!(said_yes, "approved without the issuer");
            }
            if let Output::Event(event) = output {
                drop(translate::reader_event(event.clone()));
                events.push(event.clone());
            }
        }
        let is_due = conversation
            .poll_deadline()
            .is_some_and(|due_ms| due_ms <= now_ms);
        passed_in_vain = if is_due { passed_in_vain + 1 } else { 0 };
        assert!(passed_in_vain < AT_ONCE_MAX, "time stands still");
    }
    events
}

/// Raw bytes, or a frame of any content.
fn reader_bytes(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.byte() % 4 {
        0 => choices.short().to_vec(),
        1 => choices.long().to_vec(),
        _ => {
            let cmd = choices.pick(&[
                0x02, 0x60, 0x05, 0x18, 0x29, 0x12, 0xC7, 0x04, 0x01, 0x2C, 0x14,
            ]);
            let status = choices.pick(&[0x00, 0x00, 0x63, 0x23, 0x0A, 0x0E, 0x08]);
            let data = choices.short().to_vec();
            Response::new(cmd, status, data).map_or_else(|_| Vec::new(), |frame| frame.encode())
        }
    }
}

/// The printer's conversation: jobs, answers, silence, open and closed ports.
pub(super) fn printer(data: &[u8]) {
    drop(printer_states(data));
}

fn printer_states(data: &[u8]) -> Vec<JobState> {
    let mut states = Vec::new();
    let mut choices = Choices::new(data);
    let mut machine = PrinterMachine::new(PrinterConfig::new(48));
    let mut now_ms = 0;
    let mut passed_in_vain = 0;
    let mut unwritten = 0;
    let mut ready = None;
    let mut begun = BTreeSet::new();
    let mut jobs: BTreeMap<PrintJobId, bool> = BTreeMap::new();
    for _ in 0..STEPS_MAX {
        if choices.is_over() {
            break;
        }
        let input = match choices.byte() % 16 {
            0 => PrinterInput::PortOpened,
            1 => PrinterInput::PortClosed,
            2..=6 => PrinterInput::Bytes(choices.short()),
            7 => PrinterInput::Bytes(choices.pick(&[
                b"\x12\x12\x12\x12".as_slice(),
                b"\x14\0\0\x0F",
                b"\x5FTM-T88V\0",
                b"\x37\x220001\0",
                b"\x37\x220002\0",
                b"\x13",
                b"\x11",
                b"\x7E",
            ])),
            8 => PrinterInput::Written(std::mem::take(&mut unwritten)),
            9 | 10 => match ready {
                Some(job_id) => {
                    begun.insert(job_id);
                    PrinterInput::Begin { job_id }
                }
                // Nobody was asked for.
                None => PrinterInput::Begin {
                    job_id: PrintJobId::from_bytes([0xEE; 16]),
                },
            },
            11 | 12 => {
                let job_id = PrintJobId::from_bytes([choices.byte() % 8; 16]);
                jobs.entry(job_id).or_default();
                PrinterInput::Job {
                    job_id,
                    receipt: arbitrary_receipt(Choices::new(choices.short())),
                    opens_drawer: choices.byte() & 1 != 0,
                }
            }
            13 => {
                now_ms += choices.duration_ms();
                PrinterInput::Deadline
            }
            _ => {
                now_ms = machine.poll_deadline().unwrap_or(now_ms).max(now_ms);
                PrinterInput::Deadline
            }
        };
        let is_repeat = matches!(input, PrinterInput::Job { .. });
        let mut out = Vec::new();
        machine.handle(now_ms, input, &mut out);
        for output in out {
            match output {
                PrinterOutput::Write(bytes) => unwritten += bytes.len(),
                PrinterOutput::Ready { job_id } => ready = Some(job_id),
                PrinterOutput::JobReport { job_id, state } => {
                    let has_bytes_out = matches!(
                        state,
                        JobState::Printing | JobState::Printed | JobState::Unknown
                    );
                    assert!(
                        !has_bytes_out || begun.contains(&job_id),
                        "bytes of a job that is not on record"
                    );
                    let ended = jobs.get_mut(&job_id).expect("a job that was given");
                    assert!(!*ended || is_repeat, "a second end of a job");
                    *ended = state.is_final();
                    states.push(state);
                    drop(translate::print_state(state));
                    assert!(state != JobState::Printed || *ended);
                }
                PrinterOutput::Status(status) => drop(status.is_ready()),
            }
        }
        let is_due = machine
            .poll_deadline()
            .is_some_and(|due_ms| due_ms <= now_ms);
        passed_in_vain = if is_due { passed_in_vain + 1 } else { 0 };
        assert!(passed_in_vain < AT_ONCE_MAX, "time stands still");
    }
    states
}

/// The agent: messages of any kind in any order, answered by a journal that may fail.
pub(super) fn agent(data: &[u8]) {
    let messages = link_messages_of_agent();
    let mut choices = Choices::new(data);
    let entries = [
        JournalEntry::Header {
            format: JOURNAL_FORMAT,
            journal_id: protocol::id::JournalId::from_bytes([7; 16]),
        },
        JournalEntry::Boot { number: 1 },
    ];
    let mut agent = Agent::resume(
        AgentConfig::new("fuzz", true),
        JournalState::from_entries(&entries),
    );
    let mut now_ms = 0;
    let mut passed_in_vain = 0;
    let mut owed = 0u32;
    let mut approved: Vec<PosTransactionId> = Vec::new();
    for _ in 0..STEPS_MAX {
        if choices.is_over() || agent.is_faulted() {
            break;
        }
        let input = match choices.byte() % 16 {
            _ if owed > 0 && choices.byte() & 3 != 0 => {
                owed = 0;
                if choices.byte() == 0xFF {
                    AgentInput::PersistFailed
                } else {
                    AgentInput::Persisted
                }
            }
            0 => AgentInput::LinkConnecting {
                version: 1 + u16::from(choices.byte() % 2),
            },
            1 => AgentInput::LinkUp(Welcome {
                epoch: choices.number(),
                now_ms: choices.number(),
                label: "Lane 1".to_owned(),
                prints_known: Vec::new(),
                currencies: Vec::new(),
            }),
            2 => AgentInput::LinkDown,
            3..=7 => AgentInput::Message(Box::new(
                messages[usize::from(choices.byte()) % messages.len()].clone(),
            )),
            8 => match decode::<ToAgent>(choices.long()) {
                Ok(message) => AgentInput::Message(Box::new(message)),
                Err(_) => AgentInput::Deadline,
            },
            9..=11 => reader_event(&mut choices),
            12 => AgentInput::Control(ControlId(1), control(&mut choices)),
            13 => AgentInput::ControlClosed(ControlId(1)),
            14 => {
                now_ms += choices.duration_ms();
                AgentInput::Deadline
            }
            _ => {
                now_ms = agent.poll_deadline().unwrap_or(now_ms).max(now_ms);
                AgentInput::Deadline
            }
        };
        if let AgentInput::Message(message) = &input
            && let ToAgent::Concluded(concluded) = &**message
            && concluded.status == PosStatus::Approved
        {
            approved.push(concluded.pos_id);
        }
        let mut out = Vec::new();
        agent.handle(now_ms, input, &mut out);
        for output in out {
            match output {
                AgentOutput::Persist(entries) => {
                    assert!(owed == 0 && !entries.is_empty(), "two writes at once");
                    owed += 1;
                }
                AgentOutput::Show(Screen::Concluded(concluded)) => {
                    let is_told = approved.contains(&concluded.pos_id);
                    assert!(concluded.status != PosStatus::Approved || is_told);
                }
                other => drop(format!("{other:?}")),
            }
        }
        let is_due = agent.poll_deadline().is_some_and(|due_ms| due_ms <= now_ms);
        passed_in_vain = if is_due { passed_in_vain + 1 } else { 0 };
        assert!(passed_in_vain < AT_ONCE_MAX, "time stands still");
    }
}

fn link_messages_of_agent() -> Vec<ToAgent> {
    thread_local! {
        static MESSAGES: Vec<ToAgent> = link_messages("to_agent")
            .iter()
            .filter_map(|bytes| decode(bytes).ok())
            .collect();
    }
    MESSAGES.with(Clone::clone)
}

fn reader_event(choices: &mut Choices<'_>) -> AgentInput {
    use protocol::link::{AttemptEnd, ReaderState};
    use terminal_agent::machine::agent::ReaderEvent;
    AgentInput::Reader(match choices.byte() % 6 {
        0 => ReaderEvent::Ready {
            serial: "1".to_owned(),
            firmware: "1".to_owned(),
            is_encrypting: choices.byte() != 0,
        },
        1 => ReaderEvent::NotReady {
            state: choices.pick(&[
                ReaderState::Absent,
                ReaderState::Starting,
                ReaderState::NotEncrypting,
            ]),
        },
        2 => ReaderEvent::Progress("reading".to_owned()),
        3 => ReaderEvent::CardData {
            data: choices.short().to_vec(),
            needs_host_answer: choices.byte() & 1 != 0,
        },
        4 => ReaderEvent::ChipFinal {
            is_approved: choices.byte() & 1 != 0,
            data: choices.short().to_vec(),
        },
        _ => ReaderEvent::Ended(choices.pick(&[
            AttemptEnd::CustomerTimeout,
            AttemptEnd::CardRemoved,
            AttemptEnd::ReaderFault,
            AttemptEnd::OfflineNotAllowed,
        ])),
    })
}

fn control(choices: &mut Choices<'_>) -> ControlCommand {
    let request_id = RequestId::from_bytes([choices.byte() % 4; 16]);
    match choices.byte() % 6 {
        0 => ControlCommand::Request {
            request_id,
            request: TillRequest::Start(TillStart {
                kind: PosKind::Sale,
                amount: amount(choices),
                reference: None,
                tip_prompt: choices.byte() & 1 != 0,
            }),
        },
        1 => ControlCommand::CancelCurrent {
            request_id,
            void_if_too_late: choices.byte() & 1 != 0,
        },
        2 => ControlCommand::CancelKey,
        3 => ControlCommand::ChooseTip(TipKey::Option(usize::from(choices.byte()))),
        4 => ControlCommand::ChooseTip(TipKey::Amount(amount(choices))),
        _ => ControlCommand::Status,
    }
}

/// Frames as the reader sends them at its start and in a sale, as steps.
pub(super) fn reader_seeds() -> Vec<Vec<u8>> {
    // No bytes, then "port opened".
    let mut steps = vec![0, 0, 0];
    // A frame: its place in the list of commands, status, data; then "bytes".
    let frame = |command: u8, data: &[u8]| {
        let length = u8::try_from(data.len()).expect("short");
        [&[2, command, 0, length], data, &[2]].concat()
    };
    for (command, data) in [
        (3, "".as_bytes()),
        (2, b""),
        (4, b"FW 1"),
        (5, b"SIM0000001"),
        (7, b""),
        (7, b""),
        (8, b""),
        (6, b"\x03"),
        (8, b""),
    ] {
        steps.extend(frame(command, data));
    }
    let silence = [steps.as_slice(), &[0, 0, 15].repeat(20)].concat();
    let mut seeds = vec![steps.clone(), silence];
    // A sale over 12.34 euros, then what the reader says in each of the vectors' flows; the issuer's yes after
    // every frame, or only at the end.
    let start = [0, 0, 10, 0, 240, 0xD2, 0x04, 0, 0, 0, 0, 0, 0, 250];
    let yes = [0, 0, 12, 1, b'0', b'0', 0];
    for flow in reader_flows() {
        for is_late in [false, true] {
            let mut sale = [steps.as_slice(), &start].concat();
            for bytes in &flow {
                sale.push(1);
                sale.extend(u16::try_from(bytes.len()).expect("short").to_le_bytes());
                sale.extend(bytes);
                sale.push(2);
                if !is_late {
                    sale.extend(yes);
                }
            }
            sale.extend(yes);
            seeds.push(sale);
        }
    }
    seeds
}

/// A job as the simulated printer prints it, recorded as steps.
pub(super) fn printer_seeds() -> Vec<Vec<u8>> {
    use firmware_sim::printer::{Input as DeviceInput, Output as DeviceOutput};
    let mut device = firmware_sim::printer::PrinterMachine::new(Default::default());
    let mut machine = PrinterMachine::new(PrinterConfig::new(48));
    let receipt = [
        3, 5, b'T', b'O', b'T', b'A', b'L', 3, b'4', b'.', b'5', 6, 7,
    ];
    let mut out = Vec::new();
    machine.handle(0, PrinterInput::PortOpened, &mut out);
    let job = PrinterInput::Job {
        job_id: PrintJobId::from_bytes([1; 16]),
        receipt: arbitrary_receipt(Choices::new(&receipt)),
        opens_drawer: false,
    };
    machine.handle(0, job, &mut out);
    let mut steps = vec![0, 11, 1, u8::try_from(receipt.len()).expect("short")];
    steps.extend(receipt);
    steps.push(0);
    // Until nothing more is written; a receipt takes some twenty turns.
    for _ in 0..100 {
        let mut said = Vec::new();
        let mut written = 0;
        for output in std::mem::take(&mut out) {
            match output {
                PrinterOutput::Write(bytes) => {
                    written += bytes.len();
                    device.handle(0, DeviceInput::HostBytes(&bytes), &mut said);
                }
                PrinterOutput::Ready { job_id } => {
                    steps.push(9);
                    machine.handle(0, PrinterInput::Begin { job_id }, &mut out);
                }
                PrinterOutput::JobReport { .. } | PrinterOutput::Status(_) => {}
            }
        }
        if written > 0 {
            steps.push(8);
            machine.handle(0, PrinterInput::Written(written), &mut out);
        }
        for output in said {
            if let DeviceOutput::ToHost(bytes) = output {
                steps.extend([2, u8::try_from(bytes.len()).expect("short")]);
                steps.extend(&bytes);
                machine.handle(0, PrinterInput::Bytes(&bytes), &mut out);
            }
        }
    }
    vec![steps]
}

pub(super) fn agent_seeds() -> Vec<Vec<u8>> {
    let mut steps = vec![9, 0, 1, 0, 1, 0];
    steps.extend([0; 16]);
    for message in 0..25 {
        steps.extend([3, 0, message, 3, 1, 0, 3, 1, 0]);
    }
    vec![steps]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_come_as_far_as_a_card_and_a_printed_receipt() {
        let events: Vec<_> = reader_seeds()
            .iter()
            .flat_map(|seed| reader_events(seed))
            .collect();
        let is_ready = |event: &Event| matches!(event, Event::Ready { .. });
        assert!(events.iter().any(is_ready), "{events:?}");
        let is_card = |event: &Event| matches!(event, Event::CardData { .. });
        assert!(events.iter().any(is_card), "{events:?}");
        let states: Vec<_> = printer_seeds()
            .iter()
            .flat_map(|seed| printer_states(seed))
            .collect();
        assert!(states.contains(&JobState::Printed), "{states:?}");
    }
}
