//! Tills as a fleet: their names and places, and what they are told to be like.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::id::TerminalId;
use protocol::link::ConfigurationReport;

use crate::domain::merchant::Terminal;
use crate::domain::rejection::Rejection;
use crate::domain::rollout::Rollout;
use crate::domain::terminal_settings::{TerminalDefaults, TerminalSettings, Versioned};

use super::claim::{Answered, Outcome};
use super::{Decided, Effect, MerchantOwner, MerchantWork};
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::{Answer, ChangeTerminal};

impl MerchantOwner {
    /// The last writer wins, field by field.
    pub(super) fn change_terminal(
        &mut self,
        work: &mut MerchantWork<'_>,
        change: ChangeTerminal,
    ) -> Answered {
        let Some(known) = self.terminal(work, change.terminal_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        let mut terminal = known.clone();
        if let Some(label) = change.label {
            terminal.label = label;
        }
        if let Some(location) = change.location {
            terminal.location = location;
        }
        if terminal != known {
            self.save_terminal(work, "terminal.changed", &terminal);
        }
        let resource = terminal.id.to_string();
        Ok(Outcome::Done(
            Answer::TerminalChanged(Box::new(terminal)),
            resource,
        ))
    }

    pub(super) fn set_terminal_settings(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        settings: TerminalSettings,
    ) -> Answered {
        let Some(mut terminal) = self.terminal(work, terminal_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        if terminal.own.settings != settings {
            let mut defaults = self.defaults.clone();
            let version = defaults.next_version();
            terminal.own = Versioned { version, settings };
            self.save_terminal(work, "terminal.configured", &terminal);
            // Only the count has moved.
            self.put_defaults(work, defaults);
            self.push_configuration(work, &terminal);
        }
        let resource = terminal.id.to_string();
        let defaults = Box::new(self.defaults.clone());
        Ok(Outcome::Done(
            Answer::TerminalConfigured(Box::new(terminal), defaults),
            resource,
        ))
    }

    /// Settings of all tills, at once or in waves. A roll-out that is under way ends here: what it
    /// had not reached goes on from what it has.
    pub(super) fn set_terminal_defaults(
        &mut self,
        work: &mut MerchantWork<'_>,
        settings: TerminalSettings,
        in_waves: bool,
    ) -> Outcome {
        let mut defaults = self.defaults.clone();
        let is_on_its_way = defaults
            .rollout
            .as_ref()
            .is_none_or(|rollout| rollout.includes_all() || (in_waves && rollout.is_running()));
        if defaults.current.settings != settings || !is_on_its_way {
            let version = defaults.next_version();
            let reached = defaults
                .rollout
                .as_ref()
                .is_none_or(|rollout| rollout.includes_all());
            if reached {
                defaults.former = defaults.current;
            }
            defaults.current = Versioned { version, settings };
            defaults.rollout =
                in_waves.then(|| Rollout::begin(work.now, self.links.keys().copied()));
            defaults.updated_at = work.now;
            work.happened("terminal_defaults.set", &self.id());
            self.put_defaults(work, defaults);
            self.push_to_all(work);
        }
        let resource = self.id().to_string();
        let defaults = Box::new(self.defaults.clone());
        Outcome::Done(Answer::TerminalDefaultsSet(defaults), resource)
    }

    pub(super) fn put_defaults(&mut self, work: &mut MerchantWork<'_>, defaults: TerminalDefaults) {
        work.put(key::terminal_defaults(self.id()), &defaults);
        work.effect(Effect::Publish(AccessChange::TerminalDefaults(Box::new(
            defaults.clone(),
        ))));
        self.defaults = defaults;
    }

    /// What a till is to have.
    pub(super) fn wanted(&self, terminal: &Terminal) -> Versioned {
        self.defaults.wanted(terminal.id, &terminal.own)
    }

    /// Tells a till's link what the till is to have; it is sent when the till has something else.
    pub(super) fn push_configuration(&self, work: &mut MerchantWork<'_>, terminal: &Terminal) {
        if let Some(configuration) = self.wanted(terminal).for_till() {
            work.effect(Effect::Configure {
                terminal_id: terminal.id,
                configuration: Arc::new(configuration),
            });
        }
    }

    fn push_to_all(&self, work: &mut MerchantWork<'_>) {
        for terminal in self.links.values() {
            self.push_configuration(work, terminal);
        }
    }

    /// A till says what it has.
    pub(super) fn terminal_configured(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        report: ConfigurationReport,
    ) {
        let version = self.defaults.current.version;
        self.move_rollout(work, |now, rollout| match report.refused {
            Some(refused) if refused.version >= version => {
                rollout.refuse(terminal_id, refused.reason)
            }
            _ => report.applied >= version && rollout.confirm(now, terminal_id),
        });
    }

    /// A till has lost its link.
    pub(super) fn rollout_loses(&mut self, work: &mut MerchantWork<'_>, terminal_id: TerminalId) {
        self.move_rollout(work, |now, rollout| rollout.lose(now, terminal_id));
    }

    pub(super) fn go_on_with_rollout(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        let linked: BTreeSet<TerminalId> = match &self.defaults.rollout {
            Some(rollout) if rollout.deadline().is_some_and(|at| at <= work.now) => {
                self.links.keys().copied().collect()
            }
            _ => return Ok(()),
        };
        let has_moved = self.move_rollout(work, |now, rollout| rollout.go_on(now, &linked));
        let rollout = self.defaults.rollout.as_ref();
        let goes_on = rollout.is_some_and(|one| one.is_running() || one.includes_all());
        if has_moved && goes_on {
            self.push_to_all(work);
        }
        Ok(())
    }

    /// Changes the roll-out that is under way, if the change comes to anything.
    fn move_rollout(
        &mut self,
        work: &mut MerchantWork<'_>,
        change: impl FnOnce(crate::domain::time::Timestamp, &mut Rollout) -> bool,
    ) -> bool {
        let Some(mut rollout) = self.defaults.rollout.clone() else {
            return false;
        };
        let has_moved = change(work.now, &mut rollout);
        if has_moved {
            let mut defaults = self.defaults.clone();
            defaults.rollout = Some(rollout);
            work.happened("terminal_defaults.rollout", &self.id());
            self.put_defaults(work, defaults);
        }
        has_moved
    }
}
