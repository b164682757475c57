//! A read-only walk over a store's files that lists what is wrong with them, and reads what the
//! log says. Must never change anything, nor need the lock.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use super::StreamId;
use super::checkpoint;
use super::disk::{Disk, RealDisk, read_whole};
use super::frame::{self, Frame, FrameError, LogId, RecordView};
use super::identity::{self, Identity};
use super::recovery::{Place, SegmentFile};
use super::segment::{self, ARCHIVE, LOG, SEGMENT_BYTES_MAX};

/// Something that is wrong with a store's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule that does not hold.
    pub rule: &'static str,
    /// The file, relative to the store's directory.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}: {}", self.file, self.offset, self.what)
    }
}

impl Problem {
    /// A problem of a file as a whole.
    pub(crate) fn new(rule: &'static str, file: &str, what: impl fmt::Display) -> Self {
        Self {
            rule,
            file: file.to_owned(),
            offset: 0,
            what: what.to_string(),
        }
    }
}

/// Reads identity, checkpoint, archive, and log in `directory`, and lists all problems. A torn tail
/// is none. Of a store in use, the last batch may be reported while it is being written.
pub fn verify(directory: &Path) -> Vec<Problem> {
    walk(&RealDisk::new(directory))
}

/// As [`verify`], on any disk.
pub(crate) fn walk(disk: &dyn Disk) -> Vec<Problem> {
    let mut problems = Vec::new();
    survey(disk, &mut problems, &mut |_| ());
    problems
}

/// What the files of the log say.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    pub(crate) identity: Identity,
    /// Position before the first record that is left.
    pub(crate) begins_after: u64,
    /// Behind the last batch.
    pub(crate) end: Place,
    /// The checkpoint, if there is one that can be read.
    pub(crate) checkpoint: Option<Place>,
    /// Whether every batch between beginning and end could be read.
    pub(crate) is_whole: bool,
    /// Bytes behind the last batch that are neither a batch nor unused.
    pub(crate) torn_bytes: u64,
}

/// Reads everything that belongs to the log and hands each record to `each`; `None` when it cannot
/// be known whose log it is.
pub(crate) fn survey(
    disk: &dyn Disk,
    problems: &mut Vec<Problem>,
    each: &mut dyn FnMut(&RecordView<'_>),
) -> Option<Survey> {
    let segments = segments(disk).unwrap_or_else(|error| {
        problems.push(Problem::new("log_is_intact", LOG, error));
        Vec::new()
    });
    let identity = match Identity::read(disk) {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            let what = "missing";
            problems.push(Problem::new("identity_is_intact", identity::FILE, what));
            return None;
        }
        Err(error) => {
            problems.push(Problem::new("identity_is_intact", identity::FILE, error));
            return None;
        }
    };
    let before = problems.len();
    let mut reader = Reader {
        log: identity.log,
        place: Place::default(),
        streams: BTreeMap::new(),
        reaches_back: true,
        torn_bytes: 0,
        last: None,
        problems,
        each,
    };
    let begins_after = reader.read(disk, &segments);
    let (end, torn_bytes) = (reader.place, reader.torn_bytes);
    let is_whole = problems.len() == before;
    let checkpoint = match read_checkpoint(disk, identity.log) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            let problem = Problem::new("checkpoint_is_intact", checkpoint::FILE, error);
            problems.push(problem);
            None
        }
    };
    if let Some(covered) = checkpoint
        && end.position < covered.position
    {
        let (reached, covered) = (end.position, covered.position);
        let what = format!("log ends at position {reached}, before the checkpoint's {covered}");
        problems.push(Problem::new("log_is_intact", checkpoint::FILE, what));
    }
    Some(Survey {
        identity,
        begins_after,
        end,
        checkpoint,
        is_whole,
        torn_bytes,
    })
}

/// Goes through the log and, unlike recovery, goes on behind damage: to name all of it.
struct Reader<'a> {
    log: LogId,
    place: Place,
    streams: BTreeMap<StreamId, u64>,
    /// Whether the log still has its first record, so that every stream begins at 1.
    reaches_back: bool,
    torn_bytes: u64,
    /// The segment that was read last, and where its batches end.
    last: Option<(SegmentFile, usize)>,
    problems: &'a mut Vec<Problem>,
    each: &'a mut dyn FnMut(&RecordView<'_>),
}

