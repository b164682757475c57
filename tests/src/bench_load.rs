//! `cargo bench-load`: how fast the engine is, with everything that it promises, and at what cost.
//!
//! A real engine process; merchants boarded and tills paired over the API; simulated agents on real
//! links that answer at once; API clients that start sales and wait for their ends. Engine and load
//! share the machine. The number of an unfinished optimization is worth nothing without its
//! conditions, so they are part of the result.

#![allow(clippy::disallowed_methods, reason = "measures time")]

#[path = "bench_load/agent.rs"]
mod agent;
#[path = "bench_load/board.rs"]
mod board;
#[path = "bench_load/card.rs"]
mod card;
#[path = "bench_load/connection.rs"]
mod connection;
#[path = "bench_load/floor.rs"]
mod floor;
#[path = "bench_load/heartbeat.rs"]
mod heartbeat;
#[path = "bench_load/history.rs"]
mod history;
#[path = "bench_load/idle.rs"]
mod idle;
#[path = "bench_load/links.rs"]
mod links;
#[path = "bench_load/load.rs"]
mod load;
#[path = "bench_load/machine.rs"]
mod machine;
#[path = "bench_load/measure.rs"]
mod measure;
#[path = "bench_load/postgres.rs"]
mod postgres;
#[path = "bench_load/real_agent.rs"]
mod real_agent;
#[path = "bench_load/relay.rs"]
mod relay;
#[path = "bench_load/report.rs"]
mod report;
#[path = "bench_load/requests.rs"]
mod requests;
#[path = "bench_load/run.rs"]
mod run;
#[path = "bench_load/sales.rs"]
mod sales;
#[path = "bench_load/store.rs"]
mod store;
#[path = "bench_load/wire.rs"]
mod wire;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};

/// The engine's: the store alone is measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the engine under sales.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-load --")]
struct Arguments {
    /// Tills, in all.
    #[arg(long, default_value_t = 1)]
    terminals: usize,
    /// Merchants that the tills are spread over.
    #[arg(long, default_value_t = 1)]
    merchants: usize,
    /// API clients with a connection each; at most one per till, which is the default.
    #[arg(long)]
    clients: Option<usize>,
    /// Sales a second, whether or not the engine keeps up; without it, each client starts a sale
    /// when its last one has ended.
    #[arg(long, value_parser = above_zero)]
    rate: Option<f64>,
    /// What to measure, in this order whatever the order here. Each takes `--seconds`.
    #[arg(long, value_delimiter = ',', default_value = "sales")]
    parts: Vec<Part>,
    /// Waiting commits for floor, store and postgres, and clients for create and list.
    #[arg(long, value_delimiter = ',', default_value = "1,256")]
    waiters: Vec<usize>,
    /// Idle links of the part `links`.
    #[arg(long, default_value_t = 10_000)]
    links: usize,
    /// Everything over TLS, as between tills and an engine on another machine. Not for the parts
    /// history and agent.
    #[arg(long)]
    tls: bool,
    /// Past sales of the parts `history` and `archive`, over a year. With `--dir` they are kept there, and used
    /// again. Tills as in `--terminals`, with a merchant each.
    #[arg(long, alias = "past", default_value_t = 100_000)]
    history: u64,
    /// Past sales that are archived at a time, into a file each; with 0 all of them stay in the
    /// state, some 3 KB each.
    #[arg(long, default_value_t = 100_000)]
    history_chunk: u64,
    /// Age in days after which past sales are archived.
    #[arg(long, default_value_t = 7)]
    history_older_than: u64,
    /// Only puts the past sales in place, below `--dir`: this takes long, and measures nothing.
    #[arg(long, requires = "dir")]
    history_only: bool,
    /// How long to measure, after a warm-up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Directory for the database; a new temporary one beside the programs if absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
    /// A file with such a line, to compare with.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// A little of everything that needs the engine: only whether it works. Exits with 1 otherwise.
    #[arg(long)]
    smoke: bool,
    /// Nothing but heartbeats on bare connections: the part `links` starts this.
    #[arg(long, hide = true)]
    serve_heartbeats: bool,
}

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Append and sync, and nothing else: what the disk takes.
    Floor,
    /// The store without actors and HTTP, each commit with a row of its own.
    Store,
    /// The same, each row made by one commit and changed by three, as a sale's steps do.
    StoreUpdates,
    /// The same durable work in PostgreSQL, where that is installed.
    Postgres,
    /// Whole sales.
    Sales,
    /// Idempotent creates over keep-alive.
    Create,
    /// Pages of the transaction list, after the sales.
    List,
    /// Idle links, and all of them coming back at once.
    Links,
    /// An engine without a past and the same with one.
    History,
    /// Sales beside an engine's archiving of `--history` past sales, and without it.
    Archive,
    /// A real agent with a simulated reader: its memory, and its share of a payment's time.
    Agent,
}

fn above_zero(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0);
    rate.ok_or_else(|| "must be a number above zero".to_owned())
}

impl Part {
    /// Those that ask a running engine.
    const OF_ENGINE: [Self; 5] = [
        Self::Sales,
        Self::Create,
        Self::List,
        Self::Links,
        Self::Agent,
    ];
}

impl Arguments {
    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn terminals(&self) -> usize {
        self.terminals.max(1)
    }

    fn merchants(&self) -> usize {
        self.merchants.clamp(1, self.terminals())
    }

    fn clients(&self) -> usize {
        let all = self.terminals();
        self.clients.unwrap_or(all).clamp(1, all)
    }

    /// How many are to wait at once, one after the other; none when the part is not wanted.
    fn waiters_of(&self, part: Part) -> impl Iterator<Item = usize> {
        let waiters = self.waiters.iter().filter(move |_| self.has(part));
        waiters.copied()
    }
}

fn main() -> ExitCode {
    // A descriptor for every link, here and, inherited, in the engine.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
    let mut arguments = Arguments::parse();
    if arguments.serve_heartbeats {
        return ExitCode::from(u8::from(heartbeat::serve().is_err()));
    }
    if arguments.smoke {
        arguments.parts = Part::OF_ENGINE.to_vec();
        (arguments.terminals, arguments.merchants) = (16, 2);
        (arguments.seconds, arguments.links) = (1, 200);
        arguments.waiters = vec![16];
    }
    if arguments.tls && (arguments.has(Part::History) || arguments.has(Part::Agent)) {
        eprintln!("bench-load: history and agent are measured without --tls");
        return ExitCode::from(2);
    }
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-load failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and reports; true when sales completed, and none without an approval.
fn measure(arguments: &Arguments) -> io::Result<bool> {
    let (result, tally) = run::run(arguments)?;
    for (what, count) in tally.kinds_of_errors() {
        eprintln!("{count} × {what}");
    }
    if arguments.json {
        println!("{}", serde_json::Value::Object(result.clone()));
    } else {
        report::print(&result);
    }
    if let Some(old) = &arguments.compare {
        let changes = report::compare(old, &result)?;
        if arguments.json {
            eprintln!("{changes}");
        } else {
            println!("{changes}");
        }
    }
    let has_sales = arguments.has(Part::Sales);
    Ok(tally.errors() == 0 && (tally.sales() > 0 || !has_sales))
}
