//! Puts a past into a database: the rows of a real sale, with ids, times and trace numbers of their
//! own, committed through the real store in the order of time and archived by `engine archive`'s
//! own code now and then, as months of service would have. Owns what is put there; never measures.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use engine::config::StoreSection;
use engine::domain::time::Timestamp;
use engine::domain::transaction::Transaction;
use engine::offline;
use engine::owner::key;
use engine::owner::work::Stored as _;
use engine::store::{
    Commit, Committed, DiskStore, KeyValue, Record, Retention, Row, Rows as _, Store as _,
    StoreConfig, StreamId, Urgency,
};
use protocol::id::IncarnationId;
use uuid::Uuid;

/// How long ago the oldest of it was.
pub(super) const YEAR_MS: u64 = 365 * DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Idempotency keys are kept for a week, so that only a week of them is there.
const WEEK_MS: u64 = 7 * DAY_MS;
/// Sales in one commit, and commits on their way: the disk is kept busy.
const SALES_PER_COMMIT: u64 = 64;
const IN_FLIGHT: usize = 16;
/// Memory for the state's cache while it is filled.
const FILL_CACHE_BYTES: u64 = 512 * 1024 * 1024;
/// The stream of what was put there: no owner's.
const STREAM: StreamId = StreamId([0xFD; 17]);
/// How far from the sale's beginning an instant of it can be.
const NEAR_MS: u64 = 60 * 60 * 1_000;
/// A trace number that takes as many bytes as any that follows, and is found again among others.
const TRACE: u32 = 0x000B_ADC5;
/// Trace numbers begin anew behind it.
const TRACES: u64 = 900_000;

pub(super) type Id = [u8; 16];

/// What is to be put where.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// The data directory of an engine that has ended.
    pub(super) data_dir: PathBuf,
    /// Sales in all.
    pub(super) count: u64,
    /// Sales after each of which what is old is archived; nothing is with zero.
    pub(super) chunk: u64,
    /// The age after which it is.
    pub(super) older_than_ms: u64,
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Any bits that differ for each number (splitmix64).
pub(super) const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// An id of this instant in the place of another; the same for the same.
pub(super) fn renewed(old: Id, at_ms: u64, number: u64) -> Id {
    let old_low = old.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(257).wrapping_add(u64::from(*byte))
    });
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
    id[6..14].copy_from_slice(&mixed(old_low ^ mixed(number)).to_be_bytes());
    id[6] = 0x70 | (id[6] & 0x0F);
    id[8] = 0x80 | (id[8] & 0x3F);
    id
}

/// Where a sale's rows differ from the template's.
#[derive(Debug, Clone, Copy)]
enum Patch {
    Merchant(usize),
    Id(usize, Id),
    Time(usize, u64),
    Trace(usize),
}

/// Bytes, and what is replaced in them.
#[derive(Debug, Clone)]
struct Form {
    bytes: Vec<u8>,
    patches: Vec<Patch>,
}

/// What is a sale's own.
#[derive(Debug, Clone, Copy)]
struct Sale {
    merchant: Id,
    at_ms: u64,
    number: u64,
}

impl Form {
    fn of(bytes: Vec<u8>, template: &Template) -> Self {
        let mut patches = Vec::new();
        let trace = trace_bytes(TRACE);
        for at in 0..bytes.len() {
            let rest = &bytes[at..];
            if rest.starts_with(&template.merchant) {
                patches.push(Patch::Merchant(at));
            } else if let Some(id) = template.ids.iter().find(|id| rest.starts_with(*id)) {
                patches.push(Patch::Id(at, *id));
            } else if rest.starts_with(&trace) {
                patches.push(Patch::Trace(at));
            } else if let Some((0xCF, rest)) = rest.split_first()
                && let Some(time) = rest.first_chunk().map(|time| u64::from_be_bytes(*time))
                && time.abs_diff(template.at_ms) < NEAR_MS
            {
                // MessagePack's mark of a number of eight bytes.
                patches.push(Patch::Time(at + 1, time));
            }
        }
        Self { bytes, patches }
    }

