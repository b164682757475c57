//! What the configuration says of the printer beyond its port, in the words of its machine.

use protocol::printer::{CodePage, Cut, DrawerPin, Font, Logo, Paper};
use serde::Deserialize;

use super::{ConfigError, PrinterConfig};
use crate::machine::printer::{Confirmation, Drawer, PrinterConfig as MachineConfig};

/// Longest pulse and pause that the printer's command has: 255 × 2 ms.
const PULSE_MS_MAX: u16 = 510;
/// From the head to the edge at which paper is torn, and a little more: 15 mm.
const TEAR_FEED_DOTS: u8 = 120;

/// A code page by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodePageName {
    /// PC437.
    Cp437,
    /// PC850.
    Cp850,
    /// PC858, which has the euro sign.
    #[default]
    Cp858,
    /// Windows 1252.
    Wpc1252,
}

/// A font by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FontName {
    /// 12×24 dots.
    A,
    /// 9×17 dots.
    B,
}

/// A cutter by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CutterName {
    /// Leaves one point.
    #[default]
    Partial,
    /// Cuts through.
    Full,
    /// There is none.
    None,
}

/// A way of confirming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmationName {
    /// Every printer.
    #[default]
    PaperStatus,
    /// Newer models.
    ProcessId,
}

/// The level of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// High.
    High,
    /// Low.
    Low,
}

/// The drawer at the printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrawerConfig {
    /// Pin of the connector: 2 or 5.
    pub pin: u8,
    /// Length of the pulse in ms, 2 to 510.
    pub on_ms: u16,
    /// Pause after it in ms, 2 to 510.
    pub off_ms: u16,
    /// Level of the drawer's switch while it is open; nothing is said of the drawer without it.
    pub open_level: Option<Level>,
}

impl Default for DrawerConfig {
    /// 100 ms on and off, as the usual drawers need.
    fn default() -> Self {
        Self {
            pin: 2,
            on_ms: 100,
            off_ms: 100,
            open_level: None,
        }
    }
}

impl PrinterConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let out_of_range = |key, expected| Err(ConfigError::OutOfRange { key, expected });
        let paper = protocol::receipt::COLUMNS_MIN..=protocol::receipt::COLUMNS_MAX;
        if !paper.contains(&self.columns) {
            return out_of_range("printer.columns", "from 24 to 64");
        }
        if !(128..=65_536).contains(&self.buffer_bytes) {
            return out_of_range("printer.buffer_bytes", "from 128 to 65536");
        }
        if !matches!(self.drawer.pin, 2 | 5) {
            return out_of_range("printer.drawer.pin", "2 or 5");
        }
        let pulses = 2..=PULSE_MS_MAX;
        if !pulses.contains(&self.drawer.on_ms) || !pulses.contains(&self.drawer.off_ms) {
            let key = "printer.drawer.on_ms and printer.drawer.off_ms";
            return out_of_range(key, "from 2 to 510");
        }
        Ok(())
    }

    /// The printer as its machine is told of it; `logo` is the picture that was read.
    pub fn machine(&self, logo: Option<Logo>) -> MachineConfig {
        let mut machine = MachineConfig::new(self.columns);
        machine.paper = self.paper(logo);
        machine.drawer = self.drawer.machine();
        machine.confirmation = match self.confirmation {
            ConfirmationName::PaperStatus => Confirmation::PaperStatus,
            ConfirmationName::ProcessId => Confirmation::ProcessId,
        };
        machine.reprints_interrupted = self.reprint_interrupted;
        machine.with_buffer(self.buffer_bytes)
    }

    /// The paper without its logo, which must not be wider.
    pub fn plain_paper(&self) -> Paper {
        self.paper(None)
    }

    fn paper(&self, logo: Option<Logo>) -> Paper {
        let mut paper = Paper::new(self.columns)
            .with_code_page(match self.code_page {
                CodePageName::Cp437 => CodePage::Cp437,
                CodePageName::Cp850 => CodePage::Cp850,
                CodePageName::Cp858 => CodePage::Cp858,
                CodePageName::Wpc1252 => CodePage::Wpc1252,
            })
            .with_cut(match self.cutter {
                CutterName::Partial => Cut::Partial,
                CutterName::Full => Cut::Full,
                CutterName::None => Cut::None,
            });
        if let Some(font) = self.font {
            paper = paper.with_font(match font {
                FontName::A => Font::A,
                FontName::B => Font::B,
            });
        }
        let tear_feed = (self.cutter == CutterName::None).then_some(TEAR_FEED_DOTS);
        if let Some(feed_dots) = self.feed_dots.or(tear_feed) {
            paper = paper.with_feed_before_cut(feed_dots);
        }
        match logo {
            Some(logo) => paper.with_logo(logo),
            None => paper,
        }
    }
}

