//! The contract of an owner, kept for a merchant: which rule an input and a deadline go to.
//!
//! Owns the way there; the rules themselves are the rooms beside this one.

use protocol::id::{PosTransactionId, TransactionId};
use protocol::link::RefusedReason;

use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::owner::machine::Decider;
use crate::owner::quarantine::Identity;
use crate::store::Urgency;

use super::link::Hello;
use super::wait::Waiter;
use super::{Decided, Effect, MerchantInput, MerchantOwner, MerchantWork, TerminalEvent, host};

impl MerchantOwner {
    fn take_in(&mut self, input: MerchantInput, work: &mut MerchantWork<'_>) -> Decided {
        match input {
            MerchantInput::Ask(ask) => self.ask(ask, work),
            MerchantInput::Terminal { terminal_id, event } => match event {
                TerminalEvent::Up {
                    socket,
                    journal_id,
                    open,
                    prints,
                } => {
                    let hello = Hello {
                        socket,
                        journal_id,
                        open,
                        prints,
                    };
                    self.link_up(work, terminal_id, hello)
                }
                TerminalEvent::Down => {
                    self.links.remove(&terminal_id);
                    self.prints_reported.remove(&terminal_id);
                    self.rollout_loses(work, terminal_id);
                    Ok(())
                }
                TerminalEvent::Said(message) => self.terminal_said(work, terminal_id, message),
                TerminalEvent::Configured(report) => {
                    self.terminal_configured(work, terminal_id, report);
                    Ok(())
                }
            },
            MerchantInput::Acquirer {
                transaction_id,
                sending,
                answer,
            } => self.acquirer_answered(work, transaction_id, sending, answer),
        }
    }

    fn do_what_is_due(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let now = work.now;
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let late: Vec<PosTransactionId> = self
            .open
            .values()
            .filter(|pos| due(pos.deadline))
            .map(|pos| pos.id)
            .collect();
        for pos_id in late {
            if work.takes_up(Identity::of(&("stage", pos_id))) {
                self.stage_ran_out(work, pos_id)?;
            } else if let Some(pos) = self.open.get_mut(&pos_id) {
                pos.deadline = None;
            }
        }
        let repeats: Vec<TransactionId> = self
            .pending
            .values()
            .filter(|transaction| due(host::next_sending(transaction)))
            .map(|transaction| transaction.id)
            .collect();
        for transaction_id in repeats {
            self.send_again_if_free(work, transaction_id);
        }
        self.expire_faults(work);
        self.go_on_with_rollout(work)?;
        self.answer_late_waiters(work)
    }
}

impl Decider for MerchantOwner {
    type Input = MerchantInput;
    type Effect = Effect;

    // The rules decide as if there were no faults; what was asked for is put beside their effects.
    fn decide(&mut self, input: MerchantInput, work: &mut MerchantWork<'_>) -> Decided {
        let mark = work.effect_mark();
        self.take_in(input, work)?;
        self.misbehave(work, mark);
        Ok(())
    }

    fn deadline(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let mark = work.effect_mark();
        self.do_what_is_due(work)?;
        self.misbehave(work, mark);
        Ok(())
    }

    fn resume(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let mark = work.effect_mark();
        let is_restored = std::mem::take(&mut self.is_restored);
        if is_restored {
            self.resume_restored(work)?;
        }
        self.resume_open_work(work, is_restored)?;
        self.misbehave(work, mark);
        Ok(())
    }

    fn urgency(input: &MerchantInput) -> Urgency {
        input.urgency()
    }

    fn identity(input: &MerchantInput) -> Identity {
        input.identity()
    }

    fn poll_deadline(&self) -> Option<Timestamp> {
        let stages = self.open.values().filter_map(|pos| pos.deadline);
        let repeats = self.pending.values().filter_map(host::next_sending);
        let waiters = self.waiters.iter().map(Waiter::until);
        let faults = self.sandbox.poll_deadline();
        let rollout = self.rollout_deadline();
        let others = waiters.chain(faults).chain(rollout);
        stages.chain(repeats).chain(others).min()
    }

    fn refuse(&mut self, input: MerchantInput, work: &mut MerchantWork<'_>) {
        match input {
            MerchantInput::Ask(ask) => work.effect(Effect::Answer {
                caller: ask.caller,
                reply: Err(Rejection::Internal),
            }),
            // A hello that cannot be reconciled gets no link.
            MerchantInput::Terminal {
                terminal_id,
                event: TerminalEvent::Up { socket, .. },
            } => work.effect(Effect::RefuseLink {
                terminal_id,
                socket,
                reason: RefusedReason::Busy,
            }),
            MerchantInput::Terminal { .. } | MerchantInput::Acquirer { .. } => {}
        }
    }

    /// Callers and terminals ask again; the acquirer says most things once.
    fn worth_keeping(input: &MerchantInput) -> Option<MerchantInput> {
        matches!(input, MerchantInput::Acquirer { .. }).then(|| input.clone())
    }
}
