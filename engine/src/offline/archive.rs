//! `engine archive`: old rows into history, old log segments packed, the state written anew.

use std::path::Path;
use std::sync::mpsc;

use protocol::id::{IncarnationId, MerchantId};

use super::{OfflineError, STORE_DIRECTORY};
use crate::config::StoreSection;
use crate::domain::time::Timestamp;
use crate::history::archive::{self, Moved};
use crate::history::{History, HistoryError, Joined};
use crate::id_source::SystemIds;
use crate::owner::machine::{Input, Output, Owner, Surroundings};
use crate::owner::merchant::{Effect, Limits, MerchantInput, MerchantOwner};
use crate::owner::request::{Answer, ArchivedRow, Ask, CallerId, Reply, Request};
use crate::store::{
    self, Commit, Committed, DiskStore, Packed, Rewritten, SharedStore, StoreConfig,
};

/// What archiving has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// Rows.
    pub moved: Moved,
    /// Files of history.
    pub joined: Joined,
    /// Segments of the log.
    pub packed: Packed,
    /// The state, if it was written anew.
    pub rewritten: Option<Rewritten>,
}

/// Moves rows that have not changed since before `before` into history, packs the segments of the
/// log that a checkpoint covers, writes the state anew if it is to give room back, and joins small
/// files of history. The engine is stopped. May be repeated after any failure or crash.
///
/// # Errors
/// [`OfflineError`].
pub fn archive(
    data_dir: &Path,
    section: StoreSection,
    before: Timestamp,
    gives_room_back: bool,
    now: Timestamp,
) -> Result<Archived, OfflineError> {
    let directory = data_dir.join(STORE_DIRECTORY);
    if !directory.is_dir() {
        let missing = std::io::ErrorKind::NotFound.into();
        return Err(OfflineError::file(&directory)(missing));
    }
    let (moved, joined) = move_rows(data_dir, section, before, now)?;
    let packed = store::pack_archive(&directory, &never).map_err(OfflineError::file(&directory))?;
    let rewritten = match gives_room_back {
        true => Some(store::rewrite_state(&directory)?),
        false => None,
    };
    Ok(Archived {
        moved,
        // It needs room; without any, everything else is done and gives some back.
        joined: joined.map_err(archive::ArchiveError::from)?,
        packed,
        rewritten,
    })
}

/// Nobody is held up by an engine that does not run.
const fn never() -> bool {
    false
}

fn move_rows(
    data_dir: &Path,
    section: StoreSection,
    before: Timestamp,
    now: Timestamp,
) -> Result<(Moved, Result<Joined, HistoryError>), OfflineError> {
    let history = History::open(data_dir).map_err(archive::ArchiveError::from)?;
    let unused = IncarnationId::from_uuid(SystemIds.uuid());
    let config = StoreConfig::new(data_dir.join(STORE_DIRECTORY), unused);
    let disk_store = DiskStore::open(section.over(config), Box::new(|_| ()))?;
    let shared: SharedStore = disk_store.clone();
    let mut remove = |merchant_id, rows| remove_rows(&shared, merchant_id, rows, now);
    let mut moved = archive::archive(disk_store.as_ref(), &history, before, &never, &mut remove)?;
    // While the store is locked: nobody else changes history.
    let joined = history.join(&never);
    moved.extent = history.extent();
    disk_store.shutdown().map_err(OfflineError::Unusable)?;
    Ok((moved, joined))
}

/// Asks a merchant's owner, as the engine does: it alone writes the merchant's stream. Without its
/// resume it does nothing else.
fn remove_rows(
    store: &SharedStore,
    merchant_id: MerchantId,
    rows: Vec<ArchivedRow>,
    now: Timestamp,
) -> Result<usize, String> {
    let owner = MerchantOwner::load(merchant_id, Limits::default(), store.as_ref());
    let mut owner = owner
        .map_err(|fault| fault.to_string())?
        .ok_or("merchant does not exist")?;
    let ask = MerchantInput::Ask(Ask {
        caller: CallerId(1),
        claim: None,
        request: Request::Retire(rows),
    });
    let mut input = Input::Outside(ask);
    loop {
        match feed(&mut owner, input, store, now)? {
            Next::Commit(commit) => input = Input::Committed(committed(store, commit)?),
            Next::Answered(removed) => return Ok(removed),
        }
    }
}

enum Next {
    Commit(Commit),
    Answered(usize),
}

fn feed(
    owner: &mut Owner<MerchantOwner>,
    input: Input<MerchantInput>,
    store: &SharedStore,
    now: Timestamp,
) -> Result<Next, String> {
    let mut ids = SystemIds;
    let mut around = Surroundings {
        now,
        ids: &mut ids,
        rows: store.as_ref(),
    };
    let mut outputs = Vec::new();
    owner.handle(input, &mut around, &mut outputs);
    for output in outputs {
        match output {
            Output::Commit(commit) => return Ok(Next::Commit(commit)),
            Output::Effect(Effect::Answer { reply, .. }) => {
                return match reply {
                    Ok(Reply::Fresh(Answer::Retired(removed))) => Ok(Next::Answered(removed)),
                    Ok(_) => Err("owner gave another answer".to_owned()),
                    Err(rejection) => Err(rejection.to_string()),
                };
            }
            Output::Effect(_) => {}
            Output::Discard(fault) => return Err(fault.to_string()),
        }
    }
    Err("owner gave no answer".to_owned())
}

fn committed(store: &SharedStore, commit: Commit) -> Result<Committed, String> {
    let (done, fate) = mpsc::channel();
    store.commit(
        commit,
        Box::new(move |outcome| {
            // Nobody waits any more only when this thread is gone.
            done.send(outcome).ok();
        }),
    );
    let fate = fate.recv().map_err(|_| "store is closed".to_owned())?;
    fate.map_err(|refused| refused.to_string())
}
