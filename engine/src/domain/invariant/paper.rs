//! Rules about print jobs and the marks that keep a receipt from being printed as a first one twice.

use std::collections::BTreeSet;

use protocol::id::{MerchantId, PrintJobId};

use super::{Holdings, Violation};

/// A print job is of a POS transaction and for a terminal that exist; it holds its receipt until it
/// has ended.
pub(super) fn print_job_has_pos(_: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    let mut report = |id: PrintJobId, what: String| {
        found.push(Violation::new("print_job_has_pos", &id, what));
    };
    for job in holdings.print_jobs.values() {
        if !holdings.pos.contains_key(&job.pos_id) {
            report(
                job.id,
                format!("is of {}, which does not exist", job.pos_id),
            );
        }
        if !holdings.terminals.contains_key(&job.terminal_id) {
            let terminal_id = job.terminal_id;
            report(
                job.id,
                format!("is for {terminal_id}, which does not exist"),
            );
        }
        if job.state.is_final() && job.receipt.is_some() {
            report(job.id, "has ended and keeps its receipt".to_owned());
        }
        if !job.state.is_final() && job.receipt.is_none() {
            report(job.id, "has not ended and lost its receipt".to_owned());
        }
    }
}

/// Every receipt that was made is marked, and every mark is of one that was made.
pub(super) fn first_copy_is_marked(_: MerchantId, holdings: &Holdings, found: &mut Vec<Violation>) {
    let rule = "first_copy_is_marked";
    let mut marked = BTreeSet::new();
    for mark in &holdings.copy_marks {
        marked.insert((mark.pos_id, mark.copy));
        let transaction = holdings.transactions.get(&mark.transaction_id);
        if transaction.map(|one| one.pos_id) != Some(mark.pos_id) {
            let what = format!(
                "has a receipt of {}, which is not its own",
                mark.transaction_id
            );
            found.push(Violation::new(rule, &mark.pos_id, what));
        }
    }
    let mut made = BTreeSet::new();
    for job in holdings.print_jobs.values() {
        made.insert((job.pos_id, job.copy));
        if !marked.contains(&(job.pos_id, job.copy)) {
            let what = "would be printed again as a first copy";
            found.push(Violation::new(rule, &job.id, what));
        }
    }
    for (pos_id, copy) in marked.difference(&made) {
        let what = format!("has a mark for the {copy:?} copy, which was never made");
        found.push(Violation::new(rule, pos_id, what));
    }
}
