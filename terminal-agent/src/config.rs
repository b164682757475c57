//! The configuration file: TOML, every key known, everything but the reader's port with a default.
//!
//! `port` is how the devices' ports are named.

use std::path::{Path, PathBuf};

use protocol::reader::command::FALLBACK_FAILURES_MAX;
use serde::Deserialize;

use crate::device::endpoint::{Endpoint, FlowControl, PortKind, UsbSelector};
use crate::machine::reader::ReaderSwitches;

mod port;
mod printer;

pub use printer::{CodePageName, ConfirmationName, CutterName, DrawerConfig, FontName, Level};

/// The largest configuration file.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read configuration {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not TOML, or has a key that is missing, unknown or of the wrong kind.
    #[error("failed to understand configuration {path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A value is outside its range.
    #[error("configuration key {key} must be {expected}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A section does not say where its device is.
    #[error("configuration section [{section}]: {problem}")]
    Port {
        /// The section.
        section: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where key, identity, journal and control socket are.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// The engine.
    #[serde(default)]
    pub engine: EngineConfig,
    /// The card reader.
    pub reader: ReaderConfig,
    /// The receipt printer; without it the till prints nothing.
    pub printer: Option<PrinterConfig>,
    /// The simulator of reader and printer. Never on a till in a shop: it lets the engine play
    /// with the devices.
    pub simulator: Option<SimulatorConfig>,
    /// The directory that has the system's `dev`, `sys` and `etc`; for tests and containers.
    #[serde(default = "default_device_root")]
    pub device_root: PathBuf,
}

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Base URL of its HTTP API, for pairing. `http` on this machine only.
    pub url: String,
    /// URL of the link; the one that pairing gave, if not set. `ws` on this machine only.
    pub link_url: Option<String>,
    /// Whose certificates are believed.
    pub trust: EngineTrust,
}

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineTrust {
    /// Those of the authority that was pinned at pairing, and no other.
    #[default]
    Pinned,
    /// Those of the authorities that this machine trusts: for engines with a public certificate.
    System,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:7437".to_owned(),
            link_url: None,
            trust: EngineTrust::default(),
        }
    }
}

/// The card reader's port: exactly one of `path` and `usb`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReaderConfig {
    /// Device path, such as `/dev/ttyACM0`; a symbolic link is followed at each opening.
    pub path: Option<PathBuf>,
    /// The USB device, wherever the system puts it.
    pub usb: Option<UsbSelector>,
    /// How the system presents it; found out, if absent.
    pub kind: Option<PortKind>,
    /// Bits per second. ID TECH NEO2 readers leave the factory with 115,200. USB ignores it.
    #[serde(default = "default_reader_baud")]
    pub baud: u32,
    /// Failed insertions before a chip card's stripe may be used, 1 to 5.
    #[serde(default = "default_fallback_after")]
    pub fallback_after: u8,
    /// What the agent does where the reader's documentation leaves it a choice.
    #[serde(default)]
    pub switches: ReaderSwitches,
}

/// The receipt printer's port, exactly one of `path`, `usb` and `tcp`, and its paper.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrinterConfig {
    /// Device path.
    pub path: Option<PathBuf>,
    /// The USB device, wherever the system puts it.
    pub usb: Option<UsbSelector>,
    /// Host and port on the network; 9100, if no port is given.
    pub tcp: Option<String>,
    /// How the system presents it; found out, if absent.
    pub kind: Option<PortKind>,
    /// Bits per second. Common serial receipt printers leave the factory with 38,400. USB and the
    /// network ignore it.
    #[serde(default = "default_printer_baud")]
    pub baud: u32,
    /// How a serial printer makes the till wait.
    #[serde(default)]
    pub flow: FlowControl,
    /// Characters a line.
    #[serde(default = "default_columns")]
    pub columns: usize,
    /// The font; found from the columns, if not set.
    pub font: Option<FontName>,
    /// The page of the characters above ASCII.
    #[serde(default)]
    pub code_page: CodePageName,
    /// A monochrome PNG to print above each receipt.
    pub logo: Option<PathBuf>,
    /// How receipts are parted.
    #[serde(default)]
    pub cutter: CutterName,
    /// Feed between the last line and the cutter, in dots; 24, or 120 without a cutter.
    pub feed_dots: Option<u8>,
    /// Receive buffer of the printer in bytes, 128 to 65536.
    #[serde(default = "default_buffer_bytes")]
    pub buffer_bytes: usize,
    /// How the printer says that a receipt is out.
    #[serde(default)]
    pub confirmation: ConfirmationName,
    /// Whether a receipt that a power cut or a pulled cable has interrupted is printed once more,
    /// marked DUPLICATE, without anybody asking.
    #[serde(default)]
    pub reprint_interrupted: bool,
    /// The drawer.
    #[serde(default)]
    pub drawer: DrawerConfig,
}

