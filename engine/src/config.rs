//! Configuration: a file, the command line over it, and the operator's token beside the data.
//!
//! Refuses what would be unsafe: an address that other machines can reach without TLS, and a token
//! file that others can read.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::acquirer::line::HELD_MS;
use crate::acquirer::simulator::ANSWER_TIMEOUT_MS_DEFAULT;
use crate::domain::pairing::{lockout, waiting};
use crate::domain::reversal::HOST_DELAY_MS_MAX;
use crate::domain::sandbox::Policy;
use crate::domain::tip::TipLimits;
use crate::domain::token::Secret;
use crate::id_source::{RandomFault, SystemIds};
use crate::observe::LogFormat;
use crate::store::StoreConfig;

/// Where the engine listens unless told otherwise.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7437);
/// Name of the file with the operator's token, in the data directory.
pub const OPERATOR_TOKEN_FILE: &str = "operator-token";
/// What the operator's token begins with, so that a leaked one is recognized.
pub const OPERATOR_TOKEN_PREFIX: &str = "tw_operator_";

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

/// What bounds the load that the engine takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in work at once, waiting ones included; above it 503.
    pub in_flight_max: u32,
    /// Requests of one merchant in work at once, waiting ones included; above it 503.
    pub in_flight_per_merchant_max: u32,
    /// Requests of one merchant a minute, on average; above it 429.
    pub merchant_requests_per_minute: u32,
    /// Refused credentials a minute from one address; above it 429 instead of 401.
    pub refused_credentials_per_minute: u32,
    /// Pairing codes tried a minute from one address; above it 429.
    pub pairing_attempts_per_minute: u32,
    /// Wrong pairing codes in a row from one address that lock it out, for longer each time.
    pub pairing_wrong_tries_max: u32,
    /// Seconds that a till which shows a code waits for a person.
    pub pairing_request_life_s: u32,
    /// Seconds between two questions of such a till.
    pub pairing_poll_interval_s: u32,
    /// Look-ups and lists read from the database at once.
    pub queries_at_once: u32,
    /// Seconds after which a merchant or terminal with nothing to do is dropped from memory.
    pub idle_owner_s: u32,
}

impl Default for Limits {
    /// Arbitrary, bounded: far above what a merchant's tills do, far below what hurts others. A
    /// pairing code has 48 bits and lives for 15 minutes by default: 30 tries a minute find one of
    /// a thousand live codes with a chance of 1 in 600 million.
    fn default() -> Self {
        Self {
            in_flight_max: 4_096,
            in_flight_per_merchant_max: 1_024,
            merchant_requests_per_minute: 60_000,
            refused_credentials_per_minute: 60,
            pairing_attempts_per_minute: 30,
            pairing_wrong_tries_max: lockout::WRONG_TRIES_MAX,
            pairing_request_life_s: waiting::LIFE_S_DEFAULT,
            pairing_poll_interval_s: waiting::INTERVAL_S_DEFAULT,
            queries_at_once: 8,
            idle_owner_s: 300,
        }
    }
}

/// How often and how far tips may change after the authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TipSection {
    bps_max: u32,
    hours_max: u32,
    changes_max: u32,
}

impl Default for TipSection {
    fn default() -> Self {
        let limits = TipLimits::default();
        Self {
            bps_max: limits.bps_max,
            hours_max: limits.hours_max,
            changes_max: limits.changes_max,
        }
    }
}

/// What integrators may do to test their recovery. The acquirer of this build is a simulator, so
/// that every engine is in test mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SandboxSection {
    /// Whether faults can be asked for.
    faults: bool,
    /// Whether this process may be made to end; only where something starts it again.
    allow_engine_restart: bool,
}

impl Default for SandboxSection {
    fn default() -> Self {
        Self {
            faults: true,
            allow_engine_restart: false,
        }
    }
}

impl SandboxSection {
    const fn policy(self) -> Policy {
        match self.faults {
            true => Policy::On {
                allows_engine_restart: self.allow_engine_restart,
            },
            false => Policy::Off,
        }
    }
}

/// How the database uses the disk. The defaults suit a server; a small disk wants less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// Length of a log segment, in bytes.
    pub segment_bytes: Option<u64>,
    /// Log space that only concluding work may use, in bytes; less than a segment.
    pub reserve_bytes: Option<u64>,
    /// Free space of the file system below which new work is refused, in bytes.
    pub free_bytes_min: Option<u64>,
    /// Longest time between checkpoints while there is work, in milliseconds.
    pub checkpoint_every_ms: Option<u64>,
}

