//! How a transaction of the simulated reader ends, and with which result.
//!
//! Owns what each virtual card leads to. It never builds the data of a response (`answer` does)
//! and never moves between phases except to the one that follows an answer.

use protocol::reader::command;
use protocol::reader::frame::Response;
use protocol::reader::outcome::{
    ContactlessError, Status, TAG_ERROR, TAG_ERROR_OLD, TAG_RESULT, TransactionResult,
};
use protocol::reader::tlv::{self, Form, Tlv, TlvWriter, Tlvs};

use super::Reader;
use super::answer::{self, Cryptogram, Read, Terminal};
use super::transaction::{HostAnswer, State, Transaction, response};
use crate::cards::{Behaviour, Card};

/// Failed insertions before the stripe is allowed (tag DFEF7D, default).
const FAILED_INSERTIONS_MAX: u8 = 3;

impl Reader {
    pub(super) fn finish_timeout(&mut self, now_ms: u64, transaction: &Transaction) {
        if transaction.group == command::CONTACT {
            if self.config.quirks.no_card_is_a_status {
                let response = Response::bare(command::CONTACT, Status::Timeout.code());
                self.finish(now_ms, &response);
            } else {
                self.finish_contact(now_ms, command::CONTACT, TransactionResult::Timeout);
            }
        } else {
            let response = Response::bare(transaction.group, Status::Timeout.code());
            self.finish(now_ms, &response);
        }
    }

    pub(super) fn finish_contactless(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        card: &'static Card,
    ) {
        let error = match card.behaviour {
            Behaviour::DeclinesOffline => ContactlessError::CardDeclined,
            Behaviour::Expired => ContactlessError::CardExpired,
            Behaviour::Blocked => ContactlessError::CardBlocked,
            Behaviour::TwoCards => ContactlessError::TwoCards,
            Behaviour::WantsOtherInterface => ContactlessError::UseOtherInterface,
            Behaviour::LeavesField => ContactlessError::CardRemoved,
            Behaviour::UnreadableChip | Behaviour::DeadChip => ContactlessError::CardCommunication,
            Behaviour::Unsupported => ContactlessError::CardNotSupported,
            Behaviour::ApprovesOffline
            | Behaviour::Cooperates
            | Behaviour::MagstripeMode
            | Behaviour::RefusesApproval
            | Behaviour::PulledDuringAuthentication
            | Behaviour::PulledDuringCompletion => ContactlessError::None,
        };
        if error != ContactlessError::None {
            self.finish_contactless_error(now_ms, error);
            return;
        }
        let quirks = self.config.quirks;
        let (status, cryptogram) = match card.behaviour {
            Behaviour::ApprovesOffline => (Status::Ok, Some(Cryptogram::Approved)),
            Behaviour::MagstripeMode if quirks.msd_is_done => (Status::Ok, None),
            Behaviour::MagstripeMode => (Status::RequestOnline, None),
            _ => (Status::RequestOnline, Some(Cryptogram::AskIssuer)),
        };
        self.count_card(card);
        let Some(read) = self.read(transaction, card) else {
            self.finish_without_keys(now_ms, transaction.group);
            return;
        };
        let data = match cryptogram {
            Some(cryptogram) => read.contactless(cryptogram),
            None => read.contactless_stripe(quirks.msd_as_block),
        };
        let response = response(transaction.group, status, data);
        self.finish(now_ms, &response);
    }

    pub(super) fn finish_contactless_error(&mut self, now_ms: u64, error: ContactlessError) {
        let data = answer::contactless_error(error, self.config.keys.scheme());
        self.finish(now_ms, &response(command::ACTIVATE, Status::Failed, data));
    }

    /// The chip was read: it is powered, or it cannot be used.
    pub(super) fn finish_start(
        &mut self,
        now_ms: u64,
        transaction: Transaction,
        card: &'static Card,
    ) {
        use TransactionResult as R;
        let group = transaction.group;
        let failure = match card.behaviour {
            Behaviour::Blocked => Some(R::CardBlocked),
            Behaviour::DeadChip => Some(R::SmartcardInitFailed),
            Behaviour::UnreadableChip | Behaviour::Unsupported => Some(R::NoMatchingApplication),
            _ => None,
        };
        if let Some(result) = failure {
            self.finish_failed_insertion(now_ms, group, result);
            return;
        }
        if !self.is_answered && self.ask_before_start(now_ms, &transaction, card) {
            return;
        }
        self.is_answered = false;
        self.failed_insertions = 0;
        self.count_card(card);
        self.keys_before = Some(self.config.keys.clone());
        let Some(read) = self.read(&transaction, card) else {
            self.finish_without_keys(now_ms, group);
            return;
        };
        let data = read.contact_started();
        self.last_result.clone_from(&data);
        let until_ms = now_ms + transaction.next_command_ms;
        self.finish(now_ms, &response(group, Status::Ok, data));
        self.enter(State::ChipReady(transaction), until_ms);
    }

