//! Clients of the API: they ask with a key, repeat when no answer comes, and sometimes go away.

use engine::domain::idempotency::{ClaimKey, Fingerprint};
use engine::domain::rejection::Rejection;
use engine::owner::request::{Answer, ClaimRequest, Reply, Request};
use protocol::id::{ApiKeyId, PosTransactionId, TransactionId};
use protocol::money::{Currency, Money};

use super::engine::{Caller, Return};
use super::event::Event;
use super::fault::Fault;
use super::rows::render;
use super::world::World;

/// How often a client repeats before it gives up.
const TRIES_MAX: u32 = 8;

/// What the merchants of a world charge.
pub fn euro() -> Currency {
    Currency::from_number(978).unwrap_or_else(|| unreachable!("978 is the euro in ISO 4217"))
}

/// One call, repeated unchanged.
#[derive(Debug, Clone)]
pub struct Call {
    number: u64,
    key: Option<[u8; 32]>,
    request: Request,
    tries: u32,
    sent_ms: u64,
    is_other_body: bool,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Whose.
    pub merchant: usize,
    call: Option<Call>,
    calls: u64,
    /// The POS transaction that it knows.
    pub pos: Option<PosTransactionId>,
    /// The transaction that it knows.
    pub transaction: Option<TransactionId>,
    /// The API key's id, and its text.
    pub key_id: ApiKeyId,
    /// What it sends as its credential.
    pub token: String,
    /// It has no key that works, and has asked for one.
    pub has_asked_for_key: bool,
}

impl Client {
    /// A client of a merchant, with its key.
    pub const fn new(merchant: usize, key_id: ApiKeyId, token: String) -> Self {
        Self {
            merchant,
            key_id,
            token,
            has_asked_for_key: false,
            call: None,
            calls: 0,
            pos: None,
            transaction: None,
        }
    }

    /// Does without an answer to this call; false when it waits for another one.
    pub fn gives_up(&mut self, call: u64) -> bool {
        let is_it = self.call.as_ref().is_some_and(|known| known.number == call);
        if is_it {
            self.call = None;
        }
        is_it
    }

    /// Does without any answer that it waits for, and does not ask again.
    pub fn forgets_call(&mut self) {
        self.call = None;
    }

    /// Whether it waits for an answer.
    pub const fn waits(&self) -> bool {
        self.call.is_some()
    }
}

impl World {
    /// A client repeats what has no answer, or begins something.
    pub fn client_acts(&mut self, client: usize) {
        let is_patient = self.random.chance(50);
        let known = self.clients[client].call.clone();
        let pause_ms = match known {
            Some(call) if call.tries >= TRIES_MAX => {
                self.clients[client].call = None;
                1_000
            }
            Some(call) if self.now_ms >= call.sent_ms + if is_patient { 40_000 } else { 4_000 } => {
                self.send_call(client, call);
                self.random.between(2_000, 10_000)
            }
            Some(_) => 2_000,
            None if self.plan.is_over => return,
            None => {
                self.begin_call(client);
                self.random.between(1_500, 12_000)
            }
        };
        self.queue
            .push(self.now_ms + pause_ms, Event::Client { client });
    }

    fn begin_call(&mut self, client: usize) {
        let request = self.a_request(client);
        if !self.plan.takes() {
            return;
        }
        let is_read = matches!(request, Request::ReadPos { .. });
        self.intentions += 1;
        let mut key = [1; 32];
        key[8..16].copy_from_slice(&self.intentions.to_le_bytes());
        self.clients[client].calls += 1;
        let number = self.clients[client].calls;
        let key = (!is_read).then_some(key);
        let call = Call {
            number,
            key,
            request,
            tries: 0,
            sent_ms: 0,
            is_other_body: false,
        };
        self.send_call(client, call);
    }

