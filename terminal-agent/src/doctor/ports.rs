//! The ports of reader and printer: there, permitted, free.
//!
//! Opens nothing: whether a port opens is learned from the agent that has it, or by
//! [`super::devices`].

use std::path::{Path, PathBuf};

use super::check::{Check, CheckId};
use crate::device::endpoint::{Endpoint, Role};
use crate::device::fault::{PortFault, PortState};
use crate::device::holder::{self, Use};
use crate::device::locate;
use crate::device::permission::{self, Account, Ownership};

/// Who has tried to open the port, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The running agent.
    Agent(PortState),
    /// This program.
    Here(Result<(), PortFault>),
    /// Nobody, for this reason.
    NotTried(&'static str),
}

/// One port as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFact {
    /// Whose port.
    pub role: Role,
    /// What the configuration says.
    pub place: String,
    /// The device file; none for one on the network.
    pub located: Result<Option<PathBuf>, PortFault>,
    /// Who is to use it.
    pub account: Account,
    /// Owner and mode of the device file.
    pub file: Option<Ownership>,
    /// Which process has it, as far as this one may see.
    pub holder: Use,
    /// Whether it opens.
    pub opening: Opening,
}

impl PortFact {
    /// Looks at an endpoint's port without opening it.
    pub fn look(endpoint: &Endpoint, root: &Path, account: &Account, opening: Opening) -> Self {
        let located = locate(endpoint).map(|found| found.map(|found| found.node));
        let node = located.as_ref().ok().and_then(Option::as_ref);
        Self {
            role: endpoint.role,
            place: endpoint.place.to_string(),
            file: node.and_then(|node| permission::ownership(root, node)),
            holder: node.map_or(Use::Free, |node| holder::look(Path::new("/proc"), node)),
            located,
            account: account.clone(),
            opening,
        }
    }

    /// The three checks of a port.
    pub fn judge(&self) -> Vec<Check> {
        let exists = self.judge_existence();
        let (permission, in_use) = match &self.located {
            Err(_) => {
                let reason = "there is no port";
                let skip = |id| Check::skip(id, reason);
                (skip(CheckId::PortPermission), skip(CheckId::PortInUse))
            }
            Ok(None) => {
                let skip = |id| Check::skip(id, "it is on the network");
                (skip(CheckId::PortPermission), skip(CheckId::PortInUse))
            }
            Ok(Some(_)) => {
                let permission = self.judge_permission();
                let in_use = if permission.is_good() {
                    self.judge_use()
                } else {
                    Check::skip(CheckId::PortInUse, "the agent's user may not open it")
                };
                (permission, in_use)
            }
        };
        let all = [exists, permission, in_use];
        all.into_iter().map(|check| check.of(self.role)).collect()
    }

    fn judge_existence(&self) -> Check {
        let id = CheckId::PortExists;
        match &self.located {
            Err(fault) => failed(id, fault),
            Ok(None) => match &self.opening {
                Opening::Here(Err(fault)) => failed(id, fault),
                Opening::Agent(PortState::Faulty {
                    code,
                    message,
                    remedy,
                }) => Check::fail(id, message.clone(), remedy).coded(code),
                Opening::Agent(_) | Opening::Here(Ok(())) => {
                    Check::pass(id, format!("{} answers", self.place))
                }
                Opening::NotTried(reason) => Check::skip(id, *reason),
            },
            Ok(Some(node)) => Check::pass(id, format!("{}", node.display())),
        }
    }

    fn judge_permission(&self) -> Check {
        let id = CheckId::PortPermission;
        let user = &self.account.name;
        if let Opening::Here(Err(
            fault @ (PortFault::Forbidden { .. } | PortFault::Confined { .. }),
        )) = &self.opening
        {
            return failed(id, fault);
        }
        if let Opening::Agent(PortState::Faulty {
            code,
            message,
            remedy,
        }) = &self.opening
            && matches!(code.as_str(), "PORT_FORBIDDEN" | "PORT_CONFINED")
        {
            return Check::fail(id, message.clone(), remedy).coded(code);
        }
        match &self.file {
            None => Check::skip(id, "there is no device file"),
            Some(file) if permission::may_use(&self.account, file) => {
                Check::pass(id, format!("user {user} may use it ({})", file.summary()))
            }
            Some(file) => failed(
                id,
                &PortFault::Forbidden {
                    user: user.clone(),
                    file: file.clone(),
                },
            ),
        }
    }

