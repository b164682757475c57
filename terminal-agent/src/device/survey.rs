//! Everything that a technician wants to know of a machine's ports, at a glance.
//!
//! Looks and never opens. Its JSON is a promise: fields are added, never changed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::endpoint::{Endpoint, PortKind, Role};
use super::fault::PortFault;
use super::holder::{self, Use};
use super::listing::{PortEntry, UsbIdentity};
use super::open::locate;
use super::permission::{self, Account};
use super::sysfs;

/// Name and version of the JSON form.
pub const SCHEMA: &str = "tillway.ports/v1";
/// ID TECH (card-reader.md §1).
const VENDOR_ID_TECH: u16 = 0x0ACD;
/// Epson (receipt-printer.md §1).
const VENDOR_EPSON: u16 = 0x04B8;
/// USB printer class (receipt-printer.md §1).
const CLASS_PRINTER: u8 = 7;

/// All ports of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// For whom permissions are judged.
    pub account: Account,
    /// The ports.
    pub ports: Vec<SurveyedPort>,
    /// What the configuration means.
    pub configured: Vec<ConfiguredPort>,
    /// Why the configuration cannot be read; then nothing is configured.
    pub configuration_problem: Option<String>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SurveyedPort {
    /// Its device file.
    pub node: PathBuf,
    /// How the system presents it.
    pub kind: PortKind,
    /// What it is, by its maker and class.
    pub guess: Option<Role>,
    /// The devices that the configuration has on it.
    pub used_as: Vec<Role>,
    /// The USB device behind it.
    pub usb: Option<UsbIdentity>,
    /// Number of the USB interface.
    pub interface: Option<u8>,
    /// Class of the USB interface.
    pub interface_class: Option<u8>,
    /// What a printer says of its command language.
    pub ieee1284_id: Option<String>,
    /// Other names, the lasting ones.
    pub aliases: Vec<PathBuf>,
    /// Owner, group and mode; absent when there is no device file.
    pub file: Option<FileState>,
    /// Whether the account may use it.
    pub is_permitted: bool,
    /// What to do if it may not.
    pub remedy: Option<String>,
    /// Whether a process has it open.
    #[serde(rename = "use")]
    pub in_use: Use,
}

/// Owner, group and mode of a device file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileState {
    /// The owner's name.
    pub owner: String,
    /// The group's name.
    pub group: String,
    /// Four octal digits.
    pub mode: String,
}

/// What the configuration says of a device, and where that is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfiguredPort {
    /// Which device.
    pub role: Role,
    /// What the configuration says.
    pub place: String,
    /// The device file; absent for one on the network, or when there is none.
    pub node: Option<PathBuf>,
    /// Why there is none.
    pub fault: Option<SurveyedFault>,
}

/// A fault as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SurveyedFault {
    /// Stable.
    pub code: &'static str,
    /// What was seen.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl From<&PortFault> for SurveyedFault {
    fn from(fault: &PortFault) -> Self {
        Self {
            code: fault.code(),
            message: fault.to_string(),
            remedy: fault.remedy(),
        }
    }
}

/// Surveys the machine whose files are below `root`; processes are always this machine's.
pub fn survey(root: &Path, account: Account, configured: &[Endpoint]) -> Survey {
    let configured: Vec<_> = configured.iter().map(look_up).collect();
    let ports = sysfs::listing(root)
        .ports
        .into_iter()
        .map(|port| surveyed(root, port, &account, &configured))
        .collect();
    Survey {
        schema: SCHEMA,
        account,
        ports,
        configured,
        configuration_problem: None,
    }
}

fn look_up(endpoint: &Endpoint) -> ConfiguredPort {
    let located = locate(endpoint);
    ConfiguredPort {
        role: endpoint.role,
        place: endpoint.place.to_string(),
        fault: located.as_ref().err().map(SurveyedFault::from),
        node: located.ok().flatten().map(|located| located.node),
    }
}

