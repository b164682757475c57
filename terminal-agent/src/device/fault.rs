//! Why a port cannot be used: a stable code, what was seen, and what to do.
//!
//! Texts are read by a technician beside the till. Nothing that came over a port is ever in them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::endpoint::Role;
use super::permission::{self, Ownership};

/// Why a port is not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortFault {
    /// Nothing is there.
    #[error("{what} is not there")]
    NotFound {
        /// What the configuration names.
        what: String,
    },
    /// The device is plugged in, but no driver makes a port of it.
    #[error("{device} is plugged in, but the system has made no port of it")]
    NoDriver {
        /// The USB device.
        device: String,
    },
    /// More than one is meant.
    #[error("{what} may be any of {}", candidates.join(", "))]
    Ambiguous {
        /// What the configuration names.
        what: String,
        /// What fits it.
        candidates: Vec<String>,
    },
    /// It is no device file.
    #[error("{} is no device file", path.display())]
    NotADevice {
        /// The path.
        path: PathBuf,
    },
    /// Owner and mode forbid it.
    #[error("user {user} may not use {} ({})", file.node.display(), file.summary())]
    Forbidden {
        /// Who.
        user: String,
        /// What, with owner and mode.
        file: Ownership,
    },
    /// Owner and mode allow it, but the service's confinement does not.
    #[error("the system forbids {} to this service", path.display())]
    Confined {
        /// The device file.
        path: PathBuf,
    },
    /// Somebody else has it.
    #[error("{} is in use{}", path.display(), by(holder.as_deref()))]
    InUse {
        /// The device file.
        path: PathBuf,
        /// The program, where that could be seen.
        holder: Option<String>,
    },
    /// The network does not lead to it.
    #[error("{address} does not answer: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The port has no line by which the device could make the host wait.
    #[error("{} has no line DSR", path.display())]
    NoModemLines {
        /// The device file.
        path: PathBuf,
    },
    /// It was open and is gone.
    #[error("{port} was lost: {reason}")]
    Lost {
        /// The port.
        port: String,
        /// What the system says.
        reason: String,
    },
    /// Anything else.
    #[error("{port} does not open: {reason}")]
    Failed {
        /// The port.
        port: String,
        /// What the system says.
        reason: String,
    },
}

fn by(holder: Option<&str>) -> String {
    holder
        .map(|holder| format!(" by {holder}"))
        .unwrap_or_default()
}

impl PortFault {
    /// Stable.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "PORT_NOT_FOUND",
            Self::NoDriver { .. } => "PORT_NO_DRIVER",
            Self::Ambiguous { .. } => "PORT_AMBIGUOUS",
            Self::NotADevice { .. } => "PORT_NOT_A_DEVICE",
            Self::Forbidden { .. } => "PORT_FORBIDDEN",
            Self::Confined { .. } => "PORT_CONFINED",
            Self::InUse { .. } => "PORT_IN_USE",
            Self::Unreachable { .. } => "PORT_UNREACHABLE",
            Self::NoModemLines { .. } => "PORT_NO_MODEM_LINES",
            Self::Lost { .. } => "PORT_LOST",
            Self::Failed { .. } => "PORT_FAILED",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::NotFound { .. } => {
                "plug it in and switch it on; `terminal-agent ports` lists what is there".to_owned()
            }
            Self::NoDriver { .. } => "load its driver (`sudo modprobe usblp`, `cdc_acm` or \
                `ftdi_sio`); a print service that has taken the device must let go of it"
                .to_owned(),
            Self::Ambiguous { .. } => "add product and serial to `usb` in the configuration, or \
                name the port by its path in /dev/serial/by-id or by-path"
                .to_owned(),
            Self::NotADevice { .. } => {
                "name a device file; `terminal-agent ports` lists them".to_owned()
            }
            Self::Forbidden { user, file } => permission::remedy(user, file),
            Self::Confined { .. } => "restart the service, which may use only ports whose driver \
                was loaded when it started (`sudo systemctl restart terminal-agent`); if that does \
                not help, allow the device with `DeviceAllow=` in `sudo systemctl edit \
                terminal-agent`"
                .to_owned(),
            Self::InUse { .. } => "stop the other program; a second agent needs a reader of its \
                own; ModemManager is kept away by Tillway's udev rules"
                .to_owned(),
            Self::Unreachable { .. } => "check that the printer is switched on, its cable, and \
                its address on its own self-test page"
                .to_owned(),
            Self::NoModemLines { .. } => "set `flow` to what the printer's self-test page says, \
                xon_xoff or rts_cts"
                .to_owned(),
            Self::Lost { .. } => {
                "check cable and power; the port is opened again when it is back".to_owned()
            }
            Self::Failed { .. } => {
                "unplug the device and plug it in again; see `dmesg` for what the system says"
                    .to_owned()
            }
        }
    }

    /// What the system's refusal to open `path` means.
    pub(super) fn of_open(error: rustix::io::Errno, path: &Path, root: &Path) -> Self {
        use rustix::io::Errno;
        let path_text = || path.display().to_string();
        match error {
            Errno::NOENT | Errno::NXIO | Errno::NODEV => Self::NotFound { what: path_text() },
            Errno::ACCESS => Self::forbidden(path, root),
            Errno::PERM => Self::Confined {
                path: path.to_owned(),
            },
            Errno::BUSY | Errno::WOULDBLOCK => Self::InUse {
                path: path.to_owned(),
                holder: None,
            },
            other => Self::Failed {
                port: path_text(),
                reason: std::io::Error::from(other).to_string(),
            },
        }
    }

    fn forbidden(path: &Path, root: &Path) -> Self {
        let account = permission::own_account(root);
        match permission::ownership(root, path) {
            // Owner and mode would do: something else forbids it.
            Some(file) if permission::may_use(&account, &file) => Self::Confined {
                path: path.to_owned(),
            },
            Some(file) => Self::Forbidden {
                user: account.name,
                file,
            },
            None => Self::NotFound {
                what: path.display().to_string(),
            },
        }
    }

    /// With the program that has the port, where this process may see it. Looks through all
    /// processes: for the first report of a fault, not for each attempt.
    pub(super) fn with_holder(self) -> Self {
        match self {
            Self::InUse { path, .. } => {
                let holder = super::holder::find(&path).map(|holder| holder.to_string());
                Self::InUse { path, holder }
            }
            other => other,
        }
    }
}

