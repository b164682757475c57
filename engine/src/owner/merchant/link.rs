//! A terminal comes back: what it has open is held against what is open here, by id, before any new
//! work. Nothing is resumed by message number.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::id::{JournalId, PosTransactionId, PrintJobId, TerminalId};
use protocol::link::{
    AttemptEnd, Digest, DigestState, HostDecision, PosStatus, PrintReport, PrintState,
    RefusedReason, ToAgent,
};

use crate::domain::installation::Connecting;
use crate::domain::pos::{AttemptState, PosTransaction, Stage};
use crate::domain::print::PrintJob;
use crate::domain::reason::Reason;

use super::start::offer;
use super::till::{concluded, end_attempt};
use super::{Decided, Effect, MerchantOwner, MerchantWork};

/// What a till says when it comes.
pub(super) struct Hello {
    pub(super) socket: u64,
    pub(super) journal_id: JournalId,
    pub(super) open: Vec<Digest>,
    pub(super) prints: Vec<PrintReport>,
}

impl MerchantOwner {
    pub(super) fn link_up(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        hello: Hello,
    ) -> Decided {
        let Hello {
            socket,
            journal_id,
            open,
            prints,
        } = hello;
        let Some(mut terminal) = self.terminal(work, terminal_id)? else {
            return Ok(());
        };
        if terminal.device_key.is_none() {
            // It was released while its hello was on the way.
            let reason = RefusedReason::Unauthorized;
            work.effect(Effect::RefuseLink {
                terminal_id,
                socket,
                reason,
            });
            return Ok(());
        }
        let known = terminal.installations;
        let connecting = terminal.installations.connect(work.now, journal_id);
        if terminal.installations != known {
            self.save_terminal(work, "terminal.linked", &terminal);
        }
        if connecting == Connecting::Duplicate {
            let reason = RefusedReason::DuplicateIdentity;
            work.effect(Effect::RefuseLink {
                terminal_id,
                socket,
                reason,
            });
            return Ok(());
        }
        let prints_known: Vec<PrintJobId> = prints.iter().map(|report| report.job_id).collect();
        work.effect(Effect::Welcome {
            terminal_id,
            socket,
            label: terminal.label.clone(),
            currencies: self.merchant.currencies.clone(),
            prints_known,
        });
        self.push_configuration(work, &terminal);
        let is_same_journal = connecting == Connecting::Known;
        self.links.insert(terminal_id, Arc::new(terminal));
        for report in &prints {
            self.print_reported(work, terminal_id, report)?;
        }
        // The welcome has acknowledged these, and what was on the former link is in the hello.
        self.prints_reported.remove(&terminal_id);
        let known: BTreeSet<PosTransactionId> = open.iter().map(|digest| digest.pos_id).collect();
        for digest in open {
            self.reconcile(work, terminal_id, digest)?;
        }
        let unknown_there: Vec<PosTransaction> = self
            .open
            .values()
            .filter(|pos| pos.terminal_id == terminal_id && !known.contains(&pos.id))
            .cloned()
            .collect();
        for pos in unknown_there {
            self.reconcile_unknown(work, pos, is_same_journal)?;
        }
        let jobs: Vec<PrintJob> = self
            .prints
            .values()
            .filter(|job| job.terminal_id == terminal_id)
            .cloned()
            .collect();
        for job in jobs {
            if is_same_journal {
                self.send_print(work, &job);
            } else {
                // The journal that knew whether paper came out is gone: nothing prints twice.
                let report = PrintReport {
                    job_id: job.id,
                    state: PrintState::Unknown,
                };
                self.print_reported(work, terminal_id, &report)?;
            }
        }
        Ok(())
    }

    /// One POS transaction that the terminal has open.
    fn reconcile(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        digest: Digest,
    ) -> Decided {
        let found = self
            .pos(work, digest.pos_id)?
            .filter(|pos| pos.terminal_id == terminal_id);
        let Some(pos) = found else {
            self.conclude_unknown(work, terminal_id, digest.pos_id, Some(&digest.state));
            return Ok(());
        };
        if self.concludes_lost_card(work, &pos, &digest) {
            return Ok(());
        }
        if !pos.stage.occupies_terminal() {
            self.send(work, terminal_id, ToAgent::Concluded(concluded(&pos)));
            return Ok(());
        }
        let is_current = digest.attempt_id == pos.current_attempt().map(|attempt| attempt.id);
        match digest.state {
            DigestState::Accepted => self.go_on(work, pos),
            DigestState::Completed(completion) => {
                return self.completed(work, terminal_id, completion);
            }
            DigestState::Lost if !pos.stage.is_before_no_return() => {
                return self.reverse(work, pos, Reason::TerminalRestarted);
            }
            DigestState::Ended(end) if is_current => {
                self.attempt_ended(work, pos, digest.attempt_id, end);
            }
            DigestState::Reading
            | DigestState::Sent
            | DigestState::Lost
            | DigestState::Ended(_) => {
                return self.catch_up(work, pos);
            }
        }
        Ok(())
    }

    /// The terminal waits for the next word; what it is depends on the stage only.
    fn catch_up(&mut self, work: &mut MerchantWork<'_>, pos: PosTransaction) -> Decided {
        match (
            pos.stage,
            pos.current_attempt().map(|attempt| attempt.state),
        ) {
            (Stage::Confirming, _) => {
                // Issuer data is not kept: the chip decides without it, and its word is final.
                self.send_host_answer(work, &pos, HostDecision::Approved, Vec::new());
            }
            (Stage::AwaitingCard, Some(AttemptState::Declined)) => {
                self.send_host_answer(work, &pos, HostDecision::Declined, Vec::new());
            }
            (Stage::AwaitingCard, Some(AttemptState::Granted)) => {
                // Card data was on its way when the link broke and is forgotten on both sides.
                let attempt_id = pos.current_attempt().map(|attempt| attempt.id);
                self.attempt_ended(work, pos, attempt_id, AttemptEnd::LinkLost);
            }
            (Stage::Offered | Stage::SelectingTip, _) => self.go_on(work, pos),
            // The acquirer's answer is still to come.
            _ => {}
        }
        Ok(())
    }

    /// The terminal has accepted and was not told more.
    fn go_on(&mut self, work: &mut MerchantWork<'_>, pos: PosTransaction) {
        match pos.stage {
            Stage::Offered => self.accepted(work, pos),
            Stage::SelectingTip => self.send_tip_prompt(work, &pos),
            Stage::AwaitingCard => self.send_grant(work, &pos),
            _ => {}
        }
    }

    /// One POS transaction that is open here and that the terminal knows nothing of.
    fn reconcile_unknown(
        &mut self,
        work: &mut MerchantWork<'_>,
        pos: PosTransaction,
        is_same_journal: bool,
    ) -> Decided {
        let reason = if is_same_journal {
            Reason::TerminalRestarted
        } else {
            Reason::TerminalReplaced
        };
        match pos.stage {
            Stage::Offered => self.send(work, pos.terminal_id, ToAgent::Offer(offer(&pos))),
            Stage::SelectingTip | Stage::AwaitingCard => {
                let is_declined = pos
                    .current_attempt()
                    .is_some_and(|attempt| attempt.state == AttemptState::Declined);
                if is_declined {
                    self.close(work, pos, PosStatus::Declined, Reason::HostDeclined);
                } else {
                    self.close(work, end_attempt(pos, reason), PosStatus::Failed, reason);
                }
            }
            Stage::Authorizing | Stage::Confirming => return self.reverse(work, pos, reason),
            Stage::Reversing | Stage::Closed => {}
        }
        Ok(())
    }
}
