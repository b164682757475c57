//! Terminals and API keys.

use std::sync::Arc;

use protocol::id::{ApiKeyId, TerminalId};

use crate::domain::installation::Installations;
use crate::domain::merchant::Terminal;
use crate::domain::rejection::Rejection;
use crate::domain::scope::ScopeSet;
use crate::domain::terminal_settings::Versioned;
use crate::domain::time::Timestamp;
use crate::domain::token::{ApiKey, Secret};

use super::claim::{Answered, Outcome};
use super::{Effect, MerchantOwner, MerchantWork};
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::{Answer, hash_of};

impl MerchantOwner {
    pub(super) fn create_terminal(
        &mut self,
        work: &mut MerchantWork<'_>,
        label: String,
        serial_number: Option<String>,
    ) -> Outcome {
        let terminal = self.new_terminal(work, label, serial_number);
        self.save_terminal(work, "terminal.created", &terminal);
        let resource = terminal.id.to_string();
        Outcome::Done(Answer::TerminalCreated(Box::new(terminal)), resource)
    }

    pub(super) fn new_terminal(
        &self,
        work: &mut MerchantWork<'_>,
        label: String,
        serial_number: Option<String>,
    ) -> Terminal {
        Terminal {
            id: TerminalId::from_uuid(work.id()),
            merchant_id: self.id(),
            label,
            serial_number,
            device_key: None,
            paired_at: None,
            installations: Installations::default(),
            created_at: work.now,
            location: None,
            own: Versioned::default(),
        }
    }

    pub(super) fn save_terminal(
        &mut self,
        work: &mut MerchantWork<'_>,
        event: &str,
        terminal: &Terminal,
    ) {
        work.happened(event, &terminal.id);
        work.put(key::terminal(self.id(), terminal.id), terminal);
        if let Some(linked) = self.links.get_mut(&terminal.id) {
            *linked = Arc::new(terminal.clone());
        }
        work.effect(Effect::Publish(AccessChange::Terminal(Box::new(
            terminal.clone(),
        ))));
    }

    pub(super) fn create_api_key(
        &mut self,
        work: &mut MerchantWork<'_>,
        label: String,
        scopes: ScopeSet,
        expires_at: Option<Timestamp>,
        secret: Secret,
    ) -> Outcome {
        if expires_at.is_some_and(|at| at <= work.now) {
            return Rejection::invalid("expires_at", "an instant in the future").into();
        }
        let api_key = ApiKey {
            id: ApiKeyId::from_uuid(work.id()),
            merchant_id: self.id(),
            label,
            hash: hash_of(&secret),
            scopes,
            created_at: work.now,
            expires_at,
            revoked_at: None,
        };
        self.save_api_key(work, "api_key.created", &api_key);
        let resource = api_key.id.to_string();
        Outcome::Done(Answer::ApiKeyCreated(Box::new(api_key), secret), resource)
    }

    fn save_api_key(&self, work: &mut MerchantWork<'_>, event: &str, api_key: &ApiKey) {
        work.happened(event, &api_key.id);
        work.put(key::api_key(self.id(), api_key.id), api_key);
        work.effect(Effect::Publish(AccessChange::ApiKey(Box::new(
            api_key.clone(),
        ))));
    }

    pub(super) fn revoke_api_key(
        &mut self,
        work: &mut MerchantWork<'_>,
        key_id: ApiKeyId,
    ) -> Answered {
        let Some(mut api_key) = work.get::<ApiKey>(&key::api_key(self.id(), key_id))? else {
            return Ok(Rejection::NotFound.into());
        };
        if api_key.revoked_at.is_none() {
            api_key.revoked_at = Some(work.now);
            self.save_api_key(work, "api_key.revoked", &api_key);
        }
        let resource = api_key.id.to_string();
        Ok(Outcome::Done(
            Answer::ApiKeyRevoked(Box::new(api_key)),
            resource,
        ))
    }
}
