//! A database that was restored: what happened after the copy was made is not known here, and goes
//! on existing at the acquirer, at the tills and on paper.

use protocol::id::{IncarnationId, PosTransactionId, PrintJobId, TerminalId};
use protocol::link::{Concluded, DigestState, PosStatus, PrintReport, PrintState, ToAgent};
use protocol::money::Money;

use super::{Decided, MerchantOwner, MerchantWork};
use crate::owner::key;
use crate::owner::stored::Counters;

/// How far trace numbers jump: more than one merchant sends in the weeks that a backup can be old,
/// and a tenth of all there are.
const TRACE_JUMP: u32 = 100_000;
/// Trace numbers run from 1 to this and begin again.
pub(super) const TRACE_MAX: u32 = 999_999;

/// Why a till's transaction ends that the engine does not know. Only tills see it.
const UNKNOWN_HERE: &str = "unknown_to_engine";

/// The counters as they stand in this life of the database, and whether it is a restored one.
pub(super) fn counted_in(
    counters: Counters,
    incarnation: Option<IncarnationId>,
) -> (Counters, bool) {
    let is_restored =
        incarnation.is_some() && counters.incarnation != incarnation && counters.trace > 0;
    let trace = if is_restored {
        counters.trace.saturating_add(TRACE_JUMP) % TRACE_MAX
    } else {
        counters.trace
    };
    let incarnation = incarnation.or(counters.incarnation);
    (Counters { trace, incarnation }, is_restored)
}

impl MerchantOwner {
    /// Once per restore: trace numbers that the lost time has used are passed over, and no receipt
    /// is printed that may have been printed then.
    pub(super) fn resume_restored(&mut self, work: &mut MerchantWork<'_>) -> Decided {
        if !std::mem::take(&mut self.is_restored) {
            return Ok(());
        }
        tracing::warn!(merchant_id = %self.id(), "database was restored; trace numbers jump");
        work.happened("merchant.restored", &self.id());
        work.put(key::counters(self.id()), &self.counters);
        let jobs: Vec<(PrintJobId, TerminalId)> = self
            .prints
            .values()
            .map(|job| (job.id, job.terminal_id))
            .collect();
        for (job_id, terminal_id) in jobs {
            let state = PrintState::Unknown;
            self.print_reported(work, terminal_id, &PrintReport { job_id, state })?;
        }
        Ok(())
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
        let is_at_stake = matches!(
            state,
            Some(DigestState::Sent | DigestState::Lost | DigestState::Completed(_))
        );
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
        };
        self.send(work, terminal_id, ToAgent::Concluded(concluded));
    }
}