/// How a port is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PortHealth {
    /// Not tried yet.
    #[default]
    Starting,
    /// Open.
    Open {
        /// Its device file or address.
        port: String,
    },
    /// Not open; tried again and again.
    Faulty(PortFault),
}

impl PortHealth {
    /// Logs a change of it.
    pub(super) fn log(&self, role: Role) {
        let role = role.name();
        match self {
            Self::Starting => {}
            Self::Open { port } => tracing::info!(role, port, "port open"),
            Self::Faulty(fault) => {
                let (code, remedy) = (fault.code(), fault.remedy());
                tracing::warn!(role, code, %fault, remedy, "port is not open");
            }
        }
    }
}

/// How a port is, as clients of the control socket read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PortState {
    /// Not tried yet.
    #[default]
    Starting,
    /// Open.
    Open {
        /// Its device file or address.
        port: String,
    },
    /// Not open; tried again and again.
    Faulty {
        /// Stable code of the fault.
        code: String,
        /// What was seen.
        message: String,
        /// What to do.
        remedy: String,
    },
}

impl From<&PortHealth> for PortState {
    fn from(health: &PortHealth) -> Self {
        match health {
            PortHealth::Starting => Self::Starting,
            PortHealth::Open { port } => Self::Open { port: port.clone() },
            PortHealth::Faulty(fault) => Self::Faulty {
                code: fault.code().to_owned(),
                message: fault.to_string(),
                remedy: fault.remedy(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;
    use serde_json::json;

    use super::*;
    use crate::trial::dialout_port;

    #[test]
    fn refusals_of_the_system_have_a_meaning() {
        let path = Path::new("/dev/null");
        let root = Path::new("/");
        for (error, code) in [
            (Errno::NOENT, "PORT_NOT_FOUND"),
            (Errno::NODEV, "PORT_NOT_FOUND"),
            (Errno::PERM, "PORT_CONFINED"),
            // Everybody may use it, so it is not the file that forbids it.
            (Errno::ACCESS, "PORT_CONFINED"),
            (Errno::BUSY, "PORT_IN_USE"),
            (Errno::WOULDBLOCK, "PORT_IN_USE"),
            (Errno::IO, "PORT_FAILED"),
        ] {
            let fault = PortFault::of_open(error, path, root);
            assert_eq!(fault.code(), code, "{error}");
            assert!(fault.to_string().contains("/dev/null"), "{fault}");
        }
    }

    #[test]
    fn a_forbidden_port_names_owner_mode_and_remedy() {
        let file = dialout_port();
        let user = "terminal-agent".to_owned();
        let health = PortHealth::Faulty(PortFault::Forbidden { user, file });
        let json = serde_json::to_value(PortState::from(&health)).unwrap();
        assert_eq!(json["state"], "faulty");
        assert_eq!(json["code"], "PORT_FORBIDDEN");
        assert_eq!(
            json["message"],
            "user terminal-agent may not use /dev/ttyACM0 (root:dialout mode 0660)"
        );
        let remedy = json["remedy"].as_str().unwrap();
        assert!(
            remedy.contains("sudo usermod -aG dialout terminal-agent"),
            "{remedy}"
        );
    }

    #[test]
    fn health_is_an_object_with_a_state() {
        let port = "/dev/ttyACM0".to_owned();
        for (health, expected) in [
            (PortHealth::Starting, json!({"state": "starting"})),
            (
                PortHealth::Open { port },
                json!({"state": "open", "port": "/dev/ttyACM0"}),
            ),
        ] {
            assert_eq!(
                serde_json::to_value(PortState::from(&health)).unwrap(),
                expected
            );
        }
    }
}
