//! API clients: each plays sale after sale on lanes of its own.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::board::Lane;
use crate::connection::Connection;
use crate::measure::{Sale, Tally};

/// How long after the end arrivals that are behind may still be started.
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
    pub(crate) end: End,
}

/// When no more sales are to begin: an instant that need not be known before it comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct End(Arc<OnceLock<Instant>>);

impl End {
    /// Ends at this instant. Only the first word counts.
    pub(crate) fn set(&self, at: Instant) {
        self.0.get_or_init(|| at);
    }

    fn is_before(&self, at: Instant) -> bool {
        self.0.get().is_some_and(|end| *end <= at)
    }
}

/// Clients at work on a thread of their own.
pub(crate) struct Playing(JoinHandle<io::Result<Tally>>);

impl Playing {
    /// Sets the clients to work.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(clients: Vec<Client>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name("clients".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                let clients = clients.into_iter().map(Client::play);
                let playing: Vec<_> = clients.map(tokio::spawn).collect();
                let mut tally = Tally::default();
                for client in playing {
                    tally.add(client.await.map_err(io::Error::other)?);
                }
                Ok(tally)
            })
        })?;
        Ok(Self(thread))
    }

    /// Waits for the end that the clients were given, and for everything that was begun before it.
    ///
    /// # Errors
    /// When a client has panicked.
    pub(crate) fn end(self) -> io::Result<Tally> {
        let tally = self.0.join();
        tally.map_err(|_| io::Error::other("the clients panicked"))?
    }
}

impl Client {
    /// Plays until its end comes and everything that was begun has ended.
    pub(crate) async fn play(self) -> Tally {
        let mut tally = Tally::default();
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
            return (!self.end.is_before(now)).then_some(now);
        };
        let arrival = first + every * number;
        if self.end.is_before(arrival) {
            return None;
        }
        if self.end.is_before(now - RUN_OUT) {
            let later = (0..).map(|more| arrival + every * more);
            let missed = later.take_while(|at| !self.end.is_before(*at));
            tally.not_started += missed.fold(0, |count, _| count + 1);
            return None;
        }
        // Its times count from here, however late it is: the load is not to wait for the engine.
        sleep_until(arrival.into()).await;
        Some(arrival)
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
                tally.completed(Sale {
                    started,
                    offered: lane.till.offered_at(pos_id),
                    ended: ended_at,
                });
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
