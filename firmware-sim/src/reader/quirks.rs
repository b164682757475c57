//! Where public sources leave the reader's firmware open: one switch for each such point.
//!
//! Owns the names and the defaults, which are what the sources lean to. It never decides what a
//! setting does; the phase that it concerns does.

use protocol::reader::outcome::TransactionResult;

/// Whether a canceled transaction is answered too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayAnswer {
    /// Only the cancel is answered.
    None,
    /// Result 0012 comes before the answer to the cancel.
    Before,
    /// Result 0012 comes after the answer to the cancel.
    After,
}

/// What the reader asks of a host that has a display and a keypad (61-01, 61-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPrompt {
    /// Nothing: it has a display of its own.
    None,
    /// To show a text; nothing is answered.
    Message,
    /// To choose a language before the chip is used.
    Language,
    /// To choose one of the chip's applications.
    Application,
    /// To let a PIN be typed while the chip decides.
    Pin,
}

/// One field for each point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderQuirks {
    /// What a cancel leaves behind.
    pub stray_answer: StrayAnswer,
    /// Whether "card detected" is sent during 02-40.
    pub interface_events: bool,
    /// 60-10 without a card is answered by status 08 instead of result 0008.
    pub no_card_is_a_status: bool,
    /// How a pulled chip card is reported: 5025, 3005 or 3006.
    pub pulled_card: TransactionResult,
    /// A pulled chip card is reported with status 0A instead of 00.
    pub pulled_card_fails: bool,
    /// 60-13 is known.
    pub knows_last_result: bool,
    /// The last result survives a loss of power.
    pub keeps_last_result: bool,
    /// The reader's power comes from its cable: pulling it is a loss of power.
    pub is_powered_by_cable: bool,
    /// After power on the reader reads cards by itself, and takes no 02-40, until it is told not to.
    pub polls_at_power_on: bool,
    /// Cards that are read without being asked for are sent, until it is told not to.
    pub bursts_as_delivered: bool,
    /// The contactless error block has the tag of older firmware.
    pub has_old_error_tag: bool,
    /// Attribution bytes without the extension bit, as older readers have them.
    pub has_old_attribution: bool,
    /// The key counter advances once in a transaction instead of with every response.
    pub uses_one_key_per_transaction: bool,
    /// A CRC with its bytes in the other order is taken too.
    pub takes_either_crc_order: bool,
    /// What is asked of the host.
    pub prompt: HostPrompt,
    /// The masked tracks show the service code.
    pub shows_service_code: bool,
    /// 60-12 understands "the issuer was not reached" without a response code.
    pub understands_unreachable: bool,
    /// A fallback swipe carries its reason (DFEE25) as long as no setting says otherwise.
    pub names_fallback_reason: bool,
    /// A contactless card in magstripe mode is done with (status 00) instead of to be taken online.
    pub msd_is_done: bool,
    /// Its track comes in the block of a swipe (DFEE23) instead of as tag 57.
    pub msd_as_block: bool,
    /// The stripe of a card with a chip is refused before the chip has failed, as DFEF62 asks.
    pub refuses_early_swipe: bool,
}

impl Default for ReaderQuirks {
    fn default() -> Self {
        Self {
            stray_answer: StrayAnswer::None,
            interface_events: true,
            no_card_is_a_status: false,
            pulled_card: TransactionResult::CardCommunicationError,
            pulled_card_fails: false,
            knows_last_result: true,
            keeps_last_result: false,
            is_powered_by_cable: false,
            polls_at_power_on: true,
            bursts_as_delivered: true,
            has_old_error_tag: false,
            has_old_attribution: false,
            uses_one_key_per_transaction: false,
            takes_either_crc_order: false,
            prompt: HostPrompt::None,
            shows_service_code: false,
            understands_unreachable: true,
            names_fallback_reason: true,
            msd_is_done: false,
            msd_as_block: false,
            refuses_early_swipe: true,
        }
    }
}

const OFF_ON: &[&str] = &["off", "on"];

