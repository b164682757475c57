//! The engine's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use engine::config::{Config, ConfigArgs};
use engine::{observe, server, store};

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
    /// Checks the log of a stopped engine; changes nothing. Exits with 1 when something is wrong.
    Fsck(ConfigArgs),
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
        Command::Fsck(arguments) => {
            let config = Config::load(&arguments)?;
            let problems = store::verify(&config.data_dir.join("store"));
            for problem in &problems {
                println!("{} at {}: {}", problem.file, problem.offset, problem.what);
            }
            Ok(if problems.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}
