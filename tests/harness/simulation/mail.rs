//! What the engine's owners cause: answers, messages, requests to the acquirer; and what tills say.

use engine::acquirer::AcquirerAction;
use engine::agent_link::till_request;
use engine::domain::rejection::Rejection;
use engine::owner::access_change::AccessChange;
use engine::owner::machine::Input;
use engine::owner::merchant::{Effect, MerchantInput, TerminalEvent};
use engine::owner::request::{CallerId, Reply, TillCaller};
use engine::owner::terminal::{TerminalInput, TerminalOutput};
use protocol::id::TerminalId;
use protocol::link::{HandshakeReply, Refused, RefusedReason, ToEngine};

use super::checker::{self, Violation};
use super::engine::{Caller, Mail, Return};
use super::till::Till;
use super::watch::Seen;
use super::world::World;

impl World {
    pub(super) fn carry_out(&mut self, merchant: usize, effect: Effect) {
        let Some(effect) = self.lie_in_effect(merchant, effect) else {
            return;
        };
        match effect {
            Effect::Answer { caller, reply } => self.answer(caller, reply),
            Effect::Welcome {
                terminal_id,
                socket,
                label,
                currencies,
                prints_known,
            } => {
                let input = TerminalInput::Welcome {
                    socket,
                    label,
                    currencies,
                    prints_known,
                };
                self.tell_terminal(terminal_id, input);
            }
            Effect::RefuseLink {
                terminal_id,
                socket,
                reason,
            } => self.tell_terminal(terminal_id, TerminalInput::Refuse { socket, reason }),
            Effect::ToTerminal {
                terminal_id,
                message,
            } => {
                let early = self.early_approval(&message);
                self.tell_terminal(terminal_id, TerminalInput::Send(message));
                if let Some(early) = early {
                    self.tell_terminal(terminal_id, TerminalInput::Send(early));
                }
            }
            Effect::Configure {
                terminal_id,
                configuration,
            } => self.tell_terminal(terminal_id, TerminalInput::Configure(configuration)),
            Effect::Acquirer(request) => {
                let is_authorization = matches!(request.action, AcquirerAction::Authorize { .. });
                self.authorizations += u64::from(is_authorization);
                let id = request.transaction_id;
                self.check(checker::money_moves_only_after_commit(&self.history, id));
                self.submit(merchant, *request);
            }
            Effect::Publish(AccessChange::DropLink(terminal_id)) => {
                self.tell_terminal(terminal_id, TerminalInput::Reset { is_renewed: true });
                self.model_learns_of_pairing(terminal_id);
            }
            Effect::Publish(change) => self.publish(change),
            // No policy lets anybody arm a fault here: this world has faults of its own.
            Effect::Misbehave(misbehaviour) => self.broken(format!("{misbehaviour:?}")),
        }
    }

    fn tell_terminal(&mut self, terminal_id: TerminalId, input: TerminalInput) {
        let till = self
            .tills
            .iter()
            .position(|till| till.terminal_id == terminal_id);
        if let Some(till) = till {
            self.engine.post(Mail::Terminal(till, Box::new(input)));
        }
    }

    /// By the committed pairing, not by what a terminal's owner is told: that may be a lie.
    fn model_learns_of_pairing(&mut self, terminal_id: TerminalId) {
        let of = |till: &Till| till.terminal_id == terminal_id;
        if let Some(till) = self.tills.iter().position(of) {
            self.duplicates.remove(&till);
            self.model.identity_renewed(till);
        }
    }

    pub(super) fn answer(&mut self, number: CallerId, reply: Result<Reply, Rejection>) {
        let Some(caller) = self.engine.callers.remove(&number) else {
            return;
        };
        let mut reply = reply;
        self.lie_in_reply(&caller, &mut reply);
        self.check_reply(&caller, &reply);
        match caller.to {
            Return::Client { client, call } => self.answer_client(client, call, reply),
            Return::Till(till) => {
                let message = Box::new(till_request::answer(till.request_id, reply));
                self.tell_terminal(till.terminal_id, TerminalInput::Send(message));
            }
            Return::Staff(errand) => self.errand_answered(errand, reply),
        }
    }

    pub(super) fn terminal_hears(&mut self, till: usize, input: TerminalInput) {
        let mut out = Vec::new();
        let now = self.engine_now();
        let seen = Seen::of(&input);
        self.engine.terminals[till].handle(now, input, &mut out);
        self.check_link(till, &seen, &out);
        for output in out {
            if self.ends_here() {
                return;
            }
            match output {
                TerminalOutput::Welcome { socket, welcome } => {
                    if self.duplicates.contains(&till) {
                        let what = format!("terminal {till} is welcomed as one of two");
                        self.violate(Violation::new("duplicates_stay_out", what));
                    }
                    self.welcome_pulse(socket);
                    self.say(socket, &HandshakeReply::Welcome(welcome));
                }
                TerminalOutput::Refuse { socket, reason } => {
                    self.note(|| format!("till {till} is refused: {reason:?}"));
                    if reason == RefusedReason::DuplicateIdentity {
                        self.notice_duplicate(till);
                    }
                    self.say(socket, &HandshakeReply::Refused(Refused { reason }));
                    self.hang_up(socket, true);
                }
                TerminalOutput::Send { socket, message } => {
                    self.note(|| format!("engine to till {till}: {message:?}"));
                    self.check_message(&message);
                    self.say(socket, &*message);
                }
                TerminalOutput::Close { socket } if self.hears_old_links() => {
                    self.note(|| format!("socket {socket} stays open"));
                }
                TerminalOutput::Close { socket } => self.hang_up(socket, true),
                TerminalOutput::Merchant(event) => self.tell_merchant(till, *event),
                TerminalOutput::Status => {}
                TerminalOutput::Told { askers, freshness } => self.told(till, &askers, freshness),
            }
        }
    }

    fn tell_merchant(&mut self, till: usize, event: TerminalEvent) {
        let (terminal_id, merchant) = (self.tills[till].terminal_id, self.tills[till].merchant);
        match event {
            TerminalEvent::Said(ToEngine::Request {
                request_id,
                request,
            }) => {
                let caller = TillCaller {
                    terminal_id,
                    request_id,
                };
                if let Some(denied) = self.till_door(merchant, terminal_id, request_id, &request) {
                    self.tell_terminal(terminal_id, TerminalInput::Send(Box::new(denied)));
                    return;
                }
                let claim = Some(till_request::claim(terminal_id, request_id, &request));
                let request = till_request::request(caller, request, self.engine_now());
                self.ask(
                    Caller {
                        merchant,
                        claim,
                        to: Return::Till(caller),
                    },
                    request,
                );
            }
            event => {
                let input = MerchantInput::Terminal { terminal_id, event };
                self.engine
                    .post(Mail::Merchant(merchant, Box::new(Input::Outside(input))));
            }
        }
    }
}
