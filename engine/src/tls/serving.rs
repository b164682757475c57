//! The certificate in use: taken anew when its files change, kept when what came is broken.
//!
//! Connections that are open keep what they were opened with; new ones get the new certificate, and
//! tickets of sessions under the old one count no more.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use tokio::signal::unix::Signal;

use super::pair::{Pair, PairFault, Shown};
use crate::clock::SharedClock;
use crate::config::TlsSection;
use crate::domain::time::Timestamp;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Days before the end from which on it is said, each louder than the one before.
const WARN_DAYS: [i64; 3] = [30, 7, 1];

/// What is shown to who connects.
pub struct Serving {
    files: TlsSection,
    current: RwLock<Pair>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// Reads the files. A certificate whose time is over is served all the same: whoever connects
    /// learns what is wrong, and a new one is taken as soon as it comes.
    ///
    /// # Errors
    /// [`PairFault`].
    pub fn start(files: TlsSection) -> Result<Arc<Self>, PairFault> {
        let current = RwLock::new(Pair::read(&files)?);
        Ok(Arc::new(Self { files, current }))
    }

    /// What the next connection is accepted with.
    pub fn config(&self) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.config)
    }

    /// The certificate that the next connection is shown.
    pub fn shown(&self) -> Shown {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.shown.clone()
    }

    /// Takes what the files hold now, if it can be used.
    ///
    /// # Errors
    /// [`PairFault`]; the certificate stays the old one.
    pub fn reload(&self, now: Timestamp) -> Result<(), PairFault> {
        let pair = Pair::read(&self.files)?;
        pair.check_time(&self.files.certificate, now)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    fn reload_and_tell(&self, now: Timestamp) {
        match self.reload(now) {
            Ok(()) => {
                let shown = self.shown();
                tracing::info!(
                    fingerprint = %shown.fingerprint.short(),
                    days_left = shown.days_left(now),
                    "new connections are shown a new certificate"
                );
            }
            Err(fault) => tracing::error!(
                %fault,
                "the new certificate cannot be used; new connections are shown the old one"
            ),
        }
    }

    /// Which files are there: what a change of them changes.
    fn stamp(&self) -> [Option<Stamp>; 2] {
        [&self.files.certificate, &self.files.key].map(|path| Stamp::of(path))
    }
}

/// What tells a file from the one that was at its place before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

/// Looks at the files from time to time and when told to by `hangup`, and says when the
/// certificate's time runs out.
pub async fn watch(serving: Arc<Serving>, clock: SharedClock, mut hangup: Option<Signal>) {
    let mut seen = serving.stamp();
    let mut told = None;
    loop {
        warn(&serving.shown(), clock.now(), &mut told);
        let is_asked = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            () = asked(&mut hangup) => true,
        };
        let stamp = serving.stamp();
        // A broken pair is told once, not at each look.
        if is_asked || stamp != seen {
            seen = stamp;
            serving.reload_and_tell(clock.now());
        }
    }
}

async fn asked(hangup: &mut Option<Signal>) {
    match hangup {
        Some(signal) => {
            if signal.recv().await.is_none() {
                *hangup = None;
            }
        }
        None => std::future::pending().await,
    }
}

/// The last of the days before the end that has been reached; 0 when the time is over.
fn reached(days_left: i64) -> Option<i64> {
    if days_left < 0 {
        return Some(0);
    }
    WARN_DAYS.into_iter().rfind(|days| days_left < *days)
}

fn warn(shown: &Shown, now: Timestamp, told: &mut Option<i64>) {
    let days_left = shown.days_left(now);
    let reached = reached(days_left);
    if reached == *told {
        return;
    }
    *told = reached;
    match reached {
        None => {}
        Some(0) => tracing::error!(
            "the certificate's time is over: no till can connect; `engine init --renew` issues a new one"
        ),
        Some(1) => tracing::error!(
            "the certificate ends within a day, and no till can connect then; `engine init --renew` issues a new one"
        ),
        Some(_) => tracing::warn!(
            days_left,
            "the certificate ends soon; `engine init --renew` issues a new one"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::super::pair::tests::{NOW, issue, write};
    use super::*;
    use crate::id_source::SystemIds;

    #[test]
    fn what_is_broken_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::make(NOW, SystemIds).unwrap();
        let files = write(dir.path(), &issue(&authority, NOW));
        let serving = Serving::start(files.clone()).unwrap();
        let first = serving.shown();
        let stamp = serving.stamp();

        std::fs::write(&files.certificate, "nothing").unwrap();
        assert_ne!(serving.stamp(), stamp);
        assert!(matches!(
            serving.reload(NOW),
            Err(PairFault::Nothing { .. })
        ));
        let new = issue(&authority, NOW);
        std::fs::write(&files.certificate, &new.chain_pem).unwrap();
        assert!(matches!(
            serving.reload(NOW),
            Err(PairFault::Mismatch { .. })
        ));
        let old = issue(&authority, Timestamp(NOW.0 - 400 * 86_400_000));
        write(dir.path(), &old);
        assert!(matches!(
            serving.reload(NOW),
            Err(PairFault::Expired { .. })
        ));
        assert_eq!(serving.shown(), first);

        write(dir.path(), &new);
        let before = serving.config();
        serving.reload(NOW).unwrap();
        assert_ne!(serving.shown().fingerprint, first.fingerprint);
        assert!(!Arc::ptr_eq(&before, &serving.config()));
        // At the start the same certificate is better than none.
        write(dir.path(), &old);
        assert_eq!(Serving::start(files).unwrap().shown().days_left(NOW), -3);
    }

    #[test]
    fn the_end_is_told_at_thirty_days_at_seven_and_at_one() {
        for (days_left, expected) in [
            (397, None),
            (30, None),
            (29, Some(30)),
            (7, Some(30)),
            (6, Some(7)),
            (1, Some(7)),
            (0, Some(1)),
            (-1, Some(0)),
            (-400, Some(0)),
        ] {
            assert_eq!(reached(days_left), expected, "{days_left}");
        }
    }
}