    fn at(&self, sale: Sale, template: &Template) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let mut put = |at: usize, new: &[u8]| bytes[at..at + new.len()].copy_from_slice(new);
        for patch in &self.patches {
            match *patch {
                Patch::Merchant(at) => put(at, &sale.merchant),
                Patch::Id(at, old) => put(at, &renewed(old, sale.at_ms, sale.number)),
                Patch::Time(at, old) => {
                    let time = (old + sale.at_ms).saturating_sub(template.at_ms);
                    put(at, &time.to_be_bytes());
                }
                Patch::Trace(at) => {
                    let number = 70_000 + sale.number % TRACES;
                    put(at, &trace_bytes(u32::try_from(number).unwrap_or(TRACE)));
                }
            }
        }
        bytes
    }
}

/// A number of four bytes in MessagePack.
fn trace_bytes(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [0xCE, a, b, c, d]
}

/// The rows that one sale leaves behind.
#[derive(Debug, Default)]
struct Template {
    merchant: Id,
    /// Everything that has an id of its own.
    ids: Vec<Id>,
    at_ms: u64,
    rows: Vec<(Form, Form)>,
    claim: Option<(Form, Form)>,
}

fn contains(bytes: &[u8], id: &Id) -> bool {
    bytes.windows(id.len()).any(|window| window == id)
}

