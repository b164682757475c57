//! Who looks after keys, allowlists and tills: the operator, the merchant's office, the technician.
//!
//! They ask the owners as anybody does; an answer that is lost is asked for again.

use engine::domain::merchant::DeviceKey;
use engine::domain::permission::{Allowlist, Permission};
use engine::domain::rejection::Rejection;
use engine::domain::scope::{Scope, ScopeSet};
use engine::domain::token::{ApiKey, Secret};
use engine::owner::machine::{Input, Output, Surroundings};
use engine::owner::platform::{PlatformAsk, PlatformEffect, PlatformOwner};
use engine::owner::request::{
    Answer, CallerId, PlatformAnswer, PlatformRequest, RedeemPairingCode, Reply, Request,
};
use protocol::id::{PairingCodeId, PartnerId};

use super::access::Turned;
use super::engine::{Caller, Mail, Return, Whose};
use super::event::Event;
use super::world::{EPOCH_MS, World};

/// What somebody has set out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// A client gets another key.
    Mint {
        /// Which.
        client: usize,
    },
    /// A client's key stops working.
    Revoke {
        /// Whose.
        client: usize,
    },
    /// A till, or all of them, are to be otherwise.
    Configure {
        /// Which, or whose.
        till: usize,
        /// Which text.
        text: u64,
        /// Whether only this one.
        is_own: bool,
        /// Whether one after the other.
        in_waves: bool,
    },
    /// A till is paired anew, beginning with a code.
    Code {
        /// Which.
        till: usize,
    },
    /// The code is typed at the till.
    Redeem {
        /// At which.
        till: usize,
        /// The code.
        code_id: PairingCodeId,
    },
}

impl World {
    /// Somebody changes who may do what.
    pub(super) fn change_access(&mut self) -> bool {
        if !self.engine.is_up {
            return false;
        }
        let client = self.random.index(self.clients.len());
        if self.random.chance(40) {
            self.run_errand(Errand::Revoke { client });
            return true;
        }
        let Some(partner_id) = self.partner else {
            return false;
        };
        let kept_percent = *self.random.pick(&[100, 80, 30]);
        let mut kept = Vec::new();
        for permission in Permission::ALL {
            if self.random.chance(kept_percent) {
                kept.push(*permission);
            }
        }
        self.set_allowlist(partner_id, Allowlist::of(kept));
        true
    }

    fn set_allowlist(&mut self, partner_id: PartnerId, allowlist: Allowlist) {
        self.note(|| format!("allowlist of {} permissions", allowlist.iter().count()));
        self.engine.callers_made += 1;
        let ask = PlatformAsk {
            caller: CallerId(self.engine.callers_made),
            claim: None,
            request: PlatformRequest::SetAllowlist {
                partner_id,
                allowlist,
            },
        };
        let input = Box::new(Input::Outside(ask));
        self.engine.post(Mail::Platform(input));
        self.pump_engine();
    }

    /// The platform's actor.
    pub(super) fn platform_hears(&mut self, input: Input<PlatformAsk>) {
        let store = std::sync::Arc::clone(&self.engine.store);
        let now = self.engine_now();
        self.ids.now_ms = EPOCH_MS + self.now_ms;
        if self.engine.platform.is_none() {
            self.engine.platform = PlatformOwner::load(store.as_ref()).ok();
            self.engine.platform_generation += 1;
        }
        let Some(owner) = &mut self.engine.platform else {
            return;
        };
        let mut out = Vec::new();
        let mut around = Surroundings {
            now,
            ids: &mut self.ids,
            rows: store.as_ref(),
        };
        owner.handle(input, &mut around, &mut out);
        for output in out {
            if self.ends_here() {
                return;
            }
            match output {
                Output::Commit(commit) => self.commit(Whose::Platform, commit),
                Output::Effect(PlatformEffect::Publish(change)) => self.publish(change),
                Output::Effect(PlatformEffect::Answer { reply, .. }) => {
                    if let Ok(Reply::Fresh(PlatformAnswer::PartnerChanged(partner))) = &reply {
                        self.check_in_force(partner);
                    }
                }
                Output::Discard(fault) => {
                    self.broken(format!("platform owner discarded: {fault}"));
                }
            }
        }
    }