    fn judge_use(&self) -> Check {
        let id = CheckId::PortInUse;
        match &self.opening {
            Opening::Agent(PortState::Open { .. }) => Check::pass(id, "this till's agent has it"),
            Opening::Agent(PortState::Faulty {
                code,
                message,
                remedy,
            }) if !matches!(code.as_str(), "PORT_FORBIDDEN" | "PORT_CONFINED") => {
                Check::fail(id, message.clone(), remedy).coded(code)
            }
            Opening::Here(Ok(())) => Check::pass(id, "it opens, and nobody else has it"),
            Opening::Here(Err(fault)) => failed(id, fault),
            Opening::Agent(_) | Opening::NotTried(_) => self.judge_holder(),
        }
    }

    fn judge_holder(&self) -> Check {
        let id = CheckId::PortInUse;
        match &self.holder {
            Use::Free => Check::pass(id, "nobody has it"),
            Use::Unknown => Check::skip(id, "not known; root may see it"),
            Use::InUse(holder) if holder.program == "terminal-agent" => {
                Check::pass(id, format!("{holder} has it"))
            }
            Use::InUse(holder) => {
                let path = self.located.clone().ok().flatten().unwrap_or_default();
                let holder = Some(holder.to_string());
                failed(id, &PortFault::InUse { path, holder })
            }
        }
    }
}

/// A fault of a port as the outcome of a check.
pub fn failed(id: CheckId, fault: &PortFault) -> Check {
    Check::fail(id, fault.to_string(), &fault.remedy()).coded(fault.code())
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;
    use crate::trial::dialout_port;

    fn fact(located: Result<Option<PathBuf>, PortFault>, opening: Opening) -> PortFact {
        let file = dialout_port();
        PortFact {
            role: Role::Reader,
            place: "/dev/ttyACM0".to_owned(),
            located,
            account: Account {
                name: "terminal-agent".to_owned(),
                uid: 990,
                groups: [20].into(),
            },
            file: Some(file),
            holder: Use::Free,
            opening,
        }
    }

    fn here() -> Result<Option<PathBuf>, PortFault> {
        Ok(Some(PathBuf::from("/dev/ttyACM0")))
    }

    fn verdicts(fact: &PortFact) -> [Verdict; 3] {
        let checks = fact.judge();
        assert!(
            checks
                .iter()
                .all(|check| check.device == Some(Role::Reader))
        );
        checks
            .iter()
            .map(|check| check.verdict)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }

    #[test]
    fn a_port_is_judged_by_what_is_known_of_it() {
        use Verdict::{Fail, Pass, Skip};
        let open = Opening::Agent(PortState::Open {
            port: "/dev/ttyACM0".to_owned(),
        });
        let in_use = PortFault::InUse {
            path: PathBuf::from("/dev/ttyACM0"),
            holder: Some("ModemManager (process 7)".to_owned()),
        };
        let gone = PortFault::NotFound {
            what: "/dev/ttyACM0".to_owned(),
        };
        for (fact, expected) in [
            (fact(here(), open), [Pass, Pass, Pass]),
            (fact(here(), Opening::Here(Ok(()))), [Pass, Pass, Pass]),
            (fact(here(), Opening::Here(Err(in_use))), [Pass, Pass, Fail]),
            (
                fact(Err(gone), Opening::NotTried("no port")),
                [Fail, Skip, Skip],
            ),
            (
                fact(Ok(None), Opening::NotTried("no agent")),
                [Skip, Skip, Skip],
            ),
            (fact(Ok(None), Opening::Here(Ok(()))), [Pass, Skip, Skip]),
        ] {
            assert_eq!(verdicts(&fact), expected, "{fact:?}");
        }
    }

    #[test]
    fn a_forbidden_port_says_which_group_is_missing() {
        let mut fact = fact(here(), Opening::NotTried("no agent"));
        fact.account.groups.clear();
        assert_eq!(
            verdicts(&fact),
            [Verdict::Pass, Verdict::Fail, Verdict::Skip]
        );
        let checks = fact.judge();
        let check = checks.get(1).unwrap();
        assert_eq!(check.code.as_deref(), Some("PORT_FORBIDDEN"));
        assert!(check.remedy.contains("usermod -aG dialout terminal-agent"));
    }

    #[test]
    fn a_holder_counts_where_nobody_has_tried() {
        let mut fact = fact(here(), Opening::NotTried("an agent does not answer"));
        let holder = |program: &str| {
            Use::InUse(holder::Holder {
                process_id: 7,
                program: program.to_owned(),
            })
        };
        for (holder, expected) in [
            (holder("ModemManager"), Verdict::Fail),
            (holder("terminal-agent"), Verdict::Pass),
            (Use::Free, Verdict::Pass),
            (Use::Unknown, Verdict::Skip),
        ] {
            fact.holder = holder;
            let [.., in_use] = verdicts(&fact);
            assert_eq!(in_use, expected);
        }
    }
}
