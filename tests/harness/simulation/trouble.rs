//! How a world begins, the faults that strike at an instant, and how it heals.

use std::sync::Arc;

use engine::domain::merchant::{DeviceKey, Merchant, Terminal};
use engine::domain::time::Timestamp;
use engine::owner::key;
use engine::owner::work::{Ids as _, Stored as _};
use engine::store::{Commit, MemoryStore, Record, Row, Store as _, Urgency};
use firmware_sim::reader::Input as ReaderInput;
use firmware_sim::reader::fault::{Fault as LineFault, Scope};
use protocol::id::{MerchantId, TerminalId};

use super::client::Client;
use super::engine::Engine;
use super::event::Event;
use super::fault::Fault;
use super::printer::Printer;
use super::till::Till;
use super::world::{EPOCH_MS, World};

impl World {
    /// Boards merchants with their tills and clients, and lets everything begin.
    pub(super) fn populate(&mut self) {
        let store = Arc::new(MemoryStore::new());
        let merchants = self.random.between(1, 2);
        let mut ids = Vec::new();
        self.ids.now_ms = EPOCH_MS - 1_000;
        for merchant in 0..usize::try_from(merchants).unwrap_or(1) {
            let merchant_id = MerchantId::from_uuid(self.ids.next());
            let tills = self.random.between(1, 2);
            let terminals: Vec<TerminalId> = (0..tills)
                .map(|_| TerminalId::from_uuid(self.ids.next()))
                .collect();
            board(&store, merchant_id, &terminals);
            for terminal_id in terminals {
                let serial = self.tills.len();
                // Firmware that prints line by line costs most of a world's time.
                let printer = if self.random.chance(25) {
                    Printer::driven()
                } else {
                    Printer::default()
                };
                self.tills
                    .push(Till::new(terminal_id, merchant, serial, printer));
            }
            for _ in 0..self.random.between(1, 2) {
                self.clients.push(Client::new(merchant));
            }
            ids.push(merchant_id);
        }
        self.engine = Engine::new(store, &ids, self.tills.len());
        self.follow_history();
        self.queue.push(0, Event::EngineStarts);
        for till in 0..self.tills.len() {
            self.queue.push(10, Event::TillStarts { till });
            let first_ms = self.random.between(3_000, 20_000);
            self.queue.push(first_ms, Event::Cashier { till });
        }
        for client in 0..self.clients.len() {
            let first_ms = self.random.between(2_500, 8_000);
            self.queue.push(first_ms, Event::Client { client });
        }
        let first_ms = self.random.between(3_000, 15_000);
        self.queue.push(first_ms, Event::Trouble);
        let last_ms = self.random.between(60_000, 300_000);
        self.queue.push(last_ms, Event::Heals);
    }

    /// One of the seed's faults strikes somewhere.
    pub(super) fn trouble(&mut self) {
        let kinds = self.plan.kinds();
        if self.plan.is_over {
            return;
        }
        let next_ms = self.random.between(500, 15_000);
        self.queue.push(self.now_ms + next_ms, Event::Trouble);
        if kinds.is_empty() {
            return;
        }
        let fault = *self.random.pick(&kinds);
        let till = self.random.index(self.tills.len());
        self.note(|| format!("trouble: {} (till {till})", fault.word()));
        match fault {
            Fault::LinkCut => {
                let connection = self.tills[till].connection();
                if let Some(connection) = connection {
                    self.cut(connection);
                }
            }
            Fault::EngineCrash if self.engine.is_up => {
                // Not at once, but between any two of its next steps.
                let steps = self.random.below(25);
                self.engine.ends_after = Some(steps);
            }
            Fault::AgentKill | Fault::AgentPower => {
                let steps = self.random.below(12);
                self.tills[till].ends_after = Some((steps, fault));
            }
            Fault::AgentReimaged if self.random.chance(25) => {
                self.end_till(till, Fault::AgentReimaged);
            }
            Fault::JournalFails if self.random.chance(50) => {
                self.tills[till].is_journal_failing = true;
            }
            Fault::ReaderFault => {
                let kind = *self.random.pick(&[
                    LineFault::WrongCrc,
                    LineFault::Truncated,
                    LineFault::Duplicate,
                    LineFault::Late,
                    LineFault::Mute,
                    LineFault::EventFirst,
                    LineFault::Refused,
                    LineFault::Reset,
                ]);
                let scope = *self.random.pick(&[Scope::Next, Scope::NextFinal]);
                self.reader_input(till, ReaderInput::Fault(kind, scope));
            }
            // Forward by no more than the margin in the acquirer's longest delay.
            Fault::ClockStep if self.random.chance(30) => {
                let back_ms = self.random.below(60_000);
                let back_ms = i64::try_from(back_ms).unwrap_or(0);
                self.clock_skew_ms += *self.random.pick(&[1_000, -back_ms]);
            }
            Fault::ReaderUnplugged => self.unplug(till),
            Fault::PrinterTrouble | Fault::PrinterPower | Fault::PrinterUnplugged => {
                if !self.printer_trouble(till, fault) {
                    return;
                }
            }
            // The rest strike where something is sent, written or said.
            _ => return,
        }
        self.plan.strike(fault);
    }

    /// The last fault has struck: from here on everything works.
    pub(super) fn heal(&mut self) {
        self.note(|| "the last fault has struck".to_owned());
        self.plan.is_over = true;
        self.engine.ends_after = None;
        for till in 0..self.tills.len() {
            self.tills[till].ends_after = None;
            self.tills[till].is_journal_failing = false;
            self.reader_input(till, ReaderInput::ClearFaults);
            let plug = self.tills[till].plug;
            self.plug_in(till, plug);
            self.heal_printer(till);
        }
        self.queue.push(self.now_ms + 1_000, Event::Looks);
    }
}

fn board(store: &MemoryStore, merchant_id: MerchantId, terminals: &[TerminalId]) {
    let created_at = Timestamp(i64::try_from(EPOCH_MS).unwrap_or(0));
    let merchant = Merchant {
        id: merchant_id,
        partner_id: None,
        name: "Corner Shop".to_owned(),
        address: vec!["1 High Street".to_owned()],
        phone: None,
        currencies: vec![super::client::euro()],
        utc_offset_minutes: 60,
        created_at,
    };
    let mut rows = vec![Row {
        key: key::merchant(merchant_id),
        value: Some(merchant.to_bytes()),
    }];
    for (lane, id) in terminals.iter().enumerate() {
        let terminal = Terminal {
            id: *id,
            merchant_id,
            label: format!("Lane {lane}"),
            serial_number: None,
            device_key: Some(DeviceKey([7; 32])),
            paired_at: Some(created_at),
            journal_id: None,
            created_at,
        };
        rows.push(Row {
            key: key::terminal(merchant_id, *id),
            value: Some(terminal.to_bytes()),
        });
    }
    let commit = Commit {
        stream: key::merchant_stream(merchant_id),
        expected_seq: 0,
        records: vec![Record {
            event: Vec::new(),
            rows,
        }],
        urgency: Urgency::New,
    };
    store.commit(commit, Box::new(|_| ()));
    store.sync();
}
