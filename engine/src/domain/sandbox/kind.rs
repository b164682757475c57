//! The kinds of faults, their parameters, and the moments at which each can happen: one table.

use super::Moment;
use crate::domain::rejection::Rejection;

/// Longest time that a host takes for an answer that still counts, in milliseconds: below the
/// acquirer's answer timeout.
pub(super) const DELAY_MS_MAX: u64 = 14_000;
/// Longest time for which new links are refused after a cut, in milliseconds.
const REFUSAL_MS_MAX: u64 = 300_000;

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The terminal's link is cut, and new ones are refused for a while.
    LinkCut {
        /// How long, in milliseconds.
        refusal_ms: u64,
    },
    /// The acquirer or the way to it.
    Host(HostFault),
    /// A simulated reader or printer.
    Device(DeviceAct),
    /// The engine's process ends at once, as by kill -9.
    EngineRestart,
}

/// What goes wrong with a request to the acquirer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFault {
    /// It acts at once; its answer comes later, in time.
    Delay {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// It acts; its answer never comes.
    NoAnswer,
    /// The request arrives twice and is answered twice.
    AnswerTwice,
    /// It acts at once; its answer comes after the engine has given up waiting.
    AnswerLate,
    /// The request arrives, and is acted on, after the engine has given up waiting.
    ActsLate,
    /// It declines.
    Declines {
        /// Two characters.
        code: [u8; 2],
    },
    /// Not one byte leaves for it.
    Unreachable,
}

/// What happens to a simulated reader or printer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceAct {
    /// The printer's paper ends.
    PaperOut,
    /// Paper is put in.
    PaperIn,
    /// The printer's cover is opened.
    CoverOpen,
    /// The printer's cover is closed.
    CoverClosed,
    /// A card is held to the reader, put in or drawn through.
    CardPresented {
        /// Name of the virtual card.
        card: String,
        /// How.
        way: Way,
    },
    /// The card in the slot is taken away.
    CardPulled,
    /// The reader loses power for a moment.
    ReaderReset,
    /// The reader's cable is pulled.
    ReaderUnplugged,
    /// The reader's cable is put back.
    ReaderPluggedIn,
}

/// How a card is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Contactless.
    Tap,
    /// Into the slot.
    Insert,
    /// Through the stripe slot.
    Swipe,
}

impl Way {
    /// Every way there is.
    pub const ALL: [Self; 3] = [Self::Tap, Self::Insert, Self::Swipe];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Insert => "insert",
            Self::Swipe => "swipe",
        }
    }
}

/// The parameters of a kind as callers and rows write them: those that it does not take are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters {
    /// For how long links are refused after a cut.
    pub duration_ms: Option<u64>,
    /// How much later the host answers.
    pub delay_ms: Option<u64>,
    /// What the host declines with.
    pub response_code: Option<String>,
    /// Which card is presented.
    pub card: Option<String>,
    /// How.
    pub way: Option<String>,
}

const ON_LINK: &[Moment] = &[
    Moment::AwaitingCard,
    Moment::Now,
    Moment::Offered,
    Moment::SelectingTip,
    Moment::Authorizing,
    Moment::Confirming,
    Moment::Approved,
    Moment::Printing,
    Moment::Reversing,
    Moment::Voiding,
    Moment::AdjustingTip,
];
const ON_REQUEST: &[Moment] = &[
    Moment::Authorizing,
    Moment::Reversing,
    Moment::Voiding,
    Moment::AdjustingTip,
];
const ON_AUTHORIZATION: &[Moment] = &[Moment::Authorizing];
const ON_PAPER: &[Moment] = &[Moment::Printing, Moment::Now];
const AT_ONCE: &[Moment] = &[Moment::Now];
const ON_CARD: &[Moment] = &[Moment::AwaitingCard, Moment::Now];
const ON_CHIP: &[Moment] = &[Moment::Authorizing, Moment::Now, Moment::Confirming];
const ON_READER: &[Moment] = &[
    Moment::AwaitingCard,
    Moment::Now,
    Moment::Authorizing,
    Moment::Confirming,
];

