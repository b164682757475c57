//! From what a configuration says to an open port.
//!
//! A port is looked for anew at each opening: what was `/dev/ttyACM0` may come back as
//! `/dev/ttyACM1`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::reader::hid::HidDecoder;
use tokio::io::{AsyncRead, AsyncWrite};

use super::endpoint::{Endpoint, Place, PortKind, UsbSelector};
use super::fault::PortFault;
use super::framing::Framing;
use super::listing::{self, LookUpError};
use super::node::{Node, Writing};
use super::serial::{self, Wire};
use super::{permission, sysfs, tcp};

/// Anything that carries bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A port that is open.
pub(super) struct OpenPort {
    /// Its device file or address.
    pub(super) name: String,
    pub(super) stream: Box<dyn Stream>,
    pub(super) framing: Framing,
    pub(super) wire: Option<Box<dyn Wire>>,
    /// Whether a read of nothing means that the device is gone. A USB printer says nothing now
    /// and then, and its going is an error.
    pub(super) nothing_is_the_end: bool,
}

/// The device file that is meant just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its path, as the configuration or the system names it.
    pub node: PathBuf,
    /// How it is spoken to.
    pub kind: PortKind,
}

/// Finds the device file of an endpoint without opening it; `None` for one on the network.
///
/// # Errors
/// [`PortFault`] when there is none, or more than one.
pub fn locate(endpoint: &Endpoint) -> Result<Option<Located>, PortFault> {
    match &endpoint.place {
        Place::Tcp(_) => Ok(None),
        Place::Path(path) => by_path(path, endpoint).map(Some),
        Place::Usb(selector) => by_usb(selector, endpoint).map(Some),
    }
}

fn by_path(path: &Path, endpoint: &Endpoint) -> Result<Located, PortFault> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PortFault::NotFound {
                what: path.display().to_string(),
            });
        }
        Err(error) => {
            return Err(PortFault::Failed {
                port: path.display().to_string(),
                reason: error.to_string(),
            });
        }
    };
    if !permission::is_device(&target) {
        return Err(PortFault::NotADevice {
            path: path.to_owned(),
        });
    }
    Ok(Located {
        node: path.to_owned(),
        kind: endpoint.kind.unwrap_or_else(|| PortKind::of_node(&target)),
    })
}

fn by_usb(selector: &UsbSelector, endpoint: &Endpoint) -> Result<Located, PortFault> {
    let listing = sysfs::listing_of(&endpoint.root, selector);
    let what = || selector.to_string();
    match listing::find(&listing, selector, endpoint.role, endpoint.kind) {
        Ok(port) => Ok(Located {
            node: port.node.clone(),
            kind: port.kind,
        }),
        Err(LookUpError::Absent) => Err(PortFault::NotFound { what: what() }),
        Err(LookUpError::NoDriver(usb)) => Err(PortFault::NoDriver {
            device: format!("USB device {usb}"),
        }),
        Err(LookUpError::Ambiguous(candidates)) => Err(PortFault::Ambiguous {
            what: what(),
            candidates,
        }),
    }
}

/// Finds the port and opens it for this process alone.
pub(super) async fn open(endpoint: &Endpoint) -> Result<OpenPort, PortFault> {
    if let Place::Tcp(address) = &endpoint.place {
        return Ok(OpenPort {
            name: endpoint.place.to_string(),
            stream: Box::new(tcp::connect(address).await?),
            framing: Framing::Raw,
            wire: None,
            nothing_is_the_end: true,
        });
    }
    let Some(Located { node, kind }) = locate(endpoint)? else {
        return Err(PortFault::NotFound {
            what: endpoint.place.to_string(),
        });
    };
    // A link in our own tree of names leads to the file that the kernel made.
    let is_hidraw =
        fs::canonicalize(&node).is_ok_and(|target| PortKind::of_node(&target) == PortKind::Hid);
    let writing = if is_hidraw {
        Writing::Threaded
    } else {
        Writing::Direct
    };
    let open_node = || {
        Node::open(&node, writing).map_err(|errno| PortFault::of_open(errno, &node, &endpoint.root))
    };
    let (stream, wire): (Box<dyn Stream>, _) = match kind {
        PortKind::Serial => {
            let (line, wire) = serial::open(&node, endpoint)?;
            (Box::new(line), wire)
        }
        PortKind::Hid | PortKind::UsbPrinter => (Box::new(open_node()?), None),
    };
    let framing = match kind {
        PortKind::Hid if is_hidraw => Framing::Reports(HidDecoder::default()),
        PortKind::Hid => Framing::ReportStream {
            decoder: HidDecoder::default(),
            rest: Vec::new(),
        },
        PortKind::Serial | PortKind::UsbPrinter => Framing::Raw,
    };
    Ok(OpenPort {
        name: node.display().to_string(),
        stream,
        framing,
        wire,
        nothing_is_the_end: kind != PortKind::UsbPrinter,
    })
}