    /// Somebody does what they have set out to do, or tries again later.
    pub(super) fn run_errand(&mut self, errand: Errand) {
        if !self.engine.is_up {
            self.queue
                .push(self.now_ms + 2_000, Event::Staff { errand });
            return;
        }
        let (merchant, request) = match errand {
            Errand::Mint { client } => {
                let request = Request::CreateApiKey {
                    label: "sim".to_owned(),
                    scopes: self.some_scopes(),
                    expires_at: None,
                    secret: self.a_secret(),
                };
                (self.clients[client].merchant, request)
            }
            Errand::Revoke { client } => {
                let key_id = self.clients[client].key_id;
                (
                    self.clients[client].merchant,
                    Request::RevokeApiKey { key_id },
                )
            }
            Errand::Configure {
                till,
                text,
                is_own,
                in_waves,
            } => {
                let request = self.configuring(till, text, is_own, in_waves);
                (self.tills[till].merchant, request)
            }
            Errand::Code { till } => {
                let request = Request::CreatePairingCode {
                    terminal_id: self.tills[till].terminal_id,
                    life_s: 900,
                    serial_number: None,
                    code: self.a_secret(),
                };
                (self.tills[till].merchant, request)
            }
            Errand::Redeem { till, code_id } => {
                let request = Request::RedeemPairingCode(RedeemPairingCode {
                    code_id,
                    device_key: self.make_device_key(till),
                    serial_number: None,
                });
                (self.tills[till].merchant, request)
            }
        };
        let to = Return::Staff(errand);
        let claim = None;
        let caller = Caller {
            merchant,
            claim,
            to,
        };
        self.ask(caller, request);
        self.pump_engine();
    }

    /// What becomes of it.
    pub(super) fn errand_answered(&mut self, errand: Errand, reply: Result<Reply, Rejection>) {
        match (errand, reply) {
            (Errand::Mint { client }, Ok(Reply::Fresh(Answer::ApiKeyCreated(key, secret)))) => {
                let known = &mut self.clients[client];
                known.has_asked_for_key = false;
                known.key_id = key.id;
                known.token = ApiKey::text(key.id, &secret).expose().to_owned();
            }
            (
                Errand::Code { till },
                Ok(Reply::Fresh(Answer::PairingCodeCreated(code, _secret))),
            ) => {
                let code_id = code.id;
                let errand = Errand::Redeem { till, code_id };
                let at_ms = self.now_ms + self.random.between(1_000, 20_000);
                self.queue.push(at_ms, Event::Staff { errand });
            }
            (Errand::Redeem { till, .. }, Ok(Reply::Fresh(Answer::Paired(terminal, ..)))) => {
                if let Some(device_key) = terminal.device_key {
                    self.paired_anew(till, device_key);
                }
            }
            (Errand::Revoke { .. }, _) | (_, Ok(_)) => {}
            // Open work, a busy engine, a code that is too old.
            (Errand::Redeem { till, .. }, Err(_)) => self.send_technician(till),
            (errand, Err(_)) => {
                self.queue
                    .push(self.now_ms + 3_000, Event::Staff { errand });
            }
        }
    }

    /// A client that was turned away looks for help, or gives its call up.
    pub(super) fn client_turned_away(&mut self, client: usize, call: u64, turned: Turned) {
        if !self.clients[client].gives_up(call) {
            return;
        }
        let has_asked = &mut self.clients[client].has_asked_for_key;
        if turned == Turned::Unauthorized && !std::mem::replace(has_asked, true) {
            let at_ms = self.now_ms + self.random.between(500, 10_000);
            let errand = Errand::Mint { client };
            self.queue.push(at_ms, Event::Staff { errand });
        }
    }

    fn some_scopes(&mut self) -> ScopeSet {
        let percent = *self.random.pick(&[100, 100, 70]);
        let mut scopes = ScopeSet::new();
        for scope in Scope::ALL {
            if self.random.chance(percent) {
                scopes.insert(*scope);
            }
        }
        scopes
    }

    pub(super) fn a_secret(&mut self) -> Secret {
        let part = self.random.next();
        Secret::new(format!("{part:016x}").repeat(4))
    }
}

/// The key of an installation of a till.
pub fn device_key(number: u64) -> DeviceKey {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    DeviceKey(key)
}
