//! What goes into the conversation with the reader and what comes out of it, and its settings.
//!
//! Owns no behaviour. Nothing here shows card data in its `Debug` output.

use std::fmt;

use protocol::money::Money;
use protocol::reader::command::{FallbackRules, Interfaces};
use serde::Deserialize;

/// Times and codes of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderConversationConfig {
    /// How long to wait for the first byte of an answer.
    pub first_byte_ms: u64,
    /// A longer gap within a frame means that its rest is lost.
    pub byte_gap_ms: u64,
    /// Added to a transaction timeout that was given to the reader.
    pub transaction_grace_ms: u64,
    /// How long the chip may take for one step, in seconds.
    pub chip_step_s: u16,
    /// How long the chip may take to answer the issuer's answer (60-12 has no timeout of its own).
    /// Together with `last_result_window_ms` shorter than the engine waits.
    pub completion_ms: u64,
    /// How long the reader keeps the chip powered between commands, in seconds.
    pub next_command_s: u16,
    /// How long to wait for the issuer's answer before the chip is told that there is none.
    /// Must be shorter than `next_command_s`.
    pub host_wait_ms: u64,
    /// Pause before the card is asked for again.
    pub retry_pause_ms: u64,
    /// How often the card is asked for again within one transaction.
    pub retries_max: u8,
    /// Pause before a reader that is not ready is tried again.
    pub unready_pause_ms: u64,
    /// How long a chip's last word is asked for after the reader was lost (60-13).
    pub last_result_window_ms: u64,
    /// Pause before a last result that is not final yet is asked for again.
    pub last_result_pause_ms: u64,
    /// When the reader takes the stripe instead of the chip.
    pub fallback: FallbackRules,
    /// Where the reader's documentation leaves the host a choice.
    pub switches: ReaderSwitches,
    /// Response codes that the reader's kernel knows as approval (tag DFEE1B); the first one
    /// stands for all that are not listed.
    pub approval_codes: Vec<[u8; 2]>,
    /// Response codes that the reader's kernel knows as decline, likewise.
    pub decline_codes: Vec<[u8; 2]>,
}

impl ReaderConversationConfig {
    /// Timers recommended in card-reader.md §1, and the response codes of the vendor's example.
    pub fn standard() -> Self {
        Self {
            first_byte_ms: 2_000,
            byte_gap_ms: 250,
            transaction_grace_ms: 10_000,
            chip_step_s: 60,
            completion_ms: 20_000,
            next_command_s: 96,
            host_wait_ms: 90_000,
            retry_pause_ms: 1_000,
            retries_max: 8,
            unready_pause_ms: 5_000,
            // With the time for completion less than the minute that the engine waits.
            last_result_window_ms: 30_000,
            last_result_pause_ms: 500,
            // The vendor's default, and what payment providers document.
            fallback: FallbackRules {
                refuses_early_swipe: true,
                failures: 3,
            },
            switches: ReaderSwitches::default(),
            approval_codes: vec![*b"00"],
            decline_codes: vec![*b"05"],
        }
    }
}

/// What the agent does where public sources name more than one way, or are not certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReaderSwitches {
    /// Insertion is asked for by 02-40 with stripe and slot, instead of 60-10.
    pub inserts_by_activation: bool,
    /// An unreachable issuer is told to the chip by a decline code, instead of the flag of 60-12
    /// that the vendor's software kit has.
    pub declines_when_unreachable: bool,
    /// The last result is asked for (60-13) when the reader was lost during 60-12.
    pub asks_last_result: bool,
    /// Questions of a reader without keypad (61-01 to 61-03) are answered.
    pub answers_prompts: bool,
    /// Messages are shown on the reader between its commands (01-02).
    pub shows_messages: bool,
}

impl Default for ReaderSwitches {
    fn default() -> Self {
        Self {
            inserts_by_activation: false,
            declines_when_unreachable: false,
            asks_last_result: true,
            answers_prompts: true,
            shows_messages: true,
        }
    }
}

/// A card presentation that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// What the card is asked for.
    pub amount: Money,
    /// How long the customer has to present a card, retries included.
    pub timeout_ms: u64,
    /// Where a card may be presented.
    pub interfaces: Interfaces,
    /// What the reader's display says for a moment before the card is asked for.
    pub prompt: Option<Progress>,
}

/// What the agent wants of the reader.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Read a card.
    Start(Start),
    /// The issuer has answered. Without a waiting chip the answer is only shown on the reader.
    HostAnswer {
        /// Whether the engine says that the payment stands.
        approved: bool,
        /// The issuer's response code.
        response_code: [u8; 2],
        /// Tags 91, 71 and 72 exactly as the issuer sent them.
        issuer_data: Vec<u8>,
    },
    /// The issuer cannot be asked or did not answer.
    HostUnreachable,
    /// End the transaction. Without effect once the issuer's answer has gone to the chip.
    Cancel,
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(start) => write!(formatter, "{start:?}"),
            Self::HostAnswer { approved, .. } => write!(formatter, "HostAnswer({approved})"),
            Self::HostUnreachable => formatter.write_str("HostUnreachable"),
            Self::Cancel => formatter.write_str("Cancel"),
        }
    }
}