/// Where simulated devices take commands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatorConfig {
    /// Path of the simulator's control socket.
    pub control: PathBuf,
}

fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/tillway-agent")
}

fn default_device_root() -> PathBuf {
    PathBuf::from("/")
}

const fn default_reader_baud() -> u32 {
    115_200
}

/// The vendor's own.
const fn default_fallback_after() -> u8 {
    3
}

const fn default_printer_baud() -> u32 {
    38_400
}

/// 80 mm paper in font A, at 12 dots a character and 576 dots a line.
const fn default_columns() -> usize {
    48
}

/// Common receipt printers have 4 KiB; a switch on some sets it to 45 bytes, which is too little.
const fn default_buffer_bytes() -> usize {
    4_096
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads a text; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let malformed = |message: String| ConfigError::Malformed {
            path: path.to_owned(),
            message,
        };
        if text.len() > FILE_BYTES_MAX {
            return Err(malformed("larger than 64 KiB".to_owned()));
        }
        let config: Self = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The port of the reader, then the printer's if there is one.
    ///
    /// # Errors
    /// [`ConfigError::Port`]; not for a configuration that was parsed.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, ConfigError> {
        let reader = self.reader.endpoint(&self.device_root)?;
        let printer = self.printer.as_ref();
        let printer = printer.map(|printer| printer.endpoint(&self.device_root));
        Ok([reader].into_iter().chain(printer.transpose()?).collect())
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.endpoints()?;
        let bauds = [
            ("reader.baud", Some(self.reader.baud)),
            (
                "printer.baud",
                self.printer.as_ref().map(|printer| printer.baud),
            ),
        ];
        for (key, baud) in bauds {
            if baud.is_some_and(|baud| !(1_200..=4_000_000).contains(&baud)) {
                return Err(ConfigError::OutOfRange {
                    key,
                    expected: "from 1200 to 4000000",
                });
            }
        }
        if !(1..=FALLBACK_FAILURES_MAX).contains(&self.reader.fallback_after) {
            return Err(ConfigError::OutOfRange {
                key: "reader.fallback_after",
                expected: "from 1 to 5",
            });
        }
        self.printer.as_ref().map_or(Ok(()), PrinterConfig::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("test.toml"), text)
    }

    #[test]
    fn the_shortest_configuration_names_the_reader() {
        let config = parse("[reader]\npath = \"/dev/ttyACM0\"").unwrap();
        assert_eq!(config.reader.baud, 115_200);
        assert_eq!(config.engine, EngineConfig::default());
        assert_eq!((config.printer, config.simulator), (None, None));
    }

    #[test]
    fn everything_can_be_set() {
        let config = parse(
            r#"
            state_dir = "/tmp/till"
            [engine]
            url = "http://127.0.0.1:9000"
            link_url = "ws://127.0.0.1:9000/v1/agent/link"
            trust = "system"
            [reader]
            path = "/dev/ttyACM0"
            baud = 9600
            [printer]
            path = "/dev/ttyUSB0"
            baud = 19200
            columns = 42
            [simulator]
            control = "/tmp/devices/control.sock"
            "#,
        )
        .unwrap();
        assert_eq!(config.state_dir, PathBuf::from("/tmp/till"));
        assert_eq!(config.engine.trust, EngineTrust::System);
        assert_eq!(config.printer.unwrap().columns, 42);
        let control = Path::new("/tmp/devices/control.sock");
        assert_eq!(config.simulator.unwrap().control, control);
    }

    #[test]
    fn wrong_configurations_are_refused_with_the_place() {
        for (text, expected) in [
            ("", "reader"),
            ("[reader]\npath = 5", "path"),
            ("readers = 1\n[reader]\npath = \"x\"", "readers"),
            ("[reader]\npath = \"x\"\nbuad = 5", "buad"),
            ("[reader]\npath = \"x\"\nbaud = -5", "baud"),
            ("[reader]\npath = \"x\"\nbaud = 5", "reader.baud"),
            (
                "[reader]\npath = \"x\"\nfallback_after = 9",
                "reader.fallback_after",
            ),
            (
                "[reader]\npath = \"x\"\n[reader.switches]\nmore = true",
                "more",
            ),
            (
                "[reader]\npath = \"x\"\n[printer]\npath = \"y\"\ncolumns = 80",
                "printer.columns",
            ),
            ("[reader]\npath = \"x\"\n[simulator]", "control"),
            ("[engine]\nurl = 5\n[reader]\npath = \"x\"", "url"),
            ("[engine]\ntrust = \"all\"\n[reader]\npath = \"x\"", "trust"),
            ("[reader\n", "TOML"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?} gave {message}");
        }
    }
}
