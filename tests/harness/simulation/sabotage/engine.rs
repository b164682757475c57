//! Lies around the engine's owners: in what they commit, read, say and hear.

use std::sync::Arc;

use engine::domain::idempotency::{Fingerprint, StoredAnswer};
use engine::domain::pos::{Outcome, PosTransaction, Stage, Verdict};
use engine::domain::reason::Reason;
use engine::domain::rejection::Rejection;
use engine::domain::time::Timestamp;
use engine::domain::transaction::{Transaction, TransactionState};
use engine::owner::key;
use engine::owner::machine::Input;
use engine::owner::merchant::{Effect, Limits, MerchantInput, TerminalEvent};
use engine::owner::request::{Answer, CallerId, Reply, Request};
use engine::owner::work::Stored as _;
use engine::store::{
    Commit, Committed, Logged, MemoryStore, Position, Record, Row, Rows as _, Store as _, Urgency,
};
use protocol::id::TerminalId;
use protocol::link::{ChipOutcome, Completion, HostDecision, PosStatus, ToAgent, ToEngine, decode};

use super::Sabotage;
use crate::simulation::commit::{authorized, rows_of};
use crate::simulation::engine::{Caller, Mail};
use crate::simulation::restore::incarnation;
use crate::simulation::rows::render;
use crate::simulation::world::World;

impl World {
    /// The owners' limits.
    pub(in super::super) fn owner_limits(&self) -> Limits {
        let mut limits = self.limits;
        if self.sabotage == Some(Sabotage::TipUnlimited) {
            limits.tip.bps_max = 1_000_000;
        }
        limits
    }

    /// The time by which an input is judged.
    pub(in super::super) fn owner_now(&self, input: &Input<MerchantInput>) -> Timestamp {
        let now = self.engine_now();
        let is_said = matches!(
            input,
            Input::Outside(MerchantInput::Terminal {
                event: TerminalEvent::Said(_),
                ..
            })
        );
        if self.sabotage == Some(Sabotage::StaleClock) && is_said {
            Timestamp(now.0 - 20_000)
        } else {
            now
        }
    }

    /// Whether the effects of a commit leave when it is submitted.
    pub(in super::super) fn is_early(&self, commit: &Commit) -> bool {
        let authorizes = !authorized(commit).is_empty();
        match self.sabotage {
            Some(Sabotage::AnswerBeforeCommit) => !authorizes,
            Some(Sabotage::SendBeforeCommit) => authorizes,
            Some(Sabotage::GrantBeforeCommit) => rows_of(commit, key::POS)
                .filter_map(PosTransaction::from_bytes)
                .any(|pos| pos.stage == Stage::AwaitingCard),
            _ => false,
        }
    }

    /// What is really written. More than one commit: all but the last are nobody's.
    pub(in super::super) fn lie_in_commit(&mut self, mut commit: Commit) -> Vec<Commit> {
        match self.sabotage {
            Some(Sabotage::ClaimNothing) => {
                let _ = take_claims(&mut commit);
            }
            Some(Sabotage::ClaimFirst) => {
                let claims = take_claims(&mut commit);
                if !claims.is_empty() {
                    let first = Commit {
                        stream: commit.stream,
                        expected_seq: commit.expected_seq,
                        records: vec![Record {
                            event: Vec::new(),
                            rows: claims,
                        }],
                        urgency: commit.urgency,
                    };
                    commit.expected_seq += 1;
                    return vec![first, commit];
                }
            }
            Some(Sabotage::FinalEventTwice) => {
                let end = commit.records.iter().find(|record| is_final(record));
                if let Some(end) = end.cloned() {
                    commit.records.push(Record {
                        event: end.event,
                        rows: Vec::new(),
                    });
                }
            }
            Some(Sabotage::FoldBeforeSync) => self.lies.waiting.push_back(commit.clone()),
            Some(_) => self.lie_in_rows(&mut commit),
            None => {}
        }
        vec![commit]
    }

    fn lie_in_rows(&self, commit: &mut Commit) {
        for row in commit
            .records
            .iter_mut()
            .flat_map(|record| &mut record.rows)
        {
            let space = row.key.first().copied();
            let Some(value) = &mut row.value else {
                continue;
            };
            if space == Some(key::POS)
                && let Some(mut pos) = PosTransaction::from_bytes(value)
                && self.lie_about_pos(&mut pos)
            {
                *value = pos.to_bytes();
            }
            if space == Some(key::TRANSACTION)
                && let Some(mut transaction) = Transaction::from_bytes(value)
                && self.lie_about_transaction(&mut transaction)
            {
                *value = transaction.to_bytes();
            }
        }
    }

