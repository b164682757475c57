//! The engine's command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use engine::clock::{Clock as _, SystemClock};
use engine::config::{Config, ConfigArgs};
use engine::domain::time::Timestamp;
use engine::id_source::SystemIds;
use engine::init::InitArgs;
use engine::offline::Archived;
use engine::{init, observe, offline, server};
use protocol::id::IncarnationId;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tillway's payment transaction engine.
#[derive(Debug, Parser)]
#[command(name = "engine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes what an engine needs that tills reach over a network: an authority, a certificate, a
    /// configuration, the operator's token. `--renew` issues another certificate.
    Init(InitArgs),
    /// Serves the API and the terminals until SIGTERM.
    Run(ConfigArgs),
    /// Copies the database into a directory, while the engine runs or not.
    Backup {
        #[command(flatten)]
        config: ConfigArgs,
        /// Where the backup goes; absent or empty.
        #[arg(long)]
        to: PathBuf,
    },
    /// Makes a database from a backup, as a new incarnation. The engine must know what it lost:
    /// read docs/operations.md first.
    Restore {
        /// The backup.
        #[arg(long)]
        from: PathBuf,
        /// The data directory; holds no database.
        #[arg(long)]
        to: PathBuf,
    },
    /// Moves old rows of a stopped engine into history files, packs old log segments, and gives the
    /// room back. The API goes on showing everything.
    Archive {
        #[command(flatten)]
        config: ConfigArgs,
        /// How long something must not have changed: `90d`, `36h`, `0d`.
        #[arg(long, value_parser = age_ms)]
        older_than: i64,
        /// Leaves the state's files as large as they are: their room is used for new rows only.
        #[arg(long)]
        keep_state: bool,
    },
    /// Checks the database of a stopped engine; changes nothing. Exits with 1 when something is wrong.
    Fsck {
        #[command(flatten)]
        config: ConfigArgs,
        /// Prints the report as JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    match execute(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "engine ends");
            eprintln!("engine: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match arguments.command {
        Command::Init(arguments) => {
            let made = init::init(&arguments, SystemClock::start().now(), SystemIds)?;
            say(made.to_string().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(arguments) => {
            let config = Config::load(&arguments)?;
            observe::init(config.log_format, &config.log_filter)?;
            server::run(&config)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Backup { config, to } => {
            let data_dir = Config::load(&config)?.data_dir;
            let made = offline::backup(&data_dir, &to, SystemClock::start().now())?;
            say(format_args!(
                "backup of log {} up to position {}: {} segments, {} bytes",
                made.log, made.position, made.segments, made.bytes
            ));
            Ok(ExitCode::SUCCESS)
        }
        Command::Restore { from, to } => {
            let incarnation = IncarnationId::from_uuid(SystemIds.uuid());
            let made = offline::restore(&from, &to, incarnation)?;
            say(format_args!(
                "restored up to position {} as {}; {} merchants use new trace numbers",
                made.manifest.position, made.incarnation, made.merchants
            ));
            Ok(ExitCode::SUCCESS)
        }
        Command::Archive {
            config,
            older_than,
            keep_state,
        } => {
            let config = Config::load(&config)?;
            let now = SystemClock::start().now();
            let before = Timestamp(now.0.saturating_sub(older_than));
            let done = offline::archive(&config.data_dir, config.store, before, !keep_state, now)?;
            print_archived(&done);
            Ok(ExitCode::SUCCESS)
        }
        Command::Fsck { config, json } => {
            let report = offline::fsck(&Config::load(&config)?.data_dir);
            if json {
                say(serde_json::to_string_pretty(&report)?);
            } else {
                say(&report);
            }
            Ok(if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

/// Tells who asked. Whoever stops listening (`| head`) has heard enough: what was asked for is done.
fn say(text: impl std::fmt::Display) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}

fn print_archived(done: &Archived) {
    let (moved, history) = (done.moved, done.moved.extent);
    say(format_args!(
        "rows: {} archived ({} bytes), {} removed from the state",
        moved.copied, moved.copied_bytes, moved.removed
    ));
    say(format_args!(
        "history: {} files, {} rows, {} bytes",
        history.files, history.rows, history.bytes
    ));
    say(format_args!(
        "log: {} segments packed, {} bytes before, {} bytes after",
        done.packed.segments, done.packed.plain_bytes, done.packed.packed_bytes
    ));
    if let Some(rewritten) = done.rewritten {
        say(format_args!(
            "state: {} rows, {} bytes before, {} bytes after",
            rewritten.rows, rewritten.bytes_before, rewritten.bytes_after
        ));
    }
}

/// Days or hours in milliseconds.
fn age_ms(text: &str) -> Result<i64, String> {
    let expected = || "a number of days or hours, like 90d or 36h".to_owned();
    let (number, hours) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => (days, 24),
        (None, Some(hours)) => (hours, 1),
        (None, None) => return Err(expected()),
    };
    let number: i64 = number.parse().map_err(|_| expected())?;
    let age = number.checked_mul(hours * 3_600_000);
    age.filter(|age| *age >= 0).ok_or_else(expected)
}