impl StoreSection {
    /// Puts what the file says over a store's defaults.
    pub fn over(self, defaults: StoreConfig) -> StoreConfig {
        StoreConfig {
            segment_bytes: self.segment_bytes.unwrap_or(defaults.segment_bytes),
            reserve_bytes: self.reserve_bytes.unwrap_or(defaults.reserve_bytes),
            free_bytes_min: self.free_bytes_min.unwrap_or(defaults.free_bytes_min),
            checkpoint_every: self
                .checkpoint_every_ms
                .map_or(defaults.checkpoint_every, Duration::from_millis),
            ..defaults
        }
    }
}

/// What becomes of what is old, while the engine serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistorySection {
    /// Whether anything is archived and packed.
    pub enabled: bool,
    /// Days without a change after which rows are archived. Segments of the log that are covered
    /// are packed whatever their age.
    pub older_than_days: u32,
    /// How often, in seconds.
    pub every_s: u32,
}

impl Default for HistorySection {
    /// Once a day: each time is a file. A week, as idempotency keys are kept: what is left in the
    /// state is what the time to start grows with, and archived rows answer the same.
    fn default() -> Self {
        Self {
            enabled: true,
            older_than_days: 7,
            every_s: 86_400,
        }
    }
}

/// What is known of the acquirer's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcquirerSection {
    /// After this long without an answer the outcome is unknown, in milliseconds.
    pub answer_timeout_ms: u64,
    /// Longest time that a request can be on its way to the host, in milliseconds. Until it has
    /// passed, "original not found" is not taken for an answer.
    pub longest_delay_ms: u64,
}

impl Default for AcquirerSection {
    fn default() -> Self {
        Self {
            answer_timeout_ms: ANSWER_TIMEOUT_MS_DEFAULT,
            longest_delay_ms: HOST_DELAY_MS_MAX,
        }
    }
}

impl AcquirerSection {
    /// An hour bounds what is added to instants; a shorter longest delay than the timeout and what
    /// the simulated line holds back would let a reversal overtake what it undoes.
    const fn check(self) -> Result<Self, ConfigError> {
        let least_ms = self.answer_timeout_ms.saturating_add(HELD_MS);
        let is_long = least_ms < self.longest_delay_ms && self.longest_delay_ms <= 3_600_000;
        if self.answer_timeout_ms > 0 && is_long {
            Ok(self)
        } else {
            Err(ConfigError::AcquirerTimes)
        }
    }
}

/// What the engine shows of itself where it speaks TLS. Both files may be one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The certificate and those that lead to its authority, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM.
    pub key: PathBuf,
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

/// Makes the data directory, for its owner only, if it is absent.
///
/// # Errors
/// [`ConfigError::File`].
pub fn prepare_data_dir(data_dir: &Path) -> Result<(), ConfigError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(ConfigError::file(data_dir))
}

/// Reads the operator's token from the data directory, and makes one at the first start.
///
/// # Errors
/// [`ConfigError`]; also when others could have read the file.
pub fn operator_token(data_dir: &Path, ids: SystemIds) -> Result<Secret, ConfigError> {
    match read_operator_token(data_dir) {
        Err(ConfigError::File { error, path }) if error.kind() == io::ErrorKind::NotFound => {
            let secret = ids.secret()?;
            let token = Secret::new(format!("{OPERATOR_TOKEN_PREFIX}{}", secret.expose()));
            let line = Secret::new(format!("{}\n", token.expose()));
            write_durably(&path, line.expose().as_bytes(), 0o600)
                .map_err(ConfigError::file(&path))?;
            Ok(token)
        }
        read => read,
    }
}

/// Whether the operator's token can be used as it is.
///
/// # Errors
/// [`ConfigError`]; also when there is none.
pub fn check_operator_token(data_dir: &Path) -> Result<(), ConfigError> {
    read_operator_token(data_dir).map(drop)
}

fn read_operator_token(data_dir: &Path) -> Result<Secret, ConfigError> {
    let path = data_dir.join(OPERATOR_TOKEN_FILE);
    let metadata = fs::metadata(&path).map_err(ConfigError::file(&path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::TokenExposed { path, mode });
    }
    let text = Secret::new(fs::read_to_string(&path).map_err(ConfigError::file(&path))?);
    let token = text.expose().trim_end();
    let is_digit = |letter: u8| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter);
    let is_token = token
        .strip_prefix(OPERATOR_TOKEN_PREFIX)
        .is_some_and(|secret| secret.len() == 64 && secret.bytes().all(is_digit));
    if !is_token {
        return Err(ConfigError::TokenMalformed(path));
    }
    Ok(Secret::new(token.to_owned()))
}