impl Kind {
    /// The stable codes of every kind, in the order of the documentation.
    pub const CODES: [&'static str; 18] = [
        "link_cut",
        "host_delay",
        "host_no_answer",
        "host_answer_twice",
        "host_answer_late",
        "host_acts_late",
        "host_declines",
        "host_unreachable",
        "paper_out",
        "paper_in",
        "cover_open",
        "cover_closed",
        "card_presented",
        "card_pulled",
        "reader_reset",
        "reader_unplugged",
        "reader_plugged_in",
        "engine_restart",
    ];

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::LinkCut { .. } => "link_cut",
            Self::Host(fault) => match fault {
                HostFault::Delay { .. } => "host_delay",
                HostFault::NoAnswer => "host_no_answer",
                HostFault::AnswerTwice => "host_answer_twice",
                HostFault::AnswerLate => "host_answer_late",
                HostFault::ActsLate => "host_acts_late",
                HostFault::Declines { .. } => "host_declines",
                HostFault::Unreachable => "host_unreachable",
            },
            Self::Device(act) => match act {
                DeviceAct::PaperOut => "paper_out",
                DeviceAct::PaperIn => "paper_in",
                DeviceAct::CoverOpen => "cover_open",
                DeviceAct::CoverClosed => "cover_closed",
                DeviceAct::CardPresented { .. } => "card_presented",
                DeviceAct::CardPulled => "card_pulled",
                DeviceAct::ReaderReset => "reader_reset",
                DeviceAct::ReaderUnplugged => "reader_unplugged",
                DeviceAct::ReaderPluggedIn => "reader_plugged_in",
            },
            Self::EngineRestart => "engine_restart",
        }
    }

    /// The moments at which it can happen, the usual one first.
    const fn moments(&self) -> &'static [Moment] {
        match self {
            Self::LinkCut { .. } | Self::EngineRestart => ON_LINK,
            Self::Host(HostFault::Declines { .. } | HostFault::Unreachable) => ON_AUTHORIZATION,
            Self::Host(_) => ON_REQUEST,
            Self::Device(act) => match act {
                DeviceAct::PaperOut | DeviceAct::CoverOpen => ON_PAPER,
                DeviceAct::PaperIn | DeviceAct::CoverClosed | DeviceAct::ReaderPluggedIn => AT_ONCE,
                DeviceAct::CardPresented { .. } => ON_CARD,
                DeviceAct::CardPulled => ON_CHIP,
                DeviceAct::ReaderReset | DeviceAct::ReaderUnplugged => ON_READER,
            },
        }
    }

    /// When it happens unless told otherwise.
    pub fn usual_moment(&self) -> Moment {
        self.moments().first().copied().unwrap_or(Moment::Now)
    }

    /// Whether it can happen then.
    pub fn happens_at(&self, moment: Moment) -> bool {
        self.moments().contains(&moment)
    }

    /// Its parameters as callers and rows write them.
    pub fn parameters(&self) -> Parameters {
        let none = Parameters::default();
        match self {
            Self::LinkCut { refusal_ms } => Parameters {
                duration_ms: Some(*refusal_ms),
                ..none
            },
            Self::Host(HostFault::Delay { ms }) => Parameters {
                delay_ms: Some(*ms),
                ..none
            },
            Self::Host(HostFault::Declines { code }) => Parameters {
                response_code: Some(String::from_utf8_lossy(code).into_owned()),
                ..none
            },
            Self::Device(DeviceAct::CardPresented { card, way }) => Parameters {
                card: Some(card.clone()),
                way: Some(way.code().to_owned()),
                ..none
            },
            Self::Host(_) | Self::Device(_) | Self::EngineRestart => none,
        }
    }

    /// Reads a kind from its code and its parameters.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] naming what is unknown, absent, out of range or not of this kind.
    pub fn read(code: &str, mut given: Parameters) -> Result<Self, Rejection> {
        let kind = match code {
            "link_cut" => Self::LinkCut {
                refusal_ms: refusal(given.duration_ms.take())?,
            },
            "host_delay" => Self::Host(HostFault::Delay {
                ms: delay(given.delay_ms.take())?,
            }),
            "host_no_answer" => Self::Host(HostFault::NoAnswer),
            "host_answer_twice" => Self::Host(HostFault::AnswerTwice),
            "host_answer_late" => Self::Host(HostFault::AnswerLate),
            "host_acts_late" => Self::Host(HostFault::ActsLate),
            "host_declines" => Self::Host(HostFault::Declines {
                code: response_code(given.response_code.take())?,
            }),
            "host_unreachable" => Self::Host(HostFault::Unreachable),
            "paper_out" => Self::Device(DeviceAct::PaperOut),
            "paper_in" => Self::Device(DeviceAct::PaperIn),
            "cover_open" => Self::Device(DeviceAct::CoverOpen),
            "cover_closed" => Self::Device(DeviceAct::CoverClosed),
            "card_presented" => Self::Device(DeviceAct::CardPresented {
                card: card(given.card.take())?,
                way: way(given.way.take())?,
            }),
            "card_pulled" => Self::Device(DeviceAct::CardPulled),
            "reader_reset" => Self::Device(DeviceAct::ReaderReset),
            "reader_unplugged" => Self::Device(DeviceAct::ReaderUnplugged),
            "reader_plugged_in" => Self::Device(DeviceAct::ReaderPluggedIn),
            "engine_restart" => Self::EngineRestart,
            _ => return Err(Rejection::invalid("kind", "a kind of fault")),
        };
        given.nothing_left().map(|()| kind)
    }
}