    fn lie_about_pos(&self, pos: &mut PosTransaction) -> bool {
        match self.sabotage {
            Some(Sabotage::SilentDoubt) => pos.next_action_at.take().is_some(),
            Some(Sabotage::WrongVerdict) => is_wrong_verdict(pos),
            Some(Sabotage::CancelLate) if pos.reversing_for == Some(Reason::PosCanceled) => {
                pos.stage = Stage::Closed;
                pos.outcome = Some(Outcome {
                    status: PosStatus::Canceled,
                    reason: Reason::PosCanceled,
                    at: pos.updated_at,
                });
                true
            }
            _ => false,
        }
    }

    fn lie_about_transaction(&self, one: &mut Transaction) -> bool {
        match (self.sabotage, one.state) {
            (Some(Sabotage::WrongStatus), TransactionState::Approved) => {
                one.state = TransactionState::Declined;
                true
            }
            (Some(Sabotage::AcceptLateApproval), TransactionState::Reversing)
                if self.lies.late.contains(&one.id) =>
            {
                one.state = TransactionState::Approved;
                true
            }
            _ => false,
        }
    }

    /// Whether a refused commit is taken for done; the owner is told so.
    pub(in super::super) fn keeps_refused(&mut self, merchant: usize) -> bool {
        if self.sabotage != Some(Sabotage::KeepRefused) {
            return false;
        }
        let stream = key::merchant_stream(self.engine.merchants[merchant].id);
        let committed = Committed {
            seq: self.engine.store.head(stream).unwrap_or(0),
            position: Position(0),
        };
        let input = Box::new(Input::Committed(committed));
        self.engine.post(Mail::Merchant(merchant, input));
        true
    }

    /// A commit has reached the disk.
    pub(in super::super) fn lie_after_step(&mut self) {
        self.lies.waiting.pop_front();
    }

    /// What a crash does to the disk beside what it must.
    pub(in super::super) fn lie_in_crash(&mut self, kept: usize) {
        let lost = std::mem::take(&mut self.lies.waiting)
            .into_iter()
            .skip(kept);
        for row in lost
            .flat_map(|commit| commit.records)
            .flat_map(|record| record.rows)
        {
            self.lies.folded.insert(row.key, row.value);
        }
        let store = &self.engine.store;
        match self.sabotage {
            Some(Sabotage::AckBeforeSync) => {
                self.engine.store = Arc::new(rebuilt(store, Vec::pop));
            }
            Some(Sabotage::LoseRows) => {
                self.engine.store = Arc::new(rebuilt(store, |logged| {
                    let mut last = logged.pop()?;
                    // Of what anybody was told, `answered_is_kept` is the first to know.
                    let is_told =
                        |row: &Row| matches!(row.key.first(), Some(&(key::POS | key::TRANSACTION)));
                    last.record.rows.retain(is_told);
                    logged.push(last.clone());
                    Some(last)
                }));
            }
            _ => {}
        }
    }

    /// Answers a request without asking its owner, or changes it.
    pub(in super::super) fn lie_in_request(
        &mut self,
        number: CallerId,
        caller: &mut Caller,
        request: &mut Request,
    ) -> Option<Rejection> {
        match (self.sabotage?, request, &mut caller.claim) {
            (Sabotage::ForgetKeys, _, Some(claim)) => {
                claim.key.0[..8].copy_from_slice(&number.0.to_le_bytes());
            }
            (Sabotage::WrongVerdict, Request::CancelPos(cancel), Some(claim))
                if cancel.asked_by.is_none() =>
            {
                claim.render = render_wrong;
            }
            (Sabotage::AnswerOtherBody, _, Some(claim)) => claim.fingerprint = Fingerprint([0; 32]),
            (Sabotage::ConflictAlways, _, Some(claim)) => {
                claim.fingerprint.0[..8].copy_from_slice(&number.0.to_le_bytes());
            }
            (Sabotage::BurnKeys, _, Some(claim)) if self.lies.burnt.contains(&claim.key) => {
                let resource = "nothing".to_owned();
                return Some(Rejection::IdempotencyInProgress { resource });
            }
            (Sabotage::KeepPartial, Request::StartPos(start), _) => start.accept_partial = true,
            (Sabotage::ChangeAmount, Request::StartPos(start), _) => {
                let more = protocol::money::Money::new(1, start.amount.currency());
                start.amount = start.amount.plus(more).unwrap_or(start.amount);
            }
            (Sabotage::DoubtBlocks, Request::StartPos(start), _) => {
                let blocks = |pos: &&PosTransaction| {
                    pos.terminal_id == start.terminal_id && pos.stage == Stage::Reversing
                };
                let running = self.history.pos.values().find(blocks)?.id;
                return Some(Rejection::TerminalBusy { running });
            }
            _ => {}
        }
        None
    }