fn surveyed(
    root: &Path,
    port: PortEntry,
    account: &Account,
    configured: &[ConfiguredPort],
) -> SurveyedPort {
    let ownership = permission::ownership(root, &port.node);
    let target = std::fs::canonicalize(&port.node).ok();
    let is_here = |configured: &&ConfiguredPort| {
        let node = configured.node.as_ref();
        let node = node.and_then(|node| std::fs::canonicalize(node).ok());
        node.is_some() && node == target
    };
    let is_permitted = ownership
        .as_ref()
        .is_some_and(|file| permission::may_use(account, file));
    SurveyedPort {
        guess: guess(&port),
        used_as: configured.iter().filter(is_here).map(|c| c.role).collect(),
        aliases: sysfs::aliases(root, &port.node),
        remedy: ownership
            .as_ref()
            .filter(|_| !is_permitted)
            .map(|file| permission::remedy(&account.name, file)),
        is_permitted,
        file: ownership.map(|file| FileState {
            mode: format!("{:04o}", file.mode),
            owner: file.owner,
            group: file.group,
        }),
        in_use: holder::look(Path::new("/proc"), &port.node),
        node: port.node,
        kind: port.kind,
        usb: port.usb,
        interface: port.interface,
        interface_class: port.interface_class,
        ieee1284_id: port.ieee1284_id,
    }
}

/// By maker and class. A printer's command language, where it names one, decides over both.
fn guess(port: &PortEntry) -> Option<Role> {
    let vendor = port.usb.as_ref().map(|usb| usb.vendor);
    let speaks_escpos = port
        .ieee1284_id
        .as_ref()
        .is_some_and(|id| id.to_ascii_uppercase().contains("ESC/POS"));
    let is_printer = speaks_escpos
        || port.kind == PortKind::UsbPrinter
        || port.interface_class == Some(CLASS_PRINTER)
        || vendor == Some(VENDOR_EPSON);
    if is_printer {
        Some(Role::Printer)
    } else {
        (vendor == Some(VENDOR_ID_TECH)).then_some(Role::Reader)
    }
}

impl Survey {
    /// For a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for port in &self.ports {
            text.push_str(&port.text(&self.account));
        }
        if self.ports.is_empty() {
            text.push_str("no serial, HID or USB printer port on this machine\n");
        }
        for configured in &self.configured {
            text.push_str(&configured.text());
        }
        if let Some(problem) = &self.configuration_problem {
            text.push_str(&format!("no configuration: {problem}\n"));
        }
        text
    }
}

impl SurveyedPort {
    fn text(&self, account: &Account) -> String {
        let mut text = format!("{}  {}", self.node.display(), self.kind);
        for role in &self.used_as {
            text.push_str(&format!("  [configured as {}]", role.name()));
        }
        if let Some(guess) = self.guess.filter(|guess| !self.used_as.contains(guess)) {
            text.push_str(&format!("  (looks like a {})", guess.name()));
        }
        text.push('\n');
        if let Some(usb) = &self.usb {
            let names = [&usb.vendor_name, &usb.product_name];
            let names = names.into_iter().flatten();
            let names: String = names.map(|name| format!("{name} ")).collect();
            text.push_str(&format!("    device      {names}{usb}\n"));
        }
        for alias in &self.aliases {
            text.push_str(&format!("    also        {}\n", alias.display()));
        }
        let file = self.file.as_ref().map_or_else(
            || "no device file".to_owned(),
            |file| format!("{}:{} mode {}", file.owner, file.group, file.mode),
        );
        let verdict = if self.is_permitted { "may" } else { "MAY NOT" };
        let user = &account.name;
        text.push_str(&format!(
            "    permission  user {user} {verdict} use it ({file})\n"
        ));
        if let Some(remedy) = &self.remedy {
            text.push_str(&format!("    remedy      {remedy}\n"));
        }
        let in_use = match &self.in_use {
            Use::InUse(holder) => format!("by {holder}"),
            Use::Free => "no".to_owned(),
            Use::Unknown => "not known; root may see it".to_owned(),
        };
        text.push_str(&format!("    in use      {in_use}\n"));
        text
    }
}