    fn finish_failed_insertion(&mut self, now_ms: u64, group: u8, result: TransactionResult) {
        if result != TransactionResult::CardBlocked {
            // The customer pulls it out and has to try again.
            self.slot = None;
        }
        if self.counts_towards_fallback(result) {
            self.failed_insertions = self.failed_insertions.saturating_add(1);
            if self.failed_insertions >= self.failed_insertions_max() {
                self.finish_contact(now_ms, group, TransactionResult::FallbackSituation);
                return;
            }
        }
        self.finish_contact(now_ms, group, result);
    }

    pub(super) fn finish_swipe(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        card: &'static Card,
    ) {
        if self.must_use_chip(card) {
            self.finish_contactless_error(now_ms, ContactlessError::UseContact);
            return;
        }
        let is_fallback =
            card.stripe_says_chip() && self.failed_insertions >= self.failed_insertions_max();
        self.failed_insertions = 0;
        let Some(read) = self.read(transaction, card) else {
            self.finish_without_keys(now_ms, transaction.group);
            return;
        };
        let mut data = read.swiped(is_fallback);
        if is_fallback && !self.names_fallback_reason() {
            data = without(&data, TAG_RESULT);
        }
        self.finish(now_ms, &response(transaction.group, Status::Ok, data));
    }

    pub(super) fn finish_authentication(
        &mut self,
        now_ms: u64,
        transaction: Transaction,
        force_online: bool,
    ) {
        use TransactionResult as R;
        let Some(card) = self.slot else {
            self.finish_contact(now_ms, command::CONTACT, R::CardAbsent);
            return;
        };
        let (result, cryptogram) = match card.behaviour {
            Behaviour::Expired => {
                self.finish_contact(now_ms, command::CONTACT, R::Expired);
                return;
            }
            Behaviour::PulledDuringAuthentication => {
                self.slot = None;
                self.finish_pulled(now_ms, command::CONTACT);
                return;
            }
            Behaviour::DeclinesOffline => (R::DeclinedOffline, Cryptogram::Declined),
            Behaviour::ApprovesOffline => (R::ApprovedOffline, Cryptogram::Approved),
            // Every other chip asks the issuer, made to or not: the floor limit is zero.
            _ => (R::GoOnline, Cryptogram::AskIssuer),
        };
        self.forced_online = force_online;
        if !self.is_answered && self.ask_for_pin(now_ms, &transaction, card) {
            return;
        }
        self.is_answered = false;
        if self.config.quirks.uses_one_key_per_transaction
            && let Some(before) = self.keys_before.take()
        {
            self.config.keys = before;
        }
        let Some(read) = self.read(&transaction, card) else {
            self.finish_without_keys(now_ms, command::CONTACT);
            return;
        };
        let data = read.authenticated(result, cryptogram);
        self.remember(&data);
        self.finish(now_ms, &response(command::CONTACT, Status::Ok, data));
        if result == R::GoOnline {
            let until_ms = now_ms + transaction.next_command_ms;
            self.enter(State::WaitHost(transaction), until_ms);
        }
    }

    pub(super) fn finish_completion(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        host: HostAnswer,
    ) {
        let Some(card) = self.slot else {
            self.finish_contact(now_ms, command::CONTACT, TransactionResult::CardAbsent);
            return;
        };
        if card.behaviour == Behaviour::PulledDuringCompletion {
            self.slot = None;
            self.finish_pulled(now_ms, command::CONTACT);
            return;
        }
        let counter = self.card_counter(card);
        let data = match host {
            HostAnswer::Unreachable => answer::unreachable(self.config.keys.scheme()),
            HostAnswer::Answered { response_code } => {
                let known = self.response_codes.contains(&response_code);
                let is_approval = self.response_codes.first() == Some(&response_code);
                let result = if is_approval && card.behaviour != Behaviour::RefusesApproval {
                    TransactionResult::Approved
                } else {
                    TransactionResult::Declined
                };
                self.approvals += u64::from(result == TransactionResult::Approved);
                // The kernel replaces a code that it was not taught.
                let applied = if known { response_code } else { *b"Z3" };
                answer::completed(
                    self.config.keys.scheme(),
                    result,
                    applied,
                    card,
                    transaction,
                    counter,
                )
            }
        };
        self.remember(&data);
        self.finish(now_ms, &response(command::CONTACT, Status::Ok, data));
    }

    /// The chip card is gone.
    pub(super) fn finish_pulled(&mut self, now_ms: u64, group: u8) {
        let data =
            answer::contact_result(self.config.quirks.pulled_card, self.config.keys.scheme());
        self.remember(&data);
        let status = if self.config.quirks.pulled_card_fails {
            Status::Failed
        } else {
            Status::Ok
        };
        self.finish(now_ms, &response(group, status, data));
    }

    pub(super) fn finish_contact(&mut self, now_ms: u64, group: u8, result: TransactionResult) {
        let data = answer::contact_result(result, self.config.keys.scheme());
        self.remember(&data);
        self.finish(now_ms, &response(group, Status::Ok, data));
    }

