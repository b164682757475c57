//! The life of the engine's process: starts, loads owners, delivers mail, ends at any step.
//!
//! Does what the actors around the owners do, and nothing else; keep it like `engine::actor`.

use std::sync::Arc;

use engine::clock::Slewed;
use engine::domain::rejection::Rejection;
use engine::domain::time::Timestamp;
use engine::owner::machine::{Decider as _, Input, Output, Owner, Surroundings};
use engine::owner::merchant::{MerchantInput, MerchantOwner};
use engine::owner::request::{Ask, CallerId, Request};
use engine::owner::terminal::{TerminalInput, TerminalOwner};
use engine::store::{Store as _, Urgency};

use super::engine::{Caller, Mail, Return, Whose};
use super::event::Event;
use super::world::{EPOCH_MS, World};

/// Between giving an owner up and loading it again, as in the actor.
const RELOAD_MS: u64 = 100;

impl World {
    /// Starts the process.
    pub fn start_engine(&mut self) {
        if self.engine.is_up {
            return;
        }
        self.note(|| "engine starts".to_owned());
        self.engine.is_up = true;
        self.engine.up_since_ms = Some(self.now_ms);
        self.engine.clock = Some((self.now_ms, Slewed::at(self.wall_now().0)));
        self.check(self.check_start());
        self.inspect();
        self.load_access();
        for merchant in 0..self.engine.merchants.len() {
            self.load(merchant);
            if !self.engine.is_up {
                return;
            }
        }
        self.pair_again();
        self.pump_engine();
    }

    /// Ends the process between two of its steps. Of the commits that waited the first few may
    /// have reached the disk.
    pub fn crash_engine(&mut self) {
        let waiting = self.engine.store.waiting();
        let kept = self.random.index(waiting + 1);
        self.note(|| format!("engine crashes, {kept} of {waiting} commits kept"));
        self.engine.store.crash(kept);
        let life = self.engine.life;
        self.engine.life += 1;
        self.engine.is_up = false;
        self.nobody_asks();
        self.engine.ends_after = None;
        self.engine.mail = Default::default();
        let callers = std::mem::take(&mut self.engine.callers);
        self.engine.fates = Arc::default();
        for side in &mut self.engine.merchants {
            side.owner = None;
        }
        self.engine.platform = None;
        self.engine.clock = None;
        for terminal in &mut self.engine.terminals {
            *terminal = TerminalOwner::default();
        }
        for connection in self.network.connections.values_mut() {
            if connection.engine_life == life {
                connection.is_engine_open = false;
            }
        }
        self.cut_all(|connection| connection.engine_life == life);
        self.follow_history();
        self.lie_in_crash(kept);
        self.model.engine_ends();
        for caller in callers.into_values() {
            if let Return::Staff(errand) = caller.to {
                self.errand_answered(errand, Err(Rejection::Busy));
            }
        }
        let pause_ms = self.random.between(50, 12_000);
        self.queue.push(self.now_ms + pause_ms, Event::EngineStarts);
    }

    /// Loads an owner, if it is not there. False when it is not there afterwards.
    fn load(&mut self, merchant: usize) -> bool {
        if self.engine.merchants[merchant].owner.is_some() {
            return true;
        }
        let store = Arc::clone(&self.engine.store);
        let limits = self.owner_limits();
        let rows = self.rows(&store);
        let side = &mut self.engine.merchants[merchant];
        match MerchantOwner::load(side.id, limits, &rows) {
            Ok(Some(owner)) => {
                side.owner = Some(owner);
                side.generation += 1;
                self.acquirer.owner_begins(merchant);
                self.merchant_hears(merchant, Input::Resume);
            }
            Ok(None) => self.broken(format!("merchant {merchant} has no row")),
            Err(fault) => self.broken(format!("owner was not loaded: {fault}")),
        }
        self.engine.merchants[merchant].owner.is_some()
    }

    /// Gives an owner up, as the actor does; it is built anew from what is committed.
    pub(super) fn discard(&mut self, merchant: usize) {
        self.turn_away(merchant);
        let owner = self.engine.merchants[merchant].owner.take();
        let kept = owner.into_iter().flat_map(Owner::into_kept).collect();
        for terminal in 0..self.engine.terminals.len() {
            if self.tills[terminal].merchant == merchant {
                let reset = Box::new(TerminalInput::Reset { is_renewed: false });
                self.engine.post(Mail::Terminal(terminal, reset));
            }
        }
        let event = Event::Reloads {
            life: self.engine.life,
            merchant,
            kept,
        };
        self.queue.push(self.now_ms + RELOAD_MS, event);
    }

