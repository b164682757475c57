//! The agent's log: written to standard error, its level set by the configuration of the till.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

/// The environment variable that has the last word on the level.
const VARIABLE: &str = "TILLWAY_LOG";
/// The level without any other word.
const LEVEL: &str = "info";

type Reload = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// How the level of the running log is changed; not there when somebody at the till set it.
static RELOAD: OnceLock<Reload> = OnceLock::new();

/// Starts the log. A second start in one process is a test's; the first one stays.
pub fn start() {
    let by_hand = EnvFilter::try_from_env(VARIABLE);
    let is_by_hand = by_hand.is_ok();
    let filter = by_hand.unwrap_or_else(|_| EnvFilter::new(LEVEL));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    let has_started = builder.try_init().is_ok();
    if has_started && !is_by_hand {
        let reload: Reload = Box::new(move |filter| handle.reload(filter).is_ok());
        drop(RELOAD.set(reload));
    }
}

/// Logs as much as this from now on; as much as the agent does by itself without a word. Whoever
/// set the environment variable at the till has said what they want: then nothing changes.
pub fn set_level(level: Option<&str>) {
    let level = level.unwrap_or(LEVEL);
    let (Some(reload), Ok(filter)) = (RELOAD.get(), EnvFilter::try_new(level)) else {
        return;
    };
    if reload(filter) {
        tracing::info!(level, "log level");
    }
}