/// Something that happens to the conversation.
#[derive(Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// The port is open.
    PortOpened,
    /// The port is gone.
    PortClosed,
    /// Bytes from the reader, cut anywhere.
    Bytes(&'a [u8]),
    /// The agent wants something.
    Request(Request),
    /// Time has passed; see [`super::ReaderConversation::poll_deadline`].
    Deadline,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortOpened => formatter.write_str("PortOpened"),
            Self::PortClosed => formatter.write_str("PortClosed"),
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::Request(request) => write!(formatter, "{request:?}"),
            Self::Deadline => formatter.write_str("Deadline"),
        }
    }
}

/// What the conversation does.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes to the reader.
    Write(Vec<u8>),
    /// News for the agent.
    Event(Event),
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(bytes) => write!(formatter, "Write({} bytes)", bytes.len()),
            Self::Event(event) => write!(formatter, "{event:?}"),
        }
    }
}

/// How the card met the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Tapped.
    Contactless,
    /// Inserted.
    Contact,
    /// Swiped.
    Swipe,
}

/// What the till can show while a transaction runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The reader waits for a card on every allowed interface.
    PresentCard,
    /// A card is being read.
    CardDetected,
    /// The card has to be inserted (or swiped, when it has no chip).
    InsertOrSwipe,
    /// More than one card was held to the reader.
    OneCardOnly,
    /// The card could not be read; the same card may be presented again.
    TryAgain,
    /// The chip card may be taken out.
    RemoveCard,
    /// The stripe was swiped, but the card has a chip.
    UseChip,
    /// The chip has failed often enough: the stripe may be swiped.
    Swipe,
    /// The reader has something to show; the till shows the state of the payment instead.
    Message,
    /// The reader wanted a language: the first one was chosen.
    LanguageChosen,
    /// The card has several applications: the first one was chosen.
    ApplicationChosen,
    /// The reader wanted a PIN: there is no keypad, and it was told so.
    PinSkipped,
    /// The reader is gone while the chip was told the issuer's answer; it is waited for.
    ReaderLost,
}

/// Why the reader cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReadyReason {
    /// The port is closed.
    PortClosed,
    /// The reader does not answer.
    NoAnswer,
    /// The reader does not encrypt card data: it must not be used.
    EncryptionOff,
    /// The reader refused to be set up.
    SetupRefused,
    /// The reader is being set up again after a restart or a fault.
    Restarting,
}

/// What is wrong with the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderFault {
    /// No answer, or none that could be read.
    NoAnswer,
    /// It lost power or restarted.
    Restarted,
    /// The port closed.
    PortClosed,
    /// It refused a command.
    Refused {
        /// The status byte.
        status: u8,
    },
    /// It reported that it has failed itself, not the card.
    Reported {
        /// Of tag DFEE25, or of the contactless error block.
        code: u16,
    },
    /// Its answer makes no sense.
    BadAnswer,
    /// It gave card data that is not encrypted. The data was dropped.
    NotEncrypted,
}

/// Why a transaction ended without card data or without the chip's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Nobody presented a card in time.
    Timeout,
    /// Canceled.
    Canceled,
    /// The card was taken away too early. After the issuer approved this means: reverse.
    CardRemoved,
    /// The card could not be read, or is of no supported kind.
    CardError,
    /// The card is blocked.
    CardBlocked,
    /// The card has expired.
    CardExpired,
    /// The card declined without the issuer.
    CardDeclined,
    /// More than one card, again and again.
    TwoCards,
    /// Card or reader approved without the issuer, which is never payment.
    OfflineNotAllowed,
    /// The amount does not fit into the reader's format.
    AmountRefused,
    /// The reader was not ready.
    NotReady,
    /// The reader failed.
    ReaderFault(ReaderFault),
}

/// News for the agent.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// The reader can be used.
    Ready {
        /// Serial number; empty when the reader has none.
        serial: String,
        /// Firmware version.
        firmware: String,
        /// Whether card data is encrypted; always so, or the reader would not be ready.
        encryption_on: bool,
    },
    /// The reader cannot be used.
    NotReady {
        /// Why.
        reason: NotReadyReason,
    },
    /// Something for the till's display.
    Progress(Progress),
    /// A card was read; the engine has to be asked.
    CardData {
        /// Attribution byte and TLVs, as the reader sent them.
        response_data: Vec<u8>,
        /// How the card met the reader.
        entry: Entry,
        /// Whether the chip waits for [`Request::HostAnswer`] or [`Request::HostUnreachable`].
        /// Otherwise the reader's part is over.
        needs_host_answer: bool,
    },
    /// The chip's last word.
    ChipFinal {
        /// The issuer approved and the chip agrees.
        approved: bool,
        /// Attribution byte and TLVs, as the reader sent them.
        data: Vec<u8>,
    },
    /// The transaction ended.
    Ended(EndReason),
    /// A start was refused because a transaction runs; that one goes on.
    Busy,
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { serial, .. } => write!(formatter, "Ready({serial})"),
            Self::NotReady { reason } => write!(formatter, "NotReady({reason:?})"),
            Self::Progress(progress) => write!(formatter, "Progress({progress:?})"),
            Self::CardData { entry, .. } => write!(formatter, "CardData({entry:?})"),
            Self::ChipFinal { approved, .. } => write!(formatter, "ChipFinal({approved})"),
            Self::Ended(reason) => write!(formatter, "Ended({reason:?})"),
            Self::Busy => formatter.write_str("Busy"),
        }
    }
}
