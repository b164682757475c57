//! The checks by name, and what one of them came to. No I/O.
//!
//! The table is what `docs/doctor.md` documents: ids and order never change, new ones are added.

use serde::Serialize;

use crate::device::endpoint::Role;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Sales go on, but somebody should look at it.
    Warn,
    /// Something that the shop needs does not work, or will not for long.
    Fail,
    /// Not looked at: what it rests on is not there.
    Skip,
}

impl Verdict {
    /// The word of reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

macro_rules! checks {
    ($($(#[$doc:meta])* $item:ident = $id:literal, $meaning:literal;)*) => {
        /// A check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum CheckId {
            $(#[doc = $meaning] $item,)*
        }

        impl CheckId {
            /// All of them, in the order of reports.
            pub const ALL: &'static [Self] = &[$(Self::$item,)*];

            /// The name; never changes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$item => $id,)*
                }
            }

            /// What it asks.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$item => $meaning,)*
                }
            }
        }
    };
}

checks! {
    ConfigValid = "config.valid", "The configuration file can be read and makes sense.";
    StateWritable = "state.writable", "The state directory is there and can be written to.";
    StatePermissions = "state.permissions", "Nobody else may read the state directory and the device's key.";
    DiskFree = "disk.free", "There is room for the journal.";
    AgentRunning = "agent.running", "An agent runs on this state directory and answers.";
    WatchdogActive = "watchdog.active", "The service manager watches the agent.";
    ClockSync = "clock.sync", "The system keeps its clock synchronised.";
    NetDns = "net.dns", "The engine's name has an address.";
    NetTcp = "net.tcp", "The engine's port takes connections.";
    NetTls = "net.tls", "The engine shows a certificate of the pinned authority, for this name, that has not ended.";
    ClockSkew = "clock.skew", "This machine's clock agrees with the engine's.";
    EngineAuth = "engine.auth", "The till is paired and the engine accepts its credential.";
    EngineVersion = "engine.version", "Agent and engine speak a common link protocol.";
    PortExists = "port.exists", "The configured port is there.";
    PortPermission = "port.permission", "The agent's user may use the port.";
    PortInUse = "port.in_use", "No other program has the port.";
    ReaderHello = "reader.hello", "The card reader answers.";
    ReaderFirmware = "reader.firmware", "The card reader says which firmware it has.";
    ReaderEncryption = "reader.encryption", "The card reader encrypts card data of stripe and chip.";
    PrinterStatus = "printer.status", "The printer answers and is ready.";
    PrinterPaper = "printer.paper", "The printer has paper.";
    QueueDepth = "queue.depth", "Nothing waits in the journal for the engine or for the printer.";
}

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Name of the check.
    pub id: &'static str,
    /// The device, for checks that are made of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Role>,
    /// How it ended.
    pub verdict: Verdict,
    /// Stable code of what is wrong, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What was seen; of a skipped check, why it was skipped.
    pub seen: String,
    /// What to do; empty when there is nothing to do.
    pub remedy: String,
    /// What `--fix` has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
}

impl Check {
    fn new(id: CheckId, verdict: Verdict, seen: impl Into<String>, remedy: &str) -> Self {
        Self {
            id: id.name(),
            device: None,
            verdict,
            code: None,
            seen: seen.into(),
            remedy: remedy.to_owned(),
            fixed: None,
        }
    }

    /// All is well.
    pub fn pass(id: CheckId, seen: impl Into<String>) -> Self {
        Self::new(id, Verdict::Pass, seen, "")
    }

    /// Somebody should look at it.
    pub fn warn(id: CheckId, seen: impl Into<String>, remedy: &str) -> Self {
        Self::new(id, Verdict::Warn, seen, remedy)
    }

    /// It does not work.
    pub fn fail(id: CheckId, seen: impl Into<String>, remedy: &str) -> Self {
        Self::new(id, Verdict::Fail, seen, remedy)
    }

    /// Not looked at, for this reason.
    pub fn skip(id: CheckId, reason: impl Into<String>) -> Self {
        Self::new(id, Verdict::Skip, reason, "")
    }

    /// With the device that it is about.
    pub fn of(mut self, device: Role) -> Self {
        self.device = Some(device);
        self
    }

    /// With the stable code of what is wrong.
    pub fn coded(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// With what was changed.
    pub fn fixed(mut self, fixed: Option<String>) -> Self {
        self.fixed = fixed;
        self
    }

    /// Whether what rests on it can be looked at.
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Pass | Verdict::Warn)
    }

    /// The name with the device.
    pub fn title(&self) -> String {
        match self.device {
            Some(device) => format!("{} ({})", self.id, device.name()),
            None => self.id.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_everything_has_a_meaning() {
        let mut names: Vec<_> = CheckId::ALL.iter().map(|id| id.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CheckId::ALL.len());
        for id in CheckId::ALL {
            assert!(id.meaning().ends_with('.'), "{}", id.name());
            assert!(id.name().contains('.'));
        }
    }

    #[test]
    fn every_check_is_documented_in_this_order() {
        let text = include_str!("../../../docs/doctor.md");
        let mut rest = text;
        for id in CheckId::ALL {
            let row = format!("| `{}` | {} | ", id.name(), id.meaning());
            let at = rest.find(&row);
            rest = rest.get(at.unwrap_or_else(|| panic!("{row}"))..).unwrap();
        }
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let rows = rows.filter(|row| row.split('`').nth(1).is_some_and(|id| id.contains('.')));
        assert_eq!(rows.count(), CheckId::ALL.len());
    }

    #[test]
    fn a_check_as_json_has_no_empty_optional_fields() {
        let check = Check::fail(CheckId::PortExists, "nothing", "plug it in")
            .of(Role::Reader)
            .coded("PORT_NOT_FOUND");
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["id"], "port.exists");
        assert_eq!(json["device"], "reader");
        assert_eq!(json["verdict"], "fail");
        assert!(json.get("fixed").is_none());
        assert_eq!(check.title(), "port.exists (reader)");
        assert!(!check.is_good());
    }
}
