//! Whether the past costs anything: the same measurement of one engine before and after a year of
//! transactions was put into its database. What is put there are the rows of a real sale, with ids
//! of their own, committed through the real store.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine::domain::transaction::Transaction;
use engine::owner::key;
use engine::owner::work::Stored as _;
use engine::store::{
    Commit, Committed, DiskStore, KeyValue, Record, Retention, Row, Rows as _, Store as _,
    StoreConfig, StreamId, Urgency,
};
use harness::shop::Engine;
use protocol::id::IncarnationId;
use serde_json::json;
use uuid::Uuid;

use crate::agent::Counts;
use crate::board::{self, Lane};
use crate::connection::Connection;
use crate::measure::{Samples, per, rounded};
use crate::report::Result;
use crate::{machine, sales};

/// Merchants that the past is spread over, those with tills among them.
const MERCHANTS: usize = 200;
/// How long ago the oldest of it was.
const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1_000;
/// Idempotency keys are kept for a week, so that only a week of them is there.
const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Sales in one commit, and commits on their way: the disk is kept busy.
const SALES_PER_COMMIT: u64 = 64;
const IN_FLIGHT: usize = 16;
/// Clients that read pages.
const READERS: usize = 4;
/// Memory for the state's cache while it is filled.
const FILL_CACHE_BYTES: u64 = 512 * 1024 * 1024;
/// The stream of what was put there: no owner's.
const STREAM: StreamId = StreamId([0xFD; 17]);

/// Measures an engine that is new and the same engine with `count` past sales.
///
/// # Errors
/// When something does not start, or refuses.
pub(crate) fn measure(
    dir: &Path,
    config: &str,
    (terminals, seconds, count): (usize, u64, u64),
    result: &mut Result,
) -> io::Result<()> {
    let directory = dir.join("history");
    let mut engine = Engine::start_configured(&directory, config)?;
    let lanes = board::board(&engine.operator, terminals, terminals)?;
    let counts = sales::link(&engine, &lanes)?;
    let mut bench = Bench {
        engine: &mut engine,
        lanes: &lanes,
        counts: &counts,
        seconds,
    };
    bench.measure("history_empty", result)?;
    if !bench.engine.stop() {
        return Err(io::Error::other("the engine did not end cleanly"));
    }
    let begun = Instant::now();
    let rows = fill(&directory.join("data/store"), count)?;
    result.insert("history_sales".to_owned(), json!(count));
    result.insert("history_rows".to_owned(), json!(rows));
    let fill_s = rounded(begun.elapsed().as_secs_f64());
    result.insert("history_fill_s".to_owned(), fill_s);
    let bytes = machine::bytes_below(&directory.join("data/store/sled"));
    result.insert("history_sled_bytes".to_owned(), json!(bytes));
    // sled reads everything that was written since it was opened last: after a fill, everything.
    let first = bench.restart()?;
    let first = rounded(first.as_secs_f64());
    result.insert("history_full_first_ready_s".to_owned(), first);
    bench.measure("history_full", result)?;
    ratios(result);
    engine.stop();
    Ok(())
}

struct Bench<'a> {
    engine: &'a mut Engine,
    lanes: &'a [Lane],
    counts: &'a Counts,
    seconds: u64,
}

impl Bench<'_> {
    fn restart(&mut self) -> io::Result<Duration> {
        let begun = Instant::now();
        self.engine.restart()?;
        let ready = begun.elapsed();
        sales::wait_for(self.counts, self.lanes.len())?;
        Ok(ready)
    }

    /// Time to ready after a clean end, sales, pages.
    fn measure(&mut self, name: &str, result: &mut Result) -> io::Result<()> {
        let mut note = |what: &str, value| result.insert(format!("{name}_{what}"), value);
        // The load must have something to show in every list.
        let mut ignored = Result::new();
        let clients = self.lanes.len();
        sales::measure(self.engine, self.lanes, clients, (None, 1), &mut ignored)?;
        self.engine.stop();
        let ready = self.restart()?;
        note("ready_s", rounded(ready.as_secs_f64()));
        let (rss, _) = machine::resident_kib(self.engine.id());
        note("ready_rss_kib", json!(rss));
        let mut sold = Result::new();
        let time = (None, self.seconds);
        let tally = sales::measure(self.engine, self.lanes, clients, time, &mut sold)?;
        for what in ["completed_per_s", "sale_p99_ms", "engine_cpu_ms_per_sale"] {
            if let Some(value) = sold.get(what) {
                note(what, value.clone());
            }
        }
        note("errors", json!(tally.errors()));
        for (what, is_deep) in [("page_first", false), ("page_deep", true)] {
            let address = sales::address(self.engine);
            let samples = pages(address, self.lanes, self.seconds, is_deep)?;
            note(
                &format!("{what}_per_s"),
                rounded(per(samples.count(), per(self.seconds, 1.0))),
            );
            let mut times = Result::new();
            samples.describe(what, &mut times);
            for (what, value) in times {
                note(&what, value);
            }
        }
        let (rss, _) = machine::resident_kib(self.engine.id());
        note("rss_kib", json!(rss));
        Ok(())
    }
}

