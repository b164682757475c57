//! Faults that an integrator asks for in test mode: what there is, when each happens, how often.
//!
//! A fault is armed on the acquirer, a terminal or one POS transaction, and happens when the engine
//! reaches its moment there. It never decides about money: what follows from it is decided by the
//! rules that decide about real trouble. In live mode nothing can be armed and nothing is met.

mod kind;

use protocol::id::{FaultId, MerchantId, PosTransactionId, TerminalId, TransactionId};

pub use kind::{DeviceAct, HostFault, Kind, Parameters, Way};

use super::rejection::Rejection;
use super::time::Timestamp;

/// Occurrences that one fault may be armed for. Arbitrary, bounded: more than any script needs.
pub const TIMES_MAX: u32 = 20;
/// How long a fault is armed at most, in seconds: a day, so that nothing is left behind in a test
/// environment that several people share.
pub const LIFE_S_MAX: u64 = 24 * 60 * 60;
/// How long a fault is armed unless told otherwise, in seconds.
pub const LIFE_S_DEFAULT: u64 = 60 * 60;
/// How long after its moment a fault may happen, in milliseconds.
pub const AFTER_MS_MAX: u64 = 60_000;
/// Faults that a merchant may have armed at once. Arbitrary: each is looked at for every effect.
pub const ARMED_MAX: usize = 100;

/// Whether faults can be asked for, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Live mode, or the operator does not want them: none is armed, none is met.
    #[default]
    Off,
    /// Test mode.
    On {
        /// Whether the process may be made to end. Only the operator of the engine can say so,
        /// because it ends for every merchant.
        allows_engine_restart: bool,
    },
}

macro_rules! moments {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        /// A step of the engine at which a fault can happen. Each is the moment at which the
        /// engine is about to say or ask something, after it has committed to it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Moment { $($(#[$doc])* $name,)* }

        impl Moment {
            /// Every moment there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

moments! {
    /// At once, when it is armed.
    Now = "now";
    /// The sale is offered to the terminal.
    Offered = "offered";
    /// The payer is asked for a tip.
    SelectingTip = "selecting_tip";
    /// The terminal is told to read a card.
    AwaitingCard = "awaiting_card";
    /// The authorization goes to the acquirer.
    Authorizing = "authorizing";
    /// The terminal is told that the acquirer has approved.
    Confirming = "confirming";
    /// The terminal is told that the sale is approved.
    Approved = "approved";
    /// A receipt is handed to the terminal.
    Printing = "printing";
    /// A reversal goes to the acquirer.
    Reversing = "reversing";
    /// A void goes to the acquirer.
    Voiding = "voiding";
    /// A tip adjustment goes to the acquirer.
    AdjustingTip = "adjusting_tip";
}

impl Moment {
    /// Reads a code back.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.code() == code)
    }
}

/// What a fault is armed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Whatever the merchant asks of the acquirer, from any terminal.
    Acquirer,
    /// One terminal, and what it asks of the acquirer.
    Terminal(TerminalId),
    /// One POS transaction.
    Pos(PosTransactionId),
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// On what.
    pub target: Target,
    /// What happens.
    pub kind: Kind,
    /// When; the kind's usual moment when absent.
    pub at: Option<Moment>,
    /// How many times.
    pub times: u32,
    /// How long after the moment, in milliseconds.
    pub after_ms: u64,
    /// How long it stays armed, in seconds.
    pub life_s: u64,
}

/// The engine has reached a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encounter {
    /// Which.
    pub moment: Moment,
    /// Where.
    pub terminal_id: TerminalId,
    /// In which POS transaction.
    pub pos_id: Option<PosTransactionId>,
    /// In which transaction.
    pub transaction_id: Option<TransactionId>,
}

/// One time that a fault has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firing {
    /// When.
    pub at: Timestamp,
    /// Where and in what.
    pub met: Encounter,
}

/// Where a fault stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It will happen again.
    Armed,
    /// It has happened as often as it was armed for.
    Fired,
    /// It could not be made to happen.
    Refused(String),
    /// Its time ran out.
    Expired,
    /// It was taken back.
    Disarmed,
}

