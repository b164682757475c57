//! The published table of transitions: what can happen to a POS transaction, and what follows.

use protocol::link::PosStatus;

use super::Stage;

/// What can happen to a POS transaction, as the table of transitions names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// The terminal takes the offer.
    Accept,
    /// The terminal does not take it.
    Reject,
    /// The payer has chosen a tip.
    TipChosen,
    /// A card was read.
    Card,
    /// The attempt ended; another card may be tried.
    CardFailed,
    /// The attempt ended for good.
    NobodyPaid,
    /// The acquirer approves.
    HostApproves,
    /// The acquirer declines, and another card may be tried.
    HostDeclines,
    /// The request never left.
    HostNotSent,
    /// The acquirer's answer is lost.
    HostUnknown,
    /// The chip agrees.
    ChipAgrees,
    /// The chip refuses.
    ChipRefuses,
    /// The card is gone.
    ChipAborts,
    /// A cancel that lets an approval stand.
    Cancel,
    /// A cancel that wants the money back.
    CancelAndVoid,
    /// The stage runs out of time.
    Deadline,
    /// The acquirer acknowledges the reversal.
    ReversalDone,
}

impl Trigger {
    /// Every trigger there is.
    pub const ALL: [Self; 17] = [
        Self::Accept,
        Self::Reject,
        Self::TipChosen,
        Self::Card,
        Self::CardFailed,
        Self::NobodyPaid,
        Self::HostApproves,
        Self::HostDeclines,
        Self::HostNotSent,
        Self::HostUnknown,
        Self::ChipAgrees,
        Self::ChipRefuses,
        Self::ChipAborts,
        Self::Cancel,
        Self::CancelAndVoid,
        Self::Deadline,
        Self::ReversalDone,
    ];
}

/// Every transition: a stage, what happens, and the stage and status that follow. What is not
/// listed changes neither. The owner's tests walk the whole stage × trigger square against it.
pub const TRANSITIONS: &[(Stage, Trigger, Stage, PosStatus)] = {
    use PosStatus as P;
    use Stage as S;
    use Trigger as T;
    &[
        (S::Offered, T::Accept, S::SelectingTip, P::InProgress),
        (S::Offered, T::Reject, S::Closed, P::Failed),
        (S::Offered, T::Cancel, S::Closed, P::Canceled),
        (S::Offered, T::CancelAndVoid, S::Closed, P::Canceled),
        (S::Offered, T::Deadline, S::Closed, P::Failed),
        (
            S::SelectingTip,
            T::TipChosen,
            S::AwaitingCard,
            P::InProgress,
        ),
        (S::SelectingTip, T::Reject, S::Closed, P::Failed),
        (S::SelectingTip, T::Cancel, S::Closed, P::Canceled),
        (S::SelectingTip, T::CancelAndVoid, S::Closed, P::Canceled),
        (S::SelectingTip, T::Deadline, S::Closed, P::Failed),
        (S::AwaitingCard, T::Card, S::Authorizing, P::InProgress),
        (
            S::AwaitingCard,
            T::CardFailed,
            S::AwaitingCard,
            P::InProgress,
        ),
        (S::AwaitingCard, T::NobodyPaid, S::Closed, P::Failed),
        (S::AwaitingCard, T::Reject, S::Closed, P::Failed),
        (S::AwaitingCard, T::Cancel, S::Closed, P::Canceled),
        (S::AwaitingCard, T::CancelAndVoid, S::Closed, P::Canceled),
        (S::AwaitingCard, T::Deadline, S::Closed, P::Failed),
        (
            S::Authorizing,
            T::HostApproves,
            S::Confirming,
            P::InProgress,
        ),
        (
            S::Authorizing,
            T::HostDeclines,
            S::AwaitingCard,
            P::InProgress,
        ),
        (S::Authorizing, T::HostNotSent, S::Closed, P::Failed),
        (S::Authorizing, T::HostUnknown, S::Reversing, P::InDoubt),
        (S::Authorizing, T::ChipAborts, S::Reversing, P::InDoubt),
        (S::Authorizing, T::CancelAndVoid, S::Reversing, P::InDoubt),
        (S::Authorizing, T::Deadline, S::Reversing, P::InDoubt),
        (S::Confirming, T::ChipAgrees, S::Closed, P::Approved),
        (S::Confirming, T::ChipRefuses, S::Reversing, P::InDoubt),
        (S::Confirming, T::ChipAborts, S::Reversing, P::InDoubt),
        (S::Confirming, T::CancelAndVoid, S::Reversing, P::InDoubt),
        (S::Confirming, T::Deadline, S::Reversing, P::InDoubt),
        (S::Reversing, T::ReversalDone, S::Closed, P::Reversed),
    ]
};
