//! What each event leads to.

use engine::owner::merchant::MerchantInput;

use super::event::Event;
use super::world::World;

impl World {
    /// Lets an event happen.
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Frame {
                connection,
                to_engine,
                bytes,
            } => {
                self.frame(connection, to_engine, &bytes);
            }
            Event::Hangup {
                connection,
                to_engine,
            } => self.hangup(connection, to_engine),
            Event::StoreSteps => self.step_store(),
            Event::EngineStarts => self.start_engine(),
            Event::BacksUp => self.back_up(),
            Event::Restores => self.restore(),
            Event::Reloads {
                life,
                merchant,
                kept,
            } => self.reload(life, merchant, kept),
            Event::SpaceReturns => self.space_returns(),
            Event::JournalSpaceReturns { till } => self.tills[till].disk.is_full = false,
            Event::Staff { errand } => self.run_errand(errand),
            Event::Office => self.office(),
            Event::Technician { till } => self.technician(till),
            Event::TurnedAway {
                client,
                call,
                turned,
            } => self.client_turned_away(client, call, turned),
            Event::HostAnswers {
                life,
                merchant,
                transaction_id,
                sending,
                answer,
            } => {
                let input = MerchantInput::Acquirer {
                    transaction_id,
                    sending,
                    answer,
                };
                self.engine_hears(life, merchant, input);
            }
            Event::TillStarts { till } => self.start_till(till),
            Event::Connects { till, life } => self.till_connects(till, life),
            Event::JournalWrites { till, life, bytes } => self.journal_writes(till, life, bytes),
            Event::JournalDone {
                till,
                life,
                is_written,
            } => {
                self.journal_done(till, life, is_written);
            }
            Event::ToReader { till, plug, bytes } => self.reader_hears(till, plug, &bytes),
            Event::FromReader {
                till,
                life,
                plug,
                bytes,
            } => {
                self.reader_says(till, life, plug, &bytes);
            }
            Event::Plugs { till, plug } => self.plug_in(till, plug),
            Event::Customer {
                till,
                poll,
                is_leaving,
            } => self.customer(till, poll, is_leaving),
            Event::ToPrinter {
                till,
                life,
                plug,
                bytes,
            } => {
                self.printer_hears(till, life, plug, &bytes);
            }
            Event::FromPrinter {
                till,
                life,
                plug,
                bytes,
            } => {
                self.printer_says(till, life, plug, &bytes);
            }
            Event::PrinterAccident { till, fault } => self.printer_accident(till, fault),
            Event::PrinterHelped { till, which } => self.printer_helped(till, which),
            Event::PrinterPlugs { till, plug } => self.plug_printer_in(till, plug),
            Event::Prints { till, life, job_id } => self.printed(till, life, job_id),
            Event::Cashier { till } => self.cashier(till),
            Event::TipKey { till, pos_id } => self.tip_key(till, pos_id),
            Event::Client { client } => self.client_acts(client),
            Event::CallArrives {
                client,
                call,
                request,
            } => {
                self.call_arrives(client, *call, *request);
            }
            Event::AnswerArrives {
                client,
                call,
                reply,
            } => {
                self.answer_arrives(client, call, *reply);
            }
            Event::Trouble => self.trouble(),
            Event::Heals => self.heal(),
            Event::Looks => self.look(),
        }
    }
}
