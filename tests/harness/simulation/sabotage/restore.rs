//! Lies about an engine that was restored from a backup.

use engine::offline::Finding;
use engine::owner::key;
use engine::owner::stored::Counters;
use engine::owner::work::Stored as _;
use protocol::id::IncarnationId;
use protocol::link::{PosStatus, ToAgent};

use super::Sabotage;
use crate::simulation::restore::incarnation;
use crate::simulation::world::World;

impl World {
    /// The life that a restored database begins.
    pub(in super::super) fn restored_life(&self, number: u8) -> IncarnationId {
        match self.sabotage {
            Some(Sabotage::KeepIncarnation) => incarnation(0),
            _ => incarnation(number),
        }
    }

    /// What the comparison with the acquirer's book has found.
    pub(in super::super) fn lie_in_comparison(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        if self.sabotage == Some(Sabotage::HideLost) {
            findings.retain(|one| one.rule != "authorization_is_known");
        }
        findings
    }

    /// Whether a till is not told of what was lost; changes what it is told.
    pub(in super::super) fn lie_about_lost(&self, message: &mut ToAgent) -> bool {
        let ToAgent::Concluded(concluded) = message else {
            return false;
        };
        let is_lost = self.history.lost.is_unknown_pos(concluded.pos_id);
        if is_lost && self.sabotage == Some(Sabotage::DenyLost) {
            concluded.status = PosStatus::Failed;
        }
        is_lost && self.sabotage == Some(Sabotage::IgnoreLost)
    }
}

/// A merchant's counters as if they had been counted in this life.
pub(in super::super) fn counted_here(row: Vec<u8>, life: Option<IncarnationId>) -> Vec<u8> {
    match Counters::from_bytes(&row) {
        Some(counters) => Counters {
            incarnation: life,
            ..counters
        }
        .to_bytes(),
        None => row,
    }
}

/// Whether a row holds a merchant's counters.
pub(in super::super) fn is_counters(row_key: &[u8]) -> bool {
    row_key.first() == Some(&key::COUNTERS)
}
