//! The owner of a terminal's link: its life and its live status. It owns no money.
//!
//! A hello is handed to the merchant's owner, which reconciles open work and then welcomes; nothing
//! goes out on a link before its welcome. What belongs to an older link is dropped.

use protocol::id::{JournalId, PrintJobId};
use protocol::link::{
    Digest, HEARTBEAT_MS, PrintReport, RefusedReason, SILENCE_MS_MAX, TillStatus, ToAgent,
    ToEngine, Welcome,
};

use crate::domain::time::Timestamp;

use super::merchant::TerminalEvent;

/// How long two installations that take turns are remembered. A technician who swaps a till back
/// and forth within ten minutes is rarer than a cloned disk.
const TURNS_MS: u64 = 10 * 60 * 1_000;

/// Why a device fault cannot be carried out: the terminal's devices are not simulated.
const NO_SIMULATOR: &str = "not_supported";
/// Why a device fault cannot be carried out: the terminal has no link.
const OFFLINE: &str = "terminal_offline";

/// How long an older hello can still be on its way after a newer one: the socket gives a hello up
/// that does not come within ten seconds of its challenge.
const HELLO_MS_MAX: u64 = 10_000;

/// A hello whose signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHello {
    /// Number of the socket, given by the shell.
    pub socket: u64,
    /// The journal of the installation.
    pub journal_id: JournalId,
    /// How often the agent has started on it.
    pub boot: u64,
    /// How often it has connected since.
    pub connection: u64,
    /// Open work there.
    pub open: Vec<Digest>,
    /// Print jobs that ended there.
    pub prints: Vec<PrintReport>,
    /// Whether its devices are simulated.
    pub has_simulator: bool,
}

/// What a terminal's owner is told.
#[derive(Debug, Clone)]
pub enum TerminalInput {
    /// An agent has proved who it is, on a new socket.
    Hello(Box<VerifiedHello>),
    /// The agent said something on a socket.
    Said {
        /// The socket.
        socket: u64,
        /// The message.
        message: Box<ToEngine>,
    },
    /// A socket has closed.
    Closed {
        /// The socket.
        socket: u64,
    },
    /// The merchant's owner has reconciled the latest hello.
    Welcome {
        /// What the till calls itself.
        label: String,
        /// Print reports that are stored.
        prints_known: Vec<PrintJobId>,
    },
    /// The merchant's owner has a message for the agent.
    Send(Box<ToAgent>),
    /// The merchant's owner was discarded, or the device key replaced: begin anew.
    Reset {
        /// Whether the identity was renewed by a technician.
        is_renewed: bool,
    },
    /// A fault that was asked for in test mode: the link is to be lost, and new ones refused.
    Cut {
        /// For how long, in milliseconds.
        refusal_ms: u64,
    },
    /// The instant of [`TerminalOwner::poll_deadline`] has come.
    Deadline,
}

/// What a terminal's owner causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalOutput {
    /// Answer the hello.
    Welcome {
        /// The socket.
        socket: u64,
        /// The answer.
        welcome: Welcome,
    },
    /// Refuse the hello and close.
    Refuse {
        /// The socket.
        socket: u64,
        /// Why.
        reason: RefusedReason,
    },
    /// Send a message.
    Send {
        /// The socket.
        socket: u64,
        /// The message.
        message: Box<ToAgent>,
    },
    /// Close a socket.
    Close {
        /// The socket.
        socket: u64,
    },
    /// Tell the merchant's owner.
    Merchant(Box<TerminalEvent>),
    /// The live status has changed.
    Status,
}

#[derive(Debug)]
struct Link {
    socket: u64,
    boot: u64,
    connection: u64,
    journal_id: JournalId,
    has_simulator: bool,
    is_welcomed: bool,
    heard_at: Timestamp,
    pinged_at: Timestamp,
}

/// The state of a terminal's owner.
#[derive(Debug, Default)]
pub struct TerminalOwner {
    link: Option<Link>,
    epoch: u64,
    welcomes_owed: u32,
    /// The hello that was taken last, with its boot and connection, and when.
    newest: Option<(JournalId, (u64, u64), Timestamp)>,
    /// The journal of the latest link, whether it is up or not.
    latest: Option<JournalId>,
    /// The journal before that, and when it was replaced.
    former: Option<(JournalId, Timestamp)>,
    is_duplicate: bool,
    since: Timestamp,
    till: Option<(TillStatus, Timestamp)>,
    heard_at: Option<Timestamp>,
    /// Until when links are refused because somebody asked for it.
    refuses_until: Option<Timestamp>,
}