/// Every switch with its settings.
pub const SWITCHES: &[(&str, &[&str])] = &[
    ("stray-answer", &["none", "before", "after"]),
    ("interface-events", OFF_ON),
    ("no-card-is-a-status", OFF_ON),
    ("pulled-card", &["communication", "absent", "timeout"]),
    ("pulled-card-fails", OFF_ON),
    ("knows-last-result", OFF_ON),
    ("keeps-last-result", OFF_ON),
    ("powered-by-cable", OFF_ON),
    ("polls-at-power-on", OFF_ON),
    ("bursts-as-delivered", OFF_ON),
    ("old-error-tag", OFF_ON),
    ("old-attribution", OFF_ON),
    ("one-key-per-transaction", OFF_ON),
    ("either-crc-order", OFF_ON),
    (
        "prompt",
        &["none", "message", "language", "application", "pin"],
    ),
    ("shows-service-code", OFF_ON),
    ("understands-unreachable", OFF_ON),
    ("names-fallback-reason", OFF_ON),
    ("msd-is-done", OFF_ON),
    ("msd-as-block", OFF_ON),
    ("refuses-early-swipe", OFF_ON),
];

impl ReaderQuirks {
    /// Sets a switch by its name and the word of its setting; false when there is no such thing.
    pub fn set(&mut self, name: &str, setting: &str) -> bool {
        if let Some(field) = self.flag(name) {
            match setting {
                "on" => *field = true,
                "off" => *field = false,
                _ => return false,
            }
            return true;
        }
        match (name, setting) {
            ("stray-answer", "none") => self.stray_answer = StrayAnswer::None,
            ("stray-answer", "before") => self.stray_answer = StrayAnswer::Before,
            ("stray-answer", "after") => self.stray_answer = StrayAnswer::After,
            ("pulled-card", "communication") => {
                self.pulled_card = TransactionResult::CardCommunicationError;
            }
            ("pulled-card", "absent") => self.pulled_card = TransactionResult::CardAbsent,
            ("pulled-card", "timeout") => self.pulled_card = TransactionResult::SmartcardTimeout,
            ("prompt", "none") => self.prompt = HostPrompt::None,
            ("prompt", "message") => self.prompt = HostPrompt::Message,
            ("prompt", "language") => self.prompt = HostPrompt::Language,
            ("prompt", "application") => self.prompt = HostPrompt::Application,
            ("prompt", "pin") => self.prompt = HostPrompt::Pin,
            _ => return false,
        }
        true
    }

    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "interface-events" => &mut self.interface_events,
            "no-card-is-a-status" => &mut self.no_card_is_a_status,
            "pulled-card-fails" => &mut self.pulled_card_fails,
            "knows-last-result" => &mut self.knows_last_result,
            "keeps-last-result" => &mut self.keeps_last_result,
            "powered-by-cable" => &mut self.is_powered_by_cable,
            "polls-at-power-on" => &mut self.polls_at_power_on,
            "bursts-as-delivered" => &mut self.bursts_as_delivered,
            "old-error-tag" => &mut self.has_old_error_tag,
            "old-attribution" => &mut self.has_old_attribution,
            "one-key-per-transaction" => &mut self.uses_one_key_per_transaction,
            "either-crc-order" => &mut self.takes_either_crc_order,
            "shows-service-code" => &mut self.shows_service_code,
            "understands-unreachable" => &mut self.understands_unreachable,
            "names-fallback-reason" => &mut self.names_fallback_reason,
            "msd-is-done" => &mut self.msd_is_done,
            "msd-as-block" => &mut self.msd_as_block,
            "refuses-early-swipe" => &mut self.refuses_early_swipe,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_word_and_exactly_one_is_the_default() {
        for (name, settings) in SWITCHES {
            let same = settings
                .iter()
                .filter(|setting| {
                    let mut quirks = ReaderQuirks::default();
                    assert!(quirks.set(name, setting), "{name} {setting}");
                    quirks == ReaderQuirks::default()
                })
                .count();
            assert_eq!(same, 1, "{name}");
        }
        let mut quirks = ReaderQuirks::default();
        for (name, setting) in [
            ("prompt", "on"),
            ("interface-events", "maybe"),
            ("gravity", "off"),
        ] {
            assert!(!quirks.set(name, setting), "{name}");
        }
        assert_eq!(quirks, ReaderQuirks::default());
    }
}
