//! A database that was restored: what happened after the copy was made is not known here, and goes
//! on existing at the acquirer, at the tills and on paper.

use protocol::id::{IncarnationId, PosTransactionId, PrintJobId, TerminalId};
use protocol::link::{Concluded, Digest, DigestState, PosStatus, PrintReport, PrintState, ToAgent};
use protocol::money::Money;

use super::till::end_attempt;
use super::{Decided, MerchantOwner, MerchantWork};
use crate::domain::pos::{AttemptState, PosTransaction};
use crate::domain::reason::Reason;
use crate::owner::key;
use crate::owner::stored::Counters;
use crate::store::Rows;

/// How far trace numbers jump at least: more than one merchant sends in the weeks that a backup can
/// be old, and a tenth of all there are.
const TRACE_JUMP_MIN: u32 = 100_000;
/// Trace numbers run from 1 to this and begin again.
pub(super) const TRACE_MAX: u32 = 999_999;

/// Why a POS transaction fails that waited for a card at the backup: whether one came is not known
/// here.
const LOST_TIME: Reason = Reason::EngineRestarted;

/// Why a till's transaction ends that the engine does not know. Only tills see it.
const UNKNOWN_HERE: &str = "unknown_to_engine";

/// The counters as they stand in this life of the database, and whether they were counted in
/// another one: the lost time may have gone on counting.
pub(super) fn counted_in(counters: Counters, rows: &dyn Rows) -> (Counters, bool) {
    let incarnation = rows.incarnation();
    let is_restored = match counters.incarnation {
        Some(counted) => incarnation.is_some_and(|life| life != counted),
        // Nothing was counted before the backup, or by a version that did not note its life.
        None => incarnation.is_some() && (rows.is_restored() || counters.trace > 0),
    };
    let trace = match incarnation {
        Some(life) if is_restored => counters.trace.saturating_add(trace_jump(life)) % TRACE_MAX,
        _ => counters.trace,
    };
    let incarnation = incarnation.or(counters.incarnation);
    (Counters { trace, incarnation }, is_restored)
}

/// How far trace numbers jump in this life: another way in each, for one backup may be restored
/// twice, and never so far that they come around to where the lost time began.
fn trace_jump(life: IncarnationId) -> u32 {
    let [.., a, b, c, d] = life.bytes();
    let spread = TRACE_MAX - 2 * TRACE_JUMP_MIN;
    TRACE_JUMP_MIN + u32::from_be_bytes([a, b, c, d]) % spread
}

impl MerchantOwner {
    /// Once per restore: trace numbers that the lost time has used are passed over, no receipt is
    /// printed that may have been printed then, and no card is asked for that may have been charged.
    pub(super) fn resume_restored(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        tracing::warn!(merchant_id = %self.id(), "database was restored; trace numbers jump");
        work.happened("merchant.restored", &self.id());
        work.put(key::counters(self.id()), &self.counters);
        self.pass_over_configurations(work);
        let jobs: Vec<(PrintJobId, TerminalId)> = self
            .prints
            .values()
            .map(|job| (job.id, job.terminal_id))
            .collect();
        for (job_id, terminal_id) in jobs {
            let state = PrintState::Unknown;
            self.print_reported(work, terminal_id, &PrintReport { job_id, state })?;
        }
        let uncharged: Vec<PosTransaction> = self
            .open
            .values()
            .filter(|pos| pos.stage.is_before_no_return())
            .cloned()
            .collect();
        for pos in uncharged {
            let pos = end_attempt(pos, LOST_TIME);
            self.close(work, pos, PosStatus::Failed, LOST_TIME);
        }
        Ok(())
    }

    /// A till may have a configuration of the lost time: its number is not given to another one.
    fn pass_over_configurations(&mut self, work: &mut MerchantWork<'_>) {
        let life = self.counters.incarnation;
        let [.., a, b, c, d] = life.map_or([0; 16], |life| life.bytes());
        // Another way in each life, for one backup may be restored twice.
        let jump = u64::from(u32::from_be_bytes([a, b, c, d]));
        let mut defaults = self.defaults.clone();
        defaults.latest = defaults.latest.saturating_add(jump).saturating_add(1);
        self.put_defaults(work, defaults);
    }

