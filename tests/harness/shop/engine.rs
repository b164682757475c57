//! The engine of a shop as a process, and who is boarded there.
//!
//! Owns its directory, its configuration file and its life; it asks nothing but by the API.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use terminal_agent::tls::Authority;

use super::Environment;
use crate::api::Api;
use crate::programs::{Program, bin_dir};
use crate::wait::until;

/// Every scope that a POS system of the demo needs.
pub const POS_SCOPES: [&str; 12] = [
    "pos:create",
    "pos:read",
    "pos:cancel",
    "pos:print",
    "terminals:read",
    "terminals:manage",
    "transactions:read",
    "transactions:tip",
    "transactions:void",
    "merchant:read",
    "api_keys:manage",
    "sandbox:manage",
];

/// Engine configuration of tests that wait for what became of a lost request: the acquirer is given
/// seconds rather than the usual minute. More than the simulated host ever takes.
pub const QUICK_ACQUIRER: &str = "[acquirer]\nanswer_timeout_ms = 8000\nlongest_delay_ms = 14000\n";

/// The engine as a process.
#[derive(Debug)]
pub struct Engine {
    /// Its directory.
    pub dir: PathBuf,
    /// The operator's client.
    pub operator: Api,
    environment: Environment,
    program: Program,
    listen: String,
}

impl Engine {
    /// Starts an engine whose database is in `dir`, with the configuration `engine.toml` there if
    /// there is one.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Self::start_in(dir, Environment::new())
    }

    /// As [`Engine::start`], with this in its environment, also whenever it is started again.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start_in(dir: &Path, environment: Environment) -> io::Result<Self> {
        Self::start_at(dir, "127.0.0.1:0", environment)
    }

    /// As [`Engine::start`], with this text as its configuration file.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start_configured(dir: &Path, config: &str) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("engine.toml"), config)?;
        Self::start(dir)
    }

    /// Starts an engine that logs what this filter lets through.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn start_logging(dir: &Path, log_filter: Option<&str>) -> io::Result<Self> {
        match log_filter {
            Some(filter) => Self::start_configured(dir, &format!("log_filter = {filter:?}\n")),
            None => Self::start(dir),
        }
    }

    /// Makes an authority and a certificate for `127.0.0.1`: the engine that is started in `dir` next
    /// speaks TLS. With `--renew` among the arguments: another certificate.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn init(dir: &Path, arguments: &[&str]) -> io::Result<Output> {
        fs::create_dir_all(dir)?;
        let data = dir.join("data");
        let made = Command::new(bin_dir().join("engine"))
            .args(["init", "--data-dir", &data.display().to_string()])
            .args(arguments)
            .output()?;
        if data.join("engine.toml").exists() {
            fs::copy(data.join("engine.toml"), dir.join("engine.toml"))?;
        }
        Ok(made)
    }

    /// The certificate of its authority, once there is one.
    pub fn authority(dir: &Path) -> Option<Authority> {
        Authority::read(&dir.join("data").join("tls").join("ca.pem")).ok()
    }

    fn start_at(dir: &Path, listen: &str, environment: Environment) -> io::Result<Self> {
        let data = dir.join("data").display().to_string();
        let config = dir.join("engine.toml");
        let config_path = config.display().to_string();
        let mut arguments = vec!["run", "--data-dir", &data, "--listen", listen];
        if config.exists() {
            arguments.extend(["--config", &config_path]);
        }
        let log = dir.join("engine.log");
        let variables = environment.iter().map(|(name, value)| (name, value));
        let mut program = Program::start_in("engine", &arguments, &log, variables)?;
        let line = program.first_line()?;
        let base = line.rsplit(' ').next().unwrap_or_default().to_owned();
        let token = fs::read_to_string(dir.join("data").join("operator-token"))?;
        let operator = match Self::authority(dir) {
            Some(authority) => Api::trusting(&base, token.trim(), authority),
            None => Api::new(&base, token.trim()),
        };
        let listen = base.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Self {
            dir: dir.to_path_buf(),
            operator,
            environment,
            program,
            listen,
        })
    }

    /// Boards a partner and a merchant with a key for its POS system.
    pub fn board(&self) -> Boarded {
        let operator = &self.operator;
        let partner = operator.post("/v1/partners", &json!({"name": "North Payments"}));
        let partner_id = partner.field("id").to_owned();
        let merchant = operator.post("/v1/merchants", &merchant_body(&partner_id));
        let merchant_id = merchant.field("id").to_owned();
        let key = operator.post(
            &format!("/v1/merchants/{merchant_id}/api-keys"),
            &json!({"label": "POS", "scopes": POS_SCOPES}),
        );
        Boarded {
            pos: operator.with_token(key.field("secret")),
            partner_id,
            merchant_id,
        }
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Asks it to end; true when it did so cleanly.
    pub fn stop(&mut self) -> bool {
        self.program.stop()
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(&mut self) -> bool {
        until("the engine to end", || {
            (!self.program.is_running()).then_some(())
        })
        .is_some()
    }

    /// Waits until it has ended by itself; its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.program.end()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// Starts it again on the same database and address.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.program.kill();
        let (dir, listen) = (self.dir.clone(), self.listen.clone());
        let environment = std::mem::take(&mut self.environment);
        *self = Self::start_at(&dir, &listen, environment)?;
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("engine.log")).unwrap_or_default()
    }
}

/// A merchant and who boarded it.
#[derive(Debug)]
pub struct Boarded {
    /// The POS system's client.
    pub pos: Api,
    /// The partner.
    pub partner_id: String,
    /// The merchant.
    pub merchant_id: String,
}

/// A merchant to board.
pub fn merchant_body(partner_id: &str) -> Value {
    json!({
        "partner_id": partner_id,
        "name": "Corner Coffee",
        "address": ["12 High Street", "Springfield"],
        "phone": "+1 555 0100",
        "currencies": ["USD", "EUR"],
        "utc_offset_minutes": -300,
    })
}
