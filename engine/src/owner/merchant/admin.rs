//! Terminals, pairing and API keys.

use std::sync::Arc;

use protocol::id::{ApiKeyId, PairingCodeId, TerminalId};

use crate::domain::installation::Installations;
use crate::domain::merchant::Terminal;
use crate::domain::pairing::{self, PairingCode};
use crate::domain::rejection::Rejection;
use crate::domain::scope::ScopeSet;
use crate::domain::terminal_settings::Versioned;
use crate::domain::time::Timestamp;
use crate::domain::token::{ApiKey, Secret};

use super::claim::{Answered, Outcome};
use super::{Effect, MerchantOwner, MerchantWork};
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::{Answer, RedeemPairingCode, hash_of};

impl MerchantOwner {
    pub(super) fn create_terminal(
        &mut self,
        work: &mut MerchantWork<'_>,
        label: String,
        serial_number: Option<String>,
    ) -> Outcome {
        let terminal = Terminal {
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
        };
        self.save_terminal(work, "terminal.created", &terminal);
        let resource = terminal.id.to_string();
        Outcome::Done(Answer::TerminalCreated(Box::new(terminal)), resource)
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

    pub(super) fn create_pairing_code(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        life_s: u64,
        code: Secret,
    ) -> Answered {
        if self.terminal(work, terminal_id)?.is_none() {
            return Ok(Rejection::NotFound.into());
        }
        if !(60..=pairing::LIFE_S_MAX).contains(&life_s) {
            return Ok(Rejection::invalid("life_s", "60 seconds to 90 days").into());
        }
        let row = PairingCode {
            id: PairingCodeId::from_uuid(work.id()),
            terminal_id,
            merchant_id: self.id(),
            hash: hash_of(&code),
            created_at: work.now,
            expires_at: work.now.plus_ms(life_s.saturating_mul(1_000)),
            redeemed: None,
        };
        self.save_pairing_code(work, "pairing_code.created", &row);
        let resource = row.id.to_string();
        Ok(Outcome::Done(
            Answer::PairingCodeCreated(Box::new(row), code),
            resource,
        ))
    }

    fn save_pairing_code(&self, work: &mut MerchantWork<'_>, event: &str, code: &PairingCode) {
        work.happened(event, &code.id);
        work.put(key::pairing_code(self.id(), code.id), code);
        work.effect(Effect::Publish(AccessChange::PairingCode(Box::new(
            code.clone(),
        ))));
    }

    /// Pairs a till. A repeat is answered again, because the first answer may have been lost on its
    /// way to the till.
    pub(super) fn redeem_pairing_code(
        &mut self,
        work: &mut MerchantWork<'_>,
        redeem: RedeemPairingCode,
    ) -> Answered {
        let invalid = || Ok(Rejection::PairingCodeInvalid.into());
        let row_key = key::pairing_code(self.id(), redeem.code_id);
        let Some(mut code) = work.get::<PairingCode>(&row_key)? else {
            return invalid();
        };
        let Some(mut terminal) = self.terminal(work, code.terminal_id)? else {
            return invalid();
        };
        // The same code with the same key, and the terminal has not been paired anew since.
        let is_repeat = code.redeemed.map(|(key, _)| key) == Some(redeem.device_key)
            && terminal.device_key == Some(redeem.device_key);
        if (code.redeemed.is_some() || work.now >= code.expires_at) && !is_repeat {
            return invalid();
        }
        let is_bound = terminal.serial_number.is_some();
        if is_bound && terminal.serial_number != redeem.serial_number {
            return invalid();
        }
        let resource = terminal.id.to_string();
        if is_repeat {
            let answer = Answer::Paired(Box::new(terminal), Box::new(self.merchant.clone()));
            return Ok(Outcome::Done(answer, resource));
        }
        let running = self
            .open
            .values()
            .find(|pos| pos.terminal_id == terminal.id);
        if let Some(running) = running {
            return Ok(Rejection::TerminalHasOpenWork {
                running: running.id,
            }
            .into());
        }
        code.redeemed = Some((redeem.device_key, work.now));
        terminal.device_key = Some(redeem.device_key);
        terminal.paired_at = Some(work.now);
        terminal.installations.renew();
        terminal.serial_number = redeem.serial_number;
        self.save_pairing_code(work, "pairing_code.redeemed", &code);
        self.save_terminal(work, "terminal.paired", &terminal);
        work.effect(Effect::Publish(AccessChange::DropLink(terminal.id)));
        let answer = Answer::Paired(Box::new(terminal), Box::new(self.merchant.clone()));
        Ok(Outcome::Done(answer, resource))
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
