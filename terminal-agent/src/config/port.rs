//! Where the devices are, as the file says it: by path, by USB ids, or by address.
//!
//! Exactly one of them. Turns sections into [`Endpoint`]s; opens nothing.

use std::path::{Path, PathBuf};

use protocol::reader::command::FallbackRules;

use super::{ConfigError, PrinterConfig, ReaderConfig};
use crate::device::endpoint::{
    Endpoint, FlowControl, Place, PortKind, Role, UsbSelector, network_address,
};
use crate::machine::reader::ReaderConversationConfig;

/// The port part of a section.
struct Section<'a> {
    role: Role,
    path: Option<&'a PathBuf>,
    usb: Option<&'a UsbSelector>,
    tcp: Option<&'a String>,
    kind: Option<PortKind>,
    baud: u32,
    flow: FlowControl,
}

impl Section<'_> {
    fn endpoint(&self, root: &Path) -> Result<Endpoint, ConfigError> {
        let place = self.place()?;
        if let Some(kind) = self.kind {
            let fits = self.role.kinds().contains(&kind);
            if !fits || matches!(place, Place::Tcp(_)) {
                let [first, second] = self.role.kinds().map(PortKind::name);
                return Err(self.wrong(format!(
                    "`kind` must be \"{first}\" or \"{second}\", and is not for `tcp`"
                )));
            }
        }
        let is_serial = !matches!(place, Place::Tcp(_)) && self.kind.is_none_or(is_serial);
        let has_lines = matches!(self.flow, FlowControl::RtsCts | FlowControl::DtrDsr);
        if has_lines && !is_serial {
            return Err(
                self.wrong("`flow` by modem lines is for a serial port; remove it".to_owned())
            );
        }
        Ok(Endpoint {
            role: self.role,
            place,
            kind: self.kind,
            baud: self.baud,
            flow: self.flow,
            root: root.to_owned(),
        })
    }

    fn place(&self) -> Result<Place, ConfigError> {
        match (self.path, self.usb, self.tcp) {
            (Some(path), None, None) if path.as_os_str().is_empty() => {
                Err(self.wrong("`path` is empty".to_owned()))
            }
            (Some(path), None, None) => Ok(Place::Path(path.clone())),
            (None, Some(usb), None) => match &usb.serial {
                Some(serial) if serial.trim().is_empty() => Err(self.wrong(
                    "the serial number in `usb` is empty; leave it out to take any".to_owned(),
                )),
                _ => Ok(Place::Usb(usb.clone())),
            },
            (None, None, Some(address)) => {
                network_address(address).map(Place::Tcp).ok_or_else(|| {
                    self.wrong(format!(
                        "`tcp` must be host and port, such as \"10.0.0.5:9100\", not {address:?}"
                    ))
                })
            }
            _ => Err(self.wrong(format!(
                "exactly one of {} must say where it is; `terminal-agent ports` shows what is \
                 plugged in",
                match self.role {
                    Role::Reader => "`path` and `usb`",
                    Role::Printer => "`path`, `usb` and `tcp`",
                }
            ))),
        }
    }

    fn wrong(&self, problem: String) -> ConfigError {
        ConfigError::Port {
            section: self.role.name(),
            problem,
        }
    }
}

const fn is_serial(kind: PortKind) -> bool {
    matches!(kind, PortKind::Serial)
}

impl ReaderConfig {
    /// How to speak to it.
    pub fn conversation(&self) -> ReaderConversationConfig {
        let standard = ReaderConversationConfig::standard();
        ReaderConversationConfig {
            fallback: FallbackRules {
                failures: self.fallback_after,
                ..standard.fallback
            },
            switches: self.switches,
            ..standard
        }
    }

    /// Its port.
    ///
    /// # Errors
    /// [`ConfigError::Port`].
    pub(super) fn endpoint(&self, root: &Path) -> Result<Endpoint, ConfigError> {
        let section = Section {
            role: Role::Reader,
            path: self.path.as_ref(),
            usb: self.usb.as_ref(),
            tcp: None,
            kind: self.kind,
            baud: self.baud,
            flow: FlowControl::None,
        };
        section.endpoint(root)
    }
}