    fn finish_without_keys(&mut self, now_ms: u64, group: u8) {
        self.finish(now_ms, &Response::bare(group, Status::Failed.code()));
    }

    fn finish(&mut self, now_ms: u64, response: &Response) {
        self.enter_idle();
        let response = self.in_style(response);
        self.line.send(now_ms, &response, true);
    }

    /// As older firmware would say it, where that is switched on.
    fn in_style(&self, plain: &Response) -> Response {
        const EXTENSION: u8 = 0x20;
        let quirks = &self.config.quirks;
        let mut data = plain.data().to_vec();
        if let (true, Some(attribution)) = (quirks.has_old_attribution, data.first_mut()) {
            *attribution &= !EXTENSION;
        }
        if quirks.has_old_error_tag
            && let Some(block) =
                tlv::find(data.get(1..).unwrap_or_default(), TAG_ERROR, Form::Clear)
        {
            let attribution: Vec<u8> = data.first().copied().into_iter().collect();
            data = TlvWriter::after(&attribution)
                .clear(TAG_ERROR_OLD, block)
                .finish();
        }
        Response::new(plain.cmd(), plain.status(), data).unwrap_or_else(|_| plain.clone())
    }

    /// Keeps what 60-13 can be asked for: later values take the place of earlier ones.
    fn remember(&mut self, data: &[u8]) {
        let Some((attribution, tlvs)) = data.split_first() else {
            return;
        };
        let newer: Vec<_> = Tlvs::new(tlvs).map_while(Result::ok).collect();
        let earlier = self.last_result.get(1..).unwrap_or_default().to_vec();
        let kept = Tlvs::new(&earlier)
            .map_while(Result::ok)
            .filter(|old| newer.iter().all(|new| new.tag != old.tag));
        let writer = newer
            .iter()
            .copied()
            .chain(kept)
            .fold(TlvWriter::after(&[*attribution]), put);
        self.last_result = writer.finish();
    }

    pub(super) fn must_use_chip(&self, card: &Card) -> bool {
        card.stripe_says_chip()
            && self.config.quirks.refuses_early_swipe
            && self.setting(command::TAG_REFUSE_EARLY_SWIPE) != Some(&[0x00])
            && self.failed_insertions < self.failed_insertions_max()
    }

    fn failed_insertions_max(&self) -> u8 {
        match self.setting(command::TAG_FALLBACK_FAILURES) {
            Some([failures]) => (*failures).clamp(1, command::FALLBACK_FAILURES_MAX),
            _ => FAILED_INSERTIONS_MAX,
        }
    }

    fn counts_towards_fallback(&self, result: TransactionResult) -> bool {
        match self.setting(command::TAG_FALLBACK_CODES) {
            Some(codes) => codes
                .chunks_exact(2)
                .any(|code| code == result.code().to_be_bytes()),
            None => command::FALLBACK_CODES.contains(&result.code()),
        }
    }

    fn names_fallback_reason(&self) -> bool {
        match self.setting(command::TAG_FALLBACK_REASON) {
            Some(setting) => setting != [0x00],
            None => self.config.quirks.names_fallback_reason,
        }
    }

    fn setting(&self, tag: u32) -> Option<&[u8]> {
        self.configuration.get(&tag).map(Vec::as_slice)
    }

    fn read<'a>(
        &'a mut self,
        transaction: &'a Transaction,
        card: &'static Card,
    ) -> Option<Read<'a>> {
        let (ksn, key) = self.config.keys.advance()?;
        Some(Read {
            terminal: Terminal {
                serial: &self.config.serial,
                country: self.config.country,
                date: self.config.date,
                shows_service_code: self.config.quirks.shows_service_code,
            },
            transaction,
            card,
            card_counter: self.card_counter(card),
            ksn,
            key,
        })
    }

    fn count_card(&mut self, card: &Card) {
        let counter = self.card_counters.entry(card.name).or_default();
        *counter = counter.wrapping_add(1);
    }

    fn card_counter(&self, card: &Card) -> u16 {
        self.card_counters.get(card.name).copied().unwrap_or(0)
    }
}

/// Writes a value as it was read.
pub(super) fn put(writer: TlvWriter, tlv: Tlv<'_>) -> TlvWriter {
    match tlv.form {
        Form::Clear => writer.clear(tlv.tag, tlv.value),
        Form::Masked => writer.masked(tlv.tag, tlv.value),
        Form::Encrypted => writer.encrypted(tlv.tag, tlv.value),
    }
}

/// Response data without one of its tags.
fn without(data: &[u8], tag: u32) -> Vec<u8> {
    let (attribution, tlvs) = data.split_at(1.min(data.len()));
    Tlvs::new(tlvs)
        .map_while(Result::ok)
        .filter(|tlv| tlv.tag != tag)
        .fold(TlvWriter::after(attribution), put)
        .finish()
}