/// What the past costs: with it, divided by without it.
fn ratios(result: &mut Result) {
    for what in [
        "ready_s",
        "completed_per_s",
        "sale_p99_ms",
        "engine_cpu_ms_per_sale",
        "page_first_p99_ms",
        "page_deep_p99_ms",
    ] {
        let value = |of: &str| result.get(&format!("history_{of}_{what}"))?.as_f64();
        if let (Some(empty), Some(full)) = (value("empty"), value("full"))
            && empty > 0.0
        {
            result.insert(format!("history_ratio_{what}"), rounded(full / empty));
        }
    }
}

/// Reads pages of 50 from some clients, at the beginning or anywhere in the past year.
fn pages(address: &str, lanes: &[Lane], seconds: u64, is_deep: bool) -> io::Result<Samples> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let address: Arc<str> = address.into();
    let end = Instant::now() + Duration::from_secs(seconds);
    runtime.block_on(async {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let mut to = Connection::new(Arc::clone(&address));
                let lanes = lanes.to_vec();
                tokio::spawn(async move {
                    let mut samples = Samples::default();
                    let lanes = lanes.iter().cycle().skip(reader * 5);
                    for (turn, lane) in (0_u64..).zip(lanes) {
                        if Instant::now() >= end {
                            break;
                        }
                        let first = "/v1/transactions?limit=50";
                        let path = match is_deep {
                            true => {
                                let page = to.get("/v1/transactions?limit=1", &lane.token).await?;
                                let before = now_ms() - mixed(turn) % YEAR_MS;
                                deep(page.field("next_cursor"), before)
                                    .map_or(first.to_owned(), |cursor| {
                                        format!("{first}&cursor={cursor}")
                                    })
                            }
                            false => first.to_owned(),
                        };
                        let at = Instant::now();
                        let answer = to.get(&path, &lane.token).await?;
                        samples.add(at.elapsed());
                        if answer.status != 200 {
                            let (status, code) = (answer.status, answer.field("code"));
                            let what = format!("a page answered {status} {code}");
                            return Err(io::Error::other(what));
                        }
                    }
                    Ok(samples)
                })
            })
            .collect();
        let mut all = Samples::default();
        for reader in readers {
            all.merge(reader.await.map_err(io::Error::other)??);
        }
        Ok(all)
    })
}

