//! The people at a till: the cashier, the customer with a card, and who trips over the cable.

use engine::acquirer::host::SANDBOX_AMOUNTS;
use engine::owner::work::Ids as _;
use firmware_sim::cards::{self, Behaviour, CARDS, Card, Way};
use firmware_sim::reader::fault::{Fault as LineFault, Scope};
use firmware_sim::reader::{Input as ReaderInput, Phase, Presentation};
use protocol::id::{PosTransactionId, RequestId};
use protocol::link::{PosKind, TillRequest, TillStart};
use protocol::money::Money;
use protocol::receipt::Copy;
use terminal_agent::machine::agent::{ControlCommand, TipKey};
use terminal_agent::machine::reader;
use terminal_agent::machine::screen::Screen;

use super::client::euro;
use super::event::Event;
use super::fault::Fault;
use super::world::{EPOCH_MS, World};

impl World {
    /// The cashier does something, and later something else.
    pub fn cashier(&mut self, till: usize) {
        if self.plan.is_over {
            return;
        }
        let pause_ms = self.random.between(2_000, 40_000);
        self.queue
            .push(self.now_ms + pause_ms, Event::Cashier { till });
        self.ids.now_ms = EPOCH_MS + self.now_ms;
        let request_id = RequestId::from_uuid(self.ids.next());
        let latest = self.latest_pos_at(till);
        let command = match (self.random.below(100), latest) {
            (0..=39, _) => {
                let request = TillRequest::Start(TillStart {
                    kind: PosKind::Sale,
                    amount: self.an_amount(),
                    reference: Some(self.a_reference("till")),
                    tip_prompt: self.random.chance(25),
                });
                ControlCommand::Request {
                    request_id,
                    request,
                }
            }
            (40..=59, _) => {
                let void_if_too_late = self.random.chance(50);
                ControlCommand::CancelCurrent {
                    request_id,
                    void_if_too_late,
                }
            }
            (60..=69, _) => ControlCommand::CancelKey,
            (70..=79, Some(pos_id)) => {
                let copy = *self.random.pick(&[Copy::Merchant, Copy::Customer]);
                let request = TillRequest::Print { pos_id, copy };
                ControlCommand::Request {
                    request_id,
                    request,
                }
            }
            (80..=86, Some(pos_id)) => {
                let tip = Money::new(i64::try_from(self.random.below(150)).unwrap_or(0), euro());
                let request = TillRequest::TipAdjust { pos_id, tip };
                ControlCommand::Request {
                    request_id,
                    request,
                }
            }
            (87..=92, Some(pos_id)) => {
                let void_if_too_late = self.random.chance(50);
                let request = TillRequest::Cancel {
                    pos_id,
                    void_if_too_late,
                };
                ControlCommand::Request {
                    request_id,
                    request,
                }
            }
            _ => ControlCommand::Status,
        };
        let is_impatient = self.random.chance(15);
        if !self.plan.takes() {
            return;
        }
        self.control(till, command.clone());
        if is_impatient {
            self.control(till, command);
        }
    }

    fn latest_pos_at(&self, till: usize) -> Option<PosTransactionId> {
        let terminal_id = self.tills[till].terminal_id;
        let mut latest_first = self.history.pos.values().rev();
        let latest = latest_first.find(|pos| pos.terminal_id == terminal_id)?;
        Some(latest.id)
    }

    /// A name for one intention of one caller: whatever it leads to carries it.
    pub fn a_reference(&mut self, who: &str) -> String {
        self.intentions += 1;
        format!("{who}-{}", self.intentions)
    }

    /// An amount that somebody pays.
    pub fn an_amount(&mut self) -> Money {
        let minor = i64::try_from(self.random.between(100, 20_000)).unwrap_or(100);
        // Some amounts choose an outcome at the host.
        let chosen = self.random.pick(SANDBOX_AMOUNTS).minor;
        let is_lost = (80..=85).contains(&chosen) && !self.plan.has(Fault::HostTrouble);
        let minor = if self.random.chance(25) && !is_lost {
            chosen
        } else {
            minor
        };
        Money::new(minor, euro())
    }