/// Written beside and renamed: a crash leaves the file as it was, or as it is to be.
///
/// # Errors
/// When the disk or its permissions refuse.
pub(crate) fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    // The mode above counts only for a file that did not exist.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(listen: &str) -> ConfigArgs {
        ConfigArgs {
            data_dir: Some(PathBuf::from("/tmp/x")),
            listen: Some(listen.parse().unwrap()),
            ..ConfigArgs::default()
        }
    }

    #[test]
    fn only_loopback_is_listened_on() {
        for listen in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            assert!(
                Config::combine(&args(listen), FileForm::default()).is_ok(),
                "{listen}"
            );
        }
        for listen in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "8.8.8.8:1"] {
            assert!(
                matches!(
                    Config::combine(&args(listen), FileForm::default()),
                    Err(ConfigError::NotLoopback(_))
                ),
                "{listen}"
            );
        }
    }

    #[test]
    fn with_tls_any_address_is_listened_on() {
        let text = "[tls]\ncertificate = '/a.pem'\nkey = '/a.key'";
        for listen in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "127.0.0.1:1"] {
            let form = toml::from_str(text).unwrap();
            let config = Config::combine(&args(listen), form).unwrap();
            assert_eq!(config.tls.unwrap().key, Path::new("/a.key"), "{listen}");
        }
        for text in [
            "[tls]",
            "[tls]\ncertificate = '/a.pem'",
            "[tls]\ncertificate = '/a.pem'\nkey = '/a.key'\nca = '/b'",
        ] {
            assert!(toml::from_str::<FileForm>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_wins_and_typing_errors_are_found() {
        let form: FileForm =
            toml::from_str("data_dir = '/var/a'\nlisten = '127.0.0.1:9'\n[tips]\nbps_max = 1000\n")
                .unwrap();
        let config = Config::combine(&args("127.0.0.1:8"), form).unwrap();
        assert_eq!(config.data_dir, Path::new("/tmp/x"));
        assert_eq!(config.listen.port(), 8);
        assert_eq!(config.tips.bps_max, 1_000);
        assert_eq!(config.tips.hours_max, TipLimits::default().hours_max);
        assert!(toml::from_str::<FileForm>("data_dri = 'x'").is_err());
        assert!(toml::from_str::<FileForm>("[limits]\nin_flight = 1").is_err());
        let form: FileForm = toml::from_str("[store]\nreserve_bytes = 5").unwrap();
        let incarnation = protocol::id::IncarnationId::from_uuid(uuid::Uuid::nil());
        let defaults = StoreConfig::new("/x", incarnation);
        let store = form.store.over(defaults.clone());
        assert_eq!(store.reserve_bytes, 5);
        assert_eq!(store.segment_bytes, defaults.segment_bytes);
        let form: FileForm = toml::from_str("[limits]\nin_flight_max = 0").unwrap();
        assert!(matches!(
            Config::combine(&args("127.0.0.1:8"), form),
            Err(ConfigError::ZeroLimit("in_flight_max"))
        ));
    }

    #[test]
    fn a_reversal_cannot_overtake_what_it_undoes() {
        for (text, is_good) in [
            ("", true),
            (
                "[acquirer]\nanswer_timeout_ms = 8000\nlongest_delay_ms = 14000",
                true,
            ),
            (
                "[acquirer]\nanswer_timeout_ms = 8000\nlongest_delay_ms = 13000",
                false,
            ),
            ("[acquirer]\nanswer_timeout_ms = 0", false),
            ("[acquirer]\nlongest_delay_ms = 3600001", false),
        ] {
            let form = toml::from_str(text).unwrap();
            let config = Config::combine(&args("127.0.0.1:1"), form);
            assert_eq!(config.is_ok(), is_good, "{text}: {config:?}");
        }
    }

    #[test]
    fn faults_are_on_in_test_mode_and_ending_the_process_is_not() {
        for (text, policy) in [
            (
                "",
                Policy::On {
                    allows_engine_restart: false,
                },
            ),
            (
                "[sandbox]\nallow_engine_restart = true",
                Policy::On {
                    allows_engine_restart: true,
                },
            ),
            (
                "[sandbox]\nfaults = false\nallow_engine_restart = true",
                Policy::Off,
            ),
        ] {
            let form: FileForm = toml::from_str(text).unwrap();
            let config = Config::combine(&args("127.0.0.1:8"), form).unwrap();
            assert_eq!(config.sandbox, policy, "{text}");
        }
    }

    #[test]
    fn the_operator_token_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OPERATOR_TOKEN_FILE);
        let first = operator_token(dir.path(), SystemIds).unwrap();
        assert_eq!(operator_token(dir.path(), SystemIds).unwrap(), first);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            operator_token(dir.path(), SystemIds),
            Err(ConfigError::TokenExposed { mode: 0o644, .. })
        ));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(
            operator_token(dir.path(), SystemIds),
            Err(ConfigError::TokenMalformed(_))
        ));
    }
}