impl Parameters {
    /// What a kind has not taken does not belong to it: a caller that thinks otherwise is told.
    fn nothing_left(self) -> Result<(), Rejection> {
        let left = [
            ("duration_ms", self.duration_ms.is_some()),
            ("delay_ms", self.delay_ms.is_some()),
            ("response_code", self.response_code.is_some()),
            ("card", self.card.is_some()),
            ("way", self.way.is_some()),
        ];
        match left.into_iter().find(|(_, is_left)| *is_left) {
            Some((field, _)) => Err(Rejection::invalid(field, "absent for this kind")),
            None => Ok(()),
        }
    }
}

fn refusal(ms: Option<u64>) -> Result<u64, Rejection> {
    let ms = ms.unwrap_or(0);
    match ms <= REFUSAL_MS_MAX {
        true => Ok(ms),
        false => Err(Rejection::invalid("duration_ms", "0 to 300000")),
    }
}

fn delay(ms: Option<u64>) -> Result<u64, Rejection> {
    ms.filter(|ms| (1..=DELAY_MS_MAX).contains(ms))
        .ok_or(Rejection::invalid("delay_ms", "1 to 14000"))
}

/// Two characters as hosts answer them; 00 and 10 approve.
fn response_code(code: Option<String>) -> Result<[u8; 2], Rejection> {
    let code = code.unwrap_or_else(|| "05".to_owned());
    <[u8; 2]>::try_from(code.as_bytes())
        .ok()
        .filter(|code| !matches!(code, b"00" | b"10"))
        .filter(|code| {
            let is_plain = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
            code.iter().all(is_plain)
        })
        .ok_or(Rejection::invalid(
            "response_code",
            "two digits or capital letters that decline",
        ))
}

/// Which cards there are is the simulator's to say.
fn card(name: Option<String>) -> Result<String, Rejection> {
    let is_name = |name: &String| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=32).contains(&name.len()) && name.bytes().all(is_plain)
    };
    name.filter(is_name)
        .ok_or(Rejection::invalid("card", "the name of a virtual card"))
}

fn way(code: Option<String>) -> Result<Way, Rejection> {
    let Some(code) = code else {
        return Ok(Way::Tap);
    };
    Way::ALL
        .into_iter()
        .find(|way| way.code() == code)
        .ok_or(Rejection::invalid("way", "tap, insert or swipe"))
}
