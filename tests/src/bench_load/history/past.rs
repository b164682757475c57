//! Puts a past into a database: the rows of a real sale, with ids, times and trace numbers of their
//! own, in the order of time. What is old goes into history chunk by chunk, by the code of `engine
//! archive`; what is young, or all of it, is committed through the real store. Owns what is put
//! there; never measures.
//!
//! A chunk is archived out of memory: that it was in the state before leaves no trace once `engine
//! archive` has written the state anew, and takes four times as long.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use engine::domain::time::Timestamp;
use engine::domain::transaction::Transaction;
use engine::history::{History, archive};
use engine::offline;
use engine::owner::key;
use engine::owner::request::ArchivedRow;
use engine::owner::work::Stored as _;
use engine::store::{
    Commit, Committed, DiskStore, KeyValue, ReadFault, Record, Retention, Row, Rows, Store as _,
    StoreConfig, StreamId, Urgency,
};
use protocol::id::{IncarnationId, MerchantId, TransactionId};
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

/// An id as values hold it, without its prefix; keys hold its bytes.
fn text_of(id: Id) -> String {
    let text = TransactionId::from_uuid(Uuid::from_bytes(id)).to_string();
    text.split_once('_').map_or("", |(_, text)| text).to_owned()
}

/// Where a sale's rows differ from the template's.
#[derive(Debug, Clone, Copy)]
enum Patch {
    Bytes(usize, Own),
    Text(usize, Own),
    Time(usize, u64),
    Trace(usize),
}

