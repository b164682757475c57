//! What the engine tells the service manager that started it (systemd's `sd_notify`): serving,
//! alive, stopping.
//!
//! One datagram each to the socket named in the environment; without one nothing is said. Never
//! fails and never waits. Alive is said only after the store's committer and every thread that
//! owners live on have answered: a process that merely exists says nothing.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::actor::directory::Arbiters;
use crate::store::{Commit, CommitRefused, SharedStore, StreamId, Urgency};

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
    /// engine for hung that has not said that it is alive for `watchdog`.
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

    /// The engine serves at `addresses`.
    pub fn ready(&self, addresses: &str) {
        // One line: what follows a line break would be another message.
        let addresses = addresses.replace('\n', " ");
        self.say(&format!("READY=1\nSTATUS=listening on {addresses}"));
    }

    /// The engine ends, as it was asked to.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Says that the engine is alive for as long as it is, twice as often as the manager wants to
    /// hear it, as systemd's manual advises; returns at once when nobody watches.
    pub async fn attend(&self, store: SharedStore, arbiters: Arbiters) {
        let Some(period) = self.watchdog.map(|limit| limit / 2) else {
            return;
        };
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            match tokio::time::timeout(period, pulse(&store, &arbiters)).await {
                Ok(true) => self.say("WATCHDOG=1"),
                Ok(false) => tracing::error!("a thread of the engine has ended; not alive"),
                Err(_) => tracing::error!(
                    ?period,
                    "the committer or a thread of the engine does not answer; not alive"
                ),
            }
        }
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

/// Whether everything that a sale needs answers; comes when all of it has.
async fn pulse(store: &SharedStore, arbiters: &Arbiters) -> bool {
    for answer in arbiters.pulse() {
        if answer.await.is_err() {
            return false;
        }
    }
    let (done, decided) = oneshot::channel();
    // Has no record, so that the committer refuses it, and nothing is written.
    let empty = Commit {
        stream: StreamId([0; 17]),
        expected_seq: 0,
        records: Vec::new(),
        urgency: Urgency::Concluding,
    };
    store.commit(
        empty,
        Box::new(move |fate| {
            done.send(fate).ok();
        }),
    );
    matches!(decided.await, Ok(Err(CommitRefused::Malformed { .. })))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::MemoryStore;

    fn heard(listener: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let count = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    #[test]
    fn each_message_is_a_datagram_to_a_path_or_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("tillway-engine-notify-{}", std::process::id());
        let of_path = UnixDatagram::bind(&path).unwrap();
        let of_name =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (address, listener) in [
            (path.into_os_string(), of_path),
            (format!("@{name}").into(), of_name),
        ] {
            let manager = ServiceManager::at(&address, None).unwrap();
            manager.ready("https://0.0.0.0:7437\nREADY=0");
            let said = "READY=1\nSTATUS=listening on https://0.0.0.0:7437 READY=0";
            assert_eq!(heard(&listener), said);
            manager.stopping();
            assert_eq!(heard(&listener), "STOPPING=1");
        }
    }

    #[test]
    fn nobody_who_listens_is_no_failure() {
        ServiceManager::default().ready("x");
        let manager = ServiceManager::at("/nonexistent/notify".as_ref(), None).unwrap();
        manager.stopping();
        let long = "x".repeat(200);
        assert!(ServiceManager::at(long.as_ref(), None).is_err());
    }

    /// The store's committer is this test: whether it turns is up to each case.
    #[actix::test]
    async fn a_pulse_needs_the_committer_and_writes_nothing() {
        let arbiters = Arbiters::default();
        arbiters.join();
        let store = Arc::new(MemoryStore::new());
        let shared: SharedStore = store.clone();
        let asked = tokio::spawn({
            let (shared, arbiters) = (shared.clone(), arbiters.clone());
            async move { pulse(&shared, &arbiters).await }
        });
        while store.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!asked.is_finished(), "nobody has decided yet");
        store.sync();
        assert!(asked.await.unwrap());
        assert_eq!(shared.follow(Default::default(), 1).unwrap(), []);

        store.close();
        let refused = tokio::spawn(async move { pulse(&shared, &arbiters).await });
        while !refused.is_finished() {
            store.sync();
            tokio::task::yield_now().await;
        }
        assert!(!refused.await.unwrap(), "a closed store is not alive");
    }

    #[actix::test]
    async fn a_thread_that_has_ended_is_forgotten_and_one_that_hangs_is_waited_for() {
        let arbiters = Arbiters::default();
        let thread = actix::Arbiter::new();
        let (joined, has_joined) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let joining = arbiters.clone();
        thread.spawn_fn(move || {
            joining.join();
            joined.send(()).unwrap();
            released.recv().ok();
        });
        has_joined.recv().unwrap();
        let mut answers = arbiters.pulse();
        assert_eq!(answers.len(), 1);
        assert!(answers[0].try_recv().is_err(), "the thread hangs");
        release.send(()).unwrap();
        assert!(answers.remove(0).await.is_ok());
        thread.stop();
        thread.join().unwrap();
        arbiters.join();
        assert_eq!(arbiters.pulse().len(), 1, "only this thread is left");
    }
}
