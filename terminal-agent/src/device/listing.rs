//! The ports that a machine has, and which of them a configuration means. Pure: the listing is an
//! argument.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::endpoint::{PortKind, Role, UsbSelector};

/// What a USB device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UsbIdentity {
    /// Vendor id.
    #[serde(serialize_with = "as_hexadecimal")]
    pub vendor: u16,
    /// Product id.
    #[serde(serialize_with = "as_hexadecimal")]
    pub product: u16,
    /// Serial number.
    pub serial: Option<String>,
    /// The vendor's name.
    pub vendor_name: Option<String>,
    /// The product's name.
    pub product_name: Option<String>,
    /// Bus and sockets on the way to it, such as `1-2.4`: the same as long as the cable stays.
    pub bus_path: String,
}

fn as_hexadecimal<S: serde::Serializer>(id: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{id:04x}"))
}

impl UsbIdentity {
    /// Whether it is what was asked for.
    pub fn is_meant_by(&self, selector: &UsbSelector) -> bool {
        let is_product = selector.product.is_none_or(|id| id == self.product);
        let is_serial = selector
            .serial
            .as_deref()
            .is_none_or(|wanted| self.serial.as_deref() == Some(wanted.trim()));
        self.vendor == selector.vendor && is_product && is_serial
    }
}

impl fmt::Display for UsbIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04x}:{:04x}", self.vendor, self.product)?;
        match &self.serial {
            Some(serial) => write!(formatter, " serial number {serial}")?,
            None => write!(formatter, " without a serial number")?,
        }
        write!(formatter, " in USB socket {}", self.bus_path)
    }
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortEntry {
    /// Its device file.
    pub node: PathBuf,
    /// How the system presents it.
    pub kind: PortKind,
    /// The USB device behind it.
    pub usb: Option<UsbIdentity>,
    /// Number of the USB interface.
    pub interface: Option<u8>,
    /// Class of the USB interface.
    pub interface_class: Option<u8>,
    /// What a printer says of its command language (IEEE 1284).
    pub ieee1284_id: Option<String>,
}

/// Everything that is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// USB devices, with or without a driver that makes a port.
    pub usb: Vec<UsbIdentity>,
    /// Ports.
    pub ports: Vec<PortEntry>,
}

/// Why no port is meant, or more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUpError {
    /// Nothing of the kind is plugged in.
    Absent,
    /// It is plugged in, but no driver makes a port of it.
    NoDriver(UsbIdentity),
    /// Several are meant.
    Ambiguous(Vec<String>),
}

/// Finds the one port that `selector` means.
///
/// Several devices are never decided between. Of several ports of one device the kind decides that
/// such a device usually has.
///
/// # Errors
/// [`LookUpError`].
pub fn find<'a>(
    listing: &'a Listing,
    selector: &UsbSelector,
    role: Role,
    kind: Option<PortKind>,
) -> Result<&'a PortEntry, LookUpError> {
    let is_meant = |usb: &UsbIdentity| usb.is_meant_by(selector);
    let fitting: Vec<_> = listing
        .ports
        .iter()
        .filter(|port| port.usb.as_ref().is_some_and(is_meant))
        .filter(|port| kind.is_none_or(|kind| kind == port.kind))
        .filter(|port| role.kinds().contains(&port.kind))
        .collect();
    let devices: BTreeSet<_> = fitting
        .iter()
        .filter_map(|port| port.usb.as_ref())
        .collect();
    if devices.len() > 1 {
        return Err(ambiguous(&fitting));
    }
    let best = role
        .kinds()
        .into_iter()
        .map(|kind| of_kind(&fitting, kind))
        .find(|ports| !ports.is_empty())
        .unwrap_or_default();
    match best.as_slice() {
        [port] => Ok(*port),
        [] => Err(listing
            .usb
            .iter()
            .find(|usb| is_meant(usb))
            .map_or(LookUpError::Absent, |usb| {
                LookUpError::NoDriver(usb.clone())
            })),
        several => Err(ambiguous(several)),
    }
}

fn of_kind<'a>(ports: &[&'a PortEntry], kind: PortKind) -> Vec<&'a PortEntry> {
    let ports = ports.iter().copied();
    ports.filter(|port| port.kind == kind).collect()
}

