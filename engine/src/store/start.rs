//! Opening a store: from files and a state that may be damaged to parts that are ready to run.
//! Owns the order of recovery; must never discard anything before the whole log was read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::id::IncarnationId;

use super::checkpoint::{Checkpointer, Progress};
use super::committer::{Committer, Counters, number};
use super::disk::Disk;
use super::fold::FoldedState;
use super::follow::Follower;
use super::frame::{Frame, HEADER_BYTES, LogId};
use super::identity::Identity;
use super::log::{Opened, Opening};
use super::recovery::{self, EachError, Place, Recovered, SegmentFile};
use super::segment::{self, ARCHIVE, LOG, SEGMENT_BYTES_MAX, SpareLimits, Spares};
use super::state::{APPLIED_KEY, Change, LOG_KEY, State, StateHome, StateTrouble, head_key};
use super::verify::{read_checkpoint, segments};
use super::{COMMIT_BYTES_MAX, OpenError, StoreConfig};

/// Changes after which replay applies what it has gathered: what the state takes best, see `fold`.
const REPLAY_CHANGES_MAX: usize = 256;

/// A store without its threads.
pub(crate) struct Parts {
    pub(crate) incarnation: IncarnationId,
    pub(crate) is_restored: bool,
    pub(crate) committer: Committer,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) spares: Arc<Spares>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) state: Arc<FoldedState>,
    pub(crate) follower: Follower,
    pub(crate) counters: Arc<Counters>,
}

/// What was found before anything was changed.
struct Found {
    segments: Vec<SegmentFile>,
    from: Place,
    /// The end of the log; `None` when nothing was ever written.
    recovered: Option<Recovered>,
    checkpoint: Option<Place>,
}

fn io_error(path: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |error| OpenError::io(path, &error)
}

/// Opens the store on `disk`, with its state at `home`.
pub(crate) fn open(
    config: &StoreConfig,
    disk: Arc<dyn Disk>,
    home: &dyn StateHome,
) -> Result<Parts, OpenError> {
    check(config)?;
    let identity = identify(config, disk.as_ref())?;
    let log = identity.log;
    segment::remove_unfinished(disk.as_ref()).map_err(io_error(LOG))?;
    let (state, found) = match open_state(home, log)? {
        Ok((state, applied)) => {
            let found = find(disk.as_ref(), log, Some(applied))?;
            // A state that is older than the checkpoint has lost what the checkpoint promised.
            let covered = found.checkpoint.map_or(0, |place| place.position);
            if applied >= covered {
                (state, found)
            } else {
                drop(state);
                rebuild(
                    disk.as_ref(),
                    log,
                    home,
                    "state is older than the checkpoint",
                )?
            }
        }
        Err(reason) => rebuild(disk.as_ref(), log, home, &reason)?,
    };
    let live = segment::generations(disk.as_ref(), LOG).map_err(io_error(LOG))?;
    let archived = segment::generations(disk.as_ref(), ARCHIVE).map_err(io_error(ARCHIVE))?;
    let limits = SpareLimits {
        segment_bytes: config.segment_bytes,
        free_bytes_min: config.free_bytes_min,
    };
    let opening = Opening {
        disk: Arc::clone(&disk),
        log,
        limits,
        archived,
        live,
        read_from: found.from,
    };
    let opened = opening.open(found.recovered.as_ref())?;
    // Applied only when the log's end is durable: the state must never be ahead of it.
    let state = match fold(disk.as_ref(), log, state.as_ref(), &found) {
        Ok(()) => state,
        Err(OpenError::State { reason }) => {
            drop(state);
            rebuild_if_damaged(disk.as_ref(), log, home, reason)?
        }
        Err(error) => return Err(error),
    };
    Ok(assemble(
        config,
        disk,
        identity,
        state,
        opened,
        found.checkpoint,
    ))
}

