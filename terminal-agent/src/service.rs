//! What the agent tells the service manager that started it (systemd's `sd_notify`): ready, alive,
//! stopping.
//!
//! One datagram each to the socket named in the environment; without one nothing is said. Never
//! fails and never waits: an agent works as well when nobody listens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment of this process names.
    pub fn of_this_process() -> Self {
        let microseconds = number("WATCHDOG_USEC");
        let is_ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let watchdog = microseconds.filter(|_| is_ours).map(Duration::from_micros);
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(address) => Self::at(&address, watchdog).unwrap_or_else(|error| {
                tracing::warn!(%error, "the service manager cannot be told anything");
                Self::default()
            }),
            None => Self::default(),
        }
    }

    /// The one that listens at `address`: a path, or an abstract name behind an `@`. It takes an
    /// agent for hung that has not said that it is alive for `watchdog`.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn at(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Some((socket, address)),
            watchdog: watchdog.filter(|limit| !limit.is_zero()),
        })
    }

    /// After how long without a sign of life the agent is taken for hung; nothing when nobody
    /// watches.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some())
    }

    /// How often [`ServiceManager::alive`] is wanted: twice as often as the limit, as systemd's
    /// manual advises.
    pub fn alive_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// The agent serves.
    pub fn ready(&self, status: &str) {
        // One line: what follows a line break would be another message.
        let status = status.replace('\n', " ");
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// The agent's loop turns.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// The agent ends, as it was asked to.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, message: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::debug!(%error, "the service manager did not hear");
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let count = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    fn tell_everything(manager: &ServiceManager, listener: &UnixDatagram) {
        manager.ready("terminal\nREADY=0");
        assert_eq!(heard(listener), "READY=1\nSTATUS=terminal READY=0");
        manager.alive();
        assert_eq!(heard(listener), "WATCHDOG=1");
        manager.stopping();
        assert_eq!(heard(listener), "STOPPING=1");
    }

    #[test]
    fn each_message_is_a_datagram_to_a_path_or_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let limit = Some(Duration::from_secs(30));
        let manager = ServiceManager::at(path.as_os_str(), limit).unwrap();
        assert_eq!(manager.alive_interval(), Some(Duration::from_secs(15)));
        tell_everything(&manager, &listener);

        let name = format!("tillway-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let manager = ServiceManager::at(format!("@{name}").as_ref(), None).unwrap();
        assert_eq!(manager.alive_interval(), None);
        tell_everything(&manager, &listener);
    }

    #[test]
    fn nobody_who_listens_is_no_failure() {
        ServiceManager::default().ready("x");
        let manager = ServiceManager::at("/nonexistent/notify".as_ref(), None).unwrap();
        manager.alive();
        let long = "x".repeat(200);
        assert!(ServiceManager::at(long.as_ref(), None).is_err());
    }
}