impl DrawerConfig {
    fn machine(self) -> Drawer {
        let in_2ms = |ms: u16| u8::try_from(ms / 2).unwrap_or(u8::MAX);
        Drawer {
            pin: if self.pin == 5 {
                DrawerPin::Five
            } else {
                DrawerPin::Two
            },
            on_2ms: in_2ms(self.on_ms),
            off_2ms: in_2ms(self.off_ms),
            is_high_when_open: self.open_level.map(|level| level == Level::High),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    fn parse(lines: &str) -> Result<PrinterConfig, ConfigError> {
        let text = format!("[reader]\npath = \"r\"\n[printer]\npath = \"p\"\n{lines}");
        let config = Config::parse(Path::new("test.toml"), &text)?;
        Ok(config.printer.expect("a printer"))
    }

    #[test]
    fn without_settings_it_is_the_usual_printer() {
        let machine = parse("").unwrap().machine(None);
        assert_eq!(machine, MachineConfig::new(48));
    }

    #[test]
    fn every_setting_reaches_the_machine() {
        let config = parse(
            r#"
            columns = 42
            font = "b"
            code_page = "wpc1252"
            logo = "/etc/tillway/logo.png"
            cutter = "full"
            feed_dots = 5
            buffer_bytes = 512
            confirmation = "process_id"
            reprint_interrupted = true
            [printer.drawer]
            pin = 5
            on_ms = 50
            off_ms = 510
            open_level = "low"
            "#,
        )
        .unwrap();
        assert_eq!(
            config.logo.as_deref(),
            Some(Path::new("/etc/tillway/logo.png"))
        );
        let logo = Logo::new(8, 1, &[true; 8]).unwrap();
        let machine = config.machine(Some(logo.clone()));
        let paper = Paper::new(42)
            .with_font(Font::B)
            .with_code_page(CodePage::Wpc1252)
            .with_cut(Cut::Full)
            .with_feed_before_cut(5)
            .with_band_bytes(256)
            .with_logo(logo);
        assert_eq!(machine.paper, paper);
        assert_eq!(machine.paper.width_dots(), 378, "58 mm");
        assert_eq!((machine.window_bytes, machine.write_bytes), (128, 56));
        assert_eq!(machine.confirmation, Confirmation::ProcessId);
        assert!(machine.reprints_interrupted);
        let drawer = Drawer {
            pin: DrawerPin::Five,
            on_2ms: 25,
            off_2ms: 255,
            is_high_when_open: Some(false),
        };
        assert_eq!(machine.drawer, drawer);
    }

    #[test]
    fn every_name_is_understood() {
        for (name, page) in CodePage::NAMES {
            let config = parse(&format!("code_page = \"{name}\"")).unwrap();
            assert_eq!(config.plain_paper().code_page(), page);
        }
        let config = parse("cutter = \"none\"").unwrap();
        assert_eq!(config.plain_paper().feed_before_cut_dots(), TEAR_FEED_DOTS);
        assert_eq!(config.plain_paper().cut(), Cut::None);
    }

    #[test]
    fn wrong_settings_are_refused_with_the_place() {
        for (lines, expected) in [
            ("columns = 80", "printer.columns"),
            ("code_page = \"utf8\"", "code_page"),
            ("cutter = \"knife\"", "cutter"),
            ("font = \"c\"", "font"),
            ("confirmation = \"hope\"", "confirmation"),
            ("feed_dots = 256", "feed_dots"),
            ("buffer_bytes = 45", "printer.buffer_bytes"),
            ("[printer.drawer]\npin = 3", "printer.drawer.pin"),
            ("[printer.drawer]\non_ms = 600", "printer.drawer.on_ms"),
            ("[printer.drawer]\noff_ms = 0", "printer.drawer.off_ms"),
            ("[printer.drawer]\nopen = 1", "open"),
        ] {
            let message = parse(lines).unwrap_err().to_string();
            assert!(message.contains(expected), "{lines:?} gave {message}");
        }
    }
}