    fn send_call(&mut self, client: usize, mut call: Call) {
        call.tries += 1;
        call.sent_ms = self.now_ms;
        self.clients[client].call = Some(call.clone());
        if self.plan.strikes(Fault::CallerGone, 10, &mut self.random) {
            return;
        }
        let is_slow = self.plan.strikes(Fault::CallerGone, 10, &mut self.random);
        let way_ms = if is_slow {
            self.random.between(500, 30_000)
        } else {
            self.random.below(40)
        };
        if call.key.is_some() && self.plan.strikes(Fault::KeyReused, 15, &mut self.random) {
            self.send_again(client, &call);
        }
        let request = Box::new(call.request.clone());
        let event = Event::CallArrives {
            client,
            call: Box::new(call),
            request,
        };
        self.queue.push(self.now_ms + way_ms, event);
    }

    /// The same key comes at the same time once more, perhaps with another body.
    fn send_again(&mut self, client: usize, call: &Call) {
        let mut again = call.clone();
        if self.random.chance(50)
            && let Request::StartPos(start) = &mut again.request
        {
            start.amount = Money::new(start.amount.minor() + 1, euro());
            let name = start.reference.clone().unwrap_or_default();
            start.reference = Some(format!("{name}-other"));
            again.is_other_body = true;
        }
        let request = Box::new(again.request.clone());
        let event = Event::CallArrives {
            client,
            call: Box::new(again),
            request,
        };
        let way_ms = self.random.below(60);
        self.queue.push(self.now_ms + way_ms, event);
    }

    /// A request reaches the engine, if it runs.
    pub fn call_arrives(&mut self, client: usize, call: Call, mut request: Request) {
        if !self.engine.is_up || self.is_of_the_past(call.sent_ms) {
            return;
        }
        self.note(|| {
            format!(
                "client {client} call {} try {}: {request:?}",
                call.number, call.tries
            )
        });
        if let Err(turned) = self.api_door(client, &request) {
            let at_ms = self.now_ms + self.random.between(1, 40);
            let call = call.number;
            let event = Event::TurnedAway {
                client,
                call,
                turned,
            };
            self.queue.push(at_ms, event);
            return;
        }
        let until = self.engine_now().plus_ms(30_000);
        match &mut request {
            Request::ReadPos { wait_until, .. } => *wait_until = Some(until),
            Request::CancelPos(cancel) => cancel.wait_until = until,
            Request::Void { wait_until, .. } | Request::AdjustTip { wait_until, .. } => {
                *wait_until = until;
            }
            _ => {}
        }
        let claim = call.key.map(|key| ClaimRequest {
            key: ClaimKey(key),
            fingerprint: Fingerprint(if call.is_other_body { [9; 32] } else { key }),
            render,
        });
        let to = Return::Client {
            client,
            // Nobody waits for the answer to another body under the same key.
            call: if call.is_other_body { 0 } else { call.number },
        };
        let merchant = self.clients[client].merchant;
        self.ask(
            Caller {
                merchant,
                claim,
                to,
            },
            request,
        );
        self.pump_engine();
    }

    /// An answer leaves the engine for a client.
    pub fn answer_client(&mut self, client: usize, call: u64, reply: Result<Reply, Rejection>) {
        if self.plan.strikes(Fault::CallerGone, 15, &mut self.random) {
            return;
        }
        let at_ms = self.now_ms + self.random.between(1, 40);
        let event = Event::AnswerArrives {
            client,
            call,
            reply: Box::new(reply),
        };
        self.queue.push(at_ms, event);
    }

    /// An answer reaches a client.
    pub fn answer_arrives(&mut self, client: usize, call: u64, reply: Result<Reply, Rejection>) {
        let known = &mut self.clients[client];
        if known.call.as_ref().is_none_or(|known| known.number != call) {
            return;
        }
        match reply {
            Ok(Reply::Fresh(Answer::Started(pos) | Answer::Pos(pos) | Answer::Canceled(pos))) => {
                known.pos = Some(pos.id);
                known.transaction = pos.current_transaction().or(known.transaction);
                known.call = None;
            }
            // Worth repeating: nothing was stored, or the result is to come.
            Err(Rejection::Busy | Rejection::IdempotencyInProgress { .. }) => {}
            Ok(_) | Err(_) => known.call = None,
        }
    }
}