impl TerminalOwner {
    /// Whether a link is up and welcomed.
    pub fn is_online(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_welcomed)
    }

    /// Since when it is, or is not.
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// When anything last arrived.
    pub const fn heard_at(&self) -> Option<Timestamp> {
        self.heard_at
    }

    /// What the till last said about itself, and when.
    pub const fn till(&self) -> Option<&(TillStatus, Timestamp)> {
        self.till.as_ref()
    }

    /// When the shell must send [`TerminalInput::Deadline`].
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        self.link.as_ref().map(|link| {
            let ping_at = link.pinged_at.plus_ms(HEARTBEAT_MS);
            ping_at.min(link.heard_at.plus_ms(SILENCE_MS_MAX))
        })
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Timestamp, input: TerminalInput, out: &mut Vec<TerminalOutput>) {
        match input {
            TerminalInput::Hello(hello) => self.hello(now, *hello, out),
            TerminalInput::Said { socket, message } => self.said(now, socket, *message, out),
            TerminalInput::Closed { socket } => {
                if self.link.as_ref().is_some_and(|link| link.socket == socket) {
                    self.lose(now, out);
                }
            }
            TerminalInput::Welcome {
                label,
                prints_known,
            } => {
                self.welcome(now, label, prints_known, out);
            }
            TerminalInput::Send(message) => self.send(message, out),
            TerminalInput::Cut { refusal_ms } => {
                self.refuses_until = Some(now.plus_ms(refusal_ms));
                self.close_and_lose(now, out);
            }
            TerminalInput::Reset { is_renewed } => {
                if is_renewed {
                    self.is_duplicate = false;
                    self.latest = None;
                    self.newest = None;
                    self.former = None;
                    self.till = None;
                }
                self.close_and_lose(now, out);
                self.welcomes_owed = 0;
            }
            TerminalInput::Deadline => self.deadline(now, out),
        }
    }

    fn send(&self, message: Box<ToAgent>, out: &mut Vec<TerminalOutput>) {
        // While a welcome is owed, this is for a link that is no more.
        let link = self.link.as_ref();
        let link = link.filter(|link| link.is_welcomed && self.welcomes_owed == 0);
        // An agent that knows no simulator closes the link on which it hears of one.
        if let ToAgent::Simulate(command) = message.as_ref()
            && !link.is_some_and(|link| link.has_simulator)
        {
            let refusal = if link.is_some() {
                NO_SIMULATOR
            } else {
                OFFLINE
            };
            let refused = ToEngine::Simulated {
                fault_id: command.fault_id,
                refusal: Some(refusal.to_owned()),
            };
            out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Said(
                refused,
            ))));
        } else if let Some(link) = link {
            out.push(TerminalOutput::Send {
                socket: link.socket,
                message,
            });
        }
    }

    fn hello(&mut self, now: Timestamp, hello: VerifiedHello, out: &mut Vec<TerminalOutput>) {
        if let Some(reason) = self.refusal(now, &hello) {
            if reason == RefusedReason::DuplicateIdentity {
                self.close_and_lose(now, out);
            }
            out.push(TerminalOutput::Refuse {
                socket: hello.socket,
                reason,
            });
            return;
        }
        self.close_and_lose(now, out);
        self.epoch = self.epoch.saturating_add(1);
        self.welcomes_owed = self.welcomes_owed.saturating_add(1);
        self.heard_at = Some(now);
        self.newest = Some((hello.journal_id, (hello.boot, hello.connection), now));
        self.link = Some(Link {
            socket: hello.socket,
            boot: hello.boot,
            connection: hello.connection,
            journal_id: hello.journal_id,
            has_simulator: hello.has_simulator,
            is_welcomed: false,
            heard_at: now,
            pinged_at: now,
        });
        out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Up {
            journal_id: hello.journal_id,
            open: hello.open,
            prints: hello.prints,
        })));
    }

    fn refusal(&mut self, now: Timestamp, hello: &VerifiedHello) -> Option<RefusedReason> {
        if self.is_duplicate {
            return Some(RefusedReason::DuplicateIdentity);
        }
        if self.refuses_until.is_some_and(|until| now < until) {
            return Some(RefusedReason::Busy);
        }
        if self.is_overtaken(now, hello) {
            return Some(RefusedReason::Stale);
        }
        if let Some(link) = &self.link
            && link.journal_id == hello.journal_id
        {
            let is_newer = (hello.boot, hello.connection) > (link.boot, link.connection);
            return (!is_newer).then_some(RefusedReason::Stale);
        }
        let replaced = self.latest.replace(hello.journal_id);
        let replaced = replaced.filter(|journal_id| *journal_id != hello.journal_id)?;
        let is_turn = self.former.is_some_and(|(journal_id, at)| {
            journal_id == hello.journal_id && now.since_ms(at) < TURNS_MS
        });
        self.former = Some((replaced, now));
        self.is_duplicate = is_turn;
        is_turn.then_some(RefusedReason::DuplicateIdentity)
    }

    /// Whether a newer hello of the same installation came before this one, also when its link is
    /// gone: what this one says of open work is no longer true.
    fn is_overtaken(&self, now: Timestamp, hello: &VerifiedHello) -> bool {
        self.newest.is_some_and(|(journal_id, number, at)| {
            journal_id == hello.journal_id
                && (hello.boot, hello.connection) <= number
                && now.since_ms(at) < HELLO_MS_MAX
        })
    }

    fn welcome(
        &mut self,
        now: Timestamp,
        label: String,
        prints_known: Vec<PrintJobId>,
        out: &mut Vec<TerminalOutput>,
    ) {
        self.welcomes_owed = self.welcomes_owed.saturating_sub(1);
        if self.welcomes_owed > 0 {
            return;
        }
        let epoch = self.epoch;
        let Some(link) = &mut self.link else { return };
        link.is_welcomed = true;
        self.since = now;
        let now_ms = u64::try_from(now.0).unwrap_or(0);
        let welcome = Welcome {
            epoch,
            now_ms,
            label,
            prints_known,
        };
        out.push(TerminalOutput::Welcome {
            socket: link.socket,
            welcome,
        });
        out.push(TerminalOutput::Status);
    }

    fn said(
        &mut self,
        now: Timestamp,
        socket: u64,
        message: ToEngine,
        out: &mut Vec<TerminalOutput>,
    ) {
        let is_current = self
            .link
            .as_ref()
            .is_some_and(|link| link.socket == socket && link.is_welcomed);
        let Some(link) = self.link.as_mut().filter(|_| is_current) else {
            return;
        };
        link.heard_at = now;
        self.heard_at = Some(now);
        match message {
            ToEngine::Ping => {
                let message = Box::new(ToAgent::Pong);
                out.push(TerminalOutput::Send { socket, message });
            }
            ToEngine::Pong => out.push(TerminalOutput::Status),
            ToEngine::Status(status) => {
                self.till = Some((status, now));
                out.push(TerminalOutput::Status);
            }
            message => {
                out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Said(
                    message,
                ))));
            }
        }
    }

    fn deadline(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        let Some(link) = &mut self.link else { return };
        if now >= link.heard_at.plus_ms(SILENCE_MS_MAX) {
            self.close_and_lose(now, out);
        } else if now >= link.pinged_at.plus_ms(HEARTBEAT_MS) {
            link.pinged_at = now;
            if link.is_welcomed {
                let message = Box::new(ToAgent::Ping);
                out.push(TerminalOutput::Send {
                    socket: link.socket,
                    message,
                });
            }
        }
    }

    fn close_and_lose(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if let Some(link) = &self.link {
            out.push(TerminalOutput::Close {
                socket: link.socket,
            });
            self.lose(now, out);
        }
    }

    fn lose(&mut self, now: Timestamp, out: &mut Vec<TerminalOutput>) {
        if self.link.take().is_some() {
            self.since = now;
            out.push(TerminalOutput::Merchant(Box::new(TerminalEvent::Down)));
            out.push(TerminalOutput::Status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const T0: Timestamp = Timestamp(1_800_000_000_000);

    fn journal(number: u128) -> JournalId {
        JournalId::from_uuid(Uuid::from_u128(number))
    }

    fn hello(socket: u64, number: u128, connection: u64) -> TerminalInput {
        TerminalInput::Hello(Box::new(VerifiedHello {
            socket,
            journal_id: journal(number),
            boot: 1,
            connection,
            open: Vec::new(),
            prints: Vec::new(),
            has_simulator: false,
        }))
    }

    fn welcome() -> TerminalInput {
        TerminalInput::Welcome {
            label: "Lane 1".to_owned(),
            prints_known: Vec::new(),
        }
    }

    /// What one input makes visible: `up`, `down`, `close 1`, `refuse 1 Stale`, `ping`, …
    fn step(owner: &mut TerminalOwner, now: Timestamp, input: TerminalInput) -> Vec<String> {
        let mut out = Vec::new();
        owner.handle(now, input, &mut out);
        out.iter()
            .filter_map(|output| {
                Some(match output {
                    TerminalOutput::Welcome { socket, .. } => format!("welcome {socket}"),
                    TerminalOutput::Refuse { socket, reason } => {
                        format!("refuse {socket} {reason:?}")
                    }
                    TerminalOutput::Send { socket, message } => {
                        format!("send {socket} {message:?}")
                    }
                    TerminalOutput::Close { socket } => format!("close {socket}"),
                    TerminalOutput::Merchant(event) => match event.as_ref() {
                        TerminalEvent::Up { .. } => "up".to_owned(),
                        TerminalEvent::Down => "down".to_owned(),
                        TerminalEvent::Said(message) => format!("said {message:?}"),
                    },
                    _ => return None,
                })
            })
            .collect()
    }

    /// A till is swapped once; a clone takes turns, whether the other one is up or not.
    #[test]
    fn two_installations_that_take_turns_are_both_refused_until_a_technician_acts() {
        for is_closed_between in [false, true] {
            let mut owner = TerminalOwner::default();
            let mut connect = |socket: u64, number, at_ms| {
                let now = T0.plus_ms(at_ms);
                let seen = step(&mut owner, now, hello(socket, number, socket));
                step(&mut owner, now, welcome());
                if is_closed_between {
                    step(&mut owner, now.plus_ms(1), TerminalInput::Closed { socket });
                }
                seen.last().cloned().unwrap()
            };
            assert_eq!(connect(1, 1, 0), "up");
            assert_eq!(
                connect(2, 1, 1_000),
                "up",
                "reconnects as often as it likes"
            );
            assert_eq!(connect(3, 2, 2_000), "up", "re-imaged");
            assert_eq!(connect(4, 1, 3_000), "refuse 4 DuplicateIdentity");
            assert_eq!(connect(5, 2, 4_000), "refuse 5 DuplicateIdentity");
            assert_eq!(connect(6, 1, 86_400_000), "refuse 6 DuplicateIdentity");
            let now = T0.plus_ms(86_500_000);
            step(&mut owner, now, TerminalInput::Reset { is_renewed: false });
            assert_eq!(
                step(&mut owner, now, hello(7, 2, 7)),
                ["refuse 7 DuplicateIdentity"],
                "the engine's own trouble clears nothing"
            );
            step(&mut owner, now, TerminalInput::Reset { is_renewed: true });
            assert_eq!(step(&mut owner, now, hello(8, 2, 8)), ["up"], "paired anew");
        }
    }

    #[test]
    fn a_till_that_is_swapped_back_much_later_is_not_a_clone() {
        let mut owner = TerminalOwner::default();
        for (socket, number, at_ms) in [(1, 1, 0), (2, 2, 1_000), (3, 1, 2_000 + TURNS_MS)] {
            let seen = step(&mut owner, T0.plus_ms(at_ms), hello(socket, number, socket));
            assert_eq!(seen.last().unwrap(), "up");
        }
    }

    /// What was said last counts, also when the link that it was said on is gone; later than that
    /// nothing older can be on its way, and the till's count has begun again.
    #[test]
    fn an_older_hello_is_stale_also_when_the_newer_link_is_gone() {
        let late = [(HELLO_MS_MAX - 1, "refuse 6 Stale"), (HELLO_MS_MAX, "up")];
        for (after_ms, expected) in late {
            let mut owner = TerminalOwner::default();
            step(&mut owner, T0, hello(7, 1, 7));
            step(&mut owner, T0, TerminalInput::Closed { socket: 7 });
            let seen = step(&mut owner, T0.plus_ms(after_ms), hello(6, 1, 6));
            assert_eq!(seen, [expected]);
        }
    }

    #[test]
    fn an_older_connection_of_the_same_agent_is_stale() {
        let mut owner = TerminalOwner::default();
        step(&mut owner, T0, hello(1, 1, 5));
        for connection in [4, 5] {
            assert_eq!(
                step(&mut owner, T0, hello(2, 1, connection)),
                ["refuse 2 Stale"]
            );
        }
        assert_eq!(
            step(&mut owner, T0, hello(3, 1, 6)),
            ["close 1", "down", "up"]
        );
        let old = TerminalInput::Said {
            socket: 1,
            message: Box::new(ToEngine::Pong),
        };
        assert_eq!(
            step(&mut owner, T0, old),
            [""; 0],
            "an older epoch is dropped"
        );
        assert_eq!(
            step(&mut owner, T0, TerminalInput::Closed { socket: 1 }),
            [""; 0]
        );
    }

    /// Online is never older than 30 s, and nothing goes out before the welcome.
    #[test]
    fn silence_ends_a_link_within_two_heartbeats() {
        let mut owner = TerminalOwner::default();
        step(&mut owner, T0, hello(1, 1, 1));
        let early = TerminalInput::Send(Box::new(ToAgent::Ping));
        assert_eq!(step(&mut owner, T0, early), [""; 0]);
        assert_eq!(step(&mut owner, T0, welcome()), ["welcome 1"]);
        let mut now = T0;
        let mut pings = 0;
        while owner.is_online() {
            let due = owner.poll_deadline().unwrap();
            assert!(due > now, "time goes on");
            assert!(
                due.since_ms(now) <= 15_000,
                "a heartbeat at least every 15 s"
            );
            now = due;
            let seen = step(&mut owner, now, TerminalInput::Deadline);
            pings += usize::from(seen == ["send 1 Ping"]);
        }
        assert_eq!(pings, 2);
        assert!(now.since_ms(T0) <= 30_000);
        assert!(owner.poll_deadline().is_none());
    }
}

#[cfg(test)]
mod fault_tests {
    use protocol::id::FaultId;
    use protocol::link::SimulatorCommand;
    use uuid::Uuid;

    use super::*;

    const T0: Timestamp = Timestamp(1_800_000_000_000);

    fn hello(socket: u64, has_simulator: bool) -> TerminalInput {
        TerminalInput::Hello(Box::new(VerifiedHello {
            socket,
            journal_id: JournalId::from_uuid(Uuid::from_u128(1)),
            boot: 1,
            connection: socket,
            open: Vec::new(),
            prints: Vec::new(),
            has_simulator,
        }))
    }

    fn told(
        owner: &mut TerminalOwner,
        now: Timestamp,
        input: TerminalInput,
    ) -> Vec<TerminalOutput> {
        let mut out = Vec::new();
        owner.handle(now, input, &mut out);
        out
    }

    fn welcome(owner: &mut TerminalOwner) {
        let welcome = TerminalInput::Welcome {
            label: "Lane 1".to_owned(),
            prints_known: Vec::new(),
        };
        told(owner, T0, welcome);
        assert!(owner.is_online());
    }

    fn simulate() -> TerminalInput {
        TerminalInput::Send(Box::new(ToAgent::Simulate(SimulatorCommand {
            fault_id: FaultId::from_uuid(Uuid::from_u128(2)),
            device: "printer".to_owned(),
            command: "paper-out".to_owned(),
            arguments: Vec::new(),
            wait_for: Vec::new(),
        })))
    }

    fn refusal(out: &[TerminalOutput]) -> Option<&str> {
        match out {
            [TerminalOutput::Merchant(event)] => match event.as_ref() {
                TerminalEvent::Said(ToEngine::Simulated { refusal, .. }) => refusal.as_deref(),
                _ => None,
            },
            _ => None,
        }
    }

    #[test]
    fn a_cut_link_is_closed_and_new_ones_refused_for_as_long_as_was_asked() {
        let mut owner = TerminalOwner::default();
        told(&mut owner, T0, hello(1, false));
        welcome(&mut owner);
        let out = told(&mut owner, T0, TerminalInput::Cut { refusal_ms: 5_000 });
        assert!(matches!(
            out.first(),
            Some(TerminalOutput::Close { socket: 1 })
        ));
        assert!(out.contains(&TerminalOutput::Merchant(Box::new(TerminalEvent::Down))));
        let early = told(&mut owner, T0.plus_ms(4_999), hello(2, false));
        let busy = TerminalOutput::Refuse {
            socket: 2,
            reason: RefusedReason::Busy,
        };
        assert_eq!(early, [busy]);
        told(&mut owner, T0.plus_ms(5_000), hello(3, false));
        welcome(&mut owner);
    }

    #[test]
    fn only_an_agent_that_knows_a_simulator_hears_of_it() {
        let mut owner = TerminalOwner::default();
        assert_eq!(refusal(&told(&mut owner, T0, simulate())), Some(OFFLINE));
        told(&mut owner, T0, hello(1, false));
        assert_eq!(refusal(&told(&mut owner, T0, simulate())), Some(OFFLINE));
        welcome(&mut owner);
        assert_eq!(
            refusal(&told(&mut owner, T0, simulate())),
            Some(NO_SIMULATOR)
        );
        told(&mut owner, T0, hello(2, true));
        welcome(&mut owner);
        let out = told(&mut owner, T0, simulate());
        assert!(
            matches!(&out[..], [TerminalOutput::Send { socket: 2, .. }]),
            "{out:?}"
        );
    }
}