impl Template {
    /// Of the newest sale.
    fn read(store: &DiskStore) -> io::Result<Self> {
        let all = |space: Vec<u8>| {
            let rows = store.scan(&space, None, usize::MAX);
            rows.map_err(io::Error::other)
        };
        let newest = all(key::space(key::TRANSACTION))?.pop();
        let (row_key, value) = newest.ok_or_else(|| io::Error::other("there was no sale"))?;
        let mut sale = Transaction::from_bytes(&value)
            .ok_or_else(|| io::Error::other("a transaction cannot be read"))?;
        sale.trace.number = TRACE;
        let pos_id = sale.pos_id.bytes();
        let mut ids = vec![pos_id, sale.id.bytes(), sale.attempt_id.bytes()];
        let mut rows = vec![(row_key, sale.to_bytes())];
        for space in [key::POS, key::PRINT_JOB, key::COPY_MARK] {
            let of_merchant = all(key::of_merchant(space, sale.merchant_id))?;
            let of_sale = of_merchant
                .into_iter()
                .filter(|(key, value)| contains(key, &pos_id) || contains(value, &pos_id));
            for (row_key, value) in of_sale {
                ids.extend(row_key.get(17..33).and_then(|id| Id::try_from(id).ok()));
                rows.push((row_key, value));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let claim = all(key::of_merchant(key::CLAIM, sale.merchant_id))?.pop();
        let mut template = Self {
            merchant: sale.merchant_id.bytes(),
            ids,
            at_ms: u64::try_from(sale.created_at.0).unwrap_or(0),
            ..Self::default()
        };
        let form =
            |(row_key, value): KeyValue| (Form::of(row_key, &template), Form::of(value, &template));
        let (rows, claim) = (rows.into_iter().map(form).collect(), claim.map(form));
        (template.rows, template.claim) = (rows, claim);
        Ok(template)
    }

    /// The rows of another sale.
    fn at(&self, sale: Sale, has_claim: bool) -> Vec<Row> {
        let row = |(row_key, value): &(Form, Form)| Row {
            key: row_key.at(sale, self),
            value: Some(value.at(sale, self)),
        };
        let mut rows: Vec<Row> = self.rows.iter().map(row).collect();
        if let Some(claim) = self.claim.as_ref().filter(|_| has_claim) {
            let mut claim = row(claim);
            for (at, part) in claim.key[17..].chunks_mut(8).enumerate() {
                let salt = u64::try_from(at).unwrap_or(0);
                let bytes = mixed(sale.number ^ (salt << 56)).to_be_bytes();
                part.copy_from_slice(&bytes[..part.len()]);
            }
            rows.push(claim);
        }
        rows
    }
}

/// Puts it there, and says how far it is; how many rows that were.
///
/// # Errors
/// When the store refuses, or archiving fails.
pub(super) fn fill(past: &Past) -> io::Result<u64> {
    let begun = Instant::now();
    let (mut rows, mut at, mut template) = (0, 0, None);
    let now_ms = now_ms();
    while at < past.count {
        let end = match past.chunk {
            0 => past.count,
            chunk => (at + chunk).min(past.count),
        };
        let store = open(&past.data_dir.join(offline::STORE_DIRECTORY))?;
        let template = match &mut template {
            Some(template) => template,
            empty => empty.insert(Template::read(&store)?),
        };
        rows += put(&store, template, now_ms, past.count, at..end)?;
        store.shutdown().map_err(io::Error::other)?;
        drop(store);
        at = end;
        tell(past, at, begun, "in the state");
        if past.chunk > 0 {
            archive(past)?;
            tell(past, at, begun, "archived");
        }
    }
    Ok(rows)
}

fn tell(past: &Past, at: u64, begun: Instant, what: &str) {
    let seconds = begun.elapsed().as_secs();
    eprintln!("{at} of {} past sales {what} after {seconds} s", past.count);
}

fn archive(past: &Past) -> io::Result<()> {
    let now = Timestamp(i64::try_from(now_ms()).map_err(io::Error::other)?);
    let age_ms = i64::try_from(past.older_than_ms).map_err(io::Error::other)?;
    let before = Timestamp(now.0 - age_ms);
    let section = StoreSection::default();
    let done = offline::archive(&past.data_dir, section, before, true, now);
    done.map(drop).map_err(io::Error::other)
}

fn open(directory: &Path) -> io::Result<std::sync::Arc<DiskStore>> {
    let incarnation = IncarnationId::from_uuid(Uuid::from_u128(1));
    let config = StoreConfig {
        cache_bytes: FILL_CACHE_BYTES,
        // The log of the past would be as long as the past.
        retention: Retention::Recycle,
        ..StoreConfig::new(directory, incarnation)
    };
    let store = DiskStore::open(config, Box::new(|_| std::process::abort()));
    store.map_err(io::Error::other)
}

/// Every merchant in the database.
fn merchants(store: &DiskStore) -> io::Result<Vec<Id>> {
    let rows = store.scan(&key::space(key::MERCHANT), None, usize::MAX);
    let rows = rows.map_err(io::Error::other)?;
    let ids = rows
        .iter()
        .filter_map(|(row_key, _)| Id::try_from(row_key.get(1..)?).ok());
    Ok(ids.collect())
}

/// Puts sales of these numbers there, evenly over the year, the last one a minute ago.
fn put(
    store: &DiskStore,
    template: &Template,
    now_ms: u64,
    count: u64,
    numbers: std::ops::Range<u64>,
) -> io::Result<u64> {
    let merchants = merchants(store)?;
    let any = u64::try_from(merchants.len()).map_err(io::Error::other)?;
    let (told, hear) = mpsc::channel::<Result<Committed, _>>();
    let heard = || -> io::Result<()> {
        let fate = hear.recv().map_err(io::Error::other)?;
        fate.map(drop).map_err(io::Error::other)
    };
    let (mut rows_put, mut waiting) = (0, 0);
    let mut seq = store.head(STREAM).map_err(io::Error::other)?;
    let mut begin = numbers.start;
    while begin < numbers.end {
        let end = (begin + SALES_PER_COMMIT).min(numbers.end);
        let records = (begin..end).map(|number| {
            let age_ms = (count - number) * (YEAR_MS / count.max(1)) + 60_000;
            let merchant = usize::try_from(mixed(number) % any.max(1)).unwrap_or(0);
            let sale = Sale {
                merchant: merchants[merchant],
                at_ms: now_ms - age_ms,
                number,
            };
            let rows = template.at(sale, age_ms < WEEK_MS);
            rows_put += u64::try_from(rows.len()).unwrap_or(0);
            let event = Vec::new();
            Record { event, rows }
        });
        let commit = Commit {
            stream: STREAM,
            expected_seq: seq,
            records: records.collect(),
            urgency: Urgency::New,
        };
        seq += end - begin;
        begin = end;
        let told = told.clone();
        store.commit(commit, Box::new(move |fate| drop(told.send(fate))));
        waiting += 1;
        if waiting >= IN_FLIGHT {
            heard()?;
            waiting -= 1;
        }
    }
    for _ in 0..waiting {
        heard()?;
    }
    Ok(rows_put)
}