    /// Ends at its terminal what went on there in the lost time with a card that is not on record
    /// here. True when it was that.
    pub(super) fn concludes_lost_card(
        &self,
        work: &mut MerchantWork<'_>,
        pos: &PosTransaction,
        digest: &Digest,
    ) -> bool {
        let is_lost = digest.attempt_id.is_some_and(|id| {
            let known = pos.attempt(id).map(|attempt| attempt.state);
            matches!(known, None | Some(AttemptState::Ended(LOST_TIME)))
        });
        if is_lost && is_at_stake(&digest.state) {
            self.conclude_unknown(work, pos.terminal_id, pos.id, Some(&digest.state));
            return true;
        }
        false
    }

    /// Ends a POS transaction of a till that is not on record here: the till forgets it and says
    /// that nobody has paid. Without money at stake that is true; otherwise a person has to look.
    pub(super) fn conclude_unknown(
        &self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        pos_id: PosTransactionId,
        state: Option<&DigestState>,
    ) {
        let is_at_stake = state.is_some_and(is_at_stake);
        if is_at_stake {
            tracing::error!(
                %pos_id, %terminal_id, ?state,
                "a till reports card data for a transaction that is not on record: compare with the acquirer's book"
            );
            work.happened("pos_transaction.unknown_here", &pos_id);
        }
        let Some(currency) = self.merchant.currencies.first() else {
            return;
        };
        let concluded = Concluded {
            pos_id,
            status: if is_at_stake {
                PosStatus::InDoubt
            } else {
                PosStatus::Failed
            },
            reason: UNKNOWN_HERE.to_owned(),
            amount: Money::new(0, *currency),
            tip: None,
            transaction_id: None,
            kind: None,
            advice: None,
        };
        self.send(work, terminal_id, ToAgent::Concluded(concluded));
    }
}

/// Whether another engine may have asked the acquirer for what a till says of itself.
const fn is_at_stake(state: &DigestState) -> bool {
    matches!(
        state,
        DigestState::Sent | DigestState::Lost | DigestState::Completed(_)
    )
}

#[cfg(test)]
mod tests {
    use protocol::link::{Digest, TipChoice, ToEngine};
    use uuid::Uuid;

    use super::*;
    use crate::acquirer::AcquirerAction;
    use crate::domain::pos::Stage;
    use crate::owner::merchant::Effect;
    use crate::owner::merchant::bench::{Bench, approval};

    fn life(number: u8) -> IncarnationId {
        IncarnationId::from_bytes([number; 16])
    }

    /// A merchant that has a terminal, in the first life of its database.
    fn boarded() -> Bench {
        let mut bench = Bench::new();
        bench.store.set_incarnation(life(1));
        bench.restart();
        bench.link_back(Vec::new());
        bench
    }

    fn restore(bench: &mut Bench) {
        bench.store.set_incarnation(life(2));
        bench.effects.clear();
        bench.restart();
    }

    #[test]
    fn numbers_jump_also_when_the_backup_has_none() {
        let mut bench = boarded();
        restore(&mut bench);
        bench.link_back(Vec::new());
        let jump = trace_jump(life(2));
        for expected in [jump + 1, jump + 2] {
            let pos_id = bench.approved();
            assert_eq!(bench.transaction_of(pos_id).trace.number, expected);
            bench.restart();
            bench.link_back(Vec::new());
        }
    }

    #[test]
    fn one_backup_restored_twice_uses_other_numbers() {
        let first = trace_jump(life(2));
        let again = trace_jump(life(3));
        assert!(first.abs_diff(again) > 1_000, "{first} and {again}");
        for number in 0..=u8::MAX {
            let jump = trace_jump(life(number));
            assert!((TRACE_JUMP_MIN..TRACE_MAX - TRACE_JUMP_MIN).contains(&jump));
        }
    }

