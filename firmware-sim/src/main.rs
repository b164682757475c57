//! `firmware-sim`: see `firmware_sim::cli`.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use firmware_sim::cli::{Arguments, execute};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .init();
    match execute(Arguments::parse(), &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell it to when stderr is gone too.
            drop(writeln!(stderr(), "firmware-sim: {error}"));
            ExitCode::FAILURE
        }
    }
}