    /// The payer presses a key of the tip prompt, if it is still there.
    pub fn tip_key(&mut self, till: usize, pos_id: PosTransactionId) {
        let shown = self.tills[till]
            .process
            .as_ref()
            .map(|process| &process.screen);
        let is_shown =
            matches!(shown, Some(Screen::SelectTip { pos_id: asked, .. }) if *asked == pos_id);
        if !is_shown {
            return;
        }
        let key = match self.random.below(4) {
            0 => TipKey::None,
            1 => TipKey::Amount(Money::new(37, euro())),
            _ => TipKey::Option(self.random.index(3)),
        };
        self.control(till, ControlCommand::ChooseTip(key));
    }

    /// The reader does something else: whoever left a card in it takes it out, and somebody comes
    /// with a card when it waits for one.
    pub fn phase_changed(&mut self, till: usize, phase: Phase) {
        let is_polling = matches!(phase, Phase::Polling | Phase::Inserting);
        self.tills[till].poll += u64::from(is_polling);
        let poll = self.tills[till].poll;
        let is_free = is_polling || phase == Phase::Idle;
        if is_free && self.tills[till].reader.inserted().is_some() {
            let event = Event::Customer {
                till,
                poll,
                is_leaving: true,
            };
            self.queue.push(self.now_ms + 300, event);
        }
        if !is_polling {
            return;
        }
        let wait_ms = match self.random.below(20) {
            // In the last moment.
            0 => (self.limits.attempt_ms + self.random.below(3_000)).saturating_sub(2_000),
            1 if self.plan.strikes(Fault::OddCustomer, 50, &mut self.random) => return,
            _ => self.random.between(400, 9_000),
        };
        let event = Event::Customer {
            till,
            poll,
            is_leaving: false,
        };
        self.queue.push(self.now_ms + wait_ms, event);
    }

    /// Somebody comes with a card, or takes it away.
    pub fn customer(&mut self, till: usize, poll: u64, is_leaving: bool) {
        if self.tills[till].poll != poll {
            return;
        }
        if is_leaving {
            self.reader_input(till, ReaderInput::Remove);
            return;
        }
        let phase = self.tills[till].reader.phase();
        if !matches!(phase, Phase::Polling | Phase::Inserting) {
            return;
        }
        let is_odd = self.plan.strikes(Fault::OddCustomer, 40, &mut self.random);
        let card = if is_odd {
            // The one that came later is brought in worlds of its own.
            let before = |card: &&Card| card.behaviour != Behaviour::MagstripeMode;
            let odd: Vec<&'static Card> = CARDS.iter().filter(before).collect();
            *self.random.pick(&odd)
        } else {
            let name = *self
                .random
                .pick(&["visa", "mastercard", "amex", "discover", "stripe"]);
            cards::find(name).unwrap_or(&CARDS[0])
        };
        let way = *self.random.pick(card.ways);
        let (card, way) = self.vary_card(card, way);
        self.note(|| format!("till {till}: {} {}", card.name, way.word()));
        self.reader_input(till, ReaderInput::Present(Presentation { card, way }));
        let is_early = self.plan.strikes(Fault::OddCustomer, 20, &mut self.random);
        if way == Way::Insert && is_early {
            let stay_ms = self.random.below(3_000);
            let event = Event::Customer {
                till,
                poll,
                is_leaving: true,
            };
            self.queue.push(self.now_ms + stay_ms, event);
        }
    }

    /// Somebody trips over the reader's cable.
    pub fn unplug(&mut self, number: usize) {
        let till = &mut self.tills[number];
        if !std::mem::take(&mut till.is_plugged) {
            return;
        }
        till.plug += 1;
        let plug = till.plug;
        self.tell_conversation(number, reader::Input::PortClosed);
        let pause_ms = self.random.between(300, 20_000);
        self.queue
            .push(self.now_ms + pause_ms, Event::Plugs { till: number, plug });
    }

    /// And plugs it in again: the reader boots.
    pub fn plug_in(&mut self, number: usize, plug: u64) {
        let till = &mut self.tills[number];
        if till.is_plugged || till.plug != plug {
            return;
        }
        till.is_plugged = true;
        till.plug += 1;
        self.reader_input(number, ReaderInput::Fault(LineFault::Reset, Scope::Next));
        self.tell_conversation(number, reader::Input::PortOpened);
    }
}
