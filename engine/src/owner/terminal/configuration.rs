//! The configuration that is wanted, against what the till says that it has.

use protocol::link::{ConfigurationRefused, ConfigurationReport, ToAgent};

use super::{TerminalOutput, TerminalOwner};
use crate::owner::merchant::TerminalEvent;

/// Why a till is not told its configuration: it speaks a protocol without words for it.
const TOO_OLD: &str = "the agent on this till is too old to be configured: update it";

impl TerminalOwner {
    /// Why the till cannot have the configuration that it is to have, if it cannot.
    pub fn refused(&self) -> Option<ConfigurationRefused> {
        let wanted = self.wanted.as_ref()?;
        let link = self.link.as_ref()?;
        if link.version < 2 {
            return Some(ConfigurationRefused {
                version: wanted.version,
                reason: TOO_OLD.to_owned(),
            });
        }
        link.configuration.as_ref()?.refused.clone()
    }

    /// Sends the configuration that is wanted, once on a link, when the till has said that it has
    /// another one.
    pub(super) fn configure(&mut self, out: &mut Vec<TerminalOutput>) {
        let (Some(wanted), Some(link)) = (&self.wanted, &mut self.link) else {
            return;
        };
        if !link.is_welcomed {
            return;
        }
        let version = wanted.version;
        if link.version < 2 {
            if link.sent != version {
                link.sent = version;
                let refused = Some(ConfigurationRefused {
                    version,
                    reason: TOO_OLD.to_owned(),
                });
                let report = ConfigurationReport {
                    applied: 0,
                    refused,
                };
                let event = TerminalEvent::Configured(report);
                out.push(TerminalOutput::Merchant(Box::new(event)));
            }
            return;
        }
        let has_other = link.configuration.as_ref().is_some_and(|report| {
            let refused = report.refused.as_ref();
            report.applied != version && refused.is_none_or(|one| one.version != version)
        });
        if has_other && link.sent != version {
            link.sent = version;
            let message = Box::new(ToAgent::Configure(wanted.as_ref().clone()));
            out.push(TerminalOutput::Send {
                socket: link.socket,
                message,
            });
        }
    }
}
