//! What a configuration says about a port: where it is and how it is spoken to. No I/O.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// Port of raw printing over TCP, as network printers have it.
pub const RAW_PRINTING_PORT: u16 = 9100;

/// Which of the till's devices a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The card reader.
    Reader,
    /// The receipt printer.
    Printer,
}

impl Role {
    /// The name of its section in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Printer => "printer",
        }
    }

    /// The kinds of port that such a device may have, the likeliest first.
    pub const fn kinds(self) -> [PortKind; 2] {
        match self {
            Self::Reader => [PortKind::Serial, PortKind::Hid],
            Self::Printer => [PortKind::UsbPrinter, PortKind::Serial],
        }
    }
}

/// How the system presents a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortKind {
    /// RS-232, a USB serial adapter, USB CDC: `/dev/ttyS0`, `/dev/ttyUSB0`, `/dev/ttyACM0`.
    Serial,
    /// USB HID reports: `/dev/hidraw0`.
    Hid,
    /// USB printer class: `/dev/usb/lp0`.
    UsbPrinter,
}

impl PortKind {
    /// The word of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Hid => "hid",
            Self::UsbPrinter => "usb_printer",
        }
    }

    /// The kind of a device file by the name that the kernel gives it. Anything else is taken for
    /// a terminal: a pseudo-terminal is called `/dev/pts/3`.
    pub fn of_node(node: &Path) -> Self {
        let name = node.file_name().and_then(|name| name.to_str());
        let is_numbered = |prefix: &str| {
            name.and_then(|name| name.strip_prefix(prefix))
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        };
        if is_numbered("hidraw") {
            Self::Hid
        } else if is_numbered("lp") {
            Self::UsbPrinter
        } else {
            Self::Serial
        }
    }
}

impl fmt::Display for PortKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How a device on a serial line makes the host wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowControl {
    /// Not at all.
    #[default]
    None,
    /// By the bytes 11 and 13. They stay in the stream: whoever speaks the device's language obeys
    /// them, so that a question in real time still goes out while data wait.
    XonXoff,
    /// By the line CTS; the serial driver obeys it.
    RtsCts,
    /// By the line DSR, to which the printer's DTR is wired; it is looked at before each write.
    DtrDsr,
}

/// Which USB device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsbSelector {
    /// Vendor id.
    #[serde(deserialize_with = "usb_id")]
    pub vendor: u16,
    /// Product id; any, if absent.
    #[serde(default, deserialize_with = "optional_usb_id")]
    pub product: Option<u16>,
    /// Serial number; any, if absent.
    #[serde(default)]
    pub serial: Option<String>,
}

impl fmt::Display for UsbSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "USB device {:04x}:", self.vendor)?;
        match self.product {
            Some(product) => write!(formatter, "{product:04x}")?,
            None => write!(formatter, "*")?,
        }
        match &self.serial {
            Some(serial) => write!(formatter, " with serial number {serial}"),
            None => Ok(()),
        }
    }
}

/// A USB id: a number, or four hexadecimal digits as `lsusb` shows them.
fn usb_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    struct Id;
    impl Visitor<'_> for Id {
        type Value = u16;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a USB id such as 0x0acd or \"0acd\"")
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<u16, E> {
            u16::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<u16, E> {
            u16::try_from(value)
                .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u16, E> {
            parse_usb_id(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(Id)
}

fn optional_usb_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    usb_id(deserializer).map(Some)
}

/// Reads one to four hexadecimal digits, with or without `0x`.
pub fn parse_usb_id(text: &str) -> Option<u16> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    let is_plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_plain
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This device file; a symbolic link is followed at each opening.
    Path(PathBuf),
    /// Wherever the system has put this USB device.
    Usb(UsbSelector),
    /// This host and port on the network.
    Tcp(String),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(formatter, "{}", path.display()),
            Self::Usb(selector) => write!(formatter, "{selector}"),
            Self::Tcp(address) => write!(formatter, "tcp {address}"),
        }
    }
}

/// A network printer's `host:port`, with the usual port where none is given; `None` when it
/// cannot be one.
pub fn network_address(text: &str) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        // More than one colon without brackets: an IPv6 address without a port.
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
            (format!("[{text}]"), RAW_PRINTING_PORT)
        }
        Some((host, port)) if !text.ends_with(']') => {
            (host.to_owned(), port.parse().ok().filter(|port| *port > 0)?)
        }
        _ => (text.to_owned(), RAW_PRINTING_PORT),
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let is_good = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    let is_host = !name.is_empty() && name.chars().all(is_good);
    is_host.then(|| format!("{host}:{port}"))
}

/// A port, and how its device is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose port it is.
    pub role: Role,
    /// Where.
    pub place: Place,
    /// How the system presents it; found out at each opening, if absent.
    pub kind: Option<PortKind>,
    /// Bits per second on a serial line.
    pub baud: u32,
    /// How the device makes the host wait.
    pub flow: FlowControl,
    /// The directory that has `dev` and `sys`: `/`, but for tests and containers.
    pub root: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usb_ids_are_hexadecimal() {
        for (text, id) in [
            ("0acd", Some(0x0ACD)),
            ("0x0ACD", Some(0x0ACD)),
            ("acd", Some(0x0ACD)),
            ("", None),
            ("0x", None),
            ("10acd", None),
            ("+acd", None),
            ("reader", None),
        ] {
            assert_eq!(parse_usb_id(text), id, "{text}");
        }
    }

    #[test]
    fn device_files_are_known_by_the_names_of_the_kernel() {
        for (node, kind) in [
            ("/dev/ttyACM0", PortKind::Serial),
            ("/dev/pts/3", PortKind::Serial),
            ("/dev/hidraw12", PortKind::Hid),
            ("/dev/usb/lp0", PortKind::UsbPrinter),
            ("/dev/lp", PortKind::Serial),
            ("/tmp/lpreader.pty", PortKind::Serial),
        ] {
            assert_eq!(PortKind::of_node(Path::new(node)), kind, "{node}");
        }
    }

    #[test]
    fn network_printers_have_a_host_and_the_usual_port() {
        for (text, address) in [
            ("10.0.0.5:9100", Some("10.0.0.5:9100")),
            ("10.0.0.5", Some("10.0.0.5:9100")),
            ("printer.lan:9101", Some("printer.lan:9101")),
            ("[fd00::5]:9100", Some("[fd00::5]:9100")),
            ("[fd00::5]", Some("[fd00::5]:9100")),
            ("fd00::5", Some("[fd00::5]:9100")),
            ("", None),
            (":9100", None),
            ("printer:", None),
            ("printer:0", None),
            ("printer:99999", None),
            ("http://printer/", None),
            ("a printer", None),
        ] {
            assert_eq!(network_address(text).as_deref(), address, "{text}");
        }
    }
}
