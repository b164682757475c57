//! API clients: each plays sale after sale on lanes of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::board::Lane;
use crate::connection::Connection;
use crate::measure::{Tally, Window};

/// A wake-up of the open loop this much after the arrival is the timer's doing (it counts in
/// milliseconds); anything later is load, and counts as waiting.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// How long after the window arrivals that are behind may still be started.
const RUN_OUT: Duration = Duration::from_secs(10);
/// After an error, so that a refusal is not asked for in a loop.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// When a client begins its sales.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival {
    /// The next one when one has ended.
    Closed,
    /// At these instants, whether or not the engine keeps up; times count from them.
    Open {
        /// The first.
        first: Instant,
        /// From one to the next.
        every: Duration,
    },
}

/// One client.
pub(crate) struct Client {
    pub(crate) address: Arc<str>,
    /// Names its idempotency keys.
    pub(crate) name: String,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) amounts: Vec<i64>,
    pub(crate) arrival: Arrival,
    pub(crate) window: Window,
}

impl Client {
    /// Plays until the window ends and everything that was begun has ended.
    pub(crate) async fn play(self) -> Tally {
        let mut tally = Tally::new(self.window);
        let mut connection = Connection::new(Arc::clone(&self.address));
        let turns = self.lanes.iter().cycle().zip(self.amounts.iter().cycle());
        for (number, (lane, amount)) in (0_u32..).zip(turns) {
            let Some(started) = self.next_start(number, &mut tally).await else {
                break;
            };
            let key = format!("{}-{number}", self.name);
            let played = sale(&mut connection, lane, *amount, &key, started, &mut tally).await;
            if let Err(error) = played {
                tally.error(error.to_string());
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
        tally
    }

    /// Waits for the next sale's turn; gives the instant from which its times count.
    async fn next_start(&self, number: u32, tally: &mut Tally) -> Option<Instant> {
        let now = Instant::now();
        let Arrival::Open { first, every } = self.arrival else {
            return (now < self.window.end).then_some(now);
        };
        let arrival = first + every * number;
        if arrival >= self.window.end {
            return None;
        }
        if now >= self.window.end + RUN_OUT {
            tally.not_started += 1;
            let mut later = arrival + every;
            while later < self.window.end {
                tally.not_started += 1;
                later += every;
            }
            return None;
        }
        if arrival <= now {
            return Some(arrival);
        }
        sleep_until(arrival.into()).await;
        let woken = Instant::now();
        Some(if woken - arrival < TIMER_SLACK {
            woken
        } else {
            arrival
        })
    }
}

/// One sale from start to final answer.
async fn sale(
    connection: &mut Connection,
    lane: &Lane,
    amount: i64,
    key: &str,
    started: Instant,
    tally: &mut Tally,
) -> io::Result<()> {
    let terminal_id = lane.till.terminal_id;
    let body = format!(
        r#"{{"terminal_id":"{terminal_id}","type":"sale","amount":{amount},"currency":"USD"}}"#
    );
    let answer = connection
        .post("/v1/pos/transactions", &lane.token, key, &body)
        .await?;
    let accepted_at = Instant::now();
    if answer.status != 201 {
        let (status, code) = (answer.status, answer.field("code"));
        return Err(io::Error::other(format!("start answered {status} {code}")));
    }
    tally.accepted(started, accepted_at);
    let pos_id = answer.field("id");
    let path = format!("/v1/pos/transactions/{pos_id}?wait_s=30");
    // A wait that ends without an end has been answered by its time limit.
    for _ in 0..3 {
        let answer = connection.get(&path, &lane.token).await?;
        let ended_at = Instant::now();
        match (answer.status, answer.field("status")) {
            (200, "approved") => {
                tally.completed(started, lane.till.offered_at(pos_id), ended_at);
                return Ok(());
            }
            (200, "in_progress" | "in_doubt") => {}
            (status, word) => {
                let reason = answer.field("reason");
                let code = answer.field("code");
                let what = format!("sale ended {status} {word} {reason} {code}");
                return Err(io::Error::other(what));
            }
        }
    }
    Err(io::Error::other("sale did not end"))
}