impl PrinterConfig {
    /// Its port.
    ///
    /// # Errors
    /// [`ConfigError::Port`].
    pub(super) fn endpoint(&self, root: &Path) -> Result<Endpoint, ConfigError> {
        let section = Section {
            role: Role::Printer,
            path: self.path.as_ref(),
            usb: self.usb.as_ref(),
            tcp: self.tcp.as_ref(),
            kind: self.kind,
            baud: self.baud,
            flow: self.flow,
        };
        section.endpoint(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("test.toml"), text)
    }

    fn places(text: &str) -> Vec<String> {
        let endpoints = parse(text).unwrap().endpoints().unwrap();
        endpoints.iter().map(|it| it.place.to_string()).collect()
    }

    #[test]
    fn ports_are_named_by_path_by_usb_ids_or_by_address() {
        for (text, expected) in [
            ("[reader]\npath = \"/dev/ttyACM0\"", vec!["/dev/ttyACM0"]),
            (
                "[reader]\nusb = { vendor = 0x0ACD, product = 0x3810, serial = \"A1\" }",
                vec!["USB device 0acd:3810 with serial number A1"],
            ),
            (
                "[reader]\nusb = { vendor = \"0acd\" }\nkind = \"hid\"\n\
                 [printer]\ntcp = \"10.0.0.5\"",
                vec!["USB device 0acd:*", "tcp 10.0.0.5:9100"],
            ),
            (
                "[reader]\nusb = { vendor = 2765 }\n\
                 [printer]\nusb = { vendor = \"0x04B8\" }\nkind = \"usb_printer\"",
                vec!["USB device 0acd:*", "USB device 04b8:*"],
            ),
            (
                "[reader]\npath = \"r\"\n[printer]\npath = \"p\"\nflow = \"dtr_dsr\"",
                vec!["r", "p"],
            ),
        ] {
            assert_eq!(places(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_port_is_said_with_its_section() {
        for (text, expected) in [
            ("[reader]", "[reader]: exactly one of `path` and `usb`"),
            (
                "[reader]\npath = \"r\"\nusb = { vendor = 1 }",
                "[reader]: exactly one of `path` and `usb`",
            ),
            ("[reader]\ntcp = \"10.0.0.5\"", "tcp"),
            ("[reader]\npath = \"\"", "`path` is empty"),
            ("[reader]\npath = \"r\"\nkind = \"usb_printer\"", "`kind`"),
            ("[reader]\npath = \"r\"\nflow = \"rts_cts\"", "flow"),
            ("[reader]\nusb = { product = 5 }", "vendor"),
            ("[reader]\nusb = { vendor = \"reader\" }", "0x0acd"),
            ("[reader]\nusb = { vendor = 70000 }", "0x0acd"),
            (
                "[reader]\nusb = { vendor = 1, serial = \" \" }",
                "serial number",
            ),
            ("[reader]\nusb = { vendor = 1, name = \"x\" }", "name"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?} gave {message}");
        }
        for (text, expected) in [
            ("", "[printer]: exactly one of `path`, `usb` and `tcp`"),
            ("tcp = \"a b\"", "10.0.0.5:9100"),
            ("tcp = \"10.0.0.5\"\npath = \"p\"", "exactly one of"),
            ("tcp = \"10.0.0.5\"\nkind = \"serial\"", "`kind`"),
            ("tcp = \"10.0.0.5\"\nflow = \"rts_cts\"", "`flow`"),
            ("path = \"p\"\nkind = \"hid\"", "`kind`"),
            (
                "path = \"p\"\nkind = \"usb_printer\"\nflow = \"dtr_dsr\"",
                "`flow`",
            ),
            ("path = \"p\"\nflow = \"hardware\"", "rts_cts"),
        ] {
            let text = format!("[reader]\npath = \"r\"\n[printer]\n{text}");
            let message = parse(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?} gave {message}");
        }
    }
}