impl ConfiguredPort {
    fn text(&self) -> String {
        let role = self.role.name();
        let place = &self.place;
        match (&self.fault, &self.node) {
            (Some(fault), _) => format!(
                "{role}: {} ({})\n    remedy      {}\n",
                fault.message, fault.code, fault.remedy
            ),
            (None, Some(node)) if *place == node.display().to_string() => {
                format!("{role}: {place}\n")
            }
            (None, Some(node)) => format!("{role}: {place} is {}\n", node.display()),
            (None, None) => format!("{role}: {place}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;
    use crate::device::endpoint::{FlowControl, Place, UsbSelector};
    use crate::device::sysfs::tests::Machine;

    fn shop() -> Machine {
        let machine = Machine::new();
        let etc = machine.path().join("etc");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join("passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        std::fs::write(etc.join("group"), "root:x:0:\n").unwrap();
        let dev = machine.path().join("dev");
        std::fs::create_dir_all(dev.join("serial/by-id")).unwrap();
        machine.plug("1-1", "0acd", "3810", "A1");
        machine.add_port("1-1", "tty", "ttyACM0", Path::new("/dev/null"));
        let by_id = dev.join("serial/by-id/usb-ID_TECH_A1-if00");
        symlink(dev.join("ttyACM0"), by_id).unwrap();
        machine.plug("1-2", "04b8", "0202", "");
        machine.add_port("1-2", "usbmisc", "lp0", Path::new("/dev/zero"));
        machine.plug("1-3", "0403", "6001", "F1");
        machine.add_port("1-3", "tty", "ttyUSB0", Path::new("/nonexistent"));
        machine
    }

    fn surveyed(machine: &Machine) -> Survey {
        let account = Account {
            name: "terminal-agent".to_owned(),
            uid: 900,
            groups: BTreeSet::new(),
        };
        let endpoint = |role, place| Endpoint {
            role,
            place,
            kind: None,
            baud: 9_600,
            flow: FlowControl::None,
            root: machine.path().to_owned(),
        };
        let vendor = |vendor| UsbSelector {
            vendor,
            product: None,
            serial: None,
        };
        let configured = [
            endpoint(Role::Reader, Place::Usb(vendor(0x0ACD))),
            endpoint(Role::Printer, Place::Usb(vendor(0x0519))),
        ];
        survey(machine.path(), account, &configured)
    }

    #[test]
    fn the_json_form_is_as_promised() {
        let machine = shop();
        let survey = serde_json::to_value(surveyed(&machine)).unwrap();
        assert_eq!(survey["schema"], "tillway.ports/v1");
        assert_eq!(survey["account"]["name"], "terminal-agent");
        let dev = machine.path().join("dev");
        let reader = &survey["ports"][0];
        assert_eq!(
            *reader,
            json!({
                "node": dev.join("ttyACM0"),
                "kind": "serial",
                "guess": "reader",
                "used_as": ["reader"],
                "usb": {
                    "vendor": "0acd",
                    "product": "3810",
                    "serial": "A1",
                    "vendor_name": "ID TECH",
                    "product_name": null,
                    "bus_path": "1-1",
                },
                "interface": 0,
                "interface_class": 2,
                "ieee1284_id": null,
                "aliases": [dev.join("serial/by-id/usb-ID_TECH_A1-if00")],
                "file": reader["file"],
                "is_permitted": true,
                "remedy": null,
                "use": reader["use"],
            })
        );
        assert_eq!(reader["file"]["mode"], "0666");
        let adapter = &survey["ports"][1];
        assert_eq!(adapter["guess"], json!(null));
        assert_eq!(
            adapter["is_permitted"],
            json!(false),
            "it has no device file"
        );
        assert_eq!(adapter["file"], json!(null));
        assert_eq!(survey["ports"][2]["guess"], "printer");
        let configured = &survey["configured"];
        assert_eq!(configured[0]["node"], json!(dev.join("ttyACM0")));
        assert_eq!(configured[1]["fault"]["code"], "PORT_NOT_FOUND");
    }

    #[test]
    fn a_person_reads_the_same() {
        let machine = shop();
        let text = surveyed(&machine).text();
        for part in [
            "dev/ttyACM0  serial  [configured as reader]",
            "ID TECH 0acd:3810 serial number A1 in USB socket 1-1",
            "dev/serial/by-id/usb-ID_TECH_A1-if00",
            "user terminal-agent may use it (root:root mode 0666)",
            "dev/usb/lp0  usb_printer  (looks like a printer)",
            "printer: USB device 0519:* is not there (PORT_NOT_FOUND)",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
}