impl State {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Fired => "fired",
            Self::Refused(_) => "refused",
            Self::Expired => "expired",
            Self::Disarmed => "disarmed",
        }
    }
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its id.
    pub id: FaultId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// On what it was armed.
    pub target: Target,
    /// What happens.
    pub kind: Kind,
    /// When.
    pub at: Moment,
    /// How many times at most.
    pub times: u32,
    /// How long after the moment.
    pub after_ms: u64,
    /// Each time that it happened.
    pub firings: Vec<Firing>,
    /// Where it stands.
    pub state: State,
    /// When it was armed.
    pub created_at: Timestamp,
    /// Until when it is armed.
    pub expires_at: Timestamp,
    /// When it ceased to be armed.
    pub ended_at: Option<Timestamp>,
}

impl Fault {
    /// Arms what was asked for.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] naming the field that does not fit the kind or is out of range.
    pub fn arm(
        id: FaultId,
        merchant_id: MerchantId,
        order: Order,
        now: Timestamp,
    ) -> Result<Self, Rejection> {
        let at = order.at.unwrap_or_else(|| order.kind.usual_moment());
        if !order.kind.happens_at(at) {
            return Err(Rejection::invalid(
                "at",
                "a stage at which this kind happens",
            ));
        }
        let is_on_host = matches!(order.kind, Kind::Host(_));
        if order.target == Target::Acquirer && !is_on_host {
            return Err(Rejection::invalid("target", "a terminal for this kind"));
        }
        if at == Moment::Now && !matches!(order.target, Target::Terminal(_)) {
            return Err(Rejection::invalid(
                "target",
                "a terminal for a fault at once",
            ));
        }
        if !(1..=TIMES_MAX).contains(&order.times) || (at == Moment::Now && order.times != 1) {
            return Err(Rejection::invalid(
                "times",
                "1 to 20, and 1 for a fault at once",
            ));
        }
        if order.after_ms > AFTER_MS_MAX || (is_on_host && order.after_ms != 0) {
            return Err(Rejection::invalid(
                "after_ms",
                "0 to 60000, and none for what the host does",
            ));
        }
        if !(1..=LIFE_S_MAX).contains(&order.life_s) {
            return Err(Rejection::invalid("expires_in_s", "1 to 86400"));
        }
        Ok(Self {
            id,
            merchant_id,
            target: order.target,
            kind: order.kind,
            at,
            times: order.times,
            after_ms: order.after_ms,
            firings: Vec::new(),
            state: State::Armed,
            created_at: now,
            expires_at: now.plus_ms(order.life_s.saturating_mul(1_000)),
            ended_at: None,
        })
    }

    /// Whether it may still happen.
    pub fn is_armed(&self) -> bool {
        self.state == State::Armed
    }

    /// Whether it happens at this moment.
    pub fn meets(&self, met: &Encounter, now: Timestamp) -> bool {
        let is_here = match self.target {
            Target::Acquirer => true,
            Target::Terminal(terminal_id) => terminal_id == met.terminal_id,
            Target::Pos(pos_id) => Some(pos_id) == met.pos_id,
        };
        self.is_armed() && now < self.expires_at && self.at == met.moment && is_here
    }

    /// Notes that it has happened once more.
    pub fn fire(&mut self, met: Encounter, now: Timestamp) {
        self.firings.push(Firing { at: now, met });
        let is_used_up = u32::try_from(self.firings.len()).is_ok_and(|count| count >= self.times);
        if is_used_up {
            self.end(State::Fired, now);
        }
    }

    /// Ends it. The first end stays, except that a fault which had fired can turn out to have been
    /// refused where it was to happen.
    pub fn end(&mut self, state: State, now: Timestamp) {
        let is_late_refusal = matches!((&self.state, &state), (State::Fired, State::Refused(_)));
        if self.is_armed() || is_late_refusal {
            self.state = state;
            self.ended_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