/// An id that is another one for each sale.
#[derive(Debug, Clone, Copy)]
enum Own {
    Merchant,
    /// In the place of this one.
    Id(Id),
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

impl Sale {
    fn id(self, own: Own) -> Id {
        match own {
            Own::Merchant => self.merchant,
            Own::Id(old) => renewed(old, self.at_ms, self.number),
        }
    }
}

impl Form {
    fn of(bytes: Vec<u8>, template: &Template) -> Self {
        let mut patches = Vec::new();
        let trace = trace_bytes(TRACE);
        let own: Vec<_> = template.own().collect();
        let as_text = |(id, own): &(Id, Own)| (text_of(*id).into_bytes(), *own);
        let texts: Vec<_> = own.iter().map(as_text).collect();
        for at in 0..bytes.len() {
            let rest = &bytes[at..];
            if let Some((_, own)) = own.iter().find(|(id, _)| rest.starts_with(id)) {
                patches.push(Patch::Bytes(at, *own));
            } else if let Some((_, own)) = texts.iter().find(|(id, _)| rest.starts_with(id)) {
                patches.push(Patch::Text(at, *own));
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
                Patch::Bytes(at, own) => put(at, &sale.id(own)),
                Patch::Text(at, own) => put(at, text_of(sale.id(own)).as_bytes()),
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

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
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
        let pos_text = text_of(pos_id);
        let pos_text = pos_text.as_bytes();
        for space in [key::POS, key::PRINT_JOB, key::COPY_MARK] {
            let of_merchant = all(key::of_merchant(space, sale.merchant_id))?;
            let of_sale = of_merchant
                .into_iter()
                .filter(|(key, value)| contains(key, &pos_id) || contains(value, pos_text));
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

    /// Every id that is another one for each sale.
    fn own(&self) -> impl Iterator<Item = (Id, Own)> {
        let ids = self.ids.iter().map(|id| (*id, Own::Id(*id)));
        std::iter::once((self.merchant, Own::Merchant)).chain(ids)
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
    let store = open(&past.data_dir.join(offline::STORE_DIRECTORY))?;
    let merchants = merchants(&store)?;
    let maker = Maker {
        template: Template::read(&store)?,
        merchants: merchants.iter().filter_map(id_of).collect(),
        count: past.count,
        now_ms: now_ms(),
    };
    let tell = |at: u64, what: &str| {
        let seconds = begun.elapsed().as_secs();
        eprintln!("{at} of {} past sales {what} after {seconds} s", past.count);
    };
    let (mut rows, mut at) = (0, 0);
    let old = match past.chunk {
        0 => 0,
        _ => maker.older_than(past.older_than_ms),
    };
    let history = History::open(&past.data_dir).map_err(io::Error::other)?;
    while at < old {
        let end = (at + past.chunk).min(old);
        rows += archive(&maker, &history, &merchants, at..end)?;
        at = end;
        tell(at, "archived");
    }
    drop(history);
    rows += put(&store, &maker, at..past.count)?;
    store.shutdown().map_err(io::Error::other)?;
    tell(past.count, "there");
    Ok(rows)
}

/// Rows in memory, in order.
struct Chunk(Vec<KeyValue>);

impl Chunk {
    fn from(&self, key: &[u8]) -> &[KeyValue] {
        &self.0[self.0.partition_point(|row| row.0.as_slice() < key)..]
    }
}

impl Rows for Chunk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadFault> {
        let found = self.from(key).first().filter(|row| row.0 == key);
        Ok(found.map(|row| row.1.clone()))
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadFault> {
        let rows = self.from(from.unwrap_or(prefix)).iter();
        let under = rows.take_while(|row| row.0.starts_with(prefix));
        Ok(under.take(limit).cloned().collect())
    }

    fn scan_back(&self, _: &[u8], _: Option<&[u8]>, _: usize) -> Result<Vec<KeyValue>, ReadFault> {
        Err(ReadFault("archiving does not read backwards".to_owned()))
    }

    fn head(&self, _: StreamId) -> Result<u64, ReadFault> {
        Ok(0)
    }
}

/// Archives sales of these numbers.
fn archive(
    maker: &Maker,
    history: &History,
    merchants: &[KeyValue],
    numbers: Range<u64>,
) -> io::Result<u64> {
    let mut rows = merchants.to_vec();
    for number in numbers {
        let made = maker.rows(number).into_iter();
        rows.extend(made.filter_map(|row| Some((row.key, row.value?))));
    }
    rows.sort_unstable();
    let chunk = Chunk(rows);
    let before = Timestamp(i64::try_from(maker.now_ms).map_err(io::Error::other)?);
    let mut remove = |_: MerchantId, rows: Vec<ArchivedRow>| Ok(rows.len());
    let moved = archive::archive(&chunk, history, before, &|| false, &mut remove)
        .map_err(io::Error::other)?;
    history.join(&|| false).map_err(io::Error::other)?;
    if moved.removed == moved.copied {
        Ok(moved.copied)
    } else {
        Err(io::Error::other(format!("{moved:?} is not all of a chunk")))
    }
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

/// The row of every merchant in the database.
fn merchants(store: &DiskStore) -> io::Result<Vec<KeyValue>> {
    let rows = store.scan(&key::space(key::MERCHANT), None, usize::MAX);
    rows.map_err(io::Error::other)
}

fn id_of(merchant: &KeyValue) -> Option<Id> {
    Id::try_from(merchant.0.get(1..)?).ok()
}

/// Makes sales by their numbers: evenly over the year, the last one a minute ago.
struct Maker {
    template: Template,
    merchants: Vec<Id>,
    count: u64,
    now_ms: u64,
}

impl Maker {
    fn every_ms(&self) -> u64 {
        (YEAR_MS / self.count.max(1)).max(1)
    }

    fn age_ms(&self, number: u64) -> u64 {
        (self.count - number) * self.every_ms() + 60_000
    }

    /// How many sales are older than that, and a day.
    fn older_than(&self, age_ms: u64) -> u64 {
        self.count
            .saturating_sub((age_ms + DAY_MS) / self.every_ms())
    }

    fn rows(&self, number: u64) -> Vec<Row> {
        let any = u64::try_from(self.merchants.len()).unwrap_or(0).max(1);
        let merchant = usize::try_from(mixed(number) % any).unwrap_or(0);
        let age_ms = self.age_ms(number);
        let sale = Sale {
            merchant: self.merchants[merchant],
            at_ms: self.now_ms - age_ms,
            number,
        };
        self.template.at(sale, age_ms < WEEK_MS)
    }
}

/// Commits sales of these numbers.
fn put(store: &DiskStore, maker: &Maker, numbers: Range<u64>) -> io::Result<u64> {
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
            let (event, rows) = (Vec::new(), maker.rows(number));
            rows_put += u64::try_from(rows.len()).unwrap_or(0);
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
