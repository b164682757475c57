//! Pairing: codes and their ends, tills that a person approved, and terminals that are released.
//!
//! A till becomes a terminal, or ceases to be it, in one commit, and never while money is under way
//! there. Who guesses, and who else has the same key, is known to the doors and not here.

use protocol::id::{PairingCodeId, TerminalId};
use protocol::link::{PrintReport, PrintState};

use crate::domain::merchant::{DeviceKey, Terminal};
use crate::domain::pairing::{self, CodeState, PairingCode};
use crate::domain::rejection::Rejection;
use crate::domain::token::{Secret, SecretHash};

use super::claim::{Answered, Outcome};
use super::{Decided, Effect, MerchantOwner, MerchantWork};
use crate::owner::access_change::AccessChange;
use crate::owner::key;
use crate::owner::request::{
    Answer, ApprovePairing, MadeTill, NewTill, PairingTarget, RedeemPairingCode, hash_of,
};

impl MerchantOwner {
    pub(super) fn create_pairing_code(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        life_s: u64,
        serial_number: Option<String>,
        code: Secret,
    ) -> Answered {
        let Some(terminal) = self.terminal(work, terminal_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        if !(pairing::LIFE_S_MIN..=pairing::LIFE_S_MAX).contains(&life_s) {
            return Ok(Rejection::invalid("life_s", "60 seconds to 90 days").into());
        }
        let serial_number = serial_number.or_else(|| promised_serial(&terminal));
        let row = self.new_code(work, terminal_id, life_s, serial_number, hash_of(&code));
        self.save_pairing_code(work, "pairing_code.created", &row);
        let resource = row.id.to_string();
        Ok(Outcome::Done(
            Answer::PairingCodeCreated(Box::new(row), code),
            resource,
        ))
    }

    pub(super) fn create_tills(
        &mut self,
        work: &mut MerchantWork<'_>,
        tills: Vec<NewTill>,
    ) -> Outcome {
        let mut made = Vec::with_capacity(tills.len());
        for till in tills {
            let hash = hash_of(&till.code);
            let mut terminal = self.new_terminal(work, till.label, till.serial_number.clone());
            terminal.location = till.location;
            self.save_terminal(work, "terminal.created", &terminal);
            let pairing_code =
                self.new_code(work, terminal.id, till.life_s, till.serial_number, hash);
            self.save_pairing_code(work, "pairing_code.created", &pairing_code);
            made.push(MadeTill {
                terminal,
                pairing_code,
                code: till.code,
            });
        }
        let first = made.first().map(|till| till.terminal.id);
        match first {
            Some(terminal_id) => Outcome::Done(Answer::TillsCreated(made), terminal_id.to_string()),
            None => Rejection::invalid("rows", "at least one").into(),
        }
    }

    fn new_code(
        &self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        life_s: u64,
        serial_number: Option<String>,
        hash: SecretHash,
    ) -> PairingCode {
        PairingCode {
            id: PairingCodeId::from_uuid(work.id()),
            terminal_id,
            merchant_id: self.id(),
            hash,
            created_at: work.now,
            expires_at: work.now.plus_ms(life_s.saturating_mul(1_000)),
            redeemed: None,
            serial_number,
            revoked_at: None,
            wrong_serials: 0,
            is_approval: false,
        }
    }

    fn save_pairing_code(&self, work: &mut MerchantWork<'_>, event: &str, code: &PairingCode) {
        work.happened(event, &code.id);
        work.put(key::pairing_code(self.id(), code.id), code);
        work.effect(Effect::Publish(AccessChange::PairingCode(Box::new(
            code.clone(),
        ))));
    }

    pub(super) fn revoke_pairing_code(
        &mut self,
        work: &mut MerchantWork<'_>,
        code_id: PairingCodeId,
    ) -> Answered {
        let row_key = key::pairing_code(self.id(), code_id);
        let Some(mut code) = work.get::<PairingCode>(&row_key)? else {
            return Ok(Rejection::NotFound.into());
        };
        match code.state(work.now) {
            CodeState::Redeemed => {
                return Ok(Rejection::PairingCodeState {
                    id: code.id,
                    state: CodeState::Redeemed.code(),
                }
                .into());
            }
            CodeState::Revoked => {}
            CodeState::Live | CodeState::Expired | CodeState::Locked => {
                code.revoked_at = Some(work.now);
                self.save_pairing_code(work, "pairing_code.revoked", &code);
            }
        }
        let resource = code.id.to_string();
        Ok(Outcome::Done(
            Answer::PairingCodeRevoked(Box::new(code)),
            resource,
        ))
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
        let Some(terminal) = self.terminal(work, code.terminal_id)? else {
            return invalid();
        };
        // The same code with the same key, and the terminal has not been paired anew since.
        let is_repeat = code.redeemed.map(|(key, _)| key) == Some(redeem.device_key)
            && terminal.device_key == Some(redeem.device_key);
        if is_repeat {
            return Ok(self.paired(terminal));
        }
        match code.state(work.now) {
            CodeState::Live => {}
            CodeState::Locked => return Ok(Rejection::PairingCodeLocked.into()),
            CodeState::Redeemed | CodeState::Revoked | CodeState::Expired => return invalid(),
        }
        let bound_to = code.serial_number.clone();
        let bound_to = bound_to.or_else(|| promised_serial(&terminal));
        if bound_to.is_some() && bound_to != redeem.serial_number {
            return Ok(self.wrong_serial(work, code));
        }
        if let Some(rejection) = self.open_work_at(terminal.id) {
            return Ok(rejection.into());
        }
        code.redeemed = Some((redeem.device_key, work.now));
        self.save_pairing_code(work, "pairing_code.redeemed", &code);
        Ok(self.pair(work, terminal, redeem.device_key, redeem.serial_number))
    }

    /// The code stays good for its own till, and remembers that another one has tried it.
    fn wrong_serial(&self, work: &mut MerchantWork<'_>, mut code: PairingCode) -> Outcome {
        code.wrong_serials = code.wrong_serials.saturating_add(1);
        let tries_left = pairing::WRONG_SERIALS_MAX.saturating_sub(code.wrong_serials);
        let event = match tries_left {
            0 => "pairing_code.locked",
            _ => "pairing_code.refused",
        };
        self.save_pairing_code(work, event, &code);
        Rejection::PairingSerialMismatch { tries_left }.into()
    }

    /// Pairs the till that a person has approved. What is stored is a code that was redeemed as it
    /// was made, under the hash of the secret by which the till asks for the answer.
    pub(super) fn approve_pairing(
        &mut self,
        work: &mut MerchantWork<'_>,
        approve: ApprovePairing,
    ) -> Answered {
        let terminal = match approve.target {
            PairingTarget::Existing(terminal_id) => {
                let Some(terminal) = self.terminal(work, terminal_id)? else {
                    return Ok(Rejection::NotFound.into());
                };
                let promised = promised_serial(&terminal);
                if promised.is_some() && promised != approve.serial_number {
                    let expected = "a terminal that was made for this serial number, or for none";
                    return Ok(Rejection::invalid("terminal_id", expected).into());
                }
                if let Some(rejection) = self.open_work_at(terminal.id) {
                    return Ok(rejection.into());
                }
                terminal
            }
            PairingTarget::New(label) => {
                let terminal = self.new_terminal(work, label, approve.serial_number.clone());
                self.save_terminal(work, "terminal.created", &terminal);
                terminal
            }
        };
        let life_s = pairing::APPROVAL_LIFE_S;
        let mut code = self.new_code(work, terminal.id, life_s, None, approve.hash);
        code.serial_number.clone_from(&approve.serial_number);
        code.is_approval = true;
        code.redeemed = Some((approve.device_key, work.now));
        self.save_pairing_code(work, "pairing.approved", &code);
        Ok(self.pair(work, terminal, approve.device_key, approve.serial_number))
    }

    fn pair(
        &mut self,
        work: &mut MerchantWork<'_>,
        mut terminal: Terminal,
        device_key: DeviceKey,
        serial_number: Option<String>,
    ) -> Outcome {
        terminal.device_key = Some(device_key);
        terminal.paired_at = Some(work.now);
        terminal.installations.renew();
        terminal.serial_number = serial_number;
        self.save_terminal(work, "terminal.paired", &terminal);
        work.effect(Effect::Publish(AccessChange::DropLink(terminal.id)));
        self.paired(terminal)
    }

    fn paired(&self, terminal: Terminal) -> Outcome {
        let resource = terminal.id.to_string();
        let answer = Answer::Paired(Box::new(terminal), Box::new(self.merchant.clone()));
        Outcome::Done(answer, resource)
    }

    /// The terminal's till is this terminal no more. A repeat is answered again, because a till
    /// deletes its key only when it knows.
    pub(super) fn unpair(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        device_key: Option<DeviceKey>,
    ) -> Answered {
        let Some(mut terminal) = self.terminal(work, terminal_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        let released = terminal.installations.released.map(|(key, _)| key);
        let holder = terminal.device_key.or(released);
        if device_key.is_some() && device_key != holder {
            return Ok(Rejection::NotFound.into());
        }
        if let Some(holder) = terminal.device_key {
            if let Some(rejection) = self.open_work_at(terminal_id) {
                return Ok(rejection.into());
            }
            self.end_prints(work, terminal_id)?;
            terminal.device_key = None;
            terminal.paired_at = None;
            terminal.installations.release(holder, work.now);
            self.save_terminal(work, "terminal.released", &terminal);
            work.effect(Effect::Publish(AccessChange::DropLink(terminal_id)));
        }
        let resource = terminal.id.to_string();
        Ok(Outcome::Done(
            Answer::Unpaired(Box::new(terminal)),
            resource,
        ))
    }

    /// Whoever knew whether paper came out is gone: nothing prints twice.
    fn end_prints(&mut self, work: &mut MerchantWork<'_>, terminal_id: TerminalId) -> Decided {
        let of_terminal = self
            .prints
            .values()
            .filter(|job| job.terminal_id == terminal_id);
        let jobs: Vec<_> = of_terminal.map(|job| job.id).collect();
        for job_id in jobs {
            let report = PrintReport {
                job_id,
                state: PrintState::Unknown,
            };
            self.print_reported(work, terminal_id, &report)?;
        }
        if !self.links.contains_key(&terminal_id) {
            self.prints_reported.remove(&terminal_id);
        }
        Ok(())
    }

    /// Work under way at a terminal: whoever knows its end must not lose its identity.
    fn open_work_at(&self, terminal_id: TerminalId) -> Option<Rejection> {
        let mut open = self.open.values();
        let running = open.find(|pos| pos.terminal_id == terminal_id)?.id;
        Some(Rejection::TerminalHasOpenWork { running })
    }
}

/// The serial number that a terminal was made for. Once a till was paired, the number is what that
/// till called itself, and a technician may put another in its place.
fn promised_serial(terminal: &Terminal) -> Option<String> {
    let is_fresh = terminal.paired_at.is_none() && terminal.installations.released.is_none();
    terminal.serial_number.clone().filter(|_| is_fresh)
}
