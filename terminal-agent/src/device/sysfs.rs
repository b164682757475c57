//! Reads from sysfs which ports there are and what is behind them.
//!
//! Owns the layout of sysfs, nothing else. Everything is below a root that is an argument; what
//! cannot be read is not there.

use std::fs;
use std::path::{Path, PathBuf};

use super::endpoint::{PortKind, UsbSelector, parse_usb_id};
use super::listing::{Listing, PortEntry, UsbIdentity};

/// The classes in which ports appear.
const CLASSES: [(&str, PortKind); 3] = [
    ("tty", PortKind::Serial),
    ("hidraw", PortKind::Hid),
    ("usbmisc", PortKind::UsbPrinter),
];
/// The longest attribute that is used. Names on USB have at most 126 characters.
const ATTRIBUTE_BYTES_MAX: usize = 1_024;

/// Everything below `root`.
pub fn listing(root: &Path) -> Listing {
    let mut ports: Vec<_> = CLASSES
        .into_iter()
        .flat_map(|(class, kind)| {
            names(&root.join("sys/class").join(class))
                .into_iter()
                .filter_map(move |name| port(root, class, kind, &name))
        })
        .collect();
    ports.sort();
    Listing {
        usb: usb_devices(root),
        ports,
    }
}

/// Only what may be meant by `selector`: cheap while the device is away, which is when somebody
/// asks every other second.
pub fn listing_of(root: &Path, selector: &UsbSelector) -> Listing {
    let directory = root.join("sys/bus/usb/devices");
    let is_there = names(&directory).iter().any(|name| {
        // One file of each device; the others only of those of this maker.
        let device = directory.join(name);
        let vendor = attribute(&device, "idVendor").and_then(|text| parse_usb_id(&text));
        vendor == Some(selector.vendor)
            && identity(&device, name).is_some_and(|usb| usb.is_meant_by(selector))
    });
    if is_there {
        listing(root)
    } else {
        Listing::default()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn usb_devices(root: &Path) -> Vec<UsbIdentity> {
    let directory = root.join("sys/bus/usb/devices");
    names(&directory)
        .into_iter()
        // Interfaces have a colon in their name; only devices have ids.
        .filter(|name| !name.contains(':'))
        .filter_map(|name| identity(&directory.join(&name), &name))
        .collect()
}

fn identity(device: &Path, name: &str) -> Option<UsbIdentity> {
    Some(UsbIdentity {
        vendor: parse_usb_id(&attribute(device, "idVendor")?)?,
        product: parse_usb_id(&attribute(device, "idProduct")?)?,
        serial: attribute(device, "serial"),
        vendor_name: attribute(device, "manufacturer"),
        product_name: attribute(device, "product"),
        bus_path: name.to_owned(),
    })
}

fn port(root: &Path, class: &str, kind: PortKind, name: &str) -> Option<PortEntry> {
    let entry = root.join("sys/class").join(class).join(name);
    if kind == PortKind::UsbPrinter && !name.starts_with("lp") {
        return None;
    }
    // Consoles and pseudo-terminals have no device behind them.
    let device = fs::canonicalize(entry.join("device")).ok()?;
    // A serial driver makes more files than it has found lines; those have no type.
    if attribute(&entry, "type").as_deref() == Some("0") {
        return None;
    }
    let sys = fs::canonicalize(root.join("sys")).ok()?;
    let above = || device.ancestors().take_while(|path| path.starts_with(&sys));
    let interface = above().find(|path| path.join("bInterfaceClass").exists());
    let number = |path: Option<&Path>, name| {
        let text = attribute(path?, name)?;
        u8::from_str_radix(&text, 16).ok()
    };
    let usb = above()
        .find(|path| path.join("idVendor").exists())
        .and_then(|path| identity(path, path.file_name()?.to_str()?));
    Some(PortEntry {
        node: node(root, &entry, name),
        kind,
        usb,
        interface: number(interface, "bInterfaceNumber"),
        interface_class: number(interface, "bInterfaceClass"),
        ieee1284_id: interface.and_then(|path| attribute(path, "ieee1284_id")),
    })
}

/// The kernel says under which name a device file is made.
fn node(root: &Path, entry: &Path, name: &str) -> PathBuf {
    let uevent = attribute(entry, "uevent").unwrap_or_default();
    let line = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="));
    root.join("dev").join(line.unwrap_or(name))
}

fn attribute(directory: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(directory.join(name)).ok()?;
    let bytes = bytes.get(..bytes.len().min(ATTRIBUTE_BYTES_MAX))?;
    let text = String::from_utf8_lossy(bytes);
    // What a device says of itself goes to logs and terminals.
    let is_shown = |c: char| !c.is_control() || c == '\n';
    let text: String = text.trim().chars().filter(|c| is_shown(*c)).collect();
    (!text.is_empty()).then_some(text)
}

/// The other names of a port: by serial number, by socket, and the ones of our own udev rules.
pub fn aliases(root: &Path, node: &Path) -> Vec<PathBuf> {
    let dev = root.join("dev");
    let own = names(&dev)
        .into_iter()
        .filter(|name| name.starts_with("pos-"))
        .map(|name| dev.join(name));
    let links = ["serial/by-id", "serial/by-path"]
        .into_iter()
        .flat_map(|directory| {
            let directory = dev.join(directory);
            names(&directory)
                .into_iter()
                .map(move |name| directory.join(name))
        });
    let Ok(target) = fs::canonicalize(node) else {
        return Vec::new();
    };
    own.chain(links)
        .filter(|link| fs::canonicalize(link).is_ok_and(|found| found == target))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::device::endpoint::Role;
    use crate::device::listing::find;

    /// A machine made up of files.
    pub(crate) struct Machine {
        pub(crate) root: tempfile::TempDir,
    }

    impl Machine {
        pub(crate) fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for directory in [
                "dev",
                "sys/bus/usb/devices",
                "sys/class/tty",
                "sys/class/hidraw",
                "sys/class/usbmisc",
                "sys/devices/usb1",
            ] {
                fs::create_dir_all(root.path().join(directory)).unwrap();
            }
            Self { root }
        }

        pub(crate) fn path(&self) -> &Path {
            self.root.path()
        }

        fn device(&self, bus_path: &str) -> PathBuf {
            self.path().join("sys/devices/usb1").join(bus_path)
        }

        /// Puts a USB device into a socket.
        pub(crate) fn plug(&self, bus_path: &str, vendor: &str, product: &str, serial: &str) {
            let device = self.device(bus_path);
            fs::create_dir_all(&device).unwrap();
            for (name, text) in [
                ("idVendor", vendor),
                ("idProduct", product),
                ("serial", serial),
                ("manufacturer", "ID TECH"),
            ] {
                fs::write(device.join(name), format!("{text}\n")).unwrap();
            }
            let link = self.path().join("sys/bus/usb/devices").join(bus_path);
            symlink(format!("../../../devices/usb1/{bus_path}"), link).unwrap();
        }

        /// Gives the device in a socket a port; `target` is what the device file leads to.
        pub(crate) fn add_port(&self, bus_path: &str, class: &str, name: &str, target: &Path) {
            let interface = format!("{bus_path}:1.0");
            let directory = self.device(bus_path).join(&interface);
            let entry = directory.join(class).join(name);
            fs::create_dir_all(&entry).unwrap();
            fs::write(directory.join("bInterfaceClass"), "02\n").unwrap();
            fs::write(directory.join("bInterfaceNumber"), "00\n").unwrap();
            let folder = if class == "usbmisc" { "usb/" } else { "" };
            fs::write(
                entry.join("uevent"),
                format!("MAJOR=1\nDEVNAME={folder}{name}\n"),
            )
            .unwrap();
            symlink("../..", entry.join("device")).unwrap();
            let below = format!("../../devices/usb1/{bus_path}/{interface}/{class}/{name}");
            symlink(below, self.path().join("sys/class").join(class).join(name)).unwrap();
            let node = self.path().join("dev").join(folder).join(name);
            fs::create_dir_all(node.parent().unwrap()).unwrap();
            symlink(target, node).unwrap();
        }

        /// Pulls the cable of a socket.
        pub(crate) fn pull(&self, bus_path: &str) {
            fs::remove_dir_all(self.device(bus_path)).unwrap();
            fs::remove_file(self.path().join("sys/bus/usb/devices").join(bus_path)).unwrap();
            for (class, folder) in [("tty", ""), ("hidraw", ""), ("usbmisc", "usb")] {
                for name in names(&self.path().join("sys/class").join(class)) {
                    let entry = self.path().join("sys/class").join(class).join(&name);
                    if !entry.exists() {
                        fs::remove_file(entry).unwrap();
                        fs::remove_file(self.path().join("dev").join(folder).join(name)).unwrap();
                    }
                }
            }
        }
    }

    fn selector(serial: &str) -> UsbSelector {
        UsbSelector {
            vendor: 0x0ACD,
            product: None,
            serial: Some(serial.to_owned()),
        }
    }

    #[test]
    fn ports_are_found_with_the_device_behind_them() {
        let machine = Machine::new();
        machine.plug("1-1", "0acd", "3810", "A1");
        machine.add_port("1-1", "tty", "ttyACM0", Path::new("/dev/null"));
        machine.plug("1-2.4", "04b8", "0202", "J5");
        machine.add_port("1-2.4", "usbmisc", "lp0", Path::new("/dev/null"));
        machine.plug("1-3", "0acd", "3820", "");
        machine.add_port("1-3", "hidraw", "hidraw0", Path::new("/dev/null"));
        // A console, and a line that the serial driver has not found.
        fs::create_dir_all(machine.path().join("sys/class/tty/tty0")).unwrap();
        let ghost = machine.path().join("sys/class/tty/ttyS3");
        fs::create_dir_all(ghost.join("device")).unwrap();
        fs::write(ghost.join("type"), "0\n").unwrap();
        let listing = listing(machine.path());
        let found: Vec<_> = listing
            .ports
            .iter()
            .map(|port| {
                let node = port.node.strip_prefix(machine.path()).unwrap();
                let usb = port.usb.as_ref().unwrap();
                (node.to_str().unwrap(), port.kind, usb.to_string())
            })
            .collect();
        let expected = [
            (
                "dev/hidraw0",
                PortKind::Hid,
                "0acd:3820 without a serial number in USB socket 1-3",
            ),
            (
                "dev/ttyACM0",
                PortKind::Serial,
                "0acd:3810 serial number A1 in USB socket 1-1",
            ),
            (
                "dev/usb/lp0",
                PortKind::UsbPrinter,
                "04b8:0202 serial number J5 in USB socket 1-2.4",
            ),
        ];
        let expected = expected.map(|(node, kind, usb)| (node, kind, usb.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(listing.usb.len(), 3);
        assert_eq!(listing.ports[1].interface_class, Some(2));
    }

    #[test]
    fn a_device_that_comes_back_under_another_number_is_found_there() {
        let machine = Machine::new();
        let wanted = selector("A1");
        let node = |expected: Option<&str>| {
            let listing = listing_of(machine.path(), &wanted);
            let found = find(&listing, &wanted, Role::Reader, None).ok();
            let found = found.map(|port| port.node.clone());
            assert_eq!(
                found,
                expected.map(|name| machine.path().join("dev").join(name))
            );
        };
        node(None);
        machine.plug("1-1", "0acd", "3810", "A1");
        machine.add_port("1-1", "tty", "ttyACM0", Path::new("/dev/null"));
        node(Some("ttyACM0"));
        machine.pull("1-1");
        node(None);
        machine.plug("1-4", "0acd", "3810", "A1");
        machine.add_port("1-4", "tty", "ttyACM7", Path::new("/dev/null"));
        node(Some("ttyACM7"));
    }

    #[test]
    fn other_names_of_a_port_are_told() {
        let machine = Machine::new();
        machine.plug("1-1", "0acd", "3810", "A1");
        machine.add_port("1-1", "tty", "ttyACM0", Path::new("/dev/null"));
        let dev = machine.path().join("dev");
        fs::create_dir_all(dev.join("serial/by-id")).unwrap();
        for name in ["serial/by-id/usb-ID_TECH-if00", "pos-reader-A1", "other"] {
            symlink(dev.join("ttyACM0"), dev.join(name)).unwrap();
        }
        symlink("/dev/zero", dev.join("pos-reader-B2")).unwrap();
        assert_eq!(
            aliases(machine.path(), &dev.join("ttyACM0")),
            [
                dev.join("pos-reader-A1"),
                dev.join("serial/by-id/usb-ID_TECH-if00")
            ]
        );
    }

    #[test]
    fn a_machine_without_sysfs_has_no_ports() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(listing(root.path()), Listing::default());
    }
}
