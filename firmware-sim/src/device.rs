//! What the run loop needs of a device, and the card reader and the printer as such devices.
//!
//! Owns the words of control commands. The machine itself stays pure; the only file touched here
//! is the reader's key counter, which a real reader keeps in its own memory.

mod hid;
mod printer;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use hid::HidDevice;
pub use printer::PrinterDevice;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cards::{self, Way};
use crate::reader::fault::{Fault, Scope};
use crate::reader::{Input, Output, Presentation, Reader, quirks};

/// One command to a device, as a line of JSON on the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// `reader` or `printer`.
    pub device: String,
    /// What to do.
    pub command: String,
    /// Parameters by name.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
}

impl ControlRequest {
    /// A command without parameters.
    pub fn new(device: &str, command: &str) -> Self {
        Self {
            device: device.to_owned(),
            command: command.to_owned(),
            arguments: BTreeMap::new(),
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.arguments.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The parameter `name`.
    ///
    /// # Errors
    /// [`ControlError::MissingArgument`].
    pub fn argument(&self, name: &'static str) -> Result<&str, ControlError> {
        let found = self.arguments.get(name).map(String::as_str);
        found.ok_or(ControlError::MissingArgument { name })
    }
}

/// Why a control command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The line is not a command.
    #[error("not a command: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// The line is too long.
    #[error("command is longer than {length_max} bytes")]
    TooLong {
        /// The bound.
        length_max: usize,
    },
    /// No such device.
    #[error("no device {name:?}")]
    UnknownDevice {
        /// The name given.
        name: String,
    },
    /// The device does not know the command.
    #[error("no command {name:?}")]
    UnknownCommand {
        /// The name given.
        name: String,
    },
    /// A parameter is missing.
    #[error("argument {name} is missing")]
    MissingArgument {
        /// Its name.
        name: &'static str,
    },
    /// A parameter has a value that is not known.
    #[error("argument {name} cannot be {value:?}")]
    BadArgument {
        /// Its name.
        name: &'static str,
        /// The value given.
        value: String,
    },
}

/// A device machine as the run loop sees it.
pub trait Device {
    /// Bytes came from the host; gives the bytes to send.
    fn hear(&mut self, now_ms: u64, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// Time has passed; gives the bytes to send.
    fn tick(&mut self, now_ms: u64) -> Vec<Vec<u8>>;

    /// When [`Device::tick`] is due.
    fn poll_deadline(&self) -> Option<u64>;

    /// A hand does something to the device; gives the bytes to send.
    ///
    /// # Errors
    /// [`ControlError`] when the device does not know what is asked.
    fn control(
        &mut self,
        now_ms: u64,
        request: &ControlRequest,
    ) -> Result<Vec<Vec<u8>>, ControlError>;

    /// Whether the cable is in. A device may lose it by itself, and get it back.
    fn is_attached(&self) -> bool {
        true
    }

    /// One word for what the device is busy with; scripts wait for it.
    fn phase(&self) -> &'static str;

    /// The device's state for the status command, without card data.
    fn status(&self) -> Value;
}

/// The card reader on the run loop.
#[derive(Debug)]
pub struct ReaderDevice {
    reader: Reader,
    counter_file: Option<PathBuf>,
}

impl ReaderDevice {
    /// Runs `reader` and keeps its key counter in `counter_file`.
    pub fn new(reader: Reader, counter_file: Option<PathBuf>) -> Self {
        Self {
            reader,
            counter_file,
        }
    }

    /// `quirk` (name, setting): one of [`quirks::SWITCHES`].
    fn quirk(&self, request: &ControlRequest) -> Result<Input<'static>, ControlError> {
        let (name, setting) = (request.argument("name")?, request.argument("setting")?);
        let mut quirks = self.reader.quirks();
        if quirks.set(name, setting) {
            return Ok(Input::Quirks(quirks));
        }
        let is_known = quirks::SWITCHES.iter().any(|(known, _)| *known == name);
        let (name, value) = if is_known {
            ("setting", setting)
        } else {
            ("name", name)
        };
        let value = value.to_owned();
        Err(ControlError::BadArgument { name, value })
    }

    fn handle(&mut self, now_ms: u64, input: Input<'_>) -> Vec<Vec<u8>> {
        let before = self.reader.keys().used();
        let outputs = self.reader.handle(now_ms, input);
        let after = self.reader.keys().used();
        if let (true, Some(path)) = (before != after, &self.counter_file) {
            // Written before the answer leaves: a key must not be used twice.
            if let Err(error) = keep_counter(path, after.counter().into()) {
                tracing::warn!(%error, "key counter could not be kept");
            }
        }
        let bytes = outputs.into_iter().map(|Output::Host(bytes)| bytes);
        bytes.collect()
    }
}

/// The key counter that an earlier run has left; zero when there was none.
///
/// # Errors
/// When the file exists and cannot be read or is not a number.
pub fn read_counter(path: &Path) -> io::Result<u32> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

impl Device for ReaderDevice {
    fn hear(&mut self, now_ms: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.handle(now_ms, Input::Host(bytes))
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        self.handle(now_ms, Input::Deadline)
    }

