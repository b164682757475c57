//! Lies at a till, and on its link.

use engine::domain::pos::PosTransaction;
use engine::owner::terminal::VerifiedHello;
use protocol::id::PosTransactionId;
use protocol::link::{ChipOutcome, Concluded, PosStatus, ToAgent, ToEngine};
use terminal_agent::machine::agent::{AgentConfig, Input};
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
        }))
    }
}
