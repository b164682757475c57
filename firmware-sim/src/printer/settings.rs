//! How the printer is built and its switches are set; also as words: `columns=32`.

use std::str::FromStr;

/// How the printer asks its host to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// By the bytes 13 and 11.
    XonXoff,
    /// By a wire of the cable, DTR on most printers.
    BusyLine,
    /// Not at all: a host that sends too much loses it.
    None,
}

/// How the printer is built and set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterConfig {
    /// Columns in font A: 48 (576 dots) or 42 (504 dots) on 80 mm paper, 32 on 58 mm.
    pub columns: u16,
    /// Time for a line to be printed, in ms; 0 prints at once.
    pub line_ms: u64,
    /// Receive buffer in bytes.
    pub buffer_bytes: usize,
    /// How the host is asked to wait.
    pub flow: Flow,
    /// Busy when fewer bytes than this are free.
    pub xoff_free_bytes: usize,
    /// Free when at least this many bytes are free again.
    pub xon_free_bytes: usize,
    /// Whether it is also busy for being off-line, a setting of real printers.
    pub is_busy_off_line: bool,
    /// Whether after paper end and an open cover the feed button must be pressed.
    pub needs_feed_button: bool,
    /// Whether it knows process ids (`1D 28 48`), as newer models do.
    pub has_process_id: bool,
    /// Whether its cutter can cut through.
    pub has_full_cut: bool,
    /// Whether the drawer's switch is high while the drawer is open.
    pub is_drawer_high_when_open: bool,
    /// Whether the roll has a near-end sensor.
    pub has_near_end_sensor: bool,
    /// International character set after power-on: 0 USA, 2 Germany, 3 United Kingdom.
    pub international_set: u8,
    /// Model name in the answer to `1D 49 43`.
    pub model: String,
}

impl Default for PrinterConfig {
    fn default() -> Self {
        Self {
            columns: 48,
            line_ms: 0,
            buffer_bytes: 4096,
            flow: Flow::XonXoff,
            xoff_free_bytes: 128,
            xon_free_bytes: 256,
            is_busy_off_line: true,
            needs_feed_button: false,
            has_process_id: true,
            has_full_cut: false,
            is_drawer_high_when_open: true,
            has_near_end_sensor: true,
            international_set: 0,
            model: "TM-T88V".into(),
        }
    }
}

/// Every setting, with what it takes; for help texts and messages.
pub const SETTINGS: [(&str, &str); 14] = [
    ("columns", "24 to 64 columns of font A"),
    ("line-ms", "ms to print a line; 0 prints at once"),
    ("buffer", "bytes of the receive buffer, 64 to 65536"),
    ("xoff-free", "busy when fewer bytes than this are free"),
    (
        "xon-free",
        "no longer busy when so many bytes are free again",
    ),
    ("flow", "xon-xoff, busy-line or none"),
    ("busy-off-line", "yes or no: busy also while off-line"),
    (
        "near-end-sensor",
        "yes or no: knows when the roll gets thin",
    ),
    (
        "feed-button",
        "yes or no: FEED must be pressed after paper and cover",
    ),
    (
        "process-id",
        "yes or no: knows process ids, as newer models",
    ),
    ("full-cut", "yes or no: the cutter can cut through"),
    ("drawer-open", "high or low: the open drawer's switch"),
    (
        "international",
        "set after power-on: 0 USA, 2 Germany, 3 United Kingdom",
    ),
    ("model", "name in the identification"),
];

/// Why a setting is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("the printer has no setting {name:?}; it has {}", names())]
    Unknown {
        /// The name given.
        name: String,
    },
    /// The value does not fit.
    #[error("the printer's setting {name} takes {expected}, not {value:?}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
        /// The value given.
        value: String,
    },
}

fn names() -> String {
    SETTINGS.map(|(name, _)| name).join(", ")
}

