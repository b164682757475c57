//! The engine's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use engine::config::{Config, ConfigArgs};
use engine::{observe, offline, server};

/// Tillway's payment transaction engine.
#[derive(Debug, Parser)]
#[command(name = "engine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API and the terminals until SIGTERM.
    Run(ConfigArgs),
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
        Command::Run(arguments) => {
            let config = Config::load(&arguments)?;
            observe::init(config.log_format, &config.log_filter)?;
            server::run(&config)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Fsck { config, json } => {
            let report = offline::fsck(&Config::load(&config)?.data_dir);
            if json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                println!("{report}");
            }
            Ok(if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}