impl Reader<'_> {
    /// Reads all segments; returns the position before the first record that is left.
    fn read(&mut self, disk: &dyn Disk, segments: &[SegmentFile]) -> u64 {
        let mut begins_after = None;
        for segment in segments {
            let path = segment.path();
            let file = disk.open_read_only(&path);
            match file.and_then(|file| read_whole(file.as_ref(), SEGMENT_BYTES_MAX)) {
                Ok(bytes) => {
                    begins_after.get_or_insert_with(|| self.begin(&bytes));
                    self.segment(*segment, &bytes);
                }
                Err(error) => {
                    let problem = Problem::new("log_is_intact", &path, error);
                    self.problems.push(problem);
                }
            }
        }
        begins_after.unwrap_or_default()
    }

    /// Under the retention "recycle" the log begins later than at 1, and that is no problem. Only a
    /// batch whose checksum matches is believed: a damaged one would say where to look for itself.
    fn begin(&mut self, bytes: &[u8]) -> u64 {
        if let Ok(frame) = frame::decode(self.log, bytes) {
            self.place.position = frame.header.first_position.saturating_sub(1);
        }
        self.reaches_back = self.place.position == 0;
        self.place.position
    }

    fn report(&mut self, rule: &'static str, segment: SegmentFile, offset: usize, what: String) {
        self.problems.push(Problem {
            rule,
            file: segment.path(),
            offset: to_u64(offset),
            what,
        });
    }

    fn segment(&mut self, segment: SegmentFile, bytes: &[u8]) {
        let mut offset = 0;
        let mut is_used = false;
        loop {
            let rest = bytes.get(offset..).unwrap_or_default();
            if let Some(frame) = self.standing(segment, rest) {
                self.accept(segment, offset, &frame);
                offset += frame.header.frame_length();
                self.place.generation = segment.generation;
                self.place.offset = to_u64(offset);
                is_used = true;
                continue;
            }
            match frame::find(self.log, rest, self.place.epoch, segment.generation) {
                Some(later) => {
                    let at = offset + later;
                    let what = format!("batch is damaged: a valid one follows at {at}");
                    self.report("log_is_intact", segment, offset, what);
                    self.skip_to(bytes.get(at..).unwrap_or_default());
                    offset = at;
                }
                None => break,
            }
        }
        self.last = Some((segment, offset));
        let rest = bytes.get(offset..).unwrap_or_default();
        let last = rest.iter().rposition(|byte| *byte != 0);
        if is_used || self.place.offset == 0 {
            self.torn_bytes = last.map_or(0, |last| to_u64(last + 1));
        }
    }

    /// What damage has hidden is not missed again behind it.
    fn skip_to(&mut self, later: &[u8]) {
        if let Ok(frame) = frame::decode(self.log, later) {
            self.place.position = frame.header.first_position.saturating_sub(1);
        }
        self.streams.clear();
        self.reaches_back = false;
    }

    fn standing<'b>(&self, segment: SegmentFile, rest: &'b [u8]) -> Option<Frame<'b>> {
        let frame = frame::decode(self.log, rest).ok()?;
        let header = frame.header;
        let stands = header.generation == segment.generation && header.epoch >= self.place.epoch;
        stands.then_some(frame)
    }

    fn accept(&mut self, segment: SegmentFile, offset: usize, frame: &Frame<'_>) {
        let (expected, found) = (self.place.position + 1, frame.header.first_position);
        if found != expected {
            let what = format!("log goes on at position {found} instead of {expected}");
            // What is missing at the beginning of a segment was damaged at the end of the last.
            let (at, place) = match self.last {
                Some((last, end)) if offset == 0 => (last, end),
                _ => (segment, offset),
            };
            self.report("log_is_intact", at, place, what);
            self.streams.clear();
            self.reaches_back = false;
        }
        let mut gaps = Vec::new();
        let read = frame.for_each::<FrameError>(|record| {
            let known = self.streams.insert(record.stream, record.seq);
            let expected = match known {
                Some(seq) => seq.saturating_add(1),
                None if self.reaches_back => 1,
                None => record.seq,
            };
            if record.seq != expected {
                let stream = hex::encode(record.stream.0);
                gaps.push(format!(
                    "stream {stream} goes on at {} instead of {expected}",
                    record.seq
                ));
            }
            (self.each)(&record);
            Ok(())
        });
        for gap in gaps {
            self.report("stream_is_dense", segment, offset, gap);
        }
        if let Err(error) = read {
            self.report("log_is_intact", segment, offset, error.to_string());
        }
        self.place.epoch = frame.header.epoch;
        self.place.position = frame.header.next_position().saturating_sub(1);
    }
}

fn to_u64(offset: usize) -> u64 {
    u64::try_from(offset).unwrap_or(u64::MAX)
}

/// All segments in order, wherever they are.
pub(crate) fn segments(disk: &dyn Disk) -> io::Result<Vec<SegmentFile>> {
    let live = segment::generations(disk, LOG)?;
    // An empty directory gets lost in a copy, and says nothing.
    let archived = match segment::generations(disk, ARCHIVE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        archived => archived?,
    };
    let file = |directory| {
        move |generation| SegmentFile {
            generation,
            directory,
        }
    };
    let mut all: Vec<SegmentFile> = archived
        .into_iter()
        .filter(|generation| !live.contains(generation))
        .map(file(ARCHIVE))
        .collect();
    all.extend(live.iter().copied().map(file(LOG)));
    all.sort_unstable_by_key(|segment| segment.generation);
    Ok(all)
}

/// The checkpoint; `None` when there is none.
pub(crate) fn read_checkpoint(disk: &dyn Disk, log: LogId) -> io::Result<Option<Place>> {
    let file = match disk.open_read_only(checkpoint::FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let bytes = read_whole(file.as_ref(), 4096)?;
    let place = checkpoint::decode(log, &bytes);
    place
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a checkpoint of this log"))
}