fn ambiguous(ports: &[&PortEntry]) -> LookUpError {
    let described = ports.iter().map(|port| {
        let node = port.node.display();
        match &port.usb {
            Some(usb) => format!("{node} ({usb})"),
            None => node.to_string(),
        }
    });
    LookUpError::Ambiguous(described.collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn usb(vendor: u16, product: u16, serial: &str, bus_path: &str) -> UsbIdentity {
        UsbIdentity {
            vendor,
            product,
            serial: (!serial.is_empty()).then(|| serial.to_owned()),
            vendor_name: None,
            product_name: None,
            bus_path: bus_path.to_owned(),
        }
    }

    fn port(node: &str, usb: Option<&UsbIdentity>) -> PortEntry {
        let node = PathBuf::from(node);
        PortEntry {
            kind: PortKind::of_node(&node),
            node,
            usb: usb.cloned(),
            interface: None,
            interface_class: None,
            ieee1284_id: None,
        }
    }

    fn shop() -> Listing {
        let first = usb(0x0ACD, 0x3810, "A1", "1-1");
        let second = usb(0x0ACD, 0x3810, "B2", "1-2");
        let composite = usb(0x0ACD, 0x4450, "C3", "1-3");
        let printer = usb(0x04B8, 0x0202, "", "1-4");
        let adapter = usb(0x0403, 0x6011, "F4", "1-5");
        let bare = usb(0x1FC9, 0x2016, "", "1-6");
        Listing {
            ports: vec![
                port("/dev/ttyS0", None),
                port("/dev/ttyACM1", Some(&first)),
                port("/dev/ttyACM0", Some(&second)),
                port("/dev/hidraw3", Some(&composite)),
                port("/dev/ttyACM2", Some(&composite)),
                port("/dev/ttyUSB0", Some(&adapter)),
                port("/dev/ttyUSB1", Some(&adapter)),
                port("/dev/usb/lp0", Some(&printer)),
                port("/dev/ttyUSB2", Some(&printer)),
                port("/dev/hidraw4", Some(&printer)),
            ],
            usb: vec![first, second, composite, printer, adapter, bare],
        }
    }

    fn found(
        role: Role,
        selector: (u16, Option<u16>, Option<&str>),
        kind: Option<PortKind>,
    ) -> String {
        let selector = UsbSelector {
            vendor: selector.0,
            product: selector.1,
            serial: selector.2.map(str::to_owned),
        };
        match find(&shop(), &selector, role, kind) {
            Ok(port) => port.node.display().to_string(),
            Err(LookUpError::Absent) => "absent".to_owned(),
            Err(LookUpError::NoDriver(usb)) => format!("no driver for {}", usb.bus_path),
            Err(LookUpError::Ambiguous(candidates)) => candidates.join(", "),
        }
    }

    #[test]
    fn the_serial_number_tells_two_readers_apart() {
        for (serial, node) in [
            ("A1", "/dev/ttyACM1"),
            ("B2", "/dev/ttyACM0"),
            ("Z", "absent"),
        ] {
            let selector = (0x0ACD, Some(0x3810), Some(serial));
            assert_eq!(found(Role::Reader, selector, None), node);
        }
        let both = found(Role::Reader, (0x0ACD, Some(0x3810), None), None);
        for part in ["/dev/ttyACM1", "A1", "1-1", "/dev/ttyACM0", "B2", "1-2"] {
            assert!(both.contains(part), "{both}");
        }
        assert!(!both.contains("/dev/ttyS0"), "{both}");
    }

    #[test]
    fn of_one_device_the_usual_kind_is_taken_unless_another_is_asked_for() {
        let composite = (0x0ACD, Some(0x4450), None);
        let printer = (0x04B8, None, None);
        for (role, selector, kind, node) in [
            (Role::Reader, composite, None, "/dev/ttyACM2"),
            (Role::Reader, composite, Some(PortKind::Hid), "/dev/hidraw3"),
            (Role::Printer, printer, None, "/dev/usb/lp0"),
            (
                Role::Printer,
                printer,
                Some(PortKind::Serial),
                "/dev/ttyUSB2",
            ),
        ] {
            assert_eq!(found(role, selector, kind), node);
        }
    }

    #[test]
    fn what_is_missing_is_told_from_what_has_no_driver() {
        let absent = found(Role::Printer, (0x0519, None, None), None);
        assert_eq!(absent, "absent");
        let bare = found(Role::Printer, (0x1FC9, Some(0x2016), None), None);
        assert_eq!(bare, "no driver for 1-6");
        let two = found(Role::Printer, (0x0403, None, Some("F4")), None);
        assert!(two.contains("ttyUSB0") && two.contains("ttyUSB1"), "{two}");
    }
}
