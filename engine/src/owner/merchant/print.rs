//! Print jobs: made, handed to the till until it reports an end, never a condition for money.

use std::sync::Arc;

use protocol::id::{PrintJobId, TerminalId};
use protocol::link::{PrintCommand, PrintReport, PrintState, ToAgent};
use protocol::receipt::Copy;

use crate::domain::pos::PosTransaction;
use crate::domain::print::PrintJob;
use crate::domain::receipt::{self, Slip, Source};
use crate::domain::rejection::Rejection;
use crate::domain::transaction::Transaction;
use crate::store::ReadFault;

use super::claim::{Answered, Outcome};
use super::{Decided, MerchantOwner, MerchantWork};
use crate::owner::key;
use crate::owner::request::{Answer, PrintReceipt};

/// Ends of jobs that one command acknowledges. Arbitrary, bounded: a frame holds many times that.
const KNOWN_PER_COMMAND_MAX: usize = 64;

/// Ends that one link has reported and that are yet to be acknowledged. Arbitrary, bounded: a till
/// has a few; what does not fit is acknowledged by the next welcome.
const REPORTED_MAX: usize = 1_024;

/// Whether a copy may have been queued before.
#[derive(Debug, Clone, Copy)]
enum Earlier {
    Possible,
    Impossible,
}

impl MerchantOwner {
    pub(super) fn print_receipt(
        &mut self,
        work: &mut MerchantWork<'_>,
        print: PrintReceipt,
    ) -> Answered {
        let Some(pos) = self.pos(work, print.pos_id)? else {
            return Ok(Rejection::NotFound.into());
        };
        let terminal_id = print.terminal_id.unwrap_or(pos.terminal_id);
        if self.terminal(work, terminal_id)?.is_none() {
            return Ok(Rejection::NotFound.into());
        }
        let Some(transaction) = self.last_transaction(work, &pos)? else {
            return Ok(Rejection::NoReceipt.into());
        };
        Ok(
            match self.make_job(
                work,
                &transaction,
                print.copy,
                terminal_id,
                Earlier::Possible,
            )? {
                Some(job) => {
                    self.queue_print(work, &transaction, job.clone());
                    let resource = job.id.to_string();
                    Outcome::Done(Answer::PrintQueued(Box::new(job)), resource)
                }
                None => Rejection::NoReceipt.into(),
            },
        )
    }

    /// Prints the copies that the rules want, as far as they can be made: a receipt that cannot be
    /// made must not stop the decision that it is about.
    pub(super) fn print_automatically(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction: &Transaction,
        slip: Slip,
    ) {
        // A transaction comes into these states once, and this is when: nobody can have had the
        // slip before.
        let earlier = match slip {
            Slip::Approved | Slip::Declined | Slip::Voided => Earlier::Impossible,
            Slip::Reversed => Earlier::Possible,
        };
        let prints_customer_copy = self.prints_customer_copy(work, transaction.terminal_id);
        for copy in slip.automatic() {
            if *copy == Copy::Customer && !prints_customer_copy {
                continue;
            }
            match self.make_job(work, transaction, *copy, transaction.terminal_id, earlier) {
                Ok(Some(job)) => self.queue_print(work, transaction, job),
                Ok(None) => {}
                Err(fault) => {
                    tracing::error!(%fault, transaction_id = %transaction.id, "no receipt was made");
                }
            }
        }
    }

    /// Whether the customer's copy is printed without being asked for. A slip that says that nothing
    /// was charged is for the customer too, and follows the same wish.
    fn prints_customer_copy(&self, work: &MerchantWork<'_>, terminal_id: TerminalId) -> bool {
        let terminal = self.terminal_as_linked(work, terminal_id);
        let wish = terminal.ok().flatten().and_then(|terminal| {
            let wanted = self.wanted(&terminal);
            wanted.settings.prints_customer_copy
        });
        wish.unwrap_or(true)
    }

    /// The transaction that a receipt of this POS transaction is about: of the latest attempt that
    /// reached the acquirer.
    fn last_transaction(
        &self,
        work: &MerchantWork<'_>,
        pos: &PosTransaction,
    ) -> Result<Option<Transaction>, ReadFault> {
        let id = pos
            .attempts
            .iter()
            .rev()
            .find_map(|attempt| attempt.transaction_id);
        id.map_or(Ok(None), |id| self.transaction(work, id))
    }

