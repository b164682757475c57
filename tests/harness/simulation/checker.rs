//! The rules that hold in every world, as named functions over what was seen. Pure.
//!
//! [`money`]: what stands at the acquirer. [`status`]: statuses, stages, verdicts. [`log`]: what is
//! durable. What each caller may be told is judged by [`super::model`], which has its own names.

pub mod log;
pub mod money;
pub mod status;

use std::fmt;

use engine::acquirer::host::Host;

use super::history::History;

pub use log::{
    answer_is_committed, approved_shown_only_after_commit, keys_are_claimed_with_effects,
    nothing_is_lost, one_final_event, rows_are_the_log,
};
pub use money::{
    money_moves_only_after_commit, no_expired_attempt_authorized, reversal_is_irrevocable,
    voided_means_undone,
};
pub use status::{
    a_final_status_stays, busy_is_true, in_doubt_says_when, one_attempt_per_terminal,
    stages_follow_the_table, statuses_are_true, verdicts_are_true,
};

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The checker's name.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A violation of a rule.
    pub const fn new(rule: &'static str, what: String) -> Self {
        Self { rule, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.what)
    }
}

/// What a checker says.
pub type Checked = Result<(), Violation>;

pub(super) fn fail(rule: &'static str, what: String) -> Checked {
    Err(Violation::new(rule, what))
}

/// Rules about the end, when nothing is under way any more.
pub const AT_THE_END: [fn(&History, &Host) -> Checked; 7] = [
    money::host_is_asked_rightly,
    money::one_charge,
    verdicts_are_true,
    statuses_are_true,
    money::canceled_means_no_charge,
    money::totals_agree,
    money::books_agree,
];