    /// Whether the answer is sent at all; changes it.
    pub(in super::super) fn lie_in_reply(
        &mut self,
        caller: &Caller,
        reply: &mut Result<Reply, Rejection>,
    ) {
        match (self.sabotage, &mut *reply) {
            (Some(Sabotage::ChangeReplay), Ok(Reply::Replayed(stored))) => stored.body.push(b' '),
            (Some(Sabotage::BurnKeys), Err(_)) => {
                self.lies.burnt.extend(caller.claim.map(|claim| claim.key));
            }
            (
                Some(_),
                Ok(Reply::Fresh(Answer::Started(pos) | Answer::Pos(pos) | Answer::Canceled(pos))),
            ) => {
                self.lie_about_pos(pos);
            }
            _ => {}
        }
    }

    /// Changes an effect; none is left of it when it is lost. More may follow from it.
    pub(in super::super) fn lie_in_effect(
        &mut self,
        merchant: usize,
        mut effect: Effect,
    ) -> Option<Effect> {
        if let Effect::ToTerminal { message, .. } = &mut effect
            && self.lie_about_lost(message)
        {
            return None;
        }
        match (self.sabotage, &mut effect) {
            (
                Some(Sabotage::LoseAnswers),
                Effect::Answer {
                    reply: Err(Rejection::TerminalBusy { .. }),
                    ..
                },
            ) => return None,
            (
                Some(sabotage),
                Effect::ToTerminal {
                    terminal_id,
                    message,
                },
            ) => {
                let terminal_id = *terminal_id;
                self.lie_to_terminal(sabotage, merchant, terminal_id, message);
            }
            _ => {}
        }
        Some(effect)
    }

    fn lie_to_terminal(
        &mut self,
        sabotage: Sabotage,
        merchant: usize,
        terminal_id: TerminalId,
        message: &mut ToAgent,
    ) {
        match (sabotage, message) {
            (Sabotage::SameAttempt, ToAgent::ReadCard(grant)) => {
                let pos = self.history.pos.get(&grant.pos_id);
                let first = pos.and_then(|pos| pos.attempts.first());
                grant.attempt_id = first.map_or(grant.attempt_id, |first| first.id);
            }
            (Sabotage::TellTillOtherwise, ToAgent::Concluded(concluded))
                if concluded.status == PosStatus::Failed =>
            {
                concluded.status = PosStatus::Declined;
            }
            (Sabotage::ConfirmForTill, ToAgent::HostAnswer(answer))
                if answer.decision == HostDecision::Approved =>
            {
                let completion = Completion {
                    pos_id: answer.pos_id,
                    attempt_id: answer.attempt_id,
                    chip: ChipOutcome::Agreed,
                    cause: None,
                    data: Vec::new(),
                };
                let event = TerminalEvent::Said(ToEngine::Completed(completion));
                let input = MerchantInput::Terminal { terminal_id, event };
                self.engine
                    .post(Mail::Merchant(merchant, Box::new(Input::Outside(input))));
            }
            _ => {}
        }
    }

    /// What a till is told behind a message.
    pub(in super::super) fn early_approval(&self, message: &ToAgent) -> Option<Box<ToAgent>> {
        match message {
            ToAgent::HostAnswer(answer)
                if self.sabotage == Some(Sabotage::ApproveEarly)
                    && answer.decision == HostDecision::Approved =>
            {
                self.approval_of(answer.pos_id).map(Box::new)
            }
            _ => None,
        }
    }
}

/// Makes a verdict wrong; true when it was one that can be.
fn is_wrong_verdict(pos: &mut PosTransaction) -> bool {
    let cancel = pos.cancel.as_mut();
    let wrong = cancel.filter(|one| one.verdict == Some(Verdict::TooLateApproved));
    wrong
        .map(|one| one.verdict = Some(Verdict::Canceled))
        .is_some()
}

/// What a repeat gets, with the same wrong verdict.
fn render_wrong(answer: &Answer) -> StoredAnswer {
    let mut answer = answer.clone();
    if let Answer::Canceled(pos) = &mut answer {
        is_wrong_verdict(pos);
    }
    render(&answer)
}

fn take_claims(commit: &mut Commit) -> Vec<Row> {
    let mut claims = Vec::new();
    for record in &mut commit.records {
        claims.extend(
            record
                .rows
                .extract_if(.., |row| row.key.first() == Some(&key::CLAIM)),
        );
    }
    claims
}

fn is_final(record: &Record) -> bool {
    decode::<engine::owner::event::Event>(&record.event)
        .is_ok_and(|event| event.kind == "pos_transaction.closed")
}

/// The store as if its last record had met with something else.
fn rebuilt(store: &MemoryStore, last: fn(&mut Vec<Logged>) -> Option<Logged>) -> MemoryStore {
    let other = MemoryStore::new();
    other.set_incarnation(store.incarnation().unwrap_or(incarnation(0)));
    let mut logged = store.follow(Position(0), usize::MAX).unwrap_or_default();
    last(&mut logged);
    for one in logged {
        let commit = Commit {
            stream: one.stream,
            expected_seq: one.seq - 1,
            records: vec![one.record],
            urgency: Urgency::Concluding,
        };
        other.commit(commit, Box::new(|_| ()));
    }
    other.sync();
    other
}
