//! Readers of lists and of single sales, at the beginning or anywhere in the past.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat};

use super::past::{YEAR_MS, mixed, now_ms, renewed};
use crate::board::Lane;
use crate::connection::{Answer, Connection};
use crate::measure::Samples;

/// Clients that read.
const READERS: usize = 4;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const LIST: &str = "/v1/transactions?limit=50";

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first page of a list.
    First,
    /// A page behind a cursor.
    Deep,
    /// The first page of a day.
    Day,
    /// A reference that nothing has: as many rows are looked at as a page may.
    Reference,
    /// One transaction.
    One,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::First,
        Self::Deep,
        Self::Day,
        Self::Reference,
        Self::One,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::First => "page_first",
            Self::Deep => "page_deep",
            Self::Day => "page_day",
            Self::Reference => "page_reference",
            Self::One => "one",
        }
    }
}

/// Reads for some seconds, one after the other for each reader. `span_ms` is how far back there is
/// something.
///
/// # Errors
/// When something is not answered.
pub(super) fn read(
    address: &str,
    lanes: &[Lane],
    (kind, seconds, span_ms): (Kind, u64, u64),
) -> io::Result<Samples> {
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
                        let salt = u64::try_from(reader).unwrap_or(0) << 32;
                        let age_ms = mixed(turn ^ salt) % span_ms.max(1);
                        let path = path(kind, &mut to, lane, now_ms() - age_ms).await?;
                        let at = Instant::now();
                        let answer = to.get(&path, &lane.token).await?;
                        samples.add(at.elapsed());
                        check(&answer)?;
                    }
                    Ok::<_, io::Error>(samples)
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

fn check(answer: &Answer) -> io::Result<()> {
    if answer.status == 200 {
        return Ok(());
    }
    let (status, code) = (answer.status, answer.field("code"));
    Err(io::Error::other(format!("a page answered {status} {code}")))
}

/// What to ask for; may ask the engine itself, before time is taken.
async fn path(kind: Kind, to: &mut Connection, lane: &Lane, at_ms: u64) -> io::Result<String> {
    let deep = async |to: &mut Connection, limit: u32| {
        let page = to.get("/v1/transactions?limit=1", &lane.token).await?;
        let cursor = deep(page.field("next_cursor"), at_ms).unwrap_or_default();
        Ok::<_, io::Error>(format!("/v1/transactions?limit={limit}&cursor={cursor}"))
    };
    Ok(match kind {
        Kind::First => LIST.to_owned(),
        Kind::Deep => deep(to, 50).await?,
        Kind::Day => {
            let (from, until) = (instant(at_ms - DAY_MS), instant(at_ms));
            format!("{LIST}&created_from={from}&created_to={until}")
        }
        Kind::Reference => {
            let until = instant(at_ms);
            format!("{LIST}&created_to={until}&reference=nothing-has-it")
        }
        Kind::One => {
            let page = deep(to, 1).await?;
            let page = to.get(&page, &lane.token).await?;
            let id = page.field("id");
            if id.is_empty() {
                LIST.to_owned()
            } else {
                format!("/v1/transactions/{id}")
            }
        }
    })
}

fn instant(at_ms: u64) -> String {
    let at = DateTime::from_timestamp_millis(i64::try_from(at_ms).unwrap_or(0));
    at.unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A cursor of the same list that goes on at another instant: its first half is the id of the last
/// item of the page before.
fn deep(cursor: &str, before_ms: u64) -> Option<String> {
    let (_, question) = cursor.split_at_checked(32)?;
    let id = renewed([0; 16], before_ms, before_ms);
    Some(format!("{}{question}", hex::encode(id)))
}

/// How far back a past reaches; in a young engine, the minute that it has been there.
pub(super) const fn span_ms(has_past: bool) -> u64 {
    if has_past { YEAR_MS } else { 10_000 }
}