    /// Answers everybody who waits at an owner.
    fn turn_away(&mut self, merchant: usize) {
        let owner = self.engine.merchants[merchant].owner.as_ref();
        let open = owner.map(|owner| owner.decider().callers_of_open_operations());
        for caller in open.unwrap_or_default() {
            self.answer(caller, Err(Rejection::Internal));
        }
        let is_here = |caller: &Caller| caller.merchant == merchant;
        let callers: Vec<CallerId> = self
            .engine
            .callers
            .iter()
            .filter(|(_, caller)| is_here(caller))
            .map(|(number, _)| *number)
            .collect();
        for caller in callers {
            self.answer(caller, Err(Rejection::Busy));
        }
    }

    /// Some time after an owner was given up.
    pub(super) fn reload(&mut self, life: u64, merchant: usize, kept: Vec<MerchantInput>) {
        if !self.engine.is_up || self.engine.life != life {
            return;
        }
        for input in kept {
            let input = Box::new(Input::Outside(input));
            self.engine.post(Mail::Merchant(merchant, input));
        }
        if self.engine.is_up {
            self.load(merchant);
        }
        self.pump_engine();
    }

    /// A caller asks a merchant's owner.
    pub fn ask(&mut self, mut caller: Caller, mut request: Request) {
        self.note_request(&caller, &request);
        self.engine.callers_made += 1;
        let number = CallerId(self.engine.callers_made);
        let merchant = caller.merchant;
        let asked = caller.claim;
        let refused = self.lie_in_request(number, &mut caller, &mut request);
        let claim = std::mem::replace(&mut caller.claim, asked);
        self.engine.callers.insert(number, caller);
        if let Some(rejection) = refused {
            self.answer(number, Err(rejection));
            return;
        }
        let ask = MerchantInput::Ask(Ask {
            caller: number,
            claim,
            request,
        });
        if MerchantOwner::urgency(&ask) == Urgency::New && self.engine.store.is_exhausted() {
            self.answer(number, Err(Rejection::Busy));
            return;
        }
        self.engine
            .post(Mail::Merchant(merchant, Box::new(Input::Outside(ask))));
    }

    /// Delivers mail until there is none.
    pub fn pump_engine(&mut self) {
        while self.engine.is_up
            && let Some(mail) = self.next_mail()
        {
            match mail {
                Mail::Merchant(merchant, input) => self.merchant_hears(merchant, *input),
                Mail::Terminal(till, input) => self.terminal_hears(till, *input),
                Mail::Platform(input) => self.platform_hears(*input),
            }
        }
    }

    fn next_mail(&mut self) -> Option<Mail> {
        let first = self.random.index(2);
        let mail = &mut self.engine.mail;
        mail[first]
            .pop_front()
            .or_else(|| mail[1 - first].pop_front())
    }

    /// The time of `poll_deadline` has come.
    pub fn engine_deadline(&mut self) {
        self.pulse_timers();
        let now = self.engine_now();
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        for merchant in 0..self.engine.merchants.len() {
            let owner = self.engine.merchants[merchant].owner.as_ref();
            if is_due(owner.and_then(Owner::poll_deadline)) {
                self.engine
                    .post(Mail::Merchant(merchant, Box::new(Input::Deadline)));
            }
        }
        for till in 0..self.engine.terminals.len() {
            if is_due(self.engine.terminals[till].poll_deadline()) {
                self.engine
                    .post(Mail::Terminal(till, Box::new(TerminalInput::Deadline)));
            }
        }
        self.pump_engine();
    }

    pub(super) fn ends_here(&mut self) -> bool {
        match &mut self.engine.ends_after {
            Some(0) => {
                self.crash_engine();
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn merchant_hears(&mut self, merchant: usize, input: Input<MerchantInput>) {
        if !self.load(merchant) || !self.engine.is_up {
            return;
        }
        self.acquirer.note_heard(merchant, &input, self.now_ms);
        let now = self.owner_now(&input);
        let store = Arc::clone(&self.engine.store);
        let rows = self.rows(&store);
        self.ids.now_ms = EPOCH_MS + self.now_ms;
        let Some(owner) = &mut self.engine.merchants[merchant].owner else {
            return;
        };
        let mut out = Vec::new();
        let mut around = Surroundings {
            now,
            ids: &mut self.ids,
            rows: &rows,
        };
        owner.handle(input, &mut around, &mut out);
        for output in out {
            if self.ends_here() {
                return;
            }
            match output {
                Output::Commit(commit) => self.commit(Whose::Merchant(merchant), commit),
                Output::Effect(effect) => self.carry_out(merchant, effect),
                Output::Discard(fault) => {
                    self.broken(format!("owner discarded: {fault}"));
                    self.discard(merchant);
                    return;
                }
            }
        }
    }
}