impl PrinterConfig {
    /// Takes one setting, `name=value`.
    ///
    /// # Errors
    /// [`SettingError`]; nothing is changed then.
    pub fn set(&mut self, setting: &str) -> Result<(), SettingError> {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let known = SETTINGS.iter().find(|(known, _)| *known == name);
        let Some((name, expected)) = known else {
            let name = name.to_owned();
            return Err(SettingError::Unknown { name });
        };
        self.apply(name, value).ok_or_else(|| SettingError::Value {
            name,
            expected,
            value: value.to_owned(),
        })
    }

    fn apply(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "columns" => self.columns = number(value, 24, 64)?,
            "line-ms" => self.line_ms = number(value, 0, 60_000)?,
            "buffer" => self.buffer_bytes = number(value, 64, 65_536)?,
            "xoff-free" => self.xoff_free_bytes = number(value, 1, 65_536)?,
            "xon-free" => self.xon_free_bytes = number(value, 1, 65_536)?,
            "flow" => {
                self.flow = match value {
                    "xon-xoff" => Flow::XonXoff,
                    "busy-line" => Flow::BusyLine,
                    "none" => Flow::None,
                    _ => return None,
                }
            }
            "busy-off-line" => self.is_busy_off_line = switch(value, "yes", "no")?,
            "near-end-sensor" => self.has_near_end_sensor = switch(value, "yes", "no")?,
            "feed-button" => self.needs_feed_button = switch(value, "yes", "no")?,
            "process-id" => self.has_process_id = switch(value, "yes", "no")?,
            "full-cut" => self.has_full_cut = switch(value, "yes", "no")?,
            "drawer-open" => self.is_drawer_high_when_open = switch(value, "high", "low")?,
            "international" => {
                let set = number(value, 0, 3)?;
                self.international_set = (set != 1).then_some(set)?;
            }
            _ => {
                let is_name = !value.is_empty() && value.len() <= 40;
                self.model = is_name.then(|| value.to_owned())?;
            }
        }
        Some(())
    }
}

fn number<N: FromStr + PartialOrd>(value: &str, min: N, max: N) -> Option<N> {
    let number = value.parse().ok()?;
    (min <= number && number <= max).then_some(number)
}

fn switch(value: &str, on: &str, off: &str) -> Option<bool> {
    match value {
        _ if value == on => Some(true),
        _ if value == off => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_taken() {
        let mut config = PrinterConfig::default();
        for setting in [
            "columns=32",
            "line-ms=15",
            "buffer=1024",
            "xoff-free=16",
            "xon-free=32",
            "flow=busy-line",
            "busy-off-line=no",
            "near-end-sensor=no",
            "feed-button=yes",
            "process-id=no",
            "full-cut=yes",
            "drawer-open=low",
            "international=2",
            "model=TM-U220",
        ] {
            assert_eq!(config.set(setting), Ok(()), "{setting}");
        }
        let expected = PrinterConfig {
            columns: 32,
            line_ms: 15,
            buffer_bytes: 1_024,
            flow: Flow::BusyLine,
            xoff_free_bytes: 16,
            xon_free_bytes: 32,
            is_busy_off_line: false,
            needs_feed_button: true,
            has_process_id: false,
            has_full_cut: true,
            is_drawer_high_when_open: false,
            has_near_end_sensor: false,
            international_set: 2,
            model: "TM-U220".into(),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn wrong_settings_say_what_is_right() {
        let mut config = PrinterConfig::default();
        for (setting, expected) in [
            ("colums=32", "it has columns, line-ms"),
            ("columns=12", "columns takes 24 to 64"),
            ("flow=rts", "xon-xoff, busy-line or none"),
            ("feed-button=1", "yes or no"),
            ("international=1", "0 USA"),
            ("model=", "name in"),
            ("buffer", "64 to 65536"),
        ] {
            let message = config.set(setting).unwrap_err().to_string();
            assert!(message.contains(expected), "{setting}: {message}");
        }
        assert_eq!(config, PrinterConfig::default());
    }
}