    /// The lost time may have undone it: a till that says that it was paid comes too late.
    #[test]
    fn what_was_being_confirmed_at_the_backup_is_reversed_once() {
        let mut bench = boarded();
        let pos_id = bench.tapped();
        bench.host(pos_id, approval());
        assert_eq!(bench.pos(pos_id).stage, Stage::Confirming);
        restore(&mut bench);
        let is_reversal = |effect: &&Effect| match effect {
            Effect::Acquirer(request) => matches!(request.action, AcquirerAction::Reverse { .. }),
            _ => false,
        };
        assert_eq!(bench.effects.iter().filter(is_reversal).count(), 1);
        let attempt_id = bench.attempt(pos_id);
        let completion = protocol::link::Completion {
            pos_id,
            attempt_id,
            chip: protocol::link::ChipOutcome::Agreed,
            cause: None,
            data: Vec::new(),
        };
        let digest = Digest {
            pos_id,
            attempt_id: Some(attempt_id),
            state: DigestState::Completed(completion),
        };
        bench.link_back(vec![digest]);
        assert_eq!(bench.pos(pos_id).status(), PosStatus::InDoubt);
    }

    /// It may have been paid in the lost time: a card is not asked for again.
    #[test]
    fn what_waited_for_a_card_at_the_backup_fails() {
        type Step = fn(&mut Bench, PosTransactionId);
        let steps: [(Stage, bool, Step); 4] = [
            (Stage::Offered, false, |_, _| ()),
            (Stage::SelectingTip, true, |bench, pos_id| {
                bench.said(ToEngine::Accept { pos_id });
            }),
            (Stage::AwaitingCard, true, |bench, pos_id| {
                bench.said(ToEngine::Accept { pos_id });
                let choice = TipChoice::None;
                bench.said(ToEngine::TipChosen { pos_id, choice });
            }),
            (Stage::AwaitingCard, false, |bench, pos_id| {
                bench.said(ToEngine::Accept { pos_id });
            }),
        ];
        for (stage, with_tip, step) in steps {
            let mut bench = boarded();
            let pos_id = bench.start(with_tip);
            step(&mut bench, pos_id);
            assert_eq!(bench.pos(pos_id).stage, stage);
            restore(&mut bench);
            bench.effects.clear();
            bench.link_back(Vec::new());
            let pos = bench.pos(pos_id);
            assert_eq!(
                (pos.status(), pos.reason()),
                (PosStatus::Failed, Some(LOST_TIME)),
                "{stage:?}"
            );
            let asks = |message: &ToAgent| !matches!(message, ToAgent::Concluded(_));
            assert!(!bench.sent().iter().any(asks), "{:?}", bench.sent());
        }
    }

    #[test]
    fn a_till_whose_card_is_not_on_record_is_not_told_that_nobody_paid() {
        let known = |bench: &Bench, pos_id| bench.attempt(pos_id);
        let lost = |_: &Bench, _| protocol::id::AttemptId::from_uuid(Uuid::from_u128(78));
        type Named = fn(&Bench, PosTransactionId) -> protocol::id::AttemptId;
        let cases: [(DigestState, Named, PosStatus); 5] = [
            (DigestState::Sent, known, PosStatus::InDoubt),
            (DigestState::Sent, lost, PosStatus::InDoubt),
            (DigestState::Lost, lost, PosStatus::InDoubt),
            (DigestState::Reading, known, PosStatus::Failed),
            (DigestState::Accepted, known, PosStatus::Failed),
        ];
        for (state, named, status) in cases {
            let mut bench = boarded();
            let pos_id = bench.accepted();
            let attempt_id = Some(named(&bench, pos_id));
            restore(&mut bench);
            bench.effects.clear();
            let digest = Digest {
                pos_id,
                attempt_id,
                state,
            };
            bench.link_back(vec![digest]);
            let sent = bench.sent();
            assert!(
                matches!(sent.as_slice(), [ToAgent::Concluded(one)] if one.status == status),
                "{sent:?}"
            );
        }
    }
}
