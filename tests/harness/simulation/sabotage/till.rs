//! Lies at a till, and on its link.

use engine::domain::pos::PosTransaction;
use engine::owner::terminal::VerifiedHello;
use protocol::id::PosTransactionId;
use protocol::link::{ChipOutcome, Concluded, PosStatus, ToAgent, ToEngine};
use protocol::money::Money;
use terminal_agent::machine::agent::{AgentConfig, Input};
use terminal_agent::machine::printer::JobState;
use terminal_agent::machine::record::JournalEntry;

use super::Sabotage;
use crate::simulation::world::World;

impl World {
    /// How the agent is configured.
    pub(in super::super) fn agent_config(&self) -> AgentConfig {
        let mut config = AgentConfig::new("sim", true);
        if self.sabotage == Some(Sabotage::StartLate) {
            config.go_window_ms = 600_000;
        }
        config
    }

    /// What a start finds on the disk.
    pub(in super::super) fn lie_on_disk(&mut self, number: usize) {
        if self.sabotage == Some(Sabotage::ForgetPrints) {
            self.tills[number].disk.forget(|entry| {
                matches!(
                    entry,
                    JournalEntry::PrintStarted { .. } | JournalEntry::PrintEnded { .. }
                )
            });
        }
    }

    /// What the engine is made to hear of a hello.
    pub(in super::super) fn lie_in_hello(&mut self, hello: &mut VerifiedHello) {
        match self.sabotage {
            Some(Sabotage::ForgetReconcile) => hello.open.clear(),
            Some(Sabotage::ForgetEpoch) => {
                self.lies.hellos += 1;
                hello.boot = u64::MAX;
                hello.connection = self.lies.hellos;
            }
            _ => {}
        }
    }

    /// What a till is made to hear: the reader is asked for another amount.
    pub(in super::super) fn lie_to_till(&self, message: &mut ToAgent) {
        if let ToAgent::ReadCard(grant) = message
            && self.sabotage == Some(Sabotage::ReadOtherAmount)
        {
            grant.amount = Money::new(grant.amount.minor() - 1, grant.amount.currency());
        }
    }

    /// Whether old links stay open.
    pub(in super::super) fn hears_old_links(&self) -> bool {
        self.sabotage == Some(Sabotage::HearOldLinks)
    }

    /// What the agent is told of a print job.
    pub(in super::super) fn lie_about_print(&self, state: JobState) -> JobState {
        match (self.sabotage, state) {
            (Some(Sabotage::ReportPrinted), JobState::Printing) => JobState::Printed,
            _ => state,
        }
    }

    /// What the engine is made to hear, and on which socket.
    pub(in super::super) fn lie_to_engine(
        &mut self,
        till: usize,
        socket: u64,
        message: &mut ToEngine,
    ) -> u64 {
        match (self.sabotage, message) {
            (Some(Sabotage::HearOldLinks), _) => {
                self.lies.links.get(&till).copied().unwrap_or(socket)
            }
            (Some(Sabotage::ReadOtherAmount), ToEngine::Card(report)) => {
                let read = report.data.clone();
                let asked = Money::new(report.amount.minor() + 1, report.amount.currency());
                replace_amount(&mut report.data, report.amount, asked);
                report.amount = asked;
                self.lies.cards.insert(report.data.clone(), read);
                socket
            }
            _ => socket,
        }
    }

    /// What a till tells itself when it says this.
    pub(in super::super) fn lie_to_itself(&self, message: &ToEngine) -> Option<Input> {
        match message {
            ToEngine::Completed(completion)
                if self.sabotage == Some(Sabotage::ApproveUnacknowledged)
                    && completion.chip == ChipOutcome::Agreed =>
            {
                let approval = self.approval_of(completion.pos_id)?;
                Some(Input::Message(Box::new(approval)))
            }
            _ => None,
        }
    }

    /// The message that makes a till show APPROVED.
    pub(super) fn approval_of(&self, pos_id: PosTransactionId) -> Option<ToAgent> {
        let pos: &PosTransaction = self.history.pos.get(&pos_id)?;
        Some(ToAgent::Concluded(Concluded {
            pos_id: pos.id,
            status: PosStatus::Approved,
            reason: String::new(),
            amount: pos.base,
            tip: pos.tip,
            transaction_id: pos.current_transaction(),
            kind: None,
            advice: None,
        }))
    }
}

/// Puts another amount into EMV tag 9F02 (EMV Book 3, annex A: six bytes of digits), wherever it is.
fn replace_amount(data: &mut [u8], read: Money, asked: Money) {
    let field = |amount: Money| {
        let digits = format!("9f0206{:012}", amount.minor());
        hex::decode(digits).unwrap_or_default()
    };
    let (read, asked) = (field(read), field(asked));
    for start in 0..data.len().saturating_sub(read.len()) {
        if let Some(part) = data.get_mut(start..start + read.len())
            && *part == *read
        {
            part.copy_from_slice(&asked);
        }
    }
}