    fn poll_deadline(&self) -> Option<u64> {
        self.reader.poll_deadline()
    }

    fn control(
        &mut self,
        now_ms: u64,
        request: &ControlRequest,
    ) -> Result<Vec<Vec<u8>>, ControlError> {
        let input = match request.command.as_str() {
            "quirk" => self.quirk(request)?,
            _ => reader_input(request)?,
        };
        Ok(self.handle(now_ms, input))
    }

    fn is_attached(&self) -> bool {
        self.reader.is_attached()
    }

    fn phase(&self) -> &'static str {
        self.reader.phase().word()
    }

    fn status(&self) -> Value {
        json!({
            "phase": self.phase(),
            "inserted": self.reader.inserted().map(|card| card.name),
            "message": self.reader.displayed(),
            "encryption": self.reader.keys().encryption().word(),
            "ksn": self.reader.keys().used().to_string(),
            "attached": self.reader.is_attached(),
        })
    }
}

/// `present` (card, way), `remove`, `fault` (fault, scope), `clear-faults`, `reset`, `plug-in`.
fn reader_input(request: &ControlRequest) -> Result<Input<'static>, ControlError> {
    match request.command.as_str() {
        "present" => {
            let card = known(request, "card", cards::find)?;
            let way = known(request, "way", Way::from_word)?;
            if !card.ways.contains(&way) {
                let value = way.word().to_owned();
                return Err(ControlError::BadArgument { name: "way", value });
            }
            Ok(Input::Present(Presentation { card, way }))
        }
        "remove" => Ok(Input::Remove),
        "fault" => {
            let fault = known(request, "fault", Fault::from_word)?;
            let scope = match request.arguments.contains_key("scope") {
                true => known(request, "scope", Scope::from_word)?,
                false => Scope::Next,
            };
            Ok(Input::Fault(fault, scope))
        }
        "clear-faults" => Ok(Input::ClearFaults),
        "plug-in" => Ok(Input::PluggedIn),
        "reset" => Ok(Input::Fault(Fault::Reset, Scope::Next)),
        name => {
            let name = name.to_owned();
            Err(ControlError::UnknownCommand { name })
        }
    }
}

fn known<T>(
    request: &ControlRequest,
    name: &'static str,
    find: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ControlError> {
    let value = request.argument(name)?;
    find(value).ok_or_else(|| ControlError::BadArgument {
        name,
        value: value.to_owned(),
    })
}

/// Keeps the counter as a reader's memory does: whoever is killed meanwhile leaves the old one or
/// the new one.
fn keep_counter(path: &Path, counter: u64) -> io::Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, counter.to_string())?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{ReaderConfig, Timing};
    use protocol::money::Money;
    use protocol::reader::command::{Activate, Interfaces, activate};

    fn device(counter_file: Option<PathBuf>) -> ReaderDevice {
        let mut config = ReaderConfig::demo();
        config.timing = Timing::INSTANT;
        config.quirks.polls_at_power_on = false;
        let mut device = ReaderDevice::new(Reader::new(config, 0), counter_file);
        device.tick(0);
        device
    }

    #[test]
    fn words_reach_the_machine() {
        let mut device = device(None);
        let insert = ControlRequest::new("reader", "present")
            .with("card", "visa")
            .with("way", "insert");
        device.control(0, &insert).unwrap();
        assert_eq!(device.status()["inserted"], "visa");
        let remove = ControlRequest::new("reader", "remove");
        device.control(0, &remove).unwrap();
        assert_eq!(device.status()["inserted"], Value::Null);
        let reset = ControlRequest::new("reader", "reset");
        assert_eq!(device.control(0, &reset).unwrap().len(), 1);
    }

    #[test]
    fn wrong_words_are_refused() {
        let present = ControlRequest::new("reader", "present");
        let fault = ControlRequest::new("reader", "fault");
        for request in [
            ControlRequest::new("reader", "explode"),
            present.clone(),
            present.clone().with("card", "visa"),
            present.clone().with("card", "visa").with("way", "throw"),
            present.clone().with("card", "gold").with("way", "tap"),
            present.with("card", "stripe").with("way", "tap"),
            fault.clone().with("fault", "melted"),
            fault.with("fault", "mute").with("scope", "never"),
        ] {
            assert!(device(None).control(0, &request).is_err(), "{request:?}");
        }
    }

    #[test]
    fn the_key_counter_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reader.counter");
        assert_eq!(read_counter(&path).unwrap(), 0);
        let mut device = device(Some(path.clone()));
        let command = activate(Activate {
            amount: Money::new(100, "USD".parse().unwrap()),
            timeout_s: 9,
            interfaces: Interfaces::ALL,
            next_command_s: 9,
        });
        device.hear(0, &command.unwrap().encode());
        assert_eq!(device.phase(), "polling");
        let tap = ControlRequest::new("reader", "present")
            .with("card", "visa")
            .with("way", "tap");
        assert_eq!(device.control(0, &tap).unwrap().len(), 2);
        assert_eq!(read_counter(&path).unwrap(), 1);
        fs::write(&path, "many").unwrap();
        assert!(read_counter(&path).is_err());
    }
}