/// A cursor of the same list that goes on at another instant: its first half is the id of the last
/// item of the page before.
fn deep(cursor: &str, before_ms: u64) -> Option<String> {
    let (_, question) = cursor.split_at_checked(32)?;
    let id = renewed([0; 16], before_ms, before_ms);
    Some(format!("{}{question}", hex::encode(id)))
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Any bits that differ for each number (splitmix64).
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

type Id = [u8; 16];

/// An id of this instant in the place of another; the same for the same.
fn renewed(old: Id, at_ms: u64, number: u64) -> Id {
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

/// The rows that one sale leaves behind.
struct Template {
    merchant: Id,
    /// Everything that has an id of its own.
    ids: Vec<Id>,
    rows: Vec<KeyValue>,
    claim: Option<KeyValue>,
}

fn contains(bytes: &[u8], id: &Id) -> bool {
    bytes.windows(id.len()).any(|window| window == id)
}

fn replace(bytes: &mut [u8], old: &Id, new: &Id) {
    let places: Vec<usize> = bytes
        .windows(old.len())
        .enumerate()
        .filter(|(_, window)| window == old)
        .map(|(at, _)| at)
        .collect();
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
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
        let sale = Transaction::from_bytes(&value)
            .ok_or_else(|| io::Error::other("a transaction cannot be read"))?;
        let pos_id = sale.pos_id.bytes();
        let mut ids = vec![pos_id, sale.id.bytes(), sale.attempt_id.bytes()];
        let mut rows = vec![(row_key, value)];
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
        Ok(Self {
            merchant: sale.merchant_id.bytes(),
            ids,
            rows,
            claim,
        })
    }

    /// The rows of another sale.
    fn at(&self, merchant: &Id, at_ms: u64, number: u64, has_claim: bool) -> Vec<Row> {
        let mut rows = self.rows.clone();
        for (row_key, value) in &mut rows {
            for old in &self.ids {
                let new = renewed(*old, at_ms, number);
                replace(row_key, old, &new);
                replace(value, old, &new);
            }
        }
        if let Some((row_key, value)) = self.claim.as_ref().filter(|_| has_claim) {
            let mut row_key = row_key.clone();
            for (at, part) in row_key[17..].chunks_mut(8).enumerate() {
                let salt = u64::try_from(at).unwrap_or(0);
                let bytes = mixed(number ^ (salt << 56)).to_be_bytes();
                part.copy_from_slice(&bytes[..part.len()]);
            }
            rows.push((row_key, value.clone()));
        }
        let of_merchant = |(mut row_key, mut value): KeyValue| {
            replace(&mut row_key, &self.merchant, merchant);
            replace(&mut value, &self.merchant, merchant);
            Row {
                key: row_key,
                value: Some(value),
            }
        };
        rows.into_iter().map(of_merchant).collect()
    }
}

/// Puts past sales into the store of an engine that has ended; how many rows that were.
fn fill(directory: &Path, count: u64) -> io::Result<u64> {
    let incarnation = IncarnationId::from_uuid(Uuid::from_u128(1));
    let config = StoreConfig {
        cache_bytes: FILL_CACHE_BYTES,
        // The log of the past would be as long as the past.
        retention: Retention::Recycle,
        ..StoreConfig::new(directory, incarnation)
    };
    let store = DiskStore::open(config, Box::new(|_| std::process::abort()));
    let store = store.map_err(io::Error::other)?;
    let template = Template::read(&store)?;
    let tills = store
        .scan(&key::space(key::MERCHANT), None, usize::MAX)
        .map_err(io::Error::other)?;
    let mut merchants: Vec<Id> = tills
        .iter()
        .filter_map(|(row_key, _)| Id::try_from(row_key.get(1..)?).ok())
        .collect();
    let now_ms = now_ms();
    for number in 0.. {
        if merchants.len() >= MERCHANTS {
            break;
        }
        merchants.push(renewed([1; 16], now_ms - YEAR_MS, number));
    }
    let mut merchants = merchants.iter().cycle();
    let (told, hear) = mpsc::channel::<std::result::Result<Committed, _>>();
    let (mut rows_put, mut seq, mut waiting) = (0_u64, 0_u64, 0_usize);
    let mut begin = 0;
    while begin < count {
        let end = (begin + SALES_PER_COMMIT).min(count);
        let records: Vec<Record> = (begin..end)
            .zip(merchants.by_ref())
            .map(|(number, merchant)| {
                // Evenly over the year, the last one a minute ago.
                let age_ms = (count - number) * (YEAR_MS / count.max(1)) + 60_000;
                let rows = template.at(merchant, now_ms - age_ms, number, age_ms < WEEK_MS);
                rows_put += u64::try_from(rows.len()).unwrap_or(0);
                Record {
                    event: Vec::new(),
                    rows,
                }
            })
            .collect();
        let commit = Commit {
            stream: STREAM,
            expected_seq: seq,
            records,
            urgency: Urgency::New,
        };
        seq += end - begin;
        begin = end;
        let told = told.clone();
        store.commit(commit, Box::new(move |fate| drop(told.send(fate))));
        waiting += 1;
        if waiting >= IN_FLIGHT {
            hear.recv()
                .map_err(io::Error::other)?
                .map_err(io::Error::other)?;
            waiting -= 1;
        }
    }
    for _ in 0..waiting {
        hear.recv()
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
    }
    store.shutdown().map_err(io::Error::other)?;
    Ok(rows_put)
}
