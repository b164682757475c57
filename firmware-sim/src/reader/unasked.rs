//! What the simulated reader does without being asked: losing its cable or its power, and reading
//! cards by itself (auto poll with burst frames).

use protocol::reader::command;

use super::fault::Break;
use super::quirks::ReaderQuirks;
use super::transaction::Presentation;
use super::{Phase, Reader};
use crate::cards::Way;

/// How long the cable is out when it goes by itself: longer than a host takes to notice, and
/// longer than it waits before it opens a port again.
const AWAY_MS: u64 = 3_000;
/// How a burst frame begins.
const BURST: [u8; 3] = [0x01, 0x00, 0x0A];

impl Reader {
    pub(super) fn break_off(&mut self, now_ms: u64, broken: Break) {
        match broken {
            Break::Power => self.restart(now_ms),
            Break::Cable => {
                self.line.cut();
                self.back_at_ms = Some(now_ms + AWAY_MS);
            }
        }
    }

    /// The cable that went by itself comes back by itself.
    pub(super) fn come_back(&mut self, now_ms: u64) {
        if self.back_at_ms.is_some_and(|back_ms| back_ms <= now_ms) {
            // What was said meanwhile was said to nobody.
            self.line.drop_until(now_ms);
            self.plugged_in(now_ms);
        }
    }

    pub(super) fn plugged_in(&mut self, now_ms: u64) {
        self.back_at_ms = None;
        if self.config.quirks.is_powered_by_cable {
            self.restart(now_ms);
        }
    }

    pub(super) fn set_quirks(&mut self, quirks: ReaderQuirks) {
        self.config.quirks = quirks;
        self.decoder = super::command_decoder(&quirks);
    }

    /// A card that nobody asked for is read in auto poll, and sent when burst mode is on.
    pub(super) fn read_unasked(&mut self, now_ms: u64, presentation: Presentation) {
        let is_read = self.reads_unasked
            && self.phase() == Phase::Idle
            && self.config.encryption_on
            && presentation.way != Way::Insert;
        if is_read && self.sends_bursts() {
            let masked = presentation.card.masked_account();
            let mut frame = BURST.to_vec();
            frame.extend_from_slice(format!("%B{masked}^^?;{masked}=?").as_bytes());
            self.line.send_burst(now_ms, frame);
        }
    }

    fn sends_bursts(&self) -> bool {
        match self.configuration.get(&command::TAG_BURST_MODE) {
            Some(setting) => setting.as_slice() != [0x00],
            None => self.config.quirks.bursts_as_delivered,
        }
    }
}