fn check(config: &StoreConfig) -> Result<(), OpenError> {
    let least = 4 * to_u64(HEADER_BYTES);
    if !(least..=SEGMENT_BYTES_MAX).contains(&config.segment_bytes) {
        return Err(OpenError::Config {
            reason: "segment size is out of bounds",
        });
    }
    if config.reserve_bytes >= config.segment_bytes {
        return Err(OpenError::Config {
            reason: "reserve is not smaller than a segment",
        });
    }
    Ok(())
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn identify(config: &StoreConfig, disk: &dyn Disk) -> Result<Identity, OpenError> {
    for directory in [LOG, ARCHIVE] {
        disk.create_directory(directory)
            .map_err(io_error(directory))?;
    }
    disk.sync_directory("").map_err(io_error("."))?;
    let stored = Identity::read(disk)?;
    let identity = match stored {
        Some(stored) => Identity {
            incarnation: config.new_incarnation.unwrap_or(stored.incarnation),
            ..stored
        },
        None => {
            // Without its identity a log cannot be read; a new one in its place would hide it.
            if !segments(disk).map_err(io_error(LOG))?.is_empty() {
                return Err(OpenError::Corrupt {
                    file: super::identity::FILE.to_owned(),
                    offset: 0,
                    reason: "missing beside an existing log".to_owned(),
                });
            }
            let incarnation = config.incarnation;
            Identity {
                log: incarnation.bytes(),
                incarnation,
            }
        }
    };
    if stored != Some(identity) {
        identity.write(disk)?;
    }
    Ok(identity)
}

type OpenState = (Arc<dyn State>, u64);

/// Opens the state and reads how far it is; the inner error is why it must be rebuilt.
fn open_state(home: &dyn StateHome, log: LogId) -> Result<Result<OpenState, String>, OpenError> {
    let state = match home.open() {
        Ok(state) => state,
        Err(StateTrouble::Broken(reason)) => return Ok(Err(reason)),
        Err(StateTrouble::Unavailable(reason)) => return Err(OpenError::State { reason }),
    };
    let read = |key: &[u8]| state.get(key);
    let applied = match (read(&LOG_KEY), read(&APPLIED_KEY)) {
        (Ok(None), Ok(None)) => Ok(0),
        (Ok(Some(stored)), Ok(Some(applied))) if stored == log => number(&applied),
        (Ok(_), Ok(_)) => Err("state belongs to another log".to_owned()),
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    Ok(applied.map(|applied| (state, applied)))
}

/// Reads the log from where the state needs it: the checkpoint, or the beginning for an empty one.
fn find(disk: &dyn Disk, log: LogId, applied: Option<u64>) -> Result<Found, OpenError> {
    let segments = segments(disk).map_err(io_error(LOG))?;
    // A damaged checkpoint costs time, not data: everything is read and applied again.
    let checkpoint = read_checkpoint(disk, log).or_else(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            tracing::error!(%error, "checkpoint is damaged; the log is read from its beginning");
            Ok(None)
        }
        _ => Err(OpenError::io(super::checkpoint::FILE, &error)),
    })?;
    let usable = checkpoint.filter(|place| applied.is_some_and(|one| one >= place.position));
    let (from, segments) = match usable {
        Some(place) => {
            let covers = |segment: &SegmentFile| segment.generation >= place.generation;
            let rest: Vec<_> = segments.into_iter().filter(covers).collect();
            if rest.first().map(|segment| segment.generation) != Some(place.generation) {
                return Err(OpenError::missing(place.generation));
            }
            (place, rest)
        }
        None => (beginning(disk, &segments)?, segments),
    };
    let mut each = |frame: &Frame<'_>| frame.for_each::<EachError>(|_| Ok(()));
    let recovered = recovery::replay(disk, log, &segments, from, &mut each)?;
    let reached = recovered.end.position;
    let promised = checkpoint
        .map_or(0, |place| place.position)
        .max(applied.unwrap_or(0));
    if reached < promised {
        let end = recovered
            .rest
            .first()
            .map_or_else(|| LOG.to_owned(), |last| last.path());
        let reason = format!("log ends at position {reached}, but reached {promised} before");
        return Err(OpenError::Corrupt {
            file: end,
            offset: recovered.end.offset,
            reason,
        });
    }
    let written = recovered.end.offset > 0;
    Ok(Found {
        segments,
        from,
        recovered: written.then_some(recovered),
        checkpoint,
    })
}

fn beginning(disk: &dyn Disk, segments: &[SegmentFile]) -> Result<Place, OpenError> {
    let Some(first) = segments.first() else {
        return Ok(Place::default());
    };
    let path = first.path();
    let position = recovery::first_position(disk, *first);
    match position.map_err(|error| OpenError::io(&path, &error))? {
        Some(position) if position > 1 => Err(OpenError::HistoryIncomplete { position }),
        _ => Ok(Place {
            generation: first.generation,
            ..Place::default()
        }),
    }
}

/// Puts an empty state in the place of a broken one, once the log was found to be complete.
fn rebuild(
    disk: &dyn Disk,
    log: LogId,
    home: &dyn StateHome,
    reason: &str,
) -> Result<(Arc<dyn State>, Found), OpenError> {
    let found = find(disk, log, None)?;
    let name = home.set_aside().map_err(io_error("state"))?;
    tracing::error!(
        reason,
        name,
        "state is moved aside and rebuilt from the log"
    );
    match open_state(home, log)? {
        Ok((state, 0)) => Ok((state, found)),
        Ok(_) => Err(OpenError::State {
            reason: "a new state is not empty".to_owned(),
        }),
        Err(reason) => Err(OpenError::State { reason }),
    }
}

