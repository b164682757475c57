//! What the printer's sensors see, and how it says so.

pub(super) const XON: u8 = 0x11;
pub(super) const XOFF: u8 = 0x13;

/// The drawer's bit in the first byte of automatic status.
const DRAWER: u8 = 0x04;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Roll {
    Thick,
    Thin,
    UsedUp,
}

/// The state that is visible from outside.
#[derive(Debug, Clone)]
pub(super) struct Sensors {
    has_near_end_sensor: bool,
    needs_feed_button: bool,
    roll: Roll,
    is_cover_open: bool,
    pub(super) has_cutter_error: bool,
    pub(super) has_mechanical_error: bool,
    pub(super) is_broken: bool,
    pub(super) is_head_hot: bool,
    /// Paper or cover are in order again, and nobody has pressed the button yet.
    waits_for_feed: bool,
    pub(super) is_feed_pressed: bool,
    /// Level of the drawer's switch.
    pub(super) is_drawer_pin_high: bool,
}

impl Sensors {
    pub(super) const fn new(has_near_end_sensor: bool, needs_feed_button: bool) -> Self {
        Self {
            has_near_end_sensor,
            needs_feed_button,
            roll: Roll::Thick,
            is_cover_open: false,
            has_cutter_error: false,
            has_mechanical_error: false,
            is_broken: false,
            is_head_hot: false,
            waits_for_feed: false,
            is_feed_pressed: false,
            is_drawer_pin_high: false,
        }
    }

    pub(super) const fn open_cover(&mut self) {
        self.is_cover_open = true;
        self.waits_for_feed = false;
    }

    pub(super) const fn close_cover(&mut self) {
        let was_open = self.is_cover_open;
        self.is_cover_open = false;
        self.wait_for_feed(was_open);
    }

    const fn wait_for_feed(&mut self, was_stopped: bool) {
        if was_stopped && self.needs_feed_button && !self.is_cover_open && !self.is_out() {
            self.waits_for_feed = true;
        }
    }

    pub(super) const fn release_feed(&mut self) {
        self.is_feed_pressed = false;
        self.waits_for_feed = false;
    }

    /// Power-on puts a printer on-line that waited for its button.
    pub(super) const fn forget_feed(&mut self) {
        self.waits_for_feed = false;
    }

    pub(super) const fn lose_paper(&mut self) {
        self.roll = Roll::UsedUp;
        self.waits_for_feed = false;
    }

    /// Without effect on an empty printer.
    pub(super) fn thin_paper(&mut self) {
        if self.roll == Roll::Thick {
            self.roll = Roll::Thin;
        }
    }

    pub(super) const fn load_paper(&mut self) {
        let was_out = self.is_out();
        self.roll = Roll::Thick;
        self.wait_for_feed(was_out);
    }

    const fn is_out(&self) -> bool {
        matches!(self.roll, Roll::UsedUp)
    }

    const fn is_near_end(&self) -> bool {
        self.has_near_end_sensor && !matches!(self.roll, Roll::Thick)
    }

    const fn has_error(&self) -> bool {
        self.has_cutter_error || self.has_mechanical_error || self.is_broken || self.is_head_hot
    }

    pub(super) const fn is_off_line(&self) -> bool {
        self.is_cover_open
            || self.is_out()
            || self.has_error()
            || self.waits_for_feed
            || self.is_feed_pressed
    }

    /// The answer to `10 04 n`.
    pub(super) fn real_time(&self, n: u8) -> u8 {
        let bits = match n {
            1 => {
                flag(self.is_drawer_pin_high, 0x04)
                    | flag(self.is_off_line(), 0x08)
                    | flag(self.waits_for_feed, 0x20)
                    | flag(self.is_feed_pressed, 0x40)
            }
            2 => {
                flag(self.is_cover_open, 0x04)
                    | flag(self.is_feed_pressed, 0x08)
                    | flag(self.is_out(), 0x20)
                    | flag(self.has_error(), 0x40)
            }
            3 => self.errors(),
            _ => flag(self.is_near_end(), 0x0c) | flag(self.is_out(), 0x60),
        };
        0x12 | bits
    }

    const fn errors(&self) -> u8 {
        flag(self.has_mechanical_error, 0x04)
            | flag(self.has_cutter_error, 0x08)
            | flag(self.is_broken, 0x20)
            | flag(self.is_head_hot, 0x40)
    }

    /// The four bytes of automatic status.
    pub(super) fn automatic(&self) -> [u8; 4] {
        let printer = 0x10
            | flag(self.is_drawer_pin_high, DRAWER)
            | flag(self.is_off_line(), 0x08)
            | flag(self.is_cover_open, 0x20)
            | flag(self.is_feed_pressed, 0x40);
        let error =
            flag(self.waits_for_feed, 0x01) | flag(self.is_feed_pressed, 0x02) | self.errors();
        [printer, error, self.paper_reply(), 0]
    }

    /// The part of automatic status whose change is reported under the mask of `1D 61 n`.
    pub(super) fn watched(&self, items: u8) -> Vec<u8> {
        let [printer, error, paper, _] = self.automatic();
        [
            (0x01, printer & DRAWER),
            (0x02, printer & !DRAWER),
            (0x04, error),
            (0x08, paper),
        ]
        .into_iter()
        .map(|(item, byte)| if items & item != 0 { byte } else { 0 })
        .collect()
    }

    /// The answer to `1D 72 2`.
    pub(super) const fn drawer_reply(&self) -> u8 {
        flag(self.is_drawer_pin_high, 0x01)
    }

    /// The answer to `1D 72 1`.
    pub(super) fn paper_reply(&self) -> u8 {
        flag(self.is_near_end(), 0x03) | flag(self.is_out(), 0x0c)
    }
}

const fn flag(is_set: bool, bits: u8) -> u8 {
    if is_set { bits } else { 0 }
}

/// The answer to `1D 49 n`.
pub(super) fn identification(n: u8, model: &str) -> Vec<u8> {
    let text = match n {
        // Model, and type with a cutter, as bytes with bits 4 and 7 clear.
        1 | 49 => return vec![0x20],
        2 | 50 => return vec![0x02],
        3 | 51 => return vec![0x01],
        65 => "1.00",
        66 => "TILLWAY",
        67 => model,
        _ => "SIM0001",
    };
    let mut answer = vec![b'_'];
    answer.extend(
        text.bytes()
            .filter(|byte| (0x20..0x7f).contains(byte))
            .take(80),
    );
    answer.push(0);
    answer
}
