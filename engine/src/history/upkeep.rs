//! Archiving while the engine serves: a thread that moves old rows into history and packs old
//! segments of the log, now and then. Owns when it works, and its end; must never hold up a commit:
//! what it asks of an owner is small, it waits for one answer before the next, and rests in between.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::id::MerchantId;

use super::archive::{Moved, archive};
use super::{History, Joined};
use crate::clock::SharedClock;
use crate::domain::time::Timestamp;
use crate::owner::request::ArchivedRow;
use crate::pace::Pace;
use crate::store::{self, Packed, SharedStore};

/// Longest time from the start until the first run: an engine that is restarted often must get to
/// it too.
const FIRST_AFTER: Duration = Duration::from_secs(600);

/// Asks a merchant's owner to remove rows that are in history; says how many it removed.
pub type Remover = Box<dyn Fn(MerchantId, Vec<ArchivedRow>) -> Result<usize, String> + Send>;

/// What the upkeep works on.
pub struct Works {
    /// The rows without history.
    pub rows: SharedStore,
    /// Where old ones go.
    pub history: Arc<History>,
    /// The directory of the store.
    pub store_directory: PathBuf,
    /// The time.
    pub clock: SharedClock,
    /// How long something must not have changed, in milliseconds.
    pub older_than_ms: i64,
    /// The way to the owners.
    pub remover: Remover,
}

/// The upkeep of history; it ends when it is stopped or dropped.
#[derive(Debug)]
pub struct Upkeep {
    stops: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Upkeep {
    /// Starts the thread, which runs every so often.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(works: Works, every: Duration) -> std::io::Result<Self> {
        let stops = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stops);
        let body = move || attend(&works, every, &told);
        let builder = std::thread::Builder::new().name("history".to_owned());
        let thread = Mutex::new(Some(builder.spawn(body)?));
        Ok(Self { stops, thread })
    }

    /// Ends the thread; what it was about is taken up again by the next run.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the upkeep of history panicked");
            }
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop();
    }
}

fn attend(works: &Works, every: Duration, stops: &AtomicBool) {
    let mut pause = every.min(FIRST_AFTER);
    loop {
        let mut left = pause;
        while !left.is_zero() && !stops.load(Ordering::Relaxed) {
            // May return early; a second more or less does not matter.
            let step = left.min(Duration::from_secs(1));
            std::thread::park_timeout(step);
            left = left.saturating_sub(step);
        }
        if stops.load(Ordering::Relaxed) {
            return;
        }
        run(works, stops);
        pause = every;
    }
}

fn run(works: &Works, stops: &AtomicBool) {
    let before = Timestamp(works.clock.now().0.saturating_sub(works.older_than_ms));
    let pace = Pace::begin(&works.clock, stops);
    let pause = || pace.pause();
    let mut remove = |merchant_id, archived| (works.remover)(merchant_id, archived);
    let rows = works.rows.as_ref();
    match archive(rows, &works.history, before, &pause, &mut remove) {
        Ok(Moved {
            copied,
            removed,
            extent,
            ..
        }) if removed > 0 => {
            let (files, bytes) = (extent.files, extent.bytes);
            tracing::info!(copied, removed, files, bytes, "old rows are archived");
        }
        Ok(_) => {}
        Err(_) if stops.load(Ordering::Relaxed) => return,
        Err(error) => tracing::error!(%error, "old rows were not archived; tried again later"),
    }
    match works.history.join(&pause) {
        Ok(Joined { files: 0, .. }) => {}
        Ok(Joined { files, into }) => tracing::info!(files, into, "files of history are joined"),
        Err(error) => tracing::error!(%error, "history was not joined; tried again later"),
    }
    match store::pack_archive(&works.store_directory, &pause) {
        Ok(Packed { segments: 0, .. }) => {}
        Ok(Packed {
            segments,
            plain_bytes,
            packed_bytes,
        }) => tracing::info!(segments, plain_bytes, packed_bytes, "old log is packed"),
        Err(error) => tracing::error!(%error, "old log was not packed; tried again later"),
    }
}