    /// A job for a copy; `None` when there is no such receipt.
    fn make_job(
        &self,
        work: &mut MerchantWork<'_>,
        transaction: &Transaction,
        copy: Copy,
        terminal_id: TerminalId,
        earlier: Earlier,
    ) -> Result<Option<PrintJob>, ReadFault> {
        let Some(terminal) = self.terminal_as_linked(work, transaction.terminal_id)? else {
            return Ok(None);
        };
        let mut is_duplicate = false;
        let versions = match earlier {
            Earlier::Possible => Some(versions_alike(transaction)),
            Earlier::Impossible => None,
        };
        for tips in versions.into_iter().flatten() {
            is_duplicate |= work.exists(&self.copy_mark(transaction, copy, tips))?;
        }
        let wanted = self.wanted(&terminal);
        let source = Source {
            merchant: &self.merchant,
            terminal: &terminal,
            transaction,
            footer: wanted
                .settings
                .receipt_footer
                .as_deref()
                .unwrap_or_default(),
        };
        let Some(receipt) = receipt::make(&source, copy, is_duplicate) else {
            return Ok(None);
        };
        Ok(Some(PrintJob {
            id: PrintJobId::from_uuid(work.id()),
            merchant_id: self.id(),
            pos_id: transaction.pos_id,
            terminal_id,
            copy,
            is_duplicate,
            receipt: Some(Arc::new(receipt)),
            state: PrintState::Queued {
                held_by: String::new(),
            },
            has_begun: false,
            created_at: work.now,
            updated_at: work.now,
        }))
    }

    fn queue_print(
        &mut self,
        work: &mut MerchantWork<'_>,
        transaction: &Transaction,
        job: PrintJob,
    ) {
        let mark = self.copy_mark(transaction, job.copy, transaction.tip_revisions.len());
        self.send_print(work, &job);
        self.save_print(work, "print_job.created", job);
        work.mark(mark);
    }

    /// One first print for each copy of each slip after so many tip revisions.
    fn copy_mark(&self, transaction: &Transaction, copy: Copy, tips: usize) -> Vec<u8> {
        let copy = match copy {
            Copy::Merchant => b'm',
            Copy::Customer => b'c',
        };
        let slip = match Slip::of(transaction) {
            Some(Slip::Approved) => b'a',
            Some(Slip::Declined) => b'd',
            Some(Slip::Reversed) => b'r',
            Some(Slip::Voided) => b'v',
            None => b'-',
        };
        let tips = u8::try_from(tips).unwrap_or(u8::MAX);
        let mut version = vec![copy, slip, tips];
        version.extend_from_slice(&transaction.id.bytes());
        key::copy_mark(self.id(), transaction.pos_id, &version)
    }

    pub(super) fn send_print(&mut self, work: &mut MerchantWork<'_>, job: &PrintJob) {
        if let Some(receipt) = job.receipt.clone() {
            let reported = self.prints_reported.entry(job.terminal_id).or_default();
            let known: Vec<PrintJobId> = std::iter::from_fn(|| reported.pop_first())
                .take(KNOWN_PER_COMMAND_MAX)
                .collect();
            let command = PrintCommand {
                job_id: job.id,
                receipt,
                open_drawer: false,
                known,
                has_begun: job.has_begun,
            };
            self.send(work, job.terminal_id, ToAgent::Print(Box::new(command)));
        }
    }

    fn save_print(&mut self, work: &mut MerchantWork<'_>, event: &str, mut job: PrintJob) {
        let row = key::print_job(self.id(), job.id);
        let mark = key::open(self.id(), &row);
        work.happened(event, &job.id);
        if job.state.is_final() {
            job.receipt = None;
            if self.prints.remove(&job.id).is_some() {
                work.remove(mark);
            }
            work.put(row, &job);
        } else {
            if !self.prints.contains_key(&job.id) {
                work.mark(mark);
            }
            work.put(row, &job);
            self.prints.insert(job.id, job);
        }
    }

    pub(super) fn print_reported(
        &mut self,
        work: &mut MerchantWork<'_>,
        terminal_id: TerminalId,
        report: &PrintReport,
    ) -> Decided {
        if report.state.is_final() {
            // Said with the next job, once the commit of this report is durable.
            let reported = self.prints_reported.entry(terminal_id).or_default();
            if reported.len() < REPORTED_MAX {
                reported.insert(report.job_id);
            }
        }
        let Some(mut job) = self.prints.get(&report.job_id).cloned() else {
            return Ok(());
        };
        if job.terminal_id != terminal_id || job.state == report.state {
            return Ok(());
        }
        job.has_begun |= report.state == PrintState::Printing;
        job.state = report.state.clone();
        job.updated_at = work.now;
        let event = if job.state.is_final() {
            "print_job.ended"
        } else {
            "print_job.moved"
        };
        self.save_print(work, event, job);
        Ok(())
    }
}

/// After how many tip revisions the receipt said what it says now: a tip that is set once more, or
/// set back, makes no new receipt.
fn versions_alike(transaction: &Transaction) -> impl Iterator<Item = usize> {
    let current = transaction.current_tip();
    let revised = transaction.tip_revisions.iter().map(|one| Some(one.tip));
    std::iter::once(transaction.tip)
        .chain(revised)
        .enumerate()
        .filter(move |(_, tip)| *tip == current)
        .map(|(tips, _)| tips)
}