/// Replay may meet damage that opening the state did not: then it has a mark of it now.
fn rebuild_if_damaged(
    disk: &dyn Disk,
    log: LogId,
    home: &dyn StateHome,
    reason: String,
) -> Result<Arc<dyn State>, OpenError> {
    if open_state(home, log)?.is_ok() {
        return Err(OpenError::State { reason });
    }
    let (state, found) = rebuild(disk, log, home, &reason)?;
    fold(disk, log, state.as_ref(), &found)?;
    Ok(state)
}

/// Applies what was found to the state. Rows are full values, so what the state already has may be
/// applied again.
fn fold(disk: &dyn Disk, log: LogId, state: &dyn State, found: &Found) -> Result<(), OpenError> {
    let fault = |reason| OpenError::State { reason };
    let position = found.from.position.to_be_bytes();
    if found.recovered.is_none() || state.get(&LOG_KEY).map_err(fault)?.is_none() {
        let marks: [Change<'_>; 2] = [(&LOG_KEY, Some(&log)), (&APPLIED_KEY, Some(&position))];
        state.apply(&mut marks.into_iter()).map_err(fault)?;
    }
    let Some(recovered) = &found.recovered else {
        return Ok(());
    };
    let written = |segment: &&SegmentFile| segment.generation <= recovered.end.generation;
    let tail = recovered.end.generation;
    let segments: Vec<SegmentFile> = found
        .segments
        .iter()
        .filter(written)
        // The end is in the log's directory, wherever it was found.
        .map(|one| {
            if one.generation == tail {
                SegmentFile {
                    directory: LOG,
                    ..*one
                }
            } else {
                *one
            }
        })
        .collect();
    let mut gathered = Gathered::default();
    let mut each = |frame: &Frame<'_>| gathered.add(frame, state);
    recovery::replay(disk, log, &segments, found.from, &mut each)?;
    gathered.apply(state).map_err(fault)
}

/// Changes of whole batches.
#[derive(Default)]
struct Gathered {
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Gathered {
    fn add(&mut self, frame: &Frame<'_>, state: &dyn State) -> Result<(), EachError> {
        frame.for_each::<EachError>(|record| {
            let rows = record.rows.iter();
            self.changes
                .extend(rows.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))));
            self.changes.push((
                head_key(record.stream).to_vec(),
                Some(number_bytes(record.seq)),
            ));
            Ok(())
        })?;
        let last = frame.header.next_position() - 1;
        self.changes
            .push((APPLIED_KEY.to_vec(), Some(number_bytes(last))));
        if self.changes.len() >= REPLAY_CHANGES_MAX {
            self.apply(state)
                .map_err(|reason| EachError::Open(OpenError::State { reason }))?;
        }
        Ok(())
    }

    fn apply(&mut self, state: &dyn State) -> Result<(), String> {
        let changes = self.changes.iter();
        state.apply(&mut changes.map(|(key, value)| (key.as_slice(), value.as_deref())))?;
        self.changes.clear();
        Ok(())
    }
}

fn number_bytes(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn assemble(
    config: &StoreConfig,
    disk: Arc<dyn Disk>,
    identity: Identity,
    state: Arc<dyn State>,
    opened: Opened,
    last: Option<Place>,
) -> Parts {
    let Opened {
        end,
        catalogue,
        spares,
    } = opened;
    let state = Arc::new(FoldedState::new(state));
    let rows: Arc<dyn State> = Arc::<FoldedState>::clone(&state);
    let counters = Arc::new(Counters::default());
    // The beginning of the epoch.
    counters.syncs.store(1, Ordering::Relaxed);
    let progress = Arc::new(Progress::new(end.place(), config.checkpoint_bytes));
    let room = usize::try_from(config.segment_bytes).unwrap_or(usize::MAX);
    let commit_bytes_max =
        COMMIT_BYTES_MAX.min(room.saturating_sub(HEADER_BYTES + super::frame::ALIGNMENT));
    let follower = Follower::new(identity.log, Arc::clone(&catalogue));
    let committer = Committer::new(
        end,
        Arc::clone(&state),
        Arc::clone(&progress),
        Arc::clone(&counters),
        config.reserve_bytes,
        commit_bytes_max,
    );
    let checkpointer = Checkpointer {
        disk,
        log: identity.log,
        state: rows,
        progress: Arc::clone(&progress),
        catalogue,
        counters: Arc::clone(&counters),
        retention: config.retention,
        last,
    };
    let incarnation = identity.incarnation;
    Parts {
        incarnation,
        is_restored: identity.log != incarnation.bytes(),
        committer,
        checkpointer,
        spares,
        progress,
        state,
        follower,
        counters,
    }
}
