//! Configuration: a file, the command line over it, and the operator's token beside the data.
//!
//! Refuses what would be unsafe: an address that other machines can reach without TLS, and a token
//! file that others can read.

mod sections;
#[cfg(test)]
mod tests;
mod token;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use sections::{AcquirerSection, HistorySection, Limits, StoreSection, TlsSection};
pub(crate) use token::write_durably;
pub use token::{
    OPERATOR_TOKEN_FILE, OPERATOR_TOKEN_PREFIX, check_operator_token, operator_token,
    prepare_data_dir,
};

use sections::{SandboxSection, TipSection};

use crate::acquirer::line::HELD_MS;
use crate::domain::sandbox::Policy;
use crate::domain::tip::TipLimits;
use crate::id_source::RandomFault;
use crate::observe::LogFormat;

/// Where the engine listens unless told otherwise.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7437);

/// Command line of the engine.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML).
    #[arg(long, env = "TILLWAY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Directory of the database, created if absent.
    #[arg(long, visible_alias = "data", env = "TILLWAY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on; without TLS loopback only.
    #[arg(long, env = "TILLWAY_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Form of the log on standard error.
    #[arg(long, env = "TILLWAY_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileForm {
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    log_format: Option<LogFormat>,
    log_filter: Option<String>,
    limits: Limits,
    tips: TipSection,
    sandbox: SandboxSection,
    store: StoreSection,
    history: HistorySection,
    acquirer: AcquirerSection,
    tls: Option<TlsSection>,
}

/// The engine's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Directory of the database and the operator's token.
    pub data_dir: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Form of the log.
    pub log_format: LogFormat,
    /// What is logged, unless `RUST_LOG` says otherwise.
    pub log_filter: String,
    /// Bounds on load.
    pub limits: Limits,
    /// Bounds on tips.
    pub tips: TipLimits,
    /// Whether faults can be asked for.
    pub sandbox: Policy,
    /// How the database uses the disk.
    pub store: StoreSection,
    /// What becomes of what is old.
    pub history: HistorySection,
    /// What is known of the acquirer's times.
    pub acquirer: AcquirerSection,
    /// Plain HTTP where absent.
    pub tls: Option<TlsSection>,
}

/// Why the engine cannot start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The configuration file is not what it should be.
    #[error("{} is malformed: {error}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Box<toml::de::Error>,
    },
    /// Other machines could reach the address, and no certificate is configured.
    #[error(
        "refusing to listen on {0}: other machines reach this address, and there is no [tls] in the \
         configuration; `engine init` makes a certificate and a configuration, or put a TLS proxy on \
         this machine in front of a loopback address (docs/tls.md)"
    )]
    NotLoopback(SocketAddr),
    /// There is nowhere to keep data.
    #[error("data_dir is missing: give --data-dir or set it in the configuration file")]
    NoDataDir,
    /// A limit would stop everything.
    #[error("limit {0} must be above zero")]
    ZeroLimit(&'static str),
    /// The acquirer's times contradict each other.
    #[error(
        "acquirer.longest_delay_ms must be above answer_timeout_ms by more than {HELD_MS} ms, and at \
         most an hour; answer_timeout_ms must be above zero"
    )]
    AcquirerTimes,
    /// Others than the owner can use the token file.
    #[error("{} can be used by others (mode {mode:o}); make it 600 and replace the token", path.display())]
    TokenExposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The token file does not hold a token.
    #[error("{} does not hold a token; remove it to have a new one made", .0.display())]
    TokenMalformed(PathBuf),
    /// A token cannot be made.
    #[error(transparent)]
    Random(#[from] RandomFault),
}

impl ConfigError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}

impl Config {
    /// Reads the file, if one is named, and puts the command line over it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(args: &ConfigArgs) -> Result<Self, ConfigError> {
        match &args.config {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(ConfigError::file(path))?;
                Self::parse(args, path, &text)
            }
            None => Self::combine(args, FileForm::default()),
        }
    }

    /// Reads the text of the configuration file `path` and puts the command line over it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(args: &ConfigArgs, path: &Path, text: &str) -> Result<Self, ConfigError> {
        let form = toml::from_str(text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        Self::combine(args, form)
    }

    fn combine(args: &ConfigArgs, form: FileForm) -> Result<Self, ConfigError> {
        let listen = args.listen.or(form.listen).unwrap_or(LISTEN_DEFAULT);
        if form.tls.is_none() && !listen.ip().is_loopback() {
            return Err(ConfigError::NotLoopback(listen));
        }
        let limits = form.limits;
        for (name, limit) in [
            ("in_flight_max", limits.in_flight_max),
            (
                "in_flight_per_merchant_max",
                limits.in_flight_per_merchant_max,
            ),
            (
                "merchant_requests_per_minute",
                limits.merchant_requests_per_minute,
            ),
            (
                "refused_credentials_per_minute",
                limits.refused_credentials_per_minute,
            ),
            (
                "pairing_attempts_per_minute",
                limits.pairing_attempts_per_minute,
            ),
            ("pairing_wrong_tries_max", limits.pairing_wrong_tries_max),
            ("pairing_request_life_s", limits.pairing_request_life_s),
            ("pairing_poll_interval_s", limits.pairing_poll_interval_s),
            ("queries_at_once", limits.queries_at_once),
            ("history.every_s", form.history.every_s),
            ("idle_owner_s", limits.idle_owner_s),
        ] {
            if limit == 0 {
                return Err(ConfigError::ZeroLimit(name));
            }
        }
        Ok(Self {
            data_dir: args
                .data_dir
                .clone()
                .or(form.data_dir)
                .ok_or(ConfigError::NoDataDir)?,
            listen,
            log_format: args.log_format.or(form.log_format).unwrap_or_default(),
            log_filter: form.log_filter.unwrap_or_else(|| "info".to_owned()),
            limits,
            tips: TipLimits {
                bps_max: form.tips.bps_max,
                hours_max: form.tips.hours_max,
                changes_max: form.tips.changes_max,
            },
            sandbox: form.sandbox.policy(),
            store: form.store,
            history: form.history,
            acquirer: form.acquirer.check()?,
            tls: form.tls,
        })
    }
}
